"""The quick way in for plain frames agrees with the library about every frame it reads, and leaves it all others."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.utils import apply_mask

from gateway.framing.plain import Boundary, plain_text, plain_texts, text_frame

SIZES = st.one_of(st.integers(0, 300), st.sampled_from((125, 126, 127, 65_535, 65_536, 70_000)))


def frame(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=mask)


@given(SIZES)
def test_a_plain_frame_is_read_as_the_library_wrote_it(size: int) -> None:
    payload = b"x" * size
    assert plain_text(frame(payload), apply_mask) == (payload if size <= 65_535 else None)


@given(st.binary(max_size=400))
def test_nothing_else_is_taken_for_a_plain_frame(data: bytes) -> None:
    text = plain_text(data, apply_mask)
    if text is not None:
        size = len(text)
        head = b"\x81" + (bytes((0x80 | size,)) if size < 126 else struct.pack("!BH", 0xFE, size))
        assert data.startswith(head)
        assert len(data) == len(head) + 4 + size


def test_control_frames_fragments_and_frames_without_a_mask_are_left_to_the_library() -> None:
    others = (
        frame(b"x", Opcode.PING),
        frame(b"x", Opcode.PONG),
        frame(b"\x03\xe8", Opcode.CLOSE),
        frame(b"x", Opcode.BINARY),
        frame(b"x", fin=False),
        frame(b"x", Opcode.CONT),
        frame(b"x", mask=False),
        frame(b"x")[:-1],
        frame(b"x") + b"\x81",
        b"\xc1" + frame(b"x")[1:],  # a reserved bit
        b"\x81\xfe\x00\x01" + bytes(4) + b"x",  # a length in a longer spelling than it needs
    )
    assert [plain_text(other, apply_mask) for other in others] == [None] * len(others)
    assert [plain_texts(frame(b"x") + other, apply_mask) for other in others] == [None] * len(others)


@given(st.lists(SIZES, min_size=1, max_size=5))
def test_several_plain_frames_are_read_as_the_library_wrote_them(sizes: list[int]) -> None:
    payloads = [bytes((97 + number,)) * size for number, size in enumerate(sizes)]
    expected = payloads if max(sizes) <= 65_535 else None
    assert plain_texts(b"".join(map(frame, payloads)), apply_mask) == expected


@given(st.lists(st.one_of(SIZES.map(lambda size: frame(b"x" * size)), st.binary(max_size=20)), max_size=4))
def test_nothing_else_is_taken_for_several_plain_frames(pieces: list[bytes]) -> None:
    """All of the bytes are taken, and each frame as it is read alone."""
    data = b"".join(pieces)
    texts = plain_texts(data, apply_mask)
    if texts is not None:
        at = 0
        for text in texts:
            size = 2 + 2 * (len(text) > 125) + 4 + len(text)
            assert plain_text(data[at : at + size], apply_mask) == text
            at += size
        assert at == len(data)


@given(SIZES)
def test_what_is_sent_is_a_frame_as_the_library_would_write_it(size: int) -> None:
    payload = b"y" * size
    assert text_frame(payload) == frame(payload, mask=False)


@given(
    st.lists(st.tuples(SIZES, st.sampled_from((Opcode.TEXT, Opcode.PING, Opcode.CONT)), st.booleans()), max_size=6),
    st.data(),
)
def test_the_boundary_between_two_frames_is_known_however_they_are_torn(
    frames: list[tuple[int, Opcode, bool]], data: st.DataObject
) -> None:
    sent = [frame(b"z" * min(size, 125 if op is Opcode.PING else size), op, mask=mask) for size, op, mask in frames]
    stream = b"".join(sent)
    ends = {0}
    for each in sent:
        ends.add(max(ends) + len(each))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    boundary, at = Boundary(), 0
    for cut in [*cuts, len(stream)]:
        boundary.follow(stream[at:cut])
        at = cut
        assert boundary.reached == (at in ends)

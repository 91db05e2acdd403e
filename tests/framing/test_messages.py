"""The WebSocket side: messages, fragments, control frames, closes."""

from __future__ import annotations

import gc
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.framing.events import Closed, FragmentSeen, Message, PingSeen, PongSeen
from gateway.framing.reassembly import MAX_EMPTY_FRAGMENTS, MAX_FRAGMENTS
from gateway.framing.websocket import WebSocket
from tests.support.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close, frame, opened, sent_close


def closed_with(code: int, data: bytes, **limits: int) -> None:
    """Assert that ``data`` makes us fail the connection with ``code``, on the wire and in the event."""
    websocket = opened(**limits)
    events = websocket.receive(data)
    assert isinstance(events[-1], Closed)
    assert (events[-1].code, events[-1].initiator) == (code, "local")
    assert sent_close(websocket) == code
    assert websocket.finished
    assert websocket.receive(frame(TEXT, b"late")) == []


def test_a_text_message_is_reported_whole() -> None:
    """Non-ASCII included."""
    assert opened().receive(frame(TEXT, '[2,"ü"]'.encode())) == [Message('[2,"ü"]'.encode())]


def test_an_empty_message_is_a_message() -> None:
    """Its meaning is not framing's concern."""
    assert opened().receive(frame(TEXT)) == [Message(b"")]


def test_messages_that_are_read_together_come_in_their_order_up_to_the_first_that_is_refused() -> None:
    """Each by the same rules as one alone."""
    assert opened().receive(frame(TEXT, b"[1]") + frame(TEXT, b"[2]")) == [Message(b"[1]"), Message(b"[2]")]
    for refused, code in ((b"x" * 101, 1009), (b"\xff", 1007)):
        websocket = opened(max_message_bytes=100)
        events = websocket.receive(frame(TEXT, b"[1]") + frame(TEXT, refused) + frame(TEXT, b"[3]"))
        assert events[0] == Message(b"[1]")
        assert isinstance(events[1], Closed)
        assert (events[1].code, len(events)) == (code, 2)


def test_a_ping_is_answered_with_its_payload() -> None:
    """A6.1."""
    websocket = opened()
    assert websocket.receive(frame(PING, b"abc")) == [PingSeen()]
    assert websocket.unsent == 5
    assert websocket.data_to_send() == b"\x8a\x03abc"
    assert websocket.unsent == 0


def test_a_pong_is_a_sign_of_life() -> None:
    """A6.3."""
    assert opened().receive(frame(PONG)) == [PongSeen()]


def test_fragments_are_joined_with_control_frames_between_them() -> None:
    """A3.14."""
    websocket = opened()
    data = frame(TEXT, b"[2,", fin=False) + frame(PING, b"x") + frame(CONT, b"3", fin=False) + frame(CONT, b"]")
    assert websocket.receive(data) == [FragmentSeen(), PingSeen(), FragmentSeen(), Message(b"[2,3]")]


def test_a_character_may_be_cut_by_a_fragment() -> None:
    """UTF-8 is checked over the whole message (RFC 6455 §5.6)."""
    euro = "€".encode()
    data = frame(TEXT, euro[:1], fin=False) + frame(CONT, euro[1:])
    assert opened().receive(data)[-1] == Message(euro)


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"\xff"),
        frame(TEXT, "€".encode()[:2]),
        frame(TEXT, "€".encode()[:2], fin=False) + frame(CONT, b"x"),
        frame(TEXT, b"\xed\xa0\x80"),
    ],
)
def test_invalid_utf_8_is_closed_with_1007(data: bytes) -> None:
    """Whole, truncated, across fragments, and as a surrogate."""
    closed_with(1007, data)


def test_a_binary_message_is_closed_with_1003() -> None:
    """A3.15: the one documented policy."""
    closed_with(1003, frame(BINARY, b"[2]"))
    closed_with(1003, frame(BINARY, b"[2", fin=False))


@pytest.mark.parametrize("rsv", [1, 2, 4])
def test_reserved_bits_are_closed_with_1002(rsv: int) -> None:
    """A3.16: no extension was negotiated."""
    closed_with(1002, frame(TEXT, b"x", rsv=rsv))


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"x", masked=False),
        frame(0x3, b"x"),
        frame(CONT, b"x"),
        frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
        frame(PING, b"x" * 126),
        frame(PING, b"x", fin=False),
        frame(CLOSE, b"\x03"),
        close(1005),
    ],
)
def test_broken_frames_are_closed_with_1002(data: bytes) -> None:
    """Unmasked, unknown opcode, wrong order, bad control frames."""
    closed_with(1002, data)


def test_a_message_may_have_exactly_the_limit() -> None:
    """Whole and in fragments."""
    assert opened(max_message_bytes=2000).receive(frame(TEXT, b"x" * 2000)) == [Message(b"x" * 2000)]
    data = frame(TEXT, b"x" * 1000, fin=False) + frame(CONT, b"x" * 1000)
    assert opened(max_message_bytes=2000).receive(data)[-1] == Message(b"x" * 2000)


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"x" * 2001),
        frame(TEXT, b"x" * 2000, fin=False) + frame(CONT, b"x"),
        frame(TEXT, b"x" * 1500, fin=False) + frame(CONT, b"x" * 501, fin=False),
        frame(TEXT, length=2**40),
        frame(TEXT, b"x" * 1000, fin=False) + frame(CONT, length=2**62),
    ],
)
def test_a_message_over_the_limit_is_closed_with_1009(data: bytes) -> None:
    """A3.17: during reassembly, and by the announced length alone."""
    closed_with(1009, data, max_message_bytes=2000)


def test_a_ping_near_the_size_limit_is_no_oversize() -> None:
    """The limit belongs to the message, not to control frames between its fragments."""
    websocket = opened(max_message_bytes=2000)
    events = websocket.receive(frame(TEXT, b"x" * 1999, fin=False) + frame(PING, b"y" * 125) + frame(CONT, b"z"))
    assert events[-1] == Message(b"x" * 1999 + b"z")


def test_floods_of_fragments_are_closed_with_1008() -> None:
    """The size limit does not see empty fragments, and hardly one-byte ones."""
    empty = frame(CONT, fin=False)
    closed_with(1008, frame(TEXT, fin=False) + empty * MAX_EMPTY_FRAGMENTS)
    closed_with(1008, frame(TEXT, b"x", fin=False) + frame(CONT, b"x", fin=False) * MAX_FRAGMENTS)


def test_fragment_counts_start_anew_with_each_message() -> None:
    """A charger that always fragments is not a flood."""
    websocket = opened()
    one = frame(TEXT, fin=False) + frame(CONT, b"x", fin=False) + frame(CONT)
    for _ in range(MAX_EMPTY_FRAGMENTS * 2):
        assert websocket.receive(one)[-1] == Message(b"x")


def test_the_peers_close_is_echoed_and_reported_after_its_messages() -> None:
    """Nothing that came before the Close is lost."""
    websocket = opened()
    events = websocket.receive(frame(TEXT, b"[3]") + close(1001, b"bye") + frame(TEXT, b"late"))
    assert events == [Message(b"[3]"), Closed(1001, "bye", "peer")]
    assert sent_close(websocket) == 1001
    assert websocket.finished


def test_a_close_without_a_code_is_1005() -> None:
    """RFC 6455 §7.1.5."""
    websocket = opened()
    assert websocket.receive(frame(CLOSE)) == [Closed(1005, "", "peer")]
    assert websocket.data_to_send() == b"\x88\x00"


def test_an_end_without_a_close_is_1006() -> None:
    """RFC 6455 §7.1.5, also in the middle of a frame."""
    for data in (b"", frame(TEXT, b"x")[:3], frame(TEXT, b"x", fin=False)):
        websocket = opened()
        websocket.receive(data)
        assert websocket.receive_eof() == [Closed(1006, "", "network")]
        assert websocket.receive_eof() == []
        assert websocket.data_to_send() == b""


def test_our_close_waits_for_the_peers_and_drops_messages_meanwhile() -> None:
    """A Ping after a local Close is harmless: the defect of another library."""
    websocket = opened()
    websocket.send_close(1001, "restart")
    assert websocket.closing
    assert not websocket.open
    assert websocket.data_to_send() == b"\x88\x09\x03\xe9restart"
    assert websocket.receive(frame(TEXT, b"x") + frame(PING, b"y")) == [FragmentSeen(), PingSeen()]
    assert websocket.receive(close(1001)) == [Closed(1001, "restart", "local")]
    assert websocket.finished
    assert not websocket.closing


def test_sending_after_a_close_sends_nothing() -> None:
    """The transport reports the end; framing stays silent."""
    websocket = opened()
    websocket.send_close(1000)
    websocket.data_to_send()
    websocket.send_text(b"x")
    websocket.send_ping()
    websocket.send_close(1001)
    assert websocket.data_to_send() == b""


def test_a_long_close_reason_is_cut_between_characters() -> None:
    """A control frame holds 125 bytes."""
    websocket = opened()
    websocket.send_close(1000, "€" * 60)
    assert websocket.data_to_send() == b"\x88\x7d\x03\xe8" + "€".encode() * 41


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 5000])
def test_a_code_that_may_not_be_sent_is_a_bug(code: int) -> None:
    """RFC 6455 §7.4."""
    with pytest.raises(ValueError, match="may not be sent"):
        opened().send_close(code)


def test_a_text_is_sent_in_one_unmasked_frame() -> None:
    """J §4: one message, one frame."""
    websocket = opened()
    websocket.send_text(b"x" * 300)
    assert websocket.data_to_send() == b"\x81\x7e" + struct.pack("!H", 300) + b"x" * 300


@pytest.mark.parametrize("last", [close(1000), frame(TEXT, b"\xff"), frame(TEXT, rsv=1), b""])
def test_a_released_connection_is_no_reference_cycle(last: bytes) -> None:
    """With the collector off, closed connections leave nothing behind."""
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(thing, WebSocket) for thing in gc.get_objects())
        for _ in range(10):
            websocket = opened()
            websocket.receive(last)
            websocket.receive_eof()
            websocket.release()
            assert websocket.receive(b"x") == []
            del websocket
        assert sum(isinstance(thing, WebSocket) for thing in gc.get_objects()) == before
        assert gc.collect() == 0
    finally:
        gc.enable()


messages = st.lists(st.text(max_size=300).map(str.encode), max_size=4)


@given(messages, st.lists(st.integers(0, 1500), max_size=8), st.integers(1, 40), st.booleans())
def test_messages_survive_any_fragmentation_and_any_chunking(
    texts: list[bytes], cuts: list[int], size: int, pings: bool
) -> None:
    """Frames, fragments and reads have independent boundaries."""
    data = b""
    for text in texts:
        parts = [text[i : i + size] for i in range(0, len(text), size)] or [b""]
        for i, part in enumerate(parts):
            data += frame(CONT if i else TEXT, part, fin=i == len(parts) - 1)
            data += frame(PING, b"p") if pings else b""
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    websocket = opened()
    events = []
    for start, end in itertools.pairwise(bounds):
        events += websocket.receive(data[start:end])
    assert [event.data for event in events if isinstance(event, Message)] == texts
    websocket.release()


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_after_the_upgrade_end_in_events_and_never_raise(chunks: list[bytes]) -> None:
    """Whatever a peer sends: messages, or one Closed at the end."""
    websocket = opened(max_message_bytes=1024)
    events = [event for chunk in chunks for event in websocket.receive(chunk)]
    events += websocket.receive_eof()
    assert [isinstance(event, Closed) for event in events].count(True) == 1
    assert isinstance(events[-1], Closed)
    websocket.release()

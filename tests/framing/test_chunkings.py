"""However a client's bytes are cut into reads, they mean the same and are answered the same."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.framing.events import Closed, Event
from gateway.framing.websocket import WebSocket
from tests.framing.cases import CASES, parts
from tests.support.frames import CLOSE, CONT, PING, PONG, TEXT, by_frame, close, frame, head, opened

LIMIT = 300
PROTOCOL_ERROR = 1002

texts = st.one_of(st.binary(max_size=LIMIT + 20), st.text(max_size=LIMIT // 4).map(str.encode))

whole = st.builds(frame, st.just(TEXT), texts)
control = st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))
fragmented = st.builds(
    lambda pieces, between: parts(*pieces, between=between),
    st.lists(st.text(max_size=20).map(str.encode), min_size=2, max_size=5),
    st.one_of(st.just(b""), control),
)
ending = st.one_of(
    st.builds(close, st.integers(900, 5100), st.binary(max_size=123)),
    st.builds(frame, st.just(CLOSE), st.binary(max_size=3)),
)
anything = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=140),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 1, 2, 4]),
    masked=st.sampled_from([True, True, True, False]),
)
sequence = st.lists(st.sampled_from([CONT, TEXT]), max_size=4).map(
    lambda opcodes: b"".join(frame(opcode, b"x", fin=False) for opcode in opcodes)
)
known = st.sampled_from([case.data for case in CASES.values() if len(case.data) < LIMIT])

conversations = st.lists(
    st.one_of(whole, whole, control, fragmented, fragmented, ending, anything, sequence, known), min_size=1, max_size=8
).map(b"".join)


def read(chunks: list[bytes], end: bool) -> tuple[list[Event], bytes, list[bool]]:
    """Events, answers, and what the connection says of itself."""
    websocket = opened(max_message_bytes=LIMIT)
    events = [event for chunk in chunks for event in websocket.receive(chunk)]
    if end:
        events += websocket.receive_eof()
    result = events, websocket.data_to_send(), [websocket.open, websocket.finished, websocket.closing]
    websocket.release()
    return result


@settings(max_examples=500)
@given(conversations, st.lists(st.integers(1, 60), min_size=1, max_size=12), st.booleans())
def test_any_chunking_gives_the_same_events_and_answers(data: bytes, sizes: list[int], end: bool) -> None:
    """Legal or not: one read, a read for each frame, and any other boundaries."""
    chunks = []
    position = 0
    for size in itertools.cycle(sizes):
        if position >= len(data):
            break
        chunks.append(data[position : position + size])
        position += size
    one, each, other = (read(pieces, end) for pieces in ([data], by_frame(data), chunks))
    assert one[0] == each[0] == other[0]
    assert one[2] == each[2] == other[2]
    if not judged_late(one[0]):
        assert one[1] == each[1] == other[1]


def judged_late(events: list[Event]) -> bool:
    """Tell whether a rule of the gateway ended it, not the library's. It is looked at after the whole read: a Ping
    behind a bad message is answered, or a Close, if it came in the same one."""
    last = events[-1] if events else None
    return isinstance(last, Closed) and last.initiator == "local" and last.code != PROTOCOL_ERROR


@settings(max_examples=300)
@given(
    st.lists(st.one_of(whole, control, fragmented), max_size=4).map(b"".join),
    st.lists(st.integers(0, 400), max_size=5),
    st.integers(0, 5),
)
def test_the_upgrade_and_what_follows_may_share_reads(data: bytes, cuts: list[int], late: int) -> None:
    """The head, frames sent before its answer, and frames after it: all the same as one after the other."""
    everything = head() + data
    bounds = sorted({0, *(min(cut, len(everything)) for cut in cuts), len(everything)})
    websocket = WebSocket(max_message_bytes=LIMIT)
    events: list[Event] = []
    waited = 0
    for start, stop in itertools.pairwise(bounds):
        events += websocket.receive(everything[start:stop])
        if websocket.undecided:
            waited += 1
            if waited > late:
                events += websocket.accept(None)
    if websocket.undecided:
        events += websocket.accept(None)
    response, _, answers = websocket.data_to_send().partition(b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 101 ")
    expected = read([data], False)
    assert events[1:] == expected[0]
    if not judged_late(events):
        assert answers == expected[1]
    websocket.release()

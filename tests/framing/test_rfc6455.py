"""RFC 6455 as a table (``cases``), read in one piece, frame by frame, by the byte, and cut in two anywhere."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from typing import Literal

import pytest

from gateway.framing.events import Closed, Event, FragmentSeen, Message, PingSeen
from tests.framing.cases import CASES, GOOD_CODES, GROUPS, LIMIT, Case
from tests.support.frames import CLOSE, CONT, PING, PONG, TEXT, by_frame, close, frame, frames_in, opened

SHORT = 400
"""Bytes of a case that is cut in two everywhere; longer ones at their edges."""


def check(case: Case, chunks: Iterable[bytes]) -> None:
    """The case means what the table says, with these boundaries between reads, and a plain message before it."""
    websocket = opened(max_message_bytes=LIMIT)
    assert websocket.receive(frame(TEXT, b"first")) == [Message(b"first")]
    events: list[Event] = []
    answer = b""
    for chunk in chunks:
        events += websocket.receive(chunk)
        answer += websocket.data_to_send()
    sent = frames_in(answer)
    if case.closed is None:
        assert tuple(events) == case.seen
        assert sent == [(PONG, pong) for pong in case.pongs]
        assert websocket.open
        assert not websocket.finished
        assert websocket.receive(frame(TEXT, b"last")) == [Message(b"last")]
        assert websocket.receive(close(1000)) == [Closed(1000, "", "peer")]
    else:
        assert tuple(events[:-1]) == case.seen
        last = events[-1]
        assert isinstance(last, Closed)
        assert (last.code, last.initiator) == (case.closed.code, case.closed.initiator)
        assert sent[:-1] == [(PONG, pong) for pong in case.pongs]
        opcode, payload = sent[-1]
        assert opcode == CLOSE
        if case.echo is None:
            assert struct.unpack("!H", payload[:2])[0] == case.closed.code
            assert payload[2:].decode()  # it says why
        else:
            assert last.reason == case.closed.reason
            assert payload == case.echo
        assert websocket.finished
        assert not websocket.open
        assert not websocket.closing
        assert websocket.receive(frame(PING, b"late") + frame(TEXT, b"late")) == websocket.receive_eof() == []
    assert websocket.data_to_send() == (b"\x88\x02\x03\xe8" if case.closed is None else b"")
    websocket.release()


@pytest.mark.parametrize("name", CASES)
def test_a_case_means_the_same_however_it_is_read(name: str) -> None:
    """In one piece, frame by frame, by the byte, and in two pieces cut anywhere."""
    case, size = CASES[name], len(CASES[name].data)
    check(case, [case.data])
    check(case, by_frame(case.data))
    if size < 20_000:
        check(case, (case.data[i : i + 1] for i in range(size)))
    for cut in range(1, size) if size <= SHORT else (1, 2, 3, 4, 9, 10, 13, 14, 15, size // 2, size - 1):
        check(case, (case.data[:cut], case.data[cut:]))


def test_no_name_hides_another() -> None:
    """The table is as long as its parts."""
    assert len(CASES) == sum(map(len, GROUPS))


def test_every_close_code_there_is() -> None:
    """RFC 6455 §7.4: 1000 to 1003, 1007 to 1014 and 3000 to 4999 may be sent; all others are a protocol error."""
    taken = set()
    for code in (*range(5200), *range(5200, 65536, 509), 65535):
        websocket = opened()
        [event] = websocket.receive(close(code))
        assert isinstance(event, Closed)
        assert (event.code, event.initiator) in ((code, "peer"), (1002, "local"))
        if event.initiator == "peer":
            assert frames_in(websocket.data_to_send()) == [(CLOSE, struct.pack("!H", code))]
            taken.add(code)
    assert taken == GOOD_CODES


def test_every_first_byte_there_is() -> None:
    """RFC 6455 §5.2: of the 256, those for a whole text, its first fragment and the three control frames are served."""
    served = set()
    for first in range(256):
        websocket = opened()
        events = websocket.receive(bytes([first, 0x80]) + bytes(4))
        if not websocket.finished or first == 0x88:
            served.add(first)
        else:
            [event] = events
            assert isinstance(event, Closed)
            assert event.code == (1003 if first in (0x82, 0x02) else 1002)
    assert served == {0x80 | TEXT, TEXT, 0x80 | CLOSE, 0x80 | PING, 0x80 | PONG}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if len(case.data) <= SHORT])
def test_a_stream_that_ends_within_a_case_is_an_abnormal_closure(name: str) -> None:
    """RFC 6455 §7.1.5: wherever it ends, 1006 is reported once, unless a Close came before; nothing more is sent."""
    case = CASES[name]
    for end in range(len(case.data)):
        websocket = opened(max_message_bytes=LIMIT)
        events = websocket.receive(case.data[:end])
        if not websocket.finished:
            websocket.data_to_send()
            events += websocket.receive_eof()
            assert events[-1] == Closed(1006, "", "network")
            assert websocket.data_to_send() == b""
        assert [isinstance(event, Closed) for event in events].count(True) == 1
        assert tuple(events[:-1]) == case.seen[: len(events) - 1]
        assert websocket.finished
        websocket.release()


AFTER_OUR_CLOSE: dict[str, tuple[bytes, tuple[int, Literal["peer", "local", "network"]]]] = {
    "its-echo": (close(1001), (1001, "local")),
    "an-empty-close": (frame(CLOSE), (1001, "local")),
    "another-code": (close(4000, b"mine"), (1001, "local")),
    "messages-then-the-echo": (frame(TEXT, b"1") + frame(TEXT, b"2", fin=False) + close(1001), (1001, "local")),
    "pings-then-the-echo": (frame(PING, b"p") + frame(PONG) + close(1001), (1001, "local")),
    "the-rest-of-a-message-then-the-echo": (frame(CONT, b"rest") + close(1001), (1001, "local")),
    "invalid-utf-8-then-the-echo": (frame(TEXT, b"\xff") + close(1001), (1001, "local")),
    "a-broken-frame": (frame(TEXT, b"x", masked=False), (1001, "local")),
    "a-broken-close": (frame(CLOSE, b"\x03"), (1001, "local")),
    "a-code-that-may-not-be": (close(1005), (1001, "local")),
    "the-end-of-the-stream": (b"", (1001, "local")),
}


@pytest.mark.parametrize("name", AFTER_OUR_CLOSE)
@pytest.mark.parametrize("chunk", [1, 1000])
def test_whatever_follows_the_own_close_ends_as_own_and_no_second_close_is_sent(name: str, chunk: int) -> None:
    """RFC 6455 §5.5.1, §7.1.5: the first Close counts; no message is given out any more, nothing but pongs follows."""
    data, (code, initiator) = AFTER_OUR_CLOSE[name]
    websocket = opened()
    if "rest" in name:
        websocket.receive(frame(TEXT, b"begun", fin=False))
    websocket.send_close(1001, "restart")
    assert frames_in(websocket.data_to_send()) == [(CLOSE, b"\x03\xe9restart")]
    events = [event for i in range(0, len(data), chunk) for event in websocket.receive(data[i : i + chunk])]
    events += websocket.receive_eof()
    assert [event for event in events if isinstance(event, Closed)] == [Closed(code, "restart", initiator)]
    assert isinstance(events[-1], Closed)
    assert not any(isinstance(event, Message) for event in events)
    assert all(opcode == PONG for opcode, _ in frames_in(websocket.data_to_send()))


def test_our_frames_are_whole_unmasked_and_of_minimal_length() -> None:
    """RFC 6455 §5.1, §5.2: at each boundary of the length."""
    for size, start in (
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ):
        websocket = opened()
        websocket.send_text(b"*" * size)
        assert websocket.data_to_send() == start + b"*" * size


def test_what_is_sent_and_what_is_answered_keep_their_order() -> None:
    """A Pong neither overtakes what was sent before the Ping, nor splits a message of the gateway."""
    websocket = opened()
    websocket.send_text(b"1")
    websocket.receive(frame(PING, b"a"))
    websocket.send_text(b"2" * 70_000)
    websocket.receive(frame(PING, b"b") + close(1000))
    websocket.send_text(b"late")
    sent = frames_in(websocket.data_to_send())
    assert sent == [(TEXT, b"1"), (PONG, b"a"), (TEXT, b"2" * 70_000), (PONG, b"b"), (CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("first", ["served", "failed", "left"])
def test_connections_share_nothing(first: str) -> None:
    """Two, read in turns by the byte: what one is sent changes nothing for the other."""
    here, there = opened(), opened()
    data = {"served": frame(TEXT, b"1" * 200), "failed": frame(TEXT, b"\xff"), "left": close(1000)}[first]
    events: list[Event] = []
    other = frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONT, b"b")
    for mine, its in itertools.zip_longest(data, other):
        if mine is not None:
            here.receive(bytes([mine]))
        if its is not None:
            events += there.receive(bytes([its]))
    assert events == [FragmentSeen(), PingSeen(), Message(b"ab")]
    assert frames_in(there.data_to_send()) == [(PONG, b"p")]

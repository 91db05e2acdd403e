"""RFC 6455's table of cases (``tests/framing/cases``) through TLS and Trio: what the session gets, and the peer."""

from __future__ import annotations

import struct

import pytest
import trio
from trio.testing import MockClock

from gateway.transport.limits import Limits
from tests.framing.cases import CASES, LIMIT
from tests.support.frames import CLOSE, PONG, TEXT, close, frame, frames_in, head
from tests.transport.ends import server_end
from tests.transport.scripted import END, WIRES, Charger, at_once, converse, step

PATIENT = Limits(max_message_bytes=LIMIT, messages_per_second=1e6, frames_per_second=1e6)


@pytest.mark.parametrize("name", CASES)
async def test_a_case_means_to_the_session_what_it_means_to_the_peer(name: str, autojump_clock: MockClock) -> None:
    """All in one TLS record, or as many as it takes; a message before it, and one after it if the connection lives."""
    case = CASES[name]
    charger = Charger(
        [
            step(b"", head()),
            step(b"\r\n\r\n", frame(TEXT, b"first")),
            step(b"re:first", case.data + (b"" if case.closed else frame(TEXT, b"last"))),
            *([] if case.closed else [step(b"re:last", close(1000))]),
            step(b"\x88", END),
        ]
    )
    wire = WIRES[len(name) % len(WIRES)](charger, cut=at_once)
    with trio.fail_after(60):
        story = await converse(server_end(wire, PATIENT))
    answers = frames_in(bytes(charger.heard).partition(b"\r\n\r\n")[2])
    texts = [payload for opcode, payload in answers if opcode == TEXT]
    assert [payload for opcode, payload in answers if opcode == PONG] == list(case.pongs)
    opcode, payload = answers[-1]
    assert opcode == CLOSE
    assert [opcode for opcode, _ in answers].count(CLOSE) == 1
    if case.closed is None:
        expected = [b"first", *case.messages, b"last"]
        assert story.messages == expected
        assert texts == [b"re:" + message for message in expected]
        assert story.end == (1000, "", "peer")
        assert payload == b"\x03\xe8"
    else:
        # What came before the end is given out; whether an answer still reaches the peer is a matter of one read.
        assert story.messages == [b"first", *case.messages][: len(story.messages)]
        assert texts == [b"re:" + message for message in story.messages][: len(texts)]
        code, reason, initiator = story.end
        assert (code, initiator) == (case.closed.code, case.closed.initiator)
        if case.echo is None:
            assert payload == struct.pack("!H", case.closed.code) + str(reason).encode()
        else:
            assert payload == case.echo
    assert charger.close_notified
    assert not charger.failure
    assert wire.closed

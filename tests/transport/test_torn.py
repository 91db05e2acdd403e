"""TLS torn at every byte: a conversation from ClientHello to close, read in every two pieces, and ended everywhere."""

from __future__ import annotations

import gc
import ssl

import pytest
import trio
from trio.testing import MockClock

from gateway.framing.websocket import WebSocket
from gateway.transport.connection import Connection
from tests.framing.cases import parts
from tests.support.frames import CLOSE, PING, PONG, TEXT, close, frame, frames_in, head
from tests.transport.ends import server_end
from tests.transport.scripted import (
    END,
    TLS_1_2,
    TLS_1_3,
    WIRES,
    Charger,
    Story,
    Wire,
    by_the_byte,
    converse,
    split_at,
    step,
)

VERSIONS = pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])

MESSAGES = [b"[1]", "[2,κ]".encode(), b"*" * 130]

SCRIPT = (
    step(b"", head()),
    step(b"\r\n\r\n", frame(TEXT, MESSAGES[0])),
    step(
        b"re:[1]",
        parts(MESSAGES[1][:4], MESSAGES[1][4:], between=frame(PING, b"between")),
        frame(TEXT, MESSAGES[2])[:70],
        frame(TEXT, MESSAGES[2])[70:] + frame(PING, b"after"),
    ),
    step(b"*" * 130, close(1000, b"bye")),
    step(b"\x03\xe8bye", END),
)
"""Two requests, one of them in fragments; pings; a message over two records; a close."""

ANSWERS = [b"re:" + message for message in MESSAGES]


async def story_of(wire: Wire) -> Story:
    with trio.fail_after(60):
        return await converse(server_end(wire))


def answers_of(charger: Charger) -> list[tuple[int, bytes]]:
    response, _, frames = bytes(charger.heard).partition(b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 101 ")
    return frames_in(frames)


async def check_whole(wire: Wire) -> None:
    story = await story_of(wire)
    assert story == Story(MESSAGES, (1000, "bye", "peer"))
    answers = answers_of(wire.charger)
    assert [payload for opcode, payload in answers if opcode == TEXT] == ANSWERS
    assert [payload for opcode, payload in answers if opcode == PONG] == [b"between", b"after"]
    assert answers[-1] == (CLOSE, b"\x03\xe8bye")
    assert len(answers) == 6
    assert wire.charger.close_notified
    assert not wire.charger.failure
    assert wire.closed


async def length_of(version: ssl.TLSVersion) -> int:
    charger = Charger(SCRIPT, version)
    await check_whole(Wire(charger))
    return len(charger.said)


@VERSIONS
async def test_a_conversation_read_by_the_byte_is_the_same(version: ssl.TLSVersion, autojump_clock: MockClock) -> None:
    """Every TLS message, record, request, frame and character arrives in single bytes."""
    await check_whole(Wire(Charger(SCRIPT, version), cut=by_the_byte))


@VERSIONS
async def test_a_conversation_cut_in_two_anywhere_is_the_same(
    version: ssl.TLSVersion, autojump_clock: MockClock
) -> None:
    """From the first byte of the ClientHello to the last of the Close."""
    for position in range(1, await length_of(version)):
        await check_whole(WIRES[position % len(WIRES)](Charger(SCRIPT, version), cut=split_at(position)))


@VERSIONS
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
async def test_a_stream_that_ends_anywhere_ends_its_connection_and_leaves_nothing(
    version: ssl.TLSVersion, reset: bool, autojump_clock: MockClock
) -> None:
    """The end is reported as it is, earlier messages were served, and the connection is gone without a collector."""
    length = await length_of(version)
    ends = []
    served = 0
    gc.collect()
    gc.disable()
    try:
        for position in range(length):
            wire = WIRES[position % len(WIRES)](Charger(SCRIPT, version), end=position, reset=reset)
            story = await story_of(wire)
            assert wire.closed
            assert story.messages == MESSAGES[: len(story.messages)]
            assert served <= len(story.messages)
            served = len(story.messages)
            if story.end not in ends:
                ends.append(story.end)
            assert story.end == ends[-1], f"after {position} bytes"
            if story.end[0] != "tls" and story.end[0] != "http":
                texts = [payload for opcode, payload in answers_of(wire.charger) if opcode == TEXT]
                assert texts == ANSWERS[: len(texts)]
                assert len(texts) >= served - 1
            del wire, story
        await trio.lowlevel.checkpoint()  # Trio holds on to what it last threw into a task, until its next step
        assert not any(isinstance(thing, Connection | WebSocket) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert served == len(MESSAGES)
    assert ends == [("tls", "closed_by_peer"), ("http", "closed_by_peer"), (1006, "", "network")]


class Noise(Charger):
    """One bit of what it says is changed on the way."""

    def __init__(self, version: ssl.TLSVersion, position: int) -> None:
        self.position = position
        super().__init__(SCRIPT, version)

    def take(self, ciphertext: bytes) -> None:
        before = len(self.said)
        super().take(ciphertext)
        if before <= self.position < len(self.said):
            self.said[self.position] ^= 1 << self.position % 8


@VERSIONS
async def test_a_bit_changed_anywhere_is_never_taken_for_what_was_said(
    version: ssl.TLSVersion, autojump_clock: MockClock
) -> None:
    """The connection ends, or goes on as if nothing had been (some bits of the heads of records mean nothing)."""
    whole = 0
    length = await length_of(version)
    for position in range(length):
        wire = Wire(Noise(version, position), patient=False)
        story = await story_of(wire)
        assert wire.closed
        assert story.messages == MESSAGES[: len(story.messages)]
        assert story.end[0] in ("tls", "http", 1006, 1000)
        if story.end[0] == 1000:
            assert story.end == (1000, "bye", "peer")
        whole += story.end[0] == 1000
    assert whole < length / 20

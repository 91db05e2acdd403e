"""Any boundaries of frames, TLS records and reads: the conversation is the same."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable

import trio
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.transport.limits import Limits
from tests.framing.cases import parts
from tests.support.frames import CLOSE, PING, PONG, TEXT, close, frame, frames_in, head
from tests.transport.ends import server_end
from tests.transport.scripted import END, TLS_1_2, TLS_1_3, WIRES, Charger, Story, Wire, converse, step


@frozen
class Said:
    """Frames, with the messages and the payloads of the pings in them."""

    data: bytes
    messages: tuple[bytes, ...] = ()
    pings: tuple[bytes, ...] = ()


PATIENT = Limits(messages_per_second=1e6, frames_per_second=1e6)

payloads = st.binary(max_size=30)
long_texts = st.sampled_from([125, 126, 16_384, 20_000]).map(lambda size: b"*" * size)
texts = st.one_of(st.text(max_size=40).map(str.encode), long_texts)
one_message = texts.map(lambda text: Said(frame(TEXT, text), messages=(text,)))
one_ping = payloads.map(lambda payload: Said(frame(PING, payload), pings=(payload,)))
one_pong = payloads.map(lambda payload: Said(frame(PONG, payload)))
in_fragments = st.builds(
    lambda pieces, ping: Said(
        parts(*pieces, between=frame(PING, ping)), messages=(b"".join(pieces),), pings=(ping,) * (len(pieces) - 1)
    ),
    st.lists(st.text(max_size=10).map(str.encode), min_size=2, max_size=4),
    payloads,
)
turns = st.lists(st.one_of(one_message, one_message, one_ping, one_pong, in_fragments), max_size=4)
sizes = st.lists(st.one_of(st.integers(1, 40), st.integers(1, 20_000)), min_size=1, max_size=10)


PIECES = 200
"""Into about as many at most is one turn cut, else a few long messages would take seconds."""


def cut_up(data: bytes, sizes: list[int]) -> list[bytes]:
    """These sizes by turns, or larger ones of what is long."""
    pieces: list[bytes] = []
    for size in itertools.cycle(sizes):
        if not data:
            return pieces
        size = max(size, len(data) // PIECES)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def cycling(charger: Charger, sizes: list[int]) -> Callable[[int], int]:
    """The same of what the charger says."""
    by_turns = itertools.cycle(sizes)
    return lambda position: max(next(by_turns), (len(charger.said) - position) // PIECES)


@given(
    st.lists(turns, max_size=3),
    sizes,
    sizes,
    st.sampled_from([TLS_1_2, TLS_1_3]),
    st.sampled_from(WIRES),
)
def test_any_chunking_of_a_conversation_gives_the_same_messages_and_answers(
    conversation: list[list[Said]], records: list[int], reads: list[int], version: ssl.TLSVersion, kind: type[Wire]
) -> None:
    """Turns of frames, each turn awaited by the next: cut into records, and those cut into reads."""
    script = [step(b"", head())]
    heard = b"\r\n\r\n"
    for number, turn in enumerate(conversation):
        mark = b"<turn %d>" % number
        data = b"".join(said.data for said in turn) + frame(TEXT, mark)
        script.append(step(heard, *cut_up(data, records)))
        heard = b"re:" + mark
    script += [step(heard, close(1000, b"done")), step(b"done", END)]
    charger = Charger(script, version)
    wire = kind(charger, cut=cycling(charger, reads))

    async def serve() -> Story:
        with trio.fail_after(3600):
            return await converse(server_end(wire, PATIENT))

    story = trio.run(serve, clock=MockClock(autojump_threshold=0))
    messages = []
    for number, turn in enumerate(conversation):
        messages += [message for said in turn for message in said.messages] + [b"<turn %d>" % number]
    assert story == Story(messages, (1000, "done", "peer"))
    answers = frames_in(bytes(charger.heard).partition(b"\r\n\r\n")[2])
    assert [payload for opcode, payload in answers if opcode == TEXT] == [b"re:" + message for message in messages]
    pings = [ping for turn in conversation for said in turn for ping in said.pings]
    assert [payload for opcode, payload in answers if opcode == PONG] == pings
    assert answers[-1] == (CLOSE, b"\x03\xe8done")
    assert len(answers) == len(messages) + len(pings) + 1
    assert charger.close_notified
    assert wire.closed

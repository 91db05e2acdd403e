"""Any boundaries of frames, TLS records and reads: the conversation is the same."""

from __future__ import annotations

from collections.abc import Callable

import trio
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from tests.framing.cases import parts
from tests.framing.wire import CLOSE, PING, PONG, TEXT, close, frame, frames_in, head
from tests.transport.ends import server_end
from tests.transport.scripted import END, TLS_1_2, TLS_1_3, WIRES, Charger, Story, Wire, converse, step


@frozen
class Said:
    """Frames, with the messages and the payloads of the pings in them."""

    data: bytes
    messages: tuple[bytes, ...] = ()
    pings: tuple[bytes, ...] = ()


payloads = st.binary(max_size=30)
texts = st.one_of(st.text(max_size=40).map(str.encode), st.integers(100, 40_000).map(lambda size: b"*" * size))
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


def cycling(sizes: list[int]) -> Callable[[int], int]:
    state = [0]

    def cut(_: int) -> int:
        state[0] += 1
        return sizes[state[0] % len(sizes)]

    return cut


def cut_up(data: bytes, sizes: list[int]) -> list[bytes]:
    cut, pieces = cycling(sizes), []
    while data:
        size = cut(0)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@given(
    st.lists(turns, max_size=3),
    sizes,
    sizes,
    st.sampled_from([TLS_1_2, TLS_1_3]),
    st.sampled_from(WIRES),
)
async def test_any_chunking_of_a_conversation_gives_the_same_messages_and_answers(
    conversation: list[list[Said]], records: list[int], reads: list[int], version: int, kind: type[Wire]
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
    wire = kind(Charger(script, version), cut=cycling(reads))
    with trio.fail_after(3600):
        story = await converse(server_end(wire))
    messages = []
    for number, turn in enumerate(conversation):
        messages += [message for said in turn for message in said.messages] + [b"<turn %d>" % number]
    assert story == Story(messages, (1000, "done", "peer"))
    answers = frames_in(bytes(wire.charger.heard).partition(b"\r\n\r\n")[2])
    assert [payload for opcode, payload in answers if opcode == TEXT] == [b"re:" + message for message in messages]
    pings = [ping for turn in conversation for said in turn for ping in said.pings]
    assert [payload for opcode, payload in answers if opcode == PONG] == pings
    assert answers[-1] == (CLOSE, b"\x03\xe8done")
    assert len(answers) == len(messages) + len(pings) + 1
    assert wire.charger.told
    assert wire.closed

"""TLS 1.3 key updates (RFC 8446 §4.6.3), sent by hand: no TLS library of Python's lets a client send one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.transport.api import ConnectionClosed
from gateway.transport.connection import Connection
from tests.framing.cases import parts
from tests.support.frames import CLOSE, TEXT, close, frame, frames_in, head
from tests.transport.ends import ping, serve_upgrade, server_end
from tests.transport.scripted import END, WIRES, Charger, Story, Words, at_once, by_the_byte, converse, step
from tests.transport.tls13 import HANDSHAKE, NOT_REQUESTED, REQUESTED, HandMade

CUTS = pytest.mark.parametrize("cut", [at_once, by_the_byte], ids=["at once", "by the byte"])


def updated(request: int = REQUESTED, times: int = 1, *, really: bool = True) -> Callable[[Charger], None]:
    def deed(charger: Charger) -> None:
        assert isinstance(charger, HandMade)
        for _ in range(times):
            charger.update_keys(request, really=really)

    return deed


def record(kind: int, content: bytes) -> Callable[[Charger], None]:
    def deed(charger: Charger) -> None:
        assert isinstance(charger, HandMade)
        charger.record(kind, content)

    return deed


async def played(*words: Words, cut: Callable[[int], int] = at_once, wire: int = 0) -> tuple[Story, HandMade]:
    """The charger says this after the upgrade, and closes when ``last`` has been answered."""
    charger = HandMade(
        [step(b"", head()), step(b"\r\n\r\n", *words), step(b"re:last", close(1000)), step(b"\x88", END)]
    )
    with trio.fail_after(60):
        story = await converse(server_end(WIRES[wire](charger, cut=cut, patient=False)))
    return story, charger


def answers(charger: Charger) -> list[bytes]:
    return [payload for opcode, payload in frames_in(bytes(charger.heard).partition(b"\r\n\r\n")[2]) if opcode == TEXT]


ONE, LAST = frame(TEXT, b"one"), frame(TEXT, b"last")
HALVES = frame(TEXT, b"one")[:4], frame(TEXT, b"one")[4:]

PLACES: dict[str, tuple[Words, ...]] = {
    "before the first message": (updated(), ONE, LAST),
    "between messages": (ONE, updated(), LAST),
    "between fragments": (
        parts(b"o", b"n", b"e")[:7],
        updated(),
        parts(b"o", b"n", b"e")[7:],
        LAST,
    ),
    "within a frame": (HALVES[0], updated(), HALVES[1], LAST),
    "twice": (updated(), ONE, updated(), LAST),
    "two in a row": (ONE, updated(), updated(), LAST),
}


@CUTS
@pytest.mark.parametrize("wire", range(len(WIRES)))
@pytest.mark.parametrize("place", PLACES)
async def test_keys_may_change_anywhere(
    place: str, wire: int, cut: Callable[[int], int], autojump_clock: MockClock
) -> None:
    """A request for new keys is answered with the gateway's, and the conversation goes on under both."""
    story, charger = await played(*PLACES[place], cut=cut, wire=wire)
    assert story == Story([b"one", b"last"], (1000, "", "peer"))
    assert answers(charger) == [b"re:one", b"re:last"]
    assert 1 <= charger.updates <= 2
    assert charger.close_notified


async def test_an_update_that_asks_for_none_is_followed_by_none(autojump_clock: MockClock) -> None:
    """Only the charger's keys change."""
    story, charger = await played(updated(NOT_REQUESTED), ONE, updated(NOT_REQUESTED, 3), LAST)
    assert story == Story([b"one", b"last"], (1000, "", "peer"))
    assert charger.updates == 0


@pytest.mark.parametrize("first", [ping, lambda each: each.send(b"x"), lambda each: each.aclose()])
async def test_our_next_record_of_any_kind_comes_after_our_own_update(
    first: Callable[[Connection], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """Also where no message is answered: a ping, a message, a close (RFC 8446 §4.6.3: before the next data)."""
    charger = HandMade([step(b"", head()), step(b"\r\n\r\n", updated())])
    connection = server_end(WIRES[1](charger))
    await serve_upgrade(connection)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ended, connection)
        await trio.testing.wait_all_tasks_blocked()
        await first(connection)
        assert charger.updates == 1
        assert len(frames_in(bytes(charger.heard).partition(b"\r\n\r\n")[2])) == 1
        await connection.aclose()


async def ended(connection: Connection) -> None:
    with pytest.raises(ConnectionClosed):
        await connection.receive()


async def test_a_thousand_updates_are_followed(autojump_clock: MockClock) -> None:
    """In few reads and without a message; what is answered is bounded by what is read."""
    story, charger = await played(updated(times=1000), ONE, updated(NOT_REQUESTED, 1000), LAST)
    assert story == Story([b"one", b"last"], (1000, "", "peer"))
    assert 1 <= charger.updates <= 1000


BROKEN: dict[str, Callable[[Charger], None]] = {
    "keys that did not change": updated(really=False),
    "a request that is none": updated(2),
    "an update of two bytes": record(HANDSHAKE, b"\x18\x00\x00\x02\x00\x00"),
    "a second Finished": record(HANDSHAKE, b"\x14\x00\x00\x20" + bytes(32)),
    "a second ClientHello": record(HANDSHAKE, b"\x01\x00\x00\x26" + bytes(38)),
    "a record of no kind": record(99, b"x"),
    "an empty handshake record": record(HANDSHAKE, b""),
}


@CUTS
@pytest.mark.parametrize("name", BROKEN)
async def test_tls_broken_in_mid_session_is_the_end_and_nothing_behind_it_counts(
    name: str, cut: Callable[[int], int], autojump_clock: MockClock
) -> None:
    """Messages before it are served, the peer gets TLS's alert, and the reason is reported."""
    story, charger = await played(ONE, BROKEN[name], LAST, cut=cut)
    assert story.messages in ([b"one"], [])
    code, reason, initiator = story.end
    assert (code, initiator) == (1006, "network")
    assert str(reason).startswith("TLS: ")
    assert [alert[:1] for alert in charger.alerts] == [b"\x02"]


async def test_a_close_under_new_keys_is_echoed_under_the_own(autojump_clock: MockClock) -> None:
    """The update and the Close in one read."""
    story, charger = await played(updated(), close(4000, b"x"))
    assert story.end == (4000, "x", "peer")
    assert frames_in(bytes(charger.heard).partition(b"\r\n\r\n")[2]) == [(CLOSE, b"\x0f\xa0x")]
    assert charger.updates == 1
    assert charger.close_notified

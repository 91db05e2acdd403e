"""Places for handshakes: which peers get one, and which have to go; on a clock that jumps."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from attrs import define, field
from trio.testing import MockClock

from gateway.transport.addresses import Addresses
from gateway.transport.handshake_places import MAX_WAITING, HandshakePlaces, Visitor
from gateway.transport.limits import Limits
from gateway.transport.token_bucket import TokenBucket

CHARGERS = 2000

STRANGER, CHARGER, ELSEWHERE = "192.0.2.1", "198.51.100.1", "203.0.113.1"


@define
class Handshake:
    """One that waits for its peer from the beginning on, or never."""

    begun: float = field(factory=trio.current_time)
    awaits_peer: bool = True

    @property
    def waited(self) -> float:
        return trio.current_time() - self.begun if self.awaits_peer else 0.0


class Crowd:
    """Connections that arrive, say something, get a place and keep it until they are let go."""

    def __init__(self, places: HandshakePlaces, addresses: Addresses, nursery: trio.Nursery) -> None:
        self.places, self.addresses, self.nursery = places, addresses, nursery
        self.placed: list[str] = []
        self.gone: list[str] = []
        self.stay: dict[str, trio.Event] = {}

    async def arrive(self, address: str, *names: str, silent: bool = False, awaits_peer: bool = True) -> None:
        for name in names:
            self.nursery.start_soon(self._visit, self.places.arrive(address), name, silent, awaits_peer)
            await trio.testing.wait_all_tasks_blocked()  # one by one: Trio starts tasks in any order

    async def _visit(self, visitor: Visitor, name: str, silent: bool, awaits_peer: bool) -> None:
        over = self.stay[name] = trio.Event()
        try:
            with visitor.scope:
                if silent:
                    await trio.sleep_forever()
                await self.places.place(visitor)
                self.placed.append(name)
                visitor.progress = Handshake(awaits_peer=awaits_peer)
                await over.wait()
        finally:
            self.places.leave(visitor)
        if visitor.crowded_out:
            self.gone.append(name)

    async def leave(self, *names: str) -> None:
        for name in names:
            self.stay[name].set()
            await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def crowd(
    places: int = 20,
    *,
    may_wait: int = MAX_WAITING,
    shared: tuple[str, ...] = (),
    known: tuple[str, ...] = (),
    may_begin: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Crowd]:
    addresses = Addresses(shared)
    for address in known:
        addresses.proved(address)
    limits = Limits(max_concurrent_handshakes=places, crowded_handshake_seconds=4)
    made = HandshakePlaces(limits, addresses, lambda: may_wait, may_begin)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        yield Crowd(made, addresses, nursery)
        nursery.cancel_scope.cancel()
    assert len(made) == made.waiting == 0


def names(what: str, count: int) -> list[str]:
    return [f"{what} {n}" for n in range(count)]


async def test_silent_connections_hold_no_place(autojump_clock: MockClock) -> None:
    """1,200 from one address: the next charger, also from there, has its place at once."""
    async with crowd(200) as visitors:
        await visitors.arrive(STRANGER, *names("silent", 1200), silent=True)
        assert len(visitors.places) == 0
        await visitors.arrive(STRANGER, "charger")
        assert visitors.placed == ["charger"]
        assert trio.current_time() == 0


async def test_one_that_comes_from_elsewhere_finds_a_place_at_once(autojump_clock: MockClock) -> None:
    """However many from one address say something and stall; they get three quarters, and no peer is put out."""
    async with crowd(20) as visitors:
        await visitors.arrive(STRANGER, *names("stall", 500))
        assert len(visitors.places) == 15
        await visitors.arrive(ELSEWHERE, "charger")
        assert visitors.placed[-1] == "charger"
        assert visitors.gone == []
        assert trio.current_time() == 0


async def test_a_few_addresses_that_stall_together_make_room_for_another_after_a_second(
    autojump_clock: MockClock,
) -> None:
    """One of the largest crowd goes, and only for those that have no place at all."""
    async with crowd(20) as visitors:
        for n in range(6):
            await visitors.arrive(f"192.0.2.{n}", *[f"crowd {n}: {each}" for each in range(50)])
        assert len(visitors.places) == 20
        assert visitors.placed.count("crowd 3: 0") == 0
        await trio.sleep(0.5)
        assert visitors.gone == []
        await visitors.arrive(ELSEWHERE, "charger")
        await trio.sleep(1)
        assert "charger" in visitors.placed
        assert {name.partition(":")[0] for name in visitors.gone} == {"crowd 0"}
        assert len(visitors.gone) <= 6  # as many as there were addresses that had none, or hardly any


async def test_those_who_hold_up_their_own_handshake_make_room(autojump_clock: MockClock) -> None:
    """While others want a place; one that waits for us stays, and so do all while no other peer wants one."""
    async with crowd(20) as visitors:
        await visitors.arrive(STRANGER, *names("stall", 10))
        await visitors.arrive(STRANGER, *names("ours", 5), awaits_peer=False)
        await trio.sleep(100)
        assert visitors.gone == []
        await visitors.arrive(STRANGER, *names("next", 3))
        await trio.sleep(1)
        assert len(visitors.gone) == 3
        assert set(visitors.gone) < set(names("stall", 10))
        assert set(visitors.placed[-3:]) == set(names("next", 3))
        await visitors.arrive(STRANGER, *names("more", 30))
        await trio.sleep(4.5)
        assert set(names("stall", 10)) <= set(visitors.gone)
        assert not set(visitors.gone) & set(names("ours", 5))


async def test_addresses_that_chargers_have_come_from_are_served_first(autojump_clock: MockClock) -> None:
    """Of four places three go to them, as long as they want some; strangers are not shut out."""
    known = tuple(f"198.51.100.{n}" for n in range(10))
    async with crowd(20, known=known) as visitors:
        for n in range(50):
            await visitors.arrive(f"192.0.3.{n}", f"stall {n}")
        assert len(visitors.placed) == 20
        for address in known:
            await visitors.arrive(address, f"charger at {address}")
        await visitors.leave(*visitors.placed[:8])
        served = visitors.placed[20:]
        assert len(served) == 8
        assert sum(name.startswith("charger") for name in served) == 6


async def test_two_thousand_chargers_from_one_address_are_all_served_while_a_stranger_there_stalls(
    autojump_clock: MockClock,
) -> None:
    """Chargers need a second of round trips each, and none of them is put out; the stranger comes back each time."""
    async with crowd(200) as visitors:

        async def charger(name: str) -> None:
            await visitors.arrive(CHARGER, name)
            while name not in visitors.placed:  # noqa: ASYNC110 - jumps in time
                await trio.sleep(1)
            await trio.sleep(1)
            visitors.addresses.proved(CHARGER)
            visitors.stay[name].set()

        async def stall(name: str) -> None:
            for n in itertools.count():
                await visitors.arrive(CHARGER, f"{name}, {n}")
                while f"{name}, {n}" not in visitors.gone:  # noqa: ASYNC110 - jumps in time
                    await trio.sleep(1)

        async with trio.open_nursery() as strangers:
            for name in names("stall", 300):
                strangers.start_soon(stall, name)
            await trio.sleep(10)
            async with trio.open_nursery() as chargers:
                for name in names("charger", CHARGERS):
                    chargers.start_soon(charger, name)
            strangers.cancel_scope.cancel()
        assert sum(name.startswith("charger") for name in visitors.placed) == CHARGERS
        assert not any(name.startswith("charger") for name in visitors.gone)
        assert len(visitors.gone) > 300


async def test_an_address_that_becomes_known_is_still_one_queue(autojump_clock: MockClock) -> None:
    """Those who come later, a stranger's connections among them, are not served before those who wait."""
    async with crowd(4) as visitors:
        await visitors.arrive(CHARGER, *names("first", 3), *names("charger", 5))
        visitors.addresses.proved(CHARGER)
        await visitors.arrive(CHARGER, *names("stall", 5))
        await visitors.leave(*names("first", 3), *names("charger", 5))
        assert visitors.placed == [*names("first", 3), *names("charger", 5), *names("stall", 3)]


async def test_shared_addresses_are_not_counted(autojump_clock: MockClock) -> None:
    """A balancer's connections may take all places, each for itself."""
    async with crowd(20, shared=("192.0.2.0/24",)) as visitors:
        await visitors.arrive(STRANGER, *names("charger", 30))
        assert len(visitors.places) == 20
        await visitors.leave(*names("charger", 10))
        assert visitors.placed == names("charger", 30)


async def test_what_waits_is_bounded_and_the_crowds_oldest_silent_one_goes() -> None:
    """Silent ones from one address push out each other, and none from elsewhere."""
    async with crowd(20, may_wait=50) as visitors:
        await visitors.arrive(ELSEWHERE, *names("other", 5), silent=True)
        for n in range(200):
            await visitors.arrive(STRANGER, f"silent {n}", silent=True)
            assert visitors.places.waiting <= 50
        assert visitors.gone == names("silent", 155)


async def test_a_crowd_that_says_something_goes_from_its_newest() -> None:
    """Those that wait longest for a place keep their turn; one from elsewhere is kept."""
    async with crowd(4, may_wait=50) as visitors:
        await visitors.arrive(STRANGER, *names("stall", 53))
        assert (len(visitors.places), visitors.places.waiting, visitors.gone) == (3, 50, [])
        await visitors.arrive(ELSEWHERE, "one from elsewhere")
        assert visitors.placed[-1] == "one from elsewhere"
        assert visitors.gone == ["stall 52"]


async def test_who_is_given_a_place_and_goes_in_the_same_moment_gives_it_back() -> None:
    """In any order of the two."""
    async with crowd(4) as visitors:
        await visitors.arrive(STRANGER, *names("a", 3))
        waiting = visitors.places.arrive(STRANGER)

        async def visit() -> None:
            try:
                with waiting.scope:
                    await visitors.places.place(waiting)
                    await trio.lowlevel.checkpoint()
            finally:
                visitors.places.leave(waiting)

        visitors.nursery.start_soon(visit)
        await trio.testing.wait_all_tasks_blocked()
        visitors.stay["a 0"].set()
        waiting.crowd_out()
        await trio.testing.wait_all_tasks_blocked()
        assert len(visitors.places) == 2
        await visitors.arrive(STRANGER, "next")
        assert visitors.placed[-1] == "next"
        visitors.places.leave(waiting)
        assert len(visitors.places) == 3


@pytest.mark.parametrize("limit", [0, 1])
async def test_with_no_room_to_wait_no_connection_waits(limit: int) -> None:
    """A gateway that has no descriptor left drops what it can't hold, and goes on."""
    async with crowd(4, may_wait=limit) as visitors:
        await visitors.arrive(STRANGER, *names("silent", 5), silent=True)
        assert visitors.places.waiting == limit
        assert len(visitors.gone) == 5 - limit


async def test_under_load_handshakes_begin_at_the_pace_and_none_is_refused(autojump_clock: MockClock) -> None:
    """A storm of three times what is let in: counted, those of the pace and no more, and then all the rest."""
    bucket = TokenBucket(10.0, 1)
    async with crowd(200, may_begin=lambda: bucket.allows(trio.current_time())) as visitors:
        for number in range(60):
            await visitors.arrive(f"198.51.{number}.1", f"charger {number}")
        counts = [len(visitors.placed)]
        for _ in range(7):
            await trio.sleep(1)
            counts.append(len(visitors.placed))
        assert counts[0] <= 2
        assert all(5 <= later - earlier <= 11 for earlier, later in itertools.pairwise(counts[:5]))
        await trio.sleep(10)
        assert len(visitors.placed) == 60
        assert visitors.gone == []

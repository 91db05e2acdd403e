"""The one timer that watches over all sessions."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from gateway.session.keepalive import AFTER_FAILURE, MAX_LEFT, TimerQueue


@asynccontextmanager
async def watching() -> AsyncIterator[TimerQueue]:
    watch = TimerQueue()
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.run)
        yield watch
        nursery.cancel_scope.cancel()


class Seen:
    """Looks that note when they were made, and ask for the next one after so many seconds."""

    def __init__(self, every: float = math.inf) -> None:
        self.at: list[float] = []
        self._every = every

    def __call__(self) -> float:
        self.at.append(trio.current_time())
        return trio.current_time() + self._every


async def test_each_is_looked_at_when_it_asked_for_it(autojump_clock: MockClock) -> None:
    """Whatever the order of adding, and again for as long as it asks."""
    async with watching() as watch:
        late, early, often = Seen(), Seen(), Seen(every=4)
        for look, at in ((late, 10.0), (early, 5.0), (often, 1.0)):
            watch.add(look, at)
        await trio.sleep(12)
        assert (late.at, early.at, often.at) == ([10.0], [5.0], [1.0, 5.0, 9.0])


async def test_who_is_due_before_all_others_is_not_kept_waiting(autojump_clock: MockClock) -> None:
    """It is added while the timer sleeps until another's time."""
    async with watching() as watch:
        watch.add(Seen(), 100.0)
        await trio.sleep(1)
        soon = Seen()
        watch.add(soon, 2.0)
        await trio.sleep(2)
        assert soon.at == [2.0]


async def test_what_was_removed_is_not_looked_at(autojump_clock: MockClock) -> None:
    """Also if it is removed by its neighbour's look at the same time."""
    async with watching() as watch:
        gone = Seen()
        place = watch.add(gone, 2.0)

        def remove() -> float:
            watch.remove(place)
            return math.inf

        watch.add(remove, 1.0)
        await trio.sleep(3)
        assert not gone.at
        assert len(watch) == 1


async def test_who_comes_and_goes_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    """A storm of reconnects makes many places whose time is minutes away."""
    async with watching() as watch:
        staying = Seen()
        watch.add(staying, 1000.0)
        for _ in range(5 * MAX_LEFT):
            watch.remove(watch.add(Seen(), 500.0))
        assert len(watch) == 1
        assert len(watch._queue) <= MAX_LEFT + 2
        await trio.sleep(1001)
        assert staying.at == [1000.0]


async def test_those_that_stay_keep_their_order_when_many_go(autojump_clock: MockClock) -> None:
    """Whichever go: the places of those that stay have moved."""
    async with watching() as watch:
        seen: list[int] = []

        def noted(number: int) -> Callable[[], float]:
            def look() -> float:
                seen.append(number)
                return math.inf

            return look

        order = random.Random(1).sample(range(3 * MAX_LEFT), 3 * MAX_LEFT)
        places = {number: watch.add(noted(number), 1.0 + number) for number in order}
        gone = random.Random(2).sample(order, 2 * MAX_LEFT)
        for number in gone:
            watch.remove(places[number])
        await trio.sleep(3 * MAX_LEFT + 2)
        assert seen == sorted(set(order) - set(gone))


async def test_thousands_due_at_once_let_others_run(autojump_clock: MockClock) -> None:
    """A gateway that was paused finds them all due."""
    async with watching() as watch:
        looks = [Seen() for _ in range(3000)]
        for look in looks:
            watch.add(look, 1.0)
        await trio.sleep(2)
        assert all(look.at == [1.0] for look in looks)


async def test_a_look_that_fails_harms_no_other_and_is_made_again(autojump_clock: MockClock) -> None:
    """One session's bug leaves every other session's silence watched, and its own."""
    async with watching() as watch:
        tried: list[float] = []

        def fails() -> float:
            tried.append(trio.current_time())
            raise KeyError("a bug")

        watch.add(fails, 1.0)
        often = Seen(every=10)
        watch.add(often, 1.0)
        await trio.sleep(3 * AFTER_FAILURE)
        assert tried == [1.0, 1.0 + AFTER_FAILURE, 1.0 + 2 * AFTER_FAILURE]
        assert len(often.at) == 18

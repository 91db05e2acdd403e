"""Subscribers at the same place are given the same batch, so that what is made of it is made once."""

import gc
import random
from typing import Any

import trio
from trio.testing import MockClock

from gateway.feed import BEGINNING, Batch, Feed
from gateway.store.api import EventFilter
from tests.feed.test_feed import running
from tests.store.builders import ALL

OF_A = EventFilter(frozenset({"A"}))


async def follow(feed: Feed, where: EventFilter, batches: list[Batch], pause: float = 0.0, **options: Any) -> None:
    """Append every batch with events to ``batches``, pausing after each."""
    async with feed.subscribe(where, BEGINNING, **options) as subscription:
        while True:
            batch = await subscription.next()
            if batch.events:
                batches.append(batch)
            await trio.sleep(pause)


def sequences(batches: list[Batch]) -> list[int]:
    return [each.sequence for batch in batches for each in batch.events]


async def test_those_who_keep_up_are_given_one_batch(autojump_clock: MockClock) -> None:
    """The very same object, whatever they began with; one with another filter or bound has its own."""
    async with running() as each, trio.open_nursery() as nursery:
        each.add(3, "A")
        given: list[list[Batch]] = [[], [], []]
        other: list[Batch] = []
        smaller: list[Batch] = []
        for batches in given:
            nursery.start_soon(follow, each.feed, ALL, batches)
        nursery.start_soon(follow, each.feed, OF_A, other)
        nursery.start_soon(lambda: follow(each.feed, ALL, smaller, max_events=2))
        await trio.sleep(0.1)
        for name in "AABAB":
            each.add(5, name)
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert sequences(given[0]) == list(range(1, 29))
    for batches in given[1:]:
        assert [id(batch) for batch in batches[1:]] == [id(batch) for batch in given[0][1:]]
    assert sequences(other) == [*range(1, 14), *range(19, 24)]
    assert sequences(smaller) == list(range(1, 29))
    assert not {id(batch) for batch in given[0]} & {id(batch) for batch in (*other, *smaller)}


async def test_a_slow_one_has_its_own_batches_and_shares_again_when_it_has_caught_up(autojump_clock: MockClock) -> None:
    """No other waits for it, and it misses nothing."""
    async with running() as each, trio.open_nursery() as nursery:
        quick: list[Batch] = []
        slow: list[Batch] = []
        nursery.start_soon(follow, each.feed, ALL, quick)
        nursery.start_soon(lambda: follow(each.feed, ALL, slow, pause=1.0))
        await trio.sleep(0.1)
        for _ in range(50):
            each.add(4)
            await trio.sleep(0.05)
        assert sequences(quick) == list(range(1, 201))
        assert len(slow) < 5
        await trio.sleep(5)
        assert sequences(slow) == list(range(1, 201))
        each.add(7)
        await trio.sleep(2)
        assert slow[-1] is quick[-1]
        nursery.cancel_scope.cancel()


async def test_a_batch_is_kept_only_by_its_readers(autojump_clock: MockClock) -> None:
    """The feed holds none, however many there were."""
    async with running(ring_events=20) as each, trio.open_nursery() as nursery:
        for where in (ALL, OF_A):
            nursery.start_soon(follow, each.feed, where, _Forgetful())
        for _ in range(100):
            each.add(10, random.choice("AB"))
            await trio.sleep(0.05)
        gc.collect()
        assert len(each.feed._given) <= 4
        nursery.cancel_scope.cancel()


class _Forgetful(list[Batch]):
    def append(self, batch: Batch) -> None:
        pass


async def test_a_watcher_that_comes_goes_and_lags_sees_every_event_once(autojump_clock: MockClock) -> None:
    """Subscribers with few filters at changing paces, resumed wherever they were cut off, in the middle of others'
    batches too: no gap and no repetition for any of them."""
    randomness = random.Random(5)
    filters = [ALL, OF_A, EventFilter(frozenset({"A", "C"})), EventFilter(types=frozenset({"x"}))]
    async with running(ring_events=60) as each:
        each.history.seconds = 0.002
        found: list[list[int]] = [[] for _ in range(12)]
        done = trio.Event()

        async def commit() -> None:
            for _ in range(400):
                each.add(randomness.randrange(1, 6), randomness.choice("ABC"), randomness.choice("xy"))
                await trio.sleep(randomness.random() / 50)
            done.set()

        async def watch(n: int) -> None:
            where, position = filters[n % len(filters)], 0
            while position < each.history.head or not done.is_set():
                limit = randomness.choice([3, 100])
                async with each.feed.subscribe(where, position, idle=0.2, max_events=limit) as subscription:
                    with trio.move_on_after(randomness.random() / 5):
                        while True:
                            batch = await subscription.next()
                            found[n] += [e.sequence for e in batch.events]
                            if randomness.random() < 0.2:
                                await trio.sleep(randomness.random() / 10)
                    position = subscription.position

        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit)
            for n in range(12):
                nursery.start_soon(watch, n)
    for n, seen in enumerate(found):
        where = filters[n % len(filters)]
        assert seen == [
            e.sequence
            for e in each.history.stored
            if (not where.charge_points or e.charge_point in where.charge_points)
            and (not where.types or e.type in where.types)
        ]

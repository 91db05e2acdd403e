"""Subscriptions: from anywhere to the head and along with it; every event once, in order, at any pace."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.events import StoredEvent
from gateway.errors import StoreUnavailable
from gateway.feed import BEGINNING, Batch, BelowFloor, BeyondHead, Feed, Subscription
from gateway.feed.ring import weight
from gateway.journal import Journal
from gateway.store.api import EventFilter
from gateway.store.commits import Append, Trim
from gateway.store.sqlite import SqliteStore
from tests.feed.fakes import FakeHistory, Running
from tests.journal.conftest import running as running_journal
from tests.store.builders import ALL, create, event, meter


@asynccontextmanager
async def running(history: FakeHistory | None = None, **options: Any) -> AsyncIterator[Running]:
    each = Running(history or FakeHistory(), **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(each.feed.run)
        yield each
        nursery.cancel_scope.cancel()


async def take(subscription: Subscription, count: int) -> list[int]:
    """The sequences of the next ``count`` events."""
    found: list[int] = []
    while len(found) < count:
        batch = await subscription.next()
        assert batch.position == subscription.position
        found += [e.sequence for e in batch.events]
    return found


async def test_a_subscriber_from_now_sees_what_comes(autojump_clock: MockClock) -> None:
    """And nothing of what was there before."""
    async with running() as each:
        each.add(5)
        async with each.feed.subscribe(ALL, None) as subscription:
            each.add(3)
            assert await take(subscription, 3) == [6, 7, 8]
            each.add()
            assert await take(subscription, 1) == [9]


async def test_a_subscriber_from_the_beginning_sees_everything(autojump_clock: MockClock) -> None:
    """First from disk, then along with the head, without a gap or a repetition between."""
    async with running(ring_events=10) as each:
        each.add(2_500)
        async with each.feed.subscribe(ALL, BEGINNING) as subscription:
            assert await take(subscription, 1_000) == list(range(1, 1_001))
            each.add(100)
            assert await take(subscription, 1_600) == list(range(1_001, 2_601))
            each.add(2)
            assert await take(subscription, 2) == [2_601, 2_602]


async def test_a_position_resumes_behind_it(autojump_clock: MockClock) -> None:
    """After each batch its position is where another subscription goes on."""
    async with running() as each:
        each.add(30)
        position, found = 4, []
        while position < 30:
            async with each.feed.subscribe(ALL, position, max_events=7) as subscription:
                batch = await subscription.next()
                found += [e.sequence for e in batch.events]
                position = batch.position
        assert found == list(range(5, 31))


async def test_the_newest_events_are_read_once_for_all(autojump_clock: MockClock) -> None:
    """Ten watchers at the head cost one read per wake-up."""
    async with running() as each:
        found = {}

        async def watch(n: int) -> None:
            async with each.feed.subscribe(ALL, None) as subscription:
                found[n] = await take(subscription, 50)

        async with trio.open_nursery() as nursery:
            for n in range(10):
                nursery.start_soon(watch, n)
            await trio.sleep(1)
            for _ in range(50):
                each.add()
                await trio.sleep(0.1)
        assert all(found[n] == list(range(1, 51)) for n in range(10))
        assert each.history.reads <= 50


async def test_under_load_the_head_is_read_in_batches(autojump_clock: MockClock) -> None:
    """A thousand commits in a second are far fewer reads and batches."""
    async with running() as each, each.feed.subscribe(ALL, None) as subscription:

        async def commit() -> None:
            for _ in range(1_000):
                each.add()
                await trio.sleep(0.001)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit)
            assert await take(subscription, 1_000) == list(range(1, 1_001))
        assert each.history.reads < 250


async def test_no_watcher_costs_no_reads(autojump_clock: MockClock) -> None:
    """And the first one to come starts at the head all the same."""
    async with running() as each:
        each.add(100)
        await trio.sleep(1)
        assert each.history.reads == 0
        async with each.feed.subscribe(ALL, None) as subscription:
            each.add()
            assert await take(subscription, 1) == [101]
        each.add(100)
        await trio.sleep(1)
        async with each.feed.subscribe(ALL, 150) as subscription:
            assert await take(subscription, 51) == list(range(151, 202))


async def test_a_filter_is_the_same_from_disk_and_from_memory(autojump_clock: MockClock) -> None:
    """Charge points and types, both together; the position moves over what is left out."""
    where = EventFilter(frozenset({"A", "B"}), frozenset({"x"}))
    async with running(ring_events=20) as each:
        expected = []

        def commit(count: int) -> None:
            for _ in range(count):
                charge_point, type_ = random.choice("ABC"), random.choice("xy")
                each.add(1, charge_point, type_)
                if charge_point in "AB" and type_ == "x":
                    expected.append(each.history.head)

        commit(300)
        async with each.feed.subscribe(where, BEGINNING, idle=1) as subscription:
            found: list[int] = []
            for _ in range(20):
                found += [e.sequence for e in (await subscription.next()).events]
                commit(5)
                await trio.sleep(0.02)
            while (batch := await subscription.next()).events:
                found += [e.sequence for e in batch.events]
            assert found == expected
            assert batch == Batch((), each.history.head)


async def test_an_idle_subscriber_gets_its_progress(autojump_clock: MockClock) -> None:
    """After the idle time, also while events pass that its filter leaves out."""
    async with running() as each, each.feed.subscribe(EventFilter(frozenset({"A"})), None, idle=15) as subscription:
        begin = trio.current_time()
        assert await subscription.next() == Batch((), 0)
        assert trio.current_time() - begin == pytest.approx(15, abs=0.1)

        async def commit() -> None:
            while True:
                each.add(1, "B")
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit)
            batch = await subscription.next()
            assert batch.events == ()
            assert 14 <= batch.position <= 17
            assert trio.current_time() - begin == pytest.approx(30, abs=1.1)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("ring_events", [20, 4_000])
async def test_the_end_of_the_past_is_said_at_once(autojump_clock: MockClock, ring_events: int) -> None:
    """By a batch without events where the filter lets nothing through, also long after something passed; once."""
    where = EventFilter(types=frozenset({"x"}))
    async with running(ring_events=ring_events) as each:
        each.add(type_="x")
        each.add(3_000, type_="y")
        begin = trio.current_time()
        async with each.feed.subscribe(where, BEGINNING, idle=15) as subscription:
            assert (await subscription.next()).position < 3_001
            assert await subscription.next() == Batch((), 3_001)
            assert trio.current_time() - begin < 1
            await subscription.next()
            assert trio.current_time() - begin > 14
        begin = trio.current_time()
        async with each.feed.subscribe(where, 2_000, idle=15) as subscription:
            assert await subscription.next() == Batch((), 3_001)
        assert trio.current_time() - begin < 1


async def test_batches_are_bounded_by_count_and_bytes(autojump_clock: MockClock) -> None:
    """From disk and from memory; an event larger than the bound comes alone."""
    settings: tuple[dict[str, Any], ...] = ({}, {"ring_events": 1})
    for options in settings:
        async with running(**options) as each, each.feed.subscribe(ALL, 0, max_events=4) as subscription:
            each.add(10)
            batch = await subscription.next()
            assert [e.sequence for e in batch.events] == [1, 2, 3, 4]
            assert batch.position == 4
            assert await take(subscription, 6) == [5, 6, 7, 8, 9, 10]
        async with running(**options) as each, each.feed.subscribe(ALL, 0, max_bytes=1_500) as subscription:
            for size in (100, 100, 9_000, 100, 1_000, 100):
                each.add(size=size)
            batches: list[tuple[StoredEvent, ...]] = []
            while sum(len(each) for each in batches) < 6:
                batches.append((await subscription.next()).events)
            assert [[e.sequence for e in batch] for batch in batches] == [[1, 2], [3], [4], [5], [6]]
            assert all(len(batch) == 1 or sum(map(weight, batch)) <= 1_500 for batch in batches)


async def test_memory_stays_bounded_whatever_a_subscriber_does(autojump_clock: MockClock) -> None:
    """One that stops reading holds nothing; it finds everything on disk when it goes on, and the others never wait."""
    async with (
        running(ring_events=50, ring_bytes=20_000) as each,
        each.feed.subscribe(ALL, None) as stopped,
        each.feed.subscribe(ALL, None) as reading,
    ):
        for _ in range(100):
            each.add(10)
            await take(reading, 10)
        assert len(each.feed._ring._events) <= 50
        assert sum(map(weight, each.feed._ring._events)) <= 20_000
        assert await take(stopped, 1_000) == list(range(1, 1_001))


async def test_a_subscriber_that_retention_overtakes_gets_an_error(autojump_clock: MockClock) -> None:
    """With the floor, as soon as something it has not seen is gone."""
    async with running(ring_events=5) as each:
        each.add(100)
        async with each.feed.subscribe(ALL, 10, max_events=10) as subscription:
            assert await take(subscription, 10) == list(range(11, 21))
            each.history.trim(20)
            assert await take(subscription, 10) == list(range(21, 31))
            each.history.trim(60)
            with pytest.raises(BelowFloor) as raised:
                await subscription.next()
            assert raised.value.floor == 60


async def test_a_subscription_below_the_floor_is_refused(autojump_clock: MockClock) -> None:
    """At the floor it is fine: everything after it is there."""
    history = FakeHistory()
    history.add(100)
    history.trim(40)
    async with running(history) as each:
        for position in (0, 39):
            with pytest.raises(BelowFloor, match="up to 40"):
                async with each.feed.subscribe(ALL, position):
                    pass
        async with each.feed.subscribe(ALL, 40) as subscription:
            assert await take(subscription, 60) == list(range(41, 101))


async def test_the_beginning_is_wherever_it_is_when_the_first_events_are_read(autojump_clock: MockClock) -> None:
    """Retention that runs meanwhile is no error for one who asked for what is there."""
    async with running() as each:
        each.add(100)
        async with each.feed.subscribe(ALL, BEGINNING) as subscription:
            each.history.trim(40)
            assert await take(subscription, 60) == list(range(41, 101))


async def test_a_position_beyond_the_head_is_refused(autojump_clock: MockClock) -> None:
    """A store restored from a backup would otherwise keep its next events from that watcher."""
    async with running() as each:
        each.add(10)
        with pytest.raises(BeyondHead):
            async with each.feed.subscribe(ALL, 11):
                pass
        async with each.feed.subscribe(ALL, 10):
            pass


async def test_reads_that_fail_are_the_readers_matter(autojump_clock: MockClock) -> None:
    """On disk the subscriber hears of it and may go on afterwards; at the head it waits until it works again."""
    async with running(ring_events=5) as each:
        each.add(100)
        async with each.feed.subscribe(ALL, 10) as behind, each.feed.subscribe(ALL, None) as ahead:
            each.history.broken = True
            with pytest.raises(StoreUnavailable):
                await behind.next()
            each.add(3)
            with trio.move_on_after(3) as scope:
                await ahead.next()
            assert scope.cancelled_caught
            each.history.broken = False
            assert await take(ahead, 3) == [101, 102, 103]
            assert await take(behind, 93) == list(range(11, 104))


async def test_cancelling_next_skips_nothing(autojump_clock: MockClock) -> None:
    """Whenever it is cancelled, the next call goes on where the last batch ended."""
    async with running(ring_events=20) as each:
        each.history.seconds = 0.01
        found: list[int] = []

        async def commit() -> None:
            for _ in range(300):
                each.add(random.randrange(1, 4))
                await trio.sleep(random.random() / 50)

        async with each.feed.subscribe(ALL, BEGINNING) as subscription, trio.open_nursery() as nursery:
            nursery.start_soon(commit)
            while len(found) < 300:
                with trio.move_on_after(random.random() / 30):
                    found += [e.sequence for e in (await subscription.next()).events]
            nursery.cancel_scope.cancel()
        assert found == list(range(1, len(found) + 1))


async def test_subscriptions_that_come_and_go_keep_the_ring_in_order(autojump_clock: MockClock) -> None:
    """The last one leaving during a read at the head, and a new one coming, leaves no gap and no repetition."""
    async with running(ring_events=8) as each:
        each.history.seconds = 0.01

        async def commit() -> None:
            while True:
                each.add(random.randrange(1, 4))
                await trio.sleep(random.random() / 60)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit)
            await trio.sleep(0.5)
            for _ in range(50):
                async with each.feed.subscribe(ALL, None, max_events=5) as subscription:
                    begin = subscription.position
                    found = await take(subscription, random.randrange(1, 20))
                assert found == list(range(begin + 1, begin + 1 + len(found)))
                await trio.sleep(random.random() / 30)
            nursery.cancel_scope.cancel()


async def test_ten_watchers_of_a_real_store_see_a_thousand_events(tmp_path: Path) -> None:
    """Real threads and files: each watcher has every event once and in order, one that sleeps finds them later."""
    store = SqliteStore(tmp_path / "gateway.db")
    names = [f"CP{n}" for n in range(50)]
    for name in names:
        create(store, name)
    found = {}

    async with running_journal(Journal(store)) as journal, trio.open_nursery() as nursery:
        feed = Feed(store, journal.read, ring_events=100)
        journal.on_commit.append(feed.notify)
        await nursery.start(feed.run)
        watching = trio.Event()

        async def watch(n: int) -> None:
            async with feed.subscribe(ALL, 50) as subscription:
                if n == 0:
                    await watching.wait()
                found[n] = await take(subscription, 1_000)

        async def session(name: str) -> None:
            for n in range(20):
                await journal.commit(Append(name, None, (event(meter(None, str(n))),)))

        async with trio.open_nursery() as watchers:
            for n in range(10):
                watchers.start_soon(watch, n)
            async with trio.open_nursery() as sessions:
                for name in names:
                    sessions.start_soon(session, name)
            await wait_all_tasks_blocked(0.05)
            watching.set()
        assert all(found[n] == list(range(51, 1_051)) for n in range(10))
        await journal.commit(Trim(None, 500))
        with pytest.raises(BelowFloor):
            async with feed.subscribe(ALL, 60):
                pass
        nursery.cancel_scope.cancel()
    store.close()


# --- a read that fails in an unexpected way ------------------------------------------------------------------


ERRORS = [SystemError("Objects/tupleobject.c: bad argument to internal function"), KeyError("a bug"), MemoryError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_failing_read_of_the_feed_is_tried_again_and_ends_nothing(
    autojump_clock: MockClock, error: Exception
) -> None:
    """Watchers at the head miss nothing: the ring goes on where it was."""
    async with running() as each, each.feed.subscribe(ALL, None) as subscription:
        each.history.error = error
        each.add(5)
        await trio.sleep(10)
        each.history.error = None
        with trio.fail_after(10):
            assert await take(subscription, 5) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_failing_read_of_a_subscriber_is_its_own_and_its_place_is_kept(
    autojump_clock: MockClock, error: Exception
) -> None:
    """It ends one watch, which goes on from its token; the others and the feed don't notice."""
    async with running(ring_events=4) as each:
        each.add(20)
        async with each.feed.subscribe(ALL, BEGINNING, max_events=5) as one, each.feed.subscribe(ALL, 3) as other:
            assert await take(one, 5) == [1, 2, 3, 4, 5]
            each.history.error = error
            with pytest.raises(type(error)):
                await one.next()
            each.history.error = None
            assert await take(other, 17) == list(range(4, 21))
            async with each.feed.subscribe(ALL, one.position) as resumed:
                assert await take(resumed, 15) == list(range(6, 21))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_feed_that_can_not_read_when_it_starts_starts_when_it_can(
    autojump_clock: MockClock, error: Exception
) -> None:
    """Nothing else that the gateway does waits for it."""
    history = FakeHistory()
    history.error = error
    history.add(3)
    each = Running(history)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(each.feed.run)
        await trio.sleep(10)
        history.error = None
        await trio.sleep(10)
        assert each.feed.head() == 3
        nursery.cancel_scope.cancel()

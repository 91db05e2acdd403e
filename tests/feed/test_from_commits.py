"""The ring takes events from the commits themselves: the same as on disk, in order, without a gap or a repetition."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.domain.events import Body, NewEvent, StoredEvent, TransactionForeign
from gateway.domain.values import ConnectorAddress, Flag
from gateway.feed import Feed, Subscription
from gateway.journal import Journal
from gateway.store.api import EventFilter
from gateway.store.commits import Append, Committed, DeleteChargePoint, OpenSession
from gateway.store.sqlite import SqliteStore
from tests.feed.fakes import FakeHistory
from tests.journal.conftest import running as running_journal
from tests.store.builders import ALL, CONNECTED, T0, create, event, meter, started, status, stopped


class Counted(SqliteStore):
    """A store that counts the reads of its events."""

    reads = 0

    def events(self, after: int, limit: int, where: EventFilter) -> Any:
        self.reads += 1
        return super().events(after, limit, where)


@asynccontextmanager
async def watched(store: Counted, **options: Any) -> AsyncIterator[tuple[Journal, Feed, Subscription]]:
    """A journal and a feed, with a subscriber to what comes from now on."""
    async with running_journal(Journal(store)) as journal, trio.open_nursery() as nursery:
        feed = Feed(store, journal.read, **options)
        journal.on_commit.append(feed.notify)
        await nursery.start(feed.run)
        async with feed.subscribe(ALL, None) as subscription:
            yield journal, feed, subscription
        nursery.cancel_scope.cancel()


async def given_out(subscription: Subscription, head: int) -> list[StoredEvent]:
    """All events up to ``head``."""
    found: list[StoredEvent] = []
    with trio.fail_after(60):
        while subscription.position < head:
            found += (await subscription.next()).events
    return found


async def test_events_of_every_kind_of_write_come_as_they_are_on_disk(tmp_path: Path) -> None:
    """A watcher at the head is given what one that comes back with its token reads; and nothing was read."""
    store = Counted(tmp_path / "gateway.db")
    create(store)
    before = store.bounds().head
    async with watched(store) as (journal, _, subscription):
        opened: Any = await journal.commit(OpenSession("CP1", CONNECTED, T0))
        writes: list[Body] = [started(1), meter(1, "1"), status("Charging"), stopped(1), meter(1, "2")]
        for body in writes:
            await journal.commit(Append("CP1", opened.epoch, (event(body),)))
        foreign = TransactionForeign(7, ConnectorAddress(1, 1))
        await journal.commit(
            Append("CP1", opened.epoch, (event(foreign), event(meter(99, "3"), flags=(Flag.LATE,), reported_at=T0)))
        )
        await journal.commit(OpenSession("CP1", CONNECTED, T0))
        await journal.commit(DeleteChargePoint("CP1", T0))
        found = await given_out(subscription, store.bounds().head)
    assert store.reads == 0
    assert found == list(store.events(before, 1_000, ALL).events)
    assert len(found) > len(writes) + 5
    store.close()


async def test_a_ring_that_is_too_small_reads_from_disk_what_it_dropped(tmp_path: Path) -> None:
    """The bounds hold, and the subscriber misses nothing."""
    store = Counted(tmp_path / "gateway.db")
    create(store)
    opened: Any = store.commit([OpenSession("CP1", CONNECTED, T0)])[0]
    before = store.bounds().head
    async with watched(store, ring_events=4) as (journal, feed, subscription):
        for number in range(10):
            await journal.commit(Append("CP1", opened.epoch, tuple(event(meter(None, f"{number}")) for _ in range(3))))
        assert len(feed._ring.above(feed._ring.start)) <= 4
        found = await given_out(subscription, store.bounds().head)
    assert [each.sequence for each in found] == list(range(before + 1, before + 31))
    store.close()


class Told(FakeHistory):
    """A history whose commits come with their events, or with some of them."""

    store_id = "store_x"

    def committed(self, first: int, last: int) -> list[Committed]:
        found = [each for each in self.stored if first <= each.sequence <= last]
        body = TransactionForeign(1, ConnectorAddress(1, 1))
        return [
            Committed(each.sequence, each.charge_point, each.epoch, NewEvent(body, T0), each.body_json, None)
            for each in found
        ]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=12),
    st.integers(1, 30),
)
def test_whatever_commits_bring_along_the_order_holds(steps: list[tuple[int, int, int, bool]], ring: int) -> None:
    """All of their events, a part of them, earlier ones once more, or none: each sequence comes once, in order."""
    history = Told()
    store: Any = history

    async def main() -> list[int]:
        feed = Feed(store, history.read, ring_events=ring)
        found: list[int] = []
        async with trio.open_nursery() as nursery:
            await nursery.start(feed.run)
            async with feed.subscribe(ALL, None) as subscription:
                for count, early, late, waits in steps:
                    head = history.head
                    history.add(count)
                    feed.notify(history.head, history.committed(head + 1 - early, history.head - late))
                    if waits:
                        await trio.sleep(0.02)
                while subscription.position < history.head:
                    found += [each.sequence for each in (await subscription.next()).events]
            nursery.cancel_scope.cancel()
        return found

    found = trio.run(main, clock=MockClock(autojump_threshold=0))
    assert found == list(range(1, history.head + 1))

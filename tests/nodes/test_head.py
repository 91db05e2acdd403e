"""The head of the history, where other nodes write too; and a node's parts together."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.cluster import subjects
from gateway.cluster.head import LATELY, POLL_SECONDS, REST_SECONDS, SAY_SECONDS, SLOW_POLL_SECONDS, HeadWatch
from gateway.cluster.node import LOOK_SECONDS, ClusterNode
from gateway.errors import StoreUnavailable
from gateway.feed import Feed
from gateway.journal.journal import Journal
from gateway.store.api import Bounds, EventFilter
from gateway.store.reads import Reads
from tests.nodes.fakes import FakeBus, FakeNodes
from tests.support.harness import Harness, virtual_clock


class FakeFeed:
    """Notes the heads that it hears of."""

    def __init__(self) -> None:
        self.watched = True
        self.heads: list[int] = []

    def notify(self, head: int) -> None:
        self.heads.append(head)


class Looks:
    """Reads of a store whose head rises by one with each look."""

    store_id = "store_1"

    def __init__(self) -> None:
        self.head = 0

    async def bounds(self) -> Any:
        self.head += 1
        return Bounds(0, self.head)


@pytest.fixture
async def watch(nursery: trio.Nursery) -> Any:
    feed: Any = FakeFeed()
    looks: Any = Looks()
    bus = FakeBus()
    watch: Any = HeadWatch(feed, looks, bus)
    nursery.start_soon(watch.run)
    await wait_all_tasks_blocked()
    return watch


async def test_a_bell_has_the_head_looked_for(watch: Any, autojump_clock: MockClock) -> None:
    """Soon; without one it is looked for now and then, for bells that were lost."""
    watch.heard()
    await trio.sleep(REST_SECONDS / 2)
    assert watch._feed.heads == [1]
    await trio.sleep(3 * SLOW_POLL_SECONDS)
    assert 3 <= len(watch._feed.heads) <= 4


async def test_without_a_bus_the_head_is_polled(watch: Any, autojump_clock: MockClock) -> None:
    """For as long as there is a watcher."""
    watch._bus.down = True
    await trio.sleep(SLOW_POLL_SECONDS + 10 * (POLL_SECONDS + REST_SECONDS))
    assert len(watch._feed.heads) >= 9
    watch._feed.watched = False
    before = len(watch._feed.heads)
    await trio.sleep(5)
    assert len(watch._feed.heads) == before


async def test_a_look_that_fails_is_made_again(
    watch: Any, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watchers hear of what was missed when the store is back."""

    async def away() -> Any:
        raise StoreUnavailable("it is away")

    with monkeypatch.context() as patched:
        patched.setattr(watch._reads, "bounds", away)
        watch.heard()
        await trio.sleep(3 * SLOW_POLL_SECONDS)
        assert watch._feed.heads == []
    await trio.sleep(2 * SLOW_POLL_SECONDS)
    assert watch._feed.heads != []


async def test_many_commits_ring_one_bell(watch: Any, autojump_clock: MockClock) -> None:
    """For nodes that have watchers, as long as they say so."""
    watch.others_watch()
    watch._feed.watched = False
    await trio.sleep(LATELY - 1)
    watch._bus.rung.clear()
    for _ in range(100):
        watch.committed(1, ())
    await trio.sleep(REST_SECONDS / 2)
    assert watch._bus.rung == [subjects.committed("store_1")]
    await trio.sleep(1)
    watch.committed(2, ())
    await trio.sleep(1)
    assert watch._bus.rung == [subjects.committed("store_1")]


async def test_a_node_says_that_it_has_watchers_and_listens_while_it_has(watch: Any, autojump_clock: MockClock) -> None:
    """From the first one on, at once; again and again, for nodes that come; and the next first one is said again."""
    bus, committed, watching = watch._bus, subjects.committed("store_1"), subjects.watching("store_1")
    watch._feed.watched = False
    await trio.sleep(2 * SAY_SECONDS)
    assert (bus.rung[1:], committed in bus.bells) == ([], False)
    for _ in range(2):
        bus.rung.clear()
        watch._feed.watched = True
        watch._feed.on_watched()
        await trio.sleep(REST_SECONDS / 2)
        assert (bus.rung, committed in bus.bells) == ([watching], True)
        await trio.sleep(3 * (SAY_SECONDS + SLOW_POLL_SECONDS))
        assert set(bus.rung) == {watching}
        assert 4 <= len(bus.rung) <= 5
        watch._feed.watched = False
        await trio.sleep(2 * SLOW_POLL_SECONDS)
        assert committed not in bus.bells


async def test_a_watcher_at_one_node_has_the_others_ring(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Two heads on one bus, with a real feed: none rings before there is a watcher, and then its node hears."""
    harness, bus = Harness(tmp_path), FakeBus()
    read: Any = harness.journal.read
    feed = Feed(harness.store, read)
    here: Any = HeadWatch(feed, harness.reads, bus)
    there: Any = HeadWatch(Feed(harness.store, read), harness.reads, bus)
    bus.listen(subjects.watching(harness.store.store_id), there.others_watch)
    async with trio.open_nursery() as running:
        running.start_soon(here.run)
        running.start_soon(there.run)
        await trio.sleep(1)
        there.committed(1, ())
        await trio.sleep(1)
        assert bus.rung == []
        async with feed.subscribe(EventFilter(), None):
            await trio.sleep(2 * REST_SECONDS)
            there.committed(2, ())
            await trio.sleep(REST_SECONDS / 2)
            assert bus.rung == [subjects.watching(harness.store.store_id), subjects.committed(harness.store.store_id)]
        running.cancel_scope.cancel()


async def test_a_node_is_called_under_its_incarnation_and_hears_its_bells(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Of another incarnation under that; and what it does itself the others hear."""
    harness, bus = Harness(tmp_path), FakeBus()
    nodes: Any = FakeNodes()
    read: Any = harness.journal.read
    store_id = harness.store.store_id
    jobs: list[str] = []
    journal = Journal(harness.store)
    node = ClusterNode(
        nodes,
        harness.router,
        Reads(harness.store, harness.journal),
        journal,
        Feed(harness.store, read),
        bus,
        virtual_clock,
        lambda what, label: None,
    )
    node.fleet_changed()
    node.on_fleet_changed = lambda: jobs.append("changed")
    names = [name for name, _ in node.tasks()]
    assert names == ["cluster-changes", "cluster-membership", "cluster-head", "cluster-calls"]
    assert node.number == 1
    nodes.on_left(frozenset({2}))
    nursery.start_soon(node._answer_calls)
    await wait_all_tasks_blocked()
    assert set(bus.handlers) == {subjects.node(store_id, 1, 1)}
    nodes.incarnation = 3
    await trio.sleep(LOOK_SECONDS + 0.1)
    assert set(bus.handlers) == {subjects.node(store_id, 1, 3)}
    bus.ring(subjects.fleet(store_id))
    bus.ring(subjects.notices(store_id, 1))
    assert jobs == ["changed"]
    assert node.membership._rung.is_set()
    nodes.on_left(frozenset({2, 3}))
    await wait_all_tasks_blocked()
    assert {subjects.notices(store_id, 2), subjects.notices(store_id, 3)} <= set(bus.rung)

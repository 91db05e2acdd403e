"""A node among others: that it says it is there, what it does of those that are silent, and the chores."""

from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.cluster.membership import BEAT_SECONDS, STEP, Membership
from gateway.errors import StoreUnavailable
from gateway.store.commits import Done, Missing
from gateway.store.nodes import SILENCE_SECONDS, Beat, Ended, EndNode, NodeRecord
from gateway.store.reads import Reads
from tests.nodes.fakes import FakeNodes
from tests.support.harness import virtual_clock

NOW = datetime(2026, 11, 27, tzinfo=UTC)


class BeatJournal:
    """Answers to beats after ``seconds``; of each node that is to be ended it has so many charge points left."""

    def __init__(self) -> None:
        self.writes: list[Beat | EndNode] = []
        self.seconds = 0.0
        self.failing = False
        self.left = {2: 2 * STEP + 50}

    async def commit(self, write: Any) -> Any:
        await trio.sleep(self.seconds)
        if self.failing:
            raise StoreUnavailable("it is away")
        self.writes.append(write)
        if isinstance(write, Beat):
            return Done()
        if write.node not in self.left:
            return Missing()
        settled = min(write.limit, self.left[write.node])
        self.left[write.node] -= settled
        return Ended(settled, write.incarnation + 1)

    async def read(self, fn: Any, *args: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return fn(*args)

    @property
    def ends(self) -> list[EndNode]:
        return [each for each in self.writes if isinstance(each, EndNode)]


class One:
    """A node with the slot 1, and another, 2, that has been silent."""

    def __init__(self) -> None:
        self.journal, self.nodes = BeatJournal(), FakeNodes()
        journal: Any = self.journal
        store: Any = None
        self.nodes.others = [
            NodeRecord(1, 1, 99.0, "here", "1", False, 5, True, NOW, NOW),
            NodeRecord(2, 7, SILENCE_SECONDS + 1, "there", "1", False, 5, False, NOW, NOW),
            NodeRecord(3, 1, 1.0, "there", "1", False, 5, False, NOW, NOW),
            NodeRecord(4, 1, 9999.0, "long ago", "1", False, 0, False, NOW, NOW),
        ]
        self.counted: list[str] = []
        reads = Reads(store, self.journal)
        self.membership = Membership(
            self.nodes, journal, reads, virtual_clock, lambda what, label: self.counted.append(what)
        )


@pytest.fixture
async def one(nursery: trio.Nursery) -> One:
    one = One()
    nursery.start_soon(one.membership.run)
    return one


async def test_a_node_says_that_it_is_there(one: One, autojump_clock: MockClock) -> None:
    """By a commit every two seconds, and at once when it is rung."""
    await trio.sleep(3 * BEAT_SECONDS - 0.5)
    assert one.journal.writes == [Beat()] * 3
    one.membership.ring()
    await wait_all_tasks_blocked()
    assert one.journal.writes == [Beat()] * 4


async def test_a_silent_node_is_ended_in_steps(one: One, autojump_clock: MockClock) -> None:
    """Not before this one has itself been there for as long, and none but the silent one that has something left."""
    await trio.sleep(SILENCE_SECONDS - 0.5)
    assert one.journal.ends == []
    await trio.sleep(2 * BEAT_SECONDS)
    incarnations = [(each.node, each.incarnation, each.limit) for each in one.journal.ends[:4]]
    assert incarnations == [(2, 7, STEP), (2, 8, STEP), (2, 9, STEP), (2, 10, STEP)]
    assert {each.node for each in one.journal.ends} == {2}
    assert "nodes_ended" in one.counted


@pytest.mark.parametrize("trouble", ["away", "late"])
async def test_no_node_is_ended_after_a_time_in_which_this_one_was_not_there(
    one: One, autojump_clock: MockClock, trouble: str
) -> None:
    """All seem to be silent when a database is back."""
    one.journal.failing, one.journal.seconds = trouble == "away", 6.0 if trouble == "late" else 0.0
    await trio.sleep(4 * SILENCE_SECONDS)
    assert one.journal.ends == []
    one.journal.failing, one.journal.seconds = False, 0.0
    await trio.sleep(SILENCE_SECONDS - 0.5)
    assert one.journal.ends == []
    await trio.sleep(8 + 3 * BEAT_SECONDS)
    assert one.journal.ends != []


async def test_a_node_without_the_chores_ends_none(one: One, autojump_clock: MockClock) -> None:
    """One does, so that they don't meet at it."""
    one.nodes.keeper = 3
    await trio.sleep(4 * SILENCE_SECONDS)
    assert one.journal.ends == []
    assert not one.membership.has_chores


async def test_a_chore_runs_where_the_chores_are(one: One, autojump_clock: MockClock) -> None:
    """It ends when they are lost, and begins anew when they are back; a failure is its runner's."""
    runs: list[str] = []

    async def chore(name: str) -> None:
        runs.append(f"{name} began")
        try:
            await trio.sleep_forever()
        finally:
            runs.append(f"{name} ended")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.membership.as_chore, chore, "retention")
        await trio.sleep(1)
        assert runs == ["retention began"]
        one.nodes.keeper = 2
        await trio.sleep(BEAT_SECONDS)
        assert runs == ["retention began", "retention ended"]
        one.nodes.keeper = 1
        await trio.sleep(BEAT_SECONDS)
        assert len(runs) == 3
        one.nodes.failing = True
        await trio.sleep(BEAT_SECONDS)
        assert len(runs) == 4
        nursery.cancel_scope.cancel()


async def test_a_node_that_goes_says_so_and_leaves_the_chores(one: One, autojump_clock: MockClock) -> None:
    """Also while the store is away."""
    await trio.sleep(1)
    assert one.nodes.keeper == 1
    await one.membership.drain()
    await trio.sleep(2 * BEAT_SECONDS)
    assert one.nodes.keeper == 0
    assert one.journal.writes[-1] == Beat(draining=True)
    one.nodes.failing = True
    await one.membership.drain()


async def test_lanes_that_were_freed_are_counted(one: One, autojump_clock: MockClock) -> None:
    one.nodes.freed = 2
    await trio.sleep(BEAT_SECONDS)
    assert "nodes_freed" in one.counted

"""Another server takes over that lacks events which watchers were given: none of the later ones is skipped."""

import pytest
import trio
from trio.testing import MockClock

from gateway.feed import BeyondHead
from gateway.store.api import EventFilter, Generation
from tests.feed.fakes import FakeHistory, Running

ALL = EventFilter()


def taken_over(history: FakeHistory, head: int) -> None:
    """A server that has the events up to ``head`` takes over."""
    history.stored = [each for each in history.stored if each.sequence <= head]
    history.generations = (*history.generations, Generation(2, head + 1))


@pytest.mark.parametrize("further", [1, 5, 20], ids=["behind", "at", "beyond"])
async def test_a_subscriber_that_was_given_lost_events_ends_and_nothing_later_is_skipped(
    autojump_clock: MockClock, further: int
) -> None:
    """Wherever the new server's events have come to, compared with those that were lost. One that was not given them
    goes on with what is there now."""
    running = Running(FakeHistory())
    feed, history = running.feed, running.history
    history.add(10)
    async with trio.open_nursery() as nursery:
        await nursery.start(feed.run)
        async with feed.subscribe(ALL, 0, idle=5) as slow, feed.subscribe(ALL, None, idle=5) as quick:
            assert (await slow.next()).position == 10
            running.add(5)
            assert (await quick.next()).position == 15
            taken_over(history, 10)
            running.add(further)
            with pytest.raises(BeyondHead):
                await quick.next()
            seen = list[int]()
            while not seen or seen[-1] < 10 + further:
                seen += [each.sequence for each in (await slow.next()).events]
            assert seen == list(range(11, 11 + further))
            assert feed.head() == 10 + further
        nursery.cancel_scope.cancel()


async def test_a_server_that_has_everything_disturbs_no_subscriber(autojump_clock: MockClock) -> None:
    """Its generation begins behind what they were given."""
    running = Running(FakeHistory())
    feed, history = running.feed, running.history
    history.add(10)
    async with trio.open_nursery() as nursery:
        await nursery.start(feed.run)
        async with feed.subscribe(ALL, None, idle=5) as subscription:
            taken_over(history, 10)
            running.add(3)
            assert [each.sequence for each in (await subscription.next()).events] == [11, 12, 13]
        nursery.cancel_scope.cancel()


async def test_one_that_reads_behind_is_ended_where_it_finds_out_itself(autojump_clock: MockClock) -> None:
    """By its own page from disk, before it is given anything."""
    running = Running(FakeHistory(), ring_events=2)
    feed, history = running.feed, running.history
    history.add(10)
    async with trio.open_nursery() as nursery:
        await nursery.start(feed.run)
        async with feed.subscribe(ALL, 4, idle=5, max_events=2) as behind:
            assert (await behind.next()).position == 6
            taken_over(history, 3)
            with pytest.raises(BeyondHead):
                await behind.next()
            assert feed.head() == 3
        nursery.cancel_scope.cancel()

"""Retention in small steps, in virtual time."""

from datetime import timedelta

import trio

from gateway.journal import Retention
from gateway.journal import retention as constants
from gateway.store.api import Trim
from tests.journal.test_journal import write
from tests.store.builders import T0


def clock():
    return T0


async def fill(journal, count):
    await journal.commit(write(count=count))


async def test_everything_is_kept_for_ever_by_default(journal, store, autojump_clock):
    """The task ends at once."""
    await fill(journal, 10)
    with trio.fail_after(1):
        await Retention(journal, store, clock).run()
    assert store.floor == 0


async def test_age_is_counted_from_now(journal, store, autojump_clock):
    """Steps of STEP events until there is nothing older left."""
    await fill(journal, 1_200)
    assert await Retention(journal, store, clock, max_age_days=30).sweep() == 1_200
    trims = [w for w in store.writes if isinstance(w, Trim)]
    assert trims == [Trim(T0 - timedelta(days=30), constants.STEP)] * 4


async def test_bytes_are_freed_until_they_fit(journal, store, autojump_clock):
    """The oldest go, no more than needed; where nothing can go the sweep ends."""
    await fill(journal, 2_000)
    store.size = 2_000_000
    retention = Retention(journal, store, clock, max_bytes=1_200_000)
    assert await retention.sweep() == 1_000
    assert store.size == 1_000_000
    assert await retention.sweep() == 0
    store.size = 9_000_000
    assert await retention.sweep() == 1_000
    assert await retention.sweep() == 0


async def test_sessions_commit_between_the_steps(journal, store, autojump_clock):
    """A sweep of many steps holds nobody up."""
    await fill(journal, 50_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Retention(journal, store, clock, max_age_days=1).sweep)
        await trio.sleep(1)
        with trio.fail_after(constants.PAUSE):
            await journal.commit(write())
        assert store.floor < store.head
        nursery.cancel_scope.cancel()


async def test_a_store_that_is_unavailable_is_swept_later(journal, store, autojump_clock):
    """The task survives it."""
    await fill(journal, 10)
    store.broken = True
    async with trio.open_nursery() as nursery:
        await nursery.start(Retention(journal, store, clock, max_age_days=1).run)
        await trio.sleep(10)
        store.broken = False
        assert store.floor == 0
        await trio.sleep(2 * constants.INTERVAL)
        assert store.floor == 10
        nursery.cancel_scope.cancel()

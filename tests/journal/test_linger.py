"""Transactions that begin some milliseconds apart, so that more writes share one."""

import pytest
import trio

from gateway.journal import Journal
from tests.journal.conftest import running
from tests.journal.test_journal import write

LINGER = 0.01


@pytest.mark.parametrize(("takes", "begins"), [(0.0, LINGER), (0.004, LINGER), (0.03, 0.03)])
async def test_transactions_begin_so_far_apart_and_no_further(store, disk, autojump_clock, takes, begins):
    """The first one after a quiet time at once; one that takes longer delays the next no more than that."""
    disk.seconds = takes
    async with running(Journal(store, run_sync=disk, linger=LINGER)) as journal:
        await trio.sleep(1)
        began, ended = trio.current_time(), []
        for _ in range(3):
            await journal.commit(write())
            ended.append(trio.current_time() - began)
        assert ended == pytest.approx([takes + n * begins for n in range(3)])
        await trio.sleep(LINGER)
        began = trio.current_time()
        await journal.commit(write())
        assert trio.current_time() - began == pytest.approx(takes)


async def test_what_comes_meanwhile_shares_a_transaction(store, disk, autojump_clock):
    """In the order in which it came, however it is spread over the time."""
    async with running(Journal(store, run_sync=disk, linger=LINGER)) as journal, trio.open_nursery() as nursery:
        for n in range(15):
            nursery.start_soon(journal.commit, write(str(n)))
            await trio.sleep(LINGER / 7.3)
    assert [[each.charge_point for each in batch] for batch in store.batches] == [
        ["0"],
        [str(n) for n in range(1, 8)],
        [str(n) for n in range(8, 15)],
    ]


async def test_a_full_batch_does_not_wait_for_more(store, disk, autojump_clock):
    """Nor does what is left when the journal closes."""
    async with running(Journal(store, run_sync=disk, linger=LINGER, max_batch=2)) as journal:
        await journal.commit(write())
        began, answered = trio.current_time(), []
        for n in range(5):
            journal.submit(write(str(n)), lambda *_: answered.append(trio.current_time() - began))
        await journal.aclose()
    assert answered == [0.0] * 5


async def test_without_it_nothing_waits(store, disk, autojump_clock):
    """By default: one after the other in no time."""
    async with running(Journal(store, run_sync=disk)) as journal:
        began = trio.current_time()
        for _ in range(5):
            await journal.commit(write())
        assert trio.current_time() == began

"""Bounds of the journal and of the clock's watch, each at the limit and one beyond it; and what a run leaves behind."""

import gc
import threading
import weakref
from datetime import timedelta

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gateway.errors import CommitUnknown, StoreUnavailable
from gateway.journal import Journal
from gateway.journal.clock_watch import AWAY, SAVE_EVERY, STEADY, TOLERANCE
from gateway.journal.thread import ReaderThreads, WriterThread
from gateway.store.commits import Appended
from tests.journal.conftest import running
from tests.journal.test_journal import outcome_of, write
from tests.journal.test_retention import journal_of, place

__all__ = ["place"]  # a fixture

LEAST = timedelta(microseconds=1)


# --- the clock ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "why"),
    [
        (TOLERANCE, ""),
        (TOLERANCE + LEAST, "it jumped ahead by 0:05:00.000001"),
        (-TOLERANCE, ""),
        (-TOLERANCE - LEAST, "it jumped back by 0:05:00.000001"),
    ],
)
async def test_a_clock_jumps_when_it_moves_by_more_than_the_tolerance(place, autojump_clock, by, why):
    """In either direction, to the microsecond; the reason says by how much, and to what."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        place.set(by)
        status = await place.watch.status()
    assert status.reason == (f"{why}, to {place.now().isoformat()}" if why else "")
    assert (status.doubted, place.jumps) == (bool(why), int(bool(why)))


@pytest.mark.parametrize(
    ("by", "doubted"), [(AWAY, False), (AWAY + LEAST, True), (-TOLERANCE, False), (-TOLERANCE - LEAST, True)]
)
async def test_a_gateway_may_have_been_away_for_a_day_and_no_longer(place, autojump_clock, by, doubted):
    """Nor may the clock be behind what was written down by more than the tolerance."""
    async with journal_of(place) as journal:
        await place.begin(journal)
    place.restart()
    place.set(by)
    async with journal_of(place) as journal:
        await place.begin(journal)
        assert (await place.watch.status()).doubted is doubted


async def test_a_doubted_clock_is_trusted_after_a_day_and_not_before(place, autojump_clock):
    """To the second; meanwhile an operator sees how long it has run evenly."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        place.set(timedelta(days=60))
        for hour in range(24):
            status = await place.watch.status()
            assert (status.doubted, status.steady) == (True, timedelta(hours=hour))
            await place.commit_now()
            await trio.sleep(3600)
        status = await place.watch.status()
        assert (status.doubted, status.steady, status.reason) == (False, timedelta(), "")
    assert timedelta(days=1) == STEADY


@pytest.mark.parametrize("doubted", [False, True])
async def test_the_clock_is_written_down_every_ten_minutes(place, autojump_clock, doubted):
    """Not a second later, doubted or not; and not at every look."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        if doubted:
            place.set(timedelta(days=60))
        await place.watch.trusted()
        written = place.store.clock_record().seen_at
        await trio.sleep(SAVE_EVERY.total_seconds() - 1)
        await place.watch.trusted()
        assert place.store.clock_record().seen_at == written
        await trio.sleep(1)
        await place.watch.trusted()
        assert place.store.clock_record().seen_at == place.now() == written + SAVE_EVERY


@pytest.mark.parametrize(("by", "taken"), [(TOLERANCE, True), (TOLERANCE + LEAST, False)])
async def test_a_clock_is_confirmed_as_it_was_shown(place, autojump_clock, by, taken):
    """A moment later too, but not when it says something else by then."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        place.set(timedelta(days=60))
        shown = (await place.watch.status()).now
        assert await place.watch.confirm(shown - by) is taken
        assert (await place.watch.status()).doubted is not taken


# --- the queue ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["commit", "submit"])
async def test_so_many_writes_wait_and_no_more(store, disk, autojump_clock, way):
    """By either way to hand one over: the one that fills the queue is taken, the next is refused."""
    async with running(Journal(store, run_sync=disk, max_waiting=2)) as journal, trio.open_nursery() as nursery:
        outcomes = []
        disk.stall()
        nursery.start_soon(outcome_of, journal, write("first"), outcomes)
        await wait_all_tasks_blocked()
        for name in "ABC":
            if way == "commit":
                nursery.start_soon(outcome_of, journal, write(name), outcomes)
                await wait_all_tasks_blocked()
            elif name == "C":
                with pytest.raises(StoreUnavailable):
                    journal.submit(write(name), lambda _, result: outcomes.append(result))
            else:
                journal.submit(write(name), lambda _, result: outcomes.append(result))
        disk.gate.set()
        await wait_all_tasks_blocked()
    refused = [each for each in outcomes if isinstance(each, StoreUnavailable)]
    assert len(refused) == (1 if way == "commit" else 0)
    assert sum(isinstance(each, Appended) for each in outcomes) == 3


@pytest.mark.parametrize("results", [[Appended((7,))], [Appended((7,))] * 3], ids=["fewer", "more"])
async def test_answers_that_are_not_one_for_each_write_acknowledge_nothing(journal, store, autojump_clock, results):
    """No write has one of them, and the feed hears of none."""
    heads, outcomes = [], []
    journal.on_commit.append(lambda head, _: heads.append(head))
    works, store.commit = store.commit, lambda batch: results
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for name in "AB":
                nursery.start_soon(outcome_of, journal, write(name), outcomes)
    assert [type(each) for each in outcomes] == [CommitUnknown] * 2
    assert heads == []
    store.commit = works


async def test_a_way_to_the_disk_that_fails_acknowledges_nothing_by_the_batch_before(journal, store, autojump_clock):
    """Of the same size, so that its answers would fit."""
    outcomes, works = [], journal._run_in_thread
    await outcome_of(journal, write("A"), outcomes)

    async def fails(*_, **__):
        await trio.lowlevel.checkpoint()
        raise SystemError("bad argument to internal function")

    journal._run_in_thread = fails
    with trio.fail_after(60):
        await outcome_of(journal, write("B"), outcomes)
    journal._run_in_thread = works
    assert [type(each) for each in outcomes] == [Appended, CommitUnknown]


# --- its threads ----------------------------------------------------------------------------------------------


async def test_a_writer_that_was_given_nothing_is_not_busy():
    """A disk that nothing was written to does not hang."""
    thread = WriterThread()
    assert thread.busy is False
    await thread.run(int)
    assert thread.busy is False
    thread.end()


async def test_threads_bear_the_name_of_what_they_do():
    """As top, py-spy and tracebacks show them."""
    writer, readers = WriterThread(), ReaderThreads(2)
    names = {await writer.run(lambda: threading.current_thread().name)}
    names.add(await readers.run(lambda: threading.current_thread().name))
    assert names == {"journal-writer", "journal-reader-0"}
    writer.end()
    readers.end()


@pytest.mark.parametrize("waits", [True, False], ids=["waited for", "given up"])
async def test_what_a_read_raised_is_let_go_of_at_once(waits):
    """Not when the collector comes: its traceback holds the frames that it went through, and all that they hold."""

    class Large:
        pass

    left, begun, go_on = [], threading.Event(), threading.Event()

    def fails():
        large = Large()
        left.append(weakref.ref(large))
        begun.set()
        go_on.wait(60)
        raise LookupError

    async def read():
        try:
            await readers.run(fails)
        except LookupError:
            left.append(None)

    readers = ReaderThreads(1)
    gc.collect()
    gc.disable()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.to_thread.run_sync(begun.wait)
            if not waits:
                nursery.cancel_scope.cancel()
            go_on.set()
        await readers.run(int)
        await readers.run(int)
        assert left[1:] == ([None] if waits else [])
        assert left[0]() is None
    finally:
        gc.enable()
        readers.end()

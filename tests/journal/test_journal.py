"""The journal: groups, deadlines, cancellation, failing disks and recovery, in virtual time."""

import threading
from contextlib import closing
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gateway.errors import CommitUnknown, StoreUnavailable
from gateway.journal import Journal, NumberAllocator
from gateway.journal import journal as constants
from gateway.store.commits import Append, Appended, RecordLastHeard
from gateway.store.sqlite import SqliteStore
from tests.journal.conftest import running
from tests.store.builders import event, status


def write(name: str = "CP1", count: int = 1) -> Append:
    return Append(name, 1, tuple(event(status()) for _ in range(count)))


async def outcome_of(journal: Journal, write: Append, into: list) -> None:
    try:
        into.append(await journal.commit(write))
    except StoreUnavailable as error:
        into.append(error)


async def test_a_commit_answers_with_its_own_result(journal, store, autojump_clock):
    """And is in the store by then."""
    assert await journal.commit(write(count=2)) == Appended((1, 2))
    assert await journal.commit(write()) == Appended((3,))
    assert len(store.batches) == 2


async def test_what_waits_during_a_commit_is_the_next_batch(journal, store, disk, autojump_clock):
    """In the order of arrival, each waiter with its own answer."""
    disk.seconds = 0.01
    results = {}

    async def commit(n):
        results[n] = await journal.commit(write(str(n)))

    async with trio.open_nursery() as nursery:
        for n in range(50):
            nursery.start_soon(commit, n)
            await wait_all_tasks_blocked() if n == 0 else None
    assert [len(batch) for batch in store.batches] == [1, 49]
    order = [w.charge_point for w in store.writes]
    assert {n: Appended((order.index(str(n)) + 1,)) for n in range(50)} == results


async def test_a_batch_is_bounded(store, disk, autojump_clock):
    """More than fits waits for the next one."""
    async with running(Journal(store, run_sync=disk, max_batch=10)) as journal, trio.open_nursery() as nursery:
        for n in range(35):
            nursery.start_soon(journal.commit, write(str(n)))
    assert max(len(batch) for batch in store.batches) == 10
    assert len(store.writes) == 35


async def test_the_queue_is_bounded(store, disk, autojump_clock):
    """Beyond it a commit is refused at once, and nothing of it is written."""
    disk.stall()
    results = []
    async with running(Journal(store, run_sync=disk, max_batch=1, max_waiting=3)) as journal:
        async with trio.open_nursery() as nursery:
            for n in range(4):
                nursery.start_soon(outcome_of, journal, write(str(n)), results)
                await wait_all_tasks_blocked()
            with pytest.raises(StoreUnavailable, match="3 commits are waiting"):
                await journal.commit(write("too many"))
            disk.gate.set()
        assert journal.healthy
    assert [w.charge_point for w in store.writes] == ["0", "1", "2", "3"]


async def test_cancelling_the_wait_withdraws_nothing(journal, store, disk, autojump_clock):
    """Neither from the batch under way nor from the one that forms."""
    disk.stall()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.commit, write("in flight"))
        await wait_all_tasks_blocked()
        nursery.start_soon(journal.commit, write("queued"))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert store.writes == []
    disk.gate.set()
    await journal.commit(write("after"))
    assert [w.charge_point for w in store.writes] == ["in flight", "queued", "after"]


async def test_a_caller_that_is_cancelled_already_hands_nothing_over(journal, store, autojump_clock):
    """The point of no return is not passed."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.commit(write())
    assert scope.cancelled_caught
    await journal.commit(write("after"))
    assert len(store.writes) == 1


async def test_an_append_of_nothing_is_answered_and_moves_no_head(journal, autojump_clock):
    """As a charge point's owner asks whether it still is the owner."""
    heads = []
    journal.on_commit.append(lambda head, _: heads.append(head))
    assert await journal.commit(write(count=0)) == Appended(())
    assert await journal.commit(write(count=2)) == Appended((1, 2))
    assert heads == [2]
    assert journal.healthy


async def test_callbacks_hear_of_the_head_before_the_waiters_run(journal, autojump_clock):
    """A watcher's wake-up never comes later than the acknowledgement; commits without events are none."""
    heads = []
    journal.on_commit.append(lambda head, _: heads.append(head))
    await journal.commit(write(count=3))
    assert heads == [3]
    await journal.commit(RecordLastHeard(()))
    assert heads == [3]


async def test_a_callback_that_raises_harms_no_other(journal, autojump_clock):
    """Its bug is logged; the commit stands, and so do the other callbacks."""
    heads = []

    def broken(head, events):
        raise RuntimeError("a bug")

    journal.on_commit += [broken, lambda head, _: heads.append(head)]
    assert await journal.commit(write()) == Appended((1,))
    assert heads == [1]


async def test_a_write_that_can_not_be_fails_alone(journal, store, disk, autojump_clock):
    """The rest of its batch is committed: one session's bug stops no other's."""
    results = []
    disk.stall()

    async def poisoned():
        with pytest.raises(ValueError, match="a bug"):
            await journal.commit(write(store.poison))
        results.append("raised")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.commit, write("first"))
        await wait_all_tasks_blocked()
        nursery.start_soon(outcome_of, journal, write("A"), results)
        nursery.start_soon(poisoned)
        nursery.start_soon(outcome_of, journal, write("B"), results)
        await wait_all_tasks_blocked()
        disk.gate.set()
    assert journal.healthy
    assert sorted(w.charge_point for w in store.writes) == ["A", "B", "first"]
    assert "raised" in results
    assert len(results) == 3


# --- failing disks --------------------------------------------------------------------------------------------


async def test_a_failing_commit_fails_all_and_refuses_newcomers(journal, store, disk, autojump_clock):
    """Those in the batch, those behind it, and new ones: nothing is acknowledged."""
    health, results = [], []
    journal.on_health.append(health.append)
    store.broken = True
    disk.stall()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(outcome_of, journal, write(), results)
            await wait_all_tasks_blocked()
        disk.gate.set()
    assert [str(r) for r in results] == ["the disk is full"] * 3
    assert len({id(r) for r in results}) == 3
    assert health == [False]
    assert not journal.healthy
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await journal.commit(write())
    assert store.writes == []


async def test_the_journal_recovers_without_a_restart(journal, store, autojump_clock):
    """It probes with growing pauses until the store can write, and then takes commits again."""
    health = []
    journal.on_health.append(health.append)
    store.broken = True
    with pytest.raises(StoreUnavailable):
        await journal.commit(write())
    begin = trio.current_time()
    await trio.sleep(20)
    assert 6 <= store.probes <= 10
    store.broken = False
    await journal.wait_healthy()
    assert trio.current_time() - begin <= 20 + constants.LONGEST_PAUSE
    assert health == [False, True]
    assert await journal.commit(write()) == Appended((1,))


async def test_a_relapse_does_not_begin_with_short_pauses_again(journal, store, autojump_clock):
    """A disk with room for a probe but not for a batch is not hammered."""
    store.broken = True
    store.probe = lambda: None
    begin = trio.current_time()
    for _ in range(8):
        await journal.wait_healthy()
        with pytest.raises(StoreUnavailable):
            await journal.commit(write())
    assert trio.current_time() - begin > 2 * constants.LONGEST_PAUSE


async def test_a_commit_that_takes_too_long_is_not_acknowledged(journal, store, disk, autojump_clock):
    """After the deadline every caller gets the error, and commits are refused until the disk has answered."""
    health, results = [], []
    journal.on_health.append(health.append)
    disk.stall()
    begin = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outcome_of, journal, write("stalled"), results)
        await trio.sleep(3)
        nursery.start_soon(outcome_of, journal, write("behind"), results)
    assert trio.current_time() - begin == pytest.approx(constants.COMMIT_DEADLINE)
    assert [str(r) for r in results] == ["a commit took longer than 10 s"] * 2
    with pytest.raises(StoreUnavailable, match="longer than"):
        await journal.commit(write("refused"))
    await trio.sleep(60)
    assert health == [False]
    disk.gate.set()
    await journal.wait_healthy()
    assert health == [False, True]
    assert await journal.commit(write("after")) == Appended((2,))
    # What was under way got through after all; what was behind it was never tried.
    assert [w.charge_point for w in store.writes] == ["stalled", "after"]


async def test_a_read_that_takes_too_long_is_given_up(journal, store, disk, autojump_clock):
    """Callers that wait for a disk that hangs get an error, also while there is no commit."""
    disk.stall()
    begin = trio.current_time()
    with pytest.raises(StoreUnavailable, match="a read took longer than 10 s"):
        await journal.read(store.bounds)
    assert trio.current_time() - begin == pytest.approx(constants.COMMIT_DEADLINE)


async def test_the_deadline_is_each_commits_own(store, disk, autojump_clock):
    """A slow disk that keeps it for every commit stays in use, however long the queue never empties."""
    disk.seconds = 0.45
    results = []
    async with running(Journal(store, run_sync=disk, deadline=1.0)) as journal:
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(outcome_of, journal, write(), results)
                await trio.sleep(0.1)
        assert journal.healthy
    assert [type(r) for r in results] == [Appended] * 40


async def test_a_long_queue_is_no_sign_of_a_disk_that_hangs(store, disk, autojump_clock):
    """Thousands of sessions end at once: one batch after the other keeps the deadline, the last one's wait doesn't."""
    disk.seconds = 0.5
    results = []
    async with running(Journal(store, run_sync=disk, deadline=1.0, max_batch=10)) as journal:
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(outcome_of, journal, write(), results)
        assert journal.healthy
    assert [type(r) for r in results] == [Appended] * 100


async def test_a_disk_that_stalls_and_then_fails_is_probed(journal, store, disk, autojump_clock):
    """Health comes back by a probe, not by the stalled commit's return."""
    disk.stall()
    results = []
    await outcome_of(journal, write(), results)
    store.broken = True
    disk.gate.set()
    await trio.sleep(10)
    assert not journal.healthy
    assert store.probes > 2
    store.broken = False
    await journal.wait_healthy()


async def test_a_system_without_threads_is_a_store_that_is_unavailable(journal, store, disk, autojump_clock):
    """The writer outlives it."""
    disk.refusing = True
    with pytest.raises(StoreUnavailable, match="can't start new thread"):
        await journal.commit(write())
    await trio.sleep(3)
    assert not journal.healthy
    disk.refusing = False
    await journal.wait_healthy()
    assert await journal.commit(write()) == Appended((1,))


# --- the end --------------------------------------------------------------------------------------------------


async def test_closing_drains_what_was_handed_over(store, disk, autojump_clock):
    """Everything waiting is committed and answered; nothing new is taken."""
    disk.seconds = 0.1
    results = []
    journal = Journal(store, run_sync=disk, max_batch=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        for n in range(7):
            nursery.start_soon(outcome_of, journal, write(str(n)), results)
        await wait_all_tasks_blocked()
        await journal.aclose()
        assert len(store.writes) == 7
        with pytest.raises(StoreUnavailable, match="closed"):
            await journal.commit(write())
    assert [type(r) for r in results] == [Appended] * 7


async def test_closing_does_not_wait_for_a_broken_disk(store, disk, autojump_clock):
    """Writes that can't be made were refused already."""
    store.broken = True
    journal = Journal(store, run_sync=disk)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        await outcome_of(journal, write(), [])
        with trio.fail_after(1):
            await journal.aclose()


async def test_cancelling_the_writer_leaves_no_caller_waiting(store, disk, autojump_clock):
    """Every caller learns that its outcome is unknown; later commits are refused."""
    disk.stall()
    results = []
    journal = Journal(store, run_sync=disk, max_batch=1)
    async with trio.open_nursery() as callers, trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        for _ in range(3):
            callers.start_soon(outcome_of, journal, write(), results)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [str(r) for r in results] == ["the journal is closed"] * 3
    with pytest.raises(StoreUnavailable):
        await journal.commit(write())


# --- numbers --------------------------------------------------------------------------------------------------


async def test_numbers_come_in_blocks(journal, store, autojump_clock):
    """Many takers at once, no number twice, one commit for each block."""
    numbers = NumberAllocator(journal, block=10)
    taken = []

    async def take():
        taken.append(await numbers.take())

    async with trio.open_nursery() as nursery:
        for _ in range(35):
            nursery.start_soon(take)
    assert sorted(taken) == list(range(1, 36))
    assert len(store.writes) == 4


async def test_a_store_that_is_unavailable_gives_no_numbers(journal, store, autojump_clock):
    """And gives them again when it is back."""
    numbers = NumberAllocator(journal)
    store.broken = True
    with pytest.raises(StoreUnavailable):
        await numbers.take()
    store.broken = False
    await journal.wait_healthy()
    assert await numbers.take() == 1


# --- what is applied ------------------------------------------------------------------------------------------


async def test_answers_are_applied_in_the_order_of_the_commits_before_any_task_runs(journal, disk, autojump_clock):
    """Several tasks of one session commit side by side; its state follows the disk."""
    disk.seconds = 0.01
    seen = []

    async def commit(name):
        await journal.commit(write(name), lambda write, result: seen.append((write.charge_point, result)))
        seen.append("runs")

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(commit, name)
            await wait_all_tasks_blocked()
    assert seen[0] == ("a", Appended((1,)))
    assert [each for each in seen[1:] if each != "runs"] == [("b", Appended((2,))), ("c", Appended((3,)))]
    assert seen[-2:] == ["runs", "runs"]


async def test_what_was_committed_is_applied_though_no_task_waits_any_more(journal, store, disk, autojump_clock):
    """Cancelling withdraws nothing, so neither memory nor disk goes without."""
    disk.seconds = 1
    seen = []
    with trio.move_on_after(0.1):
        await journal.commit(write(), lambda _, result: seen.append(result))
    assert not seen
    await trio.sleep(2)
    assert seen == [Appended((1,))]


async def test_a_failure_to_apply_is_its_own_commit_s_alone(journal, autojump_clock):
    """The neighbours in the batch have their answers."""

    def fail(*_):
        raise LookupError("a bug")

    outcomes = []

    async def commit(applied):
        try:
            outcomes.append(await journal.commit(write(), applied))
        except LookupError as error:
            outcomes.append(str(error))

    async with trio.open_nursery() as nursery:
        for applied in (None, fail, None):
            nursery.start_soon(commit, applied)
    assert len(outcomes) == 3
    assert outcomes.count("a bug") == 1
    assert journal.healthy


async def test_nothing_is_applied_that_was_not_kept(journal, store, autojump_clock):
    """Memory stays at what the disk has."""
    store.broken = True
    seen = []
    with pytest.raises(StoreUnavailable):
        await journal.commit(write(), lambda *_: seen.append(1))
    assert not seen


# --- without waiting ------------------------------------------------------------------------------------------


async def test_submissions_are_answered_in_order_and_once(journal, store, disk, autojump_clock):
    """Beside those who wait, in the order of the handing over."""
    disk.seconds = 0.01
    reported = []
    for name in "abc":
        journal.submit(write(name), lambda write, result: reported.append((write.charge_point, result)))
    await journal.commit(write("d"))
    assert reported == [("a", Appended((1,))), ("b", Appended((2,))), ("c", Appended((3,)))]


async def test_a_submission_is_answered_with_the_failure(journal, store, autojump_clock):
    """Nothing may be acknowledged; and while the store is known to fail, nothing is taken."""
    store.broken = True
    reported = []
    journal.submit(write(), lambda _, result: reported.append(result))
    await trio.sleep(1)
    assert [type(result) for result in reported] == [StoreUnavailable]
    with pytest.raises(StoreUnavailable):
        journal.submit(write(), lambda _, result: reported.append(result))
    assert len(reported) == 1


async def test_a_submission_to_a_disk_that_hangs_is_answered_once(journal, store, disk, autojump_clock):
    """That it is not known; not again when the disk comes back."""
    disk.stall()
    reported = []
    journal.submit(write(), lambda _, result: reported.append(type(result)))
    await trio.sleep(60)
    disk.gate.set()
    await journal.wait_healthy()
    await trio.sleep(1)
    assert reported == [CommitUnknown]


async def test_a_bug_in_a_callback_reaches_no_other(journal, autojump_clock):
    """The neighbours in the batch have their answers, and the journal goes on."""

    def fail(*_):
        raise LookupError("a bug")

    journal.submit(write(), fail)
    assert await journal.commit(write()) == Appended((2,))
    assert await journal.commit(write()) == Appended((3,))


async def test_submissions_are_answered_when_the_journal_ends(store, disk, autojump_clock):
    """Cancelled with a commit in its thread: not known."""
    reported = []
    disk.stall()
    async with trio.open_nursery() as nursery:
        journal = Journal(store, run_sync=disk)
        await nursery.start(journal.run)
        journal.submit(write(), lambda _, result: reported.append(type(result)))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert reported == [CommitUnknown]


# --- bugs -----------------------------------------------------------------------------------------------------


ERRORS = [SystemError("Objects/tupleobject.c: bad argument to internal function"), KeyError("a bug"), MemoryError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_probe_that_fails_in_any_way_is_tried_again(journal, store, autojump_clock, error):
    """The journal goes on probing: only its end would be the gateway's."""

    def probe():
        raise error

    works, store.probe = store.probe, probe
    store.broken = True
    with pytest.raises(StoreUnavailable):
        await journal.commit(write())
    await trio.sleep(30)
    assert not journal.healthy
    store.probe, store.broken = works, False
    await journal.wait_healthy()
    assert await journal.commit(write()) == Appended((1,))


@pytest.mark.parametrize("results", [[], [Appended((1,))] * 3], ids=len)
async def test_a_store_that_answers_wrongly_costs_its_batch_only(journal, store, autojump_clock, results):
    """More answers or fewer than writes are a bug: no caller takes one for its own, and none waits for ever."""
    works, store.commit = store.commit, lambda batch: results
    outcomes = []
    with trio.fail_after(60):
        await outcome_of(journal, write(), outcomes)
    assert [type(outcome) for outcome in outcomes] == [CommitUnknown]
    store.commit = works
    with trio.fail_after(60):
        await journal.wait_healthy()
        assert isinstance(await journal.commit(write()), Appended)


async def test_a_way_to_the_disk_that_fails_costs_its_batch_only(journal, store, disk, autojump_clock):
    """A bug between the journal and its thread: everybody of the batch hears that it is not known, and what comes next
    is committed."""
    outcomes, works = [], journal._run_in_thread
    disk.stall()

    async def fails(*_, **__):
        await trio.lowlevel.checkpoint()
        raise SystemError("bad argument to internal function")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outcome_of, journal, write("first"), outcomes)
        await wait_all_tasks_blocked()
        for name in "ABC":
            nursery.start_soon(outcome_of, journal, write(name), outcomes)
        await wait_all_tasks_blocked()
        journal._run_in_thread = fails
        disk.gate.set()
    assert [type(outcome) for outcome in outcomes] == [Appended, CommitUnknown, CommitUnknown, CommitUnknown]
    journal._run_in_thread = works
    await journal.wait_healthy()
    assert isinstance(await journal.commit(write()), Appended)


async def test_a_disk_that_fails_among_writes_tried_alone_begins_no_more_of_them(journal, store, disk, autojump_clock):
    """Each of the rest hears why, and none of it is on disk; what was committed before is."""
    outcomes: dict[str, Any] = {}
    works = store.commit
    disk.stall()

    def commit(batch):
        store.broken = any(each.charge_point == "B" for each in batch) and len(batch) == 1
        return works(batch)

    async def tell(name):
        results = []
        try:
            await outcome_of(journal, write(name), results)
        except ValueError as error:
            results.append(error)
        outcomes[name] = results[0]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, "first")
        await wait_all_tasks_blocked()
        for name in ("A", "B", "C", store.poison):
            nursery.start_soon(tell, name)
            await wait_all_tasks_blocked()
        store.commit = commit
        disk.gate.set()
    assert outcomes["A"] == Appended((2,))
    for name in ("B", "C", store.poison):
        assert isinstance(outcomes[name], StoreUnavailable)
        assert not isinstance(outcomes[name], CommitUnknown)
        assert "the disk is full" in str(outcomes[name])
    assert [each.charge_point for each in store.writes] == ["first", "A"]


async def test_health_is_reported_when_it_changes_and_not_again(journal, store, disk, autojump_clock):
    """A disk that hangs and then fails is one failure; so are the probes that fail after it."""
    health, results = [], []
    journal.on_health.append(health.append)
    disk.stall()
    await outcome_of(journal, write(), results)
    store.broken = True
    disk.gate.set()
    await trio.sleep(30)
    assert health == [False]
    store.broken = False
    await journal.wait_healthy()
    await journal.commit(write())
    assert health == [False, True]


async def test_threads_end_with_the_journal(tmp_path):
    """The writer's and the readers': a process that opens and closes journals does not fill up with them."""
    before = set(threading.enumerate())
    with closing(SqliteStore(tmp_path / "gateway.db")) as real:
        async with running(Journal(real)) as journal:
            await journal.commit(RecordLastHeard(()))
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(journal.read, real.bounds)
            assert {each.name.rpartition("-")[0] for each in set(threading.enumerate()) - before} >= {
                "journal",
                "journal-reader",
            }
        with trio.fail_after(60):
            while any(each.name.startswith("journal") for each in set(threading.enumerate()) - before):  # noqa: ASYNC110 - threads end
                await trio.sleep(0.01)


async def test_probes_come_at_pauses_that_double(journal, store, autojump_clock):
    """Up to the longest one: a disk that is away for a night is not asked ten times a second."""
    times = []
    probe = store.probe

    def noted():
        times.append(round(trio.current_time(), 3))
        probe()

    store.probe = noted
    store.broken = True
    begin = trio.current_time()
    with pytest.raises(StoreUnavailable):
        await journal.commit(write())
    await trio.sleep(22)
    assert [time - begin for time in times] == pytest.approx([0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 11.3, 16.3, 21.3])
    store.broken = False
    await journal.wait_healthy()


async def test_a_closed_journal_still_reads(tmp_path):
    """Sessions that end after it may have to look something up: each takes a new thread."""
    with closing(SqliteStore(tmp_path / "gateway.db")) as real:
        async with running(Journal(real)) as journal:
            assert (await journal.read(real.bounds)).head == 0
        assert (await journal.read(real.bounds)).head == 0
        with pytest.raises(StoreUnavailable, match="closed"):
            await journal.commit(RecordLastHeard(()))

"""The journal: one writer for all sessions, and the order of everything that is recorded.

What is ordered. Writes are committed in the order in which they are handed over. The writer takes all that wait, as one
batch and one database transaction, and runs it in a thread; meanwhile the next batch gathers. There is never more than
one transaction under way, so the sequences that the store gives to events follow the order of handing over, and the
length of a sync decides how large the batches get. Answers are given in the same order, in Trio's thread, between one
transaction and the next.

What is acknowledged when. A caller is answered when its transaction is on disk (``synchronous = FULL``: the sync has
returned), and not before; what it does upon that (a state in memory, a reply to a charger) is therefore in step with
the disk. Two ways lead in: ``commit`` waits; ``submit`` calls back, for a session's reader, which has other things to
wait for. Before any of them is answered, ``on_commit`` hears of the events: a watcher never sees more than is on disk,
and no caller can act on a commit that the feed does not know of.

What a lost commit means. ``StoreUnavailable``: nothing was kept. ``CommitUnknown``: the transaction was begun and may
yet be found on disk, because it hangs beyond the deadline, or because its last sync failed. Nothing may be acknowledged
after either. A charger's message that was not acknowledged comes again, and a command that is not known to be recorded
is not known to have been sent. One failure makes the journal unhealthy: all that wait are refused at once, so that no
queue of promises stands behind a disk that is full, and the store is probed until it can write again.

Handing over is the point of no return: a waiter that is cancelled withdraws nothing, and its write is applied to its
session's state all the same. One write that the store can't take (a bug of its session) must not take others with it:
its batch is tried again write by write. See docs/adr/0007-message-path.md.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

import structlog
import trio

from gateway.errors import CommitUnknown, StoreError, StoreUnavailable
from gateway.histogram import BATCH_BOUNDS, LATENCY_BOUNDS, Histogram
from gateway.journal.batch import WRITE_OF, Applied, Handed, OnAnswer, Waiting, commit_batch
from gateway.journal.thread import ReaderThreads, WriterThread
from gateway.store.api import READS_AT_ONCE, Store
from gateway.store.commits import Appended, Committed, Opened, Write, WriteResult

R = TypeVar("R")

_WITH_EVENTS: Final = (Appended, Opened)

MAX_BATCH = 512
"""Writes in one transaction: a sync shared by so many costs nothing, and the last one's answer waits some 20 ms."""

MAX_WAITING = 32_768
"""Commits that wait for their turn. A session has one at most, so this is more than the sessions of one gateway."""

COMMIT_DEADLINE = 10.0
"""Seconds, for one transaction. A sync takes 0.2 to 10 ms, a bad cloud volume some seconds; chargers wait 30 s for an
answer."""

READERS = READS_AT_ONCE
"""Threads that read for sessions and watchers, as many as the store lends connections."""

HEAR = 0.05
"""Seconds for the loop to hear of a commit that its thread has done, before it is looked at again."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between probes of a store that failed; doubled each time, also across relapses."""

log = structlog.get_logger()


class RunSync(Protocol):
    """Runs a function that blocks: ``trio.to_thread.run_sync``, or a test's own, which then writes, too."""

    async def __call__(
        self,
        sync_fn: Callable[..., R],
        *args: Any,
        limiter: trio.CapacityLimiter | None = None,
        abandon_on_cancel: bool = False,
    ) -> R: ...


class Journal:
    """The way to the store for everything in Trio's thread.

    ``on_commit`` are called, in Trio's thread and before those who waited run, with the newest sequence of each
    commit that appended events, and with these events; ``on_health`` with each change of ``healthy``. They must not
    block or raise.
    """

    def __init__(
        self,
        store: Store,
        *,
        deadline: float = COMMIT_DEADLINE,
        max_batch: int = MAX_BATCH,
        max_waiting: int = MAX_WAITING,
        linger: float = 0.0,
        run_sync: RunSync | None = None,
    ) -> None:
        """``linger``: seconds from the beginning of one transaction to that of the next, at least, for more to gather.
        After a quiet time nothing waits."""
        self._store = store
        self._linger = linger
        self._deadline = deadline
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._run_sync = run_sync or trio.to_thread.run_sync
        self._read_limit = trio.CapacityLimiter(READERS)
        self._thread = WriterThread() if run_sync is None else None
        self._run_in_thread: Callable[..., Awaitable[Any]] = (
            partial(self._run_sync, abandon_on_cancel=True) if self._thread is None else self._thread.start
        )
        self._readers = ReaderThreads(READERS) if run_sync is None else None
        self._queue: deque[Handed | Waiting] = deque()
        self._in_flight: Sequence[Handed | Waiting] = ()
        self._begun = -math.inf
        self._stalled = False
        self._why = ""
        self._pause = FIRST_PAUSE
        self._arrived = trio.lowlevel.ParkingLot()
        self._well = trio.Event()
        self._well.set()
        self._closing = trio.Event()
        self._ended = trio.Event()
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        """Writes in each transaction."""
        self.commit_seconds = Histogram(LATENCY_BOUNDS)
        """From the hand-over of a transaction to its thread until the loop hears of its end, whatever that is."""
        self.on_commit: list[Callable[[int, Sequence[Committed]], None]] = []
        self.on_health: list[Callable[[bool], None]] = []

    # --- for everybody ---

    async def commit(self, write: Write, applied: Applied | None = None, *, shielded: bool = False) -> WriteResult:
        """Hand ``write`` over and wait until it is on disk; answers as the store's contract says.

        ``applied`` is called with the answer before any waiter runs, in the order of the commits, and also when
        this waiter was cancelled meanwhile: what it does to a state in memory is in step with the disk. It must not
        block; if it raises, that is this commit's error.

        Raises ``StoreUnavailable`` when it was not kept, and ``CommitUnknown`` when it was begun and is not known to
        be kept: the transaction hangs beyond the deadline, or failed so late that it may yet be found on the disk.
        Nothing may be acknowledged after either. Raises what the store raises for a write that can't be, which is a
        bug of the caller.

        Handing over is the point of no return: cancelling the wait withdraws nothing. A caller that is cancelled
        already when it calls hands nothing over. ``shielded``: it is no cancellation's to hinder or to end, as in a
        scope that shields, which takes twenty times as long.
        """
        if not shielded:
            await trio.lowlevel.checkpoint_if_cancelled()
        if self._closing.is_set() or not self._well.is_set() or len(self._queue) >= self._max_waiting:
            raise StoreUnavailable(self._refusal())
        waiting = Waiting(write, applied, trio.lowlevel.current_task())
        self._queue.append(waiting)
        if self._arrived:
            self._arrived.unpark()
        await trio.lowlevel.wait_task_rescheduled(waiting.wait_on if shielded else waiting.abort)
        if waiting.error is not None:
            error, waiting.error = waiting.error, None  # raised, it holds this frame, which must not hold it
            raise error
        assert waiting.result is not None
        return waiting.result

    def submit(self, write: Write, on_answer: OnAnswer) -> None:
        """Hand ``write`` over, as ``commit``, for a caller that has other things to wait for: ``on_answer`` is called,
        once, with the answer or with why it could not be kept (``StoreUnavailable``) or can't be. It must not block.

        Raises ``StoreUnavailable`` if nothing was handed over; then ``on_answer`` is not called.
        """
        if self._closing.is_set() or not self._well.is_set() or len(self._queue) >= self._max_waiting:
            raise StoreUnavailable(self._refusal())
        self._queue.append(Handed(write, on_answer))
        if self._arrived:
            self._arrived.unpark()

    def _refusal(self) -> str:
        """The reason why nothing is taken."""
        if self._closing.is_set():
            return "the journal is closed"
        return f"{self._max_waiting} commits are waiting already" if self._well.is_set() else self._why

    async def read(self, query: Callable[..., R], *args: Any) -> R:
        """Run a read of the store in a worker thread, at most READERS at a time. Cancelling leaves it to itself.

        Raises ``StoreUnavailable`` also when it has no answer within the deadline: a session that reads hears no ping
        and no close meanwhile, and a disk that hangs without a commit under way would go unnoticed.
        """
        try:
            if self._readers is not None:
                return await self._readers.run(query, *args, seconds=self._deadline)
            with trio.fail_after(self._deadline):
                return await self._run_sync(query, *args, limiter=self._read_limit, abandon_on_cancel=True)
        except trio.TooSlowError:
            pass
        raise StoreUnavailable(f"a read took longer than {self._deadline:g} s")

    @property
    def waiting(self) -> int:
        """Writes that wait for their turn."""
        return len(self._queue)

    @property
    def healthy(self) -> bool:
        """True while commits are taken. Starts True; the first failing commit says otherwise."""
        return self._well.is_set()

    @property
    def idle(self) -> bool:
        """True while nothing waits to be committed or read, and nothing is under way."""
        return not self._queue and not self._in_flight and not (self._readers is not None and self._readers.under_way)

    async def wait_healthy(self) -> None:
        """Return as soon as commits are taken."""
        await self._well.wait()

    async def aclose(self) -> None:
        """Take nothing more, and return when everything handed over is answered and ``run`` has nothing left to do.

        Cancelling leaves the journal closed, with what is left still on its way.
        """
        self._closing.set()
        self._arrived.unpark_all()
        await self._ended.wait()

    # --- the writer ---

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The writer; returns after ``aclose``. Cancelling it ends the journal at once: all waiters get
        ``StoreUnavailable``, and a commit that is under way in its thread is left to itself."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_deadlines)
                nursery.start_soon(self._write_all, nursery.cancel_scope)
                task_status.started()
        finally:
            self._closing.set()
            self._refuse(self._in_flight, "the journal is closed", CommitUnknown)
            self._refuse(self._queue, "the journal is closed")
            self._queue.clear()
            if self._thread is not None:
                self._thread.end()
            if self._readers is not None:
                self._readers.end()
                self._readers = None  # what is still read takes the long way
            self._ended.set()

    async def _write_all(self, running: trio.CancelScope) -> None:
        """Commit batch after batch; at the end of it all, end what runs beside it."""
        queue = self._queue
        while True:
            while not queue:
                if self._closing.is_set():
                    running.cancel()
                    return
                await self._arrived.park()
            if self._linger and len(queue) < self._max_batch and not self._closing.is_set():
                await trio.sleep_until(self._begun + self._linger)
            batch = self._in_flight = list(islice(queue, self._max_batch))
            for _ in batch:
                queue.popleft()
            self._begun = trio.current_time()
            writes = list(map(WRITE_OF, batch))
            try:
                results = await self._run_in_thread(commit_batch, self._store, writes)
            except RuntimeError as error:  # the system has no thread to give
                results = [StoreUnavailable(f"a commit could not be started: {error}")] * len(writes)
            except Exception as error:  # a bug
                results = [CommitUnknown(f"a commit failed: {error!r}")] * len(writes)
            self._in_flight = ()
            took, size = trio.current_time() - self._begun, len(batch)
            self.batch_sizes.counts[bisect_left(self.batch_sizes.bounds, size)] += 1
            self.batch_sizes.total += size
            self.commit_seconds.counts[bisect_left(self.commit_seconds.bounds, took)] += 1
            self.commit_seconds.total += took
            try:
                failure = self._answer(batch, results)
            except Exception as error:  # a bug of the store's or in here: it costs this batch, and not the gateway
                log.exception("a batch could not be answered", batch=len(batch))
                failure = f"a batch could not be answered: {error!r}"
                self._refuse(batch, failure, CommitUnknown)
            if failure is not None:
                await self._recover(failure)
            else:
                self._pause = FIRST_PAUSE
                if self._stalled or not self._well.is_set():
                    self._set_healthy()

    def _answer(self, batch: Sequence[Handed | Waiting], results: Sequence[WriteResult | Exception]) -> str | None:
        """Answer each write of a batch; returns why the store is unavailable, if it is."""
        if len(results) != len(batch):
            raise ValueError(f"{len(results)} answers to {len(batch)} writes")
        head, events = 0, list[Committed]()
        for result in results:
            if isinstance(result, _WITH_EVENTS) and result.sequences:
                head = max(head, result.sequences[-1])
                events += result.events
        if head:
            for callback in self.on_commit:
                try:
                    callback(head, events)
                except Exception:
                    log.exception("a callback of the journal failed")  # its bug; all messages go on
        failure = None
        for waiting, result in zip(batch, results, strict=True):
            if isinstance(result, StoreUnavailable):
                failure = str(result)
                result = type(result)(failure)  # noqa: PLW2901 - one each: a raised exception holds its frames
            waiting.answer(result)
        return failure

    def _refuse(
        self,
        waiting: Iterable[Handed | Waiting],
        why: str,
        kind: type[StoreUnavailable] = StoreUnavailable,
    ) -> None:
        for each in waiting:
            each.answer(kind(why))

    # --- health ---

    async def _recover(self, why: str) -> None:
        """Probe the store until it can write again, or the journal is closed."""
        self._set_unhealthy(why)
        while not self._closing.is_set():
            with trio.move_on_after(self._pause):
                await self._closing.wait()
                return
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            try:
                await self._run_in_thread(self._store.probe)
            except Exception as error:  # whatever it is, the store can't write yet
                why = str(error) if isinstance(error, StoreError | RuntimeError) else repr(error)
                log.warning("store still unavailable", error=why, next_probe_seconds=self._pause)
            else:
                self._set_healthy()
                return

    def _set_unhealthy(self, why: str) -> None:
        """Refuse what waits for its turn and whatever comes."""
        self._why = why
        waiting = tuple(self._queue)
        self._queue.clear()
        self._refuse(waiting, why)
        if self.healthy:
            self._well = trio.Event()
            log.error("store unavailable", error=why, refused=len(waiting))
            _tell(self.on_health, False)

    def _set_healthy(self) -> None:
        self._stalled = False
        if not self.healthy:
            self._well.set()
            log.info("store available again")
            _tell(self.on_health, True)

    async def _watch_deadlines(self) -> None:
        """A commit under way for longer than the deadline hangs, and all waiters are answered so. A long queue is no
        such sign: thousands of sessions that end at once are written one batch after the other."""
        while True:
            if not self._in_flight or self._stalled:
                await trio.sleep(self._deadline)
            elif self._begun + self._deadline > trio.current_time():
                await trio.sleep_until(self._begun + self._deadline)
            elif self._thread is not None and not self._thread.busy:
                await trio.sleep(HEAR)  # its thread has done it: this loop is late, and the disk is not
            else:
                # The writer sets this right when its thread comes back.
                self._stalled = True
                why = f"a commit took longer than {self._deadline:g} s"
                self._refuse(self._in_flight, why, CommitUnknown)
                self._set_unhealthy(why)


def _tell(callbacks: Iterable[Callable[[Any], None]], value: object) -> None:
    for callback in callbacks:
        try:
            callback(value)
        except Exception:
            log.exception("a callback of the journal failed")  # its bug; everybody's messages go on

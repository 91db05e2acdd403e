"""The journal's threads: they stay for as long as it runs, so that the way to them and back costs little.

A commit for one message alone, as they come in quiet times and from commands, takes longer on its way through
``trio.to_thread`` (a limiter, a thread's name, a context) than in the database; so does what is read of a charger that
connects.
"""

import math
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

import outcome
import trio
from attrs import define, field

R = TypeVar("R")

DONE_BYTES = 16
"""Read at once: one byte for each job, and more only where waiters were cancelled."""


class WriterThread:
    """Runs one function after the other, for one task. A daemon thread, begun with the first one: a disk that hangs
    must not keep the process from ending.

    The task waits for the thread's end of a pipe itself. By way of Trio's queue for other threads one more task would
    be woken first, in one more turn of the loop, and that for every commit.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Written | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._latest: _Written | None = None
        self._done = -1

    @property
    def busy(self) -> bool:
        """True while the thread has not come to the end of its last job. False as soon as it has, though the
        loop may not have heard of it: a loop that is late doesn't make a function slow."""
        return self._latest is not None and not self._latest.done

    async def run(self, function: Callable[..., R], *args: Any) -> R:
        """Run ``function`` in the thread, after what was given to it before; cancelling leaves it to itself.

        Raises what it raises, and RuntimeError if the system has no thread to give.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        result: R = await self.start(function, *args)
        return result

    async def start(self, function: Callable[..., Any], *args: Any) -> Any:
        """As ``run`` for a task that is not cancelled yet."""
        if self._thread is None:
            self._begin()
        job = self._latest = _Written(function, args)
        self._jobs.put(job)
        while not job.done:
            await trio.lowlevel.wait_readable(self._done)
            os.read(self._done, DONE_BYTES)
        result, job.result = job.result, None  # an exception holds its frame, and that frame the job
        assert result is not None
        return result.unwrap()

    def _begin(self) -> None:
        done, say_done = os.pipe()
        thread = threading.Thread(target=_write, args=(self._jobs, say_done), name="journal-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            os.close(done)
            os.close(say_done)
            raise
        self._thread, self._done = thread, done

    def end(self) -> None:
        """The thread ends when it has done what it was given. Not while a task waits for it."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread = None
            os.close(self._done)


@define(eq=False)
class _Written:
    """A call in the writer's thread."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    result: outcome.Outcome[Any] | None = field(default=None, init=False)
    done: bool = field(default=False, init=False)
    """Set when the thread has come to the end, however late the loop is that waits for it."""


def _write(jobs: "SimpleQueue[_Written | None]", say_done: int) -> None:
    """The writer's thread. Its end of the pipe is its own: it may outlive the loop, which closes the other one."""
    try:
        while (job := jobs.get()) is not None:
            job.result = outcome.capture(job.function, *job.args)
            job.done = True
            del job
            os.write(say_done, b"\0")
    except BrokenPipeError:
        pass  # the loop is gone, and with it all that waited
    finally:
        os.close(say_done)


class ReaderThreads:
    """Runs at most ``most`` functions at a time, the others in their order. Daemon threads, as the writer's; one more
    is begun when all are busy."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: SimpleQueue[_Read | None] = SimpleQueue()
        self._begun = 0
        self._under_way = 0
        self._ended = False

    async def run(self, function: Callable[..., R], *args: Any, seconds: float = math.inf) -> R:
        """Run ``function`` in one of the threads. Cancelled before it begins, it doesn't; later, it is left to itself.

        Raises TooSlowError where it has not come to its end in the thread within ``seconds``: what has is given,
        however late this loop is to hear of it. Raises what it raises, and RuntimeError if the system has no thread to
        give, or after ``end``.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._ended:
            raise RuntimeError("the readers' threads have ended")
        if self._under_way >= self._begun < self._most:
            self._begin()
        job = _Read(function, args, self._is_over)
        self._under_way += 1
        self._jobs.put(job)
        try:
            with trio.move_on_after(seconds):
                result: R = await trio.lowlevel.wait_task_rescheduled(job.abort)
                return result
            late = job.result
        finally:
            job.wanted, job.result = False, None
        if late is None:
            raise trio.TooSlowError
        in_time: R = late.unwrap()
        return in_time

    @property
    def under_way(self) -> int:
        """Functions that run, or wait for a thread."""
        return self._under_way

    def _begin(self) -> None:
        name = f"journal-reader-{self._begun}"
        try:
            threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True).start()
        except RuntimeError:
            if not self._begun:
                raise
        else:
            self._begun += 1

    def _is_over(self) -> None:
        self._under_way -= 1

    def end(self) -> None:
        """The threads end when they have done what they were given. Repeating it does nothing."""
        if not self._ended:
            self._ended = True
            for _ in range(self._begun):
                self._jobs.put(None)


@define(eq=False)
class _Read:
    """A call, and the task that waits for it: None once that is cancelled. Then the call is dropped, and only
    counted."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    over: Callable[[], None]
    task: trio.lowlevel.Task | None = field(factory=trio.lowlevel.current_task, init=False)
    token: trio.lowlevel.TrioToken = field(factory=trio.lowlevel.current_trio_token, init=False)
    wanted: bool = field(default=True, init=False)
    """Whether the result may still be asked for."""
    result: outcome.Outcome[Any] | None = field(default=None, init=False)
    """Dropped when it is not wanted any more: an exception holds its frame, and that frame this."""

    def run(self) -> None:
        """In the thread."""
        if self.task is None:
            self.function, self.args = _nothing, ()
        self.result = outcome.capture(self.function, *self.args)
        try:
            # No name of this frame's, which an exception's frames lead to.
            self.token.run_sync_soon(self._answer, self.result)
        except trio.RunFinishedError:
            pass  # the loop is gone, and with it all that waited
        if not self.wanted:
            self.result = None

    def abort(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _answer(self, result: outcome.Outcome[Any]) -> None:
        self.over()
        if self.task is not None:
            trio.lowlevel.reschedule(self.task, result)


def _nothing() -> None:
    pass


def _work(jobs: "SimpleQueue[_Read | None]") -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job

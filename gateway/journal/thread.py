"""The writer's thread: one for as long as the journal runs, so that a commit's way to it and back costs little.

A commit for one message alone, as they come in quiet times and from commands, takes longer on its way through
``trio.to_thread`` (a limiter, a thread's name, a context) than in the database.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

import outcome
import trio

R = TypeVar("R")


class _Job:
    """A call, and who waits for it: None once that is cancelled."""

    __slots__ = ("args", "function", "task", "token")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        self.token = trio.lowlevel.current_trio_token()

    def run(self) -> None:
        """In the thread."""
        result = outcome.capture(self.function, *self.args)
        try:
            self.token.run_sync_soon(self._answer, result)
        except trio.RunFinishedError:
            pass  # nobody is left who could want to know

    def abort(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _answer(self, result: outcome.Outcome[Any]) -> None:
        if self.task is not None:
            trio.lowlevel.reschedule(self.task, result)


class WriterThread:
    """Runs one function after the other. A daemon thread, begun with the first one: a disk that hangs must not keep the
    process from ending."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, function: Callable[..., R], *args: Any) -> R:
        """Run ``function`` in the thread, after what was given to it before; cancelling leaves it to itself.

        Raises what it raises, and RuntimeError if the system has no thread to give.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._thread is None:
            thread = threading.Thread(target=_work, args=(self._jobs,), name="journal-writer", daemon=True)
            thread.start()
            self._thread = thread
        job = _Job(function, args)
        self._jobs.put(job)
        result: R = await trio.lowlevel.wait_task_rescheduled(job.abort)
        return result

    def end(self) -> None:
        """The thread ends when it has done what it was given."""
        self._jobs.put(None)
        self._thread = None


def _work(jobs: "SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job

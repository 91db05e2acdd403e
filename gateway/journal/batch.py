"""A batch of the journal's writes: each as it was handed over, how it is answered, and the commit of them all."""

from collections.abc import Callable
from operator import attrgetter
from typing import TypeAlias

import structlog
import trio
from attrs import define

from gateway.errors import StoreUnavailable
from gateway.store.api import Store
from gateway.store.commits import Write, WriteResult

log = structlog.get_logger()

WRITE_OF = attrgetter("write")
"""The write of a ``Handed`` or ``Waiting``."""

Applied: TypeAlias = Callable[[Write, WriteResult], None]
"""Called with the outcome of a write."""

OnAnswer: TypeAlias = Callable[[Write, WriteResult | Exception], None]
"""The same, of failures too."""


@define(eq=False)
class Handed:
    """A write that was handed over by a caller that is called back, and doesn't wait."""

    write: Write
    on_answer: OnAnswer | None

    def answer(self, result: WriteResult | Exception) -> None:
        on_answer, self.on_answer = self.on_answer, None
        if on_answer is not None:  # else it was answered already that this is not known in time
            try:
                on_answer(self.write, result)
            except Exception:
                log.exception("callback of a commit failed")  # its bug; all other messages go on


@define(eq=False)
class Waiting:
    """A write that was handed over, the waiter for its answer (None: none any more), and the answer."""

    write: Write
    applied: Applied | None
    task: trio.lowlevel.Task | None
    result: WriteResult | None = None
    error: Exception | None = None

    def abort(self, _: object) -> trio.lowlevel.Abort:
        """Give the waiter up: it is cancelled."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wait_on(self, _: object) -> trio.lowlevel.Abort:
        """Keep the waiter, which is shielded: its cancellation waits until it has its answer."""
        return trio.lowlevel.Abort.FAILED

    def answer(self, result: WriteResult | Exception) -> None:
        if isinstance(result, Exception):
            self.error = result
        else:
            self.result = result
            if self.applied is not None:
                try:
                    self.applied(self.write, result)
                except Exception as error:  # a bug of one caller's, and no other's
                    self.error = error
        task, self.task = self.task, None
        if task is not None:
            trio.lowlevel.reschedule(task)


def commit_batch(store: Store, batch: list[Write]) -> list[WriteResult | Exception]:
    """Commit ``batch``, in a worker thread. If a write of it can't be, each is tried alone: one session's bug must not
    take the others' messages with it."""
    try:
        return list(store.commit(batch))
    except StoreUnavailable as error:
        return [error] * len(batch)
    except Exception as error:
        log.error("a write was refused by the store", error=repr(error), batch=len(batch))
        if len(batch) == 1:
            return [error]
    results: list[WriteResult | Exception] = []
    for write in batch:
        results += commit_batch(store, [write])
        if isinstance(results[-1], StoreUnavailable):
            # The rest was not begun, whatever became of this one.
            return results + [StoreUnavailable(str(results[-1]))] * (len(batch) - len(results))
    return results

"""A queue of callbacks from one thread to the loop of another, with one wake-up for all that waits."""

import threading
from collections.abc import Callable

import structlog

from gateway.bridge.errors import Unavailable

log = structlog.get_logger()

Callback = Callable[[], object]


class Mailbox:
    """``put`` from any thread; the callbacks run in the receiving loop, in order, and none of their exceptions gets
    out (out of Trio's ``run_sync_soon`` it would cancel every task there is).

    ``wake`` schedules a function in the receiving loop, and raises RuntimeError once that loop is over (as
    ``trio.RunFinishedError`` is). It is called when the queue goes from empty to non-empty only: a wake-up costs a
    system call, and a busy loop empties the queue at its own pace. The queue's length is bounded by its writers: a
    call puts a start and at most one cancellation, a stream no more than it has credit for.
    """

    def __init__(self, wake: Callable[[Callback], object]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[Callback] = []
        self._closed = False

    def put(self, callback: Callback) -> None:
        """Have ``callback`` run in the receiving loop. Raises Unavailable if that loop is over."""
        with self._lock:
            if self._closed:
                raise Unavailable("the other loop has ended")
            first = not self._waiting
            self._waiting.append(callback)
        if first:
            try:
                self._wake(self._deliver)
            except RuntimeError as error:
                self.close()
                raise Unavailable("the other loop has ended") from error

    def close(self) -> None:
        """Take nothing more. Callbacks that still wait are dropped."""
        with self._lock:
            self._closed = True
            self._waiting.clear()

    def _deliver(self) -> None:
        with self._lock:
            callbacks, self._waiting = self._waiting, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.exception("bridge callback failed", callback=repr(callback))

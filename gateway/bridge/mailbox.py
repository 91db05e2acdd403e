"""The two ways across, one in each direction: queues of callbacks from the threads of one loop to the other loop.

Also the errors in which a crossing can end, besides the result and the exceptions of the function that is called.
"""

import threading
from collections.abc import Callable
from functools import partial

import structlog
import trio

from gateway.errors import GatewayError

log = structlog.get_logger()

Callback = Callable[[], object]


class BridgeError(GatewayError):
    """The bridge itself could not do what was asked."""


class Unavailable(BridgeError):
    """The other loop is not there, or no longer: nothing was begun, unless it is an ``Interrupted``."""


class Interrupted(Unavailable):
    """The other loop ended while it was at it, or the call was ended from outside: what it did is not known."""


class Overloaded(BridgeError):
    """As many calls or streams as are allowed are under way; nothing was begun."""


class Mailbox:
    """A queue of callbacks to one loop, with one wake-up for all that waits.

    ``put`` from any thread; the callbacks run in the receiving loop, in order, and none of their exceptions gets
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


class Lanes:
    """The mailboxes of both loops, and the nursery where what comes across runs in Trio. Each loop sets its own."""

    def __init__(self) -> None:
        self.trio: Mailbox | None = None
        self.asyncio: Mailbox | None = None
        self.nursery: trio.Nursery | None = None
        """None: there is no bridge yet, or it is being taken down."""

    def to_trio(self, callback: Callback) -> None:
        """From asyncio: have ``callback`` run in Trio. Raises Unavailable."""
        if self.trio is None:
            raise Unavailable("the gateway has not started")
        self.trio.put(callback)

    def to_asyncio(self, callback: Callback) -> None:
        """From Trio, or any thread: have ``callback`` run in the asyncio loop. Raises Unavailable."""
        if self.asyncio is None:
            raise Unavailable("the asyncio loop has not started")
        self.asyncio.put(callback)

    def report(self, callback: Callable[..., object], *args: object) -> None:
        """As ``to_asyncio`` for ``callback(*args)``. Dropped if that loop has ended, and with it all that waited in
        it."""
        if self.asyncio is not None:
            try:
                self.asyncio.put(partial(callback, *args))
            except Unavailable:
                pass

    def request(self, callback: Callback) -> None:
        """As ``to_trio``. Dropped if Trio's part is over, and with it all that ran there."""
        if self.trio is not None:
            try:
                self.trio.put(callback)
            except Unavailable:
                pass

"""The bridge: calls and streams from asyncio into Trio, and the asyncio loop's thread as seen from Trio.

A call becomes a task in the bridge's Trio nursery; a stream a task that advances an asynchronous generator as far as
its reader has given it credit. Cancellation goes both ways: an asyncio task that is cancelled cancels the Trio scope
of what it waits for; a bridge that is cancelled in Trio ends its calls with ``Interrupted`` and cancels the asyncio
main function. ``Unavailable`` says that nothing was begun, ``Interrupted`` that what was begun has an unknown end.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar, TypeVarTuple

import structlog
import trio

from gateway.bridge.call import BridgeCall
from gateway.bridge.mailbox import Callback, Lanes, Mailbox, Overloaded, Unavailable
from gateway.bridge.stream import Stream
from gateway.bridge.thread import LoopThread, Started

log = structlog.get_logger()

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_CALLS = 4096
"""Calls under way at once. Each is a Trio task of a few kilobytes that mostly waits for a charger; more than this many
waiting callers means that something upstream repeats itself."""

MAX_STREAMS = 256
"""Streams at once. Each may hold ``STREAM_DEPTH`` items, and internal services are counted in tens."""

STREAM_DEPTH = 2
"""Items of a stream handed over and not yet taken: one being written, one ready. Items are batches already."""

STOP_SECONDS = 10.0
"""How long the asyncio thread may take to end after it was cancelled; then it is left behind, as a daemon."""


class Bridge:
    """One bridge for one run of ``run``."""

    def __init__(self, max_calls: int = MAX_CALLS, max_streams: int = MAX_STREAMS) -> None:
        self._lanes = Lanes()
        self._max_calls = max_calls
        self._max_streams = max_streams
        # asyncio's
        self._calls: set[BridgeCall[Any]] = set()
        self._interrupted = False
        self._streams = 0

    # --- in Trio ----------------------------------------------------------------------------------------------

    async def run(
        self,
        main: Callable[[Started], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the asyncio function ``main`` in a new loop and thread until it returns; raises what it raises.

        ``main`` is handed a function that reports it as started, with a value. Cancelling cancels ``main``, waits
        ``STOP_SECONDS`` for it at most, and joins the thread.
        """
        token = trio.lowlevel.current_trio_token()
        mailbox = self._lanes.trio = Mailbox(token.run_sync_soon)
        over = trio.Event()

        def started(value: object = None) -> None:
            self._lanes.request(lambda: task_status.started(value))

        thread = LoopThread(self._lanes, main, started, lambda: token.run_sync_soon(over.set))
        async with trio.open_nursery() as nursery:
            self._lanes.nursery = nursery
            thread.start()
            try:
                await over.wait()
            finally:
                await _end(thread, over)
                # From here on no answer is awaited any more.
                mailbox.close()
                self._lanes.nursery = None
                nursery.cancel_scope.cancel()
        if thread.error is not None:
            raise thread.error

    def post(self, fn: Callback) -> None:
        """Have ``fn`` run in the asyncio loop soon, from any thread. Raises Unavailable if there is no such loop."""
        self._lanes.to_asyncio(fn)

    # --- in asyncio -------------------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        """Calls under way."""
        return len(self._calls)

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return self._streams

    async def call(self, fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, timeout: float | None = None) -> T:
        """Run ``fn(*args)`` in Trio and return what it returns or raise what it raises.

        ``timeout`` in seconds: the function is cancelled then and TimeoutError raised. Raises Overloaded, Unavailable
        and Interrupted. Cancelling cancels the function, and does not wait for it to end; until then it counts.
        """
        if self._interrupted:
            raise Unavailable("the gateway is stopping")
        if len(self._calls) >= self._max_calls:
            raise Overloaded(f"{len(self._calls)} calls are under way already")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        call = BridgeCall(self._lanes, fn, args, timeout, future, self._calls.discard)
        self._lanes.to_trio(call.start)
        self._calls.add(call)
        try:
            return await future
        except asyncio.CancelledError:
            call.withdraw()
            if future.done() and not future.cancelled():
                future.exception()  # it came too late to be raised; without this asyncio would complain
            raise
        finally:
            del future  # whose exception would know this frame, and this frame it

    def interrupt(self) -> None:
        """End all calls under way, with ``Interrupted``; what runs of them in Trio is cancelled. No call is begun after
        this."""
        self._interrupted = True
        for call in tuple(self._calls):
            call.interrupt()

    def stream(self, fn: Callable[[*Ts], AsyncGenerator[T, None]], *args: *Ts, depth: int = STREAM_DEPTH) -> Stream[T]:
        """The items of the asynchronous generator ``fn(*args)``, which runs in Trio; to be used with ``async with``.

        The generator is advanced only when fewer than ``depth`` of its items wait here. Raises Overloaded and
        Unavailable.
        """
        if self._streams >= self._max_streams:
            raise Overloaded(f"{self._streams} streams are open already")
        stream: Stream[T] = Stream(self._lanes, fn, args, depth, self._stream_ended)
        self._lanes.to_trio(stream.start)
        self._streams += 1
        return stream

    def _stream_ended(self) -> None:
        self._streams -= 1


async def _end(thread: LoopThread, over: trio.Event) -> None:
    """Cancel what still runs in the thread, wait for it within bounds, and join it."""
    if not over.is_set():
        thread.cancel()
        with trio.move_on_after(STOP_SECONDS, shield=True):
            await over.wait()
    if over.is_set():
        thread.join()
    else:
        log.error("asyncio thread did not end", seconds=STOP_SECONDS)

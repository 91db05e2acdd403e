"""The bridge: calls and streams from asyncio into Trio, and the asyncio loop's thread as seen from Trio.

A call becomes a task in the bridge's Trio nursery; a stream a task that advances an asynchronous generator as far as
its reader has given it credit. Cancellation goes both ways: an asyncio task that is cancelled cancels the Trio scope
of what it waits for; a bridge that is cancelled in Trio ends its calls with ``Unavailable`` and cancels the asyncio
main function.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, TypeVarTuple

import structlog
import trio

from gateway.bridge.errors import Overloaded, Unavailable
from gateway.bridge.mailbox import Mailbox

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


class Started(Protocol):
    """How the asyncio main function says that it is up; may be called once."""

    def __call__(self, value: object = None) -> None: ...


class Bridge:
    """One bridge for one run of ``run``."""

    def __init__(self, max_calls: int = MAX_CALLS, max_streams: int = MAX_STREAMS) -> None:
        self._max_calls = max_calls
        self._max_streams = max_streams
        self._calls = 0
        self._streams = 0
        self._to_trio: Mailbox | None = None
        self._to_asyncio: Mailbox | None = None
        self._nursery: trio.Nursery | None = None

    # --- Trio's side ------------------------------------------------------------------------------------------

    async def run(
        self,
        main: Callable[[Started], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the asyncio function ``main`` in a loop and thread of its own until it returns; raises what it raises.

        ``main`` is handed a function that reports it as started, with a value. Cancelling cancels ``main``, waits
        ``STOP_SECONDS`` for it at most, and joins the thread.
        """
        token = trio.lowlevel.current_trio_token()
        self._to_trio = Mailbox(token.run_sync_soon)
        over = trio.Event()
        thread = _LoopThread(self, main, self._reporter(task_status), lambda: token.run_sync_soon(over.set))
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            thread.start()
            try:
                await over.wait()
            finally:
                if not over.is_set():
                    thread.cancel()
                    with trio.move_on_after(STOP_SECONDS, shield=True):
                        await over.wait()
                # From here on nobody waits for an answer any more.
                self._to_trio.close()
                self._nursery = None
                nursery.cancel_scope.cancel()
                if over.is_set():
                    thread.join()
                else:
                    log.error("asyncio thread did not end", seconds=STOP_SECONDS)
        if thread.error is not None:
            raise thread.error

    def post(self, fn: Callable[[], object]) -> None:
        """Have ``fn`` run in the asyncio loop soon, from any thread. Raises Unavailable if there is no such loop."""
        if self._to_asyncio is None:
            raise Unavailable("the asyncio loop has not started")
        self._to_asyncio.put(fn)

    def _reporter(self, task_status: trio.TaskStatus[Any]) -> Started:
        def started(value: object = None) -> None:
            self._put(lambda: task_status.started(value))

        return started

    # --- asyncio's side ---------------------------------------------------------------------------------------

    async def call(self, fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, timeout: float | None = None) -> T:
        """Run ``fn(*args)`` in Trio and return what it returns or raise what it raises.

        ``timeout`` in seconds: the function is cancelled then and TimeoutError raised. Raises Overloaded and
        Unavailable. Cancelling cancels the function, and does not wait for it to end; until then it counts.
        """
        if self._calls >= self._max_calls:
            raise Overloaded(f"{self._calls} calls are under way already")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        call = _Call(self, fn, args, timeout, future)
        self._put(call.start)
        self._calls += 1
        try:
            return await future
        except asyncio.CancelledError:
            call.withdraw()
            raise

    def stream(
        self, fn: Callable[[*Ts], AsyncGenerator[T, None]], *args: *Ts, depth: int = STREAM_DEPTH
    ) -> "Stream[T]":
        """The items of the asynchronous generator ``fn(*args)``, which runs in Trio; to be used with ``async with``.

        The generator is advanced only when fewer than ``depth`` of its items wait here. Raises Overloaded and
        Unavailable.
        """
        if self._streams >= self._max_streams:
            raise Overloaded(f"{self._streams} streams are open already")
        stream = Stream(self, fn, args, depth)
        self._put(stream._start)
        self._streams += 1
        return stream

    # --- between them -----------------------------------------------------------------------------------------

    def _put(self, callback: Callable[[], object]) -> None:
        """To Trio. Raises Unavailable."""
        if self._to_trio is None:
            raise Unavailable("the gateway has not started")
        self._to_trio.put(callback)

    def _report(self, callback: Callable[[], object]) -> None:
        """To asyncio; nobody to tell any more is fine."""
        try:
            self.post(callback)
        except Unavailable:
            pass  # the asyncio loop has ended, and with it everyone who waited

    def _spawn(self, fn: Callable[[], Awaitable[None]]) -> bool:
        """In Trio: start a task. False: the bridge is being taken down."""
        if self._nursery is None:
            return False
        self._nursery.start_soon(fn)
        return True

    def _call_ended(self) -> None:
        self._calls -= 1

    def _stream_ended(self) -> None:
        self._streams -= 1


class _LoopThread(threading.Thread):
    """The thread that holds the asyncio loop. A daemon: a loop that hangs must not keep the process from exiting."""

    def __init__(
        self, bridge: Bridge, main: Callable[[Started], Awaitable[None]], started: Started, over: Callable[[], None]
    ) -> None:
        super().__init__(name="asyncio", daemon=True)
        self.error: BaseException | None = None
        self._bridge = bridge
        self._main = main
        self._started_fn = started
        self._over = over
        self._cancelled = False
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()

    def run(self) -> None:
        try:
            asyncio.run(self._supervise())
        except asyncio.CancelledError:
            pass  # that is how Trio ends it
        except BaseException as error:
            self.error = error
        try:
            self._over()
        except trio.RunFinishedError:
            pass  # left behind after STOP_SECONDS: nobody waits any more

    def cancel(self) -> None:
        """From Trio: cancel the main function, once."""
        with self._lock:
            self._cancelled = True
            task = self._task
        if task is not None:
            self._bridge._report(task.cancel)

    async def _supervise(self) -> None:
        mailbox = Mailbox(asyncio.get_running_loop().call_soon_threadsafe)
        self._bridge._to_asyncio = mailbox
        with self._lock:
            if self._cancelled:
                return
            self._task = asyncio.current_task()
        try:
            await self._main(self._started_fn)
        finally:
            mailbox.close()


class _Call(Generic[T]):
    """A call under way. ``future`` belongs to asyncio; ``_scope`` to Trio."""

    def __init__(
        self,
        bridge: Bridge,
        fn: Callable[..., Awaitable[T]],
        args: tuple[Any, ...],
        timeout: float | None,
        future: "asyncio.Future[T]",
    ) -> None:
        self.future = future  # asyncio's
        self._bridge = bridge
        self._fn = fn
        self._args = args
        self._timeout = timeout
        self._scope = trio.CancelScope()

    # in asyncio
    def withdraw(self) -> None:
        if self.future.done() and not self.future.cancelled():
            self.future.exception()  # it came too late to be raised; without this asyncio would complain
            return
        try:
            self._bridge._put(self._scope.cancel)
        except Unavailable:
            pass  # Trio is over, and the function with it

    def _settle(self, result: T | None, error: BaseException | None) -> None:
        self._bridge._call_ended()
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)  # type: ignore[arg-type]

    # in Trio
    def start(self) -> None:
        if not self._bridge._spawn(self._run):
            self._tell(None, Unavailable("the gateway is stopping"))

    async def _run(self) -> None:
        if self._timeout is not None:
            self._scope.deadline = trio.current_time() + self._timeout
        result = None
        error: BaseException | None = None
        try:
            with self._scope:
                result = await self._fn(*self._args)
            if self._scope.cancelled_caught:
                error = TimeoutError(f"no result within {self._timeout} s")
        except Exception as raised:
            error = raised
        except BaseException:
            # The bridge is cancelled, or the whole program is being interrupted.
            self._tell(None, Unavailable("the gateway is stopping"))
            raise
        self._tell(result, error)

    def _tell(self, result: T | None, error: BaseException | None) -> None:
        self._bridge._report(lambda: self._settle(result, error))


class Stream(Generic[T]):
    """Items of a generator in Trio, for one reader in asyncio.

        async with bridge.stream(fn, *args) as items:
            async for item in items: ...

    Iteration raises what the generator raised, after its items; ``Unavailable`` if the gateway stops. Cancelling the
    reader is safe: an item is lost only if it was already returned. Leaving the block cancels the generator.
    """

    def __init__(
        self, bridge: Bridge, fn: Callable[..., AsyncGenerator[T, None]], args: tuple[Any, ...], depth: int
    ) -> None:
        self._bridge = bridge
        self._fn = fn
        self._args = args
        # asyncio's
        self._items: deque[T] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        # Trio's
        self._scope = trio.CancelScope()
        self._credit = trio.Semaphore(depth)

    # --- in asyncio -------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "Stream[T]":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> "Stream[T]":
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._ended:
                error, self._error = self._error, None
                raise StopAsyncIteration if error is None else error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._tell_trio(self._credit.release)
        return self._items.popleft()

    def close(self) -> None:
        """Cancel the generator and end the iteration, without waiting; what was handed over is still returned."""
        self._ended = True
        self._wake()
        self._tell_trio(self._scope.cancel)

    def _receive(self, item: T) -> None:
        if not self._ended:
            self._items.append(item)
            self._wake()

    def _end(self, error: BaseException | None) -> None:
        self._bridge._stream_ended()
        if not self._ended:
            self._ended = True
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _tell_trio(self, callback: Callable[[], object]) -> None:
        try:
            self._bridge._put(callback)
        except Unavailable:
            pass  # then its end is on the way here, too

    # --- in Trio ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._bridge._spawn(self._run):
            self._tell_asyncio(lambda: self._end(Unavailable("the gateway is stopping")))

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            with self._scope:
                await self._produce()
        except Exception as raised:
            error = raised
        except BaseException:
            self._tell_asyncio(lambda: self._end(Unavailable("the gateway is stopping")))
            raise
        self._tell_asyncio(lambda: self._end(error))

    async def _produce(self) -> None:
        async with aclosing(self._fn(*self._args)) as items:
            while True:
                await self._credit.acquire()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                self._tell_asyncio(lambda item=item: self._receive(item))  # type: ignore[misc]

    def _tell_asyncio(self, callback: Callable[[], object]) -> None:
        self._bridge._report(callback)

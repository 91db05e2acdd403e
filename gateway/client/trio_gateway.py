"""``TrioGateway``: the services of one gateway over one connection, for Trio. Needs Trio, which is the user's.

``grpc.aio`` knows asyncio alone, so gRPC's own threads do the work here: a unary call is a future whose end wakes the
task that waits for it, and takes no thread of Trio's; the next response of a stream is waited for in a worker thread
of Trio's. Cancelling a task cancels its call.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

import grpc
import trio

from gateway.api.methods import AsyncResponseStream, Method
from gateway.api.v1.async_services import Services
from gateway.client import v1
from gateway.client.connection import OPTIONS, Tls, Token, deadline_of, identify, metadata_of
from gateway.client.errors import GatewayError, problem_of
from gateway.client.repeats import Attempts
from gateway.client.tokens import TokenStore
from gateway.client.watches import Break, Resumption, resumption

Q = TypeVar("Q")
R = TypeVar("R")

STREAMS = 1_000
"""Threads that wait for streams at once: the calls that a gateway takes on a connection. One thread waits for each."""

_ENDED: Any = object()
"""Stands for the end of a stream, which a thread can't raise as StopIteration."""


class TrioStream(Generic[R]):
    """The responses of a streaming RPC: an asynchronous iterator and context manager. Raises GatewayError."""

    def __init__(self, call: Any, limiter: trio.CapacityLimiter) -> None:
        self._call, self._limiter = call, limiter

    def __aiter__(self) -> "TrioStream[R]":
        return self

    async def __anext__(self) -> R:
        try:
            response: R = await trio.to_thread.run_sync(
                next, self._call, _ENDED, abandon_on_cancel=True, limiter=self._limiter
            )
        except grpc.RpcError as error:
            raise GatewayError(problem_of(error)) from None
        except trio.Cancelled:
            self._call.cancel()  # so that the thread ends, too
            raise
        if response is _ENDED:
            raise StopAsyncIteration
        return response

    async def __aenter__(self) -> "TrioStream[R]":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """End it."""
        self._call.cancel()


class _TrioTransport:
    """Carries methods out over a channel, whose threads are gRPC's."""

    def __init__(self, channel: Any, timeout: float | None, token: Token | None, compressed: bool) -> None:
        self.channel = channel
        self._timeout, self._token, self._compressed = timeout, token, compressed
        self._limiter = trio.CapacityLimiter(STREAMS)

    async def unary(self, method: Method[Q, R], request: Q, timeout: float | None) -> R:
        identify(method, request)
        call = self._callable(self.channel.unary_unary, method)
        seconds = deadline_of(method, timeout, self._timeout)
        attempts = Attempts(method.repeatable, time.monotonic() + seconds)
        while True:
            left = max(attempts.end - time.monotonic(), 0.0)
            try:
                response: R = await _result(call.future(request, timeout=left, metadata=self._metadata()))
            except grpc.RpcError as error:
                problem = problem_of(error)
                pause = attempts.pause(problem, time.monotonic())
                if pause is None:
                    raise GatewayError(problem) from None
            else:
                return response
            await trio.sleep(pause)

    def stream(self, method: Method[Q, R], request: Q, timeout: float | None) -> TrioStream[R]:
        call = self._callable(self.channel.unary_stream, method)
        return TrioStream(call(request, timeout=timeout, metadata=self._metadata()), self._limiter)

    def both(self, method: Method[Q, R], requests: Any, timeout: float | None) -> TrioStream[R]:
        """``requests`` is read by a thread of gRPC's: an ordinary iterable, such as ``iter(queue.get, None)``."""
        call = self._callable(self.channel.stream_stream, method)
        return TrioStream(call(iter(requests), timeout=timeout, metadata=self._metadata()), self._limiter)

    def _metadata(self) -> Any:
        return metadata_of(self._token, self._compressed)

    def _callable(self, kind: Callable[..., Any], method: Method[Any, Any]) -> Any:
        return kind(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )


async def _result(future: Any) -> Any:
    """The outcome of a future of gRPC's. Cancelled: the call is, too."""
    task, token = trio.lowlevel.current_task(), trio.lowlevel.current_trio_token()
    waiting = True

    def wake() -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            trio.lowlevel.reschedule(task)

    def ended(_: Any) -> None:
        try:
            token.run_sync_soon(wake)
        except trio.RunFinishedError:
            pass  # the task that waited is gone

    def abort(_: Any) -> trio.lowlevel.Abort:
        nonlocal waiting
        waiting = False
        future.cancel()
        return trio.lowlevel.Abort.SUCCEEDED

    future.add_done_callback(ended)
    await trio.lowlevel.wait_task_rescheduled(abort)
    return future.result()


class TrioWatch(Generic[R]):
    """A watch that resumes after breaks, as ``gateway.Watch``; tokens are saved in a thread."""

    def __init__(self, begin: Callable[[Any], AsyncResponseStream[R]], state: Resumption[R]) -> None:
        self._begin, self._state = begin, state
        self._stream: AsyncResponseStream[R] | None = None
        self._loaded = False

    def __aiter__(self) -> "TrioWatch[R]":
        return self

    async def __anext__(self) -> R:
        await self.acknowledge()
        if not self._loaded:
            self._state.begin(await trio.to_thread.run_sync(self._state.tokens.load))
            self._loaded = True
        while True:
            try:
                if self._stream is None:
                    self._stream = self._begin(self._state.request)
                batch = await anext(self._stream)
            except StopAsyncIteration:
                self._stream = None
                await trio.sleep(self._state.pause_after_end())
            except GatewayError as error:
                self._stream = None
                await trio.sleep(self._state.pause(error.problem))
            else:
                self._state.arrived(batch)
                return batch

    async def acknowledge(self) -> None:
        """Save the token of the batch that was given last, without asking for another."""
        token = self._state.dealt_with()
        if token is not None:
            await trio.to_thread.run_sync(self._state.tokens.save, token)

    async def __aenter__(self) -> "TrioWatch[R]":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None


class TrioGateway(Services):
    """The services of one gateway; an asynchronous context manager, of one run of Trio.

        async with TrioGateway("127.0.0.1:50051") as gateway:
            await gateway.operations.start_charging(v1.StartChargingRequest(charge_point="CP1", id_tag="FAMILY"))

    Errors and repeats as of ``Gateway``.
    """

    def __init__(
        self,
        target: str,
        tls: Tls | None = None,
        token: Token | None = None,
        timeout: float | None = None,
        compressed: bool = False,
    ) -> None:
        """Parameters as of ``Gateway``."""
        if tls is None:
            self.channel: Any = grpc.insecure_channel(target, OPTIONS)
        else:
            self.channel = grpc.secure_channel(target, tls.credentials(), OPTIONS)
        super().__init__(_TrioTransport(self.channel, timeout, token, compressed))

    async def __aenter__(self) -> "TrioGateway":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End all calls and watches, and the connection."""
        self.channel.close()

    def watch_events(
        self, request: v1.WatchEventsRequest, tokens: TokenStore | None = None, on_break: Break | None = None
    ) -> TrioWatch[v1.WatchEventsResponse]:
        """Watch events, as ``Gateway.watch_events``."""
        return TrioWatch(self.events.watch_events, resumption(request, tokens, on_break))

    def watch_meter_values(
        self, request: v1.WatchMeterValuesRequest, tokens: TokenStore | None = None, on_break: Break | None = None
    ) -> TrioWatch[v1.WatchMeterValuesResponse]:
        """Watch meter values, as ``Gateway.watch_events``."""
        return TrioWatch(self.events.watch_meter_values, resumption(request, tokens, on_break))

    async def pages(self, rpc: Callable[[Q], Awaitable[R]], request: Q) -> AsyncIterator[R]:
        """All pages of a list, from ``request``'s on; it is moved along."""
        asked: Any = request
        while True:
            page: Any = await rpc(request)
            yield page
            if not page.next_page_token:
                return
            asked.page_token = page.next_page_token

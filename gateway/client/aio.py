"""``AsyncGateway``: the services of one gateway over one connection, for asyncio."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio

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


class AsyncStream(Generic[R]):
    """The responses of a streaming RPC: an asynchronous iterator and context manager. Raises GatewayError."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._responses = aiter(call)

    def __aiter__(self) -> "AsyncStream[R]":
        return self

    async def __anext__(self) -> R:
        try:
            response: R = await anext(self._responses)
        except grpc.RpcError as error:
            raise GatewayError(problem_of(error)) from None
        return response

    async def __aenter__(self) -> "AsyncStream[R]":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """End it."""
        self._call.cancel()


class _AsyncTransport:
    """Carries methods out over a channel of ``grpc.aio``."""

    def __init__(self, channel: Any, timeout: float | None, token: Token | None, compressed: bool) -> None:
        self.channel = channel
        self._timeout, self._token, self._compressed = timeout, token, compressed

    async def unary(self, method: Method[Q, R], request: Q, timeout: float | None) -> R:
        identify(method, request)
        call = self._callable(self.channel.unary_unary, method)
        seconds = deadline_of(method, timeout, self._timeout)
        attempts = Attempts(method.repeatable, time.monotonic() + seconds)
        while True:
            left = max(attempts.end - time.monotonic(), 0.0)
            try:
                response: R = await call(request, timeout=left, metadata=self._metadata())
            except grpc.RpcError as error:
                problem = problem_of(error)
                pause = attempts.pause(problem, time.monotonic())
                if pause is None:
                    raise GatewayError(problem) from None
            else:
                return response
            await asyncio.sleep(pause)

    def stream(self, method: Method[Q, R], request: Q, timeout: float | None) -> AsyncStream[R]:
        call = self._callable(self.channel.unary_stream, method)
        return AsyncStream(call(request, timeout=timeout, metadata=self._metadata()))

    def both(self, method: Method[Q, R], requests: AsyncIterable[Q], timeout: float | None) -> AsyncStream[R]:
        call = self._callable(self.channel.stream_stream, method)
        return AsyncStream(call(aiter(requests), timeout=timeout, metadata=self._metadata()))

    def _metadata(self) -> Any:
        return metadata_of(self._token, self._compressed)

    def _callable(self, kind: Callable[..., Any], method: Method[Any, Any]) -> Any:
        return kind(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )


class AsyncWatch(Generic[R]):
    """A watch that resumes after breaks, as ``gateway.Watch``; tokens are saved in a thread."""

    def __init__(self, begin: Callable[[Any], AsyncResponseStream[R]], state: Resumption[R]) -> None:
        self._begin, self._state = begin, state
        self._stream: AsyncResponseStream[R] | None = None
        self._loaded = False

    def __aiter__(self) -> "AsyncWatch[R]":
        return self

    async def __anext__(self) -> R:
        await self.acknowledge()
        if not self._loaded:
            self._state.begin(await asyncio.to_thread(self._state.tokens.load))
            self._loaded = True
        while True:
            try:
                if self._stream is None:
                    self._stream = self._begin(self._state.request)
                batch = await anext(self._stream)
            except StopAsyncIteration:
                self._stream = None
                await asyncio.sleep(self._state.pause_after_end())
            except GatewayError as error:
                self._stream = None
                await asyncio.sleep(self._state.pause(error.problem))
            except asyncio.CancelledError:
                self.close()
                raise
            else:
                self._state.arrived(batch)
                return batch

    async def acknowledge(self) -> None:
        """Save the token of the batch that was given last, without asking for another."""
        token = self._state.dealt_with()
        if token is not None:
            await asyncio.to_thread(self._state.tokens.save, token)

    async def __aenter__(self) -> "AsyncWatch[R]":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None


class AsyncGateway(Services):
    """The services of one gateway; an asynchronous context manager, of one event loop.

        async with AsyncGateway("127.0.0.1:50051") as gateway:
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
            self.channel: Any = grpc.aio.insecure_channel(target, OPTIONS)
        else:
            self.channel = grpc.aio.secure_channel(target, tls.credentials(), OPTIONS)
        super().__init__(_AsyncTransport(self.channel, timeout, token, compressed))

    async def __aenter__(self) -> "AsyncGateway":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all calls and watches, and the connection."""
        await self.channel.close()

    def watch_events(
        self, request: v1.WatchEventsRequest, tokens: TokenStore | None = None, on_break: Break | None = None
    ) -> AsyncWatch[v1.WatchEventsResponse]:
        """Watch events, as ``Gateway.watch_events``."""
        return AsyncWatch(self.events.watch_events, resumption(request, tokens, on_break))

    def watch_meter_values(
        self, request: v1.WatchMeterValuesRequest, tokens: TokenStore | None = None, on_break: Break | None = None
    ) -> AsyncWatch[v1.WatchMeterValuesResponse]:
        """Watch meter values, as ``Gateway.watch_events``."""
        return AsyncWatch(self.events.watch_meter_values, resumption(request, tokens, on_break))

    async def pages(self, rpc: Callable[[Q], Awaitable[R]], request: Q) -> AsyncIterator[R]:
        """All pages of a list, from ``request``'s on; it is moved along."""
        asked: Any = request
        while True:
            page: Any = await rpc(request)
            yield page
            if not page.next_page_token:
                return
            asked.page_token = page.next_page_token

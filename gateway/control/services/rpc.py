"""What all RPCs have in common: the way over the bridge, deadlines, and how failures become statuses.

Every status but OK carries ``google.rpc.ErrorInfo``; INVALID_ARGUMENT carries ``google.rpc.BadRequest`` besides. The
one place of the control plane where an exception of any kind is caught: a bug ends its RPC and nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, TypeVarTuple

import grpc
import structlog
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from gateway.bridge import Bridge, Overloaded, Stream, Unavailable
from gateway.control.failures import Failure, Status
from gateway.control.messages.reading import MAX_VIOLATIONS
from gateway.errors import StoreUnavailable

log = structlog.get_logger()

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
P = ParamSpec("P")
S = TypeVar("S", bound="Service")

ERROR_DOMAIN = "gateway.api.v1"
"""The domain of every ErrorInfo: reasons are unique within it."""

MARGIN_SECONDS = 0.25
"""The gateway answers so long before the caller's deadline: a client whose deadline passes never sees the reason."""

MAX_TEXT = 1000
"""Characters of a text in a status. All of them travel in trailing metadata, of which gRPC takes 16 kB."""

DETAILS_KEY = "grpc-status-details-bin"

STOPPING = Failure(Status.UNAVAILABLE, "DRAINING", "the gateway is stopping; nothing was sent")


class Service:
    """A service on its way over the bridge. ``default_timeout`` in seconds, for callers that set no deadline."""

    def __init__(self, bridge: Bridge, default_timeout: float) -> None:
        self._bridge = bridge
        self._default_timeout = default_timeout
        self._open: set[Stream[Any]] = set()
        self.stopped = asyncio.Event()

    def stop(self) -> None:
        """End all streams, with UNAVAILABLE; calls may finish."""
        self.stopped.set()
        for stream in tuple(self._open):
            stream.close()

    def timeout(self, context: "grpc.aio.ServicerContext[Any, Any]") -> float:
        """Seconds that are left for the work; may be negative."""
        remaining: float | None = context.time_remaining()
        return self._default_timeout if remaining is None else remaining - MARGIN_SECONDS

    async def call(
        self, context: "grpc.aio.ServicerContext[Any, Any]", fn: Callable[[*Ts], Awaitable[T]], *args: *Ts
    ) -> T:
        """Run ``fn(*args)`` in Trio, within the caller's deadline."""
        return await self._bridge.call(fn, *args, timeout=max(0.0, self.timeout(context)))

    async def stream(self, fn: Callable[[*Ts], AsyncGenerator[T, None]], *args: *Ts) -> AsyncGenerator[T, None]:
        """The items of a generator in Trio, until the gateway stops (then Failure)."""
        if self.stopped.is_set():
            raise STOPPING
        async with self._bridge.stream(fn, *args) as stream:
            self._open.add(stream)
            try:
                async for item in stream:
                    yield item
            finally:
                self._open.discard(stream)
        if self.stopped.is_set():
            raise STOPPING


Context = Any
"""grpc.aio's ServicerContext; its generic parameters are of no use here."""


def unary(
    method: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Awaitable[T]]:
    """A method ``(self, request, context)`` whose failures become statuses."""

    @wraps(method)
    async def answered(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(self, *args, **kwargs)
        except Exception as error:
            refuse(args[1], failure_of(error, method.__name__))
        return None  # type: ignore[return-value]  # gRPC sends no message where the status isn't OK

    return answered


def streaming(
    method: Callable[Concatenate[S, P], AsyncIterator[T]],
) -> Callable[Concatenate[S, P], AsyncIterator[T]]:
    """The same for a method that streams its responses."""

    @wraps(method)
    async def answered(self: S, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        try:
            async for response in method(self, *args, **kwargs):
                yield response
        except Exception as error:
            refuse(args[1], failure_of(error, method.__name__))

    return answered


def failure_of(error: Exception, rpc: str) -> Failure:
    """What a caller is told. Only what is not expected is logged, and of that nothing is told."""
    match error:
        case Failure():
            return error
        case TimeoutError():
            return Failure(Status.DEADLINE_EXCEEDED, "DEADLINE", "the gateway could not do it before the deadline")
        case Unavailable():
            return STOPPING
        case Overloaded():
            return Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", str(error))
        case StoreUnavailable():
            return Failure(Status.UNAVAILABLE, "STORE_UNAVAILABLE", "the store is unavailable")
        case _:
            log.error("rpc failed", rpc=rpc, exc_info=error)
            return Failure(Status.INTERNAL, "INTERNAL", "a bug in the gateway; its log has more")


def refuse(context: Context, failure: Failure) -> None:
    """What the RPC ends in when its handler returns.

    Not by ``context.abort``: the context keeps the exception that it raises, and the exception the handler's frame with
    the context in it, so each refusal would wait for the collector.
    """
    status = rich_status(failure)
    context.set_code(grpc.StatusCode[failure.status.value])
    context.set_details(status.message)
    context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))


def rich_status(failure: Failure) -> status_pb2.Status:
    """The status with its details, within what trailing metadata takes."""
    details: list[Any] = [
        error_details_pb2.ErrorInfo(
            reason=failure.reason,
            domain=ERROR_DOMAIN,
            metadata={key: value[:MAX_TEXT] for key, value in failure.metadata.items()},
        )
    ]
    if failure.violations:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=each.field[:200], description=each.description[:200]
                    )
                    for each in failure.violations[:MAX_VIOLATIONS]
                ]
            )
        )
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    code: int = grpc.StatusCode[failure.status.value].value[0]
    return status_pb2.Status(code=code, message=failure.message[:MAX_TEXT], details=packed)

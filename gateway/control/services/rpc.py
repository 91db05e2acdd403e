"""Parts that all RPCs share: the way over the bridge, deadlines, and how failures become statuses.

Every status but OK carries ``google.rpc.ErrorInfo``; INVALID_ARGUMENT carries ``google.rpc.BadRequest`` besides. The
one place of the control plane where an exception of any kind is caught: a bug ends its RPC and nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, TypeVarTuple

import grpc
import structlog
from attrs import frozen
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from gateway.bridge import Bridge, Overloaded, Stream, Unavailable
from gateway.control.commit_tracker import CommitTracker
from gateway.control.convert.requests import MAX_VIOLATIONS
from gateway.control.errors import Failure, Status, outcome_unknown
from gateway.control.services.deserialization import Unreadable
from gateway.domain.callers import Caller
from gateway.domain.labels import NO_LABELS, Labels
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

LAST_SECONDS = 0.05
"""So long before the caller's deadline a command is answered in any case, from asyncio's side alone: also where Trio's
loop is held up. Time enough for the answer's way to a client near by."""

MAX_TEXT = 1000
"""Characters of a text in a status. All of them travel in trailing metadata, of which gRPC takes 16 kB."""

COMPRESSION_KEY = "gateway-response-compression"
"""Metadata by which a client asks for compressed responses and streams; the value is ``gzip``. gRPC has no such header:
what a client can read is always said, and what it wants never."""

DETAILS_KEY = "grpc-status-details-bin"

CALLER: ContextVar[str] = ContextVar("caller", default="")
"""The name of the caller of the present RPC; empty: callers are not required."""

ADMITTED: ContextVar[Caller | None] = ContextVar("admitted", default=None)
"""The caller of the present unary RPC, with its roles; None: callers are not required."""

SCOPE: ContextVar[Labels] = ContextVar("scope", default=NO_LABELS)
"""The labels of the present RPC's caller, to which lists are held by their query; empty: all charge points."""


def stopping() -> Failure:
    """The answer to a call that comes while the gateway stops."""
    return Failure(Status.UNAVAILABLE, "DRAINING", "the gateway is stopping; nothing was done")


def too_late() -> Failure:
    """The answer to a call whose deadline passed before anything was done."""
    text = "the gateway could not do it before the deadline; nothing was done"
    return Failure(Status.DEADLINE_EXCEEDED, "DEADLINE", text)


@frozen
class Times:
    """Times that a caller's deadline leaves, in seconds from now.

    ``work``: to begin and do what is asked; may be negative. ``answer``: to answer what is known by then; always less
    than the caller has. ``last``: to answer without waiting for Trio's loop.
    """

    work: float
    answer: float
    last: float


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

    def times(self, context: "grpc.aio.ServicerContext[Any, Any]") -> Times:
        """Return the times that the caller's deadline leaves. Below the margin nothing is begun, but a command may be
        looked up."""
        remaining: float | None = context.time_remaining()
        if remaining is None:
            remaining = self._default_timeout + MARGIN_SECONDS
        work = remaining - MARGIN_SECONDS
        if work >= 0:
            return Times(work, remaining - MARGIN_SECONDS / 2, remaining - LAST_SECONDS)
        return Times(work, remaining / 2, remaining * (1 - LAST_SECONDS / MARGIN_SECONDS))

    async def call(
        self, context: "grpc.aio.ServicerContext[Any, Any]", fn: Callable[[*Ts], Awaitable[T]], *args: *Ts
    ) -> T:
        """Run ``fn(*args)``, which changes nothing, in Trio, within the caller's deadline."""
        async with self.in_time(context):
            return await self._bridge.call(fn, *args)

    async def change(
        self,
        context: "grpc.aio.ServicerContext[Any, Any]",
        about: dict[str, str],
        fn: Callable[[*Ts], Awaitable[T]],
        *args: *Ts,
    ) -> T:
        """The same for what changes something. ``Failure`` says that nothing was done, or OUTCOME_UNKNOWN with
        ``about`` in the metadata where that can't be known."""
        handover = CommitTracker()
        try:
            async with self.in_time(context):
                return await self._bridge.call(handover.run, fn, *args)
        except Exception as error:
            raise given_up(error, handover, about, fn.__qualname__) from error

    @asynccontextmanager
    async def in_time(self, context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncGenerator[None, None]:
        """TimeoutError where the caller's deadline leaves no (more) time."""
        seconds = self.times(context).work
        if seconds <= 0:
            raise TimeoutError
        async with asyncio.timeout(seconds):
            yield

    def until(self, context: "grpc.aio.ServicerContext[Any, Any]") -> float | None:
        """Time by which work for the caller must end, in the loop's time; None: no deadline was set, and no default
        holds for what may take as long as its size demands."""
        if context.time_remaining() is None:
            return None
        return asyncio.get_running_loop().time() + self.times(context).work

    async def stream_of_change(
        self,
        context: "grpc.aio.ServicerContext[Any, Any]",
        fn: Callable[[*Ts], AsyncGenerator[T, None]],
        *args: *Ts,
    ) -> AsyncGenerator[T, None]:
        """As ``stream``, of a generator that changes something and ends when it has; within the caller's deadline."""
        handover = CommitTracker()
        over = self.until(context)
        try:
            async with self._opened(handover.stream, fn, *args) as items:
                while True:
                    try:
                        async with asyncio.timeout_at(over):
                            item = await anext(items)
                    except StopAsyncIteration:
                        break
                    yield item
            if not items.finished:
                raise stopping()
        except Exception as error:
            raise given_up(error, handover, {}, fn.__qualname__) from error

    @asynccontextmanager
    async def stream(self, fn: Callable[[*Ts], AsyncGenerator[T, None]], *args: *Ts) -> AsyncIterator[Stream[T]]:
        """The items of a generator in Trio, to be iterated; leaving the block raises Failure if the gateway stops."""
        async with self._opened(fn, *args) as items:
            yield items
        if self.stopped.is_set():
            raise stopping()

    @asynccontextmanager
    async def _opened(self, fn: Callable[[*Ts], AsyncGenerator[T, None]], *args: *Ts) -> AsyncIterator[Stream[T]]:
        """A stream over the bridge that ends when the gateway stops. Raises Failure if it has."""
        if self.stopped.is_set():
            raise stopping()
        async with self._bridge.stream(fn, *args) as stream:
            self._open.add(stream)
            try:
                yield stream
            finally:
                self._open.discard(stream)


Context = Any
"""grpc.aio's ServicerContext; its generic parameters are of no use here."""


def unary(
    method: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Awaitable[T]]:
    """A method ``(self, request, context)`` that only reads: its failures become statuses, and its response is
    compressed for clients that ask for it."""
    answered = _answered(method, failure_of)

    @wraps(method)
    async def read(self: S, /, *args: Any, **kwargs: Any) -> T:
        if _compressed(args[1]):
            # gRPC forgets it where the metadata goes out together with a single response.
            await args[1].send_initial_metadata(())
        return await answered(self, *args, **kwargs)

    return read


def changing(
    method: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Awaitable[T]]:
    """The same for a method that changes something: after a bug it is not known what it did."""
    return _answered(method, _failure_of_change)


def changing_by(method: Callable[..., Awaitable[T]], *given: object) -> Callable[..., Awaitable[T]]:
    """The same for one that many RPCs share: ``given`` follows request and context."""
    return _answered(method, _failure_of_change, *given)


def _answered(
    method: Callable[Concatenate[S, P], Awaitable[T]], failure: Callable[[Exception, str], Failure], *given: Any
) -> Callable[Concatenate[S, P], Awaitable[T]]:
    @wraps(method)
    async def answered(self: S, /, *args: Any, **kwargs: Any) -> T:
        try:
            if isinstance(args[0], Unreadable):
                raise args[0].failure
            return await method(self, *args, *given, **kwargs)
        except Exception as error:
            refuse(args[1], failure(error, method.__name__))
        return None  # type: ignore[return-value]  # gRPC sends no message where the status isn't OK

    return answered


def streaming(
    method: Callable[Concatenate[S, P], AsyncIterator[T]],
) -> Callable[Concatenate[S, P], AsyncIterator[T]]:
    """The same for a method that streams its responses."""

    @wraps(method)
    async def answered(self: S, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        _compressed(args[1])
        try:
            if isinstance(args[0], Unreadable):
                raise args[0].failure
            async for response in method(self, *args, **kwargs):
                yield response
        except Exception as error:
            refuse(args[1], failure_of(error, method.__name__))

    return answered


def _compressed(context: Context) -> bool:
    """Have what is sent compressed, where the client asks for it in the metadata: it costs both sides more than it
    saves where they are near to each other. Returns true if so."""
    for key, value in context.invocation_metadata() or ():
        if key == COMPRESSION_KEY and value == "gzip":
            context.set_compression(grpc.Compression.Gzip)
            return True
    return False


def failure_of(error: Exception, rpc: str) -> Failure:
    """Map an exception to a failure. Unexpected ones are logged and reported as INTERNAL without details."""
    match error:
        case Failure():
            return error
        case TimeoutError():
            return too_late()
        case Unavailable():
            return stopping()
        case Overloaded():
            return Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", str(error))
        case StoreUnavailable():
            return Failure(Status.UNAVAILABLE, "STORE_UNAVAILABLE", "the store is unavailable; nothing was done")
        case _:
            log.error("rpc failed", rpc=rpc, exc_info=error)
            return Failure(Status.INTERNAL, "INTERNAL", "a bug in the gateway; its log has more")


def _failure_of_change(error: Exception, rpc: str) -> Failure:
    if isinstance(error, Failure):
        return error
    log.error("rpc failed", rpc=rpc, exc_info=error)
    return outcome_unknown(MAYBE_DONE, cause_of(error), {})


def given_up(error: Exception, handover: CommitTracker, about: dict[str, str], rpc: str) -> Failure:
    """Return the answer to the caller of a change that ended in ``error``."""
    if handover.withdraw():
        return failure_of(error, rpc)
    if cause_of(error) == "internal-error" and not isinstance(error, Failure):
        log.error("rpc failed", rpc=rpc, exc_info=error)
    return outcome_unknown(MAYBE_DONE, cause_of(error), about)


MAYBE_DONE = "it may have been done: read before it is asked for again"


def cause_of(error: Exception) -> str:
    """Return the reason why an outcome is not known, as in a command's ``reason``."""
    match error:
        case TimeoutError():
            return "deadline"
        case Unavailable() | Failure(reason="DRAINING"):
            return "draining"
        case StoreUnavailable():
            return "store-unavailable"
        case Failure():  # another one has changed or removed it since
            return "changed-since"
        case _:
            return "internal-error"


def refuse(context: Context, failure: Failure) -> None:
    """Set the status that the RPC ends in when its handler returns.

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

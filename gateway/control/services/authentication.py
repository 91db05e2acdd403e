"""Authentication of callers, and what they may call: one place before all RPCs, unary and streaming alike.

It is there only where the settings ask for callers. Nothing of a token is kept, logged or answered.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
from attrs import define

from gateway.control.access import Need, Open, need_of
from gateway.control.errors import Failure, Status
from gateway.control.jwt_callers import JwtCaller, JwtCallers
from gateway.control.services.deserialization import Unreadable
from gateway.control.services.known_callers import Admitted, Known
from gateway.control.services.refused_calls import RefusedCalls
from gateway.control.services.rpc import ADMITTED, CALLER, SCOPE, Context, failure_of, refuse
from gateway.control.services.scope import Held, OutsideOfScope, Scopes
from gateway.domain.callers import Caller, Role, token_digest
from gateway.errors import StoreUnavailable

T = TypeVar("T")

FRESH_SECONDS: Final = 10.0
"""So long callers are taken from memory, but for changes here: those of another node or of unknown outcome wait."""

LOOK_SECONDS: Final = 2.0
"""Between two looks, with open streams, at whether the callers were read so long ago, where other nodes change them."""

SCHEME: Final = "bearer "

JWT_PARTS: Final = 3
"""Of a signed JWT, with dots between them (RFC 7515 §7.1). A token of the gateway's own has one."""

LONGEST_WAIT: Final = 3600.0
"""Seconds until a stream's JWT is looked at again, at most: the wall clock may have been set meanwhile."""

KINDS: Final[Mapping[tuple[bool, bool], tuple[str, Callable[..., Any]]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}
"""Where a handler has its method and how one is made, by whether the client streams and whether the server does."""


def no_caller() -> Failure:
    """The answer to a call that shows nothing by which its caller could be known."""
    text = 'the call has neither a token ("authorization: Bearer ...") nor a client certificate'
    return Failure(Status.UNAUTHENTICATED, "CALLER_NOT_NAMED", text)


def no_such_token() -> Failure:
    """The answer to a token of no caller."""
    return Failure(Status.UNAUTHENTICATED, "TOKEN_NOT_KNOWN", "the token is not known, or was revoked")


def no_such_certificate() -> Failure:
    """The answer to a client certificate of no caller."""
    text = "no name in the client certificate is a caller's"
    return Failure(Status.UNAUTHENTICATED, "CERTIFICATE_NOT_KNOWN", text)


def revoked() -> Failure:
    """The end of a stream whose caller was revoked."""
    return Failure(Status.UNAUTHENTICATED, "CALLER_REVOKED", "the caller was revoked")


if TYPE_CHECKING:
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
else:  # generic for the type checker only
    Interceptor, Handler = grpc.aio.ServerInterceptor, grpc.RpcMethodHandler


@define(eq=False)
class OpenStream:
    """A stream of a caller's. ``waiting``: its task is inside the method, where it may be cancelled."""

    caller: Caller
    task: "asyncio.Task[Any]"
    shown: JwtCaller | None = None
    """The JWT that it was let in by; None: it is made known."""
    waiting: bool = False
    ended: Failure | None = None
    timer: asyncio.TimerHandle | None = None

    def is_over(self) -> bool:
        """Return true if the caller is not let in any more: it may be at any await."""
        return self.ended is not None

    def end(self, failure: Failure) -> None:
        """End it, with this status."""
        self.ended = failure
        if self.waiting:
            self.task.cancel()


class Authentication(Interceptor):
    """All RPCs pass it. ``read`` gets the callers from the store."""

    def __init__(
        self,
        read: Callable[[], Awaitable[list[Caller]]],
        scopes: Scopes,
        refused: RefusedCalls,
        jwt: JwtCallers | None = None,
    ) -> None:
        self._read = read
        self._scopes = scopes
        self._refused = refused
        self._jwt = jwt
        self._known: Known | None = None
        self._read_at = 0.0
        self._version = 0
        self._reading = asyncio.Lock()
        self._guarded: dict[str, Handler] = {}
        self._streams: set[OpenStream] = set()

    # --- who it is ------------------------------------------------------------------------------------------------

    async def changed(self) -> None:
        """Learn of other callers, and end the streams of those that are no more. Raises nothing: where the store can't
        be read, it is read before the next call."""
        self._version += 1
        self._known = None
        try:
            await self._callers()
        except Exception as error:
            failure_of(error, "callers")  # logs what is a bug

    async def follow(self) -> None:
        """End streams of callers that another gateway on the same store has revoked, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if any(stream.shown is None for stream in self._streams):
                try:
                    await self._callers()
                except Exception as error:
                    failure_of(error, "callers")  # logs what is a bug

    async def _callers(self) -> Known:
        if self._known is not None and self._fresh():
            return self._known
        async with self._reading:
            if self._known is not None and self._fresh():
                return self._known
            while True:
                now = asyncio.get_running_loop().time()
                version = self._version
                try:
                    fresh = Known.of(await self._read())
                except StoreUnavailable:
                    # While the store takes nothing, no caller is revoked; but for what was changed just before.
                    if self._known is None:
                        raise
                    return self._known
                if version == self._version:
                    self._known, self._read_at = fresh, now
                    self._end_streams(fresh)
                    return fresh

    def _fresh(self) -> bool:
        return asyncio.get_running_loop().time() - self._read_at < FRESH_SECONDS

    def _end_streams(self, known: Known) -> None:
        for stream in tuple(self._streams):
            if stream.shown is None and not known.has(stream.caller):
                stream.end(revoked())

    def look_at_tokens(self) -> None:
        """End the streams whose JWT is not taken any more, because it has expired or its key is gone."""
        for stream in tuple(self._streams):
            if stream.shown is not None:
                self._look(stream, stream.shown)

    def _look(self, stream: OpenStream, shown: JwtCaller) -> None:
        """End a stream if its JWT is over, else look again at the JWT's end."""
        assert self._jwt is not None, "it has let the caller in"
        over = self._jwt.why_over(shown)
        if stream.timer is not None:
            stream.timer.cancel()
        if over is not None:
            stream.end(over)
            return
        seconds = min(max(self._jwt.remaining(shown), 0.0), LONGEST_WAIT)
        stream.timer = asyncio.get_running_loop().call_later(seconds, self._look, stream, shown)

    async def _admitted(self, need: Need, context: Context) -> Admitted:
        """The caller, if it may call this. Raises ``Failure``, ``StoreUnavailable`` and what the bridge raises."""
        token = _token(context)
        if token is not None and self._jwt is not None and len(token.split(".")) == JWT_PARTS:
            shown = self._jwt.caller(token)
            return Admitted(_with_role(shown.caller, need), shown)
        names = [] if token is not None else _certificate_names(context)
        if token is None and not names:
            raise no_caller()
        known = await self._callers()
        caller: Caller | None
        if token is not None:
            digest = token_digest(token)
            caller = None if digest is None else known.by_token.get(digest)
        else:
            caller = next((known.by_certificate[name] for name in names if name in known.by_certificate), None)
        if caller is None:
            raise no_such_token() if token is not None else no_such_certificate()
        return Admitted(_with_role(caller, need))

    async def _admit(self, method: str, need: Need, request: Any, context: Context) -> Admitted | None:
        """The same; None: the call is refused, and its status is set."""
        try:
            return await self._admitted(need, context)
        except Exception as error:
            failure = failure_of(error, method)
            self._refused.note(method, failure, context, request)
            refuse(context, failure)
            return None

    async def recognise(self, method: str, context: Context) -> None:
        """Raise ``Failure`` unless a caller that is known calls a method, whatever its roles: before more of a request
        is read than a stranger may have read."""
        try:
            await self._admitted(Open.TO_CALLERS, context)
        except Exception as error:
            failure = failure_of(error, method)
            self._refused.note(method, failure, context, None)
            raise failure from None

    # --- before each RPC ------------------------------------------------------------------------------------------

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the method's handler, guarded; None for a method that there is not."""
        method = handler_call_details.method
        guarded = self._guarded.get(method)
        if guarded is None:
            handler = await continuation(handler_call_details)
            need = need_of(method)
            if handler is None or need is Open.TO_ALL:
                return handler
            # As many as there are methods: for others there is no handler.
            guarded = self._guarded[method] = self._guard(method, need, handler)
        return guarded

    def _guard(self, method: str, need: Need, handler: Any) -> Handler:
        name, make = KINDS[handler.request_streaming, handler.response_streaming]
        guard = self._guarded_stream if handler.response_streaming else self._guarded_call
        guarded = guard(method, need, getattr(handler, name))
        made: Handler = make(guarded, handler.request_deserializer, handler.response_serializer)
        return made

    def _guarded_call(self, method: str, need: Need, behaviour: Callable[..., Awaitable[Any]]) -> Any:
        async def call(request: Any, context: Context) -> Any:
            admitted = await self._admit(method, need, request, context)
            if admitted is None:
                return None  # gRPC sends no message where the status isn't OK
            caller = admitted.caller
            CALLER.set(caller.name)  # each call has a task, and so a context, of its own
            ADMITTED.set(caller)
            if not caller.scope or need is Open.TO_CALLERS or isinstance(request, Unreadable):
                return await behaviour(request, context)
            SCOPE.set(caller.scope)
            held = await self._hold(caller, method, request, context)
            if held is None:
                return None
            response = await behaviour(request, context)
            return await self._in_scope(self._scopes.narrow(held, method, response), method, context)

        return call

    async def _hold(self, caller: Caller, method: str, request: Any, context: Context) -> Held | None:
        """Hold a call to its caller's scope; None: it is refused, and its status is set."""
        try:
            return await self._scopes.hold(caller, method, request)
        except Exception as error:
            failure = failure_of(error, method)
            if isinstance(failure, OutsideOfScope) or failure.status is Status.PERMISSION_DENIED:
                self._refused.note(method, failure, context, request, caller.name)
            refuse(context, failure)
            return None

    async def _in_scope(self, looking: Awaitable[T], method: str, context: Context) -> T | None:
        try:
            return await looking
        except Exception as error:
            refuse(context, failure_of(error, method))
            return None

    def _guarded_stream(self, method: str, need: Need, behaviour: Callable[..., AsyncIterator[Any]]) -> Any:
        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            admitted = await self._admit(method, need, request, context)
            if admitted is None:
                return
            caller = admitted.caller
            CALLER.set(caller.name)
            SCOPE.set(caller.scope)
            held = None
            if caller.scope and need is not Open.TO_CALLERS and not isinstance(request, Unreadable):
                held = await self._hold(caller, method, request, context)
                if held is None:
                    return
            task = asyncio.current_task()
            assert task is not None  # gRPC runs each call in one
            opened = OpenStream(caller, task, admitted.shown)
            self._streams.add(opened)
            if admitted.shown is not None:
                self._look(opened, admitted.shown)
            try:
                async with aclosing(self._until_revoked(opened, behaviour(request, context))) as items:
                    async for item in items:
                        if held is not None and not await self._still(held, method, context):
                            return
                        if not opened.is_over():
                            yield item
            finally:
                self._streams.discard(opened)
                if opened.timer is not None:
                    opened.timer.cancel()
            if opened.ended is not None:
                refuse(context, opened.ended)

        return stream

    async def _still(self, held: Held, method: str, context: Context) -> bool:
        """Return true if a stream is still within its caller's scope; otherwise its status is set."""
        return await self._in_scope(self._scopes.recheck(held), method, context) is not None

    async def _until_revoked(self, opened: OpenStream, items: Any) -> AsyncGenerator[Any, None]:
        """The items of a method, none of them after its caller was revoked."""
        async with aclosing(items):
            while not opened.is_over():
                opened.waiting = True
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                except asyncio.CancelledError:
                    if not opened.is_over():
                        raise
                    opened.task.uncancel()
                    return
                finally:
                    opened.waiting = False
                if not opened.is_over():
                    yield item


def _with_role(caller: Caller, need: Need) -> Caller:
    """The caller, if it may call what needs this. Raises ``Failure``."""
    if isinstance(need, Role) and not caller.may(need):
        raise Failure(
            Status.PERMISSION_DENIED,
            "ROLE_MISSING",
            f"the caller {caller.name} lacks the role {need}",
            {"caller": caller.name, "role": need.value},
        )
    return caller


def _token(context: Context) -> str | None:
    """The token of a call, None where it has no such metadata. Another scheme is a token that is not known."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            text = value if isinstance(value, str) else ""
            return text[len(SCHEME) :].strip() if text.lower().startswith(SCHEME) else ""
    return None


def _certificate_names(context: Context) -> list[str]:
    """The names in the client certificate that gRPC has verified: the alternative names, then the common name."""
    found: Mapping[str, Iterable[bytes]] = context.auth_context() or {}
    names = [*found.get("x509_subject_alternative_name", ()), *found.get("x509_common_name", ())]
    return [name.decode("utf-8", "replace") for name in names]

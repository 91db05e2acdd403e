"""One call over HTTP: from a request to the method that it asks for, and to the answer.

The method is the one that gRPC calls, with all that stands before it. Every request has a task of its own, as each RPC
has: the caller's name and scope are kept in its context.
"""

import asyncio
import ipaddress
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, Final, TypeVar

import grpc
from attrs import field, frozen
from google.protobuf.message import Message

from gateway.control.errors import Failure, Status
from gateway.control.http.context import HttpContext, Peer
from gateway.control.http.messages import from_json, from_query, malformed, message_of, resume, to_json
from gateway.control.http.methods import HttpMethod, MethodTable, reads
from gateway.control.http.statuses import as_bytes, error_of, error_of_failure
from gateway.control.http.streams import StreamFormat
from gateway.control.services.deserialization import Unreadable
from gateway.control.services.rpc import failure_of, stopping

MAX_STREAMS: Final = 128
"""At once: half of what the bridge carries, so that clients over gRPC are not without one."""

FIRST_SECONDS: Final = 1.0
"""For the first message of a stream, so that one that is refused has a code that says so; then the head goes out."""

ALIVE_SECONDS: Final = 15.0
"""Between signs of life in a silent stream: proxies give up a connection after a minute without a byte."""

ASIDE_BYTES: Final = 16 * 1024
"""Larger messages are put into JSON, or read from it, in a thread: a page of a thousand takes a tenth of a second."""

TIMEOUT: Final = "connect-timeout-ms"
"""The header of the caller's deadline, as the Connect protocol has it: milliseconds, ten digits at most."""

JSON: Final = "application/json"

T = TypeVar("T")


@frozen
class HttpRequest:
    """A request, its body read. ``headers`` by their names in lower case; ``url`` is the path and the query."""

    method: str
    url: str
    headers: Mapping[str, str]
    peer: Peer
    body: bytes = b""


@frozen
class HttpAnswer:
    """An answer: a body, or the parts of one."""

    code: int
    body: bytes = b""
    parts: AsyncGenerator[bytes, None] | None = None
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = field(default=())


class HttpCalls:
    """Calls of the methods of a table. Belongs to asyncio's loop.

    ``stopped`` is true once the gateway stops. ``local``: the interface is a trial on loopback, without callers; then
    only requests to a host that is this machine by its name are answered, so that no page of the web can be one that
    resolves to it.
    """

    def __init__(self, table: MethodTable, stopped: Callable[[], bool], local: bool) -> None:
        self._table = table
        self._stopped = stopped
        self._local = local
        self._streams = 0
        self._aside = ThreadPoolExecutor(1, "http-json")

    def close(self) -> None:
        """Let the thread end."""
        self._aside.shutdown(wait=False)

    async def check(self, request: HttpRequest) -> HttpMethod:
        """The method that a request asks for, before its body is read. Raises ``Failure``."""
        if self._stopped():
            raise stopping()
        path, _, query = request.url.partition("?")
        method = await self._table.find(path)
        if self._local and not _is_this_machine(request.headers.get("host", "")):
            raise malformed("the header Host names another machine, and callers are not required")
        if request.method == "GET" and reads(method.name):
            return method
        if request.method != "POST":
            raise WrongVerb("GET, POST" if reads(method.name) else "POST")
        if query:
            raise malformed("parameters go with GET; a POST has a body")
        # A page of the web can send other types to any address without being asked: this one it can't.
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise malformed(f"the header Content-Type must be {JSON}")
        return method

    async def recognise(self, method: HttpMethod, request: HttpRequest) -> None:
        """Raise ``Failure`` for a request of no known caller, where callers are asked for."""
        await self._table.recognise(method, HttpContext(request.peer, tuple(request.headers.items())))

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """Call a method. Raises nothing; cancelling cancels the call."""
        context = HttpContext(request.peer, ())
        try:
            method = await self.check(request)
            context = HttpContext(request.peer, tuple(request.headers.items()), _deadline(request.headers))
            message = await self._request(method, request)
            if method.streams:
                return await self._stream(method, message, context, StreamFormat.of(request.headers.get("accept", "")))
            response = await method.call(message, context)
            if context.code is not grpc.StatusCode.OK:
                return _refusal(*error_of(context))
            return HttpAnswer(200, await self._json(message_of(method.descriptor.output_type, response)))
        except Exception as error:
            return refused(error, context)

    # --- requests and responses -----------------------------------------------------------------------------------

    async def _request(self, method: HttpMethod, request: HttpRequest) -> Message | Unreadable:
        """The message of a request. One that can't be read is refused by the method, behind the authentication."""
        try:
            return await self._read(method, request)
        except Failure as failure:
            return Unreadable(failure)

    async def _read(self, method: HttpMethod, request: HttpRequest) -> Message:
        descriptor = method.descriptor.input_type
        if request.method == "GET":
            message = from_query(descriptor, request.url.partition("?")[2])
        elif len(request.body) <= ASIDE_BYTES:
            message = from_json(descriptor, request.body)
        else:
            message = await self._in_thread(from_json, descriptor, request.body)
        last = request.headers.get("last-event-id", "")
        if last and method.resumes:
            resume(message, last)
        return message

    async def _json(self, message: Message) -> bytes:
        return await self._put(to_json, message)

    async def _put(self, write: Callable[..., bytes], message: Message, *more: Any) -> bytes:
        """Have a message written, a large one in a thread."""
        if message.ByteSize() <= ASIDE_BYTES:
            return write(message, *more)
        return await self._in_thread(write, message, *more)

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._aside, function, *args)

    # --- streams --------------------------------------------------------------------------------------------------

    async def _stream(
        self, method: HttpMethod, message: Message | Unreadable, context: HttpContext, to: StreamFormat
    ) -> HttpAnswer:
        if self._streams >= MAX_STREAMS:
            text = f"{self._streams} streams over HTTP are open already"
            raise Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", text)
        pump = Pump(self._responses(method, message, context, to))
        self._streams += 1
        pump.task.add_done_callback(self._stream_ended)
        try:
            first = await pump.next(FIRST_SECONDS)
        except BaseException:
            await pump.stop()
            raise
        if first is None and context.code is not grpc.StatusCode.OK:
            await pump.stop()
            return _refusal(*error_of(context))
        return HttpAnswer(200, parts=_parts(pump, first, context, to), content_type=to.value)

    def _stream_ended(self, task: "asyncio.Task[None]") -> None:
        self._streams -= 1

    async def _responses(
        self, method: HttpMethod, message: Message | Unreadable, context: HttpContext, to: StreamFormat
    ) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(method.call(message, context)) as responses:
                async for response in responses:
                    if response is not None:
                        found = message_of(method.descriptor.output_type, response)
                        token = getattr(found, "resume_token", b"") if method.resumes else b""
                        yield await self._put(to.message, found, token)
        except Exception as error:
            error_of_failure(failure_of(error, method.name), context)


class WrongVerb(Failure):
    """A method is asked for by a verb that it does not take; ``allowed`` are those that it does."""

    def __init__(self, allowed: str) -> None:
        super().__init__(Status.INVALID_ARGUMENT, "MALFORMED_REQUEST", f"the method takes {allowed}")
        self.allowed = allowed


class Pump:
    """A task that runs a generator, one item ahead of its reader at most.

    The generator has one task for as long as it runs, as it has under gRPC: who ends a stream cancels that.
    """

    def __init__(self, items: AsyncGenerator[bytes, None]) -> None:
        self._ready: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self.task = asyncio.create_task(self._run(items))

    async def _run(self, items: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(items):
            async for item in items:
                await self._ready.put(item)
        await self._ready.put(None)

    async def next(self, seconds: float) -> bytes | None:
        """The next item; None: there is none any more, empty: there is none yet."""
        try:
            async with asyncio.timeout(seconds):
                return await self._ready.get()
        except TimeoutError:
            return b""

    async def stop(self) -> None:
        """End the generator, if it has not ended."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def _parts(
    pump: Pump, first: bytes | None, context: HttpContext, to: StreamFormat
) -> AsyncGenerator[bytes, None]:
    """The body of a stream. Closing it ends the call."""
    item = first
    try:
        yield to.opening
        while item is not None:
            yield item or to.alive
            item = await pump.next(ALIVE_SECONDS)
        yield to.end if context.code is grpc.StatusCode.OK else to.failure(error_of(context)[1])
    finally:
        await pump.stop()


def refused(error: Exception, context: HttpContext) -> HttpAnswer:
    """The answer to a request that no method was called for."""
    code, body = error_of_failure(failure_of(error, "http"), context)
    if isinstance(error, WrongVerb):
        body["error"]["code"] = 405
        return HttpAnswer(405, as_bytes(body), headers=(("allow", error.allowed),))
    return _refusal(code, body)


def _refusal(code: int, body: Mapping[str, Any]) -> HttpAnswer:
    return HttpAnswer(code, as_bytes(body), headers=(("www-authenticate", "Bearer"),) if code == 401 else ())


def _deadline(headers: Mapping[str, str]) -> float | None:
    given = headers.get(TIMEOUT)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 10):
        raise malformed(f"the header {TIMEOUT}: expected milliseconds, in at most ten digits")
    return asyncio.get_running_loop().time() + int(given) / 1000


def _is_this_machine(host: str) -> bool:
    """Return true if a Host header has an address, or localhost: no name that another machine resolves."""
    name = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

"""One connection of HTTP/1.1: requests one after the other, each within its bounds.

``h11`` speaks the protocol. All that a client can make the gateway wait for has an end here: its head, its body, its
reading. A client that leaves cancels its call, as it does over gRPC.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

import h11
import structlog
from attrs import define, field, frozen

from gateway.asyncio_listener import Incoming, Stage
from gateway.control.errors import Failure, Status
from gateway.control.http.calls import ASIDE_BYTES, TIMEOUT, HttpAnswer, HttpCalls, HttpRequest, refused
from gateway.control.http.context import HttpContext, Peer
from gateway.control.http.messages import malformed
from gateway.control.http.methods import HttpMethod
from gateway.control.services.deserialization import MAX_REQUEST_BYTES

log = structlog.get_logger()

MAX_HEAD_BYTES: Final = 32 * 1024
"""Of a request line and its headers: a JWT has 8 kB at most, and a watch of many charge points is a POST."""

MAX_BODIES_BYTES: Final = 64 * 1024 * 1024
"""Of all bodies that are being read or called: sixteen of the largest."""

ONCE: Final = frozenset({"authorization", "content-type", "last-event-id", TIMEOUT})
"""Headers that decide something: given twice, they contradict each other."""

READ_BYTES: Final = 64 * 1024
"""Of one read, and of one write."""

UNREAD_BYTES: Final = 32 * 1024 * 1024
"""Of a refused request that are thrown away as they come. Most clients read no answer before they have sent all."""


@frozen
class HttpTimes:
    """Seconds that a client has: for the first byte of a request on an open connection, for the head, for the body, to
    take 64 kB of an answer, and to leave: once its request was refused, and once its connection is closed."""

    idle: float = 75.0
    head: float = 10.0
    body: float = 30.0
    write: float = 30.0
    leave: float = 5.0


@define
class BodyBudget:
    """Bytes of bodies that are held at once."""

    left: int = MAX_BODIES_BYTES

    def take(self, size: int) -> None:
        """Take some. Raises ``Failure`` if there are none left."""
        if size > self.left:
            raise Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "too many requests are being read")
        self.left -= size


@define(eq=False)
class HttpConnection:
    """One client's connection, once TLS is agreed on. ``clock``: the wall clock, for the header Date."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _calls: HttpCalls
    _peer: Peer
    _incoming: Incoming
    _times: HttpTimes
    _budget: BodyBudget
    _clock: Callable[[], datetime]
    _state: h11.Connection = field(factory=lambda: h11.Connection(h11.SERVER, MAX_HEAD_BYTES), init=False)
    _held: int = field(default=0, init=False)
    _asked: bool = field(default=False, init=False)
    """Whether a request is being read or answered."""
    _closing: bool = field(default=False, init=False)
    _bodiless: bool = field(default=False, init=False)
    """Whether the request is a HEAD, whose answer has no body (RFC 9110 §9.3.2)."""
    _over: "asyncio.Task[None] | None" = field(default=None, init=False)
    """Done when the connection is over; made when something waits for that."""

    async def serve(self, refusal: Failure | None = None) -> None:
        """Answer requests until the client leaves, breaks the protocol or is too slow. ``refusal``: the answer to the
        first request, whatever it is. Cancelling ends the call that is under way."""
        try:
            if refusal is not None:
                await self._refuse(refusal)
            else:
                while await self._one():
                    pass
        except (OSError, TimeoutError, h11.LocalProtocolError, asyncio.CancelledError) as error:
            self._abort()  # nothing of what is not written yet is waited for
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception:
            log.exception("http connection failed")
            self._abort()
        finally:
            self._give_back()
            self._incoming.stage = Stage.CLOSING
            await self._leave()

    def close(self) -> None:
        """Take no more requests: end an idle connection now, another one after its answer."""
        self._closing = True
        if not self._asked:
            self._writer.close()

    def _abort(self) -> None:
        """End the connection with whatever is not written yet. One that is over already has no loop any more, and its
        transport would fail on it."""
        held = self._writer.get_extra_info("socket")
        if held is not None and held.fileno() >= 0:
            self._writer.transport.abort()

    async def _leave(self) -> None:
        """Close the connection, and wait until it is closed: what is written and that the client does not take would
        keep it open without end. Cancelling ends it at once."""
        self._writer.close()
        over = self._end()
        try:
            await asyncio.wait((over,), timeout=self._times.leave)
        finally:
            if not over.done():
                self._abort()
                over.cancel()

    # --- one request ----------------------------------------------------------------------------------------------

    async def _one(self) -> bool:
        """Read a request and answer it; false: the connection is over."""
        try:
            request = await self._read()
            if request is None:
                return False
        except h11.RemoteProtocolError as error:
            return await self._refuse_unread(malformed(str(error)))
        except Failure as failure:
            return await self._refuse_unread(failure)
        exchange = asyncio.create_task(self._exchange(request))
        gone = asyncio.create_task(self._gone())
        self._incoming.stage = Stage.BUSY
        try:
            await asyncio.wait((exchange, gone), return_when=asyncio.FIRST_COMPLETED)
            if not exchange.done():
                return False
            exchange.result()
        finally:
            exchange.cancel()
            gone.cancel()
            await asyncio.gather(exchange, gone, return_exceptions=True)
            self._incoming.stage = Stage.IDLE
            self._give_back()
        if self._closing or self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        self._asked = False
        return True

    async def _read(self) -> HttpRequest | None:
        """The next request; None: there is none. Raises ``Failure`` and h11's error for one that is refused."""
        if self._state.trailing_data[0] == b"":
            try:
                async with asyncio.timeout(self._times.idle):
                    self._state.receive_data(await self._reader.read(READ_BYTES))
            except TimeoutError:
                return None
        self._asked = True
        async with asyncio.timeout(self._times.head):
            event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        headers: dict[str, str] = {}
        for name, value in event.headers:
            key, text = name.decode("ascii"), value.decode("latin-1")
            if key in ONCE and key in headers:
                raise malformed(f"the header {key} is there twice")
            headers[key] = text
        self._bodiless = event.method == b"HEAD"
        request = HttpRequest(event.method.decode("ascii"), event.target.decode("ascii"), headers, self._peer)
        method = await self._calls.check(request)
        if self._state.they_are_waiting_for_100_continue:
            await self._write(self._sent(h11.InformationalResponse(status_code=100, headers=[])))
        async with asyncio.timeout(self._times.body):
            body = await self._body(method, request)
        return HttpRequest(request.method, request.url, headers, self._peer, body)

    async def _body(self, method: HttpMethod, request: HttpRequest) -> bytes:
        body, recognised = bytearray(), False
        while isinstance(event := await self._event(), h11.Data):
            if len(body) + len(event.data) > MAX_REQUEST_BYTES:
                text = f"the request has more bytes than are read: {MAX_REQUEST_BYTES:,}"
                metadata = {"limit": str(MAX_REQUEST_BYTES)}
                raise Failure(Status.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", text, metadata)
            self._budget.take(len(event.data))
            self._held += len(event.data)
            body += event.data
            if len(body) > ASIDE_BYTES and not recognised:
                await self._calls.recognise(method, request)  # no more is read of a stranger's
                recognised = True
        return bytes(body)

    async def _event(self) -> Any:
        while (event := self._state.next_event()) is h11.NEED_DATA:
            self._state.receive_data(await self._reader.read(READ_BYTES))
        return event

    async def _gone(self) -> None:
        """Return when the client has left. What it sends ahead of answers is kept, but not without end."""
        ahead = len(self._state.trailing_data[0])  # of all requests that wait, not of each
        with suppress(OSError):
            while ahead < READ_BYTES and (data := await self._reader.read(READ_BYTES)):
                self._state.receive_data(data)
                ahead += len(data)
        if ahead >= READ_BYTES:
            await asyncio.wait((self._end(),))  # it is behind what is not read

    def _end(self) -> "asyncio.Task[None]":
        """One task for the connection, done when that is over: each exchange may wait for it."""
        if self._over is None:
            self._over = asyncio.create_task(self._closed())
        return self._over

    async def _closed(self) -> None:
        with suppress(OSError):
            await self._writer.wait_closed()

    def _give_back(self) -> None:
        self._budget.left += self._held
        self._held = 0

    # --- its answer -----------------------------------------------------------------------------------------------

    async def _exchange(self, request: HttpRequest) -> None:
        await self._send(await self._calls.answer(request))

    async def _refuse_unread(self, failure: Failure) -> bool:
        """Refuse a request of which not all was read, and be done with the connection: false. What is still being sent
        is thrown away for a while: closed on it, the connection would be reset, and the answer lost with it."""
        await self._refuse(failure)
        self._asked = False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._times.leave):
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                left = UNREAD_BYTES
                while left > 0 and (data := await self._reader.read(READ_BYTES)):
                    left -= len(data)
        return False

    async def _refuse(self, failure: Failure) -> None:
        self._closing = True  # what there is of the request is not read
        await self._send(refused(failure, HttpContext(self._peer, ())))

    async def _send(self, answer: HttpAnswer) -> None:
        headers = [
            ("date", format_datetime(self._clock(), usegmt=True)),
            ("content-type", answer.content_type),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            *answer.headers,
        ]
        if answer.parts is None:
            headers.append(("content-length", str(len(answer.body))))
        else:
            headers.append(("x-accel-buffering", "no"))  # or nginx would keep events back
        if self._closing:
            headers.append(("connection", "close"))
        head = self._sent(h11.Response(status_code=answer.code, headers=headers))
        if answer.parts is None:
            data = b"" if self._bodiless else self._sent(h11.Data(answer.body))
            await self._write(head + data + self._sent(h11.EndOfMessage()))
            return
        async with aclosing(answer.parts) as parts:
            await self._write(head)
            async for part in parts:
                if part:
                    await self._write(self._sent(h11.Data(part)))
        await self._write(self._sent(h11.EndOfMessage()))

    def _sent(self, event: Any) -> bytes:
        return self._state.send(event) or b""

    async def _write(self, data: bytes) -> None:
        """Write, as fast as the client reads. Raises TimeoutError for one that does not."""
        for start in range(0, len(data), READ_BYTES):
            self._writer.write(data[start : start + READ_BYTES])
            async with asyncio.timeout(self._times.write):
                await self._writer.drain()

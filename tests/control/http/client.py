"""A client of HTTP/1.1 by h11 over Trio, which shows what comes as it comes."""

import base64
import fcntl
import json
import ssl
import sys
import termios
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import h11
import trio
from attrs import define, field, frozen

from gateway.app.from_settings import http_context
from gateway.control.http.connection import HttpTimes
from gateway.control.http.server import HttpSettings
from gateway.control.server import ControlSettings

JSON = {"content-type": "application/json"}
EVENTS = {"accept": "text/event-stream"}


def settings(times: HttpTimes | None = None, **options: Any) -> ControlSettings:
    """Settings of a control interface with HTTP on a port of its own."""
    http = HttpSettings(http_context, port=0, times=times or HttpTimes())
    return ControlSettings(port=0, idle=0.2, http=http, **options)


@frozen
class Answer:
    """A whole answer."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def ending(self) -> tuple[int, str, str]:
        """Code, gRPC's status and reason of an error."""
        error = self.json["error"]
        assert error["code"] == self.code
        return self.code, error["status"], error["details"][0]["reason"]


@define
class HttpClient:
    """One connection."""

    stream: trio.abc.Stream
    state: h11.Connection = field(factory=lambda: h11.Connection(h11.CLIENT))

    async def send(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a request."""
        named = {"host": "localhost", "content-length": str(len(body)), **(headers or {})}
        head = self.state.send(h11.Request(method=method, target=url, headers=list(named.items())))
        data = self.state.send(h11.Data(body)) if body else b""
        await self.stream.send_all((head or b"") + (data or b"") + (self.state.send(h11.EndOfMessage()) or b""))

    async def event(self) -> Any:
        """The next event, by h11."""
        while (event := self.state.next_event()) is h11.NEED_DATA:
            self.state.receive_data(await self.stream.receive_some(65536))
        return event

    async def head(self) -> tuple[int, dict[str, str]]:
        """The head of the answer."""
        event = await self.event()
        while isinstance(event, h11.InformationalResponse):
            event = await self.event()
        assert isinstance(event, h11.Response), event
        return event.status_code, {name.decode(): value.decode() for name, value in event.headers}

    async def part(self) -> bytes | None:
        """The next part of the body as it comes; None: it has ended."""
        event = await self.event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), event
        return None

    async def rest(self) -> bytes:
        """The body to its end."""
        found = b""
        while (part := await self.part()) is not None:
            found += part
        return found

    async def until(self, words: bytes) -> bytes:
        """The body until some words have come."""
        found = b""
        while words not in found:
            part = await self.part()
            assert part is not None, found
            found += part
        return found

    def unread(self) -> int:
        """The bytes that have come and were not read yet."""
        assert isinstance(self.stream, trio.SocketStream)
        found = fcntl.ioctl(self.stream.socket.fileno(), termios.FIONREAD, bytes(4))
        return int.from_bytes(found, sys.byteorder)

    async def answer(self) -> Answer:
        """The whole answer; the connection is ready for another request, if it stays."""
        code, headers = await self.head()
        body = await self.rest()
        if self.state.their_state is h11.DONE:
            self.state.start_next_cycle()
        return Answer(code, headers, body)

    async def post(self, url: str, body: Any = None, **headers: str) -> Answer:
        """Call a method by POST; ``body`` as JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.send("POST", url, json.dumps(body or {}).encode(), {**JSON, **named})
        return await self.answer()

    async def get(self, url: str, **headers: str) -> Answer:
        """Call a method by GET."""
        await self.send("GET", url, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return await self.answer()


@asynccontextmanager
async def client(gateway: Any, context: ssl.SSLContext | None = None) -> AsyncIterator[HttpClient]:
    """A connection to a gateway's HTTP, closed at the end."""
    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", gateway.server.http_port)
    if context is not None:
        stream = trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)
    async with stream:
        yield HttpClient(stream)


@frozen
class Sent:
    """One server-sent event."""

    kind: str
    data: Any
    place: str

    @property
    def token(self) -> bytes:
        """The resume token that is its id."""
        return base64.b64decode(self.place)


@define
class EventReader:
    """The events of a stream, signs of life left out."""

    http: HttpClient
    rest: bytes = b""

    async def next(self) -> Sent:
        """The next event."""
        while True:
            block, end, rest = self.rest.partition(b"\n\n")
            if not end:
                part = await self.http.part()
                assert part is not None, self.rest
                self.rest += part
                continue
            self.rest = rest
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":"))
            if "data" in fields:
                return Sent(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id", ""))

    async def until(self, test: Callable[[Sent], object]) -> list[Sent]:
        """The events up to the first that passes a test."""
        found = [await self.next()]
        while not test(found[-1]):
            found.append(await self.next())
        return found

"""The metrics over HTTP, served from the Trio loop: no thread for a connection, and little of anything for a stranger.

A scrape is a GET of one small packet. So a request has seconds to come and a few kilobytes to be, each connection is
answered once, and there are few connections: beyond that one goes whose request is awaited, the oldest from the address
with most of them. What the registry holds is put into words in a worker thread, one scrape at a time, by the library's
own WSGI application.
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import structlog
import trio
from attrs import field, frozen
from prometheus_client import CollectorRegistry, make_wsgi_app

from gateway.crowds import oldest_of_largest, site

log = structlog.get_logger()

MAX_CONNECTIONS: Final = 32
"""At once: a few scrapers, each with one, and people who look."""

MAX_HEAD_BYTES: Final = 8192
"""Of a request. Prometheus sends 300."""

REQUEST_SECONDS: Final = 5.0
"""From accept to the end of the request's head."""

ANSWER_SECONDS: Final = 20.0
"""For making the answer and sending it: twice a scrape's usual deadline."""

ACCEPT_PAUSE_SECONDS: Final = 0.25
"""After an accept that failed for want of descriptors."""

_READ_BYTES: Final = 4096
_BACKLOG: Final = 64
_END: Final = b"\r\n\r\n"


class MetricsServer:
    """Serves one registry. Belongs to the Trio loop. ``answer_seconds``: for making an answer and sending it."""

    def __init__(self, registry: CollectorRegistry, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._answer_seconds = answer_seconds
        self._application: Callable[..., Any] = make_wsgi_app(registry)
        self._writing = trio.CapacityLimiter(1)
        self._asking: dict[_Asking, None] = {}  # the oldest first
        self._answering = 0

    @property
    def connections(self) -> int:
        """Those that are open."""
        return len(self._asking) + self._answering

    async def serve(
        self, host: str, port: int, *, task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Bind, report the address, serve until cancelled. Raises OSError if it cannot bind."""
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, nursery)
            task_status.started(listeners[0].socket.getsockname()[:2])

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except Exception as error:  # a shortage, or a bug: no reason to accept none any more
                    log.warning("a scrape could not be accepted", error=str(error) or repr(error))
                    await trio.sleep(ACCEPT_PAUSE_SECONDS)
                    continue
                asking = _Asking(_site_of(stream))
                self._asking[asking] = None
                if self.connections > MAX_CONNECTIONS:
                    going = oldest_of_largest(each for each in self._asking if not each.scope.cancel_called)
                    if going is not None:
                        going.scope.cancel()
                nursery.start_soon(self._attend, stream, asking)

    async def _attend(self, stream: trio.SocketStream, asking: "_Asking") -> None:
        """One connection, to its end. Whatever goes wrong in it stays in it."""
        try:
            head = None
            try:
                with asking.scope:
                    asking.scope.deadline = trio.current_time() + REQUEST_SECONDS
                    head = await _head(stream)
            finally:
                del self._asking[asking]
            if head is not None:
                self._answering += 1
                try:
                    with trio.move_on_after(self._answer_seconds):
                        await stream.send_all(await self._answer(head))
                finally:
                    self._answering -= 1
        except trio.BrokenResourceError:
            pass  # it is gone
        except Exception:
            log.exception("a scrape failed")
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, head: bytes) -> bytes:
        if len(head) > MAX_HEAD_BYTES:
            return _response("431 Request Header Fields Too Large", [], b"")
        environment = parse(head)
        if environment is None:
            return _response("400 Bad Request", [], b"")
        return await trio.to_thread.run_sync(self._run, environment, limiter=self._writing)

    def _run(self, environment: dict[str, str]) -> bytes:
        started: list[tuple[str, list[tuple[str, str]]]] = []
        parts = self._application(environment, lambda status, headers: started.append((status, headers)))
        [(status, headers)] = started
        return _response(status, headers, b"".join(parts))


@frozen(eq=False)
class _Asking:
    """A connection whose request is awaited."""

    site: str
    scope: trio.CancelScope = field(factory=trio.CancelScope)


def _site_of(stream: trio.SocketStream) -> str:
    try:
        return site(stream.socket.getpeername()[0])
    except OSError:  # it is gone again
        return ""


def parse(head: bytes) -> dict[str, str] | None:
    """Parse a request's head for a WSGI application (RFC 9112 §3, §5), None where it is no request. Pure."""
    line, *fields = head.removesuffix(_END).split(b"\r\n")
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if version not in (b"HTTP/1.0", b"HTTP/1.1") or not method.isalpha() or not target.startswith(b"/"):
        return None
    path, _, query = target.partition(b"?")
    environment = {
        "REQUEST_METHOD": method.decode("ascii"),
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
    }
    for each in fields:
        name, colon, value = each.partition(b":")
        if not colon or not name or not name.isascii():
            return None
        environment["HTTP_" + name.decode("ascii").upper().replace("-", "_")] = value.strip().decode("latin-1")
    return environment


async def _head(stream: trio.SocketStream) -> bytes | None:
    """A request's head; more than ``MAX_HEAD_BYTES`` where it is too long; None for an end before its end."""
    data = bytearray()
    while _END not in data:
        if len(data) > MAX_HEAD_BYTES:
            return bytes(data)
        part = await stream.receive_some(_READ_BYTES)
        if not part:
            return None
        data += part
    return bytes(data[: data.index(_END) + len(_END)])


def _response(status: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body

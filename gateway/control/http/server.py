"""``HttpServer``: the listener of HTTP and JSON in the control interface's asyncio loop, its TLS, and its drain."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from attrs import field, frozen

from gateway.asyncio_listener import AsyncioListener, Incoming, bound_sockets
from gateway.control.errors import Failure, Status
from gateway.control.http.calls import HttpCalls
from gateway.control.http.connection import BodyBudget, HttpConnection, HttpTimes
from gateway.control.http.context import Peer, certificate_names
from gateway.control.http.methods import MethodTable
from gateway.control.listen_address import is_loopback, listening_address, why_not
from gateway.control.tls import Tls
from gateway.errors import SettingsError

log = structlog.get_logger()

MAX_CONNECTIONS: Final = 256
"""At once, with those that shake hands or are ending. A client keeps one for each call that it makes at the same time.
So many descriptors are kept for them."""

KEEPALIVE: Final = ((socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3)) + (
    ((socket.TCP_KEEPIDLE, 60),) if hasattr(socket, "TCP_KEEPIDLE") else ()  # macOS has another name for it
)
"""A client that vanished without a word is given up after a minute and a half, as over gRPC."""

BACKLOG: Final = 100

MakeContext = Callable[[Tls], ssl.SSLContext]


@frozen
class HttpSettings:
    """``port`` 0 lets the system choose. TLS is the control interface's: ``make_context`` makes Python's of it."""

    make_context: MakeContext
    host: str = "127.0.0.1"
    port: int = 50052
    times: HttpTimes = field(factory=HttpTimes)
    shares: bool = False
    """As of the control interface."""


class HttpTls:
    """The certificate that the next client is presented."""

    def __init__(self, make_context: MakeContext, tls: Tls) -> None:
        self._make = make_context
        self._current = make_context(tls)
        self.context = make_context(tls)
        """To listen with. Each handshake goes on with the current one, whether or not the client names a host."""
        self.context.sni_callback = self._choose

    def replace(self, tls: Tls) -> None:
        """Present another certificate from now on. For any thread."""
        self._current = self._make(tls)

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current


class HttpServer:
    """One run of the listener. ``require_callers``: the methods ask who calls; ``clock``: the wall clock."""

    def __init__(
        self,
        settings: HttpSettings,
        table: MethodTable,
        tls: HttpTls | None,
        require_callers: bool,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._clock = clock
        self._stopping = False
        self._calls = HttpCalls(table, lambda: self._stopping, is_loopback(settings.host) and not require_callers)
        self._budget = BodyBudget()
        self._open: dict[HttpConnection, asyncio.Task[None]] = {}
        self._listener: AsyncioListener | None = None

    async def listen(self) -> int:
        """Begin to listen; the port. Raises ``SettingsError``."""
        host, port = self._settings.host, self._settings.port
        try:
            sockets = await bound_sockets(host, port, self._settings.shares, BACKLOG)
        except OSError as error:
            address = listening_address(host, port)
            raise SettingsError(f"http.address: can't listen on {address}: {why_not(error)}") from None
        bound: int = sockets[0].getsockname()[1]
        context = None if self._tls is None else self._tls.context
        self._listener = AsyncioListener(sockets, self._protocol, MAX_CONNECTIONS, context)
        self._listener.start()
        log.info("http interface listens", host=host, port=bound, tls=self._tls is not None)
        return bound

    async def stop(self) -> None:
        """Take no more calls, and wait for those that are under way. Cancelling ends the rest."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        for connection in tuple(self._open):
            connection.close()
        tasks = tuple(self._open.values())
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._calls.close()

    def _protocol(self, incoming: Incoming) -> asyncio.Protocol:
        return _HttpProtocol(incoming, partial(self._accept, incoming))

    def _accept(self, incoming: Incoming, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming.opened(writer.transport)
        if self._stopping:
            writer.transport.abort()  # its handshake ended after the listener
            return
        _look_after(writer.get_extra_info("socket"))
        connection = HttpConnection(
            reader, writer, self._calls, _peer(writer), incoming, self._settings.times, self._budget, self._clock
        )
        full = self._listener is not None and self._listener.is_full
        task = asyncio.create_task(connection.serve(_full() if full else None))
        self._open[connection] = task
        task.add_done_callback(lambda _: self._open.pop(connection))


class _HttpProtocol(asyncio.StreamReaderProtocol):
    """A connection's bytes as streams."""

    def __init__(
        self, incoming: Incoming, accepted: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
    ) -> None:
        super().__init__(asyncio.StreamReader(), accepted)
        self._incoming = incoming

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._incoming.lost()


def _look_after(connection: socket.socket) -> None:
    """Have the kernel find out whether a silent client is still there: a stream of lines has no signs of life."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _full() -> Failure:
    return Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", f"{MAX_CONNECTIONS} connections are open already")


def _peer(writer: asyncio.StreamWriter) -> Peer:
    host, port, *_ = writer.get_extra_info("peername") or ("unknown", 0)
    found = writer.get_extra_info("ssl_object")
    return Peer(listening_address(host, port), certificate_names(None if found is None else found.getpeercert()))

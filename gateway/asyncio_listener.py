"""A listener in an asyncio loop that counts its connections from their accept to their end, handshakes included.

``asyncio.Server`` gives a connection to its protocol once TLS is agreed on, and forgets it when it is closed: peers
that say nothing, shake hands slowly or take no ending would be as many as there are descriptors.

* A handshake has ``HANDSHAKE_SECONDS``, the end of TLS ``CLOSE_SECONDS``.
* Where more than ``most`` are open, one goes: of those that are closing already; else of those that have asked for
  nothing yet; else of those that wait between two requests. Among these the oldest from the address with most of them
  (``gateway.crowds``). One that is being answered stays; where all are, the newcomer is refused by its protocol.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Any, Final

from attrs import define, field

from gateway.crowds import oldest_of_largest, site

HANDSHAKE_SECONDS: Final = 10.0
"""For TLS."""

CLOSE_SECONDS: Final = 5.0
"""For the end of TLS, once a connection's last answer has been taken."""

ACCEPT_PAUSE_SECONDS: Final = 0.25
"""After an accept that failed for want of descriptors or memory."""

REPORT_SECONDS: Final = 60.0
"""Such failures repeat until the shortage is over; one report a minute says so."""


class Stage(IntEnum):
    """Stage of a connection; the lowest go first."""

    CLOSING = 0
    NEW = 1
    """In its handshake, or before its first request is whole."""
    IDLE = 2
    """A request was answered; the next one is awaited."""
    BUSY = 3
    """A request is being answered."""


@define(eq=False)
class Incoming:
    """A connection, from its accept to its end."""

    site: str
    _socket: socket.socket
    _closed: Callable[["Incoming"], None]
    stage: Stage = Stage.NEW
    """As its protocol says; ``due`` knows of those that are closing by themselves."""
    _transport: asyncio.WriteTransport | None = field(default=None, init=False)

    def opened(self, transport: asyncio.WriteTransport) -> None:
        """Note that the handshake is done; for the protocol's ``connection_made``."""
        self._transport = transport

    @property
    def due(self) -> Stage:
        """The stage that counts where one has to go."""
        closing = self._transport is not None and self._transport.is_closing()
        return Stage.CLOSING if closing else self.stage

    def lost(self) -> None:
        """Note that it is over; for the protocol's ``connection_lost``. Repeating it does nothing."""
        self._closed(self)

    def abort(self) -> None:
        """End it now, whatever it does."""
        self.lost()
        if self._transport is not None:
            self._transport.abort()
        else:
            with suppress(OSError):  # it is gone already
                self._socket.shutdown(socket.SHUT_RDWR)  # which ends the handshake


Make = Callable[[Incoming], asyncio.Protocol]


class AsyncioListener:
    """Listens on ``sockets``, which it closes. ``make`` makes a connection's protocol, which has to call ``opened``
    and ``lost`` of the connection that it is given, to keep its ``stage``, and to end one whose peer does not take the
    end of its answer. ``context``: for TLS."""

    def __init__(self, sockets: list[socket.socket], make: Make, most: int, context: ssl.SSLContext | None) -> None:
        self._sockets = sockets
        self._make = make
        self._most = most
        self._tls: dict[str, Any] = {}
        if context is not None:
            self._tls = {"ssl": context, "ssl_shutdown_timeout": CLOSE_SECONDS}
        self._open: dict[Incoming, None] = {}  # the oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        self._reported = float("-inf")

    @property
    def connections(self) -> int:
        """Number of those that are open, with those that shake hands or are ending."""
        return len(self._open)

    @property
    def is_full(self) -> bool:
        """True while more are open than may be."""
        return len(self._open) > self._most

    def start(self) -> None:
        """Accept from now on, until ``close``."""
        for each in self._sockets:
            each.setblocking(False)
            self._begin(self._accept(each))

    def close(self) -> None:
        """Accept none any more, and end handshakes. What is open goes on."""
        loop = asyncio.get_running_loop()
        for task in tuple(self._tasks):
            task.cancel()
        for each in self._sockets:
            loop.remove_reader(each)  # before its number may be another's
            each.close()

    def _begin(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except ConnectionAbortedError:
                continue  # its peer is gone
            except OSError as error:  # a shortage: no reason to accept none any more
                self._report(error)
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            incoming = Incoming(site(address[0]), accepted, self._lost)
            self._open[incoming] = None
            if self.is_full:
                self._make_room(incoming)
            self._begin(self._serve(accepted, incoming))

    def _make_room(self, newest: Incoming) -> None:
        others = [(each.due, each) for each in self._open if each is not newest]
        first = min((stage for stage, _ in others), default=Stage.BUSY)
        if first is Stage.BUSY:
            return
        going = oldest_of_largest(each for stage, each in others if stage is first)
        if going is not None:
            going.abort()

    async def _serve(self, accepted: socket.socket, incoming: Incoming) -> None:
        loop = asyncio.get_running_loop()
        times: dict[str, Any] = {"ssl_handshake_timeout": HANDSHAKE_SECONDS} if self._tls else {}
        try:
            await loop.connect_accepted_socket(lambda: self._make(incoming), accepted, **self._tls, **times)
        except OSError:
            incoming.lost()  # its protocol never heard of it
        except BaseException:
            incoming.lost()
            raise

    def _lost(self, incoming: Incoming) -> None:
        self._open.pop(incoming, None)

    def _report(self, error: OSError) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._reported >= REPORT_SECONDS:
            self._reported = loop.time()
            loop.call_exception_handler({"message": "a connection could not be accepted", "exception": error})


async def bound_sockets(host: str, port: int, shares: bool, backlog: int) -> list[socket.socket]:
    """Sockets that listen at all addresses of a host; ``shares`` the port with other processes. Raises OSError."""
    # As the loop itself binds them, for a server that never serves.
    server = await asyncio.get_running_loop().create_server(
        asyncio.Protocol, host, port, reuse_port=shares or None, start_serving=False
    )
    try:
        sockets = [each.dup() for each in server.sockets]
    finally:
        server.close()
    for each in sockets:
        each.listen(backlog)
    return sockets

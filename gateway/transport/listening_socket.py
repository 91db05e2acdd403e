"""A listening socket, and what every socket that comes from it is set to.

``trio.SocketListener`` wraps each accepted socket twice and sets its options one by one; on Linux they are inherited,
so they are set here once (docs/performance.md).
"""

import errno
import socket
import sys
from collections.abc import Sequence
from typing import Final

import trio
from attrs import frozen

from gateway.transport.epoll import Epoll
from gateway.transport.socket_stream import SocketStream

BUFFER_BYTES: Final = 64 * 1024
"""Of the kernel's memory for each direction of a connection. Left to itself it grows to megabytes for a peer that sends
without being read, or doesn't read what it is sent; and behind so much, a flooder's ping would wait for an hour. It
still fills a mobile link: 200 kB/s at a round trip of 300 ms."""

UNSENT_BYTES: Final = 16 * 1024
"""Of it, what may wait to go out for the first time before a socket counts as writable."""

KEEPALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""TCP finds a dead path after two minutes even where WebSocket pings are switched off for a charger."""

_INHERITS: Final = sys.platform == "linux"
"""Elsewhere only some options pass to accepted sockets."""

_GONE_AGAIN: Final = frozenset(
    getattr(errno, name)
    for name in (
        "EPERM",
        "ECONNABORTED",
        "EPROTO",
        "ENETDOWN",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "ENONET",
        "EHOSTUNREACH",
        "EOPNOTSUPP",
        "ENETUNREACH",
        "ETIMEDOUT",
        "ECONNRESET",
    )
    if hasattr(errno, name)
)
"""Why one connection could not be accepted, and the next one can (accept(2))."""


@frozen
class Accepted:
    """A connection, and where it comes from."""

    link: SocketStream
    address: str
    port: int


class ListeningSocket:
    """Owns ``listening``, which is bound and listens."""

    def __init__(self, listening: socket.socket) -> None:
        self._sock = listening
        listening.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # inherited everywhere; later, it would be too late
            listening.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        if _INHERITS:
            _set_up(listening)

    @property
    def address(self) -> tuple[str, int]:
        """The bound (host, port)."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    async def accept(self, poller: Epoll | None = None) -> Accepted:
        """Wait for the next connection, whose reads ``poller`` will tell of. Cancelling loses none.

        Raises OSError for want of descriptors or memory, ClosedResourceError once the port is closed.
        """
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                sock, name = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                if error.errno not in _GONE_AGAIN:
                    raise
                continue
            try:
                sock.setblocking(False)
                if not _INHERITS:
                    _set_up(sock)
            except OSError:  # the peer has reset it
                sock.close()
                continue
            try:
                link = SocketStream(sock, poller)
            except OSError:  # the system's limit of watched sockets: then as Trio waits
                link = SocketStream(sock)
            return Accepted(link, name[0], name[1])

    def close(self) -> None:
        """Take no more. Repeating it does nothing."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


async def open_ports(
    host: str, port: int, backlog: int, sockets: Sequence[socket.socket] = ()
) -> list[ListeningSocket]:
    """Bind and listen at all addresses of ``host``; or take ``sockets``, if there are any, which listen already. Raises
    OSError."""
    if sockets:
        return [ListeningSocket(each) for each in sockets]
    listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    return [
        ListeningSocket(socket.socket(each.socket.family, each.socket.type, each.socket.proto, each.socket.detach()))
        for each in listeners
    ]


def _set_up(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):  # macOS names them otherwise
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

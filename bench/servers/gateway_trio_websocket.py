"""The whole gateway with its server-side transport exchanged: trio-websocket over ``trio.SSLStream``.

``python -m bench.servers.gateway_trio_websocket serve --config gateway.toml`` in place of ``python -m gateway serve``.
Everything but the connection is the gateway's own: accept loop, places, deadlines of the opening, admission, sessions.
What trio-websocket has nothing for is left out, in its favour: how fast a peer may send, bounds on fragments, the size
of the HTTP head, a linger after errors. Its reader task lives in a nursery of the connection, so that what it raises
ends that connection and no other.
"""

import math
import socket
import sys
from collections import deque

import structlog
import trio
import trio_websocket

from gateway.framing.events import UpgradeRequested
from gateway.transport import listener
from gateway.transport.accounts import Account
from gateway.transport.api import Accept, Concluded, ConnectionClosed, Initiator, Peer, Transport
from gateway.transport.connection import HandshakeFailed
from gateway.transport.handshake_places import Visitor
from gateway.transport.limits import Limits
from gateway.transport.listening_socket import Accepted
from gateway.transport.socket_stream import SocketStream
from gateway.transport.tls import TlsProvider

ARRIVED_SECONDS = 0.01
"""For what the library has read already, once nothing more is waited for."""

_LOG = structlog.get_logger()


class TrioWebSocketConnection:
    """As ``gateway.transport.connection.Connection``: the opening's steps, then ``api.Transport``."""

    def __init__(
        self,
        stream: trio.SocketStream,
        provider: TlsProvider,
        *,
        address: tuple[str, int],
        limits: Limits,
        nursery: trio.Nursery,
    ) -> None:
        self._stream = trio.SSLStream(stream, provider.context, server_side=True, https_compatible=True)
        self._address = address
        self._limits = limits
        self._nursery = nursery
        self._request: trio_websocket.WebSocketRequest | None = None
        self._connection: trio_websocket.WebSocketConnection | None = None
        self._peer: Peer | None = None
        self._subprotocol: str | None = None
        self._closing: tuple[int, str] | None = None
        self._queued: deque[bytes] = deque()
        self._waiting: trio.CancelScope | None = None
        self._concluded = False
        self.last_heard = self.last_said = trio.current_time()

    # Opening.

    async def secure(self) -> Peer:
        try:
            await self._stream.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise HandshakeFailed("tls", "failed") from error
        cipher = self._stream.cipher()
        self._peer = Peer(
            *self._address,
            self._stream.version() or "",
            cipher[0] if cipher else "",
            self._stream.getpeercert(binary_form=True),
        )
        return self._peer

    async def request(self) -> UpgradeRequested:
        # A head that is no upgrade is answered by the library, which then waits on: the deadline of the caller ends it.
        request = self._request = await trio_websocket.wrap_server_stream(
            self._nursery, self._stream, max_message_size=self._limits.max_message_bytes
        )
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        return UpgradeRequested(request.path, headers, request.proposed_subprotocols)

    async def accept(self, subprotocol: str | None) -> None:
        assert self._request is not None
        try:
            self._connection = await self._request.accept(subprotocol=subprotocol)
        except trio_websocket.ConnectionClosed as closed:
            raise self._closed(closed) from None
        self._request, self._subprotocol = None, subprotocol
        self._listen_for_frames(self._connection)

    async def reject(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        assert self._request is not None
        extra = [(name.encode(), value.encode()) for name, value in headers]
        with trio.move_on_after(self._limits.close_seconds, shield=True):
            try:
                await self._request.reject(status, extra_headers=extra, body=text.encode() + b"\n")
            except trio_websocket.ConnectionClosed:
                pass
            await self._stream.aclose()

    def _listen_for_frames(self, connection: trio_websocket.WebSocketConnection) -> None:
        """Every read moves ``last_heard``. The library reports no pings and pongs, so its parser is asked."""
        protocol = connection._wsproto
        receive_data = protocol.receive_data

        def receive(data: bytes | None) -> None:
            self.last_heard = trio.current_time()
            receive_data(data)

        protocol.receive_data = receive  # type: ignore[method-assign]

    # Transport.

    @property
    def peer(self) -> Peer:
        assert self._peer is not None, "secure() comes first"
        return self._peer

    @property
    def subprotocol(self) -> str | None:
        return self._subprotocol

    def account(self, account: Account) -> None:
        """Does nothing: this server has no message budget."""

    def charge(self, messages: int) -> None:
        """Does nothing: this server has no message budget."""

    def conclude(self) -> None:
        self._concluded = True
        if self._waiting is not None:
            self._waiting.deadline = trio.current_time() + ARRIVED_SECONDS

    async def receive(self) -> bytes:
        message: str | bytes | None = None
        with trio.move_on_after(ARRIVED_SECONDS if self._concluded else math.inf) as self._waiting:
            try:
                message = await self._open.get_message()
            except trio_websocket.ConnectionClosed as closed:
                raise self._closed(closed) from None
        if message is None:
            raise Concluded
        if isinstance(message, bytes):
            await self.aclose(1003, "binary messages are not accepted")
            raise ConnectionClosed(1003, "binary messages are not accepted", "local")
        return message.encode()

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        late, self.last_said = True, trio.current_time()
        # A cancellation between trio.SSLStream's lock and its socket breaks the stream for good, though nothing was
        # written: the Close frame of a session that ends would be lost.
        with trio.move_on_after(self._limits.write_seconds, shield=True):
            try:
                await self._open.send_message(data.decode())
            except trio_websocket.ConnectionClosed as closed:
                raise self._closed(closed) from None
            late = False
        if late:
            await trio.aclose_forcefully(self._stream)
            raise ConnectionClosed(1006, "the peer does not read", "network")

    def send_nowait(self, data: bytes) -> bool:
        """Nothing can be sent with it without waiting."""
        self._raise_if_closing()
        self._queued.append(data)
        return False

    async def flush(self) -> None:
        while self._queued:
            await self.send(self._queued.popleft())

    def _raise_if_closing(self) -> None:
        if self._closing is not None:
            raise ConnectionClosed(*self._closing, "local")

    def ping_nowait(self) -> bool:
        self.last_said = trio.current_time()
        self._nursery.start_soon(self._ping)  # the library's waits for the Pong
        return True

    async def _ping(self) -> None:
        try:
            await self._open.ping()
        except trio_websocket.ConnectionClosed:
            pass

    def close_nowait(self) -> bool:
        """Nothing can be closed with it without waiting."""
        return False

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        if self._closing is not None:
            return
        self._closing = code, reason
        with trio.move_on_after(self._limits.close_seconds, shield=True):
            if self._connection is None:
                await trio.aclose_forcefully(self._stream)
            else:
                await self._connection.aclose(code, reason)

    @property
    def _open(self) -> trio_websocket.WebSocketConnection:
        assert self._connection is not None, "accept() comes first"
        return self._connection

    def _closed(self, closed: trio_websocket.ConnectionClosed) -> ConnectionClosed:
        if self._closing is not None:
            return ConnectionClosed(*self._closing, "local")
        if closed.reason is None:
            return ConnectionClosed(1006, "", "network")
        initiator: Initiator = "network" if closed.reason.code == 1006 else "peer"
        return ConnectionClosed(closed.reason.code, closed.reason.reason or "", initiator)


_WHOLE: type[Transport] = TrioWebSocketConnection
"""For the check of types, which the listener's calls are exempt from: nothing of the transport is missing."""


class TrioWebSocketListener(listener.Listener):
    """The gateway's listener, each of whose connections has a nursery for the library's reader."""

    async def _attend(self, accepted: Accepted, visitor: Visitor, handlers: trio.Nursery) -> None:
        connection: TrioWebSocketConnection | None = None
        accept: Accept | None = None
        address = accepted.address
        try:
            async with trio.open_nursery() as nursery:
                try:
                    with visitor.scope:
                        await self._until_placed(accepted, visitor)
                        connection = TrioWebSocketConnection(
                            await _stream(accepted.link),
                            self._tls,
                            address=(address, accepted.port),
                            limits=self.limits,
                            nursery=nursery,
                        )
                        accept = await self._open(connection, address, visitor)  # type: ignore[arg-type]
                finally:
                    self._places.leave(visitor)
                if visitor.scope.cancelled_caught:
                    self._report(visitor.stage, "deadline", address)
                if connection is not None and accept is not None:
                    await self._serve(accepted.link, connection, accept)  # type: ignore[arg-type]
                nursery.cancel_scope.cancel()
        except Exception:
            _LOG.exception("connection failed", listener=self.name, address=address)
            self._report("session", "failed", address)
        finally:
            if connection is not None:
                await connection.aclose(1011)
            await trio.aclose_forcefully(accepted.link)


async def _stream(link: SocketStream) -> trio.SocketStream:
    """The same socket, options and all, as the library takes it."""
    return trio.SocketStream(trio.socket.fromfd(link._fd, socket.AF_INET, socket.SOCK_STREAM))


def main() -> int:
    from gateway.app import serve
    from gateway.cli.main import run

    serve.Listener = TrioWebSocketListener  # type: ignore[attr-defined]
    run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

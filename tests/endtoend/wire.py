"""A charger's end of a real connection: TCP, TLS and WebSocket, reading only when the test says so.

Over wsproto, which the gateway does not use. A test decides what is read and when: a peer that reads by itself could
not show what happens to one that doesn't.
"""

import base64
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from tests.endtoend.gateway_process import KEY

PATIENCE = 60.0
"""Seconds until a test gives up waiting for the gateway."""


HANDSHAKE = (
    "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
"""Header lines that ask for an upgrade, for tests that write a request by hand."""

OFFER = "Sec-WebSocket-Protocol: ocpp1.6\r\n"


def authorization(identity: str = "CP1", key: bytes = KEY) -> str:
    """The header line of HTTP Basic authentication."""
    return "Authorization: Basic " + base64.b64encode(identity.encode() + b":" + key).decode() + "\r\n"


def upgrade(identity: str, key: bytes = KEY) -> bytes:
    """A whole request for an upgrade."""
    return f"GET /ocpp/{identity} HTTP/1.1\r\n{HANDSHAKE}{OFFER}{authorization(identity, key)}\r\n".encode()


class Door(Protocol):
    """Anything on loopback that a charger can connect to: a gateway, or what leads to one."""

    port: int
    tls: ssl.SSLContext


class LinkLost(Exception):
    """The connection is gone without a Close frame, or was not there to begin with."""


class Refused(Exception):
    """The upgrade was answered with another status than 101."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Closed(Exception):
    """The gateway closed the connection; ``args`` are the code and the reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)


class Wire:
    """One open WebSocket. Any number of tasks may send; one at a time may receive."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream], protocol: WSConnection) -> None:
        self._stream = stream
        self._protocol = protocol
        self._sending = trio.Lock()
        self._arrived: list[str] = []
        self._text = ""
        self._end: Closed | LinkLost | None = None

    @classmethod
    async def open(
        cls,
        gateway: Door,
        identity: str,
        *,
        key: bytes = KEY,
        subprotocols: Sequence[str] = ("ocpp1.6",),
        prefix: str = "/ocpp/",
        before_upgrade: Callable[[], Awaitable[None]] | None = None,
    ) -> "Wire":
        """Connect as ``identity``. Raises Refused and LinkLost; fails if there is no answer.

        ``before_upgrade`` is what else happens in the moment before the upgrade is asked for, when TLS is ready.
        """
        with trio.fail_after(PATIENCE):
            try:
                tcp = await trio.open_tcp_stream("127.0.0.1", gateway.port)
                stream = trio.SSLStream(tcp, gateway.tls, server_hostname="localhost", https_compatible=True)
                if before_upgrade is not None:
                    await stream.do_handshake()
                    await before_upgrade()
                return await cls._upgrade(stream, prefix + identity, identity, key, subprotocols)
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise LinkLost from error

    @classmethod
    async def _upgrade(
        cls,
        stream: trio.SSLStream[trio.SocketStream],
        target: str,
        identity: str,
        key: bytes,
        subprotocols: Sequence[str],
    ) -> "Wire":
        try:
            protocol = WSConnection(ConnectionType.CLIENT)
            token = base64.b64encode(identity.encode() + b":" + key)
            request = ws.Request(
                host="localhost",
                target=target,
                subprotocols=list(subprotocols),
                extra_headers=[(b"Authorization", b"Basic " + token)],
            )
            await stream.send_all(protocol.send(request))
            while True:
                data = await stream.receive_some()
                if not data:
                    raise LinkLost
                protocol.receive_data(bytes(data))
                for event in protocol.events():
                    match event:
                        case ws.AcceptConnection():
                            return cls(stream, protocol)
                        case ws.RejectConnection(status_code=status):
                            raise Refused(status)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    async def send(self, text: str) -> None:
        """Send a message. Raises LinkLost."""
        await self._send(ws.TextMessage(data=text))

    async def ping(self, payload: bytes = b"") -> None:
        """Send a ping. Raises LinkLost."""
        await self._send(ws.Ping(payload=payload))

    async def receive(self) -> str:
        """The next message; pings are answered on the way. Raises Closed and LinkLost. Cancelling is safe."""
        while True:
            await self._take()
            if self._arrived:
                return self._arrived.pop(0)
            if self._end is not None:
                raise self._end
            try:
                data = await self._stream.receive_some()
                self._protocol.receive_data(bytes(data) if data else None)
            except (trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError) as error:
                raise LinkLost from error

    async def _take(self) -> None:
        """Take the bytes of the last read; the first read's rest came with the answer to the upgrade."""
        for event in self._protocol.events():
            match event:
                case ws.TextMessage(data=data, message_finished=finished):
                    self._text += data
                    if finished:
                        self._arrived.append(self._text)
                        self._text = ""
                case ws.Ping():
                    await self._send(event.response())
                case ws.CloseConnection(code=code, reason=reason):
                    self._end = LinkLost() if code == 1006 else Closed(int(code), reason or "")

    async def aclose(self, code: int = 1000) -> None:
        """Send a Close frame and cut the connection."""
        with trio.move_on_after(1, shield=True):
            try:
                await self._send(ws.CloseConnection(code=code))
            except LinkLost:
                pass  # then it is closed
        await self.cut()

    async def cut(self) -> None:
        """Cut the connection without a word, as a lost link does."""
        await trio.aclose_forcefully(self._stream)

    async def _send(self, event: ws.Event) -> None:
        async with self._sending:
            try:
                await self._stream.send_all(self._protocol.send(event))
            except (trio.BrokenResourceError, trio.ClosedResourceError, LocalProtocolError) as error:
                raise LinkLost from error

"""The link: one WebSocket over TLS to the central system, with trio-websocket. The only I/O of the simulator.

What goes wrong with a link is a `LinkError`: `LinkRefused` (HTTP status instead of 101), `LinkFailed` (no
connection, no TLS, no handshake in time), `LinkClosed` (it was up and ended). trio-websocket's own exceptions, also
those that crash its reader task, end here.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import quote, urlsplit

import trio
import wsproto.utilities
from attrs import field, frozen
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

SUBPROTOCOL = "ocpp1.6"

#: The central system's largest message: SendLocalList and charging profiles are a few KiB; this leaves a margin.
MAX_MESSAGE_BYTES = 256 * 1024
#: Messages read ahead of the charger's answers. One CALL at a time is the rule (J §4.1.1), bursts are few.
MESSAGE_QUEUE = 16
#: TCP, TLS and upgrade together, in seconds; a mobile link takes a few.
CONNECT_TIMEOUT = 30.0
#: How long a close handshake may take, in seconds, before the socket is simply closed.
CLOSE_TIMEOUT = 5.0
#: A write that is not taken for so long, in seconds, means that the peer is gone.
WRITE_TIMEOUT = 30.0
#: The longest Retry-After that is believed, in seconds: beyond it a charger would be lost for a typing mistake.
LONGEST_RETRY_AFTER = 3600.0

#: What trio-websocket, wsproto and Trio raise for a peer or network that misbehaves. LocalProtocolError is their
#: known defect: a ping that arrives after a local close is answered on a closed connection.
_LINK_TROUBLE = (
    ConnectionClosed,
    HandshakeError,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    wsproto.utilities.ProtocolError,
)


class LinkError(Exception):
    """The link could not be made or did not last. The message is fit for people and carries no secret."""


class LinkFailed(LinkError):
    """No connection: name, TCP, TLS (a certificate that is not trusted), or no handshake in time."""


class LinkClosed(LinkError):
    """The link was up and ended; `code` is the WebSocket close code, 1006 without a close frame."""

    def __init__(self, code: int = 1006, reason: str = "") -> None:
        super().__init__(f"closed with {code}" + (f": {reason}" if reason else ""))
        self.code = code


class LinkRefused(LinkError):
    """The central system answered the upgrade with an HTTP status; `retry_after` in seconds if it said so."""

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"refused with HTTP {status}")
        self.status = status
        self.retry_after = retry_after


@frozen
class Target:
    """Address and credentials to connect with. `password` is raw bytes (J §6.2.2)."""

    host: str
    port: int
    resource: str
    identity: str
    password: bytes = field(repr=False)

    @classmethod
    def of(cls, url: str, identity: str, password: bytes) -> Target:
        """From the endpoint's URL; the identity is appended percent-encoded (J §3.1.1). Raises ValueError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, 443 if parts.port is None else parts.port
        except ValueError:
            host, port = None, 0
        if not host or not 0 < port <= 65_535 or parts.scheme != "wss":
            raise ValueError(f"url: expected wss://host:port/path with a port from 1 to 65535, found {url!r}")
        resource = f"{parts.path.rstrip('/')}/{quote(identity, safe='')}"
        return cls(host, port, resource, identity, password)

    @property
    def authorization(self) -> bytes:
        """The value of the Authorization header."""
        return b"Basic " + base64.b64encode(self.identity.encode() + b":" + self.password)


Dial = Callable[[Target], Awaitable[trio.abc.Stream]]


class TlsDial:
    """Connections over TCP and TLS, the server verified by a context; with a certificate of the charger's own, if the
    context has one, until `present` gives it another."""

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        self._context = ssl_context

    def present(self, chain: str, key: bytes) -> None:
        """Show this certificate (PEM, its issuers behind it) from the next connection on. The context that was given
        may be another charger's too, and stays as it is."""
        old, context = self._context, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = old.check_hostname, old.verify_mode
        context.minimum_version, context.maximum_version = old.minimum_version, old.maximum_version
        context.verify_flags = old.verify_flags
        authorities = b"".join(old.get_ca_certs(binary_form=True))
        if authorities:
            context.load_verify_locations(cadata=authorities)
        else:
            context.load_default_certs()  # which are read only when they are needed
        with tempfile.NamedTemporaryFile() as file:  # of its owner alone; OpenSSL takes a name
            file.write(chain.encode() + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
        self._context = context

    async def __call__(self, target: Target) -> trio.abc.Stream:
        """Connect. Raises what Trio and OpenSSL raise."""
        stream = await trio.open_ssl_over_tcp_stream(
            target.host, target.port, ssl_context=self._context, https_compatible=True
        )
        try:
            await stream.do_handshake()  # here, so that a certificate that is not trusted is reported as such
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream


class WebSocketLink:
    """An open link. `receive` by one task, `send` by any."""

    def __init__(self, connection: WebSocketConnection, stream: trio.abc.Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._severed = False

    def sever(self) -> None:
        """Send nothing more from now on. For callers that cannot wait for `cut`."""
        self._severed = True

    async def send(self, text: str) -> None:
        """Send one message. Raises LinkClosed. Cancelling cuts the link: half a frame may be on the wire."""
        if self._severed:
            raise LinkClosed
        try:
            with trio.fail_after(WRITE_TIMEOUT):
                await self._connection.send_message(text)
        except (trio.TooSlowError, trio.Cancelled) as error:
            with trio.CancelScope(shield=True):
                await self.cut()
            if isinstance(error, trio.Cancelled):
                raise
            raise LinkClosed from None
        except _LINK_TROUBLE as error:
            raise _closed(error) from None

    async def receive(self) -> str:
        """The next text message; binary ones are skipped. Raises LinkClosed. Cancelling is safe."""
        while True:
            try:
                message = await self._connection.get_message()
            except _LINK_TROUBLE as error:
                raise _closed(error) from None
            if isinstance(message, str):
                return message

    async def ping(self, deadline: float) -> None:
        """Ping and wait for the pong, at most `deadline` seconds. Raises LinkClosed."""
        try:
            with trio.fail_after(deadline):
                await self._connection.ping()
        except _LINK_TROUBLE as error:
            raise _closed(error) from None

    async def aclose(self) -> None:
        """Close with a close handshake, within a deadline. Never raises."""
        with trio.move_on_after(CLOSE_TIMEOUT):
            try:
                await self._connection.aclose()
            except _LINK_TROUBLE:
                pass  # it is closed, which is all that was asked
        await self.cut()

    async def cut(self) -> None:
        """End the connection as a power cut or a lost network does: without a word. Never raises."""
        try:
            await trio.aclose_forcefully(self._stream)
        except _LINK_TROUBLE:
            pass  # the socket was gone already


async def open_link(
    target: Target, dial: Dial, *, task_status: trio.TaskStatus[WebSocketLink] = trio.TASK_STATUS_IGNORED
) -> None:
    """Connect and keep the link alive: `link = await nursery.start(open_link, target, dial)`.

    Raises LinkRefused or LinkFailed before the link is up. Afterwards it runs until the link ends and returns
    quietly: users of the link get LinkClosed. Cancelling cuts the connection.
    """
    stream: trio.abc.Stream | None = None
    started = False
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(CONNECT_TIMEOUT):
                stream = await dial(target)
                connection = await _upgrade(nursery, target, stream)
            if connection.subprotocol != SUBPROTOCOL:
                raise LinkFailed("the central system did not agree to " + SUBPROTOCOL)
            started = True
            task_status.started(WebSocketLink(connection, stream))
    except BaseExceptionGroup as group:
        expected, unexpected = group.split((*_LINK_TROUBLE, LinkError))
        if unexpected is not None:
            raise
        if not started and expected is not None:
            raise _not_up(_first(expected)) from None
    finally:
        if stream is not None:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)


async def _upgrade(nursery: trio.Nursery, target: Target, stream: trio.abc.Stream) -> WebSocketConnection:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return await wrap_client_stream(
        nursery,
        cast(trio.SSLStream[trio.SocketStream], _Watched(stream)),  # any Stream will do
        host if target.port == 443 else f"{host}:{target.port}",
        target.resource,
        subprotocols=[SUBPROTOCOL],
        extra_headers=[(b"Authorization", target.authorization)],
        message_queue_size=MESSAGE_QUEUE,
        max_message_size=MAX_MESSAGE_BYTES,
    )


_NO_ANSWER = "the connection ended before the upgrade was answered"


class _Watched(trio.abc.Stream):
    """The stream under trio-websocket, which waits for ever when the peer closes before it answers the upgrade.

    Until the first bytes have come, an end of the stream is an error that its reader task reports at once.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._heard = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            if not self._heard:
                raise ConnectionResetError(_NO_ANSWER) from None
            raise
        if not data and not self._heard:
            raise ConnectionResetError(_NO_ANSWER)
        self._heard = True
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            if not self._heard:
                raise ConnectionResetError(_NO_ANSWER) from None
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _not_up(error: BaseException) -> LinkError:
    match error:
        case LinkError():
            return error
        case ConnectionRejected():
            return LinkRefused(error.status_code, _retry_after(error.headers))
        case trio.TooSlowError():
            return LinkFailed("no handshake in time")
        case trio.BrokenResourceError() if error.__cause__ is not None:
            return LinkFailed(str(error.__cause__))
        case _:
            return LinkFailed(str(error) or type(error).__name__)


def _closed(error: BaseException) -> LinkClosed:
    if isinstance(error, ConnectionClosed) and error.reason is not None:
        return LinkClosed(error.reason.code, error.reason.reason or "")
    return LinkClosed()


def _retry_after(headers: tuple[tuple[bytes, bytes], ...]) -> float | None:
    for name, value in headers:
        if name.lower() == b"retry-after" and value.strip().isdigit():
            return min(float(value), LONGEST_RETRY_AFTER)
    return None

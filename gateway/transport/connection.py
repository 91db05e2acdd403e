"""One charger's connection: WebSocket in TLS over any Trio stream. Implements ``api.Transport``.

Reading and writing have their modules, each under its rule: ``receiver`` starts no task and resumes nothing but
``receive``; ``sender`` writes in one critical section. Here they are put together, opened and closed.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from gateway.errors import GatewayError
from gateway.framing.events import UpgradeRefused, UpgradeRequested
from gateway.framing.websocket import WebSocket
from gateway.transport.accounts import Account
from gateway.transport.api import ABNORMAL_CLOSURE, Peer
from gateway.transport.connection_end import ConnectionEnd, End
from gateway.transport.large_messages import LargeMessageArrival, LargeMessagePlace
from gateway.transport.limits import Limits
from gateway.transport.rate_limit import RateLimit, ignored
from gateway.transport.receiver import Receiver
from gateway.transport.sender import Sender
from gateway.transport.tls_records import TlsFailure, TlsRecords

R = TypeVar("R")

RETRY_AFTER_SECONDS = 30
"""What a charger is asked to wait when we could not decide about its upgrade."""


class HandshakeFailed(GatewayError):
    """The peer never became a WebSocket client. ``stage`` is ``tls`` or ``http``; ``reason`` a stable word;
    ``status`` what it was answered in HTTP, None if it wasn't."""

    def __init__(self, stage: str, reason: str, status: int | None = None) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason
        self.status = status


async def _at_once() -> None:
    """For a connection that has the loop to itself."""


def _none(_: bytes | None) -> None:
    """For a listener that asks for no certificates."""


class Connection:
    """Owns ``stream``. First ``secure``, then ``request``, then ``accept`` or ``reject``; then a ``Transport``.

    The three opening steps have no deadline of their own; when one is cancelled or raises, only ``aclose`` is left.
    ``slowed`` is called each time the peer has to wait, saying why: ``messages`` or ``frames``. ``turn`` is waited for
    before each step of the TLS handshake that computes something. ``client_refusal`` returns why a peer with that
    certificate (DER) may not come in, as a stable word; None: it may.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        tls: TlsRecords,
        *,
        address: tuple[str, int],
        limits: Limits,
        slowed: Callable[[str], None] = ignored,
        turn: Callable[[], Awaitable[None]] = _at_once,
        large: LargeMessagePlace | None = None,
        client_refusal: Callable[[bytes | None], str | None] = _none,
    ) -> None:
        self._tls = tls
        self._client_refusal = client_refusal
        self._address = address
        self._close_seconds = limits.close_seconds
        self._turn_to_compute = turn
        self._websocket = WebSocket(
            max_message_bytes=limits.max_message_bytes, max_handshake_bytes=limits.max_handshake_bytes
        )
        self._peer: Peer | None = None
        self._subprotocol: str | None = None
        self._peers_turn_since: float | None = None
        self._waited = 0.0
        self._rate_limit = RateLimit(limits, slowed)
        self._large = LargeMessageArrival(LargeMessagePlace(limits.message_seconds) if large is None else large)
        self._end = ConnectionEnd(self._rate_limit, self._large)
        self._sender = Sender(stream, tls, self._websocket, self._end, limits.write_seconds)
        self._receiver = Receiver(
            stream,
            tls,
            self._websocket,
            sender=self._sender,
            end=self._end,
            rate_limit=self._rate_limit,
            large=self._large,
        )
        self._close_begun = False
        # Transport's, as they are there: no frame goes through a function that only passes it on.
        self.receive = self._receiver.receive
        self.conclude = self._receiver.conclude
        self.send = self._sender.send
        self.send_nowait = self._sender.send_nowait
        self.flush = self._sender.flush
        self.ping_nowait = self._sender.ping_nowait
        self.charge = self._rate_limit.charge

    # Opening.

    async def secure(self) -> Peer:
        """Do the TLS handshake. Raises HandshakeFailed."""
        try:
            while True:
                data = await self._peers_turn(self._receiver.receive_some)
                if not data:
                    raise HandshakeFailed("tls", "closed_by_peer")
                self._tls.feed(data)
                await self._turn_to_compute()
                if self._tls.handshake():
                    break
                await self._sender.write_out()
        except TlsFailure as failure:
            await self._sender.write_out()  # the alert that gives the peer the reason
            raise HandshakeFailed("tls", failure.reason) from None
        refusal = self._client_refusal(self._tls.peer_certificate)
        if refusal is not None:
            self._tls.pending()  # the end of the handshake, and a ticket to come back with
            raise HandshakeFailed("tls", refusal)
        await self._sender.write_out()
        self._peer = Peer(*self._address, self._tls.version, self._tls.cipher, self._tls.peer_certificate)
        return self._peer

    async def request(self) -> UpgradeRequested:
        """Read the upgrade request. One that is none has been answered when this raises HandshakeFailed."""
        receiver = self._receiver
        receiver.pump()  # what came with the end of the TLS handshake
        while receiver.upgrade is None:
            if self._end.reached is not None:
                raise HandshakeFailed("http", self._end.reached.reason)
            await self._peers_turn(receiver.read)
        upgrade, receiver.upgrade = receiver.upgrade, None
        if isinstance(upgrade, UpgradeRefused):
            await self._finish_refusal()
            raise HandshakeFailed("http", upgrade.reason, upgrade.status)
        return upgrade

    @property
    def awaits_peer(self) -> bool:
        """True while the opening waits for the peer, and not for the gateway."""
        return self._peers_turn_since is not None

    @property
    def waited(self) -> float:
        """Seconds that the opening has waited for the peer so far, all together."""
        since = self._peers_turn_since
        return self._waited if since is None else self._waited + trio.current_time() - since

    async def _peers_turn(self, read: Callable[[], Awaitable[R]]) -> R:
        self._peers_turn_since = trio.current_time()
        try:
            return await read()
        finally:
            self._waited = self.waited
            self._peers_turn_since = None

    async def accept(self, subprotocol: str | None) -> None:
        """Answer 101. Raises ConnectionClosed; ValueError for a subprotocol that was not offered."""
        self._receiver.take_in(self._websocket.accept(subprotocol))
        self._subprotocol = subprotocol
        await self._sender.flush()

    async def reject(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Answer with an HTTP error and close, so that the peer can read it. Never raises for the peer."""
        self._websocket.reject(status, text, headers)
        await self._finish_refusal()

    async def _finish_refusal(self) -> None:
        self._close_begun = True
        try:
            with trio.move_on_after(self._close_seconds, shield=True):
                await self._sender.write_out()
                await self._sender.shut_tls()
                await self._receiver.linger()
        finally:
            self._end.reached = self._end.reached or End(ABNORMAL_CLOSURE, "refused", "local")
            await self._sender.cut()
            self._websocket.release()

    # Transport.

    @property
    def peer(self) -> Peer:
        assert self._peer is not None, "secure() comes first"
        return self._peer

    @property
    def subprotocol(self) -> str | None:
        return self._subprotocol

    @property
    def last_heard(self) -> float:
        return self._receiver.last_heard

    @property
    def last_said(self) -> float:
        return self._sender.last_said

    def account(self, account: Account) -> None:
        """Charge messages to this account from now on: the identity is known."""
        self._rate_limit.account(account)

    # Closing.

    def close_nowait(self) -> bool:
        over = self._end.reached
        if self._close_begun or over is None or over.initiator == "local" or not self._sender.shut_nowait():
            return False
        self._close_begun = True
        self._large.given_out = False
        self._end.reach(over)  # and now the place of a large message is another one's
        self._websocket.release()
        return True

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        if self._close_begun:
            return
        self._close_begun = True
        try:
            with trio.move_on_after(self._close_seconds, shield=True):
                await self._close_politely(code, reason)
        finally:
            self._large.given_out = False
            self._end.reach(End(code, reason, "local"))
            await self._sender.cut()
            self._websocket.release()

    async def _close_politely(self, code: int, reason: str) -> None:
        end, sender, receiver = self._end, self._sender, self._receiver
        if self._websocket.undecided:  # admission was cut short: a charger answered so comes back later
            self._websocket.reject(503, "try again later", (("Retry-After", str(RETRY_AFTER_SECONDS)),))
        violated = end.reached is not None and end.reached.initiator == "local"
        await sender.turn()
        try:
            if end.reached is None:
                receiver.drop()
                self._websocket.send_close(code, reason)
                end.reach(End(code, reason, "local"))
            await sender.write_out()
        finally:
            sender.writing.release()
        while self._websocket.closing and self._tls.failure is None and not end.broken:
            await receiver.read_for_close()
        await sender.shut_tls()
        if violated:  # and the rest of what violated it is still on its way
            await receiver.linger()

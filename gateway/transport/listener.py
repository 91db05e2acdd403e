"""Accepting chargers: a TCP port, TLS, the upgrade, and the hand-over to the connection's handler.

Two nurseries: one accepts, the other holds the connections, so that accepting can stop while those go on to their own
end. Nothing that happens to one connection ends another or the loop.
"""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from socket import socket

import structlog
import trio
from attrs import frozen

from gateway.transport.accounts import Accounts
from gateway.transport.addresses import Addresses
from gateway.transport.api import Accept, Admit, ConnectionClosed, Handle, Rejection, UpgradeRequest
from gateway.transport.authentication import shown_path
from gateway.transport.certified_connections import CertifiedConnections
from gateway.transport.connection import Connection, HandshakeFailed
from gateway.transport.epoll import AVAILABLE, Epoll
from gateway.transport.handshake_places import MAX_WAITING, HandshakePlaces, Stage, Visitor
from gateway.transport.handshake_turns import HandshakeTurns
from gateway.transport.large_messages import LargeMessagePlace
from gateway.transport.limits import Limits
from gateway.transport.listening_socket import Accepted, ListeningSocket, open_ports
from gateway.transport.proxies import NotIntroduced, Proxies
from gateway.transport.rate_limit import ignored
from gateway.transport.socket_stream import SocketStream
from gateway.transport.tls import TlsProvider
from gateway.transport.tls_records import TlsRecords

BACKLOG = 1024
"""Connections that the kernel holds for us; a mass reconnect after a power cut fills it, and more retry by SYN."""

ACCEPT_PAUSE_SECONDS = 0.25
"""After an accept that failed for want of descriptors or memory: long enough for some to come back."""

ACCEPT_LOG_SECONDS = 60.0
"""Such failures repeat until the shortage is over; one line a minute says so."""

_LOG = structlog.get_logger()


def nobody(_: object) -> str:
    """The identity of a principal that has none."""
    return ""


@frozen
class ConnectionOutcome:
    """Outcome of one connection, for metrics and security events.

    ``stage`` is where it ended; ``result`` a stable word: ``served``, ``deadline``, a refusal's reason, a TLS alert.
    ``status`` is what was answered in HTTP where the upgrade was refused; ``path`` what the request asked for where
    that named no identity: bounded, and without what may be a secret (``authentication.shown_path``).
    """

    listener: str
    stage: Stage
    result: str
    address: str
    identity: str | None = None
    status: int | None = None
    path: str = ""


PLACE_SECONDS = 60.0
"""For a connection that has said something to wait for its place: then it is closed without a word. Chargers give up an
unanswered connect after some 30 s, so what waits for longer is dead, or would be by its turn."""


class Listener:
    """One port for chargers. ``admit`` decides about each upgrade request; ``handle`` serves what it accepts.

    ``observe`` is called with the outcome of every connection, in the Trio thread; it must return at once and never
    raise. So must ``slowed``, called each time a peer that sends too fast has to wait, and for what (``Connection``).
    ``addresses`` is what all listeners know of addresses; ``may_wait`` how many connections may wait for a place now;
    ``may_begin`` whether a handshake may begin, under load.

    ``identity_of`` returns the identity of a principal: all its connections share an account, and each of
    those without one has its own. ``accounts`` and ``large`` are for all listeners of a gateway. ``proxies`` are the
    addresses and networks of load balancers; with any, all connections have to come from there (``Proxies``).
    ``recheck`` runs for as long as there may be connections, and looks at those that showed a certificate.
    """

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        tls: TlsProvider,
        admit: Admit,
        handle: Handle,
        limits: Limits | None = None,
        observe: Callable[[ConnectionOutcome], None] | None = None,
        slowed: Callable[[str], None] = ignored,
        addresses: Addresses | None = None,
        may_wait: Callable[[], int] = lambda: MAX_WAITING,
        may_begin: Callable[[], bool] = lambda: True,
        identity_of: Callable[[object], str] = nobody,
        accounts: Accounts | None = None,
        large: LargeMessagePlace | None = None,
        proxies: Iterable[str] = (),
        recheck: Callable[[CertifiedConnections], Awaitable[None]] | None = None,
        sockets: Sequence[socket] = (),
    ) -> None:
        self.name = name
        self.limits = limits or Limits()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """How many connections ended at (stage, result); both come from small fixed vocabularies."""
        self._host = host
        self._port = port
        self._tls = tls
        self._admit = admit
        self._handle = handle
        self._observe = observe
        self._slowed = slowed
        self._known = Addresses() if addresses is None else addresses
        self._places = HandshakePlaces(self.limits, self._known, may_wait, may_begin)
        self._turns = HandshakeTurns()
        self._identity_of = identity_of
        self._accounts = Accounts(self.limits) if accounts is None else accounts
        self._large = LargeMessagePlace(self.limits.message_seconds) if large is None else large
        self._proxies = Proxies(proxies)
        self._sockets = sockets
        self._accepting = trio.CancelScope()
        self._certified = CertifiedConnections(name)
        self._recheck = recheck
        self._addresses: tuple[tuple[str, int], ...] = ()
        self._poller: Epoll | None = None
        self._shortage_logged = float("-inf")

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """The bound (host, port) pairs; empty before ``serve`` has started."""
        return self._addresses

    @property
    def opening(self) -> int:
        """Number of connections between their first bytes, once they have a place, and the end of the upgrade."""
        return len(self._places)

    @property
    def waiting(self) -> int:
        """Number of accepted connections that have sent nothing yet or have no place."""
        return self._places.waiting

    async def serve(
        self, *, task_status: trio.TaskStatus[tuple[tuple[str, int], ...]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Bind, report the bound addresses, accept until ``stop_accepting``, return when the last handler has.

        Cancelling ends the handlers, each of whose connections is closed with 1001. Raises OSError if it cannot bind.
        """
        ports = await open_ports(self._host, self._port, BACKLOG, self._sockets)
        try:
            self._addresses = tuple(port.address for port in ports)
            async with self._polling(), self._sharing_out(), trio.open_nursery() as handlers:
                task_status.started(self._addresses)
                with self._accepting:
                    async with trio.open_nursery() as acceptors:
                        for port in ports:
                            acceptors.start_soon(self._accept, port, handlers)
                _close(ports)
        finally:
            _close(ports)

    @asynccontextmanager
    async def _polling(self) -> AsyncIterator[None]:
        """Wake sockets that have something to read, for as long as there may be any."""
        if not AVAILABLE:
            yield
            return
        self._poller = poller = Epoll()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            try:
                yield
            finally:
                poller.stop()

    @asynccontextmanager
    async def _sharing_out(self) -> AsyncIterator[None]:
        """Places and turns are given, for as long as there may be connections."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._places.run)
            nursery.start_soon(self._turns.run)
            if self._recheck is not None:
                nursery.start_soon(self._recheck, self._certified)
            yield
            nursery.cancel_scope.cancel()

    def stop_accepting(self) -> None:
        """Close the port. Connections that were accepted go on to their own end."""
        self._accepting.cancel()

    async def close_refused(self) -> None:
        """Close the connections whose certificates are good no longer: what is revoked may not stay. Returns once each
        has been looked at; those that go are closed side by side, each within its close deadline."""

        async def refusal(certificate: bytes | None) -> str | None:
            return self._tls.client_refusal(certificate)

        await self._certified.close_refused(refusal)

    async def _accept(self, port: ListeningSocket, handlers: trio.Nursery) -> None:
        while True:
            try:
                accepted = await port.accept(self._poller)
            except Exception as exc:  # a shortage, or a bug: no reason to stop accepting
                self._log_shortage(exc)
                await trio.sleep(ACCEPT_PAUSE_SECONDS)
            else:
                if self._proxies:
                    handlers.start_soon(self._introduce, accepted, handlers)
                else:
                    self._arrive(accepted, handlers)
                del accepted  # no connection is kept until the next one comes

    def _arrive(self, accepted: Accepted, handlers: trio.Nursery) -> None:
        try:
            visitor = self._places.arrive(accepted.address)
        except Exception:
            accepted.link.close_nowait()  # no handler knows of it yet
            raise
        handlers.start_soon(self._attend, accepted, visitor, handlers)

    async def _introduce(self, accepted: Accepted, handlers: trio.Nursery) -> None:
        """Let the balancer say where the connection comes from; from then on that is its address."""
        try:
            try:
                introduced = await self._proxies.introduce(accepted)
            except BaseException as error:
                accepted.link.close_nowait()
                if not isinstance(error, NotIntroduced):
                    raise
                self._report("accept", error.reason, accepted.address)
            else:
                self._arrive(introduced, handlers)
        except Exception:  # a bug belongs to this one connection
            self._failed(accepted.address)

    def _log_shortage(self, exc: Exception) -> None:
        self.outcomes["accept", "failed"] += 1
        if trio.current_time() - self._shortage_logged >= ACCEPT_LOG_SECONDS:
            self._shortage_logged = trio.current_time()
            _LOG.error("accept failed", listener=self.name, error=str(exc) if isinstance(exc, OSError) else repr(exc))

    async def _attend(self, accepted: Accepted, visitor: Visitor, handlers: trio.Nursery) -> None:
        """Open one connection and start the task that serves it. Errors stay in here, also those of closing it."""
        address = accepted.address
        connection: Connection | None = None
        is_served = False
        try:
            try:
                try:
                    accept = None
                    with visitor.scope:
                        await self._until_placed(accepted, visitor)
                        connection = Connection(
                            accepted.link,
                            TlsRecords(self._tls.context),
                            address=(address, accepted.port),
                            limits=self.limits,
                            slowed=self._slowed,
                            turn=partial(self._turns.take, visitor.lane),
                            large=self._large,
                            client_refusal=self._tls.client_refusal,
                        )
                        visitor.progress = connection
                        accept = await self._open(connection, address, visitor)
                finally:
                    self._places.leave(visitor)
                if visitor.scope.cancelled_caught:
                    if visitor.crowded_out:
                        self._report("accept", "crowded_out", address)
                    else:
                        self._report(visitor.stage, "deadline", address)
                if connection is not None and accept is not None:
                    handlers.start_soon(self._serve, accepted.link, connection, accept)
                    is_served = True
            except Exception:  # a bug belongs to this one connection
                self._failed(address)
            finally:
                if not is_served:
                    if connection is not None:
                        await connection.aclose(1011)
                    accepted.link.close_nowait()
        except* Exception:
            _LOG.exception("connection failed", listener=self.name, address=address)

    async def _serve(self, link: SocketStream, connection: Connection, accept: Accept) -> None:
        """Serve an open connection to its end. Nothing escapes but cancellation, which closes it with 1001.

        This is the root of the task that each frame wakes. From here to the socket there are only coroutines with a
        part in the work: the handler, ``Session.run``, its reader, ``Receiver.receive``.
        """
        address, code = connection.peer.address, 1001
        identity = self._identity_of(accept.principal)
        if identity:
            connection.account(self._accounts.open(identity))
        self._certified.add(connection)
        try:
            try:
                await self._handle(connection, accept.principal)
                code = 1000
            except ConnectionClosed:
                code = 1000
            except Exception:
                code = 1011
                raise
            finally:
                if identity:
                    self._accounts.leave(identity)
                self._certified.discard(connection)
                try:
                    await connection.aclose(code)
                finally:
                    link.close_nowait()
            self._report("session", "served", address)
        except* Exception:  # a bug belongs to this one connection
            self._failed(address)

    def _failed(self, address: str) -> None:
        _LOG.exception("connection failed", listener=self.name, address=address)
        self._report("session", "failed", address)

    async def _until_placed(self, accepted: Accepted, visitor: Visitor) -> None:
        """TLS begins with the client, so a peer that has said nothing needs no place."""
        visitor.begin("tls", self.limits.tls_handshake_seconds)
        await accepted.link.arrived()
        visitor.begin("accept", PLACE_SECONDS)  # it waits for us
        await self._places.place(visitor)

    async def _open(self, connection: Connection, address: str, visitor: Visitor) -> Accept | None:
        """TLS, request, admission, answer. None if it came to nothing, which has been reported then, but for a
        deadline."""
        try:
            visitor.begin("tls", self.limits.tls_handshake_seconds)
            peer = await connection.secure()
            visitor.begin("http", self.limits.upgrade_seconds)
            asked = await connection.request()
            visitor.begin("http", math.inf)  # what follows has deadlines of its own
            request = UpgradeRequest(asked.target, asked.headers, asked.offered, peer, self.name)
            answer = await self._ask(request)
            if isinstance(answer, Rejection):
                path = "" if answer.identity else shown_path(asked.target)
                self._report("admission", answer.reason, address, answer.identity, answer.status, path)
                await connection.reject(answer.status, _TEXTS.get(answer.status, "refused"), answer.headers)
                return None
            self._known.proved(address)
            await connection.accept(answer.subprotocol)
        except HandshakeFailed as failure:
            self._report(visitor.stage, failure.reason, address, status=failure.status)
            return None
        except ConnectionClosed as closed:
            self._report(visitor.stage, f"closed_by_{closed.initiator}", address)
            return None
        return answer

    async def _ask(self, request: UpgradeRequest) -> Accept | Rejection:
        with trio.move_on_after(self.limits.admission_seconds):
            return await self._admit(request)
        return Rejection(503, "admission_deadline", headers=(("Retry-After", "30"),))

    def _report(
        self,
        stage: Stage,
        result: str,
        address: str,
        identity: str | None = None,
        status: int | None = None,
        path: str = "",
    ) -> None:
        # At DEBUG: ports on the internet see scanners all day, and a refusal must stay cheap (A1.6).
        _LOG.debug("connection ended", listener=self.name, stage=stage, result=result, address=address)
        self.outcomes[stage, result] += 1
        if self._observe is not None:
            self._observe(ConnectionOutcome(self.name, stage, result, address, identity, status, path))


_TEXTS = {
    400: "bad request",
    401: "credentials required",
    403: "forbidden",
    404: "unknown charge point",
    429: "too many requests",
    503: "try again later",
}
"""What a refused charger reads. The reason proper is for us: it would tell a stranger what to try next."""


def _close(ports: list[ListeningSocket]) -> None:
    for port in ports:
        port.close()

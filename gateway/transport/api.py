"""The seam between a charger's connection and everything that uses it.

Only types: the session and the composition root depend on this module and on nothing else of the transport, so that
another transport (a different WebSocket library, a test double) can stand in without them
noticing. The implementation is ``connection.py``; the accept loop is ``listener.py``.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeAlias

from attrs import frozen

from gateway.errors import GatewayError

Initiator: TypeAlias = Literal["peer", "local", "network"]
"""Who ended a connection: the charger's Close, our own, or neither (reset, EOF without Close, write deadline)."""

NO_STATUS_RECEIVED = 1005
"""Close code that stands for a Close frame without a code (RFC 6455 §7.4.1); never on the wire."""

ABNORMAL_CLOSURE = 1006
"""Close code that stands for "no Close frame at all" (RFC 6455 §7.4.1); never on the wire."""


class ConnectionClosed(GatewayError):
    """The connection is over; no later call on it will succeed.

    ``code`` is the WebSocket close code (RFC 6455 §7.4): the peer's if the peer closed, ours if we closed, 1006
    where the network ended it. ``reason`` is text for logs, at most 123 bytes when it came from the peer.
    ``too_large``: the bytes of a message beyond the limit, as far as they were announced, where that was why; else 0.
    """

    def __init__(self, code: int, reason: str, initiator: Initiator, too_large: int = 0) -> None:
        super().__init__(f"connection closed by {initiator}: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason
        self.initiator: Initiator = initiator
        self.too_large = too_large

    def plain(self) -> "ConnectionClosed":
        """Return the same without traceback and cause, whose frames it would keep for as long as it is kept itself."""
        return ConnectionClosed(self.code, self.reason, self.initiator, self.too_large)


class Concluded(GatewayError):
    """After ``Transport.conclude``: all that had arrived has been given out. The connection is still open."""


@frozen
class Peer:
    """The other end of a TLS connection.

    ``certificate`` is the verified client certificate in DER, or None where the listener asks for none.
    """

    address: str
    port: int
    tls_version: str
    cipher: str
    certificate: bytes | None


@frozen(repr=False)
class UpgradeRequest:
    """A well-formed WebSocket upgrade request that waits for an answer.

    ``target`` is the request target as sent (ASCII, not decoded). ``headers`` keep order, case and repetition;
    bytes above 0x7F appear as ISO-8859-1 characters. ``offered`` are the subprotocols in the client's order of
    preference (J §3.1.2). The representation never shows header values: ``Authorization`` is among them.
    """

    target: str
    headers: tuple[tuple[str, str], ...]
    offered: tuple[str, ...]
    peer: Peer
    listener: str

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return (
            f"UpgradeRequest(target={self.target!r}, headers=<{names}>, offered={self.offered!r}, "
            f"peer={self.peer.address!r}, listener={self.listener!r})"
        )


@frozen
class Accept:
    """Complete the upgrade. ``principal`` is handed to the handler; ``subprotocol`` is echoed, None echoes none."""

    principal: object
    subprotocol: str | None


@frozen
class Rejection:
    """Answer the upgrade with an HTTP error and close.

    ``reason`` is a short stable word for logs and metrics and never goes on the wire; ``identity`` is set once the
    request has named a well-formed one. ``headers`` are added to the response (``Retry-After`` and the like).
    """

    status: int
    reason: str
    identity: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Transport(Protocol):
    """One charger's open WebSocket connection.

    One task receives; any number of tasks send, ping and close.
    """

    @property
    def peer(self) -> Peer:
        """The peer of the connection."""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was echoed, None if none was."""

    @property
    def last_heard(self) -> float:
        """``trio.current_time()`` of the last received frame of any kind, pongs and fragments included, and of the
        last part of one that is not complete."""

    @property
    def last_said(self) -> float:
        """``trio.current_time()`` of the last frame of any kind that was sent."""

    def charge(self, messages: int) -> None:
        """Charge the last message as that many everyday messages, beside its bytes: its sender is read
        more slowly for a while. Never waits."""

    async def receive(self) -> bytes:
        """Return the next complete text message (valid UTF-8, within the size limit).

        Pings are answered while waiting; nothing is read while no task waits, which is the back-pressure. Messages
        that arrived before the end are returned before the end is reported.

        Cancelling is safe: no message and no part of one is lost. (Only a cancellation that arrives while a pong is
        stuck because the peer does not read ends the connection; complete messages are still returned.)

        Raises ConnectionClosed, and Concluded after ``conclude``.
        """

    def conclude(self) -> None:
        """From now on the peer is not waited for: ``receive``, also one that is waiting, returns what has arrived until
        now, message by message and no faster than the peer may send, and then raises Concluded. Sending and closing go
        on as before. Repeating it does nothing.
        """

    async def send(self, data: bytes) -> None:
        """Send one text message that is to be answered; ``data`` is UTF-8. Calls of several tasks are serialised in
        order of arrival. What the peer says next is read as soon as it comes.

        Returning means handed to the kernel, not received. Cancelling while waiting for another task's message is
        harmless; cancelling part-way ends the connection for good, because half a record cannot be taken back. So
        does a peer that does not read for the write deadline.

        Raises ConnectionClosed.
        """

    def send_nowait(self, data: bytes) -> bool:
        """As ``send``, as far as that can be done without waiting: True if all of it is with the kernel, which is
        nearly always so. False: it will be sent, in its turn, by the next writer; await ``flush`` to see to it.

        Raises ConnectionClosed if the connection was over before.
        """

    async def flush(self) -> None:
        """See to it that everything is sent which ``send_nowait`` and ``ping_nowait`` have taken. Cancelling leaves it
        to the next writer.

        Raises ConnectionClosed.
        """

    def ping_nowait(self) -> bool:
        """Send a Ping; its Pong moves ``last_heard``. What is returned and raised is as of ``send_nowait``."""

    def close_nowait(self) -> bool:
        """Close a connection that the peer or the network has ended, as ``aclose``, if that takes no waiting; False: it
        does, or has not ended so."""

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close: Close frame, the peer's answer, TLS close_notify, socket. Idempotent, never raises for the peer.

        Takes at most the close deadline, shielded, so it also works in a cancelled task; what is not done by then
        is cut off. ``reason`` is cut to 123 bytes. A ``receive`` in another task raises ConnectionClosed.
        """


Admit: TypeAlias = Callable[[UpgradeRequest], Awaitable[Accept | Rejection]]
"""Decides about an upgrade request; runs under the listener's admission deadline."""

Handle: TypeAlias = Callable[[Transport, object], Awaitable[None]]
"""Serves one accepted connection until it is over; the second argument is the principal of ``Accept``."""

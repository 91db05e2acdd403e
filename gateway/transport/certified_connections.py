"""Connections whose chargers showed a certificate: closed once it is good no longer."""

from collections.abc import Awaitable, Callable

import structlog
import trio

from gateway.transport.connection import Connection

POLICY_VIOLATION = 1008
"""Close code of a connection that may not stay (RFC 6455 §7.4.1)."""

_LOG = structlog.get_logger()


class CertifiedConnections:
    """Those of one listener that are open. Belongs to the Trio loop."""

    def __init__(self, listener: str) -> None:
        self._listener = listener
        self._open: set[Connection] = set()

    def add(self, connection: Connection) -> None:
        """Take it in where it came with a certificate."""
        if connection.peer.certificate is not None:
            self._open.add(connection)

    def discard(self, connection: Connection) -> None:
        """Forget it, if it was there."""
        self._open.discard(connection)

    async def close_refused(self, refusal: Callable[[bytes | None], Awaitable[str | None]]) -> None:
        """Close those for whose certificate ``refusal`` has a reason: what is revoked may not stay. Returns once each
        has been looked at, one after the other; those that go are closed side by side, each within its close deadline.
        """
        async with trio.open_nursery() as nursery:
            for connection in tuple(self._open):
                await trio.lowlevel.checkpoint()  # each may take a check of a signature
                reason = await refusal(connection.peer.certificate)
                if reason is not None:
                    _LOG.warning(
                        "connection closed for its certificate",
                        listener=self._listener,
                        reason=reason,
                        address=connection.peer.address,
                    )
                    nursery.start_soon(connection.aclose, POLICY_VIOLATION, reason)

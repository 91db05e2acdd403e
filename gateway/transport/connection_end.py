"""The end of a connection: whether it has come, and how."""

from typing import NoReturn

from attrs import frozen

from gateway.transport.api import ConnectionClosed, Initiator
from gateway.transport.large_messages import LargeMessageArrival
from gateway.transport.rate_limit import RateLimit


@frozen
class End:
    """The fields of ``ConnectionClosed``."""

    code: int
    reason: str
    initiator: Initiator
    too_large: int = 0


class ConnectionEnd:
    """Of one connection. Its reader and its writers all may bring it about; the first end counts."""

    __slots__ = ("_large", "_rate_limit", "broken", "reached")

    def __init__(self, rate_limit: RateLimit, large: LargeMessageArrival) -> None:
        self._rate_limit = rate_limit
        self._large = large
        self.reached: End | None = None
        self.broken = False
        """The stream is unusable; nothing can be said to the peer any more."""

    def reach(self, end: End) -> None:
        """The connection is over; what waits for the peer's budget, or for a place, waits no longer."""
        self.reached = self.reached or end
        self._rate_limit.cut_short()
        if not self._large.given_out:  # else it is still being read, or recorded
            self._large.leave()

    def raise_reached(self) -> NoReturn:
        """Raise ConnectionClosed. Only once it is reached."""
        end = self.reached
        assert end is not None
        raise ConnectionClosed(end.code, end.reason, end.initiator, end.too_large)

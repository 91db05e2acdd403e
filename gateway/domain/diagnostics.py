"""Notes of the running gateway on chargers that don't connect or don't behave. Kept in memory, never in the store."""

from datetime import datetime
from enum import StrEnum
from math import ceil

from attrs import frozen


@frozen
class RefusedConnection:
    """Connections from one address that failed in one way, for one identity.

    ``number`` rises from entry to entry. ``identity`` is empty where none was named before it failed. ``stage`` is
    where it ended: accept, tls, http or admission; ``status`` what was answered in HTTP, None if nothing was.
    """

    number: int
    identity: str
    address: str
    listener: str
    stage: str
    reason: str
    status: int | None
    count: int
    first_seen: datetime
    last_seen: datetime
    path: str = ""
    """What an HTTP request asked for that named no identity."""


class FrameKind(StrEnum):
    """Kind of a kept frame."""

    RECEIVED = "received"
    SENT = "sent"
    CONNECTED = "connected"
    CLOSED = "closed"


@frozen
class KeptFrame:
    """A message of a charger's connection, or the connection's beginning or end, without secrets.

    ``text`` is as on the wire but for what was ``redacted``, and for its end where that was ``cut``; ``size`` is in
    bytes as on the wire. For a beginning it is the peer's address, for an end who ended it, the code and the reason.
    """

    at: datetime
    kind: FrameKind
    text: str
    size: int
    cut: bool = False
    redacted: bool = False


@frozen
class DeviationCount:
    """Count of a repair in messages of a make and firmware. Makes are as reported at the last boot, empty if unknown.

    ``number`` rises from entry to entry. ``charge_point`` is the one that was seen last.
    """

    number: int
    deviation: str
    vendor: str
    model: str
    firmware_version: str
    count: int
    first_seen: datetime
    last_seen: datetime
    charge_point: str


class LatencyKind(StrEnum):
    """Direction of the CALL whose answer is waited for."""

    ANSWER = "answer"
    """A charge point's CALL, from taking it up to handing over the gateway's answer."""
    CALL = "call"
    """The gateway's CALL, from the wire to the charge point's answer."""


@frozen
class LatencyCount:
    """Count of the latencies of one action at the charge points of one make and firmware, as reported at their last
    boot, empty if unknown.

    ``number`` rises from entry to entry. ``bounds``: seconds, the upper bounds of all ``counts`` but the last, which is
    above them. ``total``: the sum in seconds.
    """

    number: int
    kind: LatencyKind
    action: str
    vendor: str
    model: str
    firmware_version: str
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """Number of answers."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Seconds; 0 without an answer."""
        return self.total / (self.count or 1)

    def quantile(self, share: float) -> float:
        """Seconds within which a share (0 to 1) of the answers came: evenly spread within a bucket, as Prometheus
        estimates it, but no more than their sum allows; the highest bound for those above it. 0 without an answer."""
        wanted, below, lower = share * self.count, 0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count and below + count >= wanted:
                # What is sought and each that took longer are at least as many, and took at least as long each.
                at_least = self.count - max(1, ceil(wanted)) + 1
                return min(lower + (bound - lower) * (wanted - below) / count, max(lower, self.total / at_least))
            below, lower = below + count, bound
        return lower if self.count else 0.0


@frozen
class FlappingChargePoint:
    """A charge point that comes and goes. ``connects``: those that count now; ``kept_out``: seconds for which it is
    answered 503."""

    identity: str
    connects: int
    since: datetime
    last: datetime
    kept_out: float

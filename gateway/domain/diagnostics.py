"""Notes of the running gateway on chargers that don't connect or don't behave. Kept in memory, never in the store."""

from datetime import datetime
from enum import StrEnum

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

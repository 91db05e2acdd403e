"""Events of reservations."""

from datetime import datetime
from typing import ClassVar, TypeAlias

from attrs import frozen

from gateway.domain.values import ConnectorAddress


@frozen
class ReservationMade:
    """The charger accepted a ReserveNow (B9.10). Connector (0, 0): any of its connectors."""

    TYPE: ClassVar[str] = "reservation.made"
    VERSION: ClassVar[int] = 1
    reservation_id: int
    """The caller's."""
    connector: ConnectorAddress
    id_tag: str
    expires_at: datetime
    parent_id_tag: str | None = None


@frozen
class ReservationEnded:
    """A reservation that was made holds no more; exactly one for each ``reservation.made``.

    ``why``: used (by ``transaction_id``), expired, cancelled, replaced, connector-unavailable, deleted ...
    """

    TYPE: ClassVar[str] = "reservation.ended"
    VERSION: ClassVar[int] = 1
    reservation_id: int
    connector: ConnectorAddress
    why: str
    transaction_id: str | None = None


Body: TypeAlias = ReservationMade | ReservationEnded

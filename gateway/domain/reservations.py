"""What makes and ends the gateway's own record of a reservation (S §5.13, OCPP.md B9.10, B4.11).

The charger keeps the reservation; the record follows what it says. Each function answers the events that something
brings about, from the state as it is; whoever calls it commits them with what brought them about. All of one charge
point's are decided in the order in which the charger spoke, so that what was made ends once.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from gateway.domain.commands import ReserveNow
from gateway.domain.events import NewEvent, ReservationEnded, ReservationMade
from gateway.domain.records import ReservationRecord
from gateway.domain.state import ChargePointState
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

USED: Final = "used"
EXPIRED: Final = "expired"
CANCELLED: Final = "cancelled"
REPLACED: Final = "replaced"
CONNECTOR_UNAVAILABLE: Final = "connector-unavailable"
DELETED: Final = "deleted"
"""Why a reservation ended."""

ENDING_STATUSES: Final = frozenset({"Faulted", "Unavailable"})
"""Statuses of a connector, or of the whole charge point, under which its reservations hold no more (S §5.13)."""


def ended(reservation: ReservationRecord, why: str, transaction_id: str | None = None) -> ReservationEnded:
    """The end of a reservation."""
    return ReservationEnded(reservation.reservation_id, reservation.connector, why, transaction_id)


def accepted(
    command: ReserveNow, state: ChargePointState, now: datetime
) -> tuple[ReservationMade | ReservationEnded, ...]:
    """The charger accepted a reservation. One with the same id is replaced; so is one of the same connector, which the
    charger can't have any more: it would have said Occupied (S §5.13). An acceptance that comes after the expiry makes
    a reservation that has ended."""
    gone = [each for each in state.reservations.values() if _gives_way(each, command)]
    made = ReservationMade(
        command.reservation_id, command.connector, command.id_tag, command.expiry_date, command.parent_id_tag
    )
    late = command.expiry_date <= now
    end = (ReservationEnded(command.reservation_id, command.connector, EXPIRED),) if late else ()
    return (*(ended(each, REPLACED) for each in gone), made, *end)


def _gives_way(reservation: ReservationRecord, to: ReserveNow) -> bool:
    same_connector = reservation.connector == to.connector != WHOLE_CHARGE_POINT
    return reservation.reservation_id == to.reservation_id or same_connector


def cancelled(reservation_id: int, state: ChargePointState) -> tuple[ReservationEnded, ...]:
    """The charger accepted a cancellation; of what is unknown, or over, nothing ends."""
    reservation = state.reservations.get(reservation_id)
    return () if reservation is None else (ended(reservation, CANCELLED),)


def used(
    state: ChargePointState, reservation_id: int | None, transaction_id: str, queued_since: datetime | None
) -> tuple[ReservationEnded, ...]:
    """A transaction began under a reservation; an unknown, 0 or stale id ends none (OCPP.md B4.11).

    ``queued_since``: when a message that comes late was written; one from before the reservation means another one.
    """
    reservation = None if reservation_id is None else state.reservations.get(reservation_id)
    if reservation is None or _older(queued_since, reservation):
        return ()
    return (ended(reservation, USED, transaction_id),)


def unavailable(
    state: ChargePointState, connector: ConnectorAddress, status: str, queued_since: datetime | None
) -> tuple[ReservationEnded, ...]:
    """What a connector's status ends: Faulted and Unavailable end what is reserved there; those of the whole charge
    point, everything. ``queued_since`` as for ``used``."""
    if status not in ENDING_STATUSES:
        return ()
    return tuple(
        ended(each, CONNECTOR_UNAVAILABLE)
        for each in state.reservations.values()
        if connector in (each.connector, WHOLE_CHARGE_POINT) and not _older(queued_since, each)
    )


def _older(queued_since: datetime | None, reservation: ReservationRecord) -> bool:
    return queued_since is not None and queued_since < reservation.made_at


def overdue(state: ChargePointState, now: datetime, decided: Iterable[NewEvent] = ()) -> tuple[NewEvent, ...]:
    """Ends of what has expired, but for what ``decided`` ends already: a start that uses a reservation counts, whoever
    is right about the time."""
    if not state.reservations:
        return ()
    ends = {event.body.reservation_id for event in decided if isinstance(event.body, ReservationEnded)}
    return tuple(
        NewEvent(ended(each, EXPIRED), now)
        for each in state.reservations.values()
        if each.expires_at <= now and each.reservation_id not in ends
    )

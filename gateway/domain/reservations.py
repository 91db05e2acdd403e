"""Beginning and end of the gateway's own record of a reservation (S §5.13, B9.10, B4.11).

The charger keeps the reservation; the record follows what it says. Each function answers the events that something
brings about, from the state as it is; the caller commits them with what brought them about. All of one charge
point's are decided in the order in which the charger spoke, so that what was made ends once.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.commands import ReserveNow
from gateway.domain.events import NewEvent, ReservationEnded, ReservationMade, TransactionStarted
from gateway.domain.records import ReservationRecord
from gateway.domain.state import ChargePointState
from gateway.domain.transactions import folded
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

USED: Final = "used"
EXPIRED: Final = "expired"
CANCELLED: Final = "cancelled"
REPLACED: Final = "replaced"
CONNECTOR_UNAVAILABLE: Final = "connector-unavailable"
GONE: Final = "gone"
DELETED: Final = "deleted"
"""Why a reservation ended. GONE: what the charger said shows that it doesn't hold it any more."""

CLOCKS: Final = timedelta(minutes=1)
"""How far a charger's clock may be ahead where it frees a connector at the expiry of its reservation."""

RESERVED: Final = "Reserved"
AVAILABLE: Final = "Available"

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


def unknown(reservation_id: int, state: ChargePointState) -> tuple[ReservationEnded, ...]:
    """The charger rejected a cancellation: it has no such reservation (S §5.1), unless its connector says Reserved at
    this moment. (Some reject what they don't want to cancel.)"""
    reservation = state.reservations.get(reservation_id)
    if reservation is None:
        return ()
    anywhere = reservation.connector == WHOLE_CHARGE_POINT
    says = any(_says_reserved(state, each) for each in state.connectors if anywhere or each == reservation.connector)
    return () if says else (ended(reservation, GONE),)


def used(
    state: ChargePointState, started: TransactionStarted, parent_id_tag: str | None, queued_since: datetime | None
) -> tuple[ReservationEnded, ...]:
    """Return the ends that a start brings about (S §5.13). It uses the reservation that it names, by whatever tag
    (B4.11), else that of its tag, or of its tag's group, for this connector or for any. What else is reserved on this
    very connector is gone: only the reserved tag is let in there.

    ``parent_id_tag``: the group of the tag that started. ``queued_since``: when a message that comes late was written;
    one from before the reservation means another one.
    """
    held = [each for each in state.reservations.values() if not _older(queued_since, each)]
    candidates = [each for each in held if _fits(each, started, parent_id_tag)]
    taken = next((each for each in held if each.reservation_id == started.reservation_id), None)
    if taken is None:
        # The one for this connector before those for any, of which the first to expire.
        taken = min(candidates, key=lambda each: (each.connector == WHOLE_CHARGE_POINT, each.expires_at), default=None)
    others = [each for each in held if each.connector == started.connector != WHOLE_CHARGE_POINT and each is not taken]
    used = () if taken is None else (ended(taken, USED, started.transaction_id),)
    return (*used, *(ended(each, GONE) for each in others))


def _fits(reservation: ReservationRecord, started: TransactionStarted, parent_id_tag: str | None) -> bool:
    if reservation.connector not in (started.connector, WHOLE_CHARGE_POINT):
        return False
    if folded(reservation.id_tag) == folded(started.id_tag):
        return True
    group = reservation.parent_id_tag
    return bool(group and parent_id_tag) and folded(group or "") == folded(parent_id_tag or "")


def shown_by(
    state: ChargePointState, connector: ConnectorAddress, status: str, queued_since: datetime | None, now: datetime
) -> tuple[ReservationEnded, ...]:
    """Return the ends that a connector's status brings about. Faulted and Unavailable end what is reserved there; those
    of the whole charge point, everything. Available ends what the charger had shown to hold: it would say Reserved if
    it still did (when a reservation expires, the connector becomes available: S §5.13). ``queued_since`` as for
    ``used``."""
    held = [each for each in state.reservations.values() if not _older(queued_since, each)]
    if status in ENDING_STATUSES:
        over = [each for each in held if connector in (each.connector, WHOLE_CHARGE_POINT)]
        return tuple(ended(each, CONNECTOR_UNAVAILABLE) for each in over)
    if status != AVAILABLE or connector == WHOLE_CHARGE_POINT:
        return ()
    own = [each for each in held if each.connector == connector]
    if not own and _says_reserved(state, connector) and not _others_say_reserved(state, connector):
        # One for any connector, which the charger had put here. Of several it is not known which one it was.
        whole = [each for each in held if each.connector == WHOLE_CHARGE_POINT]
        own = whole if len(whole) == 1 else []
    return tuple(ended(each, EXPIRED if each.expires_at <= now + CLOCKS else GONE) for each in own if each.shown)


def _says_reserved(state: ChargePointState, connector: ConnectorAddress) -> bool:
    known = state.connectors.get(connector)
    return known is not None and known.status == RESERVED


def _others_say_reserved(state: ChargePointState, connector: ConnectorAddress) -> bool:
    return any(_says_reserved(state, each) for each in state.connectors if each != connector)


def forgotten(state: ChargePointState) -> tuple[ReservationEnded, ...]:
    """Another unit has been put up under the identity: it was asked for none of them."""
    return tuple(ended(each, GONE) for each in state.reservations.values())


def _older(queued_since: datetime | None, reservation: ReservationRecord) -> bool:
    return queued_since is not None and queued_since < reservation.made_at


def overdue(state: ChargePointState, now: datetime, decided: Iterable[NewEvent] = ()) -> tuple[NewEvent, ...]:
    """Ends of what has expired, but for what ``decided`` ends already: a start that uses a reservation counts,
    whichever clock is right."""
    if not state.reservations:
        return ()
    ends = {event.body.reservation_id for event in decided if isinstance(event.body, ReservationEnded)}
    return tuple(
        NewEvent(ended(each, EXPIRED), now)
        for each in state.reservations.values()
        if each.expires_at <= now and each.reservation_id not in ends
    )

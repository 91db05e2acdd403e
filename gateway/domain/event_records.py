"""Records of connectors, reservations and transactions as the events about them leave them, and an event's times."""

from datetime import datetime

import attrs

from gateway.domain import events as e
from gateway.domain.events import NewEvent
from gateway.domain.records import (
    AppliedConfiguration,
    ConnectorRecord,
    ReservationRecord,
    TransactionRecord,
    TransactionState,
)
from gateway.domain.values import Flag


def event_time(event: NewEvent) -> datetime:
    """Return the time at which it happened, as far as is known: the charger's unless it is missing or suspect."""
    return event.reported_at or event.received_at


def queued_since(event: NewEvent) -> datetime | None:
    """Return the time at which it was said, if it came late; None: just now, as far as is known."""
    return event.reported_at if Flag.LATE in event.flags else None


def connector_record(event: NewEvent, body: e.ConnectorStatusChanged) -> ConnectorRecord:
    """The connector as a status event leaves it."""
    return ConnectorRecord(
        body.connector,
        body.status,
        body.error_code,
        event_time(event),
        body.info,
        body.vendor_id,
        body.vendor_error_code,
    )


def reservation_record(event: NewEvent, body: e.ReservationMade) -> ReservationRecord:
    """The reservation as its making leaves it."""
    return ReservationRecord(
        body.reservation_id, body.connector, body.id_tag, body.expires_at, event.received_at, body.parent_id_tag
    )


def started_record(charge_point: str, event: NewEvent, body: e.TransactionStarted, sequence: int) -> TransactionRecord:
    """The transaction as its start leaves it."""
    return TransactionRecord(
        transaction_id=body.transaction_id,
        number=body.number,
        charge_point=charge_point,
        connector=body.connector,
        id_tag=body.id_tag,
        status=body.status,
        state=TransactionState.OPEN,
        meter_start=body.meter_start,
        started_at=event_time(event),
        start_received_at=event.received_at,
        start_sequence=sequence,
        start_raw=event.reported_raw,
        start_key=body.start_key,
        reservation_id=body.reservation_id,
        flags=event.flags,
        start_command_id=body.start_command_id,
    )


def stale_record(event: NewEvent, body: e.TransactionStaleChanged, transaction: TransactionRecord) -> TransactionRecord:
    """The open transaction as the event leaves it."""
    return attrs.evolve(
        transaction, stale_at=event.received_at if body.stale else None, stale_why=body.why if body.stale else ""
    )


def applied_record(event: NewEvent, body: e.BootConfigurationApplied) -> AppliedConfiguration:
    """The outcome of a key of the platform's configuration as the event leaves it."""
    return AppliedConfiguration(
        body.key,
        body.value,
        body.status,
        body.firmware_version,
        event.received_at,
        body.attempts,
        body.fingerprint,
    )

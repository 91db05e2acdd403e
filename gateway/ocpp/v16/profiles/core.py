"""Boot, heartbeat, status, authorization, vendors' data (S §4.1-§4.3, §4.6, §4.9)."""

from datetime import datetime
from typing import Any, Final

from ocpp.v16 import call

from gateway.domain import staleness
from gateway.domain.decision import AuthorizeQuery, Context, Decision, Facts, Request, VendorDataQuery
from gateway.domain.events import (
    Body,
    BootInformation,
    ChargePointBooted,
    ConnectorStatusChanged,
    IdTagPresented,
    VendorDataReceived,
)
from gateway.domain.records import ConnectorRecord
from gateway.domain.reservations import forgotten, shown_by
from gateway.domain.secrets import shown_data
from gateway.domain.state import ChargePointState
from gateway.domain.times import format_time, read_time
from gateway.domain.values import JSON, WHOLE_CHARGE_POINT, ConnectorAddress, Flag, Registration
from gateway.domain.vendor_data import UNKNOWN_VENDOR
from gateway.ocpp.v16.addresses import to_address
from gateway.ocpp.v16.profiles.common import UNKNOWN, doubts_of, event, id_tag_info, present, shown

MAX_CONNECTORS: Final = 256
"""Connectors of which a status is kept. The largest posts have a dozen; a charger that counts on is confirmed, and no
longer recorded."""

MAX_SERIAL: Final = 25
"""Characters of a serial number in the schema (S §6.5)."""

OF_THE_WHOLE: Final = frozenset({"Available", "Unavailable", "Faulted"})
"""All that connector 0 may be (S §4.9)."""


# --- BootNotification -----------------------------------------------------------------------------------------


def decide_boot(
    state: ChargePointState, request: Request[call.BootNotification], _: Facts, context: Context
) -> Decision:
    """Answers the platform's standing decision (B1).

    A Boot is an event, unless it repeats, word for word and with the same answer, the last one on this connection:
    some chargers repeat it every few seconds (B1.8, quirk 43), and a charger that has really booted connects anew.
    It ends no transaction and clears no status (B1.8, B7.6). Another unit, by its serial numbers, holds no reservation,
    and what was open is stale.
    """
    boot = _boot_information(request.payload)
    accepted = state.registration is Registration.ACCEPTED
    interval = context.heartbeat_interval if accepted else context.retry_interval
    reply = {
        "status": state.registration.value,
        "currentTime": format_time(context.now),
        "interval": interval,
    }
    if boot == state.boot and state.boot_answer is state.registration:
        return Decision(reply)
    another = _another_serial(state.boot, boot)
    flags: tuple[Flag, ...] = (Flag.SERIAL_CHANGED,) if another else ()
    if _another_meter(state.boot, boot):
        flags = (*flags, Flag.METER_CHANGED)
    booted = ChargePointBooted(boot, state.registration, interval)
    shows: tuple[Body, ...] = (*staleness.by_other_unit(state), *forgotten(state)) if another else ()
    return Decision(
        reply,
        (
            event(request, context, booted, flags=flags),
            *(event(request, context, each) for each in shows),
        ),
    )


def _boot_information(payload: call.BootNotification) -> BootInformation:
    return BootInformation(
        vendor=payload.charge_point_vendor,
        model=payload.charge_point_model,
        charge_point_serial_number=present(payload.charge_point_serial_number),
        charge_box_serial_number=present(payload.charge_box_serial_number),
        firmware_version=present(payload.firmware_version),
        iccid=present(payload.iccid),
        imsi=present(payload.imsi),
        meter_type=present(payload.meter_type),
        meter_serial_number=present(payload.meter_serial_number),
    )


def _another_serial(before: BootInformation | None, now: BootInformation) -> bool:
    """Return whether a serial number changed; one that is new or left out has not (B1.9)."""
    if before is None:
        return False
    pairs = (
        (before.charge_point_serial_number, now.charge_point_serial_number),
        (before.charge_box_serial_number, now.charge_box_serial_number),
    )
    return any(old is not None and new is not None and not _same_serial(old, new) for old, new in pairs)


def _another_meter(before: BootInformation | None, now: BootInformation) -> bool:
    """Return whether the serial number of the meter changed, likewise (E17)."""
    if before is None or before.meter_serial_number is None or now.meter_serial_number is None:
        return False
    return not _same_serial(before.meter_serial_number, now.meter_serial_number)


def _same_serial(old: str, new: str) -> bool:
    """Return whether two serial numbers are one. Before longer ones were kept whole, they were recorded cut to the
    schema."""
    return new == old or (len(old) == MAX_SERIAL and new.startswith(old))


# --- Heartbeat ------------------------------------------------------------------------------------------------


def decide_heartbeat(_: ChargePointState, __: Request[Any], ___: Facts, context: Context) -> Decision:
    """The time. No event: the session knows when it heard of the charger."""
    return Decision({"currentTime": format_time(context.now)})


# --- Authorize ------------------------------------------------------------------------------------------------


def query_authorize(_: ChargePointState, request: Request[call.Authorize]) -> AuthorizeQuery:
    return AuthorizeQuery(request.payload.id_tag)


def decide_authorize(_: ChargePointState, request: Request[call.Authorize], facts: Facts, context: Context) -> Decision:
    """The tag's standing. Never ConcurrentTx: the holder must be able to authorize a stop (S §7.2, B3.3)."""
    authorization = facts.authorization or UNKNOWN
    body = IdTagPresented(request.payload.id_tag, authorization.status)
    return Decision({"idTagInfo": id_tag_info(authorization)}, (event(request, context, body),))


# --- StatusNotification ---------------------------------------------------------------------------------------


def decide_status(
    state: ChargePointState, request: Request[call.StatusNotification], _: Facts, context: Context
) -> Decision:
    """Always confirmed, whatever came before it (B7.1); an event where something changed (B7.4).

    What is said last is the status, whatever its time, which is at most flagged (B7.3): a queue is delivered in order,
    so one that is replayed ends with the present, and some chargers stamp a status with the beginning of its condition.
    No transaction ends by it, one may be stale (B7.5); nothing follows from connector 0 for the others' statuses
    (B7.6); what is reserved ends where the connector is Faulted or Unavailable, or Available after it was shown to be
    held (B9.10).
    """
    payload = request.payload
    connector = to_address(payload.connector_id)
    time = read_time(present(payload.timestamp), context.now)
    known = state.connectors.get(connector)
    reported = ConnectorRecord(
        connector,
        str(payload.status),
        str(payload.error_code),
        time.trusted or context.now,
        shown(present(payload.info)),
        present(payload.vendor_id),
        shown(present(payload.vendor_error_code)),
    )
    shows: tuple[Body, ...] = (
        *staleness.by_status(state, connector, reported.status, time.queued),
        *shown_by(state, connector, reported.status, time.queued, context.now),
    )
    ends = tuple(event(request, context, each) for each in shows)
    nothing_new = len(state.connectors) >= MAX_CONNECTORS if known is None else _same(known, reported)
    if nothing_new:
        return Decision({}, ends)
    body = ConnectorStatusChanged(
        connector,
        reported.status,
        reported.error_code,
        None if known is None else known.status,
        reported.info,
        reported.vendor_id,
        reported.vendor_error_code,
    )
    return Decision(
        {}, (event(request, context, body, time, payload.timestamp, _doubts(state, reported, time.queued)), *ends)
    )


def _same(known: ConnectorRecord, reported: ConnectorRecord) -> bool:
    return (known.status, known.error_code, known.info, known.vendor_id, known.vendor_error_code) == (
        reported.status,
        reported.error_code,
        reported.info,
        reported.vendor_id,
        reported.vendor_error_code,
    )


def _doubts(state: ChargePointState, reported: ConnectorRecord, queued_since: datetime | None) -> tuple[Flag, ...]:
    flags: list[Flag] = []
    if reported.status != "Faulted" and reported.error_code != "NoError":
        flags.append(Flag.STATUS_ERROR_MISMATCH)  # B7.2
    if reported.connector == WHOLE_CHARGE_POINT:
        if reported.status not in OF_THE_WHOLE:
            flags.append(Flag.UNKNOWN_CONNECTOR)
        return tuple(flags)
    flags.extend(doubts_of(state, reported.connector))
    if reported.status == "Available" and _runs_on(state, reported.connector, queued_since):
        flags.append(Flag.TRANSACTION_OPEN)  # B7.5
    return tuple(flags)


def _runs_on(state: ChargePointState, connector: ConnectorAddress, queued_since: datetime | None) -> bool:
    """Return whether a transaction is open there that was so when the status was said, if that was long ago."""
    found = state.open_on(connector)
    return found is not None and (queued_since is None or queued_since >= found.started_at)


# --- DataTransfer ---------------------------------------------------------------------------------------------


def query_data_transfer(_: ChargePointState, request: Request[call.DataTransfer]) -> VendorDataQuery:
    payload = request.payload
    return VendorDataQuery(payload.vendor_id, present(payload.message_id), payload.data)


def decide_data_transfer(
    _: ChargePointState, request: Request[call.DataTransfer], facts: Facts, context: Context
) -> Decision:
    """Answer as the service that handles the vendor's data says; without one no vendor is known: UnknownVendorId,
    without data (X12, B8.1). What the charger said is kept without its secrets, with the status of the answer."""
    payload = request.payload
    answer = facts.vendor_answer or UNKNOWN_VENDOR
    message_id = present(payload.message_id)
    data = shown_data(payload.data, message_id or "")
    body = VendorDataReceived(payload.vendor_id, answer.status.value, message_id, data, answer.caller)
    reply: dict[str, JSON] = {"status": answer.status.value}
    if answer.data is not None:
        reply["data"] = answer.data
    return Decision(reply, (event(request, context, body),))

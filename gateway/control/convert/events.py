"""Stored events as messages."""

from collections.abc import Callable
from typing import Any

import structlog

from gateway.api.v1 import event_pb2 as pb
from gateway.control.convert import certificates, operations
from gateway.control.convert.commands import answer, configuration_keys, error
from gateway.control.convert.common import (
    asked,
    connector,
    energy,
    energy_of_watt_hours,
    flags,
    int32,
    int64,
    json_text,
    timestamp,
)
from gateway.control.convert.enums import (
    CHARGING_STATE,
    CHARGING_STATE_BASIS,
    ENERGY_BASIS,
    ENERGY_DOUBT,
    ENERGY_STATE,
    REGISTRATION,
)
from gateway.control.convert.readings import normalised
from gateway.control.convert.resources import boot_information
from gateway.control.convert.steering import (
    profile_installed,
    profile_removed,
    steering_changed,
    wanted_changed,
)
from gateway.domain import events as e
from gateway.domain.codec import UnreadableBody, decode
from gateway.domain.latest import readings_of_event

log = structlog.get_logger()


def event(stored: e.StoredEvent) -> pb.Event:
    """An event. A body that can't be read, of a later version of the gateway, is left out; its envelope is there."""
    message = pb.Event(
        event_id=stored.event_id,
        charge_point=stored.charge_point,
        epoch=stored.epoch,
        type=stored.type,
        schema_version=stored.version,
        receive_time=timestamp(stored.received_at),
        report_time=timestamp(stored.reported_at),
        report_time_raw=stored.reported_raw or "",
        flags=flags(stored.flags),
    )
    kind, _, cause = stored.cause.partition(":")
    if kind == "message":
        message.message_id = cause
    elif kind == "command":
        message.command_id = cause
    try:
        body = stored.body or decode(stored.type, stored.version, stored.body_json)
    except UnreadableBody as problem:
        log.warning("event body left out", event_id=stored.event_id, problem=str(problem))
        return message
    field, convert = _BODIES[type(body)]
    getattr(message, field).CopyFrom(convert(body))
    return message


def normalised_event(stored: e.StoredEvent) -> pb.Event:
    """As ``event``, with the normalised readings of meter values and stops."""
    message = event(stored)
    name = message.WhichOneof("body")
    if name in ("meter_values_reported", "transaction_stopped"):
        getattr(message, name).readings.CopyFrom(normalised(readings_of_event(stored)))
    return message


def _optional(value: int | None) -> int | None:
    return None if value is None else int64(value)


def _connected(body: e.ChargePointConnected) -> pb.ChargePointConnected:
    return pb.ChargePointConnected(
        remote_address=body.remote_address,
        subprotocol=body.subprotocol,
        security_profile=int32(body.security_profile),
        tls_version=body.tls_version,
        certificate_serial=body.certificate_serial,
        certificate_expire_time=timestamp(body.certificate_not_after),
    )


def _booted(body: e.ChargePointBooted) -> pb.ChargePointBooted:
    return pb.ChargePointBooted(
        boot=boot_information(body.boot),
        registration=REGISTRATION.number(body.registration),
        interval_seconds=body.interval,
    )


def _status_changed(body: e.ConnectorStatusChanged) -> pb.ConnectorStatusChanged:
    return pb.ConnectorStatusChanged(
        connector=connector(body.connector),
        status=body.status,
        error_code=body.error_code,
        previous_status=body.previous_status or "",
        info=body.info or "",
        vendor_id=body.vendor_id or "",
        vendor_error_code=body.vendor_error_code or "",
    )


def _charging_state_changed(body: e.ConnectorChargingStateChanged) -> pb.ConnectorChargingStateChanged:
    return pb.ConnectorChargingStateChanged(
        connector=connector(body.connector),
        state=CHARGING_STATE.number(body.state),
        previous_state=CHARGING_STATE.number(body.previous_state),
        basis=CHARGING_STATE_BASIS.number(body.basis),
        status=body.status,
        power_watts=body.watts,
    )


def _started(body: e.TransactionStarted) -> pb.TransactionStarted:
    return pb.TransactionStarted(
        transaction_id=body.transaction_id,
        number=int64(body.number),
        connector=connector(body.connector),
        id_tag=body.id_tag,
        id_tag_status=body.status,
        meter_start=energy_of_watt_hours(body.meter_start),
        reservation_id=_optional(body.reservation_id),
        payload_text=body.payload_text,
        dialect=body.dialect,
        start_command_id=body.start_command_id,
    )


def _stopped(body: e.TransactionStopped) -> pb.TransactionStopped:
    return pb.TransactionStopped(
        transaction_id=body.transaction_id,
        connector=connector(body.connector),
        meter_stop=energy_of_watt_hours(body.meter_stop),
        reason=body.reason,
        energy=energy_of_watt_hours(body.energy),
        id_tag=body.id_tag or "",
        id_tag_status=body.id_tag_status or "",
        transaction_data_json=json_text(body.meter_value) if body.meter_value else "",
        payload_text=body.payload_text,
        dialect=body.dialect,
    )


def _meter_values(body: e.MeterValuesReported) -> pb.MeterValuesReported:
    return pb.MeterValuesReported(
        connector=connector(body.connector),
        meter_value_json=body.meter_value_json.decode() or json_text(body.meter_value),
        transaction_id=body.transaction_id or "",
        number=_optional(body.number),
        payload_text=body.payload_text,
        dialect=body.dialect,
    )


def _reservation_made(body: e.ReservationMade) -> pb.ReservationMade:
    return pb.ReservationMade(
        reservation_id=int64(body.reservation_id),
        connector=connector(body.connector),
        id_tag=body.id_tag,
        parent_id_tag=body.parent_id_tag or "",
        expire_time=timestamp(body.expires_at),
    )


def _reservation_ended(body: e.ReservationEnded) -> pb.ReservationEnded:
    return pb.ReservationEnded(
        reservation_id=int64(body.reservation_id),
        connector=connector(body.connector),
        why=body.why,
        transaction_id=body.transaction_id or "",
    )


def _vendor_data(body: e.VendorDataReceived) -> pb.VendorDataReceived:
    return pb.VendorDataReceived(
        vendor_id=body.vendor_id,
        message_id=body.message_id or "",
        status=body.status,
        data_json="" if body.data is None else json_text(body.data),
        caller=body.caller,
    )


def _answered(body: e.CommandAnswered) -> pb.CommandAnswered:
    return pb.CommandAnswered(
        command_id=body.command_id,
        operation=body.operation,
        answer=None if body.answer is None else answer(body.answer),
        error=None if body.error is None else error(body.error),
        late=body.late,
    )


def _attributed(body: e.TransactionAttributed) -> pb.TransactionAttributed:
    return pb.TransactionAttributed(
        transaction_id=body.transaction_id,
        connector=connector(body.connector),
        orphan_event_id=body.orphan_event_id,
        number=int64(body.number),
        meter_stop=energy_of_watt_hours(body.meter_stop),
        stop_reason=body.stop_reason,
        energy=energy_of_watt_hours(body.energy),
        id_tag=body.id_tag or "",
        transaction_data_json=json_text(body.meter_value) if body.meter_value else "",
        dialect=body.dialect,
        reason=body.reason,
        request_id=body.request_id,
        insisted=body.insisted,
        stop_receive_time=timestamp(body.stop_received_at),
        caller=body.caller,
    )


def _energy_changed(body: e.TransactionEnergyChanged) -> pb.TransactionEnergyChanged:
    return pb.TransactionEnergyChanged(
        transaction_id=body.transaction_id,
        connector=connector(body.connector),
        revision=body.revision,
        energy=energy(body.mwh),
        previous_energy=energy(body.previous_mwh),
        state=ENERGY_STATE.number(body.state),
        previous_state=ENERGY_STATE.number(body.previous_state),
        why=body.why,
        rules_version=body.rules_version,
        basis=ENERGY_BASIS.number(body.basis),
        doubts=[ENERGY_DOUBT.number(doubt) for doubt in body.doubts],
        digest=body.digest,
        quiet_seconds=body.quiet_seconds,
    )


_BODIES: dict[type[e.Body], tuple[str, Callable[[Any], Any]]] = {
    e.ChargePointCreated: (
        "charge_point_created",
        lambda body: pb.ChargePointCreated(registration=REGISTRATION.number(body.registration), **asked(body)),
    ),
    e.ChargePointUpdated: (
        "charge_point_updated",
        lambda body: pb.ChargePointUpdated(
            registration=REGISTRATION.number(body.registration), changed=body.changed, **asked(body)
        ),
    ),
    e.ChargePointDeleted: ("charge_point_deleted", lambda body: pb.ChargePointDeleted(caller=body.caller)),
    e.ChargePointConnected: ("charge_point_connected", _connected),
    e.ChargePointDisconnected: (
        "charge_point_disconnected",
        lambda body: pb.ChargePointDisconnected(
            reason=body.reason,
            initiator=body.initiator,
            code=int32(body.code),
            last_heard_time=timestamp(body.last_heard),
            message_bytes=int64(body.message_bytes),
            caller=body.caller,
        ),
    ),
    e.ChargePointBooted: ("charge_point_booted", _booted),
    e.ConnectorStatusChanged: ("connector_status_changed", _status_changed),
    e.ConnectorChargingStateChanged: ("connector_charging_state_changed", _charging_state_changed),
    e.IdTagPresented: (
        "id_tag_presented",
        lambda body: pb.IdTagPresented(id_tag=body.id_tag, status=body.status),
    ),
    e.TransactionStarted: ("transaction_started", _started),
    e.TransactionStopped: ("transaction_stopped", _stopped),
    e.TransactionStaleChanged: (
        "transaction_stale_changed",
        lambda body: pb.TransactionStaleChanged(
            transaction_id=body.transaction_id, connector=connector(body.connector), stale=body.stale, why=body.why
        ),
    ),
    e.TransactionClosed: (
        "transaction_closed",
        lambda body: pb.TransactionClosed(
            transaction_id=body.transaction_id,
            connector=connector(body.connector),
            reason=body.reason,
            meter_stop=energy_of_watt_hours(body.meter_stop),
            end_time=timestamp(body.ended_at),
            insisted=body.insisted,
            caller=body.caller,
        ),
    ),
    e.TransactionAttributed: ("transaction_attributed", _attributed),
    e.TransactionEnergyChanged: ("transaction_energy_changed", _energy_changed),
    e.TransactionLost: (
        "transaction_lost",
        lambda body: pb.TransactionLost(transaction_id=body.transaction_id, connector=connector(body.connector)),
    ),
    e.TransactionOrphaned: (
        "transaction_orphaned",
        lambda body: pb.TransactionOrphaned(
            number=int64(body.number), why=body.why, payload_json=json_text(body.payload), dialect=body.dialect
        ),
    ),
    e.MeterValuesReported: ("meter_values_reported", _meter_values),
    e.ReservationMade: ("reservation_made", _reservation_made),
    e.RemoteStartExpired: (
        "remote_start_expired",
        lambda body: pb.RemoteStartExpired(
            command_id=body.command_id,
            id_tag=body.id_tag,
            connector=connector(body.connector),
            accepted=body.accepted,
        ),
    ),
    e.LocalListChanged: (
        "local_list_changed",
        lambda body: pb.LocalListChanged(
            list_version=int64(body.list_version), update_type=body.update_type, entry_count=body.entries
        ),
    ),
    e.OperationAccepted: ("operation_accepted", operations.accepted),
    e.OperationAdvanced: ("operation_advanced", operations.advanced),
    e.OperationEnded: ("operation_ended", operations.ended),
    e.ReservationEnded: ("reservation_ended", _reservation_ended),
    e.FirmwareStatusReported: (
        "firmware_status_reported",
        lambda body: pb.FirmwareStatusReported(
            status=body.status, request_id=_optional(body.request_id), signed=body.signed, command_id=body.command_id
        ),
    ),
    e.DiagnosticsStatusReported: (
        "diagnostics_status_reported",
        lambda body: pb.DiagnosticsStatusReported(status=body.status, command_id=body.command_id),
    ),
    e.LogStatusReported: (
        "log_status_reported",
        lambda body: pb.LogStatusReported(
            status=body.status, request_id=_optional(body.request_id), command_id=body.command_id
        ),
    ),
    e.SecurityEventReported: (
        "security_event_reported",
        lambda body: pb.SecurityEventReported(kind=body.kind, tech_info=body.tech_info or ""),
    ),
    e.VendorDataReceived: ("vendor_data_received", _vendor_data),
    e.ConfigurationReported: (
        "configuration_reported",
        lambda body: pb.ConfigurationReported(keys=configuration_keys(body.keys), unknown_keys=body.unknown_keys),
    ),
    e.TransactionForeign: (
        "transaction_foreign",
        lambda body: pb.TransactionForeign(number=body.number, connector=connector(body.connector)),
    ),
    e.BootConfigurationApplied: (
        "boot_configuration_applied",
        lambda body: pb.BootConfigurationApplied(
            key=body.key,
            value=body.value,
            status=body.status,
            firmware_version=body.firmware_version or "",
            attempt_count=body.attempts,
        ),
    ),
    e.CommandQueued: (
        "command_queued",
        lambda body: pb.CommandQueued(
            command_id=body.command_id,
            operation=body.operation,
            request_id=body.request_id,
            arguments_json=json_text(body.arguments),
            caller=body.caller,
            operation_id=body.operation_id,
        ),
    ),
    e.CommandSent: (
        "command_sent",
        lambda body: pb.CommandSent(command_id=body.command_id, operation=body.operation),
    ),
    e.CommandAnswered: ("command_answered", _answered),
    e.CommandNotSent: (
        "command_not_sent",
        lambda body: pb.CommandNotSent(command_id=body.command_id, operation=body.operation, reason=body.reason),
    ),
    e.WantedChanged: ("wanted_changed", wanted_changed),
    e.SteeringChanged: ("steering_changed", steering_changed),
    e.ChargingProfileInstalled: ("charging_profile_installed", profile_installed),
    e.ChargingProfileRemoved: ("charging_profile_removed", profile_removed),
    **certificates.BODIES,
    e.CommandOutcomeUnknown: (
        "command_outcome_unknown",
        lambda body: pb.CommandOutcomeUnknown(command_id=body.command_id, operation=body.operation, reason=body.reason),
    ),
}

"""Requests of the command service as commands. What OCPP asks of their values is ``gateway.ocpp.v16.checks``'s."""

from gateway.api.v1 import command_pb2 as pb
from gateway.control.convert.enums import AUTHORIZATION, AVAILABILITY, PURPOSE, RATE_UNIT, RESET, TRIGGERED, UPDATE
from gateway.control.convert.requests import Fields
from gateway.domain import commands as c
from gateway.domain.commands import FieldViolation

_FIELDS = {
    "profile": "charging_profile",
    "profile_id": "charging_profile_id",
    "expiry_date": "expire_time",
    "retrieve_date": "retrieve_time",
    "availability": "type",
    "reset_type": "type",
    "requested": "requested_message",
    "valid_from": "valid_from_time",
    "valid_to": "valid_to_time",
    "start_schedule": "start_schedule_time",
}


def in_request(violation: FieldViolation) -> FieldViolation:
    """A violation of a command's field, by the field's name in the request."""
    names = []
    for part in violation.field.split("."):
        name, bracket, index = part.partition("[")
        names.append(_FIELDS.get(name, name) + bracket + index)
    return FieldViolation(".".join(names), violation.description)


def cancel_reservation(request: pb.CancelReservationRequest, _: Fields) -> c.CancelReservation:
    return c.CancelReservation(request.reservation_id)


def change_availability(request: pb.ChangeAvailabilityRequest, fields: Fields) -> c.ChangeAvailability:
    return c.ChangeAvailability(
        fields.connector(request), fields.word("type", AVAILABILITY, request.type, c.AvailabilityType.OPERATIVE)
    )


def change_configuration(request: pb.ChangeConfigurationRequest, fields: Fields) -> c.ChangeConfiguration:
    return c.ChangeConfiguration(fields.text("key", request.key), request.value)


def clear_cache(_: pb.ClearCacheRequest, __: Fields) -> c.ClearCache:
    return c.ClearCache()


def clear_charging_profile(request: pb.ClearChargingProfileRequest, fields: Fields) -> c.ClearChargingProfile:
    return c.ClearChargingProfile(
        profile_id=request.charging_profile_id if request.HasField("charging_profile_id") else None,
        connector=fields.optional_connector(request),
        purpose=fields.optional_word("purpose", PURPOSE, request.purpose),
        stack_level=request.stack_level if request.HasField("stack_level") else None,
    )


def data_transfer(request: pb.DataTransferRequest, fields: Fields) -> c.DataTransfer:
    return c.DataTransfer(
        fields.text("vendor_id", request.vendor_id),
        request.message_id if request.HasField("message_id") else None,
        request.data if request.HasField("data") else None,
    )


def get_composite_schedule(request: pb.GetCompositeScheduleRequest, fields: Fields) -> c.GetCompositeSchedule:
    return c.GetCompositeSchedule(
        fields.connector(request),
        fields.seconds("duration", request, "duration"),
        fields.optional_word("rate_unit", RATE_UNIT, request.rate_unit),
    )


def get_configuration(request: pb.GetConfigurationRequest, _: Fields) -> c.GetConfiguration:
    return c.GetConfiguration(tuple(request.keys))


def get_diagnostics(request: pb.GetDiagnosticsRequest, fields: Fields) -> c.GetDiagnostics:
    return c.GetDiagnostics(
        location=fields.text("location", request.location),
        retries=request.retries if request.HasField("retries") else None,
        retry_interval=fields.optional_seconds("retry_interval", request, "retry_interval"),
        start_time=fields.optional_time("start_time", request, "start_time"),
        stop_time=fields.optional_time("stop_time", request, "stop_time"),
    )


def get_local_list_version(_: pb.GetLocalListVersionRequest, __: Fields) -> c.GetLocalListVersion:
    return c.GetLocalListVersion()


def remote_start_transaction(request: pb.RemoteStartTransactionRequest, fields: Fields) -> c.RemoteStartTransaction:
    return c.RemoteStartTransaction(
        fields.text("id_tag", request.id_tag),
        fields.optional_connector(request),
        fields.profile("charging_profile", request.charging_profile) if request.HasField("charging_profile") else None,
    )


def remote_stop_transaction(request: pb.RemoteStopTransactionRequest, fields: Fields) -> c.RemoteStopTransaction:
    if request.HasField("foreign_number"):
        if request.transaction_id:
            fields.wrong("foreign_number", "must be left out where transaction_id is set")
        return c.RemoteStopTransaction(request.transaction_id, request.foreign_number)
    return c.RemoteStopTransaction(fields.text("transaction_id", request.transaction_id))


def reserve_now(request: pb.ReserveNowRequest, fields: Fields) -> c.ReserveNow:
    return c.ReserveNow(
        fields.connector(request),
        fields.time("expire_time", request, "expire_time"),
        fields.text("id_tag", request.id_tag),
        request.reservation_id,
        request.parent_id_tag if request.HasField("parent_id_tag") else None,
    )


def reset(request: pb.ResetRequest, fields: Fields) -> c.Reset:
    return c.Reset(fields.word("type", RESET, request.type, c.ResetType.SOFT))


def send_local_list(request: pb.SendLocalListRequest, fields: Fields) -> c.SendLocalList:
    return c.SendLocalList(
        request.list_version,
        fields.word("update_type", UPDATE, request.update_type, c.UpdateType.FULL),
        tuple(_entry(f"entries[{n}]", entry, fields) for n, entry in enumerate(request.entries)),
    )


def _entry(name: str, entry: pb.LocalListEntry, fields: Fields) -> c.LocalListEntry:
    return c.LocalListEntry(
        fields.text(f"{name}.id_tag", entry.id_tag),
        fields.optional_word(f"{name}.status", AUTHORIZATION, entry.status),
        fields.optional_time(f"{name}.expire_time", entry, "expire_time"),
        entry.parent_id_tag if entry.HasField("parent_id_tag") else None,
    )


def set_charging_profile(request: pb.SetChargingProfileRequest, fields: Fields) -> c.SetChargingProfile:
    fields.present("charging_profile", request, "charging_profile")
    return c.SetChargingProfile(
        fields.connector(request),
        # Read even where it is missing: the violation is noted, and the stand-in never leaves.
        (fields if request.HasField("charging_profile") else Fields()).profile(
            "charging_profile", request.charging_profile
        ),
    )


def trigger_message(request: pb.TriggerMessageRequest, fields: Fields) -> c.TriggerMessage:
    return c.TriggerMessage(
        fields.word("requested_message", TRIGGERED, request.requested_message, c.TriggeredMessage.STATUS_NOTIFICATION),
        fields.optional_connector(request),
        request.insist,
    )


def unlock_connector(request: pb.UnlockConnectorRequest, fields: Fields) -> c.UnlockConnector:
    return c.UnlockConnector(fields.connector(request))


def update_firmware(request: pb.UpdateFirmwareRequest, fields: Fields) -> c.UpdateFirmware:
    return c.UpdateFirmware(
        location=fields.text("location", request.location),
        retrieve_date=fields.optional_time("retrieve_time", request, "retrieve_time"),
        retries=request.retries if request.HasField("retries") else None,
        retry_interval=fields.optional_seconds("retry_interval", request, "retry_interval"),
    )

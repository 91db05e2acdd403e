"""A command to its CALL. Options that are not given are left out, never null (B9.17).

``gateway.ocpp.v16.checks`` has passed the command before: nothing is checked here but what only the 1.6 layer knows,
the number of a transaction.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from gateway.domain import commands as c
from gateway.domain import security_commands as x
from gateway.domain.charging import ChargingProfile, ChargingSchedule, SchedulePeriod
from gateway.domain.state import ChargePointState
from gateway.domain.times import format_time
from gateway.domain.values import JSON, ConnectorAddress
from gateway.ocpp.v16.actions import ACTIONS, TRIGGERED
from gateway.ocpp.v16.addresses import to_connector_id

TENTH: Final = Decimal("0.1")


def encode_command(command: c.Command, state: ChargePointState) -> tuple[str, dict[str, Any]]:
    """Action and payload. Raises LookupError if the command names a transaction that is not open (any more)."""
    kind = type(command)
    return ACTIONS[kind], _given(_ENCODERS[kind](command, state))


def _given(fields: dict[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in fields.items() if value is not None}


def _time(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)


def _connector(address: ConnectorAddress | None) -> int | None:
    return None if address is None else to_connector_id(address)


def _limit(value: Decimal | None) -> float | None:
    """A rate with OCPP's one decimal (S §7.14). Commands with more are refused before; never more than was asked."""
    return None if value is None else float(value.quantize(TENTH, rounding=ROUND_DOWN))


def _number(transaction_id: str | None, state: ChargePointState) -> int | None:
    if transaction_id is None:
        return None
    transaction = state.open_transactions.get(transaction_id)
    if transaction is None:
        raise LookupError(f"transaction {transaction_id} is not open on this charge point")
    return transaction.number


def _period(period: SchedulePeriod) -> dict[str, JSON]:
    return _given(
        {
            "startPeriod": period.start_period,
            "limit": _limit(period.limit),
            "numberPhases": period.number_phases,
        }
    )


def _schedule(schedule: ChargingSchedule) -> dict[str, JSON]:
    return _given(
        {
            "duration": schedule.duration,
            "startSchedule": _time(schedule.start_schedule),
            "chargingRateUnit": schedule.rate_unit.value,
            "chargingSchedulePeriod": [_period(period) for period in schedule.periods],
            "minChargingRate": _limit(schedule.min_charging_rate),
        }
    )


def _profile(profile: ChargingProfile, state: ChargePointState) -> dict[str, JSON]:
    return _given(
        {
            "chargingProfileId": profile.profile_id,
            "transactionId": _number(profile.transaction_id, state),
            "stackLevel": profile.stack_level,
            "chargingProfilePurpose": profile.purpose.value,
            "chargingProfileKind": profile.kind.value,
            "recurrencyKind": profile.recurrency_kind and profile.recurrency_kind.value,
            "validFrom": _time(profile.valid_from),
            "validTo": _time(profile.valid_to),
            "chargingSchedule": _schedule(profile.schedule),
        }
    )


def _local_list_entry(entry: c.LocalListEntry) -> dict[str, JSON]:
    """Without a status there is no idTagInfo: a differential update deletes the tag (S §7.2)."""
    if entry.status is None:
        return {"idTag": entry.id_tag}
    info = {"status": entry.status, "expiryDate": _time(entry.expiry_date), "parentIdTag": entry.parent_id_tag}
    return {"idTag": entry.id_tag, "idTagInfo": _given(info)}


# --- one function per operation, in the order of S §5 ---------------------------------------------------------


def _cancel_reservation(command: c.CancelReservation, _: ChargePointState) -> dict[str, JSON]:
    return {"reservationId": command.reservation_id}


def _change_availability(command: c.ChangeAvailability, _: ChargePointState) -> dict[str, JSON]:
    return {"connectorId": to_connector_id(command.connector), "type": command.availability.value}


def _change_configuration(command: c.ChangeConfiguration, _: ChargePointState) -> dict[str, JSON]:
    return {"key": command.key, "value": command.value}


def _empty(_: c.ClearCache | c.GetLocalListVersion, __: ChargePointState) -> dict[str, JSON]:
    return {}


def _clear_charging_profile(command: c.ClearChargingProfile, _: ChargePointState) -> dict[str, JSON]:
    return {
        "id": command.profile_id,
        "connectorId": _connector(command.connector),
        "chargingProfilePurpose": command.purpose and command.purpose.value,
        "stackLevel": command.stack_level,
    }


def _data_transfer(command: c.DataTransfer, _: ChargePointState) -> dict[str, JSON]:
    return {"vendorId": command.vendor_id, "messageId": command.message_id, "data": command.data}


def _get_composite_schedule(command: c.GetCompositeSchedule, _: ChargePointState) -> dict[str, JSON]:
    return {
        "connectorId": to_connector_id(command.connector),
        "duration": command.duration,
        "chargingRateUnit": command.rate_unit and command.rate_unit.value,
    }


def _get_configuration(command: c.GetConfiguration, _: ChargePointState) -> dict[str, JSON]:
    return {"key": list(command.keys) or None}


def _get_diagnostics(command: c.GetDiagnostics, _: ChargePointState) -> dict[str, JSON]:
    return {
        "location": command.location,
        "retries": command.retries,
        "retryInterval": command.retry_interval,
        "startTime": _time(command.start_time),
        "stopTime": _time(command.stop_time),
    }


def _remote_start(command: c.RemoteStartTransaction, state: ChargePointState) -> dict[str, JSON]:
    return {
        "connectorId": _connector(command.connector),
        "idTag": command.id_tag,
        "chargingProfile": command.charging_profile and _profile(command.charging_profile, state),
    }


def _remote_stop(command: c.RemoteStopTransaction, state: ChargePointState) -> dict[str, JSON]:
    if command.foreign_number is not None:
        return {"transactionId": command.foreign_number}
    return {"transactionId": _number(command.transaction_id, state)}


def _reserve_now(command: c.ReserveNow, _: ChargePointState) -> dict[str, JSON]:
    return {
        "connectorId": to_connector_id(command.connector),
        "expiryDate": format_time(command.expiry_date),
        "idTag": command.id_tag,
        "parentIdTag": command.parent_id_tag,
        "reservationId": command.reservation_id,
    }


def _reset(command: c.Reset, _: ChargePointState) -> dict[str, JSON]:
    return {"type": command.reset_type.value}


def _send_local_list(command: c.SendLocalList, _: ChargePointState) -> dict[str, JSON]:
    return {
        "listVersion": command.list_version,
        "localAuthorizationList": [_local_list_entry(entry) for entry in command.entries],
        "updateType": command.update_type.value,
    }


def _set_charging_profile(command: c.SetChargingProfile, state: ChargePointState) -> dict[str, JSON]:
    return {
        "connectorId": to_connector_id(command.connector),
        "csChargingProfiles": _profile(command.profile, state),
    }


def _trigger_message(command: c.TriggerMessage, _: ChargePointState) -> dict[str, JSON]:
    return {"requestedMessage": TRIGGERED[command.requested], "connectorId": _connector(command.connector)}


def _unlock_connector(command: c.UnlockConnector, _: ChargePointState) -> dict[str, JSON]:
    return {"connectorId": to_connector_id(command.connector)}


def _update_firmware(command: c.UpdateFirmware, _: ChargePointState) -> dict[str, JSON]:
    assert command.retrieve_date is not None, "it has its time when it is sent"
    return {
        "location": command.location,
        "retries": command.retries,
        "retrieveDate": format_time(command.retrieve_date),
        "retryInterval": command.retry_interval,
    }


# --- the security extension (WP, chapter 5) -------------------------------------------------------------------


def _certificate_signed(command: x.CertificateSigned, _: ChargePointState) -> dict[str, JSON]:
    return {"certificateChain": command.certificate_chain}


def _delete_certificate(command: x.DeleteCertificate, _: ChargePointState) -> dict[str, JSON]:
    """By the hashes as the charger reported them, in its own algorithm (B11.5)."""
    given = command.certificate
    return {
        "certificateHashData": {
            "hashAlgorithm": given.algorithm.value,
            "issuerNameHash": given.issuer_name_hash,
            "issuerKeyHash": given.issuer_key_hash,
            "serialNumber": given.serial_number,
        }
    }


def _extended_trigger(command: x.ExtendedTriggerMessage, _: ChargePointState) -> dict[str, JSON]:
    return {"requestedMessage": command.requested.value, "connectorId": _connector(command.connector)}


def _installed_certificates(command: x.GetInstalledCertificateIds, _: ChargePointState) -> dict[str, JSON]:
    return {"certificateType": command.certificate_use.value}


def _get_log(command: x.GetLog, _: ChargePointState) -> dict[str, JSON]:
    log = {
        "remoteLocation": command.location,
        "oldestTimestamp": _time(command.oldest_time),
        "latestTimestamp": _time(command.latest_time),
    }
    return {
        "logType": command.log_type.value,
        "requestId": command.ocpp_request_id,
        "retries": command.retries,
        "retryInterval": command.retry_interval,
        "log": _given(log),
    }


def _install_certificate(command: x.InstallCertificate, _: ChargePointState) -> dict[str, JSON]:
    return {"certificateType": command.certificate_use.value, "certificate": command.certificate}


def _signed_update(command: x.SignedUpdateFirmware, _: ChargePointState) -> dict[str, JSON]:
    assert command.retrieve_date is not None, "it has its time when it is sent"
    firmware = {
        "location": command.location,
        "retrieveDateTime": format_time(command.retrieve_date),
        "installDateTime": _time(command.install_date),
        "signingCertificate": command.signing_certificate,
        "signature": command.signature,
    }
    return {
        "retries": command.retries,
        "retryInterval": command.retry_interval,
        "requestId": command.ocpp_request_id,
        "firmware": _given(firmware),
    }


_ENCODERS: Final[dict[type[c.Command], Callable[[Any, ChargePointState], dict[str, JSON]]]] = {
    c.CancelReservation: _cancel_reservation,
    c.ChangeAvailability: _change_availability,
    c.ChangeConfiguration: _change_configuration,
    c.ClearCache: _empty,
    c.ClearChargingProfile: _clear_charging_profile,
    c.DataTransfer: _data_transfer,
    c.GetCompositeSchedule: _get_composite_schedule,
    c.GetConfiguration: _get_configuration,
    c.GetDiagnostics: _get_diagnostics,
    c.GetLocalListVersion: _empty,
    c.RemoteStartTransaction: _remote_start,
    c.RemoteStopTransaction: _remote_stop,
    c.ReserveNow: _reserve_now,
    c.Reset: _reset,
    c.SendLocalList: _send_local_list,
    c.SetChargingProfile: _set_charging_profile,
    c.TriggerMessage: _trigger_message,
    c.UnlockConnector: _unlock_connector,
    c.UpdateFirmware: _update_firmware,
    x.CertificateSigned: _certificate_signed,
    x.DeleteCertificate: _delete_certificate,
    x.ExtendedTriggerMessage: _extended_trigger,
    x.GetInstalledCertificateIds: _installed_certificates,
    x.GetLog: _get_log,
    x.InstallCertificate: _install_certificate,
    x.SignedUpdateFirmware: _signed_update,
}

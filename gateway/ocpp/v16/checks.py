"""Conditions that the values of a command must fulfil before it may be sent (S §5, B9, B10).

Those of the charge point that it is for are in ``charge_point_checks``. Field paths are spelled as the API's requests
have them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from gateway.domain import commands as c
from gateway.domain.charging import ProfilePurpose
from gateway.domain.commands import Command, FieldViolation
from gateway.domain.transactions import folded
from gateway.ocpp.v16.configuration_keys import is_authorization_key, number_in
from gateway.ocpp.v16.field_checks import (
    INT32,
    check_connector,
    check_location,
    check_retries,
    check_text,
    check_whole,
)
from gateway.ocpp.v16.profile_checks import check_profile, connector_of_profile
from gateway.ocpp.v16.security_checks import CHECKS as SECURITY_CHECKS

Findings: TypeAlias = Iterator[FieldViolation]

ID_TAG: Final = 20
"""CiString20Type (S §7.28)."""

KEY: Final = 50
VALUE: Final = 500
"""S §5.3."""

MAX_DATA: Final = 65_536
"""Characters of a DataTransfer's data: the specification has no limit, a charger's memory has."""

MAX_LOCATION: Final = 1_000
MAX_ENTRIES: Final = 5_000
"""Entries of a local list in one message: beyond a megabyte no charger takes it."""

MAX_KEYS: Final = 500

AUTHORIZATION_KEY_BYTES: Final = range(16, 21)
"""WP 7.2, J §6.2.2 (A7.6)."""

TAG_STATUSES: Final = frozenset({"Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"})

OF_A_CONNECTOR: Final = frozenset({c.TriggeredMessage.METER_VALUES, c.TriggeredMessage.STATUS_NOTIFICATION})
"""Messages that can be triggered for one connector (S §5.17)."""


def check(command: Command) -> tuple[FieldViolation, ...]:
    """Everything that is wrong with the values of a command; empty: nothing is."""
    return tuple(_CHECKS[type(command)](command))


# --- operations -----------------------------------------------------------------------------------------------


def _nothing(_: Command) -> Findings:
    return iter(())


def _cancel_reservation(command: c.CancelReservation) -> Findings:
    return check_whole("reservation_id", command.reservation_id, -INT32 - 1)


def _change_availability(command: c.ChangeAvailability) -> Findings:
    return check_connector(command.connector, whole=True)


def _change_configuration(command: c.ChangeConfiguration) -> Findings:
    yield from check_text("key", command.key, KEY)
    yield from check_text("value", command.value, VALUE, needed=False)
    key = command.key.strip().casefold()
    if is_authorization_key(key) and not _is_authorization_key(command.value):
        yield FieldViolation("value", "must be 32 to 40 hexadecimal digits, for a key of 16 to 20 bytes")
    if key == "websocketpinginterval" and number_in(command.value) is None:
        yield FieldViolation("value", "must be a number of seconds, 0 or more")  # A6.2


def _is_authorization_key(value: str) -> bool:
    hexadecimal = all(digit in "0123456789abcdefABCDEF" for digit in value)
    return hexadecimal and len(value) % 2 == 0 and len(value) // 2 in AUTHORIZATION_KEY_BYTES


def _clear_charging_profile(command: c.ClearChargingProfile) -> Findings:
    yield from check_whole("charging_profile_id", command.profile_id, -INT32 - 1)
    yield from check_connector(command.connector, whole=True)
    yield from check_whole("stack_level", command.stack_level)
    criteria = (command.connector, command.purpose, command.stack_level)
    if command.profile_id is not None and any(criterion is not None for criterion in criteria):
        yield FieldViolation("charging_profile_id", "can't be combined with other criteria")  # SE 3.25


def _data_transfer(command: c.DataTransfer) -> Findings:
    yield from check_text("vendor_id", command.vendor_id, 255)
    yield from check_text("message_id", command.message_id, 50, needed=False)
    yield from check_text("data", command.data, MAX_DATA, needed=False)


def _get_composite_schedule(command: c.GetCompositeSchedule) -> Findings:
    yield from check_connector(command.connector, whole=True)
    yield from check_whole("duration", command.duration, 1)


def _get_configuration(command: c.GetConfiguration) -> Findings:
    if len(command.keys) > MAX_KEYS:
        yield FieldViolation("keys", f"at most {MAX_KEYS} are allowed")
        return
    for index, key in enumerate(command.keys):
        yield from check_text(f"keys[{index}]", key, KEY)


def _get_diagnostics(command: c.GetDiagnostics) -> Findings:
    yield from check_location(command.location, MAX_LOCATION)
    yield from check_retries(command.retries, command.retry_interval)
    if command.start_time is not None and command.stop_time is not None and command.stop_time < command.start_time:
        yield FieldViolation("stop_time", "must not be before start_time")


def _remote_start(command: c.RemoteStartTransaction) -> Findings:
    yield from check_text("id_tag", command.id_tag, ID_TAG)
    yield from check_connector(command.connector, whole=False)
    profile = command.charging_profile
    if profile is None:
        return
    yield from check_profile(profile, "charging_profile", running=False)
    if profile.purpose is not ProfilePurpose.TX:
        yield FieldViolation("charging_profile.purpose", "must be TxProfile in a remote start")  # S §5.11
    if profile.transaction_id is not None:
        yield FieldViolation(
            "charging_profile.transaction_id", "must be absent: there is no transaction yet"
        )  # SE 3.41


def _remote_stop(command: c.RemoteStopTransaction) -> Findings:
    if command.foreign_number is None:
        yield from check_text("transaction_id", command.transaction_id, 100)
    elif command.transaction_id:
        yield FieldViolation("foreign_number", "can't be combined with transaction_id")
    elif not -(2**63) <= command.foreign_number < 2**63:
        yield FieldViolation("foreign_number", "has more than 64 bits")


def _reserve_now(command: c.ReserveNow) -> Findings:
    yield from check_connector(command.connector, whole=True)
    yield from check_text("id_tag", command.id_tag, ID_TAG)
    yield from check_text("parent_id_tag", command.parent_id_tag, ID_TAG)
    yield from check_whole("reservation_id", command.reservation_id, -INT32 - 1)


def _send_local_list(command: c.SendLocalList) -> Findings:
    yield from check_whole("list_version", command.list_version, 1)  # SE 3.52
    if len(command.entries) > MAX_ENTRIES:
        yield FieldViolation("entries", f"at most {MAX_ENTRIES} are allowed")
        return
    seen: set[str] = set()
    for index, entry in enumerate(command.entries):
        name = f"entries[{index}]"
        yield from check_text(f"{name}.id_tag", entry.id_tag, ID_TAG)
        yield from check_text(f"{name}.parent_id_tag", entry.parent_id_tag, ID_TAG)
        if folded(entry.id_tag) in seen:
            yield FieldViolation(f"{name}.id_tag", "is in the list twice; tags compare without regard to case")
        seen.add(folded(entry.id_tag))
        if entry.status is not None:
            if entry.status not in TAG_STATUSES:
                yield FieldViolation(f"{name}.status", f"must be one of {', '.join(sorted(TAG_STATUSES))}")
        elif command.update_type is c.UpdateType.FULL:
            yield FieldViolation(f"{name}.status", "is needed in a full list")
        elif entry.expiry_date is not None or entry.parent_id_tag is not None:
            yield FieldViolation(f"{name}.status", "is needed beside other fields; without it the tag is deleted")


def _set_charging_profile(command: c.SetChargingProfile) -> Findings:
    yield from check_connector(command.connector, whole=True)
    yield from check_profile(command.profile, "charging_profile", running=True)
    yield from connector_of_profile(command.connector, command.profile)


def _trigger_message(command: c.TriggerMessage) -> Findings:
    yield from check_connector(command.connector, whole=False)
    if command.insist and command.requested is not c.TriggeredMessage.BOOT_NOTIFICATION:
        yield FieldViolation("insist", "is for BootNotification only")
    if command.connector is not None and command.requested not in OF_A_CONNECTOR:
        yield FieldViolation("connector", f"must be absent: {command.requested} concerns no single connector")


def _unlock_connector(command: c.UnlockConnector) -> Findings:
    return check_connector(command.connector, whole=False)


def _update_firmware(command: c.UpdateFirmware) -> Findings:
    yield from check_location(command.location, MAX_LOCATION)
    yield from check_retries(command.retries, command.retry_interval)


_CHECKS: Final[Mapping[type[Command], Callable[[Any], Iterable[FieldViolation]]]] = {
    c.CancelReservation: _cancel_reservation,
    c.ChangeAvailability: _change_availability,
    c.ChangeConfiguration: _change_configuration,
    c.ClearCache: _nothing,
    c.ClearChargingProfile: _clear_charging_profile,
    c.DataTransfer: _data_transfer,
    c.GetCompositeSchedule: _get_composite_schedule,
    c.GetConfiguration: _get_configuration,
    c.GetDiagnostics: _get_diagnostics,
    c.GetLocalListVersion: _nothing,
    c.RemoteStartTransaction: _remote_start,
    c.RemoteStopTransaction: _remote_stop,
    c.ReserveNow: _reserve_now,
    c.Reset: _nothing,
    c.SendLocalList: _send_local_list,
    c.SetChargingProfile: _set_charging_profile,
    c.TriggerMessage: _trigger_message,
    c.UnlockConnector: _unlock_connector,
    c.UpdateFirmware: _update_firmware,
    **SECURITY_CHECKS,
}

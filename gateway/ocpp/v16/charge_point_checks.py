"""Conditions that a command must fulfil before it may be sent to one charge point, as far as that is known.

Read from what the charger has reported (S §5, §9, B9, B10); what it has not reported is left for it to refuse. Field
paths are spelled as the API's requests have them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from gateway.domain import commands as c
from gateway.domain.charging import ChargingProfile, ProfilePurpose
from gateway.domain.commands import Command, FieldViolation
from gateway.domain.state import ChargePointState
from gateway.domain.values import WHOLE_CHARGE_POINT, Registration
from gateway.ocpp.v16.charging_abilities import units_in
from gateway.ocpp.v16.configuration_keys import number_in
from gateway.ocpp.v16.security_checks import CHECKS_AGAINST as SECURITY_CHECKS

Findings: TypeAlias = Iterator[FieldViolation]

UNSUPPORTED: Final = -1
"""The version of a local list where lists are not supported (S §5.10)."""

MAX_RESERVATIONS: Final = 64
"""That one charge point holds at once, as far as the gateway knows: several times the connectors of the largest post. A
charger that accepts ever new ones fills no memory."""


def check_against(command: Command, state: ChargePointState, now: datetime) -> tuple[FieldViolation, ...]:
    """Everything that is wrong with sending a command to this charge point now. ``checks.check`` has passed it
    before."""
    against = _CHECKS_AGAINST.get(type(command))
    return () if against is None else tuple(against(command, state, now))


def _reported(state: ChargePointState, key: str) -> int | None:
    """A number that the charger reported for a configuration key, if it did."""
    return number_in(state.configuration.get(key) or "")


def _at_most(name: str, value: int, state: ChargePointState, key: str) -> Findings:
    limit = _reported(state, key)
    if limit is not None and value > limit:
        yield FieldViolation(name, f"is {value}; this charge point takes at most {limit} ({key})")


def _change_configuration_of(command: c.ChangeConfiguration, state: ChargePointState, _: datetime) -> Findings:
    """A security profile only rises (WP A05.FR.09)."""
    if command.key.strip().casefold() != "securityprofile":
        return
    present, wanted = _reported(state, "SecurityProfile"), number_in(command.value)
    if present is not None and wanted is not None and wanted < present:
        yield FieldViolation("value", f"must not be below {present}, the security profile that the charge point has")


def _get_configuration_of(command: c.GetConfiguration, state: ChargePointState, _: datetime) -> Findings:
    return _at_most("keys", len(command.keys), state, "GetConfigurationMaxKeys")


def _profile_of(profile: ChargingProfile, state: ChargePointState) -> Findings:
    schedule = profile.schedule
    yield from _at_most("charging_profile.stack_level", profile.stack_level, state, "ChargeProfileMaxStackLevel")
    yield from _at_most("charging_profile.schedule.periods", len(schedule.periods), state, "ChargingScheduleMaxPeriods")
    allowed = state.configuration.get("ChargingScheduleAllowedChargingRateUnit") or ""
    units = units_in(allowed)
    if units and schedule.rate_unit not in units:
        yield FieldViolation(
            "charging_profile.schedule.rate_unit",
            f"this charge point takes {allowed!r} (ChargingScheduleAllowedChargingRateUnit)",
        )


def _remote_start_of(command: c.RemoteStartTransaction, state: ChargePointState, _: datetime) -> Findings:
    if command.charging_profile is not None:
        yield from _profile_of(command.charging_profile, state)


def _remote_stop_of(command: c.RemoteStopTransaction, state: ChargePointState, _: datetime) -> Findings:
    if command.foreign_number is not None:
        known = state.by_number(command.foreign_number)
        if known is not None:
            yield FieldViolation(
                "foreign_number", f"is the number of {known.transaction_id} here: name that transaction"
            )
    elif command.transaction_id not in state.open_transactions:
        yield FieldViolation("transaction_id", "is not an open transaction of this charge point")


def _reserve_now_of(command: c.ReserveNow, state: ChargePointState, now: datetime) -> Findings:
    if command.expiry_date <= now:
        yield FieldViolation("expire_time", "must be in the future")
    supported = (state.configuration.get("ReserveConnectorZeroSupported") or "").strip().lower()
    if command.connector == WHOLE_CHARGE_POINT and supported == "false":
        yield FieldViolation(
            "connector", "this charge point can't reserve any connector (ReserveConnectorZeroSupported)"
        )
    others = sum(each.reservation_id != command.reservation_id for each in state.reservations.values())
    if others >= MAX_RESERVATIONS:
        yield FieldViolation("reservation_id", f"this charge point has {others} reservations already")


def _send_local_list_of(command: c.SendLocalList, state: ChargePointState, _: datetime) -> Findings:
    if state.local_list_version == UNSUPPORTED:
        yield FieldViolation(
            "list_version", "this charge point has no local list: it reported version -1 (GetLocalListVersion)"
        )
    yield from _at_most("entries", len(command.entries), state, "SendLocalListMaxLength")
    if command.update_type is c.UpdateType.FULL:
        yield from _at_most("entries", len(command.entries), state, "LocalAuthListMaxLength")


def _set_charging_profile_of(command: c.SetChargingProfile, state: ChargePointState, _: datetime) -> Findings:
    yield from _profile_of(command.profile, state)
    if command.profile.purpose is not ProfilePurpose.TX or command.profile.transaction_id is None:
        return
    transaction = state.open_transactions.get(command.profile.transaction_id)
    if transaction is None:
        yield FieldViolation("charging_profile.transaction_id", "is not an open transaction of this charge point")
    elif transaction.connector != command.connector:
        yield FieldViolation("connector", f"the transaction runs on connector {transaction.connector.evse}")


def _trigger_message_of(command: c.TriggerMessage, state: ChargePointState, _: datetime) -> Findings:
    """A charge point that was accepted on this connection is not asked to boot again, unless the caller insists
    (SE 3.40, B1.7)."""
    booted = state.boot_answer is Registration.ACCEPTED
    if command.requested is c.TriggeredMessage.BOOT_NOTIFICATION and booted and not command.insist:
        yield FieldViolation(
            "requested_message",
            "the charge point has booted on this connection and is accepted: it is not to be asked for another "
            "BootNotification (OCPP 1.6 errata 3.40); insist sends it all the same",
        )


_CHECKS_AGAINST: Final[
    Mapping[type[Command], Callable[[Any, ChargePointState, datetime], Iterable[FieldViolation]]]
] = {
    c.ChangeConfiguration: _change_configuration_of,
    c.GetConfiguration: _get_configuration_of,
    c.RemoteStartTransaction: _remote_start_of,
    c.RemoteStopTransaction: _remote_stop_of,
    c.ReserveNow: _reserve_now_of,
    c.SendLocalList: _send_local_list_of,
    c.SetChargingProfile: _set_charging_profile_of,
    c.TriggerMessage: _trigger_message_of,
    **SECURITY_CHECKS,
}

"""A charge point's state while a session owns it: loaded on connect, changed only by committed events, dropped after.

``decide`` functions read it and never change it; ``evolve`` is the only writer, and it is given what was committed.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

import attrs
from attrs import define, field

from gateway.domain import events as e
from gateway.domain import operations, profiles, progress, remote_starts, sent_commands, signing
from gateway.domain.clock_offset import UNMEASURED, ClockOffset
from gateway.domain.commands import LocalListVersionAnswer
from gateway.domain.connector_charging import ConnectorCharging
from gateway.domain.event_records import (
    applied_record,
    connector_record,
    queued_since,
    reservation_record,
    stale_record,
    started_record,
)
from gateway.domain.events import BootInformation, NewEvent
from gateway.domain.latest import LatestMessages
from gateway.domain.operations import OpenOperation
from gateway.domain.power import Power
from gateway.domain.quirks import NO_VALUES, QuirkValues
from gateway.domain.records import (
    AppliedConfiguration,
    ConnectorRecord,
    PendingStart,
    Progress,
    ReservationRecord,
    TransactionRecord,
)
from gateway.domain.repeats import REMEMBERED, Memory
from gateway.domain.signing import SigningRecord
from gateway.domain.steering import InstalledProfile, Steering, Wanted, pending
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Flag, Registration

MAX_REMEMBERED_STARTS = 16
"""A start is repeated at once or not at all on the same connection; one per connector of the largest post is ample."""

MAX_HEARD = 16
"""As many as ``Memory`` holds."""

SHOWS_ALL = "Reserved"
"""Status that shows that a reservation is held, also one of any connector."""
SHOWING = frozenset({SHOWS_ALL, "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"})
"""Statuses of a reserved connector that show that its reservation is held, or is being used."""

MAX_CONFIGURATION_KEYS = 1_000
"""The largest chargers have some 300; one that makes up keys with every answer fills no memory."""


@define
class ChargePointState:
    """State of one charge point, as decisions need it. One owner: the session with the current epoch."""

    identity: str
    epoch: int
    registration: Registration
    ever_accepted: bool = False
    boot: BootInformation | None = None
    connectors: dict[ConnectorAddress, ConnectorRecord] = field(factory=dict)
    open_transactions: dict[str, TransactionRecord] = field(factory=dict)
    """By our id. Bounded by MAX_OPEN_TRANSACTIONS of the handlers: one per connector is open at a time."""
    reservations: dict[int, ReservationRecord] = field(factory=dict)
    """Those that hold, by the caller's id. Bounded by ``checks.MAX_RESERVATIONS``."""
    pending_starts: dict[str, PendingStart] = field(factory=dict)
    """Remote starts of which a transaction may still come, by command id: at most ``remote_starts.MAX_PENDING``."""
    progress: dict[str, Progress] = field(factory=dict)
    """Of firmware updates and uploads of diagnostics and logs, by the kind of work."""
    operations: dict[str, OpenOperation] = field(factory=dict)
    """Operations that have not ended, by id: at most ``operations.MAX_OPEN``."""
    boot_configuration: dict[str, AppliedConfiguration] = field(factory=dict)
    configuration: dict[str, str | None] = field(factory=dict)
    """Last reported values of the charger's configuration by key, secrets redacted."""
    quirks: QuirkValues = NO_VALUES
    """Its own values of its quirk profile, as its operator decided."""
    booted: bool = False
    """Whether a BootNotification was answered on this connection, whatever the answer."""
    boot_answer: Registration | None = None
    """What the last BootNotification on this connection was answered with."""
    local_list_version: int | None = None
    """Version of its local list that it reported on this connection since its last boot; -1: it has none (S §5.10)."""
    starts: dict[str, str] = field(factory=dict)
    """Message ids of this connection's last starts, to the transactions they made: at most MAX_REMEMBERED_STARTS."""
    memory: Memory = field(factory=Memory)
    """What it said last, also on an earlier connection: a charger whose answer was lost sends that again."""
    heard: dict[bytes, str] = field(factory=dict)
    """``repeat_key`` of this connection's last security events, to their message ids: at most MAX_HEARD."""
    foreign: set[int] = field(factory=set)
    """Numbers of other systems' transactions that it has named on this connection: at most MAX_FOREIGN."""
    registers: dict[tuple[int, int, str], tuple[float, datetime | None]] = field(factory=dict)
    """The last import register (Wh) of each connector and location since this connection and its last transaction
    began, with its time: at most MAX_REGISTERS."""
    last_stops: dict[ConnectorAddress, tuple[int, datetime | None]] = field(factory=dict)
    """The register (Wh) of each connector's last stop since this connection and the last Boot on it began, with its
    time: at most MAX_LAST_STOPS. A stop that was flagged leaves none."""
    wanted: dict[ConnectorAddress, Wanted] = field(factory=dict)
    """What is wanted of its connectors, also where that is nothing any more: at most ``steering.MAX_STEERED``."""
    steering: dict[ConnectorAddress, Steering] = field(factory=dict)
    """How far each of ``wanted`` has got."""
    profiles: dict[int, InstalledProfile] = field(factory=dict)
    """The charging profiles that it has accepted, by id: at most ``profiles.MAX_PROFILES``."""
    clock: ClockOffset = UNMEASURED
    """What its messages have shown of its clock, also on earlier connections."""
    signing: SigningRecord | None = None
    """Its open request to have a key certified."""
    booted_at: datetime | None = None
    """When its last BootNotification was received, also on an earlier connection."""
    charging: ConnectorCharging = field(factory=ConnectorCharging)
    """The charging states of its connectors, and the powers that they follow from."""
    latest: LatestMessages = field(factory=LatestMessages)
    """What the newest readings of its connectors are worked out from."""

    def latest_power(self, connector: ConnectorAddress) -> Power | None:
        """The newest import power (W) of a connector that came on this connection, with its time (``at``) and source;
        None: there is none. It may be old: look at its time before acting on it."""
        return self.charging.power(connector)

    def open_on(self, connector: ConnectorAddress) -> TransactionRecord | None:
        """The newest open transaction on a connector, or None."""
        found = None
        for transaction in self.open_transactions.values():
            if transaction.connector == connector and (
                found is None or transaction.start_sequence > found.start_sequence
            ):
                found = transaction
        return found

    def by_number(self, number: int) -> TransactionRecord | None:
        """The open transaction with OCPP 1.6's ``number``, or None."""
        for transaction in self.open_transactions.values():
            if transaction.number == number:
                return transaction
        return None

    @property
    def accepted(self) -> bool:
        """Return whether the charge point may be served: what its operator has accepted is accepted, also before its
        first Boot here. A charger that moves from another system reconnects without one (J §5.4; X5, B1.5, B1.10)."""
        return self.registration is Registration.ACCEPTED


MAX_FOREIGN = 64
"""As many as a charge point has connectors, and more; beyond them no further ones are announced."""

MAX_REGISTERS = 512
"""Connectors and locations whose register is remembered: twice the connectors of which a status is kept."""

MAX_LAST_STOPS = 64
"""Connectors whose last stop is remembered: as many as have open transactions at once."""


def _remember_stop(state: ChargePointState, event: NewEvent, body: e.TransactionStopped) -> None:
    known, at = state.last_stops, event.reported_at
    if body.connector in known and is_older(at, known[body.connector][1]):
        return
    if Flag.METER_IMPLAUSIBLE in event.flags:
        known.pop(body.connector, None)
    elif body.connector in known or len(known) < MAX_LAST_STOPS:
        known[body.connector] = (body.meter_stop, at)


def _forget_registers(state: ChargePointState, connector: ConnectorAddress) -> None:
    """Some registers count a session and begin anew with each (E15)."""
    own = (connector.evse, connector.connector)
    for key in [key for key in state.registers if key[:2] == own]:
        del state.registers[key]


def is_older(at: datetime | None, known: datetime | None) -> bool:
    """Return whether a reading was taken before another, as far as is known: a queued one is of the past."""
    return at is not None and known is not None and at < known


def evolve(state: ChargePointState, event: NewEvent, sequence: int) -> None:
    """Apply one committed event. Never raises for an event that ``decide`` made from this state."""
    body = event.body
    kind = body.__class__
    if event.repeat_key or kind in REMEMBERED:
        state.memory = state.memory.after(event)
    if kind in _CHANGES:
        _CHANGES[kind](state, event, body, sequence)
    if state.operations:
        operations.note(state, event, sequence)


def _booted(state: ChargePointState, event: NewEvent, body: e.ChargePointBooted, _: int) -> None:
    state.boot = body.boot
    state.booted = True
    state.clock = state.clock.after(event)
    state.profiles = profiles.booted(state.profiles)
    state.last_stops.clear()  # another unit, or another meter, begins anew
    state.booted_at = event.received_at
    state.boot_answer = body.registration
    state.local_list_version = None  # its firmware, or its configuration, may be another one now
    if body.registration is Registration.ACCEPTED:
        state.ever_accepted = True


def _updated(state: ChargePointState, _: NewEvent, body: e.ChargePointUpdated, __: int) -> None:
    state.registration = body.registration


def _foreign(state: ChargePointState, _: NewEvent, body: e.TransactionForeign, __: int) -> None:
    state.foreign.add(body.number)


def _meter_values(state: ChargePointState, event: NewEvent, body: e.MeterValuesReported, _: int) -> None:
    at, known, connector = event.reported_at, state.registers, body.connector
    state.latest.add(body, event, event.power is not None)
    if event.power is not None or event.registers:
        state.charging.apply(event)
    for location, wh in event.registers:
        key = (connector.evse, connector.connector, location)
        if key not in known:
            if len(known) < MAX_REGISTERS:
                known[key] = (wh, at)
            continue
        then = known[key][1]
        if at is None or then is None or at >= then:
            known[key] = (wh, at)


def _status_changed(state: ChargePointState, event: NewEvent, body: e.ConnectorStatusChanged, _: int) -> None:
    state.connectors[body.connector] = connector_record(event, body)
    state.clock = state.clock.after(event)
    _show_reservations(state, event, body)
    state.charging.apply(event)


def _charging_changed(state: ChargePointState, event: NewEvent, _: e.ConnectorChargingStateChanged, __: int) -> None:
    state.charging.apply(event)


def _started(state: ChargePointState, event: NewEvent, body: e.TransactionStarted, sequence: int) -> None:
    state.open_transactions[body.transaction_id] = started_record(state.identity, event, body, sequence)
    if body.start_command_id:
        state.pending_starts.pop(body.start_command_id, None)
    if state.profiles:
        state.profiles = profiles.started(state.profiles, body.connector, body.transaction_id, event.received_at)
    state.clock = state.clock.after(event)
    _remember_start(state, event.cause, body.transaction_id)
    _forget_registers(state, body.connector)
    if Flag.METER_IMPLAUSIBLE in event.flags and body.meter_start > 0:
        # It ran backwards, so it is none of the session's own, and what is sampled goes on from it.
        key = (body.connector.evse, body.connector.connector, "Outlet")
        state.registers[key] = (body.meter_start, event.reported_at)


def _stale_changed(state: ChargePointState, event: NewEvent, body: e.TransactionStaleChanged, _: int) -> None:
    changed = state.open_transactions.get(body.transaction_id)
    if changed is not None:
        state.open_transactions[body.transaction_id] = stale_record(event, body, changed)


def _stopped(state: ChargePointState, event: NewEvent, body: e.TransactionStopped, _: int) -> None:
    _close(state, body.transaction_id)
    state.clock = state.clock.after(event)
    _remember_stop(state, event, body)
    state.latest.add(body, event, False)


_Ending: TypeAlias = e.TransactionLost | e.TransactionClosed | e.TransactionAttributed


def _not_open(state: ChargePointState, _: NewEvent, body: _Ending, __: int) -> None:
    _close(state, body.transaction_id)


def _close(state: ChargePointState, transaction_id: str) -> None:
    state.open_transactions.pop(transaction_id, None)
    if state.profiles:
        state.profiles = profiles.ended(state.profiles, transaction_id)


def _reservation_made(state: ChargePointState, event: NewEvent, body: e.ReservationMade, _: int) -> None:
    known = state.connectors.get(body.connector)
    shown = known is not None and known.status == SHOWS_ALL
    state.reservations[body.reservation_id] = attrs.evolve(reservation_record(event, body), shown=shown)


def _reservation_ended(state: ChargePointState, _: NewEvent, body: e.ReservationEnded, __: int) -> None:
    state.reservations.pop(body.reservation_id, None)


def _configuration_applied(state: ChargePointState, event: NewEvent, body: e.BootConfigurationApplied, _: int) -> None:
    state.boot_configuration[body.key] = applied_record(event, body)


def _command_answered(state: ChargePointState, event: NewEvent, body: e.CommandAnswered, _: int) -> None:
    if state.pending_starts:
        remote_starts.answered(state, event, body)
    if isinstance(body.answer, LocalListVersionAnswer):
        state.local_list_version = body.answer.list_version


def _configuration_reported(state: ChargePointState, _: NewEvent, body: e.ConfigurationReported, __: int) -> None:
    for each in body.keys:
        if each.key in state.configuration or len(state.configuration) < MAX_CONFIGURATION_KEYS:
            state.configuration[each.key] = each.value


def _security_event(state: ChargePointState, event: NewEvent, _: e.SecurityEventReported, __: int) -> None:
    state.heard[event.repeat_key] = event.cause.removeprefix("message:")
    if len(state.heard) > MAX_HEARD:
        del state.heard[next(iter(state.heard))]


def _wanted_changed(state: ChargePointState, event: NewEvent, body: e.WantedChanged, _: int) -> None:
    connector = body.wanted.connector
    state.wanted[connector] = body.wanted
    state.steering[connector] = pending(body.wanted, event.received_at, state.steering.get(connector))


def _steering_changed(state: ChargePointState, _: NewEvent, body: e.SteeringChanged, __: int) -> None:
    known = state.steering.get(body.connector)
    if known is not None and known.revision == body.steering.revision:  # else the wish has changed meanwhile
        state.steering[body.connector] = body.steering


def _profile_installed(state: ChargePointState, event: NewEvent, body: e.ChargingProfileInstalled, _: int) -> None:
    state.profiles = profiles.installed(state.profiles, profiles.of_event(event, body))


def _profile_removed(state: ChargePointState, _: NewEvent, body: e.ChargingProfileRemoved, __: int) -> None:
    state.profiles = profiles.removed(state.profiles, body.profile_id)


B = TypeVar("B", bound=e.Body)

_Change: TypeAlias = Callable[[ChargePointState, NewEvent, B, int], None]


def _row(cls: type[B], change: _Change[B]) -> tuple[type[Any], _Change[Any]]:
    """Return a row of the table; the type checker holds the change to the class of its events."""
    return cls, change


_CHANGES: Final[Mapping[type[e.Body], _Change[Any]]] = dict(
    (
        _row(e.ChargePointBooted, _booted),
        _row(e.ChargePointUpdated, _updated),
        _row(e.TransactionForeign, _foreign),
        _row(e.MeterValuesReported, _meter_values),
        _row(e.ConnectorStatusChanged, _status_changed),
        _row(e.ConnectorChargingStateChanged, _charging_changed),
        _row(e.TransactionStarted, _started),
        _row(e.TransactionStaleChanged, _stale_changed),
        _row(e.TransactionStopped, _stopped),
        _row(e.TransactionLost, _not_open),
        _row(e.TransactionClosed, _not_open),
        _row(e.TransactionAttributed, _not_open),
        _row(e.ReservationMade, _reservation_made),
        _row(e.ReservationEnded, _reservation_ended),
        _row(e.BootConfigurationApplied, _configuration_applied),
        _row(e.SecurityEventReported, _security_event),
        _row(e.CommandQueued, remote_starts.queued),
        _row(e.CommandSent, sent_commands.sent),
        _row(e.FirmwareStatusReported, progress.firmware_reported),
        _row(e.DiagnosticsStatusReported, progress.diagnostics_reported),
        _row(e.LogStatusReported, progress.log_reported),
        _row(e.CommandNotSent, remote_starts.not_sent),
        _row(e.CommandOutcomeUnknown, remote_starts.outcome_unknown),
        _row(e.CommandAnswered, _command_answered),
        _row(e.RemoteStartExpired, remote_starts.expired),
        _row(e.OperationAccepted, operations.accepted),
        _row(e.ConfigurationReported, _configuration_reported),
        _row(e.WantedChanged, _wanted_changed),
        _row(e.SteeringChanged, _steering_changed),
        _row(e.ChargingProfileInstalled, _profile_installed),
        _row(e.ChargingProfileRemoved, _profile_removed),
        _row(e.CertificateRequested, signing.requested),
        _row(e.CertificateIssued, signing.issued),
        _row(e.CertificateSigningEnded, signing.ended),
    )
)
"""Class of body to what it changes; other events change nothing in the state."""


def _show_reservations(state: ChargePointState, event: NewEvent, body: e.ConnectorStatusChanged) -> None:
    if body.status not in SHOWING:
        return
    queued = queued_since(event)
    for number, each in state.reservations.items():
        anywhere = each.connector == WHOLE_CHARGE_POINT and body.status == SHOWS_ALL
        if (anywhere or each.connector == body.connector) and (queued is None or queued >= each.made_at):
            state.reservations[number] = attrs.evolve(each, shown=True)


def _remember_start(state: ChargePointState, cause: str, transaction_id: str) -> None:
    state.starts[cause.removeprefix("message:")] = transaction_id
    if len(state.starts) > MAX_REMEMBERED_STARTS:
        del state.starts[next(iter(state.starts))]

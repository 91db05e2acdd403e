"""Commands of a central system to a charger: the 19 operations of OCPP 1.6, the security extension's
(``gateway.domain.security_commands``), and the durable record of each.

``gateway.domain.command_states`` has the table of a command's states.
"""

from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Final, TypeAlias

from attrs import field, fields, frozen

# Re-exported: a command and its answer are used together.
from gateway.domain.answers import (
    INVALID_CONFIRMATION as INVALID_CONFIRMATION,
)
from gateway.domain.answers import (
    Answer as Answer,
)
from gateway.domain.answers import (
    ChargerError as ChargerError,
)
from gateway.domain.answers import (
    CompositeScheduleAnswer as CompositeScheduleAnswer,
)
from gateway.domain.answers import (
    ConfigurationAnswer as ConfigurationAnswer,
)
from gateway.domain.answers import (
    ConfigurationKey as ConfigurationKey,
)
from gateway.domain.answers import (
    DataTransferAnswer as DataTransferAnswer,
)
from gateway.domain.answers import (
    DiagnosticsAnswer as DiagnosticsAnswer,
)
from gateway.domain.answers import (
    EmptyAnswer as EmptyAnswer,
)
from gateway.domain.answers import (
    LocalListVersionAnswer as LocalListVersionAnswer,
)
from gateway.domain.answers import (
    StatusAnswer as StatusAnswer,
)
from gateway.domain.charging import ChargingProfile, ChargingRateUnit, ProfilePurpose
from gateway.domain.security_commands import SecurityCommand
from gateway.domain.values import JSON, ConnectorAddress
from gateway.quick_frozen import quick_frozen

# --- the operations (S §5) ------------------------------------------------------------------------------------


@frozen
class CancelReservation:
    reservation_id: int


class AvailabilityType(StrEnum):
    INOPERATIVE = "Inoperative"
    OPERATIVE = "Operative"


@frozen
class ChangeAvailability:
    connector: ConnectorAddress
    availability: AvailabilityType


@frozen
class ChangeConfiguration:
    """``value`` of a key that names a secret (``gateway.domain.secrets``) is never shown: not in a repr, a record, a
    log or an event."""

    key: str
    value: str = field(repr=False)


@frozen
class ClearCache:
    pass


@frozen
class ClearChargingProfile:
    """By id alone, or by all of the other criteria that are given, or, with none, every profile (S §5.5)."""

    profile_id: int | None = None
    connector: ConnectorAddress | None = None
    purpose: ProfilePurpose | None = None
    stack_level: int | None = None


@frozen
class DataTransfer:
    vendor_id: str
    message_id: str | None = None
    data: str | None = None


@frozen
class GetCompositeSchedule:
    """``duration`` in seconds; connector (0, 0) is the total of the charge point (S §5.7)."""

    connector: ConnectorAddress
    duration: int
    rate_unit: ChargingRateUnit | None = None


@frozen
class GetConfiguration:
    """No keys: all of them (S §5.8)."""

    keys: tuple[str, ...] = ()


@frozen
class GetDiagnostics:
    """``retry_interval`` in seconds (S §5.9)."""

    location: str
    retries: int | None = None
    retry_interval: int | None = None
    start_time: datetime | None = None
    stop_time: datetime | None = None


@frozen
class GetLocalListVersion:
    pass


@frozen
class RemoteStartTransaction:
    id_tag: str
    connector: ConnectorAddress | None = None
    charging_profile: ChargingProfile | None = None


@frozen
class RemoteStopTransaction:
    """``transaction_id`` is the gateway's; the session knows the charger's number for it. ``foreign_number``, in its
    place: the number of a transaction that the charger began under another system."""

    transaction_id: str
    foreign_number: int | None = None


@frozen
class ReserveNow:
    connector: ConnectorAddress
    expiry_date: datetime
    id_tag: str
    reservation_id: int
    parent_id_tag: str | None = None


class ResetType(StrEnum):
    HARD = "Hard"
    SOFT = "Soft"


@frozen
class Reset:
    reset_type: ResetType


class UpdateType(StrEnum):
    DIFFERENTIAL = "Differential"
    FULL = "Full"


@frozen
class LocalListEntry:
    """An entry of a local authorization list. No ``status``: a differential update deletes the tag (S §7.2)."""

    id_tag: str
    status: str | None = None
    expiry_date: datetime | None = None
    parent_id_tag: str | None = None


@frozen
class SendLocalList:
    list_version: int
    update_type: UpdateType
    entries: tuple[LocalListEntry, ...] = ()


@frozen
class SetChargingProfile:
    connector: ConnectorAddress
    profile: ChargingProfile


class TriggeredMessage(StrEnum):
    BOOT_NOTIFICATION = "BootNotification"
    DIAGNOSTICS_STATUS = "DiagnosticsStatusNotification"
    FIRMWARE_STATUS = "FirmwareStatusNotification"
    HEARTBEAT = "Heartbeat"
    METER_VALUES = "MeterValues"
    STATUS_NOTIFICATION = "StatusNotification"


@frozen
class TriggerMessage:
    requested: TriggeredMessage
    connector: ConnectorAddress | None = None
    insist: bool = False
    """Ask for a BootNotification although the charger has booted on this connection (SE 3.40)."""


@frozen
class UnlockConnector:
    connector: ConnectorAddress


@frozen
class UpdateFirmware:
    """``retrieve_date`` None: from when it is sent on. ``retry_interval`` in seconds (S §5.19)."""

    location: str
    retrieve_date: datetime | None = None
    retries: int | None = None
    retry_interval: int | None = None


Command: TypeAlias = (
    CancelReservation
    | ChangeAvailability
    | ChangeConfiguration
    | ClearCache
    | ClearChargingProfile
    | DataTransfer
    | GetCompositeSchedule
    | GetConfiguration
    | GetDiagnostics
    | GetLocalListVersion
    | RemoteStartTransaction
    | RemoteStopTransaction
    | ReserveNow
    | Reset
    | SendLocalList
    | SetChargingProfile
    | TriggerMessage
    | UnlockConnector
    | UpdateFirmware
    | SecurityCommand
)

COMMANDS: dict[str, type[Command]] = {cls.__name__: cls for cls in Command.__args__}
"""Operation name, as OCPP and the API spell it, to its class."""


def operation_of(command: Command) -> str:
    """The operation's name, in the API and as it is stored with every command: it never changes for a class."""
    return type(command).__name__


# --- the durable record ---------------------------------------------------------------------------------------


class CommandState(StrEnum):
    QUEUED = "QUEUED"
    SENT = "SENT"
    ANSWERED = "ANSWERED"
    NOT_SENT = "NOT_SENT"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"

    @property
    def final(self) -> bool:
        """Return whether a caller is answered. OUTCOME_UNKNOWN is final for the caller though a late answer may mend
        it."""
        return self not in (CommandState.QUEUED, CommandState.SENT)


@quick_frozen
class CommandRecord:
    """A command and what became of it. ``arguments`` is the command as JSON, secrets redacted."""

    command_id: str
    charge_point: str
    request_id: str
    operation: str
    arguments: JSON
    state: CommandState
    created_at: datetime
    fingerprint: str = field(default="", repr=False)
    """Keyed digest of operation and arguments: a request that is repeated has the same one."""
    sent_at: datetime | None = None
    finished_at: datetime | None = None
    answer: Answer | None = None
    error: ChargerError | None = None
    late: bool = False
    """The answer came after the caller had been answered OUTCOME_UNKNOWN."""
    reason: str = ""
    """Why NOT_SENT or OUTCOME_UNKNOWN: ``deadline``, ``disconnected``, ``draining``, ``gateway-restarted`` ..."""
    caller: str = ""  # empty: it had no name, as in older records, or the gateway itself asked

    # As ``attrs.evolve``, which takes five times as long.

    def sent(self, at: datetime) -> "CommandRecord":
        """The same, about to be sent."""
        present = dict(zip(_FIELDS, _values_of(self), strict=True))
        return CommandRecord(**{**present, "state": CommandState.SENT, "sent_at": at})

    def answered(
        self, answer: Answer | None, error: ChargerError | None, at: datetime, *, late: bool
    ) -> "CommandRecord":
        """The same with the charger's answer."""
        present = dict(zip(_FIELDS, _values_of(self), strict=True))
        outcome = {"answer": answer, "error": error, "late": late, "finished_at": at, "reason": ""}
        return CommandRecord(**{**present, "state": CommandState.ANSWERED, **outcome})


_FIELDS: Final = tuple(each.name for each in fields(CommandRecord))
_values_of = attrgetter(*_FIELDS)


# --- refusals: values, not exceptions -------------------------------------------------------------------------


class RefusalReason(StrEnum):
    """Reason for which no command came into being: nothing was recorded or sent, now or earlier under its id."""

    UNKNOWN_CHARGE_POINT = "UNKNOWN_CHARGE_POINT"
    UNKNOWN_TRANSACTION = "UNKNOWN_TRANSACTION"
    CHARGE_POINT_OFFLINE = "CHARGE_POINT_OFFLINE"
    CHARGE_POINT_PENDING = "CHARGE_POINT_PENDING"
    CHARGE_POINT_REJECTED = "CHARGE_POINT_REJECTED"
    QUEUE_FULL = "QUEUE_FULL"
    INVALID_COMMAND = "INVALID_COMMAND"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    DRAINING = "DRAINING"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    NODE_UNREACHABLE = "NODE_UNREACHABLE"
    """Another node has the charge point, and can't be reached."""
    NOT_SENT = "NOT_SENT"
    """Its deadline leaves no time to send anything."""


@frozen
class FieldViolation:
    """One field of a command that can't be sent, e.g. ``charging_profile.schedule.periods[0].start_period``."""

    field: str
    description: str


@frozen
class Refused:
    """The gateway itself said no before anything was recorded or sent. Its request id is free: that was looked up."""

    reason: RefusalReason
    message: str
    violations: tuple[FieldViolation, ...] = ()
    metadata: dict[str, str] = field(factory=dict)


@frozen
class Unknown:
    """It is not known whether there is a command under the request id, nor what became of it. ``reason`` as in
    ``CommandRecord``."""

    request_id: str
    reason: str
    message: str


CallOutcome: TypeAlias = CommandRecord | Refused | Unknown
"""What a caller of the router gets: the finished record (state final), why there is none, or that it is not known."""

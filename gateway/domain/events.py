"""Events that the gateway records: the main public contract, described field by field in ``docs/events.md``.

An event is something that happened, in the gateway's words, kept for ever and never changed. Bodies are frozen values;
``gateway.domain.codec`` turns them to stored bytes and back, and lifts bodies of older versions to the present ones.
Each body names its ``TYPE`` (dotted, stable) and ``VERSION`` (raised when its fields change meaning).
"""

from datetime import datetime
from typing import ClassVar, Final, TypeAlias

from attrs import field, frozen

from gateway.domain.commands import Answer, ChargerError, ConfigurationKey
from gateway.domain.values import JSON, ConnectorAddress, Flag, Registration

FIRST_DIALECT: Final = "ocpp1.6"
"""The dialect of what was recorded before dialects were. A ``dialect`` is the WebSocket subprotocol of the version of
OCPP in whose shape an event holds what the charger sent; by it ``gateway.domain.dialects`` reads meter values."""

# --- the charge point and its connection ----------------------------------------------------------------------


@frozen
class ChargePointCreated:
    TYPE: ClassVar[str] = "charge_point.created"
    VERSION: ClassVar[int] = 1
    registration: Registration


@frozen
class ChargePointUpdated:
    """The operator changed the registration, the credentials or the notes; ``changed`` names the fields."""

    TYPE: ClassVar[str] = "charge_point.updated"
    VERSION: ClassVar[int] = 1
    registration: Registration
    changed: tuple[str, ...]


@frozen
class ChargePointDeleted:
    TYPE: ClassVar[str] = "charge_point.deleted"
    VERSION: ClassVar[int] = 1


@frozen
class ChargePointConnected:
    """An authenticated session began; it owns the charge point from here on (its epoch is the event's)."""

    TYPE: ClassVar[str] = "charge_point.connected"
    VERSION: ClassVar[int] = 1
    remote_address: str
    subprotocol: str
    security_profile: int
    tls_version: str = ""


@frozen
class ChargePointDisconnected:
    """``initiator``: peer, local (the gateway closed) or network. ``code``: the WebSocket close code, 1006 if none.

    ``reason``: closed, silent, message-too-large, replaced, disconnected-by-operator, draining, store-unavailable,
    protocol, gateway-restarted ...
    """

    TYPE: ClassVar[str] = "charge_point.disconnected"
    VERSION: ClassVar[int] = 1
    reason: str
    initiator: str
    code: int = 1006
    last_heard: datetime | None = None
    """When the last frame came; None where no session was there to know (replaced, gateway-restarted)."""
    message_bytes: int = 0
    """Of the message that was beyond the limit (message-too-large), as far as it was announced."""


@frozen
class BootInformation:
    """A charge point's description of itself at its boot (S §6.5). Empty and missing are both None."""

    vendor: str
    model: str
    charge_point_serial_number: str | None = None
    charge_box_serial_number: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_type: str | None = None
    meter_serial_number: str | None = None


@frozen
class ChargePointBooted:
    """A BootNotification was answered with ``registration`` and ``interval`` (seconds)."""

    TYPE: ClassVar[str] = "charge_point.booted"
    VERSION: ClassVar[int] = 1
    boot: BootInformation
    registration: Registration
    interval: int


@frozen
class ConnectorStatusChanged:
    """A connector's status, error or vendor information changed. ``status`` and ``error_code`` as the charger said."""

    TYPE: ClassVar[str] = "connector.status_changed"
    VERSION: ClassVar[int] = 1
    connector: ConnectorAddress
    status: str
    error_code: str
    previous_status: str | None = None
    info: str | None = None
    vendor_id: str | None = None
    vendor_error_code: str | None = None


# --- authorization and transactions ---------------------------------------------------------------------------


@frozen
class IdTagPresented:
    """An Authorize was answered with ``status``."""

    TYPE: ClassVar[str] = "id_tag.presented"
    VERSION: ClassVar[int] = 1
    id_tag: str
    status: str


@frozen
class TransactionStarted:
    """A transaction came into being. ``status`` is the tag's standing that the charger was answered; a refused tag's
    transaction is as real as any (B4.5). ``number`` is OCPP 1.6's integer for it."""

    TYPE: ClassVar[str] = "transaction.started"
    VERSION: ClassVar[int] = 1
    transaction_id: str
    number: int
    connector: ConnectorAddress
    id_tag: str
    status: str
    meter_start: int
    """Wh, as sent."""
    start_key: str
    """The identity of this start across retries (B4.6); see ``gateway.domain.transactions.start_key``."""
    reservation_id: int | None = None
    payload_text: str = field(default="", repr=False)
    """The payload as sent where it could not be read (flag ``unread``); the other fields are then what could be made
    out of it, or empty."""
    dialect: str = FIRST_DIALECT
    """The version of OCPP in whose shape ``payload_text`` is."""


@frozen
class TransactionStopped:
    """The charger stopped a transaction. ``energy`` is meter_stop − meter_start in Wh, None where implausible."""

    TYPE: ClassVar[str] = "transaction.stopped"
    VERSION: ClassVar[int] = 1
    transaction_id: str
    connector: ConnectorAddress
    meter_stop: int
    """Wh, as sent."""
    reason: str
    energy: int | None
    id_tag: str | None = None
    id_tag_status: str | None = None
    meter_value: tuple[JSON, ...] = ()
    """transactionData as sent: a list in the shape of MeterValues' meterValue (S §6.49)."""
    payload_text: str = field(default="", repr=False)
    """The payload as sent where it could not be read (flag ``unread``); the other fields are then what could be made
    out of it, or empty."""
    dialect: str = FIRST_DIALECT
    """The version of OCPP in whose shape ``meter_value`` and ``payload_text`` are."""


@frozen
class TransactionLost:
    """A newer start showed that an open transaction's stop never came (B4.9). A stop that arrives later
    still ends it properly with ``transaction.stopped``."""

    TYPE: ClassVar[str] = "transaction.lost"
    VERSION: ClassVar[int] = 1
    transaction_id: str
    connector: ConnectorAddress


@frozen
class TransactionStaleChanged:
    """Something showed that an open transaction is over though no stop has come (``stale``), or that it goes on after
    all. It stays open either way: neither a status nor a Boot ends one (B7.5, B1.8).

    ``why``: as ``gateway.domain.staleness`` names it: available, another-unit, ...; charging, readings.
    """

    TYPE: ClassVar[str] = "transaction.stale_changed"
    VERSION: ClassVar[int] = 1
    transaction_id: str
    connector: ConnectorAddress
    stale: bool
    why: str


@frozen
class TransactionClosed:
    """An operator closed an open transaction whose stop does not come. One that arrives later still ends it properly
    with ``transaction.stopped``."""

    TYPE: ClassVar[str] = "transaction.closed"
    VERSION: ClassVar[int] = 1
    transaction_id: str
    connector: ConnectorAddress
    reason: str
    """The operator's words."""


@frozen
class TransactionOrphaned:
    """A stop that belongs to no transaction the gateway knows: confirmed, kept as sent (B5.4, B5.5)."""

    TYPE: ClassVar[str] = "transaction.orphaned"
    VERSION: ClassVar[int] = 1
    number: int
    """The number the charger named."""
    why: str
    """unknown-number, other-charge-point, no-number ..."""
    payload: JSON
    """The StopTransaction as sent; its text where it could not be read (flag ``unread``)."""
    dialect: str = FIRST_DIALECT
    """The version of OCPP in whose shape ``payload`` is."""


@frozen
class TransactionForeign:
    """The charger names a transaction that the gateway does not know: one that it began under another system, most
    likely. Once for each number and connection. ``number`` stops it (RemoteStopTransaction by foreign number)."""

    TYPE: ClassVar[str] = "transaction.foreign"
    VERSION: ClassVar[int] = 1
    number: int
    connector: ConnectorAddress


@frozen
class MeterValuesReported:
    """Meter values as sent, once; ``gateway.domain.dialects.samples_of`` reads them.

    ``transaction_id`` is ours: the one the charger named, or, flagged ``transaction-inferred``, the one that was
    running on the connector; None outside any. ``number`` is the charger's, where it named one.
    """

    TYPE: ClassVar[str] = "meter_values.reported"
    VERSION: ClassVar[int] = 1
    connector: ConnectorAddress
    meter_value: tuple[JSON, ...]
    transaction_id: str | None = None
    number: int | None = None
    payload_text: str = field(default="", repr=False)
    """The payload as sent where it could not be read (flag ``unread``); the other fields are then what could be made
    out of it, or empty."""
    dialect: str = FIRST_DIALECT
    """The version of OCPP in whose shape ``meter_value`` and ``payload_text`` are."""
    meter_value_json: bytes = field(default=b"", eq=False, repr=False)
    """``meter_value`` as JSON, as it is stored and shown, where it has been made; empty: it is still to be made. Not a
    field of the stored body."""


# --- reservations ---------------------------------------------------------------------------------------------


@frozen
class ReservationMade:
    """The charger accepted a ReserveNow (B9.10). Connector (0, 0): any of its connectors."""

    TYPE: ClassVar[str] = "reservation.made"
    VERSION: ClassVar[int] = 1
    reservation_id: int
    """The caller's."""
    connector: ConnectorAddress
    id_tag: str
    expires_at: datetime
    parent_id_tag: str | None = None


@frozen
class ReservationEnded:
    """A reservation that was made holds no more; exactly one for each ``reservation.made``.

    ``why``: used (by ``transaction_id``), expired, cancelled, replaced, connector-unavailable, deleted ...
    """

    TYPE: ClassVar[str] = "reservation.ended"
    VERSION: ClassVar[int] = 1
    reservation_id: int
    connector: ConnectorAddress
    why: str
    transaction_id: str | None = None


# --- firmware, diagnostics, logs, security, vendor data -------------------------------------------------------


@frozen
class FirmwareStatusReported:
    """``request_id`` only from the security extension's SignedFirmwareStatusNotification (WP 5.x)."""

    TYPE: ClassVar[str] = "firmware.status_reported"
    VERSION: ClassVar[int] = 1
    status: str
    request_id: int | None = None
    signed: bool = False


@frozen
class DiagnosticsStatusReported:
    TYPE: ClassVar[str] = "diagnostics.status_reported"
    VERSION: ClassVar[int] = 1
    status: str


@frozen
class LogStatusReported:
    TYPE: ClassVar[str] = "log.status_reported"
    VERSION: ClassVar[int] = 1
    status: str
    request_id: int | None = None


@frozen
class SecurityEventReported:
    """``kind`` is the event's type as the charger named it, known or not (B11.4)."""

    TYPE: ClassVar[str] = "security.event_reported"
    VERSION: ClassVar[int] = 1
    kind: str
    tech_info: str | None = None


@frozen
class VendorDataReceived:
    """A DataTransfer from the charger and the status it was answered with."""

    TYPE: ClassVar[str] = "vendor_data.received"
    VERSION: ClassVar[int] = 1
    vendor_id: str
    status: str
    message_id: str | None = None
    data: JSON = None


# --- configuration --------------------------------------------------------------------------------------------


@frozen
class ConfigurationReported:
    """Configuration keys as a GetConfiguration returned them; secrets are redacted."""

    TYPE: ClassVar[str] = "configuration.reported"
    VERSION: ClassVar[int] = 1
    keys: tuple[ConfigurationKey, ...]
    unknown_keys: tuple[str, ...] = ()


@frozen
class BootConfigurationApplied:
    """One key of the platform's configuration: ``status`` is ``Asked`` before it is put to the charger, then the
    charger's word or, where it gave none, ``Error:<code>``. ``firmware_version`` is what it ran then: other firmware
    is asked again."""

    TYPE: ClassVar[str] = "configuration.applied"
    VERSION: ClassVar[int] = 1
    key: str
    value: str
    status: str
    firmware_version: str | None = None
    attempts: int = 0
    """How often this firmware was asked for the key, this time included."""
    fingerprint: str = ""
    """Where ``value`` hides something: what tells it from another value, keyed by the store and never shown."""


# --- commands -------------------------------------------------------------------------------------------------


@frozen
class CommandQueued:
    """A command exists. ``arguments`` is the operation as JSON with secrets redacted."""

    TYPE: ClassVar[str] = "command.queued"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str
    request_id: str
    arguments: JSON
    fingerprint: str = field(default="", repr=False)


@frozen
class CommandSent:
    """Committed before the CALL is written."""

    TYPE: ClassVar[str] = "command.sent"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str


@frozen
class CommandAnswered:
    """The charger confirmed (``answer``) or answered CALLERROR (``error``). ``late``: after its caller was answered
    that the outcome is unknown."""

    TYPE: ClassVar[str] = "command.answered"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str
    answer: Answer | None = None
    error: ChargerError | None = None
    late: bool = False


@frozen
class CommandNotSent:
    TYPE: ClassVar[str] = "command.not_sent"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str
    reason: str


@frozen
class CommandOutcomeUnknown:
    TYPE: ClassVar[str] = "command.outcome_unknown"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str
    reason: str


Body: TypeAlias = (
    ChargePointCreated
    | ChargePointUpdated
    | ChargePointDeleted
    | ChargePointConnected
    | ChargePointDisconnected
    | ChargePointBooted
    | ConnectorStatusChanged
    | IdTagPresented
    | TransactionStarted
    | TransactionStopped
    | TransactionLost
    | TransactionStaleChanged
    | TransactionClosed
    | TransactionOrphaned
    | TransactionForeign
    | MeterValuesReported
    | ReservationMade
    | ReservationEnded
    | FirmwareStatusReported
    | DiagnosticsStatusReported
    | LogStatusReported
    | SecurityEventReported
    | VendorDataReceived
    | ConfigurationReported
    | BootConfigurationApplied
    | CommandQueued
    | CommandSent
    | CommandAnswered
    | CommandNotSent
    | CommandOutcomeUnknown
)

BODIES: dict[str, type[Body]] = {cls.TYPE: cls for cls in Body.__args__}
"""Event type to its present body class."""


@frozen
class NewEvent:
    """An event about to be committed. ``received_at`` is the gateway's clock, aware UTC."""

    body: Body
    received_at: datetime
    reported_at: datetime | None = None
    """The charger's time, parsed to UTC; None where it gave none or one that can't be read."""
    reported_raw: str | None = None
    """The charger's time as sent."""
    flags: tuple[Flag, ...] = ()
    cause: str = ""
    """The OCPP message id (``message:<id>``) or the command (``command:<id>``) behind it; empty: the gateway."""
    repeat_key: bytes = b""
    """What identifies the charger's message if it sends it again (``gateway.domain.repeats``); empty: nothing does.
    Kept with the charge point, not with the event."""
    registers: tuple[tuple[str, float], ...] = ()
    """The import registers that meter values hold, in Wh by location. Not stored: they follow from the body."""


@frozen
class StoredEvent:
    """A committed event. ``sequence`` rises over the whole store; order is promised per charge point only.

    ``body_json`` are the stored bytes; ``gateway.domain.codec.decode`` gives the body. ``event_id`` is stable.
    """

    sequence: int
    event_id: str
    charge_point: str
    epoch: int
    type: str
    version: int
    received_at: datetime
    reported_at: datetime | None
    reported_raw: str | None
    flags: tuple[Flag, ...]
    cause: str
    body_json: bytes
    transaction_id: str | None = None
    body: Body | None = field(default=None, eq=False, repr=False)
    """The body, where it need not be decoded: the event comes from its commit, and is small."""

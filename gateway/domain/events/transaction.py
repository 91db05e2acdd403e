"""Events of authorization, of transactions, and of meter values."""

from datetime import datetime
from typing import ClassVar, Final, TypeAlias

from attrs import field, frozen

from gateway.domain.values import JSON, ConnectorAddress
from gateway.quick_frozen import quick_frozen

FIRST_DIALECT: Final = "ocpp1.6"
"""The dialect of what was recorded before dialects were. A ``dialect`` is the WebSocket subprotocol of the version of
OCPP in whose shape an event holds what the charger sent; by it ``gateway.domain.dialects`` reads meter values."""


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
    start_command_id: str = ""
    """The remote start that it came of; empty: of none, as far as is known."""


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
    meter_stop: int | None = None
    """Wh: the register at its end, as the operator gave it."""
    ended_at: datetime | None = None
    """When it ended, as the operator gave it; with ``meter_stop`` only."""
    insisted: bool = False
    """Whether the operator insisted on a register that was doubted."""
    caller: str = ""
    """The caller of the control interface; empty: it had no name, as in older events."""


@frozen
class TransactionAttributed:
    """An operator tied a stop that belonged to no transaction (``transaction.orphaned``) to this one, which it ends.
    The event's reported time is the stop's."""

    TYPE: ClassVar[str] = "transaction.attributed"
    VERSION: ClassVar[int] = 1
    transaction_id: str
    connector: ConnectorAddress
    orphan: int
    """The sequence of the orphan's event."""
    orphan_event_id: str
    number: int
    """The number the charger named in the stop."""
    meter_stop: int
    """Wh, as sent."""
    stop_reason: str
    energy: int | None
    """meter_stop - meter_start in Wh, None where implausible."""
    stop_received_at: datetime
    reason: str
    """The operator's words."""
    request_id: str
    insisted: bool = False
    id_tag: str | None = None
    meter_value: tuple[JSON, ...] = ()
    """transactionData as sent."""
    dialect: str = FIRST_DIALECT
    caller: str = ""
    """The caller of the control interface; empty: it had no name, as in older events."""


@frozen
class TransactionEnergyChanged:
    """The energy of a transaction that has ended was worked out for the first time, or anew with another result.

    ``state`` and ``previous_state``: as ``gateway.energy.settlement`` names them; ``basis`` and ``doubts``: as
    ``gateway.energy.quality`` does; ``why``: stopped, lost, closed; attribution, stop, close, readings, rules.
    """

    TYPE: ClassVar[str] = "transaction.energy_changed"
    VERSION: ClassVar[int] = 1
    transaction_id: str
    connector: ConnectorAddress
    revision: int
    """1 for the first one, then rising by one."""
    mwh: int | None
    previous_mwh: int | None
    state: str
    previous_state: str
    why: str
    rules_version: int
    basis: str
    digest: str
    """Digest of the energy over time: two curves that differ have two."""
    quiet_seconds: int
    """For how long the charge point must be connected, and quiet about it, until this is final."""
    doubts: tuple[str, ...] = ()


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


@quick_frozen
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


Body: TypeAlias = (
    IdTagPresented
    | TransactionStarted
    | TransactionStopped
    | TransactionLost
    | TransactionStaleChanged
    | TransactionClosed
    | TransactionAttributed
    | TransactionEnergyChanged
    | TransactionOrphaned
    | TransactionForeign
    | MeterValuesReported
)

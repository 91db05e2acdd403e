"""Records that the store keeps besides events: charge points, credentials, transactions, idTags.

These are projections: each is changed only in the same database transaction as the event that changed it (credentials
and idTags, which are the operator's tables, change with the operator's call).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import field, frozen

from gateway.domain.certificates import CertificateFacts
from gateway.domain.charging_state import Followed, Verdict
from gateway.domain.clock_offset import UNMEASURED, ClockOffset
from gateway.domain.commands import UpdateType
from gateway.domain.events import BootInformation
from gateway.domain.labels import Labels
from gateway.domain.latest import Latest, LatestView, Place
from gateway.domain.quirks import NO_VALUES, QuirkValues
from gateway.domain.steering import InstalledProfile, Steering
from gateway.domain.values import ConnectorAddress, Flag, Registration
from gateway.quick_frozen import quick_frozen


class CredentialKind(StrEnum):
    """Way in which a secret is checked: a generated one is random enough for one HMAC; any other needs a slow hash."""

    GENERATED = "hmac-sha256"
    IMPORTED = "scrypt"


class KeyStanding(StrEnum):
    """Standing of a key: whether its charger is known to have taken it."""

    SETTLED = "SETTLED"
    """It was provisioned, or the charger has taken it, or has used it."""
    OFFERED = "OFFERED"
    """It was sent to the charger, or is about to be, and what became of that is not known (A7.8)."""
    AFTER_BOOT = "AFTER_BOOT"
    """The charger uses it from its next boot on, by its own word."""


@frozen
class Credential:
    """One verifier of a charge point; several may be valid at once (a key in the middle of its change)."""

    credential_id: str
    kind: CredentialKind
    salt: bytes = field(repr=False)
    verifier: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime | None = None
    standing: KeyStanding = KeyStanding.SETTLED


@frozen
class ConnectionRecord:
    """The session that owns a charge point now, or the last one that did."""

    connected: bool
    epoch: int
    since: datetime | None = None
    """When it connected or, if not connected, when it was lost."""
    remote_address: str = ""
    security_profile: int = 0
    last_heard: datetime | None = None
    """When the last frame came; as of the last write for a charger that is connected (the live value is the
    session's)."""
    node: int = 0
    """The slot of the node that has it, of several; 0: not looked up, or there is one."""


@frozen
class ConnectorRecord:
    connector: ConnectorAddress
    status: str
    error_code: str
    reported_at: datetime
    """The charger's time or, where it gave none, the time of receipt."""
    info: str | None = None
    vendor_id: str | None = None
    vendor_error_code: str | None = None
    charging: Followed | None = None
    """Its charging state now; only where it has been asked for."""
    latest: Latest | None = None
    """Its newest readings; only where they have been asked for."""


@frozen
class ChargingStateRecord:
    """A connector's charging state as its last event has it."""

    connector: ConnectorAddress
    verdict: Verdict
    since: datetime


@quick_frozen
class ConnectorsRecord:
    """A charge point's connectors, and what their charging states and newest readings follow from: what a snapshot of
    a whole fleet reads of each. ``epoch`` and ``since`` are its connection's, ``latest`` and ``latest_epoch`` as in
    ``ChargePointRecord``."""

    identity: str
    connected: bool
    epoch: int
    since: datetime | None
    latest: bytes
    latest_epoch: int
    connectors: tuple[ConnectorRecord, ...]
    charging_states: tuple[ChargingStateRecord, ...]


@frozen
class AppliedConfiguration:
    """The last outcome of one key of the platform's configuration."""

    key: str
    value: str
    status: str
    firmware_version: str | None
    at: datetime
    attempts: int = 0
    """How often this firmware was asked for the key."""
    fingerprint: str = field(default="", repr=False)
    """Keyed digest of the value, where ``value`` hides it: two that differ are two values. Else empty."""


@frozen
class ReservationRecord:
    """A reservation that holds, as far as the gateway knows (B9.10)."""

    reservation_id: int
    """The caller's; unique among those of its charge point that hold."""
    connector: ConnectorAddress
    """(0, 0): any connector."""
    id_tag: str
    expires_at: datetime
    made_at: datetime
    """When the charger's acceptance was received."""
    parent_id_tag: str | None = None
    shown: bool = False
    """Whether a status has shown that the charger holds it, or that it is being used: Available after that, and it is
    gone."""


@frozen
class PendingStart:
    """A remote start of which a transaction may still come (``gateway.domain.remote_starts``)."""

    command_id: str
    id_tag: str
    connector: ConnectorAddress | None
    """None: the charger chooses one."""
    queued_at: datetime
    sent_at: datetime | None = None
    """None: nothing of it is on the wire yet."""
    accepted_at: datetime | None = None
    held_until: datetime | None = None
    """It is not over before this: the charger has come back meanwhile, and may have something queued."""


@frozen
class Progress:
    """The progress of a kind of work that goes on after the charger's answer (``gateway.domain.progress``)."""

    command_id: str = ""
    """The newest command that was sent for it; empty: none was."""
    succeeded: bool = False
    """Whether that has succeeded."""
    status: str = ""
    """The last status, in the charger's words; empty: none was reported."""
    status_command_id: str = ""
    """The command to which that belongs; empty: to none, as far as is known."""
    reported_at: datetime | None = None
    """When it was received."""
    ocpp_request_id: int | None = None
    """OCPP's ``requestId`` of the newest command; None: it has none, or no command was sent."""


@frozen
class LocalList:
    """The last local authorization list that a charger has accepted. A differential one goes on from the one before."""

    version: int
    update_type: UpdateType
    command_id: str
    changed_at: datetime


@frozen
class ChargePointRecord:
    identity: str
    registration: Registration
    created_at: datetime
    updated_at: datetime
    revision: int = 1
    """Rises with each change by an operator; the API's etag."""
    description: str = ""
    ever_accepted: bool = False
    """Whether a BootNotification was ever answered Accepted: then it is served without a new one (J §5.4)."""
    quirks: QuirkValues = NO_VALUES
    """Its own values of its quirk profile, as its operator decided."""
    minimum_security_profile: int = 0
    """The least with which it is let in (A7.12); 0: any that a listener admits."""
    labels: Labels = field(factory=dict)
    """The operator's."""
    boot: BootInformation | None = None
    booted_at: datetime | None = None
    connection: ConnectionRecord = ConnectionRecord(connected=False, epoch=0)
    connectors: tuple[ConnectorRecord, ...] = ()
    boot_configuration: tuple[AppliedConfiguration, ...] = ()
    reservations: tuple[ReservationRecord, ...] = ()
    """Those that hold, by id."""
    clock: ClockOffset = UNMEASURED
    """What its messages have shown of its clock."""
    charging_profiles: tuple[InstalledProfile, ...] = ()
    """Those that it has accepted, as far as is known, by id."""
    steering: tuple[tuple[ConnectorAddress, Steering], ...] = ()
    """How far the wanted states of its connectors have got, by connector."""
    progress: tuple[tuple[str, Progress], ...] = ()
    """Of firmware updates and uploads of diagnostics, by the kind of work."""
    local_list: LocalList | None = None
    certificate: CertificateFacts | None = None
    """The one that it presented last, or was given since; None: none, as far as is known."""
    """None: it has accepted none, as far as is known."""
    charging_states: tuple[ChargingStateRecord, ...] = ()
    """Those of which there is an event."""
    latest: bytes = field(default=b"", repr=False)
    """The newest readings of its connectors as the last session that recorded its end left them; see
    ``gateway.domain.latest``."""
    latest_epoch: int = 0
    """That session's. Of a later one they are to be read from its events."""


class TransactionState(StrEnum):
    OPEN = "OPEN"
    STOPPED = "STOPPED"
    LOST = "LOST"
    """Closed by a newer start; its own stop never came (yet)."""
    CLOSED = "CLOSED"
    """Closed by an operator; its own stop never came (yet)."""


@frozen
class EnergyRecord:
    """The energy of a transaction as it was last recorded (``transaction.energy_changed``), and what came since."""

    revision: int = 0
    """0: none is recorded."""
    mwh: int | None = None
    basis: str = ""
    doubts: tuple[str, ...] = ()
    rules_version: int = 0
    digest: str = ""
    """Of its curve over time."""
    position: int = 0
    """The sequence of the newest event that it was worked out with; 0: it was not, since it ended."""
    newest: int = 0
    """The sequence of the transaction's newest event, once it has ended."""
    quiet: timedelta = timedelta()
    """For how long its charge point has been connected, in connections that are over, since it last said something of
    the transaction. Negative where it did so in the present one: less than the part of that before."""
    quiet_before: timedelta = timedelta()
    """The same, with the connection of then, when something came that it has not been worked out with yet."""
    quiet_needed: timedelta | None = None
    """For how long it must be quiet until the recorded energy is final."""
    connected_since: datetime | None = None
    """Since when its charge point is connected; None: it is not."""

    @property
    def due(self) -> bool:
        """True if something has come that it has not been worked out with."""
        return self.newest > self.position


@frozen
class TransactionRecord:
    transaction_id: str
    number: int
    charge_point: str
    connector: ConnectorAddress
    id_tag: str
    status: str
    """The tag's standing that the charger was answered at the start."""
    state: TransactionState
    meter_start: int
    started_at: datetime
    """The charger's time, or the time of receipt where that is suspect."""
    start_received_at: datetime
    start_sequence: int
    start_raw: str | None = None
    start_key: str = ""
    reservation_id: int | None = None
    meter_stop: int | None = None
    stopped_at: datetime | None = None
    stop_received_at: datetime | None = None
    stop_raw: str | None = None
    stop_sequence: int | None = None
    stop_reason: str | None = None
    stop_id_tag: str | None = None
    energy: int | None = None
    """Wh; None while open and where implausible."""
    flags: tuple[Flag, ...] = ()
    start_command_id: str = ""
    """The remote start that it came of; empty: of none, as far as is known."""
    stale_at: datetime | None = None
    """Since when something shows that it is over, by receipt; None: nothing does, or it isn't open."""
    stale_why: str = ""
    closed_at: datetime | None = None
    """When an operator closed it; None: none did."""
    close_reason: str = ""
    closed_by: str = ""
    """The caller that closed it, or tied a stop to it; empty: it had no name, as before there were names."""
    close_meter: int | None = None
    """Wh: the register at its end, as the operator gave it."""
    close_meter_at: datetime | None = None
    """When it ended, as the operator gave it."""
    settlement: EnergyRecord = EnergyRecord()


@frozen
class IdTagRecord:
    """An idTag of the operator's table. Tags compare without regard to case (S §3.9); ``id_tag`` is as entered."""

    id_tag: str
    status: str
    """Accepted, Blocked, Expired or Invalid (S §7.2): what the charger is answered while not past ``expiry_date``."""
    created_at: datetime
    updated_at: datetime
    expiry_date: datetime | None = None
    parent_id_tag: str | None = None
    allow_concurrent: bool = False
    """Whether it may run several transactions at once; otherwise the second start is answered ConcurrentTx."""
    description: str = ""
    revision: int = 1
    created_by: str = ""
    """The caller; empty: it had no name, as before there were names. ``updated_by`` as well, of the last change."""
    updated_by: str = ""


@frozen
class AttributionRecord:
    """A stop without a transaction (``transaction.orphaned``) that an operator has tied to one."""

    orphan: int
    """The sequence of its event."""
    transaction_id: str
    request_id: str


@frozen
class LiveSession:
    """Knowledge of a connected charge point that only the running process has."""

    epoch: int
    last_heard: datetime
    charging: Mapping[Place, Followed] = field(factory=dict)
    latest: LatestView = field(factory=LatestView)

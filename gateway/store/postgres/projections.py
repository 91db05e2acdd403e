"""Changes by events besides the history: one function per event type, in the event's own database transaction.

Each is given the writer, the charge point, the event, when it was received in microseconds, its body and its sequence,
counted from the batch's beginning. What it changes is gathered: a statement changes the rows of all charge points of a
batch at once. An event whose type has no function here is history only. None of them refuses: what a charger sent is
recorded as far as it can be.
"""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from gateway.domain import events as e
from gateway.domain import profiles
from gateway.domain.event_records import connector_record, queued_since, reservation_record
from gateway.domain.events import NewEvent
from gateway.domain.state import SHOWING, SHOWS_ALL
from gateway.domain.values import Registration
from gateway.store.encoding import INT64_MAX, clamped, maybe_micros, to_micros
from gateway.store.limits import AT_ONCE, MAX_CONFIGURATION_KEYS, MAX_CONNECTORS
from gateway.store.postgres import command_projections as commands
from gateway.store.postgres import operation_projections as operations
from gateway.store.postgres import progress, signing, steering
from gateway.store.postgres import transaction_projections as transactions
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import change, upsert
from gateway.store.postgres.clock_changes import measured
from gateway.store.rows import boot_bytes

if TYPE_CHECKING:
    from gateway.store.postgres.writer import Writer

B = TypeVar("B", bound=e.Body)

Projection: TypeAlias = Callable[["Writer", Owner, NewEvent, int, B, int], None]

CONNECTED: Final = change(
    "key int4, at int8, address text, profile int4",
    """UPDATE charge_point c SET connected = 1, connection_since = u.at, remote_address = u.address,
    security_profile = u.profile, last_heard = u.at FROM ROWS WHERE c.key = u.key""",
)
DISCONNECTED: Final = change(
    "key int4, at int8, heard int8, latest text",
    # A later time of hearing by more than minutes is of a clock that ran ahead.
    f"""UPDATE charge_point c SET connected = 0, node = NULL, connection_since = u.at,
    connected_for = c.connected_for + greatest(coalesce(u.heard, c.connection_since) - c.connection_since, 0),
    last_heard = CASE WHEN c.last_heard BETWEEN u.heard AND u.heard + {AT_ONCE} THEN c.last_heard
    ELSE coalesce(u.heard, c.last_heard) END,
    latest = CASE WHEN u.latest <> '' THEN u.latest ELSE c.latest END,
    latest_epoch = CASE WHEN u.latest IS NULL THEN c.latest_epoch ELSE c.epoch END
    FROM ROWS WHERE c.key = u.key""",
)
BOOTED: Final = change(
    "key int4, boot bytea, at int8, accepted int4",
    """UPDATE charge_point c SET boot = u.boot, booted_at = u.at, ever_accepted = greatest(c.ever_accepted, u.accepted)
    FROM ROWS WHERE c.key = u.key""",
)
STATUS: Final = change(
    """key int4, evse int8, connector int8, status text, error_code text, reported_at int8, info text, vendor_id text,
    vendor_error_code text""",
    f"""INSERT INTO connector (charge_point, evse, connector, status, error_code, reported_at, info, vendor_id,
    vendor_error_code)
    SELECT u.key, u.evse, u.connector, u.status, u.error_code, u.reported_at, u.info, u.vendor_id, u.vendor_error_code
    FROM ROWS WHERE EXISTS (SELECT 1 FROM connector k
        WHERE k.charge_point = u.key AND k.evse = u.evse AND k.connector = u.connector)
    OR (SELECT count(*) FROM connector k WHERE k.charge_point = u.key) < {MAX_CONNECTORS}
    ON CONFLICT (charge_point, evse, connector) DO UPDATE SET status = excluded.status,
    error_code = excluded.error_code, reported_at = excluded.reported_at, info = excluded.info,
    vendor_id = excluded.vendor_id, vendor_error_code = excluded.vendor_error_code""",
)
CHARGING: Final = upsert(
    "charging_state",
    ("charge_point", "evse", "connector"),
    "charge_point int4, evse int8, connector int8, state text, basis text, since int8",
)
SHOWN: Final = change(
    "key int4, evse int8, connector int8, every int4, before int8",
    """UPDATE reservation r SET shown = 1 FROM ROWS WHERE r.charge_point = u.key
    AND ((r.evse = u.evse AND r.connector = u.connector) OR (r.evse = 0 AND r.connector = 0 AND u.every = 1))
    AND r.made_at <= u.before""",
)
RESERVED: Final = change(
    """key int4, reservation_id int8, evse int8, connector int8, id_tag text, parent_id_tag text, expires_at int8,
    made_at int8""",
    f"""INSERT INTO reservation (charge_point, reservation_id, evse, connector, id_tag, parent_id_tag, expires_at,
    made_at, shown)
    SELECT u.key, u.reservation_id, u.evse, u.connector, u.id_tag, u.parent_id_tag, u.expires_at, u.made_at,
    (EXISTS (SELECT 1 FROM connector k WHERE k.charge_point = u.key AND k.evse = u.evse AND k.connector = u.connector
    AND k.status = '{SHOWS_ALL}'))::int FROM ROWS
    ON CONFLICT (charge_point, reservation_id) DO UPDATE SET evse = excluded.evse, connector = excluded.connector,
    id_tag = excluded.id_tag, parent_id_tag = excluded.parent_id_tag, expires_at = excluded.expires_at,
    made_at = excluded.made_at, shown = excluded.shown""",
)
RESERVATION_ENDED: Final = change(
    "key int4, reservation_id int8",
    "DELETE FROM reservation r USING ROWS WHERE r.charge_point = u.key AND r.reservation_id = u.reservation_id",
)
CONFIGURED: Final = change(
    "key int4, name text, value text, place int8",
    # Those that are known change; of the others the first ones are taken, as far as there is room.
    f"""INSERT INTO configuration (charge_point, name, value)
    SELECT key, name, value FROM (SELECT u.key, u.name, u.value, k.name IS NOT NULL AS known,
        row_number() OVER (PARTITION BY u.key, k.name IS NULL ORDER BY u.place) AS n
        FROM ROWS LEFT JOIN configuration k ON k.charge_point = u.key AND k.name = u.name) AS each
    WHERE known OR n <= {MAX_CONFIGURATION_KEYS}
        - (SELECT count(*) FROM configuration c WHERE c.charge_point = each.key)
    ON CONFLICT (charge_point, name) DO UPDATE SET value = excluded.value""",
)
APPLIED: Final = upsert(
    "boot_configuration",
    ("charge_point", "name"),
    """charge_point int4, name text, value text, status text, firmware_version text, at int8, attempts int8,
    fingerprint text""",
)
LOCAL_LIST: Final = upsert(
    "local_list",
    ("charge_point",),
    "charge_point int4, list_version int8, update_type text, command_id text, changed_at int8",
)


def noted(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.Body, sequence: int) -> None:
    """Note who did it, if the event names a caller."""
    writer.noted(owner, body, at, sequence)


def connected(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ChargePointConnected, sequence: int
) -> None:
    writer.change(CONNECTED, owner.key, at, body.remote_address, body.security_profile)
    signing.presented(writer, owner, body)


def disconnected(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ChargePointDisconnected, sequence: int
) -> None:
    latest = None if body.latest is None else body.latest.decode()
    if body.caller:
        writer.noted(owner, body, at, sequence)
    owner.node = None
    writer.change(DISCONNECTED, owner.key, at, maybe_micros(body.last_heard), latest)


def booted(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ChargePointBooted, sequence: int) -> None:
    measured(writer, owner, event)
    accepted = int(body.registration is Registration.ACCEPTED)
    writer.change(BOOTED, owner.key, boot_bytes(body.boot), at, accepted)
    steering.refold(writer, owner, profiles.booted)


def status_changed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ConnectorStatusChanged, sequence: int
) -> None:
    measured(writer, owner, event)
    record = connector_record(event, body)
    address = (clamped(record.connector.evse), clamped(record.connector.connector))
    writer.change(
        STATUS,
        owner.key,
        *address,
        record.status,
        record.error_code,
        to_micros(record.reported_at),
        record.info,
        record.vendor_id,
        record.vendor_error_code,
    )
    if body.status in SHOWING:  # as the state does it (gateway.domain.state)
        queued = queued_since(event)
        before = INT64_MAX if queued is None else to_micros(queued)
        writer.change(SHOWN, owner.key, *address, int(body.status == SHOWS_ALL), before)


def charging_state_changed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ConnectorChargingStateChanged, sequence: int
) -> None:
    """The state follows no more connectors than a status is kept of, so this table stays small, too."""
    address = (clamped(body.connector.evse), clamped(body.connector.connector))
    writer.change(CHARGING, owner.key, *address, body.state, body.basis, at)


def reservation_made(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ReservationMade, sequence: int
) -> None:
    record = reservation_record(event, body)
    writer.change(
        RESERVED,
        owner.key,
        clamped(record.reservation_id),
        clamped(record.connector.evse),
        clamped(record.connector.connector),
        record.id_tag,
        record.parent_id_tag,
        to_micros(record.expires_at),
        to_micros(record.made_at),
    )


def reservation_ended(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ReservationEnded, sequence: int
) -> None:
    writer.change(RESERVATION_ENDED, owner.key, clamped(body.reservation_id))


def configuration_reported(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ConfigurationReported, sequence: int
) -> None:
    reported: dict[str, str | None] = {}
    for each in body.keys:
        reported[each.key] = each.value  # of a key that is there twice the last value, in the first one's place
    writer.changes.extend(
        CONFIGURED, [(owner.key, name, value, place) for place, (name, value) in enumerate(reported.items())]
    )


def configuration_applied(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.BootConfigurationApplied, sequence: int
) -> None:
    given = (body.key, body.value, body.status, body.firmware_version, at, body.attempts, body.fingerprint)
    writer.change(APPLIED, owner.key, *given)


def local_list_changed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.LocalListChanged, sequence: int
) -> None:
    command_id = event.cause.removeprefix("command:")
    writer.change(LOCAL_LIST, owner.key, body.list_version, body.update_type, command_id, at)


def _row(cls: type[B], project: Projection[B]) -> tuple[type[Any], Projection[Any]]:
    """Return a row of the table; the type checker holds the projection to the class of its events."""
    return cls, project


PROJECTIONS: Final[Mapping[type[e.Body], Projection[Any]]] = dict(
    (
        _row(e.ChargePointCreated, noted),
        _row(e.ChargePointUpdated, noted),
        _row(e.ChargePointDeleted, noted),
        _row(e.ChargePointConnected, connected),
        _row(e.ChargePointDisconnected, disconnected),
        _row(e.ChargePointBooted, booted),
        _row(e.ConnectorStatusChanged, status_changed),
        _row(e.ConnectorChargingStateChanged, charging_state_changed),
        _row(e.TransactionStarted, transactions.started),
        _row(e.TransactionStopped, transactions.stopped),
        _row(e.TransactionLost, transactions.lost),
        _row(e.TransactionStaleChanged, transactions.stale_changed),
        _row(e.TransactionClosed, transactions.closed),
        _row(e.TransactionAttributed, transactions.attributed),
        _row(e.TransactionEnergyChanged, transactions.energy_changed),
        _row(e.ReservationMade, reservation_made),
        _row(e.ReservationEnded, reservation_ended),
        _row(e.ConfigurationReported, configuration_reported),
        _row(e.BootConfigurationApplied, configuration_applied),
        _row(e.CommandQueued, commands.queued),
        _row(e.CommandSent, commands.sent),
        _row(e.CommandAnswered, commands.answered),
        _row(e.CommandNotSent, commands.not_sent),
        _row(e.CommandOutcomeUnknown, commands.outcome_unknown),
        _row(e.RemoteStartExpired, commands.start_expired),
        _row(e.OperationAccepted, operations.accepted),
        _row(e.OperationAdvanced, operations.advanced),
        _row(e.OperationEnded, operations.ended),
        _row(e.CertificateRequested, signing.requested),
        _row(e.CertificateIssued, signing.issued),
        _row(e.CertificateSigningEnded, signing.ended),
        _row(e.CertificateInstalled, signing.installed),
        _row(e.CertificateExpiring, signing.expiring),
        _row(e.LocalListChanged, local_list_changed),
        _row(e.FirmwareStatusReported, progress.firmware_reported),
        _row(e.DiagnosticsStatusReported, progress.diagnostics_reported),
        _row(e.LogStatusReported, progress.log_reported),
        _row(e.WantedChanged, steering.wanted_changed),
        _row(e.SteeringChanged, steering.steering_changed),
        _row(e.ChargingProfileInstalled, steering.profile_installed),
        _row(e.ChargingProfileRemoved, steering.profile_removed),
    )
)
"""Class of body to what it changes."""

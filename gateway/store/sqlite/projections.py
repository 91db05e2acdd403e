"""Changes by events besides the history: one function per event type, in the event's own database transaction.

Each is given the writer's connection, the charge point's key, the event, when it was received in microseconds, its body
and its sequence; ends of connections are given many at once (``disconnected``). An event whose type has no function
here is history only. None of them refuses: what a charger sent is recorded as far as it can be.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import orjson
from apsw import Connection

from gateway.domain import events as e
from gateway.domain import profiles
from gateway.domain.event_records import connector_record, queued_since, reservation_record
from gateway.domain.events import NewEvent
from gateway.domain.state import SHOWING, SHOWS_ALL
from gateway.domain.values import Registration
from gateway.store.encoding import INT64_MAX, clamped, maybe_micros, to_micros
from gateway.store.limits import MAX_CONFIGURATION_KEYS, MAX_CONNECTORS
from gateway.store.rows import boot_bytes
from gateway.store.sqlite import charger_certificates, local_list, progress, signing, steering
from gateway.store.sqlite import command_projections as commands
from gateway.store.sqlite import operation_projections as operations
from gateway.store.sqlite.audit_notes import noted
from gateway.store.sqlite.clock_offsets import measured
from gateway.store.sqlite.selects import one
from gateway.store.sqlite.transaction_projections import (
    attributed,
    closed,
    energy_changed,
    lost,
    stale_changed,
    started,
    stopped,
)

B = TypeVar("B", bound=e.Body)

Projection: TypeAlias = Callable[[Connection, int, NewEvent, int, B, int], None]


def connected(cx: Connection, key: int, event: NewEvent, at: int, body: e.ChargePointConnected, sequence: int) -> None:
    cx.execute(
        """UPDATE charge_point SET connected = 1, connection_since = ?, remote_address = ?, security_profile = ?,
        last_heard = ? WHERE key = ?""",
        (at, body.remote_address, body.security_profile, at, key),
    )
    charger_certificates.presented(cx, key, body)


class End(NamedTuple):
    """The end of one charge point's connection."""

    key: int
    at: int
    heard: int | None
    latest: str | None
    """The newest readings, where its session recorded its end; empty: as they were before."""

    @classmethod
    def of(cls, key: int, at: int, body: e.ChargePointDisconnected) -> "End":
        return cls(key, at, maybe_micros(body.last_heard), None if body.latest is None else body.latest.decode())


def disconnected(cx: Connection, ends: Iterable[End]) -> None:
    """Of many charge points, each at most once: thousands end together when a network goes, and every statement lets
    go of the interpreter's lock, which Trio's thread then takes for a while. So they are one statement."""
    cx.execute(
        """UPDATE charge_point SET connected = 0, connection_since = ended.at,
        connected_for = connected_for + coalesce(max(coalesce(ended.heard, connection_since) - connection_since, 0), 0),
        last_heard = CASE WHEN last_heard BETWEEN ended.heard AND ended.heard + 300000000 THEN last_heard
        ELSE coalesce(ended.heard, last_heard) END,  -- a later one by more than minutes is of a clock that ran ahead
        latest = CASE WHEN ended.latest <> '' THEN ended.latest ELSE charge_point.latest END,
        latest_epoch = CASE WHEN ended.latest IS NULL THEN latest_epoch ELSE epoch END
        FROM (SELECT value ->> 0 AS key, value ->> 1 AS at, value ->> 2 AS heard, value ->> 3 AS latest
            FROM json_each(?)) AS ended
        WHERE charge_point.key = ended.key""",
        (orjson.dumps([tuple(end) for end in ends]).decode(),),
    )


def booted(cx: Connection, key: int, event: NewEvent, at: int, body: e.ChargePointBooted, sequence: int) -> None:
    measured(cx, key, event)
    accepted = int(body.registration is Registration.ACCEPTED)
    cx.execute(
        "UPDATE charge_point SET boot = ?, booted_at = ?, ever_accepted = max(ever_accepted, ?) WHERE key = ?",
        (boot_bytes(body.boot), at, accepted, key),
    )
    steering.refold(cx, key, profiles.booted)


def status_changed(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.ConnectorStatusChanged, sequence: int
) -> None:
    measured(cx, key, event)
    record = connector_record(event, body)
    address = (key, clamped(record.connector.evse), clamped(record.connector.connector))
    known = cx.execute(
        "SELECT 1 FROM connector WHERE charge_point = ? AND evse = ? AND connector = ?", address
    ).fetchone()
    if known is None and _count(cx, "connector", key) >= MAX_CONNECTORS:
        return
    cx.execute(
        "INSERT OR REPLACE INTO connector VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *address,
            record.status,
            record.error_code,
            to_micros(record.reported_at),
            record.info,
            record.vendor_id,
            record.vendor_error_code,
        ),
    )
    if body.status in SHOWING:
        _show_reservations(cx, address, event, body)


def charging_state_changed(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.ConnectorChargingStateChanged, sequence: int
) -> None:
    """The state follows no more connectors than a status is kept of, so this table stays small, too."""
    address = (key, clamped(body.connector.evse), clamped(body.connector.connector))
    cx.execute(
        "INSERT OR REPLACE INTO charging_state VALUES (?, ?, ?, ?, ?, ?)",
        (*address, body.state, body.basis, at),
    )


def _show_reservations(
    cx: Connection, address: tuple[int, int, int], event: NewEvent, body: e.ConnectorStatusChanged
) -> None:
    """As the state does it (``gateway.domain.state``)."""
    queued = queued_since(event)
    cx.execute(
        """UPDATE reservation SET shown = 1 WHERE charge_point = ? AND ((evse = ? AND connector = ?)
        OR (evse = 0 AND connector = 0 AND ?)) AND made_at <= ?""",
        (*address, int(body.status == SHOWS_ALL), INT64_MAX if queued is None else to_micros(queued)),
    )


def reservation_made(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.ReservationMade, sequence: int
) -> None:
    record = reservation_record(event, body)
    cx.execute(
        """INSERT OR REPLACE INTO reservation (charge_point, reservation_id, evse, connector, id_tag, parent_id_tag,
        expires_at, made_at, shown) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, EXISTS (SELECT 1 FROM connector
        WHERE charge_point = ?1 AND evse = ?3 AND connector = ?4 AND status = ?9))""",
        (
            key,
            clamped(record.reservation_id),
            clamped(record.connector.evse),
            clamped(record.connector.connector),
            record.id_tag,
            record.parent_id_tag,
            to_micros(record.expires_at),
            to_micros(record.made_at),
            SHOWS_ALL,
        ),
    )


def reservation_ended(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.ReservationEnded, sequence: int
) -> None:
    cx.execute(
        "DELETE FROM reservation WHERE charge_point = ? AND reservation_id = ?", (key, clamped(body.reservation_id))
    )


def configuration_reported(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.ConfigurationReported, sequence: int
) -> None:
    room = MAX_CONFIGURATION_KEYS - _count(cx, "configuration", key)
    for each in body.keys:
        cx.execute(
            "UPDATE configuration SET value = ? WHERE charge_point = ? AND name = ?", (each.value, key, each.key)
        )
        if not cx.changes() and room > 0:
            cx.execute("INSERT INTO configuration VALUES (?, ?, ?)", (key, each.key, each.value))
            room -= 1


def configuration_applied(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.BootConfigurationApplied, sequence: int
) -> None:
    cx.execute(
        """INSERT OR REPLACE INTO boot_configuration
        (charge_point, name, value, status, firmware_version, at, attempts, fingerprint)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            key,
            body.key,
            body.value,
            body.status,
            body.firmware_version,
            at,
            body.attempts,
            body.fingerprint,
        ),
    )


def _count(cx: Connection, table: str, key: int) -> int:
    sql = f"SELECT count(*) FROM {table} WHERE charge_point = ?"  # noqa: S608 - a table of the schema
    return int(one(cx, sql, (key,))[0])


def _row(cls: type[B], project: Projection[B]) -> tuple[type[Any], Projection[Any]]:
    """Return a row of the table; the type checker holds the projection to the class of its events."""
    return cls, project


PROJECTIONS: Final[Mapping[type[e.Body], Projection[Any]]] = dict(
    (
        _row(e.ChargePointCreated, noted),
        _row(e.ChargePointUpdated, noted),
        _row(e.ChargePointDeleted, noted),
        _row(e.ChargePointConnected, connected),
        _row(e.ChargePointBooted, booted),
        _row(e.ConnectorStatusChanged, status_changed),
        _row(e.ConnectorChargingStateChanged, charging_state_changed),
        _row(e.TransactionStarted, started),
        _row(e.TransactionStopped, stopped),
        _row(e.TransactionLost, lost),
        _row(e.TransactionStaleChanged, stale_changed),
        _row(e.TransactionClosed, closed),
        _row(e.TransactionAttributed, attributed),
        _row(e.TransactionEnergyChanged, energy_changed),
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
        _row(e.LocalListChanged, local_list.changed),
        _row(e.FirmwareStatusReported, progress.firmware_reported),
        _row(e.DiagnosticsStatusReported, progress.diagnostics_reported),
        _row(e.LogStatusReported, progress.log_reported),
        _row(e.OperationAdvanced, operations.advanced),
        _row(e.OperationEnded, operations.ended),
        _row(e.WantedChanged, steering.wanted_changed),
        _row(e.SteeringChanged, steering.steering_changed),
        _row(e.ChargingProfileInstalled, steering.profile_installed),
        _row(e.ChargingProfileRemoved, steering.profile_removed),
        _row(e.CertificateRequested, signing.requested),
        _row(e.CertificateIssued, signing.issued),
        _row(e.CertificateSigningEnded, signing.ended),
        _row(e.CertificateInstalled, charger_certificates.installed),
        _row(e.CertificateExpiring, charger_certificates.expiring),
    )
)
"""Class of body to what it changes."""

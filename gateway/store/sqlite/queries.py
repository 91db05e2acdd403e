"""The reads: each takes a connection inside a read transaction and answers records."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from apsw import Connection

from gateway.domain.commands import CommandRecord
from gateway.domain.labels import Labels
from gateway.domain.records import (
    AppliedConfiguration,
    AttributionRecord,
    ChargePointRecord,
    ChargingStateRecord,
    ConnectorRecord,
    Credential,
    IdTagRecord,
    PendingStart,
    ReservationRecord,
    TransactionRecord,
)
from gateway.domain.transactions import folded
from gateway.domain.values import Registration
from gateway.store import rows
from gateway.store.api import AdmissionRecord, DueEnergy, OverdueReservation
from gateway.store.commits import ClockRecord
from gateway.store.encoding import INT64_MAX, fits, from_labels, from_quirks, to_micros, to_time
from gateway.store.filters import ALL_RECORDS, RecordFilter, TransactionFilter
from gateway.store.limits import MAX_LIMIT, bounded
from gateway.store.sqlite import steering
from gateway.store.sqlite.charger_certificates import certificate
from gateway.store.sqlite.conditions import in_scope, record_conditions
from gateway.store.sqlite.local_list import local_list
from gateway.store.sqlite.progress import progress
from gateway.store.sqlite.selects import fetch

# --- charge points --------------------------------------------------------------------------------------------


def charge_point(cx: Connection, identity: str) -> ChargePointRecord | None:
    sql = f"SELECT {rows.CHARGE_POINT} FROM charge_point WHERE identity = ? AND deleted_at IS NULL"
    row = cx.execute(sql, (identity,)).fetchone()
    return None if row is None else _charge_point(cx, row, charging_states(cx, [row[0]]))


def charge_points(
    cx: Connection,
    after: str,
    limit: int,
    connected: bool | None,
    registration: Registration | None,
    labels: Labels,
) -> list[ChargePointRecord]:
    """By identity, in the order of its UTF-8 bytes."""
    where, given = ["identity > ?", "deleted_at IS NULL"], [after]
    if connected is not None:
        where.append(f"connected = {int(connected)}")
    if registration is not None:
        where.append("registration = ?")
        given.append(registration)
    if labels:
        condition, of_labels = in_scope(labels, "charge_point.key")
        where.append(condition)
        given += of_labels
    sql = f"SELECT {rows.CHARGE_POINT} FROM charge_point WHERE {' AND '.join(where)} ORDER BY identity LIMIT ?"
    return whole_charge_points(cx, cx.execute(sql, (*given, bounded(limit))).fetchall())


def labelled(cx: Connection, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
    """By identity."""
    where, given = ["deleted_at IS NULL"], []
    if identities is not None:
        where.append("identity IN (SELECT value FROM json_each(?))")
        given.append(json.dumps(list(identities)))
    if labels:
        condition, of_labels = in_scope(labels, "charge_point.key")
        where.append(condition)
        given += of_labels
    sql = f"SELECT identity FROM charge_point WHERE {' AND '.join(where)} ORDER BY identity LIMIT ?"
    return [identity for (identity,) in cx.execute(sql, (*given, bounded(limit)))]


def charge_points_named(cx: Connection, identities: Sequence[str]) -> list[ChargePointRecord]:
    """Those of the identities that there are."""
    if len(identities) > MAX_LIMIT:
        raise ValueError(f"{len(identities)} identities; at most {MAX_LIMIT} can be asked about")
    sql = f"""SELECT {rows.CHARGE_POINT} FROM charge_point WHERE deleted_at IS NULL
        AND identity IN (SELECT value FROM json_each(?))"""
    return whole_charge_points(cx, cx.execute(sql, (json.dumps(list(identities)),)).fetchall())


def whole_charge_points(cx: Connection, found: Sequence[rows.Row]) -> list[ChargePointRecord]:
    """Charge points of these rows, with what is in other tables."""
    states = charging_states(cx, [row[0] for row in found])
    return [_charge_point(cx, row, states) for row in found]


def _charge_point(
    cx: Connection, row: rows.Row, states: Mapping[int, tuple[ChargingStateRecord, ...]]
) -> ChargePointRecord:
    key = row[0]
    return rows.charge_point(
        row,
        connectors(cx, key),
        boot_configuration(cx, key),
        reservations(cx, key),
        tuple(steering.charging_profiles(cx, key).values()),
        tuple(steering.steerings(cx, key).items()),
        tuple(progress(cx, key).items()),
        local_list(cx, key),
        certificate(cx, key),
        states.get(key, ()),
    )


def charging_states(cx: Connection, keys: Sequence[Any]) -> dict[int, tuple[ChargingStateRecord, ...]]:
    """Of many charge points, by their keys."""
    sql = f"""SELECT {rows.CHARGING_STATE} FROM charging_state
        WHERE charge_point IN (SELECT value FROM json_each(?)) ORDER BY charge_point, evse, connector"""
    found: dict[int, tuple[ChargingStateRecord, ...]] = {}
    for key, record in map(rows.charging_state, cx.execute(sql, (json.dumps(keys),))):
        found[key] = (*found.get(key, ()), record)
    return found


def connectors(cx: Connection, key: int) -> tuple[ConnectorRecord, ...]:
    sql = f"SELECT {rows.CONNECTOR} FROM connector WHERE charge_point = ? ORDER BY evse, connector"
    return tuple(rows.connector(row) for row in cx.execute(sql, (key,)))


def connectors_of(cx: Connection, keys: Sequence[Any]) -> dict[int, tuple[ConnectorRecord, ...]]:
    """Of many charge points, by their keys."""
    sql = f"""SELECT charge_point, {rows.CONNECTOR} FROM connector
        WHERE charge_point IN (SELECT value FROM json_each(?)) ORDER BY charge_point, evse, connector"""
    found: dict[int, list[ConnectorRecord]] = {}
    for key, *row in cx.execute(sql, (json.dumps(keys),)):
        found.setdefault(key, []).append(rows.connector(tuple(row)))
    return {key: tuple(each) for key, each in found.items()}


def boot_configuration(cx: Connection, key: int) -> tuple[AppliedConfiguration, ...]:
    sql = f"SELECT {rows.APPLIED} FROM boot_configuration WHERE charge_point = ? ORDER BY name"
    return tuple(rows.applied(row) for row in cx.execute(sql, (key,)))


def reservations(cx: Connection, key: int) -> tuple[ReservationRecord, ...]:
    """Those of a charge point that hold, by id."""
    sql = f"SELECT {rows.RESERVATION} FROM reservation r WHERE charge_point = ? ORDER BY reservation_id"
    return tuple(rows.reservation(row) for row in cx.execute(sql, (key,)))


def overdue_reservations(cx: Connection, at: datetime, limit: int) -> list[OverdueReservation]:
    """By the index of expiries; a charge point with a session is left to it."""
    sql = f"""SELECT c.identity, c.epoch, {rows.RESERVATION} FROM reservation r
        JOIN charge_point c ON c.key = r.charge_point
        WHERE r.expires_at <= ? AND c.connected = 0 ORDER BY r.expires_at LIMIT ?"""
    found = cx.execute(sql, (to_micros(at), bounded(limit)))
    return [OverdueReservation(identity, epoch, rows.reservation(tuple(row))) for identity, epoch, *row in found]


def pending_starts(cx: Connection, key: int) -> list[PendingStart]:
    """A charge point's remote starts of which a transaction may still come, in the order in which they were asked."""
    sql = f"SELECT {rows.PENDING_START} FROM pending_start WHERE charge_point = ? ORDER BY queued_at, command_id"
    return [rows.pending_start(row) for row in cx.execute(sql, (key,))]


def configuration(cx: Connection, key: int) -> dict[str, str | None]:
    sql = "SELECT name, value FROM configuration WHERE charge_point = ? ORDER BY name"
    return dict(fetch(cx, sql, (key,)))


def credentials(cx: Connection, identity: str) -> tuple[Credential, ...]:
    sql = f"""SELECT {rows.CREDENTIAL} FROM credential WHERE charge_point =
        (SELECT key FROM charge_point WHERE identity = ?) ORDER BY not_before, credential_id"""
    return tuple(rows.credential(row) for row in cx.execute(sql, (identity,)))


def admission(cx: Connection, identity: str) -> AdmissionRecord | None:
    sql = f"""SELECT quirks, boot, labels, minimum_security_profile, {rows.CREDENTIAL}
        FROM charge_point LEFT JOIN credential ON credential.charge_point = charge_point.key
        WHERE identity = ? AND deleted_at IS NULL ORDER BY not_before, credential_id"""
    found: list[rows.Row] = cx.execute(sql, (identity,)).fetchall()
    if not found:
        return None
    quirks, boot, labels, least = found[0][:4]
    credentials = tuple(rows.credential(row[4:]) for row in found if row[4] is not None)
    known = from_quirks(str(quirks)), rows.boot_information(boot)
    return AdmissionRecord(credentials, *known, from_labels(str(labels)), int(str(least)))


def taken(cx: Connection, identities: Sequence[str]) -> frozenset[str]:
    if len(identities) > MAX_LIMIT:
        raise ValueError(f"{len(identities)} identities; at most {MAX_LIMIT} can be asked about")
    sql = """SELECT identity FROM charge_point WHERE deleted_at IS NULL
        AND identity IN (SELECT value FROM json_each(?))"""
    return frozenset(str(identity) for (identity,) in fetch(cx, sql, (json.dumps(list(identities)),)))


# --- transactions ---------------------------------------------------------------------------------------------

_TRANSACTION = f"SELECT {rows.TRANSACTION} FROM {rows.TRANSACTION_TABLES}"


def transaction(cx: Connection, transaction_id: str) -> TransactionRecord | None:
    row = cx.execute(f"{_TRANSACTION} WHERE txn.transaction_id = ?", (transaction_id,)).fetchone()
    return None if row is None else rows.transaction(row)


def transaction_by_number(cx: Connection, number: int) -> TransactionRecord | None:
    if not fits(number):
        return None  # A charger may name any number; one that can't be stored was never given out.
    row = cx.execute(f"{_TRANSACTION} WHERE txn.number = ?", (number,)).fetchone()
    return None if row is None else rows.transaction(row)


def transaction_by_start_key(cx: Connection, charge_point: str, start_key: str) -> TransactionRecord | None:
    """The newest: with a suspect clock several may share a key (``gateway.domain.transactions.is_retry``)."""
    sql = f"""{_TRANSACTION} WHERE txn.charge_point = (SELECT key FROM charge_point WHERE identity = ?)
        AND txn.start_key = ? ORDER BY txn.key DESC LIMIT 1"""
    row = cx.execute(sql, (charge_point, start_key)).fetchone()
    return None if row is None else rows.transaction(row)


OCCUPIES = "txn.state = 'OPEN' AND txn.status = 'Accepted' AND txn.stale_at IS NULL"
"""As ``gateway.domain.staleness.occupies``."""


def occupying_transactions_of_tag(cx: Connection, id_tag: str, limit: int) -> list[TransactionRecord]:
    sql = f"{_TRANSACTION} WHERE txn.folded_tag = ? AND {OCCUPIES} ORDER BY txn.key LIMIT ?"
    return [rows.transaction(row) for row in cx.execute(sql, (folded(id_tag), bounded(limit)))]


def due_energies(cx: Connection, before: datetime, limit: int, beyond: datetime | None) -> list[DueEnergy]:
    """By the index that holds nothing else."""
    sql = """SELECT c.identity, txn.transaction_id FROM txn JOIN charge_point c ON c.key = txn.charge_point
        WHERE txn.state <> 'OPEN' AND txn.last_sequence > txn.energy_sequence
        AND (txn.heard_at <= ? OR txn.heard_at > ?) ORDER BY txn.heard_at LIMIT ?"""
    times = to_micros(before), INT64_MAX if beyond is None else to_micros(beyond)
    return [DueEnergy(*row) for row in cx.execute(sql, (*times, bounded(limit)))]


def attribution(cx: Connection, orphan: int) -> AttributionRecord | None:
    sql = "SELECT orphan, transaction_id, request_id FROM attribution WHERE orphan = ?"
    row = cx.execute(sql, (orphan,)).fetchone()
    return None if row is None else AttributionRecord(*row)


def attribution_by_request(cx: Connection, charge_point: str, request_id: str) -> AttributionRecord | None:
    sql = """SELECT orphan, transaction_id, request_id FROM attribution WHERE request_id = ?
        AND charge_point = (SELECT key FROM charge_point WHERE identity = ?)"""
    row = cx.execute(sql, (request_id, charge_point)).fetchone()
    return None if row is None else AttributionRecord(*row)


def open_transactions(cx: Connection, key: int) -> list[TransactionRecord]:
    """All open ones of a charge point, oldest first."""
    sql = f"{_TRANSACTION} WHERE txn.charge_point = ? AND txn.state = 'OPEN' ORDER BY txn.key"
    return [rows.transaction(row) for row in cx.execute(sql, (key,))]


def transactions(cx: Connection, where: TransactionFilter, after: str | None, limit: int) -> list[TransactionRecord]:
    """Newest start first. Nothing after an ``after`` that retention has taken: it takes the oldest, so whatever came
    after that one is gone as well."""
    conditions: list[str] = []
    given: list[str | int] = []

    def condition(sql: str, value: str | int) -> None:
        conditions.append(sql)
        given.append(value)

    if where.charge_point is not None:
        condition("txn.charge_point = (SELECT key FROM charge_point WHERE identity = ?)", where.charge_point)
    if where.state is not None:
        condition("txn.state = ?", where.state)
    if where.started_from is not None:
        condition("txn.started_at >= ?", to_micros(where.started_from))
    if where.started_before is not None:
        condition("txn.started_at < ?", to_micros(where.started_before))
    if where.scope:
        sql, labels = in_scope(where.scope, "txn.charge_point")
        conditions.append(sql)
        given += labels
    if where.id_tag is not None:
        condition("txn.folded_tag = ?", folded(where.id_tag))
    if after is not None:
        condition("(txn.started_at, txn.key) < (SELECT started_at, key FROM txn WHERE transaction_id = ?)", after)
    filtered = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"{_TRANSACTION} {filtered} ORDER BY txn.started_at DESC, txn.key DESC LIMIT ?"
    return [rows.transaction(row) for row in cx.execute(sql, (*given, bounded(limit)))]


# --- idTags ---------------------------------------------------------------------------------------------------


def id_tag(cx: Connection, tag: str) -> IdTagRecord | None:
    row = cx.execute(f"SELECT {rows.ID_TAG} FROM id_tag WHERE folded = ?", (folded(tag),)).fetchone()
    return None if row is None else rows.id_tag(row)


# --- commands -------------------------------------------------------------------------------------------------

_COMMAND = f"SELECT {rows.COMMAND} FROM {rows.COMMAND_TABLES}"


def command(cx: Connection, command_id: str) -> CommandRecord | None:
    row = cx.execute(f"{_COMMAND} WHERE m.command_id = ?", (command_id,)).fetchone()
    return None if row is None else rows.command(row)


def command_by_request(cx: Connection, charge_point: str, request_id: str) -> CommandRecord | None:
    sql = f"""{_COMMAND} WHERE m.charge_point = (SELECT key FROM charge_point WHERE identity = ?)
        AND m.request_id = ? AND m.request_id <> ''"""
    row = cx.execute(sql, (charge_point, request_id)).fetchone()
    return None if row is None else rows.command(row)


def commands(
    cx: Connection, charge_point: str | None, after: str | None, limit: int, where: RecordFilter = ALL_RECORDS
) -> list[CommandRecord]:
    """Newest first; nothing after an ``after`` that retention has taken."""
    conditions, given = record_conditions(charge_point, where, "m")
    if after is not None:
        conditions.append("m.key < (SELECT key FROM command WHERE command_id = ?)")
        given.append(after)
    filtered = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"{_COMMAND} {filtered} ORDER BY m.key DESC LIMIT ?"
    return [rows.command(row) for row in cx.execute(sql, (*given, bounded(limit)))]


# --- the clock ------------------------------------------------------------------------------------------------


def clock_record(cx: Connection) -> ClockRecord | None:
    found = fetch(cx, "SELECT seen_at, doubted, reason, steady_seconds, head FROM clock")
    if not found:
        return None
    seen_at, doubted, reason, steady_seconds, head = found[0]
    return ClockRecord(to_time(seen_at), bool(doubted), reason, steady_seconds, head)

"""The reads of records: each takes a connection, inside a transaction where it asks more than once."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from gateway.domain.codec import decode_value
from gateway.domain.commands import CommandRecord, UpdateType
from gateway.domain.labels import Labels
from gateway.domain.records import (
    AttributionRecord,
    ChargePointRecord,
    Credential,
    IdTagRecord,
    LocalList,
    TransactionRecord,
)
from gateway.domain.steering import InstalledProfile, Steering
from gateway.domain.transactions import folded
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store import rows
from gateway.store.api import AdmissionRecord, DueEnergy, OverdueReservation
from gateway.store.commits import ClockRecord
from gateway.store.encoding import INT64_MAX, fits, from_labels, from_quirks, to_micros, to_time
from gateway.store.filters import ALL_RECORDS, RecordFilter, TransactionFilter
from gateway.store.limits import MAX_LIMIT, bounded
from gateway.store.postgres import progress
from gateway.store.postgres.conditions import Conditions, label_array
from gateway.store.postgres.connection import Answer, Connection
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.signing import CERTIFICATES, facts

R = TypeVar("R")


def at_most(identities: Sequence[str]) -> Array:
    """Identities to be asked about together. Raises ValueError for too many, which is a bug of the caller."""
    if len(identities) > MAX_LIMIT:
        raise ValueError(f"{len(identities)} identities; at most {MAX_LIMIT} can be asked about")
    return Array("text", list(identities))


# --- charge points --------------------------------------------------------------------------------------------


def charge_point(cx: Connection, identity: str) -> ChargePointRecord | None:
    sql = f"SELECT {rows.CHARGE_POINT} FROM charge_point WHERE identity = $1 AND deleted_at IS NULL"
    found = whole_charge_points(cx, cx.rows(sql, identity))
    return found[0] if found else None


def charge_points(
    cx: Connection,
    after: str,
    limit: int,
    connected: bool | None,
    registration: Registration | None,
    labels: Labels,
) -> list[ChargePointRecord]:
    """By identity, in the order of its UTF-8 bytes."""
    sql = f"""SELECT {rows.CHARGE_POINT} FROM charge_point WHERE identity > $1 AND deleted_at IS NULL
        AND ($2::text IS NULL OR registration = $2) AND label @> $3::text[]
        {"" if connected is None else f"AND connected = {int(connected)}"} ORDER BY identity LIMIT $4"""
    found = cx.rows(sql, after, registration, label_array(labels), bounded(limit))
    return whole_charge_points(cx, found)


def labelled(cx: Connection, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
    """By identity."""
    named = None if identities is None else Array("text", list(identities))
    sql = """SELECT identity FROM charge_point WHERE deleted_at IS NULL AND label @> $1::text[]
        AND ($2::text[] IS NULL OR identity = ANY ($2)) ORDER BY identity LIMIT $3"""
    found = cx.rows(sql, label_array(labels), named, bounded(limit))
    return [identity for (identity,) in found]


def charge_points_named(cx: Connection, identities: Sequence[str]) -> list[ChargePointRecord]:
    """Those of the identities that there are."""
    sql = f"SELECT {rows.CHARGE_POINT} FROM charge_point WHERE deleted_at IS NULL AND identity = ANY ($1)"
    return whole_charge_points(cx, cx.rows(sql, at_most(identities)))


CONNECTORS = (
    f"SELECT charge_point, {rows.CONNECTOR} FROM connector WHERE charge_point = ANY ($1) ORDER BY evse, connector"
)
CHARGING = f"SELECT {rows.CHARGING_STATE} FROM charging_state WHERE charge_point = ANY ($1) ORDER BY evse, connector"
APPLIED = f"SELECT charge_point, {rows.APPLIED} FROM boot_configuration WHERE charge_point = ANY ($1) ORDER BY name"
RESERVATIONS = f"""SELECT charge_point, {rows.RESERVATION} FROM reservation r WHERE charge_point = ANY ($1)
    ORDER BY reservation_id"""
_PROFILES = "SELECT charge_point, body FROM charging_profile WHERE charge_point = ANY ($1) ORDER BY profile_id"
_STEERING = """SELECT charge_point, evse, connector, steering FROM steering WHERE charge_point = ANY ($1)
    ORDER BY evse, connector"""
_PROGRESS = f"SELECT charge_point, {progress.COLUMNS} FROM progress WHERE charge_point = ANY ($1) ORDER BY work"
_LOCAL_LIST = """SELECT charge_point, list_version, update_type, command_id, changed_at FROM local_list
    WHERE charge_point = ANY ($1)"""


def whole_charge_points(cx: Connection, found: list[rows.Row]) -> list[ChargePointRecord]:
    """The records of these rows, with all that other tables have of them, asked together."""
    if not found:
        return []
    keys = Array("int4", [row[0] for row in found])
    questions = (
        CONNECTORS,
        APPLIED,
        RESERVATIONS,
        _PROFILES,
        _STEERING,
        _PROGRESS,
        _LOCAL_LIST,
        CHARGING,
        CERTIFICATES,
    )
    answers = [cx.send(sql, keys) for sql in questions]
    cx.sync()
    connectors = by_key(answers[0], rows.connector)
    applied = by_key(answers[1], rows.applied)
    reserved = by_key(answers[2], rows.reservation)
    profiles = by_key(answers[3], lambda row: decode_value(row[0], InstalledProfile))
    steered = by_key(answers[4], lambda row: (ConnectorAddress(row[0], row[1]), decode_value(row[2], Steering)))
    worked = by_key(answers[5], progress.record)
    lists = by_key(answers[6], lambda row: LocalList(row[0], UpdateType(row[1]), row[2], to_time(row[3])))
    charging = by_key(answers[7], lambda row: rows.charging_state((0, *row))[1])
    certificates = by_key(answers[8], facts)
    return [
        rows.charge_point(
            row,
            connectors[row[0]],
            applied[row[0]],
            reserved[row[0]],
            profiles[row[0]],
            steered[row[0]],
            worked[row[0]],
            next(iter(lists[row[0]]), None),
            next(iter(certificates[row[0]]), None),
            charging[row[0]],
        )
        for row in found
    ]


def by_key(answer: Answer, record: Callable[[rows.Row], R]) -> defaultdict[int, tuple[R, ...]]:
    """Rows that begin with a charge point's key, as records of each."""
    found: defaultdict[int, tuple[R, ...]] = defaultdict(tuple)
    for key, *row in answer.rows:
        found[key] += (record(tuple(row)),)
    return found


def overdue_reservations(cx: Connection, at: datetime, limit: int) -> list[OverdueReservation]:
    """By the index of expiries; a charge point with a session is left to it."""
    sql = f"""SELECT c.identity, c.epoch, {rows.RESERVATION} FROM reservation r
        JOIN charge_point c ON c.key = r.charge_point
        WHERE r.expires_at <= $1 AND c.connected = 0 ORDER BY r.expires_at LIMIT $2"""
    found = cx.rows(sql, to_micros(at), bounded(limit))
    return [OverdueReservation(identity, epoch, rows.reservation(tuple(row))) for identity, epoch, *row in found]


def credentials(cx: Connection, identity: str) -> tuple[Credential, ...]:
    sql = f"""SELECT {rows.CREDENTIAL} FROM credential WHERE charge_point =
        (SELECT key FROM charge_point WHERE identity = $1) ORDER BY not_before, credential_id"""
    return tuple(rows.credential(row) for row in cx.rows(sql, identity))


def admission(cx: Connection, identity: str) -> AdmissionRecord | None:
    sql = f"""SELECT quirks, boot, labels, minimum_security_profile, {rows.CREDENTIAL}
        FROM charge_point LEFT JOIN credential ON credential.charge_point = charge_point.key
        WHERE identity = $1 AND deleted_at IS NULL ORDER BY not_before, credential_id"""
    found = cx.rows(sql, identity)
    if not found:
        return None
    quirks, boot, labels, least = found[0][:4]
    credentials = tuple(rows.credential(row[4:]) for row in found if row[4] is not None)
    known = from_quirks(str(quirks)), rows.boot_information(boot)
    return AdmissionRecord(credentials, *known, from_labels(str(labels)), int(str(least)))


def taken(cx: Connection, identities: Sequence[str]) -> frozenset[str]:
    sql = "SELECT identity FROM charge_point WHERE deleted_at IS NULL AND identity = ANY ($1)"
    return frozenset(str(identity) for (identity,) in cx.rows(sql, at_most(identities)))


# --- transactions ---------------------------------------------------------------------------------------------

TRANSACTION = f"SELECT {rows.TRANSACTION} FROM {rows.TRANSACTION_TABLES}"


def _transaction(found: Iterable[rows.Row]) -> TransactionRecord | None:
    return next(map(rows.transaction, found), None)


def transaction(cx: Connection, transaction_id: str) -> TransactionRecord | None:
    return _transaction(cx.rows(f"{TRANSACTION} WHERE txn.transaction_id = $1", transaction_id))


def transaction_by_number(cx: Connection, number: int) -> TransactionRecord | None:
    if not fits(number):
        return None  # A charger may name any number; one that can't be stored was never given out.
    return _transaction(cx.rows(f"{TRANSACTION} WHERE txn.number = $1", number))


def transaction_by_start_key(cx: Connection, charge_point: str, start_key: str) -> TransactionRecord | None:
    """The newest: with a suspect clock several may share a key (``gateway.domain.transactions.is_retry``)."""
    sql = f"""{TRANSACTION} WHERE txn.charge_point = (SELECT key FROM charge_point WHERE identity = $1)
        AND txn.start_key = $2 ORDER BY txn.start_sequence DESC LIMIT 1"""
    return _transaction(cx.rows(sql, charge_point, start_key))


OCCUPIES = "txn.state = 'OPEN' AND txn.status = 'Accepted' AND txn.stale_at IS NULL"
"""As ``gateway.domain.staleness.occupies``."""


def occupying_transactions_of_tag(cx: Connection, id_tag: str, limit: int) -> list[TransactionRecord]:
    sql = f"{TRANSACTION} WHERE txn.folded_tag = $1 AND {OCCUPIES} ORDER BY txn.start_sequence LIMIT $2"
    return [rows.transaction(row) for row in cx.rows(sql, folded(id_tag), bounded(limit))]


def due_energies(cx: Connection, before: datetime, limit: int, beyond: datetime | None) -> list[DueEnergy]:
    """By the index that holds nothing else."""
    sql = """SELECT c.identity, txn.transaction_id FROM txn JOIN charge_point c ON c.key = txn.charge_point
        WHERE txn.state <> 'OPEN' AND txn.last_sequence > txn.energy_sequence
        AND (txn.heard_at <= $1 OR txn.heard_at > $2) ORDER BY txn.heard_at, txn.start_sequence LIMIT $3"""
    times = to_micros(before), INT64_MAX if beyond is None else to_micros(beyond)
    return [DueEnergy(*row) for row in cx.rows(sql, *times, bounded(limit))]


def attribution(cx: Connection, orphan: int) -> AttributionRecord | None:
    row = cx.first("SELECT orphan, transaction_id, request_id FROM attribution WHERE orphan = $1", orphan)
    return None if row is None else AttributionRecord(*row)


def attribution_by_request(cx: Connection, charge_point: str, request_id: str) -> AttributionRecord | None:
    sql = """SELECT orphan, transaction_id, request_id FROM attribution WHERE request_id = $1
        AND charge_point = (SELECT key FROM charge_point WHERE identity = $2)"""
    row = cx.first(sql, request_id, charge_point)
    return None if row is None else AttributionRecord(*row)


def transactions(cx: Connection, where: TransactionFilter, after: str | None, limit: int) -> list[TransactionRecord]:
    """Newest start first. Nothing after an ``after`` that retention has taken: it takes the oldest, so whatever came
    after that one is gone as well."""
    conditions = Conditions()
    if where.charge_point is not None:
        conditions.add("txn.charge_point = (SELECT key FROM charge_point WHERE identity = ?)", where.charge_point)
    if where.state is not None:
        conditions.add("txn.state = ?", where.state)
    if where.started_from is not None:
        conditions.add("txn.started_at >= ?", to_micros(where.started_from))
    if where.started_before is not None:
        conditions.add("txn.started_at < ?", to_micros(where.started_before))
    if where.id_tag is not None:
        conditions.add("txn.folded_tag = ?", folded(where.id_tag))
    if after is not None:
        sql = """(txn.started_at, txn.start_sequence)
            < (SELECT started_at, start_sequence FROM txn WHERE transaction_id = ?)"""
        conditions.add(sql, after)
    conditions.scope(where.scope, "txn.charge_point")
    sql = f"""{TRANSACTION} {conditions.where()} ORDER BY txn.started_at DESC, txn.start_sequence DESC
        {conditions.limit(bounded(limit))}"""
    return [rows.transaction(row) for row in cx.rows(sql, *conditions.given)]


# --- idTags ---------------------------------------------------------------------------------------------------


def id_tag(cx: Connection, tag: str) -> IdTagRecord | None:
    row = cx.first(f"SELECT {rows.ID_TAG} FROM id_tag WHERE folded = $1", folded(tag))
    return None if row is None else rows.id_tag(row)


# --- commands -------------------------------------------------------------------------------------------------

COMMAND = f"SELECT {rows.COMMAND} FROM {rows.COMMAND_TABLES}"


def command(cx: Connection, command_id: str) -> CommandRecord | None:
    row = cx.first(f"{COMMAND} WHERE m.command_id = $1", command_id)
    return None if row is None else rows.command(row)


COMMAND_BY_REQUEST = f"""{COMMAND} WHERE m.charge_point = (SELECT key FROM charge_point WHERE identity = $1)
    AND m.request_id = $2 AND m.request_id <> ''"""


def command_by_request(cx: Connection, charge_point: str, request_id: str) -> CommandRecord | None:
    row = cx.first(COMMAND_BY_REQUEST, charge_point, request_id)
    return None if row is None else rows.command(row)


def commands(
    cx: Connection, charge_point: str | None, after: str | None, limit: int, where: RecordFilter = ALL_RECORDS
) -> list[CommandRecord]:
    """Newest first; nothing after an ``after`` that retention has taken."""
    conditions = Conditions()
    conditions.record(charge_point, where, "m")
    if after is not None:
        conditions.add("m.queued_sequence < (SELECT queued_sequence FROM command WHERE command_id = ?)", after)
    sql = f"""{COMMAND} {conditions.where()} ORDER BY m.queued_sequence DESC {conditions.limit(bounded(limit))}"""
    return [rows.command(row) for row in cx.rows(sql, *conditions.given)]


# --- the clock ------------------------------------------------------------------------------------------------


def clock_record(cx: Connection) -> ClockRecord | None:
    row = cx.first("SELECT seen_at, doubted, reason, steady_seconds, head FROM clock")
    if row is None:
        return None
    seen_at, doubted, reason, steady_seconds, head = row
    return ClockRecord(to_time(seen_at), bool(doubted), reason, steady_seconds, head)

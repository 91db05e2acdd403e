"""Lists with filters and orders, and counts, as ``gateway.store.lists`` has them."""

# ruff: noqa: S608 - statements are put together from constants of this module; what is given is bound

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import count
from typing import TypeVar

import orjson

from gateway.domain.commands import CommandRecord
from gateway.domain.conditions import Order
from gateway.domain.events import StoredEvent
from gateway.domain.fleet_summary import FleetCounts
from gateway.domain.labels import Labels
from gateway.domain.operations import OperationRecord
from gateway.domain.records import ChargePointRecord, ConnectorsRecord, IdTagRecord, TransactionRecord, TransactionState
from gateway.store import fleet_sql, list_sql, rows
from gateway.store.list_sql import Fetch, Given, Listed, Sql
from gateway.store.lists import SCANNED, ChargePointCounts, Found, Query
from gateway.store.operation_rows import OPERATION, OPERATION_TABLES
from gateway.store.operation_rows import operation as operation_record
from gateway.store.postgres import queries
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.history import KEPT_TABLES

R = TypeVar("R")


def _labelled(labels: Iterable[tuple[str, str]], key: str) -> Sql:
    given: Given = [orjson.dumps(list(pair)).decode() for pair in labels]
    array = ", ".join(["?"] * len(given))
    return (
        f"{key} IN (SELECT key FROM charge_point WHERE deleted_at IS NULL AND label @> ARRAY[{array}]::text[])",
        given,
    )


def _has_label(key: str) -> str:
    return f"EXISTS (SELECT 1 FROM charge_point l WHERE l.key = {key} AND jsonb_exists(l.labels::jsonb, ?))"


CHARGE_POINTS = Listed(
    "charge_point",
    "key",
    "charge_point.key",
    list_sql.charge_point_columns(lambda name: f"(convert_from(boot, 'UTF8')::jsonb ->> '{name}') COLLATE \"C\""),
    list_sql.CHARGE_POINT_ORDERS,
    Order("identity"),
    _labelled,
    _has_label("charge_point.key"),
    "deleted_at IS NULL",
)

TRANSACTIONS = Listed(
    rows.TRANSACTION_TABLES,
    "txn.start_sequence",
    "txn.charge_point",
    list_sql.TRANSACTION_COLUMNS,
    {"start_time": "txn.started_at"},
    Order("start_time", descending=True),
    _labelled,
    _has_label("txn.charge_point"),
)

COMMANDS = Listed(
    rows.COMMAND_TABLES,
    "m.queued_sequence",
    "m.charge_point",
    list_sql.COMMAND_COLUMNS,
    {"create_time": "m.queued_sequence"},
    Order("create_time", descending=True),
    _labelled,
    _has_label("m.charge_point"),
)

OPERATIONS = Listed(
    OPERATION_TABLES,
    "o.accepted_sequence",
    "o.charge_point",
    list_sql.OPERATION_COLUMNS,
    {"create_time": "o.accepted_sequence"},
    Order("create_time", descending=True),
    _labelled,
    _has_label("o.charge_point"),
)

ORPHANS = Listed(
    KEPT_TABLES,
    "e.sequence",
    "e.charge_point",
    list_sql.ORPHAN_COLUMNS,
    {"receive_time": "e.sequence"},
    Order("receive_time"),
    _labelled,
    _has_label("e.charge_point"),
    "e.type = 4",
)


def _fetch(cx: Connection) -> Fetch:
    def fetch(sql: str, given: Given) -> list[rows.Row]:
        numbers = count(1)
        return cx.rows(re.sub(r"\?", lambda _: f"${next(numbers)}", sql), *given)

    return fetch


def charge_points(cx: Connection, query: Query, after: str, limit: int, whole: bool) -> Found[ChargePointRecord]:
    """``whole``: with connectors, profiles and whatever else is in other tables."""
    found, places, last = list_sql.page(_fetch(cx), CHARGE_POINTS, rows.CHARGE_POINT, query, after, limit, scanned=None)
    if whole:
        return Found(queries.whole_charge_points(cx, found), places, last)
    return Found([rows.bare_charge_point(row) for row in found], places, last)


def connectors(cx: Connection, query: Query, after: str, limit: int) -> Found[ConnectorsRecord]:
    found, places, last = list_sql.page(
        _fetch(cx), CHARGE_POINTS, rows.CONNECTORS_OF, query, after, limit, scanned=None
    )
    keys = Array("int4", [row[0] for row in found])
    answers = [cx.send(sql, keys) for sql in (queries.CONNECTORS, queries.CHARGING)]
    cx.sync()
    known = queries.by_key(answers[0], rows.connector)
    states = queries.by_key(answers[1], lambda row: rows.charging_state((0, *row))[1])
    records = [rows.connectors_of(row, known[row[0]], states[row[0]]) for row in found]
    return Found(records, places, last)


def ever_known(cx: Connection, identities: Sequence[str]) -> frozenset[str]:
    found = cx.rows("SELECT identity FROM charge_point WHERE identity = ANY ($1)", queries.at_most(identities))
    return frozenset(str(identity) for (identity,) in found)


def transactions(cx: Connection, query: Query, after: str, limit: int) -> Found[TransactionRecord]:
    return _found(cx, TRANSACTIONS, rows.TRANSACTION, query, after, limit, rows.transaction)


def commands(cx: Connection, query: Query, after: str, limit: int) -> Found[CommandRecord]:
    return _found(cx, COMMANDS, rows.COMMAND, query, after, limit, rows.command)


def operations(cx: Connection, query: Query, after: str, limit: int) -> Found[OperationRecord]:
    return _found(cx, OPERATIONS, OPERATION, query, after, limit, operation_record)


def orphans(cx: Connection, query: Query, after: str, limit: int, id_prefix: str) -> Found[StoredEvent]:
    """By the partial indexes that hold nothing but orphans."""
    return _found(cx, ORPHANS, rows.EVENT, query, after, limit, lambda row: rows.event(row, id_prefix))


def id_tags(cx: Connection, query: Query, after: str, limit: int) -> Found[IdTagRecord]:
    return _found(cx, list_sql.ID_TAGS, rows.ID_TAG, query, after, limit, rows.id_tag)


def _found(
    cx: Connection, listed: Listed, columns: str, query: Query, after: str, limit: int, make: Callable[[rows.Row], R]
) -> Found[R]:
    found, places, last = list_sql.page(_fetch(cx), listed, columns, query, after, limit, scanned=SCANNED)
    return Found([make(row) for row in found], places, last)


def charge_point_counts(cx: Connection, query: Query) -> ChargePointCounts:
    return list_sql.charge_point_counts(_fetch(cx), CHARGE_POINTS, query)


def transaction_counts(cx: Connection, query: Query) -> dict[TransactionState, int]:
    return list_sql.transaction_counts(_fetch(cx), TRANSACTIONS, query)


def fleet_counts(cx: Connection, labels: Labels, now: datetime, gone_before: datetime) -> FleetCounts:
    return fleet_sql.fleet_counts(_fetch(cx), CHARGE_POINTS, labels, now, gone_before)

"""Lists and counts as SQL, for stores that speak it: conditions, orders, pages. What differs is in the resources'
tables (``Listed``), which each store has.

Values stand for themselves as question marks; a store that numbers its parameters puts numbers in their place.
"""

# ruff: noqa: S608 - statements are put together from constants of stores' modules; what is given is bound

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

import orjson
from attrs import field, frozen

from gateway.domain.conditions import AllOf, AnyOf, Comparison, Condition, Not, Operator, Order, Value
from gateway.domain.records import TransactionState
from gateway.domain.transactions import folded
from gateway.domain.values import Registration
from gateway.store.encoding import to_micros
from gateway.store.limits import bounded
from gateway.store.lists import ChargePointCount, ChargePointCounts, ConnectorCount, Query
from gateway.store.rows import Row

Given: TypeAlias = list[str | int]
Sql: TypeAlias = tuple[str, Given]
"""A text with question marks, and what stands for them."""

Fetch: TypeAlias = Callable[[str, Given], list[Row]]
"""Runs a statement with question marks."""


def _stored(value: Value) -> str | int:
    if isinstance(value, datetime):
        return to_micros(value)
    return int(value) if isinstance(value, bool) else value


def _no_labels(_labels: Iterable[tuple[str, str]], _key: str) -> Sql:
    """The condition of what is no charge point's: it has none."""
    return "FALSE", []


def folded_tag(value: Value) -> str:
    """A tag as it is stored for comparing."""
    return folded(str(value))


@frozen
class Column:
    """A field of a filter. ``sql``: an expression. ``nullable``: it may be NULL, which is equal to nothing and neither
    less nor more. ``indexed``: an index that keeps the order begins with it. ``equal``: its own form of being equal."""

    sql: str
    nullable: bool = False
    indexed: bool = False
    equal: str = ""
    value: Callable[[Value], str | int] = _stored


@frozen
class Listed:
    """A resource: where its rows are, and by what they are found and put in order.

    ``charge_point``: the key of the charge point that it belongs to. ``orders``: columns that are never NULL, by the
    order's field. ``labelled``: a condition that the charge point has all of these labels. ``has_label``: that it has
    one with a key. ``always``: a condition on each row.
    """

    tables: str
    key: str
    charge_point: str
    columns: Mapping[str, Column]
    orders: Mapping[str, str]
    order: Order
    labelled: Callable[[Iterable[tuple[str, str]], str], Sql]
    has_label: str
    always: str = ""


OF_CHARGE_POINT: Final = "= (SELECT key FROM charge_point WHERE identity = ?)"


def split(condition: Condition | None, listed: Listed) -> tuple[list[Sql], list[Sql]]:
    """The parts of a condition that all have to hold: those that an index serves, and the others."""
    served, others = list[Sql](), list[Sql]()
    parts = condition.parts if isinstance(condition, AllOf) else () if condition is None else (condition,)
    for part in parts:
        if isinstance(part, Comparison) and part.field in listed.columns and listed.columns[part.field].indexed:
            served.append(_compared(part, listed))
        else:
            others.append(to_sql(part, listed))
    return served, others


def to_sql(condition: Condition, listed: Listed) -> Sql:
    """A condition that is true or false, and never NULL."""
    match condition:
        case Comparison():
            return _compared(condition, listed)
        case Not(part):
            sql, given = to_sql(part, listed)
            return f"NOT ({sql})", given
        case AllOf(parts) | AnyOf(parts):
            word = " AND " if isinstance(condition, AllOf) else " OR "
            inner = [to_sql(part, listed) for part in parts]
            return f"({word.join(sql for sql, _ in inner)})", [each for _, given in inner for each in given]


def _compared(comparison: Comparison, listed: Listed) -> Sql:
    if comparison.field == "labels":
        if comparison.operator is Operator.HAS:
            return listed.has_label, [comparison.key]
        return listed.labelled([(comparison.key, str(comparison.value))], listed.charge_point)
    column = listed.columns[comparison.field]
    value, given = "?", [column.value(comparison.value)]
    if comparison.operator is Operator.EQUAL and column.equal:
        return column.equal, given
    if isinstance(comparison.value, bool):  # said in the statement: of one side alone there may be an index
        value, given = str(int(comparison.value)), []
    sql = f"{column.sql} {comparison.operator.value} {value}"
    return f"(({sql}) IS TRUE)" if column.nullable else f"({sql})", given


@frozen
class Ordered:
    """An order as SQL: ``column`` and key, one way or the other."""

    column: str
    key: str
    descending: bool = field(default=False)

    @property
    def sql(self) -> str:
        """After ORDER BY."""
        way = " DESC" if self.descending else ""
        return f"{self.column}{way}, {self.key}{way}"

    def beyond(self, *, including: bool = False) -> str:
        """A condition: further on than a given pair, or (``including``) not further than it."""
        forward = ("<" if self.descending else ">") if not including else (">=" if self.descending else "<=")
        return f"({self.column}, {self.key}) {forward} (?, ?)"


def page(
    fetch: Fetch, listed: Listed, columns: str, query: Query, after: str, limit: int, scanned: int | None
) -> tuple[list[Row], list[str], str]:
    """The rows of a page, the place of each, and where the next page begins. ``scanned``: as many may be looked at."""
    bounded(limit)
    wanted = query.order or listed.order
    order = Ordered(listed.orders[wanted.field], listed.key, wanted.descending)
    served, others = split(query.condition, listed)
    if query.labels:
        others.append(listed.labelled(query.labels, listed.charge_point))
    if listed.always:
        served.append((listed.always, []))
    if after:
        served.append((order.beyond(), _place(after, order, listed.tables)))
    end = _end_of_scan(fetch, listed, order, served, scanned) if others and scanned else None
    if end is not None:
        others.append((order.beyond(including=True), list(end)))
    where, given = _where([*served, *others])
    sql = f"""SELECT {columns}, {order.column}, {order.key} FROM {listed.tables} {where}
        ORDER BY {order.sql} LIMIT ?"""
    found = [tuple(row) for row in fetch(sql, [*given, limit])]
    places = [orjson.dumps(row[-2:]).decode() for row in found]
    last = places[-1] if len(found) == limit else "" if end is None else orjson.dumps(end).decode()
    return [row[:-2] for row in found], places, last


def _end_of_scan(
    fetch: Fetch, listed: Listed, order: Ordered, served: list[Sql], scanned: int
) -> tuple[str | int, str | int] | None:
    """The place of the last row that one call looks at; None: there are fewer."""
    where, given = _where(served)
    sql = f"SELECT {order.column}, {order.key} FROM {listed.tables} {where} ORDER BY {order.sql} LIMIT 1 OFFSET ?"
    found = fetch(sql, [*given, scanned - 1])
    return (found[0][0], found[0][1]) if found else None


def _where(conditions: list[Sql]) -> Sql:
    given: Given = [each for _, values in conditions for each in values]
    return (f"WHERE {' AND '.join(sql for sql, _ in conditions)}" if conditions else ""), given


TEXT_COLUMNS: Final = frozenset({"identity", "folded"})
"""Columns of orders and keys that are texts; all others are whole numbers."""

MOST: Final = {"charge_point": 2**31}
"""Bounds of a table's keys, where they are narrower than of 64 bits."""


def _place(after: str, order: Ordered, tables: str) -> Given:
    """Raises ValueError for what no page has given out: a client can put a token together."""
    place = orjson.loads(after)
    columns = (order.column, order.key)
    if not isinstance(place, list) or len(place) != len(columns):
        raise ValueError(f"{after[:100]!r} is no place in a list")
    for value, column in zip(place, columns, strict=True):
        most = MOST.get(tables, 2**63) if column == order.key else 2**63
        fits = isinstance(value, str) if column in TEXT_COLUMNS else type(value) is int and -most <= value < most
        if not fits:
            raise ValueError(f"{after[:100]!r} is no place in a list")
    return place


# --- counts ---------------------------------------------------------------------------------------------------


def charge_point_counts(fetch: Fetch, listed: Listed, query: Query) -> ChargePointCounts:
    """Charge points by registration and connection, and their connectors by status."""
    where, given = _conditions(query, listed)
    of_all = f"SELECT registration, connected, count(*) FROM charge_point {where} GROUP BY 1, 2 ORDER BY 1, 2"
    of_connectors = f"""SELECT k.status, charge_point.connected, count(*) FROM charge_point
        JOIN connector k ON k.charge_point = charge_point.key {where} AND k.evse > 0 GROUP BY 1, 2 ORDER BY 1, 2"""
    return ChargePointCounts(
        [ChargePointCount(Registration(each[0]), bool(each[1]), each[2]) for each in fetch(of_all, given)],
        [ConnectorCount(each[0], bool(each[1]), each[2]) for each in fetch(of_connectors, given)],
    )


def transaction_counts(fetch: Fetch, listed: Listed, query: Query) -> dict[TransactionState, int]:
    """By state."""
    where, given = _conditions(query, listed)
    # Without a filter the index of states alone is read.
    tables = listed.tables if where else "txn"
    sql = f"SELECT txn.state, count(*) FROM {tables} {where} GROUP BY 1 ORDER BY 1"
    return {TransactionState(state): count for state, count in fetch(sql, given)}


def _conditions(query: Query, listed: Listed) -> Sql:
    conditions = [] if query.condition is None else [to_sql(query.condition, listed)]
    if query.labels:
        conditions.append(listed.labelled(query.labels, listed.charge_point))
    if listed.always:
        conditions.append((listed.always, []))
    return _where(conditions)


# --- resources ------------------------------------------------------------------------------------------------


BOOT_FIELDS: Final = ("vendor", "model", "firmware_version", "charge_point_serial_number", "charge_box_serial_number")
"""Of a charge point's description of itself, those that a filter names."""


_OF_CERTIFICATE: Final = "SELECT t.{} FROM charger_certificate t WHERE t.charge_point = charge_point.key"
"""Of the certificate that a charge point was last known to have; found by its key."""


def charge_point_columns(boot: Callable[[str], str]) -> Mapping[str, Column]:
    """``boot``: an expression for a text of the charge point's description of itself."""
    return {
        "identity": Column("identity", indexed=True),
        "registration": Column("registration"),
        "connected": Column("connected"),
        "description": Column("description"),
        "create_time": Column("created_at"),
        "update_time": Column("updated_at"),
        "boot_time": Column("booted_at", nullable=True),
        "certificate_expire_time": Column(f"({_OF_CERTIFICATE.format('not_after')})", nullable=True),
        "certificate_serial_number": Column(f"({_OF_CERTIFICATE.format('serial_number')})", nullable=True),
        **{name: Column(boot(name), nullable=True) for name in BOOT_FIELDS},
    }


CHARGE_POINT_ORDERS: Final = {
    "identity": "identity",
    "create_time": "created_at",
    "update_time": "updated_at",
    "certificate_expire_time": f"coalesce(({_OF_CERTIFICATE.format('not_after')}), {2**63 - 1})",
}
"""Those without a certificate come behind all that have one."""

TRANSACTION_COLUMNS: Final[Mapping[str, Column]] = {
    "transaction_id": Column("txn.transaction_id"),
    "charge_point": Column("c.identity", indexed=True, equal=f"txn.charge_point {OF_CHARGE_POINT}"),
    "state": Column("txn.state", indexed=True),
    "id_tag": Column("txn.folded_tag", indexed=True, value=folded_tag),
    "start_time": Column("txn.started_at", indexed=True),
    "stop_time": Column("txn.stopped_at", nullable=True),
    "stop_reason": Column("txn.stop_reason", nullable=True),
    "stale": Column("CASE WHEN txn.stale_at IS NULL THEN 0 ELSE 1 END"),
}

COMMAND_COLUMNS: Final[Mapping[str, Column]] = {
    "command_id": Column("m.command_id"),
    "charge_point": Column("c.identity", indexed=True, equal=f"m.charge_point {OF_CHARGE_POINT}"),
    "request_id": Column("m.request_id", indexed=True, equal="(m.request_id = ? AND m.request_id <> '')"),
    "operation": Column("m.operation"),
    "state": Column("m.state"),
    "create_time": Column("m.created_at"),
    "finish_time": Column("m.finished_at", nullable=True),
    "late": Column("m.late"),
    "caller": Column("m.caller", indexed=True, equal="(m.caller = ? AND m.caller <> '')"),
}

OPERATION_COLUMNS: Final[Mapping[str, Column]] = {
    "operation_id": Column("o.operation_id"),
    "charge_point": Column("c.identity", indexed=True, equal=f"o.charge_point {OF_CHARGE_POINT}"),
    "request_id": Column("o.request_id"),
    "kind": Column("o.kind"),
    "open": Column("CASE WHEN o.ended IS NULL THEN 1 ELSE 0 END"),
    "end": Column("o.ended", nullable=True),
    "reason": Column("o.reason"),
    "id_tag": Column("o.id_tag"),
    "command_id": Column("o.command_id"),
    "transaction_id": Column("o.transaction_id"),
    "create_time": Column("o.created_at"),
    "end_time": Column("o.ended_at", nullable=True),
    "caller": Column("o.caller", indexed=True, equal="(o.caller = ? AND o.caller <> '')"),
}

ORPHAN_COLUMNS: Final[Mapping[str, Column]] = {
    "charge_point": Column("c.identity", indexed=True, equal=f"e.charge_point {OF_CHARGE_POINT}"),
    "receive_time": Column("e.received_at"),
    "report_time": Column("e.reported_at", nullable=True),
    "attributed": Column(
        "CASE WHEN EXISTS (SELECT 1 FROM attribution a WHERE a.orphan = e.sequence) THEN 1 ELSE 0 END"
    ),
}

ID_TAGS: Final = Listed(
    "id_tag",
    "folded",
    "NULL",
    {
        "id_tag": Column("folded", indexed=True, value=folded_tag),
        "status": Column("status"),
        "expire_time": Column("expiry_date", nullable=True),
        "parent_id_tag": Column("lower(parent_id_tag)", nullable=True, value=folded_tag),
        "allow_concurrent": Column("allow_concurrent"),
        "description": Column("description"),
        "create_time": Column("created_at"),
        "update_time": Column("updated_at"),
    },
    {"id_tag": "folded", "create_time": "created_at", "update_time": "updated_at"},
    Order("id_tag"),
    _no_labels,
    "FALSE",
)
"""The same in each store: it is one table, without labels."""

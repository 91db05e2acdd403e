"""Reads of the history: pages of events, a transaction's readings, orphans, and where the history begins and ends.

A page ends below the horizon: what lies below it has been committed or never will be, what comes later lies above.
A position points at an event and never at the horizon, whose transaction ids a server that takes over may give out
once more.
"""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson

from gateway.domain.audit import NAMES_CALLER
from gateway.domain.events import StoredEvent
from gateway.store import rows
from gateway.store.api import Bounds, EventFilter, EventPage
from gateway.store.encoding import INT64_MAX, to_time
from gateway.store.limits import NEWEST, NEWEST_BYTES, NEWEST_VALUES, PAGE_BYTES, bounded
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array, Value
from gateway.store.postgres.generations import Generations
from gateway.store.postgres.queries import at_most

STRETCH = 20_000
"""Events that one call looks at, at most, whatever the filter lets through."""

MAX_INDEXED = 16
"""Up to so many charge points are looked up by index; with more of them reading everything is as quick."""

_OF = """JOIN charge_point c ON c.key = e.charge_point JOIN event_type t ON t.code = e.type
    LEFT JOIN txn ON txn.number = e.txn"""
_EVENT = f"SELECT {rows.EVENT} FROM event e {_OF}"
KEPT_TABLES = f"history e {_OF}"
_KEPT = f"SELECT {rows.EVENT} FROM {KEPT_TABLES}"

_BOUNDS = """SELECT floor, (SELECT max(sequence) FROM event WHERE sequence < (SELECT horizon())),
    (SELECT max(number) FROM generation) FROM meta"""


SERVER_STATE = """SELECT pg_snapshot_xmin(s)::text::int8, pg_snapshot_xmax(s)::text::int8,
    (SELECT max(age(datfrozenxid))::int8 FROM pg_database) FROM pg_current_snapshot() AS s"""
"""As of ``ServerState``."""


def bounds(cx: Connection, generations: Generations | None = None) -> Bounds:
    """The floor, and the newest sequence below the horizon, whose generation is known then."""
    floor, newest, generation = cx.one(_BOUNDS)
    if generations is not None:
        generations.require(cx, generation)
    return Bounds(floor, max(floor, newest or 0))


def newest_time(cx: Connection) -> datetime | None:
    row = cx.first("SELECT received_at FROM history ORDER BY sequence DESC LIMIT 1")
    return None if row is None else to_time(row[0])


def events(
    cx: Connection,
    after: int,
    limit: int,
    where: EventFilter,
    codes: Mapping[str, int],
    id_prefix: str,
    generations: Generations,
) -> EventPage:
    """In a transaction of one snapshot: the horizon is that of the events that are seen."""
    bounded(limit)
    edges = bounds(cx, generations)
    after = min(max(after, edges.floor), INT64_MAX)
    if after >= edges.head:
        return EventPage((), after)
    keys = _keys(cx, where.charge_points) if where.charge_points else []
    if where.charge_points and len(where.charge_points) <= MAX_INDEXED:
        sieved = where.types or where.callers
        share = STRETCH // len(where.charge_points) if sieved else limit
        end, found = _indexed(cx, keys, after, edges.head, share)
        more, chosen = "e.sequence = ANY ($4)", Array("int8", found)
    else:
        end, chosen = _stretch(cx, after, edges.head), Array("int4", keys)
        # The sum keeps the index out: this is a scan of a bounded stretch.
        more = "e.charge_point + 0 = ANY ($4)" if where.charge_points else "$4::int4[] IS NOT NULL"
    types, names = "$3::int2[] IS NOT NULL", frozenset[str]()
    if where.types or where.callers:
        types = "e.type = ANY ($3)"
        names = (where.types & NAMES_CALLER if where.types else NAMES_CALLER) if where.callers else where.types
    wanted = Array("int2", sorted(codes[name] for name in names if name in codes))
    # What holds the bytes may hold them elsewhere: the events that are read are looked at again.
    named = Array("bytea", [b'"caller":' + orjson.dumps(each) for each in sorted(where.callers)])
    by = "$6::bytea[] IS NOT NULL"
    if where.callers:
        by = "EXISTS (SELECT 1 FROM unnest($6::bytea[]) AS name WHERE position(name IN e.body) > 0)"
    sql = f"""{_EVENT} WHERE e.sequence > $1 AND e.sequence <= $2 AND {types} AND {more} AND {by}
        ORDER BY e.sequence LIMIT $5"""
    page, whole = _taken(cx.rows(sql, after, end, wanted, chosen, limit, named), id_prefix)
    position = end if whole and len(page) < limit else page[-1].sequence
    if where.callers:
        page = [each for each in page if orjson.loads(each.body_json).get("caller") in where.callers]
    return EventPage(tuple(page), position)


def _taken(found: Sequence[rows.Row], id_prefix: str) -> tuple[list[StoredEvent], bool]:
    """Events as far as a page may go, at least one; and whether these are all."""
    page, room = list[StoredEvent](), PAGE_BYTES
    for row in found:
        if room <= 0:
            return page, False
        event = rows.event(row, id_prefix)
        room -= len(event.body_json)
        page.append(event)
    return page, True


def _stretch(cx: Connection, after: int, head: int) -> int:
    """The last sequence of the next STRETCH events, or the head."""
    sql = """SELECT max(sequence), count(*) FROM (SELECT sequence FROM event WHERE sequence > $1 AND sequence <= $2
        ORDER BY sequence LIMIT $3) AS next"""
    last, count = cx.one(sql, after, head, STRETCH)
    return int(last) if count == STRETCH else head


def _keys(cx: Connection, identities: frozenset[str]) -> list[Value]:
    sql = "SELECT key FROM charge_point WHERE identity = ANY ($1)"
    return [key for (key,) in cx.rows(sql, Array("text", sorted(identities)))]


def _indexed(cx: Connection, keys: Sequence[Value], after: int, head: int, share: int) -> tuple[int, list[int]]:
    """Search the charge points' indexes: return the end of the search, and the sequences found up to there.

    Each is read ``share`` entries far; the first one to end there ends it for all.
    """
    sql = """SELECT sequence FROM event WHERE charge_point = $1 AND sequence > $2 AND sequence <= $3
        ORDER BY sequence LIMIT $4"""
    answers = [cx.send(sql, key, after, head, share) for key in keys]
    cx.sync()
    end, found = head, list[int]()
    for answer in answers:
        own = [int(sequence) for (sequence,) in answer.rows]
        found += own
        if len(own) == share:
            end = min(end, own[-1])
    return end, sorted(sequence for sequence in found if sequence <= end)


def _span(cx: Connection, transaction_id: str) -> tuple[int, int, int, int] | None:
    """Number, charge point, first and last sequence of a transaction."""
    sql = "SELECT number, charge_point, start_sequence, state, last_sequence FROM txn WHERE transaction_id = $1"
    row = cx.first(sql, transaction_id)
    if row is None:
        return None
    number, charge_point, first, state, last = row
    return number, charge_point, first, INT64_MAX if state == "OPEN" else last


def readings(cx: Connection, transaction_id: str, after: int, limit: int, id_prefix: str) -> list[StoredEvent]:
    """By the index of the charge point, between the transaction's first event and its last."""
    bounded(limit)
    span = _span(cx, transaction_id)
    if span is None:
        return []
    number, charge_point, first, end = span
    sql = f"""{_KEPT} WHERE e.charge_point = $1 AND e.sequence > $2 AND e.sequence <= $3 AND e.txn = $4
        AND e.type IN (1, 2, 3) ORDER BY e.sequence LIMIT $5"""
    found = cx.rows(sql, charge_point, max(after, first - 1), end, number, limit)
    return [rows.event(row, id_prefix) for row in found]


def edge_readings(cx: Connection, transaction_id: str, count: int, id_prefix: str) -> list[StoredEvent]:
    """As ``readings``, from either end."""
    span = _span(cx, transaction_id)
    if span is None:
        return []
    number, charge_point, first, end = span
    sql = f"""{_KEPT} WHERE e.charge_point = $1 AND e.sequence >= $2 AND e.sequence <= $3 AND e.txn = $4 AND e.type = 3
        ORDER BY e.sequence"""
    given = (charge_point, first, end, number, count)
    answers = cx.send(f"{sql} LIMIT $5", *given), cx.send(f"{sql} DESC LIMIT $5", *given)
    cx.sync()
    events = (rows.event(row, id_prefix) for answer in answers for row in answer.rows)
    found = {each.sequence: each for each in events}
    return [found[sequence] for sequence in sorted(found)]


EVENTS_OF = f"""{_EVENT} WHERE e.charge_point = (SELECT key FROM charge_point WHERE identity = $1)
    AND e.sequence BETWEEN $2 AND $3 ORDER BY e.sequence"""
"""The events of a charge point between two sequences."""

ENERGY_TYPES = frozenset({"transaction.attributed", "transaction.closed"})
"""Besides those with readings, of the transaction's own."""


def energy_events(
    cx: Connection, transaction_id: str, after: int, limit: int, codes: Mapping[str, int], id_prefix: str
) -> list[StoredEvent]:
    """As ``readings``; the boots of the charge point lie in the same stretch of the index."""
    bounded(limit)
    span = _span(cx, transaction_id)
    if span is None:
        return []
    number, charge_point, first, end = span
    own = ", ".join(str(codes[name]) for name in sorted(ENERGY_TYPES))
    sql = f"""{_KEPT} WHERE e.charge_point = $1 AND e.sequence > $2 AND e.sequence <= $3
        AND ((e.txn = $4 AND e.type IN (1, 2, 3, {own})) OR e.type = {codes["charge_point.booted"]})
        ORDER BY e.sequence LIMIT $5"""
    found = cx.rows(sql, charge_point, max(after, first - 1), end, number, limit)
    return [rows.event(row, id_prefix) for row in found]


def event(cx: Connection, sequence: int, id_prefix: str) -> StoredEvent | None:
    row = cx.first(f"{_KEPT} WHERE e.sequence = $1", sequence)
    return None if row is None else rows.event(row, id_prefix)


NEWEST_OF = f"""{_KEPT} WHERE e.sequence IN
    (SELECT sequence FROM history WHERE charge_point = $1 ORDER BY sequence DESC LIMIT {NEWEST})
    AND e.epoch > c.latest_epoch AND e.type IN (2, 3) AND length(e.body) <= {NEWEST_BYTES}
    ORDER BY e.sequence DESC LIMIT {NEWEST_VALUES}"""
"""The newest meter values and stops of a charge point, the newest first, by its index: those of the sessions after the
last one that recorded its end."""


def newest_values(found: Sequence[rows.Row], id_prefix: str) -> list[StoredEvent]:
    """Rows of NEWEST_OF, in order."""
    return [rows.event(row, id_prefix) for row in found][::-1]


def newest_values_of(cx: Connection, identities: Sequence[str], id_prefix: str) -> dict[str, list[StoredEvent]]:
    sql = "SELECT identity, key FROM charge_point WHERE deleted_at IS NULL AND identity = ANY ($1)"
    answers = {identity: cx.send(NEWEST_OF, key) for identity, key in cx.rows(sql, at_most(identities))}
    cx.sync()
    return {identity: newest_values(answer.rows, id_prefix) for identity, answer in answers.items() if answer.rows}

"""Reads of the history: pages of events, a transaction's readings, orphans, and where the history begins and ends."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import orjson
from apsw import Connection

from gateway.domain.audit import NAMES_CALLER
from gateway.domain.events import StoredEvent
from gateway.store import rows
from gateway.store.api import Bounds, EventFilter, EventPage
from gateway.store.encoding import INT64_MAX, to_time
from gateway.store.limits import MAX_LIMIT, NEWEST, NEWEST_BYTES, NEWEST_VALUES, PAGE_BYTES, bounded
from gateway.store.sqlite.selects import fetch, one

STRETCH = 20_000
"""Events that one call looks at, at most: some 20 ms of a connection, whatever the filter lets through."""

MAX_INDEXED = 16
"""Up to so many charge points are looked up by index; with more of them reading everything is as quick."""

_EVENT = f"SELECT {rows.EVENT} FROM {rows.EVENT_TABLES}"


def bounds(cx: Connection) -> Bounds:
    """The floor, and the newest sequence, which outlives the events themselves."""
    sql = "SELECT (SELECT value FROM meta WHERE name = 'floor'), (SELECT max(sequence) FROM event)"
    floor, newest = one(cx, sql)
    return Bounds(floor, max(floor, newest or 0))


def newest_time(cx: Connection) -> datetime | None:
    found = fetch(cx, "SELECT received_at FROM event ORDER BY sequence DESC LIMIT 1")
    return to_time(found[0][0]) if found else None


def events(
    cx: Connection, after: int, limit: int, where: EventFilter, codes: Mapping[str, int], id_prefix: str
) -> EventPage:
    bounded(limit)
    edges = bounds(cx)
    after = min(max(after, edges.floor), INT64_MAX)
    if after >= edges.head:
        return EventPage((), after)
    types = _types(where.types, codes)
    given: tuple[str, ...] = ()
    if not where.charge_points:
        end, condition = min(edges.head, after + STRETCH), ""
    elif len(where.charge_points) > MAX_INDEXED:
        # The plus keeps the index out: this is a scan of a bounded stretch.
        end, condition = min(edges.head, after + STRETCH), "AND +e.charge_point IN (SELECT value FROM json_each(?))"
        given = (orjson.dumps(_keys(cx, where.charge_points)).decode(),)
    else:
        share = limit if not types and not where.callers else STRETCH // len(where.charge_points)
        end, found = _indexed(cx, _keys(cx, where.charge_points), after, edges.head, share)
        condition, given = "AND e.sequence IN (SELECT value FROM json_each(?))", (orjson.dumps(found).decode(),)
    if where.callers:
        condition += f""" {_types(NAMES_CALLER, codes)}
            AND CAST(e.body AS TEXT) ->> 'caller' IN (SELECT value FROM json_each(?))"""
        given = (*given, orjson.dumps(sorted(where.callers)).decode())
    sql = f"{_EVENT} WHERE e.sequence > ? AND e.sequence <= ? {types} {condition} ORDER BY e.sequence LIMIT ?"
    page, whole = _taken(cx.execute(sql, (after, end, *given, limit)), id_prefix)
    return EventPage(tuple(page), end if whole and len(page) < limit else page[-1].sequence)


def _taken(found: Iterable[rows.Row], id_prefix: str) -> tuple[list[StoredEvent], bool]:
    """Events as far as a page may go, at least one; and whether these are all."""
    page, room = list[StoredEvent](), PAGE_BYTES
    for row in found:
        if room <= 0:
            return page, False
        event = rows.event(row, id_prefix)
        room -= len(event.body_json)
        page.append(event)
    return page, True


def _types(names: frozenset[str], codes: Mapping[str, int]) -> str:
    """A condition on the type; names that no stored event can have match nothing."""
    if not names:
        return ""
    wanted = sorted(codes[name] for name in names if name in codes)
    return f"AND e.type IN ({', '.join(map(str, wanted))})"


def _keys(cx: Connection, identities: Iterable[str]) -> list[int]:
    sql = "SELECT key FROM charge_point WHERE identity IN (SELECT value FROM json_each(?))"
    return [key for (key,) in cx.execute(sql, (orjson.dumps(sorted(identities)).decode(),))]


def _indexed(cx: Connection, keys: list[int], after: int, head: int, share: int) -> tuple[int, list[int]]:
    """Search the charge points' indexes: return the end of the search, and the sequences found up to there.

    Each is read ``share`` entries far; the first one to end there ends it for all.
    """
    end, found = head, list[int]()
    for key in keys:
        sql = "SELECT sequence FROM event WHERE charge_point = ? AND sequence > ? ORDER BY sequence LIMIT ?"
        own = [sequence for (sequence,) in cx.execute(sql, (key, after, share))]
        found += own
        if len(own) == share:
            end = min(end, own[-1])
    return end, sorted(sequence for sequence in found if sequence <= end)


def readings(cx: Connection, transaction_id: str, after: int, limit: int, id_prefix: str) -> list[StoredEvent]:
    """By the index of the charge point, between the transaction's first event and its last."""
    sql = "SELECT key, charge_point, start_sequence, state, last_sequence FROM txn WHERE transaction_id = ?"
    found = cx.execute(sql, (transaction_id,)).fetchone()
    if found is None:
        return []
    key, charge_point, first, state, last = found
    end = INT64_MAX if state == "OPEN" else last
    sql = f"""{_EVENT} WHERE e.charge_point = ? AND e.sequence > ? AND e.sequence <= ? AND e.txn = ?
        AND e.type IN (1, 2, 3) ORDER BY e.sequence LIMIT ?"""
    given = (charge_point, max(after, first - 1), end, key, bounded(limit))
    return [rows.event(row, id_prefix) for row in cx.execute(sql, given)]


def edge_readings(cx: Connection, transaction_id: str, count: int, id_prefix: str) -> list[StoredEvent]:
    """As ``readings``, from either end."""
    sql = "SELECT key, charge_point, start_sequence, state, last_sequence FROM txn WHERE transaction_id = ?"
    found = cx.execute(sql, (transaction_id,)).fetchone()
    if found is None:
        return []
    key, charge_point, first, state, last = found
    given = (charge_point, first, INT64_MAX if state == "OPEN" else last, key, count)
    sql = f"""{_EVENT} WHERE e.charge_point = ? AND e.sequence >= ? AND e.sequence <= ? AND e.txn = ? AND e.type = 3
        ORDER BY e.sequence"""
    rows_found = [*cx.execute(f"{sql} LIMIT ?", given), *cx.execute(f"{sql} DESC LIMIT ?", given)]
    events = {each.sequence: each for each in (rows.event(row, id_prefix) for row in rows_found)}
    return [events[sequence] for sequence in sorted(events)]


ENERGY_TYPES = frozenset({"transaction.attributed", "transaction.closed"})
"""Besides those with readings, of the transaction's own."""


def energy_events(
    cx: Connection, transaction_id: str, after: int, limit: int, codes: Mapping[str, int], id_prefix: str
) -> list[StoredEvent]:
    """As ``readings``; the boots of the charge point lie in the same stretch of the index."""
    sql = "SELECT key, charge_point, start_sequence, state, last_sequence FROM txn WHERE transaction_id = ?"
    found = cx.execute(sql, (transaction_id,)).fetchone()
    if found is None:
        return []
    key, charge_point, first, state, last = found
    own = ", ".join(str(codes[name]) for name in sorted(ENERGY_TYPES))
    sql = f"""{_EVENT} WHERE e.charge_point = ? AND e.sequence > ? AND e.sequence <= ?
        AND ((e.txn = ? AND e.type IN (1, 2, 3, {own})) OR e.type = {codes["charge_point.booted"]})
        ORDER BY e.sequence LIMIT ?"""
    given = (charge_point, max(after, first - 1), INT64_MAX if state == "OPEN" else last, key, bounded(limit))
    return [rows.event(row, id_prefix) for row in cx.execute(sql, given)]


def event(cx: Connection, sequence: int, id_prefix: str) -> StoredEvent | None:
    row = cx.execute(f"{_EVENT} WHERE e.sequence = ?", (sequence,)).fetchone()
    return None if row is None else rows.event(row, id_prefix)


def newest_values(cx: Connection, key: int, id_prefix: str) -> list[StoredEvent]:
    """The newest meter values and stops of a charge point, in order, by its index: those of the sessions after the
    last one that recorded its end."""
    sql = f"""{_EVENT} WHERE e.sequence IN
        (SELECT sequence FROM event WHERE charge_point = ? ORDER BY sequence DESC LIMIT {NEWEST})
        AND e.epoch > c.latest_epoch AND e.type IN (2, 3) AND length(e.body) <= {NEWEST_BYTES}
        ORDER BY e.sequence DESC LIMIT {NEWEST_VALUES}"""
    found = [rows.event(row, id_prefix) for row in cx.execute(sql, (key,))]
    return found[::-1]


def newest_values_of(cx: Connection, identities: Sequence[str], id_prefix: str) -> dict[str, list[StoredEvent]]:
    if len(identities) > MAX_LIMIT:
        raise ValueError(f"{len(identities)} identities; at most {MAX_LIMIT} can be asked about")
    sql = """SELECT identity, key FROM charge_point WHERE deleted_at IS NULL
        AND identity IN (SELECT value FROM json_each(?))"""
    keys: dict[str, int] = dict(fetch(cx, sql, (orjson.dumps(list(identities)).decode(),)))
    return {identity: found for identity, key in keys.items() if (found := newest_values(cx, key, id_prefix))}

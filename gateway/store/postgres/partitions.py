"""Partitions of the history: made ahead of the sequences that will fall into them, dropped below the floor."""

from collections.abc import Iterable
from datetime import datetime

import structlog

from gateway.store.encoding import to_micros
from gateway.store.postgres.connection import Connection, ServerError
from gateway.store.postgres.lane import SCHEMA_LOCK

AHEAD = 3
"""Partitions beyond the one that is written to: some days, at the pace of the last one."""

NARROWEST, WIDEST = 1 << 36, 1 << 44
"""Sequences of a partition: a million transactions, and 270 million. A quiet gateway's first partition lasts for weeks,
a busy one's for a quarter of an hour, after which its pace is known."""

DAY = 86_400 * 1_000_000
"""Microseconds. What a partition is meant to hold, by the pace since one was made a day ago or longer."""

LOCK_TIMEOUT = "2s"
"""For which dropping a partition waits for reads that are under way. New ones wait behind it, and after this it is
given up until the next time."""

log = structlog.get_logger()


class Partitions:
    """Of one writer's connection, between its batches."""

    def __init__(self) -> None:
        self._renew_at = 0
        self._first_bound = 0

    def due(self, position: int, floor: int) -> bool:
        """Return true if partitions have to be made for sequences from ``position`` on, or can be dropped."""
        return position >= self._renew_at or (0 < self._first_bound <= floor + 1)

    def maintain(self, cx: Connection, at: datetime) -> None:
        """Make the partitions that are missing ahead, and drop those that lie below the floor. One node at a time."""
        cx.send("SELECT pg_advisory_lock($1, 1)", SCHEMA_LOCK)
        cx.sync()
        try:
            self._maintain(cx, at)
        finally:
            cx.roll_back()
            cx.send("SELECT pg_advisory_unlock($1, 1)", SCHEMA_LOCK)
            cx.sync()

    def _maintain(self, cx: Connection, at: datetime) -> None:
        position, floor = cx.one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8 << 16, floor FROM meta")
        known = cx.rows("SELECT bound, name, made_at, made_by FROM event_partition ORDER BY bound")
        bounds = [int(bound) for bound, *_ in known]
        width = _width([(made_at, made_by) for _, _, made_at, made_by in known], to_micros(at), position)
        while sum(bound > position for bound in bounds) <= AHEAD:
            lower = bounds[-1] if bounds else 0
            bounds.append(max(lower, position) + width)
            _make(cx, lower, bounds[-1], to_micros(at), position)
        for bound, name, *_ in known:
            if bound <= floor + 1 and not _drop(cx, bound, name):
                break
            if bound <= floor + 1:
                bounds.remove(bound)
        self._renew_at = bounds[-AHEAD]
        self._first_bound = bounds[0]


def _width(made: Iterable[tuple[int, int]], now: int, position: int) -> int:
    """The number of sequences that a day takes, by the newest partition that was made a day ago, if there is one."""
    old = [(at, by) for at, by in made if at <= now - DAY]
    if not old:
        return NARROWEST
    at, by = max(old)
    return min(max((position - by) * DAY // (now - at), NARROWEST), WIDEST)


def _make(cx: Connection, lower: int, upper: int, at: int, position: int) -> None:
    name = f"event_{lower:x}"
    cx.send("BEGIN")
    cx.run(f"CREATE TABLE {name} (LIKE event INCLUDING DEFAULTS)")
    cx.run(f"ALTER TABLE event ATTACH PARTITION {name} FOR VALUES FROM ({lower}) TO ({upper})")
    cx.send(
        "INSERT INTO event_partition (bound, name, made_at, made_by) VALUES ($1, $2, $3, $4)", upper, name, at, position
    )
    cx.send("COMMIT")
    cx.sync()


def _drop(cx: Connection, bound: int, name: str) -> bool:
    """Drop a partition; False where reads are in the way."""
    try:
        cx.send("BEGIN")
        cx.run(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cx.run(f"DROP TABLE IF EXISTS {name}")
        cx.send("DELETE FROM event_partition WHERE bound = $1", bound)
        cx.send("COMMIT")
        cx.sync()
    except ServerError as error:
        cx.roll_back()
        log.warning("partition not dropped", partition=name, error=str(error))
        return False
    log.info("partition dropped", partition=name)
    return True


_TOTAL = """SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8 FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'meta'::regclass)"""
SIZES = """SELECT p.bound, pg_total_relation_size(p.name::regclass)::int8 FROM event_partition p ORDER BY p.bound"""


def used_bytes(cx: Connection) -> int:
    """Bytes of all tables; of the partition that the floor lies in, the share above the floor."""
    (floor,) = cx.one("SELECT floor FROM meta")
    (head,) = cx.one("SELECT coalesce(max(sequence), 0) FROM event")
    (total,) = cx.one(_TOTAL)
    lower = 0
    for bound, size in cx.rows(SIZES):
        if floor >= lower:
            end = min(bound, max(head, floor) + 1)
            begin = max(lower, _first(cx, lower, bound))
            gone = size if end <= floor + 1 else size * max(floor - begin, 0) // max(end - begin, 1)
            total -= gone
        lower = bound
    return int(total)


def _first(cx: Connection, lower: int, upper: int) -> int:
    """The first sequence of a partition."""
    (first,) = cx.one(
        "SELECT coalesce(min(sequence), $2) FROM event WHERE sequence >= $1 AND sequence < $2", lower, upper
    )
    return int(first)

"""Retention: the oldest events go and the floor rises; what is kept beyond its events goes some time later.

An event goes by age if it, and all that was recorded before it, is old. What a wrong clock has dated says nothing of
its own: a time that lies ahead of now, or before one that retention has passed already. Such events go with the next
one above them that is old by a time of its own, since they happened before that.
"""

from collections.abc import Iterator
from datetime import datetime

import apsw

from gateway.store.ages import MARK_EVERY, TOLERANCE, Times
from gateway.store.commits import Forget, RecordClock, Trimmed
from gateway.store.encoding import to_micros, to_time
from gateway.store.sqlite.audit_notes import forget_audit
from gateway.store.sqlite.event_queries import bounds
from gateway.store.sqlite.selects import fetch, one
from gateway.store.sqlite.writer import Writer

STRETCH = 10_000
"""Events that are looked through for a credible time where none is near: some milliseconds. A clock that was wrong for
longer is jumped over in steps."""

FINISHED = "state NOT IN ('QUEUED', 'SENT')"


def trim(writer: Writer, before: datetime | None, limit: int, now: datetime | None) -> Trimmed:
    """Look at the next ``limit`` events above the floor, at most; those of open transactions stay, the floor passes
    them all the same, and they go when the transaction has ended and its newest event is below the floor."""
    writer.flush()
    cx = writer.cx
    floor, passed = _floor(cx)
    new_floor, newest = _reach(cx, floor, passed, before, limit, now)
    cx.execute(
        """DELETE FROM event WHERE sequence > ? AND sequence <= ?
        AND NOT EXISTS (SELECT 1 FROM txn WHERE txn.key = event.txn AND txn.state = 'OPEN')""",
        (floor, new_floor),
    )
    deleted = cx.changes()
    if new_floor != floor:
        cx.execute("UPDATE meta SET value = ? WHERE name = 'floor'", (new_floor,))
        forget_audit(cx, new_floor)
    if newest != passed:
        cx.execute("UPDATE meta SET value = ? WHERE name = 'floor_time'", (newest,))
    deleted += _clear_transactions(writer, new_floor, limit - deleted)
    return Trimmed(deleted, new_floor)


def _floor(cx: apsw.Connection) -> tuple[int, int]:
    """The floor, and the newest credible time that it has passed."""
    floor, passed = one(
        cx,
        """SELECT (SELECT value FROM meta WHERE name = 'floor'),
        (SELECT value FROM meta WHERE name = 'floor_time')""",
    )
    return int(floor), int(passed)


def _reach(
    cx: apsw.Connection, floor: int, passed: int, before: datetime | None, limit: int, now: datetime | None
) -> tuple[int, int]:
    """Return the sequence that the floor may rise to within ``limit`` events, and the newest credible time passed."""
    times = Times(now, passed)
    rows = fetch(
        cx, "SELECT sequence, received_at FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?", (floor, limit)
    )
    if before is None:
        for _, at in rows:
            times.passes(at)
        return (rows[-1][0] if rows else floor), times.passed
    deadline, new_floor = to_micros(before), floor
    for sequence, at in rows:
        if now is not None and not times.credible(at):
            continue
        if at >= deadline:
            return new_floor, times.passed
        new_floor = sequence
        times.passes(at)
    if rows and new_floor == floor:
        at_last = next(_probes(cx, rows[-1][0], times), None)
        if at_last is not None and at_last < deadline:
            new_floor = rows[-1][0]
    return new_floor, times.passed


def _next(cx: apsw.Connection, floor: int, limit: int) -> list[tuple[int, int]]:
    """Sequence and time of the next events above the floor."""
    sql = "SELECT sequence, received_at FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?"
    return [(sequence, at) for sequence, at in fetch(cx, sql, (floor, limit))]


def _probes(cx: apsw.Connection, after: int, times: Times) -> Iterator[int]:
    """The first credible time within STRETCH events above ``after``; if there is none, those that are found at ever
    larger distances, and that of the newest event: later than need be, but as certain."""
    head, distance = bounds(cx).head, STRETCH
    earliest, latest = times.range
    sql = """SELECT received_at FROM event WHERE sequence > ? AND sequence <= ? AND received_at BETWEEN ? AND ?
        ORDER BY sequence LIMIT 1"""
    found = fetch(cx, sql, (after, after + STRETCH, earliest, latest))
    if found:
        yield int(found[0][0])
    while after < head:
        at = min(after + distance, head)
        found = fetch(cx, "SELECT received_at FROM event WHERE sequence >= ? ORDER BY sequence LIMIT 1", (at,))
        if found and times.credible(found[0][0]):
            yield int(found[0][0])
        if at == head:
            return
        distance *= 2


def oldest_time(cx: apsw.Connection, now: datetime) -> datetime | None:
    """The first credible time above the floor, as ``trim`` sees it; None: there is none."""
    floor, passed = _floor(cx)
    times = Times(now, passed)
    rows = _next(cx, floor, 1)
    found = next((at for _, at in rows if times.credible(at)), None)
    if found is None and rows:
        found = next(_probes(cx, rows[-1][0], times), None)
    return None if found is None else to_time(found)


def _clear_transactions(writer: Writer, floor: int, room: int) -> int:
    """Delete events that stayed while their transaction was open, at most ``room``."""
    cx, deleted = writer.cx, 0
    ended = fetch(
        cx,
        """SELECT key, charge_point, start_sequence, last_sequence FROM txn
        WHERE last_sequence <= ? AND state <> 'OPEN' AND cleared = 0 ORDER BY last_sequence LIMIT ?""",
        (floor, room),
    )
    for key, charge_point, first, last in ended:
        if deleted >= room:
            break
        cx.execute(
            """DELETE FROM event WHERE sequence IN (SELECT sequence FROM event
            WHERE charge_point = ? AND sequence >= ? AND sequence <= ? AND txn = ? LIMIT ?)""",
            (charge_point, first, last, key, room - deleted),
        )
        deleted += cx.changes()
        if deleted < room:
            cx.execute("UPDATE txn SET cleared = 1 WHERE key = ?", (key,))
    return deleted


# --- what outlives its events ---------------------------------------------------------------------------------


def forget(writer: Writer, write: Forget) -> Trimmed:
    """Drop finished commands, operations as commands, and transactions whose events have been gone for long enough, at
    most ``limit`` each."""
    writer.flush()
    cx = writer.cx
    floor, _ = _floor(cx)
    commands, transactions = write.commands_up_to, write.transactions_up_to
    if write.now is not None:
        _mark(cx, write.now, floor)
        commands = max(commands, _floor_at(cx, write.now - write.commands_for))
        transactions = max(transactions, _floor_at(cx, write.now - write.transactions_for))
        longest = write.now - max(write.commands_for, write.transactions_for)
        cx.execute(
            "DELETE FROM floor_mark WHERE at < (SELECT max(at) FROM floor_mark WHERE at <= ?)", (to_micros(longest),)
        )
    cx.execute(
        f"""DELETE FROM command WHERE key IN (SELECT key FROM command
        WHERE last_sequence <= ? AND {FINISHED} ORDER BY last_sequence LIMIT ?)""",  # noqa: S608 - a constant
        (min(commands, floor), write.limit),
    )
    dropped = cx.changes()
    cx.execute(
        """DELETE FROM operation WHERE key IN (SELECT key FROM operation
        WHERE last_sequence <= ? AND ended IS NOT NULL ORDER BY last_sequence LIMIT ?)""",
        (min(commands, floor), write.limit),
    )
    dropped += cx.changes()
    cx.execute(
        """DELETE FROM attribution WHERE transaction_id IN (SELECT transaction_id FROM txn
        WHERE last_sequence <= ? AND state <> 'OPEN' AND cleared = 1 ORDER BY last_sequence LIMIT ?)""",
        (min(transactions, floor), write.limit),
    )
    cx.execute(
        """DELETE FROM txn WHERE key IN (SELECT key FROM txn
        WHERE last_sequence <= ? AND state <> 'OPEN' AND cleared = 1 ORDER BY last_sequence LIMIT ?)""",
        (min(transactions, floor), write.limit),
    )
    return Trimmed(dropped + cx.changes(), floor)


def _mark(cx: apsw.Connection, now: datetime, floor: int) -> None:
    at = to_micros(now)
    cx.execute("DELETE FROM floor_mark WHERE at > ?", (at + TOLERANCE,))
    last = cx.execute("SELECT at, floor FROM floor_mark ORDER BY at DESC LIMIT 1").fetchone()
    if last is None or (floor > last[1] and now >= to_time(last[0]) + MARK_EVERY):
        cx.execute("INSERT OR REPLACE INTO floor_mark VALUES (?, ?)", (at, floor))


def _floor_at(cx: apsw.Connection, at: datetime) -> int:
    """Return the floor of that time, as far as it was noted."""
    (found,) = one(cx, "SELECT coalesce(max(floor), 0) FROM floor_mark WHERE at <= ?", (to_micros(at),))
    return int(found)


def crowded_out(cx: apsw.Connection, count: int) -> tuple[int, int]:
    """Up to which sequence there are more than ``count`` newer commands, and transactions, without events; 0: fewer."""
    floor, _ = _floor(cx)

    def behind(table: str, condition: str) -> int:
        found = fetch(
            cx,
            f"""SELECT last_sequence FROM {table} WHERE last_sequence <= ? AND {condition}
            ORDER BY last_sequence DESC LIMIT 1 OFFSET ?""",  # noqa: S608 - constants
            (floor, count),
        )
        return int(found[0][0]) if found else 0

    return behind("command", FINISHED), behind("txn", "state <> 'OPEN'")


def record_clock(writer: Writer, write: RecordClock) -> None:
    """Remember what is known of the clock. Where it begins anew, so do the times since which events have been gone."""
    record, cx = write.record, writer.cx
    cx.execute(
        "INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?, ?, ?)",
        (to_micros(record.seen_at), int(record.doubted), record.reason, record.steady_seconds, record.head),
    )
    if write.ages_anew:
        floor, _ = _floor(cx)
        cx.execute("DELETE FROM floor_mark")
        cx.execute("INSERT INTO floor_mark VALUES (?, ?)", (to_micros(record.seen_at), floor))

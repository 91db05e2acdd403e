"""Retention: the oldest events go and the floor rises; what is kept beyond its events goes some time later.

Nothing is deleted from the history. What lies at or below the floor is gone for every read, and its room is free once
its partition is dropped. Events of open transactions are copied before that.

An event goes by age if it, and all that was recorded before it, is old. What a wrong clock has dated says nothing of
its own: a time that lies ahead of now, or before one that retention has passed already. Such events go with the next
one above them that is old by a time of its own, since they happened before that.
"""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Iterator
from datetime import datetime

from gateway.store.ages import MARK_EVERY, TOLERANCE, Times
from gateway.store.commits import Forget, RecordClock, Trimmed
from gateway.store.encoding import to_micros, to_time
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.history import bounds
from gateway.store.postgres.writer import Writer

STRETCH = 10_000
"""Events that are looked through for a credible time where none is near: some milliseconds. A clock that was wrong for
longer is jumped over in steps."""

FINISHED = "state NOT IN ('QUEUED', 'SENT')"

_COLUMNS = (
    "sequence, received_at, reported_at, epoch, txn, charge_point, type, version, reported_raw, flags, cause, body"
)

_NEXT = "SELECT sequence, received_at FROM event WHERE sequence > $1 ORDER BY sequence LIMIT $2"


def trim(writer: Writer, before: datetime | None, limit: int, now: datetime | None) -> Trimmed:
    """Look at the next ``limit`` events above the floor, at most; those of open transactions stay, the floor passes
    them all the same, and they go when the transaction has ended and its newest event is below the floor."""
    writer.flush()
    cx = writer.cx
    floor, passed = _floor(cx)
    new_floor, newest, among = _reach(cx, floor, passed, before, limit, now)
    kept = cx.send(
        f"""INSERT INTO event_kept ({_COLUMNS}) SELECT {_COLUMNS} FROM event WHERE sequence > $1 AND sequence <= $2
        AND EXISTS (SELECT 1 FROM txn WHERE txn.number = event.txn AND txn.state = 'OPEN')""",
        floor,
        new_floor,
    )
    cx.send("UPDATE meta SET floor = $1, floor_time = $2", new_floor, newest)
    if new_floor != floor:
        cx.send("DELETE FROM audit WHERE sequence <= $1", new_floor)
    cx.sync()
    deleted = among - kept.changed
    deleted += _clear_transactions(cx, new_floor, limit - deleted)
    writer.floor = new_floor
    return Trimmed(deleted, new_floor)


def _floor(cx: Connection) -> tuple[int, int]:
    """The floor, and the newest credible time that it has passed."""
    floor, passed = cx.one("SELECT floor, floor_time FROM meta")
    return int(floor), int(passed)


def _reach(
    cx: Connection, floor: int, passed: int, before: datetime | None, limit: int, now: datetime | None
) -> tuple[int, int, int]:
    """Return the sequence that the floor may rise to within ``limit`` events, the newest credible time passed, and how
    many events that is."""
    times = Times(now, passed)
    rows = cx.rows(_NEXT, floor, limit)
    if before is None:
        for _, at in rows:
            times.passes(at)
        return (rows[-1][0] if rows else floor), times.passed, len(rows)
    deadline, new_floor, among = to_micros(before), floor, 0
    for count, (sequence, at) in enumerate(rows, 1):
        if now is not None and not times.credible(at):
            continue
        if at >= deadline:
            return new_floor, times.passed, among
        new_floor, among = sequence, count
        times.passes(at)
    if rows and new_floor == floor:
        at_last = next(_probes(cx, rows[-1][0], times), None)
        if at_last is not None and at_last < deadline:
            new_floor, among = rows[-1][0], len(rows)
    return new_floor, times.passed, among


def _probes(cx: Connection, after: int, times: Times) -> Iterator[int]:
    """The first credible time within STRETCH events above ``after``; if there is none, those that are found at ever
    larger distances, and that of the newest event: later than need be, but as certain.

    The history knows its events by sequences that leave most numbers out: distances are counted in events."""
    head, distance = bounds(cx).head, STRETCH
    earliest, latest = times.range
    sql = """SELECT received_at FROM (SELECT sequence, received_at FROM event WHERE sequence > $1
        ORDER BY sequence LIMIT $2) AS next WHERE received_at BETWEEN $3 AND $4 ORDER BY sequence LIMIT 1"""
    found = cx.rows(sql, after, STRETCH, earliest, latest)
    if found:
        yield int(found[0][0])
    while after < head:
        row = cx.first(f"{_NEXT} OFFSET $3", after, 1, distance - 1)
        at, received = row or cx.one("SELECT sequence, received_at FROM event WHERE sequence = $1", head)
        if times.credible(received):
            yield int(received)
        if at >= head:
            return
        distance *= 2


def oldest_time(cx: Connection, now: datetime) -> datetime | None:
    """The first credible time above the floor, as ``trim`` sees it; None: there is none."""
    floor, passed = _floor(cx)
    times = Times(now, passed)
    rows = cx.rows(_NEXT, floor, 1)
    found = next((at for _, at in rows if times.credible(at)), None)
    if found is None and rows:
        found = next(_probes(cx, rows[-1][0], times), None)
    return None if found is None else to_time(found)


def _clear_transactions(cx: Connection, floor: int, room: int) -> int:
    """Delete events that stayed while their transaction was open, at most ``room``."""
    deleted = 0
    ended = cx.rows(
        """SELECT number, charge_point, start_sequence, last_sequence FROM txn
        WHERE last_sequence <= $1 AND state <> 'OPEN' AND cleared = 0 ORDER BY last_sequence LIMIT $2""",
        floor,
        max(room, 0),
    )
    for number, charge_point, first, last in ended:
        if deleted >= room:
            break
        gone = cx.send(
            """DELETE FROM event_kept WHERE sequence IN (SELECT sequence FROM event_kept
            WHERE charge_point = $1 AND sequence >= $2 AND sequence <= $3 AND txn = $4 LIMIT $5)""",
            charge_point,
            first,
            last,
            number,
            room - deleted,
        )
        cx.sync()
        deleted += gone.changed
        if deleted < room:
            cx.send("UPDATE txn SET cleared = 1 WHERE number = $1", number)
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
        cx.send("DELETE FROM floor_mark WHERE at < (SELECT max(at) FROM floor_mark WHERE at <= $1)", to_micros(longest))
    over = "last_sequence <= $1 AND state <> 'OPEN' AND cleared = 1 ORDER BY last_sequence LIMIT $2"
    up_to = min(commands, floor), min(transactions, floor)
    gone = (
        cx.send(
            f"""DELETE FROM command WHERE command_id IN (SELECT command_id FROM command
            WHERE last_sequence <= $1 AND {FINISHED} ORDER BY last_sequence LIMIT $2)""",
            up_to[0],
            write.limit,
        ),
        cx.send(
            """DELETE FROM operation WHERE operation_id IN (SELECT operation_id FROM operation
            WHERE last_sequence <= $1 AND ended IS NOT NULL ORDER BY last_sequence LIMIT $2)""",
            up_to[0],
            write.limit,
        ),
    )
    cx.send(
        f"DELETE FROM attribution WHERE transaction_id IN (SELECT transaction_id FROM txn WHERE {over})",
        up_to[1],
        write.limit,
    )
    last = cx.send(
        f"DELETE FROM txn WHERE number IN (SELECT number FROM txn WHERE {over})",
        up_to[1],
        write.limit,
    )
    cx.sync()
    return Trimmed(sum(each.changed for each in (*gone, last)), floor)


def _mark(cx: Connection, now: datetime, floor: int) -> None:
    at = to_micros(now)
    cx.send("DELETE FROM floor_mark WHERE at > $1", at + TOLERANCE)
    last = cx.first("SELECT at, floor FROM floor_mark ORDER BY at DESC LIMIT 1")
    if last is None or (floor > last[1] and now >= to_time(last[0]) + MARK_EVERY):
        cx.send(_MARK, at, floor)


_MARK = "INSERT INTO floor_mark (at, floor) VALUES ($1, $2) ON CONFLICT (at) DO UPDATE SET floor = excluded.floor"


def _floor_at(cx: Connection, at: datetime) -> int:
    """Return the floor of that time, as far as it was noted."""
    (found,) = cx.one("SELECT coalesce(max(floor), 0) FROM floor_mark WHERE at <= $1", to_micros(at))
    return int(found)


def crowded_out(cx: Connection, count: int) -> tuple[int, int]:
    """Up to which sequence there are more than ``count`` newer commands, and transactions, without events; 0: fewer."""
    floor, _ = _floor(cx)

    def behind(table: str, condition: str) -> int:
        row = cx.first(
            f"""SELECT last_sequence FROM {table} WHERE last_sequence <= $1 AND {condition}
            ORDER BY last_sequence DESC LIMIT 1 OFFSET $2""",
            floor,
            count,
        )
        return int(row[0]) if row else 0

    return behind("command", FINISHED), behind("txn", "state <> 'OPEN'")


def record_clock(writer: Writer, write: RecordClock) -> None:
    """Remember what is known of the clock. Where it begins anew, so do the times since which events have been gone."""
    record = write.record
    writer.send(
        """INSERT INTO clock (seen_at, doubted, reason, steady_seconds, head) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (single) DO UPDATE SET seen_at = excluded.seen_at, doubted = excluded.doubted,
        reason = excluded.reason, steady_seconds = excluded.steady_seconds, head = excluded.head""",
        to_micros(record.seen_at),
        int(record.doubted),
        record.reason,
        record.steady_seconds,
        record.head,
    )
    if write.ages_anew:
        floor, _ = _floor(writer.cx)
        writer.send("DELETE FROM floor_mark")
        writer.send(_MARK, to_micros(record.seen_at), floor)

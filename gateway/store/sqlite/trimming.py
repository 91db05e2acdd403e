"""One step of retention: the oldest events go, the floor rises, and what only they gave reason to keep goes too."""

from datetime import datetime

from gateway.store.api import Trimmed
from gateway.store.sqlite.books import Books
from gateway.store.sqlite.rows import fetch, one
from gateway.store.sqlite.values import to_micros


def trim(books: Books, before: datetime | None, limit: int) -> Trimmed:
    """Look at the next ``limit`` events above the floor, at most; those of open transactions stay, the floor passes
    them all the same. A finished transaction or command goes when its newest event is below the floor, and with it
    what was left of its events there."""
    books.flush()
    cx = books.cx
    floor = int(one(cx, "SELECT value FROM meta WHERE name = 'floor'")[0])
    new_floor = _reach(books, floor, before, limit)
    cx.execute(
        """DELETE FROM event WHERE sequence > ? AND sequence <= ?
        AND NOT EXISTS (SELECT 1 FROM txn WHERE txn.key = event.txn AND txn.state = 'OPEN')""",
        (floor, new_floor),
    )
    deleted = cx.changes()
    if new_floor != floor:
        cx.execute("UPDATE meta SET value = ? WHERE name = 'floor'", (new_floor,))
    deleted += _drop_transactions(books, new_floor, limit - deleted)
    cx.execute(
        """DELETE FROM command WHERE key IN (SELECT key FROM command
        WHERE last_sequence <= ? AND state NOT IN ('QUEUED', 'SENT') ORDER BY last_sequence LIMIT ?)""",
        (new_floor, limit),
    )
    return Trimmed(deleted, new_floor)


def _reach(books: Books, floor: int, before: datetime | None, limit: int) -> int:
    """How far the floor may rise: up to the first event that is young enough to stay."""
    new_floor = floor
    sql = "SELECT sequence, received_at FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?"
    oldest = fetch(books.cx, sql, (floor, limit))
    deadline = None if before is None else to_micros(before)
    for sequence, received_at in oldest:
        if deadline is not None and received_at >= deadline:
            break
        new_floor = sequence
    return new_floor


def _drop_transactions(books: Books, floor: int, room: int) -> int:
    """Events that stayed while their transaction was open, then the transaction; at most ``room`` events."""
    cx, deleted = books.cx, 0
    ended = fetch(
        cx,
        """SELECT key, charge_point, start_sequence, last_sequence FROM txn
        WHERE last_sequence <= ? AND state <> 'OPEN' ORDER BY last_sequence LIMIT ?""",
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
            cx.execute("DELETE FROM txn WHERE key = ?", (key,))
    return deleted

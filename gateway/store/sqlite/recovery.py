"""Reading what can still be read of a damaged database into a new one: ``python -m gateway.store.sqlite.recovery``.

Tables are read in the order of their keys, without their indexes, which are made anew. Where a stretch can't be read it
is left out, however long it is. The new database is another store: what was lost is not known, so watchers must not go
on behind it, and transaction numbers keep clear of those that chargers may still hold.
"""

import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
from attrs import frozen

from gateway.errors import GatewayError, StoreCorrupt, StoreError
from gateway.store.encoding import INT64_MAX
from gateway.store.limits import CLEAR
from gateway.store.sqlite.connections import mapped, open_writer, trust_log
from gateway.store.sqlite.migrate import check, migrate, scripts
from gateway.store.sqlite.process_lock import ProcessLock
from gateway.store.sqlite.selects import fetch, one

# ruff: noqa: S608 - names of our own tables; what is given is bound

CHUNK = 1_000
"""Rows read at once."""

Row = tuple[Any, ...]


@frozen
class Table:
    """``columns``: those that the damaged database has. ``key``: its primary key, where rows have no numbers."""

    name: str
    columns: str
    key: tuple[str, ...]


def recover(damaged: Path, recovered: Path) -> dict[str, int]:
    """Make ``recovered``, which must not be there yet, of what can be read of ``damaged``, which is left as it is and
    must not be served meanwhile. Answers the rows read of each table.

    Raises ``StoreInUse``; ``StoreCorrupt`` where not even the schema can be read, or it is foreign; ``StoreError``.
    """
    if recovered.exists():
        raise StoreError(f"{recovered} is there already")
    if not damaged.exists():
        raise StoreError(f"{damaged} is not there")
    ownership = ProcessLock(damaged.resolve())
    try:
        source = apsw.Connection(str(damaged), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            source.execute("PRAGMA query_only = ON")
            return _copy(source, damaged, recovered)
        finally:
            source.close(True)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreCorrupt(f"{damaged} can't be recovered, restore a backup: {error}") from error
    except apsw.Error as error:
        raise mapped(error, damaged) from error
    finally:
        ownership.release()


def _copy(source: apsw.Connection, damaged: Path, recovered: Path) -> dict[str, int]:
    check(source, damaged, len(scripts()))
    target = open_writer(recovered)
    try:
        trust_log(target)
        migrate(target, recovered, datetime.now(UTC))
        target.execute("PRAGMA foreign_keys = OFF")
        counts = {}
        for table in _tables(source, target):
            rows = _by_key(source, table) if table.key else _by_rowid(source, table)
            counts[table.name] = _fill(target, table, rows)
        with target:
            _begin_anew(target)
        return counts
    finally:
        target.close()


def _tables(source: apsw.Connection, target: apsw.Connection) -> Iterator[Table]:
    """Return the tables that both have: the damaged database may be of an earlier version."""
    listed = fetch(target, "SELECT name, wr FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for name, without_rowid in sorted(listed):
        columns = fetch(target, f"SELECT name, pk FROM pragma_table_info('{name}')")
        present = {column for (column,) in fetch(source, f"SELECT name FROM pragma_table_info('{name}')")}
        if present:
            key = [column for pk, column in sorted((pk, column) for column, pk in columns) if pk]
            shared = ", ".join(column for column, _ in columns if column in present)
            yield Table(name, shared, tuple(key) if without_rowid else ())


def _fill(target: apsw.Connection, table: Table, rows: Iterator[Sequence[Row]]) -> int:
    """Insert rows; those that a constraint forbids are damage that could be read, and are left out."""
    count = 0
    for chunk in rows:
        marks = ", ".join("?" * len(chunk[0]))
        with target:
            for row in chunk:
                try:
                    target.execute(f"INSERT OR REPLACE INTO {table.name} ({table.columns}) VALUES ({marks})", row)
                except (apsw.ConstraintError, apsw.MismatchError):
                    continue
                count += 1
    return count


def _by_rowid(source: apsw.Connection, table: Table) -> Iterator[Sequence[Row]]:
    after = -1
    while after < INT64_MAX:
        rows, last, damaged = _chunk(source, table, after)
        if rows:
            yield rows
        if damaged:
            after = _behind(source, table, last)
        elif not rows:
            return
        else:
            after = last


def _chunk(source: apsw.Connection, table: Table, after: int) -> tuple[list[Row], int, bool]:
    """The next rows, the last one's rowid, and whether they ended in damage."""
    rows: list[Row] = []
    sql = f"SELECT rowid, {table.columns} FROM {table.name} NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT ?"
    try:
        # Not what is greater than ``after``: SQLite would look for that on the page of ``after``, which may be damaged.
        for rowid, *row in source.execute(sql, (after + 1, CHUNK)):
            rows.append(tuple(row))
            after = rowid
    except apsw.CorruptError:
        return rows, after, True
    return rows, after, False


def _behind(source: apsw.Connection, table: Table, after: int) -> int:
    """The least rowid from which on something can be read again: by ever longer leaps, then by halving the last."""
    leap = 1
    while after + leap < INT64_MAX and not _readable(source, table, after + leap):
        leap *= 2
    low, high = after + leap // 2, min(after + leap, INT64_MAX)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _readable(source, table, middle) else (middle, high)
    return high


def _readable(source: apsw.Connection, table: Table, after: int) -> bool:
    rows, _, damaged = _chunk(source, table, after)
    return bool(rows) or not damaged


def _by_key(source: apsw.Connection, table: Table) -> Iterator[Sequence[Row]]:
    """Small tables: from the front up to the damage, then from the back down to it."""
    for direction in ("ASC", "DESC"):
        rows: list[Row] = []
        order = ", ".join(f"{column} {direction}" for column in table.key)
        damaged = False
        try:
            for row in source.execute(f"SELECT {table.columns} FROM {table.name} ORDER BY {order}"):
                rows.append(row)  # one by one: what comes before an error counts
        except apsw.CorruptError:
            damaged = True
        if rows:
            yield rows
        if not damaged:
            return


def _begin_anew(target: apsw.Connection) -> None:
    """Another store, whose numbers and epochs are beyond everything that can have been given out."""
    (given,) = one(target, "SELECT coalesce(max(number), 0) FROM txn")
    (known,) = one(target, "SELECT value FROM meta WHERE name = 'next_number'")
    target.execute("UPDATE meta SET value = ? WHERE name = 'next_number'", (max(given + 1, known) + CLEAR,))
    target.execute("UPDATE meta SET value = ? WHERE name = 'store_id'", (f"store_{uuid.uuid4().hex}",))
    target.execute("UPDATE charge_point SET epoch = epoch + ?", (CLEAR,))
    target.execute("DELETE FROM generation")


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit code."""
    if len(arguments) != 2:
        print("usage: python -m gateway.store.sqlite.recovery DAMAGED.db RECOVERED.db", file=sys.stderr)
        return 2
    try:
        os.umask(0o077)  # the copy is no more for others to read than the database is
        counts = recover(Path(arguments[0]), Path(arguments[1]))
    except GatewayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for table, count in counts.items():
        print(f"{table}: {count} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

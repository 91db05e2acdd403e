"""Checks that a database is sound, as far as that is possible at start without keeping chargers waiting.

Damage is found for certain only by reading everything, which takes minutes for a year's history. What every decision
rests on (charge points, transactions, idTags) is small and read first; the history is read for as long as there is
time. Damage that is not found here is found when its page is next read.
"""

import time
from pathlib import Path

import apsw
import structlog

from gateway.store.sqlite.selects import fetch

CHECK_SECONDS = 0.4
"""A restart is an outage for every charger, of 1.5 s in all for a hundred thousand of them. What decisions rest on is
read in 0.1 s then; what a year's history has beyond that would not be read in two seconds either."""

RECOVERY_CHECK_SECONDS = 10.0
"""While `gateway recover` runs no charger is served anyway, and what it is given is from elsewhere: a backup, say."""

STEPS = 10_000
"""SQLite's steps between looks at the clock: less than a millisecond."""

LARGE = ("command", "txn", "event")
"""Read last."""

_WAY_OUT = (
    "Keep a copy of it with its -wal file, then restore a backup, or recover what can be read; docs/store.md says how"
)
DAMAGED = "the database {path} is damaged or not a database ({error}). " + _WAY_OUT
"""Of a database that can't be opened; where there is a log of another one, with ``OTHER_LOG``."""
OTHER_LOG = (
    ". If you put a backup beside the -wal of the database before, nothing was changed, and they don't fit: "
    "remove {name}-wal and {name}-shm, then run `gateway recover`"
)
FOUND_DAMAGED = "the database {path} is damaged ({error}): nothing more is written to it. Stop the gateway. " + _WAY_OUT
"""Of a database in use."""

log = structlog.get_logger()


def check_files(path: Path) -> None:
    """Raise apsw's ``CorruptError`` for an empty database with a log: SQLite would delete the log and begin a new
    database, but it is what a copy or a restore that went wrong leaves behind. (It never is what a power cut leaves:
    the log is begun after the database's first page is on disk.)"""
    log_file = path.with_name(path.name + "-wal")
    try:
        empty = path.stat().st_size == 0 and log_file.stat().st_size > 0
    except FileNotFoundError:
        return
    if empty:
        raise apsw.CorruptError("the file is empty, its log is not")


def check_pages(cx: apsw.Connection, path: Path, seconds: float = CHECK_SECONDS) -> None:
    """Read the tables and their indexes for at most so long. Raises apsw's ``CorruptError`` for damage found."""
    names = [name for (name,) in fetch(cx, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    until = time.monotonic() + seconds
    cx.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        for name in sorted(names, key=lambda name: LARGE.index(name) if name in LARGE else -1):
            _check(cx, name)
    except apsw.InterruptError:
        log.info("database too large to be checked whole at start", path=str(path), seconds=seconds)
    finally:
        cx.set_progress_handler(None)


def _check(cx: apsw.Connection, table: str) -> None:
    try:
        found = [row for (row,) in fetch(cx, f"PRAGMA quick_check('{table}')") if row != "ok"]
    except apsw.CorruptError as error:
        found = [str(error)]
    if found:
        raise apsw.CorruptError(f"table {table}: {found[0].splitlines()[-1]}")

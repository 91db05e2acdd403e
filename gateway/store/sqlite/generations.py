"""Generations of a database: proof that it is the one served here, and what makes a restored one safe to serve.

``verify`` refuses a database that was replaced; ``begin`` starts a generation at each start; ``recover`` takes a
restored or copied database over, as another store whose numbers and epochs keep clear of all that was given out.
"""

import secrets
import uuid
from pathlib import Path
from urllib.parse import quote

import apsw
import attrs
import structlog
from attrs import frozen

from gateway.errors import StoreCorrupt, StoreError, StoreReplaced
from gateway.store.api import Generation
from gateway.store.limits import CLEAR, MAX_NUMBER
from gateway.store.sqlite.companion import Companion, companion_path, read_companion, write_companion
from gateway.store.sqlite.connections import mapped, open_writer, trust_log
from gateway.store.sqlite.event_queries import bounds
from gateway.store.sqlite.integrity import RECOVERY_CHECK_SECONDS, check_pages
from gateway.store.sqlite.migrate import check, migrate, scripts
from gateway.store.sqlite.process_lock import ProcessLock
from gateway.store.sqlite.selects import fetch, one
from gateway.store.wall_clock import utc_now

WAL_HEADER_VERSION = b"\x02"
"""At offset 18 of a database that keeps a write-ahead log. What ``VACUUM INTO`` makes has 1 there."""

WAY_OUT = (
    "Stop here unless you restored or copied it on purpose; if you did, `gateway recover` makes it safe to serve "
    "(docs/store.md, Restoring)"
)

log = structlog.get_logger()


# --- before SQLite opens it -----------------------------------------------------------------------------------


def check_presence(path: Path) -> None:
    """Raise ``StoreReplaced`` where there is no database beside a companion: a new one would begin its numbers and
    epochs anew."""
    if (not path.exists() or path.stat().st_size == 0) and read_companion(path) is not None:
        raise StoreReplaced(
            f"the database {path} that was served here is not there. Restore a backup and run `gateway recover`; or "
            f"remove {companion_path(path)} to begin with an empty one (docs/store.md, Restoring)"
        )


def has_log(path: Path) -> bool:
    """Return true if the log beside a database holds anything."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def alone(path: Path, vfs: str | None) -> tuple[str, int] | None:
    """Store id and newest generation in the database's file without its log; None where there is no log, or the file
    alone says nothing (its checkpoint may have been cut short).

    Raises ``StoreReplaced`` where the log is certainly another database's.
    """
    if not path.exists() or not has_log(path):
        return None
    with path.open("rb") as file:
        header = file.read(19)
    if header.startswith(b"SQLite format 3\x00") and header[18:] not in (b"", WAL_HEADER_VERSION):
        raise foreign_log(path)
    try:
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        cx = apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags=flags, vfs=vfs)
        try:
            (store_id,) = one(cx, "SELECT value FROM meta WHERE name = 'store_id'")
            (token,) = one(cx, "SELECT token FROM generation ORDER BY number DESC LIMIT 1")
        finally:
            cx.close(True)
    except (apsw.Error, ValueError):
        return None
    return (store_id, token) if isinstance(store_id, str) and isinstance(token, int) else None


def foreign_log(path: Path) -> StoreReplaced:
    """The error of a database beside the log of another."""
    return StoreReplaced(
        f"the database {path} was replaced, and {path.name}-wal beside it belongs to the one before: remove "
        f"{path.name}-wal and {path.name}-shm, then run `gateway recover` (docs/store.md, Restoring)"
    )


# --- once it is open ------------------------------------------------------------------------------------------


def read_state(cx: apsw.Connection) -> Companion | None:
    """Return the state that a companion would record of this database; None: it is empty. Of any schema version."""
    if not _has(cx, "meta"):
        return None
    found = fetch(cx, "SELECT value FROM meta WHERE name = 'store_id'")
    if not found:
        return None
    (number,) = one(cx, "SELECT value FROM meta WHERE name = 'next_number'")
    return Companion(str(found[0][0]), (_token(cx),), bounds(cx).head, int(number))


def _has(cx: apsw.Connection, table: str) -> bool:
    return bool(fetch(cx, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,)))


def _token(cx: apsw.Connection) -> int:
    if not _has(cx, "generation"):
        return 0
    found = fetch(cx, "SELECT token FROM generation ORDER BY number DESC LIMIT 1")
    return int(found[0][0]) if found else 0


def verify(cx: apsw.Connection, path: Path) -> None:
    """Raise ``StoreReplaced`` where this database is not the one that was last served here, or an older state of it.
    A companion that is missing or can't be read refuses nothing."""
    why = difference(read_state(cx), read_companion(path))
    if why is not None:
        raise StoreReplaced(f"the database {path} is not the one that was last served here: {why}. {WAY_OUT}")


def verify_log(cx: apsw.Connection, path: Path, without_log: tuple[str, int] | None) -> None:
    """Raise ``StoreReplaced`` where the log is another database's: with it, the database does not know the generation
    that its file alone names (``without_log``: what ``alone`` said)."""
    if without_log is None:
        return
    named = fetch(cx, "SELECT value FROM meta WHERE name = 'store_id'") if _has(cx, "meta") else []
    known = fetch(cx, "SELECT token FROM generation") if _has(cx, "generation") else []
    store_id, token = without_log
    if (store_id,) not in named or (token,) not in known:
        raise foreign_log(path)


def difference(state: Companion | None, last: Companion | None) -> str | None:
    """Return the reason why a database can't be the one that a companion was written for, as it was then or later."""
    if last is None:
        return None
    if state is None:
        return "it is empty, or another program's"
    if state.store_id != last.store_id:
        return f"it is {state.store_id}, and {last.store_id} was"
    if state.generations[0] not in last.generations:
        return "it is an older state of it, or was served elsewhere meanwhile"
    if state.head < last.head:
        return f"its history ends at {state.head}, and had reached {last.head}"
    if state.next_number < last.next_number:
        return f"its next transaction number is {state.next_number}, and was {last.next_number}"
    return None


def begin(cx: apsw.Connection, path: Path, vfs: str | None) -> tuple[Generation, ...]:
    """Begin a generation; all that there are then, the first one first.

    The companion knows the new generation before the database has it: a kill in between leaves a pair that fits.
    Where the companion can't be written, or the database takes no more, the last generation goes on.
    """
    state = read_state(cx)
    assert state is not None, "it has been migrated"
    token = 1 + secrets.randbelow(2**63 - 1)
    try:
        write_companion(
            path, Companion(state.store_id, (*state.generations, token), state.head, state.next_number), vfs
        )
        with cx:
            cx.execute("INSERT INTO generation (token, first_sequence) VALUES (?, ?)", (token, state.head + 1))
        _settle_in(cx)
        write_companion(path, attrs.evolve(state, generations=(token,)), vfs)
    except (apsw.CorruptError, apsw.NotADBError):
        raise
    except apsw.Error as error:
        log.warning("generation not begun", path=str(path), error=str(error))
    rows = fetch(cx, "SELECT token, first_sequence FROM generation ORDER BY number")
    return tuple(Generation(token, first) for token, first in rows)


def _settle_in(cx: apsw.Connection) -> None:
    """Bring the generation into the database's own file, so that a log of another database shows (``alone``); then
    leave out what no token can name any more. Nothing is left out while the file alone may still name it."""
    pages, written = cx.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    if pages != written:
        return  # a reader of another process is in the way
    floor = bounds(cx).floor
    # What is left out is overwritten: a page that a power cut tears never names it again.
    cx.execute("PRAGMA secure_delete = ON")
    with cx:
        cx.execute(
            """DELETE FROM generation WHERE number IN (SELECT number FROM (SELECT number, first_sequence,
            lead(first_sequence) OVER (ORDER BY number) AS next FROM generation)
            WHERE next IS NOT NULL AND (next = first_sequence OR next <= ?))""",
            (floor,),
        )
    cx.execute("PRAGMA secure_delete = OFF")


# --- taking over what was restored ----------------------------------------------------------------------------


@frozen
class Recovered:
    """Result of ``recover``. ``why``: what did not fit; empty if everything did and it was done all the same."""

    why: str
    old_id: str
    store_id: str
    next_number: int


def recover(path: Path, *, snapshot: bool = False, with_log: bool = False) -> Recovered | None:
    """Make a database that was restored or copied safe to serve: a new store id, so that every resume token of before
    is refused, and event ids differ; transaction numbers and epochs CLEAR beyond all that is known. None: it is the one
    that was last served here, nothing was changed. ``snapshot``: also then, for the whole folder was put back.
    ``with_log``: the log beside it was copied together with it, and belongs to it.

    Raises ``StoreInUse`` while it is served, ``StoreReplaced`` where the log is another database's, ``StoreCorrupt``,
    ``StoreUnavailable``, and ``StoreError`` where there is none. Whenever it is killed it can be run again.
    """
    path = path.resolve()
    if not path.exists() or path.stat().st_size == 0:
        raise StoreError(f"{path}: there is no database to recover; put the backup there first")
    ownership = ProcessLock(path)
    try:
        without_log = alone(path, None)
        certain = with_log or not has_log(path)
        cx = open_writer(path)
        try:
            recovered = _recover(cx, path, without_log, snapshot, certain)
            trust_log(cx)
            return recovered
        finally:
            cx.close(True)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreCorrupt(f"the database {path} is damaged or not a database ({error})") from error
    except apsw.Error as error:
        raise mapped(error, path) from error
    finally:
        ownership.release()


def _recover(
    cx: apsw.Connection, path: Path, without_log: tuple[str, int] | None, snapshot: bool, certain: bool
) -> Recovered | None:
    verify_log(cx, path, without_log)  # else it would become part of the database
    check_pages(cx, path, RECOVERY_CHECK_SECONDS)
    check(cx, path, len(scripts()))
    last, state = read_companion(path), read_state(cx)
    if state is None:
        raise StoreError(f"{path} is an empty database; put the backup there first")
    why = difference(state, last)
    if last is None:
        why = f"there is no {companion_path(path).name} beside it"
    if why is None and not snapshot:
        return None
    if why is not None and not certain:
        raise StoreReplaced(
            f"{path.name}-wal lies beside the database {path}, and may belong to another. If you put the database back "
            f"without it, remove {path.name}-wal and {path.name}-shm; if you copied both together, add --with-log"
        )
    migrate(cx, path, utc_now())
    store_id, token = f"store_{uuid.uuid4().hex}", 1 + secrets.randbelow(2**63 - 1)
    (given,) = one(cx, "SELECT coalesce(max(number), 0) FROM txn")
    number = max(given + 1, state.next_number, 1 if last is None else last.next_number) + CLEAR
    if number > MAX_NUMBER:
        raise StoreError(f"{path}: no transaction numbers are left above {number - CLEAR}")
    with cx:
        cx.execute("UPDATE meta SET value = ? WHERE name = 'store_id'", (store_id,))
        cx.execute("UPDATE meta SET value = ? WHERE name = 'next_number'", (number,))
        cx.execute("UPDATE charge_point SET epoch = epoch + ?", (CLEAR,))
        cx.execute("DELETE FROM generation")
        cx.execute("INSERT INTO generation (token, first_sequence) VALUES (?, 1)", (token,))
    cx.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    write_companion(path, Companion(store_id, (token,), state.head, number))
    return Recovered(why or "", state.store_id, store_id, number)

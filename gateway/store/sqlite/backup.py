"""Backups of the database: made while it is served, proven whole, and put back by way of ``generations.recover``.

A backup is one moment's state in one file without a log, made by ``VACUUM INTO`` in a read transaction: no writer waits
for it, and the log grows while it runs. Until it is whole, proven and on disk it has another name, so that a file of
a backup's name is one, whatever ends the process meanwhile.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import apsw
import structlog
from attrs import frozen

from gateway.errors import StoreCorrupt, StoreError, StoreUnavailable
from gateway.store.sqlite import migrate
from gateway.store.sqlite.connections import mapped, open_reader
from gateway.store.sqlite.generations import Recovered, has_log, read_state, recover
from gateway.store.sqlite.process_lock import ProcessLock

PARTIAL: Final = ".partial"
"""Ends the name of a copy that is not finished; the next one of the same name overwrites it."""

log = structlog.get_logger()

COPY_BYTES: Final = 1024 * 1024
"""Copied at once when a backup is put back."""


@frozen
class Backup:
    """A backup that is whole. ``head``: its newest event; ``schema``: the version of its schema."""

    path: Path
    size: int
    store_id: str
    schema: int
    head: int


@frozen
class Restored:
    """Result of ``restore``. ``kept``: where the database of before lies, None if there was none. ``recovered``: None
    where the backup was the very state that was last served here."""

    backup: Backup
    kept: Path | None
    recovered: Recovered | None


def back_up(database: Path, target: Path) -> Backup:
    """Write a backup of ``database``, which may be served meanwhile, to ``target``, which must not be there. It is its
    owner's alone (0600).

    Raises ``StoreCorrupt`` where the database is damaged, another program's or of a newer version, ``StoreUnavailable``
    where a disk is full or fails, ``StoreError`` where there is no database, or something of the target's name.
    """
    database, target = database.resolve(), target.absolute()
    if not database.exists():
        raise StoreError(f"{database}: there is no database")
    if target.exists():
        raise StoreError(f"{target}: is there already; a backup overwrites nothing")
    if not target.parent.is_dir():
        raise StoreError(f"{target.parent}: no such folder")
    with _new_file(target) as partial, _errors(database):
        source = open_reader(database)
        try:
            migrate.check(source, database, len(migrate.scripts()))
            source.execute("PRAGMA query_only = OFF")  # the statement writes, though not to this database
            source.execute("VACUUM INTO ?", (str(partial),))
        finally:
            source.close(True)
        examine(partial)
    return examine(target, pages=False)


def examine(path: Path, *, pages: bool = True) -> Backup:
    """Look at a backup. With ``pages`` it is read whole, which takes as long as reading it takes.

    Raises ``StoreCorrupt`` where it is damaged, another program's or of a newer version, ``StoreError`` where it is no
    backup.
    """
    if not path.is_file():
        raise StoreError(f"{path}: is no file")
    if has_log(path):
        raise StoreError(f"{path}: has a log beside it ({path.name}-wal), so it is no backup but a database in use")
    with _errors(path):
        flags = apsw.SQLITE_OPEN_READONLY
        cx = apsw.Connection(str(path), flags=flags)
        try:
            schema = migrate.check(cx, path, len(migrate.scripts()))
            found = cx.execute("PRAGMA quick_check(1)").get if pages else "ok"
            if found != "ok":
                raise StoreCorrupt(f"{path} is damaged: {found}")
            state = read_state(cx)
        finally:
            cx.close(True)
    if state is None:
        raise StoreError(f"{path}: holds no database of a gateway")
    return Backup(path, path.stat().st_size, state.store_id, schema, state.head)


def look_before_restore(backup: Path, database: Path) -> Backup:
    """Look for all that would refuse a restore, as it can be known before; return the backup, which was read whole.
    Nothing is changed. Raises as ``restore``."""
    backup, database = backup.resolve(), database.resolve()
    if backup == database:
        raise StoreError(f"{backup}: is the database itself; `gateway recover` makes what lies there safe to serve")
    ProcessLock(database).release()
    _want_room(backup, database)
    return examine(backup)


def restore(backup: Path, database: Path, now: datetime, looked: Backup | None = None) -> Restored:
    """Put a backup in the place of ``database``, which must not be served, and make it safe to serve. What was there
    before is kept beside it, under another name. ``looked``: what ``look_before_restore`` has found; it is not read
    whole once more.

    Killed on its way, it leaves nothing that a start would serve: it can be run again, or, once the backup is in its
    place, ``recover``. Raises as ``examine`` and ``recover`` do, ``StoreInUse``, and ``StoreUnavailable`` where there
    is no room for it.
    """
    found = looked or look_before_restore(backup, database)
    backup, database = backup.resolve(), database.resolve()
    ownership = ProcessLock(database)
    try:
        if examine(backup, pages=False) != found:
            raise StoreError(f"{backup}: has changed since it was looked at")
        partial = database.with_name(database.name + PARTIAL)
        with _errors(database):
            _copy(backup, partial)
        kept = _put_aside(database, now)
        partial.replace(database)
        _sync_folder(database.parent)
    except OSError as error:
        raise StoreUnavailable(f"{database}: {error.strerror or error}") from error
    finally:
        ownership.release()
    return Restored(found, kept, recover(database))


def _want_room(backup: Path, database: Path) -> None:
    """Raise ``StoreUnavailable`` where the copy does not fit beside the database, which stays under another name."""
    try:
        needed, free = backup.stat().st_size, shutil.disk_usage(database.parent).free
    except OSError:
        return  # found, and said better, by what follows
    if free < needed:
        raise StoreUnavailable(f"{database.parent}: the backup takes {needed:,} bytes, and {free:,} are free")


def keep_before_upgrade(cx: apsw.Connection, database: Path) -> Path | None:
    """Before a new version changes the schema: keep a copy of the database as it is, beside it, to go back to; return
    it. None: the schema is the present one, or there is nothing yet. Copies of earlier upgrades go, once it is there.

    Raises ``StoreUnavailable`` where there is no room for it.
    """
    newest = len(migrate.scripts())
    version = migrate.check(cx, database, newest)
    if version in (0, newest):
        return None
    target = upgrade_copy(database, version)
    free = shutil.disk_usage(database.parent).free
    needed = int(cx.pragma("page_size")) * int(cx.pragma("page_count"))
    if free < needed and not target.exists():
        raise StoreUnavailable(
            f"the database {database} has schema version {version}, and is to be brought to {newest}; the copy to go "
            f"back to takes {needed:,} bytes, and {free:,} are free. Make room, or set store.upgrade_copy = false"
        )
    target.unlink(missing_ok=True)  # of an upgrade that did not come to its end
    with _new_file(target) as partial:
        cx.execute("VACUUM INTO ?", (str(partial),))
    for earlier in database.parent.glob(f"{database.name}-schema-*"):
        if earlier != target:
            earlier.unlink(missing_ok=True)
    return target


def upgrade_copy(database: Path, version: int) -> Path:
    """Return the path of the copy that is kept of a database before its schema was changed from that version."""
    return database.with_name(f"{database.name}-schema-{version}")


def upgrade(cx: apsw.Connection, database: Path, now: datetime, *, copy: bool) -> None:
    """Bring the schema up to the present version, keeping a copy of before if ``copy``. Raises as ``migrate``, too."""
    kept = keep_before_upgrade(cx, database) if copy else None
    if kept is not None:
        log.info("the schema is brought to a new version; the database of before is kept", copy=str(kept))
    migrate.migrate(cx, database, now)


# --- files ----------------------------------------------------------------------------------------------------


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """Yield a path to write to; it gets ``target``'s name when it is written and on disk, and goes otherwise."""
    partial = target.with_name(target.name + PARTIAL)
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        yield partial
        _sync(partial)
        partial.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise StoreUnavailable(f"{target}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with source.open("rb") as read, os.fdopen(descriptor, "wb") as written:
        shutil.copyfileobj(read, written, COPY_BYTES)
        written.flush()
        os.fsync(written.fileno())


def _put_aside(database: Path, now: datetime) -> Path | None:
    """Give the database of before, and its log, another name; where it has been put."""
    name = f"{database.name}-replaced-{now:%Y%m%dT%H%M%SZ}"
    kept = database.with_name(name)
    wal = database.with_name(database.name + "-wal")
    found = database.exists()
    if found:
        database.rename(kept)
    if wal.exists():
        # A log belongs to the file of its name, so that both can be opened together.
        wal.rename(kept.with_name(f"{name}-wal"))
    database.with_name(database.name + "-shm").unlink(missing_ok=True)
    return kept if found else None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    _sync(folder)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """The project's errors for those of SQLite."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreCorrupt(f"{path} is damaged or not a database ({error})") from error
    except apsw.Error as error:
        raise mapped(error, path) from error

"""Connections to the database file: how they are set up, a bounded pool for readers, and apsw's errors mapped once."""

import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from gateway.errors import StoreError, StoreUnavailable
from gateway.store.api import READS_AT_ONCE

BUSY_TIMEOUT = 5_000
"""Milliseconds. Only this process writes; a checkpoint or a backup holds a lock for far less."""

WRITER_CACHE = 64 * 1024
READER_CACHE = 4 * 1024
"""KiB. The writer appends to one index leaf per charge point: 18,000 leaves of 4 KiB."""

WAL_LIMIT = 64 * 1024 * 1024
"""Bytes. What the log is cut back to after a burst."""


REWRITE_BYTES = 64 * 1024
"""Read and written at once; SQLite's own VFS takes less than 128 KiB."""

MAX_READERS = READS_AT_ONCE
"""Each costs READER_CACHE and three file handles."""

READER_WAIT = 10.0
"""Seconds a read waits for a connection before the store counts as unavailable."""


def mapped(error: apsw.Error, path: Path) -> StoreError:
    """The project's error for one of apsw's. ``StoreUnavailable``: the store can't, now; plain ``StoreError``: the
    statement can't be, which is a bug of the one who asked and not the store's state."""
    match error:
        case apsw.FullError():
            return StoreUnavailable(f"no room for the database {path}: the disk or its quota is full")
        case apsw.ReadOnlyError():
            return StoreUnavailable(f"the database {path} can't be written: read-only file or file system")
        case apsw.CantOpenError() | apsw.PermissionsError() | apsw.AuthError():
            return StoreUnavailable(f"the database {path} can't be opened: {error}")
        case apsw.CorruptError() | apsw.NotADBError():
            return StoreUnavailable(f"the database {path} is damaged ({error}); docs/store.md says how to recover")
        case (
            apsw.ConstraintError()
            | apsw.MismatchError()
            | apsw.RangeError()
            | apsw.TooBigError()
            | apsw.SQLError()
            | apsw.MisuseError()
            | apsw.BindingsError()
        ):
            return StoreError(f"the database {path} can't take that: {error}")
        case _:
            return StoreUnavailable(f"the database {path} failed: {type(error).__name__}: {error}")


def _set_up(cx: apsw.Connection, cache: int) -> None:
    cx.set_busy_timeout(BUSY_TIMEOUT)
    # A plan is made once and kept. Without this SQLite (built with STAT4) looks at the values of parameters for its
    # plans, and makes them anew with each new value: a dozen times as long as the statement takes.
    cx.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    cx.execute(f"PRAGMA cache_size = -{cache}")
    cx.execute("PRAGMA temp_store = MEMORY")
    cx.execute("PRAGMA trusted_schema = OFF")
    cx.execute("PRAGMA cell_size_check = ON")


def rewrite_log(path: Path, vfs: str | None = None) -> None:
    """Write the log of a database once more as it is, and sync it, before SQLite recovers from it.

    When a sync fails the system may keep what it could not write, marked as written. A commit that failed so looks
    whole to the next reader of the log; SQLite would go on behind it, and with the next power cut this part of the
    log, and with it everything acknowledged behind it, is gone. What is written anew is synced anew. (While the
    connection lives there is no such danger: the next commit takes the failed one's place.)

    There must be no writer meanwhile; readers may be reading. Raises apsw's errors.
    """
    flags = [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE, 0]
    if not path.with_name(path.name + "-wal").exists():
        return
    log = apsw.VFSFile(vfs or "", f"{path}-wal", flags)
    try:
        size = log.xFileSize()
        for offset in range(0, size, REWRITE_BYTES):
            log.xWrite(log.xRead(min(REWRITE_BYTES, size - offset), offset), offset)
        log.xSync(apsw.SQLITE_SYNC_NORMAL)
    finally:
        log.xClose()


def open_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """The one connection that writes, by the VFS of that name (None: SQLite's own). Raises apsw's errors.

    Until ``trust_log``, closing it leaves database and log as they are: they may not belong together.
    """
    rewrite_log(path, vfs)
    if vfs is None and not path.exists():
        # Verifiers of keys, and who charged when, are private to this process; the log takes the database's own mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    cx = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=200)
    try:
        cx.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        _set_up(cx, WRITER_CACHE)
        mode = cx.pragma("journal_mode", "wal")
        if mode != "wal":
            raise apsw.CantOpenError(f"journal_mode is {mode}: this file system offers no shared memory for a log")
        cx.execute("PRAGMA synchronous = FULL")
        cx.execute("PRAGMA foreign_keys = ON")
        cx.wal_autocheckpoint(0)  # ``checkpoints`` sees to that, and to whether it works
        cx.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    except BaseException:
        cx.close(True)
        raise
    return cx


def trust_log(cx: apsw.Connection) -> None:
    """The log was found to be the database's own: closing the connection brings it into the database's file."""
    cx.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection that only reads. (Opened for writing: a reader of a log keeps its marks in shared memory.)"""
    cx = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs, statementcachesize=100)
    try:
        _set_up(cx, READER_CACHE)
        cx.execute("PRAGMA query_only = ON")
    except BaseException:
        cx.close(True)
        raise
    return cx


class ReaderPool:
    """At most MAX_READERS connections, lent to one thread at a time, opened when first needed."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self._path = path
        self._vfs = vfs
        self._idle: queue.LifoQueue[apsw.Connection] = queue.LifoQueue()
        self._free = threading.Semaphore(MAX_READERS)
        self._closed = False

    @contextmanager
    def connection(self, *, transaction: bool = True) -> Iterator[apsw.Connection]:
        """A connection inside one read transaction: all that is read through it is one moment's state; or outside of
        one, for who reads one statement to its end.

        Raises ``StoreUnavailable`` when the store is closed, all connections stay taken, or SQLite fails.
        """
        if not self._free.acquire(timeout=READER_WAIT):
            raise StoreUnavailable(f"no read connection to {self._path} became free within {READER_WAIT:g} s")
        try:
            yield from self._lend(transaction)
        except apsw.Error as error:
            raise mapped(error, self._path) from error
        finally:
            self._free.release()

    def _lend(self, transaction: bool) -> Iterator[apsw.Connection]:
        if self._is_closed():
            raise StoreUnavailable(f"the database {self._path} is closed")
        try:
            cx = self._idle.get_nowait()
        except queue.Empty:
            cx = open_reader(self._path, self._vfs)
        try:
            if transaction:
                cx.execute("BEGIN")
            yield cx
            if transaction:
                cx.execute("COMMIT")
        except BaseException:
            cx.close(True)  # Whatever state it is in, the next reader starts on a fresh one.
            raise
        self._idle.put_nowait(cx)
        if self._is_closed():  # meanwhile, by another thread
            self._close_idle()

    def _is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Close the idle ones now and the others when they come back."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        while True:
            try:
                self._idle.get_nowait().close(True)
            except queue.Empty:
                return

"""A bounded pool of connections for readers, lent to one thread at a time."""

import queue
import threading
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

from gateway.errors import StoreUnavailable
from gateway.store.api import READS_AT_ONCE
from gateway.store.postgres.connection import Broken, Connection, ServerError, mapped
from gateway.store.postgres.hosts import Hosts
from gateway.store.postgres.patience import Patience

P = ParamSpec("P")
R = TypeVar("R")

READER_WAIT = 10.0
"""Seconds a read waits for a connection before the store counts as unavailable."""

TRIES: Final = READS_AT_ONCE + 3
"""Of one read: all idle connections may have broken, and a server may go more than once."""

READER_SETTINGS: Final = (
    "SET default_transaction_read_only = on",
    "SET statement_timeout = '10s'",
    "SET idle_in_transaction_session_timeout = '10s'",
)
"""A page takes milliseconds; a read that takes seconds has lost its caller (``journal.COMMIT_DEADLINE``)."""

_CONFIRMED: Final = "SELECT pg_logical_emit_message(true, 'gateway', '')::text"
"""Something to commit, which needs no table and no rights: it is answered when a standby has it, and all before it."""

_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class ReaderPool:
    """At most READS_AT_ONCE connections, opened when first needed. A server that restarts is waited for."""

    def __init__(self, hosts: Hosts, patience: Patience, *, replicated: bool = False) -> None:
        """``replicated``: a connection reads nothing before a standby has all that its server has. A primary that was
        restarted shows what was still waiting for that, and would be without it when the standby takes over."""
        self._replicated = replicated
        self._hosts = hosts
        self._patience = patience
        self._place = hosts.place
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._free = threading.Semaphore(READS_AT_ONCE)
        self._closed = False

    def read(
        self, snapshot: bool, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """The result of ``query(connection, …)``. ``snapshot``: all that it reads is of one moment.

        Raises ``StoreUnavailable`` when the store is closed, all connections stay taken, or the server fails.
        """
        if not self._free.acquire(timeout=READER_WAIT):
            raise StoreUnavailable(f"no read connection to {self._place} became free within {READER_WAIT:g} s")
        try:
            why = ""
            for _ in range(TRIES):
                cx = self._take() or self._reached()
                try:
                    result = _run(cx, snapshot, query, *args, **kwargs)
                except Broken as error:
                    cx.close()
                    why = str(error)
                    continue  # it broke while it was idle, say; those that are left may have, too
                except ServerError as error:
                    self._undo(cx)
                    raise mapped(error, self._place) from error
                except BaseException:
                    self._undo(cx)
                    raise
                self._give_back(cx)
                return result
            raise StoreUnavailable(f"the database {self._place} can't be read: {why}")
        finally:
            self._free.release()

    def act(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a statement that may change something, and is a transaction of its own: a process that is
        stopped holds nothing of it. As ``read``."""

        def writing(cx: Connection) -> R:
            cx.send("SET default_transaction_read_only = off")
            cx.sync()
            try:
                return query(cx, *args, **kwargs)
            finally:
                cx.send("SET default_transaction_read_only = on")
                cx.sync()

        return self.read(False, writing)

    def _take(self) -> Connection | None:
        """A connection that was used before, if there is one."""
        if self._closed:
            raise StoreUnavailable(f"the database {self._place} is closed")
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return None

    def _reached(self) -> Connection:
        """A new connection, within the patience."""
        why = ""
        for until in self._patience.attempts():
            try:
                cx = self._connected(until)
            except (Broken, ServerError) as error:
                why = str(error)
            else:
                self._patience.reached()
                return cx
        raise StoreUnavailable(f"the database {self._place} can't be reached: {why}")

    def _connected(self, until: float) -> Connection:
        cx = self._hosts.connect(until)
        try:
            if self._replicated:
                cx.send("SET synchronous_commit = on")
                cx.rows(_CONFIRMED)
                if cx.warnings:
                    raise Broken(f"no standby has confirmed what is there: {'; '.join(cx.warnings)}")
            for each in READER_SETTINGS:
                cx.send(each)
            cx.sync()
        except BaseException:
            cx.close()
            raise
        return cx

    def _undo(self, cx: Connection) -> None:
        try:
            cx.roll_back()
        except (Broken, ServerError):
            cx.close()
        else:
            self._give_back(cx)

    def _give_back(self, cx: Connection) -> None:
        self._idle.put_nowait(cx)
        if self._closed:  # meanwhile, by another thread
            self._close_idle()

    def close(self) -> None:
        """Close the idle ones now and the others when they come back."""
        self._closed = True
        self._patience.end()
        self._close_idle()

    def _close_idle(self) -> None:
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return


def _run(
    cx: Connection,
    snapshot: bool,
    query: Callable[Concatenate[Connection, P], R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    if not snapshot:
        return query(cx, *args, **kwargs)
    cx.send(_BEGIN)
    result = query(cx, *args, **kwargs)
    cx.send("COMMIT")
    cx.sync()
    return result

"""A look at a server of PostgreSQL for `gateway doctor`: facts that SQL shows to a user without privileges."""

# ruff: noqa: S608 - statements are put together from constants of this module

from collections.abc import Callable
from datetime import datetime
from typing import Final

from attrs import frozen

from gateway.errors import GatewayError, StoreError
from gateway.store.postgres.connection import Broken, Connection, ServerError, place_of, with_password
from gateway.store.postgres.migrate import check, migrations

LOOKED_AT: Final = 20
"""Standbys, slots and prepared transactions that are listed at most: a server has a few."""

_FACTS: Final = """SELECT current_setting('server_version'), pg_database_size(current_database()),
    current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8,
    (SELECT coalesce(sum(numbackends), 0)::int8 FROM pg_stat_database), pg_is_in_recovery(),
    current_setting('synchronous_standby_names') <> '', current_setting('fsync') = 'on',
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
    coalesce(host(inet_server_addr()), ''),
    (SELECT max(age(datfrozenxid))::int8 FROM pg_database),
    (SELECT max(extract(epoch FROM clock_timestamp() - xact_start))::float8 FROM pg_stat_activity
     WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid())"""
_CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"
_STANDBYS: Final = f"""SELECT coalesce(application_name, ''), coalesce(sync_state, ''), coalesce(state, ''),
    coalesce(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn), 0)::int8
    FROM pg_stat_replication ORDER BY 1 LIMIT {LOOKED_AT}"""
_SLOTS: Final = f"""SELECT slot_name::text,
    coalesce(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn), 0)::int8
    FROM pg_replication_slots WHERE NOT active ORDER BY 2 DESC LIMIT {LOOKED_AT}"""
_PREPARED: Final = f"""SELECT gid::text, extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts ORDER BY prepared LIMIT {LOOKED_AT}"""
_HIDDEN: Final = """SELECT backend_xid::text FROM pg_stat_activity
    WHERE backend_xid IS NOT NULL AND xact_start IS NULL AND pid <> pg_backend_pid()"""
"""Transactions of other users that write: that they are there is shown to everyone, and since when is not."""
_COMMIT: Final = "SELECT pg_logical_emit_message(true, 'gateway', '')::text"
"""A commit that changes nothing: it is in the write-ahead log alone."""


@frozen
class Standby:
    """``confirms``: commits wait for it; ``shown``: this user may see what it does. ``behind``: bytes of the log."""

    name: str
    confirms: bool
    shown: bool
    behind: int


@frozen
class ServerLook:
    """``tables``: the gateway's are there. ``room``: connections that are left. ``local``: on this machine.
    ``oldest_seconds``: for which the oldest transaction that writes has run, of those that are shown to this user.
    ``clock_ahead``: seconds by which the server's clock is ahead of this machine's, to ``clock_doubt``.
    ``commits``: seconds that each took; ``waited``: for a standby, too; ``flushes``: they are written to disk."""

    place: str
    version: str
    tables: bool
    size_bytes: int
    room: int
    standby: bool
    wants_standby: bool
    encrypted: bool
    local: bool
    id_age: int
    oldest_seconds: float | None
    clock_ahead: float
    clock_doubt: float
    standbys: tuple[Standby, ...] = ()
    idle_slots: tuple[tuple[str, int], ...] = ()
    """Replication slots that no standby uses, each with the bytes of the log that it keeps."""
    prepared: tuple[tuple[str, float], ...] = ()
    """Prepared transactions, each with its age in seconds."""
    hidden: int = 0
    """Transactions that write and whose age is not shown to this user, there from the look's beginning to its end."""
    commits: tuple[float, ...] = ()
    waited: bool = False
    flushes: bool = True

    @property
    def confirming(self) -> tuple[str, ...]:
        """Names of standbys that confirm commits."""
        return tuple(each.name for each in self.standbys if each.confirms)

    @property
    def hides_standbys(self) -> bool:
        """True if there are standbys, and what they do is not shown to this user."""
        return any(not each.shown for each in self.standbys)


def look(
    url: str, password: str, now: Callable[[], datetime], measure: Callable[[], float], commits: int
) -> ServerLook:
    """Look at a database's server, and time so many commits. ``measure``: seconds. Raises ``StoreError``."""
    place = place_of(url)
    try:
        cx = Connection(with_password(url, password))
        try:
            return _look(cx, place, now, measure, commits)
        finally:
            cx.close()
    except Broken as error:
        raise StoreError(f"the database {place} can't be reached: {error}") from error
    except ServerError as error:
        raise StoreError(f"the database {place} can't be looked at: {error}") from error


def _look(
    cx: Connection, place: str, now: Callable[[], datetime], measure: Callable[[], float], commits: int
) -> ServerLook:
    hidden = {xid for (xid,) in cx.rows(_HIDDEN)}
    version, size, most, used, recovers, wants, flushes, encrypted, address, id_age, oldest = cx.one(_FACTS)
    before = now().timestamp()
    (server,) = cx.one(_CLOCK)
    after = now().timestamp()
    clock = server - (before + after) / 2, (after - before) / 2
    local = address in ("", "127.0.0.1", "::1")
    prepared = tuple((gid, age) for gid, age in cx.rows(_PREPARED))
    try:
        tables = bool(check(cx, place, len(migrations())))
    except GatewayError:  # a fault that the settings' check names
        tables = True
    if recovers:
        return ServerLook(
            place, version, tables, size, most - used, True, wants, encrypted, local, id_age, oldest, *clock
        )
    standbys = tuple(
        Standby(name, state == "streaming" and sync in ("sync", "quorum"), bool(state), behind)
        for name, sync, state, behind in cx.rows(_STANDBYS)
    )
    waits = any(each.confirms for each in standbys)
    if not waits:  # else a commit would wait for a standby that may never come
        cx.rows("SET synchronous_commit = local")
    seconds = []
    for _ in range(commits):
        began = measure()
        cx.rows(_COMMIT)
        seconds.append(measure() - began)
    return ServerLook(
        place, version, tables, size, most - used, False, wants, encrypted, local, id_age, oldest, *clock,
        standbys=standbys,
        idle_slots=tuple((name, kept) for name, kept in cx.rows(_SLOTS)),
        prepared=prepared,
        hidden=len(hidden & {xid for (xid,) in cx.rows(_HIDDEN)}),
        commits=tuple(seconds),
        waited=waits,
        flushes=flushes,
    )  # fmt: skip

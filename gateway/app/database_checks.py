"""Findings of `gateway doctor` about a database on PostgreSQL, from one look at its server."""

from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, Final

from gateway.app.checks import Check, Level
from gateway.app.settings.sections import StoreSettings
from gateway.store.api import READS_AT_ONCE

if TYPE_CHECKING:
    from gateway.store.postgres.server_look import ServerLook

CONNECTIONS: Final = READS_AT_ONCE + 2
"""Of one process: its readers, its writer, and one more while that is made anew."""

SLOW_COMMIT_SECONDS: Final = 0.02
"""In the middle: a good disk and a standby near by take 0.5 to 10 ms, and every answer to a charger waits for one."""

HELD_SECONDS: Final = 5.0
"""For which a transaction may run: the watchers of events wait for it."""

OLD_IDS: Final = 500_000_000
"""Transactions since the oldest row that is not frozen: the alert's bound, a quarter of what there is."""

CLOCK_SECONDS: Final = 2.0
"""Between the clocks: leases of nodes are by the database's, times of chargers and certificates by this machine's."""

KEPT_BYTES: Final = 1_000_000_000
"""Of the write-ahead log, by a replication slot that no standby uses: it grows until the disk is full."""


def checks(found: "ServerLook", store: StoreSettings) -> Iterator[Check]:
    """All findings, in the order in which they are best mended."""
    yield from _database(found)
    yield from _standbys(found, store)
    yield from _commits(found, store)
    yield from _horizon(found)
    yield from _disk(found)
    yield _clock(found)


def _database(found: "ServerLook") -> Iterator[Check]:
    made = "" if found.tables else "; the first start makes its tables"
    text = f"{found.place}: PostgreSQL {found.version}, {found.size_bytes:,} bytes{made}"
    yield Check("database", Level.OK, text)
    if not found.encrypted and not found.local:
        text = f"{found.place}: the connection is not encrypted: sslmode=verify-full in store.url demands it"
        yield Check("database", Level.WARNING, text)
    if found.room < CONNECTIONS:
        text = f"{found.room} connections are left on the server, and a process takes {CONNECTIONS} (max_connections)"
        yield Check("connections", Level.WARNING, text)
    else:
        text = f"{found.room} are left on the server; a process takes {CONNECTIONS}"
        yield Check("connections", Level.OK, text)


def _standbys(found: "ServerLook", store: StoreSettings) -> Iterator[Check]:
    if found.standby:
        return  # an error of the settings
    names = ", ".join(found.confirming)
    if not found.wants_standby and store.durability == "replicated":
        text = "none has to confirm commits (synchronous_standby_names), and store.durability asks for one"
        yield Check("standby", Level.ERROR, text)
    elif not found.wants_standby:
        yield Check("standby", Level.OK, "none has to confirm commits: they are on the server's disk alone")
    elif names:
        yield Check("standby", Level.OK, f"commits are confirmed by {names}")
    elif found.hides_standbys:
        text = "what standbys do is not shown to this user (GRANT pg_read_all_stats): whether one confirms is not known"
        yield Check("standby", Level.WARNING, text)
    else:
        text = "none confirms commits at this moment (synchronous_standby_names): nothing could be acknowledged"
        yield Check("standby", Level.ERROR, text)


def _commits(found: "ServerLook", store: StoreSettings) -> Iterator[Check]:
    if not found.commits:
        return
    if not found.flushes:
        text = "none is written to disk before it is answered (fsync is off): how long it takes says nothing"
        yield Check("commits", Level.ERROR, text)
        return
    middle, longest = median(found.commits), max(found.commits)
    where = "with its standby" if found.waited else "on the server's disk alone"
    text = f"a commit {where} takes {middle * 1000:.1f} ms, the longest of {len(found.commits)} took"
    text += f" {longest * 1000:.1f}"
    if longest > store.commit_deadline_seconds:
        yield Check("commits", Level.ERROR, f"{text}: longer than store.commit_deadline_seconds")
    elif middle > SLOW_COMMIT_SECONDS:
        yield Check("commits", Level.WARNING, f"{text}: every answer to a charger waits for one")
    else:
        yield Check("commits", Level.OK, text)


def _horizon(found: "ServerLook") -> Iterator[Check]:
    """Look for what holds up watchers, and freezing."""
    good = True
    for gid, seconds in found.prepared:
        good = False
        text = f"the prepared transaction {gid} is {seconds:,.0f} s old: watchers wait for it (ROLLBACK PREPARED)"
        yield Check("horizon", Level.WARNING, text)
    if found.oldest_seconds is not None and found.oldest_seconds > HELD_SECONDS:
        good = False
        text = f"a transaction that writes has run for {found.oldest_seconds:,.0f} s: watchers wait for it"
        yield Check("horizon", Level.WARNING, text)
    if found.hidden:
        good = False
        text = f"transactions of other users that write: {found.hidden}. Watchers wait for them; since when they run is"
        yield Check("horizon", Level.WARNING, f"{text} not shown to this user (GRANT pg_read_all_stats)")
    if found.id_age > OLD_IDS:
        good = False
        text = f"{found.id_age:,} transactions since the oldest row that is not frozen: see docs/operations.md"
        yield Check("horizon", Level.WARNING, text)
    if good:
        yield Check("horizon", Level.OK, f"no transaction holds up watchers; {found.id_age:,} ids are not frozen")


def _disk(found: "ServerLook") -> Iterator[Check]:
    if found.standby:
        return
    kept = [f"{name} keeps {size:,} bytes" for name, size in found.idle_slots if size > KEPT_BYTES]
    if kept:
        text = f"replication slots that no standby uses fill it with the write-ahead log: {', '.join(kept)}"
        yield Check("disk", Level.WARNING, text)
    else:
        yield Check("disk", Level.OK, "its room is not to be seen from here: watch it on the server")


def _clock(found: "ServerLook") -> Check:
    text = f"the database's is {found.clock_ahead:+.2f} s from this machine's (to {found.clock_doubt:.2f} s)"
    if abs(found.clock_ahead) - found.clock_doubt > CLOCK_SECONDS:
        text += ": one of them is wrong. Nodes go by the database's, chargers by this machine's"
        return Check("clock", Level.WARNING, text)
    return Check("clock", Level.OK, text)

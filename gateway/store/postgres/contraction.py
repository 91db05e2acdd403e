"""Contraction of the schema: refused while a node lives that can't use what it leaves, and closed to one that comes.

A process holds its slot's lock before it looks at the schema. So either it has the lock when the contracting process
looks, and counts until it has said which version it knows; or it gets the lock later, and looks at the schema after the
contraction, for that look waits: a start's for the migrations, a new connection's for the contraction.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog
from attrs import frozen

from gateway.errors import StoreInUse
from gateway.store.nodes import SILENCE_SECONDS
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.lane import HOLD_SECONDS, PAUSE, SCHEMA_LOCK, SLOT_LOCK, lock_session

CONTRACTION_KEY: Final = 4
"""Beside SCHEMA_LOCK: of a contraction; a node's look at the schema over a new connection shares it."""

WAIT_SECONDS = SILENCE_SECONDS + 1.0
"""For which a contraction waits for leases that run out, for starts that go on and for silent nodes that wake, before
it ends the connections of the silent ones or is refused."""

_MIGRATIONS_KEY: Final = 0

log = structlog.get_logger()

_LIVING: Final = f"""WITH locks AS MATERIALIZED (
        SELECT pid, classid::int8 AS class, objid::int8 AS number, granted FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
    held AS (SELECT number AS slot, pid, EXISTS (SELECT 1 FROM locks w WHERE w.pid = l.pid AND NOT w.granted
        AND w.class = {SCHEMA_LOCK} AND w.number = {_MIGRATIONS_KEY}) AS waits
        FROM locks l WHERE granted AND class = {SLOT_LOCK}),
    said AS (SELECT node AS slot, backend_pid, address, version, {SILENCE_SECONDS}
            - extract(epoch FROM clock_timestamp() - seen_at)::float8 AS lease,
        CASE WHEN to_jsonb(n) ->> 'knows_holder' = to_jsonb(n) ->> 'holder' THEN (to_jsonb(n) ->> 'knows')::int8
        ELSE 0 END AS knows FROM node n)
    SELECT slot, held.pid IS NOT NULL, held.pid IS NOT NULL AND backend_pid IS DISTINCT FROM held.pid, address, version,
        lease FROM said FULL JOIN held USING (slot)
    WHERE slot <> $1 AND held.waits IS NOT TRUE AND (held.pid IS NOT NULL OR lease > 0)
    AND (knows < $2 OR backend_pid IS DISTINCT FROM coalesce(held.pid, backend_pid)) ORDER BY slot"""  # noqa: S608
"""The columns of a later schema are asked for by name, for they may not be there yet. One that waits for the migrations
has not looked at the schema; the slot's lease is its predecessor's, which can't have the slot any more."""


_END_SILENT: Final = f"""SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    JOIN node n ON n.node = l.objid::int8 WHERE l.locktype = 'advisory' AND l.granted AND l.classid::int8 = {SLOT_LOCK}
    AND a.datname = current_database() AND l.database = a.datid AND n.node = ANY ($1)
    AND a.wait_event IS DISTINCT FROM 'SyncRep' AND a.wait_event_type IS DISTINCT FROM 'Lock'
    AND n.seen_at < clock_timestamp() - make_interval(secs => {SILENCE_SECONDS})"""  # noqa: S608
"""As living nodes end silent ones (``gateway.store.postgres.nodes``): where there is no other node, this one does."""


@frozen
class OlderNode:
    """A slot whose process can't live with a contraction, or has not said yet whether it can."""

    slot: int
    connected: bool
    """Whether its process holds the slot; else its lease has not run out, and it may connect again."""
    starting: bool
    """Whether its process has the slot's lock and has not written to the slot's row: that is its predecessor's."""
    address: str | None
    version: str | None
    lease_seconds: float | None
    """Until its lease runs out, by the database's clock; negative: for so long it has been over."""

    @property
    def silent(self) -> bool:
        """True if its process hangs, as far as can be seen: it holds the slot, and its lease is over."""
        return self.connected and not self.starting and self.lease_seconds is not None and self.lease_seconds <= 0

    def __str__(self) -> str:
        if self.starting:
            return f"slot {self.slot} (a gateway that is starting or connecting)"
        text = f"slot {self.slot} ({self.address or 'no name'}, version {self.version or 'unknown'}"
        if self.silent:
            assert self.lease_seconds is not None, "it is over"
            text += f", silent for {SILENCE_SECONDS - self.lease_seconds:.0f} s"
        if not self.connected:
            text += f", not connected, its lease is over in {self.lease_seconds:.0f} s"
        return f"{text})"


def older_nodes(cx: Connection, slot: int, needed: int) -> list[OlderNode]:
    """Living nodes of the other slots that do not know the schema's version ``needed``."""
    return [OlderNode(*row) for row in cx.rows(_LIVING, slot, needed)]


def refusal(place: str, version: int, needed: int, migration: int, found: Sequence[OlderNode]) -> str:
    """The reason for which a contraction is refused, and what to do."""
    return (
        f"the database {place} has schema version {version}, and migration {migration} takes away what gateways still "
        f"use that do not know version {needed}. Such gateways are alive: {', '.join(map(str, found))}. Nothing was "
        f"changed. Stop them, or upgrade them to a version of the gateway that knows version {needed} and does not "
        "take away itself; then start this one again"
        + (" (one that is silent hangs: end its process)" if any(each.silent for each in found) else "")
    )


@contextmanager
def contracting(cx: Connection, place: str, slot: int, version: int, needed: int, migration: int) -> Iterator[None]:
    """Keep all that can't live with a contraction from coming meanwhile. Waits a while for what may be over soon; then
    the connections of older nodes that were silent all the time are ended, and should such a node wake, it finds the
    schema contracted and writes nothing any more. Raises ``StoreInUse`` while older nodes are alive."""
    deadline, ended = time.monotonic() + WAIT_SECONDS, False
    while True:
        lock_session(cx, False, SCHEMA_LOCK, CONTRACTION_KEY, _changed(place), time.monotonic() + HOLD_SECONDS)
        try:
            found = older_nodes(cx, slot, needed)
            if not found:
                yield
                return
        finally:
            _unlock(cx, shared=False)
        if any(each.connected and not each.starting and not each.silent for each in found):
            raise StoreInUse(refusal(place, version, needed, migration, found))
        if time.monotonic() >= deadline:
            if ended or not all(each.silent for each in found):
                raise StoreInUse(refusal(place, version, needed, migration, found))
            log.warning("connections of silent older nodes ended, for a migration", nodes=list(map(str, found)))
            cx.rows(_END_SILENT, Array("int4", [each.slot for each in found]))
            deadline, ended = time.monotonic() + HOLD_SECONDS, True
        time.sleep(PAUSE)


@contextmanager
def not_contracting(cx: Connection, place: str, until: float) -> Iterator[None]:
    """Keep the schema from being contracted, for a look at it by a connection that holds its slot. Raises
    ``StoreInUse`` where that takes longer than until then (monotonic), or HOLD_SECONDS."""
    lock_session(cx, True, SCHEMA_LOCK, CONTRACTION_KEY, _changed(place), min(until, time.monotonic() + HOLD_SECONDS))
    try:
        yield
    finally:
        _unlock(cx, shared=True)


def _changed(place: str) -> str:
    return f"the schema of the database {place} is being looked at or changed by"


def _unlock(cx: Connection, *, shared: bool) -> None:
    cx.roll_back()
    cx.send(f"SELECT pg_advisory_unlock{'_shared' if shared else ''}($1, $2)", SCHEMA_LOCK, CONTRACTION_KEY)
    cx.sync()

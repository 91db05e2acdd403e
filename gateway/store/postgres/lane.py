"""The lane that one process writes through: a slot, its lock, its fence, and whether a batch was kept.

The slot is held by a lock of the writer's connection for as long as that lives, and every batch holds the lane's lock,
taken before the transaction has an id: of two transactions with the lane's lock the later one has the larger id, so its
sequences are larger. Who takes the slot raises its incarnation; a writer of an earlier one is fenced for good.
"""

import math
import secrets
import time
from typing import Final

from attrs import define, field, frozen

from gateway.errors import StoreInUse, StoreUnavailable
from gateway.store.nodes import Notice
from gateway.store.postgres.connection import Answer, Connection

SLOT: Final = 1
"""Of a gateway that is alone on its database."""

SLOT_LOCK, LANE_LOCK, SCHEMA_LOCK = 0x4F43_5001, 0x4F43_5002, 0x4F43_5003
"""Classes of advisory locks: of a slot's process, of its batches (a number of the slot beside each), of migrations."""

DATABASE_LOCK: Final = 0x4F43_5007
"""Of the database's processes: nodes share it, a gateway that is alone does not."""

HOLD_SECONDS = 5.0
"""For which a start waits for the slot: the server may not have noticed yet that the process before was killed."""

PAUSE = 0.1
"""Seconds between two looks at whether the slot is free."""

WRITER_SETTINGS: Final = (
    "SET synchronous_commit = on",
    "SET statement_timeout = 0",
    "SET lock_timeout = 0",
    "SET idle_in_transaction_session_timeout = '10s'",
    "SET default_transaction_isolation = 'read committed'",
)
"""What a commit promises rests on the first. A batch waits for nothing of this process between its statements, so a
transaction that is idle for seconds is of a process that was stopped, and holds up all watchers."""

BEGIN: Final = "BEGIN"
LOCK: Final = f"SELECT pg_advisory_xact_lock({LANE_LOCK}, $1)"
FENCE: Final = "SELECT fence($1, $2, $3, $4)"
SHARED_SETTING: Final = "SET idle_in_transaction_session_timeout = '2s'"
"""Of a node: others wait for its lane."""

COMMIT: Final = "COMMIT"
FENCED: Final = "GW001"
"""SQLSTATE of ``fence``."""


class SlotLost(StoreUnavailable):
    """The slot is another's: another process has had it since this one took it, or other nodes have ended this one."""


class CommitsLost(SlotLost):
    """The database has lost what it had acknowledged: a restart begins anew."""


@frozen
class Kept:
    """The fate of a batch whose commit was not answered: in the database or not, and where its sequences begin."""

    kept: bool
    position: int


@define(eq=False)
class Lane:
    """One process's hold on a slot. Not for several threads at once."""

    slot: int
    shared: bool = False
    """Whether other nodes write to the database, too."""
    incarnation: int = 0
    batch: int = 0
    notices: int = 0
    """The newest that was seen."""
    found: list[Notice] = field(factory=list)
    """Of other nodes, not shown yet. As many as come between two batches."""
    rung: set[int] = field(factory=set)
    """Slots that notices were left for."""
    acknowledged: int = 0
    """The last batch whose commit was answered."""
    _holder: int = 0
    _tried: tuple[int, int] = (0, 0)
    """Incarnation and holder of a taking that was not answered."""
    _fence: Answer | None = None

    def take(self, cx: Connection, place: str, address: str, version: str, knows: int) -> Kept:
        """Take the slot that this connection holds, at the start or after a connection that broke; answers what became
        of the last batch. ``knows``: the newest version of the schema that this program knows. Raises ``SlotLost``
        where another process has had it since this one took it, or a server took over that lacks what was
        acknowledged."""
        cx.send(BEGIN)
        cx.send(LOCK, self.slot)  # what the last batch's server process still does ends before this is had
        cx.sync()
        cx.send("INSERT INTO node (node) VALUES ($1) ON CONFLICT DO NOTHING", self.slot)
        incarnation, batch, position, notices, holder = cx.one(
            "SELECT incarnation, batch, position, notices, holder FROM node WHERE node = $1 FOR UPDATE", self.slot
        )
        if self.incarnation:
            self._require_mine(place, incarnation, holder, batch)
        kept = Kept(bool(self.incarnation) and batch >= self.batch, position)
        self._tried = (incarnation + 1, 1 + secrets.randbelow(2**63 - 1))
        cx.send(
            """UPDATE node SET incarnation = $2, holder = $3, seen_at = clock_timestamp(), backend_pid = $4,
            address = $5, version = $6, draining = false, taken_holder = $3,
            taken_at = CASE WHEN $7 THEN taken_at ELSE clock_timestamp() END, knows = $8, knows_holder = $3
            WHERE node = $1""",
            self.slot,
            *self._tried,
            cx.backend_pid,
            address,
            version,
            bool(self.incarnation),  # it had the slot all the time, and only its connection is another
            knows,
        )
        if not self.incarnation:  # else those that were left meanwhile are yet to be found
            self.notices = notices
        cx.send("DELETE FROM notice WHERE node = $1 AND n <= $2", self.slot, self.notices)
        cx.send(COMMIT)
        cx.sync()
        self.incarnation, self._holder = self._tried
        self.batch = self.acknowledged = batch
        return kept

    def lose(self) -> None:
        """The slot was taken from this process for good; it may be taken anew."""
        self.incarnation = self.batch = self.acknowledged = self._holder = 0
        self._tried = (0, 0)

    def _require_mine(self, place: str, incarnation: int, holder: int, batch: int) -> None:
        """Raise ``SlotLost`` unless the row is as this process left it; its last taking may be there, unanswered."""
        if (incarnation, holder) == self._tried:
            self.incarnation, self._holder = self._tried
        if incarnation < self.incarnation or batch < self.acknowledged:
            raise CommitsLost(
                f"the database {place} has lost commits that were acknowledged: a server has taken over that did not "
                "have them. This gateway writes nothing any more; a restart goes on from what is left"
            )
        if (incarnation, holder) != (self.incarnation, self._holder):
            raise SlotLost(
                f"another gateway has taken slot {self.slot} of the database {place}: this one writes nothing any more"
            )

    def hold(self, cx: Connection, place: str, until: float = math.inf) -> None:
        """Make a new connection a writer's, and lock the slot for the connection's life; until then (monotonic), and no
        longer than HOLD_SECONDS. Raises ``StoreInUse`` where a living process has it, or may not be beside this one."""
        for each in (*WRITER_SETTINGS, SHARED_SETTING) if self.shared else WRITER_SETTINGS:
            cx.send(each)
        deadline = min(time.monotonic() + HOLD_SECONDS, until)
        served = f"of the database {place} is served by"
        lock_session(cx, False, SLOT_LOCK, self.slot, f"slot {self.slot} {served}", deadline)
        lock_session(cx, self.shared, DATABASE_LOCK, 0, f"the database {place} is served by", deadline)

    # --- a batch ---

    def begin(self, cx: Connection) -> None:
        """Queue what begins a batch: the transaction, the lock, and then the fence, by which it gets its id."""
        cx.send(BEGIN)
        cx.send(LOCK, self.slot)
        self.fence(cx)

    def fence(self, cx: Connection) -> None:
        """Queue the statement by which a batch gets its id; all locks were taken before."""
        self.batch += 1
        self._fence = cx.send(FENCE, self.slot, self.incarnation, self.notices, self.batch)

    def commit(self, cx: Connection) -> int:
        """Commit the batch; answers where its sequences begin. It is kept once this returns."""
        cx.send(COMMIT)
        cx.sync()
        self.acknowledged = self.batch
        assert self._fence is not None, "the batch was begun"
        return int(self._fence.rows[0][0])


def lock_session(cx: Connection, shared: bool, kind: int, number: int, why: str, deadline: float) -> None:
    """Take a lock for the connection's life, or until it is unlocked. Raises ``StoreInUse`` where another process has
    one that it can't be beside, until the deadline; ``why`` is what goes before that process in the message."""
    sql = f"SELECT pg_try_advisory_lock{'_shared' if shared else ''}($1, $2)"
    while not cx.one(sql, kind, number)[0]:
        if time.monotonic() >= deadline:
            raise StoreInUse(f"{why} {_holder(cx, kind, number)}")
        time.sleep(PAUSE)


def _holder(cx: Connection, kind: int, number: int) -> str:
    row = cx.first(
        """SELECT pid, coalesce(client_addr::text, 'this machine') FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND granted AND classid::int8 = $1 AND objid::int8 = $2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()""",
        kind,
        number,
    )
    return "another process" if row is None else f"another process, from {row[1]} (server process {row[0]})"

"""Write-side cache and insert batching for the single writer connection: one database transaction at a time.

A batch's events are gathered and inserted together at its end, so that a message costs one row, and one of its charge
point's memory, and no query: who owns a charge point and which transactions are open is remembered. Ends of connections
are gathered, too, for they come by the thousand. That is sound because no other process writes (``process_lock``) and
everything remembered is forgotten when a batch is rolled back.
"""

from collections.abc import Sequence
from itertools import chain, starmap
from typing import Any

import apsw
from attrs import define, field

from gateway.domain.codec import encode
from gateway.domain.events import ChargePointDisconnected, NewEvent, TransactionEnergyChanged
from gateway.domain.repeats import REMEMBERED, Memory
from gateway.store.commits import Committed
from gateway.store.encoding import to_micros, to_words
from gateway.store.rows import MEMORY, UNKNOWN_TRANSACTION, memory, memory_row
from gateway.store.sqlite.audit_notes import noted
from gateway.store.sqlite.event_queries import bounds
from gateway.store.sqlite.projections import PROJECTIONS, End, disconnected
from gateway.store.sqlite.selects import fetch
from gateway.store.sqlite.transaction_projections import heard

MAX_REMEMBERED = 100_000
"""Charge points: several times what one gateway serves, some 30 MB at worst."""

MAX_REMEMBERED_TRANSACTIONS = 64
"""Open ones of one charge point: several times the connectors of the largest post."""

_COLUMNS = """sequence, charge_point, epoch, type, version, txn, received_at, reported_at, reported_raw, flags, cause,
    body"""
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SIZES = (64, 32, 16, 8, 4, 2, 1)
_INSERTS = {n: f"INSERT INTO event ({_COLUMNS}) VALUES {', '.join([_ROW] * n)}" for n in _SIZES}  # noqa: S608
_MEMORIES = {n: f"INSERT OR REPLACE INTO memory VALUES {', '.join(['(?, ?, ?, ?, ?, ?)'] * n)}" for n in _SIZES}  # noqa: S608
"""By the number of rows. Each step of a statement lets go of the interpreter's lock and has to wait for it again, up to
a switch interval where Trio's thread is busy: a batch of seven takes three steps, one of hundreds a few more."""


@define
class Owner:
    """A charge point as the writer needs it for every message. ``present`` False: deleted."""

    key: int
    identity: str
    epoch: int
    present: bool
    open: dict[str, int] = field(factory=dict)
    """Open transactions to their keys, as far as they were looked up."""
    memory: Memory | None = None
    """None: not read yet."""


class Writer:
    """One writer connection's state. Not for several threads at once."""

    def __init__(self, cx: apsw.Connection) -> None:
        self.cx = cx
        self.head = bounds(cx).head
        self._types: dict[str, int] = dict(fetch(cx, "SELECT name, code FROM event_type"))
        self._owners: dict[str, Owner] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._memories: dict[int, Memory] = {}
        self._ends: dict[int, End] = {}
        self.committed: list[Committed] = []
        """The events of the write that is being done; the transaction that it is a part of is yet to be committed."""

    # --- one transaction ---

    def begin(self) -> None:
        self.committed = []  # what a settlement recorded is not held until the next write
        self.cx.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit what was written. ``flush`` comes before it: what fails there is known not to be kept."""
        self.cx.execute("COMMIT")

    def flush(self) -> None:
        """Write the events and ends of connections gathered so far, for a write that reads or changes them itself."""
        if self._ends:
            self._flush_ends()
        if self._rows:
            self._insert(_INSERTS, self._rows)
            self._rows.clear()
        if self._memories:
            self._insert(_MEMORIES, list(starmap(memory_row, self._memories.items())))
            self._memories.clear()

    def _insert(self, statements: dict[int, str], rows: list[tuple[Any, ...]]) -> None:
        at = 0
        for size, sql in statements.items():
            while len(rows) - at >= size:
                self.cx.execute(sql, tuple(chain.from_iterable(rows[at : at + size])))
                at += size

    def _flush_ends(self) -> None:
        if self._ends:
            disconnected(self.cx, self._ends.values())
            self._ends.clear()

    def flush_end_of(self, owner: Owner) -> None:
        """Write the end of this charge point's connection, if it is among those gathered: before anything that reads or
        changes the connection."""
        if owner.key in self._ends:
            self._flush_ends()

    def roll_back(self) -> None:
        """Undo the transaction and forget what was remembered. Raises apsw's errors: then the connection is done."""
        self._rows.clear()
        self._memories.clear()
        self._ends.clear()
        self._owners.clear()
        if self.cx.in_transaction:  # SQLite itself rolls back on some errors.
            self.cx.execute("ROLLBACK")
        self.head = bounds(self.cx).head

    # --- charge points ---

    def owner(self, identity: str) -> Owner | None:
        """The charge point, deleted or not; None if there never was one of this identity."""
        owner = self._owners.get(identity)
        if owner is None:
            sql = "SELECT key, epoch, deleted_at IS NULL FROM charge_point WHERE identity = ?"
            row = self.cx.execute(sql, (identity,)).fetchone()
            if row is None:
                return None
            if len(self._owners) >= MAX_REMEMBERED:
                self._owners.clear()
            owner = self._owners[identity] = Owner(row[0], identity, row[1], bool(row[2]))
        return owner

    def present(self, identity: str) -> Owner | None:
        """The charge point; None if there is none, or none any more."""
        owner = self.owner(identity)
        return owner if owner is not None and owner.present else None

    def raise_epoch(self, owner: Owner) -> None:
        owner.epoch += 1
        self.cx.execute("UPDATE charge_point SET epoch = ? WHERE key = ?", (owner.epoch, owner.key))

    def memory(self, owner: Owner) -> Memory:
        """Return the charge point's memory, with the events gathered so far."""
        if owner.memory is None:
            owner.memory = self._memories.get(owner.key)  # its owner was forgotten in the middle of a batch
        if owner.memory is None:
            row = self.cx.execute(f"SELECT {MEMORY} FROM memory WHERE charge_point = ?", (owner.key,)).fetchone()  # noqa: S608
            owner.memory = Memory() if row is None else memory(row)
        return owner.memory

    def forget_memory(self, owner: Owner) -> None:
        """The charge point is deleted: what comes under its identity later may be another unit."""
        self._memories.pop(owner.key, None)
        self.cx.execute("DELETE FROM memory WHERE charge_point = ?", (owner.key,))
        owner.memory = Memory()

    # --- events ---

    def append(self, owner: Owner, epoch: int, events: Sequence[NewEvent]) -> tuple[int, ...]:
        """Give the events their sequences and project them; answers the sequences."""
        first = self.head + 1
        for event in events:
            body = event.body
            encoded = encode(body)
            sequence = self.head = self.head + 1
            if owner.key in self._ends:
                self._flush_ends()
            if event.repeat_key or type(body) in REMEMBERED:
                before = owner.memory if owner.memory is not None else self.memory(owner)
                after = before.after(event)
                if after is not before:
                    owner.memory = self._memories[owner.key] = after
            at = to_micros(event.received_at)
            project = PROJECTIONS.get(type(body))
            if isinstance(body, ChargePointDisconnected):
                self._ends[owner.key] = End.of(owner.key, at, body)
                if body.caller:
                    noted(self.cx, owner.key, event, at, body, sequence)
            elif project is not None:
                project(self.cx, owner.key, event, at, body, sequence)
            transaction_id, transaction = getattr(body, "transaction_id", None), None
            self.committed.append(Committed(sequence, owner.identity, epoch, event, encoded, transaction_id))
            if transaction_id is not None:
                transaction = owner.open.get(transaction_id) or self._transaction(
                    owner, transaction_id, event, sequence
                )
                if body.TYPE in _ENDS:
                    owner.open.pop(transaction_id, None)
            self._rows.append(
                (
                    sequence,
                    owner.key,
                    epoch,
                    self._types[body.TYPE],
                    body.VERSION,
                    transaction,
                    at,
                    None if event.reported_at is None else to_micros(event.reported_at),
                    event.reported_raw,
                    to_words(event.flags) if event.flags else "",
                    event.cause,
                    encoded,
                )
            )
        return tuple(range(first, self.head + 1))

    def _transaction(self, owner: Owner, transaction_id: str, event: NewEvent, sequence: int) -> int:
        """The key of the event's transaction, which is not remembered as open; one that has ended notes this event as
        its newest."""
        sql = "SELECT key, state FROM txn WHERE transaction_id = ? AND charge_point = ?"
        row = self.cx.execute(sql, (transaction_id, owner.key)).fetchone()
        if row is None:
            return UNKNOWN_TRANSACTION
        key = int(row[0])
        if row[1] == "OPEN":
            if len(owner.open) >= MAX_REMEMBERED_TRANSACTIONS:
                owner.open.clear()
            owner.open[transaction_id] = key
        elif isinstance(event.body, TransactionEnergyChanged):  # the gateway's word, not the charger's
            self.cx.execute("UPDATE txn SET last_sequence = ? WHERE key = ?", (sequence, key))
        else:
            heard(self.cx, key, sequence, to_micros(event.received_at))
        return key


_ENDS = frozenset({"transaction.stopped", "transaction.lost", "transaction.closed", "transaction.attributed"})

"""The writer's batch: who owns what, the events gathered so far, and the changes that they make, sent as one.

A batch of everyday events goes to the server as a whole and is answered as a whole. Where a write has a question of the
database, what was gathered before it is sent first.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.domain.audit import AuditNote, note_of
from gateway.domain.codec import encode
from gateway.domain.events import Body, NewEvent, TransactionEnergyChanged
from gateway.domain.repeats import REMEMBERED, Memory
from gateway.errors import StoreError
from gateway.store.commits import Committed
from gateway.store.encoding import to_micros, to_words
from gateway.store.nodes import NoticeKind
from gateway.store.postgres import locks, notices
from gateway.store.postgres.books import MAX_REMEMBERED_TRANSACTIONS, Books, Owner
from gateway.store.postgres.changes import Change, Changes, change, upsert
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array, Value
from gateway.store.postgres.lane import BEGIN, Lane
from gateway.store.postgres.locks import Needs
from gateway.store.postgres.notices import Left
from gateway.store.postgres.projections import PROJECTIONS
from gateway.store.postgres.transaction_projections import HEARD, NEWEST
from gateway.store.rows import UNKNOWN_TRANSACTION, Row, memory_row

MAX_EVENTS = 65_536
"""In one batch: a sequence has 16 bits for the index within its transaction."""

_EVENTS: Final = """INSERT INTO event (sequence, received_at, reported_at, epoch, charge_point, type, version, txn,
    reported_raw, flags, cause, body)
    SELECT (SELECT mine()) + u.n, u.received_at, u.reported_at, u.epoch, u.charge_point, u.type, u.version, u.txn,
    u.reported_raw, u.flags, u.cause, u.body
    FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int4[], $6::int2[], $7::int2[], $8::int8[],
    $9::text[], $10::text[], $11::text[], $12::bytea[]) AS u (n, received_at, reported_at, epoch, charge_point, type,
    version, txn, reported_raw, flags, cause, body)"""
_EVENT_KINDS: Final = (
    *("int8", "int8", "int8", "int8", "int4", "int2", "int2", "int8"),
    *("text", "text", "text", "bytea"),
)

_NOTES: Final = """INSERT INTO audit (sequence, at, caller, action, charge_point, kind, subject)
    SELECT (SELECT mine()) + u.sequence, u.at, u.caller, u.action, u.charge_point, u.kind, u.subject
    FROM unnest($1::int8[], $2::int8[], $3::text[], $4::text[], $5::int4[], $6::text[], $7::text[]) WITH ORDINALITY
    AS u (sequence, at, caller, action, charge_point, kind, subject, n) ORDER BY u.n"""
_NOTE_KINDS: Final = ("int8", "int8", "text", "text", "int4", "text", "text")

EPOCH: Final = change(
    "key int4, epoch int8, node int4",
    "UPDATE charge_point c SET epoch = u.epoch, node = u.node FROM ROWS WHERE c.key = u.key",
)
_OWNED_BY: Final = "SELECT DISTINCT node FROM charge_point WHERE identity = ANY ($1) AND node IS NOT NULL"
MEMORY: Final = upsert(
    "memory",
    ("charge_point",),
    "charge_point int4, readings bytea, messages bytea, clock int8, clock_before_boot int8, ran_back int4",
)
FORGET_MEMORY: Final = change("key int4", "DELETE FROM memory USING ROWS WHERE charge_point = u.key")

Pending = tuple[int, str, int, NewEvent, bytes, str | None]
"""An event as of ``Committed``, its sequence counted from the batch's own beginning."""


class Moved(Exception):
    """A charge point changed hands before its locks were had: the batch is to be done again."""


class Writer:
    """One connection's writer. Not for several threads at once."""

    def __init__(self, cx: Connection, lane: Lane, types: dict[str, int]) -> None:
        self.cx = cx
        self.lane = lane
        self.books = Books()
        self.changes = Changes()
        self._types = types
        self._events: list[tuple[Value, ...]] = []
        self._notes: list[tuple[Value, ...]] = []
        self._memories: dict[int, Memory] = {}
        self._asked = set[str]()
        """Charge points that this batch has looked for."""
        self.floor = 0
        """Up to which retention has come, as far as this writer has heard."""
        self._next = 0
        self._left: dict[int, Left] = {}
        """Notices that this batch leaves, by charge point."""
        self.committed: list[Pending] = []
        """The events of the write that is being done; the transaction that it is a part of is yet to be committed."""

    # --- one transaction ---

    def begin(self, identities: Iterable[str], needs: Needs = locks.NOTHING, *, again: bool = False) -> None:
        """Begin a batch that concerns these charge points; nothing is sent yet, where all of them are remembered.
        ``again``: its fence failed. Raises ``Moved``."""
        self._next = 0
        self.committed = []  # what a settlement recorded is not held until the next write
        self._asked = set(identities)
        self.books.begin()
        others = self._take_locks(needs, again) if self.lane.shared else None
        if others is None:
            self.lane.begin(self.cx)
        answers = self.books.ask(self.cx, self._asked)
        if answers is not None:
            self.cx.sync()
            self.books.learn(answers)
        if self.lane.shared:
            self._require_lanes(others or ())

    def _take_locks(self, needs: Needs, again: bool) -> Sequence[int] | None:
        """Take the locks of what this node does not own, and find the notices that were left before; then nothing of
        it changes any more. Returns the lanes; None: its own lane is enough."""
        cx, lane = self.cx, self.lane
        strange = [each for each in self._asked if self.books.known(each) is None]
        if not (strange or needs is not locks.NOTHING or again):
            return None
        owners = cx.rows(_OWNED_BY, Array("text", strange)) if strange else ()
        lanes = {lane.slot, *(int(node) for (node,) in owners)}
        cx.send(BEGIN)
        locks.take(cx, lanes, map(locks.bucket, strange), needs)
        found = notices.find(cx, lane.slot, lane.notices)
        if found is not None and found.incarnation == lane.incarnation:
            lost = self.take_note(found)
            if not lost.isdisjoint(self._asked.difference(strange)):
                raise Moved
        lane.fence(cx)
        return sorted(lanes | needs.lanes)

    def take_note(self, found: notices.Found) -> frozenset[str]:
        """Forget what others have changed, and keep the notices to be shown; the charge points that they are of."""
        lost = frozenset(each.charge_point for each in found.found)
        self.books.forget_some(lost)
        self.lane.found += found.found
        self.lane.notices = found.notices
        return lost

    def _require_lanes(self, lanes: Sequence[int]) -> None:
        """Raises ``Moved`` where a charge point has an owner by now whose lane is not held."""
        own = self.lane.slot
        for identity in self._asked:
            owner = self.books.known(identity)
            if owner is not None and owner.node not in (None, own) and owner.node not in lanes:
                raise Moved

    def flush(self) -> None:
        """Queue what was gathered, for a write that reads or changes it itself."""
        if self.changes:
            self.changes.send(self.cx)
        if self._events:
            columns = zip(*self._events, strict=True)
            self.cx.send(_EVENTS, *map(Array, _EVENT_KINDS, columns))
            self._events.clear()
        if self._notes:
            columns = zip(*self._notes, strict=True)
            self.cx.send(_NOTES, *map(Array, _NOTE_KINDS, columns))
            self._notes.clear()
        if self._memories:
            said = [memory_row(key, each) for key, each in self._memories.items()]
            columns = zip(*said, strict=True)
            self.cx.send(MEMORY.sql, *map(Array, MEMORY.kinds, columns))
            self._memories.clear()

    def commit(self) -> int:
        """Commit what was written; answers where the batch's sequences begin."""
        self.flush()
        if self._left:
            notices.leave(self.cx, self._left)
        self.cx.warnings.clear()
        base = self.lane.commit(self.cx)
        self.lane.rung.update(each.node for each in self._left.values())
        self._left.clear()
        if self.lane.shared:
            self.books.forget_others(self._asked, self.lane.slot)
        return base

    def forget(self) -> None:
        """The batch has failed: nothing of it was, and nothing that it taught is known."""
        self._events.clear()
        self._notes.clear()
        self._memories.clear()
        self.changes.clear()
        self._left.clear()
        self.books.forget()

    # --- questions ---

    def rows(self, sql: str, *given: Value | Array) -> list[Row]:
        """The rows of a statement, which sees what was gathered."""
        self.flush()
        return self.cx.rows(sql, *given)

    def first(self, sql: str, *given: Value | Array) -> Row | None:
        self.flush()
        return self.cx.first(sql, *given)

    def one(self, sql: str, *given: Value | Array) -> Row:
        self.flush()
        return self.cx.one(sql, *given)

    def run(self, sql: str, *given: Value | Array) -> int:
        """Run a statement after what was gathered; answers how many rows it changed."""
        self.flush()
        answer = self.cx.send(sql, *given)
        self.cx.sync()
        return answer.changed

    def send(self, sql: str, *given: Value | Array) -> None:
        """Queue a statement behind what was gathered."""
        self.flush()
        self.cx.send(sql, *given)

    # --- charge points ---

    def owner(self, identity: str) -> Owner | None:
        """The charge point, deleted or not; None if there never was one of this identity."""
        owner = self.books.known(identity)
        if owner is None and identity not in self._asked:
            (owner,) = self.owners((identity,)) or (None,)
            self._asked.add(identity)
        return owner

    def present(self, identity: str) -> Owner | None:
        """The charge point; None if there is none, or none any more."""
        owner = self.owner(identity)
        return owner if owner is not None and owner.present else None

    def owners(self, identities: Sequence[str]) -> list[Owner]:
        """Those of charge points that there are, read together; where several nodes write their locks are had."""
        self.flush()
        self._asked.update(identities)
        answers = self.books.ask(self.cx, identities)
        if answers is not None:
            self.cx.sync()
            self.books.learn(answers)
        return [owner for identity in identities if (owner := self.books.known(identity)) is not None]

    def raise_epoch(self, owner: Owner, node: int | None) -> None:
        """Give the charge point another owner: the slot ``node``, or none."""
        owner.epoch += 1
        before = self._left.get(owner.key)
        of = owner.node if before is None else before.node
        if self.lane.shared and of is not None and of != self.lane.slot:
            kind = NoticeKind.DELETED if node is None else NoticeKind.TAKEN
            self._left[owner.key] = Left(of, kind, owner.key, owner.epoch)
        owner.node = node
        self.changes.add(EPOCH, owner.key, owner.epoch, node)

    def _leave_changed(self, owner: Owner, node: int, events: Sequence[NewEvent]) -> None:
        """Leave its owner a notice of events, but of those that change nothing a session knows."""
        if not all(isinstance(event.body, TransactionEnergyChanged) for event in events):
            self._left.setdefault(owner.key, Left(node, NoticeKind.CHANGED, owner.key, owner.epoch))

    def leave_none(self, node: int) -> None:
        """Leave no notices to a slot: its node is ended."""
        self._left = {key: each for key, each in self._left.items() if each.node != node}

    def ask_owner(self, owner: Owner, kind: NoticeKind, caller: str) -> bool:
        """Leave a notice for the charge point's owner, another node. False: it has none."""
        if owner.node in (None, self.lane.slot):
            return False
        assert owner.node is not None
        self._left[owner.key] = Left(owner.node, kind, owner.key, owner.epoch, caller)
        return True

    def forget_memory(self, owner: Owner) -> None:
        """The charge point is deleted: what comes under its identity later may be another unit."""
        self._memories.pop(owner.key, None)
        self.changes.add(FORGET_MEMORY, owner.key)
        owner.memory = Memory()

    def change(self, change: Change, *row: Value) -> None:
        """A change of a row of the charge point whose key comes first."""
        self.changes.add(change, *row)

    # --- the audit ---

    @property
    def next(self) -> int:
        """The sequence that the next event will have, counted from the batch's beginning."""
        return self._next

    def note(self, note: AuditNote, at: int, sequence: int | None = None, charge_point: int | None = None) -> None:
        """An entry of the audit; without a sequence it goes with the next event."""
        after = self._next if sequence is None else sequence
        self._notes.append((after, at, note.caller, note.action, charge_point, note.kind or "", note.subject))

    def noted(self, owner: Owner, body: Body, at: int, sequence: int) -> None:
        """Note who did it, if the event names a caller."""
        note = note_of(body)
        if note is not None:
            self.note(note, at, sequence, owner.key)

    # --- events ---

    def append(self, owner: Owner, epoch: int, events: Sequence[NewEvent]) -> tuple[int, ...]:
        """Give the events their sequences and project them; answers the sequences, from the batch's beginning."""
        first = self._next
        if first + len(events) > MAX_EVENTS:
            raise StoreError(f"more than {MAX_EVENTS:,} events in one batch")
        if self.lane.shared and owner.node is not None and owner.node != self.lane.slot:
            self._leave_changed(owner, owner.node, events)
        for event in events:
            body = event.body
            encoded = encode(body)
            sequence = self._next
            self._next += 1
            if event.repeat_key or type(body) in REMEMBERED:
                after = owner.memory.after(event)
                if after is not owner.memory:
                    owner.memory = self._memories[owner.key] = after
            at = to_micros(event.received_at)
            project = PROJECTIONS.get(type(body))
            if project is not None:
                project(self, owner, event, at, body, sequence)
            transaction_id, transaction = getattr(body, "transaction_id", None), None
            self.committed.append((sequence, owner.identity, epoch, event, encoded, transaction_id))
            if transaction_id is not None:
                transaction = owner.open.get(transaction_id)
                if transaction is None:
                    transaction = self._transaction(owner, transaction_id, event, sequence)
                if body.TYPE in _ENDS:
                    owner.open.pop(transaction_id, None)
            self._events.append(
                (
                    sequence,
                    at,
                    None if event.reported_at is None else to_micros(event.reported_at),
                    epoch,
                    owner.key,
                    self._types[body.TYPE],
                    body.VERSION,
                    transaction,
                    event.reported_raw,
                    to_words(event.flags) if event.flags else "",
                    event.cause,
                    encoded,
                )
            )
        return tuple(range(first, self._next))

    def _transaction(self, owner: Owner, transaction_id: str, event: NewEvent, sequence: int) -> int:
        """The number of the event's transaction, which is not remembered as open; one that has ended notes this event
        as its newest."""
        sql = "SELECT number, state FROM txn WHERE transaction_id = $1 AND charge_point = $2"
        row = self.first(sql, transaction_id, owner.key)
        if row is None:
            return UNKNOWN_TRANSACTION
        number = int(row[0])
        if row[1] == "OPEN":
            if len(owner.open) >= MAX_REMEMBERED_TRANSACTIONS:
                owner.open.clear()
            owner.open[transaction_id] = number
        elif isinstance(event.body, TransactionEnergyChanged):  # the gateway's word, not the charger's
            self.change(NEWEST, owner.key, number, sequence)
        else:
            self.change(HEARD, owner.key, number, sequence, to_micros(event.received_at))
        return number


_ENDS = frozenset({"transaction.stopped", "transaction.lost", "transaction.closed", "transaction.attributed"})


def committed(pending: Iterable[Pending], base: int) -> tuple[Committed, ...]:
    """Events of a batch whose sequences begin there."""
    return tuple(
        [
            Committed(base + sequence, identity, epoch, event, body, transaction)
            for sequence, identity, epoch, event, body, transaction in pending
        ]
    )


def absolute(sequences: Iterable[Any], base: int) -> tuple[int, ...]:
    """Sequences of a batch that begins there."""
    return tuple([base + each for each in sequences])

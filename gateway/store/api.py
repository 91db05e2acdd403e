"""The store's contract: batch-shaped writes, plain reads. Synchronous; callers bring their own threads.

``commit`` is the only way to write. A batch is one database transaction: when it returns, every write in it that
answered is on disk (fsync'd); if it raises ``CommitUnknown``, all or none of them may yet be found there (a commit
whose fsync failed); after any other exception none is. ``StoreUnavailable`` says that the store can't, now; an
exception that is none says that one of the writes can't be, and a caller that commits several sessions' writes together
then tries them one by one.

One write's refusal (``Fenced``, ``GuardFailed``, ``Exists``, ``Missing``) is its answer and leaves its neighbours in
the batch alone. Any implementation passes the one suite in ``tests/store``. Reads see committed data only, and may run
in any thread, several at once.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Protocol, TypeAlias

from attrs import frozen

from gateway.domain.audit import AuditEntry
from gateway.domain.callers import Caller
from gateway.domain.commands import CommandRecord
from gateway.domain.events import BootInformation, StoredEvent
from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.operations import OperationRecord
from gateway.domain.quirks import NO_VALUES, QuirkValues
from gateway.domain.records import (
    AttributionRecord,
    ChargePointRecord,
    Credential,
    IdTagRecord,
    ReservationRecord,
    TransactionRecord,
)
from gateway.domain.state import ChargePointState
from gateway.domain.steering import ChangedWanted, Steering, SteeringState
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.certificates import CertificateStore
from gateway.store.commits import ClockRecord, Committed, Write, WriteResult
from gateway.store.filters import ALL_RECORDS, AuditFilter, RecordFilter, TransactionFilter
from gateway.store.fleet import FleetReads
from gateway.store.lists import ListStore
from gateway.store.totals import Totals

READS_AT_ONCE = 8
"""As many as are begun, and as there are connections for: one more would only wait. Each costs a thread, a cache of
some megabytes and three file handles (docs/adr/0010-readers.md)."""

# --- reads ----------------------------------------------------------------------------------------------------


@frozen
class EventFilter:
    """Empty means all. ``charge_points`` are exact identities, ``types`` exact event types, ``callers`` exact names:
    events that name one of them."""

    charge_points: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    callers: frozenset[str] = frozenset()


@frozen
class EventPage:
    """``events`` in order; ``position``: everything at or below it has been considered, so the next read starts
    there even if the filter let nothing through."""

    events: tuple[StoredEvent, ...]
    position: int


def event_id_prefix(store_id: str) -> str:
    """Return the prefix of the ids of a store's events; the sequence follows."""
    return f"ev_{store_id.removeprefix('store_')}_"


KEPT_BODY_BYTES = 1024
"""Stored bytes of a body up to which it is kept for watchers, too: twice those of everyday meter values."""


def stored_event(committed: Committed, id_prefix: str) -> StoredEvent:
    """A committed event as ``Store.events`` gives it. ``id_prefix``: ``event_id_prefix`` of the store."""
    sequence, charge_point, epoch, event, body_json, transaction_id = committed
    body = event.body
    return StoredEvent(
        sequence,
        f"{id_prefix}{sequence}",
        charge_point,
        epoch,
        body.TYPE,
        body.VERSION,
        event.received_at,
        event.reported_at,
        event.reported_raw,
        event.flags,
        event.cause,
        body_json,
        transaction_id,
        body if len(body_json) <= KEPT_BODY_BYTES else None,
    )


@frozen
class Bounds:
    """Sequences: events at or below ``floor`` are gone; ``head`` is the newest (0: none yet)."""

    floor: int
    head: int


@frozen
class Generation:
    """One run of a gateway on a store, or of several on one server's timeline. ``token``: random, 1 to 2^63 - 1. Its
    events begin at ``first_sequence`` and end before that of the next generation."""

    token: int
    first_sequence: int


def generation_at(generations: Sequence[Generation], sequence: int) -> int:
    """The token of the generation that an event of this sequence belongs to; 0: it comes before the first."""
    index = bisect_right(generations, sequence, key=attrgetter("first_sequence"))
    return generations[index - 1].token if index else 0


@frozen
class OverdueReservation:
    """A reservation whose expiry has passed, of a charge point that is not connected. ``epoch``: the last
    connection's, under which its end may be appended; a session that has begun since ends it itself."""

    charge_point: str
    epoch: int
    reservation: ReservationRecord


SteeringRow: TypeAlias = tuple[str, ConnectorAddress, Steering]
"""A charge point's identity, a connector of it, and how far the wanted state of that has got."""


@frozen
class StoredState:
    """A charge point's state, and whether it is connected: then its session owns the state, and has a later one."""

    state: ChargePointState
    connected: bool


@frozen
class OverdueOperation:
    """An open operation whose expiry has passed, of a charge point that is not connected. ``epoch`` as of
    ``OverdueReservation``."""

    epoch: int
    operation: OperationRecord


@frozen
class DueEnergy:
    """A transaction that has ended, and whose energy is to be worked out."""

    charge_point: str
    transaction_id: str


@frozen
class AdmissionRecord:
    """``credentials`` as ``Store.credentials`` answers them. ``quirks``: its own values; ``boot``: its last one, which
    says what make it is of."""

    credentials: tuple[Credential, ...]
    quirks: QuirkValues = NO_VALUES
    boot: BootInformation | None = None
    labels: Labels = NO_LABELS
    minimum_security_profile: int = 0


class Store(CertificateStore, FleetReads, ListStore, Protocol):
    """A place to keep things. Every method may raise ``StoreUnavailable``; constructors also ``StoreInUse``,
    ``StoreCorrupt`` and ``StoreReplaced``. Lists are in a stable order and take ``after`` (the last key of the page
    before, "" or None for the first) and ``limit`` (1 to 1,000)."""

    @property
    def store_id(self) -> str:
        """Identifies this store for ever: resume tokens and event ids carry it."""
        ...

    @property
    def kind(self) -> str:
        """The kind of store, in one word for clients and operators, e.g. ``sqlite``."""

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Those that events above the floor can be of, the first one first; the last is this run's. What comes before
        the first is of versions that kept none. One more begins where another server takes over."""
        ...

    def next_number(self) -> int:
        """The first transaction number that was never given out."""
        ...

    def mark(self) -> None:
        """Write down beside the data how far it has come, so that an older state put in its place is noticed. Never
        raises; to be called now and then, and done by ``close``."""
        ...

    def commit(self, batch: Sequence[Write]) -> list[WriteResult]: ...

    def close(self) -> None: ...

    def settle(self, at: datetime) -> int:
        """Once at start: end in the store what a crash left open (connections become disconnected with reason
        ``gateway-restarted``, QUEUED commands NOT_SENT, SENT ones OUTCOME_UNKNOWN, each with its event). Answers the
        number of charge points touched. Done in bounded steps."""
        ...

    def probe(self) -> None:
        """Write and sync something small; raises ``StoreUnavailable`` while the store can't."""
        ...

    def size_bytes(self) -> int:
        """Bytes that the data takes on disk now: room that deleting has freed for reuse does not count."""
        ...

    def totals(self) -> Totals: ...

    # charge points
    def charge_point(self, identity: str) -> ChargePointRecord | None: ...

    def state(self, identity: str, at: datetime) -> StoredState | None:
        """Return the state that a session would begin with at that time, without ``memory``; None: there is no such
        charge point."""
        ...

    def steering(
        self, state: SteeringState | None, after: str, limit: int, scope: Labels = NO_LABELS
    ) -> list[SteeringRow]:
        """Return how far wanted states have got, by identity and connector; only those in ``state``, if it is given.
        ``after``: the identity, EVSE and connector of the last one, separated by spaces."""
        ...

    def changed_wanted(self, identity: str, request_id: str) -> ChangedWanted | None:
        """Return what a request changed that is wanted of the charge point, as far as it is remembered."""
        ...

    def charge_points(
        self,
        after: str,
        limit: int,
        connected: bool | None = None,
        registration: Registration | None = None,
        labels: Labels = NO_LABELS,
    ) -> list[ChargePointRecord]:
        """By identity. Those that have all of the labels, each with this value."""
        ...

    def labelled(self, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
        """Identities of charge points that have all of the labels, of ``identities`` or of all, by identity."""
        ...

    def charge_points_named(self, identities: Sequence[str]) -> list[ChargePointRecord]:
        """Those of the identities that there are, in any order; as many as a page may have."""
        ...

    def taken(self, identities: Sequence[str]) -> frozenset[str]:
        """Those of at most 1,000 identities that a charge point has now."""
        ...

    def credentials(self, identity: str) -> tuple[Credential, ...]: ...

    def admission(self, identity: str) -> AdmissionRecord | None:
        """Return what admission needs of a charge point, cheaply: thousands ask at once. None: there is none."""
        ...

    def overdue_reservations(self, at: datetime, limit: int) -> list[OverdueReservation]:
        """Those of disconnected charge points that have expired at ``at``, the first to expire first. No paging: what
        is ended is not found again."""
        ...

    # transactions
    def transaction(self, transaction_id: str) -> TransactionRecord | None: ...

    def transaction_by_number(self, number: int) -> TransactionRecord | None:
        """Any 64-bit number may be asked for."""
        ...

    def transaction_by_start_key(self, charge_point: str, start_key: str) -> TransactionRecord | None: ...

    def occupying_transactions_of_tag(self, id_tag: str, limit: int) -> list[TransactionRecord]:
        """Those that keep the tag from starting elsewhere: open, accepted, and not stale. Oldest first."""
        ...

    def transactions(self, where: TransactionFilter, after: str | None, limit: int) -> list[TransactionRecord]:
        """Newest start first. ``after`` is a transaction id."""
        ...

    def readings(self, transaction_id: str, after: int, limit: int) -> list[StoredEvent]:
        """The events that hold a transaction's readings (started, meter values, stopped), by sequence."""
        ...

    def newest_values(self, identities: Sequence[str]) -> dict[str, list[StoredEvent]]:
        """The newest meter values and stops of charge points, a few of each, by sequence: those of sessions after the
        last one that recorded its end. At most as many charge points as a page may have; those that are unknown, or
        have none among their newest events, are left out."""
        ...

    def edge_readings(self, transaction_id: str, count: int) -> list[StoredEvent]:
        """The first ``count`` and the last ``count`` meter values of a transaction, by sequence, each once."""
        ...

    def energy_events(self, transaction_id: str, after: int, limit: int) -> list[StoredEvent]:
        """The events that the transaction's energy follows from, by sequence: those with readings, its attribution and
        its closing, and the boots of its charge point from its start on, until its newest event if it has ended."""
        ...

    def due_energies(self, before: datetime, limit: int, beyond: datetime | None = None) -> list[DueEnergy]:
        """Transactions that have ended, with something that their energy was not worked out with: those that nothing
        was said of since ``before``, the longest quiet ones first, and those of which something was said after
        ``beyond``, by a clock that was wrong. No paging: what is settled is not found again."""
        ...

    def event(self, sequence: int) -> StoredEvent | None:
        """Any event that is kept, also one below the floor."""
        ...

    def attribution(self, orphan: int) -> AttributionRecord | None:
        """The attribution of the orphan with that sequence."""
        ...

    def attribution_by_request(self, charge_point: str, request_id: str) -> AttributionRecord | None: ...

    # idTags
    def id_tag(self, id_tag: str) -> IdTagRecord | None:
        """Without regard to case."""
        ...

    # callers
    def callers(self) -> list[Caller]:
        """All of them, by name: there are few."""
        ...

    def audit(self, where: AuditFilter, after: tuple[datetime, int] | None, limit: int) -> list[AuditEntry]:
        """Newest first. ``after``: time and key of the last entry of the page before."""
        ...

    # commands
    def command(self, command_id: str) -> CommandRecord | None: ...

    def command_by_request(self, charge_point: str, request_id: str) -> CommandRecord | None: ...

    def commands(
        self, charge_point: str | None, after: str | None, limit: int, where: RecordFilter = ALL_RECORDS
    ) -> list[CommandRecord]:
        """Newest first. ``after`` is a command id."""
        ...

    # operations
    def operation(self, operation_id: str) -> OperationRecord | None: ...

    def operation_by_request(self, charge_point: str, request_id: str) -> OperationRecord | None: ...

    def overdue_operations(self, at: datetime, limit: int) -> list[OverdueOperation]:
        """Open ones of disconnected charge points whose expiry has passed at ``at``. No paging: what is ended is not
        found again."""
        ...

    # events
    def bounds(self) -> Bounds: ...

    def newest_time(self) -> datetime | None:
        """Time of receipt of the newest event, by the clock of then; None: there is none."""
        ...

    def oldest_time(self, now: datetime) -> datetime | None:
        """Time of receipt of the oldest event above the floor whose time is credible (as for ``Trim``)."""
        ...

    def crowded_out(self, count: int) -> tuple[int, int]:
        """Up to which sequence there are more than ``count`` newer commands, and transactions, that have outlived their
        events; 0: there are fewer."""
        ...

    def clock_record(self) -> ClockRecord | None: ...

    def events(self, after: int, limit: int, where: EventFilter) -> EventPage:
        """Events with sequence > ``after`` and above the floor. Looks at no more than a bounded stretch per call, so
        a page may be empty with a position below the head. Whether something above ``after`` is already gone is for
        the caller to ask afterwards, by ``bounds().floor > after``."""
        ...

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
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple, Protocol, TypeAlias

from attrs import field, frozen

from gateway.domain.command_states import CommandEvent
from gateway.domain.commands import CommandRecord
from gateway.domain.decision import Guard
from gateway.domain.events import ChargePointConnected, NewEvent, StoredEvent
from gateway.domain.records import (
    ChargePointRecord,
    Credential,
    IdTagRecord,
    ReservationRecord,
    TransactionRecord,
    TransactionState,
)
from gateway.domain.state import ChargePointState
from gateway.domain.values import Registration, Switch

# --- writes ---------------------------------------------------------------------------------------------------


@frozen
class Append:
    """Append events to a charge point's history, if ``epoch`` is still its current one, and project them.

    ``epoch`` None: the operator's own events, not fenced. Answers ``Appended``, ``Fenced``, ``GuardFailed`` or
    ``Missing`` (no such charge point).
    """

    charge_point: str
    epoch: int | None
    events: tuple[NewEvent, ...]
    guards: tuple[Guard, ...] = ()


@frozen
class OpenSession:
    """A new owner: raises the epoch, settles what the previous owner left (QUEUED commands become NOT_SENT, SENT
    ones OUTCOME_UNKNOWN, and a ``charge_point.disconnected`` if it is not recorded yet), appends ``connected``, and
    answers ``Opened`` with the state to start from; or ``Missing``.

    ``left`` is why the previous connection ended, ``commands_left`` why its commands did, for what is settled: other
    than a takeover only where the previous owner could not record its own end."""

    charge_point: str
    connected: ChargePointConnected
    at: datetime
    left: str = "replaced"
    commands_left: CommandEvent = CommandEvent.DISCONNECTED


@frozen
class CreateChargePoint:
    """Answers ``Appended`` or ``Exists``."""

    identity: str
    registration: Registration
    credentials: tuple[Credential, ...]
    at: datetime
    description: str = ""
    assume_subprotocol: bool = False
    own_requests: Switch = Switch.DEFAULT
    accept_hex_password: Switch = Switch.DEFAULT


@frozen
class CreateChargePoints:
    """A fleet, all of it or none. Answers ``Appended``, or ``Exists`` with the identities that are taken or that are in
    here twice. The one write whose size is its caller's: 18,000 take a quarter of a second, and all others
    wait for it."""

    charge_points: tuple[CreateChargePoint, ...]


@frozen
class UpdateChargePoint:
    """Changes what is not None. ``revision`` given and stale: ``GuardFailed``. Answers ``Appended`` or ``Missing``.

    ``credentials`` given: they replace all present ones.
    """

    identity: str
    at: datetime
    registration: Registration | None = None
    description: str | None = None
    assume_subprotocol: bool | None = None
    own_requests: Switch | None = None
    accept_hex_password: Switch | None = None
    credentials: tuple[Credential, ...] | None = None
    revision: int | None = None


@frozen
class DeleteChargePoint:
    """Its identity and credentials go; its transactions and events stay until retention takes them. What it left is
    settled as by ``OpenSession``, with reason ``deleted``; its open transactions are lost and its reservations end. A
    charge point created later under the same identity continues the epoch and the revision. Answers ``Appended`` or
    ``Missing``."""

    identity: str
    at: datetime


@frozen
class CloseTransaction:
    """Ends an open transaction in the books with ``closed``, an event of type ``transaction.closed`` that names it.
    Answers ``Appended``; ``GuardFailed`` where it is not open (any more); ``Missing`` where the charge point has none
    of that id."""

    charge_point: str
    closed: NewEvent


@frozen
class AddCredential:
    """One more verifier beside the present ones. Answers ``Done`` or ``Missing``."""

    identity: str
    credential: Credential


@frozen
class RemoveCredentials:
    """Remove verifiers by id; unknown ids are nothing to do. Answers ``Done``."""

    identity: str
    credential_ids: tuple[str, ...]


@frozen
class PutIdTag:
    """Create (``create``: answers ``Exists`` if there) or replace (``Missing`` if not there; ``GuardFailed`` if
    ``expected_revision`` is given and stale). Answers ``Done``. The store sets ``revision``."""

    record: IdTagRecord
    create: bool
    expected_revision: int | None = None


@frozen
class DeleteIdTag:
    """Answers ``Done`` or ``Missing``."""

    id_tag: str


@frozen
class AllocateNumbers:
    """Reserve ``count`` transaction numbers for ever. Answers ``AllocatedNumbers``. Starts at 1, never repeats, also
    not after a crash; stays below 2^31."""

    count: int


@frozen
class RecordLastHeard:
    """Record when charge points were last heard, in bulk and now and then. Answers ``Done``."""

    heard: tuple[tuple[str, datetime], ...]


@frozen
class Trim:
    """One small step of retention: look at no more than ``limit`` (1 to 1,000) of the oldest events, delete those that
    were received before ``before`` (None: regardless of age) and move the floor. Events of open transactions are kept,
    below the floor: ``readings`` still gives them, ``events`` does not. Finished transactions and commands stay, until
    ``Forget``.

    ``now``: a clock that can be trusted. Times ahead of it, or behind what retention has passed, count for nothing;
    such events go with the next one above them that is old by a credible time. None: every time is taken as it is.
    Answers ``Trimmed``; there is nothing left to do when it deleted nothing and the floor is where it was."""

    before: datetime | None
    limit: int
    now: datetime | None = None


@frozen
class Forget:
    """One small step more: drop at most ``limit`` finished commands, and transactions, whose events have been gone for
    ``commands_for`` and ``transactions_for``, or whose newest event is not above ``commands_up_to`` and
    ``transactions_up_to``. ``now`` None: no time counts. Answers ``Trimmed`` with the number of rows that went."""

    now: datetime | None
    commands_for: timedelta
    transactions_for: timedelta
    limit: int
    commands_up_to: int = 0
    transactions_up_to: int = 0


@frozen
class ClockRecord:
    """The record of the wall clock. ``seen_at``: its time when last looked at; ``reason``: why it is
    doubted; ``steady_seconds``: for how long it has run evenly since then; ``head``: the newest event at that time."""

    seen_at: datetime
    doubted: bool
    reason: str
    steady_seconds: float
    head: int


@frozen
class RecordClock:
    """Answers ``Done``. ``ages_anew``: times of before count for nothing; what is kept for some time beyond its events
    is kept for that time from now on."""

    record: ClockRecord
    ages_anew: bool = False


Write: TypeAlias = (
    Append
    | OpenSession
    | CreateChargePoint
    | CreateChargePoints
    | UpdateChargePoint
    | DeleteChargePoint
    | CloseTransaction
    | AddCredential
    | RemoveCredentials
    | PutIdTag
    | DeleteIdTag
    | AllocateNumbers
    | RecordLastHeard
    | Trim
    | Forget
    | RecordClock
)


# --- answers to writes ----------------------------------------------------------------------------------------


class Committed(NamedTuple):
    """An event as it was committed. A plain tuple, made for each event whether or not anything watches;
    ``stored_event`` makes of it what a read would give."""

    sequence: int
    charge_point: str
    epoch: int
    event: NewEvent
    body_json: bytes
    """The stored bytes of its body."""
    transaction_id: str | None


@frozen
class Appended:
    """The sequences of the events, in order; and the events, so that nothing has to read them back."""

    sequences: tuple[int, ...]
    events: tuple[Committed, ...] = field(default=(), eq=False, repr=False)


@frozen
class Opened:
    """``sequences``: of what was settled and, last, of ``connected``. ``events`` as of ``Appended``."""

    epoch: int
    state: ChargePointState
    sequences: tuple[int, ...] = ()
    events: tuple[Committed, ...] = field(default=(), eq=False, repr=False)


@frozen
class AllocatedNumbers:
    first: int
    count: int


@frozen
class Trimmed:
    deleted: int
    floor: int


@frozen
class Done:
    pass


@frozen
class Fenced:
    """Another session owns the charge point. Nothing was written."""

    current_epoch: int


@frozen
class GuardFailed:
    """A guard or revision did not hold. Nothing was written. ``existing``: the command that holds the request id."""

    guard: Guard | None = None
    existing: CommandRecord | None = None


@frozen
class Exists:
    """``identities``: which, of several that were to be created."""

    identities: tuple[str, ...] = ()


@frozen
class Missing:
    pass


WriteResult: TypeAlias = Appended | Opened | AllocatedNumbers | Trimmed | Done | Fenced | GuardFailed | Exists | Missing


# --- reads ----------------------------------------------------------------------------------------------------


@frozen
class EventFilter:
    """Empty means all. ``charge_points`` are exact identities, ``types`` exact event types."""

    charge_points: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()


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
    """One run of a gateway on a store. ``token``: random, 1 to 2^63 - 1. Its events begin at ``first_sequence`` and end
    before that of the next generation."""

    token: int
    first_sequence: int


def generation_at(generations: Sequence[Generation], sequence: int) -> int:
    """The token of the generation that an event of this sequence belongs to; 0: it comes before the first."""
    index = bisect_right(generations, sequence, key=attrgetter("first_sequence"))
    return generations[index - 1].token if index else 0


@frozen
class TransactionFilter:
    """Empty means all. ``started_from`` <= start < ``started_before``."""

    charge_point: str | None = None
    state: TransactionState | None = None
    started_from: datetime | None = None
    started_before: datetime | None = None
    id_tag: str | None = None


@frozen
class OverdueReservation:
    """A reservation whose expiry has passed, of a charge point that is not connected. ``epoch``: the last
    connection's, under which its end may be appended; a session that has begun since ends it itself."""

    charge_point: str
    epoch: int
    reservation: ReservationRecord


@frozen
class AdmissionRecord:
    """``credentials`` as ``Store.credentials`` answers them."""

    assume_subprotocol: bool
    credentials: tuple[Credential, ...]
    accept_hex_password: Switch = Switch.DEFAULT


class Store(Protocol):
    """A place to keep things. Every method may raise ``StoreUnavailable``; constructors also ``StoreInUse``,
    ``StoreCorrupt`` and ``StoreReplaced``. Lists are in a stable order and take ``after`` (the last key of the page
    before, "" or None for the first) and ``limit`` (1 to 1,000)."""

    @property
    def store_id(self) -> str:
        """Identifies this store for ever: resume tokens and event ids carry it."""
        ...

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Those that events above the floor can be of, the first one first; the last is this run's. What comes before
        the first is of versions that kept none. The same for as long as the store is open."""
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
        """Once at start: end in the books what a crash left open (connections become disconnected with reason
        ``gateway-restarted``, QUEUED commands NOT_SENT, SENT ones OUTCOME_UNKNOWN, each with its event). Answers the
        number of charge points touched. Done in bounded steps."""
        ...

    def probe(self) -> None:
        """Write and sync something small; raises ``StoreUnavailable`` while the store can't."""
        ...

    def size_bytes(self) -> int:
        """Bytes that the data takes on disk now: room that deleting has freed for reuse does not count."""
        ...

    # charge points
    def charge_point(self, identity: str) -> ChargePointRecord | None: ...

    def charge_points(
        self,
        after: str,
        limit: int,
        connected: bool | None = None,
        registration: Registration | None = None,
    ) -> list[ChargePointRecord]: ...

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

    def edge_readings(self, transaction_id: str, count: int) -> list[StoredEvent]:
        """The first ``count`` and the last ``count`` meter values of a transaction, by sequence, each once."""
        ...

    def orphans(self, charge_point: str | None, after: int, limit: int) -> list[StoredEvent]: ...

    # idTags
    def id_tag(self, id_tag: str) -> IdTagRecord | None:
        """Without regard to case."""
        ...

    def id_tags(self, after: str, limit: int) -> list[IdTagRecord]: ...

    # commands
    def command(self, command_id: str) -> CommandRecord | None: ...

    def command_by_request(self, charge_point: str, request_id: str) -> CommandRecord | None: ...

    def commands(self, charge_point: str | None, after: str | None, limit: int) -> list[CommandRecord]:
        """Newest first. ``after`` is a command id."""
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

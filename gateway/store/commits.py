"""The writes that a store takes, and its answers to them: what ``Store.commit`` is given, and what it returns."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from attrs import field, frozen

from gateway.domain.audit import DoneBy
from gateway.domain.callers import Caller
from gateway.domain.command_states import CommandEvent
from gateway.domain.commands import CommandRecord
from gateway.domain.decision import Guard
from gateway.domain.events import ChargePointConnected, NewEvent
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.labels import Labels
from gateway.domain.quirks import NO_VALUES, QuirkValues
from gateway.domain.records import Credential, IdTagRecord
from gateway.domain.state import ChargePointState
from gateway.domain.steering import ChangedWanted
from gateway.domain.values import Registration
from gateway.quick_frozen import quick_frozen
from gateway.store.audit_commits import RecordAction, RecordRefusal
from gateway.store.energy_commits import SettleEnergy
from gateway.store.fleet import FleetWrite
from gateway.store.nodes import Ended, NodeWrite

# --- writes ---------------------------------------------------------------------------------------------------


@quick_frozen
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
    quirks: QuirkValues = NO_VALUES
    labels: Labels = field(factory=dict)
    caller: str = ""
    minimum_security_profile: int = 0
    request_id: str = ""


@frozen
class CreateChargePoints:
    """A fleet, all of it or none. Answers ``Appended``, or ``Exists`` with the identities that are taken or that are in
    here twice. The one write whose size is its caller's: 18,000 take a quarter of a second, and all wait."""

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
    quirks: Mapping[str, Any] | None = None
    """By name; None as a value: nothing is said any more."""
    labels: Labels | None = None
    """All of them: they replace the present ones."""
    credentials: tuple[Credential, ...] | None = None
    revision: int | None = None
    caller: str = ""
    minimum_security_profile: int | None = None
    request_id: str = ""
    """Of the creation that came again and has another key by this."""


@frozen
class DeleteChargePoint:
    """Its identity and credentials go; its transactions and events stay until retention takes them. What it left is
    settled as by ``OpenSession``, with reason ``deleted``; its open transactions are lost and its reservations end. A
    charge point created later under the same identity continues the epoch and the revision. Answers ``Appended`` or
    ``Missing``."""

    identity: str
    at: datetime
    caller: str = ""


@frozen
class CloseTransaction:
    """Ends an open transaction in the store with ``closed``, an event of type ``transaction.closed`` that names it;
    with a register also one that is lost, or closed without one. Answers ``Appended``; ``GuardFailed`` where it is not
    open (any more); ``Missing`` where the charge point has none of that id."""

    charge_point: str
    closed: NewEvent


@frozen
class AttributeOrphan:
    """Ends a transaction in the store with ``attributed``, an event of type ``transaction.attributed`` that names it.
    Answers ``Appended``; ``GuardFailed`` where it is stopped, or the orphan or the request id has been used;
    ``Missing`` where the charge point has no such transaction."""

    charge_point: str
    attributed: NewEvent


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
class DecideKey:
    """The charger has answered to a key that was offered: after TAKEN those made before it are gone, after REFUSED it
    is gone itself, after AFTER_BOOT and UNKNOWN all stay. Answers ``Done``."""

    identity: str
    credential_id: str
    answer: KeyAnswer


@frozen
class UseKey:
    """The charger has connected with a key: it is settled, those made before it are gone, and so are those of
    ``passed_over``, which were offered before that, unless the charger has answered to one meanwhile. Nothing where the
    key itself is gone. Answers ``Done``."""

    identity: str
    credential_id: str
    passed_over: tuple[str, ...] = ()


@frozen
class PutIdTag:
    """Create (``create``: answers ``Exists`` if there) or replace (``Missing`` if not there; ``GuardFailed`` if
    ``expected_revision`` is given and stale). Answers ``Done``. The store sets ``revision``."""

    record: IdTagRecord
    create: bool
    expected_revision: int | None = None
    caller: str = ""


@frozen
class DeleteIdTag:
    """Answers ``Done`` or ``Missing``."""

    id_tag: str
    by: DoneBy | None = None


@frozen
class AddCaller:
    """Makes a caller of the control interface known. Answers ``Done``; ``Exists`` with ``name`` or ``certificate_name``
    where another has that; ``GuardFailed`` where there are as many as there may be. ``by``: the caller that asked."""

    caller: Caller
    by: str = ""


@frozen
class RemoveCaller:
    """Answers ``Done`` or ``Missing``."""

    name: str
    by: DoneBy | None = None


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
    confirmed_by: str = ""
    """The caller that has confirmed the clock; empty: none has, or it had no name."""


Write: TypeAlias = (
    Append
    | OpenSession
    | CreateChargePoint
    | CreateChargePoints
    | UpdateChargePoint
    | DeleteChargePoint
    | CloseTransaction
    | AttributeOrphan
    | SettleEnergy
    | AddCredential
    | RemoveCredentials
    | DecideKey
    | UseKey
    | PutIdTag
    | DeleteIdTag
    | AddCaller
    | RemoveCaller
    | RecordAction
    | RecordRefusal
    | AllocateNumbers
    | RecordLastHeard
    | Trim
    | Forget
    | RecordClock
    | FleetWrite
    | NodeWrite
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


@quick_frozen
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
    changed: ChangedWanted | None = None
    """The request that has the id, where ``guard`` is a ``SteeringRequestUnused``."""


@frozen
class Exists:
    """``identities``: which, of several that were to be created, or which field of what was."""

    identities: tuple[str, ...] = ()


@frozen
class Missing:
    pass


Refusal: TypeAlias = Fenced | GuardFailed | Exists | Missing
WriteResult: TypeAlias = Appended | Opened | AllocatedNumbers | Trimmed | Done | Ended | Refusal

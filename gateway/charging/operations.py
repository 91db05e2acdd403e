"""The course of an operation as a table: its stage and what has happened to the stage that follows, or to its end.

Pure. ``step`` looks at an open operation as committed events have left it (``gateway.domain.operations``), never at a
single event: so whatever was missed, because the gateway was killed or the charger was away, is seen at the next look,
and a look that sees nothing new changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from attrs import evolve, frozen

from gateway.domain.charging_state import FALLS_AT, RISES_AT
from gateway.domain.commands import Command, CommandState, RemoteStartTransaction, RemoteStopTransaction
from gateway.domain.events import Body, OperationAdvanced, OperationEnded
from gateway.domain.operations import STEERING, End, OpenOperation, OperationKind, OperationRecord, Stage
from gateway.domain.power import Power
from gateway.domain.steering import Steering, SteeringState
from gateway.domain.values import WHOLE_CHARGE_POINT

POWER_WAIT: Final = timedelta(minutes=5)
"""From a transaction's start until its power has to show: some vehicles take minutes to begin, and a meter reports once
a minute."""

STEERING_WAIT: Final = timedelta(minutes=10)
"""For a pause or a limit to be put to the charger, in several tries if need be, and to show in its meter. It stays
wanted after that, and is only followed no longer."""

STOP_WAIT: Final = timedelta(minutes=2)
"""From a stop's sending, or its acceptance, until the transaction has to be over: a charger winds down in seconds, and
its StopTransaction may have to be sent again on a bad link."""


class Happening(StrEnum):
    """Something that an operation may wait for."""

    TOO_LATE = "too-late"
    """Its time is over and nothing was sent."""
    NOT_SENT = "not-sent"
    LINK_LOST = "link-lost"
    """Its command was not sent because the connection ended."""
    SENT = "sent"
    YES = "yes"
    """The charger has answered that it will carry the command out."""
    NO = "no"
    STARTED = "started"
    OVER = "over"
    """The transaction is."""
    NEVER_STARTED = "never-started"
    """No transaction came of the start in its time."""
    RISEN = "risen"
    FALLEN = "fallen"
    WAITED = "waited"
    """The time that the stage has is over."""
    WAITED_BLIND = "waited-blind"
    """The same, and no power was reported since."""
    SUPERSEDED = "superseded"
    """A later change of what is wanted of the connector has come."""
    APPLIED = "applied"
    """The charger has accepted what is wanted."""
    SETTLED = "settled"
    """The meter shows that it holds; or the charger has accepted it, and no transaction is open."""
    PAUSED = "paused"
    """Power stays away from a transaction that has started, and the gateway keeps a pause for it."""
    INEFFECTIVE = "ineffective"
    """The charger has accepted it, and its meter shows that it does not hold."""
    NOTHING = "nothing"
    """Nothing more has to happen."""


Next: TypeAlias = Stage | End

_S, _E, _H = Stage, End, Happening

_UNSENT: Final[Mapping[Happening, Next]] = {
    _H.LINK_LOST: _E.OFFLINE,
    _H.NOT_SENT: _E.NOT_SENT,
    _H.SENT: _S.SENT,
    _H.TOO_LATE: _E.NOT_SENT,
}

_STEERED: Final[Mapping[Happening, Next]] = {
    _H.SUPERSEDED: _E.NO_EFFECT,
    _H.NO: _E.REFUSED,
    _H.INEFFECTIVE: _E.NO_EFFECT,
}
_STEERING: Final[Mapping[Stage, Mapping[Happening, Next]]] = {
    _S.ACCEPTED: {**_STEERED, _H.SENT: _S.SENT, _H.WAITED_BLIND: _E.TIMED_OUT},
    _S.SENT: {**_STEERED, _H.APPLIED: _S.CHARGER_ACCEPTED, _H.WAITED_BLIND: _E.TIMED_OUT},
    _S.CHARGER_ACCEPTED: {
        **_STEERED,
        _H.RISEN: _S.POWER_RISEN,
        _H.SETTLED: _E.DONE,
        _H.WAITED: _E.NO_EFFECT,
        _H.WAITED_BLIND: _E.UNKNOWN,
    },
    _S.POWER_RISEN: {_H.NOTHING: _E.DONE},
}

TABLE: Mapping[OperationKind, Mapping[Stage, Mapping[Happening, Next]]] = MappingProxyType(
    {
        OperationKind.START_CHARGING: {
            _S.ACCEPTED: _UNSENT,
            _S.SENT: {
                _H.STARTED: _S.TRANSACTION_STARTED,
                _H.YES: _S.CHARGER_ACCEPTED,
                _H.NO: _E.REFUSED,
                _H.NEVER_STARTED: _E.TIMED_OUT,
            },
            _S.CHARGER_ACCEPTED: {_H.STARTED: _S.TRANSACTION_STARTED, _H.NEVER_STARTED: _E.NO_EFFECT},
            _S.TRANSACTION_STARTED: {
                _H.RISEN: _S.POWER_RISEN,
                _H.OVER: _E.NO_EFFECT,
                _H.PAUSED: _E.DONE,
                _H.WAITED: _E.NO_EFFECT,
                _H.WAITED_BLIND: _E.UNKNOWN,
            },
            _S.POWER_RISEN: {_H.NOTHING: _E.DONE},
        },
        OperationKind.STOP_CHARGING: {
            _S.ACCEPTED: {_H.OVER: _S.TRANSACTION_STOPPED, **_UNSENT},
            _S.SENT: {
                _H.OVER: _S.TRANSACTION_STOPPED,
                _H.YES: _S.CHARGER_ACCEPTED,
                _H.NO: _E.REFUSED,
                _H.WAITED: _E.TIMED_OUT,
                _H.WAITED_BLIND: _E.TIMED_OUT,
            },
            _S.CHARGER_ACCEPTED: {
                _H.OVER: _S.TRANSACTION_STOPPED,
                _H.FALLEN: _S.POWER_FALLEN,
                _H.WAITED: _E.NO_EFFECT,
                _H.WAITED_BLIND: _E.NO_EFFECT,
            },
            _S.POWER_FALLEN: {_H.OVER: _S.TRANSACTION_STOPPED, _H.WAITED: _E.DONE, _H.WAITED_BLIND: _E.DONE},
            _S.TRANSACTION_STOPPED: {_H.NOTHING: _E.DONE},
        },
        OperationKind.PAUSE_CHARGING: _STEERING,
        OperationKind.RESUME_CHARGING: _STEERING,
        OperationKind.LIMIT_CHARGING: _STEERING,
    }
)
"""The next stage, or the end, for each stage and happening; of several that have happened the first in its row counts.
Each row but the first is left by time at the latest: that of a start by its own (``gateway.domain.remote_starts``)."""

REASONS: Final[Mapping[Happening, str]] = MappingProxyType(
    {
        _H.TOO_LATE: "deadline",
        _H.LINK_LOST: "disconnected",
        _H.NEVER_STARTED: "never-started",
        _H.WAITED: "no-power",
        _H.WAITED_BLIND: "no-readings",
        _H.PAUSED: "paused",
        _H.SUPERSEDED: "superseded",
        _H.INEFFECTIVE: "ineffective",
    }
)
"""Why an operation ended, where neither the charger nor the command has a word for it."""


@frozen
class Step:
    """The work that an operation asks for now: events to be committed, in their order; its command to be sent; and,
    without either, the time of the next look (None: when something happens)."""

    events: tuple[Body, ...] = ()
    send: Command | None = None
    due: datetime | None = None


@frozen
class Steered:
    """A connector's wanted state, as far as an operation of ``STEERING`` needs it."""

    revision: int
    """Of what is wanted now; 0: nothing ever was."""
    steering: Steering | None
    transaction_open: bool


def step(
    operation: OpenOperation,
    power: Power | None,
    now: datetime,
    *,
    pending: bool = False,
    paused: bool = False,
    steered: Steered | None = None,
) -> Step:
    """The next step. ``power``: the newest of the operation's connector; ``pending``: whether a transaction may still
    come of its start; ``paused``: whether a pause is wanted of its connector now; ``steered``: for ``STEERING``."""
    if steered is not None:
        operation = _with(operation, steered)
    record, events = operation.record, list[Body]()
    row, stage, since = TABLE[record.request.kind], record.stage, record.stages[-1].at
    while True:
        found = _first(operation, row[stage], stage, since, power, now, pending, paused, steered)
        if found is None:
            break
        then = row[stage][found]
        if isinstance(then, End):
            reason, transaction = _reason(operation, found), record.transaction_id or None
            events.append(OperationEnded(record.operation_id, then, reason, transaction))
            break
        stage, since = then, now
        events.append(OperationAdvanced(record.operation_id, stage, record.command_id, record.transaction_id or None))
    if events:
        return Step(tuple(events))
    unsent = stage is Stage.ACCEPTED and operation.command is None and record.request.kind not in STEERING
    return Step((), command(operation) if unsent else None, _due(operation, stage, since))


def _with(operation: OpenOperation, steered: Steered) -> OpenOperation:
    """The operation with the command that the steering of its connector sent last."""
    steering = steered.steering
    if steering is None or steering.revision != operation.revision:
        return operation
    record = evolve(operation.record, command_id=steering.command_id or operation.record.command_id)
    return evolve(operation, record=record, said=steering.reason)


def command(operation: OpenOperation) -> Command:
    """The command that brings the operation about."""
    request = operation.record.request
    if request.kind is OperationKind.START_CHARGING:
        return RemoteStartTransaction(request.id_tag, request.connector)
    return RemoteStopTransaction(operation.record.transaction_id)


def _first(
    operation: OpenOperation,
    row: Mapping[Happening, Next],
    stage: Stage,
    since: datetime,
    power: Power | None,
    now: datetime,
    pending: bool,
    paused: bool,
    steered: Steered | None,
) -> Happening | None:
    if steered is None:
        happened = _happened(operation, stage, since, power, now, pending, paused)
    else:
        happened = _happened_to_limit(operation, steered, power, now)
    return next((each for each in row if each in happened), None)


def _happened(
    operation: OpenOperation,
    stage: Stage,
    since: datetime,
    power: Power | None,
    now: datetime,
    pending: bool,
    paused: bool,
) -> set[Happening]:
    found = {Happening.NOTHING}
    match operation.command:
        case CommandState.NOT_SENT:
            lost = operation.command_reason == REASONS[Happening.LINK_LOST]
            found.add(Happening.LINK_LOST if lost else Happening.NOT_SENT)
        case CommandState.SENT | CommandState.ANSWERED | CommandState.OUTCOME_UNKNOWN:
            found.add(Happening.SENT)
        case None if now >= operation.record.expires_at:
            found.add(Happening.TOO_LATE)
    if operation.accepted is not None:
        found.add(Happening.YES if operation.accepted else Happening.NO)
    if operation.began_at is not None:
        found.add(Happening.STARTED)
    elif not pending:
        found.add(Happening.NEVER_STARTED)
    if operation.over:
        found.add(Happening.OVER)
    since = operation.began_at if stage is Stage.TRANSACTION_STARTED and operation.began_at is not None else since
    shown = power if power is not None and power.at >= since else None
    if shown is not None and shown.watts >= RISES_AT:
        found.add(Happening.RISEN)
    if shown is not None and shown.watts < FALLS_AT:
        found.add(Happening.FALLEN)
    due = _due(operation, stage, since)
    if due is not None and now >= due:
        found.add(Happening.WAITED_BLIND if shown is None else Happening.WAITED)
        if paused and shown is not None:
            found.add(Happening.PAUSED)
    return found


def _happened_to_limit(
    operation: OpenOperation, steered: Steered, power: Power | None, now: datetime
) -> set[Happening]:
    if steered.revision != operation.revision:
        return {Happening.SUPERSEDED}
    found, steering, record = {Happening.NOTHING}, steered.steering, operation.record
    due = _due(operation, record.stage, record.created_at)
    if due is not None and now >= due:
        found.add(Happening.WAITED_BLIND)
    if steering is None or steering.revision != operation.revision:
        return found
    if any(each >= record.created_at for each in steering.tries):
        found.add(Happening.SENT)
    match steering.state:
        case SteeringState.APPLIED:
            found |= {Happening.SENT, Happening.APPLIED}
            if not steered.transaction_open:
                found.add(Happening.SETTLED)
            elif record.request.kind is OperationKind.RESUME_CHARGING:
                found |= _happened_to_resume(record, max(record.created_at, steering.since), power)
                if Happening.WAITED_BLIND not in found:
                    found.discard(Happening.WAITED)
        case SteeringState.VERIFIED:
            found |= {Happening.SENT, Happening.APPLIED, Happening.SETTLED}
        case SteeringState.REFUSED:
            found.add(Happening.NO)
        case SteeringState.INEFFECTIVE:
            found.add(Happening.INEFFECTIVE)
    return found


def _happened_to_resume(record: OperationRecord, since: datetime, power: Power | None) -> set[Happening]:
    """Nothing limits the connector any more, as the charger says: power that flows shows it, and power that does not
    at the end shows nothing that came of it. Of a whole charge point there is no one power."""
    if record.request.connector in (None, WHOLE_CHARGE_POINT):
        return {Happening.SETTLED}
    shown = power if power is not None and power.at >= since else None
    if shown is not None and shown.watts >= RISES_AT:
        return {Happening.RISEN}
    return set() if shown is None else {Happening.WAITED}


def _due(operation: OpenOperation, stage: Stage, since: datetime) -> datetime | None:
    """The time at which the stage is left at the latest; None: at none, or the command's own deadline comes first."""
    kind = operation.record.request.kind
    if kind in STEERING:
        due = operation.record.expires_at
    elif stage is Stage.ACCEPTED:
        return operation.record.expires_at if operation.command is None else None
    elif stage is Stage.TRANSACTION_STARTED:
        due = since + POWER_WAIT
    elif kind is OperationKind.STOP_CHARGING:
        due = since + STOP_WAIT
    else:
        return None
    return due if operation.held_until is None else max(due, operation.held_until)


def _reason(operation: OpenOperation, happening: Happening) -> str:
    match happening:
        case Happening.NO:
            return operation.said
        case Happening.NOT_SENT:
            return operation.command_reason
        case Happening.OVER:
            return f"transaction-{operation.over}"
        case Happening.WAITED | Happening.WAITED_BLIND if operation.record.request.kind is OperationKind.STOP_CHARGING:
            return "no-stop"
        case Happening.WAITED_BLIND if operation.record.request.kind in STEERING:
            return "not-verified"
        case Happening.NOTHING | Happening.SETTLED:
            return ""
        case _:
            return REASONS[happening]

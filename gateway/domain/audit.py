"""The audit: which caller did what to which charge point, when, and what came of it.

It is no second history. An entry is made of the event, or of the operator's change, that it stands for, in the same
transaction; what came of a command or an operation is read from its record when the entry is shown. Only refused calls,
which leave nothing else behind, are recorded for the audit alone.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from attrs import frozen

from gateway.domain import events as e
from gateway.domain.commands import (
    ChargerError,
    CommandState,
    CompositeScheduleAnswer,
    DataTransferAnswer,
    StatusAnswer,
)
from gateway.domain.operations import End, OperationKind

MAX_DENIED: Final = 10_000
"""Refused calls that are kept, the newest ones: a program with too small a role tries for ever."""

OFFLINE_CALLER: Final = "(offline)"
"""The caller of what ``gateway ... --offline`` writes while the gateway does not run. No caller can have the name."""


class SubjectKind(StrEnum):
    """Kind of the thing that an entry is about, besides its charge point."""

    COMMAND = "command"
    OPERATION = "operation"
    TRANSACTION = "transaction"
    ID_TAG = "id_tag"
    CALLER = "caller"


class AuditOutcome(StrEnum):
    """Outcome of what a caller did."""

    DONE = "DONE"
    """It is recorded; of a command and an operation: the charger has agreed, or has done it."""
    PENDING = "PENDING"
    """The charger has not answered yet, or the operation goes on."""
    NOT_DONE = "NOT_DONE"
    """It was not sent, the charger refused it, or it had no effect."""
    UNKNOWN = "UNKNOWN"
    """It may have been carried out."""
    DENIED = "DENIED"
    """The caller may not do it; nothing was done."""


@frozen
class AuditNote:
    """The part of an entry that follows from an event or a change. ``action``: the RPC, by its name."""

    caller: str
    action: str
    kind: SubjectKind | None = None
    subject: str = ""


@frozen
class DoneBy:
    """The caller of a change that leaves no record with a time."""

    caller: str
    at: datetime


@frozen
class RefusedCall:
    """A call that its caller may not make. ``charge_point``: as the request names it, whether or not there is one.
    ``omitted``: refusals since the last recorded one that are not."""

    caller: str
    action: str
    reason: str
    at: datetime
    charge_point: str = ""
    omitted: int = 0


@frozen
class AuditEntry:
    """An entry as it is shown. ``detail``: the charger's word, or the reason; empty: there is nothing to add."""

    key: int
    at: datetime
    caller: str
    action: str
    charge_point: str
    kind: SubjectKind | None
    subject: str
    outcome: AuditOutcome
    detail: str
    omitted: int = 0


# --- notes of events ----------------------------------------------------------------------------------------------

_CHANGES: Final = {
    "limit-set": "SetWantedLimit",
    "limit-lifted": "LiftWantedLimit",
    "plan-set": "SetPlan",
    "plan-cleared": "ClearPlan",
}


def rpc_of(kind: OperationKind) -> str:
    """The RPC that begins an operation of this kind."""
    return "".join(word.capitalize() for word in kind.value.split("_"))


def _queued(body: e.CommandQueued) -> AuditNote | None:
    if body.operation_id:
        return None  # the operation's entry stands for it
    return AuditNote(body.caller, body.operation, SubjectKind.COMMAND, body.command_id)


def _wanted(body: e.WantedChanged) -> AuditNote | None:
    if body.operation_id:
        return None
    return AuditNote(body.caller, _CHANGES.get(body.what, body.what))


_NOTES: Final[Mapping[type[e.Body], Callable[[Any], AuditNote | None]]] = {
    e.ChargePointCreated: lambda body: AuditNote(body.caller, "CreateChargePoint"),
    e.ChargePointUpdated: lambda body: AuditNote(body.caller, "UpdateChargePoint"),
    e.ChargePointDeleted: lambda body: AuditNote(body.caller, "DeleteChargePoint"),
    e.ChargePointDisconnected: lambda body: AuditNote(body.caller, "DisconnectChargePoint"),
    e.CommandQueued: _queued,
    e.OperationAccepted: lambda body: AuditNote(
        body.caller, rpc_of(body.request.kind), SubjectKind.OPERATION, body.operation_id
    ),
    e.WantedChanged: _wanted,
    e.TransactionClosed: lambda body: AuditNote(
        body.caller, "CloseTransaction", SubjectKind.TRANSACTION, body.transaction_id
    ),
    e.TransactionAttributed: lambda body: AuditNote(
        body.caller, "AttributeOrphan", SubjectKind.TRANSACTION, body.transaction_id
    ),
}

NAMES_CALLER: Final = frozenset({*(each.TYPE for each in _NOTES), e.VendorDataReceived.TYPE})
"""Types of events that may name a caller."""


def note_of(body: e.Body) -> AuditNote | None:
    """The note of an event; None: it names no caller, or another event's note stands for it."""
    make = _NOTES.get(type(body))
    note = None if make is None else make(body)
    return note if note is not None and note.caller else None


def caller_of(body: e.Body) -> str:
    """The caller that an event names; empty: none."""
    found: str = getattr(body, "caller", "")
    return found


# --- outcomes -----------------------------------------------------------------------------------------------------

_AGREED: Final = frozenset({"Accepted", "RebootRequired", "Scheduled", "Unlocked"})
"""Statuses by which a charger agrees."""


def outcome_of_command(
    state: CommandState | None, answer: object = None, error: ChargerError | None = None, reason: str = ""
) -> tuple[AuditOutcome, str]:
    """Return the outcome and its detail. ``state`` None: the command is not kept any more."""
    match state:
        case None:
            return AuditOutcome.UNKNOWN, "forgotten"
        case CommandState.QUEUED | CommandState.SENT:
            return AuditOutcome.PENDING, ""
        case CommandState.NOT_SENT:
            return AuditOutcome.NOT_DONE, reason
        case CommandState.OUTCOME_UNKNOWN:
            return AuditOutcome.UNKNOWN, reason
    if error is not None:
        return AuditOutcome.NOT_DONE, error.code
    if isinstance(answer, StatusAnswer | DataTransferAnswer | CompositeScheduleAnswer):
        return (AuditOutcome.DONE if answer.status in _AGREED else AuditOutcome.NOT_DONE), answer.status
    return AuditOutcome.DONE, ""


def outcome_of_operation(known: bool, end: End | None, reason: str) -> tuple[AuditOutcome, str]:
    """Return the outcome and its detail. ``known`` False: the operation is not kept any more."""
    if not known:
        return AuditOutcome.UNKNOWN, "forgotten"
    match end:
        case None:
            return AuditOutcome.PENDING, ""
        case End.DONE:
            return AuditOutcome.DONE, ""
        case End.UNKNOWN | End.TIMED_OUT:
            return AuditOutcome.UNKNOWN, reason or end.value
        case _:
            return AuditOutcome.NOT_DONE, reason or end.value

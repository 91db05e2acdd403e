"""Answers of a charger to what the reconciler sent it, and what each makes of a steering."""

from datetime import datetime
from typing import Final

from gateway.charging import outcomes
from gateway.charging.facts import refusal_of, violations_of
from gateway.charging.outcomes import Send
from gateway.domain.commands import CallOutcome, CommandRecord, CommandState, RefusalReason, Refused, StatusAnswer
from gateway.domain.steering import Steering

ACCEPTED: Final = StatusAnswer("Accepted")
UNKNOWN: Final = StatusAnswer("Unknown")


def was_sent(outcome: CallOutcome) -> bool:
    """Return whether a command was sent, or may have been; one that is invalid counts, as one that the charger
    refuses."""
    match outcome:
        case Refused(reason=reason):
            return reason is RefusalReason.INVALID_COMMAND
        case CommandRecord(state=CommandState.NOT_SENT):
            return False
        case _:
            return True


def of_sending(present: Steering, before: Steering, step: Send, outcome: CallOutcome, now: datetime) -> Steering:
    """The steering after a profile was sent, or could not be. ``before``: it, before the sending."""
    command_id = _command_id(outcome)
    match outcome:
        case CommandRecord(state=CommandState.ANSWERED, answer=answer) if answer == ACCEPTED:
            return outcomes.accepted(present, step, command_id, now)
        case CommandRecord(state=CommandState.ANSWERED):
            why = f"{step.purpose}: {refusal_of(outcome)}"
            return outcomes.refused(present, step, why, command_id, now, before.doubts)
        case Refused(reason=RefusalReason.INVALID_COMMAND):
            why = f"{step.purpose}: {violations_of(outcome)}"
            return outcomes.refused(present, step, why, command_id, now, before.doubts)
        case Refused() | CommandRecord(state=CommandState.NOT_SENT):
            return outcomes.not_sent(present, before)
        case _:
            return outcomes.unanswered(present, step, command_id, now)


def of_clearing(present: Steering, before: Steering, number: int, outcome: CallOutcome, now: datetime) -> Steering:
    """The steering after a profile was cleared, or could not be. ``before``: it, before the clearing."""
    command_id = _command_id(outcome)
    match outcome:
        case CommandRecord(state=CommandState.ANSWERED, answer=answer) if answer in (ACCEPTED, UNKNOWN):
            return outcomes.cleared(present, number, command_id)
        case CommandRecord(state=CommandState.ANSWERED):
            why = f"a profile could not be cleared: {refusal_of(outcome)}"
            return outcomes.not_cleared(present, number, why, command_id, now)
        case Refused(reason=RefusalReason.INVALID_COMMAND):
            why = f"a profile could not be cleared: {violations_of(outcome)}"
            return outcomes.not_cleared(present, number, why, command_id, now)
        case Refused() | CommandRecord(state=CommandState.NOT_SENT):
            return outcomes.not_sent(present, before)
        case _:
            return outcomes.perhaps_cleared(present, number, command_id, now)


def _command_id(outcome: CallOutcome) -> str:
    return outcome.command_id if isinstance(outcome, CommandRecord) else ""

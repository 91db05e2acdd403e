"""The reset of a charger as a part of an operation: while no transaction is open, and never again after an outcome that
is not known."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from gateway.domain.commands import CommandState
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.operations import OwnCommand
from gateway.security.steps import Reading

RESET: Final = "Reset"

MOST_RESETS: Final = 4
"""Commands of one operation that are to reset its charger: a link that fails so often before one is sent, or a charger
that refuses so often, does it for a reason."""

_ON_THE_WIRE: Final = frozenset({CommandState.SENT, CommandState.ANSWERED, CommandState.OUTCOME_UNKNOWN})


class ResetOutcome(StrEnum):
    """Outcome of the resets of an operation so far."""

    NONE = "none"
    """None was sent."""
    AWAITED = "awaited"
    """One is on the wire."""
    TAKEN = "taken"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """There is no answer, or none that says whether the charger resets itself."""


def split(commands: Sequence[OwnCommand]) -> tuple[tuple[OwnCommand, ...], tuple[OwnCommand, ...]]:
    """An operation's commands: settings, and resets."""
    return (
        tuple(each for each in commands if each.operation != RESET),
        tuple(each for each in commands if each.operation == RESET),
    )


def outcome(resets: Sequence[OwnCommand], read: Reading) -> ResetOutcome:
    """Their outcome together: of any that was not refused, that; it may reset the charger yet."""
    sent = [each for each in resets if each.state in _ON_THE_WIRE]
    found = [_outcome(each, read) for each in sent]
    order = (ResetOutcome.TAKEN, ResetOutcome.AWAITED, ResetOutcome.UNKNOWN, ResetOutcome.REFUSED)
    return next((each for each in order if each in found), ResetOutcome.NONE)


def _outcome(reset: OwnCommand, read: Reading) -> ResetOutcome:
    if reset.state is CommandState.SENT:
        return ResetOutcome.AWAITED
    answer = read(reset.said) if reset.state is CommandState.ANSWERED else KeyAnswer.UNKNOWN
    if answer is KeyAnswer.TAKEN:
        return ResetOutcome.TAKEN
    return ResetOutcome.REFUSED if answer is KeyAnswer.REFUSED else ResetOutcome.UNKNOWN

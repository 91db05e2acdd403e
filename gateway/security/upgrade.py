"""The course of an upgrade of a charger's security profile (A05, A7.12, A7.13).

    ACCEPTED ──▶ SENT ──▶ CHARGER_ACCEPTED ──▶ RESET_SENT ──▶ RECONNECTED ──▶ done    the higher profile alone is let in
                  │  └──▶ refused                 └──▶ rolled back: it came back on the old one, or not in time
                  │                               a reset that was refused is sent again; one without an answer never
                  └──▶ OUTCOME_UNKNOWN ──▶ SENT   the same value again, which is safe

Until it has connected with the higher profile the listeners of both let the charger in (A05.FR.08): what is stored as
the least one changes with the end of the operation alone.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from gateway.domain.commands import CommandState
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.operations import SECURITY_PROFILE, End, OpenOperation, OperationRequest, OwnCommand, Stage
from gateway.security.resets import MOST_RESETS, ResetOutcome, outcome, split
from gateway.security.rotation import RETRY
from gateway.security.steps import Connection, Next, Reading, SecurityStep, ToSend, course

UPGRADE_WAIT: Final = timedelta(hours=1)
"""Until an upgrade is followed no longer: a charger boots in minutes, and tries the new profile a few times before it
falls back. One that waits for a transaction to end waits as long."""

MOST_SENT: Final = 4
"""Times that the profile is sent: a link that fails so often fails for a reason."""


class Happening(StrEnum):
    """Something that an upgrade may wait for."""

    TOO_LATE = "too-late"
    NOT_SENT = "not-sent"
    SENT = "sent"
    """The profile is on the wire, or may be."""
    TAKEN = "taken"
    """The charger has answered that it takes the profile, if only from its next boot on."""
    REFUSED = "refused"
    UNKNOWN = "unknown"
    GIVEN_UP = "given-up"
    RESET_SENT = "reset-sent"
    RISEN = "risen"
    """It is connected with the higher profile."""
    FELL_BACK = "fell-back"
    """It has booted since the reset, and is connected with the old one."""
    NOTHING = "nothing"


_S, _E, _H = Stage, End, Happening

_ANSWERED: Final[Mapping[StrEnum, Next]] = {
    _H.RISEN: _S.RECONNECTED,
    _H.TAKEN: _S.CHARGER_ACCEPTED,
    _H.REFUSED: _E.REFUSED,
}

TABLE: Final[Mapping[Stage, Mapping[StrEnum, Next]]] = MappingProxyType(
    {
        _S.ACCEPTED: {_H.SENT: _S.SENT, _H.NOT_SENT: _E.NOT_SENT, _H.TOO_LATE: _E.NOT_SENT},
        _S.SENT: {**_ANSWERED, _H.UNKNOWN: _S.OUTCOME_UNKNOWN},
        _S.OUTCOME_UNKNOWN: {**_ANSWERED, _H.SENT: _S.SENT, _H.GIVEN_UP: _E.UNKNOWN, _H.TOO_LATE: _E.UNKNOWN},
        _S.CHARGER_ACCEPTED: {_H.RISEN: _S.RECONNECTED, _H.RESET_SENT: _S.RESET_SENT, _H.TOO_LATE: _E.ROLLED_BACK},
        _S.RESET_SENT: {_H.RISEN: _S.RECONNECTED, _H.FELL_BACK: _E.ROLLED_BACK, _H.TOO_LATE: _E.ROLLED_BACK},
        _S.RECONNECTED: {_H.NOTHING: _E.DONE},
    }
)
"""The next stage, or the end, for each stage and happening; of several that have happened the first in its row
counts."""

REASONS: Final[Mapping[StrEnum, str]] = MappingProxyType(
    {_H.TOO_LATE: "deadline", _H.GIVEN_UP: "no-answer", _H.FELL_BACK: "fell-back", _H.NOTHING: ""}
)

_ON_THE_WIRE: Final = frozenset({CommandState.SENT, CommandState.ANSWERED, CommandState.OUTCOME_UNKNOWN})
_UNDER_WAY: Final = frozenset({CommandState.QUEUED, CommandState.SENT})


def step(operation: OpenOperation, connection: Connection, now: datetime, read: Reading) -> SecurityStep:
    """The next step of an upgrade. ``read``: the meanings of a charger's words."""
    settings, resets = split(operation.commands)

    def happened(stage: Stage, since: datetime, command_id: str) -> set[StrEnum]:
        found = _happened_to_setting(settings, stage, command_id, read)
        if outcome(resets, read) is not ResetOutcome.NONE:
            found.add(Happening.RESET_SENT)
        if connection.entry.security_profile >= target_of(operation.record.request):
            found.add(Happening.RISEN)
        elif stage is Stage.RESET_SENT and connection.booted_at is not None and connection.booted_at > since:
            found.add(Happening.FELL_BACK)
        if now >= operation.record.expires_at and not _is_under_way(operation.commands):
            found.add(Happening.TOO_LATE)
        return found

    events = course(operation, TABLE, happened, _reason, now)
    if events:
        return SecurityStep(events)
    if _is_under_way(operation.commands):
        return SecurityStep()  # its own deadlines end it
    return _to_send(operation, settings, resets, connection, now, read)


def target_of(request: OperationRequest) -> int:
    """The profile that an upgrade is to reach."""
    arguments = request.arguments
    profile = arguments.get(SECURITY_PROFILE) if isinstance(arguments, dict) else None
    return profile if isinstance(profile, int) else 0


def _to_send(
    operation: OpenOperation,
    settings: tuple[OwnCommand, ...],
    resets: tuple[OwnCommand, ...],
    connection: Connection,
    now: datetime,
    read: Reading,
) -> SecurityStep:
    record, since = operation.record, operation.record.stages[-1].at
    again, late = since + RETRY, record.expires_at
    match record.stage:
        case Stage.ACCEPTED:
            return SecurityStep(send=ToSend.PROFILE)
        case Stage.OUTCOME_UNKNOWN if len(settings) < MOST_SENT:
            return SecurityStep(send=ToSend.PROFILE) if now >= again else SecurityStep(due=min(again, late))
        case Stage.CHARGER_ACCEPTED if len(resets) < MOST_RESETS:
            # A reset would end a transaction: it waits for that, unless the caller insists.
            if connection.transaction_open and not record.request.insist:
                return SecurityStep(due=late)
            return SecurityStep(send=ToSend.RESET)
        case Stage.RESET_SENT if len(resets) < MOST_RESETS and outcome(resets, read) is ResetOutcome.REFUSED:
            again = since + len(resets) * RETRY
            if now < again:
                return SecurityStep(due=min(again, late))
            if record.request.insist or not connection.transaction_open:
                return SecurityStep(send=ToSend.RESET)
    return SecurityStep(due=late)


def _happened_to_setting(
    settings: tuple[OwnCommand, ...], stage: Stage, stage_command: str, read: Reading
) -> set[StrEnum]:
    found: set[StrEnum] = {Happening.NOTHING}
    answers = [read(each.said) for each in settings if each.state is CommandState.ANSWERED]
    if {KeyAnswer.TAKEN, KeyAnswer.AFTER_BOOT} & set(answers):
        found.add(Happening.TAKEN)
    if not settings:
        return found
    last = settings[-1]
    if last.state in _ON_THE_WIRE and (stage is Stage.ACCEPTED or last.command_id != stage_command):
        found.add(Happening.SENT)
    if last.state is CommandState.NOT_SENT and len(settings) >= MOST_SENT:
        found.add(Happening.NOT_SENT)
    answer = read(last.said) if last.state is CommandState.ANSWERED else None
    if last.state is CommandState.OUTCOME_UNKNOWN or answer is KeyAnswer.UNKNOWN:
        found.add(Happening.GIVEN_UP if len(settings) >= MOST_SENT and stage is Stage.OUTCOME_UNKNOWN else _H.UNKNOWN)
    if answer is KeyAnswer.REFUSED:
        found.add(Happening.REFUSED)
    return found


def _is_under_way(commands: tuple[OwnCommand, ...]) -> bool:
    return bool(commands) and commands[-1].state in _UNDER_WAY


def _reason(operation: OpenOperation, stage: Stage, happening: StrEnum) -> str:
    last = operation.commands[-1] if operation.commands else None
    if happening is Happening.REFUSED and last is not None:
        return last.said
    if happening is Happening.NOT_SENT and last is not None:
        return last.reason
    return REASONS[happening]

"""The course of a change of a charger's key (A7.7, A7.8).

    ACCEPTED ──▶ SENT ──▶ CHARGER_ACCEPTED ──▶ done             the new key alone holds
                  │  ├──▶ REBOOT_REQUIRED ──▶ KEY_USED ──▶ done  both hold until the boot with the new one
                  │  │        └──▶ RESET_SENT ──▶ KEY_USED       the same, where a reset was asked for
                  │  │               └──▶ RESET_REFUSED, RESET_UNKNOWN ──▶ KEY_USED    a boot is waited for all the same
                  │  └──▶ refused                               the old one alone holds
                  └──▶ OUTCOME_UNKNOWN ──▶ KEY_USED ──▶ done     all that were sent hold until one is used
                          └──▶ SENT                             with another key: the one before is not kept in clear

Which keys are admitted is decided with each answer and each connection (``gateway.session.commands.key_rotation``,
``gateway.chargers.admission``), whether or not an operation follows it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from gateway.domain.commands import CommandState
from gateway.domain.credentials import id_for_command
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.operations import End, OpenOperation, OwnCommand, Stage
from gateway.domain.rotations import asks_reset
from gateway.security.resets import MOST_RESETS, ResetOutcome, outcome, split
from gateway.security.steps import Connection, Entry, Next, Reading, SecurityStep, ToSend, course

ROTATION_WAIT: Final = timedelta(days=1)
"""Until a rotation is followed no longer: a charger that was lost in the middle of it is back by then, or has been
looked after. What it may use stays admitted."""

RETRY: Final = timedelta(minutes=1)
"""From an unknown outcome until another key is sent: a late answer is taken meanwhile, and so is a return."""

LAST_WAIT: Final = timedelta(minutes=10)
"""The same after the last key."""

MOST_KEYS: Final = 4
"""Keys that one rotation sends: a link that fails so often fails for a reason. With the present one they are well
within what a charge point may have (``gateway.domain.credentials.MAX_KEYS``)."""


class Happening(StrEnum):
    """Something that a rotation may wait for."""

    TOO_LATE = "too-late"
    """Its time is over."""
    NOT_SENT = "not-sent"
    """Nothing was sent, and nothing will be."""
    SENT = "sent"
    """A key is on the wire, or may be."""
    TAKEN = "taken"
    AFTER_BOOT = "after-boot"
    REFUSED = "refused"
    DOUBTFUL = "doubtful"
    """The charger has refused a key, and may have taken one before it."""
    UNKNOWN = "unknown"
    """Nothing says whether it has taken the last one."""
    USED = "used"
    """It has connected with one that this rotation has sent."""
    GIVEN_UP = "given-up"
    """So many were sent, and nothing says whether it has taken one."""
    RESET_SENT = "reset-sent"
    RESET_REFUSED = "reset-refused"
    RESET_UNKNOWN = "reset-unknown"
    """Nothing says whether the charger resets itself; it is not asked again."""
    NOTHING = "nothing"
    """Nothing more has to happen."""


_S, _E, _H = Stage, End, Happening

_ANSWERED: Final[Mapping[StrEnum, Next]] = {
    _H.USED: _S.KEY_USED,
    _H.TAKEN: _S.CHARGER_ACCEPTED,
    _H.AFTER_BOOT: _S.REBOOT_REQUIRED,
    _H.REFUSED: _E.REFUSED,
    _H.DOUBTFUL: _E.UNKNOWN,
}

TABLE: Final[Mapping[Stage, Mapping[StrEnum, Next]]] = MappingProxyType(
    {
        _S.ACCEPTED: {_H.SENT: _S.SENT, _H.NOT_SENT: _E.NOT_SENT, _H.TOO_LATE: _E.NOT_SENT},
        _S.SENT: {**_ANSWERED, _H.UNKNOWN: _S.OUTCOME_UNKNOWN},
        _S.OUTCOME_UNKNOWN: {**_ANSWERED, _H.SENT: _S.SENT, _H.GIVEN_UP: _E.UNKNOWN, _H.TOO_LATE: _E.UNKNOWN},
        _S.CHARGER_ACCEPTED: {_H.NOTHING: _E.DONE},
        _S.REBOOT_REQUIRED: {_H.USED: _S.KEY_USED, _H.RESET_SENT: _S.RESET_SENT, _H.TOO_LATE: _E.UNKNOWN},
        _S.RESET_SENT: {
            _H.USED: _S.KEY_USED,
            _H.RESET_REFUSED: _S.RESET_REFUSED,
            _H.RESET_UNKNOWN: _S.RESET_UNKNOWN,
            _H.TOO_LATE: _E.UNKNOWN,
        },
        _S.RESET_REFUSED: {_H.USED: _S.KEY_USED, _H.TOO_LATE: _E.UNKNOWN},
        _S.RESET_UNKNOWN: {_H.USED: _S.KEY_USED, _H.RESET_REFUSED: _S.RESET_REFUSED, _H.TOO_LATE: _E.UNKNOWN},
        _S.KEY_USED: {_H.NOTHING: _E.DONE},
    }
)
"""The next stage, or the end, for each stage and happening; of several that have happened the first in its row
counts."""

_RESETS: Final[Mapping[ResetOutcome, set[StrEnum]]] = {
    ResetOutcome.NONE: set(),
    ResetOutcome.AWAITED: {_H.RESET_SENT},
    ResetOutcome.TAKEN: {_H.RESET_SENT},
    ResetOutcome.REFUSED: {_H.RESET_SENT, _H.RESET_REFUSED},
    ResetOutcome.UNKNOWN: {_H.RESET_SENT, _H.RESET_UNKNOWN},
}

NO_BOOT: Final = "no-boot"
OLD_KEY: Final = "old-key"
"""The charger has booted, and goes on with the key of before."""
RESET_NOT_SENT: Final = "reset-not-sent"
"""A reset was asked for, and never could be sent: a transaction was always open, or the charger away."""

REASONS: Final[Mapping[StrEnum, str]] = MappingProxyType({_H.TOO_LATE: "deadline", _H.GIVEN_UP: "no-answer"})
"""Why it ended, where neither the charger nor a command has a word for it."""

_ON_THE_WIRE: Final = frozenset({CommandState.SENT, CommandState.ANSWERED, CommandState.OUTCOME_UNKNOWN})
_AGAIN: Final = frozenset({"disconnected", "draining", "gateway-restarted", "store-unavailable", "deadline"})
"""Reasons for which a key was not sent that may be gone at the next look."""


def step(operation: OpenOperation, connection: Connection, now: datetime, read: Reading) -> SecurityStep:
    """The next step of a rotation. ``read``: the meanings of a charger's words."""

    def happened(stage: Stage, since: datetime, command_id: str) -> set[StrEnum]:
        return _happened(operation, connection.entry, stage, since, command_id, now, read)

    def reason(_: OpenOperation, stage: Stage, happening: StrEnum) -> str:
        return _reason(operation, connection, stage, happening)

    events = course(operation, TABLE, happened, reason, now)
    if events:
        return SecurityStep(events)
    record, since = operation.record, operation.record.stages[-1].at
    keys, resets = split(operation.commands)
    if _is_under_way(operation.commands):
        return SecurityStep()  # its own deadlines end it
    match record.stage:
        case Stage.ACCEPTED:
            return SecurityStep(send=ToSend.KEY)
        case Stage.OUTCOME_UNKNOWN if len(keys) >= MOST_KEYS:
            return SecurityStep(due=min(since + LAST_WAIT, record.expires_at))
        case Stage.OUTCOME_UNKNOWN:
            again = since + RETRY
            return SecurityStep(send=ToSend.KEY) if now >= again else SecurityStep(due=min(again, record.expires_at))
        case Stage.REBOOT_REQUIRED if asks_reset(record.request) and len(resets) < MOST_RESETS:
            # One that was not sent is no try, and is made again.
            if record.request.insist or not connection.transaction_open:
                return SecurityStep(send=ToSend.RESET)
    return SecurityStep(due=record.expires_at)


def _happened(
    operation: OpenOperation, entry: Entry, stage: Stage, since: datetime, command_id: str, now: datetime, read: Reading
) -> set[StrEnum]:
    found: set[StrEnum] = {Happening.NOTHING}
    keys, resets = split(operation.commands)
    answers = [read(each.said) if each.state is CommandState.ANSWERED else None for each in keys]
    if entry.credential_id and any(entry.credential_id == id_for_command(each.command_id) for each in keys):
        found.add(Happening.USED)
    if KeyAnswer.TAKEN in answers:  # also a late answer to one before the last
        found.add(Happening.TAKEN)
    if keys:
        found |= _happened_to_last(keys, answers, stage, command_id)
    if stage is Stage.OUTCOME_UNKNOWN and len(keys) >= MOST_KEYS and now >= since + LAST_WAIT:
        found.add(Happening.GIVEN_UP)
    if resets:
        found |= _RESETS[outcome(resets, read)]
    if now >= operation.record.expires_at and not _is_under_way(operation.commands):
        found.add(Happening.TOO_LATE)
    return found


def _happened_to_last(
    commands: tuple[OwnCommand, ...], answers: list[KeyAnswer | None], stage: Stage, stage_command: str
) -> set[StrEnum]:
    found: set[StrEnum] = set()
    last, answer = commands[-1], answers[-1]
    if last.state in _ON_THE_WIRE and (stage is Stage.ACCEPTED or last.command_id != stage_command):
        found.add(Happening.SENT)
    if last.state is CommandState.NOT_SENT and (last.reason not in _AGAIN or len(commands) >= MOST_KEYS):
        found.add(Happening.NOT_SENT)
    if last.state is CommandState.OUTCOME_UNKNOWN or answer is KeyAnswer.UNKNOWN:
        found.add(Happening.UNKNOWN)
    if answer is KeyAnswer.AFTER_BOOT:
        found.add(Happening.AFTER_BOOT)
    if answer is KeyAnswer.REFUSED:
        doubtful = any(
            each.state is CommandState.OUTCOME_UNKNOWN or said in (KeyAnswer.UNKNOWN, KeyAnswer.AFTER_BOOT)
            for each, said in zip(commands, answers, strict=True)
        )
        found.add(Happening.DOUBTFUL if doubtful else Happening.REFUSED)
    return found


def _is_under_way(commands: tuple[OwnCommand, ...]) -> bool:
    return bool(commands) and commands[-1].state in (CommandState.QUEUED, CommandState.SENT)


def _reason(operation: OpenOperation, connection: Connection, stage: Stage, happening: StrEnum) -> str:
    keys, _ = split(operation.commands)
    last = keys[-1] if keys else None
    match happening:
        case Happening.NOTHING:
            return ""
        case Happening.REFUSED | Happening.DOUBTFUL if last is not None:
            return last.said
        case Happening.NOT_SENT if last is not None:
            return last.reason
        case Happening.TOO_LATE if stage in _WAITS_FOR_BOOT:
            return _without_the_key(operation, connection, stage)
    return REASONS[happening]


_WAITS_FOR_BOOT: Final = frozenset({Stage.REBOOT_REQUIRED, Stage.RESET_SENT, Stage.RESET_REFUSED, Stage.RESET_UNKNOWN})


def _without_the_key(operation: OpenOperation, connection: Connection, stage: Stage) -> str:
    """The reason for which it has not connected with its new key."""
    since = next(each.at for each in operation.record.stages if each.stage is Stage.REBOOT_REQUIRED)
    if connection.booted_at is not None and connection.booted_at > since:
        return OLD_KEY
    asked = asks_reset(operation.record.request) and stage is Stage.REBOOT_REQUIRED
    return RESET_NOT_SENT if asked else NO_BOOT

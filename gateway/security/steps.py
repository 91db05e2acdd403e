"""The next step of an operation of ``SECURITY``: what all kinds of them have in common.

``step`` looks at an open operation as committed events have left it (``gateway.domain.operations``) and at the
connection of now, never at a single event: so whatever was missed, because the gateway was killed or the charger was
away, is seen at the next look, and a look that sees nothing new changes nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from attrs import frozen

from gateway.domain.events import Body, OperationAdvanced, OperationEnded
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.operations import End, OpenOperation, Stage


class ToSend(StrEnum):
    """A command that an operation asks for; how it is spelled is the protocol's."""

    KEY = "KEY"
    """A new AuthorizationKey, made when it is sent."""
    PROFILE = "PROFILE"
    RESET = "RESET"


@frozen
class Entry:
    """The connection of now, by what it was let in."""

    credential_id: str = ""
    """The key that was used; empty: none was looked at."""
    security_profile: int = 0


@frozen
class Connection:
    """The connection of now, and what the charger is doing. ``booted_at``: when it last booted;
    ``transaction_open``: or one is about to begin."""

    entry: Entry
    booted_at: datetime | None = None
    transaction_open: bool = False


NO_ENTRY = Entry()
"""Of a connection of which this is not known."""

NO_CONNECTION = Connection(NO_ENTRY)
"""The same, and nothing is known of the charger."""


@frozen
class SecurityStep:
    """The work that an operation asks for now: events to be committed, in their order; a command to be sent; and,
    without either, the time of the next look (None: when something happens)."""

    events: tuple[Body, ...] = ()
    send: ToSend | None = None
    due: datetime | None = None


Reading: TypeAlias = Callable[[str], KeyAnswer]
"""The meaning of a charger's answer to a setting, in its words."""

Next: TypeAlias = Stage | End
Rows: TypeAlias = Mapping[Stage, Mapping[StrEnum, Next]]


def course(
    operation: OpenOperation,
    rows: Rows,
    happened: Callable[[Stage, datetime, str], set[StrEnum]],
    reason: Callable[[OpenOperation, Stage, StrEnum], str],
    now: datetime,
) -> tuple[Body, ...]:
    """The events of all the stages that the operation reaches now, and of its end if it does.

    ``happened``: what has, seen from a stage that was reached at a time with a command; the first of it in the stage's
    row counts.
    """
    record, events = operation.record, list[Body]()
    stage, since = record.stage, record.stages[-1].at
    command_id = operation.commands[-1].command_id if operation.commands else ""
    of_stage = record.command_id
    while True:
        has_happened = happened(stage, since, of_stage)
        found = next((each for each in rows[stage] if each in has_happened), None)
        if found is None:
            return tuple(events)
        then = rows[stage][found]
        if isinstance(then, End):
            return (*events, OperationEnded(record.operation_id, then, reason(operation, stage, found)))
        stage, since, of_stage = then, now, command_id
        events.append(OperationAdvanced(record.operation_id, stage, command_id))

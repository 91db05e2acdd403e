"""Changes by the events of commands, as ``gateway.store.postgres.projections`` makes them for all others."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import orjson

from gateway.domain import events as e
from gateway.domain import remote_starts as starts
from gateway.domain.codec import encode_answer, encode_error
from gateway.domain.command_states import TRANSITIONS
from gateway.domain.commands import CommandState
from gateway.domain.credentials import id_for_command
from gateway.domain.events import NewEvent
from gateway.domain.progress import WORK
from gateway.store.postgres import progress
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import change

if TYPE_CHECKING:
    from gateway.store.postgres.writer import Writer


def _listed(states: Iterable[CommandState]) -> str:
    return ", ".join(f"'{state}'" for state in states)


_UNFINISHED: Final = _listed(state for state in CommandState if not state.final)
"""Also QUEUED before OUTCOME_UNKNOWN: where it is not known whether the commit of SENT was kept, and it was not."""
_AT_THE_END: Final = _listed(state for state, row in TRANSITIONS.items() if not row)

QUEUED: Final = change(
    """key int4, command_id text, request_id text, operation text, arguments bytea, fingerprint text, at int8,
    sequence int8, caller text""",
    """INSERT INTO command (command_id, charge_point, request_id, operation, arguments, fingerprint, state, created_at,
    queued_sequence, last_sequence, caller)
    SELECT u.command_id, u.key, u.request_id, u.operation, u.arguments, u.fingerprint, 'QUEUED', u.at,
    (SELECT mine()) + u.sequence, (SELECT mine()) + u.sequence, u.caller FROM ROWS""",
)
START_QUEUED: Final = change(
    "key int4, command_id text, id_tag text, evse int8, connector int8, at int8",
    f"""INSERT INTO pending_start (charge_point, command_id, id_tag, evse, connector, queued_at)
    SELECT u.key, u.command_id, u.id_tag, u.evse, u.connector, u.at FROM ROWS
    WHERE (SELECT count(*) FROM pending_start p WHERE p.charge_point = u.key) < {starts.MAX_PENDING}""",
)
SENT: Final = change(
    "key int4, command_id text, at int8, sequence int8",
    """UPDATE command m SET state = 'SENT', sent_at = u.at, last_sequence = (SELECT mine()) + u.sequence FROM ROWS
    WHERE m.command_id = u.command_id AND m.charge_point = u.key AND m.state = 'QUEUED'""",
)
START_SENT: Final = change(
    "key int4, command_id text, at int8",
    """UPDATE pending_start p SET sent_at = u.at FROM ROWS
    WHERE p.charge_point = u.key AND p.command_id = u.command_id""",
)
ANSWERED: Final = change(
    "key int4, command_id text, at int8, answer bytea, error bytea, late int4, sequence int8",
    f"""UPDATE command m SET state = 'ANSWERED', finished_at = u.at, answer = u.answer, error = u.error, late = u.late,
    reason = '', last_sequence = (SELECT mine()) + u.sequence FROM ROWS
    WHERE m.command_id = u.command_id AND m.charge_point = u.key AND m.state NOT IN ({_AT_THE_END})""",
)
START_ACCEPTED: Final = change(
    "key int4, command_id text, at int8",
    """UPDATE pending_start p SET accepted_at = u.at FROM ROWS
    WHERE p.charge_point = u.key AND p.command_id = u.command_id""",
)
UNANSWERED: Final = change(
    "key int4, command_id text, state text, at int8, reason text, sequence int8",
    f"""UPDATE command m SET state = u.state, finished_at = u.at, reason = u.reason,
    last_sequence = (SELECT mine()) + u.sequence FROM ROWS
    WHERE m.command_id = u.command_id AND m.charge_point = u.key AND m.state IN ({_UNFINISHED})""",
)
KEY_NOT_BROUGHT: Final = change(
    "key int4, credential_id text, command_id text",
    """DELETE FROM credential k USING ROWS WHERE k.charge_point = u.key AND k.credential_id = u.credential_id
    AND EXISTS (SELECT 1 FROM command m WHERE m.command_id = u.command_id AND m.charge_point = u.key
    AND m.state = 'NOT_SENT')""",
)
START_UNKNOWN: Final = change(
    "key int4, command_id text",
    """UPDATE pending_start p SET sent_at = coalesce(p.sent_at, p.queued_at) FROM ROWS
    WHERE p.charge_point = u.key AND p.command_id = u.command_id""",
)
START_OVER: Final = change(
    "key int4, command_id text",
    "DELETE FROM pending_start p USING ROWS WHERE p.charge_point = u.key AND p.command_id = u.command_id",
)


def queued(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CommandQueued, sequence: int) -> None:
    arguments = orjson.dumps(body.arguments)
    writer.change(
        QUEUED,
        owner.key,
        body.command_id,
        body.request_id,
        body.operation,
        arguments,
        body.fingerprint,
        at,
        sequence,
        body.caller,
    )
    if body.caller:
        writer.noted(owner, body, at, sequence)
    if body.operation == starts.OPERATION:
        start = starts.pending_start(event, body)
        address = (None, None) if start.connector is None else (start.connector.evse, start.connector.connector)
        writer.change(START_QUEUED, owner.key, start.command_id, start.id_tag, *address, at)


def start_expired(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.RemoteStartExpired, sequence: int
) -> None:
    start_over(writer, owner, body.command_id)


def start_over(writer: "Writer", owner: Owner, command_id: str) -> None:
    """No transaction comes of a remote start any more."""
    writer.change(START_OVER, owner.key, command_id)


def sent(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CommandSent, sequence: int) -> None:
    writer.change(SENT, owner.key, body.command_id, at, sequence)
    if body.operation == starts.OPERATION:
        writer.change(START_SENT, owner.key, body.command_id, at)
    elif body.operation in WORK:
        progress.sent(writer, owner, WORK[body.operation], body)


def answered(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CommandAnswered, sequence: int) -> None:
    """Also of one whose outcome was unknown: a late answer mends it. A second answer changes nothing."""
    writer.change(
        ANSWERED,
        owner.key,
        body.command_id,
        at,
        None if body.answer is None else encode_answer(body.answer),
        None if body.error is None else encode_error(body.error),
        int(body.late),
        sequence,
    )
    if body.operation == starts.OPERATION:
        if body.answer == starts.ACCEPTED:
            writer.change(START_ACCEPTED, owner.key, body.command_id, at)
        elif starts.refuses(body):
            start_over(writer, owner, body.command_id)


def not_sent(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CommandNotSent, sequence: int) -> None:
    writer.change(UNANSWERED, owner.key, body.command_id, "NOT_SENT", at, body.reason, sequence)
    if body.operation == starts.OPERATION:
        start_over(writer, owner, body.command_id)
    # A key that it was to bring may have been admitted, by a commit whose outcome is unknown (A7.8).
    writer.change(KEY_NOT_BROUGHT, owner.key, id_for_command(body.command_id), body.command_id)


def outcome_unknown(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CommandOutcomeUnknown, sequence: int
) -> None:
    writer.change(UNANSWERED, owner.key, body.command_id, "OUTCOME_UNKNOWN", at, body.reason, sequence)
    if body.operation == starts.OPERATION:  # what may have been sent may be carried out
        writer.change(START_UNKNOWN, owner.key, body.command_id)

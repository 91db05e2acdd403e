"""Changes by the events of commands, as ``gateway.store.sqlite.projections`` makes them for all others."""

from collections.abc import Iterable

import orjson
from apsw import Connection

from gateway.domain import events as e
from gateway.domain import remote_starts as starts
from gateway.domain.codec import encode_answer, encode_error
from gateway.domain.command_states import TRANSITIONS
from gateway.domain.commands import CommandState
from gateway.domain.credentials import id_for_command
from gateway.domain.events import NewEvent
from gateway.domain.progress import WORK
from gateway.store.sqlite import progress
from gateway.store.sqlite.audit_notes import noted


def _listed(states: Iterable[CommandState]) -> str:
    return ", ".join(f"'{state}'" for state in states)


_UNFINISHED = _listed(state for state in CommandState if not state.final)
"""Also QUEUED before OUTCOME_UNKNOWN: where it is not known whether the commit of SENT was kept, and it was not."""
_AT_THE_END = _listed(state for state, row in TRANSITIONS.items() if not row)


def queued(cx: Connection, key: int, event: NewEvent, at: int, body: e.CommandQueued, sequence: int) -> None:
    cx.execute(
        """INSERT INTO command (command_id, charge_point, request_id, operation, arguments, fingerprint, state,
        created_at, last_sequence, caller) VALUES (?, ?, ?, ?, ?, ?, 'QUEUED', ?, ?, ?)""",
        (
            body.command_id,
            key,
            body.request_id,
            body.operation,
            orjson.dumps(body.arguments),
            body.fingerprint,
            at,
            sequence,
            body.caller,
        ),
    )
    if body.caller:
        noted(cx, key, event, at, body, sequence)
    if body.operation == starts.OPERATION:
        start = starts.pending_start(event, body)
        address = (None, None) if start.connector is None else (start.connector.evse, start.connector.connector)
        cx.execute(
            """INSERT INTO pending_start (charge_point, command_id, id_tag, evse, connector, queued_at)
            SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM pending_start WHERE charge_point = ?1) < ?7""",
            (key, start.command_id, start.id_tag, *address, at, starts.MAX_PENDING),
        )


def start_expired(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.RemoteStartExpired, sequence: int
) -> None:
    start_over(cx, key, body.command_id)


def start_over(cx: Connection, key: int, command_id: str) -> None:
    """No transaction comes of a remote start any more."""
    cx.execute("DELETE FROM pending_start WHERE charge_point = ? AND command_id = ?", (key, command_id))


def sent(cx: Connection, key: int, event: NewEvent, at: int, body: e.CommandSent, sequence: int) -> None:
    cx.execute(
        """UPDATE command SET state = 'SENT', sent_at = ?, last_sequence = ?
        WHERE command_id = ? AND charge_point = ? AND state = 'QUEUED'""",
        (at, sequence, body.command_id, key),
    )
    if body.operation == starts.OPERATION:
        cx.execute(
            "UPDATE pending_start SET sent_at = ? WHERE charge_point = ? AND command_id = ?",
            (at, key, body.command_id),
        )
    elif body.operation in WORK:
        progress.sent(cx, key, WORK[body.operation], body)


def answered(cx: Connection, key: int, event: NewEvent, at: int, body: e.CommandAnswered, sequence: int) -> None:
    """Also of one whose outcome was unknown: a late answer mends it. A second answer changes nothing."""
    cx.execute(
        f"""UPDATE command SET state = 'ANSWERED', finished_at = ?, answer = ?, error = ?, late = ?, reason = '',
        last_sequence = ? WHERE command_id = ? AND charge_point = ?
        AND state NOT IN ({_AT_THE_END})""",  # noqa: S608 - a constant
        (
            at,
            None if body.answer is None else encode_answer(body.answer),
            None if body.error is None else encode_error(body.error),
            int(body.late),
            sequence,
            body.command_id,
            key,
        ),
    )
    if body.operation == starts.OPERATION:
        if body.answer == starts.ACCEPTED:
            cx.execute(
                "UPDATE pending_start SET accepted_at = ? WHERE charge_point = ? AND command_id = ?",
                (at, key, body.command_id),
            )
        elif starts.refuses(body):
            start_over(cx, key, body.command_id)


def not_sent(cx: Connection, key: int, event: NewEvent, at: int, body: e.CommandNotSent, sequence: int) -> None:
    _finish_without_answer(cx, key, "NOT_SENT", body.command_id, body.reason, at, sequence)
    if body.operation == starts.OPERATION:
        start_over(cx, key, body.command_id)
    # A key that it was to bring may have been admitted, by a commit whose outcome is unknown (A7.8).
    cx.execute(
        """DELETE FROM credential WHERE charge_point = ? AND credential_id = ?
        AND EXISTS (SELECT 1 FROM command WHERE command_id = ? AND charge_point = ? AND state = 'NOT_SENT')""",
        (key, id_for_command(body.command_id), body.command_id, key),
    )


def outcome_unknown(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.CommandOutcomeUnknown, sequence: int
) -> None:
    _finish_without_answer(cx, key, "OUTCOME_UNKNOWN", body.command_id, body.reason, at, sequence)
    if body.operation == starts.OPERATION:  # what may have been sent may be carried out
        cx.execute(
            "UPDATE pending_start SET sent_at = coalesce(sent_at, queued_at) WHERE charge_point = ? AND command_id = ?",
            (key, body.command_id),
        )


def _finish_without_answer(
    cx: Connection, key: int, state: str, command_id: str, reason: str, at: int, sequence: int
) -> None:
    cx.execute(
        f"""UPDATE command SET state = ?, finished_at = ?, reason = ?, last_sequence = ?
        WHERE command_id = ? AND charge_point = ? AND state IN ({_UNFINISHED})""",  # noqa: S608 - a constant
        (state, at, reason, sequence, command_id, key),
    )

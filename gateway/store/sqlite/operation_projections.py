"""Changes by the events of operations, as ``gateway.store.sqlite.projections`` makes them for all others."""

import orjson
from apsw import Connection

from gateway.domain import events as e
from gateway.domain.events import NewEvent
from gateway.domain.operations import End, OperationKind, Stage
from gateway.store.encoding import maybe_micros, to_micros
from gateway.store.sqlite.audit_notes import noted


def accepted(cx: Connection, key: int, event: NewEvent, at: int, body: e.OperationAccepted, sequence: int) -> None:
    request, limit = body.request, body.request.limit
    # A request id is unique by guards. In the logs of before there were none between different kinds of operations:
    # the first one of an id is kept.
    address = (None, None) if request.connector is None else (request.connector.evse, request.connector.connector)
    cx.execute(
        """INSERT OR IGNORE INTO operation (operation_id, charge_point, request_id, kind, evse, connector, id_tag,
        named, insist, created_at, expires_at, stages, transaction_id, last_sequence,
        limit_value, limit_unit, limit_phases, until, pause_below_minimum, caller,
        arguments, fingerprint)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            body.operation_id,
            key,
            body.request_id,
            request.kind,
            *address,
            request.id_tag,
            request.transaction_id,
            int(request.insist),
            at,
            to_micros(body.expires_at),
            orjson.dumps([[Stage.ACCEPTED, at, sequence]]).decode(),
            body.transaction_id or "",
            sequence,
            None if limit is None else str(limit.value),
            None if limit is None else limit.unit,
            None if limit is None else limit.phases,
            maybe_micros(request.until),
            int(request.pause_below_minimum),
            body.caller,
            "" if request.arguments is None else orjson.dumps(request.arguments).decode(),
            request.fingerprint,
        ),
    )
    if body.caller:
        noted(cx, key, event, at, body, sequence)


def advanced(cx: Connection, key: int, event: NewEvent, at: int, body: e.OperationAdvanced, sequence: int) -> None:
    cx.execute(
        """UPDATE operation SET stages = json_insert(stages, '$[#]', json(?)), command_id = ?,
        transaction_id = coalesce(?, transaction_id), last_sequence = ?
        WHERE operation_id = ? AND charge_point = ? AND ended IS NULL""",
        (
            orjson.dumps([body.stage, at, sequence]).decode(),
            body.command_id,
            body.transaction_id,
            sequence,
            body.operation_id,
            key,
        ),
    )


def ended(cx: Connection, key: int, event: NewEvent, at: int, body: e.OperationEnded, sequence: int) -> None:
    cx.execute(
        """UPDATE operation SET ended = ?, reason = ?, ended_at = ?, transaction_id = coalesce(?, transaction_id),
        last_sequence = ? WHERE operation_id = ? AND charge_point = ? AND ended IS NULL""",
        (
            body.end,
            body.reason,
            at,
            body.transaction_id,
            sequence,
            body.operation_id,
            key,
        ),
    )
    if body.end is End.DONE:
        # Confirmed by a connection with the higher profile: from now on a lower one is refused (A7.12).
        cx.execute(
            """UPDATE charge_point SET revision = revision + 1, minimum_security_profile = max(minimum_security_profile,
            (SELECT json_extract(arguments, '$.security_profile') FROM operation WHERE operation_id = ?2))
            WHERE key = ?1 AND EXISTS (SELECT 1 FROM operation WHERE operation_id = ?2 AND kind = ?3)""",
            (key, body.operation_id, OperationKind.UPGRADE_SECURITY_PROFILE),
        )

"""Changes by the events of operations, as ``gateway.store.postgres.projections`` makes them for all others."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from typing import TYPE_CHECKING, Final

import orjson

from gateway.domain import events as e
from gateway.domain.events import NewEvent
from gateway.domain.operations import End, OperationKind, Stage
from gateway.store.encoding import maybe_micros, to_micros
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import change

if TYPE_CHECKING:
    from gateway.store.postgres.writer import Writer

_STAGE: Final = "format('[\"%s\",%s,%s]', u.stage, u.at, (SELECT mine()) + u.sequence)"
"""A stage that was reached, as JSON; its name needs no escapes."""

ACCEPTED: Final = change(
    """key int4, operation_id text, request_id text, kind text, evse int8, connector int8, id_tag text, named text,
    insist int4, at int8, expires_at int8, stage text, transaction_id text, sequence int8, limit_value text,
    limit_unit text, limit_phases int8, until int8, pause int4, caller text, arguments text,
    fingerprint text""",
    f"""INSERT INTO operation (operation_id, charge_point, request_id, kind, evse, connector, id_tag, named, insist,
    created_at, expires_at, stages, transaction_id, accepted_sequence, last_sequence, limit_value, limit_unit,
    limit_phases, until, pause_below_minimum, caller, arguments, fingerprint)
    SELECT u.operation_id, u.key, u.request_id, u.kind, u.evse, u.connector, u.id_tag, u.named, u.insist, u.at,
    u.expires_at, '[' || {_STAGE} || ']', u.transaction_id, (SELECT mine()) + u.sequence, (SELECT mine()) + u.sequence,
    u.limit_value, u.limit_unit, u.limit_phases, u.until, u.pause, u.caller, u.arguments,
    u.fingerprint FROM ROWS
    ON CONFLICT DO NOTHING""",
)
ADVANCED: Final = change(
    "key int4, operation_id text, stage text, at int8, sequence int8, command_id text, transaction_id text",
    f"""UPDATE operation o SET stages = left(o.stages, -1) || ',' || {_STAGE} || ']', command_id = u.command_id,
    transaction_id = coalesce(u.transaction_id, o.transaction_id), last_sequence = (SELECT mine()) + u.sequence
    FROM ROWS WHERE o.operation_id = u.operation_id AND o.charge_point = u.key AND o.ended IS NULL""",
)
ENDED: Final = change(
    "key int4, operation_id text, ended text, reason text, at int8, transaction_id text, sequence int8",
    """UPDATE operation o SET ended = u.ended, reason = u.reason, ended_at = u.at,
    transaction_id = coalesce(u.transaction_id, o.transaction_id), last_sequence = (SELECT mine()) + u.sequence
    FROM ROWS WHERE o.operation_id = u.operation_id AND o.charge_point = u.key AND o.ended IS NULL""",
)
RAISED: Final = change(
    "key int4, operation_id text, kind text",
    # Confirmed by a connection with the higher profile: from now on a lower one is refused (A7.12).
    """UPDATE charge_point c SET revision = c.revision + 1, minimum_security_profile =
    greatest(c.minimum_security_profile, (o.arguments::json ->> 'security_profile')::int4)
    FROM ROWS JOIN operation o ON o.operation_id = u.operation_id AND o.charge_point = u.key AND o.kind = u.kind
    WHERE c.key = u.key""",
)


def accepted(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.OperationAccepted, sequence: int
) -> None:
    """A request id is unique by guards. In logs of before there were none between different kinds of operations: the
    first one of an id is kept."""
    request, limit = body.request, body.request.limit
    address = (None, None) if request.connector is None else (request.connector.evse, request.connector.connector)
    writer.change(
        ACCEPTED,
        owner.key,
        body.operation_id,
        body.request_id,
        request.kind,
        *address,
        request.id_tag,
        request.transaction_id,
        int(request.insist),
        at,
        to_micros(body.expires_at),
        Stage.ACCEPTED,
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
    )
    if body.caller:
        writer.noted(owner, body, at, sequence)


def advanced(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.OperationAdvanced, sequence: int
) -> None:
    writer.change(
        ADVANCED, owner.key, body.operation_id, body.stage, at, sequence, body.command_id, body.transaction_id
    )


def ended(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.OperationEnded, sequence: int) -> None:
    writer.change(ENDED, owner.key, body.operation_id, body.end, body.reason, at, body.transaction_id, sequence)
    if body.end is End.DONE:
        writer.change(RAISED, owner.key, body.operation_id, OperationKind.UPGRADE_SECURITY_PROFILE)

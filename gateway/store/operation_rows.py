"""Rows of operations to records, of any store with this table."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import orjson

from gateway.domain.answers import verdict
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.codec import UnreadableBody, decode, decode_answer, decode_error
from gateway.domain.commands import CommandRecord, CommandState
from gateway.domain.events import NewEvent
from gateway.domain.maintenance_facts import NOTES
from gateway.domain.operations import (
    End,
    OpenOperation,
    OperationKind,
    OperationRecord,
    OperationRequest,
    OwnCommand,
    Stage,
    StageReached,
    own_request_id,
)
from gateway.domain.steering import ChangedWanted, RateLimit
from gateway.domain.values import ConnectorAddress
from gateway.store.encoding import maybe_time, to_time
from gateway.store.rows import Row

OPERATION = """o.operation_id, c.identity, o.request_id, o.kind, o.evse, o.connector, o.id_tag, o.named, o.insist,
    o.created_at, o.expires_at, o.stages, o.command_id, o.transaction_id, o.ended, o.reason, o.ended_at,
    o.last_sequence, o.limit_value, o.limit_unit, o.limit_phases, o.until, o.pause_below_minimum, o.caller,
    o.arguments, o.fingerprint"""
OPERATION_TABLES = "operation o JOIN charge_point c ON c.key = o.charge_point"


def operation(row: Row) -> OperationRecord:
    operation_id, identity, request_id, kind, evse, number, id_tag, named, insist = row[:9]
    created, expires, stages, command_id, transaction_id, ended, reason, ended_at, sequence = row[9:18]
    value, unit, phases, until, pause, caller, arguments, fingerprint = row[18:]
    limit = None if value is None else RateLimit(Decimal(value), ChargingRateUnit(unit), phases)
    connector = None if evse is None else ConnectorAddress(evse, number)
    return OperationRecord(
        operation_id,
        identity,
        request_id,
        OperationRequest(
            OperationKind(kind),
            connector,
            id_tag,
            named,
            bool(insist),
            limit,
            maybe_time(until),
            bool(pause),
            orjson.loads(arguments) if arguments else None,
            fingerprint,
        ),
        to_time(created),
        to_time(expires),
        tuple(StageReached(Stage(stage), to_time(at), by) for stage, at, by in orjson.loads(stages)),
        command_id,
        transaction_id,
        None if ended is None else End(ended),
        reason,
        maybe_time(ended_at),
        sequence,
        caller,
    )


MAX_REPORTS = 1_000
"""Events that say something of one operation's work, as they are read back: several times what a charger has to say of
it, and the boots of one that falls over each minute and a half of a day."""


def with_its_work(found: OpenOperation, rows: Iterable[Row]) -> OpenOperation:
    """The same with what its charge point has said of its work. ``rows``: type, version, stored body and time of
    receipt of each event of a type in ``maintenance_facts.NOTES``, in their order, from the acceptance on."""
    for name, version, stored, received in rows:
        try:
            body = decode(name, version, stored)
        except UnreadableBody:
            continue  # of a later version: what it says is not known
        found = NOTES[name](found, NewEvent(body, to_time(received)), body, 0)
    return found


OWN_COMMAND = "command_id, operation, state, answer, error, reason"


def own_command(row: Row) -> OwnCommand:
    """A command of an operation of ``SECURITY``."""
    command_id, operation_, state, answer, error, reason = row
    said = ""
    if answer is not None or error is not None:
        _, said = verdict(decode_answer(answer) if error is None else decode_error(error))
    return OwnCommand(command_id, operation_, CommandState(state), said, reason)


def own_requests(operation_id: str) -> tuple[str, str]:
    """The bounds, themselves outside, between which the request ids of its commands lie."""
    return own_request_id(operation_id, 0)[:-1], f"{operation_id}0"  # "0" follows "/"


def open_operation(
    record: OperationRecord,
    command: CommandRecord | None,
    transaction: Row | None,
    changed: ChangedWanted | None,
    held_until: datetime,
) -> OpenOperation:
    """An open operation, as the events have left it. ``command``: the one that it sent; ``transaction``: the id,
    the start and the state of the one that it is about; ``changed``: what it changed that is wanted."""
    state: CommandState | None = None
    accepted, said, reason, command_id = None, "", "", record.command_id
    if command is not None:
        state, reason, command_id = command.state, command.reason, command.command_id
        if state is CommandState.ANSWERED:
            accepted, said = verdict(command.answer if command.error is None else command.error)
    transaction_id, began, over = record.transaction_id, None, ""
    if transaction is not None:
        transaction_id, began = transaction[0], to_time(transaction[1])
        over = "" if transaction[2] == "OPEN" else str(transaction[2]).lower()
    present = OperationRecord(
        record.operation_id,
        record.charge_point,
        record.request_id,
        record.request,
        record.created_at,
        record.expires_at,
        record.stages,
        command_id,
        transaction_id,
        sequence=record.sequence,
        caller=record.caller,
    )
    started = began if record.request.kind is OperationKind.START_CHARGING else None
    revision = 0 if changed is None else changed.revision
    return OpenOperation(present, state, accepted, said, reason, started, over, revision, held_until)

"""The reads of operations: those that are shown, and those that are open, with what is known of each."""

# ruff: noqa: S608 - statements are put together from constants of this module; what is given is bound

from datetime import datetime
from decimal import Decimal

import orjson
from apsw import Connection

from gateway.domain.charging import ChargingRateUnit
from gateway.domain.commands import CommandState
from gateway.domain.operations import (
    End,
    OpenOperation,
    OperationKind,
    OperationRecord,
    OperationRequest,
    Stage,
    StageReached,
    steering_request_id,
    verdict,
)
from gateway.domain.steering import RateLimit
from gateway.domain.values import ConnectorAddress
from gateway.store.api import OverdueOperation
from gateway.store.sqlite.encoding import maybe_time, to_micros, to_time
from gateway.store.sqlite.queries import bounded, command_by_request
from gateway.store.sqlite.rows import Row, fetch
from gateway.store.sqlite.steering import changed_by_request

_COLUMNS = """o.operation_id, c.identity, o.request_id, o.kind, o.evse, o.connector, o.id_tag, o.named, o.insist,
    o.created_at, o.expires_at, o.stages, o.command_id, o.transaction_id, o.ended, o.reason, o.ended_at,
    o.last_sequence, o.limit_value, o.limit_unit, o.limit_phases, o.until, o.pause_below_minimum"""
_SELECT = f"SELECT {_COLUMNS} FROM operation o JOIN charge_point c ON c.key = o.charge_point"


def _record(row: Row) -> OperationRecord:
    operation_id, identity, request_id, kind, evse, number, id_tag, named, insist = row[:9]
    created, expires, stages, command_id, transaction_id, ended, reason, ended_at, sequence = row[9:18]
    value, unit, phases, until, pause = row[18:]
    limit = None if value is None else RateLimit(Decimal(value), ChargingRateUnit(unit), phases)
    connector = None if evse is None else ConnectorAddress(evse, number)
    return OperationRecord(
        operation_id,
        identity,
        request_id,
        OperationRequest(
            OperationKind(kind), connector, id_tag, named, bool(insist), limit, maybe_time(until), bool(pause)
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
    )


def operation(cx: Connection, operation_id: str) -> OperationRecord | None:
    row = cx.execute(f"{_SELECT} WHERE o.operation_id = ?", (operation_id,)).fetchone()
    return None if row is None else _record(row)


def operation_by_request(cx: Connection, charge_point: str, request_id: str) -> OperationRecord | None:
    sql = f"""{_SELECT} WHERE o.charge_point = (SELECT key FROM charge_point WHERE identity = ?)
        AND o.request_id = ?"""
    row = cx.execute(sql, (charge_point, request_id)).fetchone()
    return None if row is None else _record(row)


def operations(cx: Connection, charge_point: str | None, after: str | None, limit: int) -> list[OperationRecord]:
    """Newest first; nothing after an ``after`` that retention has taken."""
    conditions, given = [], []
    if charge_point is not None:
        conditions.append("o.charge_point = (SELECT key FROM charge_point WHERE identity = ?)")
        given.append(charge_point)
    if after is not None:
        conditions.append("o.key < (SELECT key FROM operation WHERE operation_id = ?)")
        given.append(after)
    filtered = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"{_SELECT} {filtered} ORDER BY o.key DESC LIMIT ?"
    return [_record(row) for row in cx.execute(sql, (*given, bounded(limit)))]


def overdue_operations(cx: Connection, at: datetime, limit: int) -> list[OverdueOperation]:
    """Those of charge points that are not connected; one with a session is left to it."""
    sql = f"""SELECT c.epoch, {_COLUMNS} FROM operation o JOIN charge_point c ON c.key = o.charge_point
        WHERE o.ended IS NULL AND o.expires_at <= ? AND c.connected = 0 ORDER BY o.key LIMIT ?"""
    found = cx.execute(sql, (to_micros(at), bounded(limit)))
    return [OverdueOperation(epoch, _record(tuple(row))) for epoch, *row in found]


def open_operations(cx: Connection, key: int, held_until: datetime) -> list[OpenOperation]:
    """A charge point's open operations, the first accepted first, as the events have left them."""
    rows = fetch(cx, f"{_SELECT} WHERE o.charge_point = ? AND o.ended IS NULL ORDER BY o.key", (key,))
    return [_open(cx, key, _record(row), held_until) for row in rows]


def _open(cx: Connection, key: int, record: OperationRecord, held_until: datetime) -> OpenOperation:
    command = command_by_request(cx, record.charge_point, record.operation_id)
    state: CommandState | None = None
    accepted, said, reason, command_id = None, "", "", record.command_id
    if command is not None:
        state, reason, command_id = command.state, command.reason, command.command_id
        if state is CommandState.ANSWERED:
            accepted, said = verdict(command.answer, command.error)
    transaction = cx.execute(
        """SELECT transaction_id, started_at, state FROM txn WHERE charge_point = ?1
        AND (transaction_id = ?2 OR (start_command_id = ?3 AND ?3 <> '')) ORDER BY key LIMIT 1""",
        (key, record.transaction_id, command_id),
    ).fetchone()
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
    )
    started = began if record.request.kind is OperationKind.START_CHARGING else None
    changed = changed_by_request(cx, key, steering_request_id(record.request_id))
    revision = 0 if changed is None else changed.revision
    return OpenOperation(present, state, accepted, said, reason, started, over, revision, held_until)

"""The reads of operations: those that are shown, and those that are open, with what is known of each."""

# ruff: noqa: S608 - statements are put together from constants of this module; what is given is bound

from datetime import datetime

from apsw import Connection

from gateway.domain.maintenance_facts import NOTES
from gateway.domain.operations import (
    MAINTENANCE,
    SECURITY,
    OpenOperation,
    OperationRecord,
    OwnCommand,
    steering_request_id,
)
from gateway.store.api import OverdueOperation
from gateway.store.encoding import to_micros
from gateway.store.limits import bounded
from gateway.store.operation_rows import (
    MAX_REPORTS,
    OPERATION,
    OPERATION_TABLES,
    OWN_COMMAND,
    open_operation,
    own_command,
    own_requests,
    with_its_work,
)
from gateway.store.operation_rows import operation as operation_record
from gateway.store.sqlite.queries import command_by_request
from gateway.store.sqlite.selects import fetch
from gateway.store.sqlite.steering import changed_by_request

_SELECT = f"SELECT {OPERATION} FROM {OPERATION_TABLES}"


def operation(cx: Connection, operation_id: str) -> OperationRecord | None:
    row = cx.execute(f"{_SELECT} WHERE o.operation_id = ?", (operation_id,)).fetchone()
    return None if row is None else operation_record(row)


def operation_by_request(cx: Connection, charge_point: str, request_id: str) -> OperationRecord | None:
    sql = f"""{_SELECT} WHERE o.charge_point = (SELECT key FROM charge_point WHERE identity = ?)
        AND o.request_id = ?"""
    row = cx.execute(sql, (charge_point, request_id)).fetchone()
    return None if row is None else operation_record(row)


def overdue_operations(cx: Connection, at: datetime, limit: int) -> list[OverdueOperation]:
    """Those of charge points that are not connected; one with a session is left to it."""
    sql = f"""SELECT c.epoch, {OPERATION} FROM operation o JOIN charge_point c ON c.key = o.charge_point
        WHERE o.ended IS NULL AND o.expires_at <= ? AND c.connected = 0 ORDER BY o.key LIMIT ?"""
    found = cx.execute(sql, (to_micros(at), bounded(limit)))
    return [OverdueOperation(epoch, operation_record(tuple(row))) for epoch, *row in found]


def open_operations(cx: Connection, key: int, held_until: datetime) -> list[OpenOperation]:
    """A charge point's open operations, the first accepted first, as the events have left them."""
    rows = fetch(cx, f"{_SELECT} WHERE o.charge_point = ? AND o.ended IS NULL ORDER BY o.key", (key,))
    return [_open(cx, key, operation_record(row), held_until) for row in rows]


def _open(cx: Connection, key: int, record: OperationRecord, held_until: datetime) -> OpenOperation:
    if record.request.kind in SECURITY:
        return OpenOperation(record, held_until=held_until, commands=_own_commands(cx, key, record.operation_id))
    command = command_by_request(cx, record.charge_point, record.operation_id)
    command_id = record.command_id if command is None else command.command_id
    transaction = cx.execute(
        """SELECT transaction_id, started_at, state FROM txn WHERE charge_point = ?1
        AND (transaction_id = ?2 OR (start_command_id = ?3 AND ?3 <> '')) ORDER BY key LIMIT 1""",
        (key, record.transaction_id, command_id),
    ).fetchone()
    changed = changed_by_request(cx, key, steering_request_id(record.request_id))
    found = open_operation(record, command, transaction, changed, held_until)
    return _with_its_work(cx, key, found) if record.request.kind in MAINTENANCE else found


def _with_its_work(cx: Connection, key: int, operation: OpenOperation) -> OpenOperation:
    """The same with what its charge point has said of its work since it was accepted."""
    sql = f"""SELECT t.name, e.version, e.body, e.received_at FROM event e JOIN event_type t ON t.code = e.type
        WHERE e.charge_point = ? AND e.sequence >= ? AND t.name IN ({", ".join("?" * len(NOTES))})
        ORDER BY e.sequence LIMIT ?"""
    given = (key, operation.record.stages[0].sequence, *NOTES, MAX_REPORTS)
    return with_its_work(operation, cx.execute(sql, given))


def _own_commands(cx: Connection, key: int, operation_id: str) -> tuple[OwnCommand, ...]:
    """The commands of an operation of ``SECURITY``, in their order. Its request ids are in one range."""
    sql = f"""SELECT {OWN_COMMAND} FROM command
        WHERE charge_point = ? AND request_id <> '' AND request_id > ? AND request_id < ? ORDER BY key"""
    return tuple(own_command(row) for row in cx.execute(sql, (key, *own_requests(operation_id))))

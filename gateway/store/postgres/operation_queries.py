"""The reads of operations: those that are shown, and those that are open, with what is known of each."""

# ruff: noqa: S608 - statements are put together from constants of this module; what is given is bound

from datetime import datetime
from typing import TYPE_CHECKING

from gateway.domain.maintenance_facts import NOTES
from gateway.domain.operations import MAINTENANCE, SECURITY, OpenOperation, OperationRecord, steering_request_id
from gateway.store import rows
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
from gateway.store.postgres import steering
from gateway.store.postgres.conditions import texts
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.queries import COMMAND_BY_REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterable

_SELECT = f"SELECT {OPERATION} FROM {OPERATION_TABLES}"


def _first(found: "Iterable[rows.Row]") -> OperationRecord | None:
    return next(map(operation_record, found), None)


def operation(cx: Connection, operation_id: str) -> OperationRecord | None:
    return _first(cx.rows(f"{_SELECT} WHERE o.operation_id = $1", operation_id))


def operation_by_request(cx: Connection, charge_point: str, request_id: str) -> OperationRecord | None:
    return _first(cx.rows(f"{_SELECT} WHERE c.identity = $1 AND o.request_id = $2", charge_point, request_id))


def overdue_operations(cx: Connection, at: datetime, limit: int) -> list[OverdueOperation]:
    """Those of charge points that are not connected; one with a session is left to it."""
    sql = f"""SELECT c.epoch, {OPERATION} FROM operation o JOIN charge_point c ON c.key = o.charge_point
        WHERE o.ended IS NULL AND o.expires_at <= $1 AND c.connected = 0 ORDER BY o.accepted_sequence LIMIT $2"""
    found = cx.rows(sql, to_micros(at), bounded(limit))
    return [OverdueOperation(epoch, operation_record(tuple(row))) for epoch, *row in found]


OPEN = f"{_SELECT} WHERE o.charge_point = $1 AND o.ended IS NULL ORDER BY o.accepted_sequence"
_TRANSACTION = """SELECT transaction_id, started_at, state FROM txn WHERE charge_point = $1
    AND (transaction_id = $2 OR (start_command_id = $3 AND $3 <> '')) ORDER BY start_sequence LIMIT 1"""


_OWN = f"""SELECT {OWN_COMMAND} FROM command WHERE charge_point = $1 AND request_id <> '' AND request_id > $2
    AND request_id < $3 ORDER BY queued_sequence"""


_WORK = """SELECT t.name, e.version, e.body, e.received_at FROM history e JOIN event_type t ON t.code = e.type
    WHERE e.charge_point = $1 AND e.sequence >= $2 AND t.name = ANY ($3) ORDER BY e.sequence LIMIT $4"""
"""Reports of its charge point on an operation's work since it was accepted."""


def open_operations(cx: Connection, key: int, held_until: datetime) -> list[OpenOperation]:
    """A charge point's open operations, the first accepted first, as the events have left them."""
    records = [operation_record(row) for row in cx.rows(OPEN, key)]
    asked = [
        (
            record,
            cx.send(COMMAND_BY_REQUEST, record.charge_point, record.operation_id),
            cx.send(steering.CHANGED, key, steering_request_id(record.request_id)),
        )
        for record in records
    ]
    cx.sync()
    found = []
    for record, command, changed in asked:
        if record.request.kind in SECURITY:
            own = cx.rows(_OWN, key, *own_requests(record.operation_id))
            commands = tuple(map(own_command, own))
            found.append(OpenOperation(record, held_until=held_until, commands=commands))
            continue
        sent = rows.command(command.rows[0]) if command.rows else None
        command_id = record.command_id if sent is None else sent.command_id
        transaction = cx.first(_TRANSACTION, key, record.transaction_id, command_id)
        wanted = steering.changed(steering_request_id(record.request_id), next(iter(changed.rows), None))
        present = open_operation(record, sent, transaction, wanted, held_until)
        if record.request.kind in MAINTENANCE:
            given = (key, record.stages[0].sequence, texts(NOTES), MAX_REPORTS)
            present = with_its_work(present, cx.rows(_WORK, *given))
        found.append(present)
    return found

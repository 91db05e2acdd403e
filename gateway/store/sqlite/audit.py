"""The audit's table: written with what it points at, read with what has become of that."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from apsw import Connection

from gateway.domain.audit import MAX_DENIED, AuditEntry, AuditNote
from gateway.store.audit_commits import RecordAction, RecordRefusal
from gateway.store.audit_rows import AUDIT, AUDIT_TABLES, entry
from gateway.store.commits import Done
from gateway.store.encoding import to_micros
from gateway.store.filters import AuditFilter
from gateway.store.limits import bounded
from gateway.store.sqlite.audit_notes import insert
from gateway.store.sqlite.writer import Writer


def note_change(writer: Writer, note: AuditNote, at: datetime) -> None:
    """Note a change that has no event, if its caller has a name."""
    if note.caller:
        insert(writer.cx, note, to_micros(at), writer.head + 1, None)


def record_refusal(writer: Writer, write: RecordRefusal) -> Done:
    """Note a refused call; the oldest ones go where there are too many."""
    call, cx = write.call, writer.cx
    cx.execute(
        """INSERT INTO audit (sequence, at, caller, action, charge_point, kind, subject, denied, omitted)
        VALUES (?, ?, ?, ?, (SELECT key FROM charge_point WHERE identity = ?), '', '', ?, ?)""",
        (writer.head + 1, to_micros(call.at), call.caller, call.action, call.charge_point, call.reason, call.omitted),
    )
    cx.execute(
        """DELETE FROM audit WHERE denied <> '' AND key <= (SELECT key FROM audit WHERE denied <> ''
        ORDER BY key DESC LIMIT 1 OFFSET ?)""",
        (MAX_DENIED,),
    )
    return Done()


def record_action(writer: Writer, write: RecordAction) -> Done:
    """Note what a caller did."""
    writer.cx.execute(
        """INSERT INTO audit (sequence, at, caller, action, charge_point, kind, subject, denied, omitted)
        VALUES (?, ?, ?, ?, (SELECT key FROM charge_point WHERE identity = ?), '', ?, '', 0)""",
        (writer.head + 1, to_micros(write.at), write.caller, write.action, write.charge_point, write.detail),
    )
    return Done()


# --- reading ------------------------------------------------------------------------------------------------------

_SELECT = f"SELECT {AUDIT} FROM {AUDIT_TABLES}"  # noqa: S608 - constants


def audit(cx: Connection, where: AuditFilter, after: tuple[datetime, int] | None, limit: int) -> list[AuditEntry]:
    """Newest first. ``after``: time and key of the last entry of the page before."""
    conditions: list[str] = []
    given: list[Any] = []

    def condition(sql: str, *values: Any) -> None:
        conditions.append(sql)
        given.extend(values)

    if where.callers:
        condition("a.caller IN (SELECT value FROM json_each(?))", _listed(where.callers))
    if where.charge_points:
        condition(
            """a.charge_point IN (SELECT key FROM charge_point
            WHERE identity IN (SELECT value FROM json_each(?)))""",
            _listed(where.charge_points),
        )
    if where.actions:
        condition("a.action IN (SELECT value FROM json_each(?))", _listed(where.actions))
    if where.begins is not None:
        condition("a.at >= ?", to_micros(where.begins))
    if where.ends is not None:
        condition("a.at < ?", to_micros(where.ends))
    if after is not None:
        condition("(a.at, a.key) < (?, ?)", to_micros(after[0]), after[1])
    filtered = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"{_SELECT} {filtered} ORDER BY a.at DESC, a.key DESC LIMIT ?"
    return [entry(row) for row in cx.execute(sql, (*given, bounded(limit)))]


def _listed(names: Iterable[str]) -> str:
    return json.dumps(sorted(names))

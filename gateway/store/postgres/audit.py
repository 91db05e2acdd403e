"""The audit: notes of what has no event, refused calls, and pages with what has become of what they point at."""

from datetime import datetime

from gateway.domain.audit import MAX_DENIED, AuditEntry, AuditNote
from gateway.store.audit_commits import RecordAction, RecordRefusal
from gateway.store.audit_rows import AUDIT, AUDIT_TABLES, entry
from gateway.store.commits import Done
from gateway.store.encoding import to_micros
from gateway.store.filters import AuditFilter
from gateway.store.limits import bounded
from gateway.store.postgres.conditions import Conditions, texts
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.writer import Writer


def note_change(writer: Writer, note: AuditNote, at: datetime) -> None:
    """Note a change that has no event, if its caller has a name."""
    if note.caller:
        writer.note(note, to_micros(at))


def record_refusal(writer: Writer, write: RecordRefusal) -> Done:
    """Note a refused call; the oldest ones go where there are too many."""
    call = write.call
    writer.send(
        """INSERT INTO audit (sequence, at, caller, action, charge_point, kind, subject, denied, omitted)
        VALUES (mine() + $1, $2, $3, $4, (SELECT key FROM charge_point WHERE identity = $5), '', '', $6, $7)""",
        writer.next,
        to_micros(call.at),
        call.caller,
        call.action,
        call.charge_point,
        call.reason,
        call.omitted,
    )
    writer.send(
        """DELETE FROM audit WHERE denied <> '' AND key <= (SELECT key FROM audit WHERE denied <> ''
        ORDER BY key DESC LIMIT 1 OFFSET $1)""",
        MAX_DENIED,
    )
    return Done()


def record_action(writer: Writer, write: RecordAction) -> Done:
    """Note what a caller did."""
    writer.send(
        """INSERT INTO audit (sequence, at, caller, action, charge_point, kind, subject, denied, omitted)
        VALUES (mine() + $1, $2, $3, $4, (SELECT key FROM charge_point WHERE identity = $5), '', $6, '', 0)""",
        writer.next,
        to_micros(write.at),
        write.caller,
        write.action,
        write.charge_point,
        write.detail,
    )
    return Done()


def audit(cx: Connection, where: AuditFilter, after: tuple[datetime, int] | None, limit: int) -> list[AuditEntry]:
    """Newest first. ``after``: time and key of the last entry of the page before."""
    conditions = Conditions()
    if where.callers:
        conditions.add("a.caller = ANY (?)", texts(where.callers))
    if where.charge_points:
        conditions.add(
            "a.charge_point = ANY (ARRAY(SELECT key FROM charge_point WHERE identity = ANY (?)))",
            texts(where.charge_points),
        )
    if where.actions:
        conditions.add("a.action = ANY (?)", texts(where.actions))
    if where.begins is not None:
        conditions.add("a.at >= ?", to_micros(where.begins))
    if where.ends is not None:
        conditions.add("a.at < ?", to_micros(where.ends))
    if after is not None:
        conditions.add("(a.at, a.key) < (?, ?)", to_micros(after[0]), after[1])
    sql = f"""SELECT {AUDIT} FROM {AUDIT_TABLES} {conditions.where()}
        ORDER BY a.at DESC, a.key DESC {conditions.limit(bounded(limit))}"""  # noqa: S608 - constants
    return [entry(row) for row in cx.rows(sql, *conditions.given)]

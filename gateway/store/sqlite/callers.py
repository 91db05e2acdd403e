"""Callers of the control interface: their table, its writes and its read."""

from apsw import Connection

from gateway.domain.audit import AuditNote, SubjectKind
from gateway.domain.callers import MAX_CALLERS, Caller
from gateway.store import commits
from gateway.store.commits import Done, Exists, GuardFailed, Missing
from gateway.store.encoding import to_labels, to_micros
from gateway.store.rows import CALLER, caller
from gateway.store.sqlite.audit import note_change
from gateway.store.sqlite.writer import Writer


def callers(cx: Connection) -> list[Caller]:
    """All of them, by name."""
    rows = cx.execute(f"SELECT {CALLER} FROM caller ORDER BY name")  # noqa: S608 - constants
    return [caller(row) for row in rows]


def add_caller(writer: Writer, write: commits.AddCaller) -> Done | Exists | GuardFailed:
    new = write.caller
    for column, value in (("name", new.name), ("certificate_name", new.certificate_name)):
        sql = f"SELECT 1 FROM caller WHERE {column} = ?"  # noqa: S608 - one of the two above
        if value and writer.cx.execute(sql, (value,)).fetchone() is not None:
            return Exists((column,))
    (count,) = writer.cx.execute("SELECT count(*) FROM caller").fetchone() or (0,)
    if count >= MAX_CALLERS:
        return GuardFailed()
    writer.cx.execute(
        f"INSERT INTO caller ({CALLER}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
        (
            new.name,
            " ".join(new.roles),
            to_micros(new.created_at),
            new.token_digest or None,
            new.certificate_name or None,
            to_labels(new.scope),
        ),
    )
    note_change(writer, AuditNote(write.by, "CreateCaller", SubjectKind.CALLER, new.name), new.created_at)
    return Done()


def remove_caller(writer: Writer, write: commits.RemoveCaller) -> Done | Missing:
    writer.cx.execute("DELETE FROM caller WHERE name = ?", (write.name,))
    if not writer.cx.changes():
        return Missing()
    if write.by is not None:
        note_change(writer, AuditNote(write.by.caller, "RevokeCaller", SubjectKind.CALLER, write.name), write.by.at)
    return Done()

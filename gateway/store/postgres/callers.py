"""Callers of the control interface: their writes and their read."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from gateway.domain.audit import AuditNote, SubjectKind
from gateway.domain.callers import MAX_CALLERS, Caller
from gateway.store import commits
from gateway.store.commits import Done, Exists, GuardFailed, Missing
from gateway.store.encoding import to_labels, to_micros
from gateway.store.postgres.audit import note_change
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.writer import Writer
from gateway.store.rows import CALLER, caller


def callers(cx: Connection) -> list[Caller]:
    """All of them, by name."""
    return [caller(row) for row in cx.rows(f"SELECT {CALLER} FROM caller ORDER BY name")]


def add_caller(writer: Writer, write: commits.AddCaller) -> Done | Exists | GuardFailed:
    new = write.caller
    for column, value in (("name", new.name), ("certificate_name", new.certificate_name)):
        sql = f"SELECT 1 FROM caller WHERE {column} = $1"
        if value and writer.first(sql, value) is not None:
            return Exists((column,))
    if writer.one("SELECT count(*) FROM caller")[0] >= MAX_CALLERS:
        return GuardFailed()
    writer.send(
        f"INSERT INTO caller ({CALLER}) VALUES ($1, $2, $3, $4, $5, $6)",
        new.name,
        " ".join(new.roles),
        to_micros(new.created_at),
        new.token_digest or None,
        new.certificate_name or None,
        to_labels(new.scope),
    )
    note_change(writer, AuditNote(write.by, "CreateCaller", SubjectKind.CALLER, new.name), new.created_at)
    return Done()


def remove_caller(writer: Writer, write: commits.RemoveCaller) -> Done | Missing:
    if not writer.run("DELETE FROM caller WHERE name = $1", write.name):
        return Missing()
    if write.by is not None:
        note_change(writer, AuditNote(write.by.caller, "RevokeCaller", SubjectKind.CALLER, write.name), write.by.at)
    return Done()

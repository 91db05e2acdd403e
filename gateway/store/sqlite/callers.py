"""Callers of the control interface: their table, its writes and its read."""

from apsw import Connection

from gateway.domain.callers import MAX_CALLERS, Caller, Role
from gateway.store import commits
from gateway.store.commits import Done, Exists, GuardFailed, Missing
from gateway.store.sqlite.encoding import from_labels, to_labels, to_micros, to_time
from gateway.store.sqlite.writer import Writer

_KNOWN_ROLES = frozenset(Role)


def callers(cx: Connection) -> list[Caller]:
    """All of them, by name."""
    rows = cx.execute("SELECT name, roles, created_at, token_digest, certificate_name, scope FROM caller ORDER BY name")
    return [
        Caller(name, _roles(roles), to_time(created), digest or b"", certificate or "", from_labels(scope))
        for name, roles, created, digest, certificate, scope in rows
    ]


def _roles(words: str) -> tuple[Role, ...]:
    """Roles that a later version wrote and this one doesn't know give nothing here."""
    return tuple(Role(word) for word in words.split() if word in _KNOWN_ROLES)


def add_caller(writer: Writer, write: commits.AddCaller) -> Done | Exists | GuardFailed:
    caller = write.caller
    for column, value in (("name", caller.name), ("certificate_name", caller.certificate_name)):
        sql = f"SELECT 1 FROM caller WHERE {column} = ?"  # noqa: S608 - one of the two above
        if value and writer.cx.execute(sql, (value,)).fetchone() is not None:
            return Exists((column,))
    (count,) = writer.cx.execute("SELECT count(*) FROM caller").fetchone() or (0,)
    if count >= MAX_CALLERS:
        return GuardFailed()
    writer.cx.execute(
        "INSERT INTO caller (name, roles, created_at, token_digest, certificate_name, scope) VALUES (?, ?, ?, ?, ?, ?)",
        (
            caller.name,
            " ".join(caller.roles),
            to_micros(caller.created_at),
            caller.token_digest or None,
            caller.certificate_name or None,
            to_labels(caller.scope),
        ),
    )
    return Done()


def remove_caller(writer: Writer, write: commits.RemoveCaller) -> Done | Missing:
    writer.cx.execute("DELETE FROM caller WHERE name = ?", (write.name,))
    return Done() if writer.cx.changes() else Missing()

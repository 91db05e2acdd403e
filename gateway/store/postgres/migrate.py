"""Numbered migrations: each file of ``migrations/`` lifts the schema by one version, in one transaction.

They expand first and contract later. Each says with which version of the schema in mind a program can still use the
database after it (``-- oldest: N``): a migration that only adds leaves that as it was, so that an older gateway goes on
while the newer one is put in its place; one that takes away raises it, and is refused while a node is alive that knows
less (``contraction``). A database that this program is too old for is refused, never guessed at.
"""

import re
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from importlib import resources
from typing import Final

from attrs import frozen

from gateway.domain.events import BODIES
from gateway.errors import StoreCorrupt
from gateway.store.encoding import to_micros
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.contraction import contracting, not_contracting, older_nodes, refusal
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.lane import SCHEMA_LOCK

_OLDEST: Final = re.compile(r"-- oldest: (\d+)\n")

_FUNCTION_QUOTE: Final = "$$"

_TABLE: Final = """CREATE TABLE IF NOT EXISTS gateway_schema (
    version    int  PRIMARY KEY,
    oldest     int  NOT NULL,  -- the version that a program has to know at least
    applied_at int8 NOT NULL
)"""

_STATE: Final = """SELECT to_regclass('gateway_schema') IS NOT NULL,
    (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace)"""


@frozen
class Migration:
    """One step: its number, the oldest version that a program has to know after it, and its statements."""

    version: int
    oldest: int
    script: str


def migrations() -> Sequence[Migration]:
    """All steps that this program knows, the first one first."""
    folder = resources.files("gateway.store.postgres") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    found = []
    for version, file in enumerate(files, 1):
        script = file.read_text(encoding="utf-8")
        oldest = _OLDEST.match(script)
        assert oldest is not None, f"{file.name} says with which version a program may still use the database"
        found.append(Migration(version, int(oldest.group(1)), script))
    return found


def known_version() -> int:
    """The newest version of the schema that this program knows."""
    return len(migrations())


def migrate(cx: Connection, place: str, now: datetime, slot: int) -> None:
    """Bring the database up to the schema that this program knows, or leave a newer one that it can use as it is. The
    connection holds its slot. Raises ``StoreCorrupt`` for one that isn't a gateway's, or is too new, and
    ``StoreInUse`` where a migration contracts and a node in another slot is alive that is too old for that; nothing is
    changed then, by the migrations before it neither."""
    present = migrations()
    cx.send("SELECT pg_advisory_lock($1, 0)", SCHEMA_LOCK)
    cx.sync()
    try:
        version = check(cx, place, len(present))
        if version == 0:
            cx.run(_TABLE)
        last = _contraction(present, version)
        with contracting(cx, place, slot, version, last.oldest, last.version) if last else nullcontext():
            for step in present[version:]:
                _apply(cx, step, to_micros(now))
        cx.send(
            """INSERT INTO event_type (name) SELECT n FROM unnest($1::text[]) AS n
            WHERE n NOT IN (SELECT name FROM event_type)""",
            Array("text", sorted(BODIES)),
        )
        cx.sync()
    finally:
        cx.roll_back()
        cx.send("SELECT pg_advisory_unlock($1, 0)", SCHEMA_LOCK)
        cx.sync()


def _contraction(present: Sequence[Migration], version: int) -> Migration | None:
    """The migration, among those that a database of this version lacks, that asks most of programs, if that is more
    than was asked before. None for an empty database: no program that uses it can be older."""
    done, due = present[:version], present[version:]
    if not done or not due:
        return None
    most = max(due, key=lambda step: step.oldest)
    return most if most.oldest > max(step.oldest for step in done) else None


def held_up(cx: Connection, place: str, slot: int) -> list[str]:
    """The reason for which a start in this slot would be refused to contract the schema at present, if there is one.
    Raises ``StoreCorrupt`` as ``check`` does."""
    present = migrations()
    version = check(cx, place, len(present))
    step = _contraction(present, version)
    found = older_nodes(cx, slot, step.oldest) if step else []
    return [refusal(place, version, step.oldest, step.version, found)] if step and found else []


def check_again(cx: Connection, place: str, until: float) -> None:
    """Look whether the schema was contracted beyond this program since it was opened, over a new connection that holds
    its slot. Raises ``StoreCorrupt``, and ``StoreInUse`` where a contraction is not done until then (monotonic)."""
    with not_contracting(cx, place, until):
        _require_known(cx, place, known_version())


def check(cx: Connection, place: str, newest: int) -> int:
    """The schema version of a gateway's database (0: an empty one). Raises ``StoreCorrupt``."""
    there, tables = cx.one(_STATE)
    if not there:
        if tables:
            raise StoreCorrupt(
                f"the database {place} holds tables of another program: name another database or schema in store.url"
            )
        return 0
    return _require_known(cx, place, newest)


def _require_known(cx: Connection, place: str, newest: int) -> int:
    version, oldest = cx.one("SELECT coalesce(max(version), 0), coalesce(max(oldest), 0) FROM gateway_schema")
    if oldest > newest:
        raise StoreCorrupt(
            f"the database {place} has schema version {version}, which needs a gateway that knows version {oldest} at "
            f"least; this one knows up to {newest}. Run the version that wrote it or a later one"
        )
    return int(version)


def _apply(cx: Connection, step: Migration, at: int) -> None:
    cx.send("BEGIN")
    for statement in statements(step.script):
        cx.run(statement)
    if step.version == 1:
        cx.send("INSERT INTO meta (store_id, created_at) VALUES ($1, $2)", f"store_{uuid.uuid4().hex}", at)
    cx.send(
        "INSERT INTO gateway_schema (version, oldest, applied_at) VALUES ($1, $2, $3)", step.version, step.oldest, at
    )
    cx.send("COMMIT")
    cx.sync()


def statements(script: str) -> list[str]:
    """The statements of a script: they end with a semicolon at the end of a line, outside of a function's body."""
    found, lines, quoted = list[str](), list[str](), False
    for line in script.splitlines():
        if not lines and (not line.strip() or line.startswith("--")):
            continue
        lines.append(line)
        quoted ^= line.count(_FUNCTION_QUOTE) % 2 == 1
        code = line.split("--")[0].rstrip()
        if code.endswith(";") and not quoted:
            found.append("\n".join(lines))
            lines = []
    assert not lines, "the last statement ends with a semicolon"
    return found

"""Numbered migrations: each file of ``migrations/`` lifts the schema by one version, in one transaction.

The version is SQLite's ``user_version``; ``application_id`` marks the gateway's files. A database of a newer
version is refused, never guessed at.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

import apsw

from gateway.domain.events import BODIES
from gateway.errors import StoreCorrupt
from gateway.store.encoding import to_micros

APPLICATION_ID = 0x4F435047
"""``OCPG``: what ``file`` and ``PRAGMA application_id`` show."""


def scripts() -> Sequence[str]:
    """The migrations' SQL, the first one first."""
    folder = resources.files("gateway.store.sqlite") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [f.read_text(encoding="utf-8") for f in files]


def migrate(cx: apsw.Connection, path: Path, now: datetime) -> None:
    """Bring the database up to the present schema. Raises ``StoreCorrupt`` for one that isn't ours or is newer."""
    present = scripts()
    version = check(cx, path, len(present))
    for number, script in enumerate(present[version:], version + 1):
        with cx:
            if number == 1:
                cx.pragma("application_id", APPLICATION_ID)
            cx.execute(script)
            if number == 1:
                new = [("store_id", f"store_{uuid.uuid4().hex}"), ("created_at", to_micros(now))]
                cx.executemany("INSERT INTO meta (name, value) VALUES (?, ?)", new)
            cx.pragma("user_version", number)
    with cx:
        cx.executemany("INSERT OR IGNORE INTO event_type (name) VALUES (?)", [(name,) for name in BODIES])


def check(cx: apsw.Connection, path: Path, newest: int) -> int:
    """The schema version of a gateway database (0: an empty file). Raises ``StoreCorrupt``."""
    version = int(cx.pragma("user_version"))
    ours = cx.pragma("application_id") == APPLICATION_ID
    empty = not cx.execute("SELECT count(*) FROM sqlite_schema").get
    if not ours and not (empty and version == 0):
        raise StoreCorrupt(
            f"{path} is a database of another program: name another file, or move this one away to begin a new one"
        )
    if version > newest:
        raise StoreCorrupt(
            f"{path} has schema version {version}; this gateway knows up to {newest}. "
            "Run the version that wrote it or a later one, or restore a backup made by this one"
        )
    return version

"""The store on SQLite, by ``apsw``: one file, one process, hand-written SQL. ``docs/store.md`` describes it."""

from gateway.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]

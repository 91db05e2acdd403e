"""The store that the settings name: SQLite's file, or a database on PostgreSQL."""

from pathlib import Path
from typing import Protocol

from gateway.app.settings import Settings
from gateway.app.settings.sections import StoreSettings
from gateway.domain.values import Clock
from gateway.errors import SettingsError
from gateway.store.api import Store
from gateway.store.sqlite.store import SqliteStore

NO_LIBRARY = "store.url: psycopg is not installed, by which PostgreSQL is reached: pip install 'gateway[postgres]'"


ANSWER_SECONDS = 2.0
"""Behind the patience: the store says what became of a commit, of which the journal would only know that it hangs. The
last attempt to reach a server takes no longer."""


class ServedStore(Store, Protocol):
    """A store that is opened when its disk or its server lets it."""

    def open(self) -> None:
        """Open it, if it isn't open yet; after ``StoreUnavailable`` (and not ``StoreMisplaced``) it is worth trying
        again."""
        ...


def new_store(settings: Settings, clock: Clock, *, opened: bool = True) -> ServedStore:
    """The store of these settings; with ``opened`` False it is to be opened by its user. Raises as its constructor, and
    ``SettingsError`` where the settings can't be used."""
    store = settings.store
    if not store.url:
        made = SqliteStore(store.path, clock=clock, opened=False)
        made.upgrade_copy = store.upgrade_copy
        if opened:
            made.open()
        return made
    try:
        from gateway.store.postgres import Durability, PostgresStore
    except ImportError as error:
        raise SettingsError(NO_LIBRARY) from error
    return PostgresStore(
        store.url,
        clock=clock,
        durability=Durability(store.durability),
        password=password(store),
        patience=store.patience_seconds,
        opened=opened,
        node=settings.cluster.node or None,
    )


def commit_deadline(store: StoreSettings) -> float:
    """Seconds after which a commit counts as failed: on PostgreSQL the patience with a server that is away, and what it
    takes to say so."""
    if not store.url:
        return store.commit_deadline_seconds
    return max(store.commit_deadline_seconds, store.patience_seconds + ANSWER_SECONDS)


def password(store: StoreSettings) -> str:
    """The password of the file that the settings name; empty: libpq looks for one. Raises ``SettingsError``."""
    if store.password_file is None:
        return ""
    try:
        return store.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"store.password_file: {store.password_file}: can't be read") from error


def place(settings: Settings) -> str:
    """The store, as messages name it."""
    if not settings.store.url:
        return str(settings.store.path)
    from gateway.store.postgres import place_of

    return place_of(settings.store.url)


def file_of(settings: Settings, instead: str) -> Path:
    """The file that the database is. Raises ``SettingsError`` where it is none: a file that lies in its usual place is
    then another's. ``instead``: words on what to use."""
    if settings.store.url:
        raise SettingsError(f"store.url: the database is on PostgreSQL, and no file: {instead}")
    return settings.store.path

"""Backups of a gateway's database: one by name, or a series in a folder; and putting one back."""

from datetime import datetime
from pathlib import Path

from gateway.app.settings import Settings
from gateway.errors import StoreError
from gateway.store.sqlite.backup import Backup, Restored, back_up, look_before_restore, restore

NAME = "gateway-%Y%m%dT%H%M%SZ.db"
"""Of a backup in a folder: by the time at which it begins, so that names are in the order of time."""

PATTERN = "gateway-????????T??????Z.db"


def make_backup(settings: Settings, target: Path, now: datetime, keep: int | None = None) -> tuple[Backup, list[Path]]:
    """Back the database up to a file, or into a folder under a name of its own. With ``keep`` only so many of the
    newest backups stay in the folder; return those that went, too. Raises ``StoreError``."""
    _want_file(settings)
    if not target.is_dir():
        if keep is not None:
            raise StoreError(f"--keep is for a folder of backups, and {target} is none")
        return back_up(settings.store.path, target), []
    made = back_up(settings.store.path, target / now.strftime(NAME))
    gone = [] if keep is None else sorted(target.glob(PATTERN))[:-keep]
    for each in gone:
        each.unlink()
    return made, gone


def look_at_backup(settings: Settings, backup: Path) -> Backup:
    """Look for all that would refuse a restore, before anybody is asked for it. Raises ``StoreError``."""
    _want_file(settings)
    return look_before_restore(backup, settings.store.path)


def restore_backup(settings: Settings, backup: Backup, now: datetime) -> Restored:
    """Put a backup that was looked at in the place of the database, safe to serve. Raises ``StoreError``."""
    return restore(backup.path, settings.store.path, now, backup)


def _want_file(settings: Settings) -> None:
    """Raise ``StoreError`` where the database is no file."""
    if settings.store.url:
        raise StoreError(
            "store.url: a database on PostgreSQL is backed up and restored by PostgreSQL's own tools "
            "(docs/operations.md, Backup and restore of PostgreSQL)"
        )

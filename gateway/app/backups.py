"""Backups of a gateway's database: one by name, or a series in a folder; and putting one back."""

from datetime import datetime
from pathlib import Path

from gateway.app.settings import Settings
from gateway.app.stores import file_of
from gateway.errors import StoreError
from gateway.store.sqlite.backup import Backup, Restored, back_up, look_before_restore, restore

NAME = "gateway-%Y%m%dT%H%M%SZ.db"
"""Of a backup in a folder: by the time at which it begins, so that names are in the order of time."""

PATTERN = "gateway-????????T??????Z.db"

ITS_OWN_TOOLS = "its own tools back it up and restore it (docs/operations.md, Backup and restore of PostgreSQL)"


def make_backup(settings: Settings, target: Path, now: datetime, keep: int | None = None) -> tuple[Backup, list[Path]]:
    """Back the database up to a file, or into a folder under a name of its own. With ``keep`` only so many of the
    newest backups stay in the folder; return those that went, too. Raises ``StoreError`` and
    ``SettingsError``."""
    database = file_of(settings, ITS_OWN_TOOLS)
    if not target.is_dir():
        if keep is not None:
            raise StoreError(f"--keep is for a folder of backups, and {target} is none")
        return back_up(database, target), []
    made = back_up(database, target / now.strftime(NAME))
    gone = [] if keep is None else sorted(target.glob(PATTERN))[:-keep]
    for each in gone:
        each.unlink()
    return made, gone


def look_at_backup(settings: Settings, backup: Path) -> Backup:
    """Look for all that would refuse a restore, before it is asked for. Raises as ``restore_backup``."""
    return look_before_restore(backup, file_of(settings, ITS_OWN_TOOLS))


def restore_backup(settings: Settings, backup: Backup, now: datetime) -> Restored:
    """Put a backup that was looked at in the place of the database, safe to serve. Raises ``StoreError`` and
    ``SettingsError``."""
    return restore(backup.path, file_of(settings, ITS_OWN_TOOLS), now, backup)

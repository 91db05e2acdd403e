"""Backups of a gateway's database: one by name, or a series in a folder; and putting one back."""

from datetime import datetime
from pathlib import Path

from gateway.app.settings import Settings
from gateway.errors import StoreError
from gateway.store.sqlite.backup import Backup, Restored, back_up, restore

NAME = "gateway-%Y%m%dT%H%M%SZ.db"
"""Of a backup in a folder: by the time at which it begins, so that names are in the order of time."""

PATTERN = "gateway-????????T??????Z.db"


def make_backup(settings: Settings, target: Path, now: datetime, keep: int | None = None) -> tuple[Backup, list[Path]]:
    """Back the database up to a file, or into a folder under a name of its own. With ``keep`` only so many of the
    newest backups stay in the folder; return those that went, too. Raises ``StoreError``."""
    if not target.is_dir():
        if keep is not None:
            raise StoreError(f"--keep is for a folder of backups, and {target} is none")
        return back_up(settings.store.path, target), []
    made = back_up(settings.store.path, target / now.strftime(NAME))
    gone = [] if keep is None else sorted(target.glob(PATTERN))[:-keep]
    for each in gone:
        each.unlink()
    return made, gone


def restore_backup(settings: Settings, backup: Path, now: datetime) -> Restored:
    """Put a backup in the place of the database, and make it safe to serve. Raises ``StoreError``."""
    return restore(backup, settings.store.path, now)

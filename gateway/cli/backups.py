"""`gateway backup` and `gateway restore`: the database to another file, and back."""

import importlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import CommandFailed, JsonOption, agreed, print_json, say
from gateway.cli.serve import DEFAULT_CONFIG, ConfigOption


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A file, which must not be there yet, or a folder for a new one.")
    ],
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="In a folder: keep so many of the newest backups.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Back the database up, also while the gateway serves it: one moment's state, read whole once it is written."""
    from gateway.app.settings import load

    os.umask(0o077)
    settings = load(config)
    backups = importlib.import_module("gateway.app.backups")  # as `gateway serve` does
    made, gone = backups.make_backup(settings, target, datetime.now(UTC), keep)
    if json:
        facts = {"path": str(made.path), "size_bytes": made.size, "store_id": made.store_id, "schema": made.schema}
        print_json({**facts, "newest_event": made.head, "removed": [str(each) for each in gone]})
        return
    say(f"{made.path}: {made.size:,} bytes, events up to {made.head:,}, schema version {made.schema}", "green")
    for each in gone:
        say(f"{each}: removed")


def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="The backup.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Put a backup in the place of the database, with the gateway stopped, and make it safe to serve.

    The database of before is kept beside it. What happened after the backup is not in it: resume tokens of before are
    refused, and transaction numbers and epochs keep clear of those that were given out (`gateway recover`).
    """
    from gateway.app.settings import load

    os.umask(0o077)
    settings = load(config)
    backups = importlib.import_module("gateway.app.backups")
    preflight = importlib.import_module("gateway.app.preflight")
    found = backups.look_at_backup(settings, source)
    if not agreed(f"Put {source}, with events up to {found.head:,}, in the place of {settings.store.path}?", yes, json):
        raise CommandFailed("nothing was changed")
    done = backups.restore_backup(settings, found, datetime.now(UTC))
    if json:
        recovered = done.recovered
        facts = {"path": str(settings.store.path), "kept": None if done.kept is None else str(done.kept)}
        print_json({**facts, "newest_event": done.backup.head, "store_id": recovered and recovered.store_id})
        return
    if done.kept is not None:
        say(f"the database of before: {done.kept}")
    if done.recovered is None:
        say(f"{settings.store.path}: restored; it is the state that was last served here", "green")
        return
    for line in preflight.describe(done.recovered):
        say(line)
    say(f"{settings.store.path}: restored, events up to {done.backup.head:,}", "green")

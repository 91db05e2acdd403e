"""`gateway export`: events, transactions and readings as CSV, a file for each day."""

import importlib
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.option_values import day_of
from gateway.cli.output import JsonOption, counted, print_json, say
from gateway.cli.serve import DEFAULT_CONFIG, ConfigOption

KINDS = ("events", "transactions", "readings")

MAX_DAYS = 3_660
"""In one export: ten years, so that a mistyped year is noticed."""


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write the files.")],
    first: Annotated[
        date | None,
        typer.Option("--from", parser=day_of, metavar="DAY", help="The first day (UTC); else yesterday."),
    ] = None,
    last: Annotated[
        date | None, typer.Option("--to", parser=day_of, metavar="DAY", help="The last day; the first, if not given.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="events, transactions or readings; repeat it for more.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Write what was recorded as CSV, a file for each day and kind, also while the gateway serves."""
    from gateway.app.settings import load

    wrong = sorted(set(only or ()) - set(KINDS))
    if wrong:
        raise typer.BadParameter(f"expected {', '.join(KINDS)}, found {wrong[0]!r}", param_hint="--only")
    begin = first or (datetime.now(UTC) - timedelta(days=1)).date()
    end = last or begin
    days = (end - begin).days + 1
    if not 0 < days <= MAX_DAYS:
        raise typer.BadParameter(f"expected up to {MAX_DAYS} days from --from on, found {days}", param_hint="--to")
    os.umask(0o077)
    settings = load(config)
    module = importlib.import_module("gateway.app.export")  # as `gateway serve` does
    written: list[dict[str, object]] = []

    def wrote(path: Path, rows: int) -> None:
        written.append({"path": str(path), "rows": rows})
        if not json:
            say(f"{path}: {counted(rows, 'row')}")

    kinds = [module.Kind(kind) for kind in KINDS if not only or kind in only]
    module.export(settings, folder, [begin + timedelta(days=day) for day in range(days)], kinds, wrote)
    if json:
        print_json({"files": written})

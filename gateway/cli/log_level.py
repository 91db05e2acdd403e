"""`gateway log-level`: the level of the log at run time, of the process or of one charger."""

from typing import Annotated

import typer

from gateway.api.v1.diagnostics_pb2 import (
    GetLogLevelsRequest,
    GetLogLevelsResponse,
    LogLevel,
    SetLogLevelRequest,
    SetLogLevelResponse,
)
from gateway.cli.completion import identities
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    moment,
    must_exist,
)
from gateway.cli.option_values import refuse_typed
from gateway.cli.output import JsonOption, local, out, print_json, table

DEFAULT = "default"
WORDS = ("debug", "info", "warning", "error", DEFAULT)
DEFAULT_SECONDS = 600
"""Long enough to see a charger reconnect, and short enough to be forgotten."""


def log_level(
    level: Annotated[
        str | None,
        typer.Argument(
            metavar="LEVEL", help=f"{', '.join(WORDS)} (as the settings say); left out: show the levels that hold."
        ),
    ] = None,
    charger: Annotated[
        str,
        typer.Option(
            autocompletion=identities,
            help="Of this charger alone; at debug each of its messages is a line, without secrets. Without LEVEL: show "
            "what holds for it.",
        ),
    ] = "",
    seconds: Annotated[int, typer.Option("--for", min=1, max=86_400, help="Seconds after which it ends.")] = (
        DEFAULT_SECONDS
    ),
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Show the levels of the log, or set one, which ends in its time."""
    found: GetLogLevelsResponse | SetLogLevelResponse
    if level in (None, DEFAULT):
        refuse_typed(f"is for a LEVEL that ends, one of: {', '.join(WORDS[:-1])}", seconds="--for")
    if level is None:
        with connect(target) as gateway:
            found = gateway.diagnostics.GetLogLevels(GetLogLevelsRequest(), timeout=READ_SECONDS)
            if charger:
                _keep_only(charger, found)
                if not any(each.charge_point for each in found.overrides):
                    must_exist(gateway, charger)
    else:
        if level not in WORDS:
            raise typer.BadParameter(f"expected one of: {', '.join(WORDS)}", param_hint="LEVEL")
        request = SetLogLevelRequest(charge_point=charger)
        if level != DEFAULT:
            request.level = LogLevel.Value(f"LOG_LEVEL_{level.upper()}")
            request.duration.FromSeconds(seconds)
        with connect(target) as gateway:
            found = gateway.diagnostics.SetLogLevel(request, timeout=READ_SECONDS)
    if json:
        print_json(as_dict(found))
        return
    rows = [("all others", _word(found.settings_level), "")]
    rows += [
        (each.charge_point or "the process", _word(each.level), local(moment(each, "end_time")))
        for each in found.overrides
    ]
    out().print(table("of", "level", "until", rows=rows))


def _keep_only(charger: str, found: GetLogLevelsResponse) -> None:
    """Leave out the levels of other chargers."""
    kept = [each for each in found.overrides if each.charge_point in ("", charger)]
    del found.overrides[:]
    found.overrides.extend(kept)


def _word(level: LogLevel.ValueType) -> str:
    return LogLevel.Name(level).removeprefix("LOG_LEVEL_").lower()

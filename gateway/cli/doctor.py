"""`gateway doctor`: whether this machine is fit to run the gateway."""

import importlib
from datetime import UTC, datetime
from time import perf_counter

import typer

from gateway.cli.exit_codes import ExitCode
from gateway.cli.output import JsonOption, out, print_json, table
from gateway.cli.serve import DEFAULT_CONFIG, ConfigOption


def doctor(config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Look at files, certificates, ports, limits, clock, disk and kernel: 0 where the gateway can serve (warnings
    included), 1 where something is in its way. May be run beside a gateway that serves."""
    from gateway.app.settings import load

    settings = load(config)
    module = importlib.import_module("gateway.app.doctor")  # as `gateway serve` does
    checks = module.examine(settings, module.Host(lambda: datetime.now(UTC), perf_counter))
    if json:
        found = [{"name": each.name, "level": each.level.value, "text": each.text} for each in checks]
        print_json({"fit": not any(each["level"] == "error" for each in found), "checks": found})
    else:
        out().print(table("check", "", "found", rows=[(each.name, each.level.value, each.text) for each in checks]))
    if any(each.level.value == "error" for each in checks):
        raise typer.Exit(ExitCode.FAILED)

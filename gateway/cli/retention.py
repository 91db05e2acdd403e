"""`gateway retention`: whether events are deleted by age, or wait because the gateway's clock is doubted."""

from datetime import timedelta
from typing import Annotated

import typer

from gateway.api.v1.retention_pb2 import ConfirmClockRequest, GetRetentionRequest, Retention
from gateway.cli.connection import DEFAULT_TARGET, READ_SECONDS, TargetOption, as_dict, connect, moment, must_administer
from gateway.cli.output import JsonOption, agreed, facts, fail, local, out, print_json

app = typer.Typer(no_args_is_help=True, help="Deleting by age, and the clock that it rests on.")


@app.command()
def show(target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Show whether deleting by age waits, and why."""
    with connect(target) as gateway:
        _show(gateway.retention.GetRetention(GetRetentionRequest(), timeout=READ_SECONDS).retention, json)


@app.command()
def confirm(
    yes: Annotated[bool, typer.Option("--yes", help="The gateway's clock is right; don't ask.")] = False,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Say that the gateway's clock is right: deleting by age goes on at once."""
    with connect(target) as gateway:
        found = gateway.retention.GetRetention(GetRetentionRequest(), timeout=READ_SECONDS).retention
        if found.waiting and not yes:
            if not json:
                must_administer(gateway)
            shown = f"The gateway's clock shows {local(moment(found, 'clock_time'))} ({found.reason}). Is that right?"
            if not agreed(shown, yes, json):
                fail("nothing was confirmed: set the gateway's clock")
        request = ConfirmClockRequest(clock_time=found.clock_time)
        _show(gateway.retention.ConfirmClock(request, timeout=READ_SECONDS).retention, json)


def _show(found: Retention, json: bool) -> None:
    if json:
        print_json(as_dict(found))
        return
    steady = timedelta(seconds=found.steady_duration.seconds)
    out().print(
        facts(
            (
                ("gateway's clock", local(moment(found, "clock_time"))),
                ("deleting by age", "waits" if found.waiting else "goes on"),
                ("because", found.reason),
                ("steady for", f"{steady} of 24 h" if found.waiting else ""),
            )
        )
    )

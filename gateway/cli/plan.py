"""`gateway plan`: plans of limits over time, and how far what is wanted of a connector has got.

A plan is given as the JSON form of the interface's Plan, as `gateway plan show --json` prints it.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.api import strict_json
from gateway.api.v1 import common_pb2 as common
from gateway.api.v1 import steering_pb2 as pb
from gateway.cli.commands_send import RequestIdOption, ask
from gateway.cli.completion import ChargePointArgument
from gateway.cli.connection import (
    DEFAULT_TARGET,
    TargetOption,
    as_dict,
    connect,
    connector,
    connector_name,
    moment,
    pages,
    request_id,
)
from gateway.cli.exit_codes import ExitCode
from gateway.cli.output import JsonOption, fail, local, out, print_json, say, table
from gateway.cli.transactions import LimitOption

app = typer.Typer(no_args_is_help=True)

MAX_FILE_BYTES = 4 * 1024 * 1024
"""As much as a request may have."""

EXAMPLE = (
    '{"steps": [{"start_time": "2026-03-01T22:00:00Z", '
    '"limit": {"value": 0, "unit": "CHARGING_RATE_UNIT_AMPERES"}}, '
    '{"start_time": "2026-03-02T02:00:00Z"}], "end_time": "2026-03-02T06:00:00Z"}'
)

ConnectorOption = Annotated[int, typer.Option("--connector", min=0, help="Which connector; 0: the whole charge point.")]
WhyOption = Annotated[str, typer.Option(help="Why, for those who read the history.")]


@app.callback()
def plan() -> None:
    """Plan charging, and see how far it has got."""


@app.command("set")
def set_(
    charge_point: ChargePointArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The plan as JSON; - reads standard input.", allow_dash=True)
    ],
    connector_id: ConnectorOption = 1,
    pause_below: Annotated[
        bool,
        typer.Option("--pause-below-minimum", help="Make pauses of limits below 6 A, which are refused else."),
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Set it although the charger does not say that it has the connector.")
    ] = False,
    why: WhyOption = "",
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Set a plan, also for a charger that is offline."""
    message = pb.SetPlanRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        connector=connector(connector_id) if connector_id else common.ConnectorAddress(),
        by="gateway plan",
        why=why,
        below_minimum=pb.BELOW_MINIMUM_PAUSE if pause_below else pb.BELOW_MINIMUM_REFUSE,
        insist=anyway,
        plan=read(file),
    )
    with connect(target) as gateway:
        _changed(ask(gateway.steering.SetPlan, message), f"{charge_point} has the plan", json)


@app.command()
def clear(
    charge_point: ChargePointArgument,
    connector_id: ConnectorOption = 1,
    why: WhyOption = "",
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Take a plan back."""
    message = pb.ClearPlanRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        connector=connector(connector_id) if connector_id else common.ConnectorAddress(),
        by="gateway plan",
        why=why,
    )
    with connect(target) as gateway:
        _changed(ask(gateway.steering.ClearPlan, message), f"{charge_point} has no plan any more", json)


@app.command()
def show(charge_point: ChargePointArgument, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Show what is wanted of a charger, and how far that has got."""
    with connect(target) as gateway:
        found = ask(gateway.steering.GetSteering, pb.GetSteeringRequest(charge_point=charge_point))
    if json:
        print_json(as_dict(found))
        return
    for each in found.connectors:
        steering, wanted = each.steering, each.wanted
        limit = rate(each.present_limit) if each.HasField("present_limit") else "no limit"
        say(f"connector {connector_name(steering.connector)}: {limit} now, {state(steering)}")
        if wanted.HasField("standing"):
            until = moment(wanted.standing, "until_time")
            by_hand = rate(wanted.standing.limit) if wanted.standing.HasField("limit") else "no limit"
            say(f"  by hand: {by_hand}{'' if until is None else ', until ' + local(until)}")
        if wanted.HasField("plan"):
            say(f"  plan: {len(wanted.plan.steps)} steps until {local(moment(wanted.plan, 'end_time'))}")
    if not found.connectors:
        say(f"nothing is wanted of {charge_point}")


@app.command("list")
def list_(
    state_name: Annotated[
        str, typer.Option("--state", help="Only those: pending, applied, verified, refused, ineffective.")
    ] = "",
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List how far the wanted states of all chargers have got."""
    numbers = {name.removeprefix("STEERING_STATE_").lower(): number for name, number in pb.SteeringState.items()}
    if state_name and state_name not in numbers:
        raise typer.BadParameter(f"there is no state {state_name!r}", param_hint="--state")
    request = pb.ListSteeringRequest(state=numbers.get(state_name, 0))  # type: ignore[arg-type]
    with connect(target) as gateway:
        found = list(pages(gateway.steering.ListSteering, request, lambda page: page.steering, limit=limit))
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [
        (
            each.charge_point,
            connector_name(each.steering.connector),
            state(each.steering),
            local(moment(each.steering, "since_time")),
        )
        for each in found
    ]
    out().print(table("charger", "connector", "~state", "since", rows=rows))


def read(file: Path) -> pb.Plan:
    """The plan in a file. Ends the command where it can't be read, or is none."""
    try:
        text = sys.stdin.read(MAX_FILE_BYTES + 1) if str(file) == "-" else file.read_text(encoding="utf-8")
        if len(text) > MAX_FILE_BYTES:
            raise ValueError(f"has more than {MAX_FILE_BYTES} characters")
        return strict_json.from_text(text, pb.Plan())
    except (OSError, ValueError) as error:
        message = f"{file} is no plan: {error}; a plan looks like {EXAMPLE}"
        fail(message, ExitCode.FAILED, "NO_PLAN", {"file": str(file)})


def rate(limit: pb.RateLimit) -> str:
    """A limit in words."""
    if limit.value == 0:
        return "a pause"
    unit = "A" if limit.unit == common.CHARGING_RATE_UNIT_AMPERES else "W"
    phases = f" on {limit.number_phases} phases" if limit.HasField("number_phases") else ""
    return f"{limit.value:g} {unit}{phases}"


def state(steering: pb.ConnectorSteering) -> str:
    """The state with its reason."""
    word = pb.SteeringState.Name(steering.state).removeprefix("STEERING_STATE_").lower()
    return f"{word}: {steering.reason}" if steering.reason else word


def _changed(response: pb.SetPlanResponse | pb.ClearPlanResponse, what: str, json: bool) -> None:
    if json:
        print_json(as_dict(response))
    else:
        say(f"{what} (connector {connector_name(response.connector)}, revision {response.revision})", "green")

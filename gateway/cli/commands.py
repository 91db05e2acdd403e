"""`gateway commands`: what was asked of chargers, and what became of it."""

from typing import Annotated

import typer

from gateway.api.v1.command_pb2 import Command, CommandState, GetCommandRequest, ListCommandsRequest
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    moment,
    must_exist,
    pages,
)
from gateway.cli.output import JsonOption, facts, local, note, out, print_json, table
from gateway.cli.transactions import ChargerOption, LimitOption

app = typer.Typer(invoke_without_command=True)


@app.callback()
def commands(context: typer.Context, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """List the newest commands to chargers, or run a subcommand."""
    if context.invoked_subcommand is None:
        list_(target=target, json=json)


@app.command("list")
def list_(
    charge_point: ChargerOption = "",
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List commands, the newest first."""
    request = ListCommandsRequest(charge_point=charge_point)
    with connect(target) as gateway:
        found = list(pages(gateway.commands.ListCommands, request, lambda page: page.commands, limit=limit))
        if charge_point and not found:
            must_exist(gateway, charge_point)
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [
        (
            each.command_id,
            each.charge_point,
            each.operation,
            state(each),
            outcome(each),
            local(moment(each, "create_time")),
        )
        for each in found
    ]
    out().print(table("~command", "charger", "operation", "state", "~outcome", "created", rows=rows))
    if len(found) == limit:
        note(f"the newest {limit}; --limit for more")


@app.command()
def show(
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="The command, by the gateway's id.")],
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """One command."""
    with connect(target) as gateway:
        found = gateway.commands.GetCommand(GetCommandRequest(command_id=command), timeout=READ_SECONDS).command
    if json:
        print_json(as_dict(found))
        return
    pairs = (
        ("command", found.command_id),
        ("request id", found.request_id),
        ("charger", found.charge_point),
        ("operation", found.operation),
        ("arguments", found.arguments_json),
        ("state", state(found) + (" (late)" if found.late else "")),
        ("outcome", outcome(found)),
        ("error details", found.error.details_json if found.error.details_json != "{}" else ""),
        ("created", local(moment(found, "create_time"))),
        ("sent", local(moment(found, "send_time"))),
        ("finished", local(moment(found, "finish_time"))),
    )
    out().print(facts(pairs))


def state(command: Command) -> str:
    """Return the state of a command in words."""
    return CommandState.Name(command.state).removeprefix("COMMAND_STATE_").lower().replace("_", " ")


def outcome(command: Command) -> str:
    """Return the charger's answer, or the reason why there is none, in a few words."""
    match command.WhichOneof("outcome"):
        case "error":
            return f"{command.error.code}: {command.error.description}".rstrip(": ")
        case "answer":
            kind = command.answer.WhichOneof("answer")
            if kind == "configuration":
                return f"{len(command.answer.configuration.keys)} keys"
            if kind == "local_list_version":
                return f"version {command.answer.local_list_version.list_version}"
            if kind == "diagnostics":
                return command.answer.diagnostics.file_name or "nothing to upload"
            return getattr(getattr(command.answer, kind or "status"), "status", "confirmed")
        case _:
            return command.reason

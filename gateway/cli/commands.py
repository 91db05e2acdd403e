"""`gateway commands`: what was asked of chargers, and what became of it."""

from typing import Annotated

import typer

from gateway.api.v1.command_pb2 import Command, CommandState, GetCommandRequest, ListCommandsRequest
from gateway.cli.completion import ChargerOption, identities
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
from gateway.cli.list_options import FilterOption, LabelOption, OrderOption
from gateway.cli.option_values import refuse_typed
from gateway.cli.output import JsonOption, facts, local, note, out, print_json, table
from gateway.cli.transactions import CallersOption, LimitOption

app = typer.Typer(invoke_without_command=True)


@app.callback()
def commands(context: typer.Context, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """List the newest commands to chargers, or run a subcommand."""
    if context.invoked_subcommand is None:
        list_(target=target, json=json)
        return
    behind = f"goes behind the subcommand: gateway commands {context.invoked_subcommand}"
    refuse_typed(behind, target="--target", json="--json")


@app.command("list")
def list_(
    charge_point: ChargerOption = "",
    caller: CallersOption = None,
    label: LabelOption = None,
    text: FilterOption = "",
    order: OrderOption = "",
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List commands, the newest first unless another order is asked for."""
    request = ListCommandsRequest(
        charge_point=charge_point, callers=caller or (), labels=dict(label or ()), filter=text, order_by=order
    )
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
            each.caller,
        )
        for each in found
    ]
    out().print(table("~command", "charger", "operation", "state", "~outcome", "created", "~caller", rows=rows))
    if len(found) == limit:
        note(f"the newest {limit}; --limit for more")


@app.command()
def show(
    command: Annotated[str, typer.Argument(metavar="[COMMAND]", help="The command, by the gateway's id.")] = "",
    charge_point: Annotated[
        str,
        typer.Option("--charger", autocompletion=identities, help="Its charger, to name it by its request id."),
    ] = "",
    request_id: Annotated[str, typer.Option(help="The request id that it was sent with.")] = "",
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """One command, by its id, or by --charger and --request-id."""
    if bool(command) == bool(charge_point or request_id) or bool(charge_point) != bool(request_id):
        raise typer.BadParameter("name the command, or give --charger and --request-id")
    request = GetCommandRequest(command_id=command, charge_point=charge_point, request_id=request_id)
    with connect(target) as gateway:
        found = gateway.commands.GetCommand(request, timeout=READ_SECONDS).command
    if json:
        print_json(as_dict(found))
        return
    pairs = (
        ("command", found.command_id),
        ("request id", found.request_id),
        ("charger", found.charge_point),
        ("caller", found.caller),
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
            if kind == "installed_certificates":
                return f"{len(command.answer.installed_certificates.certificates)} certificates"
            return getattr(getattr(command.answer, kind or "status"), "status", "confirmed")
        case _:
            return command.reason

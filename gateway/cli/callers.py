"""`gateway callers`: which services and people may call the gateway, and what."""

import importlib
from enum import StrEnum
from typing import Annotated, Any

import typer

from gateway.api.v1.caller_pb2 import Caller, CreateCallerRequest, ListCallersRequest, RevokeCallerRequest
from gateway.api.v1.caller_pb2 import Role as ApiRole
from gateway.cli.connection import DEFAULT_TARGET, READ_SECONDS, TargetOption, as_dict, connect, moment
from gateway.cli.option_values import each_once, one_of, pair_of, refuse_typed, spelled
from gateway.cli.output import JsonOption, done, local, note, out, print_json, say, table
from gateway.cli.serve import DEFAULT_CONFIG, ConfigOption

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, as it will be in records: billing, ops/anna.")]


class Role(StrEnum):
    """The roles, as typed on the command line."""

    READ = "read"
    OPERATE = "operate"
    ADMINISTER = "administer"
    VENDOR_DATA = "vendor-data"
    SIGNING = "signing"

    @property
    def value_in_api(self) -> ApiRole.ValueType:
        """The API's word for it."""
        return ApiRole.Value(f"ROLE_{self.name}")


@app.callback()
def callers() -> None:
    """Which services and people may call the gateway, and what, where the settings have require_callers."""


@app.command()
def add(
    name: Name,
    role: Annotated[
        list[Any],
        typer.Option(
            "--role",
            parser=one_of(Role),
            metavar=spelled(Role),
            help="What it may call; may be given several times. operate has read in it, and administer both.",
        ),
    ],
    certificate: Annotated[
        str, typer.Option(help="The name in its client certificate; it gets no token then. Needs control.client_ca.")
    ] = "",
    label: Annotated[
        list[Any] | None,
        typer.Option(
            "--label",
            parser=pair_of,
            callback=each_once,
            metavar="KEY=VALUE",
            help="Its scope: charge points with this label; of several, those with all. With read and operate alone.",
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Write into the database of a gateway that does not run: for the first caller."),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Make a caller known, and show its token this once. It counts at once.

    The token is sent with each call; `gateway` itself takes it from the file named by --token-file or
    GATEWAY_TOKEN_FILE.
    """
    if offline:
        refuse_typed("is of a gateway that runs: --offline asks none", target="--target")
    else:
        refuse_typed("goes with --offline: a gateway that runs has its settings", config="--config")
    asked = Caller(
        name=name,
        roles=[each.value_in_api for each in role],
        certificate_name=certificate,
        scope=dict(label or ()),
    )
    if offline:
        from gateway.app.settings import load

        # Most calls need no store, and start faster without it.
        token = importlib.import_module("gateway.app.preflight").add_caller(
            load(config), name, [each.name for each in role], certificate, dict(label or ())
        )
        made = asked
    else:
        with connect(target) as gateway:
            response = gateway.callers.CreateCaller(CreateCallerRequest(caller=asked), timeout=READ_SECONDS)
        made, token = response.caller, response.token
    if json:
        print_json({"caller": as_dict(made), **({"token": token} if token else {})})
        return
    say(f"{name} may call: {_roles(made)}")
    if token:
        say(f"token: {token}", "bold")
        note("shown this once; sent with each call as: authorization: Bearer <token>")


@app.command("list")
def list_(target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """List the callers. No token is shown."""
    with connect(target) as gateway:
        found = gateway.callers.ListCallers(ListCallersRequest(), timeout=READ_SECONDS).callers
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [
        (
            each.name,
            _roles(each),
            ", ".join(f"{key}={value}" for key, value in sorted(each.scope.items())) or "all",
            f"certificate {each.certificate_name}" if each.certificate_name else "token",
            local(moment(each, "create_time")),
        )
        for each in found
    ]
    out().print(table("caller", "~roles", "~charge points", "~shows", "since", rows=rows))


@app.command()
def revoke(name: Name, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Revoke a caller, at once: its next call is refused, and its watches end."""
    with connect(target) as gateway:
        gateway.callers.RevokeCaller(RevokeCallerRequest(name=name), timeout=READ_SECONDS)
    done(f"{name} is revoked", json)


def _roles(caller: Caller) -> str:
    return ", ".join(ApiRole.Name(each).removeprefix("ROLE_").lower().replace("_", "-") for each in caller.roles)

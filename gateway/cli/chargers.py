"""`gateway chargers`: which chargers may connect, and how they are."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from gateway.api.v1.charge_point_pb2 import (
    ChargePoint,
    CreateChargePointRequest,
    DeleteChargePointRequest,
    DisconnectChargePointRequest,
    GetChargePointRequest,
    ListChargePointsRequest,
    UpdateChargePointRequest,
)
from gateway.api.v1.common_pb2 import Registration as ApiRegistration
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    connector_name,
    moment,
    pages,
)
from gateway.cli.option_values import one_of, spelled
from gateway.cli.output import (
    JsonOption,
    age,
    facts,
    fail,
    local,
    note,
    out,
    print_json,
    printable,
    say,
    status,
    table,
)

app = typer.Typer(no_args_is_help=True)

Identity = Annotated[
    str, typer.Argument(metavar="IDENTITY", help="The charger's identity: the last part of the URL it connects to.")
]


KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        "--key-hex",
        help="Its AuthorizationKey (8 to 40 bytes) in hexadecimal; - reads it from standard input.",
    ),
]
KeyTextOption = Annotated[
    str | None,
    typer.Option("--key-text", help="The same as text, as typed into the charger; - reads it from standard input."),
]


class Switch(StrEnum):
    """A decision for one charger, or the setting for all."""

    ON = "on"
    OFF = "off"
    DEFAULT = "default"

    @property
    def value_in_api(self) -> bool | None:
        """The API's value for it: unset leaves it to the settings."""
        return None if self is Switch.DEFAULT else self is Switch.ON


SWITCHES: Any = {"parser": one_of(Switch), "metavar": spelled(Switch)}

OwnRequestsOption = Annotated[
    Switch | None,
    typer.Option(
        **SWITCHES,
        help="Whether the gateway asks it for anything of its own accord: the configuration of the settings after a "
        "boot, statuses after a reconnect, a boot if it never booted here. default: as the settings say for all.",
    ),
]
HexPasswordOption = Annotated[
    Switch | None,
    typer.Option(
        **SWITCHES,
        help="Whether its password may be its key in hexadecimal digits. default: as the settings say for all.",
    ),
]


class Registration(StrEnum):
    """The decisions on a charger, as typed on the command line."""

    ACCEPTED = "accepted"
    PENDING = "pending"
    REJECTED = "rejected"

    @property
    def value_in_api(self) -> ApiRegistration.ValueType:
        """The API's word for it."""
        return ApiRegistration.Value(f"REGISTRATION_{self.name}")


REGISTRATIONS: Any = {"parser": one_of(Registration), "metavar": spelled(Registration)}


@app.callback()
def chargers() -> None:
    """Which chargers may connect, and how they are."""


@app.command()
def add(
    identity: Identity,
    registration: Annotated[
        Registration,
        typer.Option(**REGISTRATIONS, help="accepted: served; pending: held in waiting; rejected: turned away."),
    ] = Registration.ACCEPTED,
    key: KeyOption = None,
    key_text: KeyTextOption = None,
    description: Annotated[str, typer.Option(help="Notes.")] = "",
    assume_subprotocol: Annotated[
        bool, typer.Option("--assume-subprotocol", help="Let it in though it names no subprotocol.")
    ] = False,
    own_requests: OwnRequestsOption = None,
    hex_password: HexPasswordOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Make a charger known, so that it may connect.

    Without --key or --key-text the gateway generates an AuthorizationKey of 20 letters and digits, which is shown once.
    """
    given = read_keys(key, key_text)
    request = CreateChargePointRequest(
        charge_point=ChargePoint(
            identity=identity,
            registration=registration.value_in_api,
            description=description,
            assume_subprotocol=assume_subprotocol,
            own_requests=(own_requests or Switch.DEFAULT).value_in_api,
            accept_hex_password=(hex_password or Switch.DEFAULT).value_in_api,
        ),
        authorization_key=given,
    )
    with connect(target) as gateway:
        response = gateway.charge_points.CreateChargePoint(request, timeout=READ_SECONDS)
    _show_key(response.charge_point, response.generated_authorization_key, json, f"{identity} may connect")


@app.command("list")
def list_(
    connected: Annotated[
        bool | None, typer.Option("--connected/--offline", help="Only those that are, or are not, connected.")
    ] = None,
    registration: Annotated[
        Registration | None, typer.Option(**REGISTRATIONS, help="Only those with this registration.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 500,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List chargers by identity."""
    request = ListChargePointsRequest()
    if connected is not None:
        request.connected = connected
    if registration is not None:
        request.registration = registration.value_in_api
    with connect(target) as gateway:
        found = list(
            pages(gateway.charge_points.ListChargePoints, request, lambda page: page.charge_points, limit=limit)
        )
    if json:
        print_json([as_dict(each) for each in found])
        return
    columns = ("identity", "connection", "registration", "~vendor", "~model", "~firmware", "~connectors", "last heard")
    out().print(table(*columns, rows=[*map(_row, found)]))
    if len(found) == limit:
        note(f"the first {limit}; --limit for more")


@app.command()
def show(identity: Identity, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """All that is known of a charger."""
    with connect(target) as gateway:
        response = gateway.charge_points.GetChargePoint(GetChargePointRequest(identity=identity), timeout=READ_SECONDS)
    if json:
        print_json(as_dict(response.charge_point))
        return
    _show(response.charge_point)


@app.command()
def update(
    identity: Identity,
    registration: Annotated[
        Registration | None, typer.Option(**REGISTRATIONS, help="Another registration; it counts at once.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="Other notes.")] = None,
    assume_subprotocol: Annotated[
        bool | None,
        typer.Option("--assume-subprotocol/--require-subprotocol", help="Whether it may name no subprotocol."),
    ] = None,
    key: KeyOption = None,
    key_text: KeyTextOption = None,
    own_requests: OwnRequestsOption = None,
    hex_password: HexPasswordOption = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="Generate another AuthorizationKey and show it.")] = False,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Change what the operator decides about a charger. A new key counts from its next connection on."""
    given = read_keys(key, key_text)
    if given is not None and new_key:
        raise typer.BadParameter("--new-key excludes --key and --key-text")
    request = UpdateChargePointRequest(charge_point=ChargePoint(identity=identity))
    if registration is not None:
        request.charge_point.registration = registration.value_in_api
        request.update_mask.paths.append("registration")
    if description is not None:
        request.charge_point.description = description
        request.update_mask.paths.append("description")
    if assume_subprotocol is not None:
        request.charge_point.assume_subprotocol = assume_subprotocol
        request.update_mask.paths.append("assume_subprotocol")
    for name, switch in (("own_requests", own_requests), ("accept_hex_password", hex_password)):
        if switch is not None:
            if switch is not Switch.DEFAULT:
                setattr(request.charge_point, name, switch.value_in_api)
            request.update_mask.paths.append(name)
    if given is not None:
        request.authorization_key = given
    if new_key:
        request.generate_authorization_key = True
    if not request.update_mask.paths and given is None and not new_key:
        raise typer.BadParameter(
            "nothing to change: give --registration, --description, --assume-subprotocol, --require-subprotocol, "
            "--key, --key-text, --new-key, --own-requests or --hex-password"
        )
    with connect(target) as gateway:
        response = gateway.charge_points.UpdateChargePoint(request, timeout=READ_SECONDS)
    _show_key(response.charge_point, response.generated_authorization_key, json, f"{identity} is changed")


@app.command()
def remove(
    identity: Identity,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    target: TargetOption = DEFAULT_TARGET,
) -> None:
    """Remove a charger and its keys, and end its connection. Its transactions and events stay."""
    if not yes:
        if not sys.stdin.isatty():
            fail("there is no terminal to ask at: --yes removes it")
        typer.confirm(f"Remove {printable(identity)} and its keys?", abort=True)
    with connect(target) as gateway:
        gateway.charge_points.DeleteChargePoint(DeleteChargePointRequest(identity=identity), timeout=READ_SECONDS)
    say(f"{identity} is removed")


@app.command()
def disconnect(identity: Identity, target: TargetOption = DEFAULT_TARGET) -> None:
    """Close a charger's connection. It may come back."""
    with connect(target) as gateway:
        gateway.charge_points.DisconnectChargePoint(
            DisconnectChargePointRequest(identity=identity), timeout=READ_SECONDS
        )
    say(f"{identity} is disconnected")


def read_keys(digits: str | None, text: str | None) -> bytes | None:
    """An AuthorizationKey as it was given, None if it was not. Raises BadParameter, which does not repeat the key."""
    if digits is not None and text is not None:
        raise typer.BadParameter("--key and --key-text are two ways to give one key")
    if digits is not None:
        return read_key(digits)
    return None if text is None else read_key_text(text)


def read_key(text: str) -> bytes:
    """An AuthorizationKey from its hexadecimal digits, or from a line of standard input for ``-``.

    Raises BadParameter, which does not repeat the key.
    """
    digits = sys.stdin.readline().strip() if text == "-" else text
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise typer.BadParameter(
            "expected hexadecimal digits, two for each byte (a password as text: --key-text)", param_hint="--key"
        ) from None


def read_key_text(text: str) -> bytes:
    """An AuthorizationKey from its text in UTF-8, or from a line of standard input for ``-``.

    Raises BadParameter for text that no page takes as it is: control characters, or spaces at its ends.
    """
    given = sys.stdin.readline().rstrip("\r\n") if text == "-" else text
    if not given.isprintable() or given != given.strip():
        raise typer.BadParameter("has control characters, or spaces at an end", param_hint="--key-text")
    return given.encode("utf-8")


def registration_word(value: ApiRegistration.ValueType) -> str:
    """The API's registration as OCPP spells it."""
    return ApiRegistration.Name(value).removeprefix("REGISTRATION_").capitalize()


def _row(each: ChargePoint) -> tuple[Any, ...]:
    return (
        each.identity,
        status("connected") if each.connection.connected else "offline",
        status(registration_word(each.registration)),
        each.boot.vendor,
        each.boot.model,
        each.boot.firmware_version,
        ", ".join(f"{connector_name(one.connector)} {one.status}" for one in each.connectors if one.connector.evse),
        age(moment(each.connection, "last_heard_time")),
    )


def _show(each: ChargePoint) -> None:
    console = out()
    console.print(facts(_facts(each)))
    if each.connectors:
        columns = ("connector", "status", "~error", "since", "~said")
        rows = [
            (
                connector_name(one.connector),
                status(one.status),
                _error(one),
                local(moment(one, "status_time")),
                one.info,
            )
            for one in each.connectors
        ]
        console.print()
        console.print(table(*columns, rows=rows, title="Connectors"))
    if each.reservations:
        columns = ("id", "connector", "tag", "group", "until")
        reserved = [
            (
                one.reservation_id,
                connector_name(one.connector) if one.connector.evse else "any",
                one.id_tag,
                one.parent_id_tag,
                local(moment(one, "expire_time")),
            )
            for one in each.reservations
        ]
        console.print()
        console.print(table(*columns, rows=reserved, title="Reservations"))
    if each.boot_configuration:
        settings = [
            (one.key, one.value, status(one.status), local(moment(one, "apply_time")))
            for one in each.boot_configuration
        ]
        console.print()
        console.print(table("key", "~value", "answer", "when", rows=settings, title="Boot configuration"))


def _error(connector: Any) -> str:
    error = "" if connector.error_code == "NoError" else connector.error_code
    return " ".join(part for part in (error, connector.vendor_id, connector.vendor_error_code) if part)


def _facts(each: ChargePoint) -> Iterator[tuple[str, object]]:
    connection, boot = each.connection, each.boot
    yield "identity", each.identity
    yield "description", each.description
    yield "registration", status(registration_word(each.registration))
    if each.assume_subprotocol:
        yield "subprotocol", "assumed where it names none"
    yield "own requests", _decided(each, "own_requests", "sent", "not sent")
    yield "hexadecimal password", _decided(each, "accept_hex_password", "accepted", "refused")
    since = local(moment(connection, "since_time"))
    if connection.connected:
        yield "connection", f"connected since {since} from {connection.remote_address}"
        yield "security profile", connection.security_profile
    else:
        yield "connection", f"offline since {since}" if since else "never connected"
    heard = moment(connection, "last_heard_time")
    yield "last heard", f"{local(heard)} ({age(heard)})" if heard else ""
    yield "vendor", boot.vendor
    yield "model", boot.model
    yield "firmware", boot.firmware_version
    yield "serial number", boot.charge_point_serial_number
    yield "charge box serial number", boot.charge_box_serial_number
    yield "meter", " ".join(part for part in (boot.meter_type, boot.meter_serial_number) if part)
    yield "ICCID", boot.iccid
    yield "IMSI", boot.imsi
    yield "booted", local(moment(each, "boot_time"))
    yield "created", local(moment(each, "create_time"))
    yield "changed", local(moment(each, "update_time"))


def _decided(each: ChargePoint, name: Any, on: str, off: str) -> str:
    """A switch in words, also where it is not set."""
    if not each.HasField(name):
        return "as the settings say"
    return on if getattr(each, name) else off


def _show_key(charge_point: ChargePoint, key: bytes, json: bool, done: str) -> None:
    """The result of a change and, this once, a generated key."""
    text = key.decode("ascii") if key.isascii() else ""
    typeable = text.isprintable() and bool(text)  # what a gateway of an earlier version generates is not
    if json:
        answer: dict[str, Any] = {"charge_point": as_dict(charge_point)}
        if key:
            answer["authorization_key_hex"] = key.hex()
        if typeable:
            answer["authorization_key_text"] = text
        print_json(answer)
        return
    say(done)
    if typeable:
        say(f"AuthorizationKey: {text}", "bold")
        note("shown this once: to be typed as it is where the charger asks for its password or AuthorizationKey; where")
        note(f"it asks for hexadecimal digits, the same key is {key.hex()}")
    elif key:
        say(f"AuthorizationKey in hexadecimal: {key.hex()}", "bold")
        note("shown this once: bytes that can't be typed as text; the charger must ask for hexadecimal digits")

"""`gateway chargers`: which chargers may connect, and how they are."""

from collections.abc import Iterable
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
from gateway.api.v1.operation_pb2 import RotateAuthorizationKeyRequest, UpgradeSecurityProfileRequest
from gateway.cli.charger_text import row, show_charger, show_key
from gateway.cli.commands_send import RequestIdOption
from gateway.cli.completion import identities
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    must_administer,
    pages,
    request_id,
)
from gateway.cli.key_options import KeyOption, KeyTextOption, ResetAnywayOption, ResetOption, read_keys
from gateway.cli.list_options import FilterOption, LabelOption, OrderOption
from gateway.cli.operation_course import NoWaitOption, carry
from gateway.cli.option_values import each_once, one_of, pair_of, spelled
from gateway.cli.output import (
    JsonOption,
    agreed,
    done,
    fail,
    note,
    out,
    print_json,
    printable,
    table,
)
from gateway.cli.quirk_options import QuirksOption, put_quirks

app = typer.Typer(no_args_is_help=True)

Identity = Annotated[
    str,
    typer.Argument(
        metavar="IDENTITY",
        autocompletion=identities,
        help="The charger's identity: the last part of the URL it connects to.",
    ),
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


ProfileOption = Annotated[
    int | None,
    typer.Option(
        "--minimum-profile",
        min=0,
        max=3,
        help="The least security profile with which it is let in: 2 (key), 3 (certificate); 0: any of the listeners.",
    ),
]

LabelsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--label", parser=pair_of, callback=each_once, metavar="KEY=VALUE", help="A label; may be given several times."
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
    minimum_profile: ProfileOption = None,
    quirk: QuirksOption = None,
    label: LabelsOption = None,
    request_id: Annotated[str, typer.Option(help="An id of yours: repeated with it, a lost key is replaced.")] = "",
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Make a charger known, so that it may connect.

    Without --key or --key-text the gateway generates an AuthorizationKey of 20 letters and digits, which is shown once.
    Where the answer may be lost, give a --request-id: the same command again returns the charger, with a new key as
    long as it has neither connected nor been changed.
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
            labels=dict(label or ()),
            minimum_security_profile=minimum_profile or 0,
        ),
        authorization_key=given,
        request_id=request_id,
    )
    put_quirks(quirk or (), request.charge_point)
    with connect(target) as gateway:
        response = gateway.charge_points.CreateChargePoint(request, timeout=READ_SECONDS)
    show_key(response.charge_point, response.generated_authorization_key, json, f"{identity} may connect")


@app.command("list")
def list_(
    connected: Annotated[
        bool | None, typer.Option("--connected/--offline", help="Only those that are, or are not, connected.")
    ] = None,
    registration: Annotated[
        Registration | None, typer.Option(**REGISTRATIONS, help="Only those with this registration.")
    ] = None,
    label: LabelOption = None,
    text: FilterOption = "",
    order: OrderOption = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 500,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List chargers, by identity unless another order is asked for."""
    request = ListChargePointsRequest(labels=dict(label or ()), filter=text, order_by=order)
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
    columns: tuple[str, ...] = (
        "identity",
        "connection",
        "registration",
        "~vendor",
        "~model",
        "~firmware",
        "~connectors",
        "last heard",
    )
    if any(each.labels for each in found):
        columns += ("~labels",)
    out().print(table(*columns, rows=[row(each)[: len(columns)] for each in found]))
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
    show_charger(response.charge_point)


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
    minimum_profile: ProfileOption = None,
    quirk: QuirksOption = None,
    label: LabelsOption = None,
    remove_label: Annotated[
        list[str] | None,
        typer.Option("--remove-label", metavar="KEY", help="A label to be removed; may be given several times."),
    ] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="Generate another AuthorizationKey and show it.")] = False,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Change what the operator decides about a charger. A new key counts from its next connection on."""
    given = read_keys(key, key_text)
    if given is not None and new_key:
        raise typer.BadParameter("--new-key excludes --key and --key-text")
    both = sorted({key for key, _ in label or ()} & set(remove_label or ()))
    if both:
        raise typer.BadParameter(f"--label sets {both[0]}, and --remove-label removes it")
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
    if minimum_profile is not None:
        request.charge_point.minimum_security_profile = minimum_profile
        request.update_mask.paths.append("minimum_security_profile")
    request.update_mask.paths.extend(put_quirks(quirk or (), request.charge_point))
    if given is not None:
        request.authorization_key = given
    if new_key:
        request.generate_authorization_key = True
    labels_change = bool(label or remove_label)
    if not request.update_mask.paths and given is None and not new_key and not labels_change:
        raise typer.BadParameter(
            "nothing to change: give --registration, --description, --assume-subprotocol, --require-subprotocol, "
            "--key, --key-text, --new-key, --own-requests, --hex-password, --minimum-profile, --quirk, --label or "
            "--remove-label"
        )
    with connect(target) as gateway:
        if labels_change:
            _change_labels(gateway.charge_points, request, dict(label or ()), remove_label or ())
        response = gateway.charge_points.UpdateChargePoint(request, timeout=READ_SECONDS)
    show_key(response.charge_point, response.generated_authorization_key, json, f"{identity} is changed")


def _change_labels(stub: Any, request: UpdateChargePointRequest, given: dict[str, str], gone: Iterable[str]) -> None:
    """Put the present labels, as changed, into a request, with the etag that guards what others change meanwhile."""
    present = stub.GetChargePoint(
        GetChargePointRequest(identity=request.charge_point.identity), timeout=READ_SECONDS
    ).charge_point
    kept = {key: value for key, value in present.labels.items() if key not in set(gone)}
    request.charge_point.labels.update(kept | given)
    request.charge_point.etag = present.etag
    request.update_mask.paths.append("labels")


@app.command()
def remove(
    identity: Identity,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Remove a charger and its keys, and end its connection. Its transactions and events stay."""
    with connect(target) as gateway:
        if not yes and not json:
            must_administer(gateway)
            gateway.charge_points.GetChargePoint(GetChargePointRequest(identity=identity), timeout=READ_SECONDS)
        if not agreed(f"Remove {printable(identity)} and its keys?", yes, json):
            fail("nothing was removed")
        gateway.charge_points.DeleteChargePoint(DeleteChargePointRequest(identity=identity), timeout=READ_SECONDS)
    done(f"{identity} is removed", json)


@app.command()
def disconnect(identity: Identity, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Close a charger's connection. It may come back."""
    with connect(target) as gateway:
        gateway.charge_points.DisconnectChargePoint(
            DisconnectChargePointRequest(identity=identity), timeout=READ_SECONDS
        )
    done(f"{identity} is disconnected", json)


@app.command("rotate-key")
def rotate_key(
    identity: Identity,
    reset: ResetOption = False,
    anyway: ResetAnywayOption = False,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Give a charger another AuthorizationKey, which is shown to no one, and wait until it holds.

    The charger's answer decides; where none comes, each key that it may have taken lets it in until it has used one.
    """
    message = RotateAuthorizationKeyRequest(
        charge_point=identity, request_id=request_id(request), reset=reset, insist=anyway
    )
    with connect(target) as gateway:
        carry(gateway, gateway.operations.RotateAuthorizationKey, message, not no_wait, json)


@app.command("upgrade-profile")
def upgrade_profile(
    identity: Identity,
    profile: Annotated[
        int, typer.Argument(metavar="PROFILE", min=2, max=3, help="2: TLS with a key; 3: TLS with its own certificate.")
    ],
    has_ca: Annotated[
        bool, typer.Option("--has-ca", help="It has the authority of the gateway's certificate.")
    ] = False,
    has_certificate: Annotated[bool, typer.Option("--has-certificate", help="It has its own certificate.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also where a transaction runs: the reset ends it.")] = False,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Raise a charger's security profile, and wait until it has connected with it.

    It is reset for that. Once it is confirmed a lower profile is refused; where it falls back both go on being let in.
    """
    message = UpgradeSecurityProfileRequest(
        charge_point=identity,
        request_id=request_id(request),
        security_profile=profile,
        ca_certificate_installed=has_ca,
        client_certificate_installed=has_certificate,
        insist=anyway,
    )
    with connect(target) as gateway:
        carry(gateway, gateway.operations.UpgradeSecurityProfile, message, not no_wait, json)

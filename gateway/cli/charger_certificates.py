"""`gateway certificates`: the certificates in a charger, its own and those that it trusts."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1.charge_point_pb2 import ListChargePointsRequest
from gateway.api.v1.operation_pb2 import RenewCertificateRequest
from gateway.cli.commands_send import RequestIdOption, answered, ask
from gateway.cli.completion import ChargePointArgument
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, as_dict, connect, moment, pages, request_id
from gateway.cli.list_options import FilterOption, LabelOption
from gateway.cli.operation_course import NoWaitOption, carry
from gateway.cli.option_values import one_of, spelled
from gateway.cli.output import JsonOption, fail, local, note, out, print_json, table
from gateway.cli.transactions import LimitOption

app = typer.Typer(no_args_is_help=True)

MAX_BYTES = 65_536
"""A chain has 10,000 characters at most; a larger file is some other one."""


class Use(StrEnum):
    """Purposes of root certificates, as typed on the command line."""

    CENTRAL_SYSTEM = "central-system"
    MANUFACTURER = "manufacturer"

    @property
    def value_in_api(self) -> api.CertificateUse.ValueType:
        """The API's word for it."""
        return api.CertificateUse.Value(f"CERTIFICATE_USE_{self.name}_ROOT_CERTIFICATE")


UseOption = Annotated[
    Use,
    typer.Option(
        "--use",
        parser=one_of(Use),
        metavar=spelled(Use),
        help="Vouches for the gateway's certificate, or for the one that signs firmware.",
    ),
]


class Algorithm(StrEnum):
    """Digests, as OCPP spells them."""

    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


@app.callback()
def certificates() -> None:
    """See, install and delete the certificates in a charger (OCPP's security extension)."""


@app.command("list")
def list_(
    within: Annotated[
        int | None, typer.Option(min=0, metavar="DAYS", help="Only those that end within so many days, or have ended.")
    ] = None,
    label: LabelOption = None,
    text: FilterOption = "",
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List the certificates that chargers were last known to have, those that end first before the others."""
    # Every charge point with a certificate has an end of it.
    ends = "9999-01-01T00:00:00Z" if within is None else end_within(within)
    condition = f'certificate_expire_time < "{ends}"'
    request = ListChargePointsRequest(
        labels=dict(label or ()),
        filter=f"{condition} AND ({text})" if text else condition,
        order_by="certificate_expire_time",
    )
    with connect(target) as gateway:
        found = list(pages(gateway.charge_points.ListChargePoints, request, lambda page: page.charge_points, limit))
    if json:
        print_json([{"charge_point": each.identity, **as_dict(each.certificate)} for each in found])
        return
    rows = [
        (each.identity, each.certificate.serial_number, local(moment(each.certificate, "expire_time")))
        for each in found
    ]
    out().print(table("charger", "~serial number", "ends", rows=rows))
    if len(found) == limit:
        note(f"the first {limit}; --limit for more")


def end_within(days: int) -> str:
    """The time that many days from now, as a filter has it."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")


@app.command()
def installed(
    charge_point: ChargePointArgument,
    use: UseOption = Use.CENTRAL_SYSTEM,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Ask a charger for the root certificates that are installed in it."""
    message = api.GetInstalledCertificateIdsRequest(
        charge_point=charge_point, request_id=request_id(request), certificate_use=use.value_in_api
    )
    with connect(target) as gateway:
        response = ask(gateway.commands.GetInstalledCertificateIds, message)
    if json:
        print_json(as_dict(response))
        return
    rows = [
        (
            each.serial_number,
            api.HashAlgorithm.Name(each.hash_algorithm).removeprefix("HASH_ALGORITHM_"),
            each.issuer_name_hash,
            each.issuer_key_hash,
        )
        for each in response.certificates
    ]
    out().print(table("serial number", "algorithm", "~issuer name hash", "~issuer key hash", rows=rows))


@app.command()
def install(
    charge_point: ChargePointArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One certificate in PEM.")],
    use: UseOption = Use.CENTRAL_SYSTEM,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Install a root certificate in a charger."""
    message = api.InstallCertificateRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        certificate_use=use.value_in_api,
        certificate=pem_of(file),
    )
    with connect(target) as gateway:
        answered(gateway.commands.InstallCertificate, message, json, "the certificate")


@app.command()
def delete(
    charge_point: ChargePointArgument,
    serial_number: Annotated[str, typer.Option("--serial", help="Its serial number, as `installed` shows it.")],
    issuer_name_hash: Annotated[str, typer.Option("--name-hash", help="The hash of its issuer's name.")],
    issuer_key_hash: Annotated[str, typer.Option("--key-hash", help="The hash of its issuer's key.")],
    algorithm: Annotated[
        Algorithm,
        typer.Option(parser=one_of(Algorithm), metavar=spelled(Algorithm), help="Of the hashes."),
    ] = Algorithm.SHA256,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Delete a root certificate from a charger. Its own certificate can't be deleted."""
    message = api.DeleteCertificateRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        certificate=api.CertificateHash(
            hash_algorithm=api.HashAlgorithm.Value(f"HASH_ALGORITHM_{algorithm}"),
            issuer_name_hash=issuer_name_hash,
            issuer_key_hash=issuer_key_hash,
            serial_number=serial_number,
        ),
    )
    with connect(target) as gateway:
        answered(gateway.commands.DeleteCertificate, message, json, "to delete the certificate")


@app.command()
def assign(
    charge_point: ChargePointArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Its certificate, then those that issued it, in order, in PEM.")
    ],
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Give a charger a certificate of its own (CertificateSigned), by hand."""
    message = api.CertificateSignedRequest(
        charge_point=charge_point, request_id=request_id(request), certificate_chain=pem_of(file)
    )
    with connect(target) as gateway:
        answered(gateway.commands.CertificateSigned, message, json, "the certificate")


@app.command()
def renew(
    charge_point: ChargePointArgument,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Have a charger make a new key and ask for its certificate, and wait until it has taken that.

    A signing service has to be there: `gateway certs sign` in a trial.
    """
    message = RenewCertificateRequest(charge_point=charge_point, request_id=request_id(request))
    with connect(target) as gateway:
        carry(gateway, gateway.operations.RenewCertificate, message, not no_wait, json)


def pem_of(file: Path) -> str:
    """The text of a certificate's file. Raises CommandFailed, without what it holds: it may be a private key."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        fail(f"{file}: can't be read: {error.strerror or error}")
    if len(data) > MAX_BYTES or not data.isascii():
        fail(f"{file}: no certificate in PEM")
    return data.decode("ascii")

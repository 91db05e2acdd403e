"""`gateway firmware` and `gateway log`: files that a charger fetches, and files that it uploads."""

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1.operation_pb2 import InstallFirmwareRequest, UploadLogRequest
from gateway.cli.charger_certificates import pem_of
from gateway.cli.commands_send import RequestIdOption
from gateway.cli.completion import ChargePointArgument
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, connect, duration, request_id, timestamp
from gateway.cli.operation_course import NoWaitOption, carry
from gateway.cli.option_values import moment_of, one_of, spelled
from gateway.cli.output import JsonOption

Location = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="Where the file is, or goes; - reads a line from standard input, for passwords."
    ),
]
Retries = Annotated[int | None, typer.Option(min=0, help="How often to try again; without it the charger decides.")]
RetryInterval = Annotated[int | None, typer.Option(min=0, help="Seconds between tries.")]
Time = Annotated[
    datetime | None,
    typer.Option(parser=moment_of, metavar="TIME", help="As 2026-12-31T18:00:00; without a zone, local time."),
]
Signer = Annotated[
    Path | None,
    typer.Option("--signing-certificate", help="The certificate that signed it, in PEM; without it, it is not signed."),
]
Signature = Annotated[str | None, typer.Option(help="Its signature, in base64.")]


class Log(StrEnum):
    """Logs, as typed on the command line."""

    SECURITY = "security"
    DIAGNOSTICS = "diagnostics"


def log(
    charge_point: ChargePointArgument,
    location: Location,
    kind: Annotated[
        Log, typer.Option("--type", parser=one_of(Log), metavar=spelled(Log), help="Which log.")
    ] = Log.SECURITY,
    since: Time = None,
    until: Time = None,
    retries: Retries = None,
    retry_interval: RetryInterval = None,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Have a charger upload its log (GetLog), and wait until it has."""
    message = UploadLogRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        log_type=api.LogType.Value(f"LOG_TYPE_{kind.name}_LOG"),
        location=typed(location),
        retries=retries,
        retry_interval=None if retry_interval is None else duration(retry_interval),
        oldest_time=None if since is None else timestamp(since),
        latest_time=None if until is None else timestamp(until),
    )
    with connect(target) as gateway:
        carry(gateway, gateway.operations.UploadLog, message, not no_wait, json)


def firmware(
    charge_point: ChargePointArgument,
    location: Location,
    certificate: Signer = None,
    signature: Signature = None,
    at: Time = None,
    install_at: Time = None,
    retries: Retries = None,
    retry_interval: RetryInterval = None,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Have a charger fetch and install firmware: signed (SignedUpdateFirmware), or not (UpdateFirmware); and wait until
    that is done, or is known to have come to nothing. A charger that reports nothing is followed for a day."""
    update = update_of(location, certificate, signature, at, install_at, retries, retry_interval)
    message = InstallFirmwareRequest(charge_point=charge_point, request_id=request_id(request), **update)
    with connect(target) as gateway:
        carry(gateway, gateway.operations.InstallFirmware, message, not no_wait, json)


def update_of(
    location: str,
    certificate: Path | None,
    signature: str | None,
    at: datetime | None,
    install_at: datetime | None,
    retries: int | None,
    retry_interval: int | None,
) -> dict[str, Any]:
    """The fields of a request to install firmware. Without a time it is at once, and the request has none: sent again,
    it is the same. Raises BadParameter."""
    if (certificate is None) != (signature is None):
        raise typer.BadParameter("--signing-certificate and --signature go together")
    if certificate is None and install_at is not None:
        raise typer.BadParameter("--install-at is for signed firmware only")
    return {
        "location": typed(location),
        "retrieve_time": None if at is None else timestamp(at),
        "install_time": None if install_at is None else timestamp(install_at),
        "signing_certificate": "" if certificate is None else pem_of(certificate),
        "signature": signature or "",
        "retries": retries,
        "retry_interval": None if retry_interval is None else duration(retry_interval),
    }


def typed(location: str) -> str:
    """A location; one given as - is read from standard input."""
    return sys.stdin.readline().rstrip("\r\n") if location == "-" else location

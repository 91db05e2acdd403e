"""`gateway firmware` and `gateway log`: files that a charger fetches, and files that it uploads."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1.operation_pb2 import InstallFirmwareRequest, UploadLogRequest
from gateway.cli.charger_certificates import pem_of
from gateway.cli.commands_send import RequestIdOption, ask
from gateway.cli.completion import ChargePointArgument
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, as_dict, connect, duration, request_id, timestamp
from gateway.cli.operation_course import NoWaitOption, carry
from gateway.cli.option_values import moment_of, one_of, spelled
from gateway.cli.output import JsonOption, print_json, say

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
    certificate: Annotated[
        Path | None, typer.Option("--signing-certificate", help="The certificate that signed it, in PEM.")
    ] = None,
    signature: Annotated[str | None, typer.Option(help="Its signature, in base64.")] = None,
    at: Time = None,
    install_at: Time = None,
    retries: Retries = None,
    retry_interval: RetryInterval = None,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Have a charger fetch and install firmware: signed (SignedUpdateFirmware), or not (UpdateFirmware).

    Waits until signed firmware is installed. What becomes of other firmware is shown by `gateway watch`.
    """
    if (certificate is None) != (signature is None):
        raise typer.BadParameter("--signing-certificate and --signature go together")
    interval = None if retry_interval is None else duration(retry_interval)
    retrieve = timestamp(at or datetime.now(UTC))
    with connect(target) as gateway:
        if certificate is not None:
            signed = InstallFirmwareRequest(
                charge_point=charge_point,
                request_id=request_id(request),
                location=typed(location),
                retrieve_time=retrieve,
                install_time=None if install_at is None else timestamp(install_at),
                signing_certificate=pem_of(certificate),
                signature=signature or "",
                retries=retries,
                retry_interval=interval,
            )
            carry(gateway, gateway.operations.InstallFirmware, signed, not no_wait, json)
            return
        if install_at is not None:
            raise typer.BadParameter("--install-at is for signed firmware only")
        plain = api.UpdateFirmwareRequest(
            charge_point=charge_point,
            request_id=request_id(request),
            location=typed(location),
            retrieve_time=retrieve,
            retries=retries,
            retry_interval=interval,
        )
        response = ask(gateway.commands.UpdateFirmware, plain)
    if json:
        print_json(as_dict(response))
    else:
        say(f"{charge_point} confirmed the update", "green")


def typed(location: str) -> str:
    """A location; one given as - is read from standard input."""
    return sys.stdin.readline().rstrip("\r\n") if location == "-" else location

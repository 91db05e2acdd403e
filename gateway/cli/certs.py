"""`gateway certs`: certificates to try the gateway with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import certificates
from gateway.cli.output import say

app = typer.Typer(no_args_is_help=True, help="Make certificates for development.")


@app.callback()
def certs() -> None:
    """Make certificates for development."""


@app.command()
def dev(
    directory: Annotated[Path, typer.Option(help="Where to write them.", file_okay=False)] = Path("certs"),
    host: Annotated[
        list[str] | None,
        typer.Option(
            help="A host name or address that chargers connect to; repeat it for more. The first is the common name. "
            "localhost, 127.0.0.1 and ::1 are always among them."
        ),
    ] = None,
    organization: Annotated[
        str, typer.Option(help="The organization (O) in the certificates.")
    ] = "Gateway Development",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long they are valid.")] = 365,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Make a development CA, and an ECDSA P-256 and an RSA 2048 server certificate that it vouches for.

    Chargers must trust ca.pem; the gateway is given the server certificates (under listeners in its settings).
    """
    issuing = certificates.Issuing(organization, datetime.now(UTC), timedelta(days=days))
    hosts = ["localhost"] if host is None else host
    for path in certificates.write(directory, certificates.development_set(hosts, issuing), force=force):
        say(str(path))

"""`gateway certs`: certificates to try the gateway with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from gateway.api.v1.signing_pb2 import SigningAnswer, SigningAnswerRefusal
from gateway.cli import certificates
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, connect
from gateway.cli.option_values import refuse_typed
from gateway.cli.output import note, printable, say
from gateway.client import CertificateSigning

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


@app.command()
def sign(
    directory: Annotated[Path, typer.Option(help="Where `gateway certs dev` wrote the CA.", file_okay=False)] = Path(
        "certs"
    ),
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long chargers' certificates are valid.")] = 90,
    refuse: Annotated[str | None, typer.Option(help="Sign none: refuse each with these words.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Leave after so many.")] = None,
    target: TargetOption = DEFAULT_TARGET,
) -> None:
    """Sign chargers' certificates by the development CA, until interrupted: the signing service of a trial.

    The gateway must let in chargers by the same CA (client_authority). A deployment has its own signing service.
    """
    if refuse is not None:
        refuse_typed("is of certificates, and --refuse signs none", days="--days")
    authority = certificates.read_authority(directory)
    count = 0
    with connect(target) as gateway, CertificateSigning(gateway.signing.SignCertificates) as signing:
        for each in signing:
            if each.HasField("registered"):
                note("registered; chargers' requests are signed as they come; Ctrl-C ends it")
            elif each.HasField("refused"):
                reason = SigningAnswerRefusal.Name(each.refused.reason).removeprefix("SIGNING_ANSWER_REFUSAL_")
                note(f"{each.refused.signing_id}: not taken: {reason}: {printable(each.refused.description)}")
            elif each.HasField("request"):
                asked = each.request
                answer = SigningAnswer(signing_id=asked.signing_id)
                if refuse is None:
                    now, lifetime = datetime.now(UTC), timedelta(days=days)
                    answer.certificate_chain = certificates.charger_certificate(asked.csr, authority, now, lifetime)
                else:
                    answer.refusal = refuse
                signing.answer(answer)
                say(f"{printable(asked.charge_point)}: {'signed' if refuse is None else 'refused'}")
                count += 1
                if count == limit:
                    signing.leave()

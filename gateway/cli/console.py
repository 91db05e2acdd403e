"""`gateway console`: the operator's console in a browser."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from gateway.api.v1.energy_pb2 import PriceSchedule
from gateway.cli.connection import ADDRESS, DEFAULT_TARGET, MAX_PORT, TLS, TargetOption, read_tls
from gateway.cli.energy import MAX_FILE_BYTES, schedule_of
from gateway.cli.output import CommandFailed, say
from gateway.openssl import restart_if_late

DEFAULT_LISTEN = "127.0.0.1:8080"


def console(
    listen: Annotated[
        str, typer.Option(help="Where pages are served, host:port; port 0: a free one.")
    ] = DEFAULT_LISTEN,
    https_certificate: Annotated[
        Path | None, typer.Option(help="Certificate for HTTPS, PEM. Needed for any address but loopback.")
    ] = None,
    https_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    prices: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(metavar="FILE", help="A price schedule in JSON, see docs/energy.md: costs are shown by it."),
    ] = None,
    idle_minutes: Annotated[
        float, typer.Option(min=1, max=24 * 60, help="Sign out who does nothing for so long.")
    ] = 30,
    session_hours: Annotated[float, typer.Option(min=0.1, max=168, help="Sign out everybody after so long.")] = 12,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
    target: TargetOption = DEFAULT_TARGET,
) -> None:
    """Show the fleet in a browser: what chargers do and why, sessions, operations, and what can be done about them.

    A client of the gateway like any other: each person signs in with a token or a JWT, and may do what that allows.
    """
    if https_certificate is not None:
        restart_if_late()
    # Only here: the other commands don't need a web server, and start faster without it.
    from gateway.console.server import serve
    from gateway.console.settings import ConsoleSettings

    host, port = _listen(listen)
    schedule: PriceSchedule | None = None if prices is None else schedule_of(prices.read(MAX_FILE_BYTES + 1))
    if ADDRESS.fullmatch(target) is None:
        raise typer.BadParameter(f"expected host:port, found {target!r}", param_hint="--target")
    settings = ConsoleSettings(
        target,
        read_tls(TLS.get()),
        host,
        port,
        https_certificate,
        https_key,
        schedule,
        idle_minutes * 60,
        session_hours * 3600,
    )
    fault = settings.fault()
    if fault is not None:
        raise CommandFailed(fault)
    signal.signal(signal.SIGTERM, _stopped)
    if until_stdin_closes:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        serve(settings, lambda address: say(f"console at {address} (Ctrl-C ends)"))
    except OSError as error:
        raise CommandFailed(f"--listen: {listen}: {error.strerror or error}") from None


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise typer.BadParameter(f"expected host:port, found {text!r}", param_hint="--listen")
    return host.strip("[]"), int(port)


def _stopped(number: int, frame: object) -> None:
    """End well: the server has closed what it had open."""
    raise SystemExit(0)


def _end_with_stdin() -> None:
    """End when the process that started this one does, however that ends."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

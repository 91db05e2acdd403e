"""`gateway serve`, `gateway check-config`, `gateway example-config`: running the gateway, and its settings file."""

import gc
import importlib
import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import CommandFailed, out, say, table
from gateway.errors import GatewayError, leaves
from gateway.openssl import restart_if_late
from gateway.signals import stop_noted

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The settings file.")]


DEFAULT_CONFIG = Path("gateway.toml")


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    until_stdin_closes: Annotated[
        bool,
        typer.Option(
            "--until-stdin-closes",
            help="Stop, as with SIGTERM, when standard input ends: for a process that must not leave it behind.",
        ),
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            help="Run so many gateways on this machine as one service, on one PostgreSQL (docs/operations.md).",
        ),
    ] = None,
) -> None:
    """Run the gateway until SIGTERM or SIGINT: then it drains, and exits with 0."""
    from gateway.app.settings import load

    if stop_noted():
        raise typer.Exit(0)
    restart_if_late()
    os.umask(0o077)  # what this process makes holds verifiers of keys, and who charged when
    settings = load(config)
    if until_stdin_closes:
        threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    # Only here: the other commands don't need the server's libraries, and start faster without them.
    gc.disable()  # modules make thousands of objects, and hardly any garbage: a tenth of the time would go into looking
    server = importlib.import_module("gateway.app.serve" if processes is None else "gateway.app.processes")
    gc.enable()
    failed: BaseExceptionGroup[GatewayError] | None = None
    code = 0
    try:
        code = server.serve(settings) if processes is None else server.serve_processes(settings, config, processes)
    except* GatewayError as errors:  # what nurseries raise is a group, however few there are
        failed = errors  # raised in here it would be in a group itself before Python 3.11.4
    if failed is not None:
        raise CommandFailed("\n".join(str(each) for each in leaves(failed))) from failed
    raise typer.Exit(code)


def _stop_at_end_of_input() -> None:
    """Read standard input to its end, and then signal SIGTERM to this process."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass  # closed, or a terminal that is gone: an end, too
    os.kill(os.getpid(), signal.SIGTERM)


def check_config(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Check a settings file, and the certificates and folders that it names, without serving."""
    from gateway.app.preflight import Finding, check
    from gateway.app.settings import examine

    settings, problems = examine(config)
    findings = [*(Finding(problem.key, problem.text) for problem in problems), *check(settings)]
    for finding in findings:
        if not finding.fatal:
            say(f"warning: {finding.key}: {finding.text}", "yellow")
    fatal = [finding for finding in findings if finding.fatal]
    if fatal:
        lines = [f"  {finding.key}: {finding.text}" for finding in fatal]
        raise CommandFailed("\n".join([f"{config}: the gateway could not serve chargers with it:", *lines]))
    tls = " with TLS" if settings.control.certificate else ""
    out().print(
        table(
            "listens for",
            "at",
            rows=[
                *((each.name, f"wss://{each.host}:{each.port}{each.path_prefix}") for each in settings.listeners),
                ("control (gRPC)", settings.control.address + tls),
                ("http (JSON)", settings.http.address + (tls if settings.http.host_and_port is not None else "")),
                ("metrics", settings.metrics.address),
            ],
        )
    )
    say(f"{config}: good", "green")


def example_config() -> None:
    """Print a settings file with every setting, its default and its reason."""
    from gateway.app.settings import render_example

    print(render_example(), end="")

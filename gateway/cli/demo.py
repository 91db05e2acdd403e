"""`gateway demo`: the main job within a minute, with a gateway and chargers of its own."""

import importlib
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import note


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with settings, database and log.")] = False,
    stay: Annotated[
        bool | None, typer.Option("--stay/--end", help="Stay live until Ctrl-C, or end. Default: stay on a terminal.")
    ] = None,
) -> None:
    """Show the main job: a gateway, three simulated chargers, a remote start, a limit, a stop, the recorded energy.

    Everything is checked. Exit code 0 means that all of it happened.
    """
    stays = sys.stdout.isatty() if stay is None else stay
    with ExitStack() as stack:
        if keep:
            directory = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
            note(f"kept: {directory}")
        else:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-")))
        # Only here: the other commands don't need the simulator, and start faster without it.
        importlib.import_module("gateway.cli.play").show(directory, stays=stays)

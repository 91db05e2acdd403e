"""`gateway demo`: the main job within a minute, with a gateway and chargers of its own."""

import importlib
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
        stack.enter_context(ended_in_order())
        if keep:
            directory = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
            note(f"kept: {directory}")
        else:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-")))
        # Only here: the other commands don't need the simulator, and start faster without it.
        importlib.import_module("gateway.cli.demo.scenario").show(directory, stays=stays)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """End as on Ctrl-C when the terminal is closed (SIGHUP) or by SIGTERM: what was started is then stopped first.

    A signal that is ignored stays so (``nohup``). A second one while all is being stopped changes nothing.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    ending = False

    def end(number: int, frame: object) -> None:
        nonlocal ending
        if not ending:
            ending = True
            raise SystemExit(128 + number)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""The signals of `gateway serve`, from its first lines to the last: none of them kills it half-way.

SIGTERM and SIGINT mean an orderly end, SIGHUP new certificates. While the server runs Trio receives them. Before that
they are noted here, and heeded once something can be; after that they change nothing: an end that is under way ends
with its own exit code. Importing this module has no effect.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)
ALL = (*STOPPING, signal.SIGHUP)

VALUED = ("--ca", "--certificate", "--key")
"""Options of `gateway` itself that take a value."""

PROGRAMS = ("gateway", "__main__.py")

_noted: list[int] = []
_held = False


def hold_if_serving() -> None:
    """Note signals from now on if this process was started as `gateway serve`. Other commands are ended by signals as
    any program is."""
    module = sys.argv[0] == "-m" and "gateway" in sys.orig_argv
    if (module or os.path.basename(sys.argv[0]) in PROGRAMS) and command(sys.argv[1:]) == "serve":
        hold()


def command(arguments: Sequence[str]) -> str | None:
    """The first argument that is neither an option nor an option's value."""
    skip = False
    for each in arguments:
        if skip:
            skip = False
        elif each in VALUED:
            skip = True
        elif not each.startswith("-"):
            return each
    return None


def hold() -> None:
    """Note signals instead of being killed by them."""
    global _held  # noqa: PLW0603 - handlers are the process's
    _held = True
    for each in ALL:
        signal.signal(each, _note)


def _note(number: int, frame: FrameType | None) -> None:
    _noted.append(number)


def stop_noted() -> int | None:
    """The first signal to stop that was noted, if one was."""
    return next((each for each in tuple(_noted) if each in STOPPING), None)


def take() -> tuple[int, ...]:
    """Return the signals noted so far, and forget them."""
    taken = tuple(_noted)
    del _noted[: len(taken)]
    return taken


def ignore() -> None:
    """From now on signals change nothing, if they were held: also while Python takes itself down, which would give them
    back their power to kill."""
    if _held:
        for each in ALL:
            signal.signal(each, signal.SIG_IGN)

"""Which core the server under measurement has, and which ones those that drive it have: they never share one.

On a machine with one core they must; then nothing is pinned, and every result says so (`bench.machine.facts`).
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_OURS = tuple(sorted(os.sched_getaffinity(0)))
"""The cores that the bench was given, as it started; `taskset` and cgroups may have left it fewer than there are."""


def shared() -> bool:
    """True if there is only one core, so that server and drivers disturb each other."""
    return len(_OURS) < 2


def every() -> tuple[int, ...]:
    """All that the bench was given."""
    return _OURS


def server_core() -> int:
    """The core of the server under measurement."""
    return _OURS[0]


def driver_cores() -> tuple[int, ...]:
    """The cores of everything else; never empty."""
    return _OURS[1:] or _OURS


@contextmanager
def on(cores: Collection[int]) -> Iterator[None]:
    """Processes and threads that are started in here, by this thread, begin and stay on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def drive() -> None:
    """Keep this process, which drives, off the server's core. Before any thread is started."""
    os.sched_setaffinity(0, driver_cores())

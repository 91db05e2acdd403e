"""The cost of one message, counted and not timed: function calls, and the processor's instructions under valgrind.

Both are the same in every run on one version of Python, however busy the machine is.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from types import FrameType
from typing import Any

from tests.performance.path import Path

WARM_UP = 100
"""Messages before anything is counted: what is made once is made by then."""

FEW, MANY = 1000, 2000
"""Messages of two runs whose difference has neither the start in it nor the end."""

ROOT = FilePath(__file__).resolve().parents[2]


@contextmanager
def without_collector() -> Iterator[None]:
    """Switch the collector off: a collection belongs to no message, and calls its callbacks."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def calls_of(function: Callable[..., Any], *args: object) -> tuple[int, Any]:
    """Count the functions it calls, itself included, Python's and C's; return also its result."""
    count = 0

    def profile(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    previous = sys.getprofile()
    sys.setprofile(profile)
    try:
        result = function(*args)
    finally:
        sys.setprofile(previous)
    return count - 1, result  # the last one is that of setprofile


def calls_per_step() -> dict[str, int]:
    """Function calls of one MeterValues, step by step."""
    path = Path()
    for _ in range(WARM_UP):
        path.run()
    counts = {}
    passed: tuple[object, ...] = ()
    with without_collector():
        for step in path.steps:
            counts[step.__name__], result = calls_of(step, *passed)
            passed = (result,)
    return counts


def valgrind() -> str | None:
    """The path of valgrind, if it is there."""
    return shutil.which("valgrind")


def instructions() -> tuple[float, float]:
    """Instructions of one MeterValues and of the yardstick beside it, each the mean of ``MANY - FEW``.

    Needs valgrind, and takes some ten seconds. Raises subprocess.CalledProcessError.
    """
    program = valgrind()
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        command += [f"--log-file={folder}/%p", sys.executable, "-m", "tests.performance.counting"]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
        run = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
        counted = [_logged(FilePath(folder, pid)) for pid in run.stdout.split()]
    few, many, few_yards, many_yards = counted
    return (many - few) / (MANY - FEW), (many_yards - few_yards) / (MANY - FEW)


def _logged(log: FilePath) -> int:
    found = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text())
    assert found is not None, log.read_text()
    return int(found[1].replace(",", ""))


def _counted() -> None:
    """The program run under valgrind: prepare once, then fork for each run. Prints the processes' ids."""
    path = Path()
    for _ in range(WARM_UP):
        path.run()
        path.yardstick()
    gc.collect()
    gc.disable()
    for function in (path.run, path.yardstick):
        for times in (FEW, MANY):
            child = os.fork()
            if not child:
                for _ in range(times):
                    function()
                os._exit(0)
            os.waitpid(child, 0)
            print(child)


if __name__ == "__main__":
    _counted()

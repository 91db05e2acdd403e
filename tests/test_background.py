"""Tests and their own process: what it inherits from a background job, and that nothing takes its place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

INTERRUPTED = (
    "tests/cli/test_main.py::test_an_interrupt_while_it_loads_is_quiet",
    "tests/cli/test_commands_send.py::test_an_interrupted_command_says_that_it_may_still_be_carried_out",
)
"""One interrupts a process that it starts, the other its own."""


def test_tests_that_interrupt_pass_in_a_background_job() -> None:
    """A shell without job control starts background jobs with SIGINT ignored, and `nohup` adds SIGHUP."""
    command = f'"{sys.executable}" -m pytest -q {" ".join(INTERRUPTED)}'
    done = subprocess.run(
        ["sh", "-c", f"trap '' INT HUP; exec {command}"],
        cwd=ROOT,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(INTERRUPTED)} passed" in done.stdout


def test_a_test_can_not_replace_its_own_process() -> None:
    """Its output and its verdict would be those of another program."""
    with pytest.raises(AssertionError, match="it would replace pytest itself"):
        os.execv(sys.executable, [sys.executable, "-c", ""])

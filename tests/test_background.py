"""Tests and their own process: what it inherits from a background job, how it ends, that nothing takes its place."""

import os
import signal
import subprocess
import sys
import time
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


ENDLESS = """
import os, pathlib, trio

async def test_endless():
    pathlib.Path(__file__).with_suffix(".pid").write_text(str(os.getpid()))
    await trio.sleep_forever()

def test_not_reached():
    raise AssertionError("the run went on")
"""

SECONDS = 120.0
"""For the start of a run, and for its end: a guard, not a measurement."""


@pytest.mark.parametrize("arguments", [(), ("-n", "2", "--dist", "loadfile")], ids=["one process", "workers"])
def test_an_interrupt_ends_the_run_at_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Ctrl-C goes to every process of the terminal's job: the tests under way end, no other begins, none is left."""
    suites = [tmp_path / "test_a.py", tmp_path / "test_b.py"][: 2 if arguments else 1]
    for suite in suites:
        suite.write_text(ENDLESS)
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_pyfunc_call\n")
    options = ["-p", "no:cacheprovider", "-c", os.devnull, "-o", "trio_mode=true", "--rootdir", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *options, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        try:
            begun = [suite.with_suffix(".pid") for suite in suites]
            until = time.monotonic() + SECONDS
            while not all(each.exists() and each.read_text() for each in begun):
                assert time.monotonic() < until
                time.sleep(0.05)
            os.killpg(run.pid, signal.SIGINT)
            said, _ = run.communicate(timeout=SECONDS)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, said
    assert "KeyboardInterrupt" in said
    assert "the run went on" not in said
    for each in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(int(each.read_text()), 0)


def test_a_test_can_not_replace_its_own_process() -> None:
    """Its output and its verdict would be those of another program."""
    with pytest.raises(AssertionError, match="it would replace pytest itself"):
        os.execv(sys.executable, [sys.executable, "-c", ""])

"""The console script as a process: how it ends when the terminal, the pipe or the person goes away."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

GATEWAY = [sys.executable, "-m", "gateway"]


@pytest.mark.parametrize("arguments", [["example-config"], ["--help"], ["check-config", "--help"]])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_takes_no_more_is_one_line_of_error(arguments):
    """No traceback; exit code 1."""
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*GATEWAY, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ended.stderr == "error: can't write the output: No space left on device\n"
    assert ended.returncode == 1


def test_an_interrupt_while_it_loads_is_quiet():
    """Whenever Ctrl-C comes after Python itself has started: no traceback, exit code 130."""
    code = (
        "import os, signal, sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'gateway.cli.root':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "from gateway.cli.main import run\n"
        "run()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_a_reader_that_goes_away_is_no_error_to_tell():
    """As with `| head`."""
    started = subprocess.Popen([*GATEWAY, "example-config"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stderr is not None
    started.stdout.close()
    with started.stderr as said:
        assert said.read() == b""
    assert started.wait(60) == 1


def test_the_version_is_printed(run):
    """For a report of a fault."""
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"gateway {metadata.version('gateway')}\n")


def test_help_has_no_holes(run):
    """Brackets are not taken for markup."""
    assert "(see [] in" not in run("certs", "dev", "--help").stdout
    assert "listeners in its settings" in " ".join(run("certs", "dev", "--help").stdout.split())

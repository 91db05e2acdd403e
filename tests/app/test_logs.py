"""Logs: a line an event, and no secret in it, whatever fails."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import structlog
from gateway.app.logs import configure
from gateway.app.settings import LoggingSettings

configure(LoggingSettings(level="info", format=sys.argv[1]))


def check(password, headers):
    raise ValueError("a bug")


try:
    check(sys.argv[2], {"Authorization": sys.argv[3]})
except ValueError:
    structlog.get_logger().exception("connection failed", address="192.0.2.1")
"""

SECRETS = ("open-sesame", "Basic b3Blbi1zZXNhbWU=")
"""Given at run time: what stands in the source is shown with a traceback, from Python 3.13 on that of `-c` too."""


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_traceback_shows_no_local_variables(format_: str) -> None:
    """Passwords and headers are among them; the place of the bug is logged all the same."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, format_, *SECRETS], capture_output=True, text=True, timeout=60, check=True
    )
    assert "connection failed" in done.stderr
    assert "a bug" in done.stderr
    assert "check" in done.stderr
    assert "sesame" not in done.stderr
    assert "b3Blbi1z" not in done.stderr


def test_json_is_one_line_an_event() -> None:
    """Also with a traceback."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "json", *SECRETS], capture_output=True, text=True, timeout=60, check=True
    )
    [line] = done.stderr.splitlines()
    logged = json.loads(line)
    assert (logged["event"], logged["address"], logged["level"]) == ("connection failed", "192.0.2.1", "error")
    assert logged["exception"][0]["exc_type"] == "ValueError"


EVERYTHING = """
import asyncio, ctypes, logging, os, sys, threading, warnings
import structlog
from gateway.app.logs import configure
from gateway.app.settings import LoggingSettings

configure(LoggingSettings(level="info", format="json"))


class Fails:
    def __del__(self):
        raise RuntimeError("in a destructor")


def fails():
    raise RuntimeError("in a thread")


async def forgotten():
    asyncio.get_running_loop().call_soon(fails)
    await asyncio.sleep(0.05)


def much():
    for number in range(int(sys.argv[1])):
        structlog.get_logger().info("a line", number=number)
        logging.getLogger("library").warning("a library's line")
        warnings.warn_explicit(f"careful {number}", UserWarning, "module.py", number)
        print("printed", file=sys.stderr)
        Fails()
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
    asyncio.run(forgotten())


much()
print("done", flush=True)
"""


def test_everything_that_python_writes_to_standard_error_goes_through_the_writer() -> None:
    """Loggers of libraries, warnings, what is printed, what a destructor or a thread or an asyncio callback dies of."""
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING, "1"], capture_output=True, text=True, timeout=60, check=True
    )
    for part in (
        '"event": "a line"',
        "WARNING library a library's line",
        "UserWarning: careful 0",
        "printed",
        "RuntimeError: in a destructor",
        "RuntimeError: in a thread",
        "Exception in callback fails()",
    ):
        assert part in done.stderr


def test_none_of_it_waits_for_a_pipe_without_a_reader() -> None:
    """The process gets to its end, and ends with 0, though its standard error is full from the start."""
    process = subprocess.Popen(
        [sys.executable, "-c", EVERYTHING, "300"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline() == "done\n"
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()

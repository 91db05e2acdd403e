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
    check("open-sesame", {"Authorization": "Basic b3Blbi1zZXNhbWU="})
except ValueError:
    structlog.get_logger().exception("connection failed", address="192.0.2.1")
"""


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_traceback_shows_no_local_variables(format_):
    """Passwords and headers are among them; where the bug is, is told all the same."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, format_], capture_output=True, text=True, timeout=60, check=True
    )
    assert "connection failed" in done.stderr
    assert "a bug" in done.stderr
    assert "check" in done.stderr
    assert "sesame" not in done.stderr
    assert "b3Blbi1z" not in done.stderr


def test_json_is_one_line_an_event():
    """Also with a traceback."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "json"], capture_output=True, text=True, timeout=60, check=True
    )
    [line] = done.stderr.splitlines()
    logged = json.loads(line)
    assert (logged["event"], logged["address"], logged["level"]) == ("connection failed", "192.0.2.1", "error")
    assert logged["exception"][0]["exc_type"] == "ValueError"

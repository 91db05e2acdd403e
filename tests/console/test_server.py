"""`gateway console` as a process, and what it refuses before it serves."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.demo.environment import ConsoleProcess
from gateway.cli.main import app
from gateway.console.server import address
from gateway.console.settings import ConsoleSettings
from tests.console.conftest import Stage


def test_the_process_serves_until_it_is_stopped(stage: Stage) -> None:
    """Its address is its first line; SIGTERM ends it with 0."""
    console = ConsoleProcess.start(int(stage.target.rpartition(":")[2]))
    try:
        assert "HOME-1" in console.fetch()
    finally:
        assert console.stop() == 0


def test_the_process_ends_with_the_one_that_started_it(stage: Stage) -> None:
    console = ConsoleProcess.start(int(stage.target.rpartition(":")[2]))
    try:
        assert console.process.stdin is not None
        console.process.stdin.close()
        assert console.process.wait(60) == 0
    finally:
        console.stop()


def test_ctrl_c_ends_it_without_a_word() -> None:
    """As any command."""
    arguments = ["console", "--listen", "127.0.0.1:0", "--target", "127.0.0.1:1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "console at http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "8080"], "expected host:port"),
        (["--listen", "127.0.0.1:99999"], "expected host:port"),
        (["--listen", "192.0.2.1:8080"], "is not loopback"),
        (["--https-key", "key.pem"], "go together"),
        (["--target", "nowhere"], "expected host:port"),
        (["--prices", "PRICES"], "the price schedule can't be read"),
    ],
)
def test_what_can_not_be_served_is_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    """Before anything listens."""
    prices = tmp_path / "PRICES"
    prices.write_text("{nonsense", encoding="utf-8")
    given = [str(prices) if each == "PRICES" else each for each in arguments]
    result = CliRunner().invoke(app, ["console", *given])
    assert result.exit_code != 0
    assert said in " ".join(result.output.replace("│", " ").split())


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(app, ["console", "--listen", f"127.0.0.1:{taken.getsockname()[1]}"])
    assert result.exit_code == 1
    assert "--listen: 127.0.0.1:" in result.output


def test_an_address_is_as_a_browser_opens_it() -> None:
    assert address(ConsoleSettings("", host="::1"), 5) == "http://[::1]:5/"
    assert address(ConsoleSettings("", certificate=Path("c"), key=Path("k")), 5) == "https://127.0.0.1:5/"

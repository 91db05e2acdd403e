"""A charger that this project did not write, in a process of its own; what it says of itself is read line by line."""

import json
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.endtoend.gateway_process import KEY, Gateway

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

INTERVAL = 0.2
"""Seconds between its samples."""

PATIENCE = 60.0
"""Seconds until a line that must come has come."""


def python() -> list[str]:
    """mobilityhouse's `ocpp`."""
    return [sys.executable, str(HERE / "python_charger.py")]


def node() -> list[str]:
    """`ocpp-rpc`, or a skip that says what is missing."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node was not found: no charger from npm")
    if not (ROOT / "node_modules" / "ocpp-rpc").is_dir():
        pytest.skip("ocpp-rpc is not installed: run `make peers`")
    return [program, str(HERE / "node_charger.js")]


class ChargerProcess:
    """Started by entering; left, it hangs up, and must have ended well."""

    def __init__(self, command: Callable[[], list[str]], gateway: Gateway, identity: str) -> None:
        self.said: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        instructions = {
            "endpoint": f"wss://localhost:{gateway.port}/ocpp",
            "identity": identity,
            "key": KEY.hex(),
            "ca": str(gateway.ca),
            "interval": INTERVAL,
        }
        self._command = [*command(), json.dumps(instructions)]

    def __enter__(self) -> "ChargerProcess":
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        self._complaints: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_complaints, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        try:
            assert process.stdin is not None
            process.stdin.close()
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait(60)
        for reader in self._readers:
            reader.join(60)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        print("".join(self._complaints))  # pytest shows it where the test failed
        assert code == 0, f"the charger ended with {code}: {''.join(self._complaints)[-2000:]}"

    def says(self, what: str, **details: Any) -> dict[str, Any]:
        """Wait until it says this, with these details; what it says. What it says before is kept in ``said``."""
        while True:
            try:
                line: dict[str, Any] = json.loads(self._lines.get(timeout=PATIENCE))
            except queue.Empty:
                raise AssertionError(
                    f"the charger did not say {what} {details}; it said {self.said} {''.join(self._complaints)}"
                ) from None
            self.said.append(line)
            if line.items() >= {"what": what, **details}.items():
                return line

    def all_said(self, what: str) -> list[dict[str, Any]]:
        """All that it has said of one kind, as far as it was read."""
        return [line for line in self.said if line["what"] == what]

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def _read_complaints(self) -> None:
        assert self._process.stderr is not None
        self._complaints.extend(self._process.stderr)

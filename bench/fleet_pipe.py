"""The pipe to a process of the fleet: JSON lines in both directions."""

import json
import selectors
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from bench.processes import ROOT


class FleetFailed(RuntimeError):
    """A process of the fleet ended or does not answer."""


class FleetPipe:
    """A process of the fleet, started with its ``plan``; it says that it is ready."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.fleet_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self.output = self._process.stdin, self._process.stdout
        self._data = b""
        self.tell(plan)

    def tell(self, order: Mapping[str, Any]) -> None:
        """Give it an order. Raises FleetFailed."""
        data = memoryview(json.dumps(order).encode() + b"\n")
        try:
            while data:
                data = data[self._input.write(data) :]
        except BrokenPipeError:
            raise FleetFailed(f"a process of the fleet ended with {self._process.wait(5)}") from None

    def messages(self) -> Iterator[dict[str, Any]]:
        """Return its messages so far. Blocks while there are none. Raises FleetFailed."""
        data = self.output.read(1 << 20)
        if not data:
            raise FleetFailed(f"a process of the fleet ended with {self._process.wait(5)}")
        *lines, self._data = (self._data + data).split(b"\n")
        for line in lines:
            yield json.loads(line)

    def answer(self, seconds: float) -> dict[str, Any]:
        """Its next message."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            while selector.select(seconds):
                for message in self.messages():
                    return message
        raise FleetFailed(f"a process of the fleet did not answer within {seconds:.0f} s")

    def check(self) -> None:
        """Raises FleetFailed if it has ended."""
        if self._process.poll() is not None:
            raise FleetFailed(f"a process of the fleet ended with {self._process.returncode}")

    def kill(self) -> None:
        """End it as a crash would: the kernel closes its sockets, all at once."""
        self._process.kill()
        self._process.wait(10)

    def end(self) -> None:
        """Its sockets are closed with it."""
        self._input.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self.output.close()

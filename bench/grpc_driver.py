"""Drives the control interface from a process of its own: callers that command chargers, watchers of all events.

    with GrpcDriver() as driver:
        driver.call(gateway.control_address, identities, callers=32)
        window = driver.measure(10.0, gateway.pid)
        called = driver.called()

The same process drives `bench.servers.echo`, a bare server that answers the same methods: the yardstick.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from attrs import frozen
from hdrh.histogram import HdrHistogram

from bench import cores, histogram, processes

END_SECONDS = 10.0

QUIET = {"GRPC_VERBOSITY": "NONE", "GRPC_ENABLE_FORK_SUPPORT": "0"}
"""gRPC's own log tells of every server that ends, which here they all do."""


@frozen
class Window:
    """Figures measured from outside between two moments."""

    seconds: float
    driver_cpu_seconds: float
    server_cpu_seconds: float

    @property
    def driver_cores(self) -> float:
        return self.driver_cpu_seconds / self.seconds

    @property
    def server_cores(self) -> float:
        return self.server_cpu_seconds / self.seconds


@frozen
class Called:
    """Figures of callers in the window. ``latency``: corrected for coordinated omission by the callers' mean interval;
    ``as_seen``: without. ``failures`` by status and reason."""

    calls: int
    calls_per_second: float
    latency: HdrHistogram
    as_seen: HdrHistogram
    failures: Mapping[str, int]


@frozen
class Watched:
    """Figures of watchers: ``lag``, ``deliveries`` (of events, over all of them), ``batches``, ``bytes`` and ``parsed``
    (batches that no other watcher had had with the same bytes before) in the window; the rest over the whole watch.

    ``events`` that any watcher had, ``meter_values`` among them; ``missing`` and ``duplicates`` over all watchers,
    ``out_of_order`` watchers that had another order than the first; ``failures`` by status and reason.
    """

    lag: HdrHistogram
    deliveries: int
    batches: int
    bytes: int
    parsed: int
    events: int
    meter_values: int
    missing: int
    duplicates: int
    out_of_order: int
    failures: Mapping[str, int]


class GrpcDriver:
    """The process; a context manager. One work at a time. Raises RuntimeError for what fails in it."""

    def __init__(self) -> None:
        with cores.on(cores.driver_cores()):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.grpc_process"],
                cwd=processes.ROOT,
                env=os.environ | QUIET,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )

    def __enter__(self) -> "GrpcDriver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process and whatever it does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def prime(self, address: str, targets: Sequence[str]) -> None:
        """Let each charger take one command: the first one waits until it has settled after its boot."""
        self._ask("start", work="calls", address=address, targets=list(targets), callers=0, prime=True)
        self._ask("finish")

    def call(self, address: str, targets: Sequence[str], callers: int) -> None:
        """Command these chargers from now on. No two callers ask the same charger, so there are no more callers than
        chargers (ValueError)."""
        if callers > len(targets):
            raise ValueError(f"{callers} callers need as many chargers, there are {len(targets)}")
        self._ask("start", work="calls", address=address, targets=list(targets), callers=callers, prime=False)

    def called(self) -> Called:
        """End the calls; what was measured of them."""
        answer = self._ask("finish")
        return Called(
            answer["calls"],
            answer["calls"] / answer["seconds"] if answer["seconds"] else 0.0,
            histogram.decoded(answer["latencies"]),
            histogram.decoded(answer["as_seen"]),
            answer["failures"],
        )

    def watch(self, address: str, watchers: int, *, settle: bool = True) -> None:
        """Watch everything from now on; returns when all watches have begun.

        With ``settle`` `watched` waits until all of them have had all events: the load is to have ended by then.
        """
        self._ask("start", work="watchers", address=address, watchers=watchers, settle=settle)

    def watched(self) -> Watched:
        """End the watches; what was measured of them."""
        answer = self._ask("finish")
        return Watched(histogram.decoded(answer.pop("lags")), **answer)

    def measure(self, seconds: float, server_pid: int) -> Window:
        """Let a window of time pass; what the driver and the server used in it."""
        self._ask("mark")
        watch = processes.Stopwatch.of(server_pid)
        time.sleep(seconds)
        watch.stop()
        answer = self._ask("cut")
        return Window(answer["seconds"], answer["cpu_seconds"], watch.cpu_seconds)

    def _ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the driver of the control interface ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"the driver of the control interface: {answer['error']}")
        return answer

"""Start-up with a past: 100,000 known charge points and 10 million events on disk.

From the start of the process until chargers are accepted and until the health service says SERVING, with the memory
that it has then. ``warm``: what was read before is still in the system's cache. ``cold``: the database is not (the
programs are: a machine that restarts pays for those besides). ``after a crash``: a copy of the database in which 18,000
chargers are connected, all of which is settled first. ``empty``: a new database. ``bare process``: Python and the
imports that no gateway can do without, for comparison.

The database is made once, in three minutes, and kept in bench/cache (3.4 GB); retention is off, or it would begin to
delete what is old in it. The process is looked at every 2 ms.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection
from typing import Any

import apsw
import grpc
from attrs import frozen
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console
from rich.progress import Progress

from bench import cores, history
from bench.processes import START_SECONDS, Gateway, Usage, gateway
from bench.results import Figure, Result

NAME = "startup"
HELP = (
    "start with 100,000 chargers and 10 million events on disk; 2 minutes, and 3 more to make them for the first time"
)

SHORT: Mapping[str, Any] = {"runs": 3, "cases": ("bare process", "warm", "cold")}

CASES = ("bare process", "empty", "warm", "cold", "after a crash")

IMPORTS = "import grpc, trio, ssl, apsw, orjson, cattrs, jsonschema_rs"

CONNECTED = 18_000
"""Chargers that the crash cut off."""

LOOK_SECONDS = 0.002

SETTINGS = """
[store]
path = {path}
[store.retention]
max_age_days = 0
max_bytes = 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.add_argument("--runs", type=int, default=7, help="starts of each case; medians count (%(default)s)")
    parser.add_argument("--chargers", type=int, default=history.CHARGERS, help="each has 100 events (%(default)s)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES, help="which (all)")


@frozen
class Start:
    """One start: seconds since the process was begun, and what it used by then."""

    accepting: float
    ready: float
    usage: Usage


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """All cases."""
    plan = {"runs": options.runs, "chargers": options.chargers, "events": 101 * options.chargers}
    results = []
    if "bare process" in options.cases:
        results.append(_bare(plan))
    with_past = [case for case in options.cases if case not in ("bare process", "empty")]
    past = history.database(Progress(console=console), options.chargers) if with_past else None
    for case in CASES[1:]:
        if case in options.cases:
            console.print(f"{case}: {options.runs} starts")
            results.append(_case(case, past, plan))
    return results


def _bare(plan: dict[str, int]) -> Result:
    seconds = []
    for _ in range(plan["runs"] + 1):
        began = time.perf_counter()
        with cores.on([cores.server_core()]):
            subprocess.run([sys.executable, "-c", IMPORTS], check=True)
        seconds.append(time.perf_counter() - began)
    # The first run fills the cache.
    return Result(scenario=NAME, case="bare process", plan=plan, figures=[_median("until ready", seconds[1:])])


def _case(case: str, past: Path | None, plan: dict[str, int]) -> Result:
    with tempfile.TemporaryDirectory(prefix="bench-startup-", dir=_beside(case)) as folder:
        path = Path(folder) / "gateway.db"
        if past is not None and case in ("warm", "cold"):
            path = past
        elif past is not None and case == "after a crash":
            history.copy(past, path)
        own, began = time.process_time(), time.perf_counter()
        with gateway(Path(folder), settings=SETTINGS.format(path=f'"{path}"'), start=False) as measured:
            # The first start fills the system's cache with the programs, and is not counted.
            starts = [_start(measured, path, case) for _ in range(plan["runs"] + 1)][1:]
        busy = (time.process_time() - own) / (time.perf_counter() - began)
        size = path.stat().st_size
    rss = statistics.median(start.usage.rss_bytes for start in starts)
    return Result(
        scenario=NAME,
        case=case,
        plan=plan,
        figures=[
            _median("until accepting", [start.accepting for start in starts]),
            Figure("slowest until accepting", max(start.accepting for start in starts), "s"),
            _median("until ready", [start.ready for start in starts]),
            _median("CPU until ready", [start.usage.cpu_seconds for start in starts]),
            Figure("memory when ready", rss / 2**20, "MiB"),
            Figure("database", size / 2**20, "MiB"),
        ],
        driver_cores=busy,
        server_cores=statistics.median(start.usage.cpu_seconds / start.ready for start in starts),
    )


def _beside(case: str) -> Path | None:
    """A copy of the database goes where the database is: /tmp may be small, or memory."""
    return history.CACHE if case == "after a crash" else None


def _median(name: str, seconds: Sequence[float]) -> Figure:
    return Figure(name, statistics.median(seconds), "s")


def _start(measured: Gateway, path: Path, case: str) -> Start:
    if case == "after a crash":
        _cut_off(path)
    if case == "cold":
        _forget(path)
    began = time.perf_counter()
    measured.start(wait=False)
    host, _, port = measured.control_address.partition(":")
    accepting = _until(_accepts(measured.host, measured.port), began)
    _until(_accepts(host, int(port)), began)
    with _serving(measured.control_address) as looks:
        ready = _until(looks, began)
    used = measured.usage()
    measured.stop()
    return Start(accepting, ready, used)


def _until(looks: Iterable[bool], began: float) -> float:
    """Seconds from ``began`` until a look says yes. Raises RuntimeError if none does."""
    for good in looks:
        now = time.perf_counter() - began
        if good:
            return now
        if now > START_SECONDS:
            break
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"the gateway was not there within {START_SECONDS:.0f} s")


def _accepts(host: str, port: int) -> Iterator[bool]:
    while True:
        with suppress(ConnectionRefusedError):
            create_connection((host, port), timeout=START_SECONDS).close()
            yield True
        yield False


@contextmanager
def _serving(address: str) -> Iterator[Iterator[bool]]:
    """Looks at the health service, which answers for the whole server."""
    with grpc.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check

        def looks() -> Iterator[bool]:
            while True:
                answer = check(health_pb2.HealthCheckRequest(), timeout=START_SECONDS, wait_for_ready=True)
                yield answer.status == health_pb2.HealthCheckResponse.SERVING

        yield looks()


def _forget(path: Path) -> None:
    """Put the database out of the system's cache."""
    for file in (path, path.with_name(path.name + "-wal")):
        with suppress(FileNotFoundError):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _cut_off(path: Path) -> None:
    """Leave the database as a crash does: charge points that count as connected."""
    connection = apsw.Connection(str(path))
    try:
        connection.execute("UPDATE charge_point SET connected = 1 WHERE key <= ?", (CONNECTED,))
    finally:
        connection.close()

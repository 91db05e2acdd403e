"""Servers under measurement as processes of their own: started as a user would start them, watched from outside."""

import os
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Any, Protocol

import grpc
import orjson
from attrs import define, field, frozen
from prometheus_client.parser import text_string_to_metric_families

from bench import cores
from gateway.api.v1 import charge_point_pb2, charge_point_pb2_grpc

START_SECONDS = 60.0
"""For accepting connections; a large database is looked at before."""

STOP_SECONDS = 60.0
"""From SIGTERM to the end: 18,000 sessions are closed at 1,000 a second, and the gateway's own limit is 25 s."""

PROVISIONING = 64
"""Charge points that are being made known at once: their commits share a sync."""

ROOT = Path(__file__).resolve().parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


# --- What a process uses ------------------------------------------------------------------------------------------


@frozen
class Usage:
    """Of a process with all its threads and children, by the kernel's accounting. ``parts``: CPU seconds by name, where
    a server is several processes."""

    cpu_seconds: float
    rss_bytes: int
    threads: int
    parts: Mapping[str, float] = field(factory=dict)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.cpu_seconds + other.cpu_seconds, self.rss_bytes + other.rss_bytes, self.threads + other.threads
        )


def usage(pid: int) -> Usage:
    """Return the process's usage so far and its memory now. Linux only. Raises ProcessLookupError if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except FileNotFoundError:
        raise ProcessLookupError(f"process {pid} is gone") from None
    # After the name come: state is 0, so utime is 11, stime 12, those of children waited for 13 and 14, threads 17.
    used = Usage(sum(map(int, fields[11:15])) / _TICKS, pages * _PAGE, int(fields[17]))
    for child in _children(pid):
        try:
            used += usage(child)
        except ProcessLookupError:
            continue
    return used


def busy_seconds(pid: int) -> float:
    """Return the CPU time of the process's present threads so far, to the nanosecond: ``usage`` counts hundredths of a
    second, which is all that an idle process takes in some seconds. Linux only."""
    schedules = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in schedules) / 1e9


def _children(pid: int) -> Iterable[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, path.read_text().split())
        except FileNotFoundError:
            continue


@define
class Stopwatch:
    """CPU of a process over a time: ``watch = Stopwatch.of(pid)``, then ``watch.stop()``."""

    pid: int
    _cpu: float
    _at: float
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @classmethod
    def of(cls, pid: int) -> "Stopwatch":
        """Begin now."""
        return cls(pid, usage(pid).cpu_seconds, time.perf_counter())

    def stop(self) -> "Stopwatch":
        """End now; itself, for the figures."""
        self.cpu_seconds = usage(self.pid).cpu_seconds - self._cpu
        self.seconds = time.perf_counter() - self._at
        return self

    @property
    def cores(self) -> float:
        """CPU seconds per second."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0


# --- What chargers connect to -------------------------------------------------------------------------------------


class Server(Protocol):
    """Anything that chargers can connect to: wss://host:port + path + "/" + identity."""

    @property
    def pid(self) -> int: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def ca_file(self) -> Path: ...
    @property
    def path(self) -> str: ...

    def usage(self) -> Usage: ...


@frozen
class Credentials:
    """Credentials of a charger: HTTP Basic, user ``identity``, password ``key`` (raw bytes)."""

    identity: str
    key: bytes


SETTINGS = """
[[listeners]]
certificates = [
  { certificate = "certs/server-ecdsa.pem", key = "certs/server-ecdsa.key" },
  { certificate = "certs/server-rsa.pem", key = "certs/server-rsa.key" },
]
host = "127.0.0.1"
[authorization]
unknown_tags = "Accepted"
[sessions]
max_messages_per_second = 100000
[logging]
level = "warning"
"""
"""All else is as it comes: what is measured is what is shipped. But a closed loop is faster than any charger may be,
and the one log line that each connection makes would measure the terminal."""


@define(eq=False)
class Gateway:
    """A gateway that runs, and where. A `Server`."""

    folder: Path
    host: str
    port: int
    control_address: str
    metrics_address: str
    launcher: Sequence[str]
    arguments: Sequence[str] = ()
    on_cores: Sequence[int] = ()
    path: str = "/ocpp"
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def pid(self) -> int:
        """Of the process that runs now; another one after `restart`."""
        assert self._process is not None, "the gateway does not run"
        return self._process.pid

    @property
    def ca_file(self) -> Path:
        """File of the authority that chargers trust."""
        return self.folder / "certs" / "ca.pem"

    def usage(self) -> Usage:
        """Return the usage of its process."""
        return usage(self.pid)

    def start(self, *, wait: bool = True) -> None:
        """Start it, pinned to its cores; return when it accepts chargers, at once with ``wait=False``."""
        with cores.on(self.on_cores or [cores.server_core()]):
            self._process = subprocess.Popen(
                [sys.executable, *self.launcher, "serve", "--config", "gateway.toml", *self.arguments],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        if wait:
            await_port(self._process, self.host, self.port)
            host, _, port = self.control_address.rpartition(":")
            await_port(self._process, host, int(port))  # several processes have the chargers' port before they serve

    def stop(self) -> float:
        """SIGTERM; the seconds that it took to end. Raises RuntimeError unless it ended with 0."""
        process, self._process = self._process, None
        assert process is not None, "the gateway does not run"
        began = time.perf_counter()
        end(process)
        if process.returncode != 0:
            raise RuntimeError(f"the gateway ended with {process.returncode}")
        return time.perf_counter() - began

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(10)

    @property
    def running(self) -> bool:
        """True if it was started and not stopped since."""
        return self._process is not None

    def provision(self, count: int, prefix: str = "CP") -> list[Credentials]:
        """Make charge points known, as their operator would, through gRPC; the gateway makes their keys."""
        identities = [f"{prefix}{number:05}" for number in range(count)]
        keys = []
        with grpc.insecure_channel(self.control_address) as channel:
            create = charge_point_pb2_grpc.ChargePointServiceStub(channel).CreateChargePoint
            pending: deque[Any] = deque()
            for identity in identities:
                if len(pending) == PROVISIONING:
                    keys.append(pending.popleft().result().generated_authorization_key)
                point = charge_point_pb2.ChargePoint(identity=identity)
                request = charge_point_pb2.CreateChargePointRequest(charge_point=point)
                pending.append(create.future(request, timeout=60))
            keys.extend(future.result().generated_authorization_key for future in pending)
        return [Credentials(identity, key) for identity, key in zip(identities, keys, strict=True)]

    def metrics(self) -> dict[str, float]:
        """Return the metrics by ``name`` or, with labels in alphabetical order, ``name{label="value",...}``."""
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        values = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                values[f"{sample.name}{{{labels}}}" if labels else sample.name] = float(sample.value)
        return values

    def total(self, name: str) -> float:
        """A metric's value; of one with labels the sum. Raises KeyError if there is none."""
        values = self.metrics()
        of_it = [value for each, value in values.items() if each.partition("{")[0] == name]
        if not of_it:
            raise KeyError(f"the gateway has no metric {name}")
        return sum(of_it)

    def disk_bytes(self) -> int:
        """The database and its log."""
        return sum(path.stat().st_size for path in self.folder.glob("gateway.db*"))


@contextmanager
def gateway(
    folder: Path,
    *,
    settings: str = "",
    launcher: Sequence[str] = ("-m", "gateway"),
    start: bool = True,
    arguments: Sequence[str] = (),
    on_cores: Sequence[int] = (),
) -> Iterator[Gateway]:
    """Certificates, settings, database and process in ``folder``; SIGTERM at the end, which must give exit code 0.

    ``settings``: TOML; its keys are laid over `SETTINGS`, table by table. ``launcher``: what Python runs in place of
    ``-m gateway``; ``arguments``: further ones of ``serve``; ``on_cores``: none: the server's. Raises RuntimeError if
    the gateway ends early, or not with 0.
    """
    certificates(folder)
    port, control, metrics = free_ports(3)
    ours = tomllib.loads(SETTINGS)
    ours["listeners"][0]["port"] = port
    ours["control"] = {"address": f"127.0.0.1:{control}"}
    ours["metrics"] = {"address": f"127.0.0.1:{metrics}"}
    (folder / "gateway.toml").write_text(_toml(_laid_over(ours, tomllib.loads(settings))), encoding="utf-8")
    running = Gateway(folder, "127.0.0.1", port, f"127.0.0.1:{control}", f"127.0.0.1:{metrics}", launcher)
    running.arguments, running.on_cores = arguments, on_cores
    try:
        if start:
            running.start()
        yield running
        if running.running:
            running.stop()
    finally:
        running.kill()


def restart(running: Gateway) -> float:
    """Stop and start on the same folder and ports; the seconds from the order to stop until it accepts again."""
    began = time.perf_counter()
    running.stop()
    running.start()
    return time.perf_counter() - began


def certificates(folder: Path) -> Path:
    """A development CA and server certificates in ``folder/certs``, unless they are there; the CA's file."""
    ca = folder / "certs" / "ca.pem"
    if not ca.exists():
        make = [sys.executable, "-m", "gateway", "certs", "dev", "--directory", "certs"]
        subprocess.run(
            make, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
    return ca


# --- Processes ----------------------------------------------------------------------------------------------------


def await_port(process: "subprocess.Popen[bytes]", host: str, port: int, seconds: float = START_SECONDS) -> None:
    """Wait until a server accepts there. Raises RuntimeError if the process ends before, or the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{_name(process)} ended with {process.returncode}")
        with socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.005)
    raise RuntimeError(f"{_name(process)} did not listen within {seconds:.0f} s")


def end(process: "subprocess.Popen[Any]", seconds: float = STOP_SECONDS) -> None:
    """SIGTERM and wait; SIGKILL after ``seconds``, and RuntimeError."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            raise RuntimeError(f"{_name(process)} did not end within {seconds:.0f} s") from None


def free_ports(how_many: int) -> list[int]:
    """Return ports on loopback that are free now."""
    probes = [socket() for _ in range(how_many)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _name(process: "subprocess.Popen[Any]") -> str:
    arguments = process.args if isinstance(process.args, list) else [str(process.args)]
    return " ".join(map(str, arguments[1:4]))


# --- Settings -----------------------------------------------------------------------------------------------------


def _laid_over(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for key, value in theirs.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _laid_over(merged[key], value) if both else value
    return merged


def _toml(settings: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in settings.items())


def _value(value: Any) -> str:
    """A TOML value: JSON's strings, numbers and booleans are TOML's, too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return orjson.dumps(value).decode()

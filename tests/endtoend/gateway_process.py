"""The gateway as an operator runs it: a process with a settings file, real ports, a database that outlives it.

Everything here is bounded in time, and a process that was started is always reaped, by its own handle.
"""

import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.api.v1 import (
    charge_point_pb2,
    charge_point_pb2_grpc,
    command_pb2_grpc,
    event_pb2,
    event_pb2_grpc,
    id_tag_pb2,
    id_tag_pb2_grpc,
    transaction_pb2,
    transaction_pb2_grpc,
)
from gateway.cli.certificates import Issuing, development_set, write
from gateway.client.connection import MAX_RESPONSE_BYTES

KEY = b"\x00\xff:\r\nkey in bytes"
"""Every charger's AuthorizationKey here: bytes that no text holds, and a colon (J §6.2.2)."""

START_SECONDS = 120.0
"""From the start of the process until it serves: a guard against hanging. An idle machine takes a second, one with ten
processes for each core took more than thirty."""

STOP_SECONDS = 60.0
"""From SIGTERM to the end of the process."""

RPC_SECONDS = 60.0
"""Deadline of every call that a test makes without giving one."""

PORTS = range(20_000, 32_000)[
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) :: int(
        os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    )
]
"""Below the range that the system takes outgoing ports from: a charger that comes back while the gateway is down must
not get the gateway's port as its own, and talk to itself. Of several workers each has ports of its own: one that is
given out in one of them, and not bound yet, is not given out in another."""

QUICK: Mapping[str, Mapping[str, Any]] = {
    "sessions": {
        "settle_delay_seconds": 0.05,
        "ready_after_silence_seconds": 1,
        "call_timeout_seconds": 10,
        "close_seconds": 1,
    },
    "drain": {"deadline_seconds": 10},
}
"""Waits that protect slow chargers, shortened for chargers that need none."""


def development_certificates(folder: Path) -> Path:
    """Certificates as ``gateway certs dev`` makes them."""
    write(folder, development_set(["localhost"], Issuing("Test", datetime.now(UTC), timedelta(days=2))), force=False)
    return folder


_GIVEN: set[int] = set()


def free_port() -> int:
    """A port of the loopback interface on which nothing listens, and that was not given out here before."""
    for port in random.sample(PORTS, k=100):
        if port in _GIVEN:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _GIVEN.add(port)
        return port
    raise AssertionError("no free port among a hundred")


class Gateway:
    """One database and one settings file, and the process that serves with them, again and again."""

    def __init__(
        self, folder: Path, certificates: Path, *, settings: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.folder = folder
        self.port, self.control_port, self.metrics_port = free_port(), free_port(), free_port()
        self.log = folder / "gateway.log"
        self.tls = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        self.ca = certificates / "ca.pem"
        self.database = folder / "gateway.db"
        self.config = folder / "gateway.toml"
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: grpc.Channel | None = None
        ports = {
            "control": {"address": f"127.0.0.1:{self.control_port}"},
            "metrics": {"address": f"127.0.0.1:{self.metrics_port}"},
        }
        self.config.write_text(
            "".join(
                (
                    _listener(certificates, self.port),
                    *_tables(QUICK, ports, settings or {}),
                )
            ),
            encoding="utf-8",
        )

    # --- the process ------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._process is not None, "the gateway is not running"
        return self._process.pid

    def start(
        self,
        launcher: Sequence[str] = (sys.executable, "-m", "gateway"),
        environment: Mapping[str, str] | None = None,
        stderr: int | None = None,
    ) -> None:
        """Start it and wait until it serves. ``environment`` is added to this process's own; ``stderr``: a descriptor
        that takes its log instead of the file."""
        self.begin(launcher, environment, stderr)
        self.wait_until_it_serves()

    def begin(
        self,
        launcher: Sequence[str] = (sys.executable, "-m", "gateway"),
        environment: Mapping[str, str] | None = None,
        stderr: int | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """Start it, and return at once."""
        assert self._process is None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*launcher, "serve", "--config", str(self.config), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log if stderr is None else stderr,
                env={**os.environ, **(environment or {})},
            )
        self._channel = grpc.insecure_channel(
            f"127.0.0.1:{self.control_port}",
            options=[
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 200),
                ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
            ],
        )

    def wait_until_it_serves(self) -> None:
        """Return when it does; fails if it ends, or takes too long."""
        assert self._process is not None
        until = time.monotonic() + START_SECONDS
        while not self._serves():
            if self._process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self._process.returncode}:\n{self.tail()}")
            assert time.monotonic() < until, f"the gateway does not serve:\n{self.tail()}"
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal and return at once."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the process to end; its exit code. Killed and failed if it does not."""
        process = self._process
        assert process is not None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)
            raise AssertionError(f"the gateway did not end within {seconds} s") from None
        finally:
            self._process = None
            if self._channel is not None:
                self._channel.close()
                self._channel = None
        return code

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL: no part of the process gets to do anything more."""
        self.signal(signal.SIGKILL)
        self.wait()

    def finish(self) -> None:
        """At the end of a test: stop what runs, and see that it ended well and logged no error."""
        try:
            if self._process is not None:
                code = self.stop()
                assert code == 0, f"exit code {code}"
            assert self.errors() == []
        finally:
            print(self.tail())  # pytest shows it where the test failed

    def reap(self) -> None:
        """Whatever happened before: no process stays behind."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def rss(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def lines(self) -> list[dict[str, Any]]:
        """The lines of its log so far."""
        found = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in found if line.startswith("{")]

    def tail(self, lines: int = 120) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def errors(self) -> list[str]:
        """Lines of the log that no test here should cause: errors, and tracebacks outside the log's format."""
        return [
            line
            for line in self.log.read_text(errors="replace").splitlines()
            if '"level": "error"' in line or '"level":"error"' in line or line.startswith("Traceback")
        ]

    def _serves(self) -> bool:
        try:
            answer = health_pb2_grpc.HealthStub(self.channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            return False
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    # --- the control interface --------------------------------------------------------------------------------

    @property
    def channel(self) -> grpc.Channel:
        assert self._channel is not None, "the gateway is not running"
        return self._channel

    @property
    def points(self) -> charge_point_pb2_grpc.ChargePointServiceStub:
        return charge_point_pb2_grpc.ChargePointServiceStub(self.channel)

    @property
    def commands(self) -> command_pb2_grpc.CommandServiceStub:
        return command_pb2_grpc.CommandServiceStub(self.channel)

    @property
    def transactions(self) -> transaction_pb2_grpc.TransactionServiceStub:
        return transaction_pb2_grpc.TransactionServiceStub(self.channel)

    @property
    def tags(self) -> id_tag_pb2_grpc.IdTagServiceStub:
        return id_tag_pb2_grpc.IdTagServiceStub(self.channel)

    @property
    def events(self) -> event_pb2_grpc.EventServiceStub:
        return event_pb2_grpc.EventServiceStub(self.channel)

    def add_charge_point(self, identity: str, key: bytes = KEY, **fields: Any) -> charge_point_pb2.ChargePoint:
        """Make a charge point known."""
        request = charge_point_pb2.CreateChargePointRequest(
            charge_point=charge_point_pb2.ChargePoint(identity=identity, **fields), authorization_key=key
        )
        return self.points.CreateChargePoint(request, timeout=RPC_SECONDS).charge_point

    def add_with_new_key(self, identity: str) -> bytes:
        """Make a charge point known under a key that the gateway makes; the key. Such keys are quick to check."""
        request = charge_point_pb2.CreateChargePointRequest(
            charge_point=charge_point_pb2.ChargePoint(identity=identity)
        )
        return self.points.CreateChargePoint(request, timeout=RPC_SECONDS).generated_authorization_key

    def charge_point(self, identity: str) -> charge_point_pb2.ChargePoint:
        """Read a charge point's record over gRPC."""
        request = charge_point_pb2.GetChargePointRequest(identity=identity)
        return self.points.GetChargePoint(request, timeout=RPC_SECONDS).charge_point

    def add_tag(
        self, id_tag: str, status: "id_tag_pb2.IdTagStatus.ValueType" = id_tag_pb2.ID_TAG_STATUS_ACCEPTED, **fields: Any
    ) -> None:
        """Add an idTag to the table."""
        request = id_tag_pb2.CreateIdTagRequest(id_tag=id_tag_pb2.IdTag(id_tag=id_tag, status=status, **fields))
        self.tags.CreateIdTag(request, timeout=RPC_SECONDS)

    def transactions_of(self, charge_point: str) -> list[transaction_pb2.Transaction]:
        """All transactions of a charge point, the newest start first, by small pages."""
        found: list[transaction_pb2.Transaction] = []
        token = ""
        while True:
            request = transaction_pb2.ListTransactionsRequest(charge_point=charge_point, page_size=50, page_token=token)
            page = self.transactions.ListTransactions(request, timeout=RPC_SECONDS)
            found.extend(page.transactions)
            token = page.next_page_token
            if not token:
                return found

    def readings_of(self, transaction_id: str) -> list[transaction_pb2.TransactionReading]:
        """All readings of a transaction, by small pages."""
        found: list[transaction_pb2.TransactionReading] = []
        token = ""
        while True:
            request = transaction_pb2.ListTransactionReadingsRequest(
                transaction_id=transaction_id, page_size=50, page_token=token
            )
            page = self.transactions.ListTransactionReadings(request, timeout=RPC_SECONDS)
            found.extend(page.readings)
            token = page.next_page_token
            if not token:
                return found

    def history(self, charge_point: str = "") -> list[event_pb2.Event]:
        """All events so far, or those of one charge point: a watch from the beginning up to an event made here."""
        mark = f"mark-{uuid.uuid4()}"
        self.add_charge_point(mark)
        found: list[event_pb2.Event] = []
        request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_BEGINNING)
        stream = self.events.WatchEvents(request, timeout=60)
        try:
            for batch in stream:
                for event in batch.events:
                    if event.charge_point == mark:
                        return found
                    if charge_point in ("", event.charge_point):
                        found.append(event)
        finally:
            stream.cancel()  # type: ignore[no-untyped-call]
        raise AssertionError("the watch ended before the last event")


MakeGateway: TypeAlias = Callable[..., Gateway]
"""The fixture of that name: makes a gateway that is not started yet, with these settings."""


def _listener(certificates: Path, port: int) -> str:
    kinds = ", ".join(
        f'{{ certificate = "{certificates}/server-{kind}.pem", key = "{certificates}/server-{kind}.key" }}'
        for kind in ("ecdsa", "rsa")
    )
    return f'[[listeners]]\ncertificates = [{kinds}]\nhost = "127.0.0.1"\nport = {port}\n'


def _tables(*layers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Tables of a settings file, later layers over earlier ones. What JSON and TOML write alike is all they hold."""
    for name in dict.fromkeys(name for layer in layers for name in layer):
        values = {key: value for layer in layers for key, value in layer.get(name, {}).items()}
        yield f"\n[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def eventually(what: str, read: Any, enough: Any, seconds: float = 60.0) -> Any:
    """Read until it is enough; the last reading. For what has no event to wait for."""
    until = time.monotonic() + seconds
    while True:
        value = read()
        if enough(value):
            return value
        assert time.monotonic() < until, f"{what}: not within {seconds} s; last seen: {value}"
        time.sleep(0.05)

"""The stage of `gateway demo`: a gateway in a process of its own, simulated chargers in a thread, watched over gRPC.

All that is started here is ended here, by its own handle, however the play ends.
"""

import os
import re
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
import trio
from attrs import define, field
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.api.v1.event_pb2 import (
    Event,
    WatchEventsRequest,
    WatchEventsResponse,
    WatchMeterValuesRequest,
    WatchStart,
)
from gateway.cli import certificates
from gateway.cli.resume import Streams, follow
from gateway.client import GatewayClient
from gateway.errors import GatewayError
from gateway.simulator import ChargerConfig, Habits, SimulatedCharger, daily_life, simulate_many

T = TypeVar("T")

READY_SECONDS = 30.0
STOP_SECONDS = 20.0
LOG_LINES = 40
KEPT_EVENTS = 10_000
"""Of a play: it lasts a minute, and three chargers report about one event a second each."""


HABITS = Habits(away=(300.0, 1_200.0), finds_tag=(60.0, 180.0), stays=(3_600.0, 10_800.0), starts_with_tag=1.0)
"""Busier than real people: at the demo's speed of 60 a car comes home every quarter of a minute."""


class DemoFailed(GatewayError):
    """Something did not happen as it should. The message says what was waited for."""


def write_files(directory: Path, wss_port: int, control_port: int) -> Path:
    """Certificates and settings; answers the path of the settings."""
    issuing = certificates.Issuing("Gateway Demo", datetime.now(UTC), timedelta(days=2))
    certificates.write(directory / "certs", certificates.development_set(["localhost"], issuing), force=False)
    settings = directory / "gateway.toml"
    settings.write_text(
        f"""\
[[listeners]]
host = "127.0.0.1"
port = {wss_port}
certificates = [
  {{ certificate = "certs/server-ecdsa.pem", key = "certs/server-ecdsa.key" }},
  {{ certificate = "certs/server-rsa.pem", key = "certs/server-rsa.key" }},
]

[control]
address = "127.0.0.1:{control_port}"

[metrics]
address = "off"

[logging]
format = "console"
""",
        encoding="utf-8",
    )
    return settings


def free_ports(count: int) -> list[int]:
    """Return ports that are free at this moment: found together, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@define
class GatewayProcess:
    """`gateway serve` as a process, with its output in a file."""

    log: Path
    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, settings: Path) -> "GatewayProcess":
        """Start it. Its session is its own: Ctrl-C on the terminal is for the demo, which then ends it in order. Its
        standard input ends with this process, however that ends, and it stops then."""
        log = settings.with_name("gateway.log")
        with log.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
                [sys.executable, "-m", "gateway", "serve", "--config", str(settings), "--until-stdin-closes"],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        return cls(log, process)

    def check(self) -> None:
        """Raises DemoFailed if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise DemoFailed(f"the gateway ended with exit code {code}")

    def wait_ready(self, channel: grpc.Channel) -> None:
        """Wait until its health service says SERVING. Raises DemoFailed."""
        stub = health_pb2_grpc.HealthStub(channel)
        deadline = time.monotonic() + READY_SECONDS
        said: object = "nothing"
        while time.monotonic() < deadline:
            self.check()
            try:
                said = stub.Check(health_pb2.HealthCheckRequest(), timeout=2, wait_for_ready=True).status
                if said == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.RpcError as error:
                call: Any = error
                said = call.code().name
            time.sleep(0.1)
        raise DemoFailed(f"the gateway was not ready within {READY_SECONDS:g} seconds; its health service said: {said}")

    def stop(self) -> int:
        """SIGTERM, then wait for it to drain; killed where it doesn't. Answers the exit code. Safe to call twice."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            if self.process.stdin is not None:
                self.process.stdin.close()

    def tail(self) -> list[str]:
        """The last lines that it has logged."""
        with self.log.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=LOG_LINES)]


@define
class ConsoleProcess:
    """`gateway console` as a process, on a port that is free."""

    process: "subprocess.Popen[bytes]"
    address: str

    @classmethod
    def start(cls, control_port: int, *more: str) -> "ConsoleProcess":
        """Start it, and wait until it is served. It ends with this process. Raises DemoFailed."""
        options = ["--listen", "127.0.0.1:0", "--until-stdin-closes", "--target", f"127.0.0.1:{control_port}", *more]
        process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
            [sys.executable, "-m", "gateway", "console", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], READY_SECONDS)
        line = process.stdout.readline().decode() if readable else ""
        found = re.search(r"http://\S+", line)
        made = cls(process, found[0] if found else "")
        if not found:
            made.stop()
            raise DemoFailed("the console did not start")
        return made

    def fetch(self) -> str:
        """The first page, as a browser gets it. Raises DemoFailed."""
        try:
            with urllib.request.urlopen(self.address, timeout=READY_SECONDS) as answer:  # noqa: S310 - of this process
                page: bytes = answer.read()
        except OSError as error:
            raise DemoFailed(f"the console's page can't be fetched: {error}") from None
        return page.decode()

    def stop(self) -> int:
        """SIGTERM; killed where that does not end it. Answers the exit code. Safe to call twice."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()


@define
class Household:
    """Simulated chargers in a Trio loop in a thread."""

    chargers: tuple[SimulatedCharger, ...] = ()
    failure: BaseException | None = None
    stopped: dict[str, float] = field(factory=dict)
    """Energy in Wh by charger, as its own meter counted it, of the last transaction that it stopped."""
    _ready: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread | None = None
    _scope: trio.CancelScope = field(factory=trio.CancelScope)
    _token: trio.lowlevel.TrioToken | None = None
    _nursery: trio.Nursery | None = None

    def start(self, configs: Sequence[ChargerConfig], context: ssl.SSLContext) -> None:
        """Switch the chargers on. Raises DemoFailed if that fails."""
        self._thread = threading.Thread(target=self._run, args=(configs, context), daemon=True)
        self._thread.start()
        self._ready.wait(10)
        self.check()

    def check(self) -> None:
        """Raises DemoFailed if the simulation has failed."""
        if self.failure is not None:
            raise DemoFailed(f"the simulation failed: {self.failure!r}") from self.failure

    def do(self, act: Callable[..., T], *arguments: Any) -> T:
        """Act in front of a charger: call one of its methods in its own loop."""
        return trio.from_thread.run_sync(act, *arguments, trio_token=self._token)

    def do_async(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """The same for an act that takes its time."""
        return trio.from_thread.run(act, *arguments, trio_token=self._token)

    def live_on(self) -> None:
        """From now on people come and go by themselves."""
        for charger in self.chargers:
            self.do(self._in_background, charger)

    def _in_background(self, charger: SimulatedCharger) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._everyday, charger)

    async def _everyday(self, charger: SimulatedCharger) -> None:
        """Cars that charge now leave when they are full, all others at once; then life goes on."""
        await charger.wait_for(lambda each: not each.charging() or each.status() == "SuspendedEV")
        if charger.vehicle() is not None:
            charger.unplug()
        await daily_life(charger, HABITS)

    def stop(self) -> None:
        """Pull all mains plugs. Safe to call twice, and before start."""
        if self._thread is None:
            return
        if self._token is not None and self._thread.is_alive():
            try:
                trio.from_thread.run_sync(self._scope.cancel, trio_token=self._token)
            except trio.RunFinishedError:
                pass  # it has ended meanwhile
        self._thread.join(10)

    def _run(self, configs: Sequence[ChargerConfig], context: ssl.SSLContext) -> None:
        try:
            trio.run(self._live, configs, context)
        except BaseException as error:  # a thread can only report here
            self.failure = error
        finally:
            self._ready.set()

    async def _live(self, configs: Sequence[ChargerConfig], context: ssl.SSLContext) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            crowd = partial(simulate_many, configs, context, spread=0, lively=False, on_event=self._note)
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self.chargers = await nursery.start(crowd)
                self._ready.set()

    def _note(self, identity: str, name: str, details: Mapping[str, Any]) -> None:
        if name == "transaction_stopped":
            self.stopped[identity] = float(details["energy_wh"])


@define
class Audience:
    """Messages of the gateway's streams so far."""

    streams: Streams = field(factory=Streams)
    events: "deque[Event]" = field(factory=lambda: deque(maxlen=KEPT_EVENTS))
    powers: dict[str, list[float]] = field(factory=dict)
    """Power of each charger in W, sample by sample. As long as the play."""
    watching: set[type] = field(factory=set)

    def begin(self, gateway: GatewayClient) -> None:
        """Begin to watch; returns when both streams have answered, so that nothing after it is missed."""
        now = WatchStart.WATCH_START_NOW
        self.streams.add(follow(gateway.events.WatchEvents, WatchEventsRequest(start_at=now)))
        request = WatchMeterValuesRequest(start_at=now, measurands=["Power.Active.Import"])
        self.streams.add(follow(gateway.events.WatchMeterValues, request))
        self.wait(lambda: len(self.watching) == 2, 10, "the first answer of both watches")

    def wait(
        self,
        happened: Callable[[], bool],
        seconds: float,
        what: str,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Listen until something has happened. Raises DemoFailed when it takes longer, or ``check`` does."""
        deadline = time.monotonic() + seconds
        while not happened():
            check()
            left = deadline - time.monotonic()
            if left <= 0:
                raise DemoFailed(f"waited {seconds:g} seconds for {what}")
            response = self.streams.get(min(left, 0.5))
            if response is not None:
                self._take(response)

    def _take(self, response: Any) -> None:
        self.watching.add(type(response))
        if isinstance(response, WatchEventsResponse):
            self.events.extend(response.events)
            return
        for sample in response.samples:
            if not sample.phase and sample.HasField("power_watts"):
                self.powers.setdefault(sample.charge_point, []).append(sample.power_watts)

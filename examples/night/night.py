"""The whole night in a minute: a gateway, three wallboxes and the platform, in time that goes on when all is done.

``python -m examples.night`` prints what became of each home, and writes the picture. The gateway and the wallboxes run
on one Trio loop whose clock is moved by the example; the platform runs in threads, and speaks gRPC to the gateway's
port, as it would to any other gateway.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import trio
import trio.testing
from attrs import frozen

from examples.night.home import AMPS, WATTS, Home, homes
from examples.night.optimiser import Step, cheapest
from examples.night.picture import Line, Row, svg
from examples.night.platform import Platform
from examples.night.prices import EVENING, MORNING, Price, prices
from gateway.api.v1.operation_pb2 import OperationEnd
from gateway.app.serve import Gateway
from gateway.app.settings import (
    CertificateFiles,
    ControlSettings,
    ListenerSettings,
    MetricsSettings,
    SessionSettings,
    Settings,
    StoreSettings,
)
from gateway.cli import certificates
from gateway.simulator import SimulatedCharger
from gateway.store.sqlite.store import SqliteStore

T = TypeVar("T")

STEP = 20.0
"""Seconds of the night that pass at once, when all that the ones before have set off is done: however slow the machine
is, nothing of the night comes later than that."""

DIALLING_STEP = 0.1
"""The same, while a wallbox connects: its key is checked in a thread, of which the loop shows nothing."""

QUIET = 0.001
"""Real seconds in which no task of the loop runs: what one of them sends another over a socket is there at once."""

CAREFUL = 60.0
"""Seconds of the night in one real second, while the platform waits for something: it lives in real time."""

PATIENCE = 3600.0
"""Seconds of the night for what takes real time: a handshake, a commit, an answer."""


@frozen
class Outcome:
    """The night of one home, as the gateway has it, and the energy that its vehicle wanted."""

    home: Home
    wanted_wh: float
    energy_wh: float
    start_command_id: str
    started: str
    """The end of the operation that started it."""
    cost: str
    currency: str
    energy_amount: str
    amounts: Sequence[Decimal]
    """Of the bill's lines, exact."""
    line_mwh: Sequence[int]
    """Energy of the bill's lines, in mWh."""
    states: Sequence[tuple[datetime, str]]
    power: Sequence[tuple[datetime, float]]
    sent: Sequence[datetime]
    """When the gateway sent a charging profile."""
    plan: Sequence[Step]


class Night:
    """The stage: the clock, the gateway and the wallboxes of one night."""

    def __init__(self, clock: trio.testing.MockClock, folder: Path) -> None:
        self.clock = clock
        self.folder = folder
        self._began = clock.current_time()
        self._gateway: Gateway | None = None
        self._dialling: set[str] = set()

    def now(self) -> datetime:
        """The time of the night."""
        return EVENING + timedelta(seconds=self.clock.current_time() - self._began)

    async def until(self, at: datetime) -> None:
        """Sleep until a time of the night."""
        await trio.sleep_until(self._began + (at - EVENING).total_seconds())

    async def passes(self, until: datetime) -> None:
        """Let the night pass, step by step. Afterwards the clock stands still."""
        self.clock.rate = 0.0
        while (left := (until - self.now()).total_seconds()) > 0:
            self.clock.jump(min(left, DIALLING_STEP if self._dialling else STEP))
            await self._settled()

    async def _settled(self) -> None:
        """Wait until nothing is under way: no task runs, nothing is being written or read."""
        assert self._gateway is not None
        await trio.testing.wait_all_tasks_blocked(QUIET)
        while not self._gateway.journal.idle:
            await trio.testing.wait_all_tasks_blocked(QUIET)

    @asynccontextmanager
    async def gateway(self, control: int) -> AsyncIterator[int]:
        """A gateway that serves; the port for wallboxes. ``control``: the port of its gRPC interface."""
        settings = self._settings(control)
        store = SqliteStore(settings.store.path, clock=lambda: EVENING)
        gateway = self._gateway = Gateway(settings, store, now=self.now)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(gateway.run)
                while not (addresses := gateway.endpoints.listeners[0].addresses):  # noqa: ASYNC110 - of a socket
                    await trio.sleep(0.05)
                yield addresses[0][1]
                nursery.cancel_scope.cancel()
        finally:
            store.close()

    def wallbox(self, home: Home) -> SimulatedCharger:
        """A home's wallbox."""
        trusted = ssl.create_default_context(cafile=self.folder / "certs" / "ca.pem")
        identity = home.config.identity

        def note(event: str, _: object) -> None:
            if event == "connecting":
                self._dialling.add(identity)
            elif event in ("link_up", "link_failed", "link_lost", "link_closed"):
                self._dialling.discard(identity)

        return SimulatedCharger(home.config, trusted, clock=self.now, on_event=note)

    def _settings(self, control: int) -> Settings:
        issuing = certificates.Issuing("Night", datetime.now(UTC), timedelta(days=2))
        names = certificates.development_set(["localhost"], issuing)
        certificates.write(self.folder / "certs", names, force=False)
        files = CertificateFiles(self.folder / "certs" / "server-ecdsa.pem", self.folder / "certs" / "server-ecdsa.key")
        return Settings(
            listeners=(ListenerSettings(certificates=(files,), host="127.0.0.1", port=0),),
            control=ControlSettings(address=f"127.0.0.1:{control}", default_timeout_seconds=PATIENCE),
            metrics=MetricsSettings(address="off"),
            store=StoreSettings(path=self.folder / "gateway.db", commit_deadline_seconds=PATIENCE),
            sessions=SessionSettings(
                call_timeout_seconds=PATIENCE,
                admission_seconds=PATIENCE,
                tls_handshake_seconds=PATIENCE,
                settle_delay_seconds=1,
            ),
        )


def run() -> list[Outcome]:
    """Play the night; the outcome of each home. Takes half a minute."""
    with TemporaryDirectory() as folder:
        clock = trio.testing.MockClock(rate=1.0)

        async def main() -> list[Outcome]:
            return await play(Night(clock, Path(folder)), _free_port())

        return trio.run(main, clock=clock)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


async def play(night: Night, control: int) -> list[Outcome]:
    """The night, from the evening to the morning. ``control``: the port of the gateway's gRPC interface."""
    async with night.gateway(control) as port, trio.open_nursery() as nursery:
        platform = await _in_thread(Platform, f"127.0.0.1:{control}")
        try:
            stages = [(home, night.wallbox(home)) for home in homes(f"wss://localhost:{port}/ocpp")]
            for home, wallbox in stages:
                await _in_thread(platform.add_home, wallbox.identity, home.config.password, home.id_tag)
                await nursery.start(wallbox.run)
            for _, wallbox in stages:
                await wallbox.wait_for(lambda each: each.registration == "Accepted")
            night.clock.rate = CAREFUL
            plans: dict[str, tuple[list[Step], str]] = {}
            async with trio.open_nursery() as evening:
                for home, wallbox in stages:
                    evening.start_soon(_come_home, platform, home, wallbox, plans)
            for home, wallbox in stages:
                nursery.start_soon(_trouble, night, home, wallbox)
            await night.passes(MORNING)
            night.clock.rate = CAREFUL
            for _, wallbox in stages:
                wallbox.unplug()
                await wallbox.wait_for(lambda each: each.undelivered == 0)
            outcomes = [
                await _in_thread(_outcome, platform, home, wallbox.identity, plans[home.name])
                for home, wallbox in stages
            ]
        finally:
            night.clock.rate = 1.0
            await _in_thread(platform.close)
        nursery.cancel_scope.cancel()
    return outcomes


async def _come_home(
    platform: Platform, home: Home, wallbox: SimulatedCharger, plans: dict[str, tuple[list[Step], str]]
) -> None:
    """Plug in, see that charging starts, and hand over the plan of the night."""
    wallbox.plug_in()
    operation = await _in_thread(platform.start, wallbox.identity, home.id_tag)
    steps = cheapest(prices(), home.needed_wh, WATTS, MORNING)
    await _in_thread(platform.set_plan, wallbox.identity, steps, MORNING, AMPS, "cheapest half hours")
    plans[home.name] = (steps, OperationEnd.Name(operation.end))


async def _trouble(night: Night, home: Home, wallbox: SimulatedCharger) -> None:
    """What goes wrong with a home's wallbox."""
    if home.away is not None:
        after, lasting = home.away
        await night.until(EVENING + after)
        wallbox.go_offline(lasting.total_seconds())
    if home.forgets is not None:
        await night.until(EVENING + home.forgets)
        wallbox.forget_profiles()
        wallbox.drop_link()


def _outcome(platform: Platform, home: Home, charge_point: str, plan: tuple[list[Step], str]) -> Outcome:
    transaction = platform.transaction(charge_point)
    cost = platform.cost(transaction.transaction_id, prices())
    energy = cost.energy.energy.milliwatt_hours / 1000
    steps, started = plan
    return Outcome(
        home=home,
        wanted_wh=home.needed_wh,
        energy_wh=energy,
        start_command_id=transaction.start_command_id,
        started=started,
        cost=cost.cost.total,
        currency=cost.cost.currency,
        energy_amount=cost.cost.energy_amount,
        amounts=[Decimal(line.amount) for line in cost.cost.lines],
        line_mwh=[line.energy.milliwatt_hours for line in cost.cost.lines],
        states=list(platform.watched.steering.get(charge_point, [])),
        power=list(platform.watched.power.get(charge_point, [])),
        sent=list(platform.watched.sent.get(charge_point, [])),
        plan=steps,
    )


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call what blocks, in a thread."""
    return await trio.to_thread.run_sync(partial(function, *arguments), abandon_on_cancel=True)


def picture(outcomes: Sequence[Outcome], night: Sequence[Price]) -> str:
    """Price, plan and power of the night, as SVG."""
    most = max(float(price.per_kwh) for price in night)
    rows = [
        Row("Price", "GBP/kWh", round(most, 2), [Line("price", [(each.start, float(each.per_kwh)) for each in night])])
    ]
    for outcome in outcomes:
        plan = [(step.start, WATTS / 1000 if step.charges else 0.0) for step in outcome.plan]
        power = [(at, watts / 1000) for at, watts in outcome.power]
        title = f"{outcome.home.name}: {outcome.energy_wh / 1000:.1f} kWh for {outcome.cost} {outcome.currency}"
        rows.append(Row(title, "kW", 12, [Line("plan", plan), Line("power", power)]))
    return svg("A night of charging by price (grey: the plan, green: the power)", rows, EVENING, MORNING)

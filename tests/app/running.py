"""A whole gateway inside the test: real store, threads, control interface and listener; real time, so few and short."""

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from gateway.app.serve import VERSIONS, Gateway, utc_now
from gateway.app.settings import (
    CertificateFiles,
    ControlSettings,
    DrainSettings,
    ListenerSettings,
    MetricsSettings,
    SessionSettings,
    Settings,
    StoreSettings,
)
from gateway.chargers.admission import Principal
from gateway.domain.values import Registration
from gateway.errors import StoreUnavailable
from gateway.ocpp.protocol import ProtocolVersion
from gateway.store.api import EventFilter
from gateway.store.commits import CreateChargePoint, Write, WriteResult
from gateway.store.sqlite.store import SqliteStore
from tests.support.wire import FakeTransport, ScriptedCharger

PRINCIPAL = Principal("CP1", "ocpp1.6", 2)


class Disk(SqliteStore):
    """A store whose disk fails, or delays certain writes, as a test sets it."""

    failing = False
    slow: tuple[type, ...] = ()
    gate: Any = None
    """A ``threading.Event`` that slow writes wait for."""

    def commit(self, batch: Sequence[Write]) -> list[WriteResult]:
        self._fail()
        results = super().commit(batch)
        if any(isinstance(write, self.slow) for write in batch):
            assert self.gate.wait(60)
        return results

    def probe(self) -> None:
        self._fail()
        super().probe()

    def _fail(self) -> None:
        if self.failing:
            raise StoreUnavailable("the disk is full")


def settings(folder: Path, certificates: Path, *, drain_seconds: float = 20, **listener: Any) -> Settings:
    """Ports are the system's choice."""
    files = CertificateFiles(certificates / "server-ecdsa.pem", certificates / "server-ecdsa.key")
    return Settings(
        listeners=(ListenerSettings(certificates=(files,), host="127.0.0.1", **{"port": 0, **listener}),),
        control=ControlSettings(address="127.0.0.1:0"),
        metrics=MetricsSettings(address="off"),
        store=StoreSettings(path=folder / "gateway.db"),
        sessions=SessionSettings(settle_delay_seconds=0, call_timeout_seconds=30),
        drain=DrainSettings(deadline_seconds=drain_seconds),
        boot_configuration=(),
    )


class Running:
    """A gateway that serves, and chargers whose wire is fake."""

    def __init__(self, gateway: Gateway, disk: Disk, nursery: trio.Nursery) -> None:
        self.gateway, self.disk = gateway, disk
        self.over = trio.Event()
        self.nursery = nursery

    async def run(self) -> None:
        await self.gateway.run()
        self.over.set()

    def connect(self, principal: Principal = PRINCIPAL) -> ScriptedCharger:
        """An admitted charger, its connection being opened."""
        transport = FakeTransport()
        self.nursery.start_soon(self.gateway.chargers, transport, principal)
        return ScriptedCharger(transport)

    async def booted(self) -> ScriptedCharger:
        """A charger that may be spoken to."""
        charger = self.connect()
        answer = await charger.call("BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})
        assert answer["status"] == "Accepted"
        return charger

    def terminate(self) -> None:
        signal.raise_signal(signal.SIGTERM)

    def bodies(self, type_: str) -> list[Any]:
        page = self.disk.events(0, 1000, EventFilter(types=frozenset({type_})))
        return list(page.events)


GUARD_SECONDS = 100
"""For one gateway in a test, which takes a second or two: a guard against hanging, below pytest's own, and no measure
of how fast the machine is."""


@asynccontextmanager
async def running(
    settings: Settings, seconds: float = GUARD_SECONDS, versions: Sequence[ProtocolVersion] = VERSIONS
) -> AsyncIterator[Running]:
    """Serve while the block runs; the block (or SIGTERM) ends it. ``seconds`` is a guard against hanging."""
    disk = Disk(settings.store.path, clock=utc_now)
    try:
        disk.commit([CreateChargePoint("CP1", Registration.ACCEPTED, (), utc_now())])
        with trio.fail_after(seconds):
            async with trio.open_nursery() as nursery:
                running = Running(Gateway(settings, disk, versions), disk, nursery)
                nursery.start_soon(running.run)
                await until(lambda: running.gateway.endpoints.listeners[0].addresses)
                await trio.sleep(0.05)  # until it waits for signals
                yield running
                nursery.cancel_scope.cancel()
    finally:
        disk.failing = False
        disk.close()


async def until(true: Any) -> None:
    """Wait for a condition; the block's own deadline bounds it."""
    while not true():  # noqa: ASYNC110 - conditions of threads and sockets, in tests only
        await trio.sleep(0.01)

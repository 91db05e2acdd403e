"""Python calls inside ``gateway`` for three journeys of a message, in one process that serves over real TLS.

A coroutine or a generator that is resumed counts as a call: each has to be understood by who follows the message. All
threads are counted; generated code (``gateway.api``) is not. What is counted ends when the process is idle again, so
what is left to do after an answer belongs to its message. Each journey is made several times, warm, and the one with
the fewest calls counts: the others had a timer or another wake-up in them.
"""

from __future__ import annotations

import itertools
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import grpc
import trio
from attrs import frozen

import gateway
from gateway.api.v1 import command_pb2, command_pb2_grpc, event_pb2, event_pb2_grpc
from gateway.app.serve import Gateway, utc_now
from gateway.app.settings import (
    AuthorizationSettings,
    CertificateFiles,
    ControlSettings,
    ListenerSettings,
    MetricsSettings,
    SessionSettings,
    Settings,
    StoreSettings,
)
from gateway.domain.credentials import make_credential
from gateway.domain.records import CredentialKind
from gateway.domain.values import Registration
from gateway.store.commits import CreateChargePoint
from gateway.store.sqlite.store import SqliteStore
from tests.endtoend.charger import Charger, connect, now
from tests.endtoend.gateway_process import KEY, development_certificates, free_port

ROOT = f"{Path(gateway.__file__).parent}/"
GENERATED = f"{ROOT}api/"

WARM_UP, ROUNDS = 12, 12
"""Journeys before anything is counted, and those that are: one of a dozen meets no timer, also on a busy machine."""

QUIET_SECONDS = 0.05
"""Without a call for so long the process is idle: longer than the feed's pause between two batches."""

GUARD_SECONDS = 120.0

METER_VALUES, WATCHED, REMOTE_START = "MeterValues", "MeterValues, watched", "RemoteStart"


@frozen
class Call:
    """A function that is called, or a coroutine or generator that is resumed. ``file``: below ``gateway``."""

    thread: str
    file: str
    function: str

    def __str__(self) -> str:
        return f"{self.thread:<18} {self.file}: {self.function}"


Journey: TypeAlias = list[Call]


class Recorder:
    """Records calls while a journey is made. Install it before the threads start that it is to see."""

    def __init__(self) -> None:
        self._calls: Journey | None = None
        self._total = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """See this thread, and those that start meanwhile."""
        previous = sys.getprofile()
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(previous)
            threading.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        name = frame.f_code.co_filename
        if name.startswith(ROOT) and not name.startswith(GENERATED):
            self._total += 1
            calls = self._calls
            if calls is not None:
                thread = threading.current_thread().name
                calls.append(Call(thread, name[len(ROOT) :], frame.f_code.co_qualname))

    async def calls_of(self, journey: Callable[[], Awaitable[None]]) -> Journey:
        """The calls of one journey, from an idle process to an idle process."""
        await self._idle()
        calls: Journey = []
        self._calls = calls
        try:
            await journey()
            await self._idle()
        finally:
            self._calls = None
        return calls

    async def _idle(self) -> None:
        before = -1
        while before != self._total:
            before = self._total
            await trio.sleep(QUIET_SECONDS)


@frozen
class Door:
    """The address and certificate of a gateway, as chargers of the end-to-end tests need them."""

    port: int
    tls: ssl.SSLContext


@frozen
class Serving:
    """A gateway with one charger that charges."""

    channel: grpc.Channel
    charger: Charger
    number: int

    async def meter_values(self) -> None:
        """Four values as a wallbox sends them once a minute, and their confirmation."""
        values = [
            {"value": "1234.5", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": "7360.0", "measurand": "Power.Active.Import", "unit": "W"},
            {"value": "32.0", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
            {"value": "230.1", "measurand": "Voltage", "unit": "V", "phase": "L1"},
        ]
        reading = {"timestamp": now(), "sampledValue": values}
        payload = {"connectorId": 1, "transactionId": self.number, "meterValue": [reading]}
        assert await self.charger.call("MeterValues", payload) == {}

    async def remote_start(self, request_id: str) -> None:
        """The RPC, the charger's answer and the caller's."""
        request = command_pb2.RemoteStartTransactionRequest(
            charge_point="CP1", request_id=request_id, id_tag="04A3B2C1"
        )
        stub = command_pb2_grpc.CommandServiceStub(self.channel)
        answer = await trio.to_thread.run_sync(lambda: stub.RemoteStartTransaction(request, timeout=GUARD_SECONDS))
        assert answer.status == command_pb2.REMOTE_START_TRANSACTION_STATUS_ACCEPTED


class Watcher:
    """One subscriber of WatchEvents, read in threads of Trio's."""

    def __init__(self, channel: grpc.Channel) -> None:
        request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_NOW)
        self._stream: Any = event_pb2_grpc.EventServiceStub(channel).WatchEvents(request)

    async def next(self) -> list[str]:
        """The types of the next message's events."""
        message = await trio.to_thread.run_sync(lambda: next(self._stream))
        return [event.type for event in message.events]

    def end(self) -> None:
        self._stream.cancel()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Serving]:
    """A gateway with a charger that charges; all that it does of its own accord is turned off."""
    certificates = development_certificates(folder / "certificates")
    port, control = free_port(), free_port()
    files = CertificateFiles(certificates / "server-ecdsa.pem", certificates / "server-ecdsa.key")
    settings = Settings(
        listeners=(ListenerSettings(certificates=(files,), host="127.0.0.1", port=port),),
        control=ControlSettings(address=f"127.0.0.1:{control}"),
        metrics=MetricsSettings(address="off"),
        store=StoreSettings(path=folder / "gateway.db"),
        sessions=SessionSettings(settle_delay_seconds=0, own_requests=False),
        authorization=AuthorizationSettings(unknown_tags="Accepted"),
        boot_configuration=(),
    )
    store = SqliteStore(settings.store.path, clock=utc_now)
    credential = make_credential(KEY, CredentialKind.GENERATED, utc_now())
    store.commit([CreateChargePoint("CP1", Registration.ACCEPTED, (credential,), utc_now())])
    tls = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    made = Gateway(settings, store)
    try:
        with trio.fail_after(GUARD_SECONDS), grpc.insecure_channel(f"127.0.0.1:{control}") as channel:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(made.run)
                while not made.endpoints.listeners[0].addresses:  # noqa: ASYNC110 - until a socket is there
                    await trio.sleep(0.01)
                charger = await connect(nursery, Door(port, tls), "CP1", key=KEY)  # type: ignore[arg-type]
                assert (await charger.boot())["status"] == "Accepted"
                start = {"connectorId": 1, "idTag": "04A3B2C1", "meterStart": 1000, "timestamp": now()}
                started = await charger.call("StartTransaction", start)
                yield Serving(channel, charger, started["transactionId"])
                await charger.wire.aclose()
                nursery.cancel_scope.cancel()
    finally:
        store.close()


async def journeys(folder: Path) -> dict[str, Journey]:
    """The calls of each journey, in their order."""
    recorder, request_ids = Recorder(), itertools.count()
    with recorder.installed():
        async with serving(folder) as here:

            async def remote_start() -> None:
                await here.remote_start(f"start-{next(request_ids)}")

            found = {
                METER_VALUES: await shortest(recorder, here.meter_values),
                REMOTE_START: await shortest(recorder, remote_start),
            }
            watcher = Watcher(here.channel)
            assert await watcher.next() == []

            async def watched() -> None:
                await here.meter_values()
                assert await watcher.next() == ["meter_values.reported"]

            found[WATCHED] = await shortest(recorder, watched)
            watcher.end()
    return found


async def shortest(recorder: Recorder, journey: Callable[[], Awaitable[None]]) -> Journey:
    """Of several journeys the one with the fewest calls."""
    for _ in range(WARM_UP):
        await journey()
    return min([await recorder.calls_of(journey) for _ in range(ROUNDS)], key=len)


def listed(calls: Journey) -> str:
    """A line for each call, and their number."""
    return "\n".join([*map(str, calls), f"{len(calls)} calls"])

"""The whole gateway on a disk that fails: real connections, real threads, real time; only the disk is faked.

Whatever the disk does: nothing is confirmed that is not kept, every charger is sent away with a reason and a time to
come back, and when the disk works the gateway does too, without a restart.
"""

import base64
import json
import signal
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import grpc
import pytest
import trio
from attrs import frozen
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.api.v1 import (
    charge_point_pb2,
    charge_point_pb2_grpc,
    command_pb2,
    command_pb2_grpc,
    event_pb2,
    event_pb2_grpc,
)
from gateway.app import store_lifetime
from gateway.app.serve import Gateway, utc_now
from gateway.app.settings import Settings, load
from gateway.app.store_lifetime import close
from gateway.client import Problem, problem_of
from gateway.domain.credentials import make_credential
from gateway.domain.events import ChargePointConnected
from gateway.domain.records import CredentialKind, TransactionState
from gateway.domain.values import Registration
from gateway.errors import GatewayError, StoreCorrupt, StoreInUse, StoreUnavailable, leaves
from gateway.store.commits import CreateChargePoint, Opened, OpenSession
from gateway.store.filters import TransactionFilter
from gateway.store.sqlite import SqliteStore
from tests.endtoend.charger import SILENT, CallError, Charger, connect, now
from tests.endtoend.gateway_process import QUICK, development_certificates, free_port
from tests.endtoend.wire import Closed, LinkLost, Refused
from tests.store.builders import of
from tests.support.disk import Disk, Trouble, broken, full, read_only

SECONDS = 60.0
"""Until a test gives up."""

COMMIT_DEADLINE = 0.4
"""Seconds: short, so that a disk that is slow is soon too slow."""

KEY = bytes(range(20))
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@frozen
class Served:
    """A gateway in this process, as its chargers and operators see it."""

    port: int
    tls: ssl.SSLContext
    disk: Disk
    store: SqliteStore
    channel: grpc.Channel

    async def health(self) -> Any:
        stub = health_pb2_grpc.HealthStub(self.channel)
        try:
            answer = await trio.to_thread.run_sync(lambda: stub.Check(health_pb2.HealthCheckRequest(), timeout=60))
        except grpc.RpcError as error:
            return error.code()  # not there yet
        return answer.status

    async def becomes(self, status: Any) -> None:
        with trio.fail_after(SECONDS):
            while True:
                if await self.health() == status:
                    return
                await trio.sleep(0.05)

    async def upgrade(self, identity: str = "CP1") -> bytes:
        """The answer to an upgrade, up to the end of its head."""
        token = base64.b64encode(identity.encode() + b":" + KEY).decode()
        tcp = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with trio.SSLStream(tcp, self.tls, server_hostname="localhost", https_compatible=True) as stream:
            await stream.send_all(
                f"GET /ocpp/{identity} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                f"Sec-WebSocket-Protocol: ocpp1.6\r\nAuthorization: Basic {token}\r\n\r\n".encode()
            )
            received = b""
            while b"\r\n\r\n" not in received:
                received += await stream.receive_some()
            return received

    async def reset(self, request_id: str, seconds: float) -> "tuple[Problem | None, float]":
        """Send CP1 a Reset; return how it ends, and after how many seconds."""
        request = command_pb2.ResetRequest(charge_point="CP1", request_id=request_id, type=command_pb2.RESET_TYPE_HARD)

        def call() -> Problem | None:
            try:
                command_pb2_grpc.CommandServiceStub(self.channel).Reset(request, timeout=seconds)
            except grpc.RpcError as error:
                return problem_of(error)
            return None

        began = trio.current_time()
        problem = await trio.to_thread.run_sync(call)
        return problem, trio.current_time() - began

    def transactions(self) -> list[tuple[TransactionState, int, int | None]]:
        """State, register at the start, energy."""
        found = self.store.transactions(TransactionFilter(charge_point="CP1"), None, 100)
        return [(each.state, each.meter_start, each.energy) for each in found]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "data").mkdir()
    disk = Disk(tmp_path / "data", vfs="failing-gateway")
    yield disk
    disk.unregister()


def configured(
    disk: Disk, certificates: Path, commit_deadline: float = COMMIT_DEADLINE, drain: float = 5
) -> tuple[Settings, int, int]:
    """The settings, the port for chargers, that of the control interface."""
    port, control = free_port(), free_port()
    sessions = "".join(f"{name} = {json.dumps(value)}\n" for name, value in QUICK["sessions"].items())
    config = disk.folder.parent / "gateway.toml"
    config.write_text(
        f'[[listeners]]\ncertificates = [{{ certificate = "{certificates}/server-ecdsa.pem", '
        f'key = "{certificates}/server-ecdsa.key" }}]\nhost = "127.0.0.1"\nport = {port}\n'
        f'[control]\naddress = "127.0.0.1:{control}"\n[metrics]\naddress = "off"\n[sessions]\n{sessions}'
        f'[authorization]\nunknown_tags = "Accepted"\n[drain]\ndeadline_seconds = {drain}\n'
        f'[store]\npath = "{disk.folder}/gateway.db"\ncommit_deadline_seconds = {commit_deadline}\n'
    )
    return load(config), port, control


def create_charge_points(store: SqliteStore) -> None:
    """CP1 and CP2."""
    for identity in ("CP1", "CP2"):
        credential = make_credential(KEY, CredentialKind.GENERATED, utc_now())
        store.commit([CreateChargePoint(identity, Registration.ACCEPTED, (credential,), utc_now())])


@asynccontextmanager
async def serving(
    disk: Disk, certificates: Path, *, commit_deadline: float = COMMIT_DEADLINE, stopped: bool = False
) -> AsyncIterator[Served]:
    """A gateway with the charge points CP1 and CP2, from its first word to its drained end. ``stopped``: the test stops
    it itself."""
    settings, port, control = configured(disk, certificates, commit_deadline, 60 if stopped else 5)
    store = SqliteStore(settings.store.path, clock=utc_now, vfs=disk.vfs)
    create_charge_points(store)
    tls = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    try:
        with grpc.insecure_channel(f"127.0.0.1:{control}") as channel, trio.fail_after(2 * SECONDS):
            served = Served(port, tls, disk, store, channel)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Gateway(settings, store).run)
                await served.becomes(SERVING)
                yield served
                if not stopped:
                    signal.raise_signal(signal.SIGTERM)
    finally:
        store.close()


async def arrive(nursery: trio.Nursery, served: Served, identity: str = "CP1") -> Charger:
    charger = await connect(nursery, served, identity, key=KEY)  # type: ignore[arg-type]
    assert (await charger.boot())["status"] == "Accepted"
    return charger


async def arrive_again(nursery: trio.Nursery, served: Served) -> Charger:
    """As chargers do it: again and again until they are let in."""
    while True:
        try:
            return await connect(nursery, served, "CP1", key=KEY)  # type: ignore[arg-type]
        except Refused as refused:
            if refused.status != 503:
                raise
        except LinkLost:
            pass
        await trio.sleep(0.05)


async def is_not_confirmed(charger: Charger, action: str, payload: Any) -> None:
    """No confirmation and no CALLERROR: the connection is closed with 1011, so that the charger keeps the message."""
    with pytest.raises(Closed) as closed:
        await charger.call(action, payload)
    assert closed.value.args == (1011, "store-unavailable")


def start(meter: int = 1000) -> dict[str, Any]:
    return {"connectorId": 1, "idTag": "TAG", "meterStart": meter, "timestamp": now()}


@pytest.mark.parametrize("trouble", [full, read_only, broken], ids=["full", "read-only", "broken"])
@pytest.mark.parametrize("where", ["writes", "syncs"])
async def test_a_disk_that_fails_sends_everybody_away_and_is_got_over(
    disk: Disk, certificates: Path, trouble: Trouble, where: str
) -> None:
    """Messages under way are confirmed once they are kept, by their retry on a new connection, and are there once."""
    async with serving(disk, certificates) as served, trio.open_nursery() as nursery:
        charger, idle = await arrive(nursery, served), await arrive(nursery, served, "CP2")
        first = start()
        number = (await charger.call("StartTransaction", first))["transactionId"]

        setattr(disk, "write_trouble" if where == "writes" else "sync_trouble", trouble)
        stop = {"transactionId": number, "meterStop": 1600, "timestamp": now()}
        await is_not_confirmed(charger, "StopTransaction", stop)
        assert (await idle.sees_the_end()).args == (1011, "store-unavailable")
        await served.becomes(NOT_SERVING)
        head = await served.upgrade()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 30\r\n" in head.lower()
        assert served.transactions() == [(TransactionState.OPEN, 1000, None)]

        disk.heal()
        await served.becomes(SERVING)
        charger = await arrive_again(nursery, served)
        assert await charger.call("StopTransaction", stop) == {}
        assert (await charger.call("StartTransaction", first))["transactionId"] == number
        assert await charger.call("StopTransaction", stop) == {}
        assert served.transactions() == [(TransactionState.STOPPED, 1000, 600)]
        assert served.store.find_orphans(of(charge_point="CP1"), "", 10).records == []
        nursery.cancel_scope.cancel()


async def test_what_a_slow_disk_keeps_too_late_is_not_confirmed_and_there_once(disk: Disk, certificates: Path) -> None:
    """The commit comes through after its deadline: it was not confirmed, and the retry finds it."""
    async with serving(disk, certificates) as served, trio.open_nursery() as nursery:
        charger = await arrive(nursery, served)
        disk.sync_seconds = 3 * COMMIT_DEADLINE
        begin = start()
        await is_not_confirmed(charger, "StartTransaction", begin)
        await served.becomes(NOT_SERVING)
        assert (await served.upgrade()).startswith(b"HTTP/1.1 503 ")
        disk.heal()
        await served.becomes(SERVING)
        charger = await arrive_again(nursery, served)
        number = (await charger.call("StartTransaction", begin))["transactionId"]
        stop = {"transactionId": number, "meterStop": 1250, "timestamp": now()}
        assert await charger.call("StopTransaction", stop) == {}
        assert served.transactions() == [(TransactionState.STOPPED, 1000, 250)]
        nursery.cancel_scope.cancel()


async def test_a_disk_that_is_slow_but_in_time_is_no_failure(disk: Disk, certificates: Path) -> None:
    """Every message takes its time, and all are confirmed."""
    async with serving(disk, certificates) as served, trio.open_nursery() as nursery:
        charger = await arrive(nursery, served)
        disk.sync_seconds = COMMIT_DEADLINE / 8
        for meter in range(0, 5000, 1000):
            number = (await charger.call("StartTransaction", start(meter)))["transactionId"]
            stop = {"transactionId": number, "meterStop": meter + 10, "timestamp": now()}
            assert await charger.call("StopTransaction", stop) == {}
        assert await served.health() == SERVING
        assert [energy for _, _, energy in served.transactions()] == [10] * 5
        nursery.cancel_scope.cancel()


async def test_a_disk_that_fails_now_and_then_loses_and_doubles_nothing(disk: Disk, certificates: Path) -> None:
    """A charger that does as chargers do, sending each message until it is confirmed, gets all its transactions in."""
    numbers = []
    async with serving(disk, certificates) as served, trio.open_nursery() as nursery:
        charger = await arrive(nursery, served)
        syncs = iter(range(1_000_000))
        disk.sync_trouble = lambda name: broken(name) if next(syncs) % 7 == 5 else None

        async def deliver(action: str, payload: Any) -> Any:
            nonlocal charger
            while True:
                try:
                    return await charger.call(action, payload)
                except (Closed, LinkLost):
                    charger = await arrive_again(nursery, served)
                except CallError as error:
                    raise AssertionError(f"{action} was refused: {error}") from error

        for meter in range(0, 8000, 1000):
            begin = start(meter)
            number = (await deliver("StartTransaction", begin))["transactionId"]
            numbers.append(number)
            await deliver("StopTransaction", {"transactionId": number, "meterStop": meter + 10, "timestamp": now()})
        disk.heal()
        await served.becomes(SERVING)
        assert len(set(numbers)) == 8
        assert sorted(served.transactions(), key=lambda each: each[1]) == [
            (TransactionState.STOPPED, meter, 10) for meter in range(0, 8000, 1000)
        ]
        assert served.store.find_orphans(of(charge_point="CP1"), "", 10).records == []
        nursery.cancel_scope.cancel()


# --- starting on a disk in trouble ------------------------------------------------------------------------------


@asynccontextmanager
async def starting(
    disk: Disk, certificates: Path, begin_trouble: Callable[[], None], *, new: bool = False
) -> AsyncIterator[Served]:
    """A gateway whose disk is in trouble before it starts; with ``new`` there is no database yet, else one that was
    left by a crash with CP1 connected."""
    settings, port, control = configured(disk, certificates)
    if not new:
        before = SqliteStore(settings.store.path, clock=utc_now, vfs=disk.vfs)
        create_charge_points(before)
        opening = OpenSession("CP1", ChargePointConnected("[::1]:1", "ocpp1.6", 2, "TLSv1.3"), utc_now())
        assert isinstance(before.commit([opening])[0], Opened)
        before.close()
    begin_trouble()
    store = SqliteStore(settings.store.path, clock=utc_now, vfs=disk.vfs, opened=False)
    tls = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    try:
        with grpc.insecure_channel(f"127.0.0.1:{control}") as channel, trio.fail_after(2 * SECONDS):
            served = Served(port, tls, disk, store, channel)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Gateway(settings, store).run)
                yield served
                signal.raise_signal(signal.SIGTERM)
    finally:
        disk.heal()
        store.close()


@pytest.mark.parametrize("trouble", [full, read_only, broken], ids=["full", "read-only", "broken"])
@pytest.mark.parametrize("new", [True, False], ids=["new", "left by a crash"])
async def test_a_start_on_a_disk_in_trouble_serves_503_and_is_got_over(
    disk: Disk, certificates: Path, trouble: Trouble, new: bool
) -> None:
    """Chargers get a time to come back, operators the reason; it goes on without a restart when it can."""
    async with starting(disk, certificates, lambda: setattr(disk, "write_trouble", trouble), new=new) as served:
        await served.becomes(NOT_SERVING)
        head = await served.upgrade()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 30\r\n" in head.lower()
        if new:
            await tells_of_no_store(served)

        disk.heal()
        await served.becomes(SERVING)
        if new:
            await trio.to_thread.run_sync(create_charge_points, served.store)
        else:
            record = served.store.charge_point("CP1")
            assert record is not None
            assert not record.connection.connected, "what the crash left open is settled before anybody is let in"
        async with trio.open_nursery() as nursery:
            charger = await arrive(nursery, served)
            assert await charger.call("StartTransaction", start())
            nursery.cancel_scope.cancel()


async def tells_of_no_store(served: Served) -> None:
    """A call and a watch end with a reason for programs."""
    points = charge_point_pb2_grpc.ChargePointServiceStub(served.channel)
    with pytest.raises(grpc.RpcError) as caught:
        await trio.to_thread.run_sync(
            lambda: points.GetChargePoint(charge_point_pb2.GetChargePointRequest(identity="CP1"), timeout=60)
        )
    assert problem_of(caught.value).reason == "STORE_UNAVAILABLE"
    commands = command_pb2_grpc.CommandServiceStub(served.channel)
    asked = command_pb2.ClearCacheRequest(charge_point="CP1", request_id="r")
    with pytest.raises(grpc.RpcError) as caught:
        await trio.to_thread.run_sync(lambda: commands.ClearCache(asked, timeout=60))
    problem = problem_of(caught.value)
    # Whether the id was used before can't be looked up: UNAVAILABLE would invite to send it blindly.
    assert (problem.code, problem.reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")
    watches = event_pb2_grpc.EventServiceStub(served.channel)
    request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_BEGINNING)
    stream: Any = watches.WatchEvents(request, timeout=60)
    with pytest.raises(grpc.RpcError) as caught:
        await trio.to_thread.run_sync(next, stream)
    assert problem_of(caught.value).reason == "STORE_UNAVAILABLE"


async def test_a_start_on_a_disk_that_hangs_serves_503_meanwhile(
    disk: Disk, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No charger is refused without an answer, and the gateway goes on when the disk does."""
    monkeypatch.setattr(store_lifetime, "DOOR_SECONDS", 0.1)
    async with starting(disk, certificates, lambda: setattr(disk, "sync_seconds", 0.7)) as served:
        await served.becomes(NOT_SERVING)
        assert (await served.upgrade()).startswith(b"HTTP/1.1 503 ")
        disk.heal()
        await served.becomes(SERVING)


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "full"])
async def test_a_gateway_that_waits_for_its_disk_can_be_stopped(disk: Disk, certificates: Path, hangs: bool) -> None:
    """SIGTERM is heeded while the store is not open, whatever its disk does; closing it is not waited for either."""
    gate = threading.Event()

    def trouble(name: str) -> Exception | None:
        if hangs:
            gate.wait(SECONDS)
        return None if hangs else full(name)

    settings, _, _ = configured(disk, certificates)
    store = SqliteStore(settings.store.path, clock=utc_now, vfs=disk.vfs, opened=False)
    disk.sync_trouble = trouble
    try:
        with trio.fail_after(SECONDS / 2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Gateway(settings, store).run)
                await trio.sleep(0.5)
                signal.raise_signal(signal.SIGTERM)
        assert close(store, 0.1) is not hangs
    finally:
        gate.set()
        disk.heal()
        store.close()


@pytest.mark.parametrize("found", ["foreign", "damaged", "served by another"])
async def test_what_is_found_when_the_disk_is_well_is_refused_by_name(
    disk: Disk, certificates: Path, found: str
) -> None:
    """Waiting mends a disk. It mends no database of another program, no damage, and no second gateway."""
    settings, _, _ = configured(disk, certificates)
    path = settings.store.path
    other = None
    if found == "foreign":
        foreign = apsw.Connection(str(path))
        foreign.execute("CREATE TABLE theirs (x); PRAGMA user_version = 7")
        foreign.close()
    elif found == "damaged":
        path.write_bytes(b"no database at all" * 1000)
    else:
        other = SqliteStore(path, clock=utc_now)
    failures = iter(range(1))

    class Unwell(SqliteStore):
        def open(self) -> None:
            if next(failures, None) is not None:
                raise StoreUnavailable("the disk is full")
            super().open()

    store = Unwell(path, clock=utc_now, opened=False)
    refusals: list[GatewayError] = []
    try:
        with trio.fail_after(SECONDS):
            try:
                await Gateway(settings, store).run()
            except* GatewayError as errors:
                refusals = list(leaves(errors))
    finally:
        store.close()
        if other is not None:
            other.close()
    [refusal] = refusals
    assert isinstance(refusal, StoreInUse if found == "served by another" else StoreCorrupt)
    assert str(path) in str(refusal)


# --- callers while the disk stalls --------------------------------------------------------------------------------

STALL = 5.0
"""Seconds: longer than callers wait, and shorter than the journal does."""


def unknown(problem: Problem | None, cause: str, request_id: str) -> bool:
    assert problem is not None
    return (problem.code, problem.reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN") and (
        problem.metadata["cause"],
        problem.metadata["request_id"],
    ) == (cause, request_id)


async def test_callers_with_three_seconds_are_answered_the_truth_while_the_disk_stalls(
    disk: Disk, certificates: Path
) -> None:
    """A new command, and repeats of one that was sent and of one that was answered: with a reason, in time."""
    async with serving(disk, certificates, commit_deadline=30) as served, trio.open_nursery() as nursery:
        charger = await arrive(nursery, served)
        charger.answers["Reset"] = {"status": "Accepted"}
        problem, _ = await served.reset("answered", 10)
        assert problem is None
        charger.answers["Reset"] = SILENT
        sent, _ = await served.reset("sent", 1.5)
        assert unknown(sent, "deadline", "sent")
        received = [name for name, _ in charger.asked].count("Reset")
        assert received == 2

        disk.sync_seconds = STALL
        nursery.start_soon(charger.status, "Faulted")  # a commit that is under way, and stalls
        await trio.sleep(0.2)
        ended: dict[str, tuple[Problem | None, float]] = {}

        async def ask(request_id: str, seconds: float) -> None:
            ended[request_id + str(seconds)] = await served.reset(request_id, seconds)

        async with trio.open_nursery() as asking:
            for request_id in ("new", "sent", "answered"):
                for seconds in (3.0, 0.2):
                    asking.start_soon(ask, request_id, seconds)
        for name, (problem, took) in ended.items():
            assert took < float(name[-3:]), name
            assert problem is None or problem.reason, f"{name}: without a reason"
        assert unknown(ended["new3.0"][0], "deadline", "new")
        short = ended["new0.2"][0]
        assert short is not None
        assert short.reason in ("NOT_SENT", "OUTCOME_UNKNOWN")
        for name in ("sent3.0", "sent0.2"):
            assert unknown(ended[name][0], "deadline", "sent")
        for name in ("answered3.0", "answered0.2"):
            problem = ended[name][0]
            assert problem is None or unknown(problem, "deadline", "answered")
        disk.heal()
        await trio.sleep(STALL / 4)
        assert [name for name, _ in charger.asked].count("Reset") == received
        nursery.cancel_scope.cancel()


async def test_a_gateway_that_is_stopped_twice_while_its_disk_stalls_answers_the_truth(
    disk: Disk, certificates: Path
) -> None:
    """The first caller of a command that was sent was answered DRAINING, "nothing was sent"."""
    ended: list[Problem | None] = []
    over = trio.Event()
    async with serving(disk, certificates, commit_deadline=30, stopped=True) as served, trio.open_nursery() as nursery:
        charger = await arrive(nursery, served)
        charger.answers["Reset"] = SILENT

        async def ask() -> None:
            problem, _ = await served.reset("r1", 30)
            ended.append(problem)
            over.set()

        nursery.start_soon(ask)
        await charger.is_asked("Reset")
        disk.sync_seconds = STALL
        await charger.answer_last("Reset", {"status": "Accepted"})
        await trio.sleep(0.3)
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
            await trio.sleep(0.5)
        with trio.fail_after(SECONDS):
            await over.wait()
        disk.heal()
        assert unknown(ended[0], "draining", "r1")
        assert [name for name, _ in charger.asked].count("Reset") == 0, "besides the one that was heard"
        nursery.cancel_scope.cancel()

"""Starting and ending the whole: in every phase, with a store that fails, with a charger connecting."""

import signal
import socket
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
from attrs import evolve

from gateway.api.v1 import charge_point_pb2, charge_point_pb2_grpc
from gateway.app import background, endpoints
from gateway.app.gc_policy import GcPolicy
from gateway.app.housekeeping import LostEnds
from gateway.app.serve import Gateway, utc_now
from gateway.app.settings import ControlSettings
from gateway.control import server
from gateway.domain.commands import ClearCache, CommandRecord, CommandState, RefusalReason, Refused, Unknown
from gateway.domain.records import ChargePointRecord
from gateway.domain.values import Registration
from gateway.errors import GatewayError, SettingsError, leaves
from gateway.feed import Feed
from gateway.journal import Retention
from gateway.session.keepalive import TimerQueue
from gateway.store.commits import DeleteChargePoint, OpenSession, RecordLastHeard, UpdateChargePoint
from gateway.transport.tls import TlsProvider
from tests.app.running import Disk, Running, running, settings, until
from tests.endtoend.gateway_process import development_certificates, free_port

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("serve") / "certs")


def record(serving: Running) -> ChargePointRecord:
    """CP1, as it is stored."""
    found = serving.disk.charge_point("CP1")
    assert found is not None
    return found


async def ask(serving: Running, request_id: str = "r", seconds: float = 30) -> CommandRecord | Refused | Unknown:
    """A command to CP1."""
    deadline = trio.current_time() + seconds
    return await serving.gateway.router.call("CP1", ClearCache(), request_id=request_id, deadline=deadline)


# --- starting -------------------------------------------------------------------------------------------------


async def test_a_port_that_is_taken_is_reported_with_the_listeners_place(tmp_path: Path, certificates: Path) -> None:
    """The operator reads which one, and why."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        disk = Disk(tmp_path / "gateway.db", clock=utc_now)
        reported = []
        try:
            await Gateway(settings(tmp_path, certificates, port=port, name="front"), disk).run()
        except* GatewayError as errors:
            reported = list(leaves(errors))
        finally:
            disk.close()
    [error] = reported
    assert isinstance(error, SettingsError)
    assert str(error) == f"listeners[0]: can't listen on 127.0.0.1:{port}: the address is in use"


# --- draining -------------------------------------------------------------------------------------------------


async def test_a_connection_that_is_being_opened_at_the_signal_is_ended_and_recorded(
    tmp_path: Path, certificates: Path
) -> None:
    """It was admitted before; the end does not wait for it until the deadline."""
    async with running(settings(tmp_path, certificates, drain_seconds=600)) as serving:
        serving.disk.slow, serving.disk.gate = (OpenSession,), threading.Event()
        charger = serving.connect()
        await trio.sleep(0.1)
        serving.terminate()
        await trio.sleep(0.2)
        serving.disk.gate.set()
        assert await charger.sees_the_end() == (1001, "draining")
        with trio.fail_after(60):
            await serving.over.wait()
        assert len(serving.bodies("charge_point.disconnected")) == 1


async def test_a_second_signal_does_not_wait(tmp_path: Path, certificates: Path) -> None:
    """The operator insists; what is cut off is settled at the next start."""
    async with running(settings(tmp_path, certificates, drain_seconds=600)) as serving:
        charger = await serving.booted()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, serving)
            await charger.next_call("ClearCache")
            serving.terminate()
            await trio.sleep(0.2)
            assert not serving.over.is_set()
            serving.terminate()
            with trio.fail_after(60):
                await serving.over.wait()
            await charger.lose_link()


async def test_a_store_that_fails_while_draining_does_not_hold_up_the_end(tmp_path: Path, certificates: Path) -> None:
    """Callers are answered, chargers are let go, the process ends."""
    async with running(settings(tmp_path, certificates, drain_seconds=600)) as serving:
        charger = await serving.booted()
        outcomes = []

        async def keep() -> None:
            outcomes.append(await ask(serving))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep)
            message_id, _, _ = await charger.next_call("ClearCache")
            serving.terminate()
            await trio.sleep(0.1)
            serving.disk.failing = True
            await charger.answer(message_id, {"status": "Accepted"})
            assert (await charger.sees_the_end())[0] == 1011
            with trio.fail_after(60):
                await serving.over.wait()
        [outcome] = outcomes
        assert isinstance(outcome, CommandRecord)
        assert outcome.state is CommandState.OUTCOME_UNKNOWN


async def test_a_gateway_that_stops_refuses_commands_and_chargers(tmp_path: Path, certificates: Path) -> None:
    """Before anything is ended."""
    async with running(settings(tmp_path, certificates)) as serving:
        charger = await serving.booted()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, serving)
            message_id, _, _ = await charger.next_call("ClearCache")
            serving.terminate()
            await until(lambda: serving.gateway.chargers.draining)
            refused = await ask(serving, "another")
            assert isinstance(refused, Refused)
            assert refused.reason is RefusalReason.DRAINING
            newcomer = serving.connect()
            assert await newcomer.sees_the_end() == (1001, "draining")
            await charger.answer(message_id, {"status": "Accepted"})
            assert await charger.sees_the_end() == (1001, "draining")
            with trio.fail_after(60):
                await serving.over.wait()


# --- a store that fails ---------------------------------------------------------------------------------------


async def test_a_failing_store_ends_sessions_and_is_got_over(tmp_path: Path, certificates: Path) -> None:
    """1011 and then 503, recovery without a restart, and what could not be recorded is recorded."""
    async with running(settings(tmp_path, certificates)) as serving:
        gateway = serving.gateway
        charger = await serving.booted()
        outcomes = []

        async def keep() -> None:
            outcomes.append(await ask(serving))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep)
            await charger.next_call("ClearCache")
            serving.disk.failing = True
            await charger.send(
                2, "s", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            )
            assert (await charger.sees_the_end())[0] == 1011
        assert gateway._why_refusing() == "store-unavailable"
        assert not gateway.journal.healthy
        newcomer = serving.connect()
        assert await newcomer.sees_the_end() == (1011, "store-unavailable")
        assert record(serving).connection.connected

        serving.disk.failing = False
        await gateway.journal.wait_healthy()
        assert gateway._why_refusing() is None
        assert await gateway.lost_ends.record() == 1
        assert not record(serving).connection.connected
        [outcome] = outcomes
        assert isinstance(outcome, CommandRecord)
        recorded = serving.disk.command(outcome.command_id)
        assert recorded is not None
        assert (recorded.state, recorded.reason) == (CommandState.OUTCOME_UNKNOWN, "store-unavailable")
        assert (outcome.state, outcome.reason) == (CommandState.OUTCOME_UNKNOWN, "store-unavailable")
        assert await gateway.lost_ends.record() == 0
        await serving.booted()
        assert await gateway.lost_ends.record() == 0, "a live connection is nobody's lost end"


async def test_a_connection_that_is_being_opened_is_no_lost_end(tmp_path: Path, certificates: Path) -> None:
    """The store says connected, and no session is there yet."""
    async with running(settings(tmp_path, certificates)) as serving:
        serving.disk.slow, serving.disk.gate = (OpenSession,), threading.Event()
        charger = serving.connect()
        await until(lambda: record(serving).connection.connected)
        found = []

        async def look() -> None:
            found.append(await serving.gateway.lost_ends.record())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await trio.sleep(0.1)
            serving.disk.gate.set()
        assert found == [0]
        await charger.call("BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})
        assert record(serving).connection.connected


# --- the operator, while a connection is being opened -----------------------------------------------------------


async def test_a_charge_point_deleted_while_it_connects_is_closed(tmp_path: Path, certificates: Path) -> None:
    """Opening and deletion are one batch, and answered together; whichever wakes first, no session stays."""
    async with running(settings(tmp_path, certificates)) as serving:
        journal, router = serving.gateway.journal, serving.gateway.router
        serving.disk.slow, serving.disk.gate = (RecordLastHeard,), threading.Event()

        async def delete() -> None:
            await journal.commit(DeleteChargePoint("CP1", utc_now()))
            router.expel("CP1")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.commit, RecordLastHeard(()))
            await trio.sleep(0.1)
            charger = serving.connect()
            await trio.sleep(0.1)
            nursery.start_soon(delete)
            await trio.sleep(0.1)
            serving.disk.gate.set()
        assert await charger.sees_the_end() == (1008, "deleted")
        await until(lambda: not len(router))


async def test_a_registration_changed_while_a_charger_connects_is_its_registration(
    tmp_path: Path, certificates: Path
) -> None:
    """It was opened as Accepted, and is Pending by now."""
    async with running(settings(tmp_path, certificates)) as serving:
        router = serving.gateway.router
        await (await serving.booted()).lose_link()
        await until(lambda: not len(router))
        serving.disk.slow, serving.disk.gate = (OpenSession,), threading.Event()
        charger = serving.connect()
        await trio.sleep(0.1)
        async with trio.open_nursery() as nursery:
            update = UpdateChargePoint("CP1", utc_now(), registration=Registration.PENDING)
            nursery.start_soon(serving.gateway.journal.commit, update)
            router.registration_changed("CP1", Registration.PENDING)
            serving.disk.gate.set()
        kind, code, *_ = await charger.call_frame("StatusNotification", STATUS)
        assert (kind, code) == (4, "SecurityError")


# --- bugs in what serves everybody ------------------------------------------------------------------------------


async def fails(*_: object, **__: object) -> None:
    raise SystemError("Objects/tupleobject.c: bad argument to internal function")


@pytest.mark.parametrize(
    ("where", "name", "task"),
    [
        (Feed, "run", "feed"),
        (Retention, "run", "retention"),
        (TimerQueue, "run", "silence"),
        (GcPolicy, "run", "collector"),
        (LostEnds, "run", "lost-ends"),
        (background, "record_last_heard", "last-heard"),
        (background, "end_overdue_reservations", "reservations"),
        (background, "end_abandoned_operations", "operations"),
    ],
    ids=["feed", "retention", "silence", "collector", "lost-ends", "last-heard", "reservations", "operations"],
)
async def test_a_bug_in_a_long_lived_task_ends_no_session(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, task: str
) -> None:
    """It is counted by the task's name; chargers come, are answered, and stay."""
    monkeypatch.setattr(where, name, fails)
    async with running(settings(tmp_path, certificates)) as serving:
        charger = await serving.booted()
        counts = serving.gateway.metrics._counts
        await until(lambda: counts.get(("task_failures", task), 0) >= 2)
        assert await charger.call("Heartbeat", {})


async def test_a_control_interface_that_fails_is_begun_anew_and_chargers_stay(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operators and services reach it again at the same address; the sessions don't notice."""
    port = free_port()
    configured = evolve(settings(tmp_path, certificates), control=ControlSettings(address=f"127.0.0.1:{port}"))
    async with running(configured) as serving:
        charger = await serving.booted()
        failing = serving.gateway.endpoints.control

        async def set_health(*_: object) -> None:
            if serving.gateway.endpoints.control is failing:
                raise SystemError("a bug")

        monkeypatch.setattr(server, "_set_health", set_health)
        failing.set_ready(True)
        await until(lambda: serving.gateway.endpoints.control is not failing)
        assert await charger.call("Heartbeat", {})
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            points = charge_point_pb2_grpc.ChargePointServiceStub(channel)
            request = charge_point_pb2.GetChargePointRequest(identity="CP1")
            answer = await trio.to_thread.run_sync(
                lambda: points.GetChargePoint(request, timeout=60, wait_for_ready=True)
            )
        assert answer.charge_point.connection.connected
        assert serving.gateway.metrics._counts["task_failures", "control"] == 1
        serving.terminate()
        assert await charger.sees_the_end() == (1001, "draining")
        with trio.fail_after(60):
            await serving.over.wait()


async def test_a_listener_that_fails_is_begun_anew(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the same port; the sessions of other listeners, and the gateway, go on."""
    monkeypatch.setattr(endpoints, "LONGEST_PAUSE", 0.05)
    async with running(settings(tmp_path, certificates, port=free_port())) as serving:
        charger = await serving.booted()
        failing = serving.gateway.endpoints.listeners[0]
        monkeypatch.setattr(failing, "_places", None)
        with socket.create_connection(failing.addresses[0]):
            await until(lambda: serving.gateway.endpoints.listeners[0] is not failing)
        await until(lambda: serving.gateway.endpoints.listeners[0].addresses)
        assert serving.gateway.endpoints.listeners[0].addresses == failing.addresses
        assert await charger.call("Heartbeat", {})
        assert serving.gateway.metrics._counts["task_failures", "listener"] == 1


@pytest.mark.parametrize("error", [PermissionError("no"), ValueError("a bug"), SystemError("a bug")], ids=repr)
async def test_a_certificate_that_can_not_be_read_in_any_way_ends_nothing(
    tmp_path: Path,
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """SIGHUP at the wrong moment: the certificates that there are stay."""

    def reload(*_: object) -> None:
        raise error

    async with running(settings(tmp_path, certificates)) as serving:
        charger = await serving.booted()
        monkeypatch.setattr(TlsProvider, "reload", reload)
        signal.raise_signal(signal.SIGHUP)
        await trio.sleep(0.1)
        assert await charger.call("Heartbeat", {})


@pytest.mark.parametrize(("shared", "places"), [((), 3), (("127.0.0.0/8",), 4)])
async def test_connections_from_an_address_that_is_shared_are_not_counted_together(
    tmp_path: Path, certificates: Path, shared: Any, places: int
) -> None:
    """Of four places one address holds three, as the settings are delivered; one that is named as shared all."""
    given = settings(tmp_path, certificates)
    sessions = evolve(given.sessions, max_concurrent_handshakes=4, shared_addresses=shared)
    async with running(evolve(given, sessions=sessions)) as run:
        [listener] = run.gateway.endpoints.listeners
        streams = [await trio.open_tcp_stream(*listener.addresses[0]) for _ in range(6)]
        for stream in streams:
            await stream.send_all(b"\x16")
        await until(lambda: listener.opening + listener.waiting == 6 and listener.opening == places)
        for stream in streams:
            await trio.aclose_forcefully(stream)

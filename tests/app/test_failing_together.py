"""A gateway whose store fails, or that is stopping, as every client sees it: silent chargers, too."""

from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
from attrs import evolve
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.app.serve import utc_now
from gateway.app.settings import ControlSettings, Settings
from gateway.chargers.admission import Principal
from gateway.domain.values import Registration
from gateway.store.commits import CreateChargePoint
from tests.app.running import Running, running, settings, until
from tests.app.test_serve import ask
from tests.endtoend.gateway_process import development_certificates, free_port

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
BOOT = {"chargePointVendor": "A", "chargePointModel": "B"}
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("together") / "certs")


@pytest.fixture
def made(tmp_path: Path, certificates: Path) -> Settings:
    """Settings with a control interface at a known port."""
    control = ControlSettings(address=f"127.0.0.1:{free_port()}")
    return evolve(settings(tmp_path, certificates, drain_seconds=30), control=control)


async def health(address: str) -> int:
    """Ask for health as a load balancer does."""

    def check() -> int:
        with grpc.insecure_channel(address) as channel:
            status: int = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60).status
            return status

    return await trio.to_thread.run_sync(check)


async def silent_ones(serving: Running, count: int) -> list[Any]:
    """Chargers that boot and then have nothing to say."""
    found = []
    for number in range(count):
        identity = f"SILENT{number}"
        serving.disk.commit([CreateChargePoint(identity, Registration.ACCEPTED, (), utc_now())])
        charger = serving.connect(Principal(identity, "ocpp1.6", 2))
        await charger.call("BootNotification", BOOT)
        found.append(charger)
    return found


async def test_a_failing_store_ends_also_the_sessions_that_say_nothing(made: Settings) -> None:
    """Otherwise their chargers would go on relying on a gateway that keeps nothing."""
    async with running(made) as serving:
        silent = await silent_ones(serving, 3)
        talking = await serving.booted()
        serving.disk.failing = True
        await talking.send(2, "s", "StatusNotification", STATUS)
        for charger in (talking, *silent):
            assert await charger.sees_the_end() == (1011, "store-unavailable")
        await until(lambda: not len(serving.gateway.router))


async def test_readiness_follows_the_store(made: Settings) -> None:
    """Red while nothing can be kept, green again without a restart."""
    async with running(made) as serving:
        assert await health(made.control.address) == SERVING
        talking = await serving.booted()
        serving.disk.failing = True
        await talking.send(2, "s", "StatusNotification", STATUS)
        await talking.sees_the_end()
        assert await health(made.control.address) == NOT_SERVING
        serving.disk.failing = False
        await serving.gateway.journal.wait_healthy()
        await becomes(made.control.address, SERVING)


async def test_a_gateway_that_stops_is_not_ready_while_it_drains(made: Settings) -> None:
    """From the signal on, as long as its control interface answers at all."""
    async with running(made) as serving:
        charger = await serving.booted()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, serving)
            message_id, _, _ = await charger.next_call("ClearCache")
            assert await health(made.control.address) == SERVING
            serving.terminate()
            await until(lambda: serving.gateway.chargers.draining)
            await becomes(made.control.address, NOT_SERVING)
            assert not serving.over.is_set()
            await charger.answer(message_id, {"status": "Accepted"})
            with trio.fail_after(60):
                await serving.over.wait()


async def test_a_store_that_recovers_makes_no_draining_gateway_ready(made: Settings) -> None:
    """It goes all the same."""
    async with running(made) as serving:
        charger = await serving.booted()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, serving)
            await charger.next_call("ClearCache")
            serving.terminate()
            await until(lambda: serving.gateway.chargers.draining)
            serving.gateway._health_changed(True)
            await becomes(made.control.address, NOT_SERVING)
            await trio.sleep(0.1)
            assert await health(made.control.address) == NOT_SERVING
            nursery.cancel_scope.cancel()


async def becomes(address: str, status: int) -> None:
    with trio.fail_after(60):
        while await health(address) != status:  # noqa: ASYNC110 - it is on the other side of a socket
            await trio.sleep(0.02)

"""One gateway with five simulated chargers for all tests of this folder, and a console on it."""

import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from attrs import define

from gateway.api.v1.charge_point_pb2 import ChargePoint, GetChargePointRequest, UpdateChargePointRequest
from gateway.api.v1.energy_pb2 import PriceSchedule
from gateway.api.v1.id_tag_pb2 import CreateIdTagRequest, IdTag, IdTagStatus
from gateway.cli.demo.environment import GatewayProcess, Household, free_ports, write_files
from gateway.cli.simulate.command import provision, trust
from gateway.client import GatewayClient
from gateway.console.settings import ConsoleSettings
from gateway.simulator import ChargerConfig
from tests.console.visitor import SECONDS, Visitor, console

NAMES = ("HOME-1", "HOME-2", "HOME-3", "HOME-4", "HOME-5")

PRICES = PriceSchedule(currency="GBP", time_zone="Europe/London", standing_charge="0.10")
for begin, end, price in (("00:00", "05:00", "0.075"), ("05:00", "24:00", "0.2475")):
    PRICES.daily_prices.add(start_of_day=begin, end_of_day=end, price_per_kwh=price)


@define
class Stage:
    """The gateway and the chargers that pages show."""

    target: str
    gateway: GatewayClient
    household: Household
    wss: int
    authority: Path

    def knock(self, name: str, password: str) -> None:
        """Ask for a connection as a charge point, with a password that it does not have."""
        given = b64encode(f"{name}:{password}".encode()).decode()
        lines = (
            f"GET /ocpp/{name} HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: ocpp1.6",
            f"Authorization: Basic {given}",
        )
        context = ssl.create_default_context(cafile=str(self.authority))
        with (
            socket.create_connection(("localhost", self.wss), 10) as tcp,
            context.wrap_socket(tcp, server_hostname="localhost") as tls,
        ):
            tls.sendall("\r\n".join((*lines, "", "")).encode())
            assert b" 401 " in tls.recv(4096).split(b"\r\n")[0]

    def wait_connected(self, name: str) -> None:
        """Wait until a charge point is connected, and has said what it is: one that restarts is away for a moment."""
        ends = monotonic() + SECONDS
        while not self._is_known(name):
            assert monotonic() < ends, f"{name} has not connected and booted within {SECONDS:g} seconds"
            sleep(0.05)

    def _is_known(self, name: str) -> bool:
        request = GetChargePointRequest(identity=name)
        found = self.gateway.charge_points.GetChargePoint(request, timeout=60).charge_point
        return found.connection.connected and bool(found.boot.model)

    def plug_in(self, name: str) -> None:
        charger = next(each for each in self.household.chargers if each.identity == name)
        if self.household.do(charger.vehicle) is None:
            self.household.do(charger.plug_in)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway that lets in everybody, and chargers a minute of whose life passes in a second."""
    folder: Path = tmp_path_factory.mktemp("stage")
    wss, control = free_ports(2)
    process = GatewayProcess.start(write_files(folder, wss, control))
    household = Household()
    try:
        with GatewayClient(f"127.0.0.1:{control}") as gateway:
            process.wait_ready(gateway.channel)
            keys = dict(provision(gateway, list(NAMES)))
            tag = IdTag(id_tag="FAMILY", status=IdTagStatus.ID_TAG_STATUS_ACCEPTED, allow_concurrent=True)
            gateway.id_tags.CreateIdTag(CreateIdTagRequest(id_tag=tag), timeout=60)
            change = UpdateChargePointRequest(charge_point=ChargePoint(identity="HOME-1", labels={"site": "north"}))
            change.update_mask.paths.append("labels")
            gateway.charge_points.UpdateChargePoint(change, timeout=60)
            url = f"wss://localhost:{wss}/ocpp"
            configs = [ChargerConfig(url, name, key, speed=60.0, id_tag="FAMILY") for name, key in keys.items()]
            household.start(configs, trust(folder / "certs" / "ca.pem"))
            made = Stage(f"127.0.0.1:{control}", gateway, household, wss, folder / "certs" / "ca.pem")
            for name in NAMES:
                made.wait_connected(name)
            yield made
    finally:
        household.stop()
        process.stop()


@pytest.fixture(scope="session")
def visitors(stage: Stage) -> Iterator[Callable[[], Visitor]]:
    with console(ConsoleSettings(stage.target, prices=PRICES)) as made:
        yield made


@pytest.fixture
def visitor(visitors: Callable[[], Visitor]) -> Visitor:
    """A browser that has been to the first page."""
    made = visitors()
    made.open("/")
    return made

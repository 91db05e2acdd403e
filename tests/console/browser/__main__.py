"""Start two gateways, a console on each, and Chromium with ``browse.mjs``; its exit code is this one's."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.api.v1.id_tag_pb2 import CreateIdTagRequest, IdTag, IdTagStatus
from gateway.cli.demo.environment import ConsoleProcess, GatewayProcess, Household, free_ports, write_files
from gateway.cli.simulate.command import provision, trust
from gateway.client import GatewayClient
from gateway.domain.events import (
    BootInformation,
    ChargePointBooted,
    ChargePointConnected,
    ChargePointDisconnected,
    ConnectorStatusChanged,
    NewEvent,
)
from gateway.domain.values import ConnectorAddress, Registration
from gateway.simulator import ChargerConfig
from gateway.store.commits import Append, CreateChargePoint, OpenSession
from gateway.store.sqlite import SqliteStore

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

FLEET = 10_000
BATCH = 500
"""Charge points that are written in one transaction."""

SECONDS = 270
"""For all that the browser does; it takes some 60 on an idle machine."""

PRICES = """{"currency": "GBP", "time_zone": "Europe/London", "daily_prices": [
  {"start_of_day": "00:00", "end_of_day": "05:00", "price_per_kwh": "0.075"},
  {"start_of_day": "05:00", "end_of_day": "24:00", "price_per_kwh": "0.2475"}]}"""


def missing() -> str:
    """Return what can't be done without, and is not there; empty: all is."""
    if shutil.which("chromium") is None:
        return "chromium is not installed"
    if shutil.which("node") is None:
        return "node is not installed"
    names = ("playwright-core", "axe-core")
    return next((f"{each} is not installed" for each in names if not (ROOT / "node_modules" / each).exists()), "")


def fill(path: Path) -> None:
    """Write a fleet as it is after a night: most were seen, some report a fault, none is connected."""
    now = datetime.now(UTC)
    store = SqliteStore(path)
    try:
        for first in range(0, FLEET, BATCH):
            names = [f"CP-{number:05}" for number in range(first, first + BATCH)]
            at = [now - timedelta(hours=2, seconds=number) for number in range(first, first + BATCH)]
            store.commit(
                [
                    CreateChargePoint(name, Registration.ACCEPTED, (), when, labels={"site": f"site-{first // BATCH}"})
                    for name, when in zip(names, at, strict=True)
                ]
            )
            connected = ChargePointConnected("192.0.2.1:4711", "ocpp1.6", 2, "TLSv1.3")
            store.commit([OpenSession(name, connected, when) for name, when in zip(names, at, strict=True)])
            store.commit([Append(name, 1, life(name, when)) for name, when in zip(names, at, strict=True)])
    finally:
        store.close()


def life(name: str, at: datetime) -> tuple[NewEvent, ...]:
    """A boot, a status and the end of a connection."""
    number = int(name[-5:])
    boot = BootInformation("Hearth", f"Wallbox {7 + number % 3 * 4}", name, firmware_version=f"1.{number % 5}.0")
    word, error = ("Faulted", "GroundFailure") if number % 500 == 0 else ("Available", "NoError")
    bodies = (
        ChargePointBooted(boot, Registration.ACCEPTED, 300),
        ConnectorStatusChanged(ConnectorAddress(1, 1), word, error),
        ChargePointDisconnected("closed", "peer", 1000),
    )
    return tuple(NewEvent(body, at) for body in bodies)


@contextmanager
def served(folder: Path, prices: Path, filled: bool) -> Iterator[tuple[str, Household, GatewayClient, int]]:
    """A gateway, and a console on it: its address."""
    folder.mkdir()
    wss, control = free_ports(2)
    settings = write_files(folder, wss, control)
    if filled:
        fill(folder / "gateway.db")
        # As the settings name it: beside them.
        settings.write_text(settings.read_text(encoding="utf-8") + '\n[store]\npath = "gateway.db"\n', encoding="utf-8")
    process, household = GatewayProcess.start(settings), Household()
    console: ConsoleProcess | None = None
    try:
        with GatewayClient(f"127.0.0.1:{control}") as gateway:
            process.wait_ready(gateway.channel)
            console = ConsoleProcess.start(control, "--prices", str(prices))
            yield console.address, household, gateway, wss
    finally:
        if console is not None:
            console.stop()
        household.stop()
        process.stop()


def main() -> int:
    """Run; 0 where all holds, or where something is missing and this is no continuous integration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenshots", type=Path, help="write pictures for the documents into this folder")
    given = parser.parse_args()
    lacks = missing()
    if lacks:
        print(f"SKIPPED: {lacks}: the console is not tested in a browser")
        return 1 if os.environ.get("CI") else 0
    with tempfile.TemporaryDirectory(prefix="gateway-console-") as name:
        folder = Path(name)
        prices = folder / "prices.json"
        prices.write_text(PRICES, encoding="utf-8")
        with served(folder / "few", prices, False) as few, served(folder / "many", prices, True) as many:
            address, household, gateway, wss = few
            keys = dict(provision(gateway, ["HOME-1", "HOME-2", "HOME-3"]))
            tag = IdTag(id_tag="FAMILY", status=IdTagStatus.ID_TAG_STATUS_ACCEPTED, allow_concurrent=True)
            gateway.id_tags.CreateIdTag(CreateIdTagRequest(id_tag=tag), timeout=60)
            url = f"wss://localhost:{wss}/ocpp"
            configs = [ChargerConfig(url, each, key, speed=60.0, id_tag="FAMILY") for each, key in keys.items()]
            household.start(configs, trust(folder / "few" / "certs" / "ca.pem"))
            for charger in household.chargers[:2]:
                household.do(charger.plug_in)
            pictures = given.screenshots or folder
            command = ["node", str(HERE / "browse.mjs"), address, many[0], str(pictures), str(folder / "profile")]
            return subprocess.run(command, cwd=ROOT, timeout=SECONDS, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

"""A charger made of mobilityhouse's `ocpp` over `websockets`: not a test, but the process that a test talks to.

Run with one argument, the instructions as JSON (see tests/peers/charger_process.py). It charges when the test
says so, reports what it did in one line of JSON each on standard output, and ends when its standard input does.
"""

import asyncio
import base64
import json
import ssl
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import websockets
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action
from websockets.typing import Subprotocol

POWER = 7400.0
VOLTS = 230.0


def say(what: str, **details: Any) -> None:
    print(json.dumps({"what": what, **details}), flush=True)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Charger(ChargePoint):
    """One outlet. Each sample stands for a minute of charging, so that energy adds up quickly."""

    def __init__(self, identity: str, connection: Any, interval: float) -> None:
        super().__init__(identity, connection)
        self._interval = interval
        self._limit = POWER
        self._register = 12_345
        self._transaction: int | None = None
        self._stop = asyncio.Event()

    async def begin(self) -> None:
        answer = await self.call(
            call.BootNotification(
                charge_point_vendor="Mobility House",
                charge_point_model="Peer",
                charge_point_serial_number="PY-1",
                firmware_version="2.1",
            )
        )
        say("booted", status=answer.status, interval=answer.interval)
        for connector in (0, 1):
            await self.report(connector, "Available")

    async def report(self, connector: int, status: str) -> None:
        await self.call(
            call.StatusNotification(connector_id=connector, error_code="NoError", status=status, timestamp=now())
        )

    @on(Action.change_configuration)
    def configure(self, key: str, value: str) -> Any:
        say("configured", key=key, value=value)
        return call_result.ChangeConfiguration(status="Accepted")

    @on(Action.trigger_message)
    def trigger(self, requested_message: str, **_: Any) -> Any:
        return call_result.TriggerMessage(status="Accepted" if requested_message == "Heartbeat" else "NotImplemented")

    @after(Action.trigger_message)
    async def triggered(self, requested_message: str, **_: Any) -> None:
        if requested_message == "Heartbeat":
            await self.call(call.Heartbeat())

    @on(Action.remote_start_transaction)
    def start_asked(self, id_tag: str, **_: Any) -> Any:
        return call_result.RemoteStartTransaction(status="Rejected" if self._transaction is not None else "Accepted")

    @after(Action.remote_start_transaction)
    async def start_now(self, id_tag: str, connector_id: int = 1, **_: Any) -> None:
        await self.charge(id_tag, connector_id)

    @on(Action.set_charging_profile)
    def limit(self, connector_id: int, cs_charging_profiles: dict[str, Any]) -> Any:
        if cs_charging_profiles.get("transaction_id") != self._transaction:
            return call_result.SetChargingProfile(status="Rejected")
        schedule = cs_charging_profiles["charging_schedule"]
        limit = float(schedule["charging_schedule_period"][0]["limit"])
        self._limit = limit if schedule["charging_rate_unit"] == "W" else limit * VOLTS
        say("limited", watts=self._limit)
        return call_result.SetChargingProfile(status="Accepted")

    @on(Action.remote_stop_transaction)
    def stop_asked(self, transaction_id: int) -> Any:
        known = transaction_id == self._transaction
        if known:
            self._stop.set()
        return call_result.RemoteStopTransaction(status="Accepted" if known else "Rejected")

    async def charge(self, id_tag: str, connector: int) -> None:
        authorized = await self.call(call.Authorize(id_tag=id_tag))
        await self.report(connector, "Preparing")
        started = await self.call(
            call.StartTransaction(connector_id=connector, id_tag=id_tag, meter_start=self._register, timestamp=now())
        )
        self._transaction = started.transaction_id
        say(
            "started",
            number=started.transaction_id,
            authorized=authorized.id_tag_info["status"],
            accepted=started.id_tag_info["status"],
            register=self._register,
        )
        await self.report(connector, "Charging")
        while not self._stop.is_set():
            await self.sample(connector)
            try:
                await asyncio.wait_for(self._stop.wait(), self._interval)
            except TimeoutError:
                pass
        await self.call(
            call.StopTransaction(
                transaction_id=self._transaction,
                meter_stop=self._register,
                timestamp=now(),
                id_tag=id_tag,
                reason="Remote",
            )
        )
        say("stopped", register=self._register)
        self._transaction = None
        await self.report(connector, "Finishing")
        await self.report(connector, "Available")
        say("free")

    async def sample(self, connector: int) -> None:
        power = min(POWER, self._limit)
        self._register += round(power / 60)
        values = [
            {"value": str(self._register), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": f"{power:.1f}", "measurand": "Power.Active.Import", "unit": "W"},
        ]
        await self.call(
            call.MeterValues(
                connector_id=connector,
                transaction_id=self._transaction,
                meter_value=[{"timestamp": now(), "sampled_value": values}],
            )
        )
        say("sampled", register=self._register, watts=power)


async def end_of_input() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def main(instructions: dict[str, Any]) -> None:
    identity = instructions["identity"]
    token = base64.b64encode(identity.encode() + b":" + bytes.fromhex(instructions["key"])).decode()
    async with websockets.connect(
        f"{instructions['endpoint']}/{quote(identity)}",
        subprotocols=[Subprotocol("ocpp1.6")],
        ssl=ssl.create_default_context(cafile=instructions["ca"]),
        additional_headers={"Authorization": f"Basic {token}"},
    ) as connection:
        say("connected", subprotocol=connection.subprotocol)
        charger = Charger(identity, connection, instructions["interval"])
        reading = asyncio.create_task(charger.start())
        await charger.begin()
        ended = asyncio.create_task(end_of_input())
        await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            await reading  # tells why
        reading.cancel()


asyncio.run(main(json.loads(sys.argv[1])))

"""Chargers in transactions send MeterValues, each the next one once the last is confirmed, over TLS and WebSocket.

A confirmed message is on disk, so this measures the whole way: TLS, frames, decision, commit, reply. The gateway runs
in a process of its own with its default settings; the chargers all run in this one, which takes the other core.
"""

import asyncio
import gc
import json
import os
import platform
import tempfile
import time
from array import array
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from bench.charger import Charger
from bench.serving import Serving, serving

HELP = "MeterValues from many chargers, closed loop: messages/s, latency, CPU per message, memory per session"

CONNECTING = 32
"""Chargers that connect at once."""


@frozen
class Plan:
    """What to do. ``pause``: seconds between a confirmation and the charger's next message."""

    sessions: int
    seconds: float
    warm_up: float
    pause: float


@frozen
class Result:
    """What came of it; latencies in milliseconds, from a message's sending to its confirmation."""

    plan: Plan
    at: str
    machine: dict[str, Any]
    messages: int
    messages_per_second: float
    latency_ms: dict[str, float]
    gateway_cpu_us_per_message: float
    gateway_cores: float
    driver_cores: float
    connects_per_second: float
    rss_kib_per_session: float
    rss_mib_before: float
    rss_mib_after: float
    disk_bytes_per_message: float


async def measure(plan: Plan) -> Result:
    """Start the gateway, connect the chargers, warm up, measure, stop."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder, serving(Path(folder)) as gateway:
        keys = await asyncio.to_thread(gateway.create, [f"CP{n:05}" for n in range(plan.sessions)])
        rss_before = gateway.rss_bytes()
        began = time.perf_counter()
        loads = await _connect(gateway, keys)
        connects_per_second = plan.sessions / (time.perf_counter() - began)
        gc.collect()
        gc.disable()  # a collection in here would look like the gateway's latency
        rss_idle = gateway.rss_bytes()
        running = [asyncio.create_task(load.run(plan.pause)) for load in loads]
        await _sleep(plan.warm_up, running)
        for load in loads:
            load.latencies = array("d")
        cpu, own, disk, begin = gateway.cpu_seconds(), time.process_time(), gateway.disk_bytes(), time.perf_counter()
        await _sleep(plan.seconds, running)
        took = time.perf_counter() - begin
        cpu, own, disk = gateway.cpu_seconds() - cpu, time.process_time() - own, gateway.disk_bytes() - disk
        latencies = sorted(latency for load in loads for latency in load.latencies)
        rss_after = gateway.rss_bytes()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for load in loads:
            load.charger.close()
    if not latencies:
        raise SystemExit("no message was confirmed")
    return Result(
        plan=plan,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine={"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        messages=len(latencies),
        messages_per_second=round(len(latencies) / took, 1),
        latency_ms={
            "p50": _percentile(latencies, 0.50),
            "p90": _percentile(latencies, 0.90),
            "p99": _percentile(latencies, 0.99),
            "max": _percentile(latencies, 1.0),
        },
        gateway_cpu_us_per_message=round(1e6 * cpu / len(latencies), 1),
        gateway_cores=round(cpu / took, 2),
        driver_cores=round(own / took, 2),
        connects_per_second=round(connects_per_second, 1),
        rss_kib_per_session=round((rss_idle - rss_before) / 1024 / plan.sessions, 1),
        rss_mib_before=round(rss_before / 2**20, 1),
        rss_mib_after=round(rss_after / 2**20, 1),
        disk_bytes_per_message=round(disk / len(latencies), 1),
    )


class Load:
    """One charger in its transaction."""

    def __init__(self, charger: Charger, number: int) -> None:
        self.charger = charger
        self.latencies = array("d")
        self._number = number
        self._register = 0

    @classmethod
    async def begin(cls, gateway: Serving, identity: str, key: bytes) -> "Load":
        """Connect, boot, start a transaction."""
        charger = await Charger.connect(gateway, identity, key)
        await charger.call("BootNotification", {"chargePointVendor": "Bench", "chargePointModel": "Load"})
        await charger.call("StatusNotification", {"connectorId": 1, "status": "Charging", "errorCode": "NoError"})
        start = {"connectorId": 1, "idTag": identity, "meterStart": 0, "timestamp": _now()}
        return cls(charger, (await charger.call("StartTransaction", start))["transactionId"])

    async def run(self, pause: float) -> None:
        """Send until cancelled."""
        while True:
            message = self._message()
            begin = time.perf_counter()
            await self.charger.send(message)
            self.latencies.append(time.perf_counter() - begin)
            if pause:
                await asyncio.sleep(pause)

    def _message(self) -> str:
        self._register += 1
        return (
            f'[2,"{self._register}","MeterValues",{{"connectorId":1,"transactionId":{self._number},'
            f'"meterValue":[{{"timestamp":"{_now()}","sampledValue":['
            f'{{"value":"{self._register}","measurand":"Energy.Active.Import.Register","unit":"Wh"}},'
            '{"value":"7360.5","measurand":"Power.Active.Import","unit":"W"}]}]}]'
        )


async def _connect(gateway: Serving, keys: dict[str, bytes]) -> list[Load]:
    places = asyncio.Semaphore(CONNECTING)

    async def one(identity: str, key: bytes) -> Load:
        async with places:
            return await Load.begin(gateway, identity, key)

    return list(await asyncio.gather(*(one(identity, key) for identity, key in keys.items())))


async def _sleep(seconds: float, running: list[asyncio.Task[None]]) -> None:
    """Sleep, unless a charger fails meanwhile."""
    done, _ = await asyncio.wait(running, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _percentile(ordered: list[float], share: float) -> float:
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def as_text(result: Result) -> str:
    """For people."""
    latency = ", ".join(f"{name} {value} ms" for name, value in result.latency_ms.items())
    return (
        f"{result.plan.sessions} sessions, {result.messages} messages confirmed\n"
        f"  {result.messages_per_second:.0f} messages/s\n"
        f"  latency {latency}\n"
        f"  gateway: {result.gateway_cpu_us_per_message:.0f} µs CPU per message, {result.gateway_cores} cores; "
        f"this process: {result.driver_cores} cores\n"
        f"  connecting, booting and starting: {result.connects_per_second:.0f} chargers/s\n"
        f"  memory: {result.rss_kib_per_session} KiB per session; {result.rss_mib_after} MiB in the end\n"
        f"  disk: {result.disk_bytes_per_message:.0f} bytes per message"
    )


def write(result: Result, folder: Path) -> Path:
    """For machines: a JSON file of its own; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"load-{result.at.replace(':', '')}.json"
    path.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return path

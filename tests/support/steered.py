"""A charger with a vehicle that draws what its profiles allow: obedient, or with one of the habits of real ones."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import trio

from gateway.domain.times import format_time
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.wire import FakeTransport

VEHICLE_WATTS = 11_000.0
PHASES = 3
VOLTS = 230.0

SMART = {
    "ChargingScheduleAllowedChargingRateUnit": "Current",
    "ChargeProfileMaxStackLevel": "8",
    "ChargingScheduleMaxPeriods": "24",
    "MaxChargingProfilesInstalled": "10",
    "NumberOfConnectors": "1",
    "SupportedFeatureProfiles": "Core,SmartCharging",
}


class SteeredCharger:
    """One charger over any number of connections. Attributes set by a test are its habits."""

    def __init__(self, harness: Harness, connectors: int = 1) -> None:
        self.harness = harness
        self.configuration = {**SMART, "NumberOfConnectors": str(connectors)}
        self.profiles: dict[int, tuple[int, dict[str, Any]]] = {}
        """By id: connector and profile as sent."""
        self.calls: list[tuple[float, str, dict[str, Any]]] = []
        """The gateway's CALLs: time, action, payload."""
        self.refuses: set[str] = set()
        """Purposes that it answers with Rejected."""
        self.refuses_with = "Rejected"
        self.ignores: set[str] = set()
        """Purposes that it accepts, and does not follow."""
        self.silent: set[str] = set()
        """Actions that it does and does not answer."""
        self.deaf: set[str] = set()
        """Actions that it neither does nor answers."""
        self.unsupported: set[str] = set()
        """Actions that it answers with NotSupported."""
        self.lag = 0.0
        """Seconds until a profile has an effect."""
        self.late = 0.0
        """Seconds until it answers."""
        self.forgets = True
        """Whether its profiles are gone after a boot."""
        self.meters = True
        self.live_phases: int | None = None
        """Phases that the vehicle uses, where the charger reports their currents; None: it does not."""
        self.transaction: int | None = None
        self._since: dict[int, float] = {}
        self._transport: FakeTransport | None = None
        self._answers: dict[str, trio.Event] = {}
        self._replies: dict[str, Any] = {}
        self._nursery: trio.Nursery | None = None

    # --- the connection ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["SteeredCharger"]:
        """While the block runs the charger is connected; then its link is lost."""
        transport = self._transport = FakeTransport()
        async with self.harness.connected(transport=transport) as wire:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._read, transport)
                nursery.start_soon(self._meter)
                yield self
                nursery.cancel_scope.cancel()
            wire.gone = wire.gone or transport.closed_with is not None

    async def _read(self, transport: FakeTransport) -> None:
        assert self._nursery is not None
        try:
            while True:
                frame = json.loads(await transport._from_gateway.receive())
                if frame[0] == 2:
                    self._nursery.start_soon(self._answer, transport, *frame[1:])
                elif frame[1] in self._answers:
                    self._replies[frame[1]] = frame[2]
                    self._answers.pop(frame[1]).set()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            pass

    async def say(self, action: str, payload: Any) -> Any:
        """Send a CALL and wait for its confirmation."""
        assert self._transport is not None
        message_id = uuid.uuid4().hex
        answered = self._answers[message_id] = trio.Event()
        await self._transport._to_gateway.send(json.dumps([2, message_id, action, payload]).encode())
        with trio.fail_after(60):
            await answered.wait()
        return self._replies.pop(message_id)

    async def boot(self) -> None:
        if self.forgets:
            self.profiles.clear()
        await self.say("BootNotification", BOOT)

    async def start(self, connector: int = 1) -> None:
        now = format_time(virtual_clock())
        reply = await self.say(
            "StartTransaction", {"connectorId": connector, "idTag": "TAG", "meterStart": 0, "timestamp": now}
        )
        self.transaction = reply["transactionId"]

    async def stop(self) -> None:
        number, self.transaction = self.transaction, None
        for each in [n for n, (_, profile) in self.profiles.items() if profile.get("transactionId") == number]:
            del self.profiles[each]
        now = format_time(virtual_clock())
        await self.say("StopTransaction", {"transactionId": number, "meterStop": 1000, "timestamp": now})

    # --- the vehicle ------------------------------------------------------------------------------------------

    @property
    def watts(self) -> float:
        """The power that is drawn now."""
        if self.transaction is None:
            return 0.0
        return min([VEHICLE_WATTS, *self.limits()])

    def limits(self, at: datetime | None = None) -> list[float]:
        """The limits (W) of the profiles that hold at a moment, now unless it is given, by purpose."""
        now, found = at or virtual_clock(), []
        followed = [
            (each["stackLevel"], each["chargingProfilePurpose"], each)
            for number, (_, each) in self.profiles.items()
            if each["chargingProfilePurpose"] not in self.ignores
            and trio.current_time() >= self._since.get(number, 0.0) + self.lag
        ]
        purposes = {purpose for _, purpose, _ in followed}
        if "TxProfile" in purposes:
            purposes.discard("TxDefaultProfile")
        for purpose in purposes:
            holding = [
                (level, watts)
                for level, of, each in followed
                if of == purpose and (watts := limit_of(each, now, self.live_phases or PHASES)) is not None
            ]
            if holding:
                found.append(max(holding)[1])
        return found

    async def _meter(self) -> None:
        try:
            while True:
                await trio.sleep(60)
                if self.meters and self.transaction is not None:
                    sampled = [{"value": str(self.watts), "measurand": "Power.Active.Import", "unit": "W"}]
                    if self.live_phases is not None:
                        sampled += self._currents(self.live_phases)
                    value = {"timestamp": format_time(virtual_clock()), "sampledValue": sampled}
                    await self.say(
                        "MeterValues", {"connectorId": 1, "transactionId": self.transaction, "meterValue": [value]}
                    )
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass

    def _currents(self, live: int) -> list[dict[str, str]]:
        each = self.watts / VOLTS / live
        amperes = [each if phase < live else 0.0 for phase in range(PHASES)]
        return [
            {"value": f"{value:.2f}", "measurand": "Current.Import", "unit": "A", "phase": f"L{phase + 1}"}
            for phase, value in enumerate(amperes)
        ]

    # --- what it is asked -------------------------------------------------------------------------------------

    async def _answer(self, transport: FakeTransport, message_id: str, action: str, payload: dict[str, Any]) -> None:
        self.calls.append((trio.current_time(), action, payload))
        if action in self.deaf:
            return
        if action in self.unsupported:
            await self._put(transport, [4, message_id, "NotSupported", "", {}])
            return
        reply = getattr(self, f"_{action}")(payload)
        await trio.sleep(self.late)
        if action not in self.silent:
            await self._put(transport, [3, message_id, reply])

    async def _put(self, transport: FakeTransport, frame: list[Any]) -> None:
        try:
            await transport._to_gateway.send(json.dumps(frame).encode())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def _GetConfiguration(self, payload: dict[str, Any]) -> dict[str, Any]:
        known = [key for key in payload["key"] if key in self.configuration]
        return {
            "configurationKey": [{"key": k, "readonly": True, "value": self.configuration[k]} for k in known],
            "unknownKey": [key for key in payload["key"] if key not in self.configuration],
        }

    def _TriggerMessage(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"status": "Rejected"}

    def _SetChargingProfile(self, payload: dict[str, Any]) -> dict[str, Any]:
        profile, connector = payload["csChargingProfiles"], payload["connectorId"]
        if profile["chargingProfilePurpose"] in self.refuses:
            return {"status": self.refuses_with}
        place = (connector, profile["chargingProfilePurpose"], profile["stackLevel"])
        for number, (on, each) in list(self.profiles.items()):
            if (on, each["chargingProfilePurpose"], each["stackLevel"]) == place:
                del self.profiles[number]
        self.profiles[profile["chargingProfileId"]] = (connector, profile)
        self._since[profile["chargingProfileId"]] = trio.current_time()
        return {"status": "Accepted"}

    def _ClearChargingProfile(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"status": "Accepted" if self.profiles.pop(payload["id"], None) else "Unknown"}

    def _GetCompositeSchedule(self, payload: dict[str, Any]) -> dict[str, Any]:
        start = virtual_clock()
        found: list[dict[str, Any]] = []
        for minute in range(payload["duration"] // 60):
            watts = min(self.limits(start + timedelta(minutes=minute)), default=32 * VOLTS * PHASES)
            amperes = round(watts / VOLTS / PHASES, 1)
            if not found or found[-1]["limit"] != amperes:
                found.append({"startPeriod": minute * 60, "limit": amperes})
        return {
            "status": "Accepted",
            "connectorId": payload["connectorId"],
            "scheduleStart": format_time(start),
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "duration": payload["duration"],
                "chargingSchedulePeriod": found,
            },
        }

    def sent(self, action: str = "SetChargingProfile") -> list[dict[str, Any]]:
        """The payloads of the gateway's CALLs of an action, so far."""
        return [payload for _, of, payload in self.calls if of == action]

    def sent_purposes(self) -> list[str]:
        """The purposes of the profiles that were sent, so far."""
        return [payload["csChargingProfiles"]["chargingProfilePurpose"] for payload in self.sent()]


def limit_of(profile: dict[str, Any], now: datetime, phases: int = PHASES) -> float | None:
    """The limit (W) of a profile at a moment, for a vehicle on so many phases; None: it has none then."""
    schedule = profile["chargingSchedule"]
    start = datetime.fromisoformat(schedule["startSchedule"])
    if now < start or ("validTo" in profile and now >= datetime.fromisoformat(profile["validTo"])):
        return None
    if "duration" in schedule and now >= start + timedelta(seconds=schedule["duration"]):
        return None
    elapsed = (now - start).total_seconds()
    limit = [period["limit"] for period in schedule["chargingSchedulePeriod"] if period["startPeriod"] <= elapsed][-1]
    return float(limit) * (VOLTS * phases if schedule["chargingRateUnit"] == "A" else 1.0)

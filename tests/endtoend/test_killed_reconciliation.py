"""SIGKILL amid reconciliation: what is wanted of a charger is reached after a restart, and a command that may not be
carried out twice is sent once."""

import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import grpc
import pytest
import trio
from attrs import define, field
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import common_pb2 as common
from gateway.api.v1 import operation_pb2 as operations
from gateway.api.v1 import steering_pb2 as pb
from gateway.api.v1.operation_pb2_grpc import OperationServiceStub
from gateway.api.v1.steering_pb2_grpc import SteeringServiceStub
from tests.endtoend.asking import CONNECTOR, failure, in_thread, trigger
from tests.endtoend.charger import SILENT, Charger, chargers, now
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway, eventually
from tests.endtoend.test_operations import meters, watched

SMART = {
    "ChargingScheduleAllowedChargingRateUnit": "Current",
    "ChargeProfileMaxStackLevel": "8",
    "ChargingScheduleMaxPeriods": "24",
    "MaxChargingProfilesInstalled": "10",
    "NumberOfConnectors": "1",
    "SupportedFeatureProfiles": "Core,SmartCharging",
}

WAYS = {"a limit": (9.0,), "a plan": (6.0, 12.0)}
"""Ways to say what is wanted, and the amperes of the profile that brings it onto the charger, period by period."""

WAITS, SENT, TAKEN, ACCEPTED = "it waits", "it was sent", "it was taken", "it was accepted"
"""Points at which the gateway is killed: another command has the wire; the charger has been sent the profile, and has
not got it, or has it and has not answered; or it has answered, and no meter has shown anything yet."""

SENDINGS = {WAITS: 1, SENT: 2, TAKEN: 1, ACCEPTED: 2}
"""Of the profile, in the end. A charger that says that it has it is not sent it again; one that lost it, is."""

IDENTITIES = {(point, way): f"CP{number}-{len(way)}" for number, point in enumerate(SENDINGS) for way in WAYS}


@define
class Wallbox:
    """A charger's profiles, over its connections."""

    identity: str
    key: bytes
    point: str
    profiles: dict[int, dict[str, Any]] = field(factory=dict)
    sent: list[dict[str, Any]] = field(factory=list)
    killed: bool = False

    @property
    def answers(self) -> Mapping[str, Any]:
        return {
            "GetConfiguration": {
                "configurationKey": [{"key": key, "readonly": True, "value": value} for key, value in SMART.items()]
            },
            "SetChargingProfile": self._set,
            "GetCompositeSchedule": self._composite,
            "TriggerMessage": SILENT if self.point == WAITS and not self.killed else {"status": "Accepted"},
        }

    def _set(self, payload: Any) -> Any:
        profile = payload["csChargingProfiles"]
        self.sent.append(profile)
        if self.point != SENT or self.killed:
            self.profiles[profile["chargingProfileId"]] = profile
        return SILENT if self.point in (SENT, TAKEN) and not self.killed else {"status": "Accepted"}

    def _composite(self, payload: Any) -> Any:
        if not self.profiles:
            return {"status": "Rejected"}
        [profile] = self.profiles.values()
        schedule = profile["chargingSchedule"]
        start = schedule.get("startSchedule", now())
        return {"status": "Accepted", "connectorId": 1, "scheduleStart": start, "chargingSchedule": schedule}

    def limits(self) -> list[float]:
        """The amperes of the periods of its only profile; empty: it has none."""
        return [
            period["limit"]
            for profile in self.profiles.values()
            for period in profile["chargingSchedule"]["chargingSchedulePeriod"]
        ]


@asynccontextmanager
async def connected(
    gateway: Gateway, *boxes: Wallbox, boots: Callable[[Wallbox], bool]
) -> AsyncIterator[list[Charger]]:
    """All of them, each with its answers."""
    async with AsyncExitStack() as stack:
        found: list[Charger] = []
        for box in boxes:
            link = chargers(gateway, box.identity, keys=[box.key], answers=dict(box.answers), boot=boots(box))
            found += await stack.enter_async_context(link)
        yield found


def wants(gateway: Gateway, identity: str, way: str) -> None:
    """Have it wanted of the charge point's connector, from an hour ago on."""
    stub = SteeringServiceStub(gateway.channel)

    def amperes(value: float) -> pb.RateLimit:
        return pb.RateLimit(value=value, unit=common.CHARGING_RATE_UNIT_AMPERES)

    def at(hours: float) -> Timestamp:
        made = Timestamp()
        made.FromDatetime(datetime.now(UTC) + timedelta(hours=hours))
        return made

    to: dict[str, Any] = {"charge_point": identity, "request_id": str(uuid.uuid4()), "connector": CONNECTOR}
    if way == "a limit":
        [value] = WAYS[way]
        stub.SetWantedLimit(pb.SetWantedLimitRequest(**to, limit=amperes(value)), timeout=RPC_SECONDS)
    else:
        steps = [pb.PlanStep(start_time=at(n), limit=amperes(value)) for n, value in enumerate(WAYS[way])]
        stub.SetPlan(pb.SetPlanRequest(**to, plan=pb.Plan(steps=steps, end_time=at(3))), timeout=RPC_SECONDS)


def steering(gateway: Gateway, identity: str) -> pb.ConnectorSteering:
    request = pb.GetSteeringRequest(charge_point=identity)
    [found] = SteeringServiceStub(gateway.channel).GetSteering(request, timeout=RPC_SECONDS).connectors
    return found.steering


def learn(gateway: Gateway, identity: str) -> None:
    """Have the gateway know what the charger is able to."""
    request = commands.GetConfigurationRequest(charge_point=identity, request_id=str(uuid.uuid4()))
    gateway.commands.GetConfiguration(request, timeout=RPC_SECONDS)


def steered(gateway: Gateway, identity: str, *, applied: bool) -> pb.ConnectorSteering:
    """Its connector's steering, once the charger has accepted a profile, or (not ``applied``) one is to be sent."""

    def enough(found: pb.ConnectorSteering) -> bool:
        return found.state == pb.STEERING_STATE_APPLIED if applied else found.HasField("charging_profile_id")

    found: pb.ConnectorSteering = eventually("steering", lambda: steering(gateway, identity), enough)
    return found


async def test_what_is_wanted_is_reached_wherever_the_gateway_was_killed(gateway: Gateway) -> None:
    """A limit and a plan, each at every point: one profile under one number, sent no oftener than it has to be."""
    boxes = {
        (point, way): Wallbox(identity, gateway.add_with_new_key(identity), point)
        for (point, way), identity in IDENTITIES.items()
    }
    async with connected(gateway, *boxes.values(), boots=lambda _: True) as connections, trio.open_nursery() as nursery:
        for (point, way), charger in zip(boxes, connections, strict=True):
            identity = IDENTITIES[point, way]
            await in_thread(learn, gateway, identity)
            if point == WAITS:
                nursery.start_soon(in_thread, interrupted, trigger, gateway, identity)
                await charger.is_asked("TriggerMessage")
            await in_thread(wants, gateway, identity, way)
            if point != WAITS:
                await charger.is_asked("SetChargingProfile")
            await in_thread(partial(steered, gateway, identity, applied=point == ACCEPTED))
        await in_thread(gateway.kill)
        for charger in connections:
            await charger.sees_the_end()
    assert {point: len(box.sent) for (point, _), box in boxes.items()} == {WAITS: 0, SENT: 1, TAKEN: 1, ACCEPTED: 1}
    await in_thread(gateway.start)
    for box in boxes.values():
        box.killed = True
        if box.point == ACCEPTED:
            box.profiles.clear()  # it was without power meanwhile
    async with connected(gateway, *boxes.values(), boots=lambda box: box.point == ACCEPTED):
        for (_, way), box in boxes.items():
            shown = await in_thread(partial(steered, gateway, box.identity, applied=True))
            assert box.limits() == list(WAYS[way]), box
            assert list(box.profiles) == [shown.charging_profile_id]
            assert {each["chargingProfileId"] for each in box.sent} == {shown.charging_profile_id}
    assert {point: len(box.sent) for (point, _), box in boxes.items()} == SENDINGS


# --- what may not be done twice -------------------------------------------------------------------------------

ONCE: Mapping[str, Any] = {
    "RemoteStartTransaction": commands.RemoteStartTransactionRequest(id_tag="TAG", connector=CONNECTOR),
    "Reset": commands.ResetRequest(type=commands.RESET_TYPE_HARD),
    "UnlockConnector": commands.UnlockConnectorRequest(connector=CONNECTOR),
    "UpdateFirmware": commands.UpdateFirmwareRequest(
        location="ftp://example.net/f", retrieve_time=Timestamp(seconds=1_800_000_000)
    ),
}
"""Requests of a command by its action, which is the name of its charge point here."""


def interrupted(function: Callable[..., Any], *arguments: Any) -> None:
    """Call what is cut short when the gateway is killed."""
    with pytest.raises(grpc.RpcError) as failed:
        function(*arguments)
    assert failed.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def ask(gateway: Gateway, action: str) -> Any:
    request = type(ONCE[action])()
    request.CopyFrom(ONCE[action])
    request.charge_point, request.request_id = action, "once"
    return getattr(gateway.commands, action)(request, timeout=RPC_SECONDS)


def states(gateway: Gateway) -> dict[str, list[Any]]:
    """The states of the commands that were asked for here, by action."""
    found = {}
    for action in ONCE:
        listed = gateway.commands.ListCommands(commands.ListCommandsRequest(charge_point=action), timeout=RPC_SECONDS)
        found[action] = [each.state for each in listed.commands if each.request_id == "once"]
    return found


def begun(gateway: Gateway) -> operations.Operation:
    request = operations.StartChargingRequest(
        charge_point="operation", request_id="on", id_tag="TAG", connector=CONNECTOR
    )
    return OperationServiceStub(gateway.channel).StartCharging(request, timeout=RPC_SECONDS).operation


async def test_what_may_not_be_done_twice_is_asked_for_once_though_its_outcome_is_unknown(gateway: Gateway) -> None:
    """A RemoteStart, alone and of an operation, a Reset, an UnlockConnector and an UpdateFirmware, the gateway killed
    after each was sent: not after the restart, nor for the caller's repeat; and the operation goes on without."""
    identities = (*ONCE, "operation")
    keys = [gateway.add_with_new_key(identity) for identity in identities]
    gateway.add_tag("TAG")
    silent = dict.fromkeys(ONCE, SILENT)
    async with chargers(gateway, *identities, keys=keys, answers=silent) as connections, trio.open_nursery() as nursery:
        for action, charger in zip(ONCE, connections, strict=False):
            await charger.status("Preparing")
            nursery.start_soon(in_thread, interrupted, ask, gateway, action)
            await charger.is_asked(action)
        await connections[-1].status("Preparing")
        start = await in_thread(begun, gateway)
        await connections[-1].is_asked("RemoteStartTransaction")
        await in_thread(gateway.kill)
        for charger in connections:
            await charger.sees_the_end()
    await in_thread(gateway.start)
    async with chargers(gateway, *identities, keys=keys) as connections:
        for action in ONCE:
            code, reason, _ = await in_thread(failure, ask, gateway, action)
            assert (code, reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN"), action
        unknown = [commands.COMMAND_STATE_OUTCOME_UNKNOWN]
        assert await in_thread(states, gateway) == dict.fromkeys(ONCE, unknown)
        started = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": now()}
        number = (await connections[-1].call("StartTransaction", started))["transactionId"]
        await meters(connections[-1], number, 7000)
        ended = await in_thread(watched, gateway, start)
        assert ended.end == operations.OperationEnd.OPERATION_END_DONE
        for identity in identities:
            await in_thread(trigger, gateway, identity)  # behind all that would have been sent
        for charger in connections:
            assert {action for action, _ in charger.asked} & ONCE.keys() == set()

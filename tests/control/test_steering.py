"""SteeringService over a real server and client, in front of a real store, without sessions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import charge_point_pb2, common_pb2
from gateway.api.v1 import steering_pb2 as pb
from gateway.bridge import Overloaded
from gateway.client import problem_of
from gateway.domain.charging import ProfilePurpose
from gateway.domain.events import ChargePointDisconnected, ChargingProfileInstalled, SteeringChanged
from gateway.domain.steering import Steering, SteeringState
from gateway.errors import CommitUnknown, StoreUnavailable
from tests.control.fakes import NOW, Control
from tests.domain.test_profiles import ONE, profile

AMPERES = common_pb2.CHARGING_RATE_UNIT_AMPERES
CONNECTOR = common_pb2.ConnectorAddress(evse=1, connector=1)


def at(minutes: float) -> Timestamp:
    """A time from now on."""
    made = Timestamp()
    made.FromDatetime(datetime.now(UTC) + timedelta(minutes=minutes))
    return made


def amperes(value: float) -> pb.RateLimit:
    return pb.RateLimit(value=value, unit=AMPERES)


def limit(request_id: str = "r1", value: float = 16, **more: Any) -> pb.SetWantedLimitRequest:
    return pb.SetWantedLimitRequest(
        charge_point="CP1", request_id=request_id, connector=CONNECTOR, limit=amperes(value), **more
    )


def plan(*steps: pb.PlanStep, request_id: str = "r1", end: float = 120, **more: Any) -> pb.SetPlanRequest:
    whole = pb.Plan(steps=steps or [pb.PlanStep(start_time=at(0), limit=amperes(0))], end_time=at(end), **more)
    return pb.SetPlanRequest(charge_point="CP1", request_id=request_id, connector=CONNECTOR, plan=whole, by="optimiser")


async def offline(gateway: Control) -> int:
    """A charge point whose connection has ended."""
    epoch: int = await gateway.charge_point()
    await gateway.append("CP1", epoch, ChargePointDisconnected("closed", "peer"))
    return epoch


async def test_a_limit_is_set_shown_and_lifted(gateway: Control) -> None:
    """Of a charge point that is away."""
    await offline(gateway)
    stub = gateway.client.steering
    made = await gateway.call(stub.SetWantedLimit, limit(until_time=at(60), by="app", why="asked"))
    assert (made.connector, made.revision) == (CONNECTOR, 1)
    shown = await gateway.call(stub.GetSteering, pb.GetSteeringRequest(charge_point="CP1"))
    [steered] = shown.connectors
    assert steered.wanted.standing.limit == amperes(16) == steered.present_limit
    assert steered.steering.state == pb.STEERING_STATE_PENDING
    assert steered.next_change_time == steered.wanted.standing.until_time
    lifted = pb.LiftWantedLimitRequest(charge_point="CP1", request_id="r2", connector=CONNECTOR)
    assert (await gateway.call(stub.LiftWantedLimit, lifted)).revision == 2
    shown = await gateway.call(stub.GetSteering, pb.GetSteeringRequest(charge_point="CP1", connector=CONNECTOR))
    assert not shown.connectors[0].HasField("present_limit")
    assert not shown.connectors[0].wanted.HasField("standing")


async def test_a_plan_comes_back_as_it_was_set(gateway: Control) -> None:
    """With steps without a limit, and what holds after it."""
    await offline(gateway)
    stub = gateway.client.steering
    wished = plan(
        pb.PlanStep(start_time=at(1), limit=pb.RateLimit(value=7360.5, unit=common_pb2.CHARGING_RATE_UNIT_WATTS)),
        pb.PlanStep(start_time=at(31)),
        after=pb.RateLimit(value=6, unit=AMPERES, number_phases=1),
    )
    await gateway.call(stub.SetPlan, wished)
    shown = await gateway.call(stub.GetSteering, pb.GetSteeringRequest(charge_point="CP1"))
    stored, asked = shown.connectors[0].wanted.plan, wished.plan
    assert [step.limit for step in stored.steps] == [step.limit for step in asked.steps]
    assert stored.after == asked.after
    assert abs(stored.end_time.ToDatetime() - asked.end_time.ToDatetime()) < timedelta(milliseconds=1)
    await gateway.call(stub.ClearPlan, pb.ClearPlanRequest(charge_point="CP1", request_id="r2", connector=CONNECTOR))
    shown = await gateway.call(stub.GetSteering, pb.GetSteeringRequest(charge_point="CP1"))
    assert not shown.connectors[0].wanted.HasField("plan")


async def test_no_limit_by_hand_comes_before_a_plan(gateway: Control) -> None:
    """It is another wish than none."""
    await offline(gateway)
    stub = gateway.client.steering
    await gateway.call(stub.SetPlan, plan())
    free = pb.SetWantedLimitRequest(charge_point="CP1", request_id="r2", connector=CONNECTOR, no_limit=True)
    await gateway.call(stub.SetWantedLimit, free)
    shown = await gateway.call(stub.GetSteering, pb.GetSteeringRequest(charge_point="CP1"))
    assert shown.connectors[0].wanted.HasField("standing")
    assert not shown.connectors[0].HasField("present_limit")


async def test_the_same_request_again_is_answered_as_it_was(gateway: Control) -> None:
    """Another one under its id is refused by name."""
    await offline(gateway)
    stub = gateway.client.steering
    first = await gateway.call(stub.SetWantedLimit, limit())
    assert await gateway.call(stub.SetWantedLimit, limit()) == first
    with pytest.raises(grpc.RpcError) as failed:
        await gateway.call(stub.SetWantedLimit, limit(value=10))
    problem = problem_of(failed.value)
    assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")


BAD: list[tuple[str, Any, list[str]]] = [
    ("SetWantedLimit", pb.SetWantedLimitRequest(), ["charge_point", "connector", "wanted"]),
    ("SetWantedLimit", limit(value=3), ["limit.value"]),
    ("SetWantedLimit", limit(value=6.25), ["limit.value"]),
    ("SetWantedLimit", limit(value=float("nan")), ["limit.value"]),
    ("SetWantedLimit", limit(below_minimum=7), ["below_minimum"]),
    ("SetWantedLimit", limit(until_time=at(-1)), ["until_time"]),
    ("SetWantedLimit", limit(request_id="x" * 65), ["request_id"]),
    ("SetWantedLimit", limit(by="x" * 201), ["by"]),
    ("SetPlan", pb.SetPlanRequest(charge_point="CP1", request_id="r", connector=CONNECTOR), ["plan", "plan.end_time"]),
    ("SetPlan", plan(end=-5), ["plan.end_time"]),
    ("SetPlan", plan(pb.PlanStep(limit=amperes(6))), ["plan.steps[0].start_time"]),
    (
        "SetPlan",
        plan(pb.PlanStep(start_time=at(5)), pb.PlanStep(start_time=at(1), limit=amperes(2))),
        ["plan.steps[1].limit.value", "plan.steps[1].start_time"],
    ),
    ("SetPlan", plan(after=amperes(0)), ["plan.after.value"]),
    ("ClearPlan", pb.ClearPlanRequest(charge_point="CP1", request_id="r"), ["connector"]),
]


@pytest.mark.parametrize(("rpc", "request_", "fields"), BAD)
async def test_what_can_not_be_wanted_names_its_fields(
    gateway: Control, rpc: str, request_: Any, fields: list[str]
) -> None:
    """As the request has them; nothing is changed."""
    await offline(gateway)
    with pytest.raises(grpc.RpcError) as failed:
        await gateway.call(getattr(gateway.client.steering, rpc), request_)
    problem = problem_of(failed.value)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert sorted({name for name, _ in problem.violations}) == fields
    shown = await gateway.call(gateway.client.steering.GetSteering, pb.GetSteeringRequest(charge_point="CP1"))
    assert not shown.connectors


async def test_a_limit_below_the_minimum_becomes_a_pause_on_request(gateway: Control) -> None:
    """Otherwise it is refused."""
    await offline(gateway)
    stub = gateway.client.steering
    await gateway.call(stub.SetWantedLimit, limit(value=3, below_minimum=pb.BELOW_MINIMUM_PAUSE))
    shown = await gateway.call(stub.GetSteering, pb.GetSteeringRequest(charge_point="CP1"))
    assert shown.connectors[0].present_limit == amperes(0)


@pytest.mark.parametrize("rpc", ["SetWantedLimit", "GetSteering"])
async def test_an_unknown_charge_point_is_not_found(gateway: Control, rpc: str) -> None:
    """To change and to read."""
    wish = limit() if rpc == "SetWantedLimit" else pb.GetSteeringRequest(charge_point="CP1")
    with pytest.raises(grpc.RpcError) as failed:
        await gateway.call(getattr(gateway.client.steering, rpc), wish)
    problem = problem_of(failed.value)
    assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CHARGE_POINT")


ENDS: dict[str, tuple[Exception, tuple[str, str, str]]] = {
    "too many": (Overloaded("too many calls are under way"), ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS", "")),
    "store away": (StoreUnavailable("secret: the disk is full"), ("UNAVAILABLE", "STORE_UNAVAILABLE", "")),
    "in doubt": (CommitUnknown("secret"), ("UNKNOWN", "OUTCOME_UNKNOWN", "store-unavailable")),
    "bug": (KeyError("secret"), ("UNKNOWN", "OUTCOME_UNKNOWN", "internal-error")),
    "late": (TimeoutError(), ("UNKNOWN", "OUTCOME_UNKNOWN", "deadline")),
}


@pytest.mark.parametrize("error", ENDS)
async def test_a_change_that_failed_says_whether_it_may_have_been_made(
    gateway: Control, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """Nothing is repeated blindly, and no word of the failure is shown."""
    await offline(gateway)
    raised, ending = ENDS[error]

    async def fails(*_: object) -> None:
        raise raised

    if isinstance(raised, Overloaded | TimeoutError):  # on the way
        monkeypatch.setattr(gateway.bridge, "call", fails)
    else:
        monkeypatch.setattr(type(gateway.wanted), "change", fails)
    with pytest.raises(grpc.RpcError) as failed:
        await gateway.call(gateway.client.steering.SetWantedLimit, limit())
    problem = problem_of(failed.value)
    assert (problem.code.name, problem.reason, problem.metadata.get("cause", "")) == ending
    assert (problem.metadata["charge_point"], problem.metadata["request_id"]) == ("CP1", "r1")
    assert "secret" not in str(problem)


async def test_a_change_without_time_is_not_begun(gateway: Control) -> None:
    """The deadline leaves none for the answer."""
    await offline(gateway)
    stub = gateway.client.steering
    with pytest.raises(grpc.RpcError) as failed:
        await gateway.call(stub.SetWantedLimit, limit(), 0.24)
    assert problem_of(failed.value).reason == "DEADLINE"
    shown = await gateway.call(stub.GetSteering, pb.GetSteeringRequest(charge_point="CP1"))
    assert not shown.connectors


async def test_steering_and_profiles_are_shown_with_the_charge_point(gateway: Control) -> None:
    """In GetChargePoint and in GetSteering alike."""
    epoch = await offline(gateway)
    await gateway.call(gateway.client.steering.SetWantedLimit, limit())
    applied = Steering(
        1, SteeringState.APPLIED, NOW, purpose=ProfilePurpose.TX_DEFAULT, profile_id=900_000_012, command_id="cmd_1"
    )
    await gateway.append("CP1", epoch, SteeringChanged(ONE, applied), ChargingProfileInstalled(ONE, profile(7)))
    found = await gateway.call(
        gateway.client.charge_points.GetChargePoint, charge_point_pb2.GetChargePointRequest(identity="CP1")
    )
    shown = await gateway.call(gateway.client.steering.GetSteering, pb.GetSteeringRequest(charge_point="CP1"))
    [steering] = found.charge_point.steering
    assert (steering.state, steering.command_id) == (pb.STEERING_STATE_APPLIED, "cmd_1")
    assert shown.connectors[0].steering == steering
    [installed] = found.charge_point.charging_profiles
    assert installed.profile.charging_profile_id == 7
    assert list(shown.charging_profiles) == [installed]


async def test_the_fleet_is_listed_by_state_in_pages(gateway: Control) -> None:
    """Each connector once."""
    epochs = {}
    for name in ("CP1", "CP2", "CP3"):
        epochs[name] = await gateway.charge_point(name)
        await gateway.append(name, epochs[name], ChargePointDisconnected("closed", "peer"))
        for evse in (1, 2):
            wish = limit(request_id=f"r{evse}")
            wish.charge_point, wish.connector.evse = name, evse
            await gateway.call(gateway.client.steering.SetWantedLimit, wish)
    await gateway.append("CP2", epochs["CP2"], SteeringChanged(ONE, Steering(1, SteeringState.REFUSED, NOW, "no")))
    stub, found, token = gateway.client.steering, [], ""
    while True:
        part = await gateway.call(stub.ListSteering, pb.ListSteeringRequest(page_size=2, page_token=token))
        found += [(each.charge_point, each.steering.connector.evse) for each in part.steering]
        token = part.next_page_token
        if not token:
            break
    assert found == [(name, evse) for name in ("CP1", "CP2", "CP3") for evse in (1, 2)]
    refused = await gateway.call(stub.ListSteering, pb.ListSteeringRequest(state=pb.STEERING_STATE_REFUSED))
    assert [(each.charge_point, each.steering.reason) for each in refused.steering] == [("CP2", "no")]


async def test_a_charge_point_whose_connection_is_another_nodes_is_answered_so(gateway: Control) -> None:
    """It is connected, and no session of this process owns it: the caller repeats."""
    await gateway.charge_point()
    with pytest.raises(grpc.RpcError) as failed:
        await gateway.call(gateway.client.steering.SetWantedLimit, limit())
    problem = problem_of(failed.value)
    assert (problem.code, problem.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")

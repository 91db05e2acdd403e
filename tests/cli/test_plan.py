"""`gateway plan`: what is asked for, and what is shown of it."""

import json

import grpc
import pytest

from gateway.api.v1 import common_pb2 as common
from gateway.api.v1 import steering_pb2 as pb
from gateway.cli.plan import EXAMPLE
from tests.cli.fakes import Failure, at

ONE = common.ConnectorAddress(evse=1, connector=1)
T0 = at("2026-03-01T22:00:00Z")
SIX = pb.RateLimit(value=6, unit=common.CHARGING_RATE_UNIT_AMPERES, number_phases=3)


def test_a_plan_in_a_file_is_set(fake, run, tmp_path):
    """As it is written; for connector 1 unless another is named."""
    fake.answers["SetPlan"] = pb.SetPlanResponse(connector=ONE, revision=3, change_time=T0)
    file = tmp_path / "plan.json"
    file.write_text(EXAMPLE)
    result = run("plan", "set", "HOME-1", str(file), "--request-id", "night-1", "--why", "cheap")
    assert result.exit_code == 0, result.stderr
    assert "revision 3" in result.stdout
    (request,) = fake.asked("SetPlan")
    assert (request.charge_point, request.connector, request.request_id, request.why) == (
        "HOME-1",
        ONE,
        "night-1",
        "cheap",
    )
    assert (request.plan.steps[0].limit.value, request.plan.steps[0].start_time) == (0, T0)
    assert not request.plan.steps[1].HasField("limit")
    assert (request.below_minimum, request.insist) == (pb.BELOW_MINIMUM_REFUSE, False)


def test_a_plan_comes_from_standard_input_for_the_whole_charge_point(fake, run):
    """With what is to become of low limits, and insisting."""
    fake.answers["SetPlan"] = pb.SetPlanResponse(connector=common.ConnectorAddress(), revision=1)
    options = ("--connector", "0", "--pause-below-minimum", "--anyway", "--json")
    result = run("plan", "set", "HOME-1", "-", *options, input=EXAMPLE)
    assert json.loads(result.stdout)["revision"] in (1, "1")
    (request,) = fake.asked("SetPlan")
    assert request.HasField("connector")
    assert request.connector.evse == 0
    assert (request.below_minimum, request.insist) == (pb.BELOW_MINIMUM_PAUSE, True)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"steps": 7}', '{"begin": 1}', "[]", '{"steps": [{"limit": {"value": "1_6"}}]}', '{"steps":' * 3000],
)
def test_a_file_that_is_no_plan_is_refused_with_an_example(fake, run, tmp_path, text):
    """Nothing is sent."""
    file = tmp_path / "plan.json"
    file.write_text(text)
    result = run("plan", "set", "HOME-1", str(file))
    assert result.exit_code == 1
    assert "is no plan" in result.stderr
    assert fake.asked("SetPlan") == []


def test_a_file_that_is_not_there_is_named(fake, run, tmp_path):
    """As a failure, in JSON too."""
    result = run("plan", "set", "HOME-1", str(tmp_path / "none.json"), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["reason"] == "NO_PLAN"


def test_a_refused_plan_names_its_fields(fake, run, tmp_path):
    """By the gateway's words."""
    fake.answers["SetPlan"] = Failure(
        grpc.StatusCode.INVALID_ARGUMENT, "no", "INVALID_REQUEST", violations={"plan.end_time": "is over"}
    )
    file = tmp_path / "plan.json"
    file.write_text(EXAMPLE)
    result = run("plan", "set", "HOME-1", str(file))
    assert result.exit_code != 0
    assert "plan.end_time: is over" in result.stderr


def test_a_plan_is_cleared(fake, run):
    """By connector."""
    fake.answers["ClearPlan"] = pb.ClearPlanResponse(connector=ONE, revision=4)
    assert run("plan", "clear", "HOME-1", "--why", "car is gone").exit_code == 0
    (request,) = fake.asked("ClearPlan")
    assert (request.connector, request.why) == (ONE, "car is gone")


def shown() -> pb.GetSteeringResponse:
    """A plan, and a limit by hand that comes before it."""
    plan = pb.Plan(steps=[pb.PlanStep(start_time=T0)], end_time=T0)
    wanted = pb.Wanted(
        connector=ONE,
        revision=2,
        standing=pb.StandingLimit(limit=pb.RateLimit(unit=SIX.unit), until_time=T0),
        plan=plan,
    )
    steering = pb.ConnectorSteering(
        connector=ONE, revision=2, state=pb.STEERING_STATE_REFUSED, since_time=T0, reason="TxProfile: Rejected"
    )
    return pb.GetSteeringResponse(connectors=[pb.SteeredConnector(wanted=wanted, steering=steering, present_limit=SIX)])


def test_what_is_wanted_is_shown_with_how_far_it_has_got(fake, run):
    """In words, and as JSON whose plan can be set again."""
    fake.answers["GetSteering"] = shown()
    text = run("plan", "show", "HOME-1").stdout
    assert "6 A on 3 phases now, refused: TxProfile: Rejected" in text
    assert "by hand: a pause, until" in text
    assert "plan: 1 steps until" in text
    fake.answers["GetSteering"] = shown()
    printed = json.loads(run("plan", "show", "HOME-1", "--json").stdout)
    assert printed["connectors"][0]["wanted"]["plan"]["steps"] == [{"start_time": "2026-03-01T22:00:00Z"}]


def test_nothing_wanted_is_said(fake, run):
    """Instead of an empty answer."""
    fake.answers["GetSteering"] = pb.GetSteeringResponse()
    assert "nothing is wanted of HOME-1" in run("plan", "show", "HOME-1").stdout


def test_the_fleet_is_listed_by_state(fake, run):
    """A state that is none is refused."""
    fake.answers["ListSteering"] = pb.ListSteeringResponse(
        steering=[pb.ChargePointSteering(charge_point="HOME-1", steering=shown().connectors[0].steering)]
    )
    text = run("plan", "list", "--state", "refused").stdout
    assert "HOME-1" in text
    (request,) = fake.asked("ListSteering")
    assert request.state == pb.STEERING_STATE_REFUSED
    assert run("plan", "list", "--state", "odd").exit_code == 2

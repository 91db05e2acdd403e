"""`gateway fleet summary`: what a person reads, and what a program does."""

import json

from gateway.api.v1 import fleet_pb2 as pb
from gateway.api.v1 import fleet_summary_pb2 as summaries
from gateway.api.v1.charge_point_pb2 import ChargePointCount, Connector
from tests.cli.fakes import at

T0 = at("2024-05-01T10:00:00Z")


def test_a_fleet_is_shown_with_what_is_wrong_with_it(fake, run):
    """Numbers first, then makes, faults, silent and flapping chargers."""
    fault = Connector(connector={"evse": 2, "connector": 1}, error_code="GroundFailure", info="wet", status_time=T0)
    found = summaries.FleetSummary(
        charge_point_count=12,
        charge_point_counts=[ChargePointCount(connected=True, count=7), ChargePointCount(count=5)],
        charging_state_counts=[
            summaries.ChargingStateCount(state=2, count=1),
            summaries.ChargingStateCount(state=4, count=3),
        ],
        make_counts=[
            summaries.MakeCount(vendor="V", model="M", firmware_version="1.2", connected=True, count=7),
            summaries.MakeCount(count=4),
        ],
        other_make_count=1,
        power=summaries.FleetPower(
            watts=7400, reading_count=2, stale_watts=1000, stale_count=1, missing_count=3, unanswered_nodes=[2, 5]
        ),
        faults=[summaries.FleetFault(charge_point="CP7", connector=fault)],
        fault_count=1,
        silent_charge_points=[summaries.SilentChargePoint(charge_point="CP8", since_time=T0)],
        silent_count=1,
        flapping_charge_points=[summaries.FlappingChargePoint(charge_point="CP9", connection_count=11)],
        flapping_count=1,
        operation_counts=[summaries.OperationStageCount(stage=2, count=4)],
        steering_counts=[summaries.SteeringCount(state=3, count=6)],
        history_since_time=T0,
    )
    fake.answers["GetFleetSummary"] = pb.GetFleetSummaryResponse(summary=found)
    shown = run("fleet", "summary").stdout
    assert "12, 7 connected" in shown
    once = " ".join(shown.split())
    assert "7.40 kW on 2 connectors; 1.00 kW more on 1 by old values; 3 charge without saying so" in once
    assert "charge without saying so; without nodes that gave no answer: 2, 5" in once
    assert "3 charging, 1 available" in shown
    assert "and 1 charger of other makes" in shown
    for words in (("V M", "1.2", "7"), ("CP7", "2", "GroundFailure", "wet"), ("CP9", "11"), ("operations sent", "4")):
        assert any(all(word in line for word in words) for line in shown.splitlines()), words
    assert "CP8" in shown
    assert json.loads(run("fleet", "summary", "--json").stdout)["charge_point_count"] == "12"


def test_a_fleet_of_none_is_short(fake, run):
    fake.answers["GetFleetSummary"] = pb.GetFleetSummaryResponse(summary=summaries.FleetSummary())
    shown = run("fleet", "summary").stdout
    assert "0, 0 connected" in shown
    assert "fault " not in shown

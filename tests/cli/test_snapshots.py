"""The present on the command line: once, or as it changes."""

import json

import grpc
import pytest

from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import common_pb2, reading_pb2
from gateway.api.v1 import event_pb2 as events
from gateway.api.v1 import transaction_pb2 as transactions
from tests.cli.fakes import Failure, at

PLACE = common_pb2.ConnectorAddress(evse=1, connector=1)


def test_the_present_of_all_connectors_is_shown(fake, run):
    """In one table, whatever parts it comes in; for programs a line each, and the token of a watch from there."""
    connector = points.Connector(
        connector=PLACE,
        status="Charging",
        charging_state=reading_pb2.CHARGING_STATE_CHARGING,
        latest=reading_pb2.LatestReadings(power=reading_pb2.Reading(value=7360)),
    )
    fake.answers["StreamLatestReadings"] = [
        points.StreamLatestReadingsResponse(
            charge_points=[points.ChargePointReadings(charge_point=name, known=True, connectors=[connector])],
            resume_token=b"token",
        )
        for name in ("CP1", "CP2")
    ]
    result = run("chargers", "readings", "--filter", "connected = true", "--label", "site=north")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["CP1", "1.1", "charging", "Charging", "7,360", "W"] in lines
    assert ["CP2", "1.1", "charging", "Charging", "7,360", "W"] in lines
    (asked,) = fake.asked("StreamLatestReadings")
    assert (asked.filter, dict(asked.labels)) == ("connected = true", {"site": "north"})
    shown = [json.loads(line) for line in run("chargers", "readings", "--json").stdout.splitlines()]
    assert [each.get("charge_point") for each in shown] == ["CP1", "CP2", None]
    assert shown[-1] == {"resume_token": "dG9rZW4"}


def test_open_transactions_are_shown(fake, run):
    """The same of them."""
    one = transactions.Transaction(
        transaction_id="tx_1", charge_point="CP1", connector=PLACE, id_tag="TAG", start_time=at("2026-05-01T10:00:00Z")
    )
    fake.answers["StreamOpenTransactions"] = [
        transactions.StreamOpenTransactionsResponse(transactions=[one], resume_token=b"token")
    ]
    result = run("transactions", "open", "--filter", "id_tag = TAG")
    assert result.exit_code == 0, result.output
    assert ["tx_1", "CP1", "1.1", "TAG"] in [line.split()[:4] for line in result.stdout.splitlines()]
    assert fake.asked("StreamOpenTransactions")[0].filter == "id_tag = TAG"
    shown = [json.loads(line) for line in run("transactions", "open", "--json").stdout.splitlines()]
    assert shown == [{**shown[0], "transaction_id": "tx_1"}, {"resume_token": "dG9rZW4"}]


def test_meter_values_are_watched(fake, run):
    """All as they come, or the newest of each so often."""
    sample = common_pb2.MeterSample(
        charge_point="CP1", connector=PLACE, measurand="Voltage", phase="L1", value="230", unit="V"
    )
    fake.answers["WatchMeterValues"] = [
        events.WatchMeterValuesResponse(samples=[sample], resume_token=b"t"),
        Failure(grpc.StatusCode.OUT_OF_RANGE, "gone", "BELOW_RETENTION"),
    ]
    result = run("meters", "CP1", "--measurand", "Voltage", "--every", "2.5")
    assert "CP1 1.1 Voltage L1 230 V" in result.stdout
    asked = fake.asked("WatchMeterValues")[0]
    assert (list(asked.charge_points), list(asked.measurands)) == (["CP1"], ["Voltage"])
    assert (asked.latest_interval.seconds, asked.latest_interval.nanos) == (2, 500_000_000)
    run("meters")
    assert not fake.asked("WatchMeterValues")[1].HasField("latest_interval")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "0", "3601", "1e300"])
def test_a_pace_that_there_is_not_is_wrong_usage(fake, run, seconds):
    """Nothing is asked, and nothing is a traceback."""
    result = run("meters", "--every", seconds)
    assert result.exit_code == 2
    assert "expected" in result.stderr
    assert fake.requests == []


def test_meter_values_of_a_label_are_watched(fake, run):
    """As events are."""
    fake.answers["WatchMeterValues"] = [Failure(grpc.StatusCode.OUT_OF_RANGE, "gone", "BELOW_RETENTION")]
    run("meters", "--label", "site=north")
    assert dict(fake.asked("WatchMeterValues")[0].labels) == {"site": "north"}

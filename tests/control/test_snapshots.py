"""Snapshots for a cold start, and the present alone of meter values."""

from datetime import timedelta

import pytest
import trio
from google.protobuf.duration_pb2 import Duration

from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import event_pb2 as pb
from gateway.api.v1 import transaction_pb2 as transactions
from gateway.control.services.paging import PART_BYTES, in_parts
from gateway.domain import events as e
from gateway.domain.values import ConnectorAddress
from gateway.store.commits import Append, CreateChargePoint, OpenSession
from tests.control.fakes import NOW
from tests.control.test_events import BEGINNING, FROM_NOW, watch, watch_meters

__all__ = ["watch", "watch_meters"]

ONE = ConnectorAddress(1, 1)
CONNECTED = e.ChargePointConnected("192.0.2.7", "ocpp1.6", 2, "TLSv1.3")
MIB = 1024 * 1024


def meter(value, measurand="Power.Active.Import", at=NOW):
    sample = {"value": str(value), "measurand": measurand, "unit": "W"}
    return e.MeterValuesReported(ONE, ({"timestamp": at.isoformat(), "sampledValue": [sample]},))


async def fleet(gateway, count, site="north"):
    """Charge points with a connector in use and an open transaction each, and readings of that."""
    for number in range(1, count + 1):
        identity = f"CP{number:05}"
        await gateway.journal.commit(CreateChargePoint(identity, "Accepted", (), NOW, labels={"site": site}))
        start = e.TransactionStarted(f"tx_{number}", number, ONE, "TAG", "Accepted", 100, f"key{number}")
        bodies = (e.ConnectorStatusChanged(ONE, "Charging", "NoError"), start, meter(number))
        events = tuple(e.NewEvent(body, NOW + timedelta(seconds=number)) for body in bodies)
        await gateway.journal.commit(OpenSession(identity, CONNECTED, NOW))
        await gateway.journal.commit(Append(identity, 1, events))


async def parts(gateway, rpc, request, timeout=60):
    found = await trio.to_thread.run_sync(lambda: list(rpc(request, timeout=timeout)))
    assert max(each.ByteSize() for each in found) <= MIB
    assert len({each.resume_token for each in found}) == 1
    return found


async def test_the_present_of_all_connectors_comes_in_parts(gateway):
    """As GetLatestReadings has each of them, in the order of the identities."""
    await fleet(gateway, 230)
    client = gateway.client.charge_points
    found = await parts(gateway, client.StreamLatestReadings, points.StreamLatestReadingsRequest())
    shown = [each for part in found for each in part.charge_points]
    assert len(found) > 1
    assert [each.charge_point for each in shown] == [f"CP{number:05}" for number in range(1, 231)]
    asked = points.GetLatestReadingsRequest(charge_points=[each.charge_point for each in shown])
    assert list((await gateway.call(client.GetLatestReadings, asked)).charge_points) == shown
    assert shown[6].connectors[0].latest.power.value == 7


async def test_open_transactions_come_in_parts(gateway):
    """The earliest start first; one that has stopped is in none."""
    await fleet(gateway, 230)
    stopped = e.TransactionStopped("tx_3", ONE, 600, "Local", 500, "TAG", "Accepted")
    await gateway.journal.commit(Append("CP00003", None, (e.NewEvent(stopped, NOW),)))
    client = gateway.client.transactions
    found = await parts(gateway, client.StreamOpenTransactions, transactions.StreamOpenTransactionsRequest())
    assert len(found) > 1
    numbers = [each.number for part in found for each in part.transactions]
    assert numbers == [number for number in range(1, 231) if number != 3]
    full = transactions.StreamOpenTransactionsRequest(filter="charge_point = CP00007")
    assert not (await parts(gateway, client.StreamOpenTransactions, full))[0].transactions[0].HasField("energy_so_far")
    full.view = transactions.TRANSACTION_VIEW_FULL
    (whole,) = (await parts(gateway, client.StreamOpenTransactions, full))[0].transactions
    assert whole.energy_summary.ListFields() != []


async def test_a_snapshot_is_filtered_as_lists_are(gateway, failing):
    """Of nothing it is one message, which has its place in the events all the same."""
    await fleet(gateway, 3)
    client = gateway.client
    request = points.StreamLatestReadingsRequest(filter="identity > CP00001", labels={"site": "north"})
    (part,) = await parts(gateway, client.charge_points.StreamLatestReadings, request)
    assert [each.charge_point for each in part.charge_points] == ["CP00002", "CP00003"]
    request.labels["site"] = "south"
    (nothing,) = await parts(gateway, client.charge_points.StreamLatestReadings, request)
    assert (list(nothing.charge_points), nothing.resume_token != b"") == ([], True)
    wrong = transactions.StreamOpenTransactionsRequest(filter="colour = red")

    def first(asked, timeout):
        return next(client.transactions.StreamOpenTransactions(asked, timeout=timeout))

    assert (await failing(first, wrong)).violations[0][0] == "filter"


async def test_a_watch_from_a_snapshot_misses_nothing(gateway, watch):
    """Also of what was recorded while the snapshot was read."""
    await fleet(gateway, 2)
    client = gateway.client
    (part,) = await parts(gateway, client.charge_points.StreamLatestReadings, points.StreamLatestReadingsRequest())
    await gateway.journal.commit(Append("CP00001", None, (e.NewEvent(meter(4711), NOW),)))
    found, _ = await watch(resume_token=part.resume_token).read(1)
    assert "4711" in found[0].meter_values_reported.meter_value_json


@pytest.mark.parametrize("sizes", [[], [10], [PART_BYTES * 2], [400_000] * 7, [10, PART_BYTES, 10]])
def test_parts_stay_below_their_bound(sizes):
    """All messages, in order; one that is larger by itself comes alone."""
    messages = [pb.Event(event_id="x" * size) for size in sizes]
    found = list(in_parts(messages))
    assert [each for part in found for each in part] == messages
    assert len(found) >= 1
    several = [part for part in found if len(part) > 1]
    assert [part for part in several if pb.WatchEventsResponse(events=part).ByteSize() > MIB] == []


# --- the present of meter values --------------------------------------------------------------------------------


def every(seconds):
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


async def append(gateway, *bodies, identity="CP00001"):
    await gateway.journal.commit(Append(identity, None, tuple(e.NewEvent(body, NOW) for body in bodies)))


def values(response):
    return [(each.charge_point, each.measurand, each.value) for each in response.samples]


async def test_only_the_newest_of_each_series_is_sent(gateway, watch_meters):
    """Of the past at once, then each time the interval is over; what is overtaken is left out."""
    await fleet(gateway, 2)
    power = ["Power.Active.Import"]
    watching = watch_meters(measurands=power, latest_interval=every(0.2), **BEGINNING)
    first = await watching.response()
    while not first.caught_up:
        first = await watching.response()
    for value in range(20):
        await append(gateway, meter(value))
    await append(gateway, meter(5, at=NOW - timedelta(hours=1)), meter(99), identity="CP00002")
    seen = {}
    while seen != {"CP00001": "19", "CP00002": "99"}:
        response = await watching.response()
        found = values(response)
        assert len({each[:2] for each in found}) == len(found)
        seen |= {name: value for name, _, value in found}


async def test_what_is_late_overtakes_nothing(gateway, watch_meters):
    """A charger that was offline sends its past behind its present."""
    await fleet(gateway, 1)
    watching = watch_meters(latest_interval=every(0.1), **FROM_NOW)
    await watching.response()
    await append(gateway, meter(100), meter(1, at=NOW - timedelta(hours=1)))
    response = await watching.response()
    assert values(response) == [("CP00001", "Power.Active.Import", "100")]


async def test_series_are_distinguished(gateway, watch_meters):
    """By charge point and measurand, and by all else that makes them another quantity."""
    await fleet(gateway, 1)
    watching = watch_meters(latest_interval=every(0.1), **FROM_NOW)
    await watching.response()
    phases = [{"value": str(n), "measurand": "Voltage", "phase": f"L{n}"} for n in (1, 2, 3)]
    places = [{"value": "7", "measurand": "Temperature", "location": place} for place in ("Body", "Outlet")]
    report = e.MeterValuesReported(ONE, ({"timestamp": NOW.isoformat(), "sampledValue": [*phases, *places]},))
    await append(gateway, report, report)
    response = await watching.response()
    assert [each.value for each in response.samples] == ["1", "2", "3", "7", "7"]


async def test_it_goes_on_from_its_token(gateway, watch_meters):
    """Which stands for all that its messages hold."""
    await fleet(gateway, 1)
    first = watch_meters(latest_interval=every(0.1), **BEGINNING)
    response = await first.response()
    while not response.samples:
        response = await first.response()
    await append(gateway, meter(77))
    again = watch_meters(latest_interval=every(0.1), resume_token=response.resume_token)
    response = await again.response()
    while not response.samples:
        response = await again.response()
    assert "77" in {each.value for each in response.samples}


async def test_each_of_several_parts_has_a_token_to_go_on_from(gateway, watch_meters, monkeypatch):
    """Until the last part that of the message before: a watch that goes on from there gets all of them again."""
    monkeypatch.setattr("gateway.control.services.paging.PART_BYTES", 100)
    await fleet(gateway, 3)
    watching = watch_meters(measurands=["Power.Active.Import"], latest_interval=every(0.1), **FROM_NOW)
    tokens = [(await watching.response()).resume_token]
    report = [{"value": str(n), "measurand": "Power.Active.Import", "phase": f"L{n}"} for n in (1, 2, 3)]
    body = e.MeterValuesReported(ONE, ({"timestamp": NOW.isoformat(), "sampledValue": report},))
    await append(gateway, body)
    tokens += [(await watching.response()).resume_token for _ in range(4)]  # a derived total comes with the phases
    assert tokens[:4] == tokens[:1] * 4
    assert tokens[4] not in tokens[:4]


@pytest.mark.parametrize("seconds", [0.05, 3601])
async def test_an_interval_has_bounds(gateway, failing, seconds):
    """Neither quicker than a screen can show, nor slower than what is still the present."""
    request = pb.WatchMeterValuesRequest(start_at=pb.WATCH_START_NOW, latest_interval=every(seconds))
    problem = await failing(lambda asked, timeout: next(gateway.client.events.WatchMeterValues(asked)), request)
    assert problem.violations == (("latest_interval", "must be 0.1 to 3600 seconds"),)


async def test_what_waits_for_an_interval_is_bounded(gateway, watch_meters, monkeypatch):
    """At the bound it goes out at once."""
    monkeypatch.setattr("gateway.control.services.latest_samples.MAX_SERIES", 2)
    await fleet(gateway, 2)
    watching = watch_meters(measurands=["Power.Active.Import"], latest_interval=every(3600), **FROM_NOW)
    await watching.response()
    await append(gateway, meter(1))
    await append(gateway, meter(2), identity="CP00002")
    assert len(values(await watching.response())) == 2

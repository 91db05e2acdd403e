"""Watches by labels: those that have them, as that changes, without a gap."""

from decimal import Decimal

import grpc
import pytest
import trio

from gateway.api.v1 import event_pb2 as pb
from gateway.client import problem_of
from gateway.control import label_watches
from gateway.domain import events as e
from gateway.domain.values import ConnectorAddress
from gateway.store.commits import UpdateChargePoint
from tests.control.fakes import NOW

ONE = ConnectorAddress(1, 1)
NORTH = {"site": "north"}
FROM_NOW = {"start_at": pb.WATCH_START_NOW}


async def label(gateway, identity, **labels):
    await gateway.journal.commit(UpdateChargePoint(identity, NOW, labels=labels))


async def happens(gateway, identity, word):
    await gateway.append(identity, 1, e.ConnectorStatusChanged(ONE, word, "NoError"))


class Watch:
    """A watch, read in threads. ``words`` are the statuses of its events."""

    def __init__(self, call):
        self.call = call
        self.token = b""

    async def response(self):
        with trio.fail_after(60):
            found = await trio.to_thread.run_sync(next, self.call)
        self.token = found.resume_token
        return found

    async def words(self, count):
        found = []
        while len(found) < count:
            for each in (await self.response()).events:
                if each.type == "connector.status_changed":
                    found.append((each.charge_point, each.connector_status_changed.status))
        return found


@pytest.fixture
async def fleet(gateway):
    """IN is north, OUT is south."""
    for identity, site in (("IN", "north"), ("OUT", "south")):
        await gateway.charge_point(identity)
        await label(gateway, identity, site=site)
    return gateway


def watching(gateway, **fields):
    return Watch(gateway.client.events.WatchEvents(pb.WatchEventsRequest(**fields), timeout=60))


async def test_only_those_with_the_labels_are_watched(fleet):
    """Also of those that are named; none has them: nothing comes, and not all."""
    await happens(fleet, "IN", "Available")
    await happens(fleet, "OUT", "Available")
    await happens(fleet, "IN", "Faulted")
    beginning = {"start_at": pb.WATCH_START_BEGINNING}
    expected = [("IN", "Available"), ("IN", "Faulted")]
    assert await watching(fleet, labels=NORTH, **beginning).words(2) == expected
    assert await watching(fleet, labels=NORTH, charge_points=["IN", "OUT"], **beginning).words(2) == expected
    for nothing in ({"labels": NORTH, "charge_points": ["OUT"]}, {"labels": {"site": "east"}}):
        watch = watching(fleet, **nothing, **beginning)
        responses = [await watch.response()]
        while not responses[-1].caught_up:
            responses.append(await watch.response())
        assert [event for each in responses for event in each.events] == []


async def test_a_charge_point_that_gets_the_labels_is_there_from_then_on(fleet):
    """And one that loses them is not; nothing between is missed, and nothing comes twice."""
    watch = watching(fleet, labels=NORTH, **FROM_NOW)
    await watch.response()
    await happens(fleet, "OUT", "Available")
    await happens(fleet, "IN", "Available")
    assert await watch.words(1) == [("IN", "Available")]
    await label(fleet, "OUT", site="north")
    await happens(fleet, "OUT", "Faulted")
    assert await watch.words(1) == [("OUT", "Faulted")]
    await label(fleet, "IN", site="south")
    await happens(fleet, "IN", "Faulted")
    await happens(fleet, "OUT", "Preparing")
    assert await watch.words(1) == [("OUT", "Preparing")]


async def test_a_watch_goes_on_by_its_token(fleet):
    """With the labels as they are then."""
    watch = watching(fleet, labels=NORTH, **FROM_NOW)
    await watch.response()
    await happens(fleet, "IN", "Available")
    await watch.words(1)
    watch.call.cancel()
    await happens(fleet, "OUT", "Faulted")
    await label(fleet, "OUT", site="north")
    again = watching(fleet, labels=NORTH, resume_token=watch.token)
    assert await again.words(1) == [("OUT", "Faulted")]


async def test_meter_values_are_watched_by_labels(fleet):
    """As all events are."""
    watch = fleet.client.events.WatchMeterValues(pb.WatchMeterValuesRequest(labels=NORTH, **FROM_NOW), timeout=60)
    await trio.to_thread.run_sync(next, watch)
    for identity in ("OUT", "IN"):
        values = ({"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": str(Decimal(7))}]},)
        await fleet.append(identity, 1, e.MeterValuesReported(ONE, values))
    with trio.fail_after(60):
        samples = []
        while not samples:
            samples += (await trio.to_thread.run_sync(next, watch)).samples
    assert {each.charge_point for each in samples} == {"IN"}


@pytest.mark.parametrize("labels", [{"": "x"}, {"a b": "x"}, {"a": "x" * 200}])
async def test_labels_that_can_not_be_are_refused(gateway, labels):
    """By their field."""
    problem = await refusal(watching(gateway, labels=labels, **FROM_NOW))
    assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert next(iter(problem.violations))[0].startswith("labels")


async def refusal(watch):
    with pytest.raises(grpc.RpcError) as caught:
        await watch.response()
    return problem_of(caught.value)


async def test_too_many_are_refused(fleet, monkeypatch):
    """By the field."""
    monkeypatch.setattr(label_watches, "MAX_LABELLED", 2)
    await label(fleet, "OUT", site="north")
    problem = await refusal(watching(fleet, labels=NORTH, **FROM_NOW))
    assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")

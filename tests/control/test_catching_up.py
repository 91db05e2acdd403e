"""A watch says when it has caught up and how far behind it is, and refuses what there never was."""

import pytest
import trio

from gateway.api.v1 import event_pb2 as pb
from gateway.control.server import ControlSettings
from gateway.domain.events import MeterValuesReported
from gateway.domain.measurements import MEASURANDS
from gateway.domain.values import ConnectorAddress
from gateway.store.commits import CreateChargePoint, DeleteChargePoint
from tests.control.fakes import NOW, control
from tests.control.test_events import BEGINNING, FROM_NOW, METER_VALUE, watch, watch_meters

__all__ = ["watch", "watch_meters"]


async def created(gateway, *identities):
    for identity in identities:
        await gateway.journal.commit(CreateChargePoint(identity, "Accepted", (), NOW))


async def test_a_watch_of_the_past_says_when_it_has_caught_up(gateway, watch):
    """With the message that brings it to where the store was when it began, and from then on with each."""
    await created(gateway, *(f"CP{number:03}" for number in range(250)))
    watching = watch(**BEGINNING)
    seen, flags, behind = 0, [], []
    while not flags or not flags[-1]:
        response = await watching.response()
        seen += len(response.events)
        flags.append(response.caught_up)
        behind.append(response.events_behind)
    assert seen == 250
    assert flags == [False] * (len(flags) - 1) + [True]
    assert behind == sorted(behind, reverse=True)
    assert (behind[0], behind[-1]) == (250, 0)
    await created(gateway, "CP999")
    response = await watching.response()
    assert (len(response.events), response.caught_up, response.events_behind) == (1, True, 0)


async def test_a_watch_of_the_present_has_caught_up_at_once(gateway, watch):
    """Its first message says so, and so does that of one that goes on from there."""
    await created(gateway, "CP1")
    first = await watch(**FROM_NOW).response()
    assert (first.caught_up, first.events_behind) == (True, 0)
    again = await watch(resume_token=first.resume_token).response()
    assert again.caught_up


async def test_a_filter_that_lets_nothing_through_catches_up_as_well(gateway, watch, watch_meters):
    """With an empty message: a client that waits for the past to be over does not wait for ever."""
    await created(gateway, "CP1", "CP2")
    for watching in (watch(types=["charge_point.booted"], **BEGINNING), watch_meters(**BEGINNING)):
        with trio.fail_after(60):
            while not (response := await watching.response()).caught_up:
                assert response.events_behind > 0
        assert response.events_behind == 0


@pytest.mark.parametrize("kind", ["WatchEvents", "WatchMeterValues"])
@pytest.mark.parametrize("more", [{}, {"charge_points": ["CP1"]}, {"labels": {"site": "north"}}])
async def test_catching_up_does_not_wait_for_the_sign_of_life(tmp_path, kind, more):
    """A client that begins in the past shows the present at once, whatever its filter keeps back."""
    async with control(tmp_path, ControlSettings(port=0, idle=3600)) as gateway:
        await created(gateway, "CP1", "CP2")
        types = {"types": ["charge_point.booted"]} if kind == "WatchEvents" else {}
        request = getattr(pb, f"{kind}Request")(**types, **more, **BEGINNING)
        watching = getattr(gateway.client.events, kind)(request, timeout=60)

        def caught_up():
            responses = [next(watching)]
            while not responses[-1].caught_up:
                responses.append(next(watching))
            watching.cancel()
            return responses

        responses = await trio.to_thread.run_sync(caught_up)
        assert sum(map(len, ([*getattr(each, "events", ()), *getattr(each, "samples", ())] for each in responses))) == 0
        assert responses[-1].events_behind == 0


async def test_meter_values_say_it_too(gateway, watch_meters):
    """In the place of the samples that a measurand leaves out."""
    epoch = await gateway.charge_point()
    await gateway.append("CP1", epoch, MeterValuesReported(ConnectorAddress(1, 1), METER_VALUE))
    watching = watch_meters(measurands=["RPM"], **BEGINNING)
    responses = [await watching.response()]
    while not responses[-1].caught_up:
        responses.append(await watching.response())
    assert [len(each.samples) for each in responses] == [0] * len(responses)


@pytest.mark.parametrize("kind", ["WatchEvents", "WatchMeterValues"])
async def test_a_charge_point_that_there_never_was_is_refused(gateway, failing, kind):
    """By its place in the list; one that was deleted has a history that may be watched."""
    await created(gateway, "CP1", "CP2")
    await gateway.journal.commit(DeleteChargePoint("CP2", NOW))
    rpc = getattr(gateway.client.events, kind)
    request = getattr(pb, f"{kind}Request")(start_at=pb.WATCH_START_BEGINNING)

    def first(asked, timeout):
        return next(rpc(asked, timeout=timeout))

    request.charge_points.extend(["CP1", "cp1", "CP2", "CP3"])
    problem = await failing(first, request)
    assert (problem.code.name, problem.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert problem.violations == (
        ("charge_points[1]", "there is no charge point cp1"),
        ("charge_points[3]", "there is no charge point CP3"),
    )
    request.charge_points[:] = ["CP1", "CP2"]
    assert (await gateway.call(first, request)).resume_token != b""


async def test_a_measurand_that_ocpp_does_not_have_is_refused(gateway, failing, watch_meters):
    """All 22 are taken; case matters, as in OCPP."""
    assert len(MEASURANDS) == 22
    await watch_meters(measurands=sorted(MEASURANDS), **FROM_NOW).response()
    request = pb.WatchMeterValuesRequest(measurands=["SoC", "soc"], start_at=pb.WATCH_START_NOW)
    problem = await failing(lambda asked, timeout: next(gateway.client.events.WatchMeterValues(asked)), request)
    assert problem.violations == (("measurands[1]", "there is no measurand soc"),)


def test_the_measurands_are_those_of_the_schemas():
    """None is misspelt."""
    from ocpp.v16.enums import Measurand

    assert {each.value for each in Measurand} == MEASURANDS

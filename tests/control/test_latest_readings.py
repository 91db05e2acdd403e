"""Charging states and newest readings over gRPC: of connected charge points and of others, of one and of many."""

from datetime import timedelta

import grpc
import pytest

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.api.v1 import reading_pb2 as rd
from gateway.domain.charging_state import ChargingState, Followed, StateBasis, Verdict
from gateway.domain.events import (
    ChargePointConnected,
    ChargePointDisconnected,
    ConnectorChargingStateChanged,
    ConnectorStatusChanged,
    MeterValuesReported,
    NewEvent,
)
from gateway.domain.latest import LatestMessages
from gateway.domain.records import LiveSession
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.commits import Append, CreateChargePoint, OpenSession
from tests.control.fakes import NOW
from tests.domain.test_readings import POWER, REGISTER, sample

ONE = ConnectorAddress(1, 1)
CONNECTED = ChargePointConnected("192.0.2.1:4711", "ocpp1.6", 2)
AWAY = NOW + timedelta(minutes=10)


def values(seconds=60, power="7000", connector=ONE, **more):
    time = NOW + timedelta(seconds=seconds)
    sampled = [sample(power, POWER), sample("1234.5", REGISTER), sample("55", "SoC", **more)]
    body = MeterValuesReported(connector, ({"timestamp": time.isoformat(), "sampledValue": sampled},))
    return NewEvent(body, time, time, time.isoformat())


def status(word="Charging"):
    return NewEvent(ConnectorStatusChanged(ONE, word, "NoError"), NOW)


def state(of=ChargingState.CHARGING, basis=StateBasis.STATUS_AND_POWER):
    body = ConnectorChargingStateChanged(ONE, of, ChargingState.UNKNOWN, basis)
    return NewEvent(body, NOW + timedelta(seconds=60))


def gone(*events, at=AWAY, recorded=True):
    """The end of a connection, as its session records it, or as the store does without one."""
    messages = LatestMessages()
    for event in events:
        messages.add(event.body, event, False)
    left = messages.view().encoded() if recorded else None
    return NewEvent(ChargePointDisconnected("closed", "peer", latest=left), at)


@pytest.fixture
def shown(gateway):
    async def get(identity="CP1"):
        answer = await gateway.call(
            gateway.client.charge_points.GetChargePoint, pb.GetChargePointRequest(identity=identity)
        )
        return answer.charge_point.connectors

    return get


async def append(gateway, epoch, *events, identity="CP1"):
    await gateway.journal.commit(Append(identity, epoch, events))


async def test_a_connected_charge_point_answers_from_its_owners_state(gateway, shown):
    """The session's charging state and messages, not the store's."""
    epoch = await gateway.charge_point()
    await append(gateway, epoch, status())
    messages = LatestMessages()
    event = values()
    messages.add(event.body, event, True)
    verdict = Verdict(ChargingState.CHARGING, StateBasis.STATUS_AND_POWER)
    charging = {(1, 1): Followed(verdict, NOW + timedelta(seconds=5))}
    gateway.commands.connections["CP1"] = LiveSession(epoch, NOW, charging, messages.view())
    [found] = await shown()
    assert (found.charging_state, found.charging_state_basis) == (
        rd.CHARGING_STATE_CHARGING,
        rd.CHARGING_STATE_BASIS_STATUS_AND_POWER,
    )
    assert found.charging_state_since_time.ToSeconds() == (NOW + timedelta(seconds=5)).timestamp()
    latest = found.latest
    assert (latest.power.value, latest.power.source) == (7000.0, rd.VALUE_SOURCE_MEASURED)
    assert latest.power.time.ToSeconds() == (NOW + timedelta(seconds=60)).timestamp()
    assert latest.energy_register.energy.milliwatt_hours == 1_234_500
    assert latest.state_of_charge.value == 55
    assert not latest.HasField("voltage")
    assert latest.rules_version == 1


async def test_another_sessions_state_is_not_shown_for_it(gateway, shown):
    """Of a session that has been displaced."""
    epoch = await gateway.charge_point()
    await append(gateway, epoch, status(), values(), state())
    gateway.commands.connections["CP1"] = LiveSession(epoch - 1, NOW)
    [found] = await shown()
    assert (found.charging_state, found.latest.power.value) == (rd.CHARGING_STATE_CHARGING, 7000)


@pytest.mark.parametrize("recorded", [True, False])
async def test_an_offline_charge_point_is_shown_from_the_store(gateway, shown, recorded):
    """As its session left it, or, if that could not record its end, from its newest events."""
    epoch = await gateway.charge_point()
    ends = gone(values(), recorded=recorded)
    await append(gateway, epoch, status(), values(), state(), ends)
    [found] = await shown()
    assert (found.latest.power.value, found.latest.state_of_charge.value) == (7000.0, 55.0)
    assert found.latest.energy_register.energy.watt_hours == "1234.5"


async def test_what_came_after_a_recorded_end_is_found_too(gateway, shown):
    """A session that did not record its end goes on from one that did."""
    epoch = await gateway.charge_point()
    await append(gateway, epoch, status(), values(), gone(values()))
    connected = await gateway.journal.commit(OpenSession("CP1", CONNECTED, NOW + timedelta(minutes=11)))
    time = NOW + timedelta(seconds=700)
    body = MeterValuesReported(ONE, ({"timestamp": time.isoformat(), "sampledValue": [sample("3000", POWER)]},))
    await append(gateway, connected.epoch, NewEvent(body, time, time, time.isoformat()))
    [found] = await shown()
    assert (found.latest.power.value, found.latest.state_of_charge.value) == (3000.0, 55.0)


async def test_offline_is_unknown_after_the_grace(gateway, shown, monkeypatch):
    """Worked out when it is read: no event says so. (The gateway's clock is that of the machine, long after.)"""
    epoch = await gateway.charge_point()
    await append(gateway, epoch, status(), state(), gone())
    [found] = await shown()
    assert (found.charging_state, found.charging_state_basis) == (
        rd.CHARGING_STATE_UNKNOWN,
        rd.CHARGING_STATE_BASIS_OFFLINE,
    )
    assert found.charging_state_since_time.ToSeconds() == (AWAY + timedelta(minutes=5)).timestamp()


async def test_a_connector_without_a_status_is_shown_with_its_readings(gateway, shown):
    """The main meter has no charging state; it has readings."""
    epoch = await gateway.charge_point()
    main = values(connector=ConnectorAddress(0, 0))
    await append(gateway, epoch, main, gone(main))
    [found] = await shown()
    assert (found.status, found.HasField("status_time")) == ("", False)
    assert found.charging_state == rd.CHARGING_STATE_UNSPECIFIED
    assert found.latest.power.value == 7000


async def test_a_deleted_charge_points_readings_are_not_its_successors(gateway, shown):
    """Another unit may come under its identity later."""
    epoch = await gateway.charge_point()
    await append(gateway, epoch, status(), values(), state(), gone(values()))
    delete = pb.DeleteChargePointRequest(identity="CP1")
    await gateway.call(gateway.client.charge_points.DeleteChargePoint, delete)
    await gateway.journal.commit(CreateChargePoint("CP1", Registration.ACCEPTED, (), NOW))
    assert list(await shown()) == []
    await gateway.journal.commit(OpenSession("CP1", CONNECTED, NOW + timedelta(minutes=20)))
    assert list(await shown()) == []


async def latest(gateway, *identities):
    request = pb.GetLatestReadingsRequest(charge_points=identities)
    answer = await gateway.call(gateway.client.charge_points.GetLatestReadings, request)
    return answer.charge_points


async def test_many_are_answered_at_once_in_the_order_asked_for(gateway):
    """One that is not known is said to be so."""
    for identity in ("CP1", "CP2"):
        epoch = await gateway.charge_point(identity)
        await append(gateway, epoch, status(), values(), gone(values()), identity=identity)
    await gateway.charge_point("CP3")
    found = await latest(gateway, "CP3", "CP2", "nobody", "CP1")
    assert [(each.charge_point, each.known, each.connected) for each in found] == [
        ("CP3", True, True),
        ("CP2", True, False),
        ("nobody", False, False),
        ("CP1", True, False),
    ]
    assert [len(each.connectors) for each in found] == [0, 1, 0, 1]
    assert found[1].connectors[0].latest.power.value == 7000


@pytest.mark.parametrize(
    ("identities", "field", "reason"),
    [
        ([], "charge_points", "must name at least one"),
        (["CP1", ""], "charge_points[1]", "must be set"),
        (["CP1", "CP2", "CP1"], "charge_points[2]", "repeats charge_points[0]"),
        ([f"CP{n}" for n in range(1001)], "charge_points", "must name at most 1,000; there are 1,001"),
    ],
)
async def test_a_batch_that_is_not_in_order_is_refused_by_field_and_index(gateway, failing, identities, field, reason):
    """INVALID_ARGUMENT."""
    request = pb.GetLatestReadingsRequest(charge_points=identities)
    problem = await failing(gateway.client.charge_points.GetLatestReadings, request)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert problem.violations == ((field, reason),)


async def test_a_cold_start_takes_two_reads_a_page(gateway, monkeypatch):
    """2,000 charge points: no read for each. Those whose sessions recorded their end need no event at all."""
    count = 2000
    creations = [CreateChargePoint(f"CP{n:04}", Registration.ACCEPTED, (), NOW) for n in range(count)]
    gateway.store.commit(creations)
    for n in range(0, count, 50):
        identity = f"CP{n:04}"
        [opened] = gateway.store.commit([OpenSession(identity, CONNECTED, NOW)])
        gateway.store.commit([Append(identity, opened.epoch, (status(), values(), state(), gone(values())))])
    reads, statements = [], []
    journal, store = type(gateway.journal), type(gateway.store)
    read, newest = journal.read, store.newest_values

    async def counted(self, fn, *args):
        reads.append(fn)
        return await read(self, fn, *args)

    def scanned(self, identities):
        statements.append(identities)
        return newest(self, identities)

    monkeypatch.setattr(journal, "read", counted)
    monkeypatch.setattr(store, "newest_values", scanned)
    seen, token, pages = {}, "", 0
    while True:
        request = pb.ListChargePointsRequest(page_size=1000, page_token=token)
        answer = await gateway.call(gateway.client.charge_points.ListChargePoints, request)
        seen |= {each.identity: each for each in answer.charge_points}
        token, pages = answer.next_page_token, pages + 1
        if not token:
            break
    assert len(seen) == count
    assert seen["CP0050"].connectors[0].latest.power.value == 7000
    assert len(reads) <= 2 * pages
    assert pages <= 3
    reads.clear()
    found = await latest(gateway, *sorted(seen)[:1000])
    assert len(found) == 1000
    assert len(reads) == 2
    assert statements == []

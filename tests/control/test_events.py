"""EventService over a real server and client, in front of a real store, journal and feed."""

import random
from collections import deque
from datetime import UTC, timedelta
from decimal import Decimal

import grpc
import pytest
import trio
from google.protobuf.message_factory import GetMessageClass

from gateway.api.v1 import common_pb2
from gateway.api.v1 import event_pb2 as pb
from gateway.api.v1 import reading_pb2 as rd
from gateway.client import problem_of
from gateway.control.convert.events import _BODIES, event
from gateway.domain import events as e
from gateway.domain.charging import (
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    SchedulePeriod,
)
from gateway.domain.charging_state import ChargingState, StateBasis
from gateway.domain.codec import encode
from gateway.domain.commands import ChargerError, ConfigurationKey, StatusAnswer, UpdateType
from gateway.domain.operations import End, OperationKind, OperationRequest, Stage
from gateway.domain.records import LiveSession as Live
from gateway.domain.signing import SigningEnd
from gateway.domain.steering import Plan, PlanStep, RateLimit, StandingLimit, Steering, SteeringState, Wanted
from gateway.domain.values import ConnectorAddress, Flag, Registration
from gateway.feed import tokens
from gateway.store.api import generation_at
from gateway.store.commits import Trim
from tests.control.fakes import NOW, control

BEGINNING = {"start_at": pb.WATCH_START_BEGINNING}
FROM_NOW = {"start_at": pb.WATCH_START_NOW}
ONE = ConnectorAddress(1, 1)


def status(text):
    return e.ConnectorStatusChanged(ONE, text, "NoError")


class Watch:
    """A stream's responses, read in threads."""

    def __init__(self, call):
        self._call = call

    async def response(self):
        with trio.fail_after(60):
            return await trio.to_thread.run_sync(next, self._call)

    async def read(self, count, field="events"):
        """Items until there are ``count``; and the token after them."""
        items = []
        while len(items) < count:
            response = await self.response()
            items += getattr(response, field)
        return items, response.resume_token

    async def problem(self):
        """The error that it ends in."""

        def exhaust():
            deque(self._call, maxlen=0)

        with trio.fail_after(60), pytest.raises(grpc.RpcError) as caught:
            await trio.to_thread.run_sync(exhaust)
        return problem_of(caught.value)

    def cancel(self):
        self._call.cancel()


@pytest.fixture
def watch(gateway):
    """Open watches of events; all are cancelled at the end."""
    calls = []

    def start(**fields):
        calls.append(gateway.client.events.WatchEvents(pb.WatchEventsRequest(**fields), timeout=60))
        return Watch(calls[-1])

    yield start
    for call in calls:
        call.cancel()


@pytest.fixture
def watch_meters(gateway):
    calls = []

    def start(**fields):
        calls.append(gateway.client.events.WatchMeterValues(pb.WatchMeterValuesRequest(**fields), timeout=60))
        return Watch(calls[-1])

    yield start
    for call in calls:
        call.cancel()


async def test_a_watch_from_the_beginning_gives_all_that_was_recorded_in_order(gateway, watch):
    """With the envelope of each: who, when by whose clock, why, and what to look twice at."""
    epoch = await gateway.charge_point()
    at = NOW - timedelta(hours=3)
    await gateway.append("CP1", epoch, status("Charging"), reported_at=at, flags=(Flag.LATE, Flag.DEVIATES))
    await gateway.append("CP1", epoch, e.CommandSent("cmd_1", "Reset"), cause="command:cmd_1")
    events, _ = await watch(**BEGINNING).read(4)
    assert [each.type for each in events] == [
        "charge_point.created",
        "charge_point.connected",
        "connector.status_changed",
        "command.sent",
    ]
    changed = events[2]
    assert changed.event_id
    assert (changed.charge_point, changed.epoch, changed.schema_version) == ("CP1", epoch, 1)
    assert changed.receive_time.ToDatetime(UTC) == NOW + timedelta(minutes=1)
    assert changed.report_time.ToDatetime(UTC) == at
    assert changed.report_time_raw == "raw"
    assert list(changed.flags) == [common_pb2.QUALITY_FLAG_LATE, common_pb2.QUALITY_FLAG_DEVIATES]
    assert changed.message_id == "m1"
    assert changed.connector_status_changed.status == "Charging"
    assert events[3].command_id == "cmd_1"
    assert not events[0].WhichOneof("cause")
    assert not events[0].HasField("report_time")


async def test_a_watch_from_now_gives_only_what_comes_after_its_first_message(gateway, watch):
    """The first message comes at once and says that the watch stands."""
    epoch = await gateway.charge_point()
    watching = watch(**FROM_NOW)
    first = await watching.response()
    assert not first.events
    assert first.resume_token
    await gateway.append("CP1", epoch, status("Available"))
    events, _ = await watching.read(1)
    assert events[0].connector_status_changed.status == "Available"


async def test_a_resumed_watch_misses_nothing_and_repeats_nothing_dealt_with(gateway, watch):
    """Whatever the filter of the first one was."""
    epoch = await gateway.charge_point()
    await gateway.append("CP1", epoch, *(status(f"s{n}") for n in range(3)))
    watching = watch(**BEGINNING)
    _, token = await watching.read(5)
    watching.cancel()
    await gateway.append("CP1", epoch, *(status(f"s{n}") for n in range(3, 250)))
    events, _ = await watch(resume_token=token).read(247)
    assert [each.connector_status_changed.status for each in events] == [f"s{n}" for n in range(3, 250)]


async def test_meter_values_come_with_normalised_readings_for_those_who_ask(gateway, watch):
    """Beside the values as sent; of the same event others get it without."""
    epoch = await gateway.charge_point()
    sampled = [
        {"value": "10", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
        {"value": "230", "measurand": "Voltage", "unit": "V", "phase": "L1"},
    ]
    values = ({"timestamp": NOW.isoformat(), "sampledValue": sampled},)
    await gateway.append("CP1", epoch, e.MeterValuesReported(ONE, values), status("Charging"), flags=(Flag.LATE,))
    asked, _ = await watch(normalised_readings=True, **BEGINNING).read(4)
    plain, _ = await watch(**BEGINNING).read(4)
    assert [each.event_id for each in asked] == [each.event_id for each in plain]
    assert not plain[2].meter_values_reported.HasField("readings")
    readings = asked[2].meter_values_reported.readings
    assert readings.rules_version == 1
    shown = [(each.kind, each.phase, each.value, each.source, each.estimated) for each in readings.readings]
    assert shown[0] == (rd.READING_KIND_POWER, "", 2300.0, rd.VALUE_SOURCE_CURRENT_VOLTAGE, False)
    assert (rd.READING_KIND_CURRENT, "L1", 10.0, rd.VALUE_SOURCE_MEASURED, False) in shown
    assert readings.readings[0].flags[0] == common_pb2.QUALITY_FLAG_LATE
    assert asked[3] == plain[3]
    asked[2].meter_values_reported.ClearField("readings")
    assert asked[2] == plain[2]


async def test_filters_by_charge_point_and_type_hold_and_progress_is_reported(gateway, watch):
    """An idle watcher's token moves on past what its filter kept back."""
    first, second = await gateway.charge_point("CP1"), await gateway.charge_point("CP2")
    watching = watch(charge_points=["CP2"], types=["connector.status_changed"], **FROM_NOW)
    token = (await watching.response()).resume_token
    await gateway.append("CP1", first, status("a"))
    await gateway.append("CP2", second, e.IdTagPresented("T", "Accepted"))
    idle = await watching.response()
    assert not idle.events
    while idle.resume_token == token:
        idle = await watching.response()
    assert not idle.events
    await gateway.append("CP2", second, status("b"))
    events, _ = await watching.read(1)
    assert (events[0].charge_point, events[0].connector_status_changed.status) == ("CP2", "b")


async def test_a_token_below_retention_is_out_of_range(gateway, watch):
    """The watcher learns that events are gone; it isn't given a gap."""
    epoch = await gateway.charge_point()
    watching = watch(**FROM_NOW)
    token = (await watching.response()).resume_token
    watching.cancel()
    await gateway.append("CP1", epoch, *(status(f"s{n}") for n in range(10)))
    await gateway.journal.commit(Trim(None, 8))
    problem = await watch(resume_token=token).problem()
    assert (problem.code, problem.reason) == (grpc.StatusCode.OUT_OF_RANGE, "BELOW_RETENTION")
    assert int(problem.metadata["floor"]) > 0
    events, _ = await watch(**BEGINNING).read(1)
    assert events[0].type == "connector.status_changed"


async def test_a_token_from_beyond_the_head_is_out_of_range(gateway, watch):
    """An older copy of the store was restored."""
    await gateway.charge_point()
    problem = await watch(resume_token=tokens.encode(gateway.store.store_id, 10**6)).problem()
    assert (problem.code, problem.reason) == (grpc.StatusCode.OUT_OF_RANGE, "BEYOND_HEAD")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "start"),
        ({"start_at": 9}, "start"),
        ({"resume_token": b""}, "resume_token"),
        ({"resume_token": b"nonsense"}, "resume_token"),
        ({"resume_token": tokens.encode("another store", 1)}, "resume_token"),
        ({"types": ["transaction.begun"], **FROM_NOW}, "types[0]"),
        ({"charge_points": [""], **FROM_NOW}, "charge_points[0]"),
        ({"charge_points": ["x"] * 1001, **FROM_NOW}, "charge_points"),
    ],
)
async def test_a_watch_that_can_not_be_meant_is_refused_by_its_field(watch, fields, field):
    """INVALID_ARGUMENT."""
    problem = await watch(**fields).problem()
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [name for name, _ in problem.violations] == [field]


async def test_a_watcher_that_does_not_read_harms_no_other_and_misses_nothing(gateway, watch):
    """Others go on at their pace; the slow one lags, is held to a few batches, and catches up."""
    epoch = await gateway.charge_point()
    slow, quick = watch(**FROM_NOW), watch(**FROM_NOW)
    await slow.response()
    await quick.response()
    big = "x" * 2000
    for block in range(20):
        await gateway.append("CP1", epoch, *(status(f"{block}.{n}.{big}") for n in range(250)))
    wanted = [f"{block}.{n}" for block in range(20) for n in range(250)]
    events, _ = await quick.read(5000)
    assert [each.connector_status_changed.status.rsplit(".", 1)[0] for each in events] == wanted
    # 10 MB of events: what the slow one was sent so far is what the connection's windows hold, and the bridge's depth.
    (watching,) = [each.service for each in gateway.server._services if each.name == "Event"]
    (stream,) = [each for each in watching._open if each.waiting]
    assert stream.waiting <= 2
    events, _ = await slow.read(5000)
    assert [each.connector_status_changed.status.rsplit(".", 1)[0] for each in events] == wanted


async def test_watchers_of_the_same_get_the_same_with_a_slow_one_and_others_beside_them(gateway, watch):
    """Ten that keep up, one that reads only at the end, one with a filter, one that is cancelled and resumed in the
    middle of the others' batches: none of them misses, repeats or reorders anything."""
    first, second = await gateway.charge_point("CP1"), await gateway.charge_point("CP2")
    slow, odd = watch(**FROM_NOW), watch(charge_points=["CP2"], **FROM_NOW)
    quick = [watch(**FROM_NOW) for _ in range(10)]
    for each in (slow, odd, *quick):
        await each.response()
    head = gateway.store.bounds().head
    generation = generation_at(gateway.store.generations, head)
    token, seen, wanted = tokens.encode(gateway.store.store_id, head, generation), [], []

    async def commit():
        for block in range(40):
            texts = [f"{block}.{n}" for n in range(randomness.randrange(1, 25))]
            identity, epoch = randomness.choice([("CP1", first), ("CP2", second)])
            await gateway.append(identity, epoch, *map(status, texts))
            wanted.extend((identity, text) for text in texts)
            await trio.sleep(randomness.random() / 100)

    def reported(events):
        return [(each.charge_point, each.connector_status_changed.status) for each in events]

    randomness = random.Random(3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commit)
        while len(seen) < 150:
            again = watch(resume_token=token)
            events, token = await again.read(randomness.randrange(1, 30))
            again.cancel()
            seen += reported(events)
    rest, _ = await watch(resume_token=token).read(len(wanted) - len(seen))
    assert seen + reported(rest) == wanted
    for each in (*quick, slow):
        events, _ = await each.read(len(wanted))
        assert reported(events) == wanted
    of_second = [each for each in wanted if each[0] == "CP2"]
    events, _ = await odd.read(len(of_second))
    assert reported(events) == of_second


async def test_every_method_of_the_service_is_there(gateway):
    """The service is registered by hand, for the sake of its bytes."""
    for method in pb.DESCRIPTOR.services_by_name["EventService"].methods:
        problem = await Watch(getattr(gateway.client.events, method.name)(_request(method), timeout=60)).problem()
        assert problem.code is grpc.StatusCode.INVALID_ARGUMENT


def _request(method):
    return GetMessageClass(method.input_type)()


async def test_batches_are_bounded_in_events_and_bytes(gateway, watch):
    """A hundred events, or a quarter of a megabyte; a larger event comes alone."""
    epoch = await gateway.charge_point()
    await gateway.append("CP1", epoch, *(status(f"s{n}") for n in range(150)))
    await gateway.append("CP1", epoch, *(status("x" * 200_000) for _ in range(3)))
    watching = watch(**BEGINNING)
    batches = []
    while sum(len(batch.events) for batch in batches) < 155:
        batches.append(await watching.response())
    assert max(len(batch.events) for batch in batches) <= 100
    assert max(batch.ByteSize() for batch in batches) < 300_000


async def test_a_watch_that_is_cancelled_frees_its_place(tmp_path):
    """On the bridge and in the feed."""
    async with control(tmp_path, max_streams=1) as gateway:
        request = pb.WatchEventsRequest(**FROM_NOW)
        for _ in range(3):
            call = gateway.client.events.WatchEvents(request, timeout=60)
            await Watch(call).response()
            refused = gateway.client.events.WatchEvents(request, timeout=60)
            problem = await Watch(refused).problem()
            assert (problem.code, problem.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
            call.cancel()
            with trio.fail_after(60):
                while gateway.bridge.streams or gateway.feed._subscribers:  # noqa: ASYNC110 - in two other loops
                    await trio.sleep(0.01)


async def test_draining_ends_watches_as_unavailable(gateway, watch):
    """The one status after which a watcher may resume blindly."""
    await gateway.charge_point()
    watching = watch(**FROM_NOW)
    await watching.response()
    gateway.server.drain(5.0)
    problem = await watching.problem()
    assert (problem.code, problem.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")


METER_VALUE = [
    {
        "timestamp": "2026-03-01T11:59:00Z",
        "sampledValue": [
            {"value": "1234.5678", "unit": "Wh", "context": "Sample.Periodic"},
            {"value": "7.36", "unit": "kW", "measurand": "Power.Active.Import", "location": "Inlet"},
            {"value": "zero", "measurand": "Voltage", "phase": "L1"},
        ],
    }
]


async def test_meter_values_come_as_typed_samples(gateway, watch_meters):
    """Value as sent; energy exact, power in watts; what can't be read stays as sent without either."""
    epoch = await gateway.charge_point()
    watching = watch_meters(**FROM_NOW)
    await watching.response()
    await gateway.append("CP1", epoch, status("Charging"))
    await gateway.append(
        "CP1", epoch, e.MeterValuesReported(ONE, METER_VALUE, "tx_1"), flags=(Flag.TRANSACTION_INFERRED,)
    )
    (energy, power, voltage), token = await watching.read(3, "samples")
    assert (energy.measurand, energy.value, energy.unit) == ("Energy.Active.Import.Register", "1234.5678", "Wh")
    assert (energy.energy.milliwatt_hours, energy.energy.watt_hours) == (1_234_568, "1234.568")
    assert energy.sample_time.ToDatetime(UTC) == NOW - timedelta(minutes=1)
    assert energy.sample_time_raw == "2026-03-01T11:59:00Z"
    assert (energy.charge_point, energy.connector.evse, energy.transaction_id) == ("CP1", 1, "tx_1")
    assert list(energy.flags) == [common_pb2.QUALITY_FLAG_TRANSACTION_INFERRED]
    assert (power.value, power.power_watts, power.location) == ("7.36", 7360.0, "Inlet")
    assert not power.HasField("energy")
    assert (voltage.value, voltage.unit, voltage.phase) == ("zero", "V", "L1")
    assert not voltage.HasField("power_watts")
    assert energy.event_id == power.event_id
    assert token


async def test_registers_of_start_and_stop_are_samples_too(gateway, watch_meters):
    """And what came with the stop."""
    epoch = await gateway.charge_point()
    key = "k" * 32
    await gateway.append(
        "CP1",
        epoch,
        e.TransactionStarted("tx_1", 1, ONE, "T", "Accepted", 1000, key),
        e.TransactionStopped("tx_1", ONE, 3500, "Local", 2500, meter_value=METER_VALUE),
    )
    watching = watch_meters(measurands=["Energy.Active.Import.Register"], **BEGINNING)
    samples, _ = await watching.read(3, "samples")
    assert [(each.context, each.energy.watt_hours) for each in samples] == [
        ("Transaction.Begin", "1000"),
        ("Sample.Periodic", "1234.568"),
        ("Transaction.End", "3500"),
    ]
    assert {each.transaction_id for each in samples} == {"tx_1"}


async def test_power_is_worked_out_where_only_current_and_voltage_are_sent(gateway, watch_meters):
    """Marked as derived; never beside a power that was sent."""
    epoch = await gateway.charge_point()
    electrical = [
        {
            "timestamp": "2026-03-01T12:00:30Z",
            "sampledValue": [
                {"value": "10", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
                {"value": "230", "measurand": "Voltage", "phase": "L1", "unit": "V"},
            ],
        }
    ]
    await gateway.append("CP1", epoch, e.MeterValuesReported(ONE, electrical), e.MeterValuesReported(ONE, METER_VALUE))
    samples, _ = await watch_meters(measurands=["Power.Active.Import"], **BEGINNING).read(2, "samples")
    assert [(each.power_watts, each.derived, each.value) for each in samples] == [
        (2300.0, True, ""),
        (7360.0, False, "7.36"),
    ]


async def test_each_moment_has_one_power_that_says_where_it_comes_from(gateway, watch_meters):
    """Sent as one value, summed over phases, worked out; and whether that is an estimate."""
    epoch = await gateway.charge_point()
    power, amps, volts = "Power.Active.Import", "Current.Import", "Voltage"

    def element(second, *sampled):
        names = ("measurand", "value", "phase", "context")
        values = [{n: v for n, v in zip(names, each, strict=False) if v is not None} for each in sampled]
        return {"timestamp": f"2026-03-01T12:00:{second:02}Z", "sampledValue": values}

    body = e.MeterValuesReported(
        ONE,
        [
            element(10, (power, "1000", "L1"), (power, "2000", "L2"), (power, "3000", "L3")),
            element(20, (amps, "10", "L1", "Trigger"), (volts, "230", "L1")),
            element(30, (power, "700")),
        ],
    )
    await gateway.append("CP1", epoch, body)
    samples, _ = await watch_meters(measurands=[power], **BEGINNING).read(6, "samples")
    totals = [each for each in samples if not each.phase]
    assert {
        (each.sample_time.seconds % 60, each.power_watts, each.power_source, each.estimated) for each in totals
    } == {
        (10, 6000.0, common_pb2.POWER_SOURCE_PHASES, False),
        (20, 2300.0, common_pb2.POWER_SOURCE_CURRENT_VOLTAGE, True),
        (30, 700.0, common_pb2.POWER_SOURCE_MEASURED, False),
    }
    assert [each.power_source for each in samples if each.phase] == [0, 0, 0]


SIX_AMPERES = RateLimit(Decimal(6), ChargingRateUnit.AMPERE, 1)
PROFILE = ChargingProfile(
    2**40,
    1,
    ProfilePurpose.TX,
    ProfileKind.ABSOLUTE,
    ChargingSchedule(ChargingRateUnit.WATT, (SchedulePeriod(0, Decimal("1380.5"), 1),), 3600, NOW, Decimal(6)),
    "tx",
    None,
    NOW,
    NOW,
)

BODIES = [
    e.ChargePointCreated(Registration.PENDING),
    e.ChargePointUpdated(Registration.ACCEPTED, ("registration",)),
    e.ChargePointDeleted(),
    e.ChargePointConnected("192.0.2.1:1", "ocpp1.6", 2, "TLSv1.3"),
    e.ChargePointDisconnected("silent", "local", 1011),
    e.ChargePointBooted(e.BootInformation("v", "m", imsi="1"), Registration.ACCEPTED, 300),
    e.ConnectorStatusChanged(ConnectorAddress(-1, 2**64 - 1), "Faulted", "Other", "Available", "i", "v", "c"),
    e.IdTagPresented("T", "Blocked"),
    e.TransactionStarted("tx", 2**64 - 1, ONE, "T", "Accepted", -5, "k", 9),
    e.TransactionStopped("tx", ONE, 2**64 - 1, "Local", None, "T", "Invalid", ({"é": 1},)),
    e.TransactionLost("tx", ONE),
    e.TransactionForeign(815, ONE),
    e.TransactionStaleChanged("tx", ONE, True, "available"),
    e.TransactionClosed("tx", ONE, "gone", 12_000, NOW, True),
    e.TransactionAttributed(
        "tx", ONE, 7, "ev_7", 2**64 - 1, 12_000, "Local", None, NOW, "found", "r-1", True, "T", ({},)
    ),
    e.TransactionEnergyChanged(
        "tx", ONE, 2, 12_000, None, "provisional", "final", "stop", 1, "segments", "00ff", 600, ("reset",)
    ),
    e.TransactionOrphaned(-1, "no-number", {"a": [1, None]}),
    e.MeterValuesReported(ONE, ({"x": 1},), None, 2**64 - 1),
    e.ReservationMade(7, ONE, "T", NOW, "G"),
    e.ReservationEnded(7, ONE, "used", "tx"),
    e.FirmwareStatusReported("Installed", 3, True, "c"),
    e.DiagnosticsStatusReported("Uploaded", "c"),
    e.LogStatusReported("Uploaded", None),
    e.SecurityEventReported("Tamper", "t"),
    e.VendorDataReceived("v", "Accepted", "m", {"a": 1}),
    e.ConfigurationReported((ConfigurationKey("k", True, None),), ("u",)),
    e.BootConfigurationApplied("k", "v", "Accepted", "1"),
    e.CommandQueued("c", "Reset", "r", {"reset_type": "Soft"}),
    e.CommandSent("c", "Reset"),
    e.CommandAnswered("c", "Reset", error=ChargerError("InternalError")),
    e.CommandNotSent("c", "Reset", "deadline"),
    e.CommandOutcomeUnknown("c", "Reset", "timeout"),
    e.RemoteStartExpired("c", "T", ConnectorAddress(0, 0), True),
    e.WantedChanged(
        Wanted(
            ONE,
            3,
            StandingLimit(SIX_AMPERES, NOW),
            Plan((PlanStep(NOW, SIX_AMPERES), PlanStep(NOW + timedelta(minutes=30))), NOW + timedelta(hours=1)),
        ),
        "plan-set",
        "r",
        "me",
        "cheap",
    ),
    e.ConnectorChargingStateChanged(
        ONE, ChargingState.CHARGING, ChargingState.CONNECTED, StateBasis.POWER, "Preparing", 7000.0
    ),
    e.SteeringChanged(
        ONE, Steering(3, SteeringState.APPLIED, NOW, "", ProfilePurpose.TX, 900_000_013, NOW, (NOW,), (), "cmd_1")
    ),
    e.ChargingProfileInstalled(ONE, PROFILE),
    e.ChargingProfileRemoved(ONE, 2**40, ProfilePurpose.TX, "cleared"),
    e.LocalListChanged(7, UpdateType.FULL, 2),
    e.OperationAccepted("o", "r", OperationRequest(OperationKind.START_CHARGING, ONE, "T", insist=True), NOW),
    e.OperationAdvanced("o", Stage.SENT, "c", "tx"),
    e.OperationEnded("o", End.NO_EFFECT, "never-started", "tx"),
    e.CertificateRequested("s", "pem", NOW, "CN=CP1", "EC secp256r1"),
    e.CertificateRequestRefused("csr_not_pem"),
    e.CertificateIssued("s", "pem", "ab", NOW),
    e.CertificateSigningEnded("s", SigningEnd.REFUSED, "why"),
    e.CertificateInstalled("ab", NOW, "s"),
    e.CertificateExpiring("ab", NOW, True),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.TYPE)
def test_every_body_has_its_message(body):
    """Whatever numbers a charger made up; the message is the one of its type."""
    stored = _stored(body)
    message = event(stored)
    field = message.WhichOneof("body")
    assert field == _BODIES[type(body)][0]
    assert type(getattr(message, field)).__name__ == type(body).__name__
    message.SerializeToString()


def test_no_type_of_event_is_left_out():
    """The table has all that the domain has, and so have these tests."""
    assert set(_BODIES) == set(e.BODIES.values()) == {type(body) for body in BODIES}


def test_a_body_that_can_not_be_read_leaves_its_envelope():
    """A later version of the gateway wrote it."""
    for stored in [_stored(e.ChargePointDeleted(), type_="charge_point.cloned"), _stored(e.ChargePointDeleted(), 99)]:
        message = event(stored)
        assert message.WhichOneof("body") is None
        assert message.event_id == "ev"


def test_a_command_s_answer_is_in_its_event():
    """As the charger said it."""
    message = event(_stored(e.CommandAnswered("c", "Reset", StatusAnswer("Accepted"), late=True)))
    assert message.command_answered.answer.status.status == "Accepted"
    assert message.command_answered.late


def _stored(body, version=None, type_=None):
    return e.StoredEvent(
        1, "ev", "CP1", 1, type_ or body.TYPE, version or body.VERSION, NOW, None, None, (), "", encode(body)
    )


async def test_operators_changes_are_events(gateway, watch):
    """Without a connection of theirs, and without a cause."""
    gateway.commands.connections["CP1"] = Live(1, NOW)
    await gateway.charge_point()
    events, _ = await watch(types=["charge_point.created"], **BEGINNING).read(1)
    assert events[0].charge_point_created.registration == common_pb2.REGISTRATION_ACCEPTED

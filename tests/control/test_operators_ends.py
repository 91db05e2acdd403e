"""Transactions that an operator ends: by a stop that belonged to none, and by a register."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import common_pb2, energy_pb2
from gateway.api.v1 import transaction_pb2 as pb
from gateway.domain import events as e
from gateway.domain.codec import body_of
from gateway.domain.values import ConnectorAddress, Flag
from gateway.store.api import EventFilter
from gateway.store.commits import Append
from tests.control.fakes import NOW
from tests.control.independent_bill import bill, recorded
from tests.control.test_energy import charged, energy_request, exported, record, values
from tests.control.test_settlement import Settled, revisions

ONE = ConnectorAddress(1, 1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

STOP = {
    "transactionId": 4711,
    "meterStop": 9000,
    "timestamp": (NOW + 2 * HOUR).isoformat(),
    "reason": "EVDisconnected",
    "idTag": "T2",
    "transactionData": values((NOW + HOUR, 4000)),
}


async def orphaned(gateway, epoch, payload=STOP, identity="CP1", flags=(Flag.LATE,), at=NOW + 2 * HOUR):
    """A stop that belongs to no transaction, received an hour later; answers its event's id."""
    body = e.TransactionOrphaned(4711, "unknown-number", payload)
    event = e.NewEvent(body, NOW + 3 * HOUR, at, at.isoformat() if at else None, flags, "message:m9")
    (sequence,) = (await gateway.journal.commit(Append(identity, epoch, (event,)))).sequences
    return next(each.event_id for each in gateway.store.events(sequence - 1, 1, EventFilter()).events)


def request(orphan, transaction_id="tx_1", **fields):
    given = {"reason": "found in the charger's log", "request_id": "r-1"} | fields
    return pb.AttributeOrphanRequest(orphan_event_id=orphan, transaction_id=transaction_id, **given)


async def test_a_stop_that_belonged_to_none_ends_the_transaction_it_is_tied_to(gateway):
    """As it would have itself: with its register, time, reason, tag and samples; recorded with the operator's words."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch)
    orphan = await orphaned(gateway, epoch)
    ended = (await gateway.call(gateway.client.transactions.AttributeOrphan, request(orphan))).transaction
    assert (ended.state, ended.meter_stop.watt_hours, ended.energy.watt_hours) == (
        pb.TRANSACTION_STATE_STOPPED, "9000", "8000")  # fmt: skip
    assert (ended.stop_reason, ended.stop_id_tag) == ("EVDisconnected", "T2")
    assert ended.stop_time.ToDatetime(UTC) == NOW + 2 * HOUR
    assert ended.stop_receive_time.ToDatetime(UTC) == NOW + 3 * HOUR
    assert ended.stop_provenance == common_pb2.PROVENANCE_REPLAYED
    assert list(ended.flags) == [common_pb2.QUALITY_FLAG_LATE, common_pb2.QUALITY_FLAG_BY_OPERATOR]
    (event,) = gateway.store.events(0, 100, EventFilter(types=frozenset({"transaction.attributed"}))).events
    assert gateway.commands.notified == [("closed", "CP1", body_of(event))]
    assert (body_of(event).reason, body_of(event).orphan_event_id) == ("found in the charger's log", orphan)
    settled = Settled(gateway)
    settled.now = event.received_at + HOUR
    await settled.settle()
    (first,) = revisions(gateway.store)
    assert (first.why, first.mwh, first.basis) == ("attribution", 8_000_000, "stop-minus-start")
    assert (first.doubts, first.quiet_seconds) == (("by-operator",), 3600)
    found = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert [each.energy.watt_hours for each in found.intervals] == ["1500", "1500", "2500", "2500"]


async def test_an_attribution_that_is_repeated_changes_nothing(gateway, failing):
    """The same request id answers with the transaction, whatever the reason; of another stop it is refused."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch)
    await charged(gateway, epoch, 2)
    first, second = await orphaned(gateway, epoch), await orphaned(gateway, epoch)
    stub = gateway.client.transactions.AttributeOrphan
    once = await gateway.call(stub, request(first))
    for same in (request(first), request(first, reason="said otherwise"), request(first, insist=True)):
        assert await gateway.call(stub, same) == once
    assert len(gateway.store.events(0, 100, EventFilter(types=frozenset({"transaction.attributed"}))).events) == 1
    problem = await failing(stub, request(second, "tx_2"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    problem = await failing(stub, request(first, "tx_2", request_id="r-2"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ORPHAN_ATTRIBUTED")
    assert problem.metadata["transaction_id"] == "tx_1"
    problem = await failing(stub, request(second, request_id="r-2"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TRANSACTION_STOPPED")


async def test_attributions_that_can_not_be_meant_are_refused_by_field(gateway, failing):
    """And change nothing."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, start=9_500)
    other = await orphaned(gateway, await gateway.charge_point("CP2"), identity="CP2")
    own = await orphaned(gateway, epoch)
    text = await orphaned(gateway, epoch, "{cut", flags=(Flag.UNREAD,))
    stub = gateway.client.transactions.AttributeOrphan
    for asked, field in (
        (request(other), "orphan_event_id"),
        (request(text), "orphan_event_id"),
        (request(""), "orphan_event_id"),
        (request(own, ""), "transaction_id"),
        (request(own, reason=" "), "reason"),
        (request(own, reason="x" * 201), "reason"),
        (request(own, request_id="x" * 65), "request_id"),
    ):
        problem = await failing(stub, asked)
        assert problem.code is grpc.StatusCode.INVALID_ARGUMENT, asked
        assert [name for name, _ in problem.violations] == [field]
    started = gateway.store.transaction("tx_1")
    for unknown in ("ev_7", own + "x", own.rpartition("_")[0] + "_1"):
        problem = await failing(stub, request(unknown))
        assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_ORPHAN")
    problem = await failing(stub, request(own, "tx_9"))
    assert problem.reason == "UNKNOWN_TRANSACTION"
    problem = await failing(stub, request(own))
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "METER_BELOW_START")
    assert gateway.store.transaction("tx_1") == started
    ended = (await gateway.call(stub, request(own, insist=True))).transaction
    assert not ended.HasField("energy")
    assert common_pb2.QUALITY_FLAG_METER_IMPLAUSIBLE in ended.flags


@pytest.mark.parametrize("ends", [e.TransactionLost("tx_1", ONE), e.TransactionClosed("tx_1", ONE, "x")])
async def test_a_stop_is_tied_to_a_transaction_without_one(gateway, ends):
    """Also after it was lost, or closed: its energy is a revision, and follows on the one before."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + HOUR, 5000)])
    await record(gateway, epoch, ends, None, NOW + 2 * HOUR)
    settled = Settled(gateway)
    await settled.settle()
    orphan = await orphaned(gateway, epoch)
    await gateway.call(gateway.client.transactions.AttributeOrphan, request(orphan))
    settled.now = gateway.store.newest_time() + HOUR
    await settled.settle()
    before, after = revisions(gateway.store)
    assert (before.mwh, after.previous_mwh, after.mwh, after.why) == (4_000_000, 4_000_000, 8_000_000, "attribution")


# --- closing with a register ----------------------------------------------------------------------------------


def closing(register=None, at=None, **fields):
    time = None
    if at is not None:
        time = Timestamp()
        time.FromDatetime(at)
    given = {"transaction_id": "tx_1", "reason": "read on site"} | fields
    return pb.CloseTransactionRequest(meter_stop_watt_hours=register, end_time=time, **given)


async def test_a_register_of_an_operators_ends_the_bill(gateway):
    """At the time that it names; flagged; a stop that comes later still counts."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + HOUR, 5000)])
    stub = gateway.client.transactions.CloseTransaction
    closed = (await gateway.call(stub, closing(7000, NOW + 2 * HOUR))).transaction
    assert (closed.state, closed.close_meter.watt_hours) == (pb.TRANSACTION_STATE_CLOSED, "7000")
    assert closed.close_meter_time.ToDatetime(UTC) == NOW + 2 * HOUR
    assert list(closed.flags) == [common_pb2.QUALITY_FLAG_BY_OPERATOR]
    settled = Settled(gateway)
    settled.now = gateway.store.newest_time() + HOUR
    await settled.settle()
    (first,) = revisions(gateway.store)
    assert (first.why, first.mwh, first.basis, first.doubts) == (
        "closed", 6_000_000, "stop-minus-start", ("by-operator",))  # fmt: skip
    found = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert [each.energy.watt_hours for each in found.intervals] == ["2000", "2000", "1000", "1000"]
    stopped = e.TransactionStopped("tx_1", ONE, 9000, "Local", 8000)
    await record(gateway, epoch, stopped, NOW + 2 * HOUR, gateway.store.newest_time() + HOUR)
    settled.now += 2 * HOUR
    await settled.settle()
    second = revisions(gateway.store)[-1]
    assert (second.why, second.mwh, second.previous_mwh, second.doubts) == ("stop", 8_000_000, 6_000_000, ())


async def test_without_a_time_a_register_is_of_the_newest_reading(gateway):
    """An operator who closes it days later does not stretch it."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + HOUR, 5000)])
    closed = (await gateway.call(gateway.client.transactions.CloseTransaction, closing(7000))).transaction
    assert closed.close_meter_time.ToDatetime(UTC) == NOW + HOUR


async def test_a_register_below_the_last_one_needs_insistence(gateway, failing):
    """The last one is named; insisting is recorded."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + HOUR, 5000)])
    stub = gateway.client.transactions.CloseTransaction
    problem = await failing(stub, closing(4999))
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "METER_BELOW_LAST")
    assert problem.metadata["last_milliwatt_hours"] == "5000000"
    assert gateway.store.transaction("tx_1").state == "OPEN"
    await gateway.call(stub, closing(4999, insist=True))
    (event,) = gateway.store.events(0, 100, EventFilter(types=frozenset({"transaction.closed"}))).events
    body = body_of(event)
    assert (body.meter_stop, body.insisted, body.reason) == (4999, True, "read on site")


async def test_one_that_is_closed_without_a_register_takes_one_once(gateway, failing):
    """As does a lost one; the same register again changes nothing, another one is refused."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + HOUR, 5000)])
    await charged(gateway, epoch, 2)
    await record(gateway, epoch, e.TransactionLost("tx_2", ONE), None, NOW + 2 * HOUR)
    stub = gateway.client.transactions.CloseTransaction
    assert not (await gateway.call(stub, closing())).transaction.HasField("close_meter")
    closed = await gateway.call(stub, closing(7000))
    assert closed.transaction.close_meter.watt_hours == "7000"
    assert await gateway.call(stub, closing(7000)) == closed
    assert await gateway.call(stub, closing()) == closed
    problem = await failing(stub, closing(7001))
    assert (problem.reason, "7000 Wh" in problem.message) == ("TRANSACTION_NOT_OPEN", True)
    problem = await failing(stub, closing(transaction_id="tx_2"))
    assert problem.reason == "TRANSACTION_NOT_OPEN"
    lost = (await gateway.call(stub, closing(2000, transaction_id="tx_2"))).transaction
    assert (lost.state, lost.close_meter.watt_hours) == (pb.TRANSACTION_STATE_CLOSED, "2000")


async def test_registers_and_times_that_can_not_be_are_refused_by_field(gateway, failing):
    """And close nothing."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch)
    stub = gateway.client.transactions.CloseTransaction
    for asked, field in (
        (closing(-1), "meter_stop_watt_hours"),
        (closing(10**15 + 1), "meter_stop_watt_hours"),
        (closing(at=NOW + HOUR), "end_time"),
        (closing(7000, NOW - MINUTE), "end_time"),
        (closing(7000, NOW + 10_000 * 24 * HOUR), "end_time"),
    ):
        problem = await failing(stub, asked)
        assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
        assert [name for name, _ in problem.violations] == [field]
    assert gateway.store.transaction("tx_1").state == "OPEN"


# --- the same bill from the events ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_revisions_from_exported_events_equal_a_separate_arithmetic(gateway, seed):
    """Each transaction ends in a way of its own, some of them twice, and is settled in between; the last revision is
    the bill that a script makes of the exported events, to the last digit, and costs the same."""
    rng = random.Random(seed)
    epoch = await gateway.charge_point()
    settled = Settled(gateway)
    ways = ("stop", "attribution", "close", "close and stop", "lost and attribution", "stop and late samples")
    stub = gateway.client.transactions
    for number, way in enumerate(ways, 1):
        name, register, at = f"tx_{number}", rng.randrange(10**6), NOW
        start, late = register, []
        await charged(gateway, epoch, number, start=start)
        for _ in range(rng.randrange(2, 6)):
            at += timedelta(microseconds=rng.randrange(1, 10**9))
            register += rng.randrange(0, 2000)
            body = e.MeterValuesReported(ONE, values((at, register)), name)
            if way == "stop and late samples" and rng.random() < 0.7:
                late.append((body, at))
            else:
                await record(gateway, epoch, body, at, NOW + 2 * HOUR)
        end, stop = at + timedelta(microseconds=rng.randrange(1, 10**9)), register + rng.randrange(1, 2000)
        stopped = e.TransactionStopped(name, ONE, stop, "Local", stop - start)
        if way.startswith("stop"):
            await record(gateway, epoch, stopped, end, NOW + 2 * HOUR)
        if way.startswith("close"):
            given = stop if way == "close" else register
            await gateway.call(stub.CloseTransaction, closing(given, end, transaction_id=name))
        if way.startswith("lost"):
            await record(gateway, epoch, e.TransactionLost(name, ONE), None, NOW + 2 * HOUR)
        settled.now = datetime.now(UTC) + HOUR
        await settled.settle()
        if way.endswith("and stop"):
            await record(gateway, epoch, stopped, end, NOW + 3 * HOUR)
        if way.endswith("attribution"):
            payload = {"meterStop": stop, "transactionData": values((end, stop))}
            orphan = await orphaned(gateway, epoch, payload, at=end)
            await gateway.call(stub.AttributeOrphan, request(orphan, name, request_id=f"r-{number}"))
        for body, reported in late:
            await record(gateway, epoch, body, reported, NOW + 3 * HOUR)
        await settled.settle()
    events = await exported(gateway)
    begin, beyond = NOW - HOUR, NOW + 24 * HOUR
    cuts = [begin, *sorted(NOW + timedelta(microseconds=rng.randrange(10**10)) for _ in range(5)), beyond]
    periods = [(a, b, f"{rng.randrange(1, 9000) / 10_000:.4f}") for a, b in pairwise(cuts)]
    for number, way in enumerate(ways, 1):
        name = f"tx_{number}"
        expected, total = bill(events, name, periods, "0.1")
        revisions = recorded(events, name)
        assert revisions[-1] == sum(expected), way
        assert len(revisions) == (2 if " and " in way and "late" not in way else len(revisions))
        prices = [energy_pb2.PricePeriod(start_time=a, end_time=b, price_per_kwh=price) for a, b, price in periods]
        schedule = energy_pb2.PriceSchedule(currency="EUR", periods=prices, standing_charge="0.1")
        asked = energy_pb2.ComputeCostRequest(transaction_id=name, price_schedule=schedule, revision=len(revisions))
        cost = await gateway.call(gateway.client.energy.ComputeCost, asked)
        assert [each.energy.milliwatt_hours for each in cost.cost.lines if each.energy.milliwatt_hours] == [
            each for each in expected if each]  # fmt: skip
        assert cost.cost.total == total

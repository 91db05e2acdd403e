"""EnergyService over a real server and client, in front of a real store."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import grpc
import pytest
import trio
from google.protobuf.json_format import MessageToDict

from gateway.api.v1 import common_pb2, completion_pb2, event_pb2, transaction_pb2
from gateway.api.v1 import energy_pb2 as pb
from gateway.domain import events as e
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.steering import Plan, PlanStep, RateLimit, StandingLimit, Wanted
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Flag
from gateway.energy.session import RULES_VERSION
from gateway.store.commits import Append, Appended
from tests.control.fakes import NOW
from tests.control.independent_bill import bill

ONE = ConnectorAddress(1, 1)
HOUR = timedelta(hours=1)


def values(*readings: tuple[datetime, object], **more):
    """Meter values with a register at each of some moments."""
    return [
        {"timestamp": at.isoformat().replace("+00:00", "Z"), "sampledValue": [{"value": str(value), **more}]}
        for at, value in readings
    ]


async def record(gateway, epoch, body, at, received=None, flags=()):
    """Commit an event that the charger says is of ``at``; received then, unless given."""
    event = e.NewEvent(body, received or at, at, "raw", flags, "message:m1")
    assert isinstance(await gateway.journal.commit(Append("CP1", epoch, (event,))), Appended)


async def charged(gateway, epoch, number=1, *, start=1000, stop=None, begin=NOW, end=NOW + 2 * HOUR, samples=()):
    """A transaction from ``begin`` to ``end`` with registers in Wh; without a stop it is left open."""
    name = f"tx_{number}"
    started = e.TransactionStarted(name, number, ONE, "T", "Accepted", start, f"key{number}")
    await record(gateway, epoch, started, begin)
    for sample in samples:
        await record(gateway, epoch, e.MeterValuesReported(ONE, values(sample), name), sample[0])
    if stop is not None:
        stopped = e.TransactionStopped(name, ONE, stop, "Local", stop - start)
        await record(gateway, epoch, stopped, end)
    return name


def energy_request(**fields):
    return pb.ListTransactionEnergyRequest(transaction_id="tx_1", **fields)


def schedule(**fields):
    """One price for all times."""
    prices = [pb.DailyPrice(start_of_day="00:00", end_of_day="24:00", price_per_kwh="0.30")]
    return pb.PriceSchedule(**({"currency": "GBP", "daily_prices": prices} | fields))


def cost_request(**fields):
    return pb.ComputeCostRequest(transaction_id="tx_1", price_schedule=schedule(**fields))


async def test_energy_is_listed_by_half_hour(gateway):
    """With its total, how it was found, and the quality of each interval."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000, samples=[(NOW + timedelta(minutes=45), 4000), (NOW + HOUR, 6000)])
    found = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert (found.energy.transaction_id, found.energy.charge_point, found.energy.connector.evse) == ("tx_1", "CP1", 1)
    assert found.energy.transaction_state == transaction_pb2.TRANSACTION_STATE_STOPPED
    assert (found.energy.energy.watt_hours, found.energy.stop_minus_start.watt_hours) == ("8000", "8000")
    assert found.energy.basis == common_pb2.ENERGY_BASIS_STOP_MINUS_START
    assert (list(found.energy.doubts), found.energy.contradicted) == ([], False)
    assert found.energy.rules_version == RULES_VERSION
    assert found.energy.start_time.ToDatetime(UTC) == NOW
    assert found.energy.end_time.ToDatetime(UTC) == NOW + 2 * HOUR
    assert [(each.energy.watt_hours, each.quality) for each in found.intervals] == [
        ("2000", pb.ENERGY_QUALITY_INTERPOLATED),
        ("3000", pb.ENERGY_QUALITY_INTERPOLATED),
        ("1500", pb.ENERGY_QUALITY_INTERPOLATED),
        ("1500", pb.ENERGY_QUALITY_INTERPOLATED),
    ]
    assert found.intervals[0].start_time.ToDatetime(UTC) == NOW
    assert found.intervals[0].end_time == found.intervals[1].start_time
    assert found.next_page_token == ""


async def test_intervals_follow_the_zone_and_the_length_that_are_asked_for(gateway):
    """Days of Kathmandu, which is 5:45 ahead: midnight there is 18:15 UTC."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=13_000, end=NOW + 12 * HOUR + timedelta(minutes=30))
    request = energy_request(time_zone="Asia/Kathmandu", interval={"seconds": 86_400})
    found = await gateway.call(gateway.client.energy.ListTransactionEnergy, request)
    assert [each.energy.watt_hours for each in found.intervals] == ["6000", "6000"]
    assert found.intervals[1].start_time.ToDatetime(UTC) == NOW + timedelta(hours=6, minutes=15)


async def test_pages_are_of_one_position(gateway):
    """Also where a reading comes in between two of them; all together sum to the total of that position."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + HOUR, 5001)])
    stub, request = gateway.client.energy.ListTransactionEnergy, energy_request(interval={"seconds": 900}, page_size=3)
    first = await gateway.call(stub, request)
    more = e.MeterValuesReported(ONE, values((NOW + 2 * HOUR, 9000)), "tx_1")
    await record(gateway, epoch, more, NOW + 2 * HOUR)
    request.page_token = first.next_page_token
    second = await gateway.call(stub, request)
    assert first.energy == second.energy
    assert (len(first.intervals), len(second.intervals), second.next_page_token) == (3, 1, "")
    mwh = [each.energy.milliwatt_hours for page in (first, second) for each in page.intervals]
    assert sum(mwh) == first.energy.energy.milliwatt_hours == 4_001_000
    request.page_token = ""
    newest = await gateway.call(stub, request)
    assert (newest.energy.energy.watt_hours, newest.energy.position > first.energy.position) == ("8000", True)
    again = await gateway.call(stub, energy_request(position=first.energy.position))
    assert again.energy == first.energy


async def test_a_transaction_that_runs_has_the_energy_until_its_newest_reading(gateway):
    """And none before there is one."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch)
    stub = gateway.client.energy.ListTransactionEnergy
    found = await gateway.call(stub, energy_request())
    assert (found.energy.basis, found.energy.HasField("energy")) == (common_pb2.ENERGY_BASIS_UNKNOWN, False)
    assert list(found.intervals) == []
    report = e.MeterValuesReported(ONE, values((NOW + HOUR, "3.5"), unit="kWh"), "tx_1")
    await record(gateway, epoch, report, NOW + HOUR)
    found = await gateway.call(stub, energy_request())
    assert (found.energy.basis, found.energy.energy.watt_hours) == (common_pb2.ENERGY_BASIS_REGISTER_DELTAS, "2500")
    assert list(found.energy.doubts) == [common_pb2.ENERGY_DOUBT_STOP_MISSING]
    assert found.energy.end_time.ToDatetime(UTC) == NOW + HOUR


async def test_a_meter_that_contradicts_itself_is_not_billed_unseen(gateway):
    """The register of the stop did not move with the samples: both energies are shown, and the bill says so."""
    epoch = await gateway.charge_point()
    await charged(
        gateway, epoch, stop=1000, samples=[(NOW + timedelta(minutes=n), 1000 + 50 * n) for n in (10, 50, 90)]
    )
    found = await gateway.call(gateway.client.energy.ComputeCost, cost_request())
    assert found.energy.contradicted
    assert list(found.energy.doubts) == [common_pb2.ENERGY_DOUBT_STOP_LEFT_OUT, common_pb2.ENERGY_DOUBT_RESET]
    assert (found.energy.energy.watt_hours, found.energy.stop_minus_start.watt_hours) == ("4500", "0")
    assert found.cost.total == "1.35"
    assert found.cost.lines[0].quality == pb.ENERGY_QUALITY_CONTRADICTED


async def test_a_cost_has_a_line_for_each_price_and_tier(gateway):
    """Amounts are exact decimals; the total alone is rounded."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=11_000)
    prices = [
        pb.PricePeriod(start_time=NOW - HOUR, end_time=NOW + HOUR, price_per_kwh="0.15055"),
        pb.PricePeriod(start_time=NOW + HOUR, end_time=NOW + 3 * HOUR, price_per_kwh="-.01"),
    ]
    tier = pb.PriceTier(from_milliwatt_hours=7_000_000, additional_price_per_kwh="0.2")
    request = cost_request(daily_prices=[], periods=prices, tiers=[tier], standing_charge="0.5")
    found = await gateway.call(gateway.client.energy.ComputeCost, request)
    assert [(each.energy.watt_hours, each.price_per_kwh, each.amount) for each in found.cost.lines] == [
        ("5000", "0.15055", "0.75275"), ("2000", "-0.01", "-0.02"), ("3000", "0.19", "0.57")]  # fmt: skip
    assert [each.HasField("tier_index") for each in found.cost.lines] == [False, False, True]
    assert found.cost.lines[2].end_time.ToDatetime(UTC) == NOW + 2 * HOUR
    cost = found.cost
    assert (cost.energy_amount, cost.standing_charge, cost.currency) == ("1.30275", "0.5", "GBP")
    assert (cost.limit_adjustment, cost.rounding_adjustment, cost.total) == ("0", "-0.00275", "1.80")


async def test_a_cost_is_limited_and_rounded_as_the_schedule_says(gateway):
    """Minimum, maximum, decimals and mode."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=1075)
    stub = gateway.client.energy.ComputeCost
    assert (await gateway.call(stub, cost_request())).cost.total == "0.02"
    assert (await gateway.call(stub, cost_request(minimum_total="1.5"))).cost.total == "1.50"
    assert (await gateway.call(stub, cost_request(maximum_total="0"))).cost.total == "0.00"
    assert (await gateway.call(stub, cost_request(decimals=0))).cost.total == "0"
    assert (await gateway.call(stub, cost_request(decimals=3))).cost.total == "0.023"
    even = cost_request(decimals=3, rounding=pb.ROUNDING_MODE_HALF_EVEN)
    assert (await gateway.call(stub, even)).cost.total == "0.022"


async def test_prices_by_weekday_follow_the_zone(gateway):
    """2026-03-01 is a Sunday; in Berlin it ends at 23:00 UTC."""
    epoch = await gateway.charge_point()
    begin = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
    await charged(gateway, epoch, stop=3000, begin=begin, end=begin + 2 * HOUR)
    daily = [
        pb.DailyPrice(weekdays=[pb.WEEKDAY_SUNDAY], start_of_day="00:00", end_of_day="24:00", price_per_kwh="0.1"),
        pb.DailyPrice(weekdays=range(1, 7), start_of_day="00:00:00", end_of_day="24:00:00", price_per_kwh="0.5"),
    ]
    found = await gateway.call(
        gateway.client.energy.ComputeCost, cost_request(daily_prices=daily, time_zone="Europe/Berlin")
    )
    assert [(each.energy.watt_hours, each.amount) for each in found.cost.lines] == [("1000", "0.1"), ("1000", "0.5")]


PERIOD = {"start_time": NOW, "end_time": NOW + HOUR, "price_per_kwh": "1"}
DAY = {"start_of_day": "00:00", "end_of_day": "24:00", "price_per_kwh": "1"}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListTransactionEnergyRequest(), "transaction_id"),
        (energy_request(time_zone="Europe/Atlantis"), "time_zone"),
        (energy_request(time_zone="../../etc/passwd"), "time_zone"),
        (energy_request(time_zone="Europe"), "time_zone"),
        (energy_request(time_zone="Europe/" + "x" * 400), "time_zone"),
        (energy_request(interval={"seconds": 7 * 60}), "interval"),
        (energy_request(interval={"seconds": 0}), "interval"),
        (energy_request(interval={"seconds": 1800, "nanos": 1}), "interval"),
        (energy_request(interval={"seconds": 2 * 86_400}), "interval"),
        (energy_request(interval={"seconds": -1800}), "interval"),
        (energy_request(position=-1), "position"),
        (energy_request(position=10**6), "position"),
        (energy_request(position=1), "position"),
        (energy_request(page_size=-1), "page_size"),
        (energy_request(page_token="aGVsbG8="), "page_token"),
        (pb.ComputeCostRequest(price_schedule=schedule()), "transaction_id"),
        (pb.ComputeCostRequest(transaction_id="tx_1"), "price_schedule"),
        (cost_request(currency="Pounds"), "price_schedule.currency"),
        (cost_request(daily_prices=[]), "price_schedule.periods"),
        (cost_request(periods=[PERIOD]), "price_schedule.periods"),
        (cost_request(time_zone="Mars"), "price_schedule.time_zone"),
        (cost_request(daily_prices=[DAY | {"price_per_kwh": "1e3"}]), "price_schedule.daily_prices[0].price_per_kwh"),
        (cost_request(daily_prices=[DAY | {"price_per_kwh": ""}]), "price_schedule.daily_prices[0].price_per_kwh"),
        (cost_request(daily_prices=[DAY | {"end_of_day": "24:01"}]), "price_schedule.daily_prices[0].end_of_day"),
        (cost_request(daily_prices=[DAY | {"start_of_day": "7"}]), "price_schedule.daily_prices[0].start_of_day"),
        (cost_request(daily_prices=[DAY | {"weekdays": [9]}]), "price_schedule.daily_prices[0].weekdays"),
        (cost_request(daily_prices=[DAY | {"weekdays": [0]}]), "price_schedule.daily_prices[0].weekdays"),
        (cost_request(daily_prices=[DAY] * 401), "price_schedule.daily_prices"),
        (cost_request(daily_prices=[], periods=[PERIOD] * 3001), "price_schedule.periods"),
        (cost_request(daily_prices=[], periods=[PERIOD]), "price_schedule.periods[0].end_time"),
        (cost_request(daily_prices=[], periods=[{"price_per_kwh": "1", "start_time": NOW}]),
         "price_schedule.periods[0].end_time"),
        (cost_request(daily_prices=[], periods=[PERIOD, PERIOD]), "price_schedule.periods[1].start_time"),
        (cost_request(standing_charge="a lot"), "price_schedule.standing_charge"),
        (cost_request(minimum_total="2", maximum_total="1"), "price_schedule.maximum_total"),
        (cost_request(decimals=7), "price_schedule.decimals"),
        (cost_request(rounding=9), "price_schedule.rounding"),
        (cost_request(tiers=[{"from_milliwatt_hours": -1, "additional_price_per_kwh": "1"}]),
         "price_schedule.tiers[0].from_milliwatt_hours"),
    ],
)  # fmt: skip
async def test_what_can_not_be_meant_is_refused_by_field(gateway, failing, request_, field):
    """INVALID_ARGUMENT, with the field and the reason."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=11_000)
    listing = isinstance(request_, pb.ListTransactionEnergyRequest)
    rpc = gateway.client.energy.ListTransactionEnergy if listing else gateway.client.energy.ComputeCost
    problem = await failing(rpc, request_)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [name for name, _ in problem.violations] == [field]


async def test_a_transaction_that_there_is_none_of_is_not_found(gateway, failing):
    """For both."""
    await gateway.charge_point()
    for rpc, request in (
        (gateway.client.energy.ListTransactionEnergy, energy_request()),
        (gateway.client.energy.ComputeCost, cost_request()),
    ):
        problem = await failing(rpc, request)
        assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_TRANSACTION")


async def test_unknown_energy_has_no_cost(gateway, failing):
    """FAILED_PRECONDITION: a reading may still come."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch)
    problem = await failing(gateway.client.energy.ComputeCost, cost_request())
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ENERGY_NOT_KNOWN")
    assert problem.metadata["transaction_id"] == "tx_1"


async def test_what_would_take_too_many_steps_is_refused(gateway, failing, monkeypatch):
    """By the number of readings, of intervals and of price changes; nothing is worked out."""
    epoch = await gateway.charge_point()
    begin = datetime(2012, 1, 1, tzinfo=UTC)
    await charged(gateway, epoch, stop=11_000, begin=begin, end=begin + timedelta(days=4000))
    problem = await failing(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert [name for name, _ in problem.violations] == ["interval"]
    found = await gateway.call(
        gateway.client.energy.ListTransactionEnergy, energy_request(interval={"seconds": 86_400})
    )
    assert len(found.intervals) == 100
    hours = [f"{hour:02}:00" for hour in range(25)]
    daily = [pb.DailyPrice(start_of_day=a, end_of_day=b, price_per_kwh="1") for a, b in pairwise(hours)]
    problem = await failing(gateway.client.energy.ComputeCost, cost_request(daily_prices=daily))
    assert [name for name, _ in problem.violations] == ["price_schedule.daily_prices"]
    monkeypatch.setattr("gateway.control.energy.MAX_EVENTS", 1)
    problem = await failing(gateway.client.energy.ComputeCost, cost_request())
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_READINGS")


async def test_readings_are_counted_one_by_one(gateway, failing, monkeypatch):
    """A message may hold many of them; four values are within the bound, and five are not."""
    monkeypatch.setattr("gateway.control.energy.MAX_READINGS", 4)
    epoch = await gateway.charge_point()
    await charged(gateway, epoch)
    for count, begin in ((4, NOW), (1, NOW + HOUR)):
        report = values(*((begin + timedelta(minutes=n), 1000 + n) for n in range(count)))
        stub = gateway.client.energy.ListTransactionEnergy
        await record(gateway, epoch, e.MeterValuesReported(ONE, report, "tx_1"), begin + timedelta(minutes=count))
        if count == 4:
            assert (await gateway.call(stub, energy_request())).energy.energy.watt_hours == "3"
    problem = await failing(stub, energy_request())
    assert problem.reason == "TOO_MANY_READINGS"


async def test_all_samples_that_come_with_a_stop_count(gateway):
    """A charger that was offline sends the whole session with its stop: ten hours, one sample a minute."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch)
    data = values(*((NOW + timedelta(minutes=n), 1000 + n * n) for n in range(1, 600)))
    stopped = e.TransactionStopped("tx_1", ONE, 361_000, "Local", 360_000, meter_value=data)
    await record(gateway, epoch, stopped, NOW + 10 * HOUR)
    request = energy_request(interval={"seconds": 60}, page_size=1000)
    found = await gateway.call(gateway.client.energy.ListTransactionEnergy, request)
    assert [each.energy.milliwatt_hours for each in found.intervals] == [1000 * (2 * n + 1) for n in range(600)]


async def test_more_calls_than_places_wait_for_one(gateway):
    """Eight at once are all answered."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000)
    found = []

    async def ask():
        found.append(await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request(), 60))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(ask)
    assert [each.energy.energy.watt_hours for each in found] == ["8000"] * 8


async def test_more_readings_than_are_read_at_once_all_count(gateway, monkeypatch):
    """Page by page."""
    monkeypatch.setattr("gateway.control.energy.EVENTS_AT_ONCE", 7)
    epoch = await gateway.charge_point()
    samples = [(NOW + timedelta(minutes=n), 1000 + n * n) for n in range(1, 61)]
    await charged(gateway, epoch, stop=1000 + 3600, end=NOW + HOUR, samples=samples)
    found = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request(interval={"seconds": 60}))
    assert [each.energy.milliwatt_hours for each in found.intervals] == [1000 * (2 * n + 1) for n in range(60)]
    assert {each.quality for each in found.intervals} == {pb.ENERGY_QUALITY_MEASURED}


async def test_a_begin_sample_stands_in_for_a_register_that_the_start_lacks(gateway):
    """As some chargers send it, in the first MeterValues or with the stop."""
    epoch = await gateway.charge_point()
    started = e.TransactionStarted("tx_1", 1, ONE, "T", "Accepted", 0, "key1")
    await record(gateway, epoch, started, NOW, flags=(Flag.DEVIATES, Flag.METER_IMPLAUSIBLE))
    begin = e.MeterValuesReported(ONE, values((NOW, 1000), context="Transaction.Begin"), "tx_1")
    await record(gateway, epoch, begin, NOW)
    await record(gateway, epoch, e.MeterValuesReported(ONE, values((NOW + HOUR, 4000)), "tx_1"), NOW + HOUR)
    await record(gateway, epoch, e.TransactionStopped("tx_1", ONE, 6000, "Local", 6000), NOW + 2 * HOUR)
    found = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert found.energy.energy.watt_hours == "5000"
    assert [each.energy.watt_hours for each in found.intervals] == ["1500", "1500", "1000", "1000"]
    assert common_pb2.ENERGY_DOUBT_START_MISSING in found.energy.doubts


async def test_a_stop_of_nothing_below_its_samples_is_a_contradiction(gateway):
    """A 0 that was sent is no register that is missing."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + HOUR, 4000)])
    stopped = e.TransactionStopped("tx_1", ONE, 0, "Local", 0)
    await record(gateway, epoch, stopped, NOW + 2 * HOUR, flags=(Flag.METER_IMPLAUSIBLE,))
    found = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert (found.energy.energy.watt_hours, found.energy.contradicted) == ("3000", True)
    assert common_pb2.ENERGY_DOUBT_STOP_LEFT_OUT in found.energy.doubts


async def test_a_clock_that_was_not_set_makes_an_estimate(gateway):
    """The time of receipt stands in, and is named."""
    epoch = await gateway.charge_point()
    started = e.TransactionStarted("tx_1", 1, ONE, "T", "Accepted", 1000, "key1")
    early = datetime(1970, 1, 1, tzinfo=UTC)
    await record(gateway, epoch, started, early, NOW, (Flag.CLOCK_SUSPECT,))
    stopped = e.TransactionStopped("tx_1", ONE, 5000, "Local", 4000)
    await record(gateway, epoch, stopped, NOW + HOUR)
    found = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert found.energy.start_time.ToDatetime(UTC) == NOW
    assert list(found.energy.doubts) == [common_pb2.ENERGY_DOUBT_CLOCK_SUSPECT]
    assert {each.quality for each in found.intervals} == {pb.ENERGY_QUALITY_ESTIMATED}


async def exported(gateway):
    """All events as JSON, as a watcher gets them."""

    def read():
        request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_BEGINNING)
        call, found = gateway.client.events.WatchEvents(request, timeout=60), []
        for response in call:
            found.extend(MessageToDict(each, preserving_proto_field_name=True) for each in response.events)
            if found and not response.events:
                call.cancel()
                return found
        return found

    return await trio.to_thread.run_sync(read)


@pytest.mark.parametrize("seed", range(4))
async def test_a_bill_from_exported_events_equals_it_to_the_last_digit(gateway, seed):
    """Made by a script with a separate arithmetic. Meters sample at odd moments, in Wh or kWh; messages are repeated
    and come out of order; prices change at odd moments."""
    rng = random.Random(seed)
    epoch = await gateway.charge_point()
    prices = {}
    for number in range(1, 9):
        begin = NOW + timedelta(microseconds=rng.randrange(10**10))
        register, at, messages, name = rng.randrange(10**7), begin, [], f"tx_{number}"
        start = register
        for _ in range(rng.randrange(12)):
            at += timedelta(microseconds=rng.randrange(1, 10**10))
            register += rng.randrange(0, 4000)
            tenths = register * 10 + rng.randrange(9)
            unit = {"value": f"{tenths / 10:.1f}"}
            if rng.random() < 0.5:
                unit = {"value": f"{Decimal(tenths) / 10_000}", "unit": "kWh", "context": "Sample.Periodic"}
            stamped = {"timestamp": at.isoformat(), "sampledValue": [unit, {"value": "50", "measurand": "SoC"}]}
            messages.append((e.MeterValuesReported(ONE, [stamped], name), at))
        end = at + timedelta(microseconds=rng.randrange(10**7, 10**10))
        stop = register + rng.randrange(1, 4000)
        started = e.TransactionStarted(name, number, ONE, "T", "Accepted", start, f"key{number}")
        await record(gateway, epoch, started, begin)
        messages += rng.choices(messages, k=3) if messages else []
        rng.shuffle(messages)
        data = values((end, stop)) if rng.random() < 0.5 else []
        messages.append((e.TransactionStopped(name, ONE, stop, "Local", stop - start, meter_value=data), end))
        messages += [message for message in messages[:2] if message[0].TYPE == e.MeterValuesReported.TYPE]
        for body, reported in messages:
            await record(gateway, epoch, body, reported, end)
        span = (end - begin) // timedelta(microseconds=1)
        cuts = sorted({begin + timedelta(microseconds=rng.randrange(span)) for _ in range(9)} | {begin - HOUR, end})
        prices[name] = [(a, b, f"{rng.randrange(-2000, 9000) / 10_000:.4f}") for a, b in pairwise(cuts)]
    events = await exported(gateway)
    for name, periods in prices.items():
        expected, total = bill(events, name, periods, "0.1234")
        sent = [pb.PricePeriod(start_time=a, end_time=b, price_per_kwh=price) for a, b, price in periods]
        request = pb.ComputeCostRequest(
            transaction_id=name,
            price_schedule=pb.PriceSchedule(currency="EUR", periods=sent, standing_charge="0.1234"),
        )
        found = await gateway.call(gateway.client.energy.ComputeCost, request)
        assert not found.energy.contradicted
        assert [each.energy.milliwatt_hours for each in found.cost.lines] == expected
        assert found.cost.total == total


# --- when charging will be done -----------------------------------------------------------------------------------


async def running(gateway, epoch, *, minutes=60, watts=6000, soc=None):
    """A transaction that runs since some minutes, with a report of register and power each minute until now."""
    begin = datetime.now(UTC) - timedelta(minutes=minutes)
    started = e.TransactionStarted("tx_1", 1, ONE, "T", "Accepted", 1000, "key1")
    await record(gateway, epoch, started, begin)
    for minute in range(minutes + 1):
        at = begin + timedelta(minutes=minute)
        sampled = [
            {"value": str(1000 + watts * minute // 60)},
            {"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"},
            *([] if soc is None else [{"value": str(soc + minute // 5), "measurand": "SoC", "unit": "Percent"}]),
        ]
        report = [{"timestamp": at.isoformat(), "sampledValue": sampled}]
        await record(gateway, epoch, e.MeterValuesReported(ONE, report, "tx_1"), at)


def completion_request(**fields):
    return pb.EstimateCompletionRequest(**({"transaction_id": "tx_1"} | fields))


async def test_the_end_of_charging_is_estimated_with_its_bounds(gateway):
    """6 kW for an hour; 6 kWh more are an hour more."""
    epoch = await gateway.charge_point()
    await running(gateway, epoch)
    stub = gateway.client.energy.EstimateCompletion
    found = await gateway.call(stub, completion_request(energy_milliwatt_hours=12_000_000))
    assert found.state == completion_pb2.COMPLETION_STATE_ESTIMATED
    assert found.energy.energy.watt_hours == "6000"
    now = found.estimate_time.ToDatetime(UTC)
    assert found.finish_time.ToDatetime(UTC) - now == pytest.approx(HOUR, abs=timedelta(minutes=1))
    assert found.earliest_time.ToDatetime(UTC) < found.finish_time.ToDatetime(UTC) < found.latest_time.ToDatetime(UTC)
    assert found.remaining.milliwatt_hours == pytest.approx(6_000_000, rel=0.01)


async def test_planned_limits_and_pauses_count(gateway):
    """Half an hour of nothing, then half the power."""
    epoch = await gateway.charge_point()
    await running(gateway, epoch)
    soon = datetime.now(UTC) + timedelta(minutes=30)
    limits = [
        pb.PowerLimit(start_time=datetime.now(UTC) - timedelta(seconds=1), end_time=soon, watts=0),
        pb.PowerLimit(start_time=soon, watts=3000),
    ]
    request = completion_request(energy_milliwatt_hours=9_000_000, limits=limits)
    found = await gateway.call(gateway.client.energy.EstimateCompletion, request)
    took = found.finish_time.ToDatetime(UTC) - found.estimate_time.ToDatetime(UTC)
    assert took == pytest.approx(timedelta(minutes=90), abs=timedelta(minutes=2))


async def test_the_plan_that_the_gateway_keeps_counts_too(gateway):
    """Half an hour of pause for the connector, then 10 A on two phases for the charge point: 4.6 kW."""
    epoch = await gateway.charge_point()
    await running(gateway, epoch)
    now = datetime.now(UTC)
    soon = now + timedelta(minutes=30)
    pause = PlanStep(now - timedelta(seconds=1), RateLimit(Decimal(0), ChargingRateUnit.AMPERE))
    whole = StandingLimit(RateLimit(Decimal(10), ChargingRateUnit.AMPERE, 2))
    for wanted in (Wanted(ONE, 1, plan=Plan((pause,), soon)), Wanted(WHOLE_CHARGE_POINT, 1, whole)):
        await record(gateway, epoch, e.WantedChanged(wanted, "plan-set", f"r{wanted.connector.evse}"), now)
    found = await gateway.call(
        gateway.client.energy.EstimateCompletion, completion_request(energy_milliwatt_hours=10_600_000)
    )
    took = found.finish_time.ToDatetime(UTC) - found.estimate_time.ToDatetime(UTC)
    assert took == pytest.approx(timedelta(minutes=90), abs=timedelta(minutes=2))


@pytest.mark.parametrize(("live", "hours"), [(1, 4.5), (3, 1.725)])
async def test_a_limit_by_current_counts_by_the_phases_that_the_vehicle_uses(gateway, live, hours):
    """10 A are 2.3 kW on one phase; the newest message that shows a current says on which, and a pause shows none."""
    epoch = await gateway.charge_point()
    await running(gateway, epoch)
    now = datetime.now(UTC)
    for seconds, amperes in ((30, 26), (20, 0)):
        at = now - timedelta(seconds=seconds)
        phases = [
            {
                "value": str(amperes if phase <= live else 0),
                "measurand": "Current.Import",
                "unit": "A",
                "phase": f"L{phase}",
            }
            for phase in (1, 2, 3)
        ]
        sampled = [{"timestamp": at.isoformat().replace("+00:00", "Z"), "sampledValue": phases}]
        await record(gateway, epoch, e.MeterValuesReported(ONE, sampled, "tx_1"), at)
    ten = StandingLimit(RateLimit(Decimal(10), ChargingRateUnit.AMPERE))
    await record(gateway, epoch, e.WantedChanged(Wanted(ONE, 1, ten), "limit-set", "r1"), now)
    request = completion_request(energy_milliwatt_hours=16_350_000)
    found = await gateway.call(gateway.client.energy.EstimateCompletion, request)
    took = found.finish_time.ToDatetime(UTC) - found.estimate_time.ToDatetime(UTC)
    assert took == pytest.approx(timedelta(hours=hours), abs=timedelta(minutes=5))


async def test_a_state_of_charge_and_full_are_estimated_by_what_the_vehicle_tells(gateway):
    """12 percent an hour with 6 kW: a battery of 50 kWh; from 52 to 64 percent are 6 kWh."""
    epoch = await gateway.charge_point()
    await running(gateway, epoch, soc=40)
    stub = gateway.client.energy.EstimateCompletion
    found = await gateway.call(stub, completion_request(soc_percent=64))
    assert found.remaining.milliwatt_hours == pytest.approx(6_000_000, rel=0.05)
    full = await gateway.call(stub, completion_request(full={}))
    assert full.remaining.milliwatt_hours == pytest.approx(24_000_000, rel=0.05)
    known = await gateway.call(stub, completion_request(soc_percent=62, battery_capacity_milliwatt_hours=100_000_000))
    assert known.remaining.milliwatt_hours == pytest.approx(10_000_000, rel=0.05)


async def get(gateway, transaction_id="tx_1"):
    request = transaction_pb2.GetTransactionRequest(transaction_id=transaction_id)
    return (await gateway.call(gateway.client.transactions.GetTransaction, request)).transaction


async def test_a_running_transaction_says_when_its_vehicle_will_be_full(gateway):
    """As EstimateCompletion does for a full one, under the limits that are kept; not in lists."""
    epoch = await gateway.charge_point()
    await running(gateway, epoch, soc=40)
    found = await get(gateway)
    asked = await gateway.call(gateway.client.energy.EstimateCompletion, completion_request(full={}))
    shown = found.completion
    assert shown.state == completion_pb2.COMPLETION_STATE_ESTIMATED
    for name in ("finish_time", "earliest_time", "latest_time"):
        assert getattr(shown, name).ToDatetime() - getattr(asked, name).ToDatetime() < timedelta(minutes=1)
    assert shown.remaining.milliwatt_hours == pytest.approx(asked.remaining.milliwatt_hours, rel=0.01)
    now = shown.estimate_time.ToDatetime(UTC)
    pause = StandingLimit(RateLimit(Decimal(0), ChargingRateUnit.AMPERE), now + timedelta(hours=5))
    paused = e.WantedChanged(Wanted(ONE, 1, pause), "r1", "f1")
    assert isinstance(
        await gateway.journal.commit(Append("CP1", epoch, (e.NewEvent(paused, now, cause="request:r1"),))), Appended
    )
    later = (await get(gateway)).completion.finish_time.ToDatetime(UTC)
    assert later > shown.finish_time.ToDatetime(UTC) + timedelta(hours=4, minutes=50)
    [listed] = (
        await gateway.call(gateway.client.transactions.ListTransactions, transaction_pb2.ListTransactionsRequest())
    ).transactions
    assert listed.transaction_id == "tx_1"
    assert not listed.HasField("completion")


async def test_an_estimate_that_is_not_known_is_absent(gateway):
    """The missing energy is not known, or no power of the present; or the transaction has ended."""
    epoch = await gateway.charge_point()
    await running(gateway, epoch)
    assert not (await get(gateway)).HasField("completion")
    stopped = e.TransactionStopped("tx_1", ONE, 8000, "Local", 7000)
    await record(gateway, epoch, stopped, datetime.now(UTC))
    assert not (await get(gateway)).HasField("completion")
    await charged(gateway, epoch, 2, samples=[(NOW + HOUR, 3000)])
    assert not (await get(gateway, "tx_2")).HasField("completion")


async def test_what_can_not_be_reported_is_a_state_and_no_error(gateway):
    """Reached, too far, and unknown."""
    epoch = await gateway.charge_point()
    await running(gateway, epoch)
    stub = gateway.client.energy.EstimateCompletion
    reached = await gateway.call(stub, completion_request(energy_milliwatt_hours=5_000_000))
    assert reached.state == completion_pb2.COMPLETION_STATE_REACHED
    far = await gateway.call(stub, completion_request(full={"expected_milliwatt_hours": 10**10}))
    assert (far.state, far.HasField("finish_time")) == (completion_pb2.COMPLETION_STATE_TOO_FAR, False)
    unknown = await gateway.call(stub, completion_request(soc_percent=80))
    assert (unknown.state, unknown.HasField("remaining")) == (completion_pb2.COMPLETION_STATE_UNKNOWN, False)


LIMIT = {"start_time": NOW, "watts": 1000}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"transaction_id": "", "soc_percent": 80}, "transaction_id"),
        ({}, "target"),
        ({"energy_milliwatt_hours": -1}, "energy_milliwatt_hours"),
        ({"soc_percent": 101}, "soc_percent"),
        ({"soc_percent": float("nan")}, "soc_percent"),
        ({"full": {"expected_milliwatt_hours": -1}}, "full.expected_milliwatt_hours"),
        ({"soc_percent": 80, "battery_capacity_milliwatt_hours": 0}, "battery_capacity_milliwatt_hours"),
        ({"soc_percent": 80, "limits": [{"watts": 1}]}, "limits[0].start_time"),
        ({"soc_percent": 80, "limits": [LIMIT | {"end_time": NOW}]}, "limits[0].end_time"),
        ({"soc_percent": 80, "limits": [LIMIT, LIMIT | {"watts": -1}]}, "limits[1].watts"),
        ({"soc_percent": 80, "limits": [LIMIT] * 401}, "limits"),
    ],
)
async def test_an_estimate_that_can_not_be_meant_is_refused_by_field(gateway, failing, fields, field):
    """INVALID_ARGUMENT, with the field and the reason."""
    await gateway.charge_point()
    problem = await failing(gateway.client.energy.EstimateCompletion, completion_request(**fields))
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [name for name, _ in problem.violations] == [field]


async def test_a_transaction_that_has_ended_has_no_completion(gateway, failing):
    """FAILED_PRECONDITION; nor has one that there is none of."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=2000)
    stub = gateway.client.energy.EstimateCompletion
    problem = await failing(stub, completion_request(soc_percent=80))
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TRANSACTION_NOT_OPEN")
    assert problem.metadata == {"transaction_id": "tx_1", "state": "STOPPED"}
    problem = await failing(stub, completion_request(transaction_id="tx_9", soc_percent=80))
    assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_TRANSACTION")

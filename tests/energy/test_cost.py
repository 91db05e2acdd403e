"""Cost of a session: bills worked out by hand, exact sums, and faults of a price schedule."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.metering import Edge, Metering
from gateway.energy.cost import compute_cost
from gateway.energy.prices import DailyPrice, PricePeriod, PriceSchedule, Rounding, Tier, problems, uncovered
from gateway.energy.session import SessionEnergy, session_energy
from tests.energy.values import at, mwh, session

HOUR = 3600
BERLIN = ZoneInfo("Europe/Berlin")


def periods(*prices: tuple[float, float, str]) -> tuple[PricePeriod, ...]:
    """(from minute, until minute, price)."""
    return tuple(PricePeriod(at(begin), at(end), Decimal(price)) for begin, end, price in prices)


def flat(price: str, **more) -> PriceSchedule:
    return PriceSchedule("GBP", daily=(DailyPrice(0, 24 * HOUR, Decimal(price)),), **more)


def lines(cost) -> list[tuple[int, str, str]]:
    """(Wh, price, amount)."""
    return [(line.mwh // 1000, str(line.per_kwh), f"{line.amount.normalize():f}") for line in cost.lines]


def test_a_price_that_changes_within_a_step_divides_its_energy():
    """Two hours of 5 kW; the price doubles after 50 minutes: 4166.667 Wh and 5833.333 Wh."""
    schedule = PriceSchedule("GBP", periods(((-10), 50, "0.15"), (50, 200, "0.30")), standing_charge=Decimal("0.25"))
    cost = compute_cost(session_energy(session(0, 10_000)), schedule)
    assert [line.mwh for line in cost.lines] == [4_166_667, 5_833_333]
    assert [line.amount for line in cost.lines] == [Decimal("0.62500005"), Decimal("1.7499999")]
    assert (cost.energy_amount, cost.rounding_adjustment) == (Decimal("2.37499995"), Decimal("-0.00499995"))
    assert (cost.total, cost.currency) == (Decimal("2.62"), "GBP")


def test_time_of_use_follows_the_wall_clock():
    """From 08:00 to 10:00 UTC, which is 09:00 to 11:00 in Berlin; the price changes there at 10:00."""
    daily = (DailyPrice(0, 10 * HOUR, Decimal("0.1")), DailyPrice(10 * HOUR, 24 * HOUR, Decimal("0.4")))
    cost = compute_cost(session_energy(session(0, 8000)), PriceSchedule("EUR", daily=daily, zone=BERLIN))
    assert lines(cost) == [(4000, "0.1", "0.4"), (4000, "0.4", "1.6")]
    assert cost.total == Decimal("2.00")


def test_prices_of_weekdays_change_at_local_midnight():
    """From Saturday 23:00 to Sunday 01:00 in Berlin."""
    begin = datetime(2026, 2, 28, 22, 0, tzinfo=UTC)
    energy = session_energy(Metering(Edge(begin, 0), Edge(begin + timedelta(hours=2), mwh(8000))))
    daily = (
        DailyPrice(0, 24 * HOUR, Decimal("0.3"), frozenset({0, 1, 2, 3, 4, 5})),
        DailyPrice(0, 24 * HOUR, Decimal("0.2"), frozenset({6})),
    )
    cost = compute_cost(energy, PriceSchedule("EUR", daily=daily, zone=BERLIN))
    assert lines(cost) == [(4000, "0.3", "1.2"), (4000, "0.2", "0.8")]


@pytest.mark.parametrize(
    ("begin", "hours", "expected"),
    [
        # 00:00 to 06:00 on the wall: five hours on the short day, seven on the long one.
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), 6, [(5000, "0.1", "0.5"), (1000, "0.4", "0.4")]),
        (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), 8, [(7000, "0.1", "0.7"), (1000, "0.4", "0.4")]),
    ],
    ids=["short day", "long day"],
)
def test_the_night_price_holds_as_long_as_the_clock_says_night(begin, hours, expected):
    """The hour that is missing is not paid for, the one that is repeated twice."""
    energy = session_energy(Metering(Edge(begin, 0), Edge(begin + timedelta(hours=hours), mwh(1000 * hours))))
    daily = (DailyPrice(0, 6 * HOUR, Decimal("0.1")), DailyPrice(6 * HOUR, 24 * HOUR, Decimal("0.4")))
    assert lines(compute_cost(energy, PriceSchedule("EUR", daily=daily, zone=BERLIN))) == expected


def test_a_price_within_the_repeated_hour_holds_twice():
    """From 02:30 to 03:00 on the wall; the clocks go back from 03:00 to 02:00."""
    begin = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # 02:00 in Berlin
    daily = (
        DailyPrice(0, 9000, Decimal("0.1")),
        DailyPrice(9000, 10_800, Decimal("0.5")),
        DailyPrice(10_800, 24 * HOUR, Decimal("0.2")),
    )
    energy = session_energy(Metering(Edge(begin, 0), Edge(begin + timedelta(hours=3), mwh(3000))))
    found = lines(compute_cost(energy, PriceSchedule("EUR", daily=daily, zone=BERLIN)))
    assert [(wh, price) for wh, price, _ in found] == [
        (500, "0.1"), (500, "0.5"), (500, "0.1"), (500, "0.5"), (1000, "0.2")]  # fmt: skip


def test_tiers_add_to_the_price_of_what_lies_beyond_them():
    """The first 3 kWh at the price alone, the next 4 kWh 5 cents more, the rest 10 cents less."""
    tiers = (Tier(mwh(3000), Decimal("0.05")), Tier(mwh(7000), Decimal("-0.10")))
    schedule = PriceSchedule("GBP", periods((0, 60, "0.20"), (60, 120, "0.30")), tiers=tiers)
    cost = compute_cost(session_energy(session(0, 10_000)), schedule)
    assert lines(cost) == [
        (3000, "0.20", "0.6"), (2000, "0.25", "0.5"), (2000, "0.35", "0.7"), (3000, "0.20", "0.6")]  # fmt: skip
    assert [line.tier for line in cost.lines] == [None, 0, 0, 1]
    assert [(line.start, line.end) for line in cost.lines[:2]] == [(at(0), at(60))] * 2


def test_minimum_and_maximum_limit_the_total():
    """Their effect is shown as a separate amount."""
    energy = session_energy(session(0, 10_000))
    capped = compute_cost(energy, flat("0.3333", maximum=Decimal("3.10")))
    assert (capped.total, capped.limit_adjustment) == (Decimal("3.10"), Decimal("-0.2330"))
    raised = compute_cost(energy, flat("-0.10", minimum=Decimal(0)))
    assert (raised.total, raised.limit_adjustment) == (Decimal("0.00"), Decimal("1.00"))


@pytest.mark.parametrize(
    ("price", "rounding", "decimals", "total"),
    [
        ("0.0125", Rounding.HALF_UP, 2, "0.13"),
        ("0.0125", Rounding.HALF_EVEN, 2, "0.12"),
        ("0.0129", Rounding.DOWN, 2, "0.12"),
        ("-0.0125", Rounding.HALF_UP, 2, "-0.13"),
        ("-0.0129", Rounding.DOWN, 2, "-0.12"),
        ("0.0125", Rounding.HALF_UP, 0, "0"),
        ("0.0125", Rounding.HALF_UP, 6, "0.125000"),
    ],
)
def test_a_total_is_rounded_once_in_the_way_that_is_asked_for(price, rounding, decimals, total):
    """Of 10 kWh."""
    cost = compute_cost(session_energy(session(0, 10_000)), flat(price, rounding=rounding, decimals=decimals))
    assert str(cost.total) == total
    assert cost.energy_amount + cost.rounding_adjustment == cost.total


def test_a_total_of_nothing_has_no_sign():
    """A fraction of a penny to the customer's credit is rounded to nothing, and not to -0.00."""
    assert str(compute_cost(session_energy(session(0, 10_000)), flat("-0.0001")).total) == "0.00"


def test_nothing_charged_costs_the_standing_charge():
    """One line of no energy, also for a session of a single moment."""
    for energy in (session_energy(session(0, 0)), session_energy(Metering(Edge(at(0), 0), Edge(at(0), 0)))):
        cost = compute_cost(energy, flat("0.30", standing_charge=Decimal("1.50")))
        assert (lines(cost), cost.total) == ([(0, "0.30", "0")], Decimal("1.50"))


def test_energy_that_is_not_known_has_no_cost():
    """Rather than a cost of nothing."""
    with pytest.raises(ValueError, match="not known"):
        compute_cost(session_energy(session(None, None)), flat("0.3"))


# what is wrong: (schedule, fields)
WRONG = {
    "no price": (PriceSchedule("EUR"), ["periods"]),
    "both kinds": (evolve(flat("1"), periods=periods((0, 1, "1"))), ["periods"]),
    "currency": (evolve(flat("1"), currency="eur"), ["currency"]),
    "a gap": (PriceSchedule("EUR", periods((0, 10, "1"), (11, 20, "1"))), ["periods[1].start_time"]),
    "an overlap": (PriceSchedule("EUR", periods((0, 10, "1"), (9, 20, "1"))), ["periods[1].start_time"]),
    "a period backwards": (PriceSchedule("EUR", periods((0, -10, "1"))), ["periods[0].end_time"]),
    "too precise": (PriceSchedule("EUR", periods((0, 10, "0.0000000001"))), ["periods[0].price_per_kwh"]),
    "too large": (flat("1000000000"), ["daily_prices[0].price_per_kwh"]),
    "no number": (flat("NaN"), ["daily_prices[0].price_per_kwh"]),
    "a daily gap": (PriceSchedule("EUR", daily=(DailyPrice(0, 23 * HOUR, Decimal(1)),)), ["daily_prices"] * 7),
    "a daily overlap": (
        evolve(flat("1"), daily=(*flat("1").daily, DailyPrice(5 * HOUR, 6 * HOUR, Decimal(1), frozenset({2})))),
        ["daily_prices[1]"],
    ),
    "a day without end": (PriceSchedule("EUR", daily=(DailyPrice(0, 25 * HOUR, Decimal(1)),)), ["daily_prices[0]"]),
    "a weekday that is none": (
        PriceSchedule("EUR", daily=(DailyPrice(0, 24 * HOUR, Decimal(1), frozenset({7})),)),
        ["daily_prices[0].weekdays"],
    ),
    "tiers out of order": (
        flat("1", tiers=(Tier(5, Decimal(1)), Tier(5, Decimal(1)))), ["tiers[1].from_milliwatt_hours"]),
    "a negative tier": (flat("1", tiers=(Tier(-5, Decimal(1)),)), ["tiers[0].from_milliwatt_hours"]),
    "limits crossed": (flat("1", minimum=Decimal(2), maximum=Decimal(1)), ["maximum_total"]),
    "decimals": (flat("1", decimals=7), ["decimals"]),
    "standing charge": (flat("1", standing_charge=Decimal("Infinity")), ["standing_charge"]),
    "too many periods": (PriceSchedule("EUR", periods(*((n, n + 1, "1") for n in range(3001)))), ["periods"]),
    "too many prices": (evolve(flat("1"), daily=flat("1").daily * 401), ["daily_prices"]),
    "too many tiers": (flat("1", tiers=tuple(Tier(n, Decimal(1)) for n in range(21))), ["tiers"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_schedule_is_named_by_field(name):
    """With the reason; and it computes nothing."""
    schedule, fields = WRONG[name]
    assert [each.field for each in problems(schedule)] == fields
    with pytest.raises(ValueError, match=fields[0].split("[")[0]):
        compute_cost(session_energy(session(0, 1)), schedule)


def test_the_reasons_say_where_a_day_has_no_price():
    """In the words of the clock."""
    daily = (DailyPrice(0, 7 * HOUR, Decimal(1)), DailyPrice(27_000, 24 * HOUR, Decimal(1)))
    assert [each.reason for each in problems(PriceSchedule("EUR", daily=daily))][:1] == [
        "leaves Monday without a price from 07:00 to 07:30"
    ]


@pytest.mark.parametrize(
    ("prices", "fields"),
    [
        (((0, 120, "1"),), []),
        (((1, 120, "1"),), ["periods[0].start_time"]),
        (((0, 60, "1"), (60, 119, "1")), ["periods[1].end_time"]),
        (((200, 300, "1"),), ["periods[0].start_time"]),
        (((-50, 0, "1"),), ["periods[0].end_time"]),
    ],
)
def test_a_part_of_a_session_without_a_price_is_named(prices, fields):
    """Before its first price, or after its last one."""
    assert [each.field for each in uncovered(PriceSchedule("EUR", periods(*prices)), at(0), at(120))] == fields


def test_a_moment_at_the_end_of_the_last_price_has_none():
    """The end of a period is not part of it."""
    assert uncovered(PriceSchedule("EUR", periods((-50, 0, "1"))), at(0), at(0)) != []
    assert uncovered(PriceSchedule("EUR", periods((0, 1, "1"))), at(0), at(0)) == []


PRICES = st.decimals(Decimal(-5), Decimal(5), places=4)
STEPS = st.lists(st.tuples(st.integers(0, 119), st.integers(0, 4000)), max_size=10)


@st.composite
def bills(draw) -> tuple[SessionEnergy, PriceSchedule]:
    total, points = 0, []
    for minute, rise in sorted(draw(STEPS)):
        total += rise
        points.append((minute, total))
    cuts = sorted(draw(st.sets(st.integers(-20, 140), max_size=12)) | {-30, 150})
    prices = [(begin, end, str(draw(PRICES))) for begin, end in pairwise(cuts)]
    tiers = tuple(Tier(edge * 997, draw(PRICES)) for edge in sorted(draw(st.sets(st.integers(0, 9000), max_size=3))))
    schedule = PriceSchedule("EUR", periods(*prices), tiers=tiers, standing_charge=draw(PRICES))
    return session_energy(session(0, total, *points)), schedule


@given(bills())
def test_a_bill_adds_up(bill):
    """Lines to energy and amount, and amounts to the total, exactly."""
    energy, schedule = bill
    cost = compute_cost(energy, schedule)
    assert sum(line.mwh for line in cost.lines) == energy.total_mwh == cost.mwh
    exact = sum((Fraction(line.mwh) * Fraction(line.per_kwh) / 10**6 for line in cost.lines), Fraction(0))
    assert exact == Fraction(cost.energy_amount)
    parts = (cost.energy_amount, cost.standing_charge, cost.limit_adjustment, cost.rounding_adjustment)
    assert sum(map(Fraction, parts), Fraction(0)) == Fraction(cost.total)
    assert abs(cost.rounding_adjustment) <= Decimal("0.005")


@given(bills(), st.integers(-20, 140))
def test_dividing_a_price_changes_no_total(bill, minute):
    """Two periods of one price are that price."""
    energy, schedule = bill
    divided = []
    for each in schedule.periods:
        cut = [each.start, *([at(minute)] if each.start < at(minute) < each.end else []), each.end]
        divided.extend(PricePeriod(a, b, each.per_kwh) for a, b in pairwise(cut))
    other = compute_cost(energy, evolve(schedule, periods=tuple(divided)))
    assert other.total == compute_cost(energy, schedule).total

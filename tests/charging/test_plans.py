"""Plans over time: what holds when, and what is wrong with one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.charging import plans
from gateway.charging.plans import MAX_AHEAD, MAX_STEPS
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.steering import Plan, PlanStep, RateLimit, StandingLimit, Wanted
from gateway.domain.values import ConnectorAddress

NOW = datetime(2026, 1, 10, 18, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
AMPERE, WATT = ChargingRateUnit


def amperes(value: str, phases: int | None = None) -> RateLimit:
    """A limit in A."""
    return RateLimit(Decimal(value), AMPERE, phases)


GOOD = Plan(
    (PlanStep(NOW, amperes("0")), PlanStep(NOW + HOUR, amperes("16")), PlanStep(NOW + 2 * HOUR)), NOW + 3 * HOUR
)


def fields(plan: Plan) -> list[str]:
    """The fields that something is wrong with."""
    return [found.field for found in plans.problems(plan, NOW)]


def with_limit(limit: RateLimit) -> Plan:
    """A plan of one limit."""
    return evolve(GOOD, steps=(PlanStep(NOW, limit),))


def test_a_good_plan_has_no_problem() -> None:
    """Also one that has begun."""
    assert fields(GOOD) == []
    assert plans.problems(GOOD, NOW + 2 * HOUR) == ()


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (evolve(GOOD, steps=()), "plan.steps"),
        (evolve(GOOD, steps=GOOD.steps[1::-1]), "plan.steps[1].at"),
        (evolve(GOOD, steps=(GOOD.steps[0], GOOD.steps[0])), "plan.steps[1].at"),
        (evolve(GOOD, steps=(PlanStep(NOW), PlanStep(NOW + timedelta(seconds=59)))), "plan.steps[1].at"),
        (evolve(GOOD, ends_at=NOW + 2 * HOUR), "plan.ends_at"),
        (evolve(GOOD, ends_at=NOW + MAX_AHEAD + HOUR), "plan.ends_at"),
        (with_limit(amperes("-1")), "plan.steps[0].limit.value"),
        (with_limit(amperes("NaN")), "plan.steps[0].limit.value"),
        (with_limit(amperes("Infinity")), "plan.steps[0].limit.value"),
        (with_limit(amperes("1e9")), "plan.steps[0].limit.value"),
        (with_limit(amperes("16.05")), "plan.steps[0].limit.value"),
        (with_limit(amperes("0.04")), "plan.steps[0].limit.value"),
        (with_limit(amperes("5.9")), "plan.steps[0].limit.value"),
        (with_limit(RateLimit(Decimal(1_379), WATT)), "plan.steps[0].limit.value"),
        (with_limit(RateLimit(Decimal(4_139), WATT, 3)), "plan.steps[0].limit.value"),
        (with_limit(amperes("16", 0)), "plan.steps[0].limit.phases"),
        (with_limit(amperes("16", 4)), "plan.steps[0].limit.phases"),
        (evolve(GOOD, after=amperes("0")), "plan.after.value"),
        (evolve(GOOD, after=amperes("3")), "plan.after.value"),
    ],
)
def test_a_bad_plan_is_named_by_its_field(plan: Plan, field: str) -> None:
    """And by nothing else."""
    assert fields(plan) == [field]


def test_a_plan_that_is_over_is_a_problem() -> None:
    """To the second."""
    assert [found.field for found in plans.problems(GOOD, GOOD.ends_at)] == ["plan.ends_at"]
    assert plans.problems(GOOD, GOOD.ends_at - timedelta(seconds=1)) == ()


def test_a_plan_of_too_many_steps_is_a_problem_and_is_not_walked() -> None:
    """The most is taken."""
    minute = timedelta(minutes=1)
    most = tuple(PlanStep(NOW + number * minute) for number in range(MAX_STEPS))
    assert fields(Plan(most, NOW + MAX_STEPS * minute)) == []
    more = (*most, PlanStep(NOW + MAX_STEPS * minute, amperes("-1")))
    assert fields(Plan(more, NOW + 2 * MAX_STEPS * minute)) == ["plan.steps"]


@pytest.mark.parametrize("limit", [amperes("6"), RateLimit(Decimal(1_380), WATT), RateLimit(Decimal(4_140), WATT, 3)])
def test_the_least_that_a_vehicle_may_be_offered_is_a_limit(limit: RateLimit) -> None:
    """6 A per phase."""
    assert fields(with_limit(limit)) == []


def test_limits_below_the_minimum_become_pauses_where_the_caller_says_so() -> None:
    """The others stay."""
    low = Plan(
        (PlanStep(NOW, amperes("5.9")), PlanStep(NOW + HOUR, amperes("6")), PlanStep(NOW + 2 * HOUR)), NOW + 3 * HOUR
    )
    paused = plans.paused_below_minimum(low)
    assert [step.limit and step.limit.value for step in paused.steps] == [0, 6, None]
    assert fields(paused) == []


@pytest.mark.parametrize(
    ("after", "limit"),
    [
        (timedelta(seconds=-1), None),
        (timedelta(0), amperes("0")),
        (HOUR - timedelta(microseconds=1), amperes("0")),
        (HOUR, amperes("16")),
        (2 * HOUR, None),
        (3 * HOUR, amperes("6")),
        (300 * HOUR, amperes("6")),
    ],
)
def test_the_limit_of_a_moment(after: timedelta, limit: RateLimit | None) -> None:
    """A step holds from its very moment."""
    wanted = Wanted(ConnectorAddress(1, 1), 1, plan=evolve(GOOD, after=amperes("6")))
    assert plans.in_force(wanted, NOW + after) == limit


def test_a_standing_limit_comes_first_until_its_end() -> None:
    """Then the plan is where it is."""
    wanted = Wanted(ConnectorAddress(1, 1), 1, StandingLimit(amperes("10"), NOW + 90 * timedelta(minutes=1)), GOOD)
    assert plans.in_force(wanted, NOW) == amperes("10")
    assert plans.in_force(wanted, NOW + 90 * timedelta(minutes=1)) == amperes("16")
    assert plans.next_change(wanted, NOW) == NOW + 90 * timedelta(minutes=1)


@pytest.mark.parametrize(
    ("standing", "field"),
    [
        (StandingLimit(amperes("3")), "limit.value"),
        (StandingLimit(amperes("16"), NOW), "until"),
        (StandingLimit(None, NOW - HOUR), "until"),
    ],
)
def test_a_bad_standing_limit_is_named_by_its_field(standing: StandingLimit, field: str) -> None:
    """As a plan is."""
    assert [found.field for found in plans.standing_problems(standing, NOW)] == [field]


def test_a_good_standing_limit_has_no_problem() -> None:
    """A pause, no limit at all, and one with an end."""
    for standing in (StandingLimit(amperes("0")), StandingLimit(None), StandingLimit(amperes("6"), NOW + HOUR)):
        assert plans.standing_problems(standing, NOW) == ()


steps = st.lists(st.sampled_from([None, amperes("0"), amperes("6"), amperes("16")]), min_size=1, max_size=12)


@given(steps, st.sampled_from([None, amperes("6")]), st.none() | st.integers(1, 900), st.integers(-60, 900))
def test_changes_and_the_next_change_agree_with_what_is_in_force(
    limits: list[RateLimit | None], after: RateLimit | None, until: int | None, start: int
) -> None:
    """Minute by minute."""
    minute = timedelta(minutes=1)
    plan = Plan(
        tuple(PlanStep(NOW + number * HOUR, limit) for number, limit in enumerate(limits)),
        NOW + len(limits) * HOUR,
        after,
    )
    standing = None if until is None else StandingLimit(amperes("10"), NOW + until * minute)
    wanted = Wanted(ConnectorAddress(1, 1), 1, standing, plan)
    begin, end = NOW + start * minute, NOW + 1_000 * minute
    found = plans.changes(wanted, begin, end)
    assert found[0] == (begin, plans.in_force(wanted, begin))
    expected = [
        begin + number * minute
        for number in range(1, (end - begin) // minute)
        if plans.in_force(wanted, begin + number * minute) != plans.in_force(wanted, begin + (number - 1) * minute)
    ]
    assert [at for at, _ in found[1:]] == expected
    assert all(plans.in_force(wanted, at) == limit for at, limit in found)
    assert plans.next_change(wanted, begin) == (expected[0] if expected else None)

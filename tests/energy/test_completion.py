"""Completion of charging: estimates and reasons for none, limits and pauses to come, and errors by shape."""

import re
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.metering import Edge, Metering, SocSample
from gateway.energy.completion import (
    Charge,
    Completion,
    CompletionState,
    EnergyTarget,
    FullTarget,
    SocTarget,
    estimate_completion,
)
from gateway.energy.power_history import STALE_AFTER, STALLS_AFTER, Limit
from gateway.energy.session import session_energy
from tests.energy.charging_curves import SHAPES
from tests.energy.completion_errors import SESSIONS, SHARES, errors
from tests.energy.values import at, powers, samples

PAGE = Path(__file__).parents[2] / "docs" / "energy.md"
TAPERING = ("taper", "cold battery", "ramp")


def charging(watts, minutes: int, *, socs=(), limits=(), capacity_mwh=None) -> Charge:
    """A session that has run for so many minutes; ``watts`` is a power, or a function of the minute."""
    of = watts if callable(watts) else lambda minute: watts
    flowed, registers = 0.0, []
    for minute in range(minutes + 1):
        registers.append((minute, flowed))
        flowed += of(minute) / 60
    energy = session_energy(Metering(Edge(at(0), 0), None, samples(*registers)))
    seen = powers(*((minute, of(minute)) for minute in range(minutes + 1)))
    return Charge(at(minutes), energy, seen, tuple(socs), tuple(limits), capacity_mwh)


def wh(amount: float) -> int:
    return round(amount * 1000)


def minutes(found: Completion, what: str = "finish") -> float:
    """Minutes from the session's start until an estimated moment."""
    moment = getattr(found, what)
    assert isinstance(moment, datetime)
    return (moment - at(0)) / timedelta(minutes=1)


def test_a_constant_power_goes_on():
    """6 kW for an hour, and 6 kWh are missing."""
    found = estimate_completion(charging(6000, 60), EnergyTarget(wh(12_000)))
    assert (found.state, found.remaining_mwh) == (CompletionState.ESTIMATED, wh(6000))
    assert minutes(found) == pytest.approx(120, abs=0.1)
    assert minutes(found, "earliest") < 120 < minutes(found, "latest")


def test_a_target_that_is_reached_is_reached_now():
    """Nothing is missing any more."""
    found = estimate_completion(charging(6000, 60), EnergyTarget(wh(5000)))
    assert (found.state, found.finish, found.remaining_mwh) == (CompletionState.REACHED, at(60), 0)


@pytest.mark.parametrize(
    "charge",
    [
        evolve(charging(6000, 60), powers=()),
        evolve(charging(6000, 60), now=at(60.5) + STALE_AFTER),
        evolve(charging(6000, 60), energy=session_energy(Metering(Edge(at(0), None)))),
    ],
    ids=["no power", "an old power", "no energy"],
)
def test_without_a_power_or_an_energy_nothing_is_reported(charge):
    """Rather than a guess."""
    assert estimate_completion(charge, EnergyTarget(wh(12_000))) == Completion(CompletionState.UNKNOWN)


def test_planned_pauses_and_limits_move_the_end():
    """Half an hour of nothing, then half the power for an hour: 3 kWh of the 6 come in it, and 3 kWh after it."""
    limits = (Limit(at(60), at(90), 0), Limit(at(90), at(150), 3000))
    found = estimate_completion(charging(6000, 60, limits=limits), EnergyTarget(wh(12_000)))
    assert minutes(found) == pytest.approx(180, abs=0.2)


def test_a_power_that_a_limit_holds_down_rises_when_it_is_lifted():
    """3 kW of a limit of 3 kW, which becomes 6 kW after half an hour."""
    limits = (Limit(at(0), at(90), 3000), Limit(at(90), None, 6000))
    found = estimate_completion(charging(3000, 60, limits=limits), EnergyTarget(wh(9000)))
    assert minutes(found) == pytest.approx(135, abs=0.2)


def test_a_limit_that_ends_leaves_the_power_that_was_seen_without_it():
    """6 kW at first, then 3 kW of a limit of 3 kW, which ends after half an hour: 1.5 kWh, then 6 kW again."""
    limits = (Limit(at(30), at(90), 3000),)
    power = charging(lambda minute: 6000 if minute < 30 else 3000, 60, limits=limits)
    assert minutes(estimate_completion(power, EnergyTarget(wh(9000)))) == pytest.approx(120, abs=0.5)


def test_a_limit_above_what_the_vehicle_takes_changes_nothing():
    """It takes 6 kW of 11 kW, and will."""
    limits = (Limit(at(0), None, 11_000),)
    found = estimate_completion(charging(6000, 60, limits=limits), EnergyTarget(wh(12_000)))
    assert minutes(found) == pytest.approx(120, abs=0.1)


def test_a_pause_without_an_end_is_too_far():
    """Charging is stopped for good, as the limits are."""
    found = estimate_completion(charging(6000, 60, limits=[Limit(at(60), None, 0)]), EnergyTarget(wh(12_000)))
    assert found == Completion(CompletionState.TOO_FAR, remaining_mwh=wh(6000))


def test_a_planned_pause_is_no_stall():
    """Nothing has flowed for an hour, as planned; it goes on when the pause is over."""
    limits = (Limit(at(60), at(150), 0),)
    found = estimate_completion(
        charging(lambda minute: 6000 if minute < 60 else 0, 120, limits=limits), EnergyTarget(wh(12_000))
    )
    assert found.state is CompletionState.ESTIMATED
    assert minutes(found) == pytest.approx(210, abs=0.5)


def test_power_that_stays_away_without_a_reason_is_a_stall():
    """Until then it counts as a pause."""
    until = 60 + STALLS_AFTER // timedelta(minutes=1)
    power = charging(lambda minute: 6000 if minute < 60 else 0, until - 5)
    assert estimate_completion(power, EnergyTarget(wh(12_000))).state is CompletionState.ESTIMATED
    power = charging(lambda minute: 6000 if minute < 60 else 0, until)
    assert estimate_completion(power, EnergyTarget(wh(12_000))) == Completion(
        CompletionState.STALLED, remaining_mwh=wh(6000)
    )


def socs(per_hour: float, until: int, start: float = 40) -> list[SocSample]:
    return [SocSample(float(int(start + per_hour * minute / 60)), at(minute)) for minute in range(0, until + 1, 5)]


def test_a_state_of_charge_tells_what_is_missing():
    """12 % an hour with 6 kW is a battery of 50 kWh; from 52 to 70 % are 9 kWh."""
    found = estimate_completion(charging(6000, 60, socs=socs(12, 60)), SocTarget(70))
    assert found.remaining_mwh == pytest.approx(wh(9000), rel=0.05)
    assert minutes(found) == pytest.approx(150, abs=6)


def test_a_state_of_charge_alone_tells_nothing_without_a_capacity():
    """One value, and none at all; a capacity that the caller knows helps."""
    once = [SocSample(52.0, at(60))]
    assert estimate_completion(charging(6000, 60, socs=once), SocTarget(70)).state is CompletionState.UNKNOWN
    assert estimate_completion(charging(6000, 60), SocTarget(70)).state is CompletionState.UNKNOWN
    known = charging(6000, 60, socs=once, capacity_mwh=wh(50_000))
    assert estimate_completion(known, SocTarget(70)).remaining_mwh == wh(9000)


def test_full_is_known_by_an_expectation_or_by_the_taper():
    """Before power falls, without either, it is not known how far it is."""
    assert estimate_completion(charging(6000, 60), FullTarget()).state is CompletionState.UNKNOWN
    expected = estimate_completion(charging(6000, 60), FullTarget(wh(12_000)))
    assert minutes(expected) > 120
    falling = estimate_completion(
        charging(lambda minute: 7000 if minute < 60 else 7000 * 0.97 ** (minute - 60), 80), FullTarget()
    )
    assert falling.state is CompletionState.ESTIMATED


def test_a_vehicle_that_ended_its_taper_is_full():
    """Power fell to a fraction, and then to nothing."""

    def watts(minute: int) -> float:
        return 7000 * 0.96 ** max(minute - 60, 0) if minute < 130 else 0.0

    full = estimate_completion(charging(watts, 160), FullTarget(wh(20_000)))
    assert full.state is CompletionState.REACHED
    energy = estimate_completion(charging(watts, 160), EnergyTarget(wh(20_000)))
    assert energy.state is CompletionState.STALLED


WATTS = st.lists(st.one_of(st.just(0.0), st.floats(0, 150_000)), min_size=1, max_size=90)
LIMITS = st.lists(
    st.builds(lambda begin, span, watts: Limit(at(begin), None if span is None else at(begin + span), watts),
              st.integers(-10, 300), st.none() | st.integers(0, 300), st.floats(0, 50_000)),
    max_size=5,
)  # fmt: skip
TARGETS = st.one_of(
    st.builds(EnergyTarget, st.integers(0, 10**8)),
    st.builds(SocTarget, st.floats(0, 100)),
    st.builds(FullTarget, st.none() | st.integers(0, 10**8)),
)


@given(WATTS, LIMITS, TARGETS, st.lists(st.floats(0, 100), max_size=5), st.none() | st.integers(1, 10**9))
def test_an_estimate_lies_between_its_bounds_and_not_before_now(watts, limits, target, charge, capacity):
    """Whatever power was, and whatever the limits."""
    reported = [SocSample(percent, at(number)) for number, percent in enumerate(charge)]
    session = charging(
        lambda minute: watts[min(minute, len(watts) - 1)],
        len(watts),
        socs=reported,
        limits=limits,
        capacity_mwh=capacity,
    )
    found = estimate_completion(session, target)
    moments = [session.now, found.earliest, found.finish, found.latest]
    known = [moment for moment in moments if moment is not None]
    assert all(before <= after for before, after in pairwise(known))
    assert (found.finish is None) == (found.state not in (CompletionState.ESTIMATED, CompletionState.REACHED))


def test_a_vehicle_that_says_that_it_is_full_goes_on_at_what_it_takes_at_last():
    """The energy that is asked for may be more than its battery holds, or its battery larger than it thinks."""
    socs = [SocSample(100.0, at(number)) for number in range(60)]
    session = charging(lambda _: 7000.0, 60, socs=socs, capacity_mwh=50_000_000)
    reached = session.energy.total_mwh
    found = estimate_completion(session, EnergyTarget(reached + 1_000_000))
    assert found.state is CompletionState.ESTIMATED
    assert found.finish - session.now > timedelta(minutes=30)  # 9 minutes at 7 kW
    assert estimate_completion(session, FullTarget()).state is CompletionState.REACHED


@pytest.mark.parametrize("shape", TAPERING)
def test_estimates_beat_remaining_energy_over_present_power_where_power_tapers(shape):
    """At each point, by the median; and over a session by a third at least, by median and by ninth decile."""
    found = [errors(shape, share) for share in SHARES]
    assert [each.median < each.plain_median for each in found] == [True] * len(SHARES)
    assert sum(each.median for each in found) < sum(each.plain_median for each in found) * 2 / 3
    assert sum(each.p90 for each in found) < sum(each.plain_p90 for each in found) * 5 / 6


def rows() -> dict[tuple[str, str], list[int]]:
    """The table of the page: (shape, share) to its percentages."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines()]
    return {
        (row[0], row[1]): [int(cell.removesuffix(" %")) for cell in row[2:]]
        for row in cells
        if len(row) == 7 and re.fullmatch(r"\d+ %", row[2])
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_the_errors_on_the_page_are_those_that_are_measured(shape):
    """To a percent: the last digit of a float may differ from machine to machine."""
    for share in SHARES:
        found = errors(shape, share, SESSIONS)
        measured = (found.median, found.p90, found.plain_median, found.plain_p90, found.within)
        assert rows()[shape, f"{share:.0%}"] == pytest.approx(measured, abs=1.01)

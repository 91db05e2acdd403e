"""Energy by clock-aligned interval: exact sums, borders of local time, and the quality of each piece."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.metering import Edge, Metering
from gateway.energy.calendar import borders
from gateway.energy.intervals import Interval, divides_a_day, energy_by_interval
from gateway.energy.quality import Quality
from gateway.energy.session import session_energy
from tests.energy.values import at, mwh, samples, session

BERLIN, LONDON = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/London")
DIVISORS = [seconds for seconds in range(60, 86_401, 60) if 86_400 % seconds == 0]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Havana",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Chatham",
]
"""Changes at midnight, of half an hour, of a whole day; offsets of three quarters of an hour."""


def between(begin: datetime, end: datetime, *, first: int = 0, last: int = 10_000_000) -> Metering:
    return Metering(Edge(begin, first), Edge(end, last))


def shown(intervals: tuple[Interval, ...]) -> list[tuple[str, int, str]]:
    """(UTC start, Wh, quality)."""
    return [(f"{each.start:%H:%M}", each.mwh // 1000, each.quality) for each in intervals]


def test_a_session_is_divided_at_the_half_hours_of_the_wall_clock():
    """Between two readings evenly over time; a border at a reading is measured."""
    metering = session(1000, 5000, (20, 2000), (60, 4000), (90, 4000), minutes=110)
    assert shown(energy_by_interval(session_energy(metering), UTC)) == [
        ("08:00", 1500, "interpolated"),
        ("08:30", 1500, "interpolated"),
        ("09:00", 0, "measured"),
        ("09:30", 1000, "measured"),
    ]


def test_an_interval_without_a_reading_is_an_estimate():
    """A share of a longer step; not so where the register did not move."""
    energy = session_energy(session(0, 8000, (5, 1000), (115, 7000)))
    assert [each.quality for each in energy_by_interval(energy, UTC)] == [
        "interpolated", "estimated", "estimated", "interpolated"]  # fmt: skip
    still = session_energy(session(0, 1000, (5, 1000)))
    assert [each.quality for each in energy_by_interval(still, UTC)] == ["measured"] * 4


def test_gaps_and_contradictions_mark_the_intervals_that_they_touch():
    """And no other."""
    energy = session_energy(session(1000, None, (10, 2000), (31, 100), (45, 600), (59, 900)))
    assert shown(energy_by_interval(energy, UTC)) == [
        ("08:00", 1000, "contradicted"),
        ("08:30", 800, "contradicted"),
        ("09:00", 0, "missing"),
        ("09:30", 0, "missing"),
    ]


def test_energy_of_one_moment_falls_into_the_interval_of_that_moment():
    """A session without a duration lies in one interval."""
    stop_first = Metering(Edge(at(5), 0), Edge(at(-70), mwh(800)))
    assert shown(energy_by_interval(session_energy(stop_first), UTC)) == [("08:00", 800, "measured")]
    at_the_border = Metering(Edge(at(0), 0), Edge(at(0), mwh(800)))
    assert shown(energy_by_interval(session_energy(at_the_border), UTC)) == [("08:00", 800, "measured")]
    late = session(0, 900, (60.5, 900), minutes=60)
    assert [each.mwh for each in energy_by_interval(session_energy(late), UTC)] == [mwh(450), mwh(450)]


def test_energy_that_is_not_known_has_no_intervals():
    """Rather than intervals of nothing."""
    assert energy_by_interval(session_energy(session(None, None)), UTC) == ()


@pytest.mark.parametrize("seconds", [0, -1800, 7, 86_399, 172_800, 50_000])
def test_an_interval_that_does_not_divide_a_day_is_refused(seconds):
    """It could not be aligned to midnight."""
    assert not divides_a_day(seconds)
    with pytest.raises(ValueError, match="do not divide a day"):
        energy_by_interval(session_energy(session(0, 1)), UTC, seconds)


# name: (zone, day, seconds, lengths of its intervals in minutes, first to last)
DAYS = {
    "the hour that is missing": ("Europe/Berlin", (2026, 3, 29), 3600, [60] * 23),
    "the hour that is repeated": ("Europe/Berlin", (2026, 10, 25), 3600, [60] * 25),
    "half-hours of a short day": ("Europe/London", (2026, 3, 29), 1800, [30] * 46),
    "half-hours of a long day": ("Europe/London", (2026, 10, 25), 1800, [30] * 50),
    "quarters of a long day": ("Europe/Berlin", (2026, 10, 25), 900, [15] * 100),
    "a slot cut short": ("Europe/Berlin", (2026, 3, 29), 7200, [120, 60, *[120] * 10]),
    "a slot in which the clocks go back": ("Europe/Berlin", (2026, 10, 25), 7200, [120, 180, *[120] * 10]),
    "a slot of which nothing is left": ("Europe/Berlin", (2026, 3, 29), 1200, [20] * 69),
    "a short day whole": ("Europe/Berlin", (2026, 3, 29), 86_400, [23 * 60]),
    "a long day whole": ("Europe/Berlin", (2026, 10, 25), 86_400, [25 * 60]),
    "half an hour missing": ("Australia/Lord_Howe", (2026, 10, 4), 3600, [60, 60, 30, *[60] * 21]),
    "half an hour repeated": ("Australia/Lord_Howe", (2026, 4, 5), 3600, [60, 90, *[60] * 22]),
    "half-hours with half an hour repeated": ("Australia/Lord_Howe", (2026, 4, 5), 1800, [30] * 49),
    "midnight is missing": ("Africa/Cairo", (2026, 4, 24), 3600, [60] * 23),
    "midnight is repeated": ("America/Havana", (2026, 11, 1), 3600, [60] * 25),
    "midnight is repeated, a day whole": ("America/Havana", (2026, 11, 1), 86_400, [25 * 60]),
    "the last hour is repeated": ("America/Sao_Paulo", (2018, 2, 17), 3600, [60] * 25),
    "a zone of three quarters": ("Asia/Kathmandu", (2026, 5, 1), 3600, [60] * 24),
}


@pytest.mark.parametrize("name", DAYS)
def test_the_intervals_of_a_day_on_which_clocks_change(name):
    """Slots of the wall's clock, from local midnight to local midnight."""
    zone, day, seconds, minutes = DAYS[name]
    local = ZoneInfo(zone)
    midnight = datetime(*day, 12, tzinfo=local).astimezone(UTC)
    found = borders(local, seconds, midnight - timedelta(days=1), midnight + timedelta(days=2))
    of_day = [(a, b) for a, b in pairwise(found) if a.astimezone(local).date() == date(*day)]
    assert [(b - a) // timedelta(minutes=1) for a, b in of_day] == minutes
    assert of_day[-1][1].astimezone(local).date() == date(*day) + timedelta(days=1)


def test_energy_of_the_repeated_hour_stands_in_both_of_its_hours():
    """10 kWh evenly over five hours of which the wall's clock shows four."""
    begin = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)  # 01:00 in Berlin
    found = energy_by_interval(session_energy(between(begin, begin + timedelta(hours=5))), BERLIN, 3600)
    walls = [each.start.astimezone(BERLIN) for each in found]
    assert [(f"{wall:%H:%M}", wall.fold) for wall in walls] == [
        ("01:00", 0), ("02:00", 0), ("02:00", 1), ("03:00", 0), ("04:00", 0)]  # fmt: skip
    assert [each.mwh for each in found] == [2_000_000] * 5


TIMES = st.datetimes(datetime(2011, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(
    st.sampled_from(ZONES),
    st.sampled_from(DIVISORS),
    TIMES,
    st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_intervals_cover_a_time_and_are_aligned_to_the_wall_clock(zone, seconds, start, span):
    """In any zone at any time: without gaps, beginning at a slot of the clock or where the clocks went forward."""
    local = ZoneInfo(zone)
    if span / timedelta(seconds=seconds) > 3000:
        span = timedelta(seconds=3000 * seconds)
    end = start + span
    found = borders(local, seconds, start, end)
    assert found[0] <= start < found[1]
    assert end <= found[-1]
    assert [border for border in found[1:-1] if border >= end] == []
    assert found == sorted(set(found))
    for border in found:
        wall = border.astimezone(local)
        second = wall.hour * 3600 + wall.minute * 60 + wall.second
        before = (border - timedelta(seconds=1)).astimezone(local)
        if wall.utcoffset() <= before.utcoffset():
            assert second % seconds == 0


READINGS = st.lists(st.tuples(st.integers(0, 2880), st.integers(0, 3000)), max_size=15)


@given(READINGS, st.sampled_from(ZONES), st.sampled_from([d for d in DIVISORS if d >= 300]), TIMES)
def test_intervals_sum_exactly_to_the_total(rises, zone, seconds, begin):
    """In any zone, at any length, also on days when clocks change; and none has less than nothing."""
    total, points = 0, []
    for minute, rise in sorted(rises):
        total += rise
        points.append((minute, total))
    shift = begin - at(0)
    metering = session(0, total, *points, minutes=2881)
    metering = Metering(
        evolve(metering.start, at=metering.start.at + shift),
        evolve(metering.stop, at=metering.stop.at + shift),
        tuple(evolve(each, at=each.at + shift) for each in metering.registers),
    )
    energy = session_energy(metering)
    found = energy_by_interval(energy, ZoneInfo(zone), seconds)
    assert sum(each.mwh for each in found) == energy.total_mwh
    assert min(each.mwh for each in found) >= 0


@given(st.integers(0, 10**9), st.sampled_from(DIVISORS), TIMES, st.integers(1, 10**11))
def test_an_interval_differs_from_its_exact_share_by_less_than_one(total, seconds, begin, microseconds):
    """A rounded border on either side, each off by half a milliwatt-hour at most."""
    span = timedelta(microseconds=microseconds)
    found = energy_by_interval(session_energy(between(begin, begin + span, last=total)), LONDON, seconds)
    for each in found:
        inside = min(each.end, begin + span) - max(each.start, begin)
        share = Fraction(inside // timedelta(microseconds=1), microseconds) * total
        assert abs(each.mwh - share) <= 1


@given(st.integers(0, 10**7), TIMES, st.integers(60, 10**6))
def test_finer_intervals_sum_to_the_coarser_ones(total, begin, seconds):
    """An hour has what its quarters have."""
    energy = session_energy(between(begin, begin + timedelta(seconds=seconds), last=total))
    fine, coarse = energy_by_interval(energy, BERLIN, 900), energy_by_interval(energy, BERLIN, 3600)
    for hour in coarse:
        assert sum(each.mwh for each in fine if hour.start <= each.start < hour.end) == hour.mwh


def test_samples_beside_the_borders_are_interpolated_from_both_sides():
    """The usual case: a reading every minute, some seconds off the full ones."""
    points = samples(*((minute + 0.25, 100 * minute) for minute in range(1, 119)))
    energy = session_energy(evolve(session(0, 12_000), registers=points))
    found = energy_by_interval(energy, UTC)
    assert [each.quality for each in found] == [Quality.INTERPOLATED] * 4
    assert sum(each.mwh for each in found) == mwh(12_000)

"""Charging profiles from wanted limits: what a charger that follows them does, with and without the gateway."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.charging.plans import in_force
from gateway.charging.rates import converted
from gateway.charging.schedules import (
    AHEAD,
    CLOCK_SLACK,
    LEASE,
    SEAM,
    Installation,
    is_own,
    profile_for,
    profile_id,
    purposes,
)
from gateway.domain.charging import ChargingProfile, ChargingRateUnit, ProfileKind, ProfilePurpose
from gateway.domain.steering import ChargingAbilities, Plan, PlanStep, RateLimit, StandingLimit, Wanted
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

NOW = datetime(2026, 1, 10, 18, 0, tzinfo=UTC)
ONE = ConnectorAddress(1, 1)
AMPERE, WATT = ChargingRateUnit.AMPERE, ChargingRateUnit.WATT
TX_DEFAULT, TX, MAX = ProfilePurpose.TX_DEFAULT, ProfilePurpose.TX, ProfilePurpose.CHARGE_POINT_MAX
ABLE = ChargingAbilities(units=frozenset({AMPERE}), max_periods=24, max_stack_level=8, max_profiles=10, connectors=1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def amperes(value: float) -> RateLimit:
    """A limit in A."""
    return RateLimit(Decimal(str(value)), AMPERE)


PAUSE = amperes(0)


def plan(*limits: RateLimit | None, step: timedelta = HOUR, after: RateLimit | None = None) -> Plan:
    """A plan of equal steps from NOW on."""
    steps = tuple(PlanStep(NOW + number * step, limit) for number, limit in enumerate(limits))
    return Plan(steps, NOW + len(limits) * step, after)


def wants(plan: Plan | None = None, standing: StandingLimit | None = None) -> Wanted:
    """Something wanted of connector 1."""
    return Wanted(ONE, 1, standing, plan)


def put(wanted: Wanted, now: datetime = NOW, abilities: ChargingAbilities = ABLE) -> Installation:
    """The installation to be sent, of which there is one."""
    found = profile_for(wanted, TX_DEFAULT, abilities, now)
    assert found is not None
    return found


def profile_of(found: Installation) -> ChargingProfile:
    """The profile of an installation that has one."""
    assert found.profile is not None
    return found.profile


def followed(profile: ChargingProfile | None, at: datetime) -> Decimal | None:
    """The limit that a charger with this one profile keeps to at a moment of its clock; None: no limit (S §3.13)."""
    if profile is None:
        return None
    schedule = profile.schedule
    assert schedule.start_schedule is not None
    since = (at - schedule.start_schedule).total_seconds()
    if since < 0 or (schedule.duration is not None and since >= schedule.duration):
        return None
    if profile.valid_from is not None and at < profile.valid_from:
        return None
    if profile.valid_to is not None and at >= profile.valid_to:
        return None
    return [period.limit for period in schedule.periods if period.start_period <= since][-1]


@define
class Charger:
    """A charger that is sent what is due each minute, and follows it."""

    wanted: Wanted
    abilities: ChargingAbilities
    found: Installation | None = None
    sent: int = 0

    def tick(self, now: datetime) -> None:
        """Send the profile that is due."""
        due = self.found is None or (self.found.refresh_at is not None and now >= self.found.refresh_at)
        if not due:
            return
        self.found = profile_for(self.wanted, TX_DEFAULT, self.abilities, now)
        if self.found is not None and self.found.profile is not None:
            self.sent += 1
            check(self.found.profile, self.abilities)

    def limit(self, now: datetime) -> Decimal | None:
        """The limit that it keeps to."""
        return None if self.found is None else followed(self.found.profile, now)


def check(profile: ChargingProfile, abilities: ChargingAbilities) -> None:
    """The rules of a profile that any charger may refuse (B10.5, B10.6, B10.9)."""
    periods = profile.schedule.periods
    assert 1 <= len(periods) <= abilities.max_periods
    assert periods[0].start_period == 0
    starts = [period.start_period for period in periods]
    assert starts == sorted(set(starts))
    assert profile.stack_level <= abilities.max_stack_level
    assert (profile.kind, profile.recurrency_kind) == (ProfileKind.ABSOLUTE, None)
    assert profile.schedule.rate_unit in abilities.units
    assert profile.schedule.duration is None or profile.schedule.duration > starts[-1]
    if periods[-1].limit == 0:
        assert profile.schedule.duration is not None, "a pause without an end"


# --- the whole night, minute by minute ------------------------------------------------------------------------

limits = st.sampled_from([None, PAUSE, amperes(6), amperes(10.5), amperes(16), amperes(32)])
plans = st.builds(
    lambda chosen, minutes, after: plan(*chosen, step=minutes * MINUTE, after=after),
    st.lists(limits, min_size=1, max_size=40),
    st.sampled_from([1, 15, 30, 60, 300]),
    st.sampled_from([None, amperes(6), amperes(16)]),
)
standings = st.none() | st.builds(
    lambda limit, minutes: StandingLimit(limit, None if minutes is None else NOW + minutes * MINUTE),
    limits,
    st.none() | st.integers(1, 600),
)
abilities_of_chargers = st.builds(
    lambda periods, level: ChargingAbilities(max_periods=periods, max_stack_level=level),
    st.sampled_from([1, 2, 3, 5, 24]),
    st.integers(0, 3),
)


@settings(max_examples=300)
@given(st.none() | plans, standings, abilities_of_chargers)
def test_a_charger_that_is_reached_follows_what_is_wanted_minute_by_minute(
    night: Plan | None, standing: StandingLimit | None, abilities: ChargingAbilities
) -> None:
    """Over a day and a half, with no gap at the default rate at any seam."""
    wanted = wants(night, standing)
    charger = Charger(wanted, abilities)
    for minute in range(36 * 60):
        now = NOW + minute * MINUTE
        charger.tick(now)
        limit = in_force(wanted, now)
        assert charger.limit(now) == (None if limit is None else limit.value), f"after {minute} minutes"


@settings(max_examples=100)
@given(st.none() | plans, standings, abilities_of_chargers, st.integers(1, 9))
def test_a_profile_that_comes_some_minutes_late_opens_no_gap_at_the_default_rate(
    night: Plan | None, standing: StandingLimit | None, abilities: ChargingAbilities, late: int
) -> None:
    """Of limits that follow each other there is always one on the charger."""
    wanted = wants(night, standing)
    charger = Charger(wanted, abilities)
    charger.tick(NOW)
    for minute in range(1, 36 * 60):
        now = NOW + minute * MINUTE
        if None not in {in_force(wanted, now - back * MINUTE) for back in range(min(late, minute) + 1)}:
            assert charger.limit(now) is not None, f"after {minute} minutes"
        if minute % late == 0:
            charger.tick(now)


@settings(max_examples=200)
@given(st.none() | plans, standings, abilities_of_chargers, st.integers(0, 600))
def test_without_the_gateway_no_pause_outlives_what_was_wanted(
    night: Plan | None, standing: StandingLimit | None, abilities: ChargingAbilities, lost: int
) -> None:
    """A link that is lost for good leaves at most a lease, or a seam, of what was no longer wanted."""
    wanted = wants(night, standing)
    charger = Charger(wanted, abilities)
    for minute in range(lost + 1):
        charger.tick(NOW + minute * MINUTE)
    for minute in range(lost, lost + 40 * 60):
        now = NOW + minute * MINUTE
        if charger.limit(now) == 0:
            recent = [in_force(wanted, now - back * MINUTE) for back in range(SEAM // MINUTE + 1)]
            assert PAUSE in recent, f"after {minute} minutes"
            assert minute <= lost + max(AHEAD, LEASE) / MINUTE


def test_a_plan_of_half_hours_is_sent_at_once_where_it_fits() -> None:
    """One profile, all periods, an end by itself."""
    found = put(wants(plan(*[amperes(6), PAUSE, amperes(16)] * 4, step=30 * MINUTE)))
    profile = profile_of(found)
    assert [period.limit for period in profile.schedule.periods][:3] == [6, 0, 16]
    assert profile.schedule.start_schedule == NOW - CLOCK_SLACK == profile.valid_from
    assert [period.start_period for period in profile.schedule.periods][:3] == [0, 2400, 4200]
    assert profile.valid_to == NOW + 6 * HOUR
    assert profile.schedule.duration == 6 * 3600 + 600
    assert (found.covered_until, found.refresh_at) == (None, None)


def test_what_a_plan_names_for_afterwards_is_the_last_period() -> None:
    """It goes on where nothing refreshes it."""
    found = put(wants(plan(PAUSE, amperes(16), after=amperes(6))))
    profile = profile_of(found)
    assert [period.limit for period in profile.schedule.periods] == [0, 16, 6]
    assert (profile.schedule.duration, profile.valid_to) == (None, None)
    assert found.refresh_at is None


def test_a_plan_that_is_longer_than_a_profile_is_refreshed_in_time_and_falls_back() -> None:
    """Three periods: two of the plan, and what holds where the third can't be sent."""
    found = put(
        wants(plan(PAUSE, amperes(16), PAUSE, amperes(10), after=amperes(6))),
        abilities=ChargingAbilities(max_periods=3),
    )
    assert [period.limit for period in profile_of(found).schedule.periods] == [0, 16, 6]
    assert found.covered_until == NOW + 2 * HOUR
    assert found.refresh_at == NOW + HOUR


def test_a_plan_of_one_period_too_many_is_sent_in_two_parts() -> None:
    """The limit that holds afterwards takes a place, too."""
    wanted = wants(plan(PAUSE, amperes(16), after=amperes(6)))
    found = put(wanted, abilities=ChargingAbilities(max_periods=2))
    assert [period.limit for period in profile_of(found).schedule.periods] == [0, 6]
    assert found.refresh_at == NOW + HOUR
    second = put(wanted, found.refresh_at, ChargingAbilities(max_periods=2))
    assert [period.limit for period in profile_of(second).schedule.periods] == [16, 6]
    assert second.refresh_at is None


def test_steps_that_follow_each_other_fast_leave_time_for_the_next_part() -> None:
    """Two of three steps of a minute: the second one is held until the next part has had ten minutes to come."""
    found = put(wants(plan(PAUSE, amperes(6), PAUSE, step=MINUTE)), abilities=ChargingAbilities(max_periods=2))
    assert found.refresh_at == NOW + MINUTE
    assert found.covered_until == NOW + 2 * MINUTE
    assert profile_of(found).valid_to == found.refresh_at + SEAM


def test_a_limit_without_an_end_is_put_for_a_lease_and_renewed() -> None:
    """Half of the lease is left when it is renewed."""
    found = put(wants(standing=StandingLimit(PAUSE)))
    assert profile_of(found).valid_to == NOW + LEASE == found.covered_until
    assert found.refresh_at == NOW + LEASE / 2


def test_a_limit_that_begins_later_is_sent_ahead_and_starts_at_its_time() -> None:
    """Its schedule lies in the future, and nothing else is replaced by it."""
    profile = profile_of(put(wants(plan(None, amperes(6)))))
    assert profile.schedule.start_schedule == NOW + HOUR
    assert profile.schedule.periods[0].start_period == 0


def test_a_limit_that_begins_in_some_days_is_sent_a_day_ahead_at_most() -> None:
    """Nothing is sent until then."""
    later = Plan((PlanStep(NOW + 3 * AHEAD, PAUSE),), NOW + 3 * AHEAD + HOUR)
    found = put(wants(later))
    assert found.profile is None
    assert found.covered_until == NOW + 3 * AHEAD
    assert found.refresh_at is not None
    assert NOW < found.refresh_at < found.covered_until
    assert profile_of(put(wants(later), now=found.refresh_at)).valid_from == NOW + 3 * AHEAD


@pytest.mark.parametrize(
    "wanted",
    [
        wants(),
        wants(plan(None)),
        wants(Plan((PlanStep(NOW - 2 * HOUR, PAUSE),), NOW - HOUR)),
        wants(standing=StandingLimit(None)),
        wants(standing=StandingLimit(PAUSE, NOW)),
        wants(plan(PAUSE), StandingLimit(None)),
    ],
)
def test_nothing_is_sent_where_nothing_is_wanted(wanted: Wanted) -> None:
    """Now and later."""
    assert profile_for(wanted, TX_DEFAULT, ABLE, NOW) is None


def test_a_standing_limit_comes_before_the_plan_until_it_ends() -> None:
    """And the plan goes on where it is by then."""
    wanted = wants(plan(*[PAUSE] * 4), StandingLimit(amperes(16), NOW + 90 * MINUTE))
    profile = profile_of(put(wanted))
    assert [period.start_period for period in profile.schedule.periods] == [0, 6000]
    assert [period.limit for period in profile.schedule.periods] == [16, 0]


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(minutes=-7)])
def test_a_charger_whose_clock_is_off_gets_its_own_times(ahead: timedelta) -> None:
    """A pause from 19:00 is one at 19:00, whatever its clock shows then."""
    wanted = wants(plan(amperes(16), PAUSE))
    found = profile_for(wanted, TX_DEFAULT, ABLE, NOW, offset=ahead)
    assert found is not None
    for minute in range(150):
        now = NOW + minute * MINUTE
        limit = in_force(wanted, now)
        assert followed(found.profile, now + ahead) == (None if limit is None else limit.value)


def test_limits_in_watts_are_put_in_amperes_and_never_upwards() -> None:
    """11 kW over three phases are 15.9 A, and over one 47.8."""
    wanted = wants(plan(RateLimit(Decimal(11_000), WATT), RateLimit(Decimal(11_000), WATT, 1)))
    periods = profile_of(put(wanted)).schedule.periods
    assert [(period.limit, period.number_phases) for period in periods] == [
        (Decimal("15.9"), None),
        (Decimal("47.8"), 1),
    ]


def test_what_is_too_little_for_a_vehicle_becomes_a_pause() -> None:
    """4,000 W over three phases are 5.7 A: some chargers would give 6."""
    periods = profile_of(put(wants(plan(RateLimit(Decimal(4_000), WATT))))).schedule.periods
    assert [period.limit for period in periods] == [0]


@given(
    st.decimals(0, 50_000, places=1), st.sampled_from(ChargingRateUnit), st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([1, 2, 3]),
)  # fmt: skip
def test_no_conversion_gives_more(value: Decimal, unit: ChargingRateUnit, named: int | None, used: int) -> None:
    """However many phases a vehicle uses, of those that the limit names."""
    limit = RateLimit(value, unit, named)
    phases = named or used
    if unit is WATT:
        assert converted(limit, AMPERE) * 230 * phases <= value
    else:
        assert converted(limit, WATT) / (230 * phases) <= value
    assert converted(limit, unit) == value


def test_a_transaction_profile_names_its_transaction_and_others_name_none() -> None:
    """B10.2, B10.9."""
    wanted = wants(plan(PAUSE))
    for purpose, named in ((TX, "tx_1"), (TX_DEFAULT, None), (MAX, None)):
        found = profile_for(wanted, purpose, ABLE, NOW, transaction_id="tx_1")
        assert found is not None
        assert profile_of(found).transaction_id == named
        assert found.connector == (WHOLE_CHARGE_POINT if purpose is MAX else ONE)


@pytest.mark.parametrize(
    ("connector", "connectors", "transaction", "failed", "expected"),
    [
        (ONE, 1, True, (), (TX, TX_DEFAULT, MAX)),
        (ONE, 1, False, (), (TX_DEFAULT, MAX)),
        (ONE, 2, True, (), (TX, TX_DEFAULT)),
        (ONE, None, False, (), (TX_DEFAULT,)),
        (ONE, 1, True, (TX, TX_DEFAULT), (MAX,)),
        (ONE, 2, False, (TX_DEFAULT,), ()),
        (WHOLE_CHARGE_POINT, 2, True, (), (MAX,)),
    ],
)
def test_the_purpose_fits_the_moment(
    connector: ConnectorAddress,
    connectors: int | None,
    transaction: bool,
    failed: tuple[ProfilePurpose, ...],
    expected: tuple[ProfilePurpose, ...],
) -> None:
    """The charge point's maximum stands in for a connector's only where that is the only one (B10.1)."""
    abilities = ChargingAbilities(connectors=connectors)
    assert purposes(connector, abilities, transaction_open=transaction, failed=failed) == expected


def test_a_charge_point_without_charging_profiles_has_no_purpose() -> None:
    """It has said so."""
    abilities = ChargingAbilities(purposes=frozenset())
    assert purposes(ONE, abilities, transaction_open=True) == ()


def test_profile_ids_differ_by_place_and_are_known_as_own() -> None:
    """A caller's profile is never taken for one of the gateway's."""
    places = [(ConnectorAddress(evse, evse), purpose) for evse in range(30) for purpose in ProfilePurpose]
    ids = {profile_id(connector, purpose) for connector, purpose in places}
    assert len(ids) == len(places)
    assert all(is_own(number) for number in ids)
    assert not any(map(is_own, (1000, 899_999_999, 2_000_000_000)))
    assert profile_id(ConnectorAddress(2**31 - 1, 1), TX) < 2**31

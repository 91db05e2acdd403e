"""The next thing to do for a wanted state: every kind of charger, played against the decision alone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.charging import outcomes, verification
from gateway.charging.facts import MIN_OFFSET, trusted_offset
from gateway.charging.outcomes import MAX_TRIES, PAUSE, Reason, Send
from gateway.charging.reconciliation import (
    AskAbilities,
    Clear,
    Found,
    Gone,
    Look,
    LookFor,
    Record,
    Situation,
    Step,
    Wait,
    next_step,
)
from gateway.charging.schedules import is_own, profile_id
from gateway.charging.verification import Measured, agrees, look_ahead, look_shows, most_watts, shown
from gateway.domain.charging import (
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    SchedulePeriod,
)
from gateway.domain.clock_offset import ClockOffset
from gateway.domain.commands import CompositeScheduleAnswer
from gateway.domain.steering import (
    ChargingAbilities,
    InstalledProfile,
    Plan,
    PlanStep,
    RateLimit,
    StandingLimit,
    Steering,
    SteeringState,
    Wanted,
    pending,
)
from gateway.domain.values import ConnectorAddress

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ONE = ConnectorAddress(1, 1)
ABLE = ChargingAbilities(max_periods=24, max_stack_level=8, max_profiles=10, connectors=1, known=True)
SIX = RateLimit(Decimal(6), ChargingRateUnit.AMPERE)
ABOVE = RateLimit(Decimal(10), ChargingRateUnit.AMPERE)
DEFAULT, TX = ProfilePurpose.TX_DEFAULT, ProfilePurpose.TX


def wish(limit: RateLimit | None = SIX, until: datetime | None = None) -> Wanted:
    """A limit by hand."""
    return Wanted(ONE, 1, StandingLimit(limit, until))


def situation(wanted: Wanted | None = None, **more: object) -> Situation:
    """A wish that is new, on a charger that is ready."""
    wanted = wanted or wish()
    return Situation(wanted, pending(wanted, NOW, None), ABLE, NOW, **more)  # type: ignore[arg-type]


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


# --- single decisions -----------------------------------------------------------------------------------------


def test_abilities_are_asked_for_before_anything_is_sent() -> None:
    """Once; then the least is sent."""
    unknown = evolve(situation(), abilities=ChargingAbilities(), asked=False)
    assert next_step(unknown) == AskAbilities()
    assert isinstance(next_step(evolve(unknown, asked=True)), Send)


def test_a_running_transaction_is_sent_its_own_profile() -> None:
    """Without one it is the default of those to come."""
    step = next_step(situation())
    assert isinstance(step, Send)
    assert step.purpose is DEFAULT
    running = next_step(situation(transaction_id="tx_1"))
    assert isinstance(running, Send)
    assert (running.purpose, running.installation.profile.transaction_id) == (TX, "tx_1")  # type: ignore[union-attr]


def test_a_wish_for_later_waits_without_a_profile() -> None:
    """Until a day before it begins."""
    begins = NOW + timedelta(days=3)
    later = Wanted(ONE, 1, plan=Plan((PlanStep(begins, SIX),), begins + minutes(60)))
    step = next_step(situation(later))
    assert isinstance(step, Record)
    assert step.steering.state is SteeringState.APPLIED
    waits = next_step(evolve(situation(later), steering=step.steering))
    assert isinstance(waits, Wait)
    assert waits.until is not None
    assert NOW + timedelta(days=1) < waits.until < begins


def test_a_try_that_failed_is_followed_by_ever_longer_pauses() -> None:
    """A new connection ends the pause, and not the bound."""
    found = situation()
    pauses = []
    for _ in range(5):
        step = next_step(evolve(found, steering=evolve(found.steering, doubts=())))
        assert isinstance(step, Send)
        failed = outcomes.unanswered(found.steering, step, "cmd_1", found.now)
        assert failed.retry_at is not None
        pauses.append(failed.retry_at - found.now)
        waits = next_step(evolve(found, steering=failed))
        assert waits == Wait(failed.retry_at)
        assert next_step(evolve(found, steering=failed, fresh=True)) != waits
        found = evolve(found, steering=failed, now=failed.retry_at)
    assert pauses == [minutes(0.5), minutes(2), minutes(10), minutes(30), minutes(30)]


def test_after_an_unknown_outcome_comes_a_look() -> None:
    """It agrees: the profile is taken for accepted. It does not, or is not to be had: the same profile again."""
    found = situation(may_look=True, fresh=True)
    sent = next_step(found)
    assert isinstance(sent, Send)
    doubtful = evolve(found, steering=outcomes.unanswered(found.steering, sent, "cmd_1", NOW))
    assert next_step(doubtful) == Look()
    agreed = next_step(evolve(doubtful, agrees=True))
    assert isinstance(agreed, Found)
    for again in (evolve(doubtful, agrees=False), evolve(doubtful, may_look=False)):
        step = next_step(again)
        assert isinstance(step, Send)
        assert step.installation.profile == sent.installation.profile


def test_a_lifted_wish_is_cleared_where_the_charger_may_have_it() -> None:
    """By its number alone; where it can't have it nothing is sent."""
    found = situation()
    sent = next_step(found)
    assert isinstance(sent, Send)
    lifted = Wanted(ONE, 2)
    doubtful = pending(lifted, NOW, outcomes.sending(found.steering, sent))
    assert next_step(
        situation(
            lifted,
        )
    ) == next_step(situation(lifted))
    step = next_step(evolve(found, wanted=lifted, steering=doubtful))
    assert step == Clear(profile_id(ONE, DEFAULT))
    gone = outcomes.cleared(doubtful, profile_id(ONE, DEFAULT), "cmd_2")
    rests = next_step(evolve(found, wanted=lifted, steering=gone))
    assert isinstance(rests, Record)
    assert rests.steering.reason == Reason.NOTHING
    assert isinstance(next_step(evolve(found, wanted=lifted, steering=rests.steering)), Wait)


def test_the_bound_of_tries_holds_for_an_hour() -> None:
    """From the first of them on."""
    tries = tuple(NOW - minutes(50) + minutes(n) for n in range(MAX_TRIES))
    found = situation()
    full = evolve(found, steering=evolve(found.steering, tries=tries), fresh=True)
    assert next_step(full) == Wait(NOW + minutes(10))
    assert isinstance(next_step(evolve(full, now=NOW + minutes(10))), Send)


def test_tries_in_the_future_count_for_nothing() -> None:
    """A clock that was set back has left them; nor does a pause last for longer than any is."""
    found = situation()
    tries = tuple(NOW + timedelta(days=1, minutes=n) for n in range(MAX_TRIES))
    ahead = evolve(found, steering=evolve(found.steering, tries=tries))
    assert isinstance(next_step(ahead), Send)
    paused = evolve(found, steering=evolve(found.steering, retry_at=NOW + timedelta(days=9)))
    assert next_step(paused) == Wait(NOW + PAUSE)


# --- what is shown --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "watts", "after", "expected"),
    [
        (SIX, 4140.0, 1.0, SteeringState.VERIFIED),
        (SIX, 4140.0, 0.9, None),
        (SIX, 6 * 690 * 1.1 + 100, 1.0, SteeringState.VERIFIED),
        (SIX, 6 * 690 * 1.1 + 101, 2.9, None),
        (SIX, 6 * 690 * 1.1 + 101, 3.0, SteeringState.INEFFECTIVE),
        (RateLimit(Decimal(6), ChargingRateUnit.AMPERE, 1), 2000.0, 3.0, SteeringState.INEFFECTIVE),
        (RateLimit(Decimal(0), ChargingRateUnit.AMPERE), 100.0, 1.0, SteeringState.VERIFIED),
        (RateLimit(Decimal(0), ChargingRateUnit.WATT), 101.0, 3.0, SteeringState.INEFFECTIVE),
        (RateLimit(Decimal(3000), ChargingRateUnit.WATT), 3400.0, 3.0, SteeringState.VERIFIED),
        (None, 22000.0, 9.0, None),
    ],
)
def test_the_meter_shows_whether_a_limit_holds(
    limit: RateLimit | None, watts: float, after: float, expected: SteeringState | None
) -> None:
    """With time to settle, and a tolerance; never upwards of it."""
    applied = Steering(1, SteeringState.APPLIED, NOW)
    assert shown(wish(limit), applied, Measured(watts, NOW + minutes(after)), NOW + minutes(after)) is expected


def test_each_step_of_a_plan_has_time_to_settle() -> None:
    """Power that was drawn before it says nothing of it."""
    plan = Plan((PlanStep(NOW, None), PlanStep(NOW + minutes(30), SIX)), NOW + minutes(60))
    verified = Steering(1, SteeringState.VERIFIED, NOW)
    wanted = Wanted(ONE, 1, plan=plan)
    for after, expected in ((30.9, None), (32.9, None), (33.0, SteeringState.INEFFECTIVE)):
        at = NOW + minutes(after)
        assert shown(wanted, verified, Measured(11_000, at), at) is expected


@pytest.mark.parametrize(
    ("unit", "limits", "expected"),
    [
        (ChargingRateUnit.AMPERE, (6,), True),
        (ChargingRateUnit.AMPERE, (5, 6), True),
        (ChargingRateUnit.AMPERE, (6, 7), False),
        (ChargingRateUnit.WATT, (4140,), True),
        (ChargingRateUnit.WATT, (4141,), False),
    ],
)
def test_a_composite_schedule_agrees_where_it_allows_no_more(
    unit: ChargingRateUnit, limits: tuple[int, ...], expected: bool
) -> None:
    """In all of its periods, in either unit."""
    periods = tuple(SchedulePeriod(600 * n, Decimal(limit)) for n, limit in enumerate(limits))
    assert agrees(wish(), NOW, ChargingSchedule(unit, periods)) is expected


def test_a_schedule_of_times_in_which_nothing_is_wanted_shows_nothing() -> None:
    """It looks like one without the profile."""
    schedule = ChargingSchedule(ChargingRateUnit.AMPERE, (SchedulePeriod(0, Decimal(6)),))
    assert not agrees(wish(None), NOW, schedule)


def test_only_a_clock_offset_that_rests_on_several_messages_counts() -> None:
    """A small one is a message's way."""
    hour = timedelta(hours=1)
    assert trusted_offset(ClockOffset(hour, NOW, (hour, hour))) == hour
    assert trusted_offset(ClockOffset(hour, NOW, (hour,))) == timedelta(0)
    year, second = timedelta(days=365), timedelta(seconds=1)
    assert trusted_offset(ClockOffset(year, NOW, (-second, -second, -second, year))) == timedelta(0), "one of them errs"
    assert trusted_offset(ClockOffset(hour, NOW, (-second, hour, hour - 5 * second))) == hour
    small = MIN_OFFSET - timedelta(seconds=1)
    assert trusted_offset(ClockOffset(small, NOW, (small, small))) == timedelta(0)
    unset = datetime(1, 1, 1, tzinfo=UTC) - NOW
    assert trusted_offset(ClockOffset(unset, NOW, (unset, unset))) == timedelta(0)
    assert trusted_offset(ClockOffset()) == timedelta(0)


# --- any charger ----------------------------------------------------------------------------------------------


class Played:
    """A charger whose every answer is drawn; and the gateway's side, by the decision alone."""

    def __init__(self, wanted: Wanted, draw: st.DataObject) -> None:
        self.s = evolve(situation(wanted), may_look=True, fresh=True, confirmed=False)
        self.draw = draw
        self.sends: list[datetime] = []
        self.number = 0
        self.has: dict[int, InstalledProfile] = {}
        """What the charger really has."""

    def step(self) -> Step:
        s, step = self.s, next_step(self.s)
        match step:
            case Send(_, installation, due):
                assert installation.profile is not None
                assert is_own(installation.profile.profile_id)
                if not due:
                    self.sends.append(s.now)
                self.number += 1
                word = self.draw.draw(st.sampled_from(["accepted", "refused", "done", "lost", "late"]))
                steering = self._sent(step, word, f"cmd_{self.number}")
                self.s = evolve(self.s, steering=steering, fresh=False, agrees=None)
            case Clear(number):
                word = self.draw.draw(st.sampled_from(["cleared", "cleared", "refused", "done", "lost"]))
                steering = self._cleared(number, word)
                self.s = evolve(self.s, steering=steering, fresh=False, gone={})
            case LookFor(number):
                self.s = evolve(s, gone={number: number not in self.has and self.draw.draw(st.booleans())})
            case Gone(number):
                self._forget(number)
                self.s = evolve(self.s, steering=outcomes.cleared(s.steering, number, ""))
            case Look():
                self.s = evolve(s, agrees=self.draw.draw(st.booleans()) and bool(self.has))
            case Found(send):
                self._install(send, "")
                self.s = evolve(self.s, steering=outcomes.found(s.steering, send, s.now), confirmed=True)
            case Record(steering):
                assert steering != s.steering
                self.s = evolve(s, steering=steering)
            case AskAbilities():
                self.s = evolve(s, asked=True)
        return step

    def _cleared(self, number: int, word: str) -> Steering:
        s = self.s
        if word in ("cleared", "done"):
            self.has.pop(number, None)
        steering = outcomes.clearing(s.steering, number)
        if word == "cleared":
            self._forget(number)
            return outcomes.cleared(steering, number, "cmd")
        if word == "refused":
            return outcomes.not_cleared(steering, number, "Rejected", "cmd", s.now)
        return outcomes.perhaps_cleared(steering, number, "cmd", s.now)

    def _forget(self, number: int) -> None:
        left = {key: each for key, each in self.s.installed.items() if key != number}
        self.s = evolve(self.s, installed=left)

    def _sent(self, step: Send, word: str, command_id: str) -> Steering:
        s = self.s
        steering = outcomes.sending(s.steering, step)
        if word == "refused":
            return outcomes.refused(steering, step, "Rejected", command_id, s.now, s.steering.doubts)
        if word in ("accepted", "done", "late"):
            self._has(step, command_id)
        if word == "accepted":
            self._install(step, command_id)
            self.s = evolve(self.s, confirmed=True)
            return outcomes.accepted(steering, step, command_id, s.now)
        after = outcomes.unanswered(steering, step, command_id, s.now)
        if word == "late":
            self._install(step, command_id)
        return after

    def _has(self, step: Send, command_id: str) -> None:
        profile = step.installation.profile
        assert profile is not None
        self.has[profile.profile_id] = InstalledProfile(ONE, profile, self.s.now, command_id)

    def _install(self, step: Send, command_id: str) -> None:
        profile = step.installation.profile
        assert profile is not None
        new = InstalledProfile(ONE, profile, self.s.now, command_id)
        self.s = evolve(self.s, installed={**self.s.installed, profile.profile_id: new})

    def settle(self) -> Wait:
        """Go on until there is nothing to be done now."""
        for _ in range(40):
            step = self.step()
            if isinstance(step, Wait):
                return step
        raise AssertionError(f"there is always something to be done: {self.s}")

    def goes_on(self) -> None:
        """Some time passes, and things happen."""
        waits = self.settle()
        later = self.s.now + self.draw.draw(st.sampled_from([minutes(1), minutes(20), minutes(90)]))
        if waits.until is not None and self.draw.draw(st.booleans()):
            later = max(self.s.now, min(later, waits.until))
        happens = self.draw.draw(st.sampled_from(["", "", "boot", "reconnect", "meter", "start"]))
        watts = self.draw.draw(st.sampled_from([0.0, 11_000.0]))
        self.s = evolve(self.s, now=later)
        match happens:
            case "boot":
                self.has.clear()
                self.s = evolve(self.s, confirmed=False, fresh=True, asked=False, agrees=None, gone={})
            case "reconnect":
                self.s = evolve(self.s, confirmed=False, fresh=True, agrees=None, gone={})
            case "meter":
                self.s = evolve(self.s, power=Measured(watts, later))
            case "start":
                running = None if self.s.transaction_id else "tx_1"
                gone = profile_id(ONE, TX)
                left = {key: each for key, each in self.s.installed.items() if key != gone or running}
                if running is None:
                    self.has.pop(gone, None)
                self.s = evolve(self.s, transaction_id=running, installed=left)


WISHES = st.sampled_from(
    [
        wish(),
        wish(RateLimit(Decimal(0), ChargingRateUnit.AMPERE), NOW + minutes(45)),
        Wanted(
            ONE,
            1,
            plan=Plan(
                (PlanStep(NOW, SIX), PlanStep(NOW + minutes(30)), PlanStep(NOW + minutes(60), SIX)),
                NOW + minutes(240),
            ),
        ),
    ]
)


@given(WISHES, st.data())
@settings(max_examples=150, deadline=None)
def test_any_charger_is_left_alone_in_the_end_and_never_written_to_without_bound(
    wanted: Wanted, data: st.DataObject
) -> None:
    """Whatever it answers and whatever happens: each round ends, and no hour has more tries than the bound allows;
    each of them is one sending for each purpose at most."""
    played = Played(wanted, data)
    for _ in range(12):
        played.goes_on()
    for begin in played.sends:
        hour = [at for at in played.sends if begin <= at < begin + timedelta(hours=1)]
        assert len(hour) <= MAX_TRIES


@given(WISHES, st.data())
@settings(max_examples=100, deadline=None)
def test_what_is_lifted_leaves_nothing_on_the_charger(wanted: Wanted, data: st.DataObject) -> None:
    """Of what it has or may have, whatever was answered before: once it is heard again, all of it is cleared."""
    played = Played(wanted, data)
    for _ in range(data.draw(st.integers(0, 8))):
        played.goes_on()
    lifted = Wanted(ONE, 2)
    s = played.s
    played.s = evolve(s, wanted=lifted, steering=pending(lifted, s.now, s.steering), fresh=True)
    waits = played.settle()
    assert waits.until is None or waits.until > played.s.now
    if waits.until is None:
        assert played.has == {}


def test_the_most_that_a_meter_may_show_is_never_below_the_limit() -> None:
    """For any number of phases."""
    for phases in (None, 1, 2, 3):
        limit = RateLimit(Decimal(16), ChargingRateUnit.AMPERE, phases)
        assert most_watts(limit) > 16 * 230 * (phases or 3)
    assert most_watts(RateLimit(Decimal(0), ChargingRateUnit.WATT)) == verification.MARGIN_WATTS


# --- phases ---------------------------------------------------------------------------------------------------

WATTS = RateLimit(Decimal(4140), ChargingRateUnit.WATT)


def limit_sent(step: Step) -> Decimal:
    """The limit of a profile that is to be sent."""
    assert isinstance(step, Send)
    assert step.installation.profile is not None
    return step.installation.profile.schedule.periods[0].limit


@pytest.mark.parametrize(("phases", "amperes"), [(None, 6), (3, 6), (2, 9), (1, 18)])
def test_power_is_put_as_a_current_of_the_phases_that_are_used(phases: int | None, amperes: int) -> None:
    """Three where that is not known: never more than is wanted."""
    assert limit_sent(next_step(situation(wish(WATTS), transaction_id="tx_1", phases=phases))) == amperes
    assert limit_sent(next_step(situation(wish(WATTS), phases=phases))) == 6


@pytest.mark.parametrize(("phases", "watts"), [(None, 1380), (1, 1380), (2, 2760), (3, 4140)])
def test_a_current_is_put_as_the_power_of_the_phases_that_are_used(phases: int | None, watts: int) -> None:
    """One where that is not known."""
    able = evolve(ABLE, units=frozenset({ChargingRateUnit.WATT}))
    found = evolve(situation(transaction_id="tx_1", phases=phases), abilities=able)
    assert limit_sent(next_step(found)) == watts


def test_a_limit_is_sent_again_for_another_number_of_phases() -> None:
    """Once for each change; a rise within the bound of tries; what needed no conversion is left alone."""

    def put(found: Situation) -> Situation:
        step = next_step(found)
        assert isinstance(step, Send)
        profile = step.installation.profile
        assert profile is not None
        accepted = outcomes.accepted(found.steering, step, "cmd", found.now)
        return evolve(found, steering=accepted, installed={profile.profile_id: InstalledProfile(ONE, profile, NOW)})

    held = put(situation(wish(WATTS), transaction_id="tx_1", phases=1))
    assert isinstance(next_step(held), Wait)
    more = evolve(held, phases=3)
    assert limit_sent(next_step(more)) == 6
    assert isinstance(next_step(put(more)), Wait)
    tries = tuple(NOW - minutes(MAX_TRIES - n) for n in range(MAX_TRIES))
    fewer = evolve(put(more), phases=1)
    assert limit_sent(next_step(fewer)) == 18
    assert isinstance(next_step(evolve(fewer, steering=evolve(fewer.steering, tries=tries))), Wait)
    beyond = next_step(evolve(more, steering=evolve(more.steering, tries=tries)))
    assert limit_sent(beyond) == 6, "three phases of 18 A would be three times what is wanted"
    assert isinstance(next_step(evolve(held, phases=None)), Wait)
    plain = put(situation(transaction_id="tx_1", phases=1))
    assert isinstance(next_step(evolve(plain, phases=3)), Wait)


def test_a_meter_is_held_against_the_phases_that_are_used() -> None:
    """6 A on one phase are no three times as much."""
    applied = Steering(1, SteeringState.APPLIED, NOW)
    at = NOW + minutes(3)
    for phases, expected in ((None, SteeringState.VERIFIED), (1, SteeringState.INEFFECTIVE)):
        assert shown(wish(), applied, Measured(3680.0, at), at, phases) is expected


# --- room -----------------------------------------------------------------------------------------------------


def stored(number: int, connector: ConnectorAddress = ONE, purpose: ProfilePurpose = DEFAULT) -> InstalledProfile:
    """A profile that the charger has accepted."""
    schedule = ChargingSchedule(ChargingRateUnit.AMPERE, (SchedulePeriod(0, Decimal(6)),))
    profile = ChargingProfile(number, 1, purpose, ProfileKind.ABSOLUTE, schedule)
    return InstalledProfile(connector, profile, NOW)


def test_no_more_profiles_are_sent_than_the_charger_takes() -> None:
    """Those of others, and those that it may have, count; it says so, and waits until one is gone."""
    few = evolve(situation(), abilities=evolve(ABLE, max_profiles=2), installed={7: stored(7)})
    assert isinstance(next_step(few), Send)
    for full in (
        evolve(few, installed={7: stored(7), 8: stored(8, purpose=TX)}),
        evolve(few, doubted=frozenset({900_000_021})),
    ):
        step = next_step(full)
        assert isinstance(step, Record)
        assert step.steering.state is SteeringState.REFUSED
        assert (
            step.steering.reason == "the charger takes 2 charging profiles at once (MaxChargingProfilesInstalled), "
            "and has as many"
        )
        waits = evolve(full, steering=step.steering, now=NOW + minutes(300))
        assert next_step(waits) == Wait()
        assert isinstance(next_step(evolve(waits, installed={}, doubted=frozenset())), Send)
    assert isinstance(next_step(evolve(few, installed={7: stored(7), 8: stored(8)}, abilities=ABLE)), Send)
    unknown = evolve(ABLE, max_profiles=None)
    assert isinstance(next_step(evolve(few, installed={n: stored(n) for n in range(64)}, abilities=unknown)), Send)


def test_a_profile_that_takes_the_place_of_another_needs_no_room() -> None:
    """Its own of before, or one of the same purpose and level."""
    number = profile_id(ONE, DEFAULT)
    full = evolve(situation(), abilities=evolve(ABLE, max_profiles=1, max_stack_level=1))
    assert isinstance(next_step(evolve(full, installed={7: stored(7)})), Send)
    assert isinstance(next_step(evolve(full, installed={number: stored(number)})), Send)
    assert isinstance(next_step(evolve(full, doubted=frozenset({number}))), Send)


def test_an_earlier_way_makes_room_for_the_next() -> None:
    """Its profile is cleared first, where there is no room for both."""
    number = profile_id(ONE, DEFAULT)
    found = situation(transaction_id="tx_1")
    full = evolve(found, abilities=evolve(ABLE, max_profiles=1), installed={number: stored(number)})
    assert next_step(full) == Clear(number)
    sent = next_step(evolve(full, installed={}))
    assert isinstance(sent, Send)
    assert sent.purpose is TX


# --- looks ----------------------------------------------------------------------------------------------------


def test_a_profile_that_may_be_lost_is_looked_for_before_it_is_sent_again() -> None:
    """Nothing is sent if the charger agrees; the profile is, if it does not or may not be asked."""
    found = situation(may_look=True)
    sent = next_step(found)
    assert isinstance(sent, Send)
    assert sent.installation.profile is not None
    applied = evolve(
        found,
        steering=outcomes.accepted(found.steering, sent, "cmd_1", NOW),
        installed={sent.installation.profile.profile_id: InstalledProfile(ONE, sent.installation.profile, NOW)},
        confirmed=False,
        fresh=True,
    )
    assert next_step(applied) == Look()
    assert next_step(evolve(applied, agrees=True)) == Wait(applied.steering.refresh_at)
    assert isinstance(next_step(evolve(applied, agrees=False)), Send)
    assert isinstance(next_step(evolve(applied, may_look=False)), Send)
    tries = tuple(NOW - minutes(MAX_TRIES - n) for n in range(MAX_TRIES))
    full = evolve(applied, steering=evolve(applied.steering, tries=tries))
    assert isinstance(next_step(full), Wait)


def test_a_schedule_is_held_against_each_change_of_what_is_wanted() -> None:
    """One period that goes on beyond a step down does not agree; a boundary that is some seconds late does."""
    steps = Wanted(ONE, 1, plan=Plan((PlanStep(NOW, ABOVE), PlanStep(NOW + minutes(30), SIX)), NOW + minutes(120)))
    ten, six = Decimal(10), Decimal(6)

    def schedule(*periods: SchedulePeriod, duration: int | None = 7200) -> ChargingSchedule:
        return ChargingSchedule(ChargingRateUnit.AMPERE, periods, duration)

    assert not agrees(steps, NOW, schedule(SchedulePeriod(0, ten)))
    assert not agrees(steps, NOW, schedule(SchedulePeriod(0, ten), duration=None))
    assert agrees(steps, NOW, schedule(SchedulePeriod(0, ten), duration=1200))
    assert agrees(steps, NOW, schedule(SchedulePeriod(0, ten), SchedulePeriod(1804, six)))
    assert not agrees(steps, NOW, schedule(SchedulePeriod(0, ten), SchedulePeriod(1900, six)))


@given(
    st.lists(st.tuples(st.integers(-(10**12), 10**12), st.decimals(0, 64, places=1)), max_size=5),
    st.none() | st.integers(-(10**12), 10**12),
    st.datetimes(timezones=st.just(UTC)) | st.none(),
)
def test_any_composite_schedule_is_read(
    periods: list[tuple[int, Decimal]], duration: int | None, start: datetime | None
) -> None:
    """Of any length and any time: it agrees or it does not."""
    sent = ChargingSchedule(
        ChargingRateUnit.AMPERE, tuple(SchedulePeriod(at, limit) for at, limit in sorted(periods)), duration
    )
    answer = CompositeScheduleAnswer("Accepted", ONE, start, sent)
    assert look_shows(wish(), answer, NOW) in (True, False)
    assert not look_shows(wish(), evolve(answer, status="Rejected"), NOW)
    assert not look_shows(wish(), None, NOW)


def test_a_look_covers_what_the_profile_covers() -> None:
    """An hour at least, a day at most."""
    for covered, expected in ((None, 60), (5, 60), (90, 90), (3000, 1440)):
        until = None if covered is None else NOW + minutes(covered)
        assert look_ahead(Steering(1, SteeringState.APPLIED, NOW, covered_until=until), NOW) == minutes(expected)

"""Profiles that are cleared: the consequences of an unknown outcome, and of a look."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.charging import outcomes
from gateway.charging.answers import of_clearing, was_sent
from gateway.charging.outcomes import MAX_TRIES, Reason
from gateway.charging.reconciliation import Clear, Gone, LookFor, Situation, Wait, next_step
from gateway.charging.schedules import profile_for, profile_id
from gateway.charging.verification import AMPLE, look_shows_gone
from gateway.domain.charging import ChargingProfile, ChargingRateUnit, ChargingSchedule, ProfilePurpose, SchedulePeriod
from gateway.domain.commands import (
    Answer,
    CallOutcome,
    ChargerError,
    CommandRecord,
    CommandState,
    CompositeScheduleAnswer,
    FieldViolation,
    RefusalReason,
    Refused,
    StatusAnswer,
)
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
A, W = ChargingRateUnit.AMPERE, ChargingRateUnit.WATT
SIX = RateLimit(Decimal(6), A)
DEFAULT, TX, MAX = ProfilePurpose.TX_DEFAULT, ProfilePurpose.TX, ProfilePurpose.CHARGE_POINT_MAX
MINUTE = timedelta(minutes=1)


def put(purpose: ProfilePurpose = TX, wanted: Wanted | None = None) -> InstalledProfile:
    """The profile that the gateway put on the charger for a wish, 6 A unless it is given."""
    wanted = wanted or Wanted(ONE, 1, StandingLimit(SIX))
    made = profile_for(wanted, purpose, ABLE, NOW, transaction_id="tx_1")
    assert made is not None
    assert made.profile is not None
    return InstalledProfile(made.connector, made.profile, NOW)


def unanswered(purpose: ProfilePurpose = TX) -> Situation:
    """A lifted limit, whose profile the charger was asked to clear without an answer; the next try is due."""
    lifted = Wanted(ONE, 2)
    number = profile_id(ONE, purpose)
    begun = outcomes.clearing(pending(lifted, NOW, Steering(1, SteeringState.APPLIED, NOW)), number)
    failed = outcomes.perhaps_cleared(begun, number, "cmd_1", NOW)
    assert failed.retry_at is not None
    return Situation(
        lifted,
        failed,
        ABLE,
        failed.retry_at,
        transaction_id="tx_1",
        installed={number: put(purpose)},
        may_look=True,
    )


# --- decisions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", [TX, DEFAULT, MAX])
def test_a_clearing_without_an_answer_is_followed_by_a_look(purpose: ProfilePurpose) -> None:
    """It shows that the profile is gone: that is recorded. It does not: the profile is cleared again."""
    number, found = profile_id(ONE, purpose), unanswered(purpose)
    assert found.steering.reason == Reason.NOT_CLEARED
    assert next_step(evolve(found, now=NOW)) == Wait(found.now)
    assert next_step(found) == LookFor(number)
    assert next_step(evolve(found, gone={number: True})) == Gone(number)
    assert next_step(evolve(found, gone={number: False})) == Clear(number)


def test_a_clearing_that_was_not_tried_before_needs_no_look() -> None:
    """Nor where the charger may not be asked."""
    number, found = profile_id(ONE, TX), unanswered()
    assert next_step(evolve(found, steering=evolve(found.steering, clearing=()))) == Clear(number)
    assert next_step(evolve(found, may_look=False)) == Clear(number)


def test_there_is_no_look_that_could_show_nothing() -> None:
    """The profile's limits are not known, or it would not hold now: it is cleared again, which changes nothing."""
    default, number = unanswered(DEFAULT), profile_id(ONE, DEFAULT)
    tx = profile_id(ONE, TX)
    for found in (
        evolve(default, transaction_id=None),
        evolve(default, installed={**default.installed, 7: put(TX)}),
        evolve(default, doubted=frozenset({tx})),
        evolve(default, installed={}, steering=evolve(default.steering, doubts=(number,))),
    ):
        assert next_step(found) == Clear(number)
    elsewhere = evolve(put(TX), connector=ConnectorAddress(2, 1))
    assert next_step(evolve(default, installed={**default.installed, 7: elsewhere})) == LookFor(number)
    running = unanswered(TX)
    assert next_step(evolve(running, transaction_id="tx_2")) == Clear(tx)


def test_a_clearing_is_repeated_within_the_bound_of_tries() -> None:
    """With growing pauses; a new connection ends a pause."""
    number, found = profile_id(ONE, TX), evolve(unanswered(), gone={profile_id(ONE, TX): False})
    pauses = []
    for _ in range(MAX_TRIES):
        waits = next_step(found)
        if isinstance(waits, Wait):
            break
        failed = outcomes.perhaps_cleared(found.steering, number, "cmd", found.now)
        assert failed.retry_at is not None
        pauses.append(failed.retry_at - found.now)
        found = evolve(found, steering=failed, now=failed.retry_at)
    assert pauses[:3] == [2 * MINUTE, 10 * MINUTE, 30 * MINUTE]
    early = evolve(found, now=found.now - MINUTE)
    assert isinstance(next_step(early), Wait)
    assert next_step(evolve(early, fresh=True)) == Clear(number)
    tries = tuple(early.now - n * MINUTE for n in reversed(range(MAX_TRIES)))
    assert isinstance(next_step(evolve(early, fresh=True, steering=evolve(early.steering, tries=tries))), Wait)


def test_an_earlier_way_that_can_not_be_cleared_for_room_is_not_tried_all_the_time() -> None:
    """The charger refuses it: the next try has its pause."""
    number = profile_id(ONE, DEFAULT)
    wanted = Wanted(ONE, 1, StandingLimit(SIX))
    full = Situation(
        wanted,
        pending(wanted, NOW, None),
        evolve(ABLE, max_profiles=1),
        NOW,
        transaction_id="tx_1",
        installed={number: put(DEFAULT)},
    )
    assert next_step(full) == Clear(number)
    failed = outcomes.not_cleared(full.steering, number, "no", "cmd", NOW)
    assert failed.retry_at is not None
    assert next_step(evolve(full, steering=failed)) == Wait(failed.retry_at)
    assert next_step(evolve(full, steering=failed, now=failed.retry_at)) == Clear(number)


# --- answers --------------------------------------------------------------------------------------------------


def ended(state: CommandState, answer: Answer | None = None, error: ChargerError | None = None) -> CommandRecord:
    """A ClearChargingProfile that has come so far."""
    return CommandRecord("cmd_1", "CP1", "r", "ClearChargingProfile", {}, state, NOW, answer=answer, error=error)


ANSWERED, UNKNOWN = CommandState.ANSWERED, CommandState.OUTCOME_UNKNOWN
VIOLATION = FieldViolation("id", "is wrong")


@pytest.mark.parametrize(
    ("outcome", "sent", "clearing", "doubts", "reason"),
    [
        (ended(ANSWERED, StatusAnswer("Accepted")), True, (), (), ""),
        (ended(ANSWERED, StatusAnswer("Unknown")), True, (), (), ""),
        (ended(ANSWERED, StatusAnswer("Rejected")), True, (), (9,), "could not be cleared: the charger answered Rejec"),
        (ended(ANSWERED, error=ChargerError("NotSupported", "")), True, (), (9,), "the charger answered NotSupported"),
        (Refused(RefusalReason.INVALID_COMMAND, "no", (VIOLATION,)), True, (), (9,), "could not be cleared: id is wr"),
        (ended(CommandState.NOT_SENT), False, (), (9,), ""),
        (Refused(RefusalReason.STORE_UNAVAILABLE, "no"), False, (), (9,), ""),
        (ended(UNKNOWN), True, (9,), (9,), Reason.NOT_CLEARED),
        (ended(CommandState.SENT), True, (9,), (9,), Reason.NOT_CLEARED),
    ],
)
def test_only_an_outcome_that_is_not_known_leaves_a_doubt(
    outcome: CallOutcome, sent: bool, clearing: tuple[int, ...], doubts: tuple[int, ...], reason: str
) -> None:
    """One about the profile; the rest is known, and said."""
    before = Steering(1, SteeringState.APPLIED, NOW, doubts=(9,))
    after = of_clearing(outcomes.clearing(before, 9), before, 9, outcome, NOW)
    assert was_sent(outcome) is sent
    assert (after.clearing, after.doubts) == (clearing, doubts)
    assert reason in after.reason
    assert bool(after.reason) is bool(reason)


# --- looks ----------------------------------------------------------------------------------------------------


def composite(
    *limits: float, unit: ChargingRateUnit = A, step: int = 1800, start: datetime | None = NOW
) -> CompositeScheduleAnswer:
    """A charger's composite schedule of an hour, with a limit for each half of it."""
    periods = tuple(SchedulePeriod(step * n, Decimal(str(limit))) for n, limit in enumerate(limits))
    return CompositeScheduleAnswer("Accepted", ONE, start, ChargingSchedule(unit, periods, 3600))


SIX_AMPERES = put().profile
STEPS = Plan((PlanStep(NOW, RateLimit(Decimal(10), A)), PlanStep(NOW + 30 * MINUTE, SIX)), NOW + timedelta(hours=2))
TEN_THEN_SIX = put(wanted=Wanted(ONE, 1, plan=STEPS)).profile
WATTS = put(wanted=Wanted(ONE, 1, StandingLimit(RateLimit(Decimal(4140), W)))).profile


@pytest.mark.parametrize(
    ("profile", "answer", "gone"),
    [
        (SIX_AMPERES, composite(32), True),
        (SIX_AMPERES, composite(6.1), True),
        (SIX_AMPERES, composite(6), False),
        (SIX_AMPERES, composite(0), False),
        (SIX_AMPERES, composite(6, 32), True),
        (SIX_AMPERES, composite(32, 6), True),
        (SIX_AMPERES, composite(4140, unit=W), False),
        (SIX_AMPERES, composite(4141, unit=W), True),
        (TEN_THEN_SIX, composite(10), True),
        (TEN_THEN_SIX, composite(10, 6), False),
        (TEN_THEN_SIX, composite(10, 6, step=1860), False),
        (TEN_THEN_SIX, composite(10, 6, step=1740), False),
        (SIX_AMPERES, evolve(composite(32), status="Rejected"), False),
        (SIX_AMPERES, evolve(composite(32), schedule=None), False),
        (SIX_AMPERES, composite(32, start=None), True),
        (SIX_AMPERES, composite(32, start=NOW - timedelta(days=300)), False),
        (SIX_AMPERES, composite(), False),
        (SIX_AMPERES, None, False),
        (SIX_AMPERES, ChargerError("NotSupported", ""), False),
    ],
)
def test_a_schedule_that_allows_more_shows_that_a_profile_is_gone(
    profile: ChargingProfile, answer: object, gone: bool
) -> None:
    """By whichever number of phases; a minute's difference, or no answer, shows nothing."""
    assert look_shows_gone(profile, answer, NOW) is gone


def test_a_power_is_held_against_a_current_of_one_phase() -> None:
    """18 A on one phase are 4140 W, and it is not known on how many the charger reckons."""
    profile = evolve(WATTS, schedule=evolve(WATTS.schedule, rate_unit=W, periods=(SchedulePeriod(0, Decimal(4140)),)))
    assert not look_shows_gone(profile, composite(18), NOW)
    assert look_shows_gone(profile, composite(18.1), NOW)


def test_beyond_its_end_a_profile_allows_everything() -> None:
    """A lease of two hours that is nearly over shows nothing."""
    assert SIX_AMPERES.valid_to is not None
    late = SIX_AMPERES.valid_to - AMPLE
    assert not look_shows_gone(SIX_AMPERES, composite(32, start=late), late)
    early = SIX_AMPERES.valid_to - 3 * AMPLE
    assert look_shows_gone(SIX_AMPERES, composite(32, start=early), early)


def test_a_clock_that_is_ahead_is_reckoned_with() -> None:
    """The profile was put by that clock."""
    hour = timedelta(hours=1)
    made = profile_for(Wanted(ONE, 1, plan=STEPS), TX, ABLE, NOW, offset=hour, transaction_id="tx_1")
    assert made is not None
    assert made.profile is not None
    assert not look_shows_gone(made.profile, composite(10, 6, start=NOW + hour), NOW, hour)
    assert look_shows_gone(made.profile, composite(10, 10, start=NOW + hour), NOW, hour)


@given(
    st.lists(st.tuples(st.integers(-(10**12), 10**12), st.decimals(0, 64, places=1)), max_size=5),
    st.none() | st.integers(-(10**12), 10**12),
)
def test_any_schedule_is_an_answer(periods: list[tuple[int, Decimal]], duration: int | None) -> None:
    """Also one that makes no sense."""
    schedule = ChargingSchedule(A, tuple(SchedulePeriod(*each) for each in periods), duration)
    answer = CompositeScheduleAnswer("Accepted", ONE, NOW, schedule)
    assert look_shows_gone(TEN_THEN_SIX, answer, NOW) in (True, False)

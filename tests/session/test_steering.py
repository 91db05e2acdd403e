"""Wanted states on chargers that obey, refuse, ignore, lag, answer late, reconnect, reboot and forget."""

import gc
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import trio

from gateway.charging.outcomes import MAX_TRIES, Reason
from gateway.charging.reconciliation import Look, Situation, Step, Wait, next_step
from gateway.charging.schedules import LEASE
from gateway.charging.wishes import Change, ClearPlan, LiftLimit, SetLimit, SetPlan, WantedRequest
from gateway.control.energy import TransactionEnergies
from gateway.control.transactions import Transactions
from gateway.domain.charging import ChargingRateUnit, ProfilePurpose
from gateway.domain.commands import ClearChargingProfile, Refused
from gateway.domain.events import ChargingProfileRemoved, CommandQueued, SteeringChanged
from gateway.domain.quirks import Quirk, QuirkBook, QuirkValues
from gateway.domain.steering import ChangedWanted, Plan, PlanStep, RateLimit, StandingLimit, Steering, SteeringState
from gateway.domain.times import format_time
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress
from gateway.session.limits import quirk_defaults
from gateway.session.reconciler import HOLD, LEAST_SLEEP, MAX_STEPS, Reconciler
from gateway.session.wishes import WantedStates
from gateway.store.api import EventFilter
from tests.support.harness import Harness, virtual_clock
from tests.support.steered import VEHICLE_WATTS, SteeredCharger

ONE = ConnectorAddress(1, 1)
MINUTE, HOUR = 60.0, 3600.0
APPLIED, VERIFIED, PENDING = SteeringState.APPLIED, SteeringState.VERIFIED, SteeringState.PENDING
REFUSED, INEFFECTIVE = SteeringState.REFUSED, SteeringState.INEFFECTIVE
TX, DEFAULT, MAX = "TxProfile", "TxDefaultProfile", "ChargePointMaxProfile"


def amperes(value: int, minutes: float | None = None) -> SetLimit:
    """A limit by hand, without an end or for so long."""
    until = None if minutes is None else virtual_clock() + timedelta(minutes=minutes)
    return SetLimit(StandingLimit(RateLimit(Decimal(value), ChargingRateUnit.AMPERE), until))


def plan(*limits: int | None, minutes: float = 30, after: int | None = None, begin: float = 0) -> SetPlan:
    """Steps of so many minutes from now on; None: no limit."""
    start = virtual_clock() + timedelta(minutes=begin)

    def limit(value: int | None) -> RateLimit | None:
        return None if value is None else RateLimit(Decimal(value), ChargingRateUnit.AMPERE)

    steps = [PlanStep(start + timedelta(minutes=minutes * n), limit(value)) for n, value in enumerate(limits)]
    return SetPlan(Plan(tuple(steps), start + timedelta(minutes=minutes * len(limits)), limit(after)))


class Operator:
    """Changes what is wanted, and looks at how far it has got."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self._states = WantedStates(harness.router, harness.journal, harness.reads, virtual_clock, harness.protocol)
        self._requests = 0

    async def wants(self, change: Change, connector: ConnectorAddress = ONE) -> None:
        self._requests += 1
        made = await self._states.change("CP1", WantedRequest(f"r{self._requests}", connector, change))
        assert isinstance(made, ChangedWanted), made

    async def asks(self, request: WantedRequest) -> ChangedWanted | Refused:
        """As ``wants``, with the answer."""
        return await self._states.change("CP1", request)

    def steering(self, connector: ConnectorAddress = ONE) -> Steering:
        """As it is stored."""
        stored = self.harness.store.state("CP1", virtual_clock())
        assert stored is not None
        return stored.state.steering[connector]

    def states(self) -> list[SteeringState]:
        """The states that were recorded, each once in a row."""
        found: list[SteeringState] = []
        for body in self.harness.bodies_of(SteeringChanged):
            if found[-1:] != [body.steering.state]:
                found.append(body.steering.state)
        return found


@pytest.fixture
async def harness(harness: Harness) -> Harness:
    harness.add_charge_point()
    harness.add_tag("TAG")
    return harness


@pytest.fixture
async def operator(harness: Harness) -> Operator:
    return Operator(harness)


@pytest.fixture
async def charger(harness: Harness) -> SteeredCharger:
    return SteeredCharger(harness)


# --- obeying --------------------------------------------------------------------------------------------------


async def test_a_limit_reaches_a_running_transaction_and_the_meter_shows_it(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """By a TxProfile; verified within minutes, with one sending."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(5 * MINUTE)
        assert charger.watts == pytest.approx(6 * 230 * 3)
        assert operator.steering().state is VERIFIED
        assert operator.steering().purpose is ProfilePurpose.TX
        assert charger.sent_purposes() == [TX]
        assert operator.states() == [PENDING, APPLIED, VERIFIED]


async def test_a_pause_is_verified_by_power_that_is_gone(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """And lifted, it is cleared by its number; the vehicle charges again."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(0))
        await trio.sleep(5 * MINUTE)
        assert (charger.watts, operator.steering().state) == (0.0, VERIFIED)
        await operator.wants(LiftLimit())
        await trio.sleep(MINUTE)
        assert charger.watts == VEHICLE_WATTS
        assert charger.profiles == {}
        assert operator.steering().state is APPLIED
        assert operator.steering().profile_id is None
        [clear] = charger.sent("ClearChargingProfile")
        assert clear == {"id": 900_000_013}


async def test_a_wish_of_a_charge_point_that_is_away_is_applied_when_it_comes(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Before a transaction runs by a TxDefaultProfile, which holds for the next one."""
    await operator.wants(amperes(10))
    assert operator.steering().state is PENDING
    async with charger.connected():
        await charger.boot()
        await trio.sleep(MINUTE)
        assert operator.steering().state is APPLIED
        assert charger.sent_purposes() == [DEFAULT]
        await charger.start()
        await trio.sleep(5 * MINUTE)
        assert charger.watts == pytest.approx(10 * 230 * 3)
        assert operator.steering().state is VERIFIED
        assert charger.sent_purposes() == [DEFAULT]


async def test_a_limit_without_an_end_is_renewed_and_ends_without_the_gateway(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """There is no gap while it is renewed, and none of the profiles outlives its lease."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(0))
        await trio.sleep(MINUTE)
        for _ in range(24 * 6):
            await trio.sleep(10 * MINUTE)
            assert charger.watts == 0.0
        assert len(charger.sent()) == pytest.approx(24, abs=2)
        assert operator.steering().state is VERIFIED
    await trio.sleep(LEASE.total_seconds() + 1)
    assert charger.watts == VEHICLE_WATTS


async def test_a_plan_is_followed_step_by_step(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """One profile holds all of it where the charger takes so many periods; what holds after it is on the charger."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(plan(0, 16, None, 6, after=10))
        await trio.sleep(15 * MINUTE)
        drawn = []
        for _ in range(5):
            drawn.append(charger.watts)
            await trio.sleep(30 * MINUTE)
        assert drawn == pytest.approx([0.0, VEHICLE_WATTS, VEHICLE_WATTS, 6 * 690.0, 10 * 690.0])
        assert len(charger.sent()) <= 4


async def test_a_charger_that_takes_one_period_is_stepped_at_the_right_time(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """By the gateway, within seconds, with no gap at the seams."""
    charger.configuration["ChargingScheduleMaxPeriods"] = "1"
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await trio.sleep(10)
        begun = trio.current_time()
        await operator.wants(plan(0, 6, 10, 8))
        await trio.sleep(5)
        for limit in (0, 6, 10, 8):
            for _ in range(29):
                assert charger.watts == pytest.approx(limit * 690.0)
                await trio.sleep(MINUTE)
            assert charger.watts == pytest.approx(limit * 690.0)
            await trio.sleep(MINUTE)
        assert trio.current_time() - begun == pytest.approx(2 * HOUR, abs=6)
        await trio.sleep(15 * MINUTE)
        assert charger.watts == VEHICLE_WATTS


async def test_a_make_is_sent_no_more_periods_and_no_higher_level_than_its_profile_says(
    harness: Harness, operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Whatever its own configuration claims."""
    harness.quirks = QuirkBook(
        quirk_defaults(harness.limits), (Quirk("Acme", values=QuirkValues(max_schedule_periods=2, max_stack_level=1)),)
    )
    async with charger.connected():
        await charger.boot()
        await operator.wants(plan(0, 6, 10, 8))
        await trio.sleep(5)
    [(_, profile)] = charger.profiles.values()
    assert profile["stackLevel"] == 1
    assert len(profile["chargingSchedule"]["chargingSchedulePeriod"]) == 2


async def test_a_limit_by_hand_comes_before_a_plan_until_it_is_over(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Then the plan holds again, at the step that is due."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(plan(0, 0, 6, 6))
        await operator.wants(amperes(16, minutes=45))
        await trio.sleep(10 * MINUTE)
        assert charger.watts == VEHICLE_WATTS
        await trio.sleep(40 * MINUTE)
        assert charger.watts == 0.0
        await trio.sleep(30 * MINUTE)
        assert charger.watts == pytest.approx(6 * 690.0)
        await operator.wants(ClearPlan())
        await trio.sleep(MINUTE)
        assert charger.watts == VEHICLE_WATTS
        assert charger.profiles == {}


async def test_the_whole_charge_point_is_limited_by_its_maximum(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """On connector 0; a connector's wish beside it is another profile."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(10), WHOLE_CHARGE_POINT)
        await operator.wants(amperes(6))
        await trio.sleep(5 * MINUTE)
        assert sorted(charger.sent_purposes()) == [MAX, TX]
        assert [payload["connectorId"] for payload in charger.sent()] == [0, 1]
        assert operator.steering(WHOLE_CHARGE_POINT).state is VERIFIED
        assert charger.watts == pytest.approx(6 * 690.0)


async def test_the_profile_of_a_transaction_is_followed_by_one_for_the_next(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """A TxProfile goes with its transaction; what is wanted goes on."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(5 * MINUTE)
        await charger.stop()
        await trio.sleep(MINUTE)
        assert charger.sent_purposes() == [TX, DEFAULT]
        await charger.start()
        await trio.sleep(MINUTE)
        assert charger.watts == pytest.approx(6 * 690.0)


async def test_the_profile_of_a_transaction_that_an_operator_closes_is_followed_likewise(
    harness: Harness, operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """At once: the session hears of what was committed past it."""
    energies = TransactionEnergies(harness.reads, virtual_clock)
    transactions = Transactions(harness.journal, harness.reads, harness.router, energies, virtual_clock)
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(5 * MINUTE)
        assert charger.transaction is not None
        record = harness.store.transaction_by_number(charger.transaction)
        assert record is not None
        await transactions.close(record.transaction_id, "does not answer", None, None, False)
        await trio.sleep(10)
        assert charger.sent_purposes() == [TX, DEFAULT]


async def test_a_connector_that_the_charger_does_not_have_is_refused_by_its_configuration(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Once that is known, and unless the caller insists."""
    two = ConnectorAddress(2, 1)
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
        refused = await operator.asks(WantedRequest("r-two", two, amperes(6)))
        assert isinstance(refused, Refused)
        assert [each.field for each in refused.violations] == ["connector"]
        made = await operator.asks(WantedRequest("r-two", two, amperes(6), insist=True))
        assert isinstance(made, ChangedWanted)


async def test_nothing_runs_where_nothing_is_wanted(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """One reconciler from the first wish on, however many follow; it is let go of with the session's end."""

    def reconcilers() -> int:
        gc.collect()
        return sum(isinstance(each, Reconciler) for each in gc.get_objects())

    async with charger.connected():
        await charger.boot()
        session = operator.harness.router.session("CP1")
        assert session is not None
        assert reconcilers() == 0
        await operator.wants(amperes(6))
        await operator.wants(amperes(10))
        assert reconcilers() == 1
    assert reconcilers() == 0
    assert session.steering.wanted[ONE].revision == 2


# --- refusing, ignoring ---------------------------------------------------------------------------------------


async def test_a_purpose_that_is_refused_gives_way_to_the_next(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """At once."""
    charger.refuses = {TX, DEFAULT}
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(10)
        assert charger.sent_purposes() == [TX, DEFAULT, MAX]
        await trio.sleep(5 * MINUTE)
        assert operator.steering().state is VERIFIED


@pytest.mark.parametrize("word", ["Rejected", "NotSupported"])
async def test_a_charger_that_refuses_all_is_shown_so_and_tried_again_later(
    operator: Operator, charger: SteeredCharger, word: str, autojump_clock: object
) -> None:
    """With the charger's word as the reason; within the bound of tries, and at once when it has changed its mind."""
    charger.refuses, charger.refuses_with = {TX, DEFAULT, MAX}, word
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(10)
        refused = operator.steering()
        assert (refused.state, word in refused.reason) == (REFUSED, True)
        assert charger.sent_purposes() == [DEFAULT, MAX]
        await trio.sleep(5 * HOUR)
        assert len(charger.sent()) <= 2 * 6
        charger.refuses = set()
        await trio.sleep(HOUR + MINUTE)
        assert operator.steering().state is APPLIED


async def test_a_charger_that_takes_profiles_in_transactions_only_gets_one_at_the_start(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """REFUSED until then."""
    charger.refuses = {DEFAULT, MAX}
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
        assert operator.steering().state is REFUSED
        await charger.start()
        await trio.sleep(5 * MINUTE)
        assert operator.steering().state is VERIFIED
        assert charger.watts == pytest.approx(6 * 690.0)


async def test_a_charger_that_takes_no_profiles_is_sent_none(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """It says so in its configuration."""
    charger.configuration = {"SupportedFeatureProfiles": "Core,RemoteTrigger", "NumberOfConnectors": "1"}
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(5 * HOUR)
        assert charger.sent() == []
        assert (operator.steering().state, operator.steering().reason) == (REFUSED, Reason.NO_ABILITY)


async def test_a_charger_that_is_full_is_shown_so_and_sent_it_when_there_is_room(
    harness: Harness, operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Two connectors, and one profile at once: the second wish waits for the first one to be lifted."""
    charger.configuration |= {"MaxChargingProfilesInstalled": "1", "NumberOfConnectors": "2"}
    two = ConnectorAddress(2, 1)
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
        await operator.wants(amperes(10), two)
        await trio.sleep(3 * HOUR)
        assert operator.steering().state is APPLIED
        assert (operator.steering(two).state, "MaxChargingProfilesInstalled" in operator.steering(two).reason) == (
            REFUSED,
            True,
        )
        assert {connector for connector, _ in charger.profiles.values()} == {1}
        assert {payload["connectorId"] for payload in charger.sent()} == {1}
        await operator.wants(LiftLimit())
        await trio.sleep(MINUTE)
        assert operator.steering(two).state is APPLIED
        assert [connector for connector, _ in charger.profiles.values()] == [2]


async def test_a_power_is_put_by_the_phases_that_the_vehicle_uses(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """A charger that takes A alone: by three phases until the meter shows one; and again when it shows three."""
    charger.live_phases = 1
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(SetLimit(StandingLimit(RateLimit(Decimal(4600), ChargingRateUnit.WATT))))
        await trio.sleep(30)
        assert charger.watts == pytest.approx(6.6 * 230)
        await trio.sleep(5 * MINUTE)
        assert charger.watts == pytest.approx(20 * 230)
        assert operator.steering().state is VERIFIED
        charger.live_phases = 3
        await trio.sleep(5 * MINUTE)
        assert charger.watts == pytest.approx(6.6 * 230 * 3)
        assert operator.steering().state is VERIFIED
        assert len(charger.sent()) == 3


async def test_the_next_vehicle_is_not_taken_for_the_one_before_it(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """The last readings are of a vehicle on one phase, and a minute old: by them one on three would draw three times
    as much as is wanted."""
    charger.live_phases = 1
    async with charger.connected():
        await charger.boot()
        await operator.wants(SetLimit(StandingLimit(RateLimit(Decimal(7360), ChargingRateUnit.WATT))))
        await trio.sleep(MINUTE)
        await charger.start()
        await trio.sleep(5 * MINUTE)
        assert charger.watts == pytest.approx(7360)
        await charger.stop()
        await trio.sleep(5)
        charger.live_phases = 3
        await charger.start()
        for _ in range(60):
            await trio.sleep(5)
            assert charger.watts <= 7360


@pytest.mark.parametrize(
    ("unit", "wish", "before", "after"),
    [
        ("Power", (16, ChargingRateUnit.AMPERE), 16 * 230, 11_000),
        ("Current", (7360, ChargingRateUnit.WATT), 10.6 * 230, 7360),
    ],
)
async def test_what_was_put_for_transactions_to_come_is_put_anew_by_the_phases_that_are_used(
    operator: Operator,
    charger: SteeredCharger,
    unit: str,
    wish: tuple[int, ChargingRateUnit],
    before: float,
    after: float,
    autojump_clock: object,
) -> None:
    """16 A for a charger that takes W, and a vehicle on three phases; 7.36 kW for one that takes A, and one phase. The
    next transaction begins as the first one did."""
    charger.configuration["ChargingScheduleAllowedChargingRateUnit"] = unit
    charger.live_phases = 3 if unit == "Power" else 1
    async with charger.connected():
        await charger.boot()
        await operator.wants(SetLimit(StandingLimit(RateLimit(Decimal(wish[0]), wish[1]))))
        await trio.sleep(MINUTE)
        for _ in range(2):
            await charger.start()
            assert charger.watts == pytest.approx(before)
            await trio.sleep(5 * MINUTE)
            assert charger.watts == pytest.approx(after)
            assert operator.steering().state is VERIFIED
            await charger.stop()
            await trio.sleep(MINUTE)
        assert charger.sent_purposes() == [DEFAULT, TX, DEFAULT, TX, DEFAULT]


async def test_a_charger_that_holds_one_profile_keeps_the_one_that_it_has(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """To clear it first would open a gap at the default rate."""
    charger.configuration |= {"MaxChargingProfilesInstalled": "1", "ChargingScheduleAllowedChargingRateUnit": "Power"}
    charger.live_phases = 3
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(16))
        await trio.sleep(MINUTE)
        await charger.start()
        await trio.sleep(10 * MINUTE)
        assert charger.watts == pytest.approx(16 * 230)
        assert charger.sent_purposes() == [DEFAULT]


async def test_a_power_that_three_phases_can_not_be_offered_is_refused_or_a_pause(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Of a charger that takes A alone; not where the limit, or the running transaction, has fewer phases."""

    def limit(phases: int | None = None) -> StandingLimit:
        return StandingLimit(RateLimit(Decimal(4000), ChargingRateUnit.WATT, phases))

    steps = (PlanStep(virtual_clock() + timedelta(hours=1), limit().limit),)
    night = SetPlan(Plan(steps, virtual_clock() + timedelta(hours=2)))
    charger.live_phases = 1
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(0))
        await trio.sleep(MINUTE)
        changes: list[tuple[Change, str]] = [(SetLimit(limit()), "limit.value"), (night, "plan.steps[0].limit.value")]
        for number, (change, field) in enumerate(changes):
            refused = await operator.asks(WantedRequest(f"low{number}", ONE, change))
            assert isinstance(refused, Refused)
            [violation] = refused.violations
            assert violation.field == field
            assert "over 3 phases" in violation.description
            made = await operator.asks(WantedRequest(f"pause{number}", ONE, change, pause_below_minimum=True))
            assert isinstance(made, ChangedWanted)
        await operator.wants(ClearPlan())
        await operator.wants(SetLimit(limit(1)))
        await operator.wants(LiftLimit())
        await charger.start()
        await trio.sleep(3 * MINUTE)
        await operator.wants(SetLimit(limit()))
        await trio.sleep(5 * MINUTE)
        assert charger.watts == pytest.approx(17.3 * 230)
        await operator.wants(amperes(0))
        await trio.sleep(5 * MINUTE)
        assert charger.watts == 0.0
        after_a_pause = await operator.asks(WantedRequest("again", ONE, SetLimit(limit()), pause_below_minimum=True))
        assert isinstance(after_a_pause, ChangedWanted), "a pause shows no phase, and the vehicle is the same"
        await trio.sleep(5 * MINUTE)
        assert charger.watts == pytest.approx(17.3 * 230)


async def test_a_limit_that_could_only_be_put_as_a_pause_says_so(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """It was not known beforehand that the charger takes A alone."""
    charger.live_phases = 1
    await operator.wants(SetLimit(StandingLimit(RateLimit(Decimal(4000), ChargingRateUnit.WATT))))
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await trio.sleep(5 * MINUTE)
        assert (charger.watts, operator.steering().state) == (0.0, VERIFIED)
        assert operator.steering().reason == Reason.TOO_LITTLE
        await operator.wants(SetLimit(StandingLimit(RateLimit(Decimal(4000), ChargingRateUnit.WATT, 1))))
        await trio.sleep(5 * MINUTE)
        assert (operator.steering().state, operator.steering().reason) == (VERIFIED, "")


@pytest.mark.parametrize("ahead", [-20, 20, 120])
async def test_a_profile_is_put_by_the_clock_of_the_charger(
    operator: Operator, charger: SteeredCharger, ahead: int, autojump_clock: object
) -> None:
    """By minutes behind or ahead, or in the time of another zone: it holds at once, and as long as it is to."""

    def its_time() -> str:
        return format_time(virtual_clock() + timedelta(minutes=ahead))

    async with charger.connected():
        await charger.boot()
        for status in ("Preparing", "Available", "Preparing"):
            said = {"connectorId": 1, "status": status, "errorCode": "NoError", "timestamp": its_time()}
            await charger.say("StatusNotification", said)
            await trio.sleep(70)
        await operator.wants(amperes(10))
        await trio.sleep(5)
        [sent] = charger.sent()
        schedule = sent["csChargingProfiles"]["chargingSchedule"]
        start = datetime.fromisoformat(schedule["startSchedule"]) - timedelta(minutes=ahead)
        assert timedelta(minutes=9) < virtual_clock() - start < timedelta(minutes=11)


async def test_phases_that_change_all_the_time_do_not_flood_the_charger(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Within the bound of tries; what it has then is not left above what is wanted for longer than that."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(SetLimit(StandingLimit(RateLimit(Decimal(4600), ChargingRateUnit.WATT))))
        for n in range(50):
            charger.live_phases = 1 + 2 * (n % 2)
            await trio.sleep(MINUTE)
        assert len(charger.sent()) <= MAX_TRIES + 2


async def test_a_purpose_without_effect_gives_way_to_the_next(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """``Accepted`` without effect is common (B10.12): the meter tells, and what was tried in vain is cleared."""
    charger.ignores = {TX}
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(0))
        await trio.sleep(10 * MINUTE)
        assert charger.sent_purposes() == [TX, DEFAULT]
        assert charger.watts == 0.0
        assert operator.states() == [PENDING, APPLIED, INEFFECTIVE, APPLIED, VERIFIED]
        assert list(charger.profiles) == [900_000_012]


async def test_a_charger_that_ignores_all_is_shown_so(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """It lies about each; then it is left alone for an hour."""
    charger.ignores = {TX, DEFAULT, MAX}
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(0))
        await trio.sleep(30 * MINUTE)
        shown = operator.steering()
        assert (shown.state, shown.reason) == (INEFFECTIVE, Reason.TOO_MUCH)
        assert charger.sent_purposes() == [TX, DEFAULT, MAX]
        await trio.sleep(15 * MINUTE)
        assert len(charger.sent()) == 3


async def test_a_charger_that_stops_to_obey_is_noticed(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Also after it was verified."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(10 * MINUTE)
        assert operator.steering().state is VERIFIED
        charger.ignores = {TX, DEFAULT, MAX}
        await trio.sleep(20 * MINUTE)
        assert operator.steering().state is INEFFECTIVE


async def test_a_charger_that_lags_is_given_time(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Two minutes until it obeys are no disobedience."""
    charger.lag = 2 * MINUTE
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(6 * MINUTE)
        assert operator.steering().state is VERIFIED
        assert charger.sent_purposes() == [TX]


async def test_without_a_meter_it_stays_applied(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Nothing is claimed that is not known."""
    charger.meters = False
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(30 * MINUTE)
        assert operator.steering().state is APPLIED


# --- unknown outcomes -----------------------------------------------------------------------------------------


async def test_a_late_answer_is_taken(operator: Operator, charger: SteeredCharger, autojump_clock: object) -> None:
    """Nothing is sent a second time."""
    charger.late = 50.0
    async with charger.connected():
        await charger.boot()
        await charger.start()
        charger.configuration.clear()
        await operator.wants(amperes(6))
        await trio.sleep(10 * MINUTE)
        assert operator.steering().state is VERIFIED
        assert charger.sent_purposes() == [TX]


async def test_a_charger_that_does_not_answer_is_looked_at(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Its composite schedule shows that it has the profile."""
    charger.silent = {"SetChargingProfile"}
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(5 * MINUTE)
        assert len(charger.sent("GetCompositeSchedule")) == 1
        assert len(charger.sent()) == 1
        assert operator.steering().state is VERIFIED
        stored = operator.harness.store.state("CP1", virtual_clock())
        assert stored is not None
        assert list(stored.state.profiles) == [900_000_013]


async def test_a_charger_that_has_not_got_it_is_sent_the_same_again(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Under the same number, after a look; with growing pauses."""
    charger.deaf = {"SetChargingProfile"}
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(2 * HOUR)
        numbers = {payload["csChargingProfiles"]["chargingProfileId"] for payload in charger.sent()}
        assert numbers == {900_000_013}
        assert 4 <= len(charger.sent()) <= 2 * MAX_TRIES
        assert operator.steering().state is PENDING
        assert operator.steering().reason == Reason.NO_ANSWER
        charger.deaf = set()
        await trio.sleep(HOUR)
        assert operator.steering().state is VERIFIED


async def test_a_boot_ends_the_pause_after_a_failed_try(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """On the same connection: half an hour is left of it, and the charger is another one now."""
    charger.deaf = {"SetChargingProfile"}
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(20 * MINUTE)
        retry_at = operator.steering().retry_at
        assert retry_at is not None
        assert retry_at > virtual_clock() + timedelta(minutes=5)
        charger.deaf = set()
        await charger.boot()
        await trio.sleep(MINUTE)
        assert operator.steering().state is APPLIED


async def test_progress_names_the_command_that_it_came_of(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """As its cause; before the charger has answered there is none."""
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
    events = operator.harness.store.events(0, 1000, EventFilter(types=frozenset({SteeringChanged.TYPE}))).events
    [queued] = operator.harness.bodies_of(CommandQueued)[-1:]
    assert [each.cause for each in events] == ["", f"command:{queued.command_id}"]


async def test_a_charger_that_can_not_be_looked_at_is_sent_the_same_again(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Within the bound."""
    charger.deaf, charger.unsupported = {"SetChargingProfile"}, {"GetCompositeSchedule"}
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(10 * MINUTE)
        assert len(charger.sent()) > 1
        charger.deaf = set()
        await trio.sleep(HOUR)
        assert operator.steering().state is APPLIED


async def test_what_may_have_been_installed_is_cleared_when_it_is_lifted(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Although the charger never said that it has it; a link was lost in between."""
    charger.silent = {"SetChargingProfile"}
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(0))
        await trio.sleep(10)
    assert list(charger.profiles) == [900_000_013]
    await operator.wants(LiftLimit())
    charger.silent, charger.forgets = set(), False
    async with charger.connected():
        await trio.sleep(MINUTE)
        assert charger.profiles == {}
        assert operator.steering().state is APPLIED


async def test_a_clearing_that_is_not_answered_is_looked_at(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """The composite schedule allows more than the profile: it is gone, and not cleared a second time."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(5 * MINUTE)
        charger.silent = {"ClearChargingProfile"}
        charger.calls.clear()
        await operator.wants(LiftLimit())
        await trio.sleep(10 * MINUTE)
        asked = [action for _, action, _ in charger.calls]
        assert asked == ["ClearChargingProfile", "GetCompositeSchedule"]
        assert operator.steering().state is APPLIED
        stored = operator.harness.store.state("CP1", virtual_clock())
        assert stored is not None
        assert stored.state.profiles == {}
        assert operator.harness.bodies_of(ChargingProfileRemoved)[-1].why == "looked"


async def test_a_profile_that_is_still_there_is_cleared_again(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """After a look each time, with growing pauses, until it is answered."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(5 * MINUTE)
        charger.deaf = {"ClearChargingProfile"}
        charger.calls.clear()
        await operator.wants(LiftLimit())
        await trio.sleep(15 * MINUTE)
        asked = [action for _, action, _ in charger.calls]
        assert asked == ["ClearChargingProfile", *["GetCompositeSchedule", "ClearChargingProfile"] * 3]
        assert operator.steering().reason == Reason.NOT_CLEARED
        charger.deaf = set()
        await trio.sleep(HOUR)
        assert charger.profiles == {}
        assert operator.steering().reason == Reason.NOTHING


@pytest.mark.parametrize("done", [True, False])
async def test_a_clearing_that_a_lost_link_left_open_is_looked_at_on_the_next_one(
    operator: Operator, charger: SteeredCharger, done: bool, autojump_clock: object
) -> None:
    """That it was begun is on disk before it is sent: so it is after a kill."""
    charger.forgets = False
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(5 * MINUTE)
        (charger.silent if done else charger.deaf).add("ClearChargingProfile")
        await operator.wants(LiftLimit())
        await trio.sleep(5)
    assert bool(charger.profiles) is not done
    charger.silent, charger.deaf = set(), set()
    charger.calls.clear()
    async with charger.connected():
        await trio.sleep(MINUTE)
        asked = [action for _, action, _ in charger.calls if action != "TriggerMessage"]
        assert asked == ["GetCompositeSchedule", *([] if done else ["ClearChargingProfile"])]
        assert charger.profiles == {}
        assert operator.steering().reason == Reason.NOTHING


async def test_no_profile_of_others_is_cleared(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Only numbers of the gateway's own range."""
    async with charger.connected():
        await charger.boot()
        charger.profiles[7] = (1, {"chargingProfilePurpose": TX, "stackLevel": 0, "chargingProfileId": 7})
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
        await operator.wants(LiftLimit())
        await trio.sleep(MINUTE)
        assert list(charger.profiles) == [7]


# --- links, boots, restarts -----------------------------------------------------------------------------------


async def test_a_charger_that_boots_and_forgets_is_sent_it_again(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """At once when it is ready."""
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
        await charger.boot()
        assert charger.profiles == {}
        await trio.sleep(MINUTE)
        assert list(charger.profiles) == [900_000_012]
        assert operator.steering().state is APPLIED


async def test_a_charger_that_reconnects_is_sent_it_again(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """It was switched off meanwhile, and a look shows that it has the profile no more: the same one, once."""
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
    charger.profiles.clear()
    charger.calls.clear()
    async with charger.connected():
        await trio.sleep(MINUTE)
        assert list(charger.profiles) == [900_000_012]
        asked = [action for _, action, _ in charger.calls if action in ("GetCompositeSchedule", "SetChargingProfile")]
        assert asked == ["GetCompositeSchedule", "SetChargingProfile"]


@pytest.mark.parametrize("boots", [False, True])
async def test_a_charger_that_still_has_it_is_sent_nothing_after_a_reconnect(
    operator: Operator, charger: SteeredCharger, boots: bool, autojump_clock: object
) -> None:
    """Nor after a boot: one look shows that it does what is wanted; the profile is renewed when that is due."""
    charger.forgets = False
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(plan(6, 10, 0, 8))
        await trio.sleep(5 * MINUTE)
        assert operator.steering().state is VERIFIED
    charger.calls.clear()
    async with charger.connected():
        if boots:
            await charger.boot()
        await trio.sleep(20 * MINUTE)
        assert len(charger.sent("GetCompositeSchedule")) == 1
        assert charger.sent() == []
        assert operator.steering().state is VERIFIED
        await trio.sleep(3 * HOUR)
        assert charger.watts == VEHICLE_WATTS


async def test_a_look_is_held_against_the_steps_that_are_to_come(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """A schedule that agrees now, and not with a pause that comes later, is replaced."""
    async with charger.connected():
        await charger.boot()
        await operator.wants(plan(6, 10, 0, 8))
        await trio.sleep(MINUTE)
    _, profile = charger.profiles[900_000_012]
    profile["chargingSchedule"]["chargingSchedulePeriod"][1:] = []
    charger.calls.clear()
    async with charger.connected():
        await trio.sleep(MINUTE)
        assert len(charger.sent()) == 1


@pytest.mark.parametrize("habit", ["unsupported", "deaf", "refuses"])
async def test_a_charger_that_can_not_say_what_it_has_is_sent_the_same_after_a_reconnect(
    operator: Operator, charger: SteeredCharger, monkeypatch: pytest.MonkeyPatch, habit: str, autojump_clock: object
) -> None:
    """After one look: an error, no answer and a refusal say nothing."""
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
    if habit == "refuses":
        monkeypatch.setattr(charger, "_GetCompositeSchedule", lambda payload: {"status": "Rejected"})
    else:
        getattr(charger, habit).add("GetCompositeSchedule")
    for _ in range(3):
        charger.calls.clear()
        async with charger.connected():
            await trio.sleep(3 * MINUTE)
            assert len(charger.sent("GetCompositeSchedule")) == 1
            [again] = charger.sent()
            assert again["csChargingProfiles"]["chargingProfileId"] == 900_000_012
            assert operator.steering().state is APPLIED


async def test_a_charger_that_is_not_to_be_asked_is_sent_the_same_after_a_reconnect(
    harness: Harness, operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Its own requests are off: no look."""
    harness.asks_nothing()
    for _ in range(2):
        async with charger.connected():
            await charger.boot()
            if not operator.states():
                await operator.wants(amperes(6))
            await trio.sleep(MINUTE)
    assert len(charger.sent()) == 2
    assert charger.sent("GetCompositeSchedule") == []


async def test_a_charger_that_boots_again_and_again_is_not_written_to_each_time(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """The bound of tries in an hour holds across connections and boots."""
    await operator.wants(amperes(6))
    for _ in range(30):
        async with charger.connected():
            await charger.boot()
            await trio.sleep(MINUTE)
    assert len(charger.sent()) == MAX_TRIES
    async with charger.connected():
        await charger.boot()
        await trio.sleep(HOUR)
        assert operator.steering().state is APPLIED
        assert list(charger.profiles) == [900_000_012]


async def test_a_profile_that_a_caller_clears_is_sent_again(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """By the record of what the charger has: it was cleared by hand."""
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
        await operator.harness.router.call(
            "CP1", ClearChargingProfile(900_000_012), request_id="by-hand", deadline=trio.current_time() + 10
        )
        await trio.sleep(MINUTE)
        assert list(charger.profiles) == [900_000_012]
        assert operator.states() == [PENDING, APPLIED, PENDING, APPLIED]


@pytest.mark.parametrize("seconds", [0.0, 1.0, 2.1, 5.0, 45.0, 200.0])
async def test_the_gateway_that_is_killed_at_any_stage_goes_on(
    harness: Harness, operator: Operator, charger: SteeredCharger, seconds: float, autojump_clock: object
) -> None:
    """The charger has its profile in the end, and it is shown; whatever was on its way."""
    charger.late, charger.forgets = 1.0, False
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(seconds)
        harness.journal.failing = True  # as after a kill: what comes from here on is not kept
    harness.journal.failing = False
    harness.store.settle(virtual_clock())
    async with charger.connected():
        await trio.sleep(10 * MINUTE)
        assert operator.steering().state is VERIFIED
        assert list(charger.profiles) == [900_000_013]


async def test_a_change_while_something_is_on_its_way_is_not_lost(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """The answer to the old profile is not taken for one to the new."""
    charger.late = 20.0
    async with charger.connected():
        await charger.boot()
        charger.late = 20.0
        await charger.start()
        await operator.wants(amperes(6))
        await trio.sleep(45)
        await operator.wants(amperes(10))
        await trio.sleep(10 * MINUTE)
        assert charger.watts == pytest.approx(10 * 690.0)
        assert (operator.steering().revision, operator.steering().state) == (2, VERIFIED)


async def test_a_charger_whose_own_requests_are_off_is_sent_wishes_and_asked_nothing(
    harness: Harness, operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """A person asked for them; with the least that any charger takes."""
    harness.asks_nothing()
    charger.silent = {"SetChargingProfile"}
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(plan(6, 10))
        await trio.sleep(10 * MINUTE)
        assert {action for _, action, _ in charger.calls} == {"SetChargingProfile"}
        [first, *_] = charger.sent()
        assert len(first["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]) == 1
        assert first["csChargingProfiles"]["stackLevel"] == 0


async def test_abilities_are_asked_for_once_a_boot(
    operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """Also where the charger knows none of the keys; then the least is sent."""
    charger.configuration.clear()
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(3 * HOUR)
        assert len(charger.sent("GetConfiguration")) == 1
        assert operator.steering().state is APPLIED


async def test_what_is_sent_has_a_record_that_names_its_wish(
    harness: Harness, operator: Operator, charger: SteeredCharger, autojump_clock: object
) -> None:
    """By its request id."""
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        await trio.sleep(MINUTE)
    [queued] = harness.bodies_of(CommandQueued)
    assert queued.request_id == "steering-1.1-r1-e1-1"
    assert operator.steering().command_id == queued.command_id


# --- decisions that never rest --------------------------------------------------------------------------------


async def test_a_decision_that_is_always_due_starves_no_session(
    operator: Operator, charger: SteeredCharger, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    """It has its turn ten times a second, and the charger is answered meanwhile."""
    rounds = 0

    def due_at_once(situation: Situation) -> Step:
        nonlocal rounds
        rounds += 1
        assert rounds < 10_000, "no time passes between two rounds"
        return Wait(situation.now)

    monkeypatch.setattr("gateway.session.reconciler.next_step", due_at_once)
    async with charger.connected():
        await charger.boot()
        await operator.wants(amperes(6))
        began, rounds = trio.current_time(), 0
        for _ in range(10):
            with trio.fail_after(LEAST_SLEEP):
                assert "currentTime" in await charger.say("Heartbeat", {})
            await trio.sleep(1)
        assert 0 < rounds <= (trio.current_time() - began) / LEAST_SLEEP + 1


async def test_a_decision_that_goes_round_in_circles_is_held_up(
    operator: Operator, charger: SteeredCharger, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    """After so many steps in a row, for half a minute; the charger is answered meanwhile."""
    async with charger.connected():
        await charger.boot()
        await trio.sleep(MINUTE)
        monkeypatch.setattr("gateway.session.reconciler.next_step", lambda situation: Look())
        await operator.wants(amperes(6))
        await trio.sleep(5 * MINUTE)
        assert "currentTime" in await charger.say("Heartbeat", {})
        assert 0 < len(charger.sent("GetCompositeSchedule")) <= MAX_STEPS * (5 * MINUTE / HOLD.total_seconds() + 1)


TWO = ConnectorAddress(2, 1)


@pytest.mark.parametrize(("measurand", "minutes"), [("Energy.Active.Import.Register", 0), ("Power.Active.Import", 20)])
async def test_readings_without_a_power_of_the_present_decide_nothing(
    operator: Operator,
    charger: SteeredCharger,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: object,
    measurand: str,
    minutes: int,
) -> None:
    """Energy alone, and a power that lay in the charger's queue."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await trio.sleep(30 * MINUTE)
        await operator.wants(amperes(6))
        await trio.sleep(10 * MINUTE)
        charger.meters = False
        await trio.sleep(MINUTE + 1)
        monkeypatch.setattr("gateway.session.reconciler.next_step", lambda situation: pytest.fail("a decision"))
        value = {"timestamp": format_time(virtual_clock() - timedelta(minutes=minutes))}
        sampled = [{"value": "9999", "measurand": measurand}]
        payload = {"connectorId": 1, "meterValue": [{**value, "sampledValue": sampled}]}
        assert await charger.say("MeterValues", payload) == {}
        await trio.sleep(1)
        assert await charger.say("Heartbeat", {})


@pytest.mark.parametrize(
    ("limited", "refuses", "lifted", "measured", "decides"),
    [
        (ONE, False, False, 1, True),
        (ONE, False, False, 2, False),
        (ONE, False, True, 1, False),
        (ONE, True, False, 1, False),
        (TWO, False, False, 2, True),
        (TWO, False, False, 1, False),
        (WHOLE_CHARGE_POINT, False, False, 2, True),
        (WHOLE_CHARGE_POINT, True, False, 2, False),
    ],
    ids=["its own", "another's", "lifted", "refused", "the second's own", "the first's", "of all", "refused of all"],
)
async def test_a_power_brings_about_a_decision_only_where_a_profile_is_to_be_seen_in_it(
    harness: Harness,
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: object,
    limited: ConnectorAddress,
    refuses: bool,
    lifted: bool,
    measured: int,
    decides: bool,
) -> None:
    """Readings are what chargers send most, and a decision costs far more than taking one."""
    charger, decisions = SteeredCharger(harness, connectors=2), 0

    def counted(situation: Situation) -> Step:
        nonlocal decisions
        decisions += 1
        return next_step(situation)

    if refuses:
        charger.refuses = {TX, DEFAULT, MAX}
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(amperes(6), limited)
        await trio.sleep(10 * MINUTE)
        if lifted:
            await operator.wants(LiftLimit(), limited)
            await trio.sleep(10 * MINUTE)
        charger.meters = False
        await trio.sleep(MINUTE + 1)
        monkeypatch.setattr("gateway.session.reconciler.next_step", counted)
        sampled = [{"value": "4000", "measurand": "Power.Active.Import", "unit": "W"}]
        values = [{"timestamp": format_time(virtual_clock()), "sampledValue": sampled}]
        await charger.say("MeterValues", {"connectorId": measured, "meterValue": values})
        await trio.sleep(1)
        assert (decisions > 0) is decides


# --- the clock ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("jump", [timedelta(hours=-3), timedelta(minutes=47), timedelta(hours=30)])
async def test_a_jump_of_the_clock_neither_skips_nor_repeats_a_step(
    harness: Harness,
    operator: Operator,
    charger: SteeredCharger,
    monkeypatch: pytest.MonkeyPatch,
    jump: timedelta,
    back: bool,
    autojump_clock: object,
) -> None:
    """Within a minute the charger has what the plan names for the time that it is now; also after it was set right."""
    offset = timedelta(0)

    def clock() -> datetime:
        return virtual_clock() + offset

    monkeypatch.setattr("tests.support.harness.virtual_clock", clock)
    monkeypatch.setattr("tests.support.steered.virtual_clock", clock)
    charger.configuration["ChargingScheduleMaxPeriods"] = "1"
    async with charger.connected():
        await charger.boot()
        await charger.start()
        await operator.wants(plan(0, 6, 10, 8, 0, 6, 10, 8))
        wanted = harness.router.session("CP1").steering.wanted[ONE].plan  # type: ignore[union-attr]
        assert wanted is not None
        await trio.sleep(40 * MINUTE)
        offset = jump
        await trio.sleep(2 * MINUTE + 7)
        if back:
            await trio.sleep(20 * MINUTE)
            offset = timedelta(0)
            await trio.sleep(2 * MINUTE)
        for _ in range(6 * 8):
            holds = [step for step in wanted.steps if step.at <= clock() < wanted.ends_at]
            limit = holds[-1].limit if holds else None
            expected = VEHICLE_WATTS if limit is None else float(limit.value) * 690
            assert charger.watts == pytest.approx(expected), clock()
            await trio.sleep(10 * MINUTE - 30)

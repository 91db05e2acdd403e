"""Turns of reconcilers: thousands of chargers that come at once are put in order one after the other."""

from decimal import Decimal

import pytest
import trio

from gateway.charging.wishes import LiftLimit, SetLimit, WantedRequest
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.steering import ChangedWanted, RateLimit, StandingLimit
from gateway.domain.values import ConnectorAddress
from gateway.session.steering_pace import PER_SECOND, SteeringPace
from gateway.session.wishes import WantedStates
from tests.support.harness import Harness, virtual_clock
from tests.support.steered import SteeredCharger

ONE = ConnectorAddress(1, 1)


async def test_ten_thousand_have_their_turn_within_half_a_minute(autojump_clock: object) -> None:
    """Evenly; one that comes alone waits for nothing."""
    pace, done = SteeringPace(), []

    async def comes() -> None:
        await pace.turn()
        done.append(trio.current_time())

    began = trio.current_time()
    await pace.turn()
    assert trio.current_time() == began
    async with trio.open_nursery() as nursery:
        for _ in range(10_000):
            nursery.start_soon(comes)
    assert done[-1] - began == pytest.approx(10_000 / PER_SECOND)
    assert 10_000 / PER_SECOND < 30
    for second in range(25):
        assert len([at for at in done if second <= at - began < second + 1]) <= PER_SECOND + 1


async def test_a_change_by_a_caller_waits_for_no_turn(harness: Harness, autojump_clock: object) -> None:
    """Wishes of before the connection do."""
    harness.add_charge_point()
    states = WantedStates(harness.router, harness.journal, harness.reads, virtual_clock, harness.protocol)
    harness.steering_pace = SteeringPace(1 / 600)
    await harness.steering_pace.turn()

    async def wants(request_id: str, value: int) -> None:
        limit = RateLimit(Decimal(value), ChargingRateUnit.AMPERE)
        request = WantedRequest(request_id, ONE, SetLimit(StandingLimit(limit)))
        assert isinstance(await states.change("CP1", request), ChangedWanted)

    charger = SteeredCharger(harness)
    await wants("r1", 10)
    async with charger.connected():
        await charger.boot()
        await trio.sleep(60)
        assert charger.sent() == []
        await trio.sleep(600)
        assert len(charger.sent()) == 1
        await wants("r2", 16)
        await trio.sleep(5)
        assert len(charger.sent()) == 2


async def test_wishes_of_a_charger_that_comes_back_without_a_boot_take_their_turn(
    harness: Harness, autojump_clock: object
) -> None:
    """It is asked for its composite schedule then: all of a fleet come back after a restart of the gateway."""
    harness.add_charge_point()
    states = WantedStates(harness.router, harness.journal, harness.reads, virtual_clock, harness.protocol)
    charger = SteeredCharger(harness)
    async with charger.connected():
        await charger.boot()
        limit = RateLimit(Decimal(10), ChargingRateUnit.AMPERE)
        made = await states.change("CP1", WantedRequest("r1", ONE, SetLimit(StandingLimit(limit))))
        assert isinstance(made, ChangedWanted)
        await trio.sleep(60)
    harness.steering_pace = SteeringPace(1 / 600)
    await harness.steering_pace.turn()
    async with charger.connected():
        await trio.sleep(300)
        assert charger.sent("GetCompositeSchedule") == []
        await trio.sleep(600)
        assert len(charger.sent("GetCompositeSchedule")) == 1


@pytest.mark.parametrize("begun", [False, True], ids=["a clearing", "a clearing that was left open"])
async def test_a_limit_that_was_lifted_takes_its_turn_too(
    harness: Harness, autojump_clock: object, begun: bool
) -> None:
    """Clearing a profile, and looking whether one is gone: a plan that ends for a whole fleet at midnight, while the
    gateway is restarted."""
    harness.add_charge_point()
    states = WantedStates(harness.router, harness.journal, harness.reads, virtual_clock, harness.protocol)
    charger = SteeredCharger(harness)
    limit = RateLimit(Decimal(10), ChargingRateUnit.AMPERE)
    async with charger.connected():
        await charger.boot()
        await charger.start()
        made = await states.change("CP1", WantedRequest("r1", ONE, SetLimit(StandingLimit(limit))))
        assert isinstance(made, ChangedWanted)
        await trio.sleep(300)
        if begun:
            charger.deaf = {"ClearChargingProfile"}
            assert isinstance(await states.change("CP1", WantedRequest("r2", ONE, LiftLimit())), ChangedWanted)
            await trio.sleep(5)
    if not begun:
        assert isinstance(await states.change("CP1", WantedRequest("r2", ONE, LiftLimit())), ChangedWanted)
    harness.steering_pace = SteeringPace(1 / 600)
    await harness.steering_pace.turn()
    charger.deaf = set()
    charger.calls.clear()
    asked = "GetCompositeSchedule" if begun else "ClearChargingProfile"
    async with charger.connected():
        await trio.sleep(300)
        assert [action for _, action, _ in charger.calls if action != "TriggerMessage"] == []
        await trio.sleep(600)
        assert len(charger.sent(asked)) == 1
        assert charger.profiles == {}

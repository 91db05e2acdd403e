"""A look at all sessions finds what each connector draws."""

from datetime import timedelta

from trio.testing import MockClock

from gateway.domain.fleet_summary import PowerSum
from gateway.session.fleet_power import FleetPower
from tests.session.test_charging_states import STALE, power, status
from tests.support.harness import Harness, virtual_clock

SECOND = timedelta(seconds=1)


async def test_each_connected_charge_point_has_its_power(harness: Harness, autojump_clock: MockClock) -> None:
    """With the number of its connection; an old value of one that charges is said to be old, and one that went is in
    it no more."""
    harness.asks_nothing()
    harness.add_charge_point()
    looks = FleetPower(harness.router, virtual_clock)
    assert (await looks.look()).seen == {}
    async with harness.connected() as charger:
        await status(charger, "Charging")
        await status(charger, "Charging", 2)
        await power(charger, 7000)
        [seen] = (await looks.look()).seen.values()
        assert (seen.epoch, seen.power) == (1, PowerSum(7000.0, 1, 0.0, 0, 1))
        old = FleetPower(harness.router, lambda: virtual_clock() + STALE * 2 * SECOND)
        [seen] = (await old.look()).seen.values()
        assert seen.power == PowerSum(0.0, 0, 7000.0, 1, 1)
    assert (await looks.look()).seen == {}

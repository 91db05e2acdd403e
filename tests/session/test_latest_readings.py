"""Newest readings over sessions: in the owner's state while it runs, in the store after it, whatever became of it."""

from datetime import timedelta

import trio
from trio.testing import MockClock

from gateway.control.connectors import Connectors
from gateway.domain.charging_state import ChargingState
from gateway.domain.measurements import Kind
from gateway.domain.records import ConnectorRecord
from tests.session.test_charging_states import power, status
from tests.support.harness import Harness, virtual_clock
from tests.support.wire import ScriptedCharger

GRACE = timedelta(minutes=5)


async def shown(harness: Harness) -> ConnectorRecord:
    """The one connector, as the control interface shows it."""
    connectors = Connectors(harness.reads, harness.router, virtual_clock, GRACE)
    [record] = await connectors.shown([harness.charge_point()])
    [connector] = record.connectors
    return connector


async def watts(harness: Harness) -> float:
    found = (await shown(harness)).latest
    assert found is not None
    reading = found.total(Kind.POWER)
    assert reading is not None
    return reading.value


async def charge(charger: ScriptedCharger, value: float) -> None:
    await status(charger, "Charging")
    await power(charger, value)


async def test_the_readings_of_a_session_are_there_during_it_and_after_it(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Its charging state too, until the grace is over."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await charge(charger, 7000)
        assert await watts(harness) == 7000
    assert await watts(harness) == 7000
    record = harness.charge_point()
    assert record.latest_epoch == record.connection.epoch
    connector = await shown(harness)
    assert connector.charging is not None
    assert connector.charging.verdict.state is ChargingState.CHARGING
    await trio.sleep(GRACE.total_seconds())
    connector = await shown(harness)
    assert connector.charging is not None
    assert connector.charging.verdict.state is ChargingState.UNKNOWN
    assert await watts(harness) == 7000


async def test_a_session_without_readings_leaves_those_of_before(harness: Harness, autojump_clock: MockClock) -> None:
    """A charger that only comes and goes."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await charge(charger, 7000)
    for _ in range(2):
        async with harness.connected() as charger:
            await status(charger, "Charging")
            assert await watts(harness) == 7000
        assert await watts(harness) == 7000


async def test_a_displaced_sessions_readings_are_gone_on_from(harness: Harness, autojump_clock: MockClock) -> None:
    """It records no end of its own; the newer one reads its events."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as first:
        await charge(first, 7000)
        async with harness.connected() as second:
            assert await watts(harness) == 7000
            await status(second, "Charging")
        assert await watts(harness) == 7000


async def test_a_session_that_could_not_record_its_end_loses_no_reading(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """As after a crash: they are read from its events."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await charge(charger, 7000)
        harness.journal.failing = True
    harness.journal.failing = False
    assert harness.charge_point().latest == b""
    assert await watts(harness) == 7000
    async with harness.connected() as charger:
        assert await watts(harness) == 7000
        await power(charger, 3000)
        assert await watts(harness) == 3000
    assert await watts(harness) == 3000

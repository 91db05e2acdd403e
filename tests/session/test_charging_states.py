"""Charging states over a session: recorded with what brought them about, or by time, and once."""

from datetime import timedelta
from typing import Any

import trio
from trio.testing import MockClock

from gateway.domain.charging_state import SETTLES_AFTER, STALE_AFTER, ChargingState, StateBasis
from gateway.domain.commands import ClearCache
from gateway.domain.events import ConnectorChargingStateChanged
from gateway.domain.values import ConnectorAddress
from tests.session.commands.test_commands import Asked
from tests.support.harness import Harness, virtual_clock
from tests.support.wire import ScriptedCharger

ONE = ConnectorAddress(1, 1)
SETTLED = SETTLES_AFTER.total_seconds()
STALE = STALE_AFTER.total_seconds()


def now(seconds: float = 0) -> str:
    return (virtual_clock() + timedelta(seconds=seconds)).isoformat()


async def status(charger: ScriptedCharger, word: str, connector: int = 1, at: float = 0) -> None:
    said = {"connectorId": connector, "status": word, "errorCode": "NoError", "timestamp": now(at)}
    await charger.call("StatusNotification", said)


async def power(charger: ScriptedCharger, watts: float, at: float = 0) -> None:
    sampled = [{"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"}]
    values = [{"timestamp": now(at), "sampledValue": sampled}]
    await charger.call("MeterValues", {"connectorId": 1, "meterValue": values})


def changes(harness: Harness) -> list[tuple[ChargingState, StateBasis]]:
    bodies = harness.bodies("connector.charging_state_changed")
    return [(each.state, each.basis) for each in bodies if isinstance(each, ConnectorChargingStateChanged)]


def kept(harness: Harness) -> tuple[ChargingState, Any]:
    record = harness.store.charge_point("CP1")
    assert record is not None
    [found] = record.charging_states
    return found.verdict.state, found.since


CHARGING = (ChargingState.CHARGING, StateBasis.STATUS_ONLY)
CONNECTED = (ChargingState.CONNECTED, StateBasis.POWER)


async def test_a_change_is_committed_with_what_brought_it_about(harness: Harness, autojump_clock: MockClock) -> None:
    """One transaction has both, so no crash parts them."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await status(charger, "Available")
        await status(charger, "Charging")
        await status(charger, "Charging")
        await power(charger, 7000)
        await status(charger, "SuspendedEV")
        await status(charger, "Available", connector=0)
    assert changes(harness) == [
        (ChargingState.AVAILABLE, StateBasis.STATUS),
        CHARGING,
        (ChargingState.CONNECTED, StateBasis.STATUS),
    ]
    types = [[event.body.TYPE for event in getattr(write, "events", ())] for write in harness.journal.commits]
    assert types.count(["connector.status_changed", "connector.charging_state_changed"]) == 3
    assert kept(harness) == (ChargingState.CONNECTED, virtual_clock())


async def test_a_lasting_fall_of_power_is_recorded_though_nothing_more_is_said(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """By the session's timer, once it has settled; an event of its own, without a cause."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await status(charger, "Charging")
        await power(charger, 7000)
        await power(charger, 3)
        began = virtual_clock()
        await trio.sleep(SETTLED - 1)
        assert changes(harness) == [CHARGING]
        await trio.sleep(3)
        assert changes(harness) == [CHARGING, CONNECTED]
        state, since = kept(harness)
        assert state is ChargingState.CONNECTED
        assert since - began - SETTLES_AFTER < timedelta(seconds=2)
        [event] = harness.events("connector.charging_state_changed")[1:]
        assert event.cause == ""


async def test_a_dip_is_not_recorded(harness: Harness, autojump_clock: MockClock) -> None:
    """Power is back before it has lasted."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await status(charger, "Charging")
        await power(charger, 7000)
        await power(charger, 0)
        await trio.sleep(SETTLED / 2)
        await power(charger, 7000)
        await trio.sleep(SETTLED * 3)
    assert changes(harness) == [CHARGING]


async def test_a_power_that_is_no_longer_of_the_present_counts_no_more(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The status is all that is known then."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await status(charger, "Preparing")
        await power(charger, 7000)
        await trio.sleep(SETTLED + 2)
        await power(charger, 7000)
        charged = (ChargingState.CHARGING, StateBasis.POWER)
        connected = (ChargingState.CONNECTED, StateBasis.STATUS_ONLY)
        assert changes(harness) == [connected, charged]
        await trio.sleep(STALE + SETTLED - 5)
        assert changes(harness) == [connected, charged]
        await trio.sleep(10)
        assert changes(harness) == [connected, charged, connected]


async def test_what_was_queued_never_moves_a_state_back(harness: Harness, autojump_clock: MockClock) -> None:
    """A queue is replayed after what is newer; the state is of the present."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await trio.sleep(1000)
        await status(charger, "SuspendedEV")
        before = changes(harness)
        await status(charger, "Charging", at=-900)
        await power(charger, 7000, at=-800)
        await power(charger, 7000, at=-700)
        await trio.sleep(SETTLED * 2)
        assert changes(harness) == before
        await status(charger, "SuspendedEV", at=-1)
        await status(charger, "Available")
    assert changes(harness) == [*before, (ChargingState.AVAILABLE, StateBasis.STATUS)]


async def test_a_state_goes_on_over_reconnects_and_no_event_is_made_twice(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The state that power had shown is kept, until no power comes for long."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await status(charger, "Charging")
        await power(charger, 3)
        await trio.sleep(SETTLED + 2)
    recorded = [CHARGING, CONNECTED]
    assert changes(harness) == recorded
    for _ in range(3):
        async with harness.connected() as charger:
            await status(charger, "Charging")
            await power(charger, 3)
            await trio.sleep(SETTLED * 2)
    assert changes(harness) == recorded
    async with harness.connected() as charger:
        await trio.sleep(STALE)
        assert changes(harness) == recorded
        await trio.sleep(SETTLED + 5)
    assert changes(harness) == [*recorded, CHARGING]


async def test_a_change_by_time_and_a_message_at_once_make_one_event_each(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The message waits until the timer's change is on disk, and is decided after it."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await status(charger, "Charging")
        await power(charger, 3)
        harness.journal.stall_seconds = 5
        await trio.sleep(SETTLED + 0.5)
        await status(charger, "SuspendedEV")
        await status(charger, "Charging")
        await trio.sleep(SETTLED * 2)
    assert changes(harness) == [CHARGING, CONNECTED, CHARGING]


async def test_a_session_that_waits_to_be_over_records_no_change_by_time(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A command's commit holds up its end, and the time to look comes: there is nothing to be done any more, and that
    is not asked for again and again."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        await status(charger, "Charging")
        await power(charger, 7000)
        await power(charger, 3)
        await trio.sleep(SETTLED - 5)
        harness.journal.stall_seconds = 20.0
        nursery.start_soon(Asked(harness, nursery).ask(ClearCache()))
        await trio.sleep(1)
        harness.router.disconnect("CP1")
        await trio.sleep(15)
        assert changes(harness) == [CHARGING]
        harness.journal.stall_seconds = 0.0
        assert await charger.sees_the_end() == (1000, "disconnected-by-operator")
        charger.gone = True
    assert changes(harness) == [CHARGING]


async def test_a_timer_whose_commit_fails_ends_the_session(harness: Harness, autojump_clock: MockClock) -> None:
    """As every commit does; the charger comes back, and the change is made then."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await status(charger, "Charging")
        await power(charger, 3)
        harness.journal.failing = True
        await trio.sleep(SETTLED * 2)
        assert (await charger.sees_the_end())[0] == 1011
    harness.journal.failing = False
    assert changes(harness) == [CHARGING]
    async with harness.connected() as charger:
        await power(charger, 3)
        await trio.sleep(SETTLED * 2)
    assert changes(harness) == [CHARGING, CONNECTED]

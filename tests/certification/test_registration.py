"""Registration, before and after acceptance, which OCTT takes for granted (B1, B2)."""

import itertools

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.commands import (
    ChangeConfiguration,
    RefusalReason,
    RemoteStartTransaction,
    StatusAnswer,
    TriggeredMessage,
    TriggerMessage,
)
from gateway.domain.values import Registration
from tests.support.harness import BOOT, Harness
from tests.support.station import ACCEPTED, Station, booted, time


async def boots_in_vain(harness: Harness, nursery: trio.Nursery, registration: Registration) -> Station:
    """A charge point whose Boot is answered with ``registration``, and the time has passed after which one is asked."""
    harness.add_charge_point(registration=registration)
    station = Station(harness, nursery, "CP1", connectors=1)
    await station.connects()
    answer = await station.says("BootNotification", **BOOT)
    assert answer == {"status": registration.value, "currentTime": time(), "interval": 300}
    await trio.sleep(harness.limits.settle_delay)
    return station


async def test_a_pending_charger_is_configured_and_triggered_and_never_started(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B1.3: the link stays, what was triggered is answered as ever, and nothing else is taken."""
    async with trio.open_nursery() as nursery:
        station = await boots_in_vain(harness, nursery, Registration.PENDING)
        change = ChangeConfiguration("MeterValueSampleInterval", "60")
        sent = {"key": "MeterValueSampleInterval", "value": "60"}
        assert await station.obeys(change, sent, ACCEPTED) == StatusAnswer("Accepted")
        trigger = TriggerMessage(TriggeredMessage.HEARTBEAT)
        assert await station.obeys(trigger, {"requestedMessage": "Heartbeat"}, ACCEPTED) == StatusAnswer("Accepted")
        assert await station.says("Heartbeat") == {"currentTime": time()}
        refused = await station.is_spared(RemoteStartTransaction("TAG"))
        assert refused.reason is RefusalReason.CHARGE_POINT_PENDING
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": time()}
        answer = await station.charger.call_frame("StartTransaction", start)
        assert answer == [4, "SecurityError", "the charge point is not accepted", {}]
        await station.ends()


async def test_a_rejected_charger_is_asked_nothing(harness: Harness, autojump_clock: MockClock) -> None:
    """B1.4: never answered, however long it stays; B1.5: nothing of it is taken."""
    async with trio.open_nursery() as nursery:
        station = await boots_in_vain(harness, nursery, Registration.REJECTED)
        refused = await station.is_spared(ChangeConfiguration("MeterValueSampleInterval", "60"))
        assert refused.reason is RefusalReason.CHARGE_POINT_REJECTED
        assert (await station.charger.call_frame("Heartbeat", {}))[:2] == [4, "SecurityError"]
        await station.charger.hears_nothing(200)
        await station.ends()


async def test_an_accepted_charger_is_not_asked_to_boot(harness: Harness, autojump_clock: MockClock) -> None:
    """B1.7: not by an operator either, until it boots again."""
    async with booted(harness) as station:
        refused = await station.is_spared(TriggerMessage(TriggeredMessage.BOOT_NOTIFICATION))
        assert refused.violations[0].field == "requested_message"


@pytest.mark.parametrize("order", tuple(itertools.permutations((0, 1, 2))))
async def test_statuses_after_a_boot_may_come_in_any_order_and_at_any_time(
    harness: Harness, autojump_clock: MockClock, order: tuple[int, ...]
) -> None:
    """B1.6."""
    harness.add_charge_point()
    async with trio.open_nursery() as nursery:
        station = Station(harness, nursery, "CP1", connectors=2)
        await station.connects()
        await station.says("BootNotification", **BOOT)
        for connector in order:
            await trio.sleep(100)
            await station.status(connector, "Available")
        await station.ends()
    record = harness.store.charge_point("CP1")
    assert record is not None
    assert {each.connector.evse: each.status for each in record.connectors} == dict.fromkeys((0, 1, 2), "Available")


async def test_the_heartbeat_interval_changes_by_configuration_and_with_the_next_boot(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B2.3."""
    async with booted(harness) as station:
        command = ChangeConfiguration("HeartbeatInterval", "60")
        sent = {"key": "HeartbeatInterval", "value": "60"}
        assert await station.obeys(command, sent, ACCEPTED) == StatusAnswer("Accepted")
        assert (await station.says("BootNotification", **BOOT))["interval"] == 300

"""A session's latencies are counted for its charge point's make: of answers, commands, and requests of its own."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from gateway.domain.commands import ClearCache
from gateway.domain.diagnostics import LatencyKind
from gateway.observability.metrics import Metrics
from gateway.observability.observer import GatewayObserver
from gateway.session.commands.provisioning import DesiredKey
from gateway.session.limits import SessionLimits
from tests.session.commands.test_commands import ready
from tests.support.harness import Harness, virtual_clock

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


def boot_of(firmware: str) -> dict[str, str]:
    return {"chargePointVendor": "Acme", "chargePointModel": "One", "firmwareVersion": firmware}


def observing(harness: Harness) -> GatewayObserver:
    """An observer as the gateway has it, by Trio's time."""
    observer = GatewayObserver(Metrics(trio.current_time), virtual_clock, 0)
    harness.observer = observer
    harness.limits = SessionLimits(settle_delay=0, call_timeout=5)
    return observer


def found(observer: GatewayObserver) -> dict[tuple[str, str, str], tuple[int, float]]:
    """Count and seconds of each entry."""
    return {
        (str(each.kind), each.action, each.firmware_version): (each.count, each.total)
        for each in observer.latency_counts()
    }


async def test_answers_count_for_the_firmware_of_the_last_boot(harness: Harness, autojump_clock: MockClock) -> None:
    """Also of the next connection, without a boot; a first boot counts for the unknown make, a later one for the make
    before it."""
    observer = observing(harness)
    harness.add_charge_point()
    async with harness.connected() as charger:
        await charger.call("BootNotification", boot_of("1.0"))
        harness.journal.stall_seconds = 2
        await charger.call("StatusNotification", STATUS)
        harness.journal.stall_seconds = 0
        await charger.call("BootNotification", boot_of("2.0"))
    async with harness.connected() as charger:
        await charger.call("Heartbeat", {})
    assert found(observer) == {
        ("answer", "BootNotification", ""): (1, 0),
        ("answer", "StatusNotification", "1.0"): (1, 2),
        ("answer", "BootNotification", "1.0"): (1, 0),
        ("answer", "Heartbeat", "2.0"): (1, 0),
    }


async def test_calls_count_with_their_round_trip_if_they_are_answered_in_time(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Callers' commands by operation."""
    observer = observing(harness)
    async with ready(harness) as (charger, asked):
        for seconds in (3, 7):
            outcome = asked.ask(ClearCache())
            message_id, *_ = await charger.next_call("ClearCache")
            await trio.sleep(seconds)
            await charger.answer(message_id, {"status": "Accepted"})
            await outcome()
    calls = [each for each in observer.latency_counts() if each.kind is LatencyKind.CALL]
    assert [(each.action, each.count, each.total) for each in calls] == [("ClearCache", 1, 3)]


async def test_requests_of_the_gateways_own_accord_count_too(harness: Harness, autojump_clock: MockClock) -> None:
    """They say of each firmware how quick it is, before any caller commands it; without an answer they say nothing."""
    observer = observing(harness)
    harness.boot_configuration = (DesiredKey("HeartbeatInterval", ("60",)), DesiredKey("ConnectionTimeOut", ("60",)))
    harness.add_charge_point()
    async with harness.connected() as charger:
        await charger.call("BootNotification", boot_of("1.0"))
        message_id, *_ = await charger.next_call("ChangeConfiguration")
        await trio.sleep(2)
        await charger.answer(message_id, {"status": "Accepted"})
        await charger.next_call("ChangeConfiguration")
        await trio.sleep(60)
    assert found(observer)["call", "ChangeConfiguration", "1.0"] == (1, 2)

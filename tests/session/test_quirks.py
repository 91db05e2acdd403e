"""A session keeps to the quirk profile of its charge point: of its make, or of itself alone."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.operations import OperationKind, OperationRefusal, OperationRefused, OperationRequest
from gateway.domain.quirks import Quirk, QuirkBook, QuirkValues
from gateway.domain.values import ConnectorAddress
from gateway.session.commands.provisioning import DesiredKey
from gateway.session.limits import SessionLimits, quirk_defaults
from gateway.store.commits import UpdateChargePoint
from tests.support.harness import BOOT, Harness, boot, virtual_clock
from tests.support.wire import FakeTransport

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


def of_acme(harness: Harness, **values: Any) -> None:
    """Acme's chargers need this."""
    harness.quirks = QuirkBook(quirk_defaults(harness.limits), (Quirk("Acme", values=QuirkValues(**values)),))


def of_one(harness: Harness, **values: Any) -> None:
    """CP1 needs this."""
    harness.add_charge_point()
    harness.store.commit([UpdateChargePoint("CP1", virtual_clock(), quirks=values)])


async def test_the_first_boot_says_what_make_it_is(harness: Harness, autojump_clock: MockClock) -> None:
    """A charger that was never here is of no make until then, and the pause behind its boot is its make's already."""
    harness.limits = SessionLimits(settle_delay=1.0)
    harness.boot_configuration = (DesiredKey("K", ("1",)),)
    harness.add_charge_point()
    of_acme(harness, settle_delay=60.0)
    async with harness.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(59.5)
        with trio.fail_after(1):
            assert (await charger.next_call())[1] == "ChangeConfiguration"


async def test_other_firmware_is_another_profile_at_once(harness: Harness, autojump_clock: MockClock) -> None:
    """An update cures a quirk with its first boot."""
    harness.limits = SessionLimits(settle_delay=1.0)
    harness.boot_configuration = (DesiredKey("K", ("1",)),)
    harness.add_charge_point()
    quirk = Quirk("Acme", firmware="1.*", values=QuirkValues(settle_delay=60.0))
    harness.quirks = QuirkBook(quirk_defaults(harness.limits), (quirk,))
    async with harness.connected() as charger:
        await boot(charger)
        assert (await charger.call("BootNotification", {**BOOT, "firmwareVersion": "2.0"}))["status"] == "Accepted"
        with trio.fail_after(2):
            assert (await charger.next_call())[1] == "ChangeConfiguration"


async def test_a_make_is_put_the_measurands_that_it_takes(harness: Harness, autojump_clock: MockClock) -> None:
    """In the place of those for all, in their order; other keys stay."""
    key = "MeterValuesSampledData"
    harness.boot_configuration = (DesiredKey(key, ("A,B,C", "A,B")), DesiredKey("K", ("1",)))
    harness.add_charge_point()
    of_acme(harness, measurands=("A", "B"))
    asked = []
    async with harness.connected() as charger:
        await boot(charger)
        for status in ("Rejected", "Accepted", "Accepted"):
            message_id, _, payload = await charger.next_call()
            asked.append((payload["key"], payload["value"]))
            await charger.answer(message_id, {"status": status})
    assert asked == [(key, "A"), (key, "B"), ("K", "1")]


@pytest.mark.parametrize(("expected", "ends_after"), [(True, 100 + 10), (False, 100 + 100)])
async def test_one_that_answers_no_pings_has_the_limit_of_silence_again(
    harness: Harness, autojump_clock: MockClock, expected: bool, ends_after: float
) -> None:
    """It would be cut off for keeping to its heartbeat interval otherwise."""
    harness.limits = SessionLimits(own_requests=False, silence=100, ping_grace=10, ping_interval=0)
    of_one(harness, pong_expected=expected)
    transport = FakeTransport()
    transport.answers_pings = False
    began = trio.current_time()
    async with harness.connected(transport=transport) as charger:
        assert await charger.sees_the_end() == (1001, "silent")
    assert ends_after <= trio.current_time() - began <= ends_after + 5


async def test_pings_come_at_the_profile_s_interval(harness: Harness, autojump_clock: MockClock) -> None:
    """Some makes give a connection up sooner."""
    harness.asks_nothing()
    of_one(harness, ping_interval=10.0)
    transport = FakeTransport()
    async with harness.connected(transport=transport):
        await trio.sleep(101)
    assert 9 <= transport.pings <= 11


async def test_a_start_without_a_cable_is_refused_where_the_profile_says_so(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Of the make that the charger names on this connection."""
    harness.asks_nothing()
    harness.add_charge_point()
    of_acme(harness, plug_in_first=True)
    async with harness.connected() as charger:
        await boot(charger)
        await charger.call("StatusNotification", STATUS)
        start = OperationRequest(OperationKind.START_CHARGING, ConnectorAddress(1, 1), "TAG")
        refused = await harness.router.operate("CP1", start, "r", 10.0)
        assert isinstance(refused, OperationRefused)
        assert refused.reason is OperationRefusal.NOT_PLUGGED_IN


async def test_times_of_a_clock_that_is_known_to_be_wrong_are_put_right(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Local time that is labelled Z: neither suspect nor recorded an hour late."""
    harness.asks_nothing()
    of_one(harness, clock_offset=3600.0)
    harness.add_tag("TAG")
    async with harness.connected() as charger:
        await boot(charger)
        at = virtual_clock().replace(microsecond=0)
        said = at.replace(hour=at.hour + 1).strftime("%Y-%m-%dT%H:%M:%SZ")
        await charger.call("StartTransaction", {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": said})
    (started,) = harness.events("transaction.started")
    assert started.reported_at == at
    assert started.flags == ()


async def test_without_a_profile_the_limits_of_all_are_one_object(harness: Harness, autojump_clock: MockClock) -> None:
    """A session weighs no more for the profiles of others."""
    defaults = quirk_defaults(harness.limits)
    assert harness.limits.with_quirks(QuirkBook(defaults).of(None)) is not harness.limits  # never booted here
    harness.add_charge_point()
    of_acme(harness, settle_delay=60.0)
    async with harness.connected() as charger:
        await charger.call("BootNotification", {**BOOT, "chargePointVendor": "Other"})
        (session,) = harness.router.sessions()
        assert session._context.limits is harness.limits
        await charger.call("BootNotification", BOOT)
        assert session._context.limits.settle_delay == 60.0

"""The least security profile of a charge point: below it no connection is let in, and none goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway.control.charge_points import Change, ChargePoints, NewChargePoint
from gateway.control.errors import Failure
from gateway.domain.credentials import generate_key
from gateway.transport.api import Accept, Rejection
from tests.support.door import BASIC, CERTIFICATE, Door
from tests.support.harness import BOOT, Harness, virtual_clock

KEY = generate_key()


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.store.close()


def operator(harness: Harness) -> ChargePoints:
    return ChargePoints(harness.journal, harness.reads, harness.router, virtual_clock)


async def test_below_it_a_charger_is_refused_with_its_reason(harness: Harness, autojump_clock: MockClock) -> None:
    """Also with the right key; at it, and above, it is let in (A7.12)."""
    await operator(harness).create(NewChargePoint("CP1", minimum_security_profile=3))
    door = Door(harness)
    door.give_key(KEY)
    for key in (KEY, generate_key()):
        refused = await door.knock(key, listener=BASIC)
        assert isinstance(refused, Rejection)
        assert (refused.status, refused.reason, refused.identity) == (403, "security_profile_too_low", "CP1")
    assert isinstance(await door.knock(None, listener=CERTIFICATE), Accept)
    await operator(harness).update(Change("CP1", minimum_security_profile=2))
    assert isinstance(await door.knock(KEY, listener=BASIC), Accept)


async def test_a_connection_below_it_ends_when_it_is_raised(harness: Harness, autojump_clock: MockClock) -> None:
    """And one that is at it goes on."""
    await operator(harness).create(NewChargePoint("CP1"))
    door = Door(harness)
    door.give_key(KEY)
    async with door.connected(KEY) as charger:
        await charger.call("BootNotification", BOOT)
        await operator(harness).update(Change("CP1", minimum_security_profile=2))
        await charger.call("Heartbeat", {})
        await operator(harness).update(Change("CP1", minimum_security_profile=3))
        assert await charger.sees_the_end() == (1008, "security-profile-too-low")
    async with door.connected(None, CERTIFICATE) as charger:
        await operator(harness).update(Change("CP1", minimum_security_profile=3))
        await charger.call("BootNotification", BOOT)


async def test_a_connection_that_is_being_opened_meanwhile_is_closed(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """It was admitted before the change, and is not served after it."""
    await operator(harness).create(NewChargePoint("CP1"))
    door = Door(harness)
    door.give_key(KEY)
    harness.journal.stall_seconds = 1.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raise_soon, harness)
        async with door.connected(KEY) as charger:
            assert await charger.sees_the_end() == (1008, "security-profile-too-low")


async def raise_soon(harness: Harness) -> None:
    await trio.sleep(0.1)
    harness.router.minimum_profile_raised("CP1", 3)


async def test_it_is_kept_shown_and_checked(harness: Harness, autojump_clock: MockClock) -> None:
    """Refuse by its field what is no profile; with the charge point it goes."""
    points = operator(harness)
    assert (await points.create(NewChargePoint("CP1", minimum_security_profile=3))).record.minimum_security_profile == 3
    assert (await points.update(Change("CP1", description="x"))).record.minimum_security_profile == 3
    for wrong in (-1, 4):
        with pytest.raises(Failure) as refused:
            await points.update(Change("CP1", minimum_security_profile=wrong))
        assert [each.field for each in refused.value.violations] == ["charge_point.minimum_security_profile"]
    await points.delete("CP1")
    assert (await points.create(NewChargePoint("CP1"))).record.minimum_security_profile == 0

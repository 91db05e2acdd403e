"""A drain closes idle chargers before charging ones, at its pace, with jitter, and in time."""

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.session import closing_pace
from tests.support.harness import BOOT, Harness
from tests.support.wire import ScriptedCharger

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": "2026-03-01T12:00:00Z"}


async def fleet(harness: Harness, stack: AsyncExitStack, idle: int, charging: int) -> dict[str, ScriptedCharger]:
    """Charging ones connect first: the order of connecting must not be the order of closing."""
    harness.asks_nothing()
    harness.add_tag("TAG")
    chargers = {}
    for number in range(charging + idle):
        identity = f"CP{number}"
        harness.add_charge_point(identity)
        charger = await stack.enter_async_context(harness.connected(identity))
        assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"
        if number < charging:
            await charger.call("StartTransaction", {**START, "meterStart": number})
        chargers[identity] = charger
    return chargers


async def left(harness: Harness, *at: float) -> list[tuple[int, int]]:
    """The counts of idle and charging sessions at these times."""
    began, found = trio.current_time(), []
    for each in at:
        await trio.sleep_until(began + each)
        found.append(harness.router.idle_and_charging())
    return found


async def test_idle_chargers_are_closed_before_charging_ones(harness: Harness, autojump_clock: MockClock) -> None:
    """One a second: after three seconds three idle ones are gone, and none that charges."""
    async with AsyncExitStack() as stack:
        await fleet(harness, stack, idle=4, charging=3)
        assert harness.router.idle_and_charging() == (4, 3)
        counts: list[tuple[int, int]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(harness.router.drain, 1.0, trio.current_time() + 100)
            counts += await left(harness, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5)
    assert counts == [(3, 3), (2, 3), (1, 3), (0, 3), (0, 2), (0, 1), (0, 0)]


async def test_the_deadline_hurries_the_pace_and_not_the_order(harness: Harness, autojump_clock: MockClock) -> None:
    """All are closed in time; those that charge last."""
    async with AsyncExitStack() as stack:
        await fleet(harness, stack, idle=4, charging=4)
        began = trio.current_time()
        counts: list[tuple[int, int]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(harness.router.drain, 0.001, began + 10)
            while len(harness.router):
                counts.append(harness.router.idle_and_charging())
                await trio.sleep(0.25)
        assert trio.current_time() - began <= 10
    assert all(charging == 4 or idle == 0 for idle, charging in counts)
    assert (0, 4) in counts


@pytest.mark.parametrize("late", [0.0, 0.999])
async def test_jitter_puts_off_each_close_by_a_part_of_the_time_between_two(
    harness: Harness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    """And never past the one after it: the pace stays."""

    class Drawn:
        @staticmethod
        def random() -> float:
            return late

    monkeypatch.setattr(closing_pace, "random", Drawn)
    async with AsyncExitStack() as stack:
        await fleet(harness, stack, idle=3, charging=0)
        counts: list[Any] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(harness.router.drain, 1.0, trio.current_time() + 100, 0.5)
            counts += await left(harness, 0.25, 1.25, 1.75, 2.75)
    assert counts == [(2, 0), (2, 0) if late else (1, 0), (1, 0), (0, 0)]

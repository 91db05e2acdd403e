"""Charge points that come and go: found by their admitted connects, slowed, and let be when they stay."""

from time import perf_counter

import pytest
import trio
from trio.testing import MockClock

from gateway.observability import reconnects as module
from gateway.observability.reconnects import (
    CONNECTS,
    LEAST_PAUSE,
    MOST_PAUSE,
    SLOWED_CONNECTS,
    WINDOW_SECONDS,
    Flapping,
)
from tests.support.harness import virtual_clock


@pytest.fixture
def flapping() -> Flapping:
    return Flapping(virtual_clock)


async def test_one_that_connects_often_is_listed_and_served(flapping: Flapping, autojump_clock: MockClock) -> None:
    """Counted: the nineteenth is as any other, the twentieth shows that it comes and goes. Others do not."""
    for number in range(CONNECTS):
        assert len(flapping) == 0
        flapping.connected("CP1")
        if number == 0:
            flapping.connected("CP2")
    assert flapping.kept_out("CP1") == flapping.kept_out("CP2") == flapping.kept_out("CP3") == 0
    (entry,) = flapping.entries()
    assert (entry.identity, entry.connects, entry.kept_out) == ("CP1", CONNECTS, 0)
    assert entry.since == entry.last == virtual_clock()


async def test_one_whose_connects_cost_too_much_is_kept_out_for_a_while(
    flapping: Flapping, autojump_clock: MockClock
) -> None:
    """Counted as well; others are served."""
    for _ in range(SLOWED_CONNECTS):
        assert flapping.kept_out("CP1") == 0
        flapping.connected("CP1")
    flapping.connected("CP2")
    assert flapping.kept_out("CP1") == LEAST_PAUSE
    assert flapping.kept_out("CP2") == 0
    (entry,) = flapping.entries()
    assert (entry.identity, entry.connects, entry.kept_out) == ("CP1", SLOWED_CONNECTS, LEAST_PAUSE)
    await trio.sleep(LEAST_PAUSE - 1)
    assert flapping.kept_out("CP1") == 1
    await trio.sleep(1)
    assert flapping.kept_out("CP1") == 0
    assert len(flapping) == 1


async def test_each_time_it_is_kept_out_for_longer(flapping: Flapping, autojump_clock: MockClock) -> None:
    """Doubled, up to a bound."""
    for _ in range(SLOWED_CONNECTS):
        flapping.connected("CP1")
    pauses = []
    for _ in range(8):
        pauses.append(flapping.kept_out("CP1"))
        flapping.connected("CP1")
    assert pauses == [10, 20, 40, 60, 60, 60, 60, 60]
    assert pauses[-1] == MOST_PAUSE


async def test_one_that_stays_is_let_be(flapping: Flapping, autojump_clock: MockClock) -> None:
    """Half of its connects have to be forgotten; then it begins anew with the least pause."""
    for _ in range(SLOWED_CONNECTS + 1):
        flapping.connected("CP1")
    await trio.sleep(WINDOW_SECONDS + 1)
    assert len(flapping) == 1
    await trio.sleep(WINDOW_SECONDS)
    assert len(flapping) == 0
    assert flapping.entries() == []
    for _ in range(SLOWED_CONNECTS):
        flapping.connected("CP1")
    assert flapping.kept_out("CP1") == LEAST_PAUSE


async def test_one_on_a_bad_link_is_never_kept_out(flapping: Flapping, autojump_clock: MockClock) -> None:
    """A connect each five seconds for a day: it is listed all the time."""
    for _ in range(24 * 720):
        flapping.connected("CP1")
        assert flapping.kept_out("CP1") == 0
        await trio.sleep(5)
    (entry,) = flapping.entries()
    assert 115 <= entry.connects <= 121


async def test_a_charger_that_reconnects_now_and_then_does_not_flap(
    flapping: Flapping, autojump_clock: MockClock
) -> None:
    """Once a minute for hours."""
    for _ in range(300):
        flapping.connected("CP1")
        await trio.sleep(60)
    assert len(flapping) == 0


async def test_so_many_are_counted_at_most(
    flapping: Flapping, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that connected last; the one with the most connects is listed first."""
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    for identity, times in (("CP1", CONNECTS), ("CP2", CONNECTS), ("CP3", CONNECTS + 1)):
        for _ in range(times):
            flapping.connected(identity)
    assert [each.identity for each in flapping.entries()] == ["CP3", "CP2"]


async def test_those_that_flap_are_counted_in_any_thread() -> None:
    """As a scrape of the metrics does."""
    flapping = Flapping(virtual_clock, perf_counter)
    for _ in range(CONNECTS):
        flapping.connected("CP1")
    assert await trio.to_thread.run_sync(len, flapping) == 1

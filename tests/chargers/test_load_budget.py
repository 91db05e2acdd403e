"""The load budget: handshakes are paced by the loop's lag, refused where that does not help, and nothing else is."""

from collections import Counter
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway.chargers.load_budget import (
    BURST,
    FIRST_RATE,
    LATE_SECONDS,
    LEAST_RATE,
    MEMORY_SHARE,
    PROBE_SECONDS,
    REFUSING_AFTER,
    RETRY_AFTER_OVERLOAD,
    LoadBudget,
    memory_limit,
    memory_used,
)

LATE = LATE_SECONDS * 2


def budget(used: int = 0, most: int = 0) -> tuple[LoadBudget, Counter[str]]:
    counted: Counter[str] = Counter()
    return LoadBudget(trio.current_time, lambda what: counted.update([what]), lambda: used, most), counted


async def began(load: LoadBudget, seconds: float) -> int:
    """The number of handshakes that begin in that time, of a storm."""
    count, until = 0, trio.current_time() + seconds
    while trio.current_time() < until:
        while load.may_begin() and count < 10_000:
            count += 1
        await trio.sleep(0.01)
    return count


async def test_without_load_nothing_is_paced(autojump_clock: MockClock) -> None:
    """However many come."""
    load, counted = budget()
    load.look(0.0)
    load.look(LATE_SECONDS)
    assert all(load.may_begin() for _ in range(1_000))
    assert (load.paced, load.refusing, load.rate) == (False, False, 0.0)
    assert load.heartbeat_interval(300) == 300
    assert not counted


async def test_a_late_loop_halves_the_rate_and_one_in_time_raises_it_slowly(autojump_clock: MockClock) -> None:
    """Down to the least; in between it stays."""
    load, counted = budget()
    rates = []
    for late in (LATE, LATE, LATE, 0.2, 0.0, 0.0):
        load.look(late)
        rates.append(round(load.rate))
    assert rates == [200, 100, 50, 50, 55, 61]
    assert counted == {"overloads": 1}
    for _ in range(10):
        load.look(LATE)
    assert load.rate == LEAST_RATE
    for _ in range(100):
        load.look(0.0)
    assert not load.paced
    load.look(LATE)
    assert load.rate == FIRST_RATE
    assert counted == {"overloads": 2}


async def test_a_storm_gets_the_rate_and_no_more(autojump_clock: MockClock) -> None:
    """Counted, in virtual time."""
    load, _ = budget()
    load.look(LATE)
    load.look(LATE)
    assert FIRST_RATE * 0.95 <= await began(load, 2.0) <= FIRST_RATE + BURST + 1


async def test_where_the_least_rate_does_not_help_none_is_let_in(autojump_clock: MockClock) -> None:
    """Until the loop is in time again; each comes again at another time."""
    load, _ = budget()
    while load.rate != LEAST_RATE:
        load.look(LATE)
    for _ in range(REFUSING_AFTER - 1):
        load.look(LATE)
        assert not load.refusing
    load.look(LATE)
    assert load.refusing
    times = {load.retry_after() for _ in range(500)}
    assert len(times) > 50
    assert RETRY_AFTER_OVERLOAD[0] <= min(times) < max(times) <= RETRY_AFTER_OVERLOAD[1]
    load.look(0.2)
    assert load.refusing
    load.look(0.0)
    assert not load.refusing


@pytest.mark.parametrize(("used", "refusing"), [(900, False), (901, True)])
async def test_memory_that_is_nearly_used_up_lets_none_in(autojump_clock: MockClock, used: int, refusing: bool) -> None:
    """Above the share, of several processes each of its part; one whose limit can't be seen is not held to it."""
    assert MEMORY_SHARE == 0.9
    load, _ = budget(used, 1_000)
    load.weigh()
    assert load.refusing is refusing
    load, _ = budget(used, 0)
    load.weigh()
    assert not load.refusing
    shared = LoadBudget(trio.current_time, used=lambda: used, most=4_000, processes=4)
    shared.weigh()
    assert shared.refusing is refusing


async def test_heartbeats_are_spread_under_load(autojump_clock: MockClock) -> None:
    """Longer, up to twice, and another for each: those of a storm do not beat together."""
    load, _ = budget()
    load.look(LATE)
    intervals = {load.heartbeat_interval(300) for _ in range(500)}
    assert len(intervals) > 100
    assert 300 <= min(intervals) < 330
    assert 570 < max(intervals) <= 600


async def test_it_looks_four_times_a_second(autojump_clock: MockClock) -> None:
    """By a clock of its own: the loop's may stand still with the loop."""
    stood_still = 0.0
    load = LoadBudget(lambda: trio.current_time() + stood_still, used=lambda: 0, most=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        await trio.sleep(PROBE_SECONDS * 1.5)
        paced = [load.paced]
        stood_still = 1.0
        await trio.sleep(PROBE_SECONDS)
        paced.append(load.paced)
        await trio.sleep(PROBE_SECONDS * 2)
        paced.append(load.paced)
        nursery.cancel_scope.cancel()
    assert paced == [False, True, False]


def test_memory_is_read_from_the_system(tmp_path: Path) -> None:
    """The least of the control groups' limits and of the machine's; nothing where it can't be seen."""
    machine = memory_limit(tmp_path / "none")
    assert machine > 2**20
    own, groups = tmp_path / "own", tmp_path / "groups"
    (groups / "system.slice" / "gateway.service").mkdir(parents=True)
    own.write_text("0::/system.slice/gateway.service\n")
    assert memory_limit(own, groups) == machine
    limit = groups / "system.slice" / "gateway.service" / "memory.max"
    for text, most in (("4096\n", 4096), ("max\n", machine), ("9" * 15, machine), ("x", machine)):
        limit.write_text(text)
        assert memory_limit(own, groups) == most
    limit.write_text("8192\n")
    (groups / "system.slice" / "memory.max").write_text("6144\n")  # what is above holds those below
    assert memory_limit(own, groups) == 6144
    own.write_text("0::/\n")  # as a container is shown its own
    (groups / "memory.max").write_text("2048\n")
    assert memory_limit(own, groups) == 2048
    own.write_text("4:memory:/docker/x\n1:cpu:/\n0::/../y\n")  # the older version beside the newer one
    (groups / "memory" / "docker" / "x").mkdir(parents=True)
    (groups / "memory" / "docker" / "x" / "memory.limit_in_bytes").write_text("1024\n")
    assert memory_limit(own, groups) == 1024
    limit = tmp_path / "statm"
    assert 0 < memory_used() < memory_limit()
    assert memory_used(tmp_path / "none") == 0
    limit.write_text("x")
    assert memory_used(limit) == 0

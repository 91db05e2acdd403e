"""The collector's policy: what is looked at stays small, garbage is still found, and pauses are told."""

import gc
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry

from gateway.app.collector import LEFT_ALONE, MOST, ROUND_SECONDS, YOUNG, YOUNG_PER_STEP, Collector


class Knot:
    """Garbage that only the collector frees."""

    alive = 0

    def __init__(self) -> None:
        self.itself = self
        Knot.alive += 1

    def __del__(self) -> None:
        Knot.alive -= 1


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The collector is the process's: whatever a test did to it, the others get it as it was."""
    thresholds = gc.get_threshold()
    Knot.alive = 0
    yield
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == 0
    gc.collect()


async def test_garbage_that_has_grown_old_is_found_within_a_round(autojump_clock: trio.testing.MockClock) -> None:
    """A cycle that survived into the old generation before it fell apart waits for one round, not for ever."""
    collector = Collector()
    with collector.policy():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            knot = Knot()
            gc.collect(1)
            del knot
            gc.collect(1)
            assert Knot.alive == 1
            await trio.sleep(ROUND_SECONDS + 1)
            assert Knot.alive == 0
            nursery.cancel_scope.cancel()


async def test_what_comes_to_stay_is_frozen_and_freed_when_nobody_refers_to_it() -> None:
    """Objects beyond the mark are looked at no longer; without a cycle they go as any others do."""
    collector = Collector()
    with collector.policy():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            await trio.testing.wait_all_tasks_blocked()
            kept = [[Knot()] for _ in range(LEFT_ALONE + YOUNG * (YOUNG_PER_STEP + 1))]
            for each in kept:
                each[0].itself = each[0].__class__  # no longer a knot
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert collector.pauses.frozen
            assert len(gc.get_objects(generation=2)) <= LEFT_ALONE
            kept.clear()
            del each
            assert Knot.alive == 0
            nursery.cancel_scope.cancel()


async def test_a_few_objects_more_are_not_frozen(autojump_clock: trio.testing.MockClock) -> None:
    """Below the mark everything stays with the collector: a small gateway is collected wholly."""
    collector = Collector()
    with collector.policy():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            kept: list[list[int]] = [[] for _ in range(LEFT_ALONE // 2)]
            await trio.sleep(ROUND_SECONDS + 1)
            assert not collector.pauses.frozen
            assert len(gc.get_objects(generation=2)) >= len(kept)
            nursery.cancel_scope.cancel()


async def test_no_collection_of_the_old_generation_comes_by_itself() -> None:
    """However many objects are made: what CPython would do in between is what took seconds."""
    collector = Collector()
    with collector.policy():
        kept: list[list[int]] = [[] for _ in range(30 * YOUNG)]
        metrics = _metrics(collector)
        assert metrics["gateway_collector_pause_seconds_count", "old"] == 0
        assert metrics["gateway_collector_pause_seconds_count", "young"] >= 25
        assert kept


async def test_without_the_policy_nothing_is_done_to_the_process() -> None:
    """Who runs a gateway inside of a process of his own keeps his collector."""
    collector = Collector()
    with trio.fail_after(1):
        await collector.run()
    assert not gc.get_freeze_count()


async def test_pauses_and_what_was_found_are_told() -> None:
    """Every collection counts, whoever asked for it, by its generation."""
    collector = Collector()
    with collector.policy():
        Knot()
        gc.collect(1)
        gc.collect(2)
        metrics = _metrics(collector)
    assert metrics["gateway_collector_pause_seconds_count", "old"] == 1
    assert metrics["gateway_collector_pause_seconds_count", "middle"] == 1
    assert metrics["gateway_collector_found_total", "middle"] >= 1
    assert 0 < metrics["gateway_collector_longest_pause_seconds", ""] < 5
    assert (
        metrics["gateway_collector_pause_seconds_sum", "old"] <= metrics["gateway_collector_longest_pause_seconds", ""]
    )


def _metrics(collector: Collector) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry()
    registry.register(collector.pauses)
    return {
        (sample.name, sample.labels.get("generation", "")): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if "le" not in sample.labels
    }


async def test_what_messages_replace_does_not_pile_up_unseen(autojump_clock: trio.testing.MockClock) -> None:
    """As many objects come as go, so that no collection comes by itself: one is made in time."""
    collector = Collector()
    with collector.policy():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            kept: list[list[int]] = [[] for _ in range(4 * YOUNG)]
            await trio.sleep(2)
            for turn in range(20):
                kept[turn::20] = [[] for _ in kept[turn::20]]
                await trio.sleep(0.3)
            assert len(gc.get_objects(generation=0)) < YOUNG
            nursery.cancel_scope.cancel()


async def test_freezing_waits_for_a_quiet_moment_but_not_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    """What a call has under way may become a cycle when it ends, and would never be found."""
    calls = 1
    collector = Collector(lambda: not calls)
    with collector.policy():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            kept: list[list[int]] = [[] for _ in range(2 * LEFT_ALONE)]
            await trio.sleep(ROUND_SECONDS + 1)
            assert not collector.pauses.frozen
            calls = 0
            await trio.sleep(ROUND_SECONDS + 1)
            assert collector.pauses.frozen >= len(kept)
            calls, before = 1, collector.pauses.frozen
            more: list[list[int]] = [[] for _ in range(MOST + LEFT_ALONE)]
            await trio.sleep(ROUND_SECONDS + 1)
            assert collector.pauses.frozen >= before + len(more)
            nursery.cancel_scope.cancel()

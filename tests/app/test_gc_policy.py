"""The collector's policy: what is looked at stays small, garbage is still found, and pauses are reported."""

import ast
import gc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry

import gateway
from gateway.app.gc_policy import APART, ROUND_SECONDS, WORTH_A_LOOK, YOUNG, YOUNG_PER_STEP, GcPolicy
from gateway.app.gc_policy import LEFT_ALONE as LEFT_ALONE_SECONDS

PER_SECOND = 3_000_000
"""Objects that a collection looks at in a second, here: ``Looked`` tells the policy so."""

LEFT_ALONE = int(LEFT_ALONE_SECONDS * PER_SECOND)


class Looked:
    """Counts the objects that each collection looks at. As the policy's ``work`` it makes the policy exact: a machine
    that is faster or slower changes nothing."""

    def __init__(self) -> None:
        self.most = 0
        self._all = self._now = 0

    def work(self) -> float:
        return self._all / PER_SECOND

    def shown(self, phase: str, info: dict[str, Any]) -> None:
        """Before the policy is, at both ends of a collection. No other thread runs in these tests."""
        if phase == "start":
            self._now = sum(len(gc.get_objects(generation=each)) for each in range(info["generation"] + 1))
        else:
            self._all += self._now
            self.most = max(self.most, self._now)


@pytest.fixture
def looked() -> Iterator[Looked]:
    gc.collect()
    gc.freeze()
    looked = Looked()
    gc.callbacks.append(looked.shown)
    yield looked
    gc.callbacks.remove(looked.shown)
    gc.unfreeze()


class Knot:
    """Garbage that only the collector frees."""

    alive = 0

    def __init__(self) -> None:
        self.itself: Knot | None = self
        Knot.alive += 1

    def __del__(self) -> None:
        Knot.alive -= 1


@pytest.fixture(autouse=True, scope="module")
def thawed() -> Iterator[None]:
    """The collector has everything again that tests/conftest.py has frozen, as in a gateway's process."""
    gc.unfreeze()
    yield
    gc.freeze()


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
    collector = GcPolicy()
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


async def test_what_comes_to_stay_is_frozen_and_freed_with_its_last_reference(
    autojump_clock: trio.testing.MockClock, looked: Looked
) -> None:
    """Objects beyond the mark are looked at no longer; without a cycle they go as any others do."""
    collector = GcPolicy(work=looked.work)
    with collector.policy():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            await trio.testing.wait_all_tasks_blocked()
            kept = [[Knot()] for _ in range(LEFT_ALONE + YOUNG * (YOUNG_PER_STEP + 1))]
            for each in kept:
                each[0].itself = None  # no longer a knot
            await trio.sleep(2 * APART)
            assert collector.pauses.freezes
            assert len(gc.get_objects(generation=2)) <= LEFT_ALONE
            kept.clear()
            del each
            assert Knot.alive == 0
            nursery.cancel_scope.cancel()


async def test_a_few_objects_more_are_not_frozen(autojump_clock: trio.testing.MockClock, looked: Looked) -> None:
    """Below the mark everything stays with the collector: a small gateway is collected wholly."""
    collector = GcPolicy(work=looked.work)
    with collector.policy():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            kept: list[list[int]] = [[] for _ in range(LEFT_ALONE // 2)]
            await trio.sleep(ROUND_SECONDS + 1)
            assert not collector.pauses.freezes
            assert len(gc.get_objects(generation=2)) >= len(kept)
            nursery.cancel_scope.cancel()


async def test_no_collection_of_the_old_generation_comes_by_itself() -> None:
    """However many objects are made: what CPython would do in between is what took seconds."""
    collector = GcPolicy()
    with collector.policy():
        kept: list[list[int]] = [[] for _ in range(30 * YOUNG)]
        metrics = _metrics(collector)
        assert metrics["gateway_collector_pause_seconds_count", "old"] == 0
        assert metrics["gateway_collector_pause_seconds_count", "young"] >= 25
        assert kept


async def test_without_the_policy_nothing_is_done_to_the_process() -> None:
    """A process that embeds a gateway keeps its own collector settings."""
    collector = GcPolicy()
    with trio.fail_after(60):
        await collector.run()
    assert not gc.get_freeze_count()


async def test_pauses_and_what_was_found_are_reported() -> None:
    """Every collection counts, automatic or asked for, by its generation."""
    collector = GcPolicy()
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


def _metrics(collector: GcPolicy) -> dict[tuple[str, str], float]:
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
    collector = GcPolicy()
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


@pytest.mark.parametrize("going", [0.0, 0.9], ids=["all stay", "most go"])
async def test_no_collection_looks_at_more_than_the_bound(
    autojump_clock: trio.testing.MockClock, looked: Looked, going: float
) -> None:
    """However many come to stay, and however many go meanwhile: what is looked at in one go is counted."""
    collector = GcPolicy(work=looked.work)
    with collector.policy():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            kept: list[list[int]] = []
            for _ in range(300):
                kept += [[] for _ in range(2_000)]
                del kept[: int(going * 2_000)]
                await trio.sleep(0.1)
            assert collector.pauses.freezes >= (10 if not going else 1)
            nursery.cancel_scope.cancel()
    step = YOUNG * (YOUNG_PER_STEP + 1)
    assert looked.most <= LEFT_ALONE + WORTH_A_LOOK * PER_SECOND + 2 * step


async def test_others_run_between_a_step_and_the_look_behind_it(
    autojump_clock: trio.testing.MockClock, looked: Looked
) -> None:
    """Those who wait since a step began do not wait for the look at the old generation, too, in none of the passes of
    the loop that they need: neither when much came to stay, nor in a round."""
    begun = list[tuple[int, float]]()

    def seen(phase: str, info: dict[str, Any]) -> None:
        if phase == "start" and info["generation"]:
            begun.append((info["generation"], trio.current_time()))

    collector = GcPolicy(work=looked.work)
    with collector.policy():
        gc.callbacks.append(seen)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            await trio.testing.wait_all_tasks_blocked()
            kept = [[[0]] for _ in range(LEFT_ALONE)]
            await trio.sleep(ROUND_SECONDS + 1)
            nursery.cancel_scope.cancel()
        gc.callbacks.remove(seen)
    looks = [(before, look) for before, look in pairwise(begun) if look[0] == 2]
    assert len(looks) >= 2, "one for what came to stay, and one of the round"
    assert all(before[0] == 1 and look[1] - before[1] > 0.9 * APART for before, look in looks)
    assert kept


BANNED = ("get_objects", "get_referrers", "get_referents", "_current_frames", "_getframe", "settrace", "setprofile")
"""What lists the heap, or reaches into another thread's frames: a tuple that is still being built is in both."""


def test_nothing_in_the_gateway_takes_a_snapshot_of_the_heap() -> None:
    """A tuple that another thread is still building, and that is referred to, fails in that thread with SystemError."""
    folder = Path(gateway.__file__).parent
    found = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            name = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else name
            name = node.name if isinstance(node, ast.alias) else name
            if name in (*BANNED, "tracemalloc", "objgraph", "guppy", "pympler"):
                found.append(f"{path.relative_to(folder)}:{getattr(node, 'lineno', 0)}: {name}")
    assert found == []

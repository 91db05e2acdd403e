"""Policy for Python's cyclic garbage collector: when it runs, on how much, and how long its pauses are.

A collection looks at every object of its generation while nothing else runs. By CPython's defaults the oldest one holds
all sessions: 2 s at 18,000 of them, again and again, for nothing, since a session is freed by reference counts alone
(tests/app/test_gc_policy.py holds that). Here the old generation stays small enough to be looked at in some 10 ms. What
survives, and is more than that, is frozen: it is still freed with its last reference, but no longer looked
at. So every cycle of garbage is found within ``ROUND_SECONDS``, but for one with an object in it that was alive when it
was frozen, which neither sessions nor calls leave. docs/performance.md has the measurements.

How much the old generation holds is measured by the CPU time that collections take, which is what the policy bounds. It
is never counted by ``gc.get_objects`` or another list of what is on the heap: such a list refers to tuples that other
threads are still building, and CPython then fails in those threads with SystemError.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, thread_time
from typing import Any

import trio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector as Source

from gateway.ticks import next_tick

YOUNG = 3_000
"""Objects more than before, for a young collection: some twenty newcomers. 1 to 2 ms."""

YOUNG_PER_MIDDLE = 10
"""Young collections to each of the middle generation. (From Python 3.14 on it says how small the increments are of
which some releases make their full collection. This is also their default.)"""

NEVER = 1 << 30
"""Middle collections to each automatic one of the old generation, which the policy collects in rounds."""

TICK_SECONDS = 0.25
"""A young collection is made so often, if none comes before. What a message leaves behind until the next one takes
the place of what the last one left: objects do not become more, and it is by their number that collections come. With
18,000 chargers at one a minute a quarter of a million would be young before one came. 1 ms."""

YOUNG_PER_STEP = 2
"""Young collections to one step of the policy, which looks once more at what they left: some 9,000 objects, 3 ms."""

LEFT_ALONE = 0.002
"""Seconds of CPU that a look at the old generation may take: some 6,000 objects, or half as many where thousands of
sessions have the processor's caches. It is frozen if the look took longer."""

WORTH_A_LOOK = 0.002
"""Seconds of CPU spent on what may have come into the old generation, before it is looked at for that. Where chargers
come in numbers that is each step, so that a look finds what one or two steps left, and is some 10 ms at most."""

APART = 0.03
"""Seconds between a step and the look behind it, and behind that until the next step, for those who waited since the
former began: an answer takes a few passes of the loop."""

ROUND_SECONDS = 60.0
"""All that isn't frozen is looked at so often. Where nothing came to stay it takes a few milliseconds."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds: upper bounds of the pauses that are counted together."""

GENERATIONS = ("young", "middle", "old")


class Pauses(Source):
    """Durations of collections by generation, reported by the interpreter in the thread of each collection.

    Nothing here takes a lock or makes an object that could bring about a collection: one may begin anywhere, also
    while this is read.
    """

    def __init__(self, work: Callable[[], float] = thread_time) -> None:
        self._work = work
        self._work_began = 0.0
        self._counts = [[0] * (len(BUCKETS) + 1) for _ in GENERATIONS]
        self._seconds = [0.0 for _ in GENERATIONS]
        self._collected = [0 for _ in GENERATIONS]
        self._began = 0.0
        self.longest = 0.0
        """Seconds, since the start."""
        self.freezes = 0
        """How often the old generation was frozen since the start."""
        self.held = 0.0
        """Seconds of CPU that the last look at the old generation took."""
        self.came = 0.0
        """Seconds of CPU spent since then on what may have come into it: at least what that adds to the next look."""

    def began(self) -> None:
        """A collection begins."""
        self._began = perf_counter()
        self._work_began = self._work()

    def ended(self, generation: int, collected: int) -> None:
        """It has ended."""
        work = self._work() - self._work_began
        took = perf_counter() - self._began
        if generation == 2:
            self.held, self.came = work, 0.0
        elif generation == 1:
            self.came += work  # all that was looked at may have come to stay
        place = 0
        while place < len(BUCKETS) and took > BUCKETS[place]:
            place += 1
        self._counts[generation][place] += 1
        self._seconds[generation] += took
        self._collected[generation] += collected
        self.longest = max(self.longest, took)

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        pauses = HistogramMetricFamily(
            "gateway_collector_pause_seconds", "Pauses of the garbage collector.", labels=["generation"]
        )
        found = CounterMetricFamily("gateway_collector_found", "Objects of garbage cycles.", labels=["generation"])
        for name, counts, seconds, collected in zip(
            GENERATIONS, self._counts, self._seconds, self._collected, strict=True
        ):
            total, buckets = 0, []
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                buckets.append((bound, total))
            pauses.add_metric([name], buckets, seconds)
            found.add_metric([name], collected)
        yield pauses
        yield found
        yield GaugeMetricFamily("gateway_collector_longest_pause_seconds", "Since the start.", value=self.longest)
        yield CounterMetricFamily(
            "gateway_collector_freezes", "Times that what came to stay was frozen.", value=self.freezes
        )


class GcPolicy:
    """The policy, for the whole process. ``policy`` around the run, ``run`` in it.

    ``work`` returns the CPU time of the calling thread, in seconds.
    """

    def __init__(self, work: Callable[[], float] = thread_time) -> None:
        self.pauses = Pauses(work)
        self._in_force = False
        self._young = 0
        self._token: trio.lowlevel.TrioToken | None = None
        self._due = trio.Event()

    @contextmanager
    def policy(self) -> Iterator[None]:
        """Have the policy as long as the block lasts. What is there by now (modules, what was built from settings)
        stays for as long as the process: it is frozen."""
        thresholds = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, YOUNG_PER_MIDDLE, NEVER)
        gc.callbacks.append(self._collected)
        self._in_force = True
        try:
            yield
        finally:
            self._in_force = False
            gc.callbacks.remove(self._collected)
            gc.set_threshold(*thresholds)
            gc.unfreeze()

    async def run(self) -> None:
        """Until cancelled: rounds in time, and steps when enough has come to stay. Without the policy nothing: the
        collector is the whole process's, and may have another policy."""
        if not self._in_force:
            return
        self._token = trio.lowlevel.current_trio_token()
        try:
            next_round = trio.current_time() + ROUND_SECONDS
            while True:
                with trio.move_on_at(next_tick(TICK_SECONDS)):  # as the timers of sessions (``session.keepalive``)
                    await self._due.wait()
                a_round = trio.current_time() >= next_round
                if a_round or self._due.is_set():
                    await self._step(a_round)
                else:
                    gc.collect(0)
                if a_round:
                    next_round = trio.current_time() + ROUND_SECONDS
        finally:
            self._token = None

    async def _step(self, a_round: bool) -> None:
        """Look once more at what young collections left, and in a round, or where enough of it may have come to stay,
        at the old generation; freeze that if it takes too long to be looked at again."""
        self._due = trio.Event()
        self._young = -1  # this one is none of those that lead to the next step
        gc.collect(1)
        pauses = self.pauses
        if a_round or pauses.came > WORTH_A_LOOK:
            await trio.sleep(APART)  # those who wait since this step began do not wait for the look, too
            gc.collect(2)  # most of what was looked at may have gone: see what is left
            if pauses.held > LEFT_ALONE:
                gc.collect(0)  # what other threads made while they had their turn after the look, and let go of
                gc.freeze()
                pauses.freezes += 1
                pauses.held = pauses.came = 0.0
            await trio.sleep(APART)  # nor does who waits since the look wait for the next step

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        """By the interpreter, in any thread, at any time."""
        if phase == "start":
            self.pauses.began()
            return
        generation = info["generation"]
        self.pauses.ended(generation, info["collected"])
        if generation < 2:
            self._young += 1
            if self._young == YOUNG_PER_STEP and self._token is not None:
                self._token.run_sync_soon(self._now, idempotent=True)

    def _now(self) -> None:
        self._due.set()

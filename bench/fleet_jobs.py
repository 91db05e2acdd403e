"""Tasks of a process full of chargers: one thing for each of them (`Job`), or messages by the clock (`Load`).

Both only count and keep time; latencies are microseconds. `bench.fleet_chargers` reports events to them.
"""

import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from bench import histogram, wire

OPENING = 64
"""Of a job without a rate, so many are under way at once, unless it says otherwise."""

SLOW_SECONDS = 0.020
"""An answer that takes longer, in an open loop, tells of a pause; so few do that each is kept."""

MAX_SLOW = 100_000
"""Of them. An overloaded server makes every answer slow, and then they tell nothing."""

clock = time.monotonic


class Job:
    """Something that is to happen once for each of some chargers: to connect, to take over, to send one message."""

    def __init__(
        self,
        order: Sequence[int],
        rate: float | None,
        begin: Callable[[int, float], None],
        seconds_each: float,
        at_once: int = OPENING,
    ) -> None:
        self.order = order
        self.at_once = at_once
        self.rate = rate
        self.begin = begin
        self.seconds_each = seconds_each
        self.started = clock()
        self.cpu = time.process_time()
        self.begun = 0
        self.last_begun = self.started
        """When the last of them was begun: of a driver that keeps up, when it was due."""
        self.pending: dict[int, float] = {}
        """Index to when it was due, the oldest first."""
        self.done: list[int] = []
        self.failures: Counter[str] = Counter()
        self.latencies = array("I")
        self.ends: Counter[str] = Counter()
        self.overlaps = array("I")
        self.predecessors = 0
        """Connections that were replaced and are still open."""
        self.moved = self.started
        """When the last of them succeeded or failed."""

    @property
    def next_due(self) -> float:
        """Time at which the next one is to begin; infinite while none is due."""
        if self.begun >= len(self.order):
            return float("inf")
        if self.rate is None:
            return 0.0 if len(self.pending) < self.at_once else float("inf")
        return self.started + self.begun / self.rate

    def start_due(self, now: float) -> None:
        """Begin all that are due by now."""
        while (due := self.next_due) <= now:
            index = self.order[self.begun]
            self.begun += 1
            due = due or now
            self.pending[index] = due
            self.begin(index, due)
            self.last_begun = clock()

    def succeeded(self, index: int) -> None:
        if self.pending.pop(index, None) is not None:
            self.done.append(index)
            self.moved = clock()

    def failed(self, index: int, reason: str) -> None:
        if self.pending.pop(index, None) is not None:
            self.failures[reason] += 1
            self.moved = clock()

    @property
    def over(self) -> bool:
        """True once all have succeeded or failed, and what they replaced has ended."""
        return self.begun == len(self.order) and not self.pending and not self.predecessors

    def overtaken(self) -> int:
        """By how many later ones one charger was overtaken at most."""
        place = {index: at for at, index in enumerate(self.order)}
        return max((at - place[index] for at, index in enumerate(self.done)), default=0)


class Load:
    """Messages while they are sent. ``closed``: the action that each charger repeats, or None in the open loop."""

    def __init__(self, closed: str | None, schedules: dict[str, wire.Schedule]) -> None:
        self.closed = closed
        self.turns: deque[int] = deque()
        """In a closed loop: those that are there and have nothing under way, the longest waiting first."""
        self.schedules = schedules
        self.stopping = 0.0
        self.mark()

    def mark(self) -> None:
        """From here on it counts."""
        self.since = clock()
        self.cpu = time.process_time()
        self.latencies = array("I")
        self.errors: Counter[str] = Counter()
        self.longest_turn = 0.0
        self.slow: list[tuple[float, float]] = []

    def answered(self, due: float, now: float) -> None:
        """A confirmation that counts."""
        self.latencies.append(microseconds(now - due))
        if now - due > SLOW_SECONDS and not self.closed and len(self.slow) < MAX_SLOW:
            self.slow.append((due, now))

    def pauses(self) -> list[tuple[float, float]]:
        """Pauses in which answers were due for long: seconds since the mark, and the length. Waits that
        overlap are one pause."""
        found: list[list[float]] = []
        for due, now in sorted(self.slow):
            if found and due <= found[-1][1]:
                found[-1][1] = max(found[-1][1], now)
            else:
                found.append([due, now])
        return [(due - self.since, now - due) for due, now in found]

    def stop(self) -> None:
        """No more is sent; answers to what was sent still count."""
        self.stopping = clock()
        self.seconds = self.stopping - self.since
        self.in_time = len(self.latencies)
        self.cpu_seconds = time.process_time() - self.cpu


def microseconds(seconds: float) -> int:
    """For a latency's array: at least 1, at most what a histogram takes."""
    us = int(seconds * 1e6)
    return 1 if us < 1 else histogram.HIGHEST_US if us > histogram.HIGHEST_US else us


def encoded(latencies: Iterable[int]) -> str:
    """Their histogram as text."""
    return histogram.encoded(histogram.of(latencies))

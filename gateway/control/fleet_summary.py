"""The summary of the fleet (Trio's side): counts of the store, the power of live sessions, and its last 24 hours.

What it costs does not rise with those who ask: the store counts and the sessions are looked at once in
``REFRESH_SECONDS`` for all who have the same scope, one scope after the other, and once a minute for the history.
"""

from collections import deque
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta
from typing import Final

import trio
from attrs import define, evolve, field

from gateway.control.ports import LivePowers
from gateway.domain.charging_state import OFFLINE_GRACE
from gateway.domain.fleet import MAX_ITEMS
from gateway.domain.fleet_summary import (
    FLAPPING_FROM,
    FLAPPING_SPAN,
    MAX_SHOWN,
    MINUTES,
    NO_POWER,
    Flapping,
    FleetCounts,
    FleetSummary,
    PowerMinute,
    PowerSum,
    Seen,
)
from gateway.domain.labels import Labels
from gateway.domain.values import Clock
from gateway.errors import StoreUnavailable
from gateway.store.api import Store
from gateway.store.reads import Reads

REFRESH_SECONDS: Final = 5.0
"""Between two looks for those who ask: a person who looks at a page sees it move, and counting 10,000 charge points
takes a reader of the store some 20 ms."""

WATCH_SECONDS: Final = 5.0
"""Between two messages of a watch."""

EARLY_SECONDS: Final = 1.0
"""So much before a minute's end a look counts as of its end: clocks are set and go unevenly."""

MAX_SCOPES: Final = 16
"""Scopes of callers whose history is kept, besides the whole fleet: those that asked last. Each is some 200 kB."""

MARKS: Final = 4
"""Times within ``FLAPPING_SPAN`` at which the numbers of connections are noted; 100 bytes for each charge point."""

Scope = tuple[tuple[str, str], ...]


@define
class Known:
    """The memory of one scope. ``since``: from when on its power is looked at."""

    since: datetime
    minutes: deque[PowerMinute] = field(factory=lambda: deque(maxlen=MINUTES))
    summary: FleetSummary | None = None
    read_at: float = 0.0


class FleetSummaries:
    """Summaries by scope. All methods but ``run`` raise ``StoreUnavailable``."""

    def __init__(
        self, reads: Reads, powers: LivePowers, clock: Clock, offline_grace: timedelta = OFFLINE_GRACE
    ) -> None:
        self._reads = reads
        self._powers = powers
        self._clock = clock
        self._grace = offline_grace
        self._known: dict[Scope, Known] = {(): Known(clock())}
        self._marks: deque[Mapping[str, int]] = deque(maxlen=MARKS)
        self._marked_at: datetime | None = None
        self._turn = trio.Lock()

    async def run(self) -> None:
        """Note the power at the end of each minute, until cancelled."""
        while True:
            left = 60.0 - self._clock().timestamp() % 60.0
            # A sleep that ended a little early has seen this minute's end.
            await trio.sleep(left if left > EARLY_SECONDS else left + 60.0)
            try:
                await self._note_minute()
            except StoreUnavailable:
                pass  # a minute is missing, and shown so

    async def _note_minute(self) -> None:
        look = await self._powers.look()
        # A sleep may end a little before or after the full minute.
        ended = self._clock() + timedelta(seconds=30)
        start = ended.replace(second=0, microsecond=0) - timedelta(minutes=1)
        self._mark(look.seen, start)
        for scope, known in tuple(self._known.items()):
            power = _sum(await self._inside(scope, look.seen))
            # A clock that was set back goes over minutes again: the later look counts.
            while known.minutes and known.minutes[-1].start >= start:
                known.minutes.pop()
            known.minutes.append(PowerMinute(start, power, look.unanswered))

    def _mark(self, seen: Mapping[str, Seen], at: datetime) -> None:
        """Note how many connections there have been, four times an hour."""
        if self._marked_at is None or abs(at - self._marked_at) >= FLAPPING_SPAN / MARKS:
            self._marks.append({identity: each.epoch for identity, each in seen.items()})
            self._marked_at = at

    async def _inside(self, scope: Scope, seen: Mapping[str, Seen]) -> Mapping[str, Seen]:
        if not scope:
            return seen
        identities = await self._reads.run(_selected, dict(scope))
        return {identity: seen[identity] for identity in identities if identity in seen}

    async def get(self, labels: Labels) -> FleetSummary:
        """The summary of the charge points with all of the labels, some seconds old at most. Cancelling is safe."""
        scope = tuple(sorted(labels.items()))
        async with self._turn:
            known = self._of(scope)
            if known.summary is None or trio.current_time() - known.read_at >= REFRESH_SECONDS:
                known.summary = await self._read(scope, known)
                known.read_at = trio.current_time()
            return evolve(known.summary, since=known.since, minutes=tuple(known.minutes))

    def _of(self, scope: Scope) -> Known:
        """Return the memory of a scope, which has asked last now."""
        known = self._known.pop(scope, None) or Known(self._clock())
        self._known[scope] = known
        while len(self._known) > MAX_SCOPES + 1:
            del self._known[next(each for each in self._known if each)]
        return known

    async def _read(self, scope: Scope, known: Known) -> FleetSummary:
        now = self._clock()
        counts = await self._reads.run(_counts, dict(scope), now, now - self._grace)
        look = await self._powers.look()
        seen = await self._inside(scope, look.seen)
        flapping = self._flapping(seen)
        shown = tuple(flapping[:MAX_SHOWN])
        return FleetSummary(now, counts, _sum(seen), known.since, (), shown, len(flapping), look.unanswered)

    def _flapping(self, seen: Mapping[str, Seen]) -> list[Flapping]:
        """Those that have connected often since the oldest mark, the worst first."""
        if not self._marks:
            return []
        found = []
        for identity, each in seen.items():
            # One that was away at all of the marks has come back once since, as far as can be known.
            before = next((mark[identity] for mark in self._marks if identity in mark), each.epoch - 1)
            if each.epoch - before >= FLAPPING_FROM:
                found.append(Flapping(identity, each.epoch - before))
        return sorted(found, key=lambda each: (-each.connections, each.charge_point))

    async def watch(self, labels: Labels) -> AsyncGenerator[FleetSummary, None]:
        """The summary with all its minutes, and again every few seconds, then with those minutes alone that are new. To
        be closed when it is no longer read. Cancelling is safe."""
        shown: datetime | None = None
        while True:
            summary = await self.get(labels)
            if shown is not None:
                new = tuple(each for each in summary.minutes if each.start > shown)
                summary, last = evolve(summary, minutes=new), new[-1].start if new else shown
            else:
                # The first minute begins before it is looked at.
                last = summary.minutes[-1].start if summary.minutes else summary.since - timedelta(minutes=1)
            yield summary
            shown = last
            await trio.sleep(WATCH_SECONDS)


def _sum(seen: Mapping[str, Seen]) -> PowerSum:
    total = NO_POWER
    for each in seen.values():
        total = total.plus(each.power)
    return total


def _counts(store: Store, labels: Labels, now: datetime, gone_before: datetime) -> FleetCounts:
    return store.fleet_counts(labels, now, gone_before)


def _selected(store: Store, labels: Labels) -> list[str]:
    return store.selected(labels, None, MAX_ITEMS)

"""Retention: by age and by bytes, in steps so small that no session's commit waits for them noticeably.

By age it needs a clock, and clocks are wrong at times: nothing goes by age while the clock is doubted (``clock``), what
one sweep may take is bounded always, and events are as old as the times around them say (``store.api.Trim``).
"""

from datetime import datetime, timedelta

import structlog
import trio

from gateway.domain.values import Clock
from gateway.errors import StoreError
from gateway.journal.clock_watch import ClockWatch
from gateway.journal.journal import Journal
from gateway.store.commits import Forget, Trim, Trimmed
from gateway.store.reads import Reads

STEP = 500
"""Events deleted in one commit: one or two milliseconds of the writer's time."""

PAUSE = 0.05
"""Seconds between steps: up to 10,000 events/s go, thirty times what 18,000 chargers send at one a minute."""

INTERVAL = 60.0
"""Seconds between looks at the clock and the size."""

SWEEP_SPAN = timedelta(minutes=10)
"""Of history, that one sweep takes by age: ten times what has come in since the last. Three weeks of standstill are
made up for within two days; 90 days that a wrong clock has made old take nine days, after a day of notice."""

SWEEP_STEPS = 200
"""In one sweep by age: 100,000 events, five times what 18,000 chargers send in an INTERVAL at one a minute."""

REQUEST_IDS = timedelta(days=7)
"""For how long a finished command is known beyond its events: callers repeat a request within minutes or hours."""

START_KEYS = timedelta(days=30)
"""For how long a finished transaction is known beyond its events: a charger that was offline sends its starts and stops
weeks later, and a start that is not recognised is charged for twice."""

MAX_OUTLIVED = 2_000_000
"""Commands, and transactions, that are known beyond their events, at most: some 2 GB. 18,000 chargers with ten commands
and two transactions a day have 1.3 and 1.1 million; beyond it the oldest go earlier, whatever a charger makes up."""

log = structlog.get_logger()


class Retention:
    """Deletes events older than ``max_age_days`` and, oldest first, what exceeds ``max_bytes``; 0 keeps for ever.

    Events of open transactions stay. ``max_bytes`` is held against ``Store.size_bytes``, which counts the write-ahead
    log (up to 64 MiB): a limit below 256 MiB leaves little for the history. ``watch`` says whether the clock can be
    trusted; without one it makes its own.
    """

    def __init__(
        self,
        journal: Journal,
        reads: Reads,
        clock: Clock,
        *,
        max_age_days: float = 0,
        max_bytes: int = 0,
        watch: ClockWatch | None = None,
    ) -> None:
        self._journal = journal
        self._reads = reads
        self._watch = watch or ClockWatch(journal, reads, clock)
        self._max_age = timedelta(days=max_age_days)
        self._max_bytes = max_bytes

    @property
    def waits(self) -> bool:
        """True while events are to go by age, and don't, because the clock is doubted."""
        return bool(self._max_age) and self._watch.doubted

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Sweep now and every INTERVAL, until cancelled; returns at once if everything is kept for ever. A store that
        is unavailable is tried again at the next sweep."""
        task_status.started()
        while self._max_age or self._max_bytes:
            try:
                await self.sweep()
            except StoreError as error:
                log.warning("retention was interrupted", error=str(error))
            await trio.sleep(INTERVAL)

    async def sweep(self) -> int:
        """Delete what is due now; answers how many events went. Raises ``StoreUnavailable``. Cancelling is safe: each
        step is whole."""
        now = await self._watch.trusted()
        deleted = 0
        if self._max_age and now is not None:
            deleted += await self._by_age(now)
        if self._max_bytes:
            deleted += await self._by_bytes(now)
        if self._max_age or self._max_bytes:
            await self._forget(now)
        if deleted:
            bounds = await self._reads.bounds()
            log.info("retention deleted events", deleted=deleted, floor=bounds.floor)
        return deleted

    async def _by_age(self, now: datetime) -> int:
        """Return the limit of what is too old, within SWEEP_SPAN of the oldest."""
        deleted = 0
        oldest = await self._reads.oldest_time(now)
        if oldest is None or oldest >= now - self._max_age:
            return 0
        before = min(now - self._max_age, oldest + SWEEP_SPAN)
        for _ in range(SWEEP_STEPS):
            step = await self._step(Trim(before, STEP, now))
            if step is None:
                break
            deleted += step.deleted
        return deleted

    async def _by_bytes(self, now: datetime | None) -> int:
        deleted = 0
        while await self._reads.size_bytes() > self._max_bytes:
            step = await self._step(Trim(None, STEP, now))
            if step is None:
                break
            deleted += step.deleted
        return deleted

    async def _step(self, trim: Trim) -> Trimmed | None:
        """One step and the pause after it; None if there was nothing to do."""
        floor = (await self._reads.bounds()).floor
        trimmed = await self._journal.commit(trim)
        assert isinstance(trimmed, Trimmed)
        if not trimmed.deleted and trimmed.floor == floor:
            return None
        await trio.sleep(PAUSE)
        return trimmed

    async def _forget(self, now: datetime | None) -> None:
        """Commands and transactions that have outlived their events for long enough, or are too many."""
        commands, transactions = await self._reads.crowded_out(MAX_OUTLIVED)
        for _ in range(SWEEP_STEPS):
            dropped = await self._journal.commit(Forget(now, REQUEST_IDS, START_KEYS, STEP, commands, transactions))
            assert isinstance(dropped, Trimmed)
            if not dropped.deleted:
                return
            await trio.sleep(PAUSE)

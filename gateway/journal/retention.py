"""Retention: by age and by bytes, in steps so small that no session's commit waits for them noticeably."""

from datetime import timedelta

import structlog
import trio

from gateway.domain.values import Clock
from gateway.errors import StoreError
from gateway.journal.journal import Journal
from gateway.store.api import Store, Trim, Trimmed

STEP = 500
"""Events deleted in one commit: one or two milliseconds of the writer's time."""

PAUSE = 0.05
"""Seconds between steps: up to 10,000 events/s go, thirty times what 18,000 chargers send at one a minute."""

INTERVAL = 60.0
"""Seconds between looks at the clock and the size."""

log = structlog.get_logger()


class Retention:
    """Deletes events older than ``max_age_days`` and, oldest first, what exceeds ``max_bytes``; 0 keeps for ever.

    Events of open transactions stay. ``max_bytes`` is held against ``Store.size_bytes``, which counts the write-ahead
    log (up to 64 MiB): a limit below 256 MiB leaves little for the history.
    """

    def __init__(
        self, journal: Journal, store: Store, clock: Clock, *, max_age_days: float = 0, max_bytes: int = 0
    ) -> None:
        self._journal = journal
        self._store = store
        self._clock = clock
        self._max_age = timedelta(days=max_age_days)
        self._max_bytes = max_bytes

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
        deleted = 0
        if self._max_age:
            before = self._clock() - self._max_age
            while step := await self._step(Trim(before, STEP)):
                deleted += step.deleted
        if self._max_bytes:
            while await self._journal.read(self._store.size_bytes) > self._max_bytes:
                step = await self._step(Trim(None, STEP))
                if step is None:
                    break
                deleted += step.deleted
        if deleted:
            bounds = await self._journal.read(self._store.bounds)
            log.info("retention deleted events", deleted=deleted, floor=bounds.floor)
        return deleted

    async def _step(self, trim: Trim) -> Trimmed | None:
        """One step and the pause after it; None if there was nothing to do."""
        floor = (await self._journal.read(self._store.bounds)).floor
        trimmed = await self._journal.commit(trim)
        assert isinstance(trimmed, Trimmed)
        if not trimmed.deleted and trimmed.floor == floor:
            return None
        await trio.sleep(PAUSE)
        return trimmed

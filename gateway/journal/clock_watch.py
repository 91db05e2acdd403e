"""``ClockWatch``: trust in the wall clock before anything is deleted by it.

A clock that jumps makes everything old, or young, at once. So what is deleted by age waits from the moment in which the
clock has not run evenly (against the monotonic clock; across a restart, against what was written down and the newest
event) until it has for a day, with something recorded meanwhile, or until an operator confirms it. Whether it is right
then can't be known here; but operators have had a day to look, and retention by age takes little at a time.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
import trio
from attrs import evolve, frozen

from gateway.domain.values import Clock
from gateway.errors import StoreError
from gateway.journal.journal import Journal
from gateway.store.commits import ClockRecord, RecordClock
from gateway.store.reads import Reads

TOLERANCE = timedelta(minutes=5)
"""Clocks are set by seconds. What is deleted by age is not worth more precision."""

AWAY = timedelta(days=1)
"""For so long a gateway may have been stopped without its clock being doubted: a jump of no more than that can't be
distinguished from it, and costs no more than a day of history."""

STEADY = timedelta(days=1)
"""For so long a doubted clock must run evenly: an operator sees the alert in that time."""

SAVE_EVERY = timedelta(minutes=10)
"""How old what is written down of the clock may be."""

INTERVAL = 60.0
"""Seconds between looks."""

WAY_OUT = "set the clock if it is wrong; if it is right: gateway retention confirm, or wait for a day"

UNKNOWN = -1
"""For the newest event at a time when the store did not answer."""

NEVER = float("-inf")

log = structlog.get_logger()


@frozen
class ClockStatus:
    """State of the clock for an operator.

    ``reason``: why the clock is doubted; empty: it is not. ``steady``: how long it has run evenly since then.
    """

    now: datetime
    reason: str
    steady: timedelta

    @property
    def doubted(self) -> bool:
        """True while deleting by age waits."""
        return bool(self.reason)


class ClockWatch:
    """Looks at the clock whenever it is asked. Belongs to Trio's thread.

    ``jumped`` is called whenever the clock is doubted anew; it must not block or raise.
    """

    def __init__(self, journal: Journal, reads: Reads, clock: Clock, jumped: Callable[[], None] = lambda: None) -> None:
        self._journal = journal
        self._reads = reads
        self._clock = clock
        self._jumped = jumped
        self._record: ClockRecord | None = None
        self._saved_at = NEVER
        self._base = (clock(), 0.0)
        self._seen = 0.0
        self._looking = trio.Lock()

    @property
    def doubted(self) -> bool:
        """True if the clock was doubted when it was last looked at."""
        return self._record is not None and self._record.doubted

    def is_even(self) -> bool:
        """Return true if the clock is not doubted, and has not jumped since it was last looked at. Never waits; true
        before the first look."""
        wall, then = self._base
        drift = (self._clock() - wall) - timedelta(seconds=trio.current_time() - then)
        return not self.doubted and (self._record is None or abs(drift) <= TOLERANCE)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look now and every INTERVAL, until cancelled. (``trusted`` is to be called once before the first event is
        recorded, which would bear the time of a wrong clock.)"""
        task_status.started()
        while True:
            try:
                await self.trusted()
            except StoreError as error:
                log.warning("what is known of the clock was not read or written", error=str(error))
            await trio.sleep(INTERVAL)

    async def trusted(self) -> datetime | None:
        """The time now, or None if it is doubted. Raises ``StoreUnavailable``."""
        async with self._looking:
            return await self._look()

    async def status(self) -> ClockStatus:
        """Look, and say what there is. Raises ``StoreUnavailable``."""
        await self.trusted()
        assert self._record is not None
        record = self._record
        steady = timedelta(seconds=record.steady_seconds if record.doubted else 0)
        return ClockStatus(self._clock(), record.reason if record.doubted else "", steady)

    async def confirm(self, shown: datetime, caller: str = "") -> bool:
        """An operator says that the clock is right, having been shown this time; False: it is another time by now.
        ``caller``: the operator's name in the audit. Raises ``StoreUnavailable``."""
        async with self._looking:
            await self._look()
            if abs(self._clock() - shown) > TOLERANCE:
                return False
            assert self._record is not None
            if self._record.doubted:
                now = self._clock()
                log.info(
                    "clock confirmed by an operator, retention by age goes on", clock=now.isoformat(), caller=caller
                )
                await self._trust(now, trio.current_time(), caller)
            return True

    # --- one look ---

    async def _look(self) -> datetime | None:
        now, mono = self._clock(), trio.current_time()
        if self._record is None:
            await self._begin(now, mono)
        else:
            await self._go_on(self._record, now, mono)
        return None if self.doubted else now

    async def _begin(self, now: datetime, mono: float) -> None:
        """The first look of a run: hold the clock against what was written down, and the newest event."""
        record = await self._reads.clock_record()
        last = record.seen_at if record is not None else await self._reads.newest_time()
        self._rebase(now, mono)
        if last is not None and not -TOLERANCE <= now - last <= AWAY:
            await self._doubt(f"it is {now.isoformat()}, and was {last.isoformat()} when last seen", now, mono)
            return
        # Where it was doubted already and has gone on as it was, the time that it has run evenly counts on.
        record = ClockRecord(now, False, "", 0.0, 0) if record is None else evolve(record, seen_at=now)
        if record.doubted:
            log.error("the clock is doubted: retention by age waits", why=record.reason, way_out=WAY_OUT)
        self._record = record
        await self._save(record, mono)

    async def _go_on(self, record: ClockRecord, now: datetime, mono: float) -> None:
        wall, then = self._base
        drift = (now - wall) - timedelta(seconds=mono - then)
        if abs(drift) > TOLERANCE:
            ahead = "ahead" if drift > timedelta() else "back"
            await self._doubt(f"it jumped {ahead} by {abs(drift)}, to {now.isoformat()}", now, mono)
            return
        if mono - then > STEADY.total_seconds():
            self._rebase(now, mono)  # a clock that gains seconds a day is right all the same
        elapsed, self._seen = mono - self._seen, mono
        if not record.doubted:
            self._record = evolve(record, seen_at=now)
            if mono - self._saved_at >= SAVE_EVERY.total_seconds():
                await self._save(self._record, mono)
            return
        if record.head == UNKNOWN:
            record = evolve(record, head=await self._head())
        steady = record.steady_seconds + elapsed
        self._record = evolve(record, seen_at=now, steady_seconds=steady)
        if steady >= STEADY.total_seconds() and await self._head() > record.head:
            log.info("the clock has run evenly for a day, retention by age goes on", clock=now.isoformat())
            await self._trust(now, mono)
        elif mono - self._saved_at >= SAVE_EVERY.total_seconds():
            await self._save(self._record, mono)

    async def _head(self) -> int:
        return (await self._reads.bounds()).head

    def _rebase(self, now: datetime, mono: float) -> None:
        self._base, self._seen = (now, mono), mono

    async def _doubt(self, why: str, now: datetime, mono: float) -> None:
        self._rebase(now, mono)
        log.error("the clock is doubted: retention by age waits", why=why, way_out=WAY_OUT)
        self._jumped()
        # Doubted at once, whether or not that can be written down.
        self._record, self._saved_at = ClockRecord(now, True, why, 0.0, UNKNOWN), NEVER
        self._record = evolve(self._record, head=await self._head())
        await self._save(self._record, mono)

    async def _trust(self, now: datetime, mono: float, confirmed_by: str = "") -> None:
        self._rebase(now, mono)
        record = ClockRecord(now, False, "", 0.0, 0)
        await self._save(record, mono, ages_anew=True, confirmed_by=confirmed_by)
        self._record = record

    async def _save(self, record: ClockRecord, mono: float, *, ages_anew: bool = False, confirmed_by: str = "") -> None:
        await self._journal.commit(RecordClock(record, ages_anew, confirmed_by))
        self._record, self._saved_at = record, mono

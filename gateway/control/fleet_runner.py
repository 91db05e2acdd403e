"""Fleet jobs under way: operations begun at a job's pace and followed to their ends, across restarts.

What a job has done is on disk: an operation with the job's id as its request id is begun once, and its end is copied to
the item. So a runner that begins anew, after a restart or a failure, finds where the last one was.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import structlog
import trio
from attrs import define, field

from gateway.control.operations import with_arguments
from gateway.control.pace import Pacing
from gateway.control.ports import Commands, Journal
from gateway.domain.commands import RefusalReason, Refused
from gateway.domain.firmware import begins_at
from gateway.domain.fleet import NOT_BEGUN, SILENT, UNFAILED, FleetEnd, FleetItem, FleetJob, FleetProgress
from gateway.domain.operations import OperationRecord, OperationRefusal, OperationRefused
from gateway.domain.values import Clock
from gateway.errors import StoreUnavailable
from gateway.store.api import Store
from gateway.store.fleet import EndFleetJob, RecordFleetItems
from gateway.store.reads import Reads

log = structlog.get_logger()

LOOK_SECONDS: Final = 1.0
"""Between two looks at the operations that hold a place."""

SLOW_LOOK_SECONDS: Final = 30.0
"""Between two looks at the others, which wait for a charger's return or its boot, and at what charge points there still
are."""

PASS_SECONDS: Final = 5.0
"""Between two passes over the charge points whose turn has not come: those that are not connected come later."""

CHUNK: Final = 500
"""Charge points that are looked at between two checkpoints, and looked up at once."""

BEGIN_SECONDS: Final = 30.0
"""For an operation to be accepted; it is followed for longer."""

TRY_LATER: Final = frozenset(
    {
        RefusalReason.CHARGE_POINT_OFFLINE,
        RefusalReason.QUEUE_FULL,
        RefusalReason.DRAINING,
        RefusalReason.STORE_UNAVAILABLE,
        RefusalReason.NODE_UNREACHABLE,
        RefusalReason.NOT_SENT,
        OperationRefusal.OPERATION_OPEN,
        OperationRefusal.TOO_MANY_OPERATIONS,
    }
)
"""Refusals that pass by themselves: the charge point has another turn, until the job's time is over."""


class FleetRunner:
    """Runs all jobs. Belongs to the Trio loop; ``run`` is kept going, ``wake`` may be called by any task of the
    loop."""

    def __init__(self, journal: Journal, reads: Reads, commands: Commands, clock: Clock) -> None:
        self.journal = journal
        self.reads = reads
        self.commands = commands
        self.clock = clock
        self.changed = trio.Event()
        self._running: set[str] = set()

    def wake(self) -> None:
        """There may be a new job, or one may have been cancelled. Never waits."""
        self.changed.set()
        self.changed = trio.Event()

    async def run(self) -> None:
        """Until cancelled. While the store is unavailable jobs wait."""
        async with trio.open_nursery() as nursery:
            while True:
                changed = self.changed
                try:
                    jobs = await self.reads.run(_running)
                except StoreUnavailable:
                    await trio.sleep(PASS_SECONDS)
                    continue
                for job in jobs:
                    if job.job_id not in self._running:
                        self._running.add(job.job_id)
                        nursery.start_soon(self._run, job)
                await changed.wait()

    async def _run(self, job: FleetJob) -> None:
        """One job to its end; one that fails costs no other, and begins again."""
        try:
            while True:
                try:
                    await _Run(self, job).run()
                    return
                except StoreUnavailable:
                    pass
                except Exception:
                    log.exception("fleet job failed", job_id=job.job_id)
                await trio.sleep(SLOW_LOOK_SECONDS)
        finally:
            self._running.discard(job.job_id)


@define(eq=False)
class _Run:
    """A job, as one run of it sees it."""

    runner: FleetRunner
    job: FleetJob
    waiting: deque[str] = field(factory=deque)
    """In the order of their turns."""
    parked: set[str] = field(factory=set)
    """Begun, and holding no place."""
    under_way: set[str] = field(factory=set)
    cancelled: bool = False
    failures: int = 0
    """Of the whole job, those before a restart among them."""

    async def run(self) -> None:
        """Go on until everything of the job has ended. Raises StoreUnavailable."""
        runner, pacing = self.runner, Pacing(self.job.pace)
        await self._load()
        look_at = slow_at = pass_at = trio.current_time()
        changed: trio.Event | None = None
        while True:
            if changed is None or changed.is_set() or trio.current_time() >= slow_at:
                changed = runner.changed
                self.cancelled = await runner.reads.run(_is_cancelled, self.job.job_id)
            if trio.current_time() >= slow_at:
                slow_at = trio.current_time() + SLOW_LOOK_SECONDS
                await self._look(self.parked)
                await self._drop_unknown()
            if trio.current_time() >= look_at:
                look_at = trio.current_time() + LOOK_SECONDS
                await self._look(self.under_way)
            over = self._over()
            if over is not None:
                await self._not_begun(self.waiting, over.value.lower())
                self.waiting.clear()
            if not (self.waiting or self.under_way or self.parked):
                await self._end(over or FleetEnd.DONE)
                return
            if trio.current_time() >= pass_at and self.waiting and not await self._begin(pacing):
                pass_at = trio.current_time() + PASS_SECONDS
            with trio.move_on_at(min(self._due(pacing, pass_at), look_at if self.under_way else math.inf, slow_at)):
                await changed.wait()

    def _due(self, pacing: Pacing, pass_at: float) -> float:
        """The time at which the next operation may begin, as far as it is known."""
        now = trio.current_time()
        wait = pacing.wait(len(self.under_way), now) if self.waiting else None
        return math.inf if wait is None else max(now + wait, pass_at)

    async def _load(self) -> None:
        """Find where the last run was; an operation of which nothing was noted is found by its request id."""
        present = await self.runner.reads.run(_job, self.job.job_id)
        self.failures = 0 if present is None else present.failures
        left = await self.runner.reads.run(_open_items, self.job.job_id)
        self.waiting = deque(each.charge_point for each in left)
        for chunk in _chunks([each.charge_point for each in left]):
            found = await self.runner.reads.run(_progress, self.job.job_id, chunk)
            begun = {each.charge_point for each in found}
            self.under_way |= begun
            unnoted = {each.charge_point for each in left if each.operation_id == ""} & begun
            noted = [each for each in found if each.charge_point in unnoted]
            await self._record([FleetItem(each.charge_point, each.operation_id) for each in noted])
        self.waiting = deque(each for each in self.waiting if each not in self.under_way)

    def _over(self) -> FleetEnd | None:
        """Return why nothing more is to be begun; None: the job goes on."""
        if self.cancelled:
            return FleetEnd.CANCELLED
        if 0 < self.job.max_failures <= self.failures:
            return FleetEnd.TOO_MANY_FAILURES
        return FleetEnd.EXPIRED if self.runner.clock() >= self.job.expires_at else None

    async def _begin(self, pacing: Pacing) -> bool:
        """Begin what the pace allows now, at the next charge points that are connected. False: none of those that wait
        is."""
        for number in range(len(self.waiting)):
            wait = pacing.wait(len(self.under_way), trio.current_time())
            if wait is None or wait > 0:
                return True
            if number % CHUNK == CHUNK - 1:
                await trio.lowlevel.checkpoint()
            identity = self.waiting.popleft()
            if not await self.runner.commands.connected(identity) or not await self._begun_at(identity, pacing):
                self.waiting.append(identity)
        return False

    async def _begun_at(self, identity: str, pacing: Pacing) -> bool:
        """Begin the operation of a charge point. False: it is to have another turn."""
        runner, job = self.runner, self.job
        pacing.begun(trio.current_time())
        request = with_arguments(job.operation, runner.reads.store_id)
        outcome = await runner.commands.operate(identity, request, job.job_id, BEGIN_SECONDS, job.caller)
        match outcome:
            case OperationRecord():
                self.under_way.add(identity)
                await self._record([FleetItem(identity, outcome.operation_id)])
                return True
            case Refused() | OperationRefused() if outcome.reason not in TRY_LATER:
                await self._record([FleetItem(identity, "", NOT_BEGUN, outcome.reason.value)])
                return True
            case None:  # there is one with this request id: its own, of which the answer was lost
                self.under_way.add(identity)
                return True
            case _:
                return False

    async def _look(self, identities: set[str]) -> None:
        """See what has become of operations: note their ends, and whether they hold a place."""
        for chunk in _chunks(sorted(identities)):
            found = {each.charge_point: each for each in await self.runner.reads.run(_progress, self.job.job_id, chunk)}
            await self._record(
                [self._ended(identity, found.get(identity)) for identity in chunk if _has_ended(found.get(identity))]
            )
            for identity in chunk:
                self.under_way.discard(identity)
                self.parked.discard(identity)
                if not _has_ended(present := found.get(identity)):
                    assert present is not None, "it would have ended"
                    (self.under_way if self._holds_place(present) else self.parked).add(identity)

    def _holds_place(self, present: FleetProgress) -> bool:
        """Return whether an operation that has not ended counts among those at once."""
        firmware = self.job.firmware
        if not present.holds_place or firmware is None:
            return present.holds_place
        return self.runner.clock() < begins_at(firmware, present.staged_at) + SILENT

    def _ended(self, identity: str, found: FleetProgress | None) -> FleetItem:
        if found is None:  # retention has taken it, or its charge point's identity is another one's by now
            return FleetItem(identity, "", NOT_BEGUN, "lost")
        return FleetItem(identity, found.operation_id, found.end, found.reason)

    async def _drop_unknown(self) -> None:
        """Charge points that were deleted have no turn."""
        for chunk in _chunks(list(self.waiting)):
            gone = set(chunk) - await self.runner.reads.taken(chunk)
            if gone:
                await self._not_begun(sorted(gone), RefusalReason.UNKNOWN_CHARGE_POINT.value)
                self.waiting = deque(each for each in self.waiting if each not in gone)

    async def _not_begun(self, identities: Iterable[str], reason: str) -> None:
        for chunk in _chunks(list(identities)):
            await self._record([FleetItem(each, "", NOT_BEGUN, reason) for each in chunk])

    async def _record(self, items: Sequence[FleetItem]) -> None:
        if items:
            await self.runner.journal.commit(RecordFleetItems(self.job.job_id, tuple(items)))
            self.failures += sum(each.outcome is not None and each.outcome not in UNFAILED for each in items)

    async def _end(self, end: FleetEnd) -> None:
        await self.runner.journal.commit(EndFleetJob(self.job.job_id, end, self.runner.clock()))
        job = await self.runner.reads.run(_job, self.job.job_id)
        counts = {} if job is None else {name.lower(): count for name, count in job.counts.items()}
        log.info("fleet job ended", job_id=self.job.job_id, kind=self.job.kind.value, end=end.value, **counts)


def _has_ended(found: FleetProgress | None) -> bool:
    return found is None or found.end is not None


def _chunks(identities: Sequence[str]) -> Iterable[Sequence[str]]:
    return (identities[first : first + CHUNK] for first in range(0, len(identities), CHUNK))


def _running(store: Store) -> list[FleetJob]:
    return store.fleet_jobs(True)


def _is_cancelled(store: Store, job_id: str) -> bool:
    return store.fleet_job_cancelled(job_id)


def _job(store: Store, job_id: str) -> FleetJob | None:
    return store.fleet_job(job_id)


def _open_items(store: Store, job_id: str) -> list[FleetItem]:
    return store.open_fleet_items(job_id)


def _progress(store: Store, job_id: str, identities: Sequence[str]) -> list[FleetProgress]:
    return store.fleet_progress(job_id, identities)

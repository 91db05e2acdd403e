"""Fleet jobs, as callers deal with them (Trio's side): made, shown, watched and cancelled."""

import hashlib
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Final

import orjson
import trio
from attrs import frozen

from gateway.control.charge_points import label_violations
from gateway.control.errors import Failure, Status, invalid, not_found
from gateway.control.ports import Journal
from gateway.domain.commands import Command, FieldViolation
from gateway.domain.firmware import FirmwareUpdate
from gateway.domain.fleet import MAX_AT_ONCE, MAX_ITEMS, MAX_PER_MINUTE, MAX_RUNNING, FleetItem, FleetJob, Pace
from gateway.domain.labels import Labels
from gateway.domain.operations import OperationKind
from gateway.domain.secrets import shown_location
from gateway.domain.values import Clock, new_id
from gateway.store.api import Store
from gateway.store.commits import Exists, GuardFailed, Missing
from gateway.store.fleet import CancelFleetJob, CreateFleetJob
from gateway.store.reads import Reads

DEFAULT_PACE: Final = Pace(60.0, 20)
"""One a second, twenty at once: a fleet of 18,000 in five hours, and a fault in the new key's way is seen when some
hundred have it."""

DEFAULT_LIMIT: Final = timedelta(days=7)
LONGEST_LIMIT: Final = timedelta(days=30)
"""Until what is not begun never will be: chargers are switched off for days; a job of a month is one that was
forgotten."""

MAX_REQUEST_ID: Final = 255
"""Characters, as of a command's."""

WATCH_SECONDS: Final = 1.0
"""Between two looks at a job that is watched: its counts take some milliseconds."""


@frozen
class NewFleetJob:
    """A job as its caller asks for it. Without ``charge_points`` and ``labels`` it is of all only if ``every`` says
    so."""

    request_id: str
    kind: OperationKind
    charge_points: tuple[str, ...] | None
    labels: Labels
    every: bool
    pace: Pace = DEFAULT_PACE
    limit: timedelta = DEFAULT_LIMIT
    caller: str = ""
    reset: bool = False
    insist: bool = False
    firmware: FirmwareUpdate | None = None
    max_failures: int = 0


def asked(new: NewFleetJob) -> str:
    """Return the digest of the selection as it is asked for, and of the time limit: a job keeps only what came of them.
    An order, or an identity that is named twice, is of no weight."""
    named = None if new.charge_points is None else sorted(set(new.charge_points))
    limit = new.limit // timedelta(microseconds=1)
    content = orjson.dumps([named, sorted(new.labels.items()), new.every, limit])
    return hashlib.sha256(content).hexdigest()[:32]


def _made_by(new: NewFleetJob, found: FleetJob) -> bool:
    """Return true if a request asks for the very job; of one that has no digest its selection is not known."""
    same = (found.kind, found.pace, found.reset, found.insist, found.firmware, found.max_failures)
    wanted = (new.kind, new.pace, new.reset, new.insist, new.firmware, new.max_failures)
    return same == wanted and found.asked in ("", asked(new))


def unchecked(command: Command) -> tuple[FieldViolation, ...]:
    """A check by which nothing is wrong."""
    return ()


class FleetCalls:
    """All raise ``Failure`` and ``StoreUnavailable``. ``wake`` is called when a job may have changed; ``check`` says
    what is wrong with a command, whichever charge point gets it."""

    def __init__(
        self,
        journal: Journal,
        reads: Reads,
        clock: Clock,
        wake: Callable[[], None],
        check: Callable[[Command], tuple[FieldViolation, ...]] = unchecked,
    ) -> None:
        self._check = check
        self._journal = journal
        self._reads = reads
        self._clock = clock
        self._wake = wake

    async def create(self, new: NewFleetJob) -> FleetJob:
        """Make a durable job, which goes on without its caller. The same request again returns the job as it is."""
        wrong = _violations(new)
        if new.firmware is not None:
            wrong += [*self._check(new.firmware), *_kept_secrets(new.firmware)]
        if wrong:
            raise invalid(*wrong)
        earlier = await self._earlier(new)
        if earlier is not None:
            return earlier
        selected = await self._selected(new)
        now = self._clock()
        job = FleetJob(
            new_id("fleet"),
            new.request_id,
            new.kind,
            new.pace,
            now,
            now + new.limit,
            new.caller,
            new.reset,
            new.insist,
            new.firmware,
            asked=asked(new),
            max_failures=new.max_failures,
        )
        answer = await self._journal.commit(CreateFleetJob(job, tuple(selected)))
        if isinstance(answer, Exists):
            earlier = await self._earlier(new)
            return job if earlier is None else earlier
        if isinstance(answer, GuardFailed):
            message = f"{MAX_RUNNING} fleet jobs are running already; wait for one, or cancel one"
            raise Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_FLEET_JOBS", message)
        self._wake()
        return await self.get(job.job_id)

    async def _earlier(self, new: NewFleetJob) -> FleetJob | None:
        """The job that this request made before. Raises Failure where another one has its id."""
        found = await self._reads.run(_by_request, new.request_id)
        if found is not None and not _made_by(new, found):
            message = f"request_id {new.request_id} was used for another fleet job"
            violation = FieldViolation("request_id", message)
            metadata = {"request_id": new.request_id, "fleet_job": found.job_id}
            raise Failure(Status.INVALID_ARGUMENT, "REQUEST_ID_REUSED", message, metadata, (violation,))
        return found

    async def _selected(self, new: NewFleetJob) -> list[str]:
        selected = await self._reads.run(_selection, new.labels, new.charge_points)
        if new.charge_points is not None and not new.labels:
            missing = sorted(set(new.charge_points) - set(selected))
            if missing:
                raise not_found("charge point", missing[0])
        if not selected:
            raise invalid(FieldViolation("selection", "no charge point is in it"))
        if len(selected) > MAX_ITEMS:
            raise invalid(FieldViolation("selection", f"has more than {MAX_ITEMS} charge points"))
        return selected

    async def get(self, job_id: str) -> FleetJob:
        """One job."""
        found = await self._reads.run(_job, job_id)
        if found is None:
            raise not_found("fleet job", job_id)
        return found

    async def all(self) -> list[FleetJob]:
        """All that are kept, the newest first."""
        return await self._reads.run(_jobs)

    async def items(self, job_id: str, outcome: str, after: str, limit: int) -> list[FleetItem]:
        """A page of a job's items, by identity."""
        await self.get(job_id)
        return await self._reads.run(_items, job_id, outcome, after, limit)

    async def cancel(self, job_id: str, caller: str = "") -> FleetJob:
        """Begin nothing more of a job; what was begun goes on."""
        if isinstance(await self._journal.commit(CancelFleetJob(job_id, self._clock(), caller)), Missing):
            raise not_found("fleet job", job_id)
        self._wake()
        return await self.get(job_id)

    async def watch(self, job_id: str) -> AsyncGenerator[FleetJob, None]:
        """The job as it is, and again when it has come further, until it has ended. To be closed when it is no longer
        read. Cancelling is safe."""
        shown: FleetJob | None = None
        while True:
            job = await self.get(job_id)
            if job != shown:
                shown = job
                yield job
            if job.end is not None:
                return
            await trio.sleep(WATCH_SECONDS)


def _violations(new: NewFleetJob) -> list[FieldViolation]:
    found = label_violations(new.labels, "selection.labels")
    if not new.request_id:
        found.append(FieldViolation("request_id", "must be set: it is what makes repeating the request safe"))
    elif len(new.request_id) > MAX_REQUEST_ID or not new.request_id.isprintable():
        found.append(FieldViolation("request_id", f"must have at most {MAX_REQUEST_ID} printable characters"))
    narrowed = new.charge_points is not None or bool(new.labels)
    if narrowed == new.every:
        found.append(FieldViolation("selection", "needs charge_points, labels or both; or every alone"))
    if new.charge_points is not None and len(new.charge_points) > MAX_ITEMS:
        found.append(FieldViolation("selection.charge_points", f"has more than {MAX_ITEMS}"))
    if not 0 < new.pace.per_minute <= MAX_PER_MINUTE:
        found.append(FieldViolation("pace.per_minute", f"must be above 0 and at most {MAX_PER_MINUTE:g}"))
    if not 1 <= new.pace.at_once <= MAX_AT_ONCE:
        found.append(FieldViolation("pace.at_once", f"must be 1 to {MAX_AT_ONCE}"))
    if not 0 <= new.max_failures <= MAX_ITEMS:
        found.append(FieldViolation("max_failures", f"must be 0 (however many fail) to {MAX_ITEMS}"))
    if not timedelta() < new.limit <= LONGEST_LIMIT:
        found.append(FieldViolation("time_limit", f"must be above 0 and at most {LONGEST_LIMIT.days} days"))
    return found


def _kept_secrets(firmware: FirmwareUpdate) -> list[FieldViolation]:
    """A job is kept until the last charger has had its turn, and with it what it would send."""
    if shown_location(firmware.location) == firmware.location:
        return []
    why = "has a password or another secret, which the job would keep on disk; InstallFirmware keeps none"
    return [FieldViolation("location", why)]


def _job(store: Store, job_id: str) -> FleetJob | None:
    return store.fleet_job(job_id)


def _by_request(store: Store, request_id: str) -> FleetJob | None:
    return store.fleet_job_by_request(request_id)


def _jobs(store: Store) -> list[FleetJob]:
    return store.fleet_jobs(False)


def _items(store: Store, job_id: str, outcome: str, after: str, limit: int) -> list[FleetItem]:
    return store.fleet_items(job_id, outcome, after, limit)


def _selection(store: Store, labels: Labels, identities: tuple[str, ...] | None) -> list[str]:
    return store.selected(labels, identities, MAX_ITEMS + 1)

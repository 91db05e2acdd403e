"""Importing a fleet with the keys that its chargers have already: all of it or none (Trio's side)."""

import os
from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

import structlog
import trio
from attrs import frozen

from gateway.control.charge_points import NewChargePoint, field_violations, identity_violations
from gateway.control.errors import Failure, Status
from gateway.control.ports import Journal
from gateway.domain.commands import FieldViolation
from gateway.domain.credentials import make_credential
from gateway.domain.records import CredentialKind
from gateway.domain.values import Clock
from gateway.store.commits import CreateChargePoint, CreateChargePoints, Exists
from gateway.store.reads import Reads

log = structlog.get_logger()

MAX_CHARGE_POINTS: Final = 50_000
"""Of one import. They are committed at once, and sessions wait for that: so many take about a second."""

HASHERS: Final = max(1, min(4, (os.cpu_count() or 1) - 1))
"""Keys hashed at once: each takes some 30 ms of a core and 16 MiB. One core is left to the sessions."""

HASHED_BETWEEN_NEWS: Final = 32
"""Keys that each hasher takes between two signs of progress: about a second's worth."""

CHECKED_AT_ONCE: Final = 500
"""Charge points checked without letting others run: a few milliseconds' worth."""

MAX_FAULTS_AT_ONCE: Final = 1_000
"""Of one message: some 100 kB."""


class Stage(StrEnum):
    """Stages of an import, in order."""

    CHECKING = "checking"
    HASHING = "hashing"
    COMMITTING = "committing"


@frozen
class Candidate:
    """A charge point to be made known, and what was found wrong with it while it was read."""

    new: NewChargePoint
    violations: tuple[FieldViolation, ...] = ()


@frozen
class ImportFault:
    """One thing that is wrong with the charge point at ``index``. Never shows a value: it could be a key out of place.

    ``duplicate_of``: the earlier one with the same identity. ``exists``: the identity is taken.
    """

    index: int
    field: str
    description: str
    duplicate_of: int | None = None
    exists: bool = False


@frozen
class ImportProgress:
    stage: Stage
    done: int
    total: int


@frozen
class Faults:
    faults: tuple[ImportFault, ...]


@frozen
class ImportResult:
    count: int


News: TypeAlias = ImportProgress | Faults | ImportResult


class FleetImport:
    """Imports fleets. One at a time is the caller's to see to."""

    def __init__(self, journal: Journal, reads: Reads, clock: Clock, hashers: int = HASHERS) -> None:
        self._journal = journal
        self._reads = reads
        self._clock = clock
        self._hashers = hashers

    async def run(self, fleet: Sequence[Candidate], validate_only: bool) -> AsyncGenerator[News, None]:
        """Import ``fleet`` (at most MAX_CHARGE_POINTS) and yield its progress; ``ImportResult`` is the last.

        Faults come first, all of them; then it raises ``Failure``, and nothing was done. Raises
        ``StoreUnavailable``. To be closed when it is no longer read: before COMMITTING nothing was done, after
        it everything may be.
        """
        total = len(fleet)
        yield ImportProgress(Stage.CHECKING, 0, total)
        faults = await self._faults(fleet)
        if not faults and not validate_only:
            creations: list[CreateChargePoint] = []
            while len(creations) < total:
                yield ImportProgress(Stage.HASHING, len(creations), total)
                rest = fleet[len(creations) : len(creations) + self._hashers * HASHED_BETWEEN_NEWS]
                creations += await self._hashed([each.new for each in rest])
            yield ImportProgress(Stage.COMMITTING, 0, total)
            faults = await self._committed(creations)
        for start in range(0, len(faults), MAX_FAULTS_AT_ONCE):
            yield Faults(tuple(faults[start : start + MAX_FAULTS_AT_ONCE]))
        if faults:
            raise _refused(faults, total)
        yield ImportResult(total)

    async def _faults(self, fleet: Sequence[Candidate]) -> list[ImportFault]:
        faults: list[ImportFault] = []
        first: dict[str, int] = {}
        for start in range(0, len(fleet), CHECKED_AT_ONCE):
            names: dict[str, int] = {}
            for index, candidate in enumerate(fleet[start : start + CHECKED_AT_ONCE], start):
                new = candidate.new
                faults += (ImportFault(index, each.field, each.description) for each in _violations(candidate))
                if new.identity in first:
                    faults.append(_twice(index, first[new.identity]))
                elif new.identity:
                    first[new.identity] = names[new.identity] = index
            taken = await self._reads.taken(list(names))
            faults += (_taken(names[identity]) for identity in taken)
        return sorted(faults, key=lambda fault: fault.index)

    async def _hashed(self, new: Sequence[NewChargePoint]) -> list[CreateChargePoint]:
        """Their writes, in order, made by all hashers together. Cancelling waits for the hashes under way."""
        made: dict[int, CreateChargePoint] = {}
        rest = iter(enumerate(new))

        async def hasher() -> None:
            for index, each in rest:
                made[index] = await self._creation(each)

        async with trio.open_nursery() as nursery:
            for _ in range(self._hashers):
                nursery.start_soon(hasher)
        return [made[index] for index in range(len(new))]

    async def _creation(self, new: NewChargePoint) -> CreateChargePoint:
        assert new.key is not None  # it was checked
        now = self._clock()
        credential = await trio.to_thread.run_sync(make_credential, new.key, CredentialKind.IMPORTED, now)
        return CreateChargePoint(
            new.identity,
            new.registration,
            (credential,),
            now,
            new.description,
            new.quirks,
            new.labels,
            new.caller,
            new.minimum_security_profile,
        )

    async def _committed(self, creations: list[CreateChargePoint]) -> list[ImportFault]:
        """All at once. Faults only where another caller has created one of them meanwhile."""
        result = await self._journal.commit(CreateChargePoints(tuple(creations)))
        if not isinstance(result, Exists):
            log.info("fleet imported", charge_points=len(creations))
            return []
        taken = set(result.identities)
        return [_taken(index) for index, each in enumerate(creations) if each.identity in taken]


def _violations(candidate: Candidate) -> list[FieldViolation]:
    new = candidate.new
    found = [
        *candidate.violations,
        *identity_violations(new.identity),
        *field_violations(new.description, new.key, new.labels),
    ]
    if new.key is None:
        found.append(FieldViolation("authorization_key", "must be set: an import is for chargers that have their keys"))
    return found


def _twice(index: int, earlier: int) -> ImportFault:
    return ImportFault(index, "charge_point.identity", "is that of an earlier one too", duplicate_of=earlier)


def _taken(index: int) -> ImportFault:
    return ImportFault(index, "charge_point.identity", "is taken by a charge point that is known already", exists=True)


def _refused(faults: Sequence[ImportFault], total: int) -> Failure:
    wrong = len({fault.index for fault in faults})
    metadata = {"wrong_count": str(wrong), "total_count": str(total)}
    message = f"{wrong} of {total} charge points can't be imported; none was"
    if all(fault.exists for fault in faults):
        return Failure(Status.ALREADY_EXISTS, "CHARGE_POINT_EXISTS", message, metadata)
    return Failure(Status.INVALID_ARGUMENT, "IMPORT_REFUSED", message, metadata)

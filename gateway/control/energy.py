"""Transactions' energy, cost and completion, worked out from their events (Trio's side)."""

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Final, TypeVar

import trio
from attrs import evolve, frozen

from gateway.charging.power_limits import power_limits
from gateway.control.errors import Failure, Status, invalid, not_found
from gateway.domain.commands import FieldViolation
from gateway.domain.metering import Edge, Metered, Metering, edge, metered, metering_of
from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.values import WHOLE_CHARGE_POINT, Clock, Flag
from gateway.energy.completion import (
    Charge,
    Completion,
    CompletionState,
    FullTarget,
    Target,
    estimate_completion,
)
from gateway.energy.cost import Cost, compute_cost
from gateway.energy.intervals import Interval, energy_by_interval
from gateway.energy.power_history import STALE_AFTER, Limit
from gateway.energy.prices import PriceSchedule, price_changes, uncovered
from gateway.energy.session import SessionEnergy, session_energy
from gateway.energy.settlement import EnergyState, Happening, Provenance, differs, state_of, worst_provenance
from gateway.store.api import Store
from gateway.store.reads import Reads

T = TypeVar("T")

EVENTS_AT_ONCE: Final = 50
"""Events that are read in one go of a worker thread: each may hold a message of a charger's, whole, of up to a
megabyte."""

MAX_EVENTS: Final = 50_000
"""Of a transaction that is worked out: a reading a minute for five weeks. Some hundred bytes are kept of each."""

MAX_READINGS: Final = 200_000
"""In these messages: registers, powers and states of charge. Some 250 bytes each."""

MAX_AT_ONCE: Final = 4
"""Transactions that are worked out at once; more of them wait. Each takes a reader's thread, and a month of a reading a
minute holds 50 MB meanwhile."""

MAX_INTERVALS: Final = 50_000
"""Intervals of a transaction: of half an hour, three years."""

FORESEEN: Final = timedelta(hours=72)
"""For so much time a completion is looked for, and limits of a plan count."""

MAX_PRICE_CHANGES: Final = 20_000
"""Times of daily prices that a transaction may run through: half-hourly prices for a year."""


@frozen
class MeteredTransaction:
    """A transaction with all that was metered in it up to ``position``, and the energy that follows.

    ``whole``: that is all there is. ``happened``: what has come since the recorded revision.
    """

    record: TransactionRecord
    metering: Metering
    energy: SessionEnergy
    position: int
    state: EnergyState
    happened: frozenset[Happening] = frozenset()
    provenance: Provenance | None = None
    replayed: int = 0
    whole: bool = True

    @property
    def differs(self) -> bool:
        """True if the energy is another one than that of the recorded revision."""
        known = self.record.settlement
        return self.whole and known.revision > 0 and not self.metering.deleted and differs(known, self.energy)

    @property
    def pending(self) -> bool:
        """True if it is another one because of what has come since."""
        return self.record.settlement.due and self.whole and (not self.record.settlement.revision or self.differs)

    @property
    def rules_differ(self) -> bool:
        """True if it is another one though nothing has come since."""
        return self.differs and not self.record.settlement.due


@frozen
class Completed:
    """An estimate of when charging will be done, and the time for which it was made."""

    completion: Completion
    at: datetime


class TransactionEnergies:
    """Reads of what was metered. They raise ``Failure`` and ``StoreUnavailable``; cancelling is safe."""

    def __init__(self, reads: Reads, clock: Clock) -> None:
        self._reads = reads
        self._clock = clock
        self._places = trio.CapacityLimiter(MAX_AT_ONCE)

    async def worked_out(self, transaction_id: str) -> MeteredTransaction:
        """A transaction's readings and its energy."""
        async with self._places:
            return await self._metered(transaction_id, 0)

    async def _metered(self, transaction_id: str, position: int) -> MeteredTransaction:
        """A transaction's readings up to a position (0: all of them), and its energy."""
        record = await self._reads.transaction(transaction_id)
        if record is None:
            raise not_found("transaction", transaction_id)
        parts = await self._parts(transaction_id)
        own = [part for part in parts if part.boot is None]
        newest = max([part.sequence for part in own], default=record.stop_sequence or record.start_sequence)
        if position > newest:
            raise invalid(FieldViolation("position", f"lies ahead of the transaction's newest one, {newest}"))
        whole = position in (0, newest)
        if position:
            parts = [part for part in parts if part.sequence <= position]
            own = [part for part in own if part.sequence <= position]
            newest = max((part.sequence for part in own), default=0)
            if not newest:
                raise invalid(FieldViolation("position", "lies before the transaction's first message that is kept"))
        start, stop = edges(record)
        metering = metering_of(parts, start, stop if not position else None)
        energy = await self._work_out(session_energy, metering)
        since = record.settlement.position
        return MeteredTransaction(
            record,
            metering,
            energy,
            newest,
            state_of(record, self._clock()),
            frozenset(HAPPENINGS[part.type] for part in own if part.sequence > since and part.type in HAPPENINGS),
            worst_provenance(map(_provenance, own)),
            sum(part.late for part in own),
            whole,
        )

    async def _parts(self, transaction_id: str) -> list[Metered]:
        """Read what all messages of a transaction say, within the bounds."""
        parts: list[Metered] = []
        readings = 0
        while True:
            after = parts[-1].sequence if parts else 0
            page = await self._reads.run(_page, transaction_id, after)
            parts += page
            readings += sum(part.readings for part in page)
            if len(parts) > MAX_EVENTS or readings > MAX_READINGS:
                raise Failure(
                    Status.FAILED_PRECONDITION,
                    "TOO_MANY_READINGS",
                    f"transaction {transaction_id} has more than {MAX_EVENTS} messages or {MAX_READINGS} readings",
                    {"transaction_id": transaction_id},
                )
            if len(page) < EVENTS_AT_ONCE:
                return parts

    async def intervals(
        self, transaction_id: str, position: int, zone: tzinfo, seconds: int
    ) -> tuple[MeteredTransaction, tuple[Interval, ...]]:
        """The energy of a transaction by interval; ``seconds`` divide a day."""
        async with self._places:
            found = await self._metered(transaction_id, position)
            start, end = _times(found.energy)
            if (end - start).total_seconds() / seconds > MAX_INTERVALS:
                reason = f"divides the transaction, from {start.isoformat()} to {end.isoformat()}, into more than"
                raise invalid(FieldViolation("interval", f"{reason} {MAX_INTERVALS} intervals"))
            return found, await self._work_out(energy_by_interval, found.energy, zone, seconds)

    async def cost(
        self, transaction_id: str, position: int, revision: int | None, schedule: PriceSchedule
    ) -> tuple[MeteredTransaction, Cost]:
        """The cost of a transaction, by a schedule without problems. ``revision``: the only one that is wanted."""
        async with self._places:
            found = await self._metered(transaction_id, position)
            if revision is not None:
                _check_revision(found, revision)
            if found.energy.total_mwh is None:
                raise Failure(
                    Status.FAILED_PRECONDITION,
                    "ENERGY_NOT_KNOWN",
                    f"the energy of transaction {transaction_id} is not known: it has no two registers, and no power",
                    {"transaction_id": transaction_id},
                )
            start, end = _times(found.energy)
            if wrong := uncovered(schedule, start, end):
                raise invalid(*(FieldViolation(f"price_schedule.{each.field}", each.reason) for each in wrong))
            if price_changes(schedule, start, end) > MAX_PRICE_CHANGES:
                reason = f"change more than {MAX_PRICE_CHANGES} times between {start.isoformat()} and {end.isoformat()}"
                raise invalid(FieldViolation("price_schedule.daily_prices", reason))
            return found, await self._work_out(compute_cost, found.energy, schedule)

    async def completion(
        self, transaction_id: str, target: Target, limits: tuple[Limit, ...], capacity_mwh: int | None
    ) -> tuple[MeteredTransaction, Completion, datetime]:
        """Estimate when the charging of an open transaction will be done, as of the time that is returned too."""
        async with self._places:
            found = await self._metered(transaction_id, 0)
            if found.record.state is not TransactionState.OPEN:
                raise Failure(
                    Status.FAILED_PRECONDITION,
                    "TRANSACTION_NOT_OPEN",
                    f"transaction {transaction_id} is not open: it is {found.record.state.value}",
                    {"transaction_id": transaction_id, "state": found.record.state.value},
                )
            now = self._clock()
            limits += await self._wanted_limits(found, now)
            charge = Charge(now, found.energy, found.metering.powers, found.metering.socs, limits, capacity_mwh)
            return found, await self._work_out(estimate_completion, charge, target), now

    async def running(self, transaction_id: str) -> tuple[MeteredTransaction, Completed | None]:
        """A transaction's readings and its energy, and when its vehicle will take no more; None: that is not known, or
        it has ended."""
        async with self._places:
            found = await self._metered(transaction_id, 0)
            now = self._clock()
            newest = max((each.at for each in found.metering.powers), default=None)
            if found.record.state is not TransactionState.OPEN or newest is None or now - newest > STALE_AFTER:
                return found, None
            limits = await self._wanted_limits(found, now)
            charge = Charge(now, found.energy, found.metering.powers, found.metering.socs, limits)
            completion = await self._work_out(estimate_completion, charge, FullTarget())
            return found, None if completion.state is CompletionState.UNKNOWN else Completed(completion, now)

    async def _wanted_limits(self, found: MeteredTransaction, now: datetime) -> tuple[Limit, ...]:
        """The limits that the gateway keeps for a transaction's connector, or for all of its charge point."""
        record = found.record
        stored = await self._reads.state(record.charge_point, now)
        if stored is None:
            return ()
        places = (record.connector, WHOLE_CHARGE_POINT)
        wanted = [each for place, each in stored.state.wanted.items() if place in places]
        limits = power_limits(wanted, record.started_at, now + FORESEEN, found.metering.phases)
        return tuple(Limit(each.start, each.end, each.watts) for each in limits)

    async def _work_out(self, fn: Callable[..., T], *args: object) -> T:
        """Run what takes long for a long transaction in a reader's thread, so that the loop goes on meanwhile."""
        return await self._reads.compute(fn, *args)


def _page(store: Store, transaction_id: str, after: int) -> list[Metered]:
    """Read the next events; in the reading thread."""
    return [metered(event) for event in store.energy_events(transaction_id, after, EVENTS_AT_ONCE)]


HAPPENINGS: Final = {
    "transaction.stopped": Happening.STOPPED,
    "transaction.closed": Happening.CLOSED,
    "transaction.attributed": Happening.ATTRIBUTED,
    "meter_values.reported": Happening.READINGS,
}
"""Types of events that an energy may follow from, to what they are to it."""


def _provenance(part: Metered) -> Provenance:
    if part.suspect:
        return Provenance.CLOCK_SUSPECT
    return Provenance.REPLAYED if part.late else Provenance.LIVE


def _check_revision(found: MeteredTransaction, wanted: int) -> None:
    """Raises what says that the energy is not of the revision that is wanted."""
    known = found.record.settlement
    if wanted == known.revision and not found.pending:
        return
    present = f"a later one than {known.revision}, which follows within seconds" if found.pending else known.revision
    raise Failure(
        Status.FAILED_PRECONDITION,
        "ENERGY_REVISED",
        f"the energy of transaction {found.record.transaction_id} is not of revision {wanted}: it is of {present}",
        {
            "transaction_id": found.record.transaction_id,
            "wanted_revision": str(wanted),
            "revision": str(known.revision),
            "pending": str(found.pending).lower(),
        },
    )


def edges(record: TransactionRecord) -> tuple[Edge, Edge | None]:
    """Start and stop as the transaction's record has them, which outlives its events."""
    doubted = Flag.METER_IMPLAUSIBLE in record.flags
    start = edge(record.started_at, record.meter_start, timed=True, doubted=doubted, missing=doubted)
    if record.stopped_at is not None and record.meter_stop is not None:
        stop = edge(record.stopped_at, record.meter_stop, timed=True, doubted=doubted, missing=doubted)
        return start, stop
    if record.close_meter_at is not None and record.close_meter is not None:
        stop = edge(record.close_meter_at, record.close_meter, timed=True, doubted=False)
        return start, evolve(stop, by_operator=True)
    return start, None


def _times(energy: SessionEnergy) -> tuple[datetime, datetime]:
    return energy.points[0].at, energy.points[-1].at

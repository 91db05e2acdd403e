"""Transactions, their readings, their end by an operator, and stops that belong to none (Trio's side)."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import trio
from attrs import evolve, frozen

from gateway.control.energy import Completed, TransactionEnergies, edges
from gateway.control.errors import Failure, Status, invalid, not_found
from gateway.control.lists import At, at_head, page_at_head, pages_at_head
from gateway.control.ports import Commands, Journal
from gateway.domain.codec import UnreadableBody, body_of
from gateway.domain.commands import FieldViolation
from gateway.domain.events import (
    Body,
    NewEvent,
    StoredEvent,
    TransactionAttributed,
    TransactionClosed,
    TransactionOrphaned,
)
from gateway.domain.metering import Metering, metered, metering_of
from gateway.domain.orphans import MAX_WH, OrphanStop, stop_of
from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.times import MAX_AHEAD
from gateway.domain.values import Clock, Flag
from gateway.energy.session import SessionEnergy, session_energy
from gateway.energy.settlement import EnergyState, state_of
from gateway.store.api import Store
from gateway.store.commits import Appended, AttributeOrphan, CloseTransaction, GuardFailed, Missing
from gateway.store.event_ids import sequence_of
from gateway.store.lists import Found, Query
from gateway.store.reads import Reads

M = TypeVar("M")

MAX_REASON = 200
"""Characters of an operator's reason: a sentence for those who read the history."""

MAX_REQUEST_ID = 64
"""Characters, as of a command."""

SNAPSHOT_PART = 200
"""Transactions that a snapshot reads, and a message of it holds, at once."""

EDGE_READINGS = 3
"""Meter values at either end of an open transaction that its energy is worked out of in a list."""


MAX_EDGE_BYTES = 16_384
"""Of one of these messages: several times a usual one. A page has up to a thousand transactions, and a message of a
megabyte takes a tenth of a second to read; larger ones are left out in lists."""


@frozen
class ShownTransaction:
    """A transaction as it is shown: with the state of its energy and, while it is open, the energy so far and when its
    vehicle will take no more."""

    record: TransactionRecord
    state: EnergyState
    so_far: SessionEnergy | None = None
    completed: Completed | None = None


class Transactions:
    """They raise ``Failure`` and ``StoreUnavailable``; cancelling those that only read is safe."""

    def __init__(
        self, journal: Journal, reads: Reads, commands: Commands, energies: TransactionEnergies, clock: Clock
    ) -> None:
        self._journal = journal
        self._reads = reads
        self._commands = commands
        self._energies = energies
        self._clock = clock

    async def get(self, transaction_id: str) -> ShownTransaction:
        """One transaction; while it is open, with the energy by all of its readings, and what follows from them."""
        record = await self._record(transaction_id)
        so_far = completed = None
        if record.state is TransactionState.OPEN:
            try:
                found, completed = await self._energies.running(transaction_id)
                so_far = found.energy
            except Failure as failure:
                if failure.reason != "TOO_MANY_READINGS":
                    raise
        return ShownTransaction(record, state_of(record, self._clock()), so_far, completed)

    async def _record(self, transaction_id: str) -> TransactionRecord:
        record = await self._reads.transaction(transaction_id)
        if record is None:
            raise not_found("transaction", transaction_id)
        return record

    async def page(self, query: Query, after: str, limit: int, whole: bool) -> At[Found[ShownTransaction]]:
        """A page; ``whole``: of those that are open with the energy by their first and last readings."""
        page = await page_at_head(self._reads, lambda store: store.find_transactions(query, after, limit))
        found = page.found
        return At(Found(await self._shown(found.records, whole), found.places, found.after), page.token)

    async def _shown(self, records: Sequence[TransactionRecord], whole: bool) -> list[ShownTransaction]:
        running = [record for record in records if whole and record.state is TransactionState.OPEN]
        return _as_shown(records, await self._reads.run(_so_far, running) if running else {}, self._clock())

    def snapshot(
        self, query: Query, whole: bool, build: Callable[[bytes, list[ShownTransaction]], list[M]]
    ) -> AsyncGenerator[list[M], None]:
        """The messages of all transactions of a query, some at a time, with one resume token for all. ``build`` runs
        in a thread."""
        now = self._clock()

        def made(store: Store, token: bytes, records: list[TransactionRecord]) -> list[M]:
            return build(token, _as_shown(records, _so_far(store, records) if whole else {}, now))

        return pages_at_head(
            self._reads, lambda store, after: store.find_transactions(query, after, SNAPSHOT_PART), made
        )

    async def count(self, query: Query) -> At[dict[TransactionState, int]]:
        """Counts by state."""
        return await at_head(self._reads, lambda store: store.count_transactions(query))

    async def readings(self, transaction_id: str, after: int, limit: int) -> list[StoredEvent]:
        """The events that hold a transaction's readings."""
        await self._record(transaction_id)
        return await self._reads.readings(transaction_id, after, limit)

    async def orphans(self, query: Query, after: str, limit: int) -> At[Found[StoredEvent]]:
        """A page of stops without a transaction."""
        return await page_at_head(self._reads, lambda store: store.find_orphans(query, after, limit))

    # --- the end by an operator -------------------------------------------------------------------------------

    async def close(
        self,
        transaction_id: str,
        reason: str,
        meter_stop: int | None,
        ended_at: datetime | None,
        insist: bool,
        caller: str = "",
    ) -> ShownTransaction:
        """End the record of an open transaction; the session, if there is one, follows. ``meter_stop``: the register at
        its end, in Wh, with which one that is lost, or closed without one, can be closed as well. One that is closed
        like this already is answered as it is."""
        now = self._clock()
        wrong = [*_wrong_reason(reason), *_wrong_register(meter_stop, ended_at, now)]
        if wrong:
            raise invalid(*wrong)
        record = await self._record(transaction_id)
        if _is_closed_so(record, meter_stop, ended_at):
            return await self.get(transaction_id)
        _check_closable(record, meter_stop)
        if meter_stop is not None:
            ended_at = await self._closing_time(record, meter_stop, ended_at, now, insist)
        flags = () if meter_stop is None else (Flag.BY_OPERATOR,)
        body = TransactionClosed(transaction_id, record.connector, reason, meter_stop, ended_at, insist, caller)
        closed = NewEvent(body, now, flags=flags)
        with trio.CancelScope(shield=True):  # a commit can't be withdrawn, and the session must not stay behind
            result = await self._journal.commit(CloseTransaction(record.charge_point, closed))
            if isinstance(result, Appended):
                self._commands.transaction_closed(record.charge_point, closed)
        if isinstance(result, Missing):
            raise not_found("transaction", transaction_id)
        record = await self._record(transaction_id)
        if not _is_closed_so(record, meter_stop, ended_at):
            _check_closable(record, meter_stop)
        return await self.get(transaction_id)

    async def _closing_time(
        self, record: TransactionRecord, meter_stop: int, ended_at: datetime | None, now: datetime, insist: bool
    ) -> datetime:
        """The time of an operator's register, which is held against what is known."""
        if ended_at is not None and ended_at < record.started_at:
            raise invalid(FieldViolation("end_time", f"lies before the start, {record.started_at.isoformat()}"))
        metering = await self._reads.run(_edge_metering, record)
        last = max([record.meter_start * 1000, *_registers(metering, record.meter_start * 1000)])
        if meter_stop * 1000 < last and not insist:
            raise Failure(
                Status.FAILED_PRECONDITION,
                "METER_BELOW_LAST",
                f"a register of {meter_stop} Wh is below the last one of transaction {record.transaction_id}, "
                f"{last / 1000:g} Wh; it is taken with insist",
                {"transaction_id": record.transaction_id, "last_milliwatt_hours": str(last)},
            )
        if ended_at is not None:
            return ended_at
        times = [each.at for each in metering.registers if record.started_at <= each.at <= now]
        return max(times, default=max(now, record.started_at))

    # --- stops without a transaction --------------------------------------------------------------------------

    async def attribute(
        self, orphan_event_id: str, transaction_id: str, reason: str, request_id: str, insist: bool, caller: str = ""
    ) -> ShownTransaction:
        """End a transaction by a stop that belongs to none, as the stop would have; the session, if there is one,
        follows. The same request again is answered with the transaction as it is."""
        wrong = _wrong_reason(reason)
        if not request_id:
            wrong.append(FieldViolation("request_id", "must be set: it is what makes repeating the request safe"))
        elif len(request_id) > MAX_REQUEST_ID or not request_id.isprintable():
            wrong.append(FieldViolation("request_id", f"must have at most {MAX_REQUEST_ID} printable characters"))
        if wrong:
            raise invalid(*wrong)
        stored, orphan = await self._orphan(orphan_event_id)
        record = await self._record(transaction_id)
        if await self._is_attributed(record, stored, request_id):
            return await self.get(transaction_id)
        body = evolve(_attribution(record, stored, orphan, reason, request_id, insist), caller=caller)
        doubts = (Flag.BY_OPERATOR,) if body.energy is not None else (Flag.BY_OPERATOR, Flag.METER_IMPLAUSIBLE)
        flags = tuple(dict.fromkeys((*stored.flags, *doubts)))
        event = NewEvent(body, self._clock(), stored.reported_at, stored.reported_raw, flags)
        with trio.CancelScope(shield=True):  # as in ``close``
            result = await self._journal.commit(AttributeOrphan(record.charge_point, event))
            if isinstance(result, Appended):
                self._commands.transaction_closed(record.charge_point, event)
        if isinstance(result, GuardFailed):  # something else was done meanwhile, which now shows
            await self._is_attributed(await self._record(transaction_id), stored, request_id)
        return await self.get(transaction_id)

    async def _orphan(self, event_id: str) -> tuple[StoredEvent, TransactionOrphaned]:
        sequence = sequence_of(event_id, self._reads.store_id)
        stored = None if sequence is None else await self._reads.event(sequence)
        body = None if stored is None else _body(stored)
        if stored is None or not isinstance(body, TransactionOrphaned):
            raise not_found("orphan", event_id[:100])
        return stored, body

    async def _is_attributed(self, record: TransactionRecord, stored: StoredEvent, request_id: str) -> bool:
        """Return whether this very request has been carried out. Raises what forbids it."""
        if stored.charge_point != record.charge_point:
            reason = f"is a stop of {stored.charge_point}, and the transaction is one of {record.charge_point}"
            raise invalid(FieldViolation("orphan_event_id", reason))
        wanted = (stored.sequence, record.transaction_id)
        earlier = await self._reads.attribution_by_request(record.charge_point, request_id)
        if earlier is not None and (earlier.orphan, earlier.transaction_id) == wanted:
            return True
        if earlier is not None:
            reason = "was used for another attribution; a new request needs a new one"
            raise invalid(FieldViolation("request_id", reason), reason="REQUEST_ID_REUSED")
        used = await self._reads.attribution(stored.sequence)
        if used is not None:
            raise Failure(
                Status.FAILED_PRECONDITION,
                "ORPHAN_ATTRIBUTED",
                f"the stop {stored.event_id} is tied to transaction {used.transaction_id} already",
                {"orphan_event_id": stored.event_id, "transaction_id": used.transaction_id},
            )
        if record.state is TransactionState.STOPPED:
            raise Failure(
                Status.FAILED_PRECONDITION,
                "TRANSACTION_STOPPED",
                f"transaction {record.transaction_id} has a stop",
                {"transaction_id": record.transaction_id},
            )
        return False


def _attribution(
    record: TransactionRecord,
    stored: StoredEvent,
    orphan: TransactionOrphaned,
    reason: str,
    request_id: str,
    insist: bool,
) -> TransactionAttributed:
    stop: OrphanStop | None = stop_of(orphan)
    if stop is None:
        reason = "has no register (meterStop) that can be read; close the transaction with one instead"
        raise invalid(FieldViolation("orphan_event_id", reason))
    energy = stop.meter_stop - record.meter_start
    if energy < 0 and not insist:
        raise Failure(
            Status.FAILED_PRECONDITION,
            "METER_BELOW_START",
            f"the stop's register, {stop.meter_stop} Wh, is below that of the start of transaction "
            f"{record.transaction_id}, {record.meter_start} Wh; it is taken with insist",
            {"transaction_id": record.transaction_id, "meter_stop": str(stop.meter_stop)},
        )
    return TransactionAttributed(
        transaction_id=record.transaction_id,
        connector=record.connector,
        orphan=stored.sequence,
        orphan_event_id=stored.event_id,
        number=orphan.number,
        meter_stop=stop.meter_stop,
        stop_reason=stop.reason,
        energy=energy if energy >= 0 else None,
        stop_received_at=stored.received_at,
        reason=reason,
        request_id=request_id,
        insisted=insist,
        id_tag=stop.id_tag,
        meter_value=stop.meter_value,
        dialect=orphan.dialect,
    )


def _body(stored: StoredEvent) -> Body | None:
    try:
        return body_of(stored)
    except UnreadableBody:  # of a later version
        return None


# --- checks ---------------------------------------------------------------------------------------------------


def _wrong_reason(reason: str) -> list[FieldViolation]:
    if reason.strip() and len(reason) <= MAX_REASON and reason.isprintable():
        return []
    return [FieldViolation("reason", f"must have 1 to {MAX_REASON} printable characters")]


def _wrong_register(meter_stop: int | None, ended_at: datetime | None, now: datetime) -> list[FieldViolation]:
    wrong = []
    if meter_stop is not None and not 0 <= meter_stop <= MAX_WH:
        wrong.append(FieldViolation("meter_stop_watt_hours", f"must be 0 to {MAX_WH}"))
    if ended_at is not None and meter_stop is None:
        wrong.append(FieldViolation("end_time", "is the time of meter_stop_watt_hours, which is not set"))
    if ended_at is not None and ended_at > now + MAX_AHEAD:
        wrong.append(FieldViolation("end_time", "lies ahead of now"))
    return wrong


def _is_closed_so(record: TransactionRecord, meter_stop: int | None, ended_at: datetime | None) -> bool:
    """Return whether an operator has closed it with this register, where one is asked for."""
    if record.state is not TransactionState.CLOSED or meter_stop is None:
        return record.state is TransactionState.CLOSED
    return record.close_meter == meter_stop and ended_at in (None, record.close_meter_at)


def _check_closable(record: TransactionRecord, meter_stop: int | None) -> None:
    """Raises what forbids closing it."""
    if record.state is TransactionState.OPEN:
        return
    if meter_stop is not None and record.state is not TransactionState.STOPPED and record.close_meter is None:
        return
    closed = "" if record.close_meter is None else f" with a register of {record.close_meter} Wh"
    raise Failure(
        Status.FAILED_PRECONDITION,
        "TRANSACTION_NOT_OPEN",
        f"transaction {record.transaction_id} is not open: it is {record.state.value}{closed}",
        {"transaction_id": record.transaction_id, "state": record.state.value},
    )


def _as_shown(
    records: Sequence[TransactionRecord], so_far: Mapping[str, SessionEnergy], now: datetime
) -> list[ShownTransaction]:
    return [ShownTransaction(each, state_of(each, now), so_far.get(each.transaction_id)) for each in records]


# --- readings, in a thread that reads -------------------------------------------------------------------------


def _edge_metering(store: Store, record: TransactionRecord) -> Metering:
    """The first and last meter values of a transaction."""
    found = store.edge_readings(record.transaction_id, EDGE_READINGS)
    parts = [metered(event) for event in found if len(event.body_json) <= MAX_EDGE_BYTES]
    start, stop = edges(record)
    return metering_of(parts, start, stop)


def _so_far(store: Store, records: Sequence[TransactionRecord]) -> dict[str, SessionEnergy]:
    """The energy of open transactions by their first and last readings."""
    return {record.transaction_id: session_energy(_edge_metering(store, record)) for record in records}


def _registers(metering: Metering, start_mwh: int) -> list[int]:
    """The registers that an end's is held against: of the place with the most (E21), and none that are of the session
    alone (E15)."""
    places = Counter(each.place for each in metering.registers)
    return [
        each.mwh
        for each in metering.registers
        if each.mwh >= start_mwh and each.place == min(places, key=lambda place: (-places[place], place))
    ]

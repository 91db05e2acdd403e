"""Periodic writes that are not made with every message, and late ones that could not be made in time."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeAlias

import structlog
import trio

from gateway.domain.command_states import CommandEvent, settled, unanswered
from gateway.domain.events import ChargePointDisconnected, NewEvent, OperationEnded
from gateway.domain.operations import MAINTENANCE, End, OperationRecord, Stage
from gateway.domain.records import ChargePointRecord
from gateway.domain.reservations import EXPIRED, ended
from gateway.domain.values import Clock
from gateway.errors import StoreUnavailable
from gateway.session.operations import shown_end
from gateway.session.ports import Journal
from gateway.session.router import Router
from gateway.store.api import OverdueOperation, OverdueReservation
from gateway.store.commits import Append, RecordLastHeard
from gateway.store.reads import Reads

INTERVAL_SECONDS = 300.0
"""How old the stored "last heard" of a connected charger may be after a crash: about one heartbeat."""

CHUNK = 500
"""Records that one query finds at most, of what is overdue."""

AT_ONCE = 50
"""Connected chargers that are read, or written, at once. What goes through all of a fleet takes its time (``PAUSE``):
at 18,000, 500 at once without a pause kept the writer and the interpreter's lock for two seconds of every five minutes,
and each charger that said something meanwhile waited for it."""

PAUSE = 0.05
"""Seconds between them: 18,000 take some twenty."""

LATEST_COMMANDS = 200
"""Commands of one charge point that are looked at: several times what a session has under way at most."""

LOST = CommandEvent.STORE_UNAVAILABLE
"""The end of connections, and of their commands, of which this process knows only that it could not be recorded."""

GRACE_SECONDS = 60.0
"""From the store's return to the look at what it missed: ends under way are over then, and most chargers are back,
which settles theirs."""

EXPIRY_SECONDS = 60.0
"""How late the end of a reservation may be recorded that expires while its charger is not connected."""

AWAY = timedelta(minutes=10)
"""From an operation's expiry until it ends because its charger does not come back. One that has lost its link for a
while, or restarts with new firmware, is back by then, and says what has happened."""

MARK_SECONDS = 60.0
"""An older state of the store that is put in its place is noticed if it is older than this."""

Trusted: TypeAlias = Callable[[], Awaitable[datetime | None]]
"""The time; None: the clock is doubted."""

Pages: TypeAlias = Callable[[str], Awaitable[list[ChargePointRecord]]]
"""Connected charge points by identity, those after the one that is given; an empty page is the end."""

log = structlog.get_logger()


async def record_last_heard(journal: Journal, router: Router) -> None:
    """Until cancelled. A store that can't write has to do without: the next round writes the same and more."""
    due = trio.current_time()
    while True:
        due = max(due + INTERVAL_SECONDS, trio.current_time())  # however long the round before took
        await trio.sleep_until(due)
        heard = router.heard()
        while chunk := tuple(islice(heard, AT_ONCE)):
            try:
                await journal.commit(RecordLastHeard(chunk))
            except StoreUnavailable:
                break
            await trio.sleep(PAUSE)


async def mark_store(reads: Reads) -> None:
    """Until cancelled: write down beside the store how far it has come. A store that does not answer in time is marked
    in the next round."""
    while True:
        await trio.sleep(MARK_SECONDS)
        try:
            await reads.mark()
        except StoreUnavailable:
            continue


async def end_overdue_reservations(journal: Journal, reads: Reads, trusted: Trusted) -> None:
    """Until cancelled: end what expires while its charger is not connected; the sessions end the others.

    A chunk a round, by one query on an index: no timer per reservation, and what is left over waits for the next round,
    as it does while the store is unavailable, or the clock is doubted: a jump would end them all.
    """
    while True:
        await trio.sleep(EXPIRY_SECONDS)
        try:
            now = await trusted()
            if now is None:
                continue
            for due in await reads.overdue_reservations(now, CHUNK):
                await _end_reservation(journal, due, now)
        except StoreUnavailable:
            continue


async def _end_reservation(journal: Journal, due: OverdueReservation, now: datetime) -> None:
    """One that can't be ended must not keep those after it."""
    end = NewEvent(ended(due.reservation, EXPIRED), now)
    try:
        # A session that has begun since ends it itself, and this write is refused.
        await journal.commit(Append(due.charge_point, due.epoch, (end,)))
    except StoreUnavailable:
        raise
    except Exception:
        log.exception("reservation not ended", charge_point=due.charge_point)


async def end_abandoned_operations(journal: Journal, reads: Reads, trusted: Trusted) -> None:
    """Until cancelled: end the operations of chargers that have not come back for ``AWAY`` since the expiry; sessions
    end the others. Rounds, failures and the clock as of ``end_overdue_reservations``."""
    while True:
        await trio.sleep(EXPIRY_SECONDS)
        try:
            now = await trusted()
            if now is None:
                continue
            for due in await reads.overdue_operations(now - AWAY, CHUNK):
                await _end_operation(journal, reads, due, now)
        except StoreUnavailable:
            continue


async def _end_operation(journal: Journal, reads: Reads, due: OverdueOperation, now: datetime) -> None:
    """One that can't be ended must not keep those after it."""
    record = due.operation
    try:
        body = await _shown_end(reads, record, now)
        if body is None:
            end = End.OFFLINE if record.stage is Stage.ACCEPTED else End.UNKNOWN
            body = OperationEnded(record.operation_id, end, "away", record.transaction_id or None)
        # A session that has begun since looks after it, and this write is refused.
        await journal.commit(Append(record.charge_point, due.epoch, (NewEvent(body, now),)))
    except StoreUnavailable:
        raise
    except Exception:
        log.exception("operation not ended", charge_point=record.charge_point)


async def _shown_end(reads: Reads, record: OperationRecord, now: datetime) -> OperationEnded | None:
    """The end that the charge point has shown before it went away, of which no session has made one."""
    if record.request.kind not in MAINTENANCE:
        return None
    stored = await reads.state(record.charge_point, now)
    found = None if stored is None else stored.state.operations.get(record.operation_id)
    if stored is None or found is None:
        return None
    return shown_end(found, stored.state.progress, now)


class LostEnds:
    """Records the ends of connections that the store could not keep when they ended. Until then those charge points
    count as connected, and one that doesn't come back would for ever."""

    def __init__(
        self, journal: Journal, reads: Reads, router: Router, clock: Clock, pages: Pages | None = None
    ) -> None:
        """``pages``: of the charge points whose connections may be this process's to end; None: of all."""
        self._pages = pages or (lambda after: reads.charge_points(after, AT_ONCE, True, None))
        self._journal = journal
        self._reads = reads
        self._router = router
        self._clock = clock
        self._due = trio.Event()

    def store_is_back(self) -> None:
        """There may be such ends now. Never waits."""
        self._due.set()

    async def run(self) -> None:
        """Until cancelled: after the store's return, and now and then. If it fails again, it will be back again."""
        while True:
            with trio.move_on_after(INTERVAL_SECONDS):
                await self._due.wait()
                self._due = trio.Event()
                await trio.sleep(GRACE_SECONDS)
            try:
                count = await self.record()
            except StoreUnavailable:
                continue
            if count:
                log.info("ends of connections recorded late", charge_points=count)

    async def record(self) -> int:
        """Record what is due; answers for how many charge points. Raises ``StoreUnavailable``."""
        count, after = 0, ""
        while page := await self._pages(after):
            after = page[-1].identity
            for charge_point in page:
                # The look comes after the read: who connects later has a later epoch, and this write is refused.
                if not self._router.holds(charge_point.identity):
                    count += await self._recorded(charge_point)
            await trio.sleep(PAUSE)
        return count

    async def _recorded(self, charge_point: ChargePointRecord) -> bool:
        """One that can't be recorded must not keep those after it."""
        try:
            await self._record(charge_point)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("end of a connection not recorded", charge_point=charge_point.identity)
            return False
        return True

    async def _record(self, charge_point: ChargePointRecord) -> None:
        identity = charge_point.identity
        left = self._router.unrecorded(identity)
        reason, happened = (LOST.value, LOST) if left is None else (left.reason, left.commands)
        latest = await self._reads.commands(identity, None, LATEST_COMMANDS)
        now = self._clock()
        events = [
            unanswered(command.command_id, command.operation, state, happened, now)
            for command in reversed(latest)
            if (state := settled(command.state, command.state, happened)) not in (None, command.state)
        ]
        heard = charge_point.connection.last_heard
        events.append(NewEvent(ChargePointDisconnected(reason, "local", last_heard=heard), now))
        await self._journal.commit(Append(identity, charge_point.connection.epoch, tuple(events)))
        self._router.is_recorded(identity, left)

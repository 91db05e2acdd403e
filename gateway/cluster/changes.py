"""Changes that other nodes have made to charge points of this one, brought to their sessions in their order."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog
import trio

from gateway.domain.codec import UnreadableBody, body_of
from gateway.domain.events import ChargePointDeleted, ChargePointUpdated, NewEvent, StoredEvent
from gateway.errors import StoreUnavailable
from gateway.session.router import Router
from gateway.store.nodes import NodeStore, Notice, NoticeKind
from gateway.store.reads import Reads

MAX_WAITING: Final = 100_000
"""Notices that are still to be acted on: several for each session of the largest node. Beyond that a session ends, and
its charger's next one begins with what is recorded."""

PAUSE: Final = 1.0
"""Seconds until a notice is looked into again whose events could not be read."""

MISSED = "changes-missed"
"""Why a connection ends of which a change could not be brought to its session."""

log = structlog.get_logger()


class Changes:
    """``noticed`` may be called from any thread, with what the store has found; the rest belongs to the Trio loop."""

    def __init__(self, router: Router, store: NodeStore, reads: Reads) -> None:
        self._router = router
        self._store = store
        self._reads = reads
        self._waiting: deque[Notice] = deque()
        self._news = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None

    def noticed(self, notices: Sequence[Notice]) -> None:
        """Take notices of the store; those of before ``run`` are of no session."""
        if self._token is not None:
            try:
                self._token.run_sync_soon(self._take, tuple(notices))
            except trio.RunFinishedError:
                pass  # all sessions are over

    def _take(self, notices: Sequence[Notice]) -> None:
        for each in notices:
            if each.kind in (NoticeKind.TAKEN, NoticeKind.DELETED):
                self._replaced(each)  # at once: it must not say a word more than it has to
            if len(self._waiting) >= MAX_WAITING:
                self._router.disconnect(each.charge_point, MISSED)
            else:
                self._waiting.append(each)
        self._news.set()

    async def run(self) -> None:
        """Act on notices, until cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        while True:
            while self._waiting:
                notice = self._waiting[0]
                try:
                    await self._act(notice)
                except StoreUnavailable:
                    await trio.sleep(PAUSE)
                    continue
                except Exception:
                    log.exception("a change was missed", charge_point=notice.charge_point, kind=notice.kind.value)
                    self._router.disconnect(notice.charge_point, MISSED)
                self._waiting.popleft()
            self._news = trio.Event()
            await self._news.wait()

    def _replaced(self, notice: Notice) -> None:
        """End the session of before; one that has come since has a later epoch."""
        session = self._router.session(notice.charge_point)
        if session is not None and session.epoch < notice.epoch:
            if notice.kind is NoticeKind.DELETED:
                self._router.expel(notice.charge_point)
            else:
                session.end("replaced", code=1008)

    async def _act(self, notice: Notice) -> None:
        identity = notice.charge_point
        if notice.kind is NoticeKind.DISCONNECT:
            session = self._router.session(identity)
            if session is not None and session.epoch == notice.epoch:
                self._router.disconnect(identity, caller=notice.caller)
            return
        if not self._router.holds(identity):
            return
        events = await self._reads.compute(self._store.noticed, identity, notice.position)
        if any(event.type == ChargePointDeleted.TYPE for event in events):
            session = self._router.session(identity)
            if session is None or session.epoch < notice.epoch:
                self._router.expel(identity)
        elif notice.kind is NoticeKind.CHANGED:
            await self._changed(identity, events)

    async def _changed(self, identity: str, events: Sequence[StoredEvent]) -> None:
        if any(event.type == ChargePointUpdated.TYPE for event in events):
            record = await self._reads.charge_point(identity)
            if record is not None:
                self._router.registration_changed(identity, record.registration)
                self._router.minimum_profile_raised(identity, record.minimum_security_profile)
        try:
            news = [
                (NewEvent(body_of(event), event.received_at, cause=event.cause), event.sequence)
                for event in events
                if event.type != ChargePointUpdated.TYPE
            ]
        except UnreadableBody as error:  # of a later version's
            log.warning("a change can't be read", charge_point=identity, error=str(error))
            self._router.disconnect(identity, MISSED)
            return
        if news:
            self._router.changed(identity, news)

"""What all parts of a session share: whose it is, its state, the way to commit, and how it ends.

Everything a part does that lasts goes through ``commit``; everything that ends the session goes through ``end``. The
first ending counts. Both are the only places that know what a lost race for ownership means: nothing may follow it.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import trio
from attrs import frozen

from gateway.domain.decision import Guard
from gateway.domain.events import NewEvent
from gateway.domain.protocol import ProtocolVersion
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.values import Clock
from gateway.errors import GatewayError, StoreUnavailable
from gateway.session.limits import SessionLimits
from gateway.session.ports import Journal, Observer
from gateway.store.api import Append, Appended, Fenced, GuardFailed, Store, Write, WriteResult
from gateway.transport.api import Transport

T = TypeVar("T")

CLOSE_NORMAL, CLOSE_GOING_AWAY, CLOSE_POLICY, CLOSE_INTERNAL = 1000, 1001, 1008, 1011
"""WebSocket close codes (RFC 6455 §7.4.1)."""


class SessionOver(GatewayError):
    """The session has lost its charge point or its store; whatever was being done for it stops here."""


@frozen
class Ending:
    """Why a session is over; the fields of ``charge_point.disconnected``."""

    reason: str
    initiator: str
    code: int


class Core:
    """One session's shared centre. Belongs to one Trio task tree."""

    def __init__(
        self,
        *,
        state: ChargePointState,
        transport: Transport,
        protocol: ProtocolVersion,
        journal: Journal,
        store: Store,
        clock: Clock,
        limits: SessionLimits,
        observer: Observer,
    ) -> None:
        self.state = state
        self.transport = transport
        self.protocol = protocol
        self.journal = journal
        self.store = store
        self.clock = clock
        self.limits = limits
        self.observer = observer
        self.scope = trio.CancelScope()
        self.ending: Ending | None = None
        self._newest: trio.Event | None = None
        """Set when the newest commit under way has been applied."""

    @property
    def identity(self) -> str:
        return self.state.identity

    def end(self, reason: str, *, initiator: str = "local", code: int = CLOSE_NORMAL) -> None:
        """End the session soon. Callable from any task of the loop, any number of times; the first reason counts."""
        if self.ending is None:
            self.ending = Ending(reason, initiator, code)
            self.scope.cancel()

    async def commit(self, events: Iterable[NewEvent], guards: tuple[Guard, ...] = ()) -> Appended | GuardFailed:
        """Commit and apply events, in the order of the commits: commits of several tasks may be answered together,
        and their tasks then wake in any order.

        A session that has lost its charge point, or whose store can't keep what it decided, ends here: raises
        ``SessionOver``, and nothing that was to be acknowledged has been. Cancelling withdraws nothing.
        """
        before, mine = self._newest, trio.Event()
        self._newest = mine
        try:
            return await self._commit(tuple(events), guards, before)
        finally:
            mine.set()
            if self._newest is mine:
                self._newest = None

    async def _commit(
        self, batch: tuple[NewEvent, ...], guards: tuple[Guard, ...], before: trio.Event | None
    ) -> Appended | GuardFailed:
        result = await self.write(Append(self.identity, self.state.epoch, batch, guards))
        if before is not None and not before.is_set():
            await before.wait()
        match result:
            case Appended(sequences):
                for event, sequence in zip(batch, sequences, strict=True):
                    evolve(self.state, event, sequence)
                return result
            case GuardFailed():
                return result
            case Fenced():
                raise self._over("replaced", CLOSE_POLICY)
            case _:
                raise self._over("deleted", CLOSE_POLICY)

    async def write(self, write: Write) -> WriteResult:
        """Commit something that is not fenced. A store that can't keep it ends the session, as in ``commit``."""
        try:
            return await self.journal.commit(write)
        except StoreUnavailable as error:
            raise self._over("store-unavailable", CLOSE_INTERNAL) from error

    async def read(self, fn: Callable[..., T], *args: Any) -> T:
        """Read the store (``self.store``'s methods only) off the loop; fails as ``write`` does."""
        try:
            return await self.journal.read(fn, *args)
        except StoreUnavailable as error:
            raise self._over("store-unavailable", CLOSE_INTERNAL) from error

    def _over(self, reason: str, code: int) -> SessionOver:
        self.end(reason, code=code)
        return SessionOver(reason)

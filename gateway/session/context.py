"""Context that all parts of a session share: its identity, its state, the way to commit, and its end.

Everything a part does that lasts goes through ``commit``; everything that ends the session goes through ``end``. The
first ending counts. Both are the only places that know what a lost race for ownership means: nothing may follow it.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import trio
from attrs import frozen

from gateway.domain.command_states import CommandEvent
from gateway.domain.decision import Guard
from gateway.domain.events import NewEvent
from gateway.domain.quirks import QuirkBook
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.values import Clock
from gateway.errors import CommitUnknown, GatewayError, StoreUnavailable
from gateway.ocpp.protocol import ProtocolVersion
from gateway.session.limits import SessionLimits
from gateway.session.ports import CommandTraces, Frames, Journal, Observer
from gateway.store.commits import Append, Appended, Fenced, GuardFailed, Write, WriteResult
from gateway.store.reads import Reads
from gateway.transport.api import ConnectionClosed, Initiator, Transport

T = TypeVar("T")

log = structlog.get_logger()

CLOSE_NORMAL, CLOSE_GOING_AWAY, CLOSE_POLICY, CLOSE_INTERNAL = 1000, 1001, 1008, 1011
"""WebSocket close codes (RFC 6455 §7.4.1)."""


class SessionOver(GatewayError):
    """The session has lost its charge point or its store; whatever was being done for it stops here.

    ``doubtful``: what was being committed may yet be found on the disk."""

    def __init__(self, reason: str, *, doubtful: bool = False) -> None:
        super().__init__(reason)
        self.doubtful = doubtful


@frozen
class Ending:
    """Reason why a session is over; the fields of ``charge_point.disconnected``."""

    reason: str
    initiator: str
    code: int
    message_bytes: int = 0
    caller: str = ""


@frozen
class UnrecordedEnd:
    """The end of a session that is not recorded: of its connection, and of the commands that it left.

    ``doubtful``: request ids of commands of which the disk may come to hold more than is known.
    """

    epoch: int
    reason: str
    commands: CommandEvent
    doubtful: frozenset[str] = frozenset()


class SessionContext:
    """One session's shared centre. Belongs to one Trio task tree."""

    def __init__(
        self,
        *,
        state: ChargePointState,
        transport: Transport,
        protocol: ProtocolVersion,
        journal: Journal,
        reads: Reads,
        clock: Clock,
        limits: SessionLimits,
        observer: Observer,
        frames: Frames,
        quirks: QuirkBook,
        traces: CommandTraces | None = None,
        clock_is_even: Callable[[], bool] = lambda: True,
    ) -> None:
        self.state = state
        self.transport = transport
        self._negotiated = self.protocol = protocol
        self.journal = journal
        self.reads = reads
        self.clock = clock
        self.clock_is_even = clock_is_even
        """True unless the clock may have jumped: then nothing ends by it."""
        self._limits_of_all = self.limits = limits
        self._quirk_book = quirks
        self.observer = observer
        self.follow_make()
        self.frames = frames
        self.traces = traces
        """None: commands are not traced, and cost nothing for it."""
        self.on_events: Callable[[tuple[NewEvent, ...]], None] | None = None
        """Called with what was committed, once the state has it; must be cheap, must not raise."""
        self.on_boot: Callable[[], None] | None = None
        """Called when a Boot was answered, also one that repeats another; as ``on_events``."""
        self._end_is_kept = False
        self._scope: trio.CancelScope | None = None
        self.charging_moved: Callable[[], None] | None = None
        """Called when charging states begin to wait for something: their timer's, while the session runs."""
        self.ending: Ending | None = None
        self.progress: trio.Event | None = None
        """Set by the next commit while an operation is open; an event and no callback, which would be a reference
        cycle."""
        self.handing_over = False
        """A newer connection waits until what has arrived on this one is dealt with: the reader goes on to the last
        message of it, though the link may be dead."""

    @property
    def identity(self) -> str:
        return self.state.identity

    def begin(self, scope: trio.CancelScope) -> None:
        """The session runs: from now on its end cancels ``scope``, also one that came before."""
        self._scope = scope
        if self.ending is not None:
            scope.cancel()

    def end(
        self,
        reason: str,
        *,
        initiator: str = "local",
        code: int = CLOSE_NORMAL,
        message_bytes: int = 0,
        caller: str = "",
    ) -> None:
        """End the session soon. Callable from any task of the loop, any number of times; the first reason counts."""
        if self.ending is None:
            self.ending = Ending(reason, initiator, code, message_bytes, caller)
            if self._scope is not None:
                self._scope.cancel()
            if message_bytes:
                self.observer.too_large(self.identity, message_bytes)

    def connection_closed(self, closed: ConnectionClosed) -> None:
        """End the session because its connection has ended. While it is handed over only its reader does that, after
        the last message that has arrived."""
        self.keep_end(closed.initiator, closed.code, closed.reason)
        if self.handing_over:
            return
        reason = "message-too-large" if closed.too_large else "closed"
        self.end(reason, initiator=closed.initiator, code=closed.code, message_bytes=closed.too_large)

    def follow_make(self) -> None:
        """Take up the quirk profile of the make that the charge point has last said it is of, and where its latencies
        are counted."""
        self.quirks = quirks = self._quirk_book.of(self.state.boot, self.state.quirks)
        self.limits = self._limits_of_all.with_quirks(quirks)
        offset = quirks.clock_offset
        self.protocol = self._negotiated.with_clock_offset(offset) if offset else self._negotiated
        self.latencies = self.observer.latencies(self.state.boot)

    # --- frames -----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> Awaitable[None]:
        """Send a CALL as ``Transport.send``, and keep it for operators: before it is sent, for its answer may be here
        before the calling task runs again."""
        self.frames.add_command(data)
        return self.transport.send(data)

    def keep_end(self, initiator: Initiator, code: int, reason: str) -> None:
        """Keep for operators how the connection ended. The first call counts."""
        if not self._end_is_kept:
            self._end_is_kept = True
            self.frames.add_end(initiator, code, reason)

    # --- commits ----------------------------------------------------------------------------------------------

    async def commit(
        self, events: tuple[NewEvent, ...], guards: tuple[Guard, ...] = (), *, shielded: bool = False
    ) -> Appended | GuardFailed:
        """Commit events; the state has them when this returns, and those of other tasks in the order of the commits.

        A session that has lost its charge point, or whose store can't keep what it decided, ends here: raises
        ``SessionOver``, and nothing that was to be acknowledged has been. Cancelling withdraws nothing, and does
        nothing at all where it is ``shielded``.
        """
        state = self.state
        write = Append(state.identity, state.epoch, events, guards)
        try:
            result = await self.journal.commit(write, self._apply, shielded=shielded)
        except StoreUnavailable as error:
            doubtful = isinstance(error, CommitUnknown)
            raise self._over("store-unavailable", CLOSE_INTERNAL, doubtful=doubtful) from error
        if isinstance(result, Appended | GuardFailed):
            return result
        if isinstance(result, Fenced):
            raise self._over("replaced", CLOSE_POLICY)
        raise self._over("deleted", CLOSE_POLICY)

    def submit(
        self,
        events: tuple[NewEvent, ...],
        then: Callable[[Write, WriteResult | Exception], None],
        guards: tuple[Guard, ...] = (),
    ) -> None:
        """Commit events as ``commit`` does, without waiting: ``then`` is called once, in the journal's task, with what
        ``settled`` is to be asked about. Raises ``SessionOver`` if they could not be handed over."""
        state = self.state
        try:
            self.journal.submit(Append(state.identity, state.epoch, events, guards), then)
        except StoreUnavailable as error:
            raise self._over("store-unavailable", CLOSE_INTERNAL) from error

    def settled(self, write: Write, result: WriteResult | Exception) -> bool:
        """Return true if what was submitted is on disk and in the state, and may be answered; else end the session."""
        if isinstance(result, Appended):
            self._apply(write, result)
            if self.state.charging.moved and self.charging_moved is not None:
                self.charging_moved()
            return self.ending is None
        match result:
            case Fenced():
                self._over("replaced", CLOSE_POLICY)
            case StoreUnavailable():
                self._over("store-unavailable", CLOSE_INTERNAL)
            case Exception():
                log.error("session failed", charge_point=self.identity, epoch=self.state.epoch, exc_info=result)
                self.observer.count("session_failures")
                self._over("internal-error", CLOSE_INTERNAL)
            case _:
                self._over("deleted", CLOSE_POLICY)
        return self.ending is None

    def _apply(self, write: Write, result: WriteResult) -> None:
        if isinstance(result, Appended):
            assert isinstance(write, Append)
            state = self.state
            for event, sequence in zip(write.events, result.sequences, strict=True):
                evolve(state, event, sequence)
            if state.operations and self.progress is not None:
                self.progress.set()
            if self.on_events is not None:
                self.on_events(write.events)

    async def write(self, write: Write) -> WriteResult:
        """Commit something that is not fenced. A store that can't keep it ends the session, as in ``commit``."""
        try:
            return await self.journal.commit(write)
        except StoreUnavailable as error:
            raise self._over("store-unavailable", CLOSE_INTERNAL) from error

    async def read(self, reading: Awaitable[T]) -> T:
        """The result of one of the store's ``reads``; fails as ``write`` does."""
        try:
            return await reading
        except StoreUnavailable as error:
            raise self._over("store-unavailable", CLOSE_INTERNAL) from error

    def _over(self, reason: str, code: int, *, doubtful: bool = False) -> SessionOver:
        self.end(reason, code=code)
        return SessionOver(reason, doubtful=doubtful)

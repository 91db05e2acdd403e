"""Commands of one session: recorded before they are sent, carried one at a time, their outcome recorded before it
is told.

Each command has a task of its own on the session's nursery (``errand``), so it goes its way whether or not its caller
is still there. The end of the session settles what is under way.
"""

from collections.abc import Awaitable, Callable

import trio
from attrs import evolve

from gateway.domain import commands as c
from gateway.domain.codec import encode_command
from gateway.domain.command_states import CommandEvent, ending_of
from gateway.domain.commands import CallOutcome, Command, CommandRecord, CommandState, RefusalReason, Refused
from gateway.domain.values import Registration, new_id
from gateway.ocpp.protocol import Access
from gateway.session.commands.calls import Calls
from gateway.session.commands.command_task import CommandTask, Means
from gateway.session.context import SessionContext
from gateway.session.ports import Journal
from gateway.session.readiness import Readiness
from gateway.session.task_group import TaskGroup
from gateway.store.api import Store

OFFLINE = Refused(RefusalReason.CHARGE_POINT_OFFLINE, "the charge point's session is ending; nothing was sent")

NOTHING_SENT = {
    CommandEvent.STORE_UNAVAILABLE: Refused(
        RefusalReason.STORE_UNAVAILABLE, "the store can't keep a command; nothing was sent"
    ),
    CommandEvent.DRAINING: Refused(RefusalReason.DRAINING, "the gateway is stopping; nothing was sent"),
    CommandEvent.DELETED: Refused(RefusalReason.UNKNOWN_CHARGE_POINT, "the charge point was deleted; nothing was sent"),
    CommandEvent.DISCONNECTED: OFFLINE,
}
"""Answers to callers of commands that were not recorded when their session ended."""


class CommandQueue:
    """The commands of one session. ``submit`` and ``ask`` may be called by any task of the loop."""

    def __init__(self, core: SessionContext, calls: Calls, readiness: Readiness, parts: TaskGroup) -> None:
        self._core = core
        self._means = Means(core, calls, readiness, parts, set())
        self._under_way: dict[str, CommandTask] = {}
        """By request id."""

    @property
    def solicited(self) -> set[str]:
        """Messages that a charger still Pending was asked for, and may therefore send (B1.3)."""
        return self._means.solicited

    async def submit(
        self,
        command: Command,
        *,
        request_id: str,
        fingerprint: str,
        deadline: float,
        answer_by: float,
        refused: Refused | None = None,
    ) -> CallOutcome:
        """Carry a command; returns its final record, or why there is none.

        ``deadline``: Trio's time; not sent by then it never will be, and unanswered by then the outcome is unknown.
        ``answer_by``, a little later: returns by then what holds whatever becomes of the commits under way. A request
        id that is under way already joins that command. ``refused``: why no new command may be begun, if none may.
        Cancelling only ends the waiting.
        """
        first = self._under_way.get(request_id)
        if first is not None:
            return await self._join(first, fingerprint, deadline)
        refusal = refused or self._refusal(command)
        if refusal is not None:
            return refusal
        record = CommandRecord(
            command_id=new_id("cmd"),
            charge_point=self._core.identity,
            request_id=request_id,
            operation=c.operation_of(command),
            arguments=encode_command(command),
            state=CommandState.QUEUED,
            created_at=self._core.clock(),
            fingerprint=fingerprint,
        )
        # From the look above to here nothing waits: one request id is one errand, and errands queue as they come.
        errand = self._under_way[request_id] = CommandTask(self._means, record, command, deadline)
        self._means.parts.start(self._carry, errand)
        with trio.move_on_at(answer_by):
            await errand.done.wait()
        return _told(errand, fingerprint) if errand.over else errand.at_the_deadline()

    async def ask(
        self, command: Command, about_to_be_sent: Callable[[], Awaitable[None]] | None = None
    ) -> c.Answer | c.ChargerError | None:
        """A CALL of the gateway's own, in the same queue but not recorded. None: no answer in time.

        ``about_to_be_sent`` is awaited first, in its turn. Waits for its turn without a deadline. Raises
        ConnectionClosed and LookupError. Cancelling is safe.
        """
        calls = self._means.calls
        with calls.line.ask() as turn:
            await turn.wait()
            await self._means.readiness.wait(self._core.protocol.needed_access(command))
            action, payload = self._core.protocol.encode_command(command, self._core.state)
            if about_to_be_sent is not None:
                await about_to_be_sent()
                await self._means.readiness.wait(self._core.protocol.needed_access(command))
            self._means.note_solicited(command)
            answered = None
            try:
                exchange = await calls.send(action, payload)
                with trio.move_on_after(self._core.limits.call_timeout):
                    await exchange.answered.wait()
                if exchange.answer is None:
                    calls.timed_out()
            finally:
                answered = calls.finish()
                if answered is not None:
                    answered.settled.set()
        if answered is None or answered.answer is None:
            return None
        return self._means.decode(command, answered.answer).answer

    async def all_told(self) -> None:
        """Wait until every command under way now has an outcome. Cancelling is safe."""
        for errand in list(self._under_way.values()):
            await errand.done.wait()

    # --- before anything is recorded --------------------------------------------------------------------------

    def _refusal(self, command: Command) -> Refused | None:
        state, protocol = self._core.state, self._core.protocol
        if not self._means.parts.open:
            return OFFLINE
        if state.registration is Registration.PENDING and protocol.needed_access(command) is Access.FULL:
            return Refused(
                RefusalReason.CHARGE_POINT_PENDING,
                "a charge point whose registration is Pending must not be started or stopped (S §4.2)",
            )
        if state.registration is Registration.REJECTED:
            return Refused(RefusalReason.CHARGE_POINT_REJECTED, "the charge point's registration is Rejected")
        transaction = protocol.needed_transaction(command)
        if transaction is not None and transaction not in state.open_transactions:
            return Refused(
                RefusalReason.UNKNOWN_TRANSACTION,
                f"the charge point has no open transaction {transaction}",
                metadata={"transaction_id": transaction},
            )
        violations = protocol.check_against(command, state, self._core.clock())
        if violations:
            return Refused(RefusalReason.INVALID_COMMAND, "the command can't be sent as it is", tuple(violations))
        if len(self._under_way) >= self._core.limits.call_queue:
            return Refused(
                RefusalReason.QUEUE_FULL,
                f"{len(self._under_way)} commands wait for this charge point already",
                metadata={"limit": str(self._core.limits.call_queue)},
            )
        return None

    # --- while it is under way --------------------------------------------------------------------------------

    async def _carry(self, errand: CommandTask) -> None:
        try:
            await errand.run()
        finally:
            if errand.over:
                self._under_way.pop(errand.record.request_id, None)

    async def _join(self, first: CommandTask, fingerprint: str, deadline: float) -> CallOutcome:
        """The outcome of the command that has this request id is this caller's too, as far as it waits for it."""
        if first.record.fingerprint != fingerprint:
            return reused(first.record)
        with trio.move_on_at(deadline):
            await first.done.wait()
        if first.over:
            return _told(first, fingerprint)
        return evolve(first.record, state=CommandState.OUTCOME_UNKNOWN, reason="deadline")

    # --- the end of the session -------------------------------------------------------------------------------

    def unfinished(self, ending: str) -> "Unfinished":
        """What the end of the session makes of the commands under way.

        If that can't be committed, the store settles them in the same way when it is back, when the charge point is
        next opened, or at the next start; so what callers are answered is right either way.
        """
        left = [errand for errand in self._under_way.values() if not errand.over]
        return Unfinished(left, ending, self._under_way.clear)


class Unfinished:
    """The commands that are under way when their session ends: events to commit, and answers to their callers."""

    def __init__(self, left: list[CommandTask], ending: str, cleared: Callable[[], None]) -> None:
        self._left = left
        self._cleared = cleared
        self.happened = ending_of(ending)
        self.doubtful = frozenset(errand.record.request_id for errand in left if errand.doubtful)
        """Request ids of commands of which the disk may come to hold more than is known."""
        self.events = [event for errand in left if (event := errand.ended(self.happened)) is not None]

    async def read_back(self, journal: Journal, store: Store) -> None:
        """Where the store has settled them already, take what it recorded. Raises ``StoreUnavailable``."""
        for errand in self._left:
            if errand.known is not None:
                record = await journal.read(store.command, errand.record.command_id)
                if record is not None and record.state.final:
                    errand.record = record

    def tell(self) -> None:
        """Answer the callers."""
        for errand in self._left:
            errand.tell(NOTHING_SENT[self.happened] if errand.handed_over is None else errand.record)
        self._cleared()


def _told(errand: CommandTask, fingerprint: str) -> CallOutcome:
    """The outcome of an errand that is over, for a caller with this fingerprint."""
    if errand.repeats is not None:
        return errand.repeats if errand.repeats.fingerprint == fingerprint else reused(errand.repeats)
    assert errand.outcome is not None
    return errand.outcome


def reused(existing: CommandRecord) -> Refused:
    """The request id belongs to another command."""
    return Refused(
        RefusalReason.REQUEST_ID_REUSED,
        f"request_id {existing.request_id} was used for another command of this charge point",
        metadata={"command_id": existing.command_id, "operation": existing.operation},
    )

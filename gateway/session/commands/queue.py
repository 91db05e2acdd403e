"""Commands of one session: recorded before they are sent, carried one at a time, their outcome recorded before a caller
is answered by it.

Each command is a task on the session's nursery (``CommandTask``), so it goes its way whether or not its caller still
waits. The end of the session settles those that are under way.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

import trio
from attrs import evolve

from gateway.domain import commands as c
from gateway.domain.codec import encode_command
from gateway.domain.command_states import CommandEvent, ending_of
from gateway.domain.commands import CallOutcome, Command, CommandRecord, CommandState, RefusalReason, Refused
from gateway.domain.records import CredentialKind
from gateway.domain.values import Registration, new_id
from gateway.ocpp.protocol import Access
from gateway.session.commands.calls import CallQueue
from gateway.session.commands.command_task import CommandTask
from gateway.store.reads import Reads

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

    def __init__(self, calls: CallQueue) -> None:
        self._context = calls.context
        self._calls = calls
        self._under_way: dict[str, CommandTask] = {}
        """By request id."""

    @property
    def waiting(self) -> int:
        """Commands under way: the one on the wire, and those behind it."""
        return len(self._under_way)

    async def submit(
        self,
        command: Command,
        *,
        request_id: str,
        fingerprint: str,
        deadline: float,
        answer_by: float,
        refused: Refused | None = None,
        key_kind: CredentialKind = CredentialKind.IMPORTED,
        caller: str = "",
        operation_id: str = "",
        spares_transactions: bool = False,
    ) -> CallOutcome:
        """Carry a command; returns its final record, or why there is none.

        ``deadline``: Trio's time; not sent by then it never will be, and unanswered by then the outcome is unknown.
        ``answer_by``, a little later: returns by then what holds whatever becomes of the commits under way. A request
        id that is under way already joins that command. ``refused``: why no new command may be begun, if none may.
        ``key_kind``, ``spares_transactions``: as of ``CommandTask``. ``caller``: recorded with a new command, with the
        operation that it carries out.

        Cancelling only ends the waiting.
        """
        first = self._under_way.get(request_id)
        if first is not None:
            return await self._join(first, fingerprint, deadline)
        context = self._context
        now = context.clock()
        refusal = refused or self.refusal(command, now)
        if refusal is not None:
            return refusal
        record = CommandRecord(
            command_id=new_id("cmd"),
            charge_point=context.state.identity,
            request_id=request_id,
            operation=c.operation_of(command),
            arguments=encode_command(command),
            state=CommandState.QUEUED,
            created_at=now,
            fingerprint=fingerprint,
            caller=caller,
        )
        # From the look above to here nothing waits: one request id is one task, and tasks queue as they come.
        task = CommandTask(
            self._calls,
            record,
            command,
            deadline,
            key_kind,
            operation_id,
            spares_transactions=spares_transactions,
        )
        self._under_way[request_id] = task
        self._calls.tasks.start(task.run, self._under_way.pop)
        with trio.move_on_at(answer_by):
            await task.done.wait()
        return _outcome(task, fingerprint) if task.done.is_set() else task.at_the_deadline()

    async def ask(
        self, command: Command, about_to_be_sent: Callable[[], Awaitable[None]] | None = None
    ) -> c.Answer | c.ChargerError | None:
        """Send a request of the gateway's own accord, in the same queue but not recorded. None: no answer in time,
        or it names a transaction that is not open any more.

        ``about_to_be_sent`` is awaited first, in its turn. Waits for its turn without a deadline. Raises
        ConnectionClosed. Cancelling is safe.
        """
        with self._calls.reserve(command) as call:
            await call.wait()
            if not call.encode():
                return None
            if about_to_be_sent is not None:
                await about_to_be_sent()
                await call.wait()
            try:
                await call.send()
                with trio.move_on_after(self._context.limits.call_timeout):
                    await call.answered.wait()
                if call.answer is None:
                    self._context.observer.count("call_timeouts")
                elif call.took is not None:
                    context = self._context
                    context.observer.call_answered(c.operation_of(command), call.took, context.latencies)
            finally:
                if call.finish():
                    call.recorded.set()
            return None if call.answer is None else call.read().answer

    async def all_done(self) -> None:
        """Wait until every command under way now has an outcome. Cancelling is safe."""
        for task in list(self._under_way.values()):
            await task.done.wait()

    # --- before anything is recorded --------------------------------------------------------------------------

    def refusal(self, command: Command, now: datetime) -> Refused | None:
        """The reason for which the command could not be begun now; None: there is none."""
        state, protocol = self._context.state, self._context.protocol
        if not self._calls.tasks.open:
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
        violations = protocol.check_against(command, state, now)
        if violations:
            return Refused(RefusalReason.INVALID_COMMAND, "the command can't be sent as it is", tuple(violations))
        if len(self._under_way) >= self._context.limits.call_queue:
            return Refused(
                RefusalReason.QUEUE_FULL,
                f"{len(self._under_way)} commands wait for this charge point already",
                metadata={"limit": str(self._context.limits.call_queue)},
            )
        return None

    # --- while it is under way --------------------------------------------------------------------------------

    async def _join(self, first: CommandTask, fingerprint: str, deadline: float) -> CallOutcome:
        """The outcome of the command that has this request id is this caller's too, as far as it waits for it."""
        if first.record.fingerprint != fingerprint:
            return reused(first.record)
        with trio.move_on_at(deadline):
            await first.done.wait()
        if first.done.is_set():
            return _outcome(first, fingerprint)
        return evolve(first.record, state=CommandState.OUTCOME_UNKNOWN, reason="deadline")

    # --- the end of the session -------------------------------------------------------------------------------

    def unfinished(self, ending: str) -> "Unfinished":
        """Settle the commands under way, for the end of their session. No late answer is taken any more.

        If the events can't be committed, the store settles them in the same way when it is back, when the charge point
        is next opened, or at the next start; so what callers are answered is right either way.
        """
        self._calls.forget()
        left = [task for task in self._under_way.values() if not task.done.is_set()]
        return Unfinished(left, ending_of(ending), self._under_way.clear)


class Unfinished:
    """The commands that are under way when their session ends: events to commit, and answers to their callers."""

    def __init__(self, left: list[CommandTask], happened: CommandEvent, clear: Callable[[], None]) -> None:
        self._left = left
        self._clear = clear
        self.happened = happened
        self.doubtful = frozenset(task.record.request_id for task in left if task.doubtful)
        """Request ids of commands of which the disk may come to hold more than is known."""
        self.events = [event for task in left if (event := task.ended(happened)) is not None]

    def __bool__(self) -> bool:
        """True if there are any."""
        return bool(self._left)

    async def read_back(self, reads: Reads) -> None:
        """Take what the store recorded where it has settled commands already. Raises ``StoreUnavailable``."""
        for task in self._left:
            if task.known is not None:
                record = await reads.command(task.record.command_id)
                if record is not None and record.state.final:
                    task.record = record

    def finish(self) -> None:
        """Answer the callers."""
        for task in self._left:
            task.finish(NOTHING_SENT[self.happened] if task.handed_over is None else task.record)
        self._clear()


def _outcome(task: CommandTask, fingerprint: str) -> CallOutcome:
    """The outcome of a task that is done, for a caller with this fingerprint."""
    if task.repeats is not None:
        return task.repeats if task.repeats.fingerprint == fingerprint else reused(task.repeats)
    assert task.outcome is not None
    return task.outcome


def reused(existing: CommandRecord) -> Refused:
    """The request id belongs to another command."""
    return Refused(
        RefusalReason.REQUEST_ID_REUSED,
        f"request_id {existing.request_id} was used for another command of this charge point",
        metadata={"command_id": existing.command_id, "operation": existing.operation},
    )

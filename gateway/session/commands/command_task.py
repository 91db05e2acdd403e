"""A command under way: recorded, sent in its turn, answered.

Each step is committed before it is acted on, and before a caller is answered by it; ``domain.command_states`` has the
table of the steps. The end of the session settles what is unfinished (``commands.queue.Unfinished``).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final

import trio
from attrs import evolve

from gateway.domain.command_states import TRANSITIONS, CommandEvent, consequences, finished, settled, unanswered
from gateway.domain.commands import CallOutcome, ChargerError, Command, CommandRecord, CommandState
from gateway.domain.decision import Guard, RequestIdUnused
from gateway.domain.events import Body, CommandAnswered, CommandQueued, CommandSent, NewEvent
from gateway.domain.records import CredentialKind
from gateway.domain.transactions import in_use
from gateway.domain.values import Flag
from gateway.session.commands.calls import CallQueue
from gateway.session.commands.key_rotation import KeyRotation
from gateway.session.context import SessionOver
from gateway.store.commits import Appended, GuardFailed

COMMIT, TURN, SEND, ANSWER = "journal commit", "wait for its turn", "send", "charge point's answer"
"""Steps of a command, as traces name them."""

UNTRACED: Final[AbstractContextManager[None]] = nullcontext()
"""The step of a command that is not traced: no call of the gateway's own is paid for it."""


class CommandTask:
    """One command. It takes its place in the queue of CALLs when it is made; ``run`` gives it up.

    ``deadline`` in Trio's time: not sent by then it never will be, and unanswered by then the outcome is unknown.
    ``key_kind``: of the key that the command brings, if it brings one. ``spares_transactions``: it is withheld where a
    transaction is open, or about to begin, when its turn comes.
    """

    def __init__(
        self,
        calls: CallQueue,
        record: CommandRecord,
        command: Command,
        deadline: float,
        key_kind: CredentialKind,
        operation_id: str,
        *,
        spares_transactions: bool,
    ) -> None:
        self.record = record
        self.done = trio.Event()
        self.outcome: CallOutcome | None = None
        """The answer to callers, once it is ``done``; None: ``repeats`` is."""
        self.repeats: CommandRecord | None = None
        """The command that has this one's request id already; this one was not recorded and is not carried."""
        self.known: CommandState | None = None
        """The state, QUEUED or SENT, that the disk is known to have; None: it may not have the command, and nothing of
        it has been sent."""
        self.handed_over: CommandState | None = None
        """The furthest state, QUEUED or SENT, that the disk has been given and may therefore have; None: nothing."""
        self._context = calls.context
        self._tasks = calls.tasks
        self._starts = calls.starts
        self._call = calls.reserve(command)
        self._command = command
        self._ocpp_request_id: int | None = getattr(command, "ocpp_request_id", None)
        self._operation_id = operation_id
        self._new_key = self._context.protocol.new_key(command)
        self._key_kind = key_kind
        self._spares_transactions = spares_transactions
        self._key_rotation: KeyRotation | None = None
        self._trace = None if self._context.traces is None else self._context.traces.begin(record, operation_id)
        self._deadline = deadline
        self._clock = trio.lowlevel.current_clock()
        self._stalled_before = stalled()
        self._cause = f"command:{record.command_id}"
        self._called = False
        """Whether the CALL was given to the connection: the charger may have it then, whatever becomes of that."""

    def finish(self, outcome: CallOutcome) -> None:
        """Answer the callers; the first outcome counts."""
        if not self.done.is_set():
            self.outcome = outcome
            self.done.set()
            word = outcome.state if isinstance(outcome, CommandRecord) else outcome.reason
            context = self._context
            context.observer.command_over(self.record.operation, str(word), self._call.took, context.latencies)
            if self._trace is not None:
                self._trace.over(str(word))

    async def run(self, forget: Callable[[str], object]) -> None:
        """Carry the command. Raises ConnectionClosed and SessionOver; cancelled at the session's end.

        ``forget`` is called with the request id at the end, if the callers have their answer.
        """
        with self._call:
            try:
                at_once = self._may_go_at_once()
                if await self._create(sent=at_once) and (at_once or await self._take_turn()):
                    await self._converse()
            finally:
                if self._key_rotation is not None:
                    await self._withdraw_key()
                if self.done.is_set():
                    forget(self.record.request_id)

    # --- until it may go --------------------------------------------------------------------------------------

    def _may_go_at_once(self) -> bool:
        """Return true if it can go out now: then its first two states are one commit."""
        if self._spares_transactions and in_use(self._context.state):
            return False
        return self._new_key is None and self._call.may_go and not self._too_late() and self._call.encode()

    async def _create(self, *, sent: bool) -> bool:
        """Commit that the command exists and, with ``sent``, that it goes out. False: its request id was used."""
        await trio.lowlevel.checkpoint_if_cancelled()  # a session that ends begins nothing
        record = self.record
        queued = CommandQueued(
            record.command_id,
            record.operation,
            record.request_id,
            record.arguments,
            record.fingerprint,
            record.caller,
            self._operation_id,
        )
        # Of the same time as the record, of which a caller may be given a copy before this is committed.
        events: tuple[NewEvent, ...] = (NewEvent(queued, record.created_at, cause=self._cause),)
        if sent:
            at = self._context.clock()
            events += (
                NewEvent(
                    CommandSent(record.command_id, record.operation, self._ocpp_request_id), at, cause=self._cause
                ),
            )
        state = CommandState.SENT if sent else CommandState.QUEUED
        result = await self._commit(events, (RequestIdUnused(record.request_id),), state)
        if isinstance(result, GuardFailed):
            assert result.existing is not None, "the guard that failed is the request id's"
            self.repeats = result.existing
            if self._trace is not None:
                self._trace.over("REPEATED")
            self.done.set()
            return False
        self.known = state
        if sent:
            self.record = record.sent(events[-1].received_at)
        return True

    async def _take_turn(self) -> bool:
        """Wait for the wire and for the charger to be ready. True: SENT is committed."""
        with trio.move_on_at(self._deadline), UNTRACED if self._trace is None else self._trace.step(TURN):
            await self._call.wait()
        if self._too_late():
            await self._settle(CommandEvent.DEADLINE)
            return False
        if not self._call.encode():
            await self._settle(CommandEvent.TRANSACTION_ENDED)
            return False
        if self._spares_transactions and in_use(self._context.state):
            await self._settle(CommandEvent.TRANSACTION_OPEN)
            return False
        if self._new_key is not None:
            kept_from = await self._admit_key(self._new_key)
            if kept_from is not None:
                await self._settle(kept_from)
                return False
        await trio.lowlevel.checkpoint_if_cancelled()  # what is not going to be sent must not count as sent
        event = self._event(CommandSent(self.record.command_id, self.record.operation, self._ocpp_request_id))
        await self._commit((event,), state=CommandState.SENT)
        self.known = CommandState.SENT
        self.record = self.record.sent(event.received_at)
        return True

    async def _admit_key(self, key: bytes) -> CommandEvent | None:
        """Admit the new key. Else it isn't, and this is why."""
        rotation = await KeyRotation.begin(key, self._key_kind, self.record.command_id, self._context)
        await trio.lowlevel.checkpoint_if_cancelled()
        if rotation is None:
            return CommandEvent.TOO_MANY_KEYS
        self._key_rotation = rotation
        with trio.CancelScope(shield=True):
            await rotation.admit()
        if self._too_late() or self._context.ending is not None:
            await self._withdraw_key()
            await trio.lowlevel.checkpoint_if_cancelled()
            return CommandEvent.DEADLINE
        return None

    async def _withdraw_key(self) -> None:
        """Let a key that was admitted and never sent open nothing, however that came about. Where the store can't be
        written, which ends the session, it stays until the command is recorded as not sent."""
        if self._key_rotation is None or self._called:
            return
        rotation, self._key_rotation = self._key_rotation, None
        with trio.CancelScope(shield=True):
            try:
                await rotation.withdraw()
            except SessionOver:
                pass

    # --- the CALL and its answer ------------------------------------------------------------------------------

    async def _converse(self) -> None:
        """Send the CALL and record its answer. The turn is kept until the answer or the time-out, also beyond the
        deadline.

        While SENT was being committed a Boot may have come in: then the CALL waits for its confirmation (quirk 7). By
        the deadline the outcome is unknown even if nothing was sent, for SENT is on disk.
        """
        call, trace = self._call, self._trace
        if not call.may_go:
            with trio.move_on_at(self._deadline):
                await call.wait()
        if self._too_late():
            await self._withdraw_key()
            await self._settle(CommandEvent.DEADLINE)
            return
        if self._spares_transactions and in_use(self._context.state):  # one has begun while SENT was being committed
            await self._settle(CommandEvent.TRANSACTION_OPEN)
            return
        timeout_at = trio.current_time() + self._context.limits.call_timeout
        await trio.lowlevel.checkpoint_if_cancelled()
        self._called = True
        try:
            with UNTRACED if trace is None else trace.step(SEND, outgoing=True):
                await call.send()
            with trio.move_on_at(min(timeout_at, self._deadline)), UNTRACED if trace is None else trace.step(ANSWER):
                await call.answered.wait()
            if call.answer is None:
                await self._settle(CommandEvent.DEADLINE if self._deadline < timeout_at else CommandEvent.TIMEOUT)
                with trio.move_on_at(timeout_at):
                    await call.answered.wait()
                if call.answer is None:
                    self._context.observer.count("call_timeouts")
        finally:
            if call.finish(on_late=partial(self._tasks.start, self._record)):
                # Also if the connection closed while ``send`` was still running.
                await self._record()

    async def _record(self) -> None:
        """Record the charger's answer, late or not, then answer the callers; the reader goes on."""
        context, record = self._context, self.record
        try:
            read = self._call.read()
            error = read.answer if isinstance(read.answer, ChargerError) else None
            answer = None if isinstance(read.answer, ChargerError) else read.answer
            late = record.state is CommandState.OUTCOME_UNKNOWN
            answered = self._event(CommandAnswered(record.command_id, record.operation, answer, error, late))
            # A charger that has taken a new key hangs up at once, to come back with it.
            if self._key_rotation is not None:
                with trio.CancelScope(shield=True):
                    await self._key_rotation.decided(read.answer)
            # Nothing may wait between the look at the state and the commit.
            follow = consequences(self._command, read.answer, context.state, answered.received_at)
            events: tuple[NewEvent, ...] = (answered, *map(self._event, follow))
            if read.deviations:
                events = tuple(evolve(each, flags=(*each.flags, Flag.DEVIATES)) for each in events)
            with UNTRACED if self._trace is None else self._trace.step(COMMIT):
                await context.commit(events, shielded=True)
            self.record = record.answered(answer, error, answered.received_at, late=late)
            self.finish(self.record)
            if context.state.pending_starts:
                self._starts.wake()
        finally:
            self._call.recorded.set()

    # --- without an answer ------------------------------------------------------------------------------------

    @property
    def doubtful(self) -> bool:
        """True if the disk may hold more of it than is known."""
        return self.handed_over is not self.known

    def ended(self, happened: CommandEvent) -> NewEvent | None:
        """End it with its session; the event to be committed, None if it is not known to be on disk."""
        state = settled(self.known, self.handed_over, happened)
        if state is None:
            return None
        event, self.record = self._end(state, happened)
        return None if self.known is None else event

    def at_the_deadline(self) -> CommandRecord:
        """The record for a caller who can't wait any longer: true whatever the disk has kept by now and keeps later.

        Its deadline has passed: a command whose SENT has not been handed over never will be sent.
        """
        state = settled(self.known, self.handed_over, CommandEvent.DEADLINE)
        return finished(self.record, state or CommandState.OUTCOME_UNKNOWN, CommandEvent.DEADLINE)

    async def _settle(self, happened: CommandEvent) -> None:
        """Record that there is no answer (yet), then answer the callers."""
        event, record = self._end(TRANSITIONS[self.record.state][happened], happened)
        await self._commit((event,))
        self.record = record
        self.finish(record)
        if self._context.state.pending_starts:
            self._starts.wake()

    def _end(self, state: CommandState, happened: CommandEvent) -> tuple[NewEvent, CommandRecord]:
        record = self.record
        event = unanswered(record.command_id, record.operation, state, happened, self._context.clock())
        return event, finished(record, state, happened, event.received_at)

    # --- small parts ------------------------------------------------------------------------------------------

    async def _commit(
        self, events: tuple[NewEvent, ...], guards: tuple[Guard, ...] = (), state: CommandState | None = None
    ) -> Appended | GuardFailed:
        """Commit and know it; ``state``, if it is a new one, may be on disk while that is not known.

        A charger that answers and hangs up at once (Reset) must not have its answer recorded and its caller answered
        otherwise. So the end of the session waits for the journal, which has a deadline.
        """
        before = self.handed_over
        self.handed_over = state or before
        try:
            with UNTRACED if self._trace is None else self._trace.step(COMMIT):
                return await self._context.commit(events, guards, shielded=True)
        except SessionOver as over:
            if not over.doubtful:
                self.handed_over = before
            raise

    def _too_late(self) -> bool:
        """In real time: the caller's clock went on while this process stood still (``stalled``, without its call)."""
        stood_still: float = getattr(self._clock, "stalled", 0.0) - self._stalled_before
        return trio.current_time() + stood_still >= self._deadline

    def _event(self, body: Body) -> NewEvent:
        return NewEvent(body, self._context.clock(), cause=self._cause)


def stalled() -> float:
    """Seconds by which Trio's clock is behind real time since the start; 0 for other clocks than the gateway's.

    That clock leaves out the time in which the process stood still: the gateway's own deadlines do, a caller's doesn't.
    """
    seconds: float = getattr(trio.lowlevel.current_clock(), "stalled", 0.0)
    return seconds

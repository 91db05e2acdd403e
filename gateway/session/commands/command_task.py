"""One command on its way: recorded, sent in its turn, answered; each step committed before it is acted on or told.

``domain.commands`` has the table of states. What goes wrong at the session's end is settled by ``commands.Commands``.
"""

from datetime import datetime
from functools import partial

import trio
from attrs import evolve, frozen

from gateway.domain import commands as c
from gateway.domain.answer_events import consequences
from gateway.domain.command_states import TRANSITIONS, CommandEvent, finished, settled, unanswered
from gateway.domain.commands import CallOutcome, Command, CommandRecord, CommandState
from gateway.domain.decision import Guard, RequestIdUnused
from gateway.domain.events import (
    Body,
    CommandAnswered,
    CommandQueued,
    CommandSent,
    NewEvent,
)
from gateway.domain.values import Flag
from gateway.ocpp.protocol import ReadAnswer
from gateway.ocpp.rpc import CallError
from gateway.session.commands.calls import Answered, Calls, Exchange
from gateway.session.commands.key_rotation import KeyRotation
from gateway.session.context import SessionContext, SessionOver
from gateway.session.readiness import Readiness
from gateway.session.stalls import stalled
from gateway.session.task_group import TaskGroup
from gateway.store.api import Appended, GuardFailed


@frozen(eq=False)
class Means:
    """What the commands of one session work with."""

    core: SessionContext
    calls: Calls
    readiness: Readiness
    parts: TaskGroup
    solicited: set[str]
    """Messages that a charger still Pending was asked for, and may therefore send (B1.3)."""

    def note_solicited(self, command: Command) -> None:
        """The command goes out: what it asks for may come in."""
        action = self.core.protocol.solicits(command)
        if action is not None:
            self.solicited.add(action)

    def decode(self, command: Command, frame: Answered) -> ReadAnswer:
        """What the charger answered, within bounds, with no secret in it even if the charger echoes one."""
        if isinstance(frame, c.ChargerError):
            return ReadAnswer(frame)
        protocol = self.core.protocol
        if isinstance(frame, CallError):
            return ReadAnswer(protocol.decode_error(command, frame.code, frame.description, frame.details))
        read = protocol.decode_answer(command, frame.payload)
        if read.deviations:
            self.core.observer.deviated(self.core.identity, self.core.state.boot, read.deviations)
        return read


class CommandTask:
    """A command under way. It takes its place in the line when it is made; ``run`` leaves it.

    ``deadline`` in Trio's time: not sent by then it never will be, and unanswered by then the outcome is unknown.
    """

    def __init__(self, means: Means, record: CommandRecord, command: Command, deadline: float) -> None:
        self.record = record
        self.done = trio.Event()
        self.outcome: CallOutcome | None = None
        self.known: CommandState | None = None
        """The state, QUEUED or SENT, that the disk is known to have; None: it may not have the command, and nothing of
        it has been sent."""
        self.handed_over: CommandState | None = None
        """The furthest state, QUEUED or SENT, that the disk has been given and may therefore have; None: nothing."""
        self.repeats: CommandRecord | None = None
        """The command that has this one's request id already; this one was not recorded and is not carried."""
        self._means = means
        self._command = command
        self._access = means.core.protocol.needed_access(command)
        self._new_key = means.core.protocol.new_key(command)
        self._deadline = deadline
        self._stalled_before = stalled()
        self._turn = means.calls.line.ask()
        self._encoded: tuple[str, object] | None = None
        self._key_change: KeyRotation | None = None
        self._called = False
        """Whether the CALL was given to the connection: the charger may have it then, whatever becomes of that."""

    @property
    def over(self) -> bool:
        """Whether there is something to be told."""
        return self.done.is_set()

    def tell(self, outcome: CallOutcome) -> None:
        """This is what became of it; the first word counts."""
        if not self.over:
            self.outcome = outcome
            self.done.set()

    async def run(self) -> None:
        """Carry the command. Raises ConnectionClosed and SessionOver; cancelled at the session's end."""
        with self._turn:
            try:
                at_once = self._may_go_at_once()
                if await self._create(sent=at_once) and (at_once or await self._take_turn()):
                    await self._converse()
            finally:
                await self._withdraw_key()

    # --- until it may go --------------------------------------------------------------------------------------

    def _may_go_at_once(self) -> bool:
        """Whether it can go out now: then its first two states are one commit."""
        return (
            self._turn.has_come
            and self._new_key is None
            and self._means.readiness.permits(self._access)
            and not self._too_late()
            and self._encode()
        )

    async def _create(self, *, sent: bool) -> bool:
        """Commit that the command exists and, with ``sent``, that it goes out. False: its request id was used."""
        await trio.lowlevel.checkpoint_if_cancelled()  # a session that ends begins nothing
        record = self.record
        queued = CommandQueued(
            record.command_id, record.operation, record.request_id, record.arguments, record.fingerprint
        )
        # One reading of the clock: what a caller is told now is what is told of the command ever after.
        events: tuple[NewEvent, ...] = (self._event(queued, record.created_at),)
        if sent:
            events += (self._event(CommandSent(record.command_id, record.operation)),)
        state = CommandState.SENT if sent else CommandState.QUEUED
        result = await self._hand_over(state, events, RequestIdUnused(record.request_id))
        if isinstance(result, GuardFailed):
            assert result.existing is not None, "the guard that failed is the request id's"
            self.repeats = result.existing
            self.done.set()
            return False
        self.known = state
        if sent:
            self._is_sent(events[-1])
        return True

    async def _take_turn(self) -> bool:
        """Wait for the wire and for the charger to be ready. True: SENT is committed."""
        ready = False
        with trio.move_on_at(self._deadline):
            await self._turn.wait()
            await self._means.readiness.wait(self._access)
            ready = True
        if not ready or self._too_late():
            await self._settle(CommandEvent.DEADLINE)
            return False
        if not self._encode():
            await self._settle(CommandEvent.TRANSACTION_ENDED)
            return False
        if self._new_key is not None and not await self._begin_key_change():
            await self._settle(CommandEvent.DEADLINE)
            return False
        await trio.lowlevel.checkpoint_if_cancelled()  # what is not going to be sent must not count as sent
        event = self._event(CommandSent(self.record.command_id, self.record.operation))
        await self._hand_over(CommandState.SENT, (event,))
        self._is_sent(event)
        return True

    async def _begin_key_change(self) -> bool:
        """Admit the new key. False, and it isn't admitted: that took until after the deadline."""
        core = self._means.core
        assert self._new_key is not None
        change = await KeyRotation.begin(self._new_key, self.record.command_id, core)
        await trio.lowlevel.checkpoint_if_cancelled()
        self._key_change = change
        with trio.CancelScope(shield=True):
            await change.admit()
        if self._too_late() or core.ending is not None:
            await self._withdraw_key()
            await trio.lowlevel.checkpoint_if_cancelled()
            return False
        return True

    async def _withdraw_key(self) -> None:
        """A key that was admitted and never sent opens nothing, however that came about. Where the store can't be
        written, which ends the session, it stays until the command is recorded as not sent."""
        if self._key_change is None or self._called:
            return
        change, self._key_change = self._key_change, None
        with trio.CancelScope(shield=True):
            try:
                await change.withdraw()
            except SessionOver:
                pass

    # --- the CALL and its answer ------------------------------------------------------------------------------

    async def _converse(self) -> None:
        """The turn is kept until the answer or the time-out, whatever the caller does."""
        assert self._encoded is not None
        if not await self._may_still_go():
            await self._withdraw_key()
            await self._settle(CommandEvent.DEADLINE)
            return
        calls = self._means.calls
        self._means.note_solicited(self._command)
        timeout_at = trio.current_time() + self._means.core.limits.call_timeout
        await trio.lowlevel.checkpoint_if_cancelled()
        self._called = True
        try:
            exchange = await calls.send(*self._encoded, on_late=partial(self._means.parts.start, self._answered))
            await self._wait(exchange, timeout_at)
        finally:
            answered = calls.finish()
            if answered is not None:
                # Read is read: also if the charger hung up before we returned from sending.
                await self._answered(answered)

    async def _may_still_go(self) -> bool:
        """While SENT was being committed a Boot may have come in: then not before its confirmation (quirk 7).
        Nor after the deadline; "sent" is on the books then, so nobody is told more than that it is unknown."""
        access, readiness = self._access, self._means.readiness
        if not readiness.permits(access):
            with trio.move_on_at(self._deadline):
                await readiness.wait(access)
        return readiness.permits(access) and not self._too_late()

    async def _wait(self, exchange: Exchange, timeout_at: float) -> None:
        with trio.move_on_at(min(timeout_at, self._deadline)):
            await exchange.answered.wait()
        if exchange.answer is None:
            await self._settle(CommandEvent.DEADLINE if self._deadline < timeout_at else CommandEvent.TIMEOUT)
            with trio.move_on_at(timeout_at):
                await exchange.answered.wait()
            if exchange.answer is None:
                self._means.calls.timed_out()

    async def _answered(self, exchange: Exchange) -> None:
        """Record the charger's answer, late or not, then tell it; the reader goes on."""
        assert exchange.answer is not None
        try:
            await self._record(self._means.decode(self._command, exchange.answer))
        finally:
            exchange.settled.set()

    async def _record(self, read: ReadAnswer) -> None:
        answer = read.answer
        late = self.record.state is CommandState.OUTCOME_UNKNOWN
        error = answer if isinstance(answer, c.ChargerError) else None
        given = None if isinstance(answer, c.ChargerError) else answer
        record = self.record
        answered = self._event(CommandAnswered(record.command_id, record.operation, given, error, late))
        with trio.CancelScope(shield=True):
            # A charger that has taken a new key hangs up at once, to come back with it.
            if self._key_change is not None:
                await self._key_change.decided(answer)
            # Nothing may wait between the look at the state and the commit.
            follow = consequences(self._command, answer, self._means.core.state, answered.received_at)
            events: tuple[NewEvent, ...] = (answered, *map(self._event, follow))
            if read.deviations:
                events = tuple(evolve(each, flags=(*each.flags, Flag.DEVIATES)) for each in events)
            await self._means.core.commit(events)
        self.record = evolve(
            record,
            state=CommandState.ANSWERED,
            answer=given,
            error=error,
            late=late,
            finished_at=answered.received_at,
            reason="",
        )
        self.tell(self.record)

    # --- without an answer ------------------------------------------------------------------------------------

    @property
    def doubtful(self) -> bool:
        """Whether the disk may hold more of it than is known."""
        return self.handed_over is not self.known

    def ended(self, happened: CommandEvent) -> NewEvent | None:
        """End it with its session; the event to be committed, None if it is not known to be on disk."""
        state = settled(self.known, self.handed_over, happened)
        if state is None:
            return None
        event, self.record = self._end(state, happened)
        return None if self.known is None else event

    def at_the_deadline(self) -> CommandRecord:
        """What holds whatever the disk has kept by now and keeps later, for a caller who can't wait for it any longer.

        Its deadline has passed: a command whose SENT has not been handed over never will be sent.
        """
        state = settled(self.known, self.handed_over, CommandEvent.DEADLINE)
        return finished(self.record, state or CommandState.OUTCOME_UNKNOWN, CommandEvent.DEADLINE)

    async def _settle(self, happened: CommandEvent) -> None:
        """Record that there is no answer (yet), then answer the caller."""
        event, record = self._end(TRANSITIONS[self.record.state][happened], happened)
        await self._commit((event,))
        self.record = record
        self.tell(record)

    def _end(self, state: CommandState, happened: CommandEvent) -> tuple[NewEvent, CommandRecord]:
        record = self.record
        event = unanswered(record.command_id, record.operation, state, happened, self._means.core.clock())
        return event, finished(record, state, happened, event.received_at)

    # --- small parts ------------------------------------------------------------------------------------------

    async def _hand_over(
        self, state: CommandState, events: tuple[NewEvent, ...], *guards: Guard
    ) -> Appended | GuardFailed:
        """Commit that the command is in ``state``, and remember that the disk may have it while that is not known."""
        before, self.handed_over = self.handed_over, state
        try:
            return await self._commit(events, *guards)
        except SessionOver as over:
            if not over.doubtful:
                self.handed_over = before
            raise

    async def _commit(self, events: tuple[NewEvent, ...], *guards: Guard) -> Appended | GuardFailed:
        """Commit and know it. A charger that answers and hangs up at once (Reset) must not have its answer recorded
        and its caller told something else, so the end of the session waits for the journal, which has a deadline."""
        shielded = trio.CancelScope(shield=True)
        with shielded:
            return await self._means.core.commit(events, guards)
        raise AssertionError("nobody cancels a scope that nobody else knows")

    def _is_sent(self, event: NewEvent) -> None:
        self.known = CommandState.SENT
        self.record = evolve(self.record, state=CommandState.SENT, sent_at=event.received_at)

    def _encode(self) -> bool:
        """False: the command names a transaction that has ended while it waited."""
        core = self._means.core
        try:
            self._encoded = core.protocol.encode_command(self._command, core.state)
        except LookupError:
            return False
        return True

    def _too_late(self) -> bool:
        """In real time: the caller's clock went on while this process stood still."""
        return trio.current_time() + stalled() - self._stalled_before >= self._deadline

    def _event(self, body: Body, at: datetime | None = None) -> NewEvent:
        return NewEvent(body, at or self._means.core.clock(), cause=f"command:{self.record.command_id}")

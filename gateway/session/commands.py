"""Commands of one session: recorded before they are sent, carried one at a time, their outcome recorded before it
is told.

Each command has a task of its own on the session's nursery, so it goes its way whether or not its caller is still
there. ``domain.commands`` has the table of states; the end of the session settles what is under way.
"""

from collections.abc import Callable
from functools import partial

import trio
from attrs import define, evolve, field

from gateway.domain import commands as c
from gateway.domain.checks import check_against
from gateway.domain.codec import encode_command
from gateway.domain.commands import CallOutcome, Command, CommandRecord, CommandState, RefusalReason, Refused
from gateway.domain.decision import Guard, RequestIdUnused
from gateway.domain.events import (
    CommandAnswered,
    CommandNotSent,
    CommandOutcomeUnknown,
    CommandQueued,
    CommandSent,
    ConfigurationReported,
    NewEvent,
)
from gateway.domain.values import Registration, new_id
from gateway.messages.rpc import CallError
from gateway.session.calls import Answered, Calls
from gateway.session.core import Core
from gateway.session.keys import KeyChange
from gateway.session.readiness import Access, Readiness
from gateway.store.api import Appended, GuardFailed

Spawn = Callable[..., None]


@define(eq=False)
class Carried:
    """A command under way. ``deadline`` in Trio's time."""

    record: CommandRecord
    command: Command
    deadline: float
    done: trio.Event = field(factory=trio.Event)
    outcome: CallOutcome | None = None
    encoded: tuple[str, object] | None = None
    key_change: KeyChange | None = None
    repeats: CommandRecord | None = None
    """The command that has this one's request id already; this one was not recorded and is not carried."""

    def finish(self, outcome: CallOutcome) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self.done.set()


class Commands:
    """The commands of one session. ``submit`` and ``ask`` may be called by any task of the loop."""

    def __init__(self, core: Core, calls: Calls, readiness: Readiness, spawn: Spawn) -> None:
        self._core = core
        self._calls = calls
        self._readiness = readiness
        self._spawn = spawn
        self._under_way: dict[str, Carried] = {}
        self.solicited: set[str] = set()
        """Messages that a charger still Pending was asked for, and may therefore send (OCPP.md B1.3)."""

    async def submit(self, command: Command, *, request_id: str, fingerprint: str, deadline: float) -> CallOutcome:
        """Carry a command; returns its final record, or why there is none.

        ``deadline``: Trio's time; not sent by then it never will be, and unanswered by then the outcome is told as
        unknown. Cancelling only ends the waiting.
        """
        refusal = self._refusal(command)
        if refusal is not None:
            return refusal
        record = CommandRecord(
            command_id=new_id("cmd"),
            charge_point=self._core.identity,
            request_id=request_id,
            operation=type(command).__name__,
            arguments=encode_command(command),
            state=CommandState.QUEUED,
            created_at=self._core.clock(),
            fingerprint=fingerprint,
        )
        carried = Carried(record, command, deadline)
        self._under_way[record.command_id] = carried
        self._spawn(self._carry, carried)
        await carried.done.wait()
        if carried.repeats is not None:
            return await self._repeated(record, carried.repeats)
        assert carried.outcome is not None
        return carried.outcome

    async def ask(self, command: Command) -> c.Answer | c.ChargerError | None:
        """A CALL of the gateway's own, in the same queue but not recorded. None: no answer in time.

        Waits for its turn without a deadline. Raises ConnectionClosed and LookupError. Cancelling is safe.
        """
        async with self._calls.slot:
            await self._readiness.wait(needed_access(command))
            action, payload = self._core.protocol.encode_command(command, self._core.state)
            self._note_solicited(command)
            try:
                exchange = await self._calls.send(action, payload)
                with trio.move_on_after(self._core.limits.call_timeout):
                    await exchange.answered.wait()
            finally:
                self._calls.finish()
        return None if exchange.answer is None else self._decode(command, exchange.answer)

    async def all_told(self) -> None:
        """Wait until every command under way now has an outcome. Cancelling is safe."""
        for carried in list(self._under_way.values()):
            await carried.done.wait()

    # --- before anything is recorded --------------------------------------------------------------------------

    def _refusal(self, command: Command) -> Refused | None:
        state = self._core.state
        if self._core.ending is not None:
            return Refused(RefusalReason.CHARGE_POINT_OFFLINE, "the charge point's session is ending")
        if isinstance(command, c.REMOTE_CONTROL) and state.registration is Registration.PENDING:
            return Refused(
                RefusalReason.CHARGE_POINT_PENDING,
                "a charge point whose registration is Pending must not be started or stopped (S §4.2)",
            )
        if state.registration is Registration.REJECTED:
            return Refused(RefusalReason.CHARGE_POINT_REJECTED, "the charge point's registration is Rejected")
        if isinstance(command, c.RemoteStopTransaction) and command.transaction_id not in state.open_transactions:
            return Refused(
                RefusalReason.UNKNOWN_TRANSACTION,
                f"the charge point has no open transaction {command.transaction_id}",
                metadata={"transaction_id": command.transaction_id},
            )
        violations = check_against(command, state, self._core.clock())
        if violations:
            return Refused(RefusalReason.INVALID_COMMAND, "the command can't be sent as it is", tuple(violations))
        if len(self._under_way) >= self._core.limits.call_queue:
            return Refused(
                RefusalReason.QUEUE_FULL,
                f"{len(self._under_way)} commands wait for this charge point already",
                metadata={"limit": str(self._core.limits.call_queue)},
            )
        return None

    # --- the way of one command -------------------------------------------------------------------------------

    async def _carry(self, carried: Carried) -> None:
        holds_slot = False
        try:
            if self._free_now(carried.command) and self._encode(carried):
                self._calls.slot.acquire_nowait()
                holds_slot = True
            try:
                if not await self._record(carried, sent=holds_slot):
                    return
                holds_slot = holds_slot or await self._turn(carried)
                if holds_slot:
                    await self._exchange(carried)
            finally:
                if holds_slot:
                    self._calls.slot.release()
        finally:
            if carried.outcome is not None:
                self._under_way.pop(carried.record.command_id, None)

    def _free_now(self, command: Command) -> bool:
        """Whether the command can go out at once: then its first two states are one commit."""
        return (
            not self._calls.slot.locked()
            and not KeyChange.is_one(command)
            and self._readiness.permits(needed_access(command))
        )

    async def _record(self, carried: Carried, *, sent: bool) -> bool:
        """Commit that the command exists and, with ``sent``, that it goes out. False: its request id was used."""
        record = carried.record
        queued = CommandQueued(
            record.command_id, record.operation, record.request_id, record.arguments, record.fingerprint
        )
        # One reading of the clock: what a caller is told now is what is told of the command ever after.
        events = [evolve(self._event(carried, queued), received_at=record.created_at)]
        if sent:
            events.append(self._mark_sent(carried))
        result = await self._commit(events, RequestIdUnused(record.request_id))
        if not isinstance(result, GuardFailed):
            return True
        assert result.existing is not None, "the guard that failed is the request id's"
        carried.repeats = result.existing
        self._under_way.pop(record.command_id)
        carried.done.set()
        return False

    async def _repeated(self, record: CommandRecord, existing: CommandRecord) -> CallOutcome:
        """The outcome of the command that has this request id already: it is this caller's outcome too."""
        if existing.fingerprint != record.fingerprint:
            return reused(record.request_id, existing)
        first = self._under_way.get(existing.command_id)
        if first is None:
            return existing
        await first.done.wait()
        assert first.outcome is not None
        return first.outcome

    async def _turn(self, carried: Carried) -> bool:
        """Wait for the wire and for the charger to be ready. True: the slot is held and SENT is committed."""
        held = ready = False
        try:
            with trio.move_on_at(carried.deadline):
                await self._calls.slot.acquire()
                held = True
                await self._readiness.wait(needed_access(carried.command))
                ready = True
            if not ready:
                await self._settle(carried, CommandState.NOT_SENT, "deadline")
            elif not self._encode(carried):
                await self._settle(carried, CommandState.NOT_SENT, "transaction-ended")
            else:
                if KeyChange.is_one(carried.command):
                    carried.key_change = await KeyChange.begin(carried.command, self._core)
                await self._commit([self._mark_sent(carried)])
                held, kept = False, held
                return kept
            return False
        finally:
            if held:
                self._calls.slot.release()

    async def _exchange(self, carried: Carried) -> None:
        """The CALL and its answer; the slot is held until the answer or the time-out, whatever the caller does."""
        assert carried.encoded is not None
        self._note_solicited(carried.command)
        timeout_at = trio.current_time() + self._core.limits.call_timeout
        try:
            exchange = await self._calls.send(*carried.encoded, on_late=partial(self._spawn, self._answered, carried))
            with trio.move_on_at(min(timeout_at, carried.deadline)):
                await exchange.answered.wait()
            if exchange.answer is None:
                reason = "deadline" if carried.deadline < timeout_at else "timeout"
                await self._settle(carried, CommandState.OUTCOME_UNKNOWN, reason)
                with trio.move_on_at(timeout_at):
                    await exchange.answered.wait()
        finally:
            self._calls.finish()
        if exchange.answer is not None:
            await self._answered(carried, exchange.answer)

    async def _answered(self, carried: Carried, frame: Answered) -> None:
        """Record the charger's answer, late or not, then tell it."""
        answer = self._decode(carried.command, frame)
        late = carried.record.state is CommandState.OUTCOME_UNKNOWN
        error = answer if isinstance(answer, c.ChargerError) else None
        given = None if isinstance(answer, c.ChargerError) else answer
        record = carried.record
        events: list[NewEvent] = [
            self._event(carried, CommandAnswered(record.command_id, record.operation, given, error, late))
        ]
        if isinstance(answer, c.ConfigurationAnswer) and (answer.keys or answer.unknown_keys):
            events.append(self._event(carried, ConfigurationReported(answer.keys, answer.unknown_keys)))
        if carried.key_change is not None:
            await carried.key_change.decided(answer)
        await self._commit(events)
        carried.record = evolve(
            record,
            state=CommandState.ANSWERED,
            answer=given,
            error=error,
            late=late,
            finished_at=events[0].received_at,
            reason="",
        )
        carried.finish(carried.record)
        self._under_way.pop(record.command_id, None)

    async def _settle(self, carried: Carried, state: CommandState, reason: str) -> None:
        """Record that there is no answer (yet), then tell it."""
        event = self._settling_event(carried, state, reason)
        await self._commit([event])
        self._told(carried, state, reason, event)

    # --- the end of the session -------------------------------------------------------------------------------

    def unfinished(self, reason: str) -> tuple[list[NewEvent], Callable[[], None]]:
        """What the end of the session makes of the commands under way: events to commit, and how to tell callers.

        If they can't be committed, the store settles them in the same way when the charge point is next opened, or
        at the next start; so telling is right either way.
        """
        open_calls = [each for each in self._under_way.values() if each.outcome is None]
        settled = []
        for each in open_calls:
            state = CommandState.OUTCOME_UNKNOWN if each.record.state is CommandState.SENT else CommandState.NOT_SENT
            settled.append((each, state, self._settling_event(each, state, reason)))

        def tell() -> None:
            for each, state, event in settled:
                self._told(each, state, reason, event)
            self._under_way.clear()

        return [event for _, _, event in settled], tell

    # --- small parts ------------------------------------------------------------------------------------------

    async def _commit(self, events: list[NewEvent], *guards: Guard) -> Appended | GuardFailed:
        """Commit and know it. A charger that answers and hangs up at once (Reset) must not have its answer recorded
        and its caller told something else, so the end of the session waits for the journal, which has a deadline."""
        shielded = trio.CancelScope(shield=True)
        with shielded:
            return await self._core.commit(events, guards)
        raise AssertionError("nobody cancels a scope that nobody else knows")

    def _settling_event(self, carried: Carried, state: CommandState, reason: str) -> NewEvent:
        kind = CommandOutcomeUnknown if state is CommandState.OUTCOME_UNKNOWN else CommandNotSent
        return self._event(carried, kind(carried.record.command_id, carried.record.operation, reason))

    def _told(self, carried: Carried, state: CommandState, reason: str, event: NewEvent) -> None:
        carried.record = evolve(carried.record, state=state, reason=reason, finished_at=event.received_at)
        carried.finish(carried.record)

    def _mark_sent(self, carried: Carried) -> NewEvent:
        """From here on the command counts as sent: the commit may succeed though its waiter is cancelled."""
        event = self._event(carried, CommandSent(carried.record.command_id, carried.record.operation))
        carried.record = evolve(carried.record, state=CommandState.SENT, sent_at=event.received_at)
        return event

    def _encode(self, carried: Carried) -> bool:
        """False: the command names a transaction that has ended while it waited."""
        try:
            carried.encoded = self._core.protocol.encode_command(carried.command, self._core.state)
        except LookupError:
            return False
        return True

    def _decode(self, command: Command, frame: Answered) -> c.Answer | c.ChargerError:
        """The charger's word, cut to size, with no secret in it even if the charger echoes one."""
        if isinstance(frame, c.ChargerError):
            return frame
        if isinstance(frame, CallError):
            return self._core.protocol.decode_error(command, frame.code, frame.description, frame.details)
        return self._core.protocol.decode_answer(command, frame.payload)

    def _event(self, carried: Carried, body: object) -> NewEvent:
        return NewEvent(body, self._core.clock(), cause=f"command:{carried.record.command_id}")  # type: ignore[arg-type]

    def _note_solicited(self, command: Command) -> None:
        if isinstance(command, c.TriggerMessage):
            self.solicited.add(command.requested.value)


def needed_access(command: Command) -> Access:
    """Remote starts and stops need an accepted charger; everything else may also go to one that is Pending."""
    return Access.FULL if isinstance(command, c.REMOTE_CONTROL) else Access.RESTRICTED


def reused(request_id: str, existing: CommandRecord) -> Refused:
    """The request id belongs to another command."""
    return Refused(
        RefusalReason.REQUEST_ID_REUSED,
        f"request_id {request_id} was used for another command of this charge point",
        metadata={"command_id": existing.command_id, "operation": existing.operation},
    )

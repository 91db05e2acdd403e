"""Operations on charging of one session: accepted, sent as a command each, and followed until they end.

The table (``gateway.charging.operations``) says what is next; one task looks at what the state knows of each open
operation, commits the stages that it has reached, and sleeps until something is committed or a time is over. It runs
only while an operation is open.
"""

import math
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import trio
from attrs import evolve

from gateway.charging import plans
from gateway.charging.operation_checks import refusal, transaction_to_stop
from gateway.charging.operations import Steered, Step, command, step
from gateway.charging.outcomes import Reason
from gateway.domain.codec import fingerprint
from gateway.domain.command_states import ending_of
from gateway.domain.commands import Command, RefusalReason, Refused, Unknown
from gateway.domain.decision import OperationUnused
from gateway.domain.events import CommandNotSent, NewEvent, OperationAccepted, OperationEnded
from gateway.domain.operations import (
    MAINTENANCE,
    SECURITY,
    STEERING,
    End,
    OpenOperation,
    OperationKind,
    OperationRecord,
    OperationRefused,
    OperationRequest,
    Stage,
    accepted_record,
)
from gateway.domain.power import Power
from gateway.domain.progress import newest_update
from gateway.domain.records import Progress
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, new_id
from gateway.security import maintenance
from gateway.security.steps import NO_ENTRY, Entry
from gateway.session.commands.queue import NOTHING_SENT, OFFLINE, CommandQueue, Unfinished
from gateway.session.context import SessionContext, SessionOver
from gateway.session.security_operations import LONGEST, SecurityOperations
from gateway.session.task_group import TaskGroup
from gateway.store.commits import Appended

ANSWER_SECONDS = 1.0
"""After an operation's expiry its command is settled by commits; its task waits so much longer for them."""

MOST_CONNECTORS = 256
"""Connectors of a charger that are held against the one that an operation names."""

DISCONNECTED = "disconnected"


class Operations:
    """One session's operations. ``begin`` and ``wake`` may be called by any task of the loop."""

    __slots__ = (
        "_begins",
        "_commands",
        "_context",
        "_refused",
        "_runs",
        "_security",
        "_sending",
        "_tasks",
    )

    def __init__(
        self,
        context: SessionContext,
        tasks: TaskGroup,
        commands: CommandQueue,
        *,
        entry: Entry = NO_ENTRY,
    ) -> None:
        self._security = SecurityOperations(context, tasks, commands, entry)
        self._context = context
        self._tasks = tasks
        self._commands = commands
        self._begins: trio.Lock | None = None  # as the rest, of no weight while there are none
        self._runs = False
        self._sending: dict[str, Command] = {}
        """Operations whose command is on its way; of at most ``MAX_OPEN``, as the next."""
        self._refused: dict[str, str] = {}
        """Operations whose command was not begun, with the reason."""

    async def begin(
        self, request: OperationRequest, request_id: str, seconds: float, caller: str
    ) -> OperationRecord | OperationRefused | Refused | Unknown | None:
        """Accept an operation: its record, which is on disk, or why there is none; None: another one has the request
        id. It is not sent later than in ``seconds``. Cancelling only ends the waiting."""
        try:
            self._begins = self._begins or trio.Lock()
            async with self._begins:  # so that each is held against those before it
                return await self._begin(request, request_id, seconds, caller)
        except SessionOver as over:
            if over.doubtful:
                return Unknown(request_id, "store-unavailable", "the store failed while it was to be recorded")
            ending = self._context.ending
            return OFFLINE if ending is None else NOTHING_SENT[ending_of(ending.reason)]

    async def _begin(
        self, request: OperationRequest, request_id: str, seconds: float, caller: str
    ) -> OperationRecord | OperationRefused | Refused | None:
        context = self._context
        refused = refusal(request, context.state, self._connectors(), plug_in_first=context.quirks.plug_in_first)
        if refused is not None:
            return refused
        now = context.clock()
        wait = LONGEST.get(request.kind)
        expires_at = now + (timedelta(seconds=seconds) if wait is None else wait)
        if request.kind in MAINTENANCE:
            expires_at = maintenance.followed_until(request, now)
        boot, installs = context.state.boot, request.kind is OperationKind.INSTALL_FIRMWARE
        version = (boot.firmware_version or "") if installs and boot is not None else ""
        transaction_id = self._transaction(request)
        body = OperationAccepted(new_id("op"), request_id, request, expires_at, transaction_id, caller, version)
        event = NewEvent(body, now)
        sent = self._first_command(request, OpenOperation(accepted_record(context.identity, event, body, 0)))
        if sent is None:
            return Refused(RefusalReason.INVALID_COMMAND, "this version of OCPP has no such command")
        violations = context.protocol.check(sent)
        if violations:
            return Refused(RefusalReason.INVALID_COMMAND, "the operation can't be carried out as it is", violations)
        why = self._commands.refusal(sent, now)
        if why is not None:
            return why
        result = await context.commit((event,), (OperationUnused(request_id),))
        if not isinstance(result, Appended):
            return None
        self.wake()
        return accepted_record(context.identity, event, body, result.sequences[0])

    def _first_command(self, request: OperationRequest, operation: OpenOperation) -> Command | None:
        """The command that the operation begins with; one that brings a key, with another one."""
        if request.kind in MAINTENANCE:
            return maintenance.first_command(request)
        return self._security.first_command(request) if request.kind in SECURITY else command(operation)

    def _connectors(self) -> Collection[ConnectorAddress]:
        context = self._context
        return context.protocol.own_requests.connectors(context.state.configuration, MOST_CONNECTORS)

    def _transaction(self, request: OperationRequest) -> str | None:
        if request.kind is not OperationKind.STOP_CHARGING:
            return None
        found = transaction_to_stop(request, self._context.state)
        return None if isinstance(found, OperationRefused) else found.transaction_id

    def wake(self) -> None:
        """Look after the operations that are open now."""
        if self._context.progress is not None:
            self._context.progress.set()
        if not self._runs:
            self._runs = True
            self._tasks.start(self._run)

    async def _run(self) -> None:
        try:
            while self._context.state.operations:
                changed = self._context.progress = trio.Event()
                due = await self._look()
                seconds = math.inf if due is None else (due - self._context.clock()).total_seconds()
                with trio.move_on_after(max(seconds, 0.0)):
                    await changed.wait()
        finally:
            self._runs = False

    async def _look(self) -> datetime | None:
        """Take every open operation as far as it goes; the time of the next look at the latest."""
        context, due = self._context, list[datetime]()
        for key, each in tuple(context.state.operations.items()):
            now = context.clock()
            if each.is_security:
                again = await self._security.look(each, now)
                if again is not None:
                    due.append(again)
                continue
            pending = each.record.command_id in context.state.pending_starts
            if each.record.request.kind in MAINTENANCE:
                work = maintenance.step(each, now, newest_update(context.state.progress))
                found = Step(work.events, work.send, work.due)
            else:
                paused, steered = self._is_paused(each, now), self._steered(each)
                found = step(each, self._power(each), now, pending=pending, paused=paused, steered=steered)
            refused = self._refused.pop(key, None)
            if refused is not None and not found.events:
                found = Step((OperationEnded(key, End.NOT_SENT, refused, each.record.transaction_id or None),))
            if found.events:
                await context.commit(tuple(NewEvent(body, now, cause=_cause(each)) for body in found.events))
            elif found.send is not None and key not in self._sending:
                self._sending[key] = found.send
                self._tasks.start(self._send, each.record, found.send)
            if found.due is not None:
                due.append(found.due)
        return min(due, default=None)

    def _steered(self, operation: OpenOperation) -> Steered | None:
        request, state = operation.record.request, self._context.state
        if request.kind not in STEERING:
            return None
        connector = request.connector or WHOLE_CHARGE_POINT
        wanted = state.wanted.get(connector)
        whole = connector == WHOLE_CHARGE_POINT
        is_open = bool(state.open_transactions) if whole else state.open_on(connector) is not None
        return Steered(0 if wanted is None else wanted.revision, state.steering.get(connector), is_open)

    def _power(self, operation: OpenOperation) -> Power | None:
        state, request = self._context.state, operation.record.request
        transaction = state.open_transactions.get(operation.record.transaction_id)
        if request.kind is OperationKind.RESUME_CHARGING and request.connector is not None:
            transaction = state.open_on(request.connector)
        return None if transaction is None else state.latest_power(transaction.connector)

    def _is_paused(self, operation: OpenOperation, now: datetime) -> bool:
        """Return whether the gateway keeps a pause for the operation's transaction, or for all of its charge point."""
        state = self._context.state
        transaction = state.open_transactions.get(operation.record.transaction_id)
        if transaction is None:
            return False
        for place in (transaction.connector, WHOLE_CHARGE_POINT):
            if (wanted := state.wanted.get(place)) is None:
                continue
            limit, steering = plans.in_force(wanted, now), state.steering.get(place)
            if limit is not None and (limit.pause or (steering is not None and steering.reason == Reason.TOO_LITTLE)):
                return True
        return False

    async def _send(self, record: OperationRecord, sent: Command) -> None:
        """Send the operation's command, once: its request id is the operation's. Its outcome is an event."""
        context = self._context
        try:
            send_by = maintenance.send_by(record) if record.request.kind in MAINTENANCE else record.expires_at
            seconds = (send_by - context.clock()).total_seconds()
            deadline = trio.current_time() + seconds
            outcome = await self._commands.submit(
                sent,
                request_id=record.operation_id,
                fingerprint=fingerprint(context.reads.store_id, sent),
                deadline=deadline,
                answer_by=deadline + ANSWER_SECONDS,
                caller=record.caller,
                operation_id=record.operation_id,
            )
            if isinstance(outcome, Refused):
                self._refused[record.operation_id] = outcome.reason.value.lower().replace("_", "-")
                self.wake()
        finally:
            self._sending.pop(record.operation_id, None)

    def ends(self, unfinished: Unfinished) -> list[NewEvent]:
        """The ends of operations of which nothing was sent, for the end of the session: a start must not wait for a
        charger that comes back some time. The others are looked at again when it does; so are pauses and limits, which
        stay wanted, and what changes how it is let in."""
        now = self._context.clock()
        unsent = {event.body.command_id for event in unfinished.events if isinstance(event.body, CommandNotSent)}
        found = []
        for each in self._context.state.operations.values():
            record, reason = each.record, unfinished.happened.value
            if record.request.kind in STEERING or record.request.kind in SECURITY:
                continue
            nothing_sent = each.command is None or record.command_id in unsent
            if record.stage is Stage.ACCEPTED and nothing_sent and record.operation_id not in unfinished.doubtful:
                end = End.OFFLINE if reason == DISCONNECTED else End.NOT_SENT
                body = OperationEnded(record.operation_id, end, reason, record.transaction_id or None)
                found.append(NewEvent(body, now, cause=_cause(each)))
        return found


def shown_end(operation: OpenOperation, progress: Mapping[str, Progress], now: datetime) -> OperationEnded | None:
    """The end of an operation of ``MAINTENANCE`` that its charge point has shown, and that is not on disk; None: it has
    shown none. ``progress``: the charge point's."""
    events = maintenance.step(evolve(operation, held_until=None), now, newest_update(progress)).events
    shown = (End.DONE, End.NO_EFFECT, End.REFUSED)
    return next((body for body in events if isinstance(body, OperationEnded) and body.end in shown), None)


def _cause(operation: OpenOperation) -> str:
    return f"command:{operation.record.command_id}" if operation.record.command_id else ""

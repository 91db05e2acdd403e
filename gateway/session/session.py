"""The session of one connected charge point: it reads frames, decides, commits and answers, in that order.

What is ordered. One task reads (``Session._read``), and it handles one message at a time. A message is decided on the
state that the messages before it have made, so the next one waits while an answer is under way (``_under_way``). Every
commit names the session's epoch. When a newer connection of the charge point is opened, the store raises the epoch, and
what the older session then commits is refused (``Fenced``): two sessions never write in turns.

What is acknowledged when. ``decide`` is pure; it gives events and a reply. Where there are events, the session hands
them to the journal together with the reply (``Pending``), and goes back to reading, so that a ping or a close is heard
while the disk works. When the transaction is on disk, the journal calls back: the events change the state in memory,
the reply goes out, and what follows the reply happens (``Pending.then``). So an answer that a charger reads stands for
something that no crash takes back. Without events the reply goes out at once.

Guards. A decision may rest on facts of other charge points (an idTag that is in use nowhere else). The store checks
these again in the transaction; where one no longer holds, nothing is written, and the message is decided anew. Only
then does the reader wait for its own commit.

What a lost commit means. If the store can't keep the events, or can't say whether it has, nothing is answered and the
session ends with 1011: the charger keeps the message, comes back and sends it again, and the keys in its memory
(``domain.repeats``) tell a repeat from something new. If the epoch is no longer the newest one, the session ends with
1008. A failure of a handler is answered with CALLERROR, except for messages that a charger queues until they are
confirmed: those are not answered at all, since an error could make the charger drop them.

The reader never waits for an answer to one of the gateway's own CALLs, because it is the task that would have to read
that answer. Commands run in tasks of their own (``session.commands``), and wait for their commits.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
import trio
from attrs import define

from gateway.domain.decision import CallRefused, Context, Facts, Query, Request, StartQuery, VendorDataQuery
from gateway.domain.diagnostics import FrameKind
from gateway.domain.events import ChargePointDisconnected, NewEvent
from gateway.domain.quirks import Quirk, ready_after_silence
from gateway.domain.reservations import overdue
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.values import Clock, Registration, new_id
from gateway.domain.vendor_data import REJECTED
from gateway.errors import StoreUnavailable
from gateway.ocpp import rpc
from gateway.ocpp.payload_bounds import SMALL_BYTES
from gateway.ocpp.protocol import ProtocolVersion
from gateway.session.commands.calls import CallQueue
from gateway.session.commands.provisioning import DesiredKey, Provisioning, Triggers
from gateway.session.commands.queue import CommandQueue, Unfinished
from gateway.session.context import (
    CLOSE_GOING_AWAY,
    CLOSE_INTERNAL,
    CLOSE_POLICY,
    Ending,
    SessionContext,
    SessionOver,
    UnrecordedEnd,
)
from gateway.session.fault_log import FaultLog
from gateway.session.keepalive import Keepalive, TimerQueue
from gateway.session.limits import SessionLimits
from gateway.session.lookups import Lookups
from gateway.session.ports import NO_FRAMES, Frames, Journal, Observer
from gateway.session.readiness import Readiness
from gateway.session.task_group import TaskGroup
from gateway.session.turns import ReadTurns, TeardownTurns, cost_of_faults
from gateway.store.commits import Append, GuardFailed, Write, WriteResult
from gateway.store.reads import Reads
from gateway.transport.api import Concluded, ConnectionClosed, Transport

log = structlog.get_logger()

MAX_DECISIONS = 4
"""How often one message is decided anew because others changed what it rests on. The last decision is made without
the contested fact, so a charger always gets its answer."""

NO_FACTS = Facts()

MAX_ASIDE = 4
"""Vendors' data of one charger that wait for a service at once; further ones are answered Rejected. A charger has one
CALL under way (J §4.1.1): more mean that it gave up waiting, or never does."""


@define(eq=False)
class Pending:
    """An answer that waits for the disk, and then for the connection."""

    answer: bytes
    then: Callable[[], None]
    """Called when the answer has been sent."""
    guard_failed: bool = False
    """Nothing was committed: the message is to be decided anew."""


SETTLED_ALREADY = ("replaced", "deleted")
"""Ends that the store has settled in the same transaction that brought them about."""


def nothing() -> None:
    """Do nothing: what follows an answer that says nothing of the charger."""


class Session:
    """One connection of one charge point, from the committed opening to the recorded end.

    ``run`` is called once. ``commands``, ``end`` and the properties may be used by other tasks of the loop meanwhile.
    """

    def __init__(
        self,
        *,
        state: ChargePointState,
        transport: Transport,
        protocol: ProtocolVersion,
        journal: Journal,
        reads: Reads,
        facts: Lookups,
        clock: Clock,
        limits: SessionLimits,
        observer: Observer,
        watch: TimerQueue,
        endings: TeardownTurns,
        frames: Frames = NO_FRAMES,
        turns: ReadTurns | None = None,
        lines: FaultLog | None = None,
        boot_configuration: tuple[DesiredKey, ...] = (),
        triggers: Triggers | None = None,
        quirks: tuple[Quirk, ...] = (),
    ) -> None:
        self._context = SessionContext(
            state=state,
            transport=transport,
            protocol=protocol,
            journal=journal,
            reads=reads,
            clock=clock,
            limits=limits,
            observer=observer,
            frames=frames,
        )
        self._facts = facts
        self._readiness = Readiness(
            accepted_before=state.accepted,
            settle_delay=limits.settle_delay,
            ready_after_silence=ready_after_silence(state.boot, quirks, limits.ready_after_silence),
        )
        self._tasks = TaskGroup(self._context)
        self.protocol = protocol
        """The version of OCPP that was negotiated."""
        self._calls = CallQueue(self._context, self._readiness, self._tasks)
        self.commands = CommandQueue(self._calls)
        self._provisioning = Provisioning(
            self._context, self.commands, self._readiness, triggers or Triggers(), boot_configuration
        )
        self._own_requests = state.own_requests.resolve(limits.own_requests)
        self._watch = watch
        self._endings = endings
        self._turns = ReadTurns() if turns is None else turns
        self._lines = FaultLog() if lines is None else lines
        self._has_turn = False
        self.unrecorded: UnrecordedEnd | None = None
        """Once it is over: the part of its end that is not recorded."""
        self._reads_large = False
        self._bad_messages = 0
        self._provisioned = False
        self._aside = 0
        self._under_way: Pending | None = None
        """The answer to what the charger said last, while that is on its way to the disk, or to the charger."""
        self._flushing: Pending | None = None
        """The answer that the connection did not take at once."""
        self._answered: trio.Event | None = None
        self._read_to_the_end = False
        self._handed_over: trio.Event | None = None

    @property
    def epoch(self) -> int:
        return self._context.state.epoch

    @property
    def last_heard(self) -> float:
        """In Trio's time."""
        return self._context.transport.last_heard

    def end(self, reason: str, code: int) -> None:
        """Ask the session to end; ``run`` returns when its end is recorded."""
        self._context.end(reason, code=code)

    async def hand_over(self) -> None:
        """A newer connection of the charge point has been admitted, and will end this session. Wait until what came
        whole on this one before is decided, committed and, as far as the charger takes it, answered.

        Nothing more is read, and no command goes out any more, whether or not that is waited for: the caller
        ends the session, too. Repeating it waits for the same. Cancelling only ends the waiting.
        """
        context = self._context
        if not context.handing_over and not self._read_to_the_end:
            context.handing_over = True
            self._readiness.close()
            context.transport.conclude()
            if self._flushing is not None:  # what came behind it does not wait for a link that takes no answers
                self._is_sent(self._flushing)
        while not self._read_to_the_end:
            if self._handed_over is None:
                self._handed_over = trio.Event()
            await self._handed_over.wait()

    async def run(self) -> None:
        """Serve the charger until the connection ends; nothing escapes but cancellation, and that too is recorded."""
        context = self._context
        silence = Keepalive(context, self._tasks)
        watched = self._watch.add(silence.look, silence.due())
        try:
            with context.scope:
                async with trio.open_nursery() as nursery:
                    self._tasks.begin(nursery)
                    if context.state.accepted:
                        self._start_provisioning()
                    await self._read()
        except* Exception:
            # A bug in the session's tasks ends this session and no other, also one that shows while it is being
            # cancelled. (Those in the journal's task: ``_committed``; in the end: ``_finish``.)
            log.exception("session failed", charge_point=context.identity, epoch=self.epoch)
            context.observer.count("session_failures")
            context.end("internal-error", code=CLOSE_INTERNAL)
        finally:
            self._is_read_to_the_end()
            self._turn_over()
            self._watch.remove(watched)
            self._tasks.cease()
            try:
                with trio.CancelScope(shield=True):
                    await self._finish(context.ending or Ending("draining", "local", CLOSE_GOING_AWAY))
            finally:
                if self._has_turn:
                    self._endings.over()

    # --- reading ----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        context, transport = self._context, self._context.transport
        is_recorded, frames = context.protocol.is_transaction_message, context.frames
        try:
            while True:
                data = await transport.receive()
                frames.add(FrameKind.RECEIVED, data)
                if len(data) <= SMALL_BYTES:
                    frame = rpc.parse(data, is_recorded)
                else:
                    await self._until_answered()
                    frame, cost = await self._turns.read(data, is_recorded)
                    self._reads_large = True
                    transport.charge(cost)
                del data  # a message of megabytes is not kept until the next one comes
                if self._under_way is not None:
                    await self._until_answered()
                if isinstance(frame, rpc.Call | rpc.Unread):
                    self._bad_messages = 0
                    await self._answer(frame)
                else:
                    await self._handle(frame)
                del frame
                if self._reads_large and self._under_way is None:
                    self._turn_over()
        except Concluded:
            pass
        except ConnectionClosed as closed:
            context.keep_end(closed.initiator, closed.code, closed.reason)
            self._is_read_to_the_end()
            await self._endings.turn()  # who ends it meanwhile for another reason doesn't wait for that
            self._has_turn = True
            self._context.connection_closed(closed)
            return
        except SessionOver:
            self._is_read_to_the_end()
            return  # it has said so to the context
        await self._finish_hand_over()

    async def _finish_hand_over(self) -> None:
        """All that came is decided: see to it that it is answered, and leave the rest to the newer connection."""
        await self._until_answered()
        while self._aside:
            self._answered = self._answered or trio.Event()
            await self._answered.wait()
        try:
            await self._context.transport.flush()
        except ConnectionClosed as closed:
            self._context.connection_closed(closed)  # then it is repeated on the newer one
        self._is_read_to_the_end()
        await trio.sleep_forever()

    def _is_read_to_the_end(self) -> None:
        self._context.handing_over = False
        self._read_to_the_end = True
        if self._handed_over is not None:
            self._handed_over.set()

    def _turn_over(self) -> None:
        """Nothing is held any more of the large message that was read last, if it was one."""
        if self._reads_large:
            self._reads_large = False
            self._turns.over()

    async def _handle(self, frame: rpc.CallResult | rpc.CallError | rpc.Ignored | rpc.Malformed) -> None:
        """Handle what is no CALL."""
        match frame:
            case rpc.CallResult() | rpc.CallError():
                self._bad_messages = 0
                await self._calls.received(frame)
            case rpc.Ignored():
                self._context.observer.count("ignored_messages")
            case rpc.Malformed():
                await self._bad(frame)

    async def _bad(self, frame: rpc.Malformed) -> None:
        self._context.observer.count("malformed_messages")
        unwritten = self._lines.take(self._context.identity)
        if unwritten is not None:
            log.info(
                "malformed message", charge_point=self._context.identity, reason=frame.reason, unlogged_before=unwritten
            )
        self._turn_over()
        if frame.answerable and frame.message_id is not None:
            errors = self._context.protocol.errors
            code = errors.unread if frame.unread else errors.malformed
            self._send(Pending(rpc.encode_call_error(frame.message_id, code, frame.reason), nothing))
        elif frame.kind != rpc.CALL:
            await self._calls.received(frame)
        self._bad_messages += 1
        if self._bad_messages >= self._context.limits.bad_messages:
            self._context.end("protocol", code=CLOSE_POLICY)
            raise SessionOver("protocol")

    # --- a charger's CALL -------------------------------------------------------------------------------------

    async def _answer(self, call: rpc.Call | rpc.Unread) -> None:
        """Decide a CALL and see to its answer, which goes out when this returns or some time later (``_under_way``)."""
        context = self._context
        boots = context.protocol.allowed_before_acceptance(call.action)
        if not boots and not context.state.accepted and call.action not in self._calls.solicited:
            context.observer.count("calls_before_acceptance")
            code = context.protocol.errors.not_accepted
            refusal = rpc.encode_call_error(call.message_id, code, "the charge point is not accepted")
            self._send(Pending(refusal, nothing))
            return
        if boots:
            self._readiness.hold()
        then = self._boot_answered if boots else self._readiness.message_handled
        if isinstance(call, rpc.Call):
            request = context.protocol.decode_call(call.message_id, call.action, call.payload)
        else:
            context.observer.count("unread_messages", call.action)
            request = context.protocol.decode_unread(call.message_id, call.action, call.data)
        if request.faults:
            context.transport.charge(cost_of_faults(request.faults))
        if isinstance(request, CallRefused):
            context.observer.count("calls_refused", request.code)
            self._send(Pending(rpc.encode_call_error(request.message_id, request.code, request.description), then))
            return
        context.observer.count("messages", request.action)
        connector = context.protocol.reported_status_of(request)
        if connector is not None:
            self._provisioning.told.add(connector)
        try:
            pending = await self._decide(request, then)
        except SessionOver:
            raise
        except Exception:
            pending = Pending(self._handler_failed(request), then)
        finally:
            if request.deviations:
                # After the decision, so that a boot which deviates counts for the make that it tells of.
                context.observer.deviated(context.identity, context.state.boot, request.deviations)
        if pending is not None:
            self._send(pending)

    async def _decide(self, request: Request[Any], then: Callable[[], None]) -> Pending | None:
        """Decide a request. Return its answer if that is to be sent now; ``then`` follows it.

        None: it goes out without the reader. The journal sends it (``_committed``), to which it was handed over with
        its events; or a task does that asks a service outside of the gateway. The commit is waited for only where it
        may come back (guards), or where ``deviations`` are to be counted after it.
        """
        context = self._context
        for attempt in range(MAX_DECISIONS):
            query = context.protocol.query(context.state, request)
            facts = NO_FACTS if query is None else await self._look_up(request, query)
            if facts is None:
                return None
            limits, now = context.limits, context.clock()
            transaction_id = new_id("tx") if isinstance(query, StartQuery) else ""
            decision_context = Context(now, limits.heartbeat_interval, limits.retry_interval, transaction_id)
            decision = context.protocol.decide(context.state, request, facts, decision_context)
            # No timer ends a reservation: the reader does, with what the charger says next, and no other task.
            events = decision.events
            if context.state.reservations:
                events = (*events, *overdue(context.state, now, events))
            pending = Pending(rpc.encode_call_result(request.message_id, decision.reply), then)
            if not events:
                return pending
            guards = decision.guards if attempt < MAX_DECISIONS - 1 else ()
            # Set before it is handed over: nothing else that the charger says is handled until it is answered.
            self._under_way = pending
            context.submit(events, partial(self._committed, pending), guards)
            if guards or request.deviations:
                await self._until_answered()
            if not pending.guard_failed:
                return None
        raise AssertionError("a commit without guards can't fail on one")

    def _handler_failed(self, request: Request[Any]) -> bytes:
        """Log the exception that is being handled; the CALLERROR that answers the request. Raises it again for a
        message that must not be answered so: a charger keeps it until it is confirmed, and might give it up."""
        context = self._context
        if context.protocol.is_transaction_message(request.action):
            raise  # noqa: PLE0704 - called while it is handled
        unwritten = self._lines.take(context.identity)
        if unwritten is not None:
            log.exception(
                "handler failed", charge_point=context.identity, action=request.action, unlogged_before=unwritten
            )
        context.observer.count("handler_failures", request.action)
        code = context.protocol.errors.failed
        return rpc.encode_call_error(request.message_id, code, "the gateway failed on this message")

    def _committed(self, pending: Pending, write: Write, result: WriteResult | Exception) -> None:
        """Send an answer whose events are on disk, at once and in the journal's task. Or the session ends."""
        context = self._context
        try:
            if isinstance(result, GuardFailed):
                pending.guard_failed = True
            elif context.settled(write, result):
                self._send(pending)
                return
        except ConnectionClosed as closed:
            context.connection_closed(closed)
        except Exception:
            # This is the journal's task: the handler of the session's own task can't see a bug in here.
            log.exception("session failed", charge_point=context.identity, epoch=self.epoch)
            context.observer.count("session_failures")
            context.end("internal-error", code=CLOSE_INTERNAL)
        self._is_over()

    # --- the answer -------------------------------------------------------------------------------------------

    def _send(self, pending: Pending) -> None:
        """Send an answer. One that the connection does not take at once is under way until it has: a charger that
        doesn't read its answers is not read from. But where a newer connection waits, what came before it is dealt
        with whether or not the link still takes an answer. Raises ConnectionClosed."""
        context = self._context
        if self._reads_large:
            self._turn_over()  # a charger that doesn't read its answers must not hold up the others
        try:
            context.frames.add(FrameKind.SENT, pending.answer)
            sent = context.transport.send_nowait(pending.answer) or context.handing_over
        except ConnectionClosed as closed:
            if not context.handing_over:
                raise
            context.connection_closed(closed)  # ``receive`` says so when there is nothing more to be read
            sent = True
        if sent:
            self._is_sent(pending)
        else:
            self._under_way = self._flushing = pending
            self._tasks.start(self._flush, pending)

    async def _flush(self, pending: Pending) -> None:
        await self._context.transport.flush()
        if self._flushing is pending:  # else a hand-over has not waited for it
            self._is_sent(pending)

    def _is_sent(self, pending: Pending) -> None:
        if self._under_way is pending:
            if self._answered is None:
                self._under_way = self._flushing = None
            else:
                self._is_over()
        pending.then()

    def _is_over(self) -> None:
        """Note that no answer is under way any more."""
        self._under_way = self._flushing = None
        if self._answered is not None:
            self._answered.set()
            self._answered = None

    def _boot_answered(self) -> None:
        # The answer that this connection got, not what holds by now: the operator may have decided anew meanwhile.
        answer = self._context.state.boot_answer
        self._readiness.boot_answered(answer)
        if answer is Registration.ACCEPTED:
            self._start_provisioning()

    async def _until_answered(self) -> None:
        """Wait until no answer is under way: what a charger says next is decided with what it has said before, and
        answered after that."""
        while self._under_way is not None:
            if self._answered is None:
                self._answered = trio.Event()
            await self._answered.wait()

    # --- what a decision needs --------------------------------------------------------------------------------

    async def _look_up(self, request: Request[Any], query: Query) -> Facts | None:
        """Return what the decision needs; None: a task of its own decides, since it takes a service outside of the
        gateway."""
        context = self._context
        if isinstance(query, VendorDataQuery):
            facts = self._facts.at_once(query)
            if facts is not None:
                return facts
            if self._aside >= MAX_ASIDE:
                return Facts(vendor_answer=REJECTED)
            self._aside += 1
            self._tasks.start(self._answer_aside, request, query)
            return None
        try:
            return await self._facts.fetch(context.identity, query)
        except StoreUnavailable as error:
            context.end("store-unavailable", code=CLOSE_INTERNAL)
            raise SessionOver("store-unavailable") from error

    async def _answer_aside(self, request: Request[Any], query: VendorDataQuery) -> None:
        """Answer as a service says, when it does; the reader goes on meanwhile. A task: it waits for its own commit."""
        context = self._context
        received = context.clock()
        try:
            facts = await self._facts.fetch(context.identity, query)
            try:
                decision_context = Context(
                    received, context.limits.heartbeat_interval, context.limits.retry_interval, ""
                )
                decision = context.protocol.decide(context.state, request, facts, decision_context)
                if decision.events:
                    await context.commit(decision.events)
                answer = rpc.encode_call_result(request.message_id, decision.reply)
            except SessionOver:
                raise
            except Exception:
                answer = self._handler_failed(request)
            try:
                await context.send(answer)
            except ConnectionClosed as closed:
                if not context.handing_over:
                    raise
                context.connection_closed(closed)
        finally:
            self._aside -= 1
            if self._answered is not None:
                self._answered.set()
                self._answered = None
        self._readiness.message_handled()

    # --- beginnings and ends ----------------------------------------------------------------------------------

    def _start_provisioning(self) -> None:
        """Once a connection: a charger that boots again and again is not asked again and again (B1.8)."""
        if not self._provisioned and self._own_requests:
            self._provisioned = True
            self._tasks.start(self._provisioning.run)

    def registration_changed(self, registration: Registration) -> None:
        """The operator decided anew, and it is committed. A charger newly accepted is asked to boot, for only a Boot
        can tell it; one that no longer is is let go, to hear it from its next Boot."""
        before, self._context.state.registration = self._context.state.registration, registration
        if registration is Registration.ACCEPTED and before is Registration.PENDING:
            if self._own_requests:
                self._tasks.start(self._ask_to_boot)
        elif registration is not Registration.ACCEPTED and before is not registration:
            self._context.end("registration-changed", code=CLOSE_GOING_AWAY)

    def transaction_closed(self, closed: NewEvent) -> None:
        """The operator closed a transaction of this charge point, and it is committed."""
        evolve(self._context.state, closed, 0)  # a closed transaction has no use for its sequence

    async def _ask_to_boot(self) -> None:
        # Until the new Boot is answered the gate stays as Pending left it.
        await self._provisioning.ask_to_boot()

    async def _finish(self, ending: Ending) -> None:
        """Record the end, answer callers, close the connection; each bounded in time. Callers are answered anyway."""
        context = self._context
        recorded = False
        unfinished = self.commands.unfinished(ending.reason)
        try:
            async with trio.open_nursery() as nursery:
                context.keep_end("local", ending.code, ending.reason)
                nursery.start_soon(context.transport.aclose, ending.code, ending.reason)
                try:
                    if ending.reason in SETTLED_ALREADY:
                        recorded = True
                        await self._read_back(unfinished)
                    else:
                        recorded = await self._record_end(ending, unfinished.events)
                finally:
                    if not recorded or unfinished.doubtful:
                        self.unrecorded = UnrecordedEnd(
                            self.epoch, ending.reason, unfinished.happened, unfinished.doubtful
                        )
                    unfinished.finish()
        except* Exception:
            log.exception("session ended badly", charge_point=context.identity, epoch=self.epoch)
        log.info(
            "session ended",
            charge_point=context.identity,
            epoch=self.epoch,
            reason=ending.reason,
            initiator=ending.initiator,
            code=ending.code,
            recorded=recorded,
            **({"message_bytes": ending.message_bytes} if ending.message_bytes else {}),
        )

    async def _read_back(self, unfinished: Unfinished) -> None:
        """Callers are answered as it is recorded, by whom and why ever it was."""
        context = self._context
        with trio.move_on_after(context.limits.end_deadline):
            try:
                await unfinished.read_back(context.reads)
            except StoreUnavailable:
                pass  # then as it can be expected to be

    async def _record_end(self, ending: Ending, settled: list[NewEvent]) -> bool:
        """Return true if the end is on disk. If not, it is recorded when the store is back (``app.housekeeping``), or
        when the charge point is next opened."""
        context = self._context
        now = context.clock()
        heard = now - timedelta(seconds=trio.current_time() - self.last_heard)
        disconnected = NewEvent(
            ChargePointDisconnected(ending.reason, ending.initiator, ending.code, heard, ending.message_bytes), now
        )
        with trio.move_on_after(context.limits.end_deadline):
            try:
                await context.journal.commit(Append(context.identity, self.epoch, (*settled, disconnected)))
            except StoreUnavailable:
                return False
            return True
        return False

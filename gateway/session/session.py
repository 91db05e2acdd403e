"""One charger's session: reads its frames, decides, commits, replies, in that order, in one task.

The reader never waits for an answer to a CALL of ours: a reader that did would wait for itself. Its only waits are
the transport and the journal, so a ping waits no longer than a commit.
"""

from datetime import datetime, timedelta

import structlog
import trio
from attrs import frozen

from gateway.domain.command_states import CommandEvent
from gateway.domain.commands import CallOutcome, Command, Refused
from gateway.domain.decision import CallRefused, Context, Decision, Facts, Query, Request, StartQuery, VendorDataQuery
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
from gateway.session.commands.calls import Calls
from gateway.session.commands.provisioning import DesiredKey, Provisioning, Triggers
from gateway.session.commands.queue import CommandQueue, Unfinished
from gateway.session.context import CLOSE_GOING_AWAY, CLOSE_INTERNAL, CLOSE_POLICY, Ending, SessionContext, SessionOver
from gateway.session.fault_log import FaultLog
from gateway.session.keepalive import Keepalive, TimerQueue
from gateway.session.limits import SessionLimits
from gateway.session.lookups import Lookups
from gateway.session.ports import Journal, Observer
from gateway.session.readiness import Readiness
from gateway.session.task_group import TaskGroup
from gateway.session.turns import ReadTurns, TeardownTurns, cost_of_faults
from gateway.store.api import Append, GuardFailed, Store, Write, WriteResult
from gateway.transport.api import Concluded, ConnectionClosed, Transport

log = structlog.get_logger()

MAX_DECISIONS = 4
"""How often one message is decided anew because others changed what it rests on. The last decision is made without
the contested fact, so a charger always gets its answer."""

NO_FACTS = Facts()

MAX_ASIDE = 4
"""Vendors' data of one charger that wait for a service at once; further ones are told Rejected. A charger has one CALL
under way (J §4.1.1): more mean that it gave up waiting, or never does."""

SETTLED_ALREADY = ("replaced", "deleted")
"""Ends that the store has settled in the same transaction that brought them about."""


@frozen
class UnrecordedEnd:
    """The end of a session that is not on the books: of its connection, and of the commands that it left.

    ``doubtful``: request ids of commands of which the disk may come to hold more than is known.
    """

    epoch: int
    reason: str
    commands: CommandEvent
    doubtful: frozenset[str] = frozenset()


class Session:
    """One connection of one charge point, from the committed opening to the recorded end.

    ``run`` is called once. ``submit``, ``end`` and the properties may be used by other tasks of the loop meanwhile.
    """

    def __init__(
        self,
        *,
        state: ChargePointState,
        transport: Transport,
        protocol: ProtocolVersion,
        journal: Journal,
        store: Store,
        facts: Lookups,
        clock: Clock,
        limits: SessionLimits,
        observer: Observer,
        watch: TimerQueue,
        endings: TeardownTurns,
        turns: ReadTurns | None = None,
        lines: FaultLog | None = None,
        boot_configuration: tuple[DesiredKey, ...] = (),
        triggers: Triggers | None = None,
        quirks: tuple[Quirk, ...] = (),
    ) -> None:
        self._core = SessionContext(
            state=state,
            transport=transport,
            protocol=protocol,
            journal=journal,
            store=store,
            clock=clock,
            limits=limits,
            observer=observer,
        )
        self._facts = facts
        self._readiness = Readiness(
            accepted_before=state.accepted,
            settle_delay=limits.settle_delay,
            ready_after_silence=ready_after_silence(state.boot, quirks, limits.ready_after_silence),
        )
        self._parts = TaskGroup(self._core)
        self._calls = Calls(self._core)
        self._commands = CommandQueue(self._core, self._calls, self._readiness, self._parts)
        self._provisioning = Provisioning(
            self._core, self._commands, self._readiness, triggers or Triggers(), boot_configuration
        )
        self._own_requests = state.own_requests.resolve(limits.own_requests)
        self._watch = watch
        self._endings = endings
        self._turns = ReadTurns() if turns is None else turns
        self._lines = FaultLog() if lines is None else lines
        self._has_turn = False
        self.unrecorded: UnrecordedEnd | None = None
        """Once it is over: what of its end is not on the books."""
        self._reads_large = False
        self._bad_messages = 0
        self._provisioned = False
        self._aside = 0
        self._under_way: bytes | None = None
        """The answer to what the charger said last, while that is on its way to the disk, or to the charger."""
        self._flushing = False
        self._answered: trio.Event | None = None
        self._read_to_the_end = False
        self._handed_over: trio.Event | None = None

    @property
    def epoch(self) -> int:
        return self._core.state.epoch

    @property
    def protocol(self) -> ProtocolVersion:
        """The version of OCPP that was negotiated."""
        return self._core.protocol

    @property
    def last_heard(self) -> float:
        """In Trio's time."""
        return self._core.transport.last_heard

    def end(self, reason: str, code: int) -> None:
        """Ask the session to end; ``run`` returns when its end is recorded."""
        self._core.end(reason, code=code)

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
        """As ``CommandQueue.submit``."""
        return await self._commands.submit(
            command,
            request_id=request_id,
            fingerprint=fingerprint,
            deadline=deadline,
            answer_by=answer_by,
            refused=refused,
        )

    async def hand_over(self) -> None:
        """A newer connection of the charge point has been admitted, and will end this session. Wait until what came
        whole on this one before is decided, committed and, as far as the charger takes it, answered.

        Nothing more is read, and no command goes out any more, whether or not that is waited for: whoever calls this
        ends the session, too. Repeating it waits for the same. Cancelling only ends the waiting.
        """
        core = self._core
        if not core.handing_over and not self._read_to_the_end:
            core.handing_over = True
            self._readiness.close()
            core.transport.conclude()
            if self._flushing:  # what came behind it does not wait for a link that takes no answers
                self._is_answered()
        while not self._read_to_the_end:
            if self._handed_over is None:
                self._handed_over = trio.Event()
            await self._handed_over.wait()

    async def commands_told(self) -> None:
        """As ``CommandQueue.all_told``."""
        await self._commands.all_told()

    async def run(self) -> None:
        """Serve the charger until the connection ends; nothing escapes but cancellation, and that too is recorded."""
        core = self._core
        silence = Keepalive(core, self._parts)
        watched = self._watch.add(silence.look, silence.due())
        try:
            with core.scope:
                async with trio.open_nursery() as nursery:
                    self._parts.begin(nursery)
                    if core.state.accepted:
                        self._start_provisioning()
                    await self._read()
        except* Exception:
            # The one broad handler of the charger's side: a bug in here ends this session and no other, also one that
            # shows while the session is being cancelled.
            log.exception("session failed", charge_point=core.identity, epoch=self.epoch)
            core.observer.count("session_failures")
            core.end("internal-error", code=CLOSE_INTERNAL)
        finally:
            self._is_read_to_the_end()
            self._turn_over()
            self._watch.remove(watched)
            self._parts.cease()
            try:
                with trio.CancelScope(shield=True):
                    await self._finish(core.ending or Ending("draining", "local", CLOSE_GOING_AWAY))
            finally:
                if self._has_turn:
                    self._endings.over()

    # --- reading ----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        transport, is_recorded = self._core.transport, self._core.protocol.is_transaction_message
        try:
            while True:
                data = await transport.receive()
                if len(data) <= SMALL_BYTES:
                    frame = rpc.parse(data, is_recorded)
                else:
                    await self._until_answered()
                    frame, cost = await self._turns.read(data, is_recorded)
                    self._reads_large = True
                    transport.charge(cost)
                del data  # a message of megabytes is not kept until the next one comes
                if self._under_way:
                    await self._until_answered()
                await self._handle(frame)
                del frame
                if self._reads_large and self._under_way is None:
                    self._turn_over()
        except Concluded:
            pass
        except ConnectionClosed as closed:
            self._is_read_to_the_end()
            await self._endings.turn()  # who ends it meanwhile for another reason doesn't wait for that
            self._has_turn = True
            self._core.connection_closed(closed)
            return
        except SessionOver:
            self._is_read_to_the_end()
            return  # it has said so to the core
        await self._finish_hand_over()

    async def _finish_hand_over(self) -> None:
        """All that came is decided: see to it that it is answered, and leave the rest to the newer connection."""
        await self._until_answered()
        while self._aside:
            self._answered = self._answered or trio.Event()
            await self._answered.wait()
        try:
            await self._core.transport.flush()
        except ConnectionClosed:
            pass  # then it is repeated on the newer one
        self._is_read_to_the_end()
        await trio.sleep_forever()

    def _is_read_to_the_end(self) -> None:
        self._core.handing_over = False
        self._read_to_the_end = True
        if self._handed_over is not None:
            self._handed_over.set()

    def _turn_over(self) -> None:
        """Nothing is held any more of the large message that was read last, if it was one."""
        if self._reads_large:
            self._reads_large = False
            self._turns.over()

    async def _handle(self, frame: rpc.Frame) -> None:
        match frame:
            case rpc.Call() | rpc.Unread():
                self._bad_messages = 0
                await self._answer(frame)
            case rpc.CallResult() | rpc.CallError():
                self._bad_messages = 0
                await self._calls.received(frame)
            case rpc.Ignored():
                self._core.observer.count("ignored_messages")
            case rpc.Malformed():
                await self._bad(frame)

    async def _bad(self, frame: rpc.Malformed) -> None:
        self._core.observer.count("malformed_messages")
        unwritten = self._lines.take(self._core.identity)
        if unwritten is not None:
            log.info(
                "malformed message", charge_point=self._core.identity, reason=frame.reason, unlogged_before=unwritten
            )
        self._turn_over()
        if frame.answerable and frame.message_id is not None:
            errors = self._core.protocol.errors
            code = errors.unread if frame.unread else errors.malformed
            await self._send(rpc.encode_call_error(frame.message_id, code, frame.reason))
        elif frame.kind != rpc.CALL:
            await self._calls.received(frame)
        self._bad_messages += 1
        if self._bad_messages >= self._core.limits.bad_messages:
            self._core.end("protocol", code=CLOSE_POLICY)
            raise SessionOver("protocol")

    # --- a charger's CALL -------------------------------------------------------------------------------------

    async def _answer(self, call: rpc.Call | rpc.Unread) -> None:
        core = self._core
        boots = core.protocol.allowed_before_acceptance(call.action)
        if not boots and not core.state.accepted and call.action not in self._commands.solicited:
            core.observer.count("calls_before_acceptance")
            code = core.protocol.errors.not_accepted
            await self._send(rpc.encode_call_error(call.message_id, code, "the charge point is not accepted"))
            return
        if boots:
            self._readiness.hold()
        request = self._decoded(call)
        if request.faults:
            core.transport.charge(cost_of_faults(request.faults))
        if isinstance(request, CallRefused):
            core.observer.count("calls_refused", request.code)
            reply: bytes | None = rpc.encode_call_error(request.message_id, request.code, request.description)
        else:
            core.observer.count("messages", request.action)
            connector = core.protocol.told_status_of(request)
            if connector is not None:
                self._provisioning.told.add(connector)
            reply = await self._reply(request, waits=boots)
        if reply is None:
            return
        self._turn_over()  # a charger that doesn't read its answers must not hold up the others
        await self._send(reply)
        if boots:
            # What this connection was told, not what holds by now: the operator may have decided anew meanwhile.
            told = core.state.boot_answer
            self._readiness.boot_answered(told)
            if told is Registration.ACCEPTED:
                self._start_provisioning()
        else:
            self._readiness.message_handled()

    async def _send(self, answer: bytes) -> None:
        """The reader's answers. Who doesn't read them is not read from; but where a newer connection waits, what came
        before it is dealt with whether or not the link still takes an answer."""
        await trio.lowlevel.checkpoint_if_cancelled()
        core = self._core
        try:
            if core.transport.send_nowait(answer) or core.handing_over:
                return
        except ConnectionClosed:
            if not core.handing_over:
                raise
            return  # ``receive`` says so when there is nothing more to be read
        self._under_way = answer
        self._flush_answer()
        await self._until_answered()

    def _decoded(self, call: rpc.Call | rpc.Unread) -> Request | CallRefused:
        core = self._core
        if isinstance(call, rpc.Call):
            return core.protocol.decode_call(call.message_id, call.action, call.payload)
        core.observer.count("unread_messages", call.action)
        return core.protocol.decode_unread(call.message_id, call.action, call.data)

    async def _reply(
        self, request: Request, facts: Facts | None = None, received: datetime | None = None, *, waits: bool = True
    ) -> bytes | None:
        """Decide and commit; the reply to be sent. What it acknowledges is on disk when this returns. A task aside has
        its facts, and when it received.

        None: the reply goes out by itself. Either as soon as the events are on disk, which is not waited for if it is
        not ``waits``; or it takes somebody outside of the gateway, and a task of its own replies.
        """
        core = self._core
        try:
            decision = await self._commit_decision(request, facts, received, waits)
        except (SessionOver, trio.Cancelled):
            raise
        except Exception:
            if core.protocol.is_transaction_message(request.action):
                raise  # no reply: the charger keeps the message, which a CALLERROR might make it give up
            unwritten = self._lines.take(core.identity)
            if unwritten is not None:
                log.exception(
                    "handler failed", charge_point=core.identity, action=request.action, unlogged_before=unwritten
                )
            core.observer.count("handler_failures", request.action)
            code = core.protocol.errors.failed
            return rpc.encode_call_error(request.message_id, code, "the gateway failed on this message")
        finally:
            if request.deviations and received is None:
                # After the decision, so that a boot which deviates counts for the make that it tells of.
                core.observer.deviated(core.identity, core.state.boot, request.deviations)
        return None if decision is None else rpc.encode_call_result(request.message_id, decision.reply)

    async def _commit_decision(
        self, request: Request, known: Facts | None, received: datetime | None, waits: bool
    ) -> Decision | None:
        core = self._core
        for attempt in range(MAX_DECISIONS):
            query = core.protocol.query(core.state, request)
            facts = NO_FACTS if query is None else known or await self._look_up(request, query)
            if facts is None:
                return None
            context = Context(
                received or core.clock(),
                core.limits.heartbeat_interval,
                core.limits.retry_interval,
                new_id("tx") if isinstance(query, StartQuery) else "",
            )
            decision = core.protocol.decide(core.state, request, facts, context)
            events = decision.events
            if received is None:
                # No timer ends a reservation: the reader does, with what the charger says next, and nobody beside it.
                events = (*events, *overdue(core.state, context.now, events))
            if not events:
                return decision
            guards = decision.guards if attempt < MAX_DECISIONS - 1 else ()
            if not waits and not guards:
                # Set before it is handed over: nothing else that the charger says is handled until it is answered.
                self._under_way = rpc.encode_call_result(request.message_id, decision.reply)
                core.submit(events, self._committed)
                return None
            if not isinstance(await core.commit(events, guards), GuardFailed):
                return decision
        raise AssertionError("a commit without guards can't fail on one")

    def _committed(self, write: Write, result: WriteResult | Exception) -> None:
        """What the charger said is on disk: tell it so, at once and in the journal's own task. Or the session ends."""
        assert self._under_way is not None
        core = self._core
        self._turn_over()
        try:
            sent = not core.settled(write, result) or core.transport.send_nowait(self._under_way)
            if not sent and not core.handing_over:
                self._flush_answer()  # who doesn't read its answers is not read from
                return
        except ConnectionClosed as closed:
            core.connection_closed(closed)
        except Exception:
            # This is the journal's task, not the session's: its broad handler can't see a bug in here.
            log.exception("session failed", charge_point=core.identity, epoch=self.epoch)
            core.observer.count("session_failures")
            core.end("internal-error", code=CLOSE_INTERNAL)
        self._is_answered()

    def _flush_answer(self) -> None:
        self._flushing = True
        self._parts.start(self._flush)

    async def _flush(self) -> None:
        await self._core.transport.flush()
        if self._flushing:  # else a hand-over has not waited for it
            self._is_answered()

    def _is_answered(self) -> None:
        self._under_way = None
        self._flushing = False
        self._readiness.message_handled()
        if self._answered is not None:
            self._answered.set()
            self._answered = None

    async def _until_answered(self) -> None:
        """What a charger says next is decided with what it has said before; and answered after that."""
        while self._under_way is not None:
            if self._answered is None:
                self._answered = trio.Event()
            await self._answered.wait()

    async def _look_up(self, request: Request, query: Query) -> Facts | None:
        """What the decision needs; None: a task of its own decides, since it takes somebody outside of the gateway."""
        core = self._core
        if isinstance(query, VendorDataQuery):
            facts = self._facts.at_once(query)
            if facts is not None:
                return facts
            if self._aside >= MAX_ASIDE:
                return Facts(vendor_answer=REJECTED)
            self._aside += 1
            self._parts.start(self._answer_aside, request, query)
            return None
        try:
            return await self._facts.fetch(core.identity, query)
        except StoreUnavailable as error:
            core.end("store-unavailable", code=CLOSE_INTERNAL)
            raise SessionOver("store-unavailable") from error

    async def _answer_aside(self, request: Request, query: VendorDataQuery) -> None:
        """Reply as a service says, when it does; the reader goes on meanwhile."""
        core = self._core
        received = core.clock()
        try:
            reply = await self._reply(request, await self._facts.fetch(core.identity, query), received)
            assert reply is not None  # it had its facts
            try:
                await core.transport.send(reply)
            except ConnectionClosed:
                if not core.handing_over:
                    raise
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
            self._parts.start(self._provisioning.run)

    def registration_changed(self, registration: Registration) -> None:
        """The operator decided anew, and it is committed. A charger newly accepted is asked to boot, for only a Boot
        can tell it; one that no longer is is let go, to hear it from its next Boot."""
        before, self._core.state.registration = self._core.state.registration, registration
        if registration is Registration.ACCEPTED and before is Registration.PENDING:
            if self._own_requests:
                self._parts.start(self._ask_to_boot)
        elif registration is not Registration.ACCEPTED and before is not registration:
            self._core.end("registration-changed", code=CLOSE_GOING_AWAY)

    def transaction_closed(self, closed: NewEvent) -> None:
        """The operator closed a transaction of this charge point, and it is committed."""
        evolve(self._core.state, closed, 0)  # a closed transaction has no use for its sequence

    async def _ask_to_boot(self) -> None:
        # Until the new Boot is answered the gate stays as Pending left it.
        await self._provisioning.ask_to_boot()

    async def _finish(self, ending: Ending) -> None:
        """Record the end, tell callers, close the connection; each bounded in time. Callers are told anyway."""
        core = self._core
        recorded = False
        unfinished = self._commands.unfinished(ending.reason)
        self._calls.forget()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(core.transport.aclose, ending.code, ending.reason)
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
                    unfinished.tell()
        except* Exception:
            log.exception("session ended badly", charge_point=core.identity, epoch=self.epoch)
        log.info(
            "session ended",
            charge_point=core.identity,
            epoch=self.epoch,
            reason=ending.reason,
            initiator=ending.initiator,
            code=ending.code,
            recorded=recorded,
            **({"message_bytes": ending.message_bytes} if ending.message_bytes else {}),
        )

    async def _read_back(self, unfinished: Unfinished) -> None:
        """Callers are answered as it is recorded, by whom and why ever it was."""
        core = self._core
        with trio.move_on_after(core.limits.end_deadline):
            try:
                await unfinished.read_back(core.journal, core.store)
            except StoreUnavailable:
                pass  # then as it can be expected to be

    async def _record_end(self, ending: Ending, settled: list[NewEvent]) -> bool:
        """Whether it is on disk. If not, the store is told when it is back (``app.housekeeping``), or settles it
        when the charge point is next opened."""
        core = self._core
        now = core.clock()
        heard = now - timedelta(seconds=trio.current_time() - self.last_heard)
        disconnected = NewEvent(
            ChargePointDisconnected(ending.reason, ending.initiator, ending.code, heard, ending.message_bytes), now
        )
        with trio.move_on_after(core.limits.end_deadline):
            try:
                await core.journal.commit(Append(core.identity, self.epoch, (*settled, disconnected)))
            except StoreUnavailable:
                return False
            return True
        return False

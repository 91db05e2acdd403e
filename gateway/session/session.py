"""The session of one connected charge point: it reads frames, decides, commits and answers, in that order.

Each of these has its module, under the account of the rules that it keeps: ``reader`` what is ordered and what is
handed over to a newer connection, ``requests`` how a charger's request is decided, ``answers`` what is acknowledged
when, ``teardown`` how the end is recorded. ``context`` is what they share; ``commands`` are the gateway's own CALLs.

Who owns the charge point. Every commit names the session's epoch. When a newer connection of the charge point is
opened, the store raises the epoch, and what the older session then commits is refused (``Fenced``): two sessions never
write in turns.
"""

from collections.abc import Callable, Sequence

import structlog
import trio

from gateway.domain.charging_state import ChargingState, Followed
from gateway.domain.events import NewEvent
from gateway.domain.latest import LatestView, Place
from gateway.domain.power import LivePower
from gateway.domain.quirks import QuirkBook
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.values import Clock, Registration
from gateway.ocpp.protocol import ProtocolVersion
from gateway.security.steps import NO_ENTRY, Entry
from gateway.session.answers import Answers
from gateway.session.certificates import CertificateDelivery
from gateway.session.charging_timer import ChargingTimer
from gateway.session.commands.calls import CallQueue
from gateway.session.commands.provisioning import DesiredKey, Provisioning, Triggers
from gateway.session.commands.queue import CommandQueue
from gateway.session.context import CLOSE_GOING_AWAY, CLOSE_INTERNAL, Ending, SessionContext, UnrecordedEnd
from gateway.session.fault_log import FaultLog
from gateway.session.keepalive import Keepalive, TimerQueue
from gateway.session.limits import SessionLimits, quirk_defaults
from gateway.session.lookups import Lookups
from gateway.session.operations import Operations
from gateway.session.ports import CommandTraces, Frames, Journal, Observer
from gateway.session.reader import FrameReader
from gateway.session.readiness import Readiness
from gateway.session.requests import RequestHandler
from gateway.session.start_expiry import StartExpiry
from gateway.session.steering import SessionSteering
from gateway.session.steering_pace import SteeringPace
from gateway.session.task_group import TaskGroup
from gateway.session.teardown import Teardown
from gateway.session.turns import LargeMessage, ReadTurns, TeardownTurns
from gateway.store.reads import Reads
from gateway.transport.api import ConnectionClosed, Transport

log = structlog.get_logger()


class Session:
    """One connection of one charge point, from the committed opening to the recorded end.

    ``run`` is called once. ``commands``, ``steering``, ``end`` and the properties may be used by other tasks of the
    loop meanwhile.
    """

    def __init__(
        self,
        *,
        state: ChargePointState,
        transport: Transport,
        protocol: ProtocolVersion,
        journal: Journal,
        reads: Reads,
        lookups: Lookups,
        clock: Clock,
        limits: SessionLimits,
        observer: Observer,
        timers: TimerQueue,
        teardown_turns: TeardownTurns,
        frames: Frames,
        read_turns: ReadTurns | None = None,
        fault_log: FaultLog | None = None,
        boot_configuration: tuple[DesiredKey, ...] = (),
        triggers: Triggers | None = None,
        steering_pace: SteeringPace | None = None,
        quirks: QuirkBook | None = None,
        entry: Entry = NO_ENTRY,
        traces: CommandTraces | None = None,
        clock_is_even: Callable[[], bool] = lambda: True,
    ) -> None:
        self._context = context = SessionContext(
            state=state,
            transport=transport,
            protocol=protocol,
            journal=journal,
            reads=reads,
            clock=clock,
            limits=limits,
            observer=observer,
            frames=frames,
            traces=traces,
            clock_is_even=clock_is_even,
            quirks=quirks or QuirkBook(quirk_defaults(limits), ()),
        )
        readiness = Readiness(
            accepted_before=state.accepted,
            settle_delay=context.limits.settle_delay,
            ready_after_silence=context.limits.ready_after_silence,
        )
        self.protocol = protocol
        """The version of OCPP that was negotiated."""
        self._tasks = TaskGroup(context)
        self._starts = StartExpiry(context, self._tasks)
        calls = CallQueue(context, readiness, self._tasks, self._starts)
        self.commands = CommandQueue(calls)
        self._provisioning = Provisioning(
            context, self._tasks, self.commands, readiness, triggers or Triggers(), boot_configuration
        )
        self.steering = SessionSteering(context, self._tasks, self.commands, readiness, steering_pace or SteeringPace())
        self._large = LargeMessage(ReadTurns() if read_turns is None else read_turns)
        fault_log = FaultLog() if fault_log is None else fault_log
        answers = Answers(context, self._tasks, self._large)
        requests = RequestHandler(
            context,
            tasks=self._tasks,
            lookups=lookups,
            readiness=readiness,
            answers=answers,
            calls=calls,
            provisioning=self._provisioning,
            fault_log=fault_log,
        )
        self._reader = FrameReader(
            context,
            requests=requests,
            answers=answers,
            calls=calls,
            readiness=readiness,
            large=self._large,
            fault_log=fault_log,
        )
        self._timers = timers
        self.entry = entry
        """By what its charger was let in."""
        self.operations = Operations(context, self._tasks, self.commands, entry=entry)
        self._certificates = CertificateDelivery(context, self._tasks, self.commands)
        self._teardown = Teardown(context, self.commands, self.operations)
        self._charging = ChargingTimer(context, answers, timers)
        self._teardown_turns = teardown_turns

    @property
    def epoch(self) -> int:
        return self._context.state.epoch

    @property
    def last_heard(self) -> float:
        """In Trio's time."""
        return self._context.transport.last_heard

    @property
    def in_transaction(self) -> bool:
        """True while a transaction is open on one of its connectors."""
        return bool(self._context.state.open_transactions)

    @property
    def registration(self) -> Registration:
        """The charge point's registration, now."""
        return self._context.state.registration

    @property
    def charging(self) -> dict[Place, Followed]:
        """The charging states of its connectors, now."""
        return dict(self._context.state.charging.states)

    @property
    def powers(self) -> list[tuple[ChargingState, LivePower | None]]:
        """The charging state of each of its connectors with its newest power, now."""
        return self._context.state.charging.with_powers()

    @property
    def latest(self) -> LatestView:
        """The messages from which the newest readings of its connectors are worked out, now."""
        return self._context.state.latest.view()

    @property
    def unrecorded(self) -> UnrecordedEnd | None:
        """Once it is over: the part of its end that is not recorded."""
        return self._teardown.unrecorded

    def end(self, reason: str, code: int, caller: str = "") -> None:
        """Ask the session to end, for a caller if it has a name; ``run`` returns when its end is recorded."""
        self._context.end(reason, code=code, caller=caller)

    async def hand_over(self) -> None:
        """As ``FrameReader.hand_over``."""
        await self._reader.hand_over()

    async def run(self) -> None:
        """Serve the charger until the connection ends; nothing escapes but cancellation, and that too is recorded."""
        context = self._context
        keepalive = Keepalive(context, self._tasks)
        timer = self._timers.add(keepalive.look, keepalive.due())
        self._charging.begin()
        has_turn = False
        try:
            async with trio.open_nursery() as nursery:
                context.begin(nursery.cancel_scope)
                self._tasks.begin(nursery)
                if context.state.operations:
                    self.operations.wake()
                if context.state.signing is not None:
                    self._certificates.wake()
                if context.state.pending_starts:
                    self._starts.wake()
                if context.state.accepted:
                    self._provisioning.start()
                self.steering.start()
                closed: ConnectionClosed | None = None
                try:
                    await self._reader.run()
                except ConnectionClosed as end:
                    closed = end.plain()
                if closed is not None:
                    await self._teardown_turns.turn()  # ended meanwhile for another reason, it doesn't wait for that
                    has_turn = True
                    context.connection_closed(closed)
        except* Exception:
            # A bug in the session's tasks ends this session and no other, also one that shows while it is being
            # cancelled. (Those in the journal's task: ``Answers.committed``; in the end: ``Teardown.run``.)
            log.exception("session failed", charge_point=context.identity, epoch=self.epoch)
            context.observer.count("session_failures")
            context.end("internal-error", code=CLOSE_INTERNAL)
        finally:
            self._reader.finish()
            self._large.release()
            self._timers.remove(timer)
            self._charging.stop()
            self._tasks.cease()
            self.steering.cease()
            try:
                await self._teardown.run(context.ending or Ending("draining", "local", CLOSE_GOING_AWAY))
            finally:
                if has_turn:
                    self._teardown_turns.over()

    # --- the operator's hand ----------------------------------------------------------------------------------

    def registration_changed(self, registration: Registration) -> None:
        """The operator decided anew, and it is committed. A charger newly accepted is asked to boot, for only a Boot
        can tell it; one that no longer is is let go, to hear it from its next Boot."""
        before, self._context.state.registration = self._context.state.registration, registration
        if registration is Registration.ACCEPTED and before is Registration.PENDING:
            self._provisioning.start_boot()
        elif registration is not Registration.ACCEPTED and before is not registration:
            self._context.end("registration-changed", code=CLOSE_GOING_AWAY)

    def changed(self, events: Sequence[tuple[NewEvent, int]]) -> None:
        """Events of this charge point, with their sequences, are committed past its session: by an operator, the
        signing service, another node."""
        for event, sequence in events:
            evolve(self._context.state, event, sequence)
        self._certificates.wake()
        if self._context.state.operations:
            self.operations.wake()
        self.steering.changed(tuple(event for event, _ in events))

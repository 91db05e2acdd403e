"""The gateway's CALLs on one connection: when each may go, one on the wire at a time, and the answer to each.

A place in the queue is taken in one step (``reserve``) and waited for in another (``wait``). A lock whose place is
taken by waiting gives no order to callers that must record something first: their tasks wake in any order. Here the
CALL that was reserved first goes first, whatever its task does between reserving and its turn (A5.5). Urgent ones,
which stop charging or limit it, go before those that only wait; never before the one whose turn it is, nor before
another urgent one, and no CALL is overtaken more than ``MAX_OVERTAKEN`` times.

After its time-out a CALL gives up the wire but is remembered for a while: a late answer is still recorded (JE 3.4,
A5.3). Answers to nothing are counted and dropped; they answer no other CALL (A3.11).
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import trio

from gateway.domain.commands import INVALID_CONFIRMATION, ChargerError, Command
from gateway.domain.firmware import FirmwareUpdate, as_sent
from gateway.domain.values import JSON
from gateway.ocpp import rpc
from gateway.ocpp.protocol import ReadAnswer
from gateway.session.context import SessionContext
from gateway.session.readiness import Readiness
from gateway.session.start_expiry import StartExpiry
from gateway.session.task_group import TaskGroup

MAX_LATE = 16
"""Timed-out CALLs whose answers are still awaited. With one CALL on the wire and time-outs of tens of seconds this
reaches back for minutes."""

MAX_OVERTAKEN = 4
"""How often a waiting CALL lets an urgent one go before it. Stops and limits of all connectors of a post come together
now and then; a platform that limits without end must not keep a reset or a start from ever going out."""

Answered: TypeAlias = rpc.CallResult | rpc.CallError | ChargerError
"""A confirmation, a CALLERROR, or the gateway's own error for an answer that can't be read."""


class Call:
    """The CALL of one command: its place in the queue, which leaving the ``with`` block gives up, then the exchange.

    For one task, which takes the steps in this order: ``wait``, ``encode``, ``send``, ``finish``, ``read``.
    """

    __slots__ = (
        "_access",
        "_frame",
        "_queue",
        "_turn",
        "answer",
        "answered",
        "command",
        "message_id",
        "overtaken",
        "recorded",
        "sent_at",
        "took",
    )

    def __init__(self, queue: "CallQueue", command: Command) -> None:
        self.command = command
        self.message_id = ""
        self.answer: Answered | None = None
        self.answered = trio.Event()
        self.recorded = trio.Event()
        """Set by the CALL's task once the answer is recorded, with what follows from it."""
        self.sent_at = 0.0
        """When it went out, by the observer's clock."""
        self.took: float | None = None
        """Seconds from then to its answer; None: there is none."""
        self.overtaken = 0
        """How often another one has gone before it."""
        self._queue = queue
        self._access = queue.context.protocol.needed_access(command)
        self._frame: tuple[str, JSON] | None = None
        self._turn: trio.Event | None = None

    @property
    def may_go(self) -> bool:
        """True if it is this CALL's turn, and the charger may be spoken to."""
        queue = self._queue
        return queue.calls[:1] == [self] and queue.readiness.permits(self._access)

    async def wait(self) -> None:
        """Return when it may go, at once if it may already. Cancelling is safe: the place is kept."""
        while self._queue.calls[:1] != [self]:
            self._turn = trio.Event()
            await self._turn.wait()
        await self._queue.readiness.wait(self._access)

    def encode(self) -> bool:
        """Make the frame. False, and there is none: the command names a transaction that is not open any more."""
        context = self._queue.context
        try:
            command = self.command
            if isinstance(command, FirmwareUpdate):
                command = as_sent(command, context.clock())
            self._frame = context.protocol.encode_command(command, context.state)
        except LookupError:
            return False
        return True

    async def send(self) -> None:
        """Put the CALL, which has its turn and is encoded, on the wire.

        Raises ConnectionClosed. Cancelling leaves open whether it went out.
        """
        assert self._frame is not None
        queue = self._queue
        action, payload = self._frame
        solicited = queue.context.protocol.solicits(self.command)
        if solicited is not None:
            queue.solicited.add(solicited)
        self.message_id = str(uuid.uuid4())
        queue.on_the_wire = self
        self.sent_at = queue.context.observer.now()
        await queue.context.send(rpc.encode_call(self.message_id, action, payload))

    def finish(self, on_late: Callable[[], None] | None = None) -> bool:
        """Free the wire. True: the CALL was answered. If it was not, a late answer is awaited, with ``on_late`` to be
        called when it is there. Also of a CALL that could not be sent, or not quite."""
        queue = self._queue
        queue.on_the_wire = None
        if self.answer is not None:
            return True
        if on_late is not None:
            queue.await_late(self, on_late)
        return False

    def read(self) -> ReadAnswer:
        """The answer, within bounds, with no secret in it even if the charger echoes one."""
        context, answer = self._queue.context, self.answer
        assert answer is not None
        if isinstance(answer, ChargerError):
            return ReadAnswer(answer)
        if isinstance(answer, rpc.CallError):
            error = context.protocol.decode_error(self.command, answer.code, answer.description, answer.details)
            return ReadAnswer(error)
        read = context.protocol.decode_answer(self.command, answer.payload)
        if read.deviations:
            context.observer.deviated(context.identity, context.state.boot, read.deviations)
        return read

    def leave(self, *_: object) -> None:
        """Give up the place, or the turn, as the end of the ``with`` block does; the next CALL's comes. Repeating it
        does nothing."""
        calls = self._queue.calls
        if self in calls:
            was_head = calls[0] is self
            calls.remove(self)
            if was_head and calls:
                calls[0].wake()

    def wake(self) -> None:
        """Its turn has come."""
        if self._turn is not None:
            self._turn.set()

    def __enter__(self) -> "Call":
        return self

    __exit__ = leave


class CallQueue:
    """The CALLs of one session. Bounded by the session's limit of commands, and one request of the gateway's own."""

    def __init__(self, context: SessionContext, readiness: Readiness, tasks: TaskGroup, starts: StartExpiry) -> None:
        self.context = context
        self.readiness = readiness
        self.tasks = tasks
        self.starts = starts
        self.solicited: set[str] = set()
        """Messages that a charger still Pending was asked for, and may therefore send (B1.3)."""
        self.on_the_wire: Call | None = None
        self.calls: list[Call] = []  # nearly always empty, where a deque would take 760 bytes
        """In the order in which they go; the first has its turn."""
        self._late: OrderedDict[str, tuple[Call, Callable[[], None]]] = OrderedDict()

    def reserve(self, command: Command) -> Call:
        """Take a place at the end, or, for an urgent command, before those that only wait."""
        call = Call(self, command)
        calls = self.calls
        if len(calls) > 1 and self.context.protocol.is_urgent(command):
            calls.insert(self._place_of_urgent(), call)
        else:
            calls.append(call)
        return call

    def _place_of_urgent(self) -> int:
        """The place behind the CALL whose turn it is, behind every urgent one, and behind those that were overtaken
        often enough; what it then overtakes has noted that."""
        calls, place = self.calls, len(self.calls)
        while place > 1:
            before = calls[place - 1]
            if before.overtaken >= MAX_OVERTAKEN or self.context.protocol.is_urgent(before.command):
                break
            before.overtaken += 1
            place -= 1
        return place

    def await_late(self, call: Call, on_late: Callable[[], None]) -> None:
        """Remember a CALL that was not answered in time; the oldest is forgotten beyond ``MAX_LATE``."""
        self._late[call.message_id] = (call, on_late)
        if len(self._late) > MAX_LATE:
            self._late.popitem(last=False)

    def forget(self) -> None:
        """The connection is over, and no CALL on the wire any more: no late answer can come."""
        self._late.clear()

    def received(self, frame: rpc.CallResult | rpc.CallError | rpc.Malformed) -> trio.Event | None:
        """Take a CALLRESULT, a CALLERROR, or a frame that was meant to be one. Returns the event that is set once it is
        recorded, which is a commit; None: it answers nothing, and is not recorded."""
        message_id = frame.message_id
        if message_id is None:
            return None
        answer = ChargerError(INVALID_CONFIRMATION, frame.reason) if isinstance(frame, rpc.Malformed) else frame
        call = self.on_the_wire
        if call is not None and call.message_id == message_id and call.answer is None:
            call.answer = answer
            call.took = self.context.observer.now() - call.sent_at
            call.answered.set()
            return call.recorded
        late = self._late.pop(message_id, None)
        if late is None:
            self.context.observer.count("unmatched_answers")
            return None
        self.context.observer.count("late_answers")
        call, on_late = late
        call.answer = answer
        on_late()
        return call.recorded

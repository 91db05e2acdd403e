"""The gateway's CALLs on one connection: one on the wire at a time, each answer to the CALL it belongs to.

After its time-out a CALL gives up the wire but is remembered for a while: a late answer still reaches whoever asked
(JE 3.4, A5.3). Answers to nothing are counted and dropped; they resolve nobody else's CALL (A3.11).
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import trio
from attrs import define, field

from gateway.domain.commands import INVALID_CONFIRMATION, ChargerError
from gateway.ocpp import rpc
from gateway.session.commands.call_queue import CallQueue
from gateway.session.context import SessionContext

MAX_LATE = 16
"""Timed-out CALLs whose answers are still awaited. With one CALL on the wire and time-outs of tens of seconds this
reaches back for minutes."""

Answered: TypeAlias = rpc.CallResult | rpc.CallError | ChargerError
"""What came back: a confirmation, a CALLERROR, or our own word for what can't be read."""


@define(eq=False)
class Exchange:
    """One CALL on the wire and, at some time perhaps, its answer."""

    message_id: str
    on_late: Callable[["Exchange"], None] | None
    answer: Answered | None = None
    answered: trio.Event = field(factory=trio.Event)
    settled: trio.Event = field(factory=trio.Event)
    """Set by whoever asked when it has dealt with the answer: recorded it, with what follows."""


class Calls:
    """Sends CALLs and matches answers. ``line`` is the queue for the wire, in order of asking."""

    def __init__(self, core: SessionContext) -> None:
        self._core = core
        self.line = CallQueue()
        self._current: Exchange | None = None
        self._late: OrderedDict[str, Exchange] = OrderedDict()

    async def send(self, action: str, payload: object, on_late: Callable[[Exchange], None] | None = None) -> Exchange:
        """Put a CALL on the wire. The caller is at the head of ``line``, and calls ``finish`` before it leaves.

        Raises ConnectionClosed. Cancelling leaves open whether the CALL went out.
        """
        exchange = Exchange(str(uuid.uuid4()), on_late)
        self._current = exchange
        await self._core.send(rpc.encode_call(exchange.message_id, action, payload))
        return exchange

    def finish(self) -> Exchange | None:
        """The wire is free again: the exchange, if it was answered. An unanswered CALL with someone to tell is
        remembered."""
        exchange, self._current = self._current, None
        if exchange is None or exchange.answer is not None:
            return exchange
        if exchange.on_late is not None:
            self._late[exchange.message_id] = exchange
            if len(self._late) > MAX_LATE:
                self._late.popitem(last=False)
        return None

    def timed_out(self) -> None:
        """The CALL on the wire was not answered in its time."""
        self._core.observer.count("call_timeouts")

    def forget(self) -> None:
        """The connection is over: no late answer can come."""
        self._current = None
        self._late.clear()

    def resolve(self, message_id: str, answer: Answered) -> Exchange | None:
        """An answer came in: what it answers, if anything. Never waits."""
        current = self._current
        if current is not None and current.message_id == message_id and current.answer is None:
            current.answer = answer
            current.answered.set()
            return current
        late = self._late.pop(message_id, None)
        if late is not None and late.on_late is not None:
            self._core.observer.count("late_answers")
            late.answer = answer
            late.on_late(late)
            return late
        self._core.observer.count("unmatched_answers")
        return None

    async def received(self, frame: rpc.CallResult | rpc.CallError | rpc.Malformed) -> None:
        """A CALLRESULT, a CALLERROR, or what was meant to be one. Waits until whoever asked has recorded it, a commit:
        what the charger says next is decided with what it has said before. Cancelling is safe."""
        exchange = None
        match frame:
            case rpc.CallResult() | rpc.CallError():
                exchange = self.resolve(frame.message_id, frame)
            case rpc.Malformed():
                if frame.message_id is not None:
                    exchange = self.resolve(frame.message_id, ChargerError(INVALID_CONFIRMATION, frame.reason))
        if exchange is not None:
            await exchange.settled.wait()

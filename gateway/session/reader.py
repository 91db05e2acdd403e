"""The reader of one session: takes a frame after the other from its connection, and hands each to what it is for.

What is ordered. One task reads (``FrameReader.run``), and it handles one message at a time. A message is decided on the
state that the messages before it have made, so the next one waits while an answer is under way (``Answers.wait``), or
while the charger's answer to a CALL is being recorded.

The reader never waits for an answer to one of the gateway's own CALLs, because it is the task that would have to read
that answer. Commands run in tasks of their own (``session.commands``), and wait for their commits.

What is handed over. A charger that lost its link comes anew, and what it said on the old one may still lie there. The
newer connection waits (``hand_over``) until the reader has come to the end of that.
"""

from typing import Final

import structlog
import trio

from gateway.domain.diagnostics import FrameKind
from gateway.ocpp import rpc
from gateway.ocpp.payload_bounds import SMALL_BYTES
from gateway.session.answers import Answers, Pending, nothing
from gateway.session.commands.calls import CallQueue
from gateway.session.context import CLOSE_POLICY, SessionContext, SessionOver
from gateway.session.fault_log import FaultLog
from gateway.session.readiness import Readiness
from gateway.session.requests import RequestHandler
from gateway.session.turns import LargeMessage
from gateway.transport.api import Concluded, ConnectionClosed

log = structlog.get_logger()

_CALLS: Final = (rpc.Call, rpc.Unread)


class FrameReader:
    """Reads the frames of one session. ``run`` is called once; ``hand_over`` may be, any number of times."""

    __slots__ = (
        "_answers",
        "_at_end",
        "_bad_messages",
        "_calls",
        "_context",
        "_fault_log",
        "_handed_over",
        "_large",
        "_readiness",
        "_recorded",
        "_requests",
    )

    def __init__(
        self,
        context: SessionContext,
        *,
        requests: RequestHandler,
        answers: Answers,
        calls: CallQueue,
        readiness: Readiness,
        large: LargeMessage,
        fault_log: FaultLog,
    ) -> None:
        self._context = context
        self._requests = requests
        self._answers = answers
        self._calls = calls
        self._readiness = readiness
        self._large = large
        self._fault_log = fault_log
        self._bad_messages = 0
        self._recorded: trio.Event | None = None
        """Set once the charger's last answer to a CALL is recorded; None: there was none, or it answered nothing."""
        self._at_end = False
        self._handed_over: trio.Event | None = None

    async def run(self) -> None:
        """Read and handle frames until the session ends. Raises ConnectionClosed if that is why."""
        context, answers, large = self._context, self._answers, self._large
        transport, frames = context.transport, context.frames
        is_recorded, received = context.protocol.is_transaction_message, FrameKind.RECEIVED
        try:
            while True:
                data = await transport.receive()
                frames.add(received, data)
                if len(data) <= SMALL_BYTES:
                    frame = rpc.parse(data, is_recorded)
                else:
                    await answers.wait()
                    frame, cost = await large.read(data, is_recorded)
                    transport.charge(cost)
                del data  # a message of megabytes is not kept until the next one comes
                if answers.under_way is not None:
                    await answers.wait()
                if self._recorded is not None and not self._recorded.is_set():
                    await self._recorded.wait()
                if isinstance(frame, _CALLS):
                    self._bad_messages = 0
                    await self._requests.handle(frame)
                else:
                    await self._handle(frame)
                del frame
                if large.held and answers.under_way is None:
                    await self._until_recorded()
                    large.release()
        except Concluded:
            pass
        except ConnectionClosed as closed:
            context.keep_end(closed.initiator, closed.code, closed.reason)
            await self._until_recorded()
            self.finish()
            raise
        except SessionOver:
            self.finish()
            return  # it has said so to the context
        await self._finish_hand_over()

    async def hand_over(self) -> None:
        """A newer connection of the charge point has been admitted, and will end this session. Wait until what came
        whole on this one before is decided, committed and, as far as the charger takes it, answered.

        Nothing more is read, and no command goes out any more, whether or not that is waited for: the caller
        ends the session, too. Repeating it waits for the same. Cancelling only ends the waiting.
        """
        context = self._context
        if not context.handing_over and not self._at_end:
            context.handing_over = True
            self._readiness.close()
            context.transport.conclude()
            self._answers.leave_unflushed()  # what came behind it does not wait for a link that takes no answers
        while not self._at_end:
            if self._handed_over is None:
                self._handed_over = trio.Event()
            await self._handed_over.wait()

    def finish(self) -> None:
        """Nothing more is read: a hand-over waits no longer. Repeating it does nothing."""
        self._context.handing_over = False
        self._at_end = True
        if self._handed_over is not None:
            self._handed_over.set()

    async def _finish_hand_over(self) -> None:
        """All that came is decided: see to it that it is answered, and leave the rest to the newer connection."""
        await self._answers.wait()
        await self._until_recorded()
        await self._requests.wait_for_services()
        try:
            await self._context.transport.flush()
        except ConnectionClosed as closed:
            self._context.connection_closed(closed)  # then it is repeated on the newer one
        self.finish()
        await trio.sleep_forever()

    async def _handle(self, frame: rpc.CallResult | rpc.CallError | rpc.Ignored | rpc.Malformed) -> None:
        """Handle what is no CALL."""
        match frame:
            case rpc.CallResult() | rpc.CallError():
                self._bad_messages = 0
                self._recorded = self._calls.received(frame)
            case rpc.Ignored():
                self._context.observer.count("ignored_messages")
            case rpc.Malformed():
                await self._bad(frame)

    async def _bad(self, frame: rpc.Malformed) -> None:
        context = self._context
        context.observer.count("malformed_messages")
        unwritten = self._fault_log.take(context.identity)
        if unwritten is not None:
            log.info("malformed message", charge_point=context.identity, reason=frame.reason, unlogged_before=unwritten)
        self._large.release()
        if frame.answerable and frame.message_id is not None:
            errors = context.protocol.errors
            code = errors.unread if frame.unread else errors.malformed
            self._answers.send(Pending(rpc.encode_call_error(frame.message_id, code, frame.reason), nothing))
        elif frame.kind != rpc.CALL:
            self._recorded = self._calls.received(frame)
            await self._until_recorded()
        self._bad_messages += 1
        if self._bad_messages >= context.limits.bad_messages:
            context.end("protocol", code=CLOSE_POLICY)
            raise SessionOver("protocol")

    async def _until_recorded(self) -> None:
        """Wait until the charger's last answer to a CALL is recorded."""
        if self._recorded is not None:
            await self._recorded.wait()

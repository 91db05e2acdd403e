"""Answers to a charger's CALLs on their way: from the commit of their events to the wire, one at a time.

What is acknowledged when. ``decide`` is pure; it gives events and a reply. Where there are events, the session hands
them to the journal together with the reply (``Pending``), and goes back to reading, so that a ping or a close is heard
while the disk works. When the transaction is on disk, the journal calls back (``Answers.committed``): the events change
the state in memory, the reply goes out, and what follows the reply happens (``Pending.then``). So an answer that a
charger reads stands for something that no crash takes back. Without events the reply goes out at once.

What a lost commit means. If the store can't keep the events, or can't say whether it has, nothing is answered and the
session ends with 1011: the charger keeps the message, comes back and sends it again, and the keys in its memory
(``domain.repeats``) tell a repeat from something new. If the epoch is no longer the newest one, the session ends with
1008.
"""

from collections.abc import Callable
from typing import Final

import structlog
import trio
from attrs import define

from gateway.domain.diagnostics import FrameKind
from gateway.session.context import CLOSE_INTERNAL, SessionContext
from gateway.session.task_group import TaskGroup
from gateway.session.turns import LargeMessage
from gateway.store.commits import GuardFailed, Write, WriteResult
from gateway.transport.api import ConnectionClosed

log = structlog.get_logger()

_SENT: Final = FrameKind.SENT


@define(eq=False)
class Pending:
    """An answer that waits for the disk, and then for the connection."""

    answer: bytes
    then: Callable[[], None]
    """Called when the answer has been sent."""
    action: str = ""
    """Of the request that it answers; empty where that could not be read."""
    began: float = 0.0
    """When the request was taken up, by the observer's clock."""
    guard_failed: bool = False
    """Nothing was committed: the message is to be decided anew."""


def nothing() -> None:
    """Do nothing: what follows an answer that says nothing of the charger."""


class Answers:
    """The answers of one session."""

    __slots__ = (
        "_answered",
        "_context",
        "_flushing",
        "_large",
        "_tasks",
        "under_way",
    )

    def __init__(self, context: SessionContext, tasks: TaskGroup, large: LargeMessage) -> None:
        self._context = context
        self._tasks = tasks
        self._large = large
        self.under_way: Pending | None = None
        """The answer to what the charger said last, while that is on its way to the disk, or to the charger. Set before
        its events are handed to the journal."""
        self._flushing: Pending | None = None
        """The answer that the connection did not take at once."""
        self._answered: trio.Event | None = None

    def committed(self, pending: Pending, write: Write, result: WriteResult | Exception) -> None:
        """Send an answer whose events are on disk, at once and in the journal's task. Or the session ends."""
        context = self._context
        try:
            if isinstance(result, GuardFailed):
                pending.guard_failed = True
            elif context.settled(write, result):
                self.send(pending)
                return
        except ConnectionClosed as closed:
            context.connection_closed(closed)
        except Exception:
            # This is the journal's task: the handler of the session's own task can't see a bug in here.
            log.exception("session failed", charge_point=context.identity, epoch=context.state.epoch)
            context.observer.count("session_failures")
            context.end("internal-error", code=CLOSE_INTERNAL)
        self._is_over()

    def send(self, pending: Pending) -> None:
        """Send an answer. One that the connection does not take at once is under way until it has: a charger that
        doesn't read its answers is not read from. But where a newer connection waits, what came before it is dealt
        with whether or not the link still takes an answer. Raises ConnectionClosed."""
        context = self._context
        if self._large.held:
            self._large.release()  # a charger that doesn't read its answers must not hold up the others
        try:
            context.frames.add(_SENT, pending.answer)
            sent = context.transport.send_nowait(pending.answer) or context.handing_over
        except ConnectionClosed as closed:
            if not context.handing_over:
                raise
            context.connection_closed(closed)  # ``receive`` says so when there is nothing more to be read
            sent = True
        if sent:
            self._is_sent(pending)
        else:
            self.under_way = self._flushing = pending
            self._tasks.start(self._flush, pending)

    async def wait(self) -> None:
        """Wait until no answer is under way: what a charger says next is decided with what it has said before, and
        answered after that."""
        while self.under_way is not None:
            if self._answered is None:
                self._answered = trio.Event()
            await self._answered.wait()

    def hold(self) -> bool:
        """Have what the charger says next wait until ``resume``, for a change that no message brings about: it is
        decided on the state as it is. False: an answer is under way; try again."""
        if self.under_way is not None:
            return False
        self.under_way = Pending(b"", nothing)
        return True

    def resume(self) -> None:
        """The change is made."""
        self._is_over()

    def leave_unflushed(self) -> None:
        """Count an answer as sent that the connection has not taken yet: what came behind it waits no longer."""
        if self._flushing is not None:
            self._is_sent(self._flushing)

    async def _flush(self, pending: Pending) -> None:
        await self._context.transport.flush()
        if self._flushing is pending:  # else a hand-over has not waited for it
            self._is_sent(pending)

    def _is_sent(self, pending: Pending) -> None:
        if self.under_way is pending:
            if self._answered is None:
                self.under_way = self._flushing = None
            else:
                self._is_over()
        if pending.action:
            context = self._context
            context.observer.answered(pending.action, pending.began, context.latencies)
        pending.then()

    def _is_over(self) -> None:
        """Note that no answer is under way any more."""
        self.under_way = self._flushing = None
        if self._answered is not None:
            self._answered.set()
            self._answered = None

"""The timer of one session's charging states: of changes that show though nothing more is heard.

A power that falls must last before its connector counts as merely connected, and one that is no longer of the present
counts no more. No message need come for either. Where nothing is to be waited for there is no timer.
"""

import math
from datetime import timedelta

import structlog
import trio

from gateway.session.answers import Answers
from gateway.session.context import CLOSE_INTERNAL, SessionContext, SessionOver
from gateway.session.keepalive import Timer, TimerQueue
from gateway.store.commits import Write, WriteResult

LONGEST = 300.0
"""Seconds until it is looked again, whatever is awaited: the wall clock may be set meanwhile."""

BUSY = 1.0
"""Seconds until it is looked again while a message is being answered."""

log = structlog.get_logger()


class ChargingTimer:
    """Of one session. Belongs to its Trio loop."""

    __slots__ = ("_answers", "_context", "_timer", "_timers")

    def __init__(self, context: SessionContext, answers: Answers, timers: TimerQueue) -> None:
        self._context = context
        self._answers = answers
        self._timers = timers
        self._timer: Timer | None = None

    def begin(self) -> None:
        """The session runs: from now on it is looked in time."""
        self._context.charging_moved = self.start
        self.start()

    def start(self) -> None:
        """See to it that it is looked in time, after ``ConnectorCharging.moved``. Repeating it does no harm."""
        self._context.state.charging.moved = False
        due = self._next()
        if due == math.inf or (self._timer is not None and self._timer.at <= due):
            return
        self._remove()
        self._timer = self._timers.add(self._look, due)

    def stop(self) -> None:
        """Look no more: the session is over. Nothing of it is held on to."""
        self._context.charging_moved = None
        self._remove()

    def _remove(self) -> None:
        if self._timer is not None:
            self._timers.remove(self._timer)
            self._timer = None

    def _next(self) -> float:
        due = self._context.state.charging.due()
        if due is None:
            return math.inf
        wait = (due - self._context.clock()) / timedelta(seconds=1)
        return trio.current_time() + min(max(wait, 0.0), LONGEST)

    def _look(self) -> float:
        """As ``keepalive.Look``: commit what time has shown."""
        context = self._context
        if context.ending is not None:
            return math.inf
        if not self._answers.hold():
            return trio.current_time() + BUSY
        try:
            events = context.state.charging.look(context.clock())
            if events:
                context.submit(events, self._committed)
                return trio.current_time() + BUSY
        except SessionOver:  # the context knows
            self._answers.resume()
            return math.inf
        except BaseException:
            self._answers.resume()
            raise
        self._answers.resume()
        return self._next()

    def _committed(self, write: Write, result: WriteResult | Exception) -> None:
        """In the journal's task."""
        context = self._context
        try:
            context.settled(write, result)
        except Exception:
            log.exception("session failed", charge_point=context.identity, epoch=context.state.epoch)
            context.observer.count("session_failures")
            context.end("internal-error", code=CLOSE_INTERNAL)
        self._answers.resume()

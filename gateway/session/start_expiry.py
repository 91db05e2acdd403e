"""The end of remote starts of which no transaction has come: recorded when their time is over, by one task that sleeps
until then, and only while a start is pending."""

import trio

from gateway.domain import remote_starts
from gateway.domain.decision import StartPending
from gateway.domain.events import NewEvent
from gateway.session.context import SessionContext
from gateway.session.task_group import TaskGroup

LEAST_SLEEP = 1.0
"""Seconds. A start may be decided on at the very moment at which its time is over, and the record of it be under
way."""


class StartExpiry:
    """One session's. ``wake`` may be called by any task of the loop, any number of times."""

    def __init__(self, context: SessionContext, tasks: TaskGroup) -> None:
        self._context = context
        self._tasks = tasks
        self._runs = False

    def wake(self) -> None:
        """Look after the starts that are pending now; of those that are sent later it has to be called again."""
        if not self._runs:
            self._runs = True
            self._tasks.start(self._run)

    async def _run(self) -> None:
        context = self._context
        try:
            await trio.sleep(LEAST_SLEEP)
            while True:
                pending, window = context.state.pending_starts, context.protocol.start_window(context.state)
                due = remote_starts.next_expiry(pending, window)
                if due is None:
                    return
                await trio.sleep(max((due - context.clock()).total_seconds(), LEAST_SLEEP))
                now = context.clock()
                for each in remote_starts.overdue(pending, now, window):
                    # Where a transaction that comes of it is being recorded at this moment, there is nothing to record.
                    event = NewEvent(each, now, cause=f"command:{each.command_id}")
                    await context.commit((event,), (StartPending(each.command_id),))
        finally:
            self._runs = False

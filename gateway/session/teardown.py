"""The end of a session: it is recorded, callers of its commands are answered, and the connection is closed."""

from datetime import timedelta

import structlog
import trio

from gateway.domain.events import ChargePointDisconnected, NewEvent
from gateway.errors import StoreUnavailable
from gateway.session.commands.queue import CommandQueue, Unfinished
from gateway.session.context import Ending, SessionContext, UnrecordedEnd
from gateway.session.operations import Operations
from gateway.store.commits import Append

log = structlog.get_logger()

SETTLED_ALREADY = ("replaced", "deleted")
"""Ends that the store has settled in the same transaction that brought them about."""


class Teardown:
    """The end of one session. ``run`` is called once."""

    __slots__ = (
        "_commands",
        "_context",
        "_operations",
        "unrecorded",
    )

    def __init__(self, context: SessionContext, commands: CommandQueue, operations: Operations) -> None:
        self._context = context
        self._commands = commands
        self._operations = operations
        self.unrecorded: UnrecordedEnd | None = None
        """Once it is over: the part of its end that is not recorded."""

    async def run(self, ending: Ending) -> None:
        """Record the end, answer callers, close the connection; each bounded in time, and also in a task that is
        cancelled. Callers are answered anyway."""
        context = self._context
        recorded = False
        unfinished = self._commands.unfinished(ending.reason)
        ends = [*unfinished.events, *self._operations.ends(unfinished)]
        try:
            nothing_to_settle = ending.reason in SETTLED_ALREADY and not unfinished
            # Another task costs as much as all the rest. Most ends need none: one of the two takes no time.
            if self._close_nowait(ending) or nothing_to_settle:
                recorded = await self._settle(ending, unfinished, ends)
                await context.transport.aclose(ending.code, ending.reason)
            else:
                async with trio.open_nursery() as nursery:
                    nursery.cancel_scope.shield = True
                    nursery.start_soon(context.transport.aclose, ending.code, ending.reason)
                    recorded = await self._settle(ending, unfinished, ends)
        except* Exception:
            log.exception("session ended badly", charge_point=context.identity, epoch=context.state.epoch)
        context.observer.count("sessions_ended", ending.reason)
        log.info(
            "session ended",
            charge_point=context.identity,
            epoch=context.state.epoch,
            reason=ending.reason,
            initiator=ending.initiator,
            code=ending.code,
            recorded=recorded,
            **({"message_bytes": ending.message_bytes} if ending.message_bytes else {}),
        )

    def _close_nowait(self, ending: Ending) -> bool:
        """Return true if the connection is closed, which took no time. A bug in that costs the end nothing else."""
        context = self._context
        try:
            context.keep_end("local", ending.code, ending.reason)
            return context.transport.close_nowait()
        except Exception:
            log.exception("session ended badly", charge_point=context.identity, epoch=context.state.epoch)
            return False

    async def _settle(self, ending: Ending, unfinished: Unfinished, ends: list[NewEvent]) -> bool:
        """Record the end, and answer callers; True: it is recorded."""
        state, recorded = self._context.state, ending.reason in SETTLED_ALREADY
        try:
            if not recorded:
                recorded = await self._record(ending, ends)
            elif unfinished:
                await self._read_back(unfinished)
        finally:
            if not recorded or unfinished.doubtful:
                self.unrecorded = UnrecordedEnd(state.epoch, ending.reason, unfinished.happened, unfinished.doubtful)
            unfinished.finish()
        return recorded

    async def _read_back(self, unfinished: Unfinished) -> None:
        """Answer callers as it is recorded, by whichever session, for whichever reason."""
        context = self._context
        with trio.move_on_after(context.limits.end_deadline, shield=True):
            try:
                await unfinished.read_back(context.reads)
            except StoreUnavailable:
                pass  # then as it can be expected to be

    async def _record(self, ending: Ending, settled: list[NewEvent]) -> bool:
        """Return true if the end is on disk. If not, it is recorded when the store is back (``app.housekeeping``), or
        when the charge point is next opened."""
        context = self._context
        now = context.clock()
        heard = now - timedelta(seconds=trio.current_time() - context.transport.last_heard)
        latest = context.state.latest.view().encoded()
        disconnected = NewEvent(
            ChargePointDisconnected(
                ending.reason, ending.initiator, ending.code, heard, ending.message_bytes, latest, ending.caller
            ),
            now,
        )
        with trio.move_on_after(context.limits.end_deadline, shield=True):
            try:
                await context.journal.commit(Append(context.identity, context.state.epoch, (*settled, disconnected)))
            except StoreUnavailable:
                return False
            return True
        return False

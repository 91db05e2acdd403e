"""``Drain``: the end of a run. Commands finish, sessions close at a pace; last, control interface and journal."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
import trio
from attrs import define, field, frozen

from gateway.app.endpoints import Endpoints
from gateway.app.settings.sections import DrainSettings
from gateway.domain.drain import DrainProgress, DrainStage, DrainTerms
from gateway.journal.journal import Journal
from gateway.session.router import Router

log = structlog.get_logger()

IN_FLIGHT_SHARE = 0.6
"""Of the drain's deadline, for commands under way; the rest is for closing sessions and ending calls."""

LAST_WORD_SECONDS = 2.0
"""After a drain that was cut short, for callers to receive the outcomes of their commands: without that they would
read "nothing was sent" of what was."""

CONTROL_GRACE = 1.0
"""Seconds for control calls to hand out their last answers, once all sessions are over."""


def terms_of(settings: DrainSettings) -> DrainTerms:
    """Return the terms of a drain that a signal asks for."""
    return DrainTerms(settings.closes_per_second, settings.jitter, settings.deadline_seconds)


@define(eq=False)
class Draining:
    """``gateway.control.ports.Draining``: the wish for a drain, and its course. Belongs to the Trio loop."""

    router: Router
    terms: DrainTerms
    """Those of the settings, until another wish comes."""
    requested: trio.Event = field(factory=trio.Event)
    stage: DrainStage = DrainStage.SERVING
    sessions: int = 0
    deadline: float = 0.0

    def begin(self, terms: DrainTerms) -> bool:
        """Ask for a drain. False: one is under way, and stays as it is."""
        if self.requested.is_set() or self.stage is not DrainStage.SERVING:
            return False
        self.terms = terms
        self.enter(DrainStage.COMMANDS)  # at once, so that who has asked is shown what is left
        self.requested.set()
        return True

    async def until_stopped(self, received: AsyncIterator[int], reload: Callable[[], None]) -> None:
        """Wait for a signal that asks for an end, or for a drain over the control interface; ``reload`` at SIGHUP."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_requested, nursery.cancel_scope)
            async for number in received:
                if number != signal.SIGHUP:
                    log.info("stopping", signal=signal.Signals(number).name)
                    break
                reload()
            nursery.cancel_scope.cancel()

    async def _until_requested(self, scope: trio.CancelScope) -> None:
        await self.requested.wait()
        log.info("stopping", request="Drain")
        scope.cancel()

    def enter(self, stage: DrainStage) -> None:
        """Note that the drain has got further."""
        if self.stage is DrainStage.SERVING:
            self.sessions, self.deadline = len(self.router), trio.current_time() + self.terms.deadline_seconds
        self.stage = stage

    @property
    def progress(self) -> DrainProgress:
        """The course so far."""
        if self.stage is DrainStage.SERVING:
            return DrainProgress()
        left = max(0.0, self.deadline - trio.current_time())
        return DrainProgress(self.stage, self.sessions, *self.router.idle_and_charging(), left)


@frozen
class Drain:
    """One drain of a gateway that takes no more chargers. ``commands_done``: waits for the outcomes of commands that
    callers wait for here, whichever node carries them out."""

    draining: Draining
    router: Router
    commands_done: Callable[[], Awaitable[None]]
    endpoints: Endpoints
    journal: Journal

    async def run(self, received: AsyncIterator[int]) -> None:
        """Finish what is in flight, close sessions paced, then the control interface and the journal; a second signal
        of ``received`` or the deadline cuts it short. What is cut off is settled at the next start."""
        draining, terms = self.draining, self.draining.terms
        seconds = terms.deadline_seconds
        draining.enter(DrainStage.COMMANDS)
        deadline = draining.deadline
        idle, charging = self.router.idle_and_charging()
        log.info("draining", sessions=len(self.router), idle=idle, charging=charging, deadline_seconds=seconds)
        with trio.move_on_at(deadline) as cut_short:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cut_short_by_signal, received, cut_short)
                self.endpoints.stop_accepting()
                with trio.move_on_after(seconds * IN_FLIGHT_SHARE):
                    await self.commands_done()
                draining.enter(DrainStage.SESSIONS)
                await self.router.drain(terms.closes_per_second, deadline, terms.jitter)
                draining.enter(DrainStage.ENDING)
                await self.endpoints.drain_control(CONTROL_GRACE)
                await self.journal.aclose()
                nursery.cancel_scope.cancel()
        draining.enter(DrainStage.ENDING)
        if cut_short.cancelled_caught:
            log.warning("drain cut short", sessions=len(self.router))
            await self._last_word()
        else:
            log.info("drained")

    async def _last_word(self) -> None:
        """End all sessions at once, which settles their commands; what takes longer is settled at the next start."""
        with trio.move_on_after(LAST_WORD_SECONDS):
            await self.router.end_all("draining", 1001)
            await self.router.commands_done()
            await self.endpoints.drain_control(CONTROL_GRACE)


async def cut_short_by_signal(received: AsyncIterator[int], scope: trio.CancelScope) -> None:
    """Cancel ``scope`` at the first signal that asks for an end."""
    async for number in received:
        if number != signal.SIGHUP:
            scope.cancel()

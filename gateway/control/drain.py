"""The drain of the gateway, as the operator asks for it and watches it (Trio's side)."""

from collections.abc import AsyncGenerator
from typing import Final

import structlog
import trio
from attrs import evolve

from gateway.control.ports import Draining, Journal
from gateway.domain.drain import DrainProgress, DrainTerms
from gateway.domain.values import Clock
from gateway.store.audit_commits import RecordAction

log = structlog.get_logger()

WATCH_SECONDS: Final = 1.0
"""Between two looks at a drain, which takes seconds to minutes."""


class DrainControl:
    """Raises ``StoreUnavailable``. Cancelling leaves open whether the drain has begun."""

    def __init__(self, journal: Journal, draining: Draining, clock: Clock) -> None:
        self._journal = journal
        self._draining = draining
        self._clock = clock

    async def begin(
        self, rate: float | None, jitter: float | None, deadline: float | None, caller: str = ""
    ) -> DrainProgress:
        """Ask for a drain; None: as the settings say. Where one is under way it stays as it is. Noted in the audit
        before."""
        given = {"closes_per_second": rate, "jitter": jitter, "deadline_seconds": deadline}
        terms: DrainTerms = evolve(
            self._draining.terms, **{name: value for name, value in given.items() if value is not None}
        )
        if caller:
            detail = f"{terms.closes_per_second:g} a second, {terms.deadline_seconds:g} s"
            await self._journal.commit(RecordAction(caller, "Drain", self._clock(), detail=detail))
        if self._draining.begin(terms):
            log.info("drain asked for", caller=caller)
        return self._draining.progress

    async def watch(self) -> AsyncGenerator[DrainProgress, None]:
        """The course of the drain at once, and again each second and when it changes, until the gateway stops."""
        while True:
            yield self._draining.progress
            await trio.sleep(WATCH_SECONDS)

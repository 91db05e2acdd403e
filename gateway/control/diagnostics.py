"""Reads of what the running gateway keeps of refused connections, frames, deviations and latencies (Trio's side)."""

from collections.abc import AsyncGenerator, Iterable
from itertools import islice
from typing import TypeVar

import structlog

from gateway.control.errors import Failure, Status, not_found
from gateway.control.ports import Diagnostics, Journal, Tapped
from gateway.domain.diagnostics import (
    DeviationCount,
    FlappingChargePoint,
    KeptFrame,
    LatencyCount,
    RefusedConnection,
)
from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.values import Clock
from gateway.store.audit_commits import RecordAction
from gateway.store.reads import Reads

log = structlog.get_logger()

AT_ONCE = 1_000
"""Identities of one read, the store's longest page."""

E = TypeVar("E", RefusedConnection, DeviationCount, LatencyCount)


class DiagnosticsCalls:
    """All methods only read; cancelling them is safe. Pages go by the entries' numbers, which never change: an entry
    that is counted up between two pages is neither repeated nor left out. ``before`` None: the first page."""

    def __init__(self, journal: Journal, reads: Reads, diagnostics: Diagnostics, clock: Clock) -> None:
        self._journal = journal
        self._reads = reads
        self._diagnostics = diagnostics
        self._clock = clock

    async def refused_connections(
        self, charge_point: str, address: str, before: int | None, limit: int, scope: Labels = NO_LABELS
    ) -> list[RefusedConnection]:
        """A page; empty filters take all. ``scope``: those alone that name a charge point with all of these labels."""
        kept = self._diagnostics.refused_connections()
        inside = await self._inside(scope, {each.identity for each in kept}) if scope else None
        found = (
            each
            for each in kept
            if charge_point in ("", each.identity)
            and address in ("", each.address)
            and (inside is None or each.identity in inside)
        )
        return _page(found, before, limit)

    async def _inside(self, scope: Labels, identities: set[str]) -> frozenset[str]:
        """Those of the identities whose charge points have all of the labels."""
        found = set[str]()
        named = sorted(identities)
        for first in range(0, len(named), AT_ONCE):
            found.update(await self._reads.labelled(scope, named[first : first + AT_ONCE], AT_ONCE))
        return frozenset(found)

    async def deviations(
        self, vendor: str, model: str, firmware_version: str, before: int | None, limit: int
    ) -> list[DeviationCount]:
        """A page; empty filters take all."""
        found = (
            each
            for each in self._diagnostics.deviations()
            if vendor in ("", each.vendor)
            and model in ("", each.model)
            and firmware_version in ("", each.firmware_version)
        )
        return _page(found, before, limit)

    async def latencies(
        self, vendor: str, model: str, firmware_version: str, action: str, before: int | None, limit: int
    ) -> list[LatencyCount]:
        """A page; empty filters take all."""
        found = (
            each
            for each in self._diagnostics.latency_counts()
            if vendor in ("", each.vendor)
            and model in ("", each.model)
            and firmware_version in ("", each.firmware_version)
            and action in ("", each.action)
        )
        return _page(found, before, limit)

    async def frames(self, charge_point: str) -> list[KeptFrame]:
        """All that are kept. The store is asked only for a charge point that none are kept of: where the store is what
        fails, the others' frames can be seen. Raises ``Failure`` and ``StoreUnavailable``."""
        self._need_frames()
        frames = self._diagnostics.frames(charge_point)
        if frames is not None:
            return frames
        if await self._reads.charge_point(charge_point) is None:
            raise not_found("charge point", charge_point)
        return []

    async def flapping(self) -> list[FlappingChargePoint]:
        """Charge points that come and go, the one with the most connects first."""
        return self._diagnostics.flapping_charge_points()

    async def tap(self, charge_point: str, caller: str = "") -> AsyncGenerator[Tapped | None, None]:
        """The frames of a charge point as they come, also of its connections to come; None first, once the tap is open.
        To be closed when it is read no more. Noted in the audit before. Raises ``Failure`` and ``StoreUnavailable``."""
        self._need_frames()
        if await self._reads.charge_point(charge_point) is None:
            raise not_found("charge point", charge_point)
        with self._diagnostics.tapped(charge_point) as tap:
            if tap is None:
                raise Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_TAPS", "as many taps are open as there may be")
            if caller:
                await self._journal.commit(RecordAction(caller, "TapChargePoint", self._clock(), charge_point))
            log.info("tap opened", charge_point=charge_point, caller=caller)
            try:
                yield None
                while True:
                    yield await tap.next()
            finally:
                log.info("tap closed", charge_point=charge_point, caller=caller)

    def _need_frames(self) -> None:
        if not self._diagnostics.keeps_frames:
            raise Failure(
                Status.FAILED_PRECONDITION, "FRAMES_NOT_KEPT", "no frames are kept: sessions.kept_frames is 0"
            )


def _page(found: Iterable[E], before: int | None, limit: int) -> list[E]:
    return list(islice((each for each in found if before is None or each.number < before), limit))

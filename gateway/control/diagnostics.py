"""Reads of what the running gateway keeps of refused connections, frames and deviations (Trio's side)."""

from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from gateway.control.errors import Failure, Status, not_found
from gateway.control.ports import Diagnostics
from gateway.domain.diagnostics import DeviationCount, KeptFrame, RefusedConnection
from gateway.store.reads import Reads

E = TypeVar("E", RefusedConnection, DeviationCount)


class DiagnosticsCalls:
    """All methods only read; cancelling them is safe. Pages go by the entries' numbers, which never change: an entry
    that is counted up between two pages is neither repeated nor left out. ``before`` None: the first page."""

    def __init__(self, reads: Reads, diagnostics: Diagnostics) -> None:
        self._reads = reads
        self._diagnostics = diagnostics

    async def refused_connections(
        self, charge_point: str, address: str, before: int | None, limit: int
    ) -> list[RefusedConnection]:
        """A page; empty filters take all."""
        found = (
            each
            for each in self._diagnostics.refused_connections()
            if charge_point in ("", each.identity) and address in ("", each.address)
        )
        return _page(found, before, limit)

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

    async def frames(self, charge_point: str) -> list[KeptFrame]:
        """All that are kept. The store is asked only for a charge point that none are kept of: where the store is what
        fails, the others' frames can be seen. Raises ``Failure`` and ``StoreUnavailable``."""
        if not self._diagnostics.keeps_frames:
            raise Failure(
                Status.FAILED_PRECONDITION, "FRAMES_NOT_KEPT", "no frames are kept: sessions.kept_frames is 0"
            )
        frames = self._diagnostics.frames(charge_point)
        if frames is not None:
            return frames
        if await self._reads.charge_point(charge_point) is None:
            raise not_found("charge point", charge_point)
        return []


def _page(found: Iterable[E], before: int | None, limit: int) -> list[E]:
    return list(islice((each for each in found if before is None or each.number < before), limit))

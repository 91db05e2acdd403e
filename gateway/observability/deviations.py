"""Which makes and firmwares of chargers send what has to be mended, by the names of the repair table."""

from collections import OrderedDict
from datetime import datetime

from attrs import define

from gateway.domain.diagnostics import DeviationCount
from gateway.domain.events import BootInformation
from gateway.domain.values import Clock
from gateway.observability.makes import make_of

MAX_ENTRIES = 2_000
"""A fleet has some tens of firmwares with some deviations each. 1.2 MB at most; past it the least recently seen
goes, so a charger that invents firmwares costs the others their history and nothing more."""


@define(eq=False)
class _Entry:
    number: int
    first_seen: datetime
    last_seen: datetime
    charge_point: str
    count: int = 1


class Deviations:
    """Belongs to the Trio loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._number = 0
        self._entries: OrderedDict[tuple[str, str, str, str], _Entry] = OrderedDict()

    def deviated(self, charge_point: str, boot: BootInformation | None, deviations: tuple[str, ...]) -> None:
        """As ``Observer.deviated``; a few microseconds each."""
        make = make_of(boot)
        now = self._clock()
        for deviation in deviations:
            key = (deviation, *make)
            entry = self._entries.get(key)
            if entry is None:
                self._number += 1
                if len(self._entries) >= MAX_ENTRIES:
                    self._entries.popitem(last=False)
                self._entries[key] = _Entry(self._number, now, now, charge_point)
            else:
                self._entries.move_to_end(key)
                entry.count += 1
                entry.last_seen = now
                entry.charge_point = charge_point

    def entries(self) -> list[DeviationCount]:
        """All of them, the newest entry first."""
        found = sorted(self._entries.items(), key=lambda item: item[1].number, reverse=True)
        return [DeviationCount(e.number, *key, e.count, e.first_seen, e.last_seen, e.charge_point) for key, e in found]

"""Latencies by make and firmware: of answers to chargers, and of their answers to the gateway's calls.

A message costs no look-up here: its session holds the histograms of its charge point's make (``Latencies``), and asks
for them at its beginning and at each boot.
"""

from itertools import count
from operator import attrgetter
from typing import Final

from attrs import define, field

from gateway.domain.diagnostics import LatencyCount, LatencyKind
from gateway.domain.events import BootInformation
from gateway.histogram import Histogram, Latencies
from gateway.observability.makes import Make, make_of

MAX_MAKES: Final = 200
"""Makes and firmwares. A fleet has some tens; each takes some 8 kB, 20 kB if every operation is used, so 4 MB at most.
Beyond it the one of the fewest sessions and boots goes, and of these the newest: a charger that invents firmwares
pushes out its own. Sessions that hold what has gone count in it to no effect until their next boot or connection."""


@define(eq=False)
class _Made:
    latencies: Latencies = field(factory=Latencies)
    uses: int = 0
    numbers: dict[tuple[LatencyKind, str], int] = field(factory=dict)


class MakeLatencies:
    """Belongs to the Trio loop."""

    def __init__(self) -> None:
        self._makes: dict[Make, _Made] = {}
        self._numbers = count(1)

    def of(self, boot: BootInformation | None) -> Latencies:
        """As ``Observer.latencies``; under a microsecond for a make that is known."""
        make = make_of(boot)
        made = self._makes.get(make)
        if made is None:
            if len(self._makes) >= MAX_MAKES:
                # ``min`` returns the first of equals: the newest, of the makes in reverse.
                del self._makes[min(reversed(self._makes), key=lambda each: self._makes[each].uses)]
            made = self._makes[make] = _Made()
        made.uses += 1
        return made.latencies

    def entries(self) -> list[LatencyCount]:
        """All of them, the newest entry first. An entry gets its number when it is first listed, and keeps it."""
        found = [
            self._entry(made, kind, action, make, histogram)
            for make, made in self._makes.items()
            for kind, series in (
                (LatencyKind.ANSWER, made.latencies.answers),
                (LatencyKind.CALL, made.latencies.calls),
            )
            for action, histogram in series.items()
        ]
        return sorted(found, key=attrgetter("number"), reverse=True)

    def _entry(self, made: _Made, kind: LatencyKind, action: str, make: Make, histogram: Histogram) -> LatencyCount:
        number = made.numbers.get((kind, action))
        if number is None:
            number = made.numbers[kind, action] = next(self._numbers)
        return LatencyCount(number, kind, action, *make, histogram.bounds, tuple(histogram.counts), histogram.total)

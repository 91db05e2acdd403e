"""The number of phases that a vehicle charges on, as the readings of its connector show it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.measurements import Kind, Reading
from gateway.domain.power import NOISE, NOISE_WATTS
from gateway.domain.readings import PHASES

RECENT: Final = timedelta(minutes=15)
"""Older readings say nothing of the present: chargers send them each minute, some each quarter of an hour."""


def live_phases(readings: Mapping[tuple[Kind, str], Reading], now: datetime) -> int | None:
    """The number of phases with a current, or else a power, by the newest readings of one connector. None: it is not
    known, or none has. Only a charger that reports all three of them, of one moment, shows which ones are not used:
    what it leaves out may carry as much."""
    for kind, noise in ((Kind.CURRENT, NOISE), (Kind.POWER, NOISE_WATTS)):
        found = [reading for phase in PHASES if (reading := readings.get((kind, phase))) is not None]
        if len(found) == len(PHASES) and len({each.at for each in found}) == 1 and now - found[0].at <= RECENT:
            return sum(abs(each.value) >= noise for each in found) or None
    return None

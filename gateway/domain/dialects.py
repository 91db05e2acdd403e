"""Readers of what chargers sent, by the dialect that it is stored in: meter values are kept as sent, and read for ever.

What was recorded from the beginning is 1.6's, and its reader (``gateway.domain.readings.samples``) is always here: it
is asked also where no charger is served and no version known, e.g. for the energy of an old session. Another version's
reader comes with its protocol object (``register``), at start.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, TypeAlias

from gateway.domain.events import FIRST_DIALECT
from gateway.domain.readings import Sample, samples
from gateway.domain.values import JSON

Reader: TypeAlias = Callable[[Iterable[JSON], datetime], list[Sample]]
"""Reads a list of meter values as sent, received at a time: every sample in them, normalised. Never raises."""

_READERS: Final[dict[str, Reader]] = {FIRST_DIALECT: samples}


def register(dialect: str, reader: Reader) -> None:
    """From now on read what is stored in ``dialect`` by ``reader``. At start, before anything is read."""
    _READERS[dialect] = reader


def samples_of(dialect: str, meter_value: Iterable[JSON], received_at: datetime) -> list[Sample]:
    """Every sample of meter values that are stored in a dialect. None where it has no reader here, e.g. that of a later
    version of the gateway: they stay as sent. Never raises."""
    reader = _READERS.get(dialect)
    return [] if reader is None else reader(meter_value, received_at)

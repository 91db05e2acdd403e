"""The offset of a charge point's clock, measured by its own timestamps against their receipt.

Measured from statuses, starts and stops that were sent at once; never from what the charger had queued. A message takes
its time, and a status may be stamped with the beginning of its condition, so that each says "at least this much": the
smallest delay among the last few is the best, that is the largest offset.

A message with a time of more than five minutes ago looks like one from a queue. It is taken for a slow clock's only if
another one came a minute or more before it with the same delay: what a queue holds comes at once, with delays as far
apart as its messages were. By the same sign a clock is seen that was set back, of which the largest offset would still
be that of before.
"""

from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, frozen

from gateway.domain.events import (
    Body,
    ChargePointBooted,
    ConnectorStatusChanged,
    NewEvent,
    TransactionStarted,
    TransactionStopped,
)
from gateway.domain.times import LATE_AFTER, read_time
from gateway.domain.values import Flag

SAMPLES: Final = 5
"""Messages whose offsets are kept: a charge point at rest sends some ten statuses a day."""

SAME: Final = timedelta(minutes=1)
"""Delays that differ by less are one, and messages that are received so far apart did not come of one queue."""

MEASURED_BY: Final[frozenset[type[Body]]] = frozenset({ConnectorStatusChanged, TransactionStarted, TransactionStopped})
"""Meter values are left out: they are most of all messages, and their values may have several times."""


@frozen
class ClockOffset:
    """The clock of one charge point less that of the gateway. Changed by committed events only, alike in its session
    and in the store."""

    offset: timedelta | None = None
    """None: it has not been measured."""
    measured_at: datetime | None = None
    """When the last message that it was measured by was received."""
    samples: tuple[timedelta, ...] = ()
    """Of the last messages since its last Boot, which sets the clock: at most SAMPLES, the newest last."""
    late: tuple[timedelta, datetime] | None = None
    """Offset and receipt of the last message that may have been queued."""

    def after(self, event: NewEvent) -> "ClockOffset":
        """The offset once the event is committed; itself where nothing changes."""
        kind = type(event.body)
        if kind is ChargePointBooted:
            return evolve(self, samples=(), late=None) if self.samples or self.late else self
        at = _said(event) if kind in MEASURED_BY else None
        if at is None:
            return self
        sample, samples = at - event.received_at, self.samples
        if Flag.LATE in event.flags:
            if not self._repeats(sample, event.received_at):
                return evolve(self, late=(sample, event.received_at))
            samples = tuple(each for each in samples if abs(each - sample) < SAME)  # of before the clock was changed
        elif samples and self._was_set_back(sample, event.received_at):
            samples = tuple(each for each in samples if each - sample <= LATE_AFTER)
        samples = (*samples, sample)[-SAMPLES:]
        late = (sample, event.received_at) if Flag.LATE in event.flags else None
        return ClockOffset(max(samples), event.received_at, samples, late)

    def _was_set_back(self, sample: timedelta, received_at: datetime) -> bool:
        """Return whether the last message, a minute or more ago, had the same offset, far below the largest."""
        assert self.measured_at is not None, "there are samples"
        if received_at - self.measured_at < SAME or abs(sample - self.samples[-1]) >= SAME:
            return False
        return max(self.samples) - sample > LATE_AFTER

    def _repeats(self, sample: timedelta, received_at: datetime) -> bool:
        """Return whether a message that came some time before had the same delay."""
        if self.late is None:
            return False
        before, then = self.late
        return abs(sample - before) < SAME and received_at - then >= SAME


def _said(event: NewEvent) -> datetime | None:
    """The time that the charger's message has, also one that can't be right: it shows how far its clock is off. Not one
    without a zone: it may be local time of a clock that is right."""
    if event.reported_at is None and Flag.CLOCK_SUSPECT in event.flags and Flag.TIME_ZONE_ASSUMED not in event.flags:
        return read_time(event.reported_raw).value
    return event.reported_at


UNMEASURED: Final = ClockOffset()

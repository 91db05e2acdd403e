"""Local time as spans between changes of the clocks, and the borders of clock-aligned intervals in it.

Times are aware UTC; a zone is given as a value. Local seconds are counted from 1970-01-01 00:00 on the wall's clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final

from attrs import frozen

DAY_SECONDS: Final = 86_400

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

PROBE: Final = timedelta(hours=6)
"""Between two looks at a zone's offset. No zone has changed its clocks twice within so short a time."""

SECOND: Final = timedelta(seconds=1)


@frozen
class Span:
    """A time in which a zone's clocks run evenly: from ``start`` up to ``end``, ``offset`` seconds ahead of UTC."""

    start: datetime
    end: datetime
    offset: int

    def local(self, at: datetime) -> int:
        """The wall's clock at a moment of the span, in local seconds, rounded down."""
        return (at - EPOCH) // SECOND + self.offset

    def moment(self, local: int) -> datetime:
        """The moment at which the wall's clock shows ``local``; of the span only if it lies in it."""
        return EPOCH + timedelta(seconds=local - self.offset)


def offset_at(zone: tzinfo, at: datetime) -> int:
    """Seconds that a zone is ahead of UTC, at a moment; fractions of a second are dropped."""
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else offset // SECOND


def spans(zone: tzinfo, start: datetime, end: datetime) -> list[Span]:
    """The time from ``start`` up to ``end``, later than it, divided where the zone changes its clocks."""
    changes, at = [start], start
    while at < end:
        after = min(at + PROBE, end)
        if offset_at(zone, at) != offset_at(zone, after) and (change := _change(zone, at, after)) < end:
            changes.append(change)
        at = after
    return [Span(begin, until, offset_at(zone, begin)) for begin, until in pairwise([*changes, end])]


def _change(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """The moment of the clocks' change between two, to the whole second."""
    known = offset_at(zone, before)
    low, high = (before - EPOCH) // SECOND, -((EPOCH - after) // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(zone, EPOCH + timedelta(seconds=middle)) == known:
            low = middle
        else:
            high = middle
    return EPOCH + timedelta(seconds=high)


def borders(zone: tzinfo, seconds: int, start: datetime, end: datetime) -> list[datetime]:
    """The borders of the intervals that cover the time from ``start`` to ``end``: at least two, the first one at or
    before ``start``, the last one at or after ``end``, and after ``start``.

    Intervals are slots of the wall's clock, ``seconds`` long, a divisor of a day, and aligned to local midnight. Where
    clocks go forward, a slot that is skipped whole does not exist, and one that is skipped in part is shorter. Where
    they go back, a slot that is repeated whole exists twice, and one that is repeated in part is longer.
    """
    reach = timedelta(days=2)  # a local day of 24 hours, and a change of the clocks by another
    found = list(_borders(spans(zone, start - reach, end + reach), seconds))
    first = max(index for index, border in enumerate(found) if border <= start)
    last = min(index for index, border in enumerate(found) if border >= end and index > first)
    return found[first : last + 1]


def _borders(even: list[Span], seconds: int) -> Iterator[datetime]:
    before: Span | None = None
    for span in even:
        first, until = span.local(span.start), span.local(span.end)
        if before is not None:
            shown = before.local(span.start)  # what the clock would have shown
            if shown < first and (shown - 1) // seconds != first // seconds and first % seconds:
                yield span.start  # the slot in which they were put forward is another one
            elif shown > first and (shown - first) % seconds:
                first = shown  # a slot that is repeated in part is one
        for local in range(-(-first // seconds) * seconds, until, seconds):
            if (moment := span.moment(local)) >= span.start:
                yield moment
        before = span

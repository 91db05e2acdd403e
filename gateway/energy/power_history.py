"""A session's power until now, as the basis for predicting the power to come: its level, its changes, its pauses."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median, pstdev
from typing import Final

from attrs import frozen

from gateway.domain.metering import PowerSample

FLOWS: Final = 300.0
"""W: less is a vehicle's standby, and no charging."""

BIN: Final = timedelta(minutes=5)
"""Power is looked at in medians over so much time: single readings are noisy."""

RECENT: Final = timedelta(hours=1)
"""Behind which a power that goes up and down is no longer looked at."""

STALLS_AFTER: Final = timedelta(minutes=25)
"""Without power for so long, and without a limit that explains it, there is no saying when it goes
on: pauses that end without help are shorter."""

STALE_AFTER: Final = timedelta(minutes=15)
"""The newest power is older: nothing is known of the present."""

STEEP: Final = 0.28
"""Of itself, power rises by more than this from bin to bin where it is ramped up, which is over in some minutes; a
battery that warms up takes tens of minutes."""

RISE_LASTS: Final = {True: 0.1, False: 0.8}
"""Of the time for which power has risen, it will go on to rise for so much: where it is steep, and else."""

CHANGE: Final = 0.15
"""By this share a level has to differ from the one before to be another one."""

FADES: Final = 0.02
"""By this share, at least, power falls from bin to bin in a taper."""

LIMITED: Final = 0.9
"""A power that is above this share of a limit is held down by the limit."""

STEADY_SPREAD: Final = 0.06
"""Of a power that holds: its noise, and what a charge point's voltage does to it."""

FLUCTUATING_SPREAD: Final = 1.2
"""Of the spread of a power that goes up and down, by how much its mean may be off: it changes a few times an hour."""

SHARE_PRIOR: Final = timedelta(minutes=30)
"""Of uninterrupted charging that is assumed besides what was seen: one pause at the beginning is no habit."""

LAST_FRACTION: Final = 0.18
"""Of a vehicle's most power, what it takes at last."""


@frozen
class Limit:
    """A power, in watts, that is not exceeded from ``start`` until ``end``; 0 is a pause. ``end`` None: for ever."""

    start: datetime
    end: datetime | None
    watts: float


def limit_at(limits: Sequence[Limit], at: datetime) -> float:
    """The lowest limit that holds at a moment, in watts; infinite without one."""
    return min(
        (each.watts for each in limits if each.start <= at and (each.end is None or at < each.end)),
        default=float("inf"),
    )


class PowerHistory:
    """The power until now, in bins: its level, its changes, its pauses."""

    def __init__(self, powers: Sequence[PowerSample], now: datetime, limits: Sequence[Limit]) -> None:
        """``powers``: at least one, in order, none of them after ``now``."""
        flowing = [each for each in powers if each.watts >= FLOWS]
        self.most = max((each.watts for each in flowing), default=0.0)
        self.bins = _bins(flowing, now)
        self.present = self.bins[-1] if self.bins else 0.0
        self.newest = median(each.watts for each in flowing[-3:]) if flowing else 0.0
        self.share = _flowing_share(powers, now, limits)
        last = flowing[-1].at if flowing else powers[0].at
        paused = any(limit_at(limits, at) < FLOWS for at in (now, now - BIN))
        self.idle = now - last if not paused else timedelta()
        self.stalled = self.idle >= STALLS_AFTER
        limit = limit_at(limits, last)
        self.limited = FLOWS <= LIMITED * limit <= self.present
        self.fading = _falling_tail(self.bins)
        self.fluctuates = not self.fading and _fluctuates(self.bins)
        self.rising = 0.0 if self.fluctuates else _rise(flowing)
        steep = self.rising > STEEP * self.newest
        self.warms = self.rising > 0 and not steep
        self.rises_for = RISE_LASTS[steep] * ((now - flowing[0].at) / BIN) if flowing else 0.0

    @property
    def level(self) -> float:
        """The power of now, in watts, or the mean of the last hour where it goes up and down."""
        if self.rising:
            return self.newest
        if not self.fluctuates:
            return self.present
        recent = self.bins[-(RECENT // BIN) :]
        return sum(recent) / len(recent)

    @property
    def spread(self) -> float:
        """By how much of itself the level may be off."""
        if not self.fluctuates:
            return STEADY_SPREAD
        recent = self.bins[-(RECENT // BIN) :]
        return max(pstdev(recent) / self.level * FLUCTUATING_SPREAD, STEADY_SPREAD)

    @property
    def faded(self) -> bool:
        """Return true if power had fallen to a fraction before it ended."""
        return bool(self.bins) and self.present <= 2 * LAST_FRACTION * self.most

    @property
    def slope(self) -> float | None:
        """By how many watts power falls for each mWh, where it falls; None: it doesn't."""
        if not self.fading:
            return None
        tail = self.bins[-self.fading :]
        flowed = sum((a + b) / 2 * 1000 * (BIN / timedelta(hours=1)) for a, b in pairwise(tail))
        return (tail[0] - tail[-1]) / flowed if flowed > 0 else None

    @property
    def fades_out(self) -> float | None:
        """The milliwatt-hours until power has fallen to the last fraction, as it falls; None: it doesn't."""
        slope = self.slope
        return None if slope is None else max(self.present - LAST_FRACTION * self.most, 0.0) / slope


def _bins(flowing: Sequence[PowerSample], now: datetime) -> list[float]:
    """Medians of the power that flowed, by time before now, the oldest first; bins in which none did are left out."""
    by_bin: dict[int, list[float]] = {}
    for each in flowing:
        by_bin.setdefault((now - each.at) // BIN, []).append(each.watts)
    return [median(by_bin[number]) for number in sorted(by_bin, reverse=True)]


def _flowing_share(powers: Sequence[PowerSample], now: datetime, limits: Sequence[Limit]) -> float:
    """The share of the time, since power first flowed, in which it did, where no limit held it down."""
    first = next((number for number, each in enumerate(powers) if each.watts >= FLOWS), len(powers))
    flowed, passed, pause = SHARE_PRIOR, SHARE_PRIOR, timedelta()
    for before, after in pairwise(powers[first:]):
        if limit_at(limits, before.at) < FLOWS:
            continue
        span = min(after.at - before.at, STALE_AFTER)
        if before.watts >= FLOWS:
            flowed += span
            passed += span + (pause if pause < STALLS_AFTER else timedelta())  # a longer one is no habit
            pause = timedelta()
        else:
            pause += span
    return flowed / (passed + min(pause, STALLS_AFTER))


def _falling_tail(bins: Sequence[float]) -> int:
    """Return the number of bins at the end that fall, one after the other and by little each; 0: fewer than three."""
    count = 1
    for before, after in reversed(list(pairwise(bins))):
        if not FADES / 2 <= 1 - after / before <= 2 * CHANGE:
            break
        count += 1
    falls = count >= 3 and 1 - bins[-1] / bins[-count] >= 3 * FADES
    return count if falls else 0


def _rise(flowing: Sequence[PowerSample]) -> float:
    """By how many watts a bin power rises, over the last nine readings, or six; 0: it does not rise."""
    third = min(len(flowing) // 3, 3)
    if third < 2:
        return 0.0
    tail = flowing[-3 * third :]
    parts = [tail[:third], tail[third:-third], tail[-third:]]
    first, middle, last = (median(each.watts for each in part) for part in parts)
    if not first * (1 + FADES / 2) < middle < last * (1 - FADES / 2):
        return 0.0
    return (last - middle) / max((parts[2][1].at - parts[1][1].at) / BIN, FADES)


def _fluctuates(bins: Sequence[float]) -> bool:
    """Return true if power has gone both down and up again, by more than noise, in the last hours."""
    falls = rises = 0
    for before, after in pairwise(bins[-3 * (RECENT // BIN) :]):
        if after < before * (1 - CHANGE):
            falls += 1
        elif falls and after > before * (1 + CHANGE):
            rises += 1
    return falls > 0 and rises > 0

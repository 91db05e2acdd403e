"""An estimate of when charging will be done, from the power of the last minutes, its changes, and the limits to come.

The power to come is a model that is stepped through time, minute by minute, under the limits that are planned, until
the energy that is still missing has flowed. Three models give the estimate and its bounds. What they know:

* **The level**: of a power that goes up and down (a load-managed house) the mean of the last hour; else that of the
  last minutes, so that a lasting step (two phases lost) counts at once.
* **Pauses**: of the last hours' time, the share in which power flowed, limits of 0 left out.
* **A rise** (a cold battery that warms up) goes on for a while, and flattens.
* **The taper**: a vehicle that gets full takes less and less, down to a fraction. Where the power falls already, as it
  falls; else, where it is known how far it is to full, from where vehicles usually begin to.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from attrs import frozen

from gateway.domain.metering import PowerSample, SocSample
from gateway.energy.intervals import Curve
from gateway.energy.power_history import BIN, LAST_FRACTION, STALE_AFTER, Limit, PowerHistory, limit_at
from gateway.energy.session import SessionEnergy

HORIZON: Final = timedelta(hours=72)
"""Later ends are not estimated: vehicles are driven before."""

HISTORY: Final = timedelta(hours=12)
"""Older power does not help to predict."""

STEP: Final = timedelta(minutes=1)

DIRECT: Final = 25_000.0
"""W: above it the charge point gives direct current. Alternating current is slow enough for a vehicle to take it whole
until it is nearly full."""

USUAL_CAPACITY_MWH: Final = 60_000_000
"""Assumed capacity of a vehicle's battery that is not known: a usual one."""

TAPERED_SHARE: Final = {True: (0.20, 0.45), False: (0.03, 0.12)}
"""The last part of a battery, in which power falls, with direct current and with alternating: at least and at most."""

LEAST_SOC_CHANGE: Final = 3.0
"""Percent: over less the capacity of a battery is not worked out, since chargers report whole percents."""


@frozen
class EnergyTarget:
    """An energy of the session to be reached, in mWh."""

    mwh: int


@frozen
class SocTarget:
    """A state of charge to be reached, in percent."""

    percent: float


@frozen
class FullTarget:
    """A vehicle that takes no more. ``expected_mwh``: the energy of the session by which that is expected, as an
    estimate of the caller's."""

    expected_mwh: int | None = None


Target = EnergyTarget | SocTarget | FullTarget


class CompletionState(StrEnum):
    """The result of an estimate."""

    ESTIMATED = "estimated"
    REACHED = "reached"
    """The target is reached."""
    STALLED = "stalled"
    """No power flows, and no limit explains it: it may go on or not."""
    TOO_FAR = "too-far"
    """Later than the horizon, or never, as the limits are."""
    UNKNOWN = "unknown"
    """Too little is known: no power of the present, or not how much is missing."""


@frozen
class Completion:
    """An estimate of when charging will be done. ``latest`` None: later than the horizon. ``remaining_mwh`` None: not
    known. docs/energy.md has how often the end lies between the bounds, by shape.
    """

    state: CompletionState
    finish: datetime | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    remaining_mwh: int | None = None


@frozen
class Charge:
    """The facts known of a session at ``now``: its energy, its power and the vehicle's charge, in any order.

    ``limits``: those of before and those to come. ``capacity_mwh``: of the vehicle's battery, where it is known.
    """

    now: datetime
    energy: SessionEnergy
    powers: tuple[PowerSample, ...]
    socs: tuple[SocSample, ...] = ()
    limits: tuple[Limit, ...] = ()
    capacity_mwh: int | None = None


def estimate_completion(charge: Charge, target: Target) -> Completion:
    """Estimate when a session reaches its target. Never raises."""
    since = charge.now - HISTORY
    by_moment = {each.at: each for each in sorted(charge.powers, key=_order) if since <= each.at <= charge.now}
    powers = list(by_moment.values())
    if not powers or charge.now - powers[-1].at > STALE_AFTER:
        return Completion(CompletionState.UNKNOWN)
    history = PowerHistory(powers, charge.now, charge.limits)
    need = _need(charge, target, history)
    if need is None:
        return Completion(CompletionState.UNKNOWN)
    remaining = round(need.remaining)
    if remaining <= 0:
        return Completion(CompletionState.REACHED, charge.now, charge.now, charge.now, 0)
    if history.stalled:
        if isinstance(target, FullTarget) and history.faded:
            return Completion(CompletionState.REACHED, charge.now, charge.now, charge.now, 0)
        return Completion(CompletionState.STALLED, remaining_mwh=remaining)
    low, usual, high = (_finish(charge, history, need, outlook) for outlook in OUTLOOKS)
    if history.warms and usual is not None and (even := _finish(charge, history, need, EVEN)) is not None:
        usual = even + (usual - even) / 2
    if usual is None:
        return Completion(CompletionState.TOO_FAR, remaining_mwh=remaining)
    earliest = usual if low is None else min(low, usual)
    return Completion(CompletionState.ESTIMATED, usual, earliest, None if high is None else max(high, usual), remaining)


def _order(power: PowerSample) -> tuple[datetime, float]:
    """By time; of several of one moment the highest is the last."""
    return power.at, power.watts


# --- how much is missing --------------------------------------------------------------------------------------


@frozen
class _Need:
    """Milliwatt-hours until the target and, where these are known, until the vehicle is full, and of its battery."""

    remaining: float
    to_full: float | None
    capacity: float | None


def _need(charge: Charge, target: Target, history: PowerHistory) -> _Need | None:
    """Work out what is missing; None: not known."""
    if charge.energy.total_mwh is None:
        return None
    since = charge.now - charge.energy.points[-1].at
    done = charge.energy.total_mwh + history.present * 1000 * max(since / timedelta(hours=1), 0.0)
    capacity, soc = _battery(charge)
    to_full = None if capacity is None or soc is None else max(100 - soc, 0) / 100 * capacity
    match target:
        case EnergyTarget(mwh):
            return _Need(mwh - done, to_full, capacity)
        case SocTarget(percent):
            if capacity is None or soc is None or to_full is None:
                return None
            return _Need((percent - soc) / 100 * capacity, to_full, capacity)
        case FullTarget(expected):
            if expected is not None:
                to_full = expected - done
            elif to_full is None:
                to_full = history.fades_out
            return None if to_full is None else _Need(to_full, to_full, capacity)


def _battery(charge: Charge) -> tuple[float | None, float | None]:
    """Capacity in mWh and state of charge of now, as far as they are known."""
    socs = sorted((each for each in charge.socs if each.at <= charge.now), key=lambda each: each.at)
    if not socs:
        return charge.capacity_mwh, None
    curve, first, last = Curve(charge.energy.points), socs[0], socs[-1]
    gained = last.percent - first.percent
    capacity: float | None = charge.capacity_mwh
    if capacity is None and gained >= LEAST_SOC_CHANGE:
        capacity = (curve.until(last.at) - curve.until(first.at)) * 100 / gained
    if not capacity:
        return None, last.percent
    # Reported in whole percents, and some time ago: what has flowed since is known better.
    return capacity, min(last.percent + (curve.until(charge.now) - curve.until(last.at)) * 100 / capacity, 100.0)


# --- what will come -------------------------------------------------------------------------------------------


@frozen
class Outlook:
    """One of three views of what will come. ``taper``: where the taper begins, from 0 (as late
    as it may) to 1 (as early). ``level``: by how many spreads of
    the level power differs from it. ``rise``, ``slope``: factors on its rise and its fall. ``last``: what a vehicle
    takes at last, as a fraction. ``share``: how far the share of pauses counts. ``pauses``: the share in which power
    flows at most."""

    taper: float
    level: float
    rise: float
    slope: float
    last: float
    share: float
    pauses: float = 1.0
    even: bool = False
    """Power stays as it is."""


EVEN: Final = Outlook(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, even=True)
"""While a battery warms up, the rise and the taper to come, neither of which is known, offset each other: half of the
usual estimate is this."""

OUTLOOKS: Final = (
    Outlook(0.0, 1.0, 1.6, 0.5, 0.30, 0.4),
    Outlook(0.5, 0.0, 1.0, 1.0, LAST_FRACTION, 1.0),
    Outlook(1.0, -1.0, 0.3, 1.6, 0.08, 1.8, 0.85),
)
"""At best, usually, at worst."""


def _finish(charge: Charge, history: PowerHistory, need: _Need, outlook: Outlook) -> datetime | None:
    """Step through time until the missing energy has flowed; None: not within the horizon."""
    power = _power_to_come(history, need, outlook)
    share = min(max(1 - outlook.share * (1 - history.share), 0.1), outlook.pauses)
    at, flowed, step = charge.now, 0.0, STEP / timedelta(hours=1)
    while at < charge.now + HORIZON:
        watts = power(flowed, (at - charge.now) / BIN, limit_at(charge.limits, at))
        brings = watts * 1000 * step * share
        if flowed + brings >= need.remaining:
            return at + STEP * ((need.remaining - flowed) / brings)
        flowed += brings
        at += STEP
    return None


Power = Callable[[float, float, float], float]
"""Watts, by the mWh that will have flowed, the bins that will have passed, and the limit that will hold."""


def _power_to_come(history: PowerHistory, need: _Need, outlook: Outlook) -> Power:
    level, most, slope = history.level * (1 + outlook.level * history.spread), history.most, history.slope
    to_full = need.to_full
    least_tapered, most_tapered = (
        share * (need.capacity or USUAL_CAPACITY_MWH) for share in TAPERED_SHARE[most > DIRECT]
    )
    if to_full is not None:  # it has not begun, as far as is seen
        most_tapered = max(min(most_tapered, to_full), least_tapered)
    tapered = least_tapered + outlook.taper * (most_tapered - least_tapered)
    rise, lasts = history.rising * outlook.rise, max(history.rises_for, 0.01)
    whole = level + rise * lasts

    def power(flowed: float, bins: float, limit: float) -> float:
        if outlook.even:
            return min(level, limit)
        able: float = level + rise * min(bins, lasts)
        if history.limited and limit > level:
            able = limit if limit < float("inf") else most  # held down until now, it takes what it may
        least = min(able, outlook.last * max(most, whole))
        if slope is not None:
            falls = slope * outlook.slope
            if to_full is not None and to_full > 0:
                falls = (falls + max(level - least, 0.0) / to_full) / 2
            able = max(able - falls * flowed, least)
        elif to_full is not None and to_full - flowed < tapered:
            begins = min(to_full, tapered)  # in the midst of it already, though nothing shows it
            left = max(to_full - flowed, 0.0) / begins if begins > 0 else 0.0
            able = min(able, least + (max(whole, able) - least) * left)
        return min(able, limit)

    return power

"""The power of a connector, as the samples of a message say it or let it be worked out (rules E1 to E8, E22).

A total goes before the phases' sum, a measured power before one of currents and voltages; what rests on an assumption
is marked as an estimate.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from math import sqrt
from typing import Final, TypeAlias

from attrs import evolve, frozen

from gateway.domain.readings import (
    CURRENT_IMPORT,
    NEUTRAL,
    PHASES,
    PHASES_TO_NEUTRAL,
    POWER_FACTOR,
    POWER_IMPORT,
    VOLTAGE,
    Sample,
    completed,
    conductor,
    groups_of,
    scaled_value,
)

ELECTRICAL: Final = frozenset({POWER_IMPORT, CURRENT_IMPORT, VOLTAGE, POWER_FACTOR})
"""From which samples a connector's power is taken."""

NOISE: Final = 0.5
"""A: less is what idle electronics and the meter's own error make of nothing (E3)."""

NOISE_WATTS: Final = NOISE * 230
"""W of a phase that carries nothing."""

LINE_TO_LINE: Final = 300.0
"""V: a phase's voltage above this is a line-to-line one under the wrong name (E4)."""

LINE_TO_LINE_SHARE: Final = 0.1
"""By how much the mains' line-to-line voltage may differ from the root of three times its phases'."""


class PowerSource(StrEnum):
    """Source of a connector's power, the best first."""

    MEASURED = "measured"
    """Power.Active.Import over all phases, as sent."""
    PHASES = "phases"
    """The sum of Power.Active.Import by phase."""
    CURRENT_VOLTAGE = "current-voltage"
    """Worked out from Current.Import and Voltage."""
    REGISTER_SLOPE = "register-slope"
    """Worked out from two registers. Of no message, which has one of them; a charging state falls back on it."""


@frozen
class Power:
    """The power of a connector at one moment. ``estimated``: it rests on an assumption (E3, E5, E6)."""

    watts: float
    at: datetime
    estimated: bool = False
    source: PowerSource = PowerSource.MEASURED
    context: str = "Sample.Periodic"
    location: str = "Outlet"


LivePower: TypeAlias = tuple[float, datetime, bool, PowerSource]
"""Watts, time, estimated, source of a ``Power``: a plain tuple, for one is made with each message."""


def powers(found: Iterable[Sample]) -> list[Power]:
    """The power that flows into the vehicle at each moment of a message, the oldest first; at most one for each.

    As measured (E1, E2), else from currents and voltages of that moment (E3 to E5): of one context and place, or, where
    no place has both, of several, which is an estimate. Limits are no measurements (E7), export is no import (E8); a
    power value that can't be read is none.
    """
    by_moment: dict[datetime, list[Sample]] = {}
    for sample in found:
        if sample.measurand in ELECTRICAL and scaled_value(sample) is not None:
            by_moment.setdefault(sample.at, []).append(sample)
    return [power for at in sorted(by_moment) if (power := _power_at(by_moment[at])) is not None]


def _power_at(found: list[Sample]) -> Power | None:
    for group in groups_of([s for s in found if s.measurand == POWER_IMPORT and s.unit in ("W", "kW")]):
        power = _measured_power(group)
        if power is not None:
            return power
    electrical = [s for s in found if s.measurand != POWER_IMPORT]
    groups = list(groups_of(electrical))
    for group in groups:
        power = _worked_out_power(group)
        if power is not None:
            return power
    return _power_of_several_places(groups)


def _power_of_several_places(groups: list[list[Sample]]) -> Power | None:
    """From the best currents and the best voltages of a moment that no context and place has both of. What the best
    place leaves out of the three phases comes from the next ones."""
    best: list[Sample] = []
    for measurand in (CURRENT_IMPORT, VOLTAGE, POWER_FACTOR):
        parts = [part for group in groups if (part := [s for s in group if s.measurand == measurand])]
        if parts:
            best += completed(parts[0], [s for part in parts[1:] for s in part])
    power = _worked_out_power(best)
    return None if power is None else evolve(power, estimated=True)


def _by_phase(group: Iterable[Sample], measurand: str) -> dict[str | None, float]:
    return {s.phase: float(value) for s in group if s.measurand == measurand and (value := scaled_value(s)) is not None}


def _measured_power(group: list[Sample]) -> Power | None:
    """E1: the total, else the phases' sum, never both; a lone N is nothing (E2). With phases missing it is a lower
    bound, and so an estimate: nothing says whether the unit has them (E6)."""
    powers = _by_phase(group, POWER_IMPORT)
    if None in powers:
        return _power(powers[None], group, False, PowerSource.MEASURED)
    parts = {conductor(name): powers[name] for name in (*PHASES_TO_NEUTRAL, *PHASES) if name in powers}
    if not parts:
        return None
    return _power(sum(parts.values()), group, len(parts) < 3, PowerSource.PHASES)


def _worked_out_power(group: list[Sample]) -> Power | None:
    """E3: the sum of I times V over live phases, times the power factor if it is given."""
    currents = _by_phase(group, CURRENT_IMPORT)
    sent_voltages = _by_phase(group, VOLTAGE)
    if not currents or not sent_voltages:
        return None
    direct = direct_current(currents, sent_voltages)
    if direct is not None:
        amperes, volts = direct
        watts = 0.0 if abs(amperes) < NOISE else amperes * volts
        return _power(watts, group, True, PowerSource.CURRENT_VOLTAGE)
    voltages = line_to_neutral(sent_voltages)
    if not voltages:
        return None
    average = sum(voltages.values()) / len(voltages)
    factors = {phase: factor for phase, sent in _by_phase(group, POWER_FACTOR).items() if (factor := _factor(sent))}
    mean_factor = sum(factors.values()) / len(factors) if factors else 1.0
    phased = {n: currents[n] for n in (*PHASES, *PHASES_TO_NEUTRAL) if n in currents}
    if not phased and None not in currents and len(voltages) == 1 and NEUTRAL in currents:
        # All there is: in a unit of one phase the neutral carries the same current (E2 leaves it out beside others).
        currents = {None: currents[NEUTRAL]}
    watts, estimated = 0.0, False
    if phased:
        for name, current in {name[:2]: current for name, current in reversed(phased.items())}.items():
            if abs(current) < NOISE:
                continue
            estimated = estimated or name not in voltages
            factor = factors.get(name, factors.get(f"{name}-N", mean_factor))
            watts += current * voltages.get(name, average) * factor
    elif None in currents:
        # Overall, by the specification; per phase, as many units have it (E5).
        estimated = True
        watts = 0.0 if abs(currents[None]) < NOISE else currents[None] * average * mean_factor
    else:
        return None  # a lone N
    return _power(watts, group, estimated, PowerSource.CURRENT_VOLTAGE)


def _power(watts: float, group: list[Sample], estimated: bool, source: PowerSource) -> Power:
    first = group[0]
    return Power(watts, first.at, estimated, source, first.context, first.location)


def direct_current(
    currents: Mapping[str | None, float], voltages: Mapping[str | None, float]
) -> tuple[float, float] | None:
    """Amperes and volts of a direct current (E5): a pair of one current and one voltage, above what a phase can have.

    Either neither is of a phase, whatever mains voltages are reported beside them; or both are of L1 and there is no
    other, as some units name the only line they have: one phase alone has no line-to-line voltage. A voltage that the
    mains' own phases have between them is theirs.
    """
    amperes = {conductor(name): value for name, value in currents.items() if name != NEUTRAL}
    volts = {conductor(name): value for name, value in voltages.items() if name != NEUTRAL and abs(value) >= NOISE}
    live = {name: value for name, value in amperes.items() if abs(value) >= NOISE} or amperes
    if live.keys() == {None} and volts.get(None, 0.0) > LINE_TO_LINE:
        mains = line_to_neutral(
            {name: value for name, value in voltages.items() if name is not None and abs(value) >= NOISE}
        )
        average = sum(mains.values()) / len(mains) if mains else 0.0
        own = abs(volts[None] / sqrt(3) - average) <= LINE_TO_LINE_SHARE * average
        return None if own else (live[None], volts[None])
    for name in (None, PHASES[0]):
        for other in (None, PHASES[0]):
            if live.keys() == {name} and volts.keys() == {other} and volts[other] > LINE_TO_LINE:
                return live[name], volts[other]
    return None


def _factor(sent: float) -> float:
    """A power factor from 0 to 1. Its sign says whether it leads or lags; some report percent. 0 for what is none."""
    factor = abs(sent)
    if factor > 1:
        factor /= 100
    return factor if factor <= 1 else 0.0


def line_to_neutral(sent: Mapping[str | None, float]) -> dict[str, float]:
    """Line-to-neutral voltages by L1, L2, L3 (E4); those of no known phase under names of their own."""
    found: dict[str, float] = {}
    for phase, volts in sent.items():
        if phase in PHASES or phase is None:
            found.setdefault(phase or "any", volts / sqrt(3) if volts > LINE_TO_LINE else volts)
        elif phase in PHASES_TO_NEUTRAL:
            found[phase[:2]] = volts
        elif phase in ("L1-L2", "L2-L3", "L3-L1"):
            found.setdefault(phase, volts / sqrt(3))
    return found

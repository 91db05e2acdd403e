"""Normalised readings: what a message's samples measured, each quantity in one unit, by phase and in total.

Readings are worked out from what is stored as sent, by these pure functions, whenever they are asked for; ``RULES``
says by which version of the rules. Nothing here corrects a value: what rests on an assumption is an estimate, and
reasons to doubt it are flags. The rules are those of ``gateway.domain.readings`` and ``gateway.domain.power``.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

from attrs import frozen

from gateway.domain.power import ELECTRICAL, LINE_TO_LINE, Power, PowerSource, direct_current, line_to_neutral, powers
from gateway.domain.readings import (
    CURRENT_IMPORT,
    ENERGY_IMPORT_REGISTER,
    NEUTRAL,
    PHASES,
    POWER_IMPORT,
    VOLTAGE,
    Sample,
    conductor,
    energy_mwh,
    groups_of,
    scaled_value,
    total_of_phases,
)
from gateway.domain.values import Flag

RULES: Final = 1
"""The version of these rules. It rises with each change that gives another reading for the same message."""

MEASURANDS: Final = frozenset(
    f"{quantity}.{way}.{kind}"
    for quantity in ("Energy.Active", "Energy.Reactive")
    for way in ("Export", "Import")
    for kind in ("Register", "Interval")
) | frozenset(
    (
        *(f"Power.{kind}.{way}" for kind in ("Active", "Reactive") for way in ("Export", "Import")),
        *("Power.Offered", "Power.Factor", "Current.Import", "Current.Export", "Current.Offered", "Voltage"),
        *("Frequency", "Temperature", "SoC", "RPM"),
    )
)
"""All that OCPP 1.6 has. Chargers send others, of their own making."""

MAX_SLOPE: Final = timedelta(minutes=15)
"""Two registers further apart tell little of the power at their end: chargers send one every minute."""

LEAST_SLOPE: Final = timedelta(seconds=10)
"""Nor do two that are closer: registers count in whole watt-hours, 360 W for ten seconds."""

HOUR: Final = timedelta(hours=1)


class Kind(StrEnum):
    """The quantity that a reading is of, with the unit of its value."""

    POWER = "power"
    """W, into the vehicle."""
    ENERGY_REGISTER = "energy-register"
    """Wh; exact in ``mwh``."""
    CURRENT = "current"
    """A, into the vehicle. In total: the sum over the phases."""
    VOLTAGE = "voltage"
    """V, from a phase to neutral, or of a direct current. In total: the mean over the phases (E27)."""
    STATE_OF_CHARGE = "state-of-charge"
    """Percent."""
    TEMPERATURE = "temperature"
    """Degrees Celsius."""
    FREQUENCY = "frequency"
    """Hertz."""


class ValueSource(StrEnum):
    """Source of a reading's value."""

    MEASURED = "measured"
    PHASES = "phases"
    """Put together from the phases."""
    CURRENT_VOLTAGE = "current-voltage"
    REGISTER_SLOPE = "register-slope"


@frozen
class Reading:
    """One value. ``phase`` L1, L2, L3 or N; empty: in total, or it has none. ``estimated``: it rests on an
    assumption."""

    kind: Kind
    value: float
    at: datetime
    phase: str = ""
    source: ValueSource = ValueSource.MEASURED
    estimated: bool = False
    context: str = "Sample.Periodic"
    location: str = "Outlet"
    flags: tuple[Flag, ...] = ()
    mwh: int | None = None
    """Of a register, in milliwatt-hours."""


_POWER_SOURCES: Final = {
    PowerSource.MEASURED: ValueSource.MEASURED,
    PowerSource.PHASES: ValueSource.PHASES,
    PowerSource.CURRENT_VOLTAGE: ValueSource.CURRENT_VOLTAGE,
}

_BY_PHASE: Final = {
    POWER_IMPORT: Kind.POWER,
    ENERGY_IMPORT_REGISTER: Kind.ENERGY_REGISTER,
    CURRENT_IMPORT: Kind.CURRENT,
    VOLTAGE: Kind.VOLTAGE,
}

_KELVIN: Final = 273.15

_CONVERSIONS: Final[Mapping[str, tuple[Kind, Mapping[str, Callable[[float], float]]]]] = {
    "SoC": (Kind.STATE_OF_CHARGE, {"Percent": lambda percent: percent}),
    "Temperature": (
        Kind.TEMPERATURE,
        {
            "Celsius": lambda degrees: degrees,
            "K": lambda kelvin: kelvin - _KELVIN,
            "Fahrenheit": lambda degrees: (degrees - 32) * 5 / 9,
        },
    ),
    "Frequency": (Kind.FREQUENCY, {"Hertz": lambda hertz: hertz}),
}
"""Of quantities without phases, by measurand: the kind, and each known unit's way to the kind's. A value in another
unit is none (E9)."""

FULL: Final = 100.0
"""Percent: no battery holds more."""

Moment: TypeAlias = list[Sample]


def readings_of(found: Iterable[Sample], flags: tuple[Flag, ...] = ()) -> list[Reading]:
    """The readings of a message's samples, the oldest moment first; in each the totals, then the phases. ``flags``: the
    message's own. Never raises."""
    moments: dict[datetime, Moment] = {}
    for sample in found:
        if sample.value is not None and sample.context != "Transaction.Begin":
            moments.setdefault(sample.at, []).append(sample)
    made: list[Reading] = []
    for at in sorted(moments):
        moment = moments[at]
        measured = {sample.measurand for sample in moment}
        for measurands, readings in _READERS:
            if not measurands.isdisjoint(measured):
                made += readings(moment, flags)
        if any(sample.phase is not None for sample in moment):
            made += _phases(moment, flags)
    return made


def slope(before: Reading, after: Reading) -> Reading | None:
    """The mean power between two states of one register, at the time of the later one; None where they tell none: too
    near or too far apart, or falling (E16)."""
    span = after.at - before.at
    if not LEAST_SLOPE <= span <= MAX_SLOPE or before.mwh is None or after.mwh is None or after.mwh < before.mwh:
        return None
    if before.location != after.location:
        return None
    watts = (after.mwh - before.mwh) / 1000 / (span / HOUR)
    return Reading(
        Kind.POWER,
        watts,
        after.at,
        "",
        ValueSource.REGISTER_SLOPE,
        True,
        after.context,
        after.location,
        tuple(dict.fromkeys((*before.flags, *after.flags))),
    )


# --- totals ---------------------------------------------------------------------------------------------------


def _powers(moment: Moment, flags: tuple[Flag, ...]) -> list[Reading]:
    return [
        Reading(
            Kind.POWER,
            each.watts,
            each.at,
            "",
            _POWER_SOURCES[each.source],
            each.estimated,
            each.context,
            each.location,
            _doubts(_behind(each, moment), flags),
        )
        for each in powers(moment)
    ]


def _behind(power: Power, moment: Moment) -> Moment:
    """The samples that a power was taken from."""
    if power.source is PowerSource.CURRENT_VOLTAGE:
        return [*_of(moment, CURRENT_IMPORT), *_of(moment, VOLTAGE)]
    return _of(moment, POWER_IMPORT)


def _registers(moment: Moment, flags: tuple[Flag, ...]) -> list[Reading]:
    """The register: the total, or the sum of all three phases, or a lone L1 (E19). A negative one is none (E14)."""
    usable = [s for s in _of(moment, ENERGY_IMPORT_REGISTER) if (energy := energy_mwh(s)) is not None and energy >= 0]
    for group in groups_of(usable, by_context_first=True):
        by_phase = {s.phase: scaled_value(s) for s in group}
        total = total_of_phases(by_phase)
        if total is not None:
            source = ValueSource.PHASES if by_phase.get(None) is None else ValueSource.MEASURED
            return [_register(total, group, "", source, flags)]
    return []


def _register(wh: Decimal, group: Moment, phase: str, source: ValueSource, flags: tuple[Flag, ...]) -> Reading:
    mwh = int((wh * 1000).to_integral_value())
    return Reading(
        Kind.ENERGY_REGISTER,
        float(wh),
        group[0].at,
        phase,
        source,
        False,
        group[0].context,
        group[0].location,
        _doubts(group, flags),
        mwh,
    )


def _currents(moment: Moment, flags: tuple[Flag, ...]) -> list[Reading]:
    """The current: as reported without a phase, which may be of one phase or of all and is an estimate unless it is a
    direct one (E5); else the sum over the phases, an estimate where some are missing (E6). A lone N is none (E2)."""
    for group in groups_of([s for s in _of(moment, CURRENT_IMPORT) if s.unit == "A"]):
        amperes = _values(group)
        if None in amperes:
            direct = direct_current(amperes, _values(_of(moment, VOLTAGE))) is not None
            return [_reading(Kind.CURRENT, amperes[None], group, flags, estimated=not direct)]
        parts = _plain(amperes)
        if parts:
            total = sum(parts.values())
            return [_reading(Kind.CURRENT, total, group, flags, source=ValueSource.PHASES, estimated=len(parts) < 3)]
    return []


def _voltages(moment: Moment, flags: tuple[Flag, ...]) -> list[Reading]:
    """The voltage: that of a direct current, or that without a phase, as it is; else the mean of the phases' to
    neutral, line-to-line ones divided by the root of three where the phase says so (E4, E27)."""
    amperes = _values(_of(moment, CURRENT_IMPORT))
    for group in groups_of([s for s in _of(moment, VOLTAGE) if s.unit == "V"]):
        volts = _values(group)
        direct = direct_current(amperes, volts)
        if direct is not None:
            return [_reading(Kind.VOLTAGE, direct[1], group, flags)]
        if None in volts:
            return [_reading(Kind.VOLTAGE, volts[None], group, flags)]
        phased = {phase: value for phase, value in volts.items() if phase != NEUTRAL}
        known = line_to_neutral(phased)
        if known:
            mean = sum(known.values()) / len(known)
            supposed = any(phase in PHASES and value > LINE_TO_LINE for phase, value in phased.items())
            return [_reading(Kind.VOLTAGE, mean, group, flags, source=ValueSource.PHASES, estimated=supposed)]
    return []


def _others(moment: Moment, flags: tuple[Flag, ...]) -> list[Reading]:
    found = []
    for measurand, (kind, conversions) in _CONVERSIONS.items():
        usable = [s for s in _of(moment, measurand) if s.unit in conversions]
        for group in groups_of(usable):
            sample = next((s for s in group if s.phase is None), group[0])
            value = conversions[sample.unit](float(sample.value or 0))
            if kind is not Kind.STATE_OF_CHARGE or 0 <= value <= FULL:
                found.append(_reading(kind, value, [sample], flags))
                break
    return found


# --- phases ---------------------------------------------------------------------------------------------------


def _phases(moment: Moment, flags: tuple[Flag, ...]) -> list[Reading]:
    """Each phase's value as it is reported, voltages to neutral; of several of a phase the best context and place."""
    found = []
    for measurand, kind in _BY_PHASE.items():
        usable = [s for s in _of(moment, measurand) if s.phase is not None and scaled_value(s) is not None]
        named: dict[str, Reading] = {}
        for group in groups_of(usable):
            for sample in group:
                phase = conductor(sample.phase)
                if phase in named or phase not in (*PHASES, NEUTRAL):
                    continue
                wh = scaled_value(sample) or Decimal(0)
                if kind is Kind.ENERGY_REGISTER:
                    if wh >= 0:
                        named[phase] = _register(wh, [sample], phase, ValueSource.MEASURED, flags)
                else:
                    named[phase] = _reading(kind, float(wh), [sample], flags, phase=phase)
        found += [named[phase] for phase in sorted(named)]
    return found


_READERS: Final = (
    (ELECTRICAL, _powers),
    (frozenset({ENERGY_IMPORT_REGISTER}), _registers),
    (frozenset({CURRENT_IMPORT}), _currents),
    (frozenset({VOLTAGE}), _voltages),
    (frozenset(_CONVERSIONS), _others),
)
"""Readers of totals, in their order, each with the measurands without one of which it finds nothing."""


def _of(moment: Moment, measurand: str) -> Moment:
    return [sample for sample in moment if sample.measurand == measurand]


def _values(group: Moment) -> dict[str | None, float]:
    return {s.phase: float(value) for s in group if (value := scaled_value(s)) is not None}


def _plain(values: Mapping[str | None, float]) -> dict[str, float]:
    """Those of L1, L2 and L3, by these names."""
    found: dict[str, float] = {}
    for phase, value in values.items():
        name = conductor(phase)
        if name in PHASES:
            found.setdefault(name, value)
    return found


def _reading(
    kind: Kind,
    value: float,
    group: Moment,
    flags: tuple[Flag, ...],
    *,
    phase: str = "",
    source: ValueSource = ValueSource.MEASURED,
    estimated: bool = False,
) -> Reading:
    first = group[0]
    return Reading(
        kind, value, first.at, phase, source, estimated, first.context, first.location, _doubts(group, flags)
    )


def _doubts(group: Moment, flags: tuple[Flag, ...]) -> tuple[Flag, ...]:
    return tuple(dict.fromkeys((*flags, *(flag for sample in group for flag in sample.flags))))

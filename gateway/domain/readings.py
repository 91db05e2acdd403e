"""Meter values as a charger sent them, read sample by sample, and what they say of energy and power (rules E).

Reading never fails and never drops a neighbour: what can't be read stays as sent, without a value (B6.7, E11, E26).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from math import sqrt
from typing import Any, Final, TypeAlias

from attrs import evolve, frozen

from gateway.domain.times import NO_TIME, ReportedTime, read_time
from gateway.domain.values import JSON, Flag

ENERGY_IMPORT_REGISTER: Final = "Energy.Active.Import.Register"
POWER_IMPORT: Final = "Power.Active.Import"
CURRENT_IMPORT: Final = "Current.Import"
VOLTAGE: Final = "Voltage"
POWER_FACTOR: Final = "Power.Factor"

PHASES: Final = ("L1", "L2", "L3")
PHASES_TO_NEUTRAL: Final = ("L1-N", "L2-N", "L3-N")
NEUTRAL: Final = "N"

_CONDUCTORS: Final[frozenset[str | None]] = frozenset(PHASES)

_TOTALLED: Final = frozenset({ENERGY_IMPORT_REGISTER, POWER_IMPORT})
"""Of these a value without a phase is the total of the phases."""

ELECTRICAL: Final = frozenset({POWER_IMPORT, CURRENT_IMPORT, VOLTAGE, POWER_FACTOR})
"""From which samples a connector's power is taken."""

MAX_TEXT: Final = 500
"""Characters kept of a name or a value; signed data (E26) is longer and is read from the event, where it is whole."""

NUMBER: Final = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?", re.ASCII)
"""E11. Neither NaN nor infinity nor a decimal comma, and bounded."""

MAX_MAGNITUDE: Final = Decimal(10) ** 15
"""A petawatt-hour: beyond it nothing was measured, and milli-watt-hours no longer fit 64 bits."""

NOISE: Final = 0.5
"""A: less is what idle electronics and the meter's own error make of nothing (E3)."""

LINE_TO_LINE: Final = 300.0
"""V: a phase's voltage above this is a line-to-line one under the wrong name (E4)."""

LINE_TO_LINE_SHARE: Final = 0.1
"""By how much the mains' line-to-line voltage may differ from the root of three times its phases'."""

_CONTEXTS: Final = {"Transaction.End": 0, "Sample.Periodic": 1, "Sample.Clock": 2, "Trigger": 3, "Other": 4}
"""Preference among samples of one message (E14). The rest come after; Transaction.Begin is a start only (quirk 17)."""

_LOCATIONS: Final = {"Outlet": 0, "Inlet": 1, "Cable": 2, "Body": 3, "EV": 4}
"""Preference among places (E21): a wallbox may know its only meter as its inlet."""

_DEFAULT_UNITS: Final = (
    ("Energy.Active", "Wh"),
    ("Energy.Reactive", "varh"),
    ("Power.Active", "W"),
    ("Power.Offered", "W"),
    ("Power.Reactive", "var"),
    ("Power.Factor", ""),
    ("Current", "A"),
    ("Voltage", "V"),
    ("Frequency", "Hertz"),
    ("Temperature", "Celsius"),
    ("SoC", "Percent"),
)
"""By the measurand's beginning. The specification's "always Wh" holds for energy alone (X13)."""

_UNITS: Final = (
    "Wh kWh varh kvarh W kW VA kVA var kvar A V K Celsius Fahrenheit Percent Hertz".split()  # noqa: SIM905
)
_UNIT_SPELLINGS: Final[Mapping[str, str]] = {
    **{unit.lower(): unit for unit in _UNITS},
    "celcius": "Celsius",  # X10
    "hz": "Hertz",
    "%": "Percent",
}

_MOST: Final = {"Wh": Decimal(2**32 - 1), "W": Decimal(1_000_000), "A": Decimal(2_000), "V": Decimal(1_500)}
"""What no charger's meter shows (E28): a register beyond 32 bits, and what no vehicle takes."""

_SCALES: Final = {"Wh": 1, "kWh": 1000, "W": 1, "kW": 1000, "A": 1, "V": 1}


@frozen
class Sample:
    """One sampledValue. ``value`` is None where it is no number; ``value_raw`` is what was sent, as text."""

    timestamp_raw: str | None
    timestamp: datetime | None
    """The charger's time; None where it gave none, or one that can't be read or can't be right."""
    received_at: datetime
    measurand: str
    value_raw: str
    value: Decimal | None
    unit: str
    """In the specification's spelling where it is known, else as sent; empty where the measurand has none."""
    phase: str | None = None
    context: str = "Sample.Periodic"
    location: str = "Outlet"
    format: str = "Raw"
    flags: tuple[Flag, ...] = ()

    @property
    def at(self) -> datetime:
        """The time at which it was taken, as far as is known."""
        return self.timestamp or self.received_at


class PowerSource(StrEnum):
    """Source of a connector's power, the best first."""

    MEASURED = "measured"
    """Power.Active.Import over all phases, as sent."""
    PHASES = "phases"
    """The sum of Power.Active.Import by phase."""
    CURRENT_VOLTAGE = "current-voltage"
    """Worked out from Current.Import and Voltage."""


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


def samples(meter_value: Iterable[JSON], received_at: datetime) -> list[Sample]:
    """Every sample of ``meter_value`` (a list in MeterValues' shape), with the defaults of S §7.43 (B6.5).

    Never raises; what has no sample in it gives none.
    """
    found: list[Sample] = []
    for element in meter_value:
        if not isinstance(element, dict):
            continue
        raw = element.get("timestamp")
        time = read_time(raw, received_at) if isinstance(raw, str) else NO_TIME
        sampled = element.get("sampledValue")
        for sent in sampled if isinstance(sampled, list) else (sampled,):
            if isinstance(sent, dict):
                found.append(_sample(sent, raw if isinstance(raw, str) else None, time, received_at))
    return found


def energy_mwh(sample: Sample) -> int | None:
    """An energy in milli-watt-hours (rounded half to even), None for what is no active energy in Wh or kWh."""
    if not sample.measurand.startswith("Energy.Active") or sample.unit not in ("Wh", "kWh"):
        return None
    scaled = _scaled(sample)
    return None if scaled is None else int((scaled * 1000).to_integral_value())


def register_wh(found: Iterable[Sample]) -> Decimal | None:
    """The import register of one message, in Wh: the end of a transaction before periodic before clock-aligned values,
    of these the newest, never the begin (E14); the sum of the phases where there is no total (E19)."""
    registers = [s for s in found if s.measurand == ENERGY_IMPORT_REGISTER and s.context != "Transaction.Begin"]
    usable = [s for s in registers if (energy := energy_mwh(s)) is not None and energy >= 0]
    for group in _groups(usable, by_context_first=True):
        total = _total_of_phases({s.phase: _scaled(s) for s in group})
        if total is not None:
            return total
    return None


def powers(found: Iterable[Sample]) -> list[Power]:
    """The power that flows into the vehicle at each moment of a message, the oldest first; at most one for each.

    As measured (E1, E2), else from currents and voltages of that moment (E3 to E5): of one context and place, or, where
    no place has both, of several, which is an estimate. Limits are no measurements (E7), export is no import (E8); a
    power value that can't be read is none.
    """
    by_moment: dict[datetime, list[Sample]] = {}
    for sample in found:
        if sample.measurand in ELECTRICAL and _scaled(sample) is not None:
            by_moment.setdefault(sample.at, []).append(sample)
    return [power for at in sorted(by_moment) if (power := _power_at(by_moment[at])) is not None]


def _power_at(found: list[Sample]) -> Power | None:
    for group in _groups([s for s in found if s.measurand == POWER_IMPORT and s.unit in ("W", "kW")]):
        power = _measured_power(group)
        if power is not None:
            return power
    electrical = [s for s in found if s.measurand != POWER_IMPORT]
    groups = list(_groups(electrical))
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
            best += _completed(parts[0], [s for part in parts[1:] for s in part])
    power = _worked_out_power(best)
    return None if power is None else evolve(power, estimated=True)


# --- one sample -----------------------------------------------------------------------------------------------


def _sample(sent: dict[str, Any], timestamp_raw: str | None, time: ReportedTime, received_at: datetime) -> Sample:
    measurand = _text(sent.get("measurand")) or ENERGY_IMPORT_REGISTER
    unit = _unit(_text(sent.get("unit")), measurand)
    form = _text(sent.get("format")) or "Raw"
    raw = sent.get("value")
    value = None if form == "SignedData" else read_number(raw)
    return Sample(
        timestamp_raw,
        time.trusted,
        received_at,
        measurand,
        "" if raw is None else str(raw)[:MAX_TEXT],
        value,
        unit,
        _text(sent.get("phase")),
        _text(sent.get("context")) or "Sample.Periodic",
        _text(sent.get("location")) or "Outlet",
        form,
        (*time.flags, Flag.METER_IMPLAUSIBLE) if _is_implausible(value, unit) else time.flags,
    )


def _is_implausible(value: Decimal | None, unit: str) -> bool:
    scale = _SCALES.get(unit)
    if value is None or scale is None:
        return False
    return abs(value * scale) > _MOST[unit.removeprefix("k")]


def _text(value: JSON) -> str | None:
    """A name that was given; blanks around it, an empty one and the word ``null`` are nothing (quirk 13)."""
    if not isinstance(value, str):
        return None
    text = value[:MAX_TEXT].strip()
    return None if text in ("", "null") else text


def read_number(raw: JSON) -> Decimal | None:
    """A value as sent, a number or its text (E11); None for what is neither, or beyond anything that is measured."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    text = str(raw)
    if len(text) > MAX_TEXT or not NUMBER.fullmatch(text := text.strip()):
        return None
    value = Decimal(text)
    return value if abs(value) <= MAX_MAGNITUDE else None


def _unit(sent: str | None, measurand: str) -> str:
    """E9: exactly, then loosely; an unknown one stays as it is."""
    if sent is not None:
        return sent if sent in _SCALES else _UNIT_SPELLINGS.get(sent.lower(), sent)
    return next((unit for beginning, unit in _DEFAULT_UNITS if measurand.startswith(beginning)), "")


def _scaled(sample: Sample) -> Decimal | None:
    """The value in Wh, W, A or V; a factor as it is; None for what has another unit."""
    if sample.value is None:
        return None
    if sample.measurand == POWER_FACTOR:
        return sample.value
    scale = _SCALES.get(sample.unit)
    if scale is None or abs(scaled := sample.value * scale) > MAX_MAGNITUDE:
        return None
    return scaled


# --- many samples ---------------------------------------------------------------------------------------------


def _groups(found: list[Sample], *, by_context_first: bool = False) -> Iterator[list[Sample]]:
    """Samples of one moment, context and place (E22), the best first: never are two of these added up. Phases that a
    context leaves out are taken from the same moment and place under another one: else a part would be the whole."""
    groups: dict[tuple[datetime, str, str], list[Sample]] = {}
    for sample in found:
        groups.setdefault((sample.at, sample.context, sample.location), []).append(sample)

    def rank(key: tuple[datetime, str, str]) -> tuple[float, ...]:
        at, context, location = key
        newest = -at.timestamp()
        preferred = _CONTEXTS.get(context, 6 if context == "Transaction.Begin" else 5)
        place = _LOCATIONS.get(location, 5)
        return (preferred, newest, place) if by_context_first else (newest, preferred, place)

    ranked = sorted(groups, key=rank)
    for key in ranked:
        others = [each for each in ranked if each != key and (each[0], each[2]) == (key[0], key[2])]
        yield _completed(groups[key], [s for each in others for s in groups[each]]) if others else groups[key]


def _completed(group: list[Sample], others: list[Sample]) -> list[Sample]:
    """A group with what it lacks of what it has by phase: the other phases, and the total of a power or register."""
    known: dict[str, set[str | None]] = {}
    for sample in group:
        known.setdefault(sample.measurand, set()).add(_conductor(sample.phase))
    by_phase = {measurand for measurand, names in known.items() if None not in names and names & _CONDUCTORS}
    more = []
    for sample in others:
        name = _conductor(sample.phase)
        wanted = name in _CONDUCTORS or (name is None and sample.measurand in _TOTALLED)
        if wanted and sample.measurand in by_phase and name not in known[sample.measurand]:
            known[sample.measurand].add(name)
            more.append(sample)
    return [*group, *more]


def _conductor(phase: str | None) -> str | None:
    """L1 for both L1 and L1-N, as for the others; any other name as it is."""
    return phase[:2] if phase in PHASES_TO_NEUTRAL else phase


def _total_of_phases(by_phase: Mapping[str | None, Decimal | None]) -> Decimal | None:
    """E19: the total, or the sum of all three phases, or a lone L1, which is the total of a 1-phase unit."""
    if by_phase.get(None) is not None:
        return by_phase[None]
    parts = {}
    for name, plain in zip((*PHASES, *PHASES_TO_NEUTRAL), PHASES * 2, strict=True):
        if plain not in parts and (part := by_phase.get(name)) is not None:
            parts[plain] = part
    if len(parts) == 3 or parts.keys() == {PHASES[0]}:
        return sum(parts.values(), Decimal(0))
    return None


def _by_phase(group: Iterable[Sample], measurand: str) -> dict[str | None, float]:
    return {s.phase: float(value) for s in group if s.measurand == measurand and (value := _scaled(s)) is not None}


def _measured_power(group: list[Sample]) -> Power | None:
    """E1: the total, else the phases' sum, never both; a lone N is nothing (E2). With phases missing it is a lower
    bound, and so an estimate: nothing says whether the unit has them (E6)."""
    powers = _by_phase(group, POWER_IMPORT)
    if None in powers:
        return _power(powers[None], group, False, PowerSource.MEASURED)
    parts = {_conductor(name): powers[name] for name in (*PHASES_TO_NEUTRAL, *PHASES) if name in powers}
    if not parts:
        return None
    return _power(sum(parts.values()), group, len(parts) < 3, PowerSource.PHASES)


def _worked_out_power(group: list[Sample]) -> Power | None:
    """E3: the sum of I times V over live phases, times the power factor if it is given."""
    currents = _by_phase(group, CURRENT_IMPORT)
    sent_voltages = _by_phase(group, VOLTAGE)
    if not currents or not sent_voltages:
        return None
    direct = _direct(currents, sent_voltages)
    if direct is not None:
        amperes, volts = direct
        watts = 0.0 if abs(amperes) < NOISE else amperes * volts
        return _power(watts, group, True, PowerSource.CURRENT_VOLTAGE)
    voltages = _voltages(sent_voltages)
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


def _direct(currents: Mapping[str | None, float], voltages: Mapping[str | None, float]) -> tuple[float, float] | None:
    """Amperes and volts of a direct current (E5): a pair of one current and one voltage, above what a phase can have.

    Either neither is of a phase, whatever mains voltages are reported beside them; or both are of L1 and there is no
    other, as some units name the only line they have: one phase alone has no line-to-line voltage. A voltage that the
    mains' own phases have between them is theirs.
    """
    amperes = {_conductor(name): value for name, value in currents.items() if name != NEUTRAL}
    volts = {_conductor(name): value for name, value in voltages.items() if name != NEUTRAL and abs(value) >= NOISE}
    live = {name: value for name, value in amperes.items() if abs(value) >= NOISE} or amperes
    if live.keys() == {None} and volts.get(None, 0.0) > LINE_TO_LINE:
        mains = _voltages({name: value for name, value in voltages.items() if name is not None and abs(value) >= NOISE})
        average = sum(mains.values()) / len(mains) if mains else 0.0
        own = abs(volts[None] / sqrt(3) - average) <= LINE_TO_LINE_SHARE * average
        return None if own else (live[None], volts[None])
    for name in (None, PHASES[0]):
        for other in (None, PHASES[0]):
            if live.keys() == {name} and volts.keys() == {other} and volts[other] > LINE_TO_LINE:
                return live[name], volts[other]
    return None


def _factor(sent: float) -> float:
    """A power factor from 0 to 1. Its sign tells leading from lagging; some tell it in percent. 0 for what is none."""
    factor = abs(sent)
    if factor > 1:
        factor /= 100
    return factor if factor <= 1 else 0.0


def _voltages(sent: Mapping[str | None, float]) -> dict[str, float]:
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

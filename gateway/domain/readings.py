"""Meter values as a charger sent them, read sample by sample, and the register that they show (rules E).

Reading never fails and never drops a neighbour: what can't be read stays as sent, without a value (B6.7, E11, E26).
What the samples say of power is in ``domain.power``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from attrs import frozen

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

MAX_TEXT: Final = 500
"""Characters kept of a name or a value; signed data (E26) is longer and is read from the event, where it is whole."""

NUMBER: Final = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?", re.ASCII)
"""E11. Neither NaN nor infinity nor a decimal comma, and bounded."""

MAX_MAGNITUDE: Final = Decimal(10) ** 15
"""A petawatt-hour: beyond it nothing was measured, and milli-watt-hours no longer fit 64 bits."""

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
    scaled = scaled_value(sample)
    return None if scaled is None else int((scaled * 1000).to_integral_value())


def register_wh(found: Iterable[Sample]) -> Decimal | None:
    """The import register of one message, in Wh: the end of a transaction before periodic before clock-aligned values,
    of these the newest, never the begin (E14); the sum of the phases where there is no total (E19)."""
    registers = [s for s in found if s.measurand == ENERGY_IMPORT_REGISTER and s.context != "Transaction.Begin"]
    usable = [s for s in registers if (energy := energy_mwh(s)) is not None and energy >= 0]
    for group in groups_of(usable, by_context_first=True):
        total = total_of_phases({s.phase: scaled_value(s) for s in group})
        if total is not None:
            return total
    return None


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


def scaled_value(sample: Sample) -> Decimal | None:
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


def groups_of(found: list[Sample], *, by_context_first: bool = False) -> Iterator[list[Sample]]:
    """Samples of one moment, context and place (E22), the best first: never are two of these added up. Phases that a
    context leaves out are taken from the same moment and place under another one: else a part would be the whole."""
    if len(found) <= 1:  # nearly always: a quantity once in a message
        if found:
            yield found
        return
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
        yield completed(groups[key], [s for each in others for s in groups[each]]) if others else groups[key]


def completed(group: list[Sample], others: list[Sample]) -> list[Sample]:
    """A group with what it lacks of what it has by phase: the other phases, and the total of a power or register."""
    known: dict[str, set[str | None]] = {}
    for sample in group:
        known.setdefault(sample.measurand, set()).add(conductor(sample.phase))
    by_phase = {measurand for measurand, names in known.items() if None not in names and names & _CONDUCTORS}
    more = []
    for sample in others:
        name = conductor(sample.phase)
        wanted = name in _CONDUCTORS or (name is None and sample.measurand in _TOTALLED)
        if wanted and sample.measurand in by_phase and name not in known[sample.measurand]:
            known[sample.measurand].add(name)
            more.append(sample)
    return [*group, *more]


def conductor(phase: str | None) -> str | None:
    """L1 for both L1 and L1-N, as for the others; any other name as it is."""
    return phase[:2] if phase in PHASES_TO_NEUTRAL else phase


def total_of_phases(by_phase: Mapping[str | None, Decimal | None]) -> Decimal | None:
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

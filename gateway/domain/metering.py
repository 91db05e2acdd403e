"""Normalised readings of one event: energy registers in milliwatt-hours, power in watts, state of charge in percent.

The energy of a session is worked out from these. The rules by which meter values are read are those of
``gateway.domain.readings``; this module names no measurand of a protocol in what it answers.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

from attrs import evolve, frozen

from gateway.domain.codec import UnreadableBody, decode
from gateway.domain.dialects import samples_of
from gateway.domain.events import (
    ChargePointBooted,
    MeterValuesReported,
    StoredEvent,
    TransactionAttributed,
    TransactionClosed,
    TransactionStarted,
    TransactionStopped,
)
from gateway.domain.power import NOISE, NOISE_WATTS, powers
from gateway.domain.readings import (
    CURRENT_IMPORT,
    ENERGY_IMPORT_REGISTER,
    PHASES,
    POWER_IMPORT,
    Sample,
    conductor,
    register_wh,
    scaled_value,
)
from gateway.domain.registers import thinned
from gateway.domain.values import Flag

STATE_OF_CHARGE: Final = "SoC"

BEGIN: Final = "Transaction.Begin"

PERIODIC: Final = "Sample.Periodic"

ENERGY_INTERVAL: Final = "Energy.Active.Import.Interval"

MOST_MWH: Final = 10**18
"""More was not measured, and no longer fits 64 bits."""


MAX_MOMENTS: Final = 5_000
"""Moments of one message that are read, evenly spread: a stop may bring all samples of a session, and three days of one
each minute are read whole. 25 µs each, and not while a charger waits."""


@frozen
class RegisterSample:
    """The value of an energy import register at one moment. ``timed``: the time is the meter's; else that of receipt
    stands in, since the meter gave none that can be right. Samples of different places are of different registers."""

    mwh: int
    at: datetime
    timed: bool = True
    place: str = "Outlet"


@frozen
class IntervalSample:
    """The energy that a meter counted since its sample before, as read at the end of that time. Samples of different
    contexts (periodic, by the clock) and places count the same energy again (E20)."""

    mwh: int
    at: datetime
    context: str
    place: str = "Outlet"


@frozen
class PowerSample:
    """The power that flowed into the vehicle at one moment, in watts. ``estimated``: it rests on an assumption."""

    watts: float
    at: datetime
    estimated: bool = False


@frozen
class SocSample:
    """The vehicle's state of charge at one moment, 0 to 100 percent."""

    percent: float
    at: datetime


@frozen
class PhaseCount:
    """The number of phases, 1 to 3, on which a vehicle charged at one moment."""

    phases: int
    at: datetime


@frozen
class Edge:
    """The start or the stop of a session. ``mwh`` None: its register is missing or can't be a register's.

    ``timed``: the time is the charger's; else that of receipt stands in. ``doubted``: it was flagged as implausible
    when it was recorded. ``by_operator``: an operator gave it, or tied it to the session.
    """

    at: datetime
    mwh: int | None
    timed: bool = True
    doubted: bool = False
    by_operator: bool = False


@frozen
class Boot:
    """A boot of the charge point, with the serial numbers that it named (charge point, charge box, meter).
    ``another``: one of them was another one than before, as was seen when it was recorded."""

    at: datetime
    serials: tuple[str | None, str | None, str | None]
    another: bool = False


@frozen
class Metered:
    """The readings that one event holds. ``sequence`` and ``type`` are the event's; ``late``: it was queued before it
    was sent; ``suspect``: it came without a time that can be right."""

    sequence: int
    start: Edge | None = None
    stop: Edge | None = None
    registers: tuple[RegisterSample, ...] = ()
    begins: tuple[RegisterSample, ...] = ()
    powers: tuple[PowerSample, ...] = ()
    socs: tuple[SocSample, ...] = ()
    intervals: tuple[IntervalSample, ...] = ()
    boot: Boot | None = None
    type: str = ""
    late: bool = False
    suspect: bool = False
    phases: PhaseCount | None = None

    @property
    def readings(self) -> int:
        """The number of samples."""
        return len(self.registers) + len(self.begins) + len(self.powers) + len(self.socs) + len(self.intervals)


@frozen
class Metering:
    """All that was metered in a session. ``stop`` None: it runs, or its stop was lost. Samples in any order, also
    repeated. ``begins``: registers that the meter read for the begin, beside that of ``start`` (E14).
    ``meter_changes``: when the meter was replaced, as far as that is known by other means."""

    start: Edge
    stop: Edge | None = None
    registers: tuple[RegisterSample, ...] = ()
    begins: tuple[RegisterSample, ...] = ()
    powers: tuple[PowerSample, ...] = ()
    socs: tuple[SocSample, ...] = ()
    intervals: tuple[IntervalSample, ...] = ()
    meter_changes: tuple[datetime, ...] = ()
    deleted: bool = False
    """Whether its readings are gone by retention."""
    phases: int | None = None
    """Phases on which the vehicle charges, by the newest reading that shows it; None: none does."""


def metering_of(parts: Iterable[Metered], start: Edge, stop: Edge | None) -> Metering:
    """Put together what several events, in any order, say of one session. ``start`` and ``stop`` stand in where none of
    them holds one, because its events are gone by retention. Of several stops the last recorded one counts."""
    ordered = sorted(parts, key=lambda part: part.sequence)
    starts = [part.start for part in ordered if part.start is not None]
    stops = [part.stop for part in ordered if part.stop is not None]
    counts = [part.phases for part in ordered if part.phases is not None]
    return Metering(
        starts[0] if starts else start,
        stops[-1] if stops else stop,
        tuple(each for part in ordered for each in part.registers),
        tuple(each for part in ordered for each in part.begins),
        tuple(each for part in ordered for each in part.powers),
        tuple(each for part in ordered for each in part.socs),
        tuple(each for part in ordered for each in part.intervals),
        tuple(meter_changes(part.boot for part in ordered if part.boot is not None)),
        deleted=not starts,
        phases=max(counts, key=lambda count: count.at).phases if counts else None,
    )


def meter_changes(boots: Iterable[Boot]) -> Iterator[datetime]:
    """The times of the boots, in their order, that show another meter, or another charge point, in its place (E17).
    What a boot leaves out is as it was."""
    known: tuple[str | None, ...] = (None, None, None)
    for boot in boots:
        pairs = zip(known, boot.serials, strict=True)
        if boot.another or any(None not in pair and pair[0] != pair[1] for pair in pairs):
            yield boot.at
        known = tuple(new or old for old, new in zip(known, boot.serials, strict=True))


def metered(event: StoredEvent) -> Metered:
    """The readings of a stored event. Never raises: an event without any, or one that can't be read, gives none."""
    found = _metered(event)
    late, suspect = Flag.LATE in event.flags, not SUSPECT.isdisjoint(event.flags)
    return evolve(found, type=event.type, late=late, suspect=suspect)


SUSPECT: Final = frozenset({Flag.CLOCK_SUSPECT, Flag.TIME_UNREADABLE})
"""Flags of a message without a time that can be right."""


def _metered(event: StoredEvent) -> Metered:
    try:
        body = decode(event.type, event.version, event.body_json)
    except UnreadableBody:
        return Metered(event.sequence)
    match body:
        case TransactionStarted():
            return Metered(event.sequence, start=_edge(event, body.meter_start, event.received_at))
        case TransactionStopped():
            return _of_values(event, body, _edge(event, body.meter_stop, event.received_at))
        case TransactionAttributed():
            stop = evolve(_edge(event, body.meter_stop, body.stop_received_at), by_operator=True)
            return _of_values(event, body, stop)
        case TransactionClosed(meter_stop=int() as register):
            given = edge(body.ended_at or event.received_at, register, timed=True, doubted=False)
            return Metered(event.sequence, stop=evolve(given, by_operator=True))
        case MeterValuesReported():
            return _of_values(event, body, None)
        case ChargePointBooted():
            boot = body.boot
            serials = (boot.charge_point_serial_number, boot.charge_box_serial_number, boot.meter_serial_number)
            another = not ANOTHER.isdisjoint(event.flags)
            return Metered(event.sequence, boot=Boot(event.received_at, serials, another))
        case _:
            return Metered(event.sequence)


ANOTHER: Final = frozenset({Flag.SERIAL_CHANGED, Flag.METER_CHANGED})
"""Flags of a boot of another charge point, or with another meter."""


def _edge(event: StoredEvent, watt_hours: int, received_at: datetime) -> Edge:
    timed = event.reported_at is not None and Flag.CLOCK_SUSPECT not in event.flags
    at = event.reported_at if timed and event.reported_at is not None else received_at
    doubted = Flag.METER_IMPLAUSIBLE in event.flags
    missing = doubted and Flag.DEVIATES in event.flags
    return edge(at, watt_hours, timed=timed, doubted=doubted, missing=missing)


def edge(at: datetime, watt_hours: int, *, timed: bool, doubted: bool, missing: bool = False) -> Edge:
    """A start or stop with a register as sent. One that is negative is none. ``missing``: a 0 may stand for a register
    that was not sent."""
    usable = watt_hours * 1000 <= MOST_MWH and (watt_hours > 0 or (watt_hours == 0 and not missing))
    return Edge(at, watt_hours * 1000 if usable else None, timed, doubted)


def _of_values(
    event: StoredEvent, body: MeterValuesReported | TransactionStopped | TransactionAttributed, stop: Edge | None
) -> Metered:
    received_at = body.stop_received_at if isinstance(body, TransactionAttributed) else event.received_at
    found = samples_of(body.dialect, thinned(body.meter_value, MAX_MOMENTS), received_at)
    flowing = tuple(PowerSample(each.watts, each.at, each.estimated) for each in powers(found))
    return Metered(
        event.sequence,
        None,
        stop,
        _registers(found),
        _begins(found),
        flowing,
        _socs(found),
        _intervals(found),
        phases=_phases(found),
    )


def _phases(found: list[Sample]) -> PhaseCount | None:
    """The phases with a current, or else a power, at the newest moment that has all three of them: what is left out of
    a message may carry as much. None: no moment shows any."""
    values: dict[tuple[datetime, bool], dict[str, Decimal]] = {}
    for sample in found:
        if sample.measurand not in (CURRENT_IMPORT, POWER_IMPORT) or sample.phase is None:
            continue
        phase, value = conductor(sample.phase), scaled_value(sample)
        if phase in PHASES and value is not None:
            values.setdefault((sample.at, sample.measurand == CURRENT_IMPORT), {}).setdefault(phase, value)
    for at, current in sorted(values, reverse=True):
        by_phase = values[at, current]
        live = sum(abs(value) >= (NOISE if current else NOISE_WATTS) for value in by_phase.values())
        if len(by_phase) == len(PHASES) and live:
            return PhaseCount(live, at)
    return None


def _registers(found: list[Sample]) -> tuple[RegisterSample, ...]:
    """One for each moment and place: those of two places are two registers, and are not compared (E21, E22)."""
    groups: dict[tuple[datetime, bool, str], list[Sample]] = {}
    for sample in found:
        groups.setdefault((sample.at, sample.timestamp is not None, sample.location), []).append(sample)
    registers = []
    for (at, timed, place), group in groups.items():
        wh = register_wh(group)
        mwh = None if wh is None else int((wh * 1000).to_integral_value())
        if mwh is not None and mwh <= MOST_MWH:
            registers.append(RegisterSample(mwh, at, timed, place))
    return tuple(registers)


def _begins(found: list[Sample]) -> tuple[RegisterSample, ...]:
    """Registers that the meter read for the begin of a transaction, which are none of a moment on the way (E14)."""
    begun = [each for each in found if each.context == BEGIN and each.measurand == ENERGY_IMPORT_REGISTER]
    return _registers([evolve(each, context=PERIODIC) for each in begun]) if begun else ()


def _intervals(found: list[Sample]) -> tuple[IntervalSample, ...]:
    """One for each moment, context and place, read as a register is: the total, or all phases together (E20)."""
    groups: dict[tuple[datetime, str, str], list[Sample]] = {}
    for sample in found:
        if sample.measurand == ENERGY_INTERVAL:
            as_register = evolve(sample, measurand=ENERGY_IMPORT_REGISTER)
            groups.setdefault((sample.at, sample.context, sample.location), []).append(as_register)
    read = [(key, register_wh(group)) for key, group in groups.items()]
    return tuple(
        IntervalSample(int((wh * 1000).to_integral_value()), at, context, place)
        for (at, context, place), wh in read
        if wh is not None and wh * 1000 <= MOST_MWH
    )


def _socs(found: list[Sample]) -> tuple[SocSample, ...]:
    return tuple(
        SocSample(float(sample.value), sample.at)
        for sample in found
        if sample.measurand == STATE_OF_CHARGE and sample.value is not None and Decimal(0) <= sample.value <= 100
    )

"""Normalised readings: vectors of rule and value, made by hand; and that nothing makes them fail."""

from datetime import timedelta
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import measurements
from gateway.domain.measurements import MAX_SLOPE, Kind, Reading, ValueSource, readings_of, slope
from gateway.domain.readings import samples
from gateway.domain.values import Flag
from tests.domain.test_readings import CURRENT, NOW, POWER, REGISTER, VOLTAGE, currents, read, sample, voltages
from tests.domain.values import SENT

M, P, IV = ValueSource.MEASURED, ValueSource.PHASES, ValueSource.CURRENT_VOLTAGE


def totals(*sampled):
    """Kind to value, source and estimate of what is in total."""
    found = readings_of(read(*sampled))
    return {each.kind: (round(each.value, 1), each.source, each.estimated) for each in found if not each.phase}


def by_phase(*sampled):
    return {(each.kind, each.phase): round(each.value, 1) for each in readings_of(read(*sampled)) if each.phase}


def phased(measurand, *values, names=("L1", "L2", "L3"), unit=None):
    return [sample(str(value), measurand, name, unit) for name, value in zip(names, values, strict=False)]


@pytest.mark.parametrize(
    ("rule", "sampled", "kind", "expected"),
    [
        ("E1 total", [sample("7.4", POWER, unit="kW"), *phased(POWER, 1, 2, 3)], Kind.POWER, (7400.0, M, False)),
        ("E1 phases", phased(POWER, 2300, 2310, 2290), Kind.POWER, (6900.0, P, False)),
        ("E1 phases to neutral", phased(POWER, 1, 2, 3, names=("L1-N", "L2-N", "L3-N")), Kind.POWER, (6.0, P, False)),
        ("E2 lone N", phased(POWER, 9, names=("N",)), Kind.POWER, None),
        ("E3", [*currents(10, 10, 10), *voltages(230, 231, 229)], Kind.POWER, (6900.0, IV, False)),
        ("E3 live phases", [*currents(16, 0.2, 0.1), *voltages(230, 231, 229)], Kind.POWER, (3680.0, IV, False)),
        (
            "E4 line to line",
            [*currents(10, 10, 10), *voltages(400, 400, 400, names=("L1-L2", "L2-L3", "L3-L1"))],
            Kind.POWER,
            (round(30 * 400 / sqrt(3), 1), IV, True),
        ),
        ("E5 direct", [sample("37.3", CURRENT), sample("587.2", VOLTAGE)], Kind.POWER, (21902.6, IV, True)),
        ("E5 overall current", [sample("10", CURRENT), sample("230", VOLTAGE)], Kind.POWER, (2300.0, IV, True)),
        ("E6 L1 alone", phased(POWER, 2300), Kind.POWER, (2300.0, P, True)),
        ("E7", [sample("11000", "Power.Offered"), sample("16", "Current.Offered")], Kind.POWER, None),
        ("E7 current", [sample("16", "Current.Offered")], Kind.CURRENT, None),
        ("E8", [sample("5000", "Power.Active.Export"), sample("20", "Current.Export")], Kind.POWER, None),
        ("E9 default", [{"value": "1234"}], Kind.ENERGY_REGISTER, (1234.0, M, False)),
        ("E9 kWh", [sample("1.2345", REGISTER, unit="kWh")], Kind.ENERGY_REGISTER, (1234.5, M, False)),
        ("E9 unknown unit", [sample("5", REGISTER, unit="MJ")], Kind.ENERGY_REGISTER, None),
        ("E9 power without a unit", [sample("1500", POWER)], Kind.POWER, (1500.0, M, False)),
        ("E11 text", [sample(" 9.60", POWER)], Kind.POWER, (9.6, M, False)),
        ("E11 exponent", [sample("1e3", POWER)], Kind.POWER, (1000.0, M, False)),
        ("E11 comma", [sample("9,6", POWER)], Kind.POWER, None),
        ("E11 NaN", [sample("NaN", POWER)], Kind.POWER, None),
        ("E14 begin", [sample("100", REGISTER, context="Transaction.Begin")], Kind.ENERGY_REGISTER, None),
        (
            "E14 end first",
            [sample("5", REGISTER), sample("7", REGISTER, context="Transaction.End")],
            Kind.ENERGY_REGISTER,
            (7.0, M, False),
        ),
        ("E14 negative", [sample("-5", REGISTER)], Kind.ENERGY_REGISTER, None),
        ("E19 three phases", phased(REGISTER, 10, 20, 30), Kind.ENERGY_REGISTER, (60.0, P, False)),
        ("E19 lone L1", phased(REGISTER, 10), Kind.ENERGY_REGISTER, (10.0, P, False)),
        ("E19 two phases", phased(REGISTER, 10, 20), Kind.ENERGY_REGISTER, None),
        ("E21 inlet", [sample("10", REGISTER, location="Inlet")], Kind.ENERGY_REGISTER, (10.0, M, False)),
        (
            "E21 outlet first",
            [sample("10", REGISTER, location="Inlet"), sample("20", REGISTER, location="Outlet")],
            Kind.ENERGY_REGISTER,
            (20.0, M, False),
        ),
        ("E26", [sample("c2lnbmVk", REGISTER, format="SignedData")], Kind.ENERGY_REGISTER, None),
        ("E27 voltage", voltages(230, 232, 234), Kind.VOLTAGE, (232.0, P, False)),
        ("E27 current", currents(10, 11, 12), Kind.CURRENT, (33.0, P, False)),
        ("E6 current", currents(10), Kind.CURRENT, (10.0, P, True)),
        ("E5 current", [sample("10", CURRENT)], Kind.CURRENT, (10.0, M, True)),
        ("E5 direct current", [sample("37", CURRENT), sample("580", VOLTAGE)], Kind.CURRENT, (37.0, M, False)),
        ("E5 direct voltage", [sample("37", CURRENT), sample("580", VOLTAGE)], Kind.VOLTAGE, (580.0, M, False)),
        (
            "E4 voltage",
            voltages(400, 400, 400, names=("L1-L2", "L2-L3", "L3-L1")),
            Kind.VOLTAGE,
            (round(400 / sqrt(3), 1), P, False),
        ),
        (
            "E4 mislabelled",
            voltages(400, 400, 400, names=("L1", "L2", "L3")),
            Kind.VOLTAGE,
            (round(400 / sqrt(3), 1), P, True),
        ),
        ("E4 without a phase", [sample("400", VOLTAGE)], Kind.VOLTAGE, (400.0, M, False)),
        ("E28", [sample("0.1", VOLTAGE)], Kind.VOLTAGE, (0.1, M, False)),
        ("SoC", [sample("56", "SoC", unit="Percent", location="EV")], Kind.STATE_OF_CHARGE, (56.0, M, False)),
        ("SoC beyond", [sample("156", "SoC")], Kind.STATE_OF_CHARGE, None),
        ("X10", [sample("21", "Temperature", unit="Celcius")], Kind.TEMPERATURE, (21.0, M, False)),
        ("kelvin", [sample("300.15", "Temperature", unit="K")], Kind.TEMPERATURE, (27.0, M, False)),
        ("fahrenheit", [sample("212", "Temperature", unit="Fahrenheit")], Kind.TEMPERATURE, (100.0, M, False)),
        ("E27 frequency", [sample("50.02", "Frequency")], Kind.FREQUENCY, (50.0, M, False)),
    ],
)
def test_a_total_follows_from_the_rules(rule, sampled, kind, expected):
    """Input and value made by hand; None: there is none."""
    assert totals(*sampled).get(kind) == expected


def test_phases_are_shown_beside_the_total():
    """Each as reported, voltages to neutral by their phase, the neutral's current too."""
    found = by_phase(
        *currents(10, 11, 12), sample("1", CURRENT, "N"), *voltages(230, 231, 232), *phased(POWER, 1, 2, 3, unit="kW")
    )
    assert found == {
        (Kind.CURRENT, "L1"): 10.0,
        (Kind.CURRENT, "L2"): 11.0,
        (Kind.CURRENT, "L3"): 12.0,
        (Kind.CURRENT, "N"): 1.0,
        (Kind.VOLTAGE, "L1"): 230.0,
        (Kind.VOLTAGE, "L2"): 231.0,
        (Kind.VOLTAGE, "L3"): 232.0,
        (Kind.POWER, "L1"): 1000.0,
        (Kind.POWER, "L2"): 2000.0,
        (Kind.POWER, "L3"): 3000.0,
    }


def test_a_register_is_exact():
    """In milliwatt-hours, beside the watt-hours."""
    [found] = readings_of(read(sample("1234.5678", REGISTER, unit="kWh")))
    assert (found.mwh, found.value) == (1_234_567_800, 1_234_567.8)


def test_a_reading_has_its_own_doubts_and_the_messages():
    """E28: one value beyond what a meter shows is kept, and flagged; its neighbours are not."""
    found = readings_of(read(sample("99999999", POWER), sample("50", "SoC")), (Flag.LATE,))
    flags = {each.kind: each.flags for each in found}
    assert flags == {Kind.POWER: (Flag.LATE, Flag.METER_IMPLAUSIBLE), Kind.STATE_OF_CHARGE: (Flag.LATE,)}


def test_context_and_location_are_kept():
    """Of the value that was taken."""
    [found] = readings_of(read(sample("5", POWER, context="Trigger", location="Cable")))
    assert (found.context, found.location) == ("Trigger", "Cable")


def register(seconds, wh, location="Outlet"):
    at = NOW + timedelta(seconds=seconds)
    return Reading(Kind.ENERGY_REGISTER, wh, at, location=location, mwh=int(wh * 1000))


def test_two_registers_give_a_mean_power():
    """E6: 60 Wh in half a minute are 7,200 W; an estimate, at the later time."""
    found = slope(register(0, 1000), register(30, 1060))
    assert (found.value, found.source, found.estimated) == (7200.0, ValueSource.REGISTER_SLOPE, True)
    assert found.at == NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (register(0, 1000), register(0, 1060)),
        (register(0, 1000), register(5, 1060)),
        (register(0, 1000), register(MAX_SLOPE.total_seconds() + 1, 1060)),
        (register(0, 1000), register(60, 900)),
        (register(0, 1000), register(60, 1060, "Inlet")),
    ],
)
def test_registers_that_tell_no_power(before, after):
    """At one time, too near, too far apart, falling (E16), of another meter (E21)."""
    assert slope(before, after) is None


MESSAGE = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "timestamp": st.sampled_from(["2024-05-01T09:59:50Z", "2024-05-01T09:58:50Z", "soon"]),
            "sampledValue": st.lists(
                st.fixed_dictionaries(
                    {"value": st.sampled_from(["1", "-1", "16.5", "400", "1e20", "x"])},
                    optional={
                        "measurand": st.sampled_from(
                            [REGISTER, POWER, CURRENT, VOLTAGE, "SoC", "Temperature", "Frequency", "Odd"]
                        ),
                        "phase": st.sampled_from(["L1", "L2-N", "L1-L2", "N", "Q"]),
                        "unit": st.sampled_from(["Wh", "kW", "A", "K", "Q"]),
                        "context": st.sampled_from(["Transaction.Begin", "Sample.Clock", "Odd"]),
                        "location": st.sampled_from(["Inlet", "EV", "Odd"]),
                    },
                ),
                max_size=8,
            ),
        },
    ),
    max_size=4,
)


@given(MESSAGE, st.randoms(use_true_random=False))
def test_the_order_of_samples_and_repeats_change_nothing(message, random):
    """B6.8, E22: but among values of one moment, context, place and phase, of which a charger sends one."""
    seen, unique = set(), []
    for element in message:
        kept = []
        for sent in element.get("sampledValue", []):
            # As they are read: a name that is left out is the one that it stands for, a time that can't be read none.
            read = next(iter(samples([{**element, "sampledValue": [sent]}], NOW)), None)
            key = (
                None if read is None else (read.at, read.measurand, (read.phase or "")[:2], read.context, read.location)
            )
            if key is None or key not in seen:
                seen.add(key)
                kept.append(sent)
        unique.append({**element, "sampledValue": kept})
    plain = readings_of(samples(unique, NOW))
    shuffled = [
        {**each, "sampledValue": random.sample(each["sampledValue"], len(each["sampledValue"]))} for each in unique
    ]
    random.shuffle(shuffled)

    def shown(found):
        return {(each.kind, each.phase, each.at): (round(each.value, 6), each.source) for each in found}

    assert shown(readings_of(samples(shuffled, NOW))) == shown(plain)
    assert shown(readings_of(samples([*unique, *unique], NOW))) == shown(plain)


@given(st.lists(SENT, max_size=4) | MESSAGE)
def test_what_is_passed_over_would_have_given_no_reading(message):
    """A reader whose measurands a message does not have finds nothing in it, and no phase where none is named."""
    found = [each for each in samples(message, NOW) if each.value is not None]
    for measurands, reader in measurements._READERS:
        if not measurands & {each.measurand for each in found}:
            assert reader(found, ()) == []
    if all(each.phase is None for each in found):
        assert measurements._phases(found, ()) == []


@given(st.lists(SENT, max_size=4))
def test_reading_never_raises(message):
    """Whatever a charger sends."""
    readings_of(samples(message, NOW))

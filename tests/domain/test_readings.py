"""Metering: samples with their defaults, units, energy and power by the rules E of docs/rules.md."""

from datetime import UTC, datetime
from decimal import Decimal
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.live_power import live_power_w
from gateway.domain.power import PowerSource, powers
from gateway.domain.readings import energy_mwh, register_wh, samples
from gateway.domain.values import Flag
from tests.domain.values import SENT

NOW = datetime(2024, 5, 1, 10, 0, 0, tzinfo=UTC)
T = "2024-05-01T09:59:50Z"
REGISTER = "Energy.Active.Import.Register"
POWER, CURRENT, VOLTAGE = "Power.Active.Import", "Current.Import", "Voltage"


def sample(value="1", measurand=REGISTER, phase=None, unit=None, **more):
    """A sampledValue as sent."""
    sent = {"value": value, "measurand": measurand, "phase": phase, "unit": unit, **more}
    return {name: each for name, each in sent.items() if each is not None}


def read(*sampled, timestamp=T):
    return samples([{"timestamp": timestamp, "sampledValue": list(sampled)}], NOW)


def one(sent):
    (found,) = read(sent)
    return found


def currents(*amperes, names=("L1", "L2", "L3")):
    return [sample(str(value), CURRENT, name) for name, value in zip(names, amperes, strict=False)]


def voltages(*volts, names=("L1-N", "L2-N", "L3-N")):
    return [sample(str(value), VOLTAGE, name) for name, value in zip(names, volts, strict=False)]


# --- reading --------------------------------------------------------------------------------------------------


def test_what_a_sample_leaves_out_has_the_defaults():
    """B6.5, S §7.43."""
    found = one({"value": "1234"})
    assert (found.measurand, found.unit, found.context) == (REGISTER, "Wh", "Sample.Periodic")
    assert (found.location, found.format, found.phase) == ("Outlet", "Raw", None)
    assert (found.value, found.value_raw) == (Decimal(1234), "1234")
    taken = datetime(2024, 5, 1, 9, 59, 50, tzinfo=UTC)
    assert (found.timestamp, found.timestamp_raw, found.at) == (taken, T, taken)


@pytest.mark.parametrize(
    ("measurand", "unit"),
    [(POWER, "W"), ("Power.Offered", "W"), (CURRENT, "A"), (VOLTAGE, "V"), ("Energy.Reactive.Import.Register", "varh"),
     ("Power.Reactive.Import", "var"), ("Power.Factor", ""), ("Frequency", "Hertz"), ("Temperature", "Celsius"),
     ("SoC", "Percent"), ("RPM", "")],
)  # fmt: skip
def test_a_missing_unit_is_the_measurands_own(measurand, unit):
    """X13, E9: Wh is for energy alone."""
    assert one(sample("1", measurand)).unit == unit


@pytest.mark.parametrize(
    ("sent", "unit"),
    [("kWh", "kWh"), ("KWH", "kWh"), (" wh ", "Wh"), ("kw", "kW"), ("Celcius", "Celsius"), ("Celsius", "Celsius"),
     ("Hz", "Hertz"), ("%", "Percent"), ("furlong", "furlong")],
)  # fmt: skip
def test_a_unit_is_compared_exactly_and_then_loosely(sent, unit):
    """E9, X10: an unknown one stays as it is."""
    assert one(sample("1", unit=sent)).unit == unit


@pytest.mark.parametrize(
    ("sent", "value"),
    [("9.60", "9.60"), (" 9.6", "9.6"), ("1e3", "1E+3"), ("+5", "5"), ("-5", "-5"), (".5", "0.5"), ("5.", "5"),
     (12, "12"), (12.5, "12.5"), ("0", "0")],
)  # fmt: skip
def test_a_value_is_a_decimal(sent, value):
    """E11, X14: a number too."""
    assert one(sample(sent)).value == Decimal(value)


@pytest.mark.parametrize(
    "sent",
    ["", "NaN", "nan", "inf", "-Infinity", "1,5", "1 000", "0x10", "1e999", "1e99", "9" * 40, "9" * 9999, "١", "1_0",
     True, None, {}, [], "12kWh"],
)  # fmt: skip
def test_what_is_no_number_has_no_value_and_no_effect_on_its_siblings(sent):
    """E11, B6.7."""
    odd, good = read({"value": sent}, sample("5"))
    assert odd.value is None
    assert energy_mwh(odd) is None
    assert good.value == 5


def test_signed_data_is_opaque():
    """E26: not a number, though it may look like one; siblings stay."""
    signed, raw = read(sample("1234", format="SignedData"), sample("5"))
    assert (signed.value, signed.value_raw, signed.format) == (None, "1234", "SignedData")
    assert register_wh([signed, raw]) == 5


@pytest.mark.parametrize(
    "meter_value",
    [[], [None], ["x"], [{}], [{"timestamp": T}], [{"timestamp": T, "sampledValue": None}],
     [{"timestamp": T, "sampledValue": [None, 1, "x"]}]],
)  # fmt: skip
def test_what_holds_no_sample_gives_none(meter_value):
    """Quirk 29."""
    assert samples(meter_value, NOW) == []


def test_a_lone_sample_that_is_no_list_is_read():
    """One object where a list belongs."""
    assert len(samples([{"timestamp": T, "sampledValue": {"value": "1"}}], NOW)) == 1


@pytest.mark.parametrize("timestamp", ["1970-01-01T00:00:00Z", "never", 5, None])
def test_a_sample_without_a_usable_time_was_taken_when_it_came(timestamp):
    """B2.2."""
    (found,) = read(sample(), timestamp=timestamp)
    assert found.timestamp is None
    assert found.at == NOW


def test_doubts_of_a_time_are_on_its_samples():
    """For a reader of samples only."""
    (found,) = read(sample(), timestamp="2024-05-01T09:59:50")
    assert found.flags == (Flag.TIME_ZONE_ASSUMED,)


def test_unknown_names_are_kept():
    """Quirk 23."""
    found = one(sample("1", "Power.Magic", "L9", context="Whenever", location="Roof"))
    assert (found.measurand, found.phase, found.context, found.location) == ("Power.Magic", "L9", "Whenever", "Roof")


# --- energy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "mwh"),
    [("1", None, 1000), ("1.5", "kWh", 1_500_000), ("0.0004", "Wh", 0), ("0.0006", "Wh", 1), ("-2", "Wh", -2000),
     ("4294967295", "Wh", 4_294_967_295_000), ("1", "varh", None), ("1", "W", None), ("1e15", "kWh", None)],
)  # fmt: skip
def test_energy_is_whole_milliwatt_hours(value, unit, mwh):
    """Decimals, never floats (E11); within 64 bits."""
    assert energy_mwh(one(sample(value, unit=unit))) == mwh


@pytest.mark.parametrize("measurand", [POWER, "Energy.Reactive.Import.Register"])
def test_what_is_no_active_energy_has_none(measurand):
    """E9."""
    assert energy_mwh(one(sample("1", measurand, unit="Wh"))) is None


def test_the_end_of_a_transaction_goes_before_periodic_and_clock_values():
    """E14."""
    found = read(
        sample("3", context="Sample.Clock"),
        sample("2", context="Sample.Periodic"),
        sample("4", context="Transaction.End"),
        sample("1", context="Transaction.Begin"),
    )
    assert register_wh(found) == 4
    assert register_wh(found[:2]) == 2
    assert register_wh(found[:1]) == 3


def test_the_begin_of_a_transaction_is_no_reading_of_now():
    """E14, quirk 17."""
    assert register_wh(read(sample("1", context="Transaction.Begin"))) is None


def test_a_negative_register_is_ignored():
    """E14."""
    assert register_wh(read(sample("-1"))) is None


def test_the_newest_register_counts_whatever_the_order():
    """E22."""
    meter_value = [
        {"timestamp": "2024-05-01T09:59:50Z", "sampledValue": [sample("2")]},
        {"timestamp": "2024-05-01T09:59:40Z", "sampledValue": [sample("1")]},
    ]
    assert register_wh(samples(meter_value, NOW)) == 2


@pytest.mark.parametrize(
    ("phases", "total"),
    [(("L1", "L2", "L3"), 6), (("L1-N", "L2-N", "L3-N"), 6), (("L1",), 1), (("L1", "L2"), None), (("L2",), None),
     (("N",), None)],
)  # fmt: skip
def test_without_a_total_the_phases_make_it_if_all_are_there(phases, total):
    """E19: a lone L1 is the total of a 1-phase unit."""
    assert register_wh(read(*(sample(str(i + 1), phase=name) for i, name in enumerate(phases)))) == total


def test_a_total_is_never_added_to_its_phases():
    """E19."""
    assert register_wh(read(sample("10"), sample("4", phase="L1"), sample("6", phase="L2"))) == 10


def test_registers_of_two_scales_are_in_watt_hours():
    """E9."""
    assert register_wh(read(sample("1.25", unit="kWh"))) == 1250


def test_an_interval_is_no_register():
    """E20."""
    assert register_wh(read(sample("5", "Energy.Active.Import.Interval"))) is None


# --- power ----------------------------------------------------------------------------------------------------


def power(*sampled):
    found = live_power_w(read(*sampled))
    return None if found is None else (round(found.watts, 3), found.estimated)


def test_a_total_power_is_the_power():
    """E1: never total plus phases."""
    assert power(sample("7200", POWER), sample("2400", POWER, "L1"), sample("2400", POWER, "L2")) == (7200, False)


@pytest.mark.parametrize("names", [("L1", "L2", "L3"), ("L1-N", "L2-N", "L3-N")])
def test_without_a_total_the_phases_are_added(names):
    """E1, quirk 13."""
    assert power(*(sample("1000", POWER, name) for name in names)) == (3000, False)


def test_two_namings_of_the_phases_are_not_added_up():
    """E1: L1..L3 else L1-N..L3-N."""
    names = ("L1", "L2", "L3", "L1-N", "L2-N", "L3-N")
    assert power(*(sample("1000", POWER, name) for name in names)) == (3000, False)


def test_the_neutral_is_no_phase():
    """E2."""
    assert power(sample("7000", POWER), sample("0", POWER, "N")) == (7000, False)
    assert power(sample("5", POWER, "N")) is None


def test_a_lone_phase_is_an_estimate():
    """E6: nothing says whether there are others."""
    assert power(sample("2300", POWER, "L1")) == (2300, True)


@pytest.mark.parametrize(("value", "unit", "watts"), [("7.2", "kW", 7200), ("7.2", "KW", 7200), ("7200", None, 7200)])
def test_power_is_in_watts(value, unit, watts):
    """E9, X13."""
    assert power(sample(value, POWER, unit=unit)) == (watts, False)


def test_power_in_an_unknown_unit_is_not_converted():
    """E9."""
    assert power(sample("7", POWER, unit="hp")) is None


def test_a_power_of_zero_is_a_power():
    """Connected, and not charging."""
    assert power(sample("0", POWER), *currents(16), *voltages(230)) == (0, False)


def test_limits_are_no_measurements():
    """E7, quirk 53."""
    assert power(sample("11000", "Power.Offered"), sample("16", "Current.Offered"), *voltages(230)) is None


def test_export_is_not_import():
    """E8."""
    assert power(sample("5000", "Power.Active.Export"), sample("10", "Current.Export"), *voltages(230)) is None


def test_without_power_it_is_worked_out_phase_by_phase():
    """E3."""
    assert power(*currents(10, 11, 12), *voltages(230, 231, 232)) == (10 * 230 + 11 * 231 + 12 * 232, False)


def test_a_power_factor_counts_where_it_is_given():
    """E3, E27: averaged, or each phase's own."""
    assert power(*currents(10), *voltages(230), sample("0.5", "Power.Factor")) == (1150, False)
    factors = [sample("0.5", "Power.Factor", "L1"), sample("1", "Power.Factor", "L2")]
    assert power(*currents(10, 10), *voltages(230, 230), *factors) == (3450, False)


def test_noise_on_idle_phases_is_no_current():
    """E3: live is what carries current, not what is fitted."""
    assert power(*currents(16, 0.1, 0.2), *voltages(230, 230, 230)) == (3680, False)


def test_the_neutrals_current_does_not_count_beside_others():
    """E2. Where it is all there is, of a unit with one phase, the phase's current is the same: an estimate."""
    assert power(*currents(16, 16, names=("L1", "N")), *voltages(230)) == (3680, False)
    assert power(*currents(15.6, names=("N",)), *voltages(231.1)) == (3605.16, True)
    assert power(*currents(16, names=("N",)), *voltages(230, 230, 230)) is None


def test_direct_current_is_current_times_voltage():
    """E5: no phase on either side and a voltage that no phase has; an inference, so an estimate."""
    found = live_power_w(read(sample("37.3", CURRENT), sample("587.2", VOLTAGE)))
    assert (round(found.watts, 2), found.estimated, found.source) == (21902.56, True, PowerSource.CURRENT_VOLTAGE)
    assert power(sample("16", CURRENT), sample("230", VOLTAGE)) == (3680, True)
    assert power(sample("0.1", CURRENT), sample("587.2", VOLTAGE)) == (0, True)
    assert power(sample("16", CURRENT), sample("400", VOLTAGE, "L1-L2")) == (round(16 * 400 / 3**0.5, 3), True)


@pytest.mark.parametrize(
    "sampled",
    [
        [*currents(37.3), *voltages(587.2, names=("L1",))],
        [*currents(37.3), *voltages(587.2)],
        [*currents(37.3, names=("L1-N",)), *voltages(587.2, 0, 0)],
        [*currents(37.3, 0, 0.1), sample("587.2", VOLTAGE)],
        [sample("37.3", CURRENT), *voltages(587.2, names=("L1",))],
        [sample("37.3", CURRENT), sample("0", CURRENT, "N"), sample("587.2", VOLTAGE)],
        [sample("37.3", CURRENT), sample("587.2", VOLTAGE), sample("0.4", VOLTAGE, "N")],
        [sample("37.3", CURRENT), sample("587.2", VOLTAGE), *voltages(230, 230, 230)],
        [
            sample("37.3", CURRENT),
            sample("587.2", VOLTAGE),
            *voltages(400, 400, 400, names=("L1-L2", "L2-L3", "L3-L1")),
        ],
    ],
    ids=["L1", "L1-N", "idle lines", "idle currents", "one label", "current of N", "voltage of N", "mains", "mains LL"],
)
def test_direct_current_is_known_under_other_names_and_beside_the_mains(sampled):
    """E5: one phase alone has no line-to-line voltage, and the mains' voltage is not the vehicle's."""
    assert power(*sampled) == (21902.56, True)


def test_a_line_to_line_voltage_of_the_mains_is_no_direct_current():
    """E4: it agrees with the phases' own, or there are several."""
    mains = [sample("400", VOLTAGE), *voltages(230, 231, 232)]
    assert power(sample("16", CURRENT), *mains)[0] == pytest.approx(16 * 231, rel=0.01)
    assert power(*currents(16, 0, 0), *voltages(400, 400, 400, names=("L1", "L2", "L3")))[0] == pytest.approx(
        3695, rel=0.01
    )
    assert power(*currents(16, 16, 16), sample("400", VOLTAGE))[0] == pytest.approx(11085, rel=0.01)


def moved(sent, **where):
    return {**sent, **where}


@pytest.mark.parametrize("where", [{"context": "Sample.Clock"}, {"context": "Transaction.End"}, {"context": "Other"}])
def test_phases_of_one_moment_and_place_are_put_together_across_contexts(where):
    """A part of the phases is never the whole: currents and voltages, powers, registers."""
    amps, volts = currents(10, 10, 10), voltages(230, 230, 230)
    assert power(moved(amps[0], **where), *amps[1:], moved(volts[0], **where), *volts[1:])[0] == 6900
    assert power(moved(amps[0], **where), *amps[1:], *volts)[0] == 6900
    assert power(moved(amps[0], **where), *amps[1:], *volts[:2], moved(volts[2], **where))[0] == 6900
    watts = [sample("1000", POWER, name) for name in ("L1", "L2", "L3")]
    assert power(moved(watts[0], **where), *watts[1:]) == (3000, False)
    assert power(moved(sample("3000", POWER), **where), watts[0]) == (3000, False)
    registers = [sample("5", phase=name) for name in ("L1", "L2", "L3")]
    assert register_wh(read(moved(registers[0], **where), *registers[1:])) == 15
    assert register_wh(read(moved(sample("15"), **where), registers[0])) == 15
    # Values of both contexts are taken once, and a reported total is not put together.
    assert power(*amps, *volts, *(moved(each, **where) for each in (*amps, *volts)))[0] == 6900


def test_phases_of_several_places_are_put_together_only_where_no_place_has_both():
    """Currents of one place and voltages of another, either of them spread over contexts."""
    amps, volts = currents(10, 10, 10), [moved(each, location="Inlet") for each in voltages(230, 230, 230)]
    spread = [moved(amps[0], context="Sample.Clock"), *amps[1:], moved(volts[0], context="Other"), *volts[1:]]
    assert power(*spread) == (6900, True)
    elsewhere = [moved(each, location="Inlet") for each in amps[1:]]
    assert power(amps[0], voltages(230)[0], *elsewhere, *volts) == (2300, False)


def test_the_sign_of_a_power_factor_is_no_direction():
    """It tells leading from lagging; some chargers tell it in percent, and what is no factor is none."""
    three = [*currents(16, 16, 16), *voltages(241.87, 242.29, 241.5)]
    for sent, factor in [("-0.98", 0.98), ("0.98", 0.98), ("98", 0.98), ("0", 1), ("500", 1)]:
        assert power(*three, sample(sent, "Power.Factor")) == (round(factor * 16 * 725.66, 3), False)


def test_current_and_voltage_of_one_moment_are_put_together_across_contexts_and_places():
    """An estimate, if no context and place has both; if one has both, no other is asked."""
    volts = {**sample("230", VOLTAGE, "L1-N"), "context": "Trigger", "location": "Inlet"}
    amps = sample("10", CURRENT, "L1")
    assert power(amps, volts) == (2300, True)
    assert power(amps, volts, sample("240", VOLTAGE, "L1-N")) == (2400, False)
    offered = {**sample("32", "Current.Offered"), "context": "Trigger"}
    assert power(offered, volts) is None


@pytest.mark.parametrize("value", ["", " ", "NaN", "null", None])
def test_an_empty_power_value_is_no_power(value):
    """It is worked out, as if it were not there."""
    assert power({"measurand": POWER, "value": value}, *currents(10.0), *voltages(235.8)) == (2358, False)


def test_each_moment_of_a_message_has_its_power():
    """A queue of samples in one message: the newest is not the only one."""
    elements = [
        {"timestamp": f"2024-05-01T10:0{minute}:00Z", "sampledValue": [*currents(minute), *voltages(230)]}
        for minute in (3, 1, 2)
    ]
    elements.append({"timestamp": "2024-05-01T10:04:00Z", "sampledValue": [sample("7", POWER)]})
    found = powers(samples(elements, NOW))
    assert [(each.watts, each.source) for each in found] == [
        (230, PowerSource.CURRENT_VOLTAGE),
        (460, PowerSource.CURRENT_VOLTAGE),
        (690, PowerSource.CURRENT_VOLTAGE),
        (7, PowerSource.MEASURED),
    ]


def test_power_by_phase_has_a_total_that_says_what_it_is():
    """The sum; with phases missing an estimate (E6)."""
    by_phase = [sample(str(w), POWER, name) for w, name in zip((3464, 3492, 3416), ("L1", "L2", "L3"), strict=True)]
    found = live_power_w(read(*by_phase))
    assert (found.watts, found.estimated, found.source) == (10372, False, PowerSource.PHASES)
    assert live_power_w(read(by_phase[0])).estimated


@pytest.mark.parametrize(
    ("value", "measurand", "unit", "flagged"),
    [
        ("4296944685", REGISTER, "Wh", True),
        ("4294967.295", REGISTER, "kWh", False),
        ("4294967.296", REGISTER, "kWh", True),
        ("1000001", POWER, "W", True),
        ("350", POWER, "kW", False),
        ("2001", CURRENT, "A", True),
        ("1501", VOLTAGE, "V", True),
        ("0.1", VOLTAGE, "V", False),
    ],
)
def test_what_no_meter_shows_is_kept_and_flagged(value, measurand, unit, flagged):
    """E28: plausibility, not rejection."""
    found = one({"value": value, "measurand": measurand, "unit": unit})
    assert found.value_raw == value
    assert (Flag.METER_IMPLAUSIBLE in found.flags) == flagged


def test_currents_to_neutral_are_currents():
    """Quirk 49."""
    names = ("L1-N", "L2-N", "L3-N")
    assert power(*currents(10, 10, 10, names=names), *voltages(230, 230, 230)) == (6900, False)
    both = [*currents(10, 10, 10), *currents(10, 10, 10, names=names)]
    assert power(*both, *voltages(230, 230, 230)) == (6900, False)


def test_a_phases_plain_voltage_is_line_to_neutral():
    """E4."""
    assert power(*currents(10), *voltages(230, names=("L1",))) == (2300, False)


@pytest.mark.parametrize("names", [("L1", "L2", "L3"), ("L1-L2", "L2-L3", "L3-L1"), ("L1-L2",)])
def test_line_to_line_voltages_are_divided_by_the_root_of_three(names):
    """E4, E5: √3 × V × I, under the right name or a wrong one."""
    found = live_power_w(read(*currents(10, 10, 10), *voltages(400, 400, 400, names=names)))
    assert found is not None
    assert found.watts == pytest.approx(sqrt(3) * 400 * 10)


def test_a_current_of_no_phase_is_an_estimate():
    """E5: per phase or the sum, it is not known."""
    assert power(sample("10", CURRENT), sample("230", VOLTAGE)) == (2300, True)


def test_a_phase_without_its_voltage_takes_the_others_and_is_an_estimate():
    """E3."""
    assert power(*currents(10, 10), *voltages(230)) == (4600, True)


@pytest.mark.parametrize("sampled", [currents(10), voltages(230), []])
def test_half_of_it_is_no_power(sampled):
    """E3 needs both."""
    assert power(*sampled) is None


def test_an_older_sample_is_not_the_live_power():
    """E22, B6.6."""
    meter_value = [
        {"timestamp": "2024-05-01T09:59:50Z", "sampledValue": [sample("2000", POWER)]},
        {"timestamp": "2024-05-01T09:59:40Z", "sampledValue": [sample("1000", POWER)]},
    ]
    found = live_power_w(samples(meter_value, NOW))
    assert found is not None
    assert found.watts == 2000
    assert found.at == datetime(2024, 5, 1, 9, 59, 50, tzinfo=UTC)


def test_one_moment_in_two_elements_is_one_moment():
    """E22: phases of the same timestamp belong together."""
    meter_value = [{"timestamp": T, "sampledValue": [sample("1000", POWER, name)]} for name in ("L1", "L2", "L3")]
    found = live_power_w(samples(meter_value, NOW))
    assert found is not None
    assert found.watts == 3000


def test_the_inlet_stands_in_for_a_missing_outlet_and_is_not_added():
    """E21, quirk 55."""
    assert power(sample("5000", POWER, location="Inlet")) == (5000, False)
    assert power(sample("5000", POWER, location="Inlet"), sample("4000", POWER)) == (4000, False)


@given(st.lists(SENT | st.fixed_dictionaries({"timestamp": SENT, "sampledValue": st.lists(SENT)}), max_size=3))
def test_any_meter_value_is_read(meter_value):
    """Never an exception."""
    found = samples(meter_value, NOW)
    live_power_w(found)
    register_wh(found)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "value": st.text(max_size=8) | st.integers() | st.decimals(allow_nan=False, places=3).map(str),
                "measurand": st.sampled_from([REGISTER, POWER, CURRENT, VOLTAGE, "Power.Factor"]),
            },
            optional={
                "phase": st.sampled_from(["L1", "L2", "L3", "N", "L1-N", "L1-L2", "null"]),
                "unit": st.sampled_from(["Wh", "kWh", "W", "kW", "A", "V", "x"]),
                "context": st.sampled_from(["Transaction.Begin", "Sample.Clock", "odd"]),
            },
        ),
        max_size=8,
    )
)
def test_any_measurements_give_finite_power_and_energy_or_none(sampled):
    """Whatever is combined with whatever."""
    found = read(*sampled)
    live = live_power_w(found)
    assert live is None or abs(live.watts) < 1e31
    for each in found:
        energy = energy_mwh(each)
        assert energy is None or abs(energy) < 2**63
    register = register_wh(found)
    assert register is None or register >= 0

"""The quick reading of a message's power: the same as the complete one, whatever was sent."""

from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.events import FIRST_DIALECT
from gateway.domain.live_power import MAX_ELEMENTS, live_power_w, newest_power, plain_power, slope_power
from gateway.domain.power import Power, PowerSource
from gateway.domain.readings import samples
from gateway.domain.values import ConnectorAddress
from tests.ocpp.v16.profiles.charger import NOW, at, charger

SENT = st.fixed_dictionaries(
    {},
    optional={
        "value": st.sampled_from(
            ["7360.0", "7.36", " 11 ", "1e3", "", "NaN", "inf", "1_0", "-5", "9" * 60, 42, None, []]
        ),
        "measurand": st.sampled_from(
            ["Power.Active.Import", " Power.Active.Import", "Current.Import", "Voltage", "Power.Factor", "SoC", None, 7]
        ),
        "unit": st.sampled_from(["W", "kW", "w", "A", "V", "", None, [], {}]),
        "phase": st.sampled_from(["L1", "L2-N", "L1-L2", "N", "", None]),
        "context": st.sampled_from(["Sample.Periodic", "Sample.Clock", "Transaction.Begin", "Trigger", None, 3, []]),
        "location": st.sampled_from(["Outlet", "Inlet", None]),
        "format": st.sampled_from(["Raw", "SignedData", None]),
    },
)
ELEMENT = st.fixed_dictionaries(
    {"timestamp": st.just(at(10))},
    optional={"sampledValue": st.lists(SENT | st.none() | st.just(5), max_size=6) | SENT | st.just("x")},
)


def reported(values):
    """As a charger's message has it in the state; None where it has none."""
    one = charger()
    one.call("MeterValues", connectorId=1, meterValue=values)
    return one.state.latest_power(CONNECTOR)


@settings(max_examples=300)
@given(st.lists(ELEMENT, max_size=MAX_ELEMENTS))
def test_it_is_what_the_complete_reading_says(values):
    """Of one moment, in one element or in several."""
    complete = live_power_w(samples(values, NOW))
    assert (None if complete is None else Power(complete.watts, complete.at, complete.estimated, complete.source)) == (
        reported(values)
    )


PLAIN = st.fixed_dictionaries(
    {"measurand": st.just("Power.Active.Import"), "value": st.text(alphabet="0123456789.eE+-_ ٣", max_size=8)},
    optional={"unit": st.sampled_from(["W", "kW"]), "context": st.sampled_from(["Sample.Clock", "Trigger"])},
)


@given(PLAIN)
@example({"measurand": "Power.Active.Import", "unit": "kW", "value": ".1101"})
def test_a_plain_value_is_read_as_any_number_is(sent):
    """E11: by the rules of numbers, though in another way."""
    found = plain_power([sent], NOW)
    complete = live_power_w(samples([{"sampledValue": [sent]}], NOW))
    assert found is None or found == (complete.watts, complete.at, complete.estimated, complete.source)


ODD = st.none() | st.text(max_size=3) | st.integers(-9, 9) | st.lists(st.none(), max_size=2)
ANY = st.dictionaries(st.sampled_from(["timestamp", "sampledValue"]), ODD | st.lists(ODD | SENT, max_size=3))


@given(st.lists(ODD | ANY, max_size=5), st.none() | st.text(max_size=3))
def test_it_never_raises(values, raw):
    """Whatever a charger sends."""
    newest_power(values, raw, NOW, FIRST_DIALECT)
    reported(values)


CONNECTOR = ConnectorAddress(1, 1)
POWER = {"measurand": "Power.Active.Import", "unit": "W"}


def report(seconds, watts, **more):
    return {"timestamp": at(seconds), "sampledValue": [{**POWER, "value": str(watts), **more}]}


def test_of_several_moments_the_newest_counts():
    """In whatever order they are sent."""
    one = charger()
    one.call("MeterValues", connectorId=1, meterValue=[report(20, 3000), report(10, 7000)])
    found = one.state.latest_power(CONNECTOR)
    assert (found.watts, found.at) == (3000.0, NOW + timedelta(seconds=20))


def test_an_older_power_never_replaces_a_newer_one():
    """B6.6: one of the same time does, one that was queued does not; each connector has its own."""
    one = charger()
    assert one.state.latest_power(CONNECTOR) is None
    one.call("MeterValues", connectorId=1, meterValue=[report(20, 3000)])
    one.call("MeterValues", connectorId=1, meterValue=[report(10, 7000)])
    assert one.state.latest_power(CONNECTOR).watts == 3000.0
    one.call("MeterValues", connectorId=1, meterValue=[report(20, 3100)])
    assert one.state.latest_power(CONNECTOR).watts == 3100.0
    one.call("MeterValues", connectorId=2, meterValue=[report(5, 11, unit="kW")])
    assert one.state.latest_power(ConnectorAddress(2, 1)).watts == 11000.0
    assert one.state.latest_power(CONNECTOR).watts == 3100.0


@pytest.mark.parametrize(
    ("before", "after", "seconds", "watts"),
    [
        (1001, 1118, 60, 7020),
        (1001, 1001, 60, 0),
        (1000, 1100, 60, None),
        (1000, 1000, 60, None),
        (1000, 1000, 900, None),
        (1000, 1110, 60, None),
        (1000, 1110, 120, 3300),
        (1001, 1000, 60, None),
        (1001, 1118, 9, None),
        (1001, 1118, 901, None),
        (1001, 1118, 900, 468),
    ],
)
def test_the_power_between_two_registers(before: float, after: float, seconds: int, watts: float | None) -> None:
    """Known if a step of the register, as far as its values show it, makes no more than 300 W of that time."""
    found = slope_power((before, NOW), (after, NOW + timedelta(seconds=seconds)))
    assert (None if found is None else round(found[0])) == watts
    assert found is None or found[2:] == (True, PowerSource.REGISTER_SLOPE)


@given(
    st.floats(0, 1e9), st.floats(-1e9, 1e9), st.timedeltas(timedelta(0), timedelta(days=1)).map(lambda span: NOW + span)
)
def test_any_two_registers_have_a_power_or_none(before: float, rise: float, later: datetime) -> None:
    """None below 0."""
    found = slope_power((before, NOW), (before + rise, later))
    assert found is None or found[0] >= 0

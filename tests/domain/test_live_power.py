"""The quick reading of a message's power: the same as the complete one, whatever was sent."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.events import FIRST_DIALECT
from gateway.domain.live_power import MAX_ELEMENTS, newest_power
from gateway.domain.readings import live_power_w, samples
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


@given(st.lists(ELEMENT, max_size=MAX_ELEMENTS))
def test_it_is_what_the_complete_reading_says(values):
    """Of one moment; it never raises either."""
    moment = NOW + timedelta(seconds=10)
    complete = live_power_w(samples(values, NOW))
    quick = newest_power(values, at(10), moment, FIRST_DIALECT)
    assert quick == complete


@given(
    st.lists(
        st.one_of(
            st.none(), st.text(), st.dictionaries(st.sampled_from(["timestamp", "sampledValue"]), st.text() | st.none())
        )
    ),
    st.none() | st.text(),
)
def test_it_never_raises(values, raw):
    """Whatever a charger sends."""
    assert newest_power(values, raw, NOW, FIRST_DIALECT) is None


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

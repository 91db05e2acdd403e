"""Normalised readings of stored events: registers, power and state of charge, as energy is worked out from them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events as e
from gateway.domain.codec import encode
from gateway.domain.metering import (
    Boot,
    Edge,
    IntervalSample,
    Metered,
    PhaseCount,
    PowerSample,
    RegisterSample,
    SocSample,
    meter_changes,
    metered,
    metering_of,
)
from gateway.domain.values import ConnectorAddress, Flag
from tests.domain.values import SENT

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=9)
ONE = ConnectorAddress(1, 1)


def stored(body, sequence=1, *, reported=NOW, flags=(), body_json=None):
    data = encode(body) if body_json is None else body_json
    received = NOW + timedelta(minutes=1)
    return e.StoredEvent(sequence, f"e{sequence}", "CP1", 1, body.TYPE, 1, received, reported, None, flags, "", data)


def started(meter_start=1000):
    return e.TransactionStarted("tx_1", 1, ONE, "T", "Accepted", meter_start, "key")


def stopped(meter_stop=5000, *values):
    return e.TransactionStopped("tx_1", ONE, meter_stop, "Local", None, meter_value=values)


def element(*sampled, at="2026-03-01T12:00:00Z"):
    return {"timestamp": at, "sampledValue": list(sampled)}


def reported(*values):
    return metered(stored(e.MeterValuesReported(ONE, values, "tx_1")))


@pytest.mark.parametrize(
    ("watt_hours", "flags", "edge"),
    [
        (1000, (), Edge(NOW, 1_000_000)),
        (0, (), Edge(NOW, 0)),
        (1000, (Flag.METER_IMPLAUSIBLE,), Edge(NOW, 1_000_000, doubted=True)),
        (0, (Flag.METER_IMPLAUSIBLE,), Edge(NOW, 0, doubted=True)),
        (0, (Flag.DEVIATES, Flag.METER_IMPLAUSIBLE), Edge(NOW, None, doubted=True)),
        (-1, (Flag.METER_IMPLAUSIBLE,), Edge(NOW, None, doubted=True)),
        (10**16, (), Edge(NOW, None)),
        (1000, (Flag.CLOCK_SUSPECT,), Edge(NOW + timedelta(minutes=1), 1_000_000, timed=False)),
    ],
)
def test_a_start_and_a_stop_have_a_register_and_a_time(watt_hours, flags, edge):
    """A register that is none is left out, and a 0 that may stand for one that was not sent; a time that can't be right
    is that of receipt."""
    assert metered(stored(started(watt_hours), flags=flags)) == Metered(
        1, start=edge, type="transaction.started", suspect=Flag.CLOCK_SUSPECT in flags
    )
    assert metered(stored(stopped(watt_hours), flags=flags)).stop == edge


def test_registers_are_read_in_milliwatt_hours():
    """In Wh or kWh, with defaults; the total before the phases; no start's, no export, nothing unreadable."""
    found = reported(
        element({"value": "1.5"}, {"value": "7", "measurand": "SoC", "unit": "Percent"}),
        element({"value": "0.0025", "unit": "kWh"}, at="2026-03-01T12:01:00Z"),
        element(*({"value": "2", "phase": phase} for phase in ("L1", "L2", "L3")), at="2026-03-01T12:02:00Z"),
        element({"value": "9", "context": "Transaction.Begin"}, at="2026-03-01T12:03:00Z"),
        element({"value": "9", "measurand": "Energy.Active.Export.Register"}, at="2026-03-01T12:03:00Z"),
        element({"value": "much"}, at="2026-03-01T12:03:00Z"),
    )
    assert found.registers == (
        RegisterSample(1500, NOW),
        RegisterSample(2500, NOW + timedelta(minutes=1)),
        RegisterSample(6000, NOW + timedelta(minutes=2)),
    )
    assert found.begins == (RegisterSample(9000, NOW + timedelta(minutes=3)),)
    assert found.socs == (SocSample(7.0, NOW),)


def test_energies_of_intervals_are_apart_by_context():
    """Those by the clock count the same energy once more; phases are added, and none of them is a register."""
    sent = {"measurand": "Energy.Active.Import.Interval", "unit": "Wh"}
    found = reported(
        element({"value": "100"} | sent, {"value": "300", "context": "Sample.Clock"} | sent),
        element(*({"value": "50", "phase": phase} | sent for phase in ("L1", "L2", "L3")), at="2026-03-01T12:01:00Z"),
        element({"value": "-1"} | sent, {"value": "much", "context": "Sample.Clock"} | sent, at="2026-03-01T12:02:00Z"),
    )
    assert found.registers == ()
    assert found.intervals == (
        IntervalSample(100_000, NOW, "Sample.Periodic"),
        IntervalSample(300_000, NOW, "Sample.Clock"),
        IntervalSample(150_000, NOW + timedelta(minutes=1), "Sample.Periodic"),
    )
    assert found.readings == 3


def test_registers_of_two_places_are_two():
    """They are never compared."""
    found = reported(element({"value": "5"}, {"value": "9000", "location": "Inlet"}))
    assert found.registers == (RegisterSample(5000, NOW), RegisterSample(9_000_000, NOW, place="Inlet"))


def test_a_sample_without_a_usable_time_has_that_of_receipt():
    """And says so."""
    received = NOW + timedelta(minutes=1)
    for sent in ({"sampledValue": [{"value": "5"}]}, element({"value": "5"}, at="1970-01-01T00:00:00Z")):
        assert reported(sent).registers == (RegisterSample(5000, received, timed=False),)


def test_power_is_that_of_the_connector():
    """As sent, or worked out of currents and voltages, which is an estimate where it rests on an assumption."""
    found = reported(
        element({"value": "7.2", "unit": "kW", "measurand": "Power.Active.Import"}),
        element(
            {"value": "16", "measurand": "Current.Import", "phase": "L1"},
            {"value": "230", "measurand": "Voltage", "phase": "L1-N"},
            at="2026-03-01T12:01:00Z",
        ),
    )
    assert found.powers == (PowerSample(7200.0, NOW), PowerSample(3680.0, NOW + timedelta(minutes=1)))


def test_a_state_of_charge_beyond_its_range_is_none():
    """And one that can't be read."""
    sampled = [{"value": value, "measurand": "SoC"} for value in ("-1", "101", "full", "NaN")]
    assert reported(element(*sampled)).socs == ()


def by_phase(*values, measurand="Current.Import", unit="A", names=("L1", "L2", "L3")):
    """Samples of one moment; None: not reported."""
    named = zip(names, values, strict=False)
    return [
        {"value": str(value), "measurand": measurand, "unit": unit, "phase": phase}
        for phase, value in named
        if value is not None
    ]


@pytest.mark.parametrize(
    ("sampled", "expected"),
    [
        (by_phase(16, 0.4, 0), 1),
        (by_phase(0, 16, 0.5), 2),
        (by_phase(6, 6, 6, names=("L1-N", "L2-N", "L3-N")), 3),
        (by_phase(0, 0, 0), None),
        (by_phase(16, 16, None), None),
        (by_phase(16, 16, 16, names=("L1", "L2", "N")), None),
        (by_phase(3680, 3680, 114, measurand="Power.Active.Import", unit="W"), 2),
        (by_phase(3.68, 3.68, 3.68, measurand="Power.Active.Import", unit="kW"), 3),
        (by_phase(3680, 3680, 3680, measurand="Power.Active.Import", unit="W") + by_phase(16, 0, 0), 1),
        (by_phase(230, 230, 230, measurand="Voltage", unit="V"), None),
        ([{"value": "16", "measurand": "Current.Import"}], None),
    ],
)
def test_phases_with_a_current_are_counted_where_all_three_are_reported(sampled, expected):
    """Else with a power. What is left out may carry as much."""
    found = reported(element(*sampled)).phases
    assert found == (None if expected is None else PhaseCount(expected, NOW))


def test_the_newest_moment_that_shows_phases_counts():
    """In a message and in a session: a pause shows none."""
    later, last = "2026-03-01T12:01:00Z", "2026-03-01T12:02:00Z"
    two, none = by_phase(16, 16, 0), by_phase(0, 0, 0)
    found = reported(element(*by_phase(16, 0, 0)), element(*none, at=last), element(*two, at=later))
    assert found.phases == PhaseCount(2, NOW + timedelta(minutes=1))
    parts = [
        Metered(1, phases=PhaseCount(3, NOW + timedelta(minutes=2))),
        Metered(2, phases=PhaseCount(1, NOW)),
        Metered(3),
    ]
    assert metering_of(parts, Edge(NOW, 1), None).phases == 3
    assert metering_of(parts[2:], Edge(NOW, 1), None).phases is None


def test_what_came_with_a_stop_counts():
    """transactionData holds samples as reports do."""
    found = metered(stored(stopped(5000, element({"value": "4.9", "unit": "kWh", "context": "Transaction.End"}))))
    assert (found.stop, found.registers) == (Edge(NOW, 5_000_000), (RegisterSample(4_900_000, NOW),))


def test_an_event_of_another_kind_or_one_that_can_not_be_read_has_none():
    """It raises nothing."""
    assert metered(stored(e.ChargePointDeleted(), 5)) == Metered(5, type="charge_point.deleted")
    assert metered(stored(started(), 5, body_json=b"{")) == Metered(5, type="transaction.started")


@given(st.lists(SENT, max_size=4))
def test_whatever_was_sent_can_be_read(values):
    """Meter values of any shape."""
    found = metered(stored(e.MeterValuesReported(ONE, tuple(values), "tx_1")))
    assert all(each.mwh >= 0 for each in found.registers)


def test_a_session_is_put_together_from_events_in_any_order():
    """Start and stop once, all samples; what retention took comes from the record."""
    parts = [
        Metered(3, registers=(RegisterSample(2, NOW),)),
        Metered(9, stop=Edge(NOW, 4)),
        Metered(1, start=Edge(NOW, 1)),
        Metered(2, registers=(RegisterSample(1, NOW),), powers=(PowerSample(5.0, NOW),)),
    ]
    found = metering_of(parts, Edge(NOW, 77), Edge(NOW, 88))
    assert (found.start.mwh, found.stop.mwh, found.deleted) == (1, 4, False)
    assert [each.mwh for each in found.registers] == [1, 2]
    assert len(found.powers) == 1
    kept = metering_of([], Edge(NOW, 77), Edge(NOW, 88))
    assert (kept.start.mwh, kept.stop.mwh, kept.deleted) == (77, 88, True)


@pytest.mark.parametrize(
    ("boots", "changes"),
    [
        ([], []),
        ([Boot(NOW, ("A", None, "M"))], []),
        ([Boot(NOW, ("A", None, "M"), True)], [NOW]),
        ([Boot(NOW, ("A", None, "M")), Boot(LATER, ("A", "X", "N"))], [LATER]),
        ([Boot(NOW, ("A", None, "M")), Boot(LATER, ("B", None, "M"))], [LATER]),
        ([Boot(NOW, ("A", None, "M")), Boot(LATER, ("A", None, None)), Boot(LATER, ("A", None, "M"))], []),
        ([Boot(NOW, (None, None, "M")), Boot(LATER, (None, None, None)), Boot(LATER, (None, None, "N"))], [LATER]),
    ],
)
def test_boots_show_another_meter_by_their_serial_numbers(boots: list[Boot], changes: list[datetime]) -> None:
    """As they follow on one another, or as was seen when they were recorded; what one leaves out is as it was."""
    assert list(meter_changes(boots)) == changes


def test_an_operators_register_is_the_end_of_a_session():
    """Given at its closing, or in a stop that was tied to it; a stop of the charger's that comes later replaces it."""
    closed = metered(stored(e.TransactionClosed("tx_1", ONE, "x", 4000, NOW), 7))
    assert closed.stop == Edge(NOW, 4_000_000, by_operator=True)
    assert metered(stored(e.TransactionClosed("tx_1", ONE, "x"), 7)).stop is None
    body = e.TransactionAttributed("tx_1", ONE, 3, "e3", 9, 5000, "Local", 4000, LATER, "x", "r")
    assert metered(stored(body, 8)).stop == Edge(NOW, 5_000_000, by_operator=True)
    assert metered(stored(body, 8, reported=None)).stop == Edge(LATER, 5_000_000, timed=False, by_operator=True)
    late = metered(stored(stopped(6000), 9))
    assert metering_of([late, closed], Edge(NOW, 1), None).stop == late.stop

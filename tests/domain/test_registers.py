"""Registers over time: what contradicts itself, and what only looks odd."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.registers import (
    RegisterReading,
    contradicts,
    newest_registers,
    register_readings,
)

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def rising(*points: tuple[float, float]) -> list[RegisterReading]:
    """(minutes, Wh) of samples."""
    return [RegisterReading(Decimal(str(wh)), at(minutes)) for minutes, wh in points]


@pytest.mark.parametrize(
    ("start", "stop", "points"),
    [
        (0, 452_300, [(0.2, 450_000), (59, 452_200)]),
        (0, 452_300, [(60, 450_000), (110, 452_200)]),
        (1000, 1000, [(10, 2000), (50, 6000)]),
        (0, 0, [(10, 1000), (50, 5000)]),
        (1000, 6000, [(10, 2000), (20, 5000), (30, 100), (40, 900)]),
        (1000, 9000, [(10, 2000), (20, 1500)]),
        (500_000, 500_000, [(10, 1000), (50, 5000)]),
        (1000, 900_000, [(10, 2000), (119, 6000)]),
    ],
    ids=[
        "lifetime",
        "lifetime late",
        "stuck",
        "stuck at 0",
        "reset",
        "backwards",
        "relative, stuck",
        "jump at the end",
    ],
)
def test_a_meter_that_contradicts_itself_is_found(start, stop, points):
    """A lifetime register after a start of 0, a stop that did not move with the samples, a reset on the way."""
    assert contradicts(start, at(0), stop, at(120), rising(*points))


@pytest.mark.parametrize(
    ("start", "stop", "points"),
    [
        (1000, 6100, [(10, 2000), (119, 6050)]),
        (0, 5000, [(10, 1000), (110, 4800)]),
        (500_000, 505_000, [(10, 1000), (110, 4900)]),
        (1000, 1000, [(10, 1000), (110, 1000)]),
        (1000, 6000, []),
        (1000, 6000, [(119, 6040)]),
        (1000, 51_000, [(5, 20_000), (30, 50_900)]),
        (1000, 21_000, [(60, 20_000), (110, 20_900)]),
        (1000, 6000, [(10, 2000), (119, 5900), (500, 9000)]),
        (0, 7360, [(60, 7360), (120, 7360)]),
    ],
    ids=[
        "plain",
        "from 0",
        "samples of the session alone",
        "nothing charged",
        "no samples",
        "rounded",
        "fast",
        "slows down",
        "a sample after it",
        "full early",
    ],
)
def test_a_meter_that_only_looks_odd_is_left_alone(start, stop, points):
    """Session registers beside lifetime ones, a car that slows down or is full, rounding."""
    assert not contradicts(start, at(0), stop, at(120), rising(*points))


def test_samples_that_a_queue_brings_late_are_put_in_order():
    """An older one after a newer one is no register that runs backwards."""
    late = rising((10, 2000), (50, 6000), (20, 3000))
    assert not contradicts(1000, at(0), 6500, at(60), late)


def test_suspect_times_are_no_ground_for_rates():
    """A whole session that is replayed at once, by a clock that was never set: values are compared, rates are not."""
    readings = [RegisterReading(Decimal(wh), None) for wh in (2000, 30_000, 60_000)]
    assert not contradicts(1000, None, 61_000, None, readings)
    assert contradicts(1000, None, 1000, None, readings)
    assert contradicts(1000, None, 61_000, None, readings[::-1])


@given(st.integers(0, 10**9), st.lists(st.integers(0, 3000), min_size=1, max_size=30))
def test_any_steady_life_agrees_with_itself(start, steps):
    """Registers that rise by what a wallbox gives in a minute, sampled each minute."""
    points, wh = [], start
    for minute, step in enumerate(steps, 1):
        wh += min(step, 360)
        points.append((minute, wh))
    assert not contradicts(start, at(0), wh, at(len(steps)), rising(*points))


def element(minutes: float, *sampled: dict) -> dict:
    return {"timestamp": at(minutes).isoformat(), "sampledValue": list(sampled)}


def test_the_newest_register_of_a_message_is_found_by_location():
    """Those by phase, of a begin, signed ones and what can't be read are passed over."""
    values = [
        element(2, {"value": "1100"}, {"value": "7", "measurand": "Power.Active.Import"}),
        element(1, {"value": "1.05", "unit": "kWh"}, {"value": "9", "location": "Inlet"}),
        element(3, {"value": "5000", "phase": "L1"}, {"value": "9999", "context": "Transaction.Begin"}),
        element(4, {"value": "x"}, {"value": "8888", "format": "SignedData"}, {"value": "1", "unit": "varh"}),
        "nothing",
        {"sampledValue": 7},
        {},
    ]
    assert dict(newest_registers(values)) == {"Outlet": 1100.0, "Inlet": 9.0}


def test_registers_are_read_moment_by_moment():
    """In the order of time."""
    values = [element(2, {"value": "1100"}), element(1, {"value": "1.05", "unit": "kWh"})]
    assert register_readings(values, at(5)) == [
        RegisterReading(Decimal("1050.00"), at(1)),
        RegisterReading(Decimal(1100), at(2)),
    ]


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.floats(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["sampledValue", "value", "measurand", "unit", "location", "context", "phase"]), inner
            )
        ),
    )
)
def test_whatever_is_sent_is_read_without_an_error(value):
    """Meter values are never refused."""
    newest_registers(value if isinstance(value, list) else [value])
    register_readings(value if isinstance(value, list) else [value], START)

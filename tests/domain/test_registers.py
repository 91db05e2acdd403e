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
        (0, 452_300, [(0, 0), (20, 450_000)]),
        (0, 452_300, [(60, 0), (90, 450_000)]),
        (0, 450_100, [(60, 0), (118, 450_000)]),
        (0, 48_000, [(30, 0), (31, 45_000), (60, 46_000)]),
        (0, 452_300, [(10, 1000), (20, 2000), (30, 3000), (90, 452_000)]),
        (1000, 450_000, [(20, 3000), (60, 6000)]),
        (100_000, 150_000, [(40, 500), (80, 2500), (115, 5000)]),
        (0, 452_300, [(60, 450_000)]),
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
        "lifetime in the second sample",
        "lifetime after an hour of 0",
        "lifetime just before the stop",
        "jump within a minute",
        "jump among steady samples",
        "jump at the end that a fast charger could give",
        "a stop beyond samples of the session alone",
        "lifetime in the only sample",
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
        (0, 75_000, [(30, 75_000), (60, 75_000), (90, 75_000)]),
        (0, 60_000, [(30, 0), (60, 0), (90, 60_000), (119, 60_000)]),
        (400_000, 990_000, [(1, 408_000), (60, 890_000), (110, 989_000)]),
        (400_000, 700_000, [(1, 400_000), (2, 400_000), (3, 400_000), (115, 700_000), (116, 700_000)]),
        (1_000_499, 1_000_900, [(10, 1_000_000), (110, 1_000_000)]),
        (1_000_499, 1_005_600, [(10, 1_001_000), (110, 1_006_000)]),
        (1_000_000, 1_005_000, [(10, 1_000_950), (119, 1_005_890)]),
        (1000, 1000, [(10, 999), (110, 1000)]),
        (0, 7360, [(60, 4000), (60, 4000), (60, 4000)]),
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
        "a fast charger, full early",
        "a fast charger that waits, full early",
        "500 kW, slows down",
        "a bus that waits, of which only the edges are known",
        "samples in whole kWh, rounded down",
        "samples in whole kWh, rounded up",
        "start and stop in whole kWh",
        "a register that jitters",
        "samples of one moment",
    ],
)
def test_a_meter_that_only_looks_odd_is_left_alone(start, stop, points):
    """Session registers beside lifetime ones, a car that slows down or is full, rounding."""
    assert not contradicts(start, at(0), stop, at(120), rising(*points))


def test_samples_that_a_queue_brings_late_are_put_in_order():
    """An older one after a newer one is no register that runs backwards."""
    late = rising((10, 2000), (50, 6000), (20, 3000))
    assert not contradicts(1000, at(0), 6500, at(60), late)


def test_two_samples_of_one_second_are_no_register_that_runs_backwards():
    """Whatever their order: a charger's times have a resolution of seconds, and a fast one counts within it."""
    for moment in ((20, 2000), (20, 2150)), ((20, 2150), (20, 2000)):
        assert not contradicts(1000, at(0), 6500, at(60), rising((10, 1500), *moment, (50, 6000)))
    assert contradicts(1000, at(0), 6500, at(60), rising((10, 1500), (20, 2150), (21, 2000), (50, 6000)))


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


@given(
    most=st.sampled_from([1_400, 3_700, 11_000, 22_000, 50_000, 150_000, 350_000, 500_000]),
    shares=st.lists(st.integers(0, 100), min_size=1, max_size=40),
    interval=st.sampled_from([0.1, 0.5, 1, 2, 5]),
    start=st.sampled_from([0, 7, 450_000, 12_345_678]),
    counts=st.sampled_from(["exactly", "in kWh", "of the session"]),
    shuffled=st.randoms(use_true_random=False),
)
def test_any_honest_session_agrees_with_itself(most, shares, interval, start, counts, shuffled):
    """From a domestic socket to 500 kW, whatever the car takes of it, sampled at any interval, late by seconds and out
    of order, by a register that counts in Wh, in whole kWh, or the session alone."""
    points, wh = [], float(start)
    for number, share in enumerate(shares, 1):
        wh += most * share / 100 * interval / 60
        shown = wh // 1000 * 1000 if counts == "in kWh" else wh - start if counts == "of the session" else wh
        points.append((number * interval + shuffled.random() * min(interval, 0.5), round(shown)))
    shuffled.shuffle(points)
    assert not contradicts(start, at(0), round(wh), at(len(shares) * interval + 0.2), rising(*points))


def element(minutes: float, *sampled: dict) -> dict:
    return {"timestamp": at(minutes).isoformat(), "sampledValue": list(sampled)}


def test_the_newest_register_of_a_message_is_found_by_location():
    """One of a phase apart; those of a begin, signed ones and what can't be read are passed over."""
    values = [
        element(2, {"value": "1100"}, {"value": "7", "measurand": "Power.Active.Import"}),
        element(1, {"value": "1.05", "unit": "kWh"}, {"value": "9", "location": "Inlet"}),
        element(3, {"value": "5000", "phase": "L1"}, {"value": "9999", "context": "Transaction.Begin"}),
        element(4, {"value": "x"}, {"value": "8888", "format": "SignedData"}, {"value": "1", "unit": "varh"}),
        "nothing",
        {"sampledValue": 7},
        {},
    ]
    assert newest_registers(values, at(9)) == (
        (("Outlet", 1100.0), ("Inlet", 9.0), ("Outlet L1", 5000.0)),
        False,
    )


@pytest.mark.parametrize(
    "sampled",
    [{}, {"phase": "L2"}, {"measurand": "Energy.Active.Export.Register"}, {"location": "Inlet", "unit": "kWh"}],
    ids=["total", "phase", "export", "place"],
)
def test_moments_of_one_message_contradict_each_other(sampled):
    """Whichever of them is sent first: what falls, and what rises by more than a charge point gives."""
    for earlier, later, contradict in [(5000, 4000, True), (4000, 5000, False), (0, 450_000, True)]:
        factor = 1000 if "unit" in sampled else 1
        values = [element(minute, {"value": str(wh / factor), **sampled}) for minute, wh in ((0, earlier), (2, later))]
        for sent in (values, values[::-1]):
            ((_, wh),), found = newest_registers(sent, at(5))
            assert (wh, found) == (later, contradict)


def test_registers_of_one_moment_or_of_none_are_not_held_against_each_other():
    """Nothing says which of them came first: the highest is taken."""
    for time in (at(1).isoformat(), "", "1970-01-01T00:00:00Z"):
        values = [{"timestamp": time, "sampledValue": [{"value": wh}]} for wh in ("5000", "4000")]
        assert newest_registers(values, at(5)) == ((("Outlet", 5000.0),), False)


def test_exports_that_are_counted_below_0_do_not_run_backwards():
    """Their magnitude rises."""
    values = [
        element(minute, {"value": wh, "measurand": "Energy.Active.Export.Register"})
        for minute, wh in ((0, "-1000"), (9, "-3000"))
    ]
    assert newest_registers(values, at(10)) == ((("Outlet export", 3000.0),), False)


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

"""The number of phases that a vehicle charges on."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.charging.live_phases import RECENT, live_phases
from gateway.domain.measurements import Kind, Reading

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def readings(*values: float | None, kind: Kind = Kind.CURRENT, at: datetime = NOW) -> dict[tuple[Kind, str], Reading]:
    """Of L1, L2 and L3; None: not reported."""
    named = zip(("L1", "L2", "L3"), values, strict=False)
    return {(kind, phase): Reading(kind, value, at, phase) for phase, value in named if value is not None}


@pytest.mark.parametrize(
    ("amperes", "expected"),
    [
        ((16.0, 0.0, 0.1), 1),
        ((0.2, 13.0, 0.0), 1),
        ((16.0, 16.0, 0.4), 2),
        ((6.0, 6.0, 6.0), 3),
        ((-6.0, -6.0, -6.0), 3),
        ((0.0, 0.0, 0.0), None),
        ((16.0, None, None), None),
        ((16.0, 16.0, None), None),
        ((), None),
    ],
)
def test_phases_with_a_current_are_counted(amperes: tuple[float | None, ...], expected: int | None) -> None:
    """Only where all three are reported: what is left out may carry as much."""
    assert live_phases(readings(*amperes), NOW) == expected


def test_powers_by_phase_stand_in_for_currents() -> None:
    """Of the two the currents count."""
    powers = readings(3680.0, 2.0, 0.0, kind=Kind.POWER)
    assert live_phases(powers, NOW) == 1
    assert live_phases({**powers, **readings(16.0, 16.0, 0.0)}, NOW) == 2


def test_readings_of_several_moments_or_of_long_ago_show_nothing() -> None:
    """A phase may have come or gone since."""
    minute = timedelta(minutes=1)
    mixed = {**readings(16.0, 0.0, None), **readings(None, None, 0.0, at=NOW - minute)}
    assert live_phases(mixed, NOW) is None
    old = readings(16.0, 0.0, 0.0, at=NOW - RECENT)
    assert live_phases(old, NOW) == 1
    assert live_phases(old, NOW + minute) is None


@given(st.lists(st.floats(allow_nan=True) | st.none(), max_size=3))
def test_any_values_give_a_number_of_phases_or_none(values: list[float | None]) -> None:
    """From one to three."""
    assert live_phases(readings(*values), NOW) in (None, 1, 2, 3)

"""The charging state: the table of statuses and power, and the damping that keeps it from flapping."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.charging_state import (
    FALLS_AT,
    OFFLINE_GRACE,
    RISES_AT,
    SETTLES_AFTER,
    STALE_AFTER,
    TABLE,
    ChargingState,
    ConnectorStatus,
    Followed,
    Observed,
    PowerLevel,
    StateBasis,
    charging_state,
    followed,
    power_level,
)
from gateway.domain.power import Power
from tests.energy.values import at
from tests.support.named_tests import REPOSITORY

# status: above, below, not known; as docs/energy.md has it
EXPECTED = {
    "Available": "available/status available/status available/status",
    "Preparing": "charging/power connected/status-and-power connected/status-only",
    "Charging": "charging/status-and-power connected/power charging/status-only",
    "SuspendedEV": "connected/status connected/status connected/status",
    "SuspendedEVSE": "connected/status connected/status connected/status",
    "Finishing": "connected/status connected/status connected/status",
    "Reserved": "reserved/status reserved/status reserved/status",
    "Unavailable": "out-of-service/status out-of-service/status out-of-service/status",
    "Faulted": "faulted/status faulted/status faulted/status",
    "": "charging/power-only unknown/nothing unknown/nothing",
    "Bogus": "charging/power-only unknown/nothing unknown/nothing",
}


WORDS = re.compile(r"([A-Z_]+)(?: \((?:basis: )?([a-z ]+)\))?")
"""A cell of the documents: a state and, where it is said, its basis."""


def documented():
    """The rows of docs/energy.md's table: a status, and state and basis by power."""
    text = (REPOSITORY / "docs" / "energy.md").read_text(encoding="utf-8")
    rows = text.split("| status | power above | below | not known |\n", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    for row in rows:
        names, *cells = (each.strip() for each in row.strip("|").split("|"))
        for name in names.split(", "):
            yield name, [WORDS.fullmatch(cell).groups() for cell in cells]


def test_the_documents_have_the_table_of_the_code():
    """Each status, and none and another one, with the three levels of power; the basis where it is named."""
    found = dict(documented())
    assert found.keys() == {*TABLE, "none", "or another"}
    for status, cells in found.items():
        for level, (state, basis) in zip((PowerLevel.ABOVE, PowerLevel.BELOW, PowerLevel.UNKNOWN), cells, strict=True):
            verdict = charging_state("" if status == "none" else status, level)
            assert verdict.state == state.lower().replace("_", "-"), (status, level)
            assert basis in (None, verdict.basis.replace("-", " ")), (status, level)


@pytest.mark.parametrize("status", EXPECTED)
def test_a_state_follows_from_status_and_power(status):
    """Nine statuses, and one that is not known, with a power above, below and not known."""
    found = [charging_state(status, level) for level in (PowerLevel.ABOVE, PowerLevel.BELOW, PowerLevel.UNKNOWN)]
    assert " ".join(f"{each.state}/{each.basis}" for each in found) == EXPECTED[status]


def test_the_table_has_all_statuses():
    """All nine, and each state but the unknown one."""
    assert TABLE.keys() == set(ConnectorStatus)
    assert len(TABLE) == 9
    states = {verdict.state for row in TABLE.values() for verdict in row}
    assert states == set(ChargingState) - {ChargingState.UNKNOWN}


@pytest.mark.parametrize("spelled", ["charging", "CHARGING", "Charging"])
def test_a_status_is_known_in_any_case(spelled):
    """Some chargers spell it in their own way."""
    assert charging_state(spelled, PowerLevel.UNKNOWN).state is ChargingState.CHARGING


def observed(minutes, status, watts=None, since=0, measured=None):
    power = None if watts is None else Power(watts, at(minutes if measured is None else measured))
    return Observed(at(minutes), status, at(since), power)


def test_a_power_between_the_thresholds_keeps_its_level():
    """From either side."""
    middle = Power((RISES_AT + FALLS_AT) / 2, at(0))
    assert power_level(middle, at(0), before=PowerLevel.ABOVE) is PowerLevel.ABOVE
    assert power_level(middle, at(0), before=PowerLevel.BELOW) is PowerLevel.BELOW
    assert power_level(middle, at(0)) is PowerLevel.BELOW
    assert power_level(Power(RISES_AT, at(0)), at(0)) is PowerLevel.ABOVE
    assert power_level(Power(FALLS_AT, at(0)), at(0), before=PowerLevel.ABOVE) is PowerLevel.BELOW


def test_a_power_that_is_stale_or_older_than_the_status_is_not_known():
    """It is of an earlier time."""
    power = Power(7000, at(0))
    assert power_level(power, at(0) + STALE_AFTER) is PowerLevel.ABOVE
    assert power_level(power, at(0.1) + STALE_AFTER) is PowerLevel.UNKNOWN
    assert power_level(power, at(2), status_since=at(1)) is PowerLevel.UNKNOWN
    assert power_level(None, at(0)) is PowerLevel.UNKNOWN


def test_a_dip_of_power_shows_no_change():
    """One reading of nothing while a car charges; back before it has settled."""
    state = followed(None, observed(0, "Charging", 7000))
    began = state.since
    for minutes, watts in ((1, 7000), (2, 0), (2.5, 0), (2.9, 7000), (4, 7000), (5, 10), (5.9, 10)):
        state = followed(state, observed(minutes, "Charging", watts))
        assert (state.verdict.state, state.since) == (ChargingState.CHARGING, began)


def test_a_lasting_change_of_power_is_shown_once_it_has_settled():
    """The car is full; the charger goes on saying Charging."""
    state = followed(None, observed(0, "Charging", 7000))
    state = followed(state, observed(1, "Charging", 5))
    assert state.verdict.state is ChargingState.CHARGING
    state = followed(state, observed(2, "Charging", 5))
    assert (state.verdict.state, state.verdict.basis) == (ChargingState.CONNECTED, StateBasis.POWER)
    assert state.since == at(2)


def test_a_change_of_status_is_shown_at_once():
    """Without waiting for power to settle; the power of before does not count against it."""
    state = followed(None, observed(0, "Charging", 7000))
    state = followed(state, observed(1, "SuspendedEV", 7000, since=1, measured=0.9))
    assert (state.verdict.state, state.verdict.basis) == (ChargingState.CONNECTED, StateBasis.STATUS)
    state = followed(state, observed(2, "Faulted", since=2))
    assert state.verdict.state is ChargingState.FAULTED
    state = followed(state, observed(3, "Available", since=3))
    assert (state.verdict.state, state.since) == (ChargingState.AVAILABLE, at(3))


def test_offline_is_unknown_only_after_the_grace():
    """Worked out when it is read: also long afterwards it is unknown since the grace ended."""
    state = followed(None, observed(0, "Charging", 7000))
    away = followed(state, Observed(at(4), "Charging", at(0), None, at(1)))
    assert away == state
    away = followed(state, Observed(at(600), "Charging", at(0), None, at(1)))
    assert (away.verdict.state, away.verdict.basis) == (ChargingState.UNKNOWN, StateBasis.OFFLINE)
    assert away.since == at(1) + OFFLINE_GRACE
    assert followed(away, Observed(at(700), "Charging", at(0), None, at(1))) == away
    back = followed(away, observed(701, "Charging", 7000, since=700))
    assert (back.verdict.state, back.since) == (ChargingState.CHARGING, at(701))


SEEN = st.lists(
    st.tuples(st.floats(0.05, 3), st.sampled_from([*EXPECTED]), st.none() | st.sampled_from([0.0, 200.0, 7000.0])),
    max_size=40,
)


@given(SEEN)
def test_a_state_that_only_power_changes_lasts(seen):
    """Whatever is observed: two changes without a change of status are apart by what a change takes to settle, and a
    state is never another one than status and some power of before give."""
    state: Followed | None = None
    minutes, since, known = 0.0, 0.0, ""
    for step, status, watts in seen:
        minutes += step
        if status != known:
            since, known = minutes, status
        before = state
        state = followed(state, observed(minutes, status, watts, since=since))
        known_before = before is not None and before.verdict.basis is not StateBasis.NOTHING
        if known_before and before.status == status and before.verdict.state is not state.verdict.state:
            assert before.coming_since is not None
            assert state.since - before.coming_since >= SETTLES_AFTER
        assert state.verdict.state in {charging_state(status, level).state for level in PowerLevel}
        assert state.since <= at(minutes) + timedelta(0)

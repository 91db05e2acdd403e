"""The settlement of a transaction's energy: the table of states, the times it waits, and what makes a revision."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.records import EnergyRecord, TransactionRecord, TransactionState
from gateway.domain.values import ConnectorAddress, Flag
from gateway.energy.quality import Doubt
from gateway.energy.session import RULES_VERSION, session_energy
from gateway.energy.settlement import (
    LONGEST_QUIET,
    QUIET,
    QUIET_IF_DOUBTED,
    QUIET_WITHOUT_STOP,
    TRANSITIONS,
    EnergyState,
    Happening,
    Provenance,
    differs,
    digest_of,
    provenance,
    quiet_for,
    quiet_needed,
    revised,
    state_of,
    worst_provenance,
)
from tests.energy.values import START, at, session

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE = ConnectorAddress(1, 1)

OPEN = TransactionRecord(
    "tx_1", 1, "CP1", ONE, "T", "Accepted", TransactionState.OPEN, 1000, START, START, 5, START.isoformat()
)
STOPPED = evolve(
    OPEN,
    state=TransactionState.STOPPED,
    meter_stop=5000,
    stopped_at=at(120),
    stop_received_at=at(120),
    stop_raw=at(120).isoformat(),
)


def settled(record: TransactionRecord, **known: object) -> TransactionRecord:
    return evolve(record, settlement=evolve(EnergyRecord(position=9, newest=9), **known))


def test_the_table_leads_from_each_state_only_where_it_may() -> None:
    """Nothing is final at once, nothing runs again, and whatever comes makes a final energy provisional."""
    assert set(TRANSITIONS) == set(EnergyState)
    for state, row in TRANSITIONS.items():
        for happening, after in row.items():
            assert (after is EnergyState.FINAL) == (happening is Happening.QUIET)
            if after is EnergyState.RUNNING:
                assert (state, happening) == (EnergyState.RUNNING, Happening.READINGS)
    assert Happening.QUIET not in TRANSITIONS[EnergyState.RUNNING]
    assert Happening.LOST not in TRANSITIONS[EnergyState.FINAL], "only an open transaction is lost"


@pytest.mark.parametrize(
    ("record", "needed"),
    [
        (STOPPED, QUIET),
        (evolve(STOPPED, stop_received_at=at(126)), QUIET_IF_DOUBTED),
        (evolve(STOPPED, stop_raw="1970-01-01T00:00:00Z"), QUIET_IF_DOUBTED),
        (evolve(STOPPED, stop_raw=None), QUIET_IF_DOUBTED),
        (evolve(STOPPED, flags=(Flag.BY_OPERATOR,)), QUIET_IF_DOUBTED),
        (evolve(OPEN, state=TransactionState.LOST), QUIET_WITHOUT_STOP),
        (evolve(OPEN, state=TransactionState.CLOSED), QUIET_WITHOUT_STOP),
    ],
)
def test_the_less_is_known_of_an_end_the_longer_it_waits(record: TransactionRecord, needed: timedelta) -> None:
    """A timely stop, one that was queued, has no usable time or is an operator's, and none."""
    assert quiet_needed(record) == needed <= LONGEST_QUIET


def test_only_connected_time_counts() -> None:
    """Of connections that are over, and of the present one from where the transaction was last heard of."""
    known = EnergyRecord(quiet=HOUR)
    assert quiet_for(known, NOW) == HOUR
    assert quiet_for(evolve(known, connected_since=NOW - HOUR), NOW) == 2 * HOUR
    assert quiet_for(EnergyRecord(quiet=-HOUR, connected_since=NOW - 3 * HOUR), NOW) == 2 * HOUR
    assert quiet_for(EnergyRecord(quiet=-HOUR), NOW) == timedelta()
    assert quiet_for(EnergyRecord(connected_since=NOW + HOUR), NOW) == timedelta(), "a clock that was set back"


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (OPEN, EnergyState.RUNNING),
        (settled(STOPPED, quiet=QUIET, quiet_needed=QUIET), EnergyState.FINAL),
        (settled(STOPPED, quiet=QUIET - timedelta(seconds=1), quiet_needed=QUIET), EnergyState.PROVISIONAL),
        (settled(STOPPED, quiet=HOUR * 48, quiet_needed=QUIET, newest=10), EnergyState.PROVISIONAL),
        (settled(STOPPED, quiet=HOUR * 23), EnergyState.PROVISIONAL),
        (settled(STOPPED, quiet=HOUR * 24), EnergyState.FINAL),
    ],
)
def test_energy_is_final_by_the_time_that_its_revision_named(record: TransactionRecord, state: EnergyState) -> None:
    """Without one, of before there were revisions, by the longest; what is still to be worked out is provisional."""
    assert state_of(record, NOW) is state


ENERGY = session_energy(session(1000, 5000, (60, 2000)))


def test_the_first_result_is_revision_one() -> None:
    """Whatever it is, also that nothing is known; the cause is the end, or the operator's attribution."""
    ended = evolve(STOPPED, settlement=EnergyRecord(newest=9))
    first = revised(ended, ENERGY, frozenset({Happening.STOPPED, Happening.READINGS}))
    assert first is not None
    assert (first.revision, first.mwh, first.previous_mwh, first.why) == (1, 4_000_000, None, "stopped")
    assert (first.previous_state, first.state) == ("running", "provisional")
    attributed = revised(ended, ENERGY, frozenset({Happening.ATTRIBUTED}))
    assert attributed is not None
    assert attributed.why == "attribution"
    unknown = revised(evolve(ended, state=TransactionState.LOST), session_energy(session(None, None)), frozenset())
    assert unknown is not None
    assert (unknown.revision, unknown.mwh, unknown.basis, unknown.why) == (1, None, "unknown", "lost")
    assert revised(OPEN, ENERGY, frozenset()) is None


def recorded(**changes: object) -> TransactionRecord:
    known = EnergyRecord(
        3, 4_000_000, ENERGY.basis, ENERGY.doubts, RULES_VERSION, digest_of(ENERGY), 9, 12, quiet_before=2 * HOUR,
        quiet_needed=HOUR)  # fmt: skip
    return evolve(STOPPED, settlement=evolve(known, **changes))


def test_the_same_result_is_no_revision() -> None:
    """Whatever came."""
    assert revised(recorded(), ENERGY, frozenset(Happening)) is None
    assert not differs(recorded().settlement, ENERGY)


@pytest.mark.parametrize(
    "changes",
    [{"mwh": 3_999_999}, {"basis": "segments"}, {"doubts": (Doubt.RESET.value,)}, {"digest": "00"}, {"mwh": None}],
)
@pytest.mark.parametrize(
    ("happened", "why"),
    [
        ({Happening.READINGS}, "readings"),
        ({Happening.READINGS, Happening.CLOSED}, "close"),
        ({Happening.READINGS, Happening.CLOSED, Happening.STOPPED}, "stop"),
        ({Happening.READINGS, Happening.ATTRIBUTED}, "attribution"),
    ],
)
def test_another_result_is_the_next_revision(changes: dict[str, object], happened: set[Happening], why: str) -> None:
    """In its total, in how it was found, in its doubts, or over time; from the state in which it was found."""
    record = recorded(**changes)
    after = revised(record, ENERGY, frozenset(happened))
    assert after is not None
    assert (after.revision, after.mwh, after.previous_mwh, after.why) == (
        4, 4_000_000, record.settlement.mwh, why)  # fmt: skip
    assert (after.previous_state, after.state) == ("final", "provisional")


def test_other_rules_are_named_as_the_cause() -> None:
    """Of a revision that no message explains."""
    after = revised(recorded(mwh=1, rules_version=RULES_VERSION - 1), ENERGY, frozenset())
    assert after is not None
    assert (after.why, after.rules_version) == ("rules", RULES_VERSION)


def test_a_message_is_live_replayed_or_of_a_suspect_clock() -> None:
    """By its time as sent against its receipt; without a message there is no word."""
    said = NOW.isoformat()
    assert provenance(said, NOW + timedelta(minutes=5)) is Provenance.LIVE
    assert provenance(said, NOW + timedelta(minutes=5, seconds=1)) is Provenance.REPLAYED
    assert provenance("1970-01-01T00:00:00Z", NOW) is Provenance.CLOCK_SUSPECT
    assert provenance(None, NOW) is Provenance.CLOCK_SUSPECT
    assert provenance(said, None) is None
    assert worst_provenance([Provenance.REPLAYED, None, Provenance.CLOCK_SUSPECT]) is Provenance.CLOCK_SUSPECT
    assert worst_provenance([None]) is None


@given(st.lists(st.tuples(st.integers(1, 119), st.integers(1000, 5000)), max_size=8), st.integers(0, 2**32))
def test_order_and_repetition_change_no_digest(points: list[tuple[int, int]], seed: int) -> None:
    """The digest tells curves apart, not messages."""
    registers = sorted(dict(points).items())
    levels = sorted(value for _, value in registers)
    rising = [(minute, level) for (minute, _), level in zip(registers, levels, strict=True)]
    shuffled = [*rising, *rising[: seed % (len(rising) + 1)]]
    shuffled.reverse()
    first, second = session_energy(session(1000, 5000, *rising)), session_energy(session(1000, 5000, *shuffled))
    assert digest_of(first) == digest_of(second)
    later = session_energy(session(1000, 5001, *rising))
    assert digest_of(first) != digest_of(later)

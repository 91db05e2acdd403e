"""The identity of a start across retries."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from gateway.domain.event_records import started_record
from gateway.domain.events import NewEvent, TransactionStarted
from gateway.domain.records import TransactionState
from gateway.domain.state import MAX_REMEMBERED_STARTS, ChargePointState
from gateway.domain.state import evolve as apply
from gateway.domain.times import read_time
from gateway.domain.transactions import folded, is_retry, start_key
from gateway.domain.values import ConnectorAddress, Registration

ONE = ConnectorAddress(1, 1)
AT = datetime(2024, 5, 1, tzinfo=UTC)


def test_a_key_is_stable_for_ever():
    """It is stored: this value must never change."""
    assert start_key(ONE, "Tag", "2024-05-01T10:00:00Z", 5) == "c711aed09557134f3ef4a758b1f0b99b"


def test_a_key_does_not_mind_the_tags_case():
    """S §3.9."""
    assert start_key(ONE, "tag", "t", 0) == start_key(ONE, "TAG", "t", 0)
    assert folded("TaG1") == "tag1"


@pytest.mark.parametrize(
    "other", [(ConnectorAddress(2, 1), "A", "t", 0), (ONE, "B", "t", 0), (ONE, "A", "u", 0), (ONE, "A", "t", 1)]
)
def test_each_part_of_a_key_counts(other):
    """B4.6."""
    assert start_key(ONE, "A", "t", 0) != start_key(*other)


def test_no_part_of_a_key_runs_into_the_next():
    """Tags and times are what chargers send."""
    assert start_key(ONE, 'A","t', "u", 0) != start_key(ONE, "A", 't","u', 0)
    assert len(start_key(ONE, "x" * 10_000, "y" * 10_000, 2**63 - 1)) == 32


def started(state, message_id, transaction_id):
    body = TransactionStarted(transaction_id, 1, ONE, "TAG", "Accepted", 0, "key")
    event = NewEvent(body, AT, cause=f"message:{message_id}")
    apply(state, event, 1)
    return started_record("CP", event, body, 1)


@pytest.mark.parametrize(
    ("finished", "suspect", "message_id", "retry"),
    [
        (False, False, "new", True),
        (False, True, "new", True),
        (True, False, "new", True),
        (True, True, "new", False),
        (True, True, "m1", True),
    ],
)
def test_a_finished_twin_is_trusted_as_far_as_the_clock(finished, suspect, message_id, retry):
    """A clock that begins anew gives two transactions one key."""
    state = ChargePointState("CP", 1, Registration.ACCEPTED)
    twin = started(state, "m1", "tx_1")
    if finished:
        twin = evolve(twin, state=TransactionState.STOPPED)
    time = read_time("1970-01-01T00:00:09Z" if suspect else "2024-05-01T00:00:00Z", AT)
    assert is_retry(state, twin, message_id, time) is retry


@pytest.mark.parametrize(
    ("booted", "told_after", "retry"),
    [
        (True, timedelta(days=8), False),
        (True, timedelta(days=6), True),
        (False, timedelta(days=8), True),
    ],
)
def test_a_time_that_came_weeks_late_identifies_nothing_beyond_a_boot(booted, told_after, retry):
    """A build date, or a charger that was offline for long: the one begins anew with a Boot, the other doesn't."""
    state = ChargePointState("CP", 1, Registration.ACCEPTED)
    twin = evolve(started(state, "m1", "tx_1"), state=TransactionState.STOPPED, stop_received_at=AT)
    state.booted_at = AT + timedelta(seconds=1 if booted else -1)
    assert is_retry(state, twin, "new", read_time((AT - told_after).isoformat())) is retry


def test_only_the_last_starts_of_a_connection_are_remembered():
    """Bounded: a charger sends as many as it likes."""
    state = ChargePointState("CP", 1, Registration.ACCEPTED)
    for number in range(MAX_REMEMBERED_STARTS + 5):
        started(state, f"m{number}", f"tx_{number}")
    assert len(state.starts) == MAX_REMEMBERED_STARTS
    assert "m0" not in state.starts

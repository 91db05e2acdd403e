"""Repeats of a call, the pauses between, and how a client goes on after each reason."""

import grpc
import pytest

from gateway.api.methods import Repeatable
from gateway.client import Repeat, repeats
from gateway.client.errors import Problem
from gateway.client.reasons import repeat_of

DOWN = Problem(grpc.StatusCode.UNAVAILABLE, "down")


def test_pauses_double_up_to_a_bound_and_differ_by_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.1 s at first, 5 s at most."""
    monkeypatch.setattr(repeats, "FIRST_PAUSE", 0.1)
    whole = [repeats.pause_before(attempt, lambda: 1.0) for attempt in (1, 2, 3, 7, 10)]
    assert whole == pytest.approx([0.1, 0.2, 0.4, 5.0, 5.0])
    assert repeats.pause_before(2, lambda: 0.0) == pytest.approx(0.1)


def test_a_repeat_leaves_itself_as_much_time_as_it_waits() -> None:
    """An attempt without time would only hide the failure behind a deadline."""
    attempts = repeats.Attempts(Repeatable.READ, end=10.0, spread=lambda: 1.0)
    assert attempts.pause(DOWN, now=9.0) == pytest.approx(repeats.FIRST_PAUSE)
    assert attempts.pause(DOWN, now=10.0) is None


def test_there_are_six_attempts() -> None:
    """The first one included."""
    attempts = repeats.Attempts(Repeatable.READ, end=1000.0)
    assert [attempts.pause(DOWN, now=0.0) is not None for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("status", "reason", "metadata", "way"),
    [
        ("UNKNOWN", "OUTCOME_UNKNOWN", "request_id command_id", Repeat.SAME),
        ("UNKNOWN", "OUTCOME_UNKNOWN", "id_tag", Repeat.READ),
        ("NOT_FOUND", "UNKNOWN_CHARGE_POINT", "request_id", Repeat.NEVER),
        ("NOT_FOUND", "UNKNOWN_CHARGE_POINT", "request_id command_id", Repeat.NEW),
        ("NOT_FOUND", "UNKNOWN_TRANSACTION", "transaction", Repeat.NEVER),
        ("FAILED_PRECONDITION", "CHARGE_POINT_OFFLINE", "request_id", Repeat.WAIT),
        ("FAILED_PRECONDITION", "CHARGE_POINT_OFFLINE", "request_id command_id", Repeat.NEW),
        ("FAILED_PRECONDITION", "CHARGE_POINT_OFFLINE", "charge_point", Repeat.NEVER),
        ("UNAVAILABLE", "NOT_SENT", "request_id command_id", Repeat.NEW),
        ("DEADLINE_EXCEEDED", "NOT_SENT", "request_id", Repeat.SAME),
        ("ABORTED", "ETAG_MISMATCH", "", Repeat.READ),
        ("UNAVAILABLE", "A_NEW_REASON", "", Repeat.SAME),
        ("FAILED_PRECONDITION", "A_NEW_REASON", "", Repeat.READ),
        ("UNIMPLEMENTED", "NotSupported", "", Repeat.NEVER),
        ("UNIMPLEMENTED", "", "", Repeat.NEVER),
        ("RESOURCE_EXHAUSTED", "", "", Repeat.NEVER),
        ("DEADLINE_EXCEEDED", "", "", Repeat.READ),
    ],
)
def test_the_way_to_go_on_is_the_tables(status: str, reason: str, metadata: str, way: Repeat) -> None:
    """docs/errors.md; of several ways the one that the metadata asks for; unknown reasons go by their status."""
    assert repeat_of(status, reason, dict.fromkeys(metadata.split(), "x")) is way

"""`gateway retention`: what is shown of it, and what is confirmed."""

from google.protobuf.duration_pb2 import Duration

from gateway.api.v1 import retention_pb2 as api
from tests.cli.fakes import at

WAITING = api.Retention(
    clock_time=at("2038-05-01T10:00:00Z"),
    waiting=True,
    reason="it jumped ahead by 4380 days",
    steady_duration=Duration(seconds=7_200),
)
GOING_ON = api.Retention(clock_time=at("2038-05-01T10:00:00Z"))


def test_why_deleting_by_age_waits_is_shown(fake, run):
    """And for how long it still will."""
    fake.answers["GetRetention"] = api.GetRetentionResponse(retention=WAITING)
    result = run("retention", "show")
    assert result.exit_code == 0, result.output
    assert "waits" in result.stdout
    assert "it jumped ahead by 4380 days" in result.stdout
    assert "2:00:00 of 24 h" in result.stdout


def test_a_clock_is_confirmed_at_the_time_that_was_shown(fake, run):
    """Without a question where none is wanted."""
    fake.answers["GetRetention"] = api.GetRetentionResponse(retention=WAITING)
    fake.answers["ConfirmClock"] = api.ConfirmClockResponse(retention=GOING_ON)
    result = run("retention", "confirm", "--yes")
    assert result.exit_code == 0, result.output
    assert "goes on" in result.stdout
    assert [each.clock_time for each in fake.asked("ConfirmClock")] == [WAITING.clock_time]


def test_a_clock_that_is_not_right_is_not_confirmed(fake, run):
    """No answer is no."""
    fake.answers["GetRetention"] = api.GetRetentionResponse(retention=WAITING)
    assert run("retention", "confirm").exit_code != 0
    assert fake.asked("ConfirmClock") == []

"""The measurement of a charge point's clock: by what it sent at once, and by nothing that it had queued."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.clock_offset import SAMPLES, UNMEASURED, ClockOffset
from gateway.domain.events import (
    BootInformation,
    ChargePointBooted,
    ConnectorStatusChanged,
    MeterValuesReported,
    NewEvent,
    TransactionStopped,
)
from gateway.domain.times import read_time
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.clock_offsets import clock_offset, clock_offset_column

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE = ConnectorAddress(1, 1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def status(at: datetime | None, received: datetime) -> NewEvent:
    """A status of ``at`` by the charger's clock, flagged as a session flags it."""
    raw = None if at is None else at.isoformat()
    time = read_time(raw, received)
    return NewEvent(ConnectorStatusChanged(ONE, "Charging", "NoError"), received, time.trusted, raw, time.flags)


def boot(received: datetime) -> NewEvent:
    return NewEvent(ChargePointBooted(BootInformation("V", "M"), Registration.ACCEPTED, 300), received)


def measured(*said: tuple[timedelta, timedelta]) -> ClockOffset:
    """After statuses that came at some times after NOW, each with an offset of the charger's time."""
    known = UNMEASURED
    for after, offset in said:
        known = known.after(status(NOW + after + offset, NOW + after))
    return known


def test_the_least_delayed_of_the_last_messages_counts() -> None:
    """Each takes its time, or is stamped with the beginning of a condition; none comes before it was sent."""
    known = measured((0 * SECOND, -SECOND), (MINUTE, -200 * SECOND), (2 * MINUTE, -3 * SECOND))
    assert (known.offset, known.measured_at) == (-SECOND, NOW + 2 * MINUTE)


def test_a_clock_that_runs_ahead_or_was_never_set_is_measured() -> None:
    """By hours, or by half a century."""
    assert measured((MINUTE, HOUR)).offset == HOUR
    at = datetime(1970, 1, 1, tzinfo=UTC)
    assert UNMEASURED.after(status(at, NOW)).offset == at - NOW


def test_only_the_last_messages_count() -> None:
    """Those before them say nothing any more."""
    said = [(n * MINUTE, 4 * MINUTE if n == 0 else -SECOND) for n in range(SAMPLES + 1)]
    assert measured(*said[:-1]).offset == 4 * MINUTE
    known = measured(*said)
    assert (known.offset, len(known.samples)) == (-SECOND, SAMPLES)


def test_a_clock_that_was_set_back_shows_after_two_messages() -> None:
    """A minute apart and of one offset, as a slow clock does; the larger ones are of before, or one that erred."""
    ahead = [(n * MINUTE, 2 * HOUR) for n in range(5)]
    known = measured(*ahead, (5 * MINUTE, -SECOND))
    assert known.offset == 2 * HOUR
    known = measured(*ahead, (5 * MINUTE, -SECOND), (6 * MINUTE, -2 * SECOND))
    assert (known.offset, known.samples) == (-SECOND, (-SECOND, -2 * SECOND))
    together = measured(*ahead, (5 * MINUTE, -SECOND), (5 * MINUTE + SECOND, -SECOND))
    assert together.offset == 2 * HOUR, "a queue's messages come at once"


def test_a_time_that_is_ahead_and_has_no_zone_measures_nothing() -> None:
    """It may be the local time of a clock that is right."""
    raw = (NOW + 2 * HOUR).replace(tzinfo=None).isoformat()
    time = read_time(raw, NOW)
    event = NewEvent(ConnectorStatusChanged(ONE, "Charging", "NoError"), NOW, time.trusted, raw, time.flags)
    assert UNMEASURED.after(event) is UNMEASURED


def test_messages_from_a_queue_measure_nothing() -> None:
    """They come at once, with delays as far apart as they were."""
    queue = [(n * SECOND, -n * 30 * MINUTE) for n in range(9, 0, -1)]
    assert measured(*queue).offset is None
    known = measured((-HOUR, -2 * SECOND), *queue)
    assert (known.offset, known.measured_at) == (-2 * SECOND, NOW - HOUR)


def test_several_queued_messages_of_one_moment_measure_nothing() -> None:
    """A start with its status: the same delay, but they came together."""
    assert measured(*[(n * SECOND, -HOUR) for n in range(9)]).offset is None


def test_a_slow_clock_is_measured_by_its_second_message() -> None:
    """One that comes a minute later with the same delay was in no queue. Older measurements are over."""
    known = measured((0 * SECOND, -HOUR), (2 * MINUTE, -HOUR - SECOND), (4 * MINUTE, -HOUR))
    assert (known.offset, known.measured_at) == (-HOUR, NOW + 4 * MINUTE)
    known = measured((0 * SECOND, SECOND), (MINUTE, -HOUR), (3 * MINUTE, -HOUR))
    assert known.offset == -HOUR


def test_a_boot_begins_anew_and_keeps_what_was_measured() -> None:
    """The charger sets its clock by the answer; until it is heard of again the last offset is shown."""
    known = measured((0 * SECOND, HOUR)).after(boot(NOW + MINUTE))
    assert (known.offset, known.samples) == (HOUR, ())
    known = known.after(status(NOW + 2 * MINUTE - SECOND, NOW + 2 * MINUTE))
    assert known.offset == -SECOND


def test_meter_values_and_messages_without_a_time_measure_nothing() -> None:
    """As does a time that can't be read; a stop does measure."""
    values = NewEvent(MeterValuesReported(ONE, ()), NOW, NOW - SECOND, None)
    unread = NewEvent(ConnectorStatusChanged(ONE, "Charging", "NoError"), NOW)
    assert UNMEASURED.after(values) is UNMEASURED
    assert UNMEASURED.after(unread) is UNMEASURED
    stop = NewEvent(TransactionStopped("tx_1", ONE, 9, "Local", 9), NOW, NOW - SECOND, None)
    assert UNMEASURED.after(stop).offset == -SECOND


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-(10**7), 10**7) | st.none()), max_size=20))
def test_an_offset_is_bounded_and_kept_as_it_is(said: list[tuple[int, int | None]]) -> None:
    """Whatever a charger says: a few samples, an offset among them, and the store gives back the same."""
    known = UNMEASURED
    for at, offset in sorted(said, key=lambda each: each[0]):
        received = NOW + at * SECOND
        known = known.after(boot(received) if offset is None else status(received + offset * SECOND, received))
        assert len(known.samples) <= SAMPLES
        if known.samples:
            assert known.offset == max(known.samples)
        assert clock_offset(clock_offset_column(known)) == known
    assert clock_offset(None) is UNMEASURED

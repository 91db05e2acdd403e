"""Chargers' times: read in every spelling seen, judged, never refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.times import EARLIEST, LATE_AFTER, MAX_AHEAD, format_time, read_time
from gateway.domain.values import Flag
from tests.domain.values import TIMES

NOW = datetime(2024, 5, 1, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("2024-05-01T10:00:00Z", NOW),
        ("2024-05-01T10:00:00z", NOW),
        ("2024-05-01T10:00:00.5Z", NOW + timedelta(milliseconds=500)),
        ("2024-05-01T10:00:00.123456789Z", NOW + timedelta(microseconds=123456)),
        ("2024-05-01T10:00:00,25Z", NOW + timedelta(milliseconds=250)),
        ("2024-05-01T12:00:00+02:00", NOW),
        ("2024-05-01T12:00:00+0200", NOW),
        ("2024-05-01T12:00:00+02", NOW),
        ("2024-05-01T12:00:00+2", NOW),
        ("2024-05-01T04:30:00-05:30", NOW),
        ("2024-05-01T10:00:00+00:00", NOW),
        ("2024-05-01 10:00:00Z", NOW),
        ("2024-05-01T10:00:00 Z", NOW),
        ("2024-05-01 10:00:00 UTC", NOW),
        (" 2024-05-01T10:00:00Z\n", NOW),
        ("2024-05-01T10:00Z", NOW),
        ("2024-5-1T10:0:0Z", NOW),
        ("2024-05-01T09:59:60Z", NOW - timedelta(seconds=1)),
    ],
)
def test_a_time_is_read_in_any_spelling(raw, value):
    """B2.1, B2.2."""
    time = read_time(raw, NOW)
    assert time.value == value
    assert time.value.tzinfo is UTC
    assert time.flags == ()
    assert time.trusted == value


@pytest.mark.parametrize("raw", ["2024-05-01T10:00:00", "2024-05-01 10:00:00", "2024-05-01T10:00"])
def test_without_a_zone_utc_is_assumed_and_said_so(raw):
    """B2.2."""
    time = read_time(raw, NOW)
    assert time.value == NOW
    assert time.flags == (Flag.TIME_ZONE_ASSUMED,)


@pytest.mark.parametrize(
    "raw",
    ["1970-01-01T00:00:09Z", "1970-01-01", "0001-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "2009-12-31T23:59:59Z"],
)
def test_a_clock_that_was_never_set_is_suspect_and_identifies_nothing(raw):
    """Quirks 19, 21: kept, and the time of receipt is the better one."""
    time = read_time(raw, NOW)
    assert Flag.CLOCK_SUSPECT in time.flags
    assert time.value is not None
    assert time.trusted is None
    assert not time.identifies


@pytest.mark.parametrize("raw", ["2024-05-01T12:00:00Z", "2106-02-07T06:28:15Z", "9999-12-31T23:59:59Z"])
def test_a_time_in_the_future_is_suspect_and_still_separates_two_moments(raw):
    """B2.2: local time labelled Z, 2^32, the end of all days."""
    time = read_time(raw, NOW)
    assert time.flags == (Flag.CLOCK_SUSPECT,)
    assert time.trusted is None
    assert time.identifies


@pytest.mark.parametrize(
    ("ahead", "flags"), [(MAX_AHEAD, ()), (MAX_AHEAD + timedelta(seconds=1), (Flag.CLOCK_SUSPECT,))]
)
def test_a_clock_may_stray_a_little(ahead, flags):
    """The bound itself is fine."""
    assert read_time(format_time(NOW + ahead), NOW).flags == flags


@pytest.mark.parametrize(("behind", "flags"), [(LATE_AFTER, ()), (LATE_AFTER + timedelta(seconds=1), (Flag.LATE,))])
def test_what_was_queued_is_late_and_trusted(behind, flags):
    """B4.8."""
    time = read_time(format_time(NOW - behind), NOW)
    assert time.flags == flags
    assert time.trusted == NOW - behind


def test_without_a_present_only_the_beginning_of_time_is_judged():
    """For times that were judged when they came."""
    assert read_time("2106-02-07T06:28:15Z").flags == ()
    assert read_time("1970-01-01T00:00:00Z").trusted is None


def test_no_time_is_no_doubt():
    """StatusNotification's is optional."""
    time = read_time(None, NOW)
    assert (time.value, time.flags, time.identifies) == (None, (), False)


@pytest.mark.parametrize(
    "raw",
    ["", "now", "2024", "20240501T100000Z", "2024-W18-3", "2024-13-01T10:00:00Z", "2024-02-30T10:00:00Z",
     "2024-05-01T25:00:00Z", "1714557600", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2024-05-01" * 50,
     "２０２４-05-01T10:00:00Z"],
)  # fmt: skip
def test_what_can_not_be_read_says_so(raw):
    """Never an error."""
    time = read_time(raw, NOW)
    assert time.value is None
    assert Flag.TIME_UNREADABLE in time.flags
    assert not time.identifies


@given(st.text(max_size=50))
def test_any_text_is_a_time_or_unreadable(raw):
    """Never an exception."""
    time = read_time(raw, NOW)
    assert (time.value is None) == (Flag.TIME_UNREADABLE in time.flags)
    assert time.value is None or time.value.tzinfo is UTC


@given(
    st.from_regex(r"\d{4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d\d(:\d\d(\.\d{0,12})?)?(Z|[+-]\d\d(:?\d\d)?)?", fullmatch=True)
)
def test_any_likeness_of_a_time_is_read_or_unreadable(raw):
    """Never an exception, near the grammar too."""
    read_time(raw, NOW)


@given(TIMES, st.integers(-14, 14))
def test_what_is_sent_to_chargers_reads_back_to_the_second(value, offset):
    """B2.1: whole seconds, Z, whatever zone it came in."""
    try:
        local = value.astimezone(timezone(timedelta(hours=offset)))
    except OverflowError:
        return
    text = format_time(local)
    assert len(text) == 20
    assert text.endswith("Z")
    assert read_time(text).value == value.replace(microsecond=0)


def test_the_beginning_of_time_lies_before_ocpp():
    """1.6 is of 2015."""
    assert datetime(2009, 1, 1, tzinfo=UTC) < EARLIEST < datetime(2015, 1, 1, tzinfo=UTC)

"""Latencies, and what a held-up sender leaves out of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import histogram

MS = 1000


def test_a_stall_counts_for_all_that_should_have_been_sent_meanwhile() -> None:
    """A loop that sends every 10 ms and is held up for 1 s once: a hundredth of its time was bad, and more."""
    latencies = [1 * MS] * 99 + [1000 * MS]
    as_seen, corrected = histogram.of(latencies), histogram.corrected(latencies, 10 * MS)
    assert histogram.milliseconds(as_seen, 90) == pytest.approx(1, rel=0.01)
    assert histogram.milliseconds(corrected, 90) > 700
    assert corrected.get_total_count() == 99 + 100
    assert (
        histogram.milliseconds(corrected, 100) == histogram.milliseconds(as_seen, 100) == pytest.approx(1000, rel=0.01)
    )


def test_latencies_within_the_interval_are_not_corrected() -> None:
    """Nothing was left out."""
    corrected = histogram.corrected([5 * MS] * 50, 10 * MS)
    assert histogram.summary(corrected) == histogram.summary(histogram.of([5 * MS] * 50))


def test_what_takes_longer_than_the_scale_is_kept_at_its_end() -> None:
    """A lost answer is never left out."""
    found = histogram.of([10 * 60 * 1000 * MS, -5])
    assert found.get_total_count() == 2
    assert histogram.milliseconds(found, 100) == pytest.approx(60_000, rel=0.01)


def test_none_at_all_is_no_error() -> None:
    """A run in which nothing was answered still has a summary."""
    assert set(histogram.summary(histogram.new()).values()) == {0}


@given(st.lists(st.integers(0, 10**8)), st.lists(st.integers(0, 10**8)))
def test_histograms_of_several_processes_are_one(some: list[int], others: list[int]) -> None:
    """Through their text, as they come out of the processes."""
    parts = [histogram.decoded(histogram.encoded(histogram.of(part))) for part in (some, others)]
    whole = histogram.of(some + others)
    assert histogram.summary(histogram.merged(parts)) == pytest.approx(histogram.summary(whole), rel=0.002)

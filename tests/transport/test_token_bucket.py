"""The token bucket: a burst at once, then the rate, and no more owed than was taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport.token_bucket import TokenBucket


def test_a_burst_costs_nothing_and_then_the_rate_holds() -> None:
    """Ten at once; the eleventh waits for its token, the twelfth for two."""
    pace = TokenBucket(rate=5, burst=10)
    assert [pace.take(100.0) for _ in range(10)] == pytest.approx([0.0] * 10)
    assert pace.take(100.0) == pytest.approx(0.2)
    assert pace.take(100.0) == pytest.approx(0.4)


def test_tokens_come_back_with_time_up_to_the_burst() -> None:
    """An hour of silence is no credit for an hour's messages."""
    pace = TokenBucket(rate=5, burst=10)
    for _ in range(20):
        pace.take(0.0)
    assert pace.take(3600.0, 10) == 0.0
    assert pace.take(3600.0) == pytest.approx(0.2)


def test_more_than_the_burst_can_be_owed() -> None:
    """A single large message is not refused; it waits."""
    assert TokenBucket(rate=20, burst=300).take(0.0, 400) == pytest.approx(5.0)


@given(
    st.floats(0.5, 1000),
    st.floats(1, 1000),
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5)), min_size=1, max_size=100),
)
def test_waiting_as_asked_never_exceeds_burst_and_rate(
    rate: float, burst: float, steps: list[tuple[float, int]]
) -> None:
    """Over any stretch of time from the beginning."""
    pace, now, taken = TokenBucket(rate, burst), 1000.0, 0
    for pause, tokens in steps:
        now += pause
        now += pace.take(now, tokens)
        taken += tokens
        assert taken <= burst + rate * (now - 1000.0) + 1e-6 * taken + 1e-6


def test_what_is_left_out_takes_no_token() -> None:
    """However often it is tried."""
    pace = TokenBucket(rate=2, burst=3)
    assert [pace.allows(10.0) for _ in range(100)].count(True) == 3
    assert [pace.allows(11.01) for _ in range(100)].count(True) == 2
    assert [pace.allows(99.0) for _ in range(100)].count(True) == 3

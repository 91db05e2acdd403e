"""Latencies by make and firmware: counted beside the metrics, bounded, listed in a stable order."""

from __future__ import annotations

from bisect import bisect_left
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.diagnostics import LatencyCount, LatencyKind
from gateway.domain.events import BootInformation
from gateway.histogram import MAX_SERIES, ROUND_TRIP_BOUNDS, Histogram, Latencies
from gateway.observability.make_latencies import MAX_MAKES, MakeLatencies
from gateway.observability.metrics import Metrics

ACME = BootInformation("Acme", "One", firmware_version="1.0")
ACME_2 = BootInformation("Acme", "One", firmware_version="2.0")


def listed(makes: MakeLatencies) -> dict[tuple[str, str, str], LatencyCount]:
    return {(each.kind, each.action, each.firmware_version): each for each in makes.entries()}


def test_answers_and_calls_count_for_the_make_and_in_the_metrics() -> None:
    """Apart by action and by firmware; a command without an answer has no round trip."""
    now = 0.0
    metrics, makes = Metrics(lambda: now), MakeLatencies()
    old, new = makes.of(ACME), makes.of(ACME_2)
    now = 0.004
    metrics.answered("Heartbeat", 0.0, old)
    metrics.answered("Heartbeat", 0.0, old)
    metrics.answered("Heartbeat", 0.001, new)
    metrics.command_over("Reset", "ANSWERED", 3.0, old)
    metrics.command_over("Reset", "ANSWERED", 4.0, old)
    metrics.command_over("Reset", "OUTCOME_UNKNOWN", None, old)
    metrics.call_answered("GetConfiguration", 0.2, new)
    found = listed(makes)
    assert {key: each.count for key, each in found.items()} == {
        ("answer", "Heartbeat", "1.0"): 2,
        ("answer", "Heartbeat", "2.0"): 1,
        ("call", "Reset", "1.0"): 2,
        ("call", "GetConfiguration", "2.0"): 1,
    }
    reset = found["call", "Reset", "1.0"]
    assert (reset.vendor, reset.model, reset.total, reset.mean) == ("Acme", "One", 7.0, 3.5)
    assert found["answer", "Heartbeat", "1.0"].total == pytest.approx(0.008)
    value = metrics.registry.get_sample_value
    assert value("gateway_answer_seconds_count", {"action": "Heartbeat"}) == 3
    assert value("gateway_call_seconds_count", {"operation": "Reset"}) == 2
    assert value("gateway_call_seconds_count", {"operation": "GetConfiguration"}) is None  # no caller's command


def test_sessions_of_one_make_share_what_is_counted() -> None:
    """Those of no known make, too."""
    makes = MakeLatencies()
    assert makes.of(ACME) is makes.of(
        BootInformation("Acme", "One", charge_point_serial_number="7", firmware_version="1.0")
    )
    assert makes.of(None) is makes.of(None)
    assert makes.of(None) is not makes.of(ACME)


def test_an_entry_keeps_its_number_and_a_new_one_has_a_higher() -> None:
    """Pages go by the numbers: nothing is repeated or left out between two."""
    metrics, makes = Metrics(), MakeLatencies()
    latencies = makes.of(ACME)
    metrics.answered("Heartbeat", 0.0, latencies)
    metrics.answered("MeterValues", 0.0, latencies)
    before = {each.action: each.number for each in makes.entries()}
    metrics.call_answered("Reset", 0.1, latencies)
    metrics.answered("Heartbeat", 0.0, latencies)
    newest, *others = makes.entries()
    assert newest.action == "Reset"
    assert {each.action: each.number for each in others} == before
    assert newest.number > max(before.values())


def test_a_charger_that_invents_firmwares_pushes_out_its_own() -> None:
    """Those of many sessions stay, and so do those that were there before it."""
    metrics, makes = Metrics(), MakeLatencies()
    for _ in range(2):
        metrics.answered("Heartbeat", 0.0, makes.of(ACME))
    metrics.answered("Heartbeat", 0.0, makes.of(ACME_2))
    invented = [BootInformation("v" * 99, "m" * 99, firmware_version=f"{n}" * 99) for n in range(MAX_MAKES + 50)]
    held = [makes.of(each) for each in invented]
    for each in held:
        metrics.answered("BootNotification", 0.0, each)
    found = makes.entries()
    assert len(found) == MAX_MAKES
    assert {each.firmware_version for each in found} >= {"1.0", "2.0", (f"{MAX_MAKES + 49}" * 99)[:50]}
    assert max(len(each.vendor) for each in found) == 20
    assert makes.of(invented[-1]) is held[-1]


def test_actions_beyond_the_bound_are_counted_together() -> None:
    """As in the metrics."""
    metrics, latencies = Metrics(), Latencies()
    for number in range(MAX_SERIES + 5):
        metrics.answered(f"Action{number}", 0.0, latencies)
        metrics.command_over(f"Operation{number}", "ANSWERED", 0.1, latencies)
    for series in (latencies.answers, latencies.calls):
        assert len(series) == MAX_SERIES + 1
        assert sum(series["other"].counts) == 5


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        ((4, 0, 0), 0.5, 0.5),
        ((0, 4, 0), 0.5, 1.5),
        ((2, 2, 0), 0.5, 1.0),
        ((2, 0, 2), 0.99, 2.0),
        ((99, 1, 0), 0.99, 1.0),
        ((0, 0, 0), 0.99, 0.0),
        ((1, 0, 0), 1.0, 1.0),
    ],
)
def test_a_quantile_is_estimated_as_prometheus_does(counts: tuple[int, ...], share: float, seconds: float) -> None:
    """Evenly within a bucket, and the highest bound beyond it."""
    entry = LatencyCount(1, LatencyKind.ANSWER, "Heartbeat", "", "", "", (1.0, 2.0), counts, 1e3)
    assert entry.quantile(share) == pytest.approx(seconds)


@given(st.lists(st.floats(0.0001, 50), min_size=1, max_size=40), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_no_quantile_is_more_than_the_sum_of_answers_allows(took: list[float], share: float) -> None:
    """Chargers that answer in a millisecond, far below the lowest bound, are not shown with its half."""
    histogram = Histogram(ROUND_TRIP_BOUNDS)
    for each in took:
        histogram.observe(each)
    entry = LatencyCount(
        1, LatencyKind.CALL, "Reset", "", "", "", ROUND_TRIP_BOUNDS, tuple(histogram.counts), histogram.total
    )
    rank = max(1, ceil(share * len(took)))
    right = sorted(took)[rank - 1]
    bucket = bisect_left(ROUND_TRIP_BOUNDS, right)
    lower = 0.0 if bucket == 0 else ROUND_TRIP_BOUNDS[bucket - 1]
    estimate = entry.quantile(share)
    assert lower <= estimate + 1e-9, "in the bucket of the right one"
    assert estimate <= ROUND_TRIP_BOUNDS[bucket] + 1e-9
    assert estimate <= max(lower, sum(took) / (len(took) - rank + 1)) + 1e-9
    if len(took) == 1:
        assert estimate <= max(lower, took[0]) + 1e-9

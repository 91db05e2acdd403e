"""Counts of the gateway and their names: the table of families, and every place that counts."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from gateway.histogram import MAX_SERIES, Histogram, Latencies
from gateway.observability.counts import COUNTED
from gateway.observability.histograms import HistogramFamily
from gateway.observability.metrics import MAX_LABELS, Metrics

GATEWAY = Path(__file__).parents[2] / "gateway"
STAGES = frozenset({"accept", "tls", "http", "admission", "session"})


def counted_words() -> Iterator[tuple[str, str]]:
    """Each literal that a module of the gateway gives to a ``count``, and its module."""
    for path in GATEWAY.rglob("*.py"):
        if "api" in path.relative_to(GATEWAY).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                match node.args:
                    case [ast.Constant(value=str(word)), *_] if name in ("count", "_count") and "/" not in word:
                        yield word, str(path.relative_to(GATEWAY))


def test_whatever_is_counted_has_its_family() -> None:
    """And no family is left that nothing counts."""
    used = {word for word, _ in counted_words()} | {f"connections_{stage}" for stage in STAGES}
    assert used == set(COUNTED)


def test_a_count_without_labels_is_shown_from_the_start() -> None:
    """Else its first increase would be missed."""
    shown = generate_latest(Metrics().registry).decode()
    for counted in COUNTED.values():
        assert (f"\n{counted.name}_total 0.0\n" in shown) is (not counted.label)


def test_families_of_one_name_have_the_same_labels() -> None:
    """Stages of connections are one family."""
    metrics = Metrics()
    metrics.count("connections_tls", "deadline")
    metrics.count("connections_http", "deadline")
    shown = generate_latest(metrics.registry).decode()
    for stage in ("tls", "http"):
        assert f'gateway_handshake_failures_total{{reason="deadline",stage="{stage}"}} 1.0' in shown
    labels: dict[str, tuple[str, ...]] = {}
    for counted in COUNTED.values():
        assert labels.setdefault(counted.name, counted.labels) == counted.labels


def test_a_count_may_have_two_labels() -> None:
    """Beyond the bound, which no vocabulary reaches, either is the same word."""
    metrics = Metrics()
    metrics.count("calls_refused", "ProtocolError MeterValues")
    metrics.count("calls_refused", "ProtocolError unknown")
    for number in range(MAX_LABELS):
        metrics.count("calls_refused", f"Code{number} Heartbeat")
    value, name = metrics.registry.get_sample_value, "gateway_calls_refused_total"
    assert value(name, {"code": "ProtocolError", "action": "MeterValues"}) == 1
    assert value(name, {"code": "ProtocolError", "action": "unknown"}) == 1
    assert (value(name, {"code": "other", "action": "other"}) or 0) > 0


def test_labels_beyond_the_bound_are_counted_together() -> None:
    """A vocabulary that grows without end is a bug, and costs no memory."""
    metrics = Metrics()
    for number in range(MAX_LABELS + 10):
        metrics.count("deviations", f"d{number}")
    assert metrics.registry.get_sample_value("gateway_deviations_total", {"deviation": "other"}) == 10 + sum(
        1 for counted in COUNTED.values() if not counted.label
    )


def test_a_command_is_shown_by_operation_and_outcome_with_its_round_trip() -> None:
    """One without an answer has none."""
    metrics, latencies = Metrics(), Latencies()
    metrics.command_over("Reset", "ANSWERED", 0.3, latencies)
    metrics.command_over("Reset", "ANSWERED", 0.5, latencies)
    metrics.command_over("Reset", "OUTCOME_UNKNOWN", None, latencies)
    value = metrics.registry.get_sample_value
    assert value("gateway_commands_total", {"operation": "Reset", "outcome": "ANSWERED"}) == 2
    assert value("gateway_commands_total", {"operation": "Reset", "outcome": "OUTCOME_UNKNOWN"}) == 1
    assert value("gateway_call_seconds_bucket", {"operation": "Reset", "le": "0.25"}) == 0
    assert value("gateway_call_seconds_bucket", {"operation": "Reset", "le": "0.5"}) == 2
    assert value("gateway_call_seconds_sum", {"operation": "Reset"}) == 0.8


def test_commands_beyond_the_bound_are_counted_together() -> None:
    """As counts are."""
    metrics = Metrics()
    for number in range(MAX_LABELS + 3):
        metrics.command_over(f"Operation{number}", "ANSWERED", None, Latencies())
    labels = {"operation": "other", "outcome": "ANSWERED"}
    assert metrics.registry.get_sample_value("gateway_commands_total", labels) == 3


def test_answers_are_measured_by_action() -> None:
    """With the clock that the metrics were given."""
    now = 0.0
    metrics, latencies = Metrics(lambda: now), Latencies()
    began = metrics.now()
    now = 0.004
    metrics.answered("MeterValues", began, latencies)
    value = metrics.registry.get_sample_value
    assert value("gateway_answer_seconds_bucket", {"action": "MeterValues", "le": "0.0025"}) == 0
    assert value("gateway_answer_seconds_bucket", {"action": "MeterValues", "le": "0.005"}) == 1
    assert value("gateway_answer_seconds_count", {"action": "MeterValues"}) == 1


@pytest.mark.parametrize(("value", "buckets"), [(1, [1, 1, 1]), (1.5, [0, 1, 1]), (2, [0, 1, 1]), (3, [0, 0, 1])])
def test_a_value_is_in_the_bucket_whose_bound_it_does_not_exceed(value: float, buckets: list[int]) -> None:
    """As Prometheus counts: less than or equal."""
    histogram = Histogram((1, 2))
    histogram.observe(value)
    assert histogram.buckets() == [("1.0", buckets[0]), ("2.0", buckets[1]), ("+Inf", buckets[2])]
    assert histogram.total == value


def test_series_of_a_histogram_are_bounded() -> None:
    """Further values of the label share one."""
    family = HistogramFamily("h", "H.", (1,), "kind")
    series = [family.of(str(number)) for number in range(MAX_SERIES + 2)]
    assert series[-1] is series[-2]
    assert len(set(map(id, series))) == MAX_SERIES + 1

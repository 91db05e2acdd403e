"""Latencies: HDR histograms of microseconds, from 1 µs to 60 s, to three digits.

Corrected for coordinated omission: an open loop measures from the moment a message was due, which needs no correction
(`of`); a closed loop with a pace gets it from its expected interval (`corrected`): a sender that was held up for 1 s
would otherwise record one slow answer and leave out all those that it should have sent meanwhile.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from hdrh.histogram import HdrHistogram

HIGHEST_US = 60_000_000
"""What takes longer is recorded as this, never left out."""

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)


def new() -> HdrHistogram:
    """An empty one."""
    return HdrHistogram(1, HIGHEST_US, 3)


def record(histogram: HdrHistogram, microseconds: float, count: int = 1) -> None:
    """Add a latency. Costs some microseconds: where that is felt, keep plain numbers and use `of` in the end."""
    histogram.record_value(min(max(int(microseconds), 0), HIGHEST_US), count)


def of(microseconds: Iterable[float]) -> HdrHistogram:
    """All of these latencies, each measured from when it was due."""
    histogram = new()
    for value, count in Counter(map(int, microseconds)).items():
        record(histogram, value, count)
    return histogram


def corrected(microseconds: Iterable[float], expected_interval_us: float) -> HdrHistogram:
    """Latencies of a loop that would have sent every ``expected_interval_us``, with those that it left out."""
    histogram = new()
    for value in microseconds:
        histogram.record_corrected_value(min(max(int(value), 0), HIGHEST_US), int(expected_interval_us))
    return histogram


def merged(histograms: Iterable[HdrHistogram]) -> HdrHistogram:
    """All of them in one."""
    whole = new()
    for histogram in histograms:
        whole.add(histogram)
    return whole


def encoded(histogram: HdrHistogram) -> str:
    """As text for JSON (HDR's own compressed form in base64, which other tools read)."""
    text: bytes = histogram.encode()
    return text.decode("ascii")


def decoded(text: str) -> HdrHistogram:
    """The histogram that `encoded` made into text."""
    return HdrHistogram.decode(text)


def milliseconds(histogram: HdrHistogram, percentile: float) -> float:
    """Value that this share of them, in percent, did not exceed; 100 is the longest. 0 if there is none."""
    if not histogram.get_total_count():
        return 0.0
    if percentile >= 100:
        return float(histogram.get_max_value()) / 1000
    return float(histogram.get_value_at_percentile(percentile)) / 1000


def summary(histogram: HdrHistogram) -> Mapping[str, float]:
    """Count and percentiles in milliseconds, by readable names: n, p50, p90, p99, p99.9, max."""
    names = {percentile: "max" if percentile == 100 else f"p{percentile:g}" for percentile in PERCENTILES}
    return {"n": histogram.get_total_count()} | {names[p]: milliseconds(histogram, p) for p in PERCENTILES}

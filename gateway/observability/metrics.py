"""Metrics for Prometheus: what sessions count and how long things take, and what the process holds.

docs/metrics.md lists them all. No label names a charge point: for that there are events, the log and `gateway refused`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.domain.events import BootInformation
from gateway.histogram import LATENCY_BOUNDS, ROUND_TRIP_BOUNDS, Histogram, Latencies, series_of
from gateway.observability.counts import COUNTED
from gateway.observability.histograms import HistogramFamily

MAX_LABELS = 500
"""Distinct (what, label) pairs that are counted apart; further labels are counted as ``other``. Labels come from
fixed vocabularies, so this is only a guard against a bug."""

OTHER: Final = "other"


def _no_time() -> float:
    """Return always the same: latencies are not measured."""
    return 0.0


class Metrics:
    """Counts and histograms of the Trio loop, and gauges that are read at the time of asking.

    ``now``: seconds by a clock that never goes back, for latencies.
    """

    def __init__(self, now: Callable[[], float] = _no_time) -> None:
        self.now = now
        self.registry = CollectorRegistry()
        self._counts = {(what, ""): 0 for what, each in COUNTED.items() if not each.label}
        self._commands: dict[tuple[str, str], int] = {}
        self._largest_refused = 0
        self._answers = HistogramFamily(
            "gateway_answer_seconds",
            "From a charge point's CALL to the hand-over of its answer to the connection.",
            LATENCY_BOUNDS,
            "action",
        )
        self._round_trips = HistogramFamily(
            "gateway_call_seconds",
            "From a command's CALL to the charge point's answer.",
            ROUND_TRIP_BOUNDS,
            "operation",
        )
        self._answer_series: dict[str, Histogram] = {}
        self._call_series: dict[str, Histogram] = {}
        self.registry.register(_Counts(self._counts))
        self.registry.register(_Commands(self._commands))
        self.registry.register(self._answers)
        self.registry.register(self._round_trips)
        self.gauge(
            "gateway_message_too_large_bytes",
            "Size of the last message beyond the limit; its charge point is in the event and in the log.",
            lambda: self._largest_refused,
        )

    # --- by the Trio loop -------------------------------------------------------------------------------------

    def count(self, what: str, label: str = "") -> None:
        """Count one."""
        counts, key = self._counts, (what, label)
        if key not in counts:
            if len(counts) >= MAX_LABELS:
                key = what, OTHER
            counts.setdefault(key, 0)
        counts[key] += 1

    def answered(self, action: str, began: float, latencies: Latencies) -> None:
        """Observe that a CALL which was taken up at ``began`` (by ``now``) is answered, also for the charge point's
        make. For each message, so in one function, which costs what a count costs."""
        series = self._answer_series.get(action)
        if series is None:
            series = self._answer_series[action] = self._answers.of(action)
        of_make = latencies.answers.get(action)
        if of_make is None:
            of_make = series_of(latencies.answers, action, LATENCY_BOUNDS)
        took = self.now() - began
        bucket = bisect_left(LATENCY_BOUNDS, took)
        series.counts[bucket] += 1
        series.total += took
        of_make.counts[bucket] += 1
        of_make.total += took

    def call_answered(self, operation: str, took: float, latencies: Latencies) -> None:
        """Observe the seconds of a CALL's round trip for the charge point's make."""
        series_of(latencies.calls, operation, ROUND_TRIP_BOUNDS).observe(took)

    def command_over(self, operation: str, outcome: str, took: float | None, latencies: Latencies) -> None:
        """Count a command by its outcome, and observe the seconds of its round trip, also for the charge point's make;
        None: it was not answered."""
        key = (operation, outcome)
        if key not in self._commands and len(self._commands) >= MAX_LABELS:
            key = (OTHER, outcome)
        self._commands[key] = self._commands.get(key, 0) + 1
        if took is not None:
            series = self._call_series.get(operation)
            if series is None:
                series = self._call_series[operation] = self._round_trips.of(operation)
            of_make = latencies.calls.get(operation)
            if of_make is None:
                of_make = series_of(latencies.calls, operation, ROUND_TRIP_BOUNDS)
            bucket = bisect_left(ROUND_TRIP_BOUNDS, took)
            series.counts[bucket] += 1
            series.total += took
            of_make.counts[bucket] += 1
            of_make.total += took

    def deviated(self, charge_point: str, boot: BootInformation | None, deviations: tuple[str, ...]) -> None:
        """Count by name alone: makes and firmwares are as many as chargers care to tell."""
        for deviation in deviations:
            self.count("deviations", deviation)

    def too_large(self, charge_point: str, size: int) -> None:
        """Count a message that was beyond the limit, and note its bytes."""
        self._largest_refused = size
        self.count("messages_too_large")

    # --- by the composition root ------------------------------------------------------------------------------

    def gauge(self, name: str, help_: str, read: Callable[[], float]) -> None:
        """Show a value that is read, in another thread, at each scrape."""
        self.registry.register(_Gauge(name, help_, read))

    def labelled_gauge(
        self, name: str, help_: str, labels: Sequence[str], read: Callable[[], Iterable[tuple[Sequence[str], float]]]
    ) -> None:
        """The same for values with labels. ``read`` returns the values of the labels, and the value, for each."""
        self.registry.register(_Labelled(name, help_, labels, read))

    def counter(self, name: str, help_: str, read: Callable[[], float]) -> None:
        """The same for a value that only grows; shown with ``_total`` after its name."""
        self.registry.register(_Gauge(name, help_, read, CounterMetricFamily))

    def histogram(self, name: str, help_: str, bounds: Sequence[float], label: str = "") -> HistogramFamily:
        """Make a histogram, to be observed by one thread for each value of its label."""
        family = HistogramFamily(name, help_, bounds, label)
        self.registry.register(family)
        return family

    def info(self, name: str, help_: str, values: Mapping[str, str]) -> None:
        """Show facts that do not change, as the labels of a gauge that is 1."""
        self.labelled_gauge(name, help_, tuple(values), lambda: [(tuple(values.values()), 1.0)])

    def process(self) -> None:
        """Show what the system knows of this process (``process_…``) and of its Python (``python_info``)."""
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)


class _Counts(Collector):
    """Plain numbers of one thread's, which cost a message a tenth of what a Counter of the library costs."""

    def __init__(self, counts: dict[tuple[str, str], int]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        families = {family.name: family for family in self.describe()}
        for (what, label), count in tuple(self._counts.items()):
            counted = COUNTED.get(what)
            if counted is not None:
                families[counted.name].add_metric(counted.values(label), count)
        yield from families.values()

    def describe(self) -> list[CounterMetricFamily]:
        families: dict[str, CounterMetricFamily] = {}
        for each in COUNTED.values():
            if each.name not in families:
                families[each.name] = CounterMetricFamily(each.name, each.help, labels=each.labels)
        return list(families.values())


class _Commands(Collector):
    """Commands by operation and outcome."""

    def __init__(self, commands: dict[tuple[str, str], int]) -> None:
        self._commands = commands

    def collect(self) -> Iterator[Metric]:
        [family] = self.describe()
        for labels, count in tuple(self._commands.items()):
            family.add_metric(labels, count)
        yield family

    def describe(self) -> list[CounterMetricFamily]:
        labels = ("operation", "outcome")
        return [CounterMetricFamily("gateway_commands", "Commands of callers that are over.", labels=labels)]


class _Gauge(Collector):
    def __init__(
        self,
        name: str,
        help_: str,
        read: Callable[[], float],
        family: type[GaugeMetricFamily | CounterMetricFamily] = GaugeMetricFamily,
    ) -> None:
        self._name, self._help, self._read, self._family = name, help_, read, family

    def collect(self) -> Iterator[Metric]:
        yield self._family(self._name, self._help, value=self._read())

    def describe(self) -> Iterable[Metric]:
        return [self._family(self._name, self._help)]


class _Labelled(Collector):
    def __init__(
        self, name: str, help_: str, labels: Sequence[str], read: Callable[[], Iterable[tuple[Sequence[str], float]]]
    ) -> None:
        self._name, self._help, self._labels, self._read = name, help_, labels, read

    def collect(self) -> Iterator[Metric]:
        [family] = self.describe()
        for labels, value in self._read():
            family.add_metric(labels, value)
        yield family

    def describe(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(self._name, self._help, labels=self._labels)]

"""Metrics for Prometheus: what sessions count, what the process holds."""

from collections.abc import Callable, Iterable, Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.domain.events import BootInformation

MAX_LABELS = 500
"""Distinct (what, label) pairs that are counted apart; further labels are counted as ``other``. Labels come from
fixed vocabularies, so this is only a guard against a mistake of ours."""


class Metrics:
    """Counts, and serves them with gauges read at the time of asking. ``count`` is for the Trio loop."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counter = Counter(
            "gateway_happenings", "What happened, by kind.", ["what", "label"], registry=self.registry
        )
        self._known: dict[tuple[str, str], Counter] = {}

    def count(self, what: str, label: str = "") -> None:
        """Count one."""
        counter = self._known.get((what, label))
        if counter is None:
            if len(self._known) >= MAX_LABELS:
                label = "other"
            counter = self._known[what, label] = self._counter.labels(what, label)
        counter.inc()

    def deviated(self, charge_point: str, boot: BootInformation | None, deviations: tuple[str, ...]) -> None:
        """Count by name alone: makes and firmwares are as many as chargers care to tell."""
        for deviation in deviations:
            self.count("deviations", deviation)

    def gauge(self, name: str, help_: str, read: Callable[[], float]) -> None:
        """Show a value that is read, in another thread, whenever somebody asks."""
        self.registry.register(_Gauge(name, help_, read))

    def serve(self, host: str, port: int) -> WSGIServer:
        """Serve on a thread of its own; ``shutdown()`` what is returned. Raises OSError."""
        server, _ = start_http_server(port, host, self.registry)
        return server


class _Gauge(Collector):
    def __init__(self, name: str, help_: str, read: Callable[[], float]) -> None:
        self._name, self._help, self._read = name, help_, read

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self._name, self._help, value=self._read())

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self._name, self._help)]

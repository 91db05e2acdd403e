"""Metrics for Prometheus: what sessions count, what the process holds."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.domain.events import BootInformation

MAX_LABELS = 500
"""Distinct (what, label) pairs that are counted apart; further labels are counted as ``other``. Labels come from
fixed vocabularies, so this is only a guard against a bug."""


MAX_CHARGE_POINTS = 100
"""Charge points whose messages are too large that are shown by name; the others together as ``other``. One is enough to
look into it; a thousand names would weigh on who reads the metrics."""


class Metrics:
    """Counts, and gauges that are read at the time of asking. ``count`` is for the Trio loop."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counts: dict[tuple[str, str], int] = {}
        self._too_large: dict[str, tuple[int, int]] = {}
        self.registry.register(_Happenings(self._counts))
        self.registry.register(_TooLarge(self._too_large))

    def count(self, what: str, label: str = "") -> None:
        """Count one."""
        counts, key = self._counts, (what, label)
        if key not in counts:
            if len(counts) >= MAX_LABELS:
                key = what, "other"
            counts.setdefault(key, 0)
        counts[key] += 1

    def deviated(self, charge_point: str, boot: BootInformation | None, deviations: tuple[str, ...]) -> None:
        """Count by name alone: makes and firmwares are as many as chargers care to tell."""
        for deviation in deviations:
            self.count("deviations", deviation)

    def too_large(self, charge_point: str, size: int) -> None:
        """Count a message that was beyond the limit, by its charge point, and note its bytes."""
        known = self._too_large
        if charge_point not in known and len(known) >= MAX_CHARGE_POINTS:
            charge_point = "other"
        known[charge_point] = known.get(charge_point, (0, 0))[0] + 1, size
        self.count("messages_too_large")

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


class _Happenings(Collector):
    """Plain numbers of one thread's, which cost a message a tenth of what a Counter of the library costs."""

    def __init__(self, counts: dict[tuple[str, str], int]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for labels, count in tuple(self._counts.items()):
            family.add_metric(labels, count)
        yield family

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily("gateway_happenings", "What happened, by kind.", labels=("what", "label"))


class _TooLarge(Collector):
    """By charge point: how many messages, and the bytes of the last one."""

    def __init__(self, known: dict[str, tuple[int, int]]) -> None:
        self._known = known

    def collect(self) -> Iterator[Metric]:
        count, size = self.describe()
        for charge_point, (times, last) in tuple(self._known.items()):
            count.add_metric((charge_point,), times)
            size.add_metric((charge_point,), last)
        yield count
        yield size

    def describe(self) -> tuple[CounterMetricFamily, GaugeMetricFamily]:
        labels = ("charge_point",)
        return (
            CounterMetricFamily("gateway_messages_too_large", "Messages beyond the limit.", labels=labels),
            GaugeMetricFamily("gateway_message_too_large_bytes", "The last one's size.", labels=labels),
        )


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

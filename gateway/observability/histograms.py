"""Histograms as metrics: one series, or one for each value of a label."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.histogram import Histogram, series_of


class HistogramFamily(Collector):
    """A histogram with one label, or none (``label`` empty)."""

    def __init__(self, name: str, help_: str, bounds: Sequence[float], label: str = "") -> None:
        self._name, self._help, self._bounds, self._label = name, help_, bounds, label
        self._series: dict[str, Histogram] = {}

    def of(self, value: str = "") -> Histogram:
        """The series of a label's value, made if need be."""
        return series_of(self._series, value, self._bounds)

    def take(self, series: Histogram, value: str = "") -> None:
        """Show a series that another part keeps."""
        self._series[value] = series

    def collect(self) -> Iterator[Metric]:
        [family] = self.describe()
        for value, series in tuple(self._series.items()):
            family.add_metric([value] if self._label else [], series.buckets(), series.total)
        yield family

    def describe(self) -> list[HistogramMetricFamily]:
        return [HistogramMetricFamily(self._name, self._help, labels=[self._label] if self._label else [])]

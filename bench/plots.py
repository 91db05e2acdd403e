"""Pictures of results, as PNG files: latency by percentile, bars of figures that several cases have, series by time."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # needs no screen

from matplotlib import pyplot
from matplotlib.figure import Figure

from bench.results import Result

NINES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
"""Where the axis of percentiles has marks."""


def draw(results: Sequence[Result], folder: Path) -> list[Path]:
    """Draw what there is to draw of one scenario; the files. None for a single result that has nothing but figures."""
    drawn = [_latency(results, folder), *_bars(results, folder), *_series(results, folder)]
    return [path for path in drawn if path is not None]


def _latency(results: Sequence[Result], folder: Path) -> Path | None:
    curves = [
        (f"{result.case}: {name}", histogram)
        for result in results
        for name, histogram in result.histograms.items()
        if histogram.get_total_count()
    ]
    if not curves:
        return None
    figure, axes = pyplot.subplots(figsize=(9, 5))
    for label, histogram in curves:
        # 1 / (1 - share): each nine of the percentile is one decade of the axis.
        points = [
            (100 / (100 - step.percentile_level_iterated_to), step.value_iterated_to / 1000)
            for step in histogram.get_percentile_iterator(5)
            if step.percentile_level_iterated_to < 100
        ]
        points.append((max(histogram.get_total_count(), 1), histogram.get_max_value() / 1000))
        points = [point for point in points if point[0] <= points[-1][0]]
        axes.plot(*zip(*points, strict=True), label=label)
    axes.set(xscale="log", yscale="log", xlabel="percentile", ylabel="latency, ms")
    axes.set_xticks([100 / (100 - each) for each in NINES], [f"{each:g}" for each in NINES])
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    return _saved(figure, folder / "latency.png")


def _bars(results: Sequence[Result], folder: Path) -> list[Path]:
    """One picture for each figure that at least two cases have."""
    names = dict.fromkeys((figure.name, figure.unit) for result in results for figure in result.figures)
    drawn = []
    for name, unit in names:
        bars = [(each.case, figure.value) for each in results for figure in each.figures if figure.name == name]
        if len(bars) < 2:
            continue
        figure, axes = pyplot.subplots(figsize=(9, 0.6 + 0.45 * len(bars)))
        shown = axes.barh([case for case, _ in bars], [value for _, value in bars])
        axes.bar_label(shown, fmt="%.4g", padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xlabel(f"{name}, {unit}" if unit else name)
        drawn.append(_saved(figure, folder / f"{_file_name(name)}.png"))
    return drawn


def _series(results: Sequence[Result], folder: Path) -> list[Path]:
    """One picture for each name, with a line for each case that has it."""
    drawn = []
    for name in dict.fromkeys(name for result in results for name in result.series):
        figure, axes = pyplot.subplots(figsize=(9, 4))
        for result in results:
            if pairs := result.series.get(name):
                axes.plot([at for at, _ in pairs], [value for _, value in pairs], label=result.case)
        axes.set(xlabel="seconds", ylabel=name)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize="small")
        drawn.append(_saved(figure, folder / f"{_file_name(name)}-over-time.png"))
    return drawn


def _file_name(name: str) -> str:
    return "".join(each if each.isalnum() else "-" for each in name)


def _saved(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path

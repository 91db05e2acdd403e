"""Results of a measurement: values that know whether they are valid, as JSON for machines and Markdown for people.

A run is a folder ``<when>-<scenario>`` with ``results.json``, ``results.md`` and plots. Names of cases and figures
are stable: `bench.check` and `bench.report` find them by name.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from attrs import field, frozen
from hdrh.histogram import HdrHistogram
from rich.console import Console
from rich.table import Table

from bench import cores, histogram, machine

SATURATED = 0.90
"""Share of its cores at which a driver can no longer be distinguished from what it measures."""


@frozen
class Figure:
    """A number with its unit ("µs", "ms", "KiB", "1/s", "s", "" for counts)."""

    name: str
    value: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{readable(self.value)} {self.unit}".rstrip()


def _as_figures(values: Iterable[Figure]) -> tuple[Figure, ...]:
    return tuple(values)


def _as_lines(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@frozen(kw_only=True)
class Result:
    """One measured run of one scenario, or of a part of it.

    ``plan``: what was asked for, in JSON's types. ``histograms``: latencies in microseconds by what they are of.
    ``series``: pairs of seconds and value, by what they are of, which plots draw over time.
    ``driver_cores``, ``server_cores``: CPU seconds per second while it was measured. A driver that had nearly all of
    its cores makes it invalid by itself.
    """

    scenario: str
    case: str
    plan: Mapping[str, Any] = field(factory=dict)
    figures: tuple[Figure, ...] = field(default=(), converter=_as_figures)
    histograms: Mapping[str, HdrHistogram] = field(factory=dict, eq=False)
    series: Mapping[str, Sequence[tuple[float, float]]] = field(factory=dict, eq=False)
    driver_cores: float = 0.0
    server_cores: float = 0.0
    valid: bool = True
    invalid_because: tuple[str, ...] = field(default=(), converter=_as_lines)
    notes: tuple[str, ...] = field(default=(), converter=_as_lines)

    def __attrs_post_init__(self) -> None:
        new = [reason for reason in saturated(self.driver_cores) if reason not in self.invalid_because]
        object.__setattr__(self, "invalid_because", (*self.invalid_because, *new))
        object.__setattr__(self, "valid", self.valid and not self.invalid_because)

    def figure(self, name: str) -> float:
        """The value of a figure. Raises KeyError if the result has none of that name."""
        for figure in self.figures:
            if figure.name == name:
                return figure.value
        raise KeyError(f"{self.scenario} ({self.case}) has no figure {name!r}")


def saturated(driver_cores: float) -> tuple[str, ...]:
    """Reason why a result with such a driver is invalid; empty if it isn't."""
    available = len(cores.driver_cores())
    if driver_cores < SATURATED * available:
        return ()
    return (f"the driver was saturated: {driver_cores:.2f} of its {available} core{'s' if available > 1 else ''}",)


# --- Reading and writing ------------------------------------------------------------------------------------------


def write(results: Sequence[Result], folder: Path) -> Path:
    """Keep them: a new folder in ``folder`` for each scenario among them; the last one's path. Without matplotlib there
    are no pictures."""
    draw = _artist()
    at = datetime.now(UTC)
    path = folder
    for scenario in dict.fromkeys(result.scenario for result in results):
        ours = [result for result in results if result.scenario == scenario]
        path = folder / f"{at:%Y%m%dT%H%M%S}-{scenario}"
        path.mkdir(parents=True, exist_ok=True)
        (path / "results.json").write_bytes(as_json(ours, at))
        drawn = draw(ours, path)
        text = f"# {scenario}, {at:%Y-%m-%d %H:%M} UTC\n\n{machine.as_markdown(machine.facts())}\n{as_markdown(ours)}"
        (path / "results.md").write_text(text + "".join(f"\n![{p.stem}]({p.name})\n" for p in drawn), encoding="utf-8")
    return path


def _artist() -> Callable[[Sequence[Result], Path], list[Path]]:
    """Return what draws results; here, since matplotlib takes a second to load."""
    try:
        from bench import plots
    except ModuleNotFoundError:
        return lambda *_: []
    return plots.draw


def as_json(results: Iterable[Result], at: datetime) -> bytes:
    """For machines, with the machine that they were measured on."""
    document = {
        "at": at.isoformat(timespec="seconds"),
        "machine": machine.facts(),
        "results": [_as_object(result) for result in results],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str)


def from_json(data: bytes) -> list[Result]:
    """The results that `as_json` wrote. Raises ValueError for anything else."""
    try:
        return [_from_object(each) for each in orjson.loads(data)["results"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not results of bench: {error!r}") from None


def newest(folder: Path) -> dict[str, Path]:
    """The latest folder of each scenario in ``folder``."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*-*/results.json")):
        if matched := re.fullmatch(r"\d{8}T\d{6}-(.+)", path.parent.name):
            found[matched[1]] = path.parent
    return found


def _as_object(result: Result) -> dict[str, Any]:
    return {
        "scenario": result.scenario,
        "case": result.case,
        "valid": result.valid,
        "invalid_because": result.invalid_because,
        "plan": dict(result.plan),
        "figures": [{"name": each.name, "value": each.value, "unit": each.unit} for each in result.figures],
        "latency_ms": {name: histogram.summary(each) for name, each in result.histograms.items()},
        "histograms": {name: histogram.encoded(each) for name, each in result.histograms.items()},
        "series": dict(result.series),
        "driver_cores": result.driver_cores,
        "server_cores": result.server_cores,
        "notes": result.notes,
    }


def _from_object(each: Mapping[str, Any]) -> Result:
    return Result(
        scenario=each["scenario"],
        case=each["case"],
        plan=each["plan"],
        figures=tuple(Figure(figure["name"], figure["value"], figure["unit"]) for figure in each["figures"]),
        histograms={name: histogram.decoded(text) for name, text in each["histograms"].items()},
        series={name: [(at, value) for at, value in pairs] for name, pairs in each["series"].items()},
        driver_cores=each["driver_cores"],
        server_cores=each["server_cores"],
        valid=each["valid"],
        invalid_because=each["invalid_because"],
        notes=each["notes"],
    )


# --- For people ---------------------------------------------------------------------------------------------------

_LATENCY_COLUMNS = ("n", "p50", "p90", "p99", "p99.9", "max")


def as_markdown(results: Sequence[Result]) -> str:
    """A table of figures and, where there are any, one of latencies; then what there is to be said."""
    text = "| case | figure | value |\n| --- | --- | --- |\n"
    for result in results:
        text += "".join(f"| {result.case} | {figure.name} | {figure} |\n" for figure in result.figures)
        text += (
            f"| {result.case} | CPU of server, driver | {result.server_cores:.2f}, {result.driver_cores:.2f} cores |\n"
        )
    latencies = [(result, name, each) for result in results for name, each in result.histograms.items()]
    if latencies:
        text += "\n| case | latency, ms | " + " | ".join(_LATENCY_COLUMNS) + " |\n"
        text += "| --- " * (2 + len(_LATENCY_COLUMNS)) + "|\n"
        for result, name, each in latencies:
            values = histogram.summary(each)
            cells = " | ".join(readable(values[column]) for column in _LATENCY_COLUMNS)
            text += f"| {result.case} | {name} | {cells} |\n"
    said = [f"- {result.case}: **invalid**: {reason}\n" for result in results for reason in result.invalid_because]
    said += [f"- {result.case}: {note}\n" for result in results for note in result.notes]
    return text + ("\n" + "".join(said) if said else "")


def show(results: Sequence[Result], console: Console) -> None:
    """A readable summary in the terminal."""
    if cores.shared():
        console.print("Server and drivers share the one core that there is: they disturb each other.")
    for result in results:
        table = Table(title=f"{result.scenario}: {result.case}", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for figure in result.figures:
            table.add_row(figure.name, str(figure))
        for name, each in result.histograms.items():
            values = histogram.summary(each)
            words = ", ".join(f"{column} {readable(values[column])}" for column in _LATENCY_COLUMNS[1:])
            table.add_row(f"{name}, ms", f"{words} ({values['n']:,.0f})")
        table.add_row("CPU of server, driver", f"{result.server_cores:.2f}, {result.driver_cores:.2f} cores")
        console.print(table)
        for reason in result.invalid_because:
            console.print(f"[red]invalid:[/] {reason}")
        for note in result.notes:
            console.print(note, highlight=False)


def readable(value: float) -> str:
    """Three digits or so, whole numbers with thousands apart."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"

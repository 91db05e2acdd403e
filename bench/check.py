"""Run the short forms of all measurements; tell for each row if it is what was asked, and no worse than before.

Figures of different machines can't be compared, so a row is judged by its ratio to a yardstick that was measured in
the same run: a bare transport, a bare handshake, a bare gRPC echo. The exit code is 0 if every row was measured
validly, every row that is short of what was asked has its reason on record, and none is worse than its recorded ratio
(reference.json) by more than 15 %. What else happens on the machine makes rows worse, hardly ever better; so one that
is worse, or was not measured validly, is measured once more, and the second measurement counts for it.
"""

import argparse
import importlib.util
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from attrs import field, frozen
from rich.console import Console

from bench import machine, results, scenarios
from bench.results import Figure, Result
from bench.rows import ROWS, SHORT_BECAUSE, TOLERANCE, Row, Source
from bench.servers import process, steve

NAME = "check"
HELP = "short forms of all of them against what was asked and what was recorded; under ten minutes"

REFERENCE = Path(__file__).resolve().parent / "reference.json"

BUDGET_SECONDS = 9.5 * 60
"""What is measured for a second time has to be done by then, by what it took the first time."""


@frozen
class Verdict:
    """Verdict on a row: ``state`` is met, short, worse or missing; a good one does not fail the check."""

    row: Row
    state: str
    good: bool
    why: str = ""
    measured: Figure | None = None
    ratio: float | None = None
    reference: float | None = field(default=None)

    def __str__(self) -> str:
        unit = self.measured.unit if self.measured else ""
        ratio = "–" if self.ratio is None else f"{self.ratio:.2f} ×"
        reference = "–" if self.reference is None else f"{self.reference:.2f} ×"
        return (
            f"{self.row.key:<20} asked {self.row.asked(unit):<12} measured {self.measured or '–'!s:<10} {ratio:>9}, "
            f"reference {reference:>9}  {self.state}{': ' if self.why else ''}{self.why}"
        )


def judge(
    row: Row,
    measured: Sequence[Result],
    references: Mapping[str, float],
    short_because: Mapping[str, str] = SHORT_BECAUSE,
) -> Verdict:
    """The rule of the check, for one row."""
    reference = references.get(row.key)
    try:
        value, *found = row.source.find(measured)
        yardstick = row.yardstick
        if isinstance(yardstick, Source):
            unit, result = yardstick.find(measured)
            found.append(result)
            yardstick = unit.value
    except KeyError as error:
        return Verdict(row, "missing", good=False, why=str(error.args[0]), reference=reference)
    ratio = value.value / yardstick if yardstick > 0 else None
    shown = Verdict(row, "met", good=True, measured=value, ratio=ratio, reference=reference)
    reasons = [f"{result.case}: {reason}" for result in found for reason in result.invalid_because]
    if ratio is None or not all(result.valid for result in found):
        return _as(shown, "invalid", good=False, why="; ".join(reasons) or "its yardstick is 0")
    if row.worse(value.value, ratio, reference):
        return _as(shown, "worse", good=False, why=f"more than {TOLERANCE:.0%} worse than recorded; {row.what}")
    if row.met(value.value, ratio):
        return _as(shown, "met", good=True, why=row.what if row.limit is None else "")
    reason = short_because.get(row.key)
    return _as(shown, "short", good=reason is not None, why=reason or "and no reason is on record")


def _as(shown: Verdict, state: str, *, good: bool, why: str) -> Verdict:
    return Verdict(shown.row, state, good, why, shown.measured, shown.ratio, shown.reference)


# --- The run ------------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.add_argument("--record", action="store_true", help="make the ratios of this run the recorded ones")
    parser.add_argument(
        "--only", nargs="+", metavar="ROW", choices=[row.key for row in ROWS], help="just these rows (%(choices)s)"
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Measure, judge, print, keep; the exit code."""
    began = time.monotonic()
    rows = [row for row in ROWS if not options.only or row.key in options.only]
    references = {} if options.record else recorded(REFERENCE)
    for each in missing(_needed(rows)):
        console.print(f"[yellow]missing:[/] {each}", soft_wrap=True, highlight=False)
    folder = options.results / "check"
    took: dict[str, float] = {}
    measured = _measure(_needed(rows), folder, console, took)
    verdicts = [judge(row, measured, references) for row in rows]
    doubted = _needed(verdict.row for verdict in verdicts if not verdict.good and verdict.state != "short")
    again = fitting(doubted, took, BUDGET_SECONDS - (time.monotonic() - began))
    if doubted != again:
        left_out = ", ".join(each for each in doubted if each not in again)
        console.print(f"[yellow]not measured once more, for there is no time:[/] {left_out}", soft_wrap=True)
    if again:
        console.rule(f"once more: {', '.join(again)}")
        measured = [result for result in measured if result.scenario not in again]
        measured += _measure(again, folder, console)
        verdicts = [each if each.good else judge(each.row, measured, references) for each in verdicts]
    if measured:
        console.print(f"Kept in {folder}", soft_wrap=True)
    console.rule("check")
    for verdict in verdicts:
        console.print(str(verdict), style="" if verdict.good else "red", soft_wrap=True, highlight=False)
    good = all(verdict.good for verdict in verdicts)
    seconds = time.monotonic() - began
    console.print(f"{'All' if good else 'Not all'} rows are as they should be ({seconds / 60:.1f} min)")
    unrecorded = [each.row.key for each in verdicts if each.reference is None and each.row.limit is not None]
    if unrecorded and not options.record:
        console.print(f"No ratio is recorded to hold these against (--record): {', '.join(unrecorded)}", soft_wrap=True)
    if options.record:
        record(verdicts, REFERENCE, console)
    return 0 if good else 1


def _needed(rows: Iterable[Row]) -> list[str]:
    sources = [source for row in rows for source in (row.source, row.yardstick) if isinstance(source, Source)]
    names = {source.scenario for source in sources}
    return [name for name in scenarios.NAMES if name in names]


def fitting(names: Iterable[str], took: Mapping[str, float], seconds: float) -> list[str]:
    """The scenarios, in their order, that can be measured in so many seconds if each takes as long as it did."""
    found = []
    for name in names:
        if took.get(name, 0.0) <= seconds:
            seconds -= took.get(name, 0.0)
            found.append(name)
    return found


def missing(names: Iterable[str]) -> list[str]:
    """Say what of the machine these scenarios will do without, before minutes are spent on them."""
    found = []
    if importlib.util.find_spec("matplotlib") is None:
        found.append("matplotlib: results are kept without pictures")
    for name in names:
        try:
            scenarios.load(name)
        except ModuleNotFoundError as error:
            found.append(f"{error.name}: {name} can't be measured")
    if "peers" in names:
        reasons = {name: process.why_unavailable(name) for name in process.NAMES}
        reasons[steve.NAME] = steve.why_unavailable(steve.named())
        found += [f"{peer}: {why}" for peer, why in reasons.items() if why is not None]
    return found


def _measure(
    names: Iterable[str], folder: Path, console: Console, took: dict[str, float] | None = None
) -> list[Result]:
    """The short forms, each kept as soon as it is measured. One that fails is reported, its rows will be missing.
    ``took``: seconds by scenario, to be filled."""
    took = {} if took is None else took
    measured: list[Result] = []
    for name in names:
        console.rule(name)
        began = time.monotonic()
        try:
            scenario = scenarios.load(name)
            found = scenario.run(scenarios.options(scenario, scenario.SHORT), console)
        except (Exception, SystemExit):
            console.print_exception()
            continue
        finally:
            took[name] = time.monotonic() - began
        results.show(found, console)
        results.write(found, folder)
        console.print(f"[dim]{name} took {took[name]:.0f} s[/]")
        measured += found
    return measured


def recorded(path: Path) -> dict[str, float]:
    """The recorded ratios by row; empty if none were recorded."""
    return {key: float(each["ratio"]) for key, each in _entries(path).items()}


def record(
    verdicts: Iterable[Verdict],
    path: Path,
    console: Console,
    *,
    at: str | None = None,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Keep the ratios of rows that were measured validly, each with when and on what; other rows stay as they are.

    ``at`` and ``facts``: of the measurement, if that was not just now.
    """
    facts = machine.facts() if facts is None else facts
    at = datetime.now(UTC).isoformat(timespec="seconds") if at is None else at
    origin = {"at": at} | {name: facts[name] for name in ("commit", "processor", "cores", "python")}
    valid = {
        each.row.key: {"ratio": round(each.ratio, 3)} | origin
        for each in verdicts
        if each.ratio is not None and each.state != "invalid"
    }
    path.write_bytes(orjson.dumps(_entries(path) | valid, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    console.print(f"Recorded {', '.join(valid) or 'nothing'} in {path}", soft_wrap=True)


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes()) if path.exists() else {}
    return entries

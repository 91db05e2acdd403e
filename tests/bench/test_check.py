"""The rule by which the check judges."""

import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve
from rich.console import Console

import bench
from bench import check, histogram, results, scenarios
from bench.results import Figure, Result
from bench.rows import ROWS, Row, Source
from bench.scenarios import lists

COST = Row("cost", "CPU", Source("s", "ours", "CPU"), Source("s", "bare", "CPU"), 60)
RATE = Row("rate", "rate", Source("s", "ours", "rate"), Source("s", "bare", "rate"), 900, more_is_better=True)
RATIO = Row("ratio", "CPU", Source("s", "ours", "CPU"), Source("s", "bare", "CPU"), 2.0, limit_is_ratio=True)
PLAIN = Row("plain", "pause", Source("s", "ours", "answer", 100), 50.0, 50)
PEER = Row("peer", "CPU", Source("s", "peer", "CPU"), Source("s", "bare", "CPU"))


def measured(cpu: float = 50, rate: float = 1000, bare: float = 25, **fields: Any) -> list[Result]:
    ours = [Figure("CPU", cpu, "µs"), Figure("rate", rate, "1/s")]
    answers = {"answer": histogram.of([20_000, 40_000])}
    return [
        Result(scenario="s", case="bare", figures=[Figure("CPU", bare, "µs"), Figure("rate", 4000, "1/s")]),
        Result(scenario="s", case="ours", figures=ours, histograms=answers, **fields),
        Result(scenario="s", case="peer", notes=["left out: node was not found"]),
    ]


def state(row: Row, results: list[Result], reference: float | None = None) -> tuple[str, bool]:
    verdict = check.judge(row, results, {} if reference is None else {row.key: reference}, {})
    return verdict.state, verdict.good


def test_a_row_is_met_within_its_limit() -> None:
    """A cost below it, a rate above it, a ratio to what was measured beside it, a percentile of a histogram."""
    assert state(COST, measured()) == ("met", True)
    assert state(RATE, measured()) == ("met", True)
    assert state(RATIO, measured(cpu=50)) == ("met", True)
    assert state(PLAIN, measured()) == ("met", True)


def test_a_row_beyond_its_limit_is_short_and_needs_a_reason() -> None:
    """Which is printed with it."""
    assert state(COST, measured(cpu=61)) == ("short", False)
    assert state(RATE, measured(rate=899)) == ("short", False)
    assert state(RATIO, measured(cpu=51)) == ("short", False)
    verdict = check.judge(COST, measured(cpu=61), {}, {"cost": "ADR 99"})
    assert (verdict.state, verdict.good, verdict.why) == ("short", True, "ADR 99")


@pytest.mark.parametrize(("cpu", "good"), [(57.4, True), (57.6, False)])
def test_a_cost_may_be_15_percent_worse_than_recorded(cpu: float, good: bool) -> None:
    """2.0 was recorded: 2.3 is the most."""
    assert state(COST, measured(cpu=cpu), 2.0) == (("met", True) if good else ("worse", False))


@pytest.mark.parametrize(("rate", "good"), [(3.05, True), (2.95, False)])
def test_a_rate_may_be_15_percent_worse_than_recorded(rate: float, good: bool) -> None:
    """Ratio 0.875 was recorded: 0.875 / 1.15 is the least."""
    assert state(RATE, measured(rate=rate * 1000), 0.875) == (("met", True) if good else ("worse", False))


def test_a_faster_machine_does_not_make_a_row_worse() -> None:
    """All of its figures are half: the ratio is what it was."""
    assert state(COST, measured(cpu=25, bare=12.5), 2.0) == ("met", True)


def test_what_is_only_noise_is_not_worse() -> None:
    """A maximum of 20 ms is no better than one of 40 ms; one beyond the noise is."""
    noisy = evolve(PLAIN, noise=45)
    assert state(PLAIN, measured(), 0.4) == ("worse", False)
    assert state(noisy, measured(), 0.4) == ("met", True)
    assert state(evolve(noisy, noise=39), measured(), 0.4) == ("worse", False)


def test_a_yardstick_of_nothing_is_no_yardstick() -> None:
    """A measurement that went wrong, not a ratio without bounds."""
    assert state(COST, measured(bare=0)) == ("invalid", False)


def test_better_than_recorded_is_never_worse() -> None:
    """However much."""
    assert state(COST, measured(cpu=10), 2.0) == ("met", True)
    assert state(RATE, measured(rate=4000), 0.25) == ("met", True)


def test_worse_than_recorded_fails_also_where_it_is_short_for_a_reason() -> None:
    """The reason is for what was recorded, not for more of it."""
    verdict = check.judge(COST, measured(cpu=80), {"cost": 2.5}, {"cost": "ADR 99"})
    assert (verdict.state, verdict.good) == ("worse", False)


def test_an_invalid_measurement_is_no_measurement() -> None:
    """And the reasons are printed."""
    results = measured(invalid_because=["the driver was saturated"])
    verdict = check.judge(COST, results, {})
    assert (verdict.state, verdict.good) == ("invalid", False)
    assert "the driver was saturated" in verdict.why


def test_what_could_not_be_measured_is_missing_and_says_why() -> None:
    """A peer that isn't installed, a scenario that failed, a figure that is gone."""
    assert state(PEER, measured()) == ("missing", False)
    assert "node was not found" in check.judge(PEER, measured(), {}).why
    assert state(COST, []) == ("missing", False)
    assert state(Row("x", "", Source("s", "ours", "gone"), 1.0, 1), measured()) == ("missing", False)
    assert state(Row("x", "", Source("s", "ours", "gone", 50), 1.0, 1), measured()) == ("missing", False)


def test_a_peer_is_measured_but_not_judged() -> None:
    """It is there for comparison: that it became slower is not ours to mend."""
    peer = Result(scenario="s", case="peer", figures=[Figure("CPU", 250.0, "µs")])
    assert state(PEER, [*measured()[:2], peer], 1.0) == ("met", True)


def test_each_row_is_a_line_that_names_what_was_asked_and_measured() -> None:
    """With its ratio and the recorded one."""
    line = str(check.judge(COST, measured(), {"cost": 1.9}))
    for shown in ("cost", "≤ 60 µs", "50 µs", "2.00 ×", "1.90 ×", "met"):
        assert shown in line
    assert "\n" not in line


def test_only_valid_ratios_are_recorded_and_others_stay(tmp_path: Path) -> None:
    """So that one row can be recorded anew."""
    path = tmp_path / "reference.json"
    console = Console(file=io.StringIO())
    check.record([check.judge(COST, measured(), {}), check.judge(PLAIN, measured(), {})], path, console)
    assert check.recorded(path) == {"cost": 2.0, "plain": pytest.approx(0.8, rel=0.01)}
    broken = measured(cpu=75, invalid_because=["the driver was saturated"])
    check.record([check.judge(COST, broken, {}), check.judge(PEER, broken, {})], path, console)
    assert check.recorded(path)["cost"] == 2.0


def test_each_recorded_ratio_says_when_and_on_what_it_was_measured(tmp_path: Path) -> None:
    """Rows that are recorded at different times don't take each other's."""
    path = tmp_path / "reference.json"
    console = Console(file=io.StringIO())
    facts = {"commit": "abc", "processor": "one", "cores": "2", "python": "3.11"}
    check.record([check.judge(COST, measured(), {})], path, console, at="yesterday", facts=facts)
    check.record([check.judge(PLAIN, measured(), {})], path, console, at="today", facts=facts | {"commit": "def"})
    entries = json.loads(path.read_text(encoding="utf-8"))
    assert (entries["cost"]["at"], entries["cost"]["commit"]) == ("yesterday", "abc")
    assert (entries["plain"]["at"], entries["plain"]["commit"]) == ("today", "def")


def test_nothing_recorded_is_nothing_to_compare_with(tmp_path: Path) -> None:
    """On the first run."""
    assert check.recorded(tmp_path / "reference.json") == {}


def test_every_row_is_of_a_scenario_that_there_is() -> None:
    """With options that its short form knows."""
    for row in ROWS:
        for source in (row.source, row.yardstick):
            if isinstance(source, Source):
                assert source.scenario in scenarios.NAMES
    for name in scenarios.NAMES:
        scenario = scenarios.load(name)
        assert name == scenario.NAME
        assert scenario.HELP
        scenarios.options(scenario, scenario.SHORT)


def test_an_option_that_a_scenario_does_not_have_is_refused() -> None:
    """A typing mistake in a short form would measure the long one."""
    with pytest.raises(ValueError, match="secnods"):
        scenarios.options(scenarios.load("startup"), {"secnods": 1})


def test_a_second_measurement_is_made_of_what_fits_into_the_time() -> None:
    """By what each took; a short one behind a long one has its turn."""
    took = {"long": 90.0, "short": 20.0, "other": 15.0}
    assert check.fitting(["long", "short", "other"], took, 130.0) == ["long", "short", "other"]
    assert check.fitting(["long", "short", "other"], took, 40.0) == ["short", "other"]
    assert check.fitting(["long", "short"], took, -1.0) == []


def test_the_snapshots_of_a_cold_start_are_rows() -> None:
    """By the names that the scenario gives its figures, each with what was asked of it."""
    rows = {row.source.name: row.limit for row in ROWS if row.source.scenario == lists.NAME}
    assert rows == {
        **dict.fromkeys(lists.SNAPSHOTS, 1000 * lists.SHORT["sessions"] / 10_000),
        "largest message of a snapshot": lists.MEBIBYTE / 1024,
        "longest wait of a charger during snapshots": 50.0,
    }


def test_the_page_has_each_row() -> None:
    """With what was asked and its yardstick; peers' rows share one."""
    page = (Path(bench.__file__).parents[1] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    judged = [row.key for row in ROWS if row.limit is not None]
    assert [key for key in judged if f"`{key}`" not in page] == []


def test_what_is_missing_is_said_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes later it would be too late; what is there is not mentioned."""
    assert not [each for each in check.missing(["rates"]) if "rates" in each]
    find = importlib.util.find_spec
    absent = {"matplotlib", "ocpp"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find(name))
    assert "matplotlib: results are kept without pictures" in check.missing(["rates"])
    assert "mobilityhouse: the package ocpp is not installed" in check.missing(["peers"])
    assert not [each for each in check.missing(["rates"]) if "mobilityhouse" in each]


def test_results_are_kept_without_pictures_where_nothing_draws_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Figures are worth more than their picture."""
    monkeypatch.setitem(sys.modules, "bench.plots", None)
    monkeypatch.delattr(bench, "plots", raising=False)
    kept = results.write(measured(), tmp_path)
    assert [each.case for each in results.from_json((kept / "results.json").read_bytes())] == ["bare", "ours", "peer"]
    assert sorted(each.name for each in kept.iterdir()) == ["results.json", "results.md"]


def test_each_scenario_is_kept_before_the_next_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that fails takes nothing with it."""

    class Fake:
        SHORT: ClassVar[dict[str, Any]] = {}

        def __init__(self, name: str) -> None:
            self.name = name

        def run(self, options: object, console: Console) -> list[Result]:
            if self.name == "second":
                raise RuntimeError("a driver has died")
            return [Result(scenario=self.name, case="a")]

    monkeypatch.setattr(scenarios, "load", Fake)
    monkeypatch.setattr(scenarios, "options", lambda *_: None)
    took: dict[str, float] = {}
    measured_all = check._measure(["first", "second", "third"], tmp_path, Console(file=io.StringIO()), took)
    assert list(took) == ["first", "second", "third"]
    assert [each.scenario for each in measured_all] == ["first", "third"]
    assert sorted(results.newest(tmp_path)) == ["first", "third"]

"""Results, as they are kept and shown."""

import argparse
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from bench import cores, histogram, report, results
from bench.results import Figure, Result

FULL = Result(
    scenario="demo",
    case="one",
    plan={"sessions": 200},
    figures=[Figure("CPU per message", 23.4, "µs"), Figure("messages", 12345)],
    histograms={"answer": histogram.of([1000, 2000, 500_000])},
    series={"memory, MiB": [(0.0, 100.0), (1.0, 100.5)]},
    driver_cores=0.4,
    server_cores=0.97,
    invalid_because=["a message failed"],
    notes=["a note"],
)
PLAIN = Result(scenario="demo", case="two", figures=[Figure("CPU per message", 30.0, "µs")])
EMPTY = Result(scenario="nothing", case="left out", notes=["left out: it is not there"])


def test_results_come_back_from_json_as_they_were() -> None:
    """Histograms and series, too."""
    again = results.from_json(results.as_json([FULL, PLAIN, EMPTY], datetime.now(UTC)))
    assert again == [FULL, PLAIN, EMPTY]
    assert histogram.summary(again[0].histograms["answer"]) == histogram.summary(FULL.histograms["answer"])
    assert again[0].series == FULL.series


def test_json_that_holds_no_results_is_refused() -> None:
    """With an error of its own kind."""
    with pytest.raises(ValueError, match="not results"):
        results.from_json(b'{"results":[{"scenario":"x"}]}')


def test_a_saturated_driver_makes_a_result_invalid() -> None:
    """However many cores it has; and the reason is said once, also after a round trip."""
    busy = 0.9 * len(cores.driver_cores())
    saturated = Result(scenario="demo", case="one", driver_cores=busy)
    assert not saturated.valid
    assert len(saturated.invalid_because) == 1
    assert results.from_json(results.as_json([saturated], datetime.now(UTC))) == [saturated]
    assert Result(scenario="demo", case="one", driver_cores=busy - 0.01).valid


def test_whatever_went_wrong_makes_a_result_invalid() -> None:
    """A reason is enough."""
    assert not FULL.valid
    assert PLAIN.valid


def test_each_scenario_of_a_run_has_a_folder_and_the_newest_is_found(tmp_path: Path) -> None:
    """With JSON, Markdown and pictures."""
    pytest.importorskip("matplotlib", reason="matplotlib comes with make bench")
    results.write([FULL, PLAIN, EMPTY], tmp_path)
    newest = results.newest(tmp_path)
    assert set(newest) == {"demo", "nothing"}
    assert {path.name for path in newest["demo"].iterdir()} == {
        "results.json",
        "results.md",
        "latency.png",
        "CPU-per-message.png",
        "memory--MiB-over-time.png",
    }
    assert "23.4 µs" in (newest["demo"] / "results.md").read_text(encoding="utf-8")


def test_a_result_without_anything_to_draw_gives_no_picture(tmp_path: Path) -> None:
    """Nor does a histogram in which nothing was recorded, or a figure that has nothing beside it."""
    plots = pytest.importorskip("bench.plots", reason="matplotlib comes with make bench")
    silent = Result(scenario="demo", case="one", histograms={"answer": histogram.new()})
    assert plots.draw([EMPTY], tmp_path) == plots.draw([silent], tmp_path) == plots.draw([PLAIN], tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_shown_has_figures_latencies_and_faults() -> None:
    """In the terminal and in Markdown."""
    shown = io.StringIO()
    results.show([FULL, EMPTY], Console(file=shown, width=100))
    for text in (shown.getvalue(), results.as_markdown([FULL, EMPTY])):
        for reported in ("23.4 µs", "12,345", "p99", "a message failed", "left out: it is not there"):
            assert reported in text


def test_the_reference_run_stands_between_its_marks() -> None:
    """And nothing else of the page changes; a page without them is left alone."""
    page = f"# Before\n{report.BEGIN}\nold\n{report.END}\nAfter\n"
    once = report.replaced(page, "new\n")
    assert once == f"# Before\n{report.BEGIN}\n\nnew\n{report.END}\nAfter\n"
    assert report.replaced(once, "new\n") == once
    with pytest.raises(ValueError, match="marks"):
        report.replaced("# Before\n", "new\n")


def test_a_reference_run_goes_into_the_page_that_is_named(tmp_path: Path) -> None:
    """One page for each Python. A page without the marks, or none, is an error that names it, and changes nothing."""
    folder, page, other = tmp_path / "results", tmp_path / "page.md", tmp_path / "other.md"
    results.write([Result(scenario="watch", case="one", figures=[Figure("lag", 3.0, "ms")])], folder)
    page.write_text(f"# Before\n{report.BEGIN}\n{report.END}\nAfter\n", encoding="utf-8")
    other.write_text("# Another\n", encoding="utf-8")
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)

    def reported(into: Path) -> tuple[int, str]:
        options = parser.parse_args(["--reference", "--page", str(into)])
        options.results, shown = folder, io.StringIO()
        return report.run(options, Console(file=shown)), shown.getvalue()

    assert reported(page)[0] == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Before\n")
    assert "### watch" in text
    assert text.endswith("After\n")
    for bad in (other, tmp_path / "missing.md"):
        code, shown = reported(bad)
        assert code == 1
        assert f"error: --page {bad}: " in shown
    assert other.read_text(encoding="utf-8") == "# Another\n"

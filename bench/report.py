"""Put the newest results of each scenario into a page of the documentation, or print them."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from bench import machine, results, scenarios

NAME = "report"
HELP = "the newest results of each scenario, in Markdown; --reference puts them into docs/benchmarks.md, or --page"

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
BEGIN = "<!-- reference run: written by `python -m bench report --reference` -->"
END = "<!-- end of the reference run -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.add_argument("--reference", action="store_true", help="write them into the page, in place of those there")
    parser.add_argument("--page", type=Path, default=PAGE, help="with the marks of a reference run (%(default)s)")


def run(options: argparse.Namespace, console: Console) -> int:
    """Print or write; 1 if there is nothing to report."""
    newest = results.newest(options.results)
    chosen = [newest[name] for name in scenarios.NAMES if name in newest]
    if not chosen:
        console.print(f"There are no results in {options.results}: run `python -m bench` before", soft_wrap=True)
        return 1
    text = as_markdown(chosen)
    if not options.reference:
        print(text, end="")
        return 0
    page: Path = options.page
    try:
        page.write_text(replaced(page.read_text(encoding="utf-8"), text), encoding="utf-8")
    except (OSError, ValueError) as error:
        console.print(f"error: --page {page}: {error}", soft_wrap=True)
        return 1
    console.print(f"The reference run in {page} is now: {', '.join(folder.name for folder in chosen)}", soft_wrap=True)
    return 0


def as_markdown(folders: Iterable[Path]) -> str:
    """Machine and versions once, as long as they are the same for all; then a section for each scenario."""
    text, reported = "", None
    for folder in folders:
        data = (folder / "results.json").read_bytes()
        document: dict[str, Any] = orjson.loads(data)
        measured = results.from_json(data)
        if document["machine"] != reported:
            reported = document["machine"]
            text += machine.as_markdown(reported) + "\n"
        text += f"### {measured[0].scenario}\n\nMeasured {document['at'][:16].replace('T', ' ')} UTC.\n\n"
        text += results.as_markdown(measured) + "\n"
    return text


def replaced(page: str, section: str) -> str:
    """The page with this between its two marks. Raises ValueError if they are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has lost the marks between which the reference run is kept")
    return f"{before}{BEGIN}\n\n{section}{END}{after}"

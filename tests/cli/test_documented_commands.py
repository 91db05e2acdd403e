"""Commands that the documents name are there, with the options that they are given."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.root import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("clients/**/*.md")]
)

TEMPLATES = sorted((ROOT / "gateway" / "console" / "templates").glob("*.html"))
SOURCES = sorted([*ROOT.glob("protos/**/*.proto"), *(ROOT / "gateway").rglob("*.py")])

INLINE = re.compile(r"`(?:/\S*/)?gateway ([a-z-][^`]*)`")
BLOCK = re.compile(r"^(?: {4}|\$ )?(?:\S*/bin/)?gateway ([a-z-].*)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}\S.*$", re.MULTILINE)


def documented(text: str) -> Iterator[str]:
    """Yield each command in code, without the program's name, on one line."""
    code = FENCED.findall(text)
    prose = FENCED.sub("", text)
    code += INDENTED.findall(prose)
    for each in code:
        yield from BLOCK.findall(each.replace("\\\n", " "))
    for each in INLINE.findall(re.sub(r"\n(?!\n)", " ", INDENTED.sub("", prose))):
        yield each


@cache
def program() -> Any:
    """The whole program, as typer makes it of its parts."""
    return typer.main.get_command(app)


def problem(command: str) -> str:
    """The first thing in a command that the program does not have; empty: none."""
    words = shlex.split(re.split(r"[|&;<>]|\s#|\\$", command)[0].replace("'", ""))
    at = program()
    while words:
        word, *words = words
        options = {name: each for each in at.params for name in (*each.opts, *each.secondary_opts)}
        option = options.get(word.split("=")[0])
        if word in ("--help", "-h"):
            return ""
        if option is not None:
            if not (option.is_flag or "=" in word):
                words = words[1:]  # its value
        elif re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word):
            return f"{at.name} has no {word}"
        elif getattr(at, "commands", None):
            if word not in at.commands:
                return f"no command {word}"
            at = at.commands[word]
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_in_a_page_is_there_with_its_options(page: Path) -> None:
    """So that an operator can type it as it stands."""
    text = page.read_text(encoding="utf-8")
    wrong = [(each, why) for each in documented(text) if (why := problem(each))]
    assert wrong == []


@pytest.mark.parametrize("page", TEMPLATES, ids=lambda page: page.name)
def test_each_command_on_a_page_of_the_console_is_there(page: Path) -> None:
    """A person is sent to the command line where the console has no page."""
    named = re.findall(r"<code>gateway ([a-z-][^<]*)</code>", page.read_text(encoding="utf-8"))
    assert [(each, why) for each in named if (why := problem(each))] == []


def test_each_command_that_a_source_names_is_there() -> None:
    """In the words of errors and help, and in the comments of the contract."""
    wrong = []
    for path in SOURCES:
        text = re.sub(r"\n\s*(?://|#)?\s*(?!\n)", " ", path.read_text(encoding="utf-8"))
        wrong += [(path.name, each, why) for each in INLINE.findall(text) if (why := problem(each))]
    assert wrong == []


def test_a_command_or_an_option_that_is_not_there_is_found() -> None:
    """In a sentence and in a block."""
    text = (
        "Say `gateway nonsense CP1`, or\n\n    gateway chargers add CP1 --colour blue   # words\n\nand `gateway top`."
    )
    assert [problem(each) for each in documented(text)] == ["add has no --colour", "no command nonsense", ""]

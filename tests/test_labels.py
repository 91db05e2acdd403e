"""Every rule, habit, case and source that the code cites can be looked up in ``docs/rules.md``."""

import re
from pathlib import Path

import pytest

from tests.support.cited_labels import Label, labels_in, words_of
from tests.support.named_tests import REPOSITORY

PAGE = (REPOSITORY / "docs" / "rules.md").read_text(encoding="utf-8")

FOLDERS = ("gateway", "protos", "tests", "bench", "docs")
SUFFIXES = {".py", ".proto", ".md", ".sql"}
FILES = sorted(
    path
    for folder in FOLDERS
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in SUFFIXES and "gateway/api" not in path.as_posix() and path.name != "test_labels.py"
)

RULES = set(re.findall(r"^\| ([A-EX]\d+(?:\.\d+)?b?) \|", PAGE, re.MULTILINE))
SECTIONS = set(re.findall(r"^## ([AB]\d+)\.", PAGE, re.MULTILINE))
CASES = set(re.findall(r"^\| (\d{3}(?:_\d)?) \|", PAGE, re.MULTILINE))
SOURCES = {
    tag.strip(" §#")
    for cell in re.findall(r"^\| ([^|]+) \| [^|]+ \|$", PAGE, re.MULTILINE)
    for tag in cell.replace("TC_", "").split(",")
}

KNOWN = {"rule": RULES | SECTIONS, "quirk": RULES, "case": CASES, "source": SOURCES}


def name_of(path: Path) -> str:
    """The file, as seen from the repository."""
    return path.relative_to(REPOSITORY).as_posix()


def unknown_in(text: str) -> list[Label]:
    """The labels of a text that the page does not have."""
    return sorted(
        {label for label in labels_in(text) if label.text not in KNOWN[label.kind]}, key=lambda label: label.text
    )


def test_every_label_that_a_file_cites_is_in_the_page() -> None:
    """In comments, docstrings and documents."""
    assert len(FILES) > 1_000
    assert {name_of(path): found for path in FILES if (found := unknown_in(words_of(path)))} == {}


def test_no_document_is_cited_that_is_not_here() -> None:
    """Rules are cited by their labels, not by a document outside of the repository."""
    outside = re.compile(r"OCPP\.md|\bDESIGN\b")
    assert {name_of(path): found for path in FILES if (found := outside.findall(path.read_text("utf-8")))} == {}


def test_the_page_has_labels_of_each_kind() -> None:
    """The tables were found: an empty set would know nothing, or everything."""
    assert len(RULES) > 200
    assert len(CASES) > 60
    assert {"S", "J", "SE", "JE", "WP", "mh", "RFC", "owner/name"} <= SOURCES


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Answered in order (A5.99).", Label("rule", "A5.99")),
        ("See E44: no such rule.", Label("rule", "E44")),
        ("Habit of quirk 84.", Label("quirk", "D84")),
        ("Quirks 7, 13 and 86", Label("quirk", "D86")),
        ("(TC_999_1)", Label("case", "999_1")),
        ("As in xy#424.", Label("source", "xy")),
    ],
)
def test_a_label_that_the_page_does_not_have_is_found(text: str, label: Label) -> None:
    """The check can fail, for each kind."""
    assert unknown_in(text) == [label]


def test_what_looks_like_a_label_and_is_none_is_left_alone() -> None:
    """Names of files, hashes, parts of words."""
    assert list(labels_in("0xA7F3, B10-alpha, `A1`, CP_B7, x/E3, sha256 A1b2, MA8.5x")) == []

"""The threat model of docs/security.md: each row can be followed to tests that there are."""

import re
from pathlib import Path

import pytest

from tests.support.named_tests import names_in

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
MODEL = PAGE.partition("## Threat model\n")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in MODEL.splitlines() if line.startswith("| ")]
HEAD, _, *THREATS = ROWS
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_the_model_has_assets_actors_and_threats() -> None:
    """An auditor finds each by its letter."""
    assert HEAD == ["actor", "threat", "to", "what stops it", "what is left", "shown by"]
    assets, actors = re.findall(r"\b(A\d) [a-z]", MODEL), re.findall(r"\b([SNCIKO]) (?:a|one)\b", MODEL)
    assert len(THREATS) > 20
    assert {each for row in THREATS for each in row[2].split()} == {*assets, "all"}
    assert {each for row in THREATS for each in row[0].split()} == {*actors, "-"}


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row[1][:40])
def test_each_row_names_tests_that_there_are(row: list[str]) -> None:
    """And says what stops the threat, and what is left."""
    assert len(row) == len(HEAD)
    assert all(row)
    named = NAMED.findall(row[-1])
    assert named, "no test shows it"
    assert [f"{file}::{name}" for file, name in named if name not in names_in(file)] == []

"""Each row of ``docs/found.md`` and ``docs/field-cases.md`` names tests, and each of them exists."""

import re

import pytest

from tests.support.named_tests import REPOSITORY, unfit

PAGES = {"found.md": 3, "field-cases.md": 4}
"""Page → columns of its tables; the last column names the tests."""


def rows(page: str) -> list[tuple[str, list[str]]]:
    """Rows of the page's tables as (section, cells)."""
    found, section = [], ""
    for line in (REPOSITORY / "docs" / page).read_text().splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| ") and not line.startswith(("| input |", "| make or source |", "| --- ")):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            found.append((section, [cell.strip() for cell in cells]))
    return found


ROWS = [(page, section, cells) for page in PAGES for section, cells in rows(page)]


@pytest.mark.parametrize(("page", "section", "cells"), ROWS, ids=[f"{page}-{i}" for i, (page, *_) in enumerate(ROWS)])
def test_a_row_is_whole_and_shown_by_tests_that_exist(page: str, section: str, cells: list[str]) -> None:
    """Input, right value and tests, each of them there."""
    assert len(cells) == PAGES[page], f"{page}, {section}: {cells}"
    assert all(cells)
    tests = tuple(re.findall(r"`(tests/.*?::.*?)`", cells[-1]))
    assert tests, f"{page}, {section}: no test is named"
    assert unfit(tests) == []

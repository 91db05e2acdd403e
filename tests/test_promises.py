"""``docs/promises.md`` is true as far as this: every promise names a test, and every test that it names is there."""

import re

import pytest

from tests.support.named_tests import REPOSITORY, unfit

LINES = (REPOSITORY / "docs" / "promises.md").read_text().splitlines()
ROWS = [line for line in LINES if line.startswith("| ") and not line.startswith(("| promise ", "| --- "))]


def test_there_are_promises() -> None:
    """The page is read as it is meant."""
    assert len(ROWS) > 20


@pytest.mark.parametrize("row", ROWS, ids=[str(number) for number in range(len(ROWS))])
def test_a_promise_is_shown_by_tests_that_exist(row: str) -> None:
    """Each row has a promise, its faults, and tests that show it."""
    promise, fault, shown = (cell.strip() for cell in row.strip("|").split("|"))
    tests = tuple(re.findall(r"`(.*?)`", shown))
    assert promise.endswith(".")
    assert fault.endswith(".")
    assert tests
    assert unfit(tests) == []

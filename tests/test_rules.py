"""``docs/rules.md`` is complete and true: every rule has its row, every row its test, and every test exists."""

import re
from collections import Counter

import pytest
from attrs import frozen

from tests.support.named_tests import REPOSITORY, names_in, unfit

PAGE = REPOSITORY / "docs" / "rules.md"

RULES = {
    "A1": 8,
    "A2": 8,
    "A3": 17,
    "A4": 5,
    "A5": 7,
    "A6": 13,
    "A7": 22,
    "B1": 10,
    "B2": 3,
    "B3": 5,
    "B4": 13,
    "B5": 11,
    "B6": 8,
    "B7": 6,
    "B8": 3,
    "B9": 19,
    "B10": 15,
    "B11": 12,
}
"""How many rules each section has; they are numbered from 1."""

METERING = 28
DISAGREEMENTS = 14
QUIRKS = range(1, 84, 2)

CERTIFICATION = (  # noqa: SIM905
    "001 003 004_1 004_2 005_1 007 010 011_1 011_2 012 013 014 017_1 017_2 018_1 019_1 019_2 021 023_1 023_2 023_3 024 "
    "026 028 030 031 032_1 037_1 037_3 039 040_1 040_2 042_1 042_2 043_1 043_3 043_4 043_5 044_1 044_2 044_3 045_1 "
    "045_2 046 047 048_1 048_2 048_3 048_4 049 051 052 053 054 055 056 057 059 061 064 066 067 073 074 075_1 075_2 076 "
    "077 078 079 080 081 083 085 086 087 088"
).split()
"""The tool's cases for a central system, as of its editions of 2024 and 2025."""

BINDING = {"N", "O", "N,O"}
NOT_SERVED = "Not served: "
CHOICE = "Choice: "


@frozen
class Row:
    """A rule as the page has it."""

    rule: str
    level: str
    holds: str
    tests: tuple[str, ...]
    remarks: str


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def lines(columns: int) -> list[list[str]]:
    """The rows of all tables with so many columns, headings left out."""
    found = [cells(line) for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [row for row in found if len(row) == columns and row[0] not in ("rule", "case", "---")]


ROWS = [
    Row(rule, level, holds, tuple(re.findall(r"`(.*?)`", tests)), more) for rule, level, holds, tests, more in lines(5)
]
CASES = {case: tuple(re.findall(r"`(.*?)`", tests)) for case, tests, _ in lines(3)}


def test_every_rule_has_one_row() -> None:
    """None is missing, none is there twice, and none is made up."""
    expected = [f"{section}.{number}" for section, count in RULES.items() for number in range(1, count + 1)]
    expected += [f"E{number}" for number in (*range(1, METERING + 1), "15b")]
    expected += [f"X{number}" for number in range(1, DISAGREEMENTS + 1)]
    expected += [f"D{number}" for number in QUIRKS]
    assert Counter(row.rule for row in ROWS) == Counter(expected)


@pytest.mark.parametrize("row", ROWS, ids=[row.rule for row in ROWS])
def test_a_rule_has_a_level_a_claim_and_tests_that_exist(row: Row) -> None:
    """A binding rule without a test is one about something that isn't served; a free one says what was chosen."""
    assert row.level in BINDING | {"R", "?"}
    assert row.holds.endswith(".")
    assert unfit(row.tests) == []
    if row.level in BINDING:
        if not row.remarks.startswith(NOT_SERVED):
            assert row.tests
    elif not row.remarks.startswith(CHOICE):
        assert row.tests
        assert row.level == "R"


def test_every_certification_case_has_one_row() -> None:
    """Of both editions."""
    assert sorted(row[0] for row in lines(3)) == sorted(CERTIFICATION)


@pytest.mark.parametrize("case", CASES)
def test_a_certification_case_has_a_test_that_exists(case: str) -> None:
    """Or says that it is not served."""
    (remarks,) = (row[2] for row in lines(3) if row[0] == case)
    assert unfit(CASES[case]) == []
    if not remarks.startswith(NOT_SERVED):
        assert CASES[case]


def test_every_certification_test_is_in_the_index() -> None:
    """A test named for a case is found under it, or under a rule."""
    shown = {test for tests in CASES.values() for test in tests} | {test for row in ROWS for test in row.tests}
    folder = REPOSITORY / "tests" / "certification"
    for file in sorted(folder.glob("test_*.py")):
        path = file.relative_to(REPOSITORY).as_posix()
        named = {f"{path}::{name}" for name in names_in(path) if name.startswith("test_tc_")}
        assert named <= shown

"""``docs/promises.md`` is true as far as this: every promise says whether it holds on one node and on several, and by
which tests; and every test that it names is there."""

import re

import pytest

from tests.support.named_tests import REPOSITORY, unfit

LINES = (REPOSITORY / "docs" / "promises.md").read_text().splitlines()
ROWS = [line for line in LINES if line.startswith("| ") and not line.startswith(("| promise ", "| --- "))]

CELL = re.compile(r"(holds|each|no): \S.*")
"""Of one node or of several: whether it holds there, and then tests, or words that say why it does not."""


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def named_in(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`(tests/.*?)`", cell))


def faults(row: str) -> list[str]:
    """Faults of a row of the table, each in words."""
    found = cells(row)
    if len(found) != 4:
        return [f"{len(found)} cells"]
    promise, under, *where = found
    wrong = [f"no sentence: {cell}" for cell in (promise, under) if not cell.endswith(".")]
    for place, cell in zip(("one node", "several nodes"), where, strict=True):
        said = CELL.fullmatch(cell)
        if said is None:
            wrong.append(f"{place}: neither holds, each nor no: {cell}")
        elif said[1] == "holds" and not named_in(cell):
            wrong.append(f"{place}: holds, and no test shows it")
        elif said[1] != "holds" and not re.sub(r"`tests/.*?`", "", cell.partition(": ")[2]).strip():
            wrong.append(f"{place}: {said[1]}, without a reason")
    if where[0].startswith("each"):
        wrong.append("one node is each")
    if not any(cell.startswith("holds") for cell in where):
        wrong.append("it holds nowhere")
    return wrong


def test_there_are_promises() -> None:
    """The page is read as it is meant."""
    assert len(ROWS) > 70


@pytest.mark.parametrize("row", ROWS, ids=[str(number) for number in range(len(ROWS))])
def test_a_promise_is_shown_by_tests_that_exist(row: str) -> None:
    """Each row has a promise, its faults, and for one node and for several whether it holds, and tests that show it."""
    assert faults(row) == []
    assert unfit(named_in(row)) == []


SHOWN = "`tests/test_promises.py::test_there_are_promises`"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (f"| A. | B. | holds: {SHOWN} |", "3 cells"),
        (f"| A. | B. | holds: {SHOWN} |  |", "several nodes: neither"),
        (f"| A. | B. | {SHOWN} | each: it is. |", "one node: neither"),
        (f"| A. | B. | holds: {SHOWN} | holds: surely. |", "several nodes: holds, and no test"),
        (f"| A. | B. | holds: {SHOWN} | no: {SHOWN} |", "several nodes: no, without a reason"),
        (f"| A. | B. | each: so. | holds: {SHOWN} |", "one node is each"),
        (f"| A | B. | holds: {SHOWN} | each: so. |", "no sentence"),
        ("| A. | B. | no: so. | no: so. |", "it holds nowhere"),
    ],
)
def test_a_cell_that_is_missing_is_found(row: str, fault: str) -> None:
    """Whichever it is."""
    assert any(fault in each for each in faults(row))

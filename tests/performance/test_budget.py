"""A message's budget on the pure path: function calls by step, and instructions against a yardstick of the same run.

Never seconds, so that a busy machine changes nothing. What is dearer on purpose is recorded anew: ``python -m
tests.performance`` prints the figures. What has become cheaper should be, too: the budget then guards it.
"""

from __future__ import annotations

import os
import sys

import pytest

from tests.performance import counting
from tests.performance.path import Path

CALLS = {
    "receive": 10,
    "parse": 15,
    "decode": 14,
    "decide": 58,
    "evolve": 8,
    "encode": 3,
    "send": 5,
}
"""Functions called for one MeterValues with four values, Python's and C's, on CPython 3.11. Later versions inline some
of them."""

if sys.version_info >= (3, 14):
    CALLS["decode"] += 1  # cattrs looks with isinstance at what kind of union a field's type is

CALLS_SLACK = 1.05
"""Of the sum; a step may take two calls more than its own share, if another takes fewer."""

RATIO = 7.5
"""Instructions of that message, over those of reading and writing its JSON (with orjson)."""

RATIO_SLACK = 1.08
"""Two builds of CPython 3.11 differ by some percent. In one build the figure repeats to three digits."""


def test_a_message_calls_no_more_functions_than_its_budget() -> None:
    """Step by step, and altogether: a second parse, or an object more for each sample, is seen here."""
    counts = counting.calls_per_step()
    assert counts.keys() == CALLS.keys()
    over = {step: (count, CALLS[step]) for step, count in counts.items() if count > CALLS[step] * CALLS_SLACK + 2}
    assert not over, f"calls and budget of each step: {over}"
    assert sum(counts.values()) <= sum(CALLS.values()) * CALLS_SLACK, counts


def test_counting_is_the_same_each_time() -> None:
    """Else a budget would mean nothing."""
    assert counting.calls_per_step() == counting.calls_per_step()


def test_a_dearer_message_is_found_dearer() -> None:
    """The check above can fail."""
    path = Path()
    path.run()  # the first one makes what is kept, with a call more
    once, _ = counting.calls_of(path.run)
    twice, _ = counting.calls_of(lambda: (path.run(), path.run()))
    assert twice >= 2 * once


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the ratio was recorded on CPython 3.11")
def test_a_message_takes_no_more_instructions_than_its_budget() -> None:
    """Also inside C: what a call costs, not only that it is made. In CI valgrind has to be there (make test)."""
    if counting.valgrind() is None:
        without = pytest.fail if os.environ.get("CI") else pytest.skip
        without("valgrind is not installed: instructions are not counted (`make test` installs it where it may)")
    message, yardstick = counting.instructions()
    ratio = message / yardstick
    assert ratio <= RATIO * RATIO_SLACK, f"{message:,.0f} instructions, {ratio:.2f} times the yardstick"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the ratio was recorded on CPython 3.11")
@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_valgrind_the_budget_is_skipped_with_its_reason_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    """A budget that is not held where it counts would be none."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(counting, "valgrind", lambda: None)
    with pytest.raises(outcome, match="valgrind is not installed"):
        test_a_message_takes_no_more_instructions_than_its_budget()

"""The example of a night: plans by price, kept through a lost link, lost profiles and a wallbox that heeds no limit."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree as Xml

import pytest

from examples.night.night import Outcome, picture, run
from examples.night.optimiser import cheapest, merged
from examples.night.prices import EVENING, MORNING, prices

SETTLES = timedelta(minutes=5)
"""A vehicle follows a limit within half a minute; a sample that shows it comes within another, and is sent in time that
runs fast."""


@pytest.fixture(scope="module")
def night() -> dict[str, Outcome]:
    """The outcomes by home, of one night for all tests."""
    return {each.home.name: each for each in run()}


def pauses(outcome: Outcome) -> Iterable[tuple[datetime, datetime]]:
    """The pauses that were planned."""
    ends = [*(step.start for step in outcome.plan[1:]), MORNING]
    return [(step.start, end) for step, end in zip(outcome.plan, ends, strict=True) if not step.charges]


def drawn_in_pauses(outcome: Outcome, since: timedelta = SETTLES) -> list[datetime]:
    """The times of samples that show a vehicle charging in a planned pause, once that should have settled."""
    begun = EVENING + timedelta(minutes=10)  # charging was started by hand, and the plan came after that
    return [
        at
        for start, end in pauses(outcome)
        for at, watts in outcome.power
        if max(start, begun) + since <= at < end and watts > 500
    ]


def states(outcome: Outcome) -> list[str]:
    """The states of what was wanted, in order."""
    return [state for _, state in outcome.states]


def test_every_vehicle_has_what_it_wanted_by_the_morning(night: dict[str, Outcome]) -> None:
    """Each was started by an operation that the meter confirmed, and its transaction came of that start."""
    assert set(night) == {"oak", "elm", "ash"}
    for outcome in night.values():
        assert outcome.started == "OPERATION_END_DONE"
        assert outcome.start_command_id.startswith("cmd_")
        assert outcome.energy_wh == pytest.approx(outcome.wanted_wh, rel=0.01)


def test_a_plan_goes_on_while_the_link_is_away(night: dict[str, Outcome]) -> None:
    """Oak is away for an hour, over the end of a pause, and misses nothing: its profile holds the whole plan."""
    outcome = night["oak"]
    assert "VERIFIED" in states(outcome)
    assert "INEFFECTIVE" not in states(outcome)
    assert drawn_in_pauses(outcome) == []


def test_a_plan_comes_back_onto_a_charger_that_lost_it(night: dict[str, Outcome]) -> None:
    """Elm takes one limit at a time, and forgets all in a pause: some minutes later it pauses again."""
    outcome = night["elm"]
    assert outcome.home.forgets is not None
    forgotten = EVENING + outcome.home.forgets
    late = drawn_in_pauses(outcome)
    assert all(forgotten <= at <= forgotten + timedelta(minutes=15) for at in late), late
    assert any(forgotten <= at <= forgotten + timedelta(minutes=15) for at in outcome.sent)


def test_a_charger_that_heeds_no_limit_is_found_out(night: dict[str, Outcome]) -> None:
    """Ash accepts all, and charges in the pauses: that is what its steering says."""
    outcome = night["ash"]
    assert drawn_in_pauses(outcome) != []
    assert "INEFFECTIVE" in states(outcome)


def test_the_planned_nights_are_cheap_and_their_bills_add_up(night: dict[str, Outcome]) -> None:
    """A kilowatt-hour of the homes that followed their plan costs half of the other one's, or less."""
    rates = {name: Decimal(each.cost) / Decimal(str(each.energy_wh)) for name, each in night.items()}
    assert max(rates["oak"], rates["elm"]) < rates["ash"] / 2
    for outcome in night.values():
        assert sum(outcome.amounts) == Decimal(outcome.energy_amount)
        assert sum(outcome.line_mwh) == round(outcome.energy_wh * 1000)


def test_the_picture_shows_price_plan_and_power(night: dict[str, Outcome]) -> None:
    """One row for the price, one for each home, as SVG that can be read."""
    drawn = Xml.fromstring(picture(list(night.values()), prices()))  # the test's own
    paths = [each for each in drawn.iter() if each.tag.endswith("path")]
    assert len(paths) == 1 + 2 * len(night)
    texts = " ".join(each.text or "" for each in drawn.iter())
    assert all(f"{name}: " in texts for name in night)


def test_the_cheapest_half_hours_are_chosen_with_one_to_spare() -> None:
    """Those before the vehicle is to be ready only."""
    steps = cheapest(prices(), 11_000, 11_000, MORNING)
    chosen = {step.start for step in steps if step.charges}
    half_hours = sorted((price for price in prices() if price.end <= MORNING), key=lambda price: price.per_kwh)
    assert chosen <= {price.start for price in half_hours[:4]}
    assert len(merged(steps)) == len(steps)
    assert [step.charges for step in steps] == [number % 2 == 1 for number in range(len(steps))]

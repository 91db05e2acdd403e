"""The scenarios' own footing: what goes wrong in one is not lost on the way out of it."""

import pytest
from trio.testing import MockClock

from gateway.domain.commands import ClearCache
from tests.support.harness import Harness
from tests.support.station import booted


async def test_a_claim_that_fails_fails_its_scenario(harness: Harness, autojump_clock: MockClock) -> None:
    """However many tasks end with it."""
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="wrong"), flatten_subgroups=True):
        async with booted(harness):
            raise AssertionError("wrong")


async def test_an_unexpected_frame_fails_its_scenario(harness: Harness, autojump_clock: MockClock) -> None:
    """Silence is part of every claim."""
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="expected silence"), flatten_subgroups=True):
        async with booted(harness) as station:
            station.ask(ClearCache())


async def test_a_frame_that_was_passed_over_fails_its_scenario(harness: Harness, autojump_clock: MockClock) -> None:
    """A CALL that came before a confirmation was waited for counts as well."""
    with pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="unexpected"), flatten_subgroups=True):
        async with booted(harness) as station:
            station.ask(ClearCache())
            await station.charger.hears_nothing(0)
            await station.authorize()

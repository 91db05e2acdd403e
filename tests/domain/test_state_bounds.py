"""Bounds of the state that one charger can cause."""

from datetime import UTC, datetime

from gateway.domain.commands import ConfigurationKey
from gateway.domain.events import ConfigurationReported, NewEvent
from gateway.domain.state import MAX_CONFIGURATION_KEYS, ChargePointState, evolve
from gateway.domain.values import Registration


def test_a_charger_that_makes_up_configuration_keys_fills_no_memory():
    """Known keys keep being updated; further ones are in the history only."""
    state = ChargePointState("CP1", 1, Registration.ACCEPTED)
    for start in range(0, 5_000, 500):
        keys = tuple(ConfigurationKey(f"Key{number}", False, str(start)) for number in (0, *range(start, start + 500)))
        evolve(state, NewEvent(ConfigurationReported(keys, ()), datetime(2026, 3, 1, tzinfo=UTC)), start + 1)
    assert len(state.configuration) == MAX_CONFIGURATION_KEYS
    assert state.configuration["Key0"] == "4500"

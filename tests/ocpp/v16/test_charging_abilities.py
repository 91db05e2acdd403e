"""The ways in which a charge point can be limited, by what it reports (S §9.4, quirk 31)."""

from collections.abc import Mapping

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.charging import ChargingRateUnit, ProfilePurpose
from gateway.domain.commands import GetConfiguration
from gateway.domain.steering import ChargingAbilities
from gateway.ocpp.v16.charging_abilities import KEYS, abilities_requests, charging_abilities

A, W = ChargingRateUnit.AMPERE, ChargingRateUnit.WATT
ALL = {
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargeProfileMaxStackLevel": "8",
    "ChargingScheduleMaxPeriods": "24",
    "MaxChargingProfilesInstalled": "10",
    "NumberOfConnectors": "2",
    "SupportedFeatureProfiles": "Core,SmartCharging",
}


def test_a_charger_that_reports_all_can_do_that() -> None:
    """By its own numbers."""
    expected = ChargingAbilities(frozenset(ProfilePurpose), frozenset({A, W}), 24, 8, 10, 2, True)
    assert charging_abilities(ALL) == expected


def test_what_is_not_reported_is_the_least() -> None:
    """And it is known that it is not known."""
    assert charging_abilities({}) == ChargingAbilities()
    assert not charging_abilities({"NumberOfConnectors": "1"}).known


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Current", {A}),
        ("Power", {W}),
        ("A", {A}),
        ("W,A", {A, W}),
        (" current ; power", {A, W}),
        ("'Power'", {W}),
        ("Ampere?", {A}),
        ("", {A}),
        (None, {A}),
    ],
)
def test_units_are_read_with_the_words_that_chargers_put(value: str | None, expected: set[ChargingRateUnit]) -> None:
    """A word that is none leaves the least."""
    assert charging_abilities({**ALL, "ChargingScheduleAllowedChargingRateUnit": value}).units == expected


@pytest.mark.parametrize(
    ("features", "others", "able"),
    [
        ("Core,SmartCharging", False, True),
        ("core, Smart Charging", False, True),
        ("Core,FirmwareManagement", False, False),
        ("Core", True, True),
        ("", False, True),
    ],
)
def test_only_a_charger_that_shows_that_it_takes_none_takes_no_profiles(
    features: str, others: bool, able: bool
) -> None:
    """One of the keys of smart charging says more than the list of feature profiles."""
    found = {"SupportedFeatureProfiles": features, **({"ChargeProfileMaxStackLevel": "1"} if others else {})}
    assert bool(charging_abilities(found).purposes) is able


@given(st.dictionaries(st.sampled_from(KEYS), st.none() | st.text(max_size=12) | st.from_regex(r"-?[0-9]{1,6}")))
def test_any_values_give_abilities_that_can_be_used(configuration: Mapping[str, str | None]) -> None:
    """At least one unit, one period, one profile, and level 0."""
    found = charging_abilities(configuration)
    assert found.units
    assert min(found.max_periods, found.max_profiles or 1, found.connectors or 1) >= 1
    assert found.max_stack_level >= 0
    assert evolve(found) == found


def test_keys_are_asked_for_in_as_many_requests_as_the_charger_needs() -> None:
    """Each key once."""
    assert abilities_requests({}) == (GetConfiguration(KEYS),)
    asked = abilities_requests({"GetConfigurationMaxKeys": "4"})
    assert [len(each.keys) for each in asked] == [4, 2]
    assert tuple(key for each in asked for key in each.keys) == KEYS

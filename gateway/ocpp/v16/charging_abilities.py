"""The ways in which a charge point can be limited, as its configuration reports them (S §9.4)."""

from collections.abc import Mapping
from typing import Final

from gateway.domain.charging import ChargingRateUnit, ProfilePurpose
from gateway.domain.commands import GetConfiguration
from gateway.domain.steering import ChargingAbilities
from gateway.ocpp.v16.configuration_keys import NUMBER_OF_CONNECTORS, number_in, number_of_connectors

RATE_UNIT: Final = "ChargingScheduleAllowedChargingRateUnit"
MAX_STACK_LEVEL: Final = "ChargeProfileMaxStackLevel"
MAX_PERIODS: Final = "ChargingScheduleMaxPeriods"
MAX_INSTALLED: Final = "MaxChargingProfilesInstalled"
FEATURE_PROFILES: Final = "SupportedFeatureProfiles"
MAX_KEYS: Final = "GetConfigurationMaxKeys"

SMART_CHARGING: Final = (RATE_UNIT, MAX_STACK_LEVEL, MAX_PERIODS, MAX_INSTALLED)
"""Keys of the smart charging profile: a charger that reports one of them takes charging profiles, whatever its
``SupportedFeatureProfiles`` says."""

KEYS: Final = (*SMART_CHARGING, NUMBER_OF_CONNECTORS, FEATURE_PROFILES)

UNITS: Final = {
    "current": ChargingRateUnit.AMPERE,
    "a": ChargingRateUnit.AMPERE,
    "power": ChargingRateUnit.WATT,
    "w": ChargingRateUnit.WATT,
}
"""ChargingScheduleAllowedChargingRateUnit's words (S §9.4.2), and what some chargers put instead (B10.7, quirk 31)."""

_LEAST: Final = ChargingAbilities()


def units_in(value: str) -> frozenset[ChargingRateUnit]:
    """The units that a value of ``ChargingScheduleAllowedChargingRateUnit`` names."""
    found = (UNITS.get(word.strip().strip("\"'").lower()) for word in value.replace(";", ",").split(","))
    return frozenset(unit for unit in found if unit is not None)


def charging_abilities(configuration: Mapping[str, str | None]) -> ChargingAbilities:
    """The abilities that reported configuration keys show; the least where a key is missing or can't be read."""
    reported = {key for key in SMART_CHARGING if configuration.get(key)}
    features = _words(configuration.get(FEATURE_PROFILES) or "")
    able = bool(reported) or not features or "smartcharging" in features
    return ChargingAbilities(
        purposes=frozenset(ProfilePurpose) if able else frozenset(),
        units=units_in(configuration.get(RATE_UNIT) or "") or _LEAST.units,
        max_periods=max(_number(configuration, MAX_PERIODS, _LEAST.max_periods), 1),
        max_stack_level=_number(configuration, MAX_STACK_LEVEL, _LEAST.max_stack_level),
        max_profiles=_number(configuration, MAX_INSTALLED, 0) or None,  # 0, of one that has the feature, says nothing
        connectors=number_of_connectors(configuration) or None,
        known=bool(reported) or bool(features),
    )


def abilities_requests(configuration: Mapping[str, str | None]) -> tuple[GetConfiguration, ...]:
    """The requests for the keys that tell, each with no more keys than the charger takes at once."""
    most = _number(configuration, MAX_KEYS, len(KEYS)) or len(KEYS)
    return tuple(GetConfiguration(KEYS[first : first + most]) for first in range(0, len(KEYS), most))


def _words(value: str) -> frozenset[str]:
    return frozenset("".join(word.split()).lower() for word in value.split(",") if word.strip())


def _number(configuration: Mapping[str, str | None], key: str, otherwise: int) -> int:
    number = number_in(configuration.get(key) or "")
    return otherwise if number is None else number

"""Configuration keys of OCPP 1.6 (S §9) that the gateway itself acts on, and their values."""

from collections.abc import Mapping
from typing import Final

NUMBER_OF_CONNECTORS: Final = "NumberOfConnectors"

MAX_DIGITS: Final = 5
"""Digits of a number of connectors that is believed."""


def is_authorization_key(name: str) -> bool:
    """Return whether a configuration key is the one whose value a charger authenticates with (S §9: without regard to
    case).

    Rotating it admits the new key; that hangs on this name alone, whatever else is hidden.
    """
    return name.strip().casefold() == "authorizationkey"


def number_of_connectors(configuration: Mapping[str, str | None]) -> int | None:
    """Return how many connectors the charger has by its own configuration; None where it has not reported that."""
    value = configuration.get(NUMBER_OF_CONNECTORS)
    return int(value) if value is not None and value.isdecimal() and len(value) <= MAX_DIGITS else None

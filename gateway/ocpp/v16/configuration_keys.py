"""Configuration keys of OCPP 1.6 (S §9) that the gateway itself acts on, and their values."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

NUMBER_OF_CONNECTORS: Final = "NumberOfConnectors"
AUTHORIZATION_KEY: Final = "AuthorizationKey"
CONNECTION_TIME_OUT: Final = "ConnectionTimeOut"

MAX_DIGITS: Final = 5
"""Digits of a number, of connectors or of seconds, that is believed."""


def is_authorization_key(name: str) -> bool:
    """Return whether a configuration key is the one whose value a charger authenticates with (S §9: without regard to
    case).

    Rotating it admits the new key; that hangs on this name alone, whatever else is hidden.
    """
    return name.strip().casefold() == AUTHORIZATION_KEY.casefold()


def number_of_connectors(configuration: Mapping[str, str | None]) -> int | None:
    """Return how many connectors the charger has by its own configuration; None where it has not reported that."""
    return _number(configuration, NUMBER_OF_CONNECTORS)


def connection_timeout(configuration: Mapping[str, str | None]) -> timedelta | None:
    """Return how long the charger waits for the cable before it gives up a start (S §9.1, ConnectionTimeOut); None
    where it has not reported that. 0 is none either: what it means differs by make."""
    seconds = _number(configuration, CONNECTION_TIME_OUT)
    return timedelta(seconds=seconds) if seconds else None


def _number(configuration: Mapping[str, str | None], key: str) -> int | None:
    value = configuration.get(key)
    return int(value) if value is not None and value.isdecimal() and len(value) <= MAX_DIGITS else None


def number_in(value: str) -> int | None:
    """Return the number in a configuration value, 0 or more; None for any other."""
    text = value.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None

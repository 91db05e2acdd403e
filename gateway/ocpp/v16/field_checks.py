"""Conditions that fields of commands have in common."""

from collections.abc import Iterator
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from gateway.domain.commands import FieldViolation
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

Findings: TypeAlias = Iterator[FieldViolation]

INT32: Final = 2**31 - 1


def check_text(name: str, value: str | None, longest: int, *, needed: bool = True) -> Findings:
    """Whatever is wrong with a text; None: it was not given."""
    if value is None:
        return
    if needed and not value.strip():
        yield FieldViolation(name, "must not be empty")
    elif len(value) > longest:
        yield FieldViolation(name, f"has {len(value)} characters; at most {longest} are allowed")


def check_whole(name: str, value: int | None, least: int = 0) -> Findings:
    """Whatever is wrong with a whole number of 32 bits; None: it was not given."""
    if value is not None and not least <= value <= INT32:
        yield FieldViolation(name, f"must be from {least} to {INT32}")


def check_connector(address: ConnectorAddress | None, *, whole: bool, name: str = "connector") -> Findings:
    """Whatever is wrong with a connector. ``whole``: whether it may be (0, 0), the charge point as a whole."""
    if address is None:
        return
    if address == WHOLE_CHARGE_POINT:
        if not whole:
            yield FieldViolation(name, "must be a connector, not the whole charge point")
    elif not 0 < address.evse <= INT32:
        yield FieldViolation(f"{name}.evse", "must be a positive number")
    elif address.connector != 1:
        yield FieldViolation(f"{name}.connector", "must be 1: OCPP 1.6 has one connector per number")


def check_location(location: str, longest: int) -> Findings:
    """Whatever is wrong with the place of a file."""
    yield from check_text("location", location, longest)
    try:
        parts = urlsplit(location)
    except ValueError:
        parts = urlsplit("")
    if location and not (
        parts.scheme and (parts.netloc or parts.path) and location.isprintable() and " " not in location
    ):
        yield FieldViolation("location", "must be a URI, e.g. ftp://host/path")


def check_retries(retries: int | None, retry_interval: int | None) -> Findings:
    """Whatever is wrong with the tries of a transfer and the seconds between them."""
    yield from check_whole("retries", retries)
    yield from check_whole("retry_interval", retry_interval)

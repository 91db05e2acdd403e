"""Fields of forms, and how their values are read: each has its value, or the reason why it can't be."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from gateway.api.v1 import common_pb2


class FieldError(ValueError):
    """A field of a form that can't be: its name, and the reason in words."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@frozen
class Field:
    """A field of a form. ``kind``: an input's type, "select" or "textarea"."""

    name: str
    label: str
    kind: str = "text"
    required: bool = True
    options: tuple[tuple[str, str], ...] = ()
    default: str = ""
    hint: str = ""


NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""A number as a person or a browser writes it. Python reads more than that as one: 1_6, and digits of any script."""


def decimal(text: str) -> float:
    """A number; a comma is as good as a dot. Raises ValueError."""
    if NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a number")
    return float(text.replace(",", "."))


def number(form: Mapping[str, str], name: str, low: float, high: float) -> float:
    """A number of a form. Raises FieldError."""
    try:
        value = decimal(form.get(name, "").strip())
    except ValueError:
        raise FieldError(name, "is not a number") from None
    if not low <= value <= high:
        raise FieldError(name, f"must be {low:,.0f} to {high:,.0f}")
    return value


def whole(form: Mapping[str, str], name: str, low: int, high: int) -> int:
    """A whole number of a form: what comes after a point is never left out. Raises FieldError."""
    value = number(form, name, low, high)
    if not value.is_integer():
        raise FieldError(name, "must be a whole number")
    return int(value)


def text(form: Mapping[str, str], name: str, most: int = 500) -> str:
    """A text of a form that has to be there. Raises FieldError."""
    value = optional_text(form, name, most)
    if not value:
        raise FieldError(name, "must be filled in")
    return value


def optional_text(form: Mapping[str, str], name: str, most: int) -> str:
    """A text of a form, whole or not at all; empty: it is left out. Raises FieldError."""
    value = form.get(name, "").strip()
    if len(value) > most:
        raise FieldError(name, f"has more than {most} characters")
    return value


def address(form: Mapping[str, str]) -> common_pb2.ConnectorAddress:
    """The connector that a form names. Raises FieldError."""
    return common_pb2.ConnectorAddress(evse=whole(form, "connector", 1, 255), connector=1)


def whole_or_one(form: Mapping[str, str]) -> common_pb2.ConnectorAddress:
    """The connector, or the charge point as a whole where the field is empty. Raises FieldError."""
    return address(form) if form.get("connector", "").strip() else common_pb2.ConnectorAddress()


def when(form: Mapping[str, str], name: str) -> datetime | None:
    """A time of a form, in UTC unless it has an offset; None: it is empty. Raises FieldError."""
    value = form.get(name, "").strip()
    if not value:
        return None
    try:
        return moment_of(value)
    except ValueError:
        raise FieldError(name, "is not a time") from None


def moment_of(value: str) -> datetime:
    """A time of ISO 8601; in UTC unless it has an offset of its own. Raises ValueError."""
    at = datetime.fromisoformat(value)
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{value!r} is in no year that there is in UTC") from None

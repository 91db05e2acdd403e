"""Options' values: choices as they are spelled, moments, and what is said of a wrong one in plain words."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

import typer
from typer._click.core import ParameterSource  # typer exports it not
from typer._click.globals import get_current_context  # typer exports it not

E = TypeVar("E", bound=StrEnum)

REWORDED: Final = (
    (r"^Value error, ", ""),
    (r"^Input should be a valid integer\b.*", "expected a whole number"),
    (r"^Input should be a valid number\b.*", "expected a number"),
    (r"^Input should be greater than or equal to ", "expected at least "),
    (r"^Input should be less than or equal to ", "expected at most "),
    (r"^Input should be ", "expected "),
)
"""What the library that converts values says, and what is said instead."""


def plainly(message: str) -> str:
    """A message on a wrong value, without the words of the library that found it."""
    for pattern, words in REWORDED:
        message = re.sub(pattern, words, message)
    return message


def one_of(choices: type[E]) -> Callable[[str], E]:
    """A parser that takes a choice in any case. It raises BadParameter that shows them as they are spelled."""

    def parse(text: str) -> E:
        for each in choices:
            if each.value.casefold() == text.casefold():
                return each
        *first, last = choices
        raise typer.BadParameter(f"expected {', '.join(first)} or {last}, found {text!r}")

    return parse


def spelled(choices: type[StrEnum]) -> str:
    """A placeholder for one of the choices, for help."""
    return "|".join(each.value for each in choices)


def moment_of(text: str) -> datetime:
    """A moment in ISO 8601: a date, or a date and time; local time without a zone. Raises BadParameter, also where UTC
    has no such year."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"expected a date (2026-12-31) or a time (2026-12-31T18:00, or with a zone: 2026-12-31T18:00+01:00) of the "
            f"years 1 to 9999, found {text!r}"
        ) from None


def day_of(text: str) -> date:
    """A day in ISO 8601. Raises BadParameter."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected a day, as 2026-12-31, found {text!r}") from None


def pair_of(text: str) -> tuple[str, str]:
    """A key and a value, as ``key=value``. Raises BadParameter."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"expected key=value, found {text!r}")
    return key, value


def is_typed(name: str) -> bool:
    """Return true if a parameter of the running command was typed, and is neither its default nor the environment's."""
    return get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def refuse_typed(reason: str, **options: str) -> None:
    """Raises BadParameter for the first of these options (parameter to option) that was typed where it would count for
    nothing. ``reason`` follows its name."""
    for name, option in options.items():
        if is_typed(name):
            raise typer.BadParameter(reason, param_hint=option)


def each_once(given: list[tuple[str, Any]] | None) -> list[tuple[str, Any]] | None:
    """A callback for an option of keys and values that may be given several times. Raises BadParameter for a key that
    is given twice: one of its values would be left out without a word."""
    seen: set[str] = set()
    for key, _ in given or ():
        if key in seen:
            raise typer.BadParameter(f"{key} is given twice")
        seen.add(key)
    return given

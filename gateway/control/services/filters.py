"""Filters of requests for lists, as the store takes them."""

from collections.abc import Iterable

from gateway.control.convert.requests import Fields

MAX_NAMES = 100
"""Names of one filter: of callers there are tens, of actions as many as there are RPCs."""

MAX_NAME = 500
"""Characters; no caller, charge point or action has a longer name."""


def names(fields: Fields, name: str, given: Iterable[str], limit: int = MAX_NAMES) -> tuple[str, ...]:
    """The names of a repeated field, each once and in order, so that the same filter is always spelled the same."""
    found = list(given)
    if len(found) > limit:
        fields.wrong(name, f"must have at most {limit:,}")
    for index, each in enumerate(found):
        if not 0 < len(each) <= MAX_NAME:
            fields.wrong(f"{name}[{index}]", f"must have 1 to {MAX_NAME} characters")
    return tuple(sorted(set(found)))

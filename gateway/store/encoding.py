"""Small values as the stores hold them: times as microseconds, integers within 64 bits, flags as words."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import orjson

from gateway.domain.labels import Labels
from gateway.domain.quirks import NAMES, NO_VALUES, QuirkValues, to_mapping
from gateway.domain.values import Flag

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KNOWN_FLAGS = frozenset(Flag)

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def to_micros(at: datetime) -> int:
    """Microseconds since 1970 of an aware time, exactly (a float would lose the last digits)."""
    return (at - _EPOCH) // _MICROSECOND


def maybe_micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def to_time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def maybe_time(micros: int | None) -> datetime | None:
    return None if micros is None else to_time(micros)


def fits(number: int) -> bool:
    """Return true if the store can hold (and so could know) an integer."""
    return INT64_MIN <= number <= INT64_MAX


def clamped(number: int) -> int:
    """The nearest integer that the store can hold. Projections only: the event's body keeps what was sent, and a number
    of more than 64 bits in a meter or connector field must not stop its charger's history."""
    return min(max(number, INT64_MIN), INT64_MAX)


def maybe_clamped(number: int | None) -> int | None:
    return None if number is None else clamped(number)


def to_words(flags: Iterable[Flag]) -> str:
    return " ".join(flags)


def to_flags(words: str) -> tuple[Flag, ...]:
    """Flags that a later version wrote and this one doesn't know are left out."""
    return tuple(Flag(word) for word in words.split() if word in _KNOWN_FLAGS) if words else ()


def to_labels(labels: Labels) -> str:
    return orjson.dumps(dict(labels), option=orjson.OPT_SORT_KEYS).decode()


def from_labels(column: str) -> dict[str, str]:
    found: dict[str, str] = {} if column == "{}" else orjson.loads(column)
    return found


def to_quirks(values: QuirkValues) -> str:
    return orjson.dumps(to_mapping(values), option=orjson.OPT_SORT_KEYS).decode()


def from_quirks(column: str) -> QuirkValues:
    if column == "{}":
        return NO_VALUES
    found = {name: value for name, value in orjson.loads(column).items() if name in NAMES}
    if "measurands" in found:
        found["measurands"] = tuple(found["measurands"])
    return QuirkValues(**found)

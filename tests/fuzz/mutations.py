"""Changes to messages that keep them JSON: bytes changed at random nearly never get past the first parser."""

from __future__ import annotations

import json
import random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 2**31, 2**63, -(2**63) - 1, 1.5, 1e308, float("nan"), float("inf"),
    "", " ", "0", "1", "-1", "1.5", "1,5", "NaN", "null", "x" * 21, "x" * 51, "x" * 501, "ä\u202e\x00", "\ud800",
    "1970-01-01T00:00:00Z", "2024-02-30T25:61:61", "2024-05-01T10:00:00+14:00", "9999-12-31T23:59:59.999999999Z",
    [], {}, [[]], {"": {}}, [0] * 40,
)  # fmt: skip
"""Values that one field or another will not expect."""


def mutate(data: bytes, words: list[str], dice: random.Random) -> bytes | None:
    """``data`` with one place of one of its lines changed; None if that line is no JSON."""
    lines = data.split(b"\n")
    at = dice.randrange(len(lines))
    try:
        message = json.loads(lines[at])
    except (ValueError, RecursionError):
        return None
    if dice.random() < 0.2:
        lines.insert(at, lines[at])
        return b"\n".join(lines)
    places = _places(message)
    if not places:
        return None
    container, key = dice.choice(places)
    choice = dice.random()
    if choice < 0.2:
        del container[key]
    elif choice < 0.3 and isinstance(container, list):
        container.append(container[key])
    elif choice < 0.45 and isinstance(container, dict):
        container[dice.choice(words)] = container.pop(key)
    elif choice < 0.6:
        container[key] = dice.choice(words)
    elif choice < 0.75:
        container[key] = _other_type(container[key])
    elif choice < 0.85:
        other, name = dice.choice(places)
        container[key] = json.loads(json.dumps(other[name])) if name in _keys(other) else None
    else:
        container[key] = dice.choice(ODD)
    lines[at] = json.dumps(message, ensure_ascii=dice.random() < 0.5).encode("utf-8", "replace")
    return b"\n".join(lines)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in it: its container, and the key there."""
    found = [(value, key) for key in _keys(value)]
    for key in _keys(value):
        found += _places(value[key])
    return found


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []


def _other_type(value: Any) -> Any:
    match value:
        case bool() | None:
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            return int(value) if value.isascii() and value.isdigit() and len(value) < 30 else [value]
        case list():
            return value[0] if value else {}
        case _:
            return [value]

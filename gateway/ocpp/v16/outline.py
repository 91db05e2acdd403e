"""Outline of a payload that is not read as a whole: the plain fields at its top. Sans-I/O.

Only fields before the payload's first list or object and behind its last one are looked at, within ``REGION_BYTES`` at
either end: there a charger puts a transaction's number, its registers, its times and its tag. Everything between may
be a million values, and stays text.
"""

import re
from typing import Final

import orjson

from gateway.domain.values import JSON

REGION_BYTES: Final = 4096
"""Looked at from either end of a payload: six times what all plain fields of a real StopTransaction take."""

MAX_FIELDS: Final = 32
"""Fields at either end; OCPP's largest such message has six."""

MAX_CANDIDATES: Final = 64
"""Brackets, from the end backwards, of which one may end the last list or object. Nearly always it is the first; others
stand within texts."""

_TEXT: Final = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_FIELD: Final = rb"[ \t\r\n]*" + _TEXT + rb"[ \t\r\n]*:[ \t\r\n]*(?:" + _TEXT + rb"|-?[0-9][0-9.eE+-]*|true|false|null)"
_FIRST: Final = re.compile(_FIELD + rb"[ \t\r\n]*(?=[,}])", re.DOTALL)
_NEXT: Final = re.compile(rb"," + _FIELD + rb"[ \t\r\n]*(?=[,}])", re.DOTALL)
_BLANK: Final = re.compile(rb"[ \t\r\n]*")


def outline(payload: bytes) -> dict[str, JSON]:
    """The plain fields at the top of an object, ``payload`` being its text. Of a name that is there twice the last one
    counts. Never raises; what is no JSON may give anything or nothing."""
    return _from_the_beginning(payload[:REGION_BYTES]) | _to_the_end(payload[-REGION_BYTES:])


def _from_the_beginning(region: bytes) -> dict[str, JSON]:
    if not region.startswith(b"{"):
        return {}
    found: list[bytes] = []
    field = _FIRST.match(region, 1)
    while field is not None and len(found) < MAX_FIELDS:
        found.append(field[0].removeprefix(b","))
        field = _NEXT.match(region, field.end())
    return _read(found)


def _to_the_end(region: bytes) -> dict[str, JSON]:
    """Fields after the last list or object. A way to read them from a bracket to the end of the object has as many
    quotes as it closes, so it can't begin within a text."""
    at = len(region)
    for _ in range(MAX_CANDIDATES):
        at = max(region.rfind(b"]", 0, at), region.rfind(b"}", 0, at))
        if at < 0:
            break
        found: list[bytes] = []
        position = _end_of_blank(region, at + 1)
        while (field := _NEXT.match(region, position)) is not None:
            found.append(field[0].removeprefix(b","))
            position = field.end()
        if region[position : position + 1] == b"}" and _end_of_blank(region, position + 1) == len(region):
            return _read(found[-MAX_FIELDS:])
    return {}


def _end_of_blank(region: bytes, at: int) -> int:
    blank = _BLANK.match(region, at)
    return at if blank is None else blank.end()


def _read(fields: list[bytes]) -> dict[str, JSON]:
    """Each alone: one that is no JSON after all spoils no other."""
    read: dict[str, JSON] = {}
    for field in fields:
        try:
            read |= orjson.loads(b"{" + field + b"}")
        except orjson.JSONDecodeError:
            continue
    return read

"""OCPP-J frames as a charger writes and reads them (J §4). Sans-I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import frozen


@frozen
class Call:
    """A request of the other side. `payload` is whatever JSON stood there."""

    id: str
    action: str
    payload: object


@frozen
class Result:
    """The other side's answer to a request of this side."""

    id: str
    payload: object


@frozen
class Refusal:
    """The other side's CALLERROR to a request of this side."""

    id: str
    code: str
    description: str


@frozen
class Unreadable:
    """A frame that is none of the three; `reason` says why. It is ignored (J §4.1.3)."""

    reason: str


def decode(text: str) -> Call | Result | Refusal | Unreadable:
    """Read one frame. Never raises."""
    try:
        frame = orjson.loads(text)
    except ValueError:
        return Unreadable("not JSON")
    if not isinstance(frame, list) or len(frame) < 3 or not isinstance(frame[1], str):
        return Unreadable("not a message")
    match frame:
        case [2, identifier, str(action), payload]:
            return Call(identifier, action, payload)
        case [3, identifier, payload]:
            return Result(identifier, payload)
        case [4, identifier, code, *rest]:
            return Refusal(identifier, str(code), str(rest[0]) if rest else "")
        case _:
            return Unreadable("unknown message type or shape")


def call(identifier: str, action: str, payload: Mapping[str, Any]) -> str:
    """A CALL frame."""
    return orjson.dumps([2, identifier, action, payload]).decode()


def result(identifier: str, payload: Mapping[str, Any]) -> str:
    """A CALLRESULT frame."""
    return orjson.dumps([3, identifier, payload]).decode()


def error(identifier: str, code: str, description: str) -> str:
    """A CALLERROR frame; its details are always an object (J §4.2.3)."""
    return orjson.dumps([4, identifier, code, description, {}]).decode()

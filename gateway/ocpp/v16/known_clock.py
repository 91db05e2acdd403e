"""Chargers whose clock is wrong by a time that is known beforehand: their times are read as the right ones.

Local time that is labelled Z is the usual case. The times are corrected in the message before it is read, so that
whatever follows from them (starts, stops, meter values, repeats) sees right ones, and the event records these. A time
that can't be read, or of a clock that was never set, stays as it was sent. A message with more values than are read is
kept as its text, uncorrected.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.domain.times import read_time
from gateway.domain.values import JSON

TIME: Final = "timestamp"
VALUES: Final = ("meterValue", "transactionData")
"""Fields that are lists of objects with times of their own."""


def corrected(payload: JSON, ahead: timedelta) -> JSON:
    """The payload with its times put right. Never raises; what is no object is returned as it is."""
    if not isinstance(payload, dict):
        return payload
    found = _with_time(payload, ahead)
    for name in VALUES:
        values = found.get(name)
        if isinstance(values, list):
            found[name] = [_with_time(each, ahead) if isinstance(each, dict) else each for each in values]
    return found


def _with_time(each: Mapping[str, Any], ahead: timedelta) -> dict[str, Any]:
    raw = each.get(TIME)
    right = _right(raw, ahead) if isinstance(raw, str) else None
    return dict(each) if right is None else {**each, TIME: right}


def _right(raw: str, ahead: timedelta) -> str | None:
    time = read_time(raw)
    if time.value is None or not time.identifies:
        return None
    try:
        value: datetime = time.value - ahead
    except OverflowError:
        return None
    return value.replace(tzinfo=None).isoformat() + "Z"

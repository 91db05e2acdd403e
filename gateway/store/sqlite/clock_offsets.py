"""The measured offsets of charge points' clocks, as their rows hold them."""

from datetime import timedelta
from typing import Any

import orjson
from apsw import Connection

from gateway.domain.clock_offset import UNMEASURED, ClockOffset
from gateway.domain.events import NewEvent
from gateway.store.sqlite.encoding import to_micros, to_time

_MICROSECOND = timedelta(microseconds=1)


def measured(cx: Connection, key: int, event: NewEvent) -> None:
    """Note what an event says of its charge point's clock."""
    before = clock_offset(cx.execute("SELECT clock_offset FROM charge_point WHERE key = ?", (key,)).get)
    after = before.after(event)
    if after is not before:
        cx.execute("UPDATE charge_point SET clock_offset = ? WHERE key = ?", (clock_offset_column(after), key))


def clock_offset(column: bytes | None) -> ClockOffset:
    """NULL: not measured."""
    if column is None:
        return UNMEASURED
    offset, at, samples, late = orjson.loads(column)
    return ClockOffset(
        None if offset is None else offset * _MICROSECOND,
        None if at is None else to_time(at),
        tuple(each * _MICROSECOND for each in samples),
        None if late is None else (late[0] * _MICROSECOND, to_time(late[1])),
    )


def clock_offset_column(known: ClockOffset) -> bytes:
    """An offset as it is stored: in microseconds."""
    late: list[Any] | None = None
    if known.late is not None:
        late = [known.late[0] // _MICROSECOND, to_micros(known.late[1])]
    return orjson.dumps(
        [
            None if known.offset is None else known.offset // _MICROSECOND,
            None if known.measured_at is None else to_micros(known.measured_at),
            [each // _MICROSECOND for each in known.samples],
            late,
        ]
    )

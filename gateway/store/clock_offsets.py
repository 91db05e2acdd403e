"""The measured offset of a charge point's clock, as its row holds it."""

from datetime import timedelta
from typing import Any

import orjson

from gateway.domain.clock_offset import UNMEASURED, ClockOffset
from gateway.store.encoding import to_micros, to_time

_MICROSECOND = timedelta(microseconds=1)


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

"""Memory of a charge point's last messages, kept with its state: for repeats, and for what its clock has shown.

A charger whose answer was lost sends its message again, on the same connection or the next one, before or after a
restart of the gateway. Whether that is a repeat is decided from the charge point's own memory, however much was
recorded of it in between.
"""

import hashlib
from datetime import datetime
from typing import Final, NamedTuple

import orjson

from gateway.domain.events import (
    ChargePointBooted,
    MeterValuesReported,
    NewEvent,
    TransactionOrphaned,
    TransactionStarted,
    TransactionStopped,
)
from gateway.domain.times import MAX_AHEAD, ReportedTime
from gateway.domain.values import JSON

MAX_READINGS: Final = 16
"""Meter values whose answers can be lost together: one for each connector of the largest post, and its main meter."""

MAX_MESSAGES: Final = 16
"""Stops and security events, likewise. They are rarer, so they are kept apart from the readings."""

KEY_BYTES: Final = 16

_PASSING: Final = b"\x00"
"""First byte of a key that holds until the next Boot only: its time is of a clock that was never set."""

_LASTING: Final = b"\x01"


def repeat_key(action: str, said: JSON, time: ReportedTime) -> bytes:
    """Return what identifies a message among its charge point's, whatever its message id: 16 bytes, stable for ever.

    ``said`` is what a repeat has to the letter. A time must be in it: without one, two equal messages may be two.
    """
    digest = hashlib.blake2b(orjson.dumps([action, said]), digest_size=KEY_BYTES - 1).digest()
    return (_LASTING if time.identifies else _PASSING) + digest


class Memory(NamedTuple):
    """Of one charge point. Changed by committed events only, alike in its session and in the store. A plain tuple: one
    is made with each message."""

    readings: bytes = b""
    """Keys of the last meter values, one after the other, the newest last; at most MAX_READINGS."""
    messages: bytes = b""
    """Keys of the last stops and security events, likewise; at most MAX_MESSAGES."""
    clock: datetime | None = None
    """The latest time that its transactions and meter values have named."""
    clock_before_boot: datetime | None = None
    """``clock`` as the last Boot found it."""
    ran_back: bool = False
    """Whether, after a Boot, its clock named a time before that: then one time stands for several moments, and equal
    messages of different boots may be different ones."""

    def knows(self, key: bytes) -> bool:
        """Return whether a message with this ``repeat_key`` has been recorded lately."""
        # Not ``in``, which takes bytes for a number first, and fails at that, at twice the cost of the search.
        return key != b"" and (self.readings.find(key) >= 0 or self.messages.find(key) >= 0)

    def runs_back(self, at: datetime) -> bool:
        """Return whether the clock has run backwards, with a transaction or meter values of that time at the latest."""
        before = self.clock_before_boot
        return self.ran_back or (before is not None and at < before - MAX_AHEAD)

    def after(self, event: NewEvent) -> "Memory":
        """The memory once the event is committed; itself where nothing changes."""
        kind, at, key = type(event.body), event.reported_at, event.repeat_key
        if kind is ChargePointBooted:
            return self._after_boot()
        readings, messages, clock, ran_back = self.readings, self.messages, self.clock, self.ran_back
        if at is not None and kind in _TIMED:
            before = self.clock_before_boot
            if not ran_back and before is not None and at < before - MAX_AHEAD:  # as ``runs_back``
                readings, messages, ran_back = b"", b"", True
            if clock is None or at > clock:
                clock = at
        elif not key:
            return self
        if key and kind is MeterValuesReported:
            readings = readings[-_READINGS_KEPT:] + key
        elif key:
            messages = messages[-_MESSAGES_KEPT:] + key
        return Memory(readings, messages, clock, self.clock_before_boot, ran_back)

    def _after_boot(self) -> "Memory":
        """Return the memory after a Boot. A message whose answer was lost comes again after it as well, unless its
        clock began anew: then an equal message is another one."""
        return self._replace(
            readings=b"" if self.ran_back else _lasting(self.readings),
            messages=b"" if self.ran_back else _lasting(self.messages),
            clock_before_boot=self.clock,
        )


_TIMED: Final = frozenset({MeterValuesReported, TransactionStarted, TransactionStopped, TransactionOrphaned})
"""What is stamped with the moment at which it happened and sent in order. A status is stamped with the beginning of a
condition, which may be long ago; security events may be sent by another queue."""

REMEMBERED: Final = _TIMED | {ChargePointBooted}
"""Events that may change their charge point's memory without a ``repeat_key``. Most have none and are not among these,
as the commands' and the statuses': they need not be shown to ``Memory.after``, which each message would pay for."""

_READINGS_KEPT: Final = (MAX_READINGS - 1) * KEY_BYTES
_MESSAGES_KEPT: Final = (MAX_MESSAGES - 1) * KEY_BYTES


def _lasting(keys: bytes) -> bytes:
    each = (keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES))
    return b"".join(key for key in each if key[:1] == _LASTING)

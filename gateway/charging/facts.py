"""Facts about a charge point that decide what it is sent: its clock as far as it can be trusted, its transactions."""

from datetime import timedelta
from typing import Final

from gateway.domain.clock_offset import ClockOffset
from gateway.domain.records import TransactionRecord
from gateway.domain.values import Flag

MIN_OFFSET: Final = timedelta(seconds=30)
"""Of a charger's clock that is reckoned with: a message's way, and the time at which its condition began, make as much
of a clock that is right."""

MIN_SAMPLES: Final = 2
"""Messages that an offset has to rest on."""


def trusted_offset(measured: ClockOffset) -> timedelta:
    """The offset of the charger's clock that its schedules are put by; zero where it is small, or rests on one message,
    which may have waited."""
    offset = measured.offset
    if offset is None or len(measured.samples) < MIN_SAMPLES or abs(offset) < MIN_OFFSET:
        return timedelta(0)
    return offset


def runs(transaction: TransactionRecord) -> bool:
    """Return whether a transaction is known to run: one whose start came late is probably over (B10.2, S §5.16.4)."""
    return transaction.stale_at is None and Flag.LATE not in transaction.flags

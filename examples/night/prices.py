"""Half-hourly prices of a winter's night, as an agile tariff has them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from attrs import frozen

HALF_HOUR = timedelta(minutes=30)

EVENING = datetime.now(UTC).replace(hour=20, minute=0, second=0, microsecond=0)
"""When the vehicles are plugged in: tonight, for certificates are of today."""

MORNING = EVENING + timedelta(hours=11)
"""When they are to be ready."""

_TENTHS = (
    312, 304, 289, 260,
    227, 199, 165, 148,
    97, 89, 84, 79,
    176, 188, 81, 75,
    72, 78, 88, 119,
    153, 196, 264, 318,
)  # fmt: skip
"""Tenths of a penny, from the evening on, two hours a line. At two in the morning the wind drops for an hour."""


@frozen
class Price:
    """The price of a kilowatt-hour, in GBP, from ``start`` until ``end``."""

    start: datetime
    end: datetime
    per_kwh: Decimal


def prices() -> Sequence[Price]:
    """The prices of the night, in order and without gaps."""
    return [
        Price(EVENING + number * HALF_HOUR, EVENING + (number + 1) * HALF_HOUR, Decimal(tenths) / 1000)
        for number, tenths in enumerate(_TENTHS)
    ]

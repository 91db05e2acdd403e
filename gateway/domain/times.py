"""Times as chargers report them, read without ever refusing one, and times as they are sent to chargers."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.domain.values import Flag
from gateway.quick_frozen import quick_frozen

EARLIEST: Final = datetime(2010, 1, 1, tzinfo=UTC)
"""Nothing that speaks OCPP 1.6 was built before: an earlier time is a clock that was never set (B2.2)."""

MAX_AHEAD: Final = timedelta(minutes=5)
"""A clock that is synchronised by Heartbeat strays no further; local time labelled Z, or year 2099, does."""

LATE_AFTER: Final = timedelta(minutes=5)
"""What is older on arrival was queued while the charger was offline."""

_NONE: Final = timedelta()

_AHEAD: Final = -MAX_AHEAD
"""As an age."""

MAX_LENGTH: Final = 40
"""The longest spelling in use, with nanoseconds and an offset, has 35 characters."""

_ODD: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T_ ]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d{1,9}))?)?)?"
    r"\s*(?:(Z|UTC|GMT)|([+-])(\d{1,2}):?(\d{2})?)?",
    re.ASCII | re.IGNORECASE,
)
"""Single digits, blanks, ``+2``, a second 60: what ``datetime.fromisoformat`` doesn't take."""


@quick_frozen
class ReportedTime:
    """A charger's time. ``value``: aware UTC, None if there is none or it can't be read."""

    value: datetime | None
    flags: tuple[Flag, ...] = ()
    trusted: datetime | None = None
    """The time, unless the time of receipt is the better one."""

    @property
    def queued(self) -> datetime | None:
        """The time of what was queued before it was sent; None: it is, as far as is known, of the present."""
        return self.value if Flag.LATE in self.flags else None

    @property
    def identifies(self) -> bool:
        """Return whether this clock has ever been set, so that two moments of it differ. (One that runs ahead does.)"""
        return self.value is not None and self.value >= EARLIEST


NO_TIME: Final = ReportedTime(None)


def read_time(raw: str | None, now: datetime | None = None) -> ReportedTime:
    """Read a time of any spelling seen (B2.2). Never raises.

    With ``now``, aware, it is judged too: CLOCK_SUSPECT, LATE. None is no time, without a flag.
    """
    if raw is None:
        return NO_TIME
    text = raw.strip()
    value = _parse(text) if 8 <= len(text) <= MAX_LENGTH else None
    if value is None:
        return ReportedTime(None, (Flag.TIME_UNREADABLE,))
    flags: tuple[Flag, ...] = ()
    if value.tzinfo is None:
        flags = (Flag.TIME_ZONE_ASSUMED,)
        value = value.replace(tzinfo=UTC)
    if value.tzinfo is not UTC:
        try:
            value = value.astimezone(UTC)
        except OverflowError:  # the year 1 east of Greenwich, the year 9999 west of it
            return ReportedTime(None, (Flag.TIME_UNREADABLE, *flags))
    age = _NONE if now is None else now - value
    if value < EARLIEST or age < _AHEAD:
        return ReportedTime(value, (Flag.CLOCK_SUSPECT, *flags))
    if age > LATE_AFTER:
        flags = (Flag.LATE, *flags)
    return ReportedTime(value, flags, value)


def format_time(value: datetime) -> str:
    """A time for a charger: UTC, whole seconds, ``Z``. Some choke on ``+00:00`` and on microseconds (B2.1)."""
    return value.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _parse(text: str) -> datetime | None:
    if text[4:5] != "-" or text[5:6] == "W":
        return None  # digits only, a week's day: none is meant
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    odd = _ODD.fullmatch(text)
    if odd is None:
        return None
    year, month, day, hour, minute, second, fraction, utc, sign, off_hours, off_minutes = odd.groups()
    try:
        value = datetime(  # noqa: DTZ001 - the zone follows, if there is one
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), min(int(second or 0), 59)
        )
        value = value.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0")))
        if sign:
            offset = timedelta(hours=int(off_hours), minutes=int(off_minutes or 0))
            value = (value - offset if sign == "+" else value + offset).replace(tzinfo=UTC)
        return value.replace(tzinfo=UTC) if utc else value
    except (ValueError, OverflowError):
        return None

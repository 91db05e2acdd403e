"""Charging profiles: reading them, and the limit that follows from all of them. Pure functions of time.

The rules (S §3.13, B10):
- a profile has a say while it is valid and its schedule covers the moment;
- of one purpose, the highest stack level that has a say wins;
- TxProfile stands in for TxDefaultProfile during its transaction;
- across purposes the lowest limit applies, and never more than the hardware gives;
- A is a current per phase, W is the total power.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from attrs import evolve, frozen

from gateway.simulator.vehicle import NOMINAL_VOLTS

MAX_STACK_LEVEL = 8
MAX_PERIODS = 24
#: How many profiles the box stores. A home wallbox has room for a handful; more is refused, so memory stays bounded.
MAX_INSTALLED = 12

CHARGE_POINT_MAX = "ChargePointMaxProfile"
TX_DEFAULT = "TxDefaultProfile"
TX = "TxProfile"
PURPOSES = (CHARGE_POINT_MAX, TX_DEFAULT, TX)

#: Times are kept between these, so that no sum of a time and a duration leaves the calendar.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

_RECURRENCE = {"Daily": timedelta(days=1), "Weekly": timedelta(days=7)}


class ProfileError(ValueError):
    """A charging profile cannot be used; the message names the field and the reason."""


@frozen
class Period:
    """From `start` seconds into the schedule on: `limit` in the profile's unit, over at most `phases` phases."""

    start: int
    limit: float
    phases: int


@frozen
class Profile:
    """One charging profile as the box stores it. `anchor` is when an Absolute or Recurring schedule starts."""

    id: int
    connector: int
    stack_level: int
    purpose: str
    kind: str
    unit: str
    periods: tuple[Period, ...]
    anchor: datetime
    recurrence: timedelta | None = None
    duration: timedelta | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction_id: int | None = None

    def start_of_schedule(self, now: datetime, charging_since: datetime | None) -> datetime:
        """Return the start of the schedule that `now` belongs to: for Relative, with the transaction."""
        if self.kind == "Relative":
            return charging_since or self.anchor
        if self.recurrence is not None and now >= self.anchor:
            return self.anchor + (now - self.anchor) // self.recurrence * self.recurrence
        return self.anchor

    def period_at(self, now: datetime, charging_since: datetime | None = None) -> Period | None:
        """The period in force at `now`, or None when the profile has no say then."""
        if self.valid_from is not None and now < self.valid_from:
            return None
        if self.valid_to is not None and now >= self.valid_to:
            return None
        elapsed = now - self.start_of_schedule(now, charging_since)
        if elapsed < timedelta(0) or (self.duration is not None and elapsed >= self.duration):
            return None
        seconds = elapsed.total_seconds()
        in_force = None
        for period in self.periods:
            if period.start <= seconds:
                in_force = period
        return in_force

    def boundaries(self, start: datetime, end: datetime, charging_since: datetime | None) -> Iterator[datetime]:
        """Every moment in [start, end) at which this profile's say may change."""
        edges = [edge for edge in (self.valid_from, self.valid_to) if edge is not None]
        opening = self.start_of_schedule(start, charging_since)
        while opening < end:
            edges += [opening + timedelta(seconds=period.start) for period in self.periods]
            if self.duration is not None:
                edges.append(opening + self.duration)
            if self.recurrence is None:
                break
            opening += self.recurrence
        return (edge for edge in edges if start <= edge < end)


@frozen
class Limit:
    """Limit of a connector: `amps` per phase over `phases` phases."""

    amps: float
    phases: int

    @property
    def watts(self) -> float:
        """The same as total power, in W."""
        return self.amps * NOMINAL_VOLTS * self.phases

    def narrowed(self, unit: str, period: Period, share: int = 1) -> Limit:
        """This limit, narrowed by a period of a profile in `unit` (A or W), `share` users sharing it."""
        phases = min(self.phases, period.phases)
        amps = period.limit if unit == "A" else period.limit / (NOMINAL_VOLTS * phases)
        return Limit(min(self.amps, amps / share), phases)


@frozen
class Session:
    """Inputs of the limit besides time: the connector, and its transaction if there is one."""

    connector: int
    since: datetime | None = None
    #: How many connectors share the ChargePointMaxProfile.
    sharing: int = 1


def composite(profiles: Iterable[Profile], hardware: Limit, session: Session, now: datetime) -> Limit:
    """The limit in force at `now`: never above `hardware`, nor above any winning profile."""
    installed = tuple(profiles)
    limit = hardware
    ceiling = winner(installed, CHARGE_POINT_MAX, session, now)
    if ceiling is not None:
        limit = limit.narrowed(*ceiling, share=session.sharing)
    if session.connector > 0:
        own = None
        if session.since is not None:
            own = winner(installed, TX, session, now)
        own = own or winner(installed, TX_DEFAULT, session, now)
        if own is not None:
            limit = limit.narrowed(*own)
    return limit


def winner(profiles: Iterable[Profile], purpose: str, session: Session, now: datetime) -> tuple[str, Period] | None:
    """The unit and period of the profile of this purpose that has the say at `now`.

    Highest stack level first; at the same level the connector's own profile stands before the one of connector 0
    (SE 3.53).
    """
    best: tuple[int, int, str, Period] | None = None
    for profile in profiles:
        if profile.purpose != purpose or profile.connector not in (0, session.connector):
            continue
        period = profile.period_at(now, session.since)
        if period is None:
            continue
        rank = (profile.stack_level, profile.connector)
        if best is None or rank > best[:2]:
            best = (*rank, profile.unit, period)
    return None if best is None else best[2:]


def composite_schedule(
    profiles: Iterable[Profile], hardware: Limit, session: Session, start: datetime, duration: timedelta
) -> tuple[tuple[int, Limit], ...]:
    """The limit over time: (seconds from `start`, limit), beginning at 0, equal neighbours merged."""
    installed = tuple(profiles)
    end = start + duration
    moments = {start}
    for profile in installed:
        moments.update(profile.boundaries(start, end, session.since))
    steps: list[tuple[int, Limit]] = []
    for moment in sorted(moments):
        limit = composite(installed, hardware, session, moment)
        if not steps or steps[-1][1] != limit:
            steps.append((int((moment - start).total_seconds()), limit))
    return tuple(steps)


# --- reading -------------------------------------------------------------------------------------------------


def parse_time(raw: object, name: str) -> datetime:
    """Read an OCPP date-time; one without a zone is UTC. Raises ProfileError.

    "Since ever" and "for ever" (0001-01-01, 9999-12-31) are moved to EARLIEST and LATEST.
    """
    if not isinstance(raw, str):
        raise ProfileError(f"{name}: expected a date-time")
    try:
        moment = datetime.fromisoformat(raw)
    except ValueError:
        raise ProfileError(f"{name}: not a date-time") from None
    if moment.year < EARLIEST.year:
        return EARLIEST
    if moment.year >= LATEST.year:
        return LATEST
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_profile(raw: object, connector: int, now: datetime) -> Profile:
    """Read the `csChargingProfiles` (or `chargingProfile`) object of a request. Raises ProfileError.

    A schedule without startSchedule starts `now`, except a Relative one, which starts with its transaction.
    """
    profile = _object(raw, "chargingProfile")
    schedule = _object(profile.get("chargingSchedule"), "chargingSchedule")
    kind = _choice(profile, "chargingProfileKind", ("Absolute", "Recurring", "Relative"))
    recurrence = None
    if kind == "Recurring":
        recurrence = _RECURRENCE[_choice(profile, "recurrencyKind", tuple(_RECURRENCE))]
    duration = schedule.get("duration")
    anchor = _optional_time(schedule, "startSchedule")
    transaction = profile.get("transactionId")
    return Profile(
        id=_whole(profile, "chargingProfileId"),
        connector=connector,
        stack_level=_whole(profile, "stackLevel", 0, MAX_STACK_LEVEL),
        purpose=_choice(profile, "chargingProfilePurpose", PURPOSES),
        kind=kind,
        unit=_choice(schedule, "chargingRateUnit", ("A", "W")),
        periods=_periods(schedule.get("chargingSchedulePeriod")),
        # To the whole second, so that a profile installed now already has its say now.
        anchor=(anchor or now).replace(microsecond=0),
        recurrence=recurrence,
        duration=None if duration is None else timedelta(seconds=_whole(schedule, "duration", 0, 10**8)),
        valid_from=_optional_time(profile, "validFrom"),
        valid_to=_optional_time(profile, "validTo"),
        transaction_id=None if transaction is None else _whole(profile, "transactionId"),
    )


def bound_to(profile: Profile, connector: int) -> Profile:
    """The profile, moved to the connector on which its transaction starts (RemoteStartTransaction)."""
    return evolve(profile, connector=connector)


def _periods(raw: object) -> tuple[Period, ...]:
    if not isinstance(raw, list) or not raw:
        raise ProfileError("chargingSchedulePeriod: expected at least one period")
    if len(raw) > MAX_PERIODS:
        raise ProfileError(f"chargingSchedulePeriod: more than {MAX_PERIODS} periods")
    periods = tuple(_period(item) for item in raw)
    starts = [period.start for period in periods]
    if starts[0] != 0:
        raise ProfileError("startPeriod: the first period must start at 0")
    if any(later <= earlier for earlier, later in pairwise(starts)):
        raise ProfileError("startPeriod: must increase from period to period")
    return periods


def _period(raw: object) -> Period:
    period = _object(raw, "chargingSchedulePeriod")
    limit = period.get("limit")
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 10**6:
        raise ProfileError("limit: expected a number from 0")
    phases = 3 if period.get("numberPhases") is None else _whole(period, "numberPhases", 1, 3)
    return Period(_whole(period, "startPeriod", 0, 10**8), float(limit), phases)


def _object(raw: object, name: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise ProfileError(f"{name}: expected an object")
    return raw


def _whole(raw: Mapping[str, Any], name: str, least: int = -(2**31), most: int = 2**31 - 1) -> int:
    value = raw.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ProfileError(f"{name}: expected a whole number from {least} to {most}")
    return value


def _choice(raw: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise ProfileError(f"{name}: expected one of {', '.join(allowed)}")
    return value


def _optional_time(raw: Mapping[str, Any], name: str) -> datetime | None:
    value = raw.get(name)
    return None if value is None else parse_time(value, name)

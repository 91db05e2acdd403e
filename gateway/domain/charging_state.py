"""The charging state of a connector: from the connector's status and its import power together.

``charging_state`` is a table: nine statuses, each with a power above the threshold, below it, or not known.
``followed`` adds what needs a history: a power between the two thresholds keeps the level that it had, and a change
that power alone brings about must last before it is shown. Both are functions of values; times are given.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from attrs import evolve, frozen

from gateway.domain.power import Power

RISES_AT: Final = 300.0
"""W: from here on a vehicle charges. The least that one may be allowed, 6 A on one phase, is four times as much; the
electronics of a charge point and a vehicle's standby take a third of it."""

FALLS_AT: Final = 150.0
"""W: at this and below it doesn't. Between the two it does what it did."""

SETTLES_AFTER: Final = timedelta(seconds=60)
"""For so long a change that only power shows must last: contactors bounce, vehicles probe, meters read 0 now and then.
A change of the status counts at once."""

STALE_AFTER: Final = timedelta(minutes=5)
"""An older value does not describe the present: chargers send one every minute."""

OFFLINE_GRACE: Final = timedelta(minutes=5)
"""A charge point may be away for so long before its connectors are unknown: links drop and come back."""


class ChargingState(StrEnum):
    """A connector's state, as an app shows it."""

    UNKNOWN = "unknown"
    AVAILABLE = "available"
    """No vehicle is plugged in."""
    CONNECTED = "connected"
    """A vehicle is plugged in, and does not charge."""
    CHARGING = "charging"
    FAULTED = "faulted"
    RESERVED = "reserved"
    OUT_OF_SERVICE = "out-of-service"


class StateBasis(StrEnum):
    """The evidence behind a charging state."""

    NOTHING = "nothing"
    """Neither is known, or neither is of the present."""
    STATUS = "status"
    """The status, which power could not change."""
    STATUS_ONLY = "status-only"
    """The status; power could have contradicted it, but is not known."""
    STATUS_AND_POWER = "status-and-power"
    """Both, and they agree."""
    POWER = "power"
    """Power, which contradicts the status."""
    POWER_ONLY = "power-only"
    """Power; the status is not known."""
    OFFLINE = "offline"
    """The charge point has been away for longer than the grace."""


class PowerLevel(StrEnum):
    """Import power, as far as it matters here."""

    ABOVE = "above"
    BELOW = "below"
    UNKNOWN = "unknown"


class ConnectorStatus(StrEnum):
    """The statuses of a connector."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


@frozen
class Verdict:
    """A state with what it rests on."""

    state: ChargingState
    basis: StateBasis


_Row = tuple[Verdict, Verdict, Verdict]


def _always(state: ChargingState) -> _Row:
    """A status that power can't change: what flows is a vehicle's standby, an idle meter's noise, or of before."""
    return (Verdict(state, StateBasis.STATUS),) * 3


TABLE: Final[Mapping[ConnectorStatus, _Row]] = {
    # power above, below, not known
    ConnectorStatus.AVAILABLE: _always(ChargingState.AVAILABLE),
    ConnectorStatus.PREPARING: (
        Verdict(ChargingState.CHARGING, StateBasis.POWER),
        Verdict(ChargingState.CONNECTED, StateBasis.STATUS_AND_POWER),
        Verdict(ChargingState.CONNECTED, StateBasis.STATUS_ONLY),
    ),
    ConnectorStatus.CHARGING: (
        Verdict(ChargingState.CHARGING, StateBasis.STATUS_AND_POWER),
        Verdict(ChargingState.CONNECTED, StateBasis.POWER),
        Verdict(ChargingState.CHARGING, StateBasis.STATUS_ONLY),
    ),
    ConnectorStatus.SUSPENDED_EV: _always(ChargingState.CONNECTED),
    ConnectorStatus.SUSPENDED_EVSE: _always(ChargingState.CONNECTED),
    ConnectorStatus.FINISHING: _always(ChargingState.CONNECTED),
    ConnectorStatus.RESERVED: _always(ChargingState.RESERVED),
    ConnectorStatus.UNAVAILABLE: _always(ChargingState.OUT_OF_SERVICE),
    ConnectorStatus.FAULTED: _always(ChargingState.FAULTED),
}
"""The state of a connector by its status and its power."""

_NO_STATUS: Final[_Row] = (
    Verdict(ChargingState.CHARGING, StateBasis.POWER_ONLY),
    Verdict(ChargingState.UNKNOWN, StateBasis.NOTHING),
    Verdict(ChargingState.UNKNOWN, StateBasis.NOTHING),
)

_COLUMNS: Final = {PowerLevel.ABOVE: 0, PowerLevel.BELOW: 1, PowerLevel.UNKNOWN: 2}


def charging_state(status: str, power: PowerLevel) -> Verdict:
    """The state of a connector that is in a status, with a power. A status that is none of the nine, without regard to
    case, is not known."""
    row = TABLE.get(_STATUSES[status.lower()], _NO_STATUS) if status.lower() in _STATUSES else _NO_STATUS
    return row[_COLUMNS[power]]


_STATUSES: Final = {status.value.lower(): status for status in ConnectorStatus}


def power_level(
    power: Power | None,
    now: datetime,
    *,
    status_since: datetime | None = None,
    before: PowerLevel = PowerLevel.UNKNOWN,
) -> PowerLevel:
    """The level of a power. Not known where there is none, where it is stale, or where it was measured before the
    status began: the status is newer then. ``before``: the level until now, which a power between the thresholds keeps;
    without one it is below."""
    if power is None or now - power.at > STALE_AFTER or (status_since is not None and power.at < status_since):
        return PowerLevel.UNKNOWN
    if power.watts >= RISES_AT:
        return PowerLevel.ABOVE
    if power.watts > FALLS_AT and before is PowerLevel.ABOVE:
        return PowerLevel.ABOVE
    return PowerLevel.BELOW


@frozen
class Observed:
    """The facts known of a connector at one moment. ``status`` empty: nothing was said yet. ``offline_since``: when the
    connection was lost; None: it stands."""

    at: datetime
    status: str = ""
    status_since: datetime | None = None
    power: Power | None = None
    offline_since: datetime | None = None


@frozen
class Followed:
    """A connector's charging state and since when it holds. The rest is what the next step needs."""

    verdict: Verdict
    since: datetime
    status: str = ""
    status_since: datetime | None = None
    level: PowerLevel = PowerLevel.UNKNOWN
    coming: Verdict | None = None
    """The verdict that power alone gives, and that is not shown yet."""
    coming_since: datetime | None = None


def followed(before: Followed | None, now: Observed) -> Followed:
    """The charging state after what is observed, from the one before it; None at first.

    To be asked at each status, each value of power, and, so that what settles is shown, again after ``SETTLES_AFTER``.
    """
    if now.offline_since is not None:
        return when_offline(before, now.at, now.offline_since)
    level = power_level(
        now.power,
        now.at,
        status_since=now.status_since,
        before=PowerLevel.UNKNOWN if before is None else before.level,
    )
    verdict = charging_state(now.status, level)
    if before is None:
        return Followed(verdict, now.at, now.status, now.status_since, level)
    if verdict.state is before.verdict.state:
        return Followed(verdict, before.since, now.status, now.status_since, level)
    if now.status != before.status or before.verdict.basis in (StateBasis.NOTHING, StateBasis.OFFLINE):
        return Followed(verdict, now.at, now.status, now.status_since, level)
    began = before.coming_since
    if began is None or before.coming is None or before.coming.state is not verdict.state:
        began = now.at
    if now.at - began >= SETTLES_AFTER:
        return Followed(verdict, now.at, now.status, now.status_since, level)
    return evolve(before, level=level, coming=verdict, coming_since=began)


def when_offline(before: Followed | None, now: datetime, since: datetime, grace: timedelta = OFFLINE_GRACE) -> Followed:
    """The state of a connector whose charge point is away since a time: as it was until the grace is over; then it is
    unknown, since the grace ended."""
    unknown = Verdict(ChargingState.UNKNOWN, StateBasis.OFFLINE)
    if before is None:
        return Followed(unknown, since)
    if now - since < grace or before.verdict == unknown:
        return before
    return Followed(unknown, since + grace)

"""The fleet at one moment, in numbers: what it is made of, what it does, and what is wrong with it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from attrs import field, frozen

from gateway.domain.charging_state import STALE_AFTER, ChargingState
from gateway.domain.power import LivePower
from gateway.domain.records import ConnectorRecord
from gateway.domain.values import Registration

MINUTES: Final = 24 * 60
"""Minutes of power that are kept: a day, which a page shows whole."""

SILENT_AFTER: Final = timedelta(hours=1)
"""A charge point that is away for longer is silent: a restart with new firmware takes minutes, a cut of power often
less than an hour."""

FLAPPING_SPAN: Final = timedelta(hours=1)
FLAPPING_FROM: Final = 6
"""Connections within the span from which on a charge point flaps: one every ten minutes. A charger that restarts for
its firmware connects two or three times."""

MAX_SHOWN: Final = 100
"""Faults, silent and flapping charge points that a summary names: what a person reads; the counts are of all."""

MAX_MAKES: Final = 200
"""Makes with their firmware that a summary names, those with the most charge points; others are counted together."""

Connectors: TypeAlias = Iterable[tuple[ChargingState, LivePower | None]]
"""Of one charge point: each connector's charging state and newest power."""


@frozen
class PowerSum:
    """Power in watts, summed. ``stale``: of readings that are too old to be of the present, of connectors that charge;
    they are in ``stale_watts`` alone. ``without``: connectors that charge and have sent no power."""

    watts: float = 0.0
    readings: int = 0
    stale_watts: float = 0.0
    stale: int = 0
    without: int = 0

    def plus(self, other: "PowerSum") -> "PowerSum":
        """Both together."""
        return PowerSum(
            self.watts + other.watts,
            self.readings + other.readings,
            self.stale_watts + other.stale_watts,
            self.stale + other.stale,
            self.without + other.without,
        )


NO_POWER: Final = PowerSum()


def power_of(connectors: Connectors, now: datetime) -> PowerSum:
    """The power of one charge point. An old reading of a connector that does not charge says nothing of the present."""
    watts = stale_watts = 0.0
    readings = stale = without = 0
    for state, power in connectors:
        if power is not None and now - power[1] <= STALE_AFTER:
            watts += power[0]
            readings += 1
        elif state is ChargingState.CHARGING:
            if power is None:
                without += 1
            else:
                stale_watts += power[0]
                stale += 1
    return PowerSum(watts, readings, stale_watts, stale, without)


@frozen
class Seen:
    """A connected charge point at one look: the number of its connection, and its power."""

    epoch: int
    power: PowerSum


@frozen
class Look:
    """The connected charge points at one moment, by identity. ``unanswered``: the nodes, by number, that did not say
    which ones they have."""

    seen: Mapping[str, Seen]
    unanswered: tuple[int, ...] = ()


@frozen
class PowerMinute:
    """The power at the end of a minute, which begins at ``start``. ``unanswered``: nodes whose power is not in it."""

    start: datetime
    power: PowerSum
    unanswered: tuple[int, ...] = ()


@frozen
class MakeCount:
    """Charge points of one make with one firmware; empty: they have not said so."""

    vendor: str
    model: str
    firmware: str
    connected: bool
    count: int


@frozen
class Fault:
    """A connector whose charger reports a fault."""

    charge_point: str
    connector: ConnectorRecord
    connected: bool


@frozen
class Silent:
    """A charge point that is away; ``since`` when."""

    charge_point: str
    since: datetime


@frozen
class Flapping:
    """A charge point and how often it has connected within the last hour."""

    charge_point: str
    connections: int


@frozen
class FleetCounts:
    """Counts of the store. ``makes``: those with the most charge points. ``operations``: open ones, by their stage.
    ``steering``: connectors for which something is wanted, by state. ``faults``, ``silent``: the newest of as many as
    their counts say. ``never``: accepted charge points that have never connected."""

    charge_points: tuple[tuple[Registration, bool, int], ...] = ()
    makes: tuple[MakeCount, ...] = ()
    states: Mapping[ChargingState, int] = field(factory=dict)
    faults: tuple[Fault, ...] = ()
    fault_count: int = 0
    silent: tuple[Silent, ...] = ()
    silent_count: int = 0
    never: int = 0
    operations: Mapping[str, int] = field(factory=dict)
    steering: Mapping[str, int] = field(factory=dict)
    open_transactions: int = 0

    @property
    def total(self) -> int:
        """All charge points."""
        return sum(count for _, _, count in self.charge_points)


@frozen
class FleetSummary:
    """The fleet at ``at``. ``minutes``: the power of the last day, as far as it was looked at: from ``since`` on.
    ``flapping``: since then, too, the worst first, of as many as ``flapping_count`` says. ``unanswered``: nodes whose
    power is not in it."""

    at: datetime
    counts: FleetCounts
    power: PowerSum
    since: datetime
    minutes: tuple[PowerMinute, ...] = ()
    flapping: tuple[Flapping, ...] = ()
    flapping_count: int = 0
    unanswered: tuple[int, ...] = ()

"""The charging states of one charge point's connectors, as its owner follows them (``gateway.domain.charging_state``).

Statuses and powers move them. Whatever shows another state makes an event, which is committed with what brought it
about, or, for what only time shows, on its own. Nothing here is changed before its commit but ``look``'s record that a
change is under way, which no reader sees. Connector 0, the charge point as a whole, has no charging state.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from attrs import define, field

from gateway.domain.charging_state import (
    RISES_AT,
    SETTLES_AFTER,
    STALE_AFTER,
    ChargingState,
    Followed,
    Observed,
    PowerLevel,
    StateBasis,
    charging_state,
    followed,
)
from gateway.domain.events import (
    ConnectorChargingStateChanged,
    ConnectorStatusChanged,
    MeterValuesReported,
    NewEvent,
)
from gateway.domain.live_power import Register, slope_power
from gateway.domain.power import LivePower, Power
from gateway.domain.records import ChargingStateRecord, ConnectorRecord
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Flag

MAX_CONNECTORS: Final = 256
"""Connectors that are followed: as many as those of which a status is kept."""

Place: TypeAlias = tuple[int, int]
"""EVSE and connector. A plain tuple: it is looked up with each message."""

_ABOVE: Final = PowerLevel.ABOVE

TOTAL: Final = "Outlet"
"""The register of all phases at the outlet, among those of an event."""

_DOUBTED: Final = frozenset({Flag.LATE, Flag.METER_IMPLAUSIBLE})

_LEVELS: Final = {
    (ChargingState.CHARGING, StateBasis.STATUS_AND_POWER): PowerLevel.ABOVE,
    (ChargingState.CHARGING, StateBasis.POWER): PowerLevel.ABOVE,
    (ChargingState.CHARGING, StateBasis.POWER_ONLY): PowerLevel.ABOVE,
    (ChargingState.CONNECTED, StateBasis.STATUS_AND_POWER): PowerLevel.BELOW,
    (ChargingState.CONNECTED, StateBasis.POWER): PowerLevel.BELOW,
}
"""The power that a state rested on."""


def states_of(connectors: Iterable[ConnectorRecord], kept: Iterable[ChargingStateRecord]) -> dict[Place, Followed]:
    """The states of a charge point's connectors as the store has them: as the last event of each said. Where there was
    none yet, as in a database of before, the status alone says what it is."""
    known = {_place(each.connector): each for each in connectors if each.connector != WHOLE_CHARGE_POINT}
    found = {
        place: Followed(
            charging_state(each.status, PowerLevel.UNKNOWN), each.reported_at, each.status, each.reported_at
        )
        for place, each in known.items()
    }
    for record in kept:
        place = _place(record.connector)
        status = known.get(place)
        found[place] = Followed(
            record.verdict,
            record.since,
            "" if status is None else status.status,
            None if status is None else status.reported_at,
            _LEVELS.get((record.verdict.state, record.verdict.basis), PowerLevel.UNKNOWN),
        )
    return found


@define
class ConnectorCharging:
    """Of one charge point while a session owns it."""

    states: dict[Place, Followed] = field(factory=dict)
    powers: dict[Place, LivePower] = field(factory=dict)
    """The newest import power that came on this connection."""
    registers: dict[Place, Register] = field(factory=dict)
    """The newest register of those of which no power has come on this connection."""
    slopes: dict[Place, LivePower] = field(factory=dict)
    """The power by the last two of these."""
    opened_at: datetime | None = field(default=None, eq=False)
    """Since when it is connected: from then on a power is awaited."""
    waiting: set[Place] = field(factory=set)
    """Connectors whose state may change though nothing more is heard."""
    moved: bool = False
    """True if there is something to wait for that was not there before; set back by the timer that waits."""

    def changes(self, events: Iterable[NewEvent]) -> tuple[NewEvent, ...]:
        """The changes of state that follow from events which are about to be committed, to be committed with them. For
        every message, so a power that shows nothing new calls nothing."""
        made: tuple[NewEvent, ...] = ()
        for event in events:
            body = event.body
            if body.__class__ is MeterValuesReported:
                power = event.power
                if power is None:
                    if event.registers:
                        made = (*made, *self._shown_by(event))
                    continue
                place = (body.connector.evse, body.connector.connector)
                if place in self.states:
                    known = self.states[place]
                    if known.level is _ABOVE and power[0] >= RISES_AT and known.coming is None:
                        continue
            elif body.__class__ is not ConnectorStatusChanged:
                continue
            made = (*made, *self._shown_by(event))
        return made

    def _shown_by(self, event: NewEvent) -> tuple[NewEvent, ...]:
        """The change of state that one event brings about, if it does."""
        assert isinstance(event.body, MeterValuesReported | ConnectorStatusChanged)
        connector = event.body.connector
        before, after = self.states.get(_place(connector)), self._after(event)
        if after is None or not _differs(before, after):
            return ()
        return (
            _event(connector, before, after, event.received_at, event.cause, self._newest(_place(connector), event)),
        )

    def apply(self, event: NewEvent) -> None:
        """Follow an event that is committed: a status, values with a power, or a change that time brought about."""
        body, power = event.body, event.power
        place = (body.connector.evse, body.connector.connector)  # type: ignore[union-attr]
        if power is not None and place in self.powers and place in self.states:
            known = self.states[place]
            if known.level is _ABOVE and power[0] >= RISES_AT and known.coming is None:
                if power[1] >= self.powers[place][1]:
                    self.powers[place] = power
                return  # as ``changes`` has it
        assert isinstance(body, MeterValuesReported | ConnectorStatusChanged | ConnectorChargingStateChanged)
        if isinstance(body, ConnectorChargingStateChanged):
            before = self.states.get(place)
            if before is None or before.verdict.state is not body.state:  # else what it was committed with has done it
                self._keep(place, followed(before, self._present(place, event.received_at)))
            return
        after = self._after(event)
        if isinstance(body, MeterValuesReported):
            self._remember_power(place, event.power)
            if event.power is None:
                self._remember_register(place, event)
        if after is not None:
            self._keep(place, after)

    def look(self, now: datetime) -> tuple[NewEvent, ...]:
        """The changes that only time shows: of a power that has lasted, or one that is no longer of the present. They
        are to be committed; those that are on their way are noted."""
        made: tuple[NewEvent, ...] = ()
        for place in sorted(self.waiting):
            before = self.states[place]
            due = self._due(place)
            if due is None or due > now:
                continue
            after = followed(before, self._present(place, now))
            if _differs(before, after):
                connector = ConnectorAddress(*place)
                made = (*made, _event(connector, before, after, now, "", self._newest(place)))
            else:
                self._keep(place, after)
        return made

    def due(self) -> datetime | None:
        """The time to look next; None: not before something is heard."""
        return min((due for place in self.waiting if (due := self._due(place)) is not None), default=None)

    def begin(self, connectors: Iterable[ConnectorRecord], kept: Iterable[ChargingStateRecord], at: datetime) -> None:
        """Go on from what the store has, as a connection begins. No event follows from that."""
        self.opened_at = at
        for place, each in states_of(connectors, kept).items():
            if len(self.states) < MAX_CONNECTORS:
                self._keep(place, each)

    # --- one connector ----------------------------------------------------------------------------------------

    def _after(self, event: NewEvent) -> Followed | None:
        """The state after an event; None: the event says nothing of the present, or there is no room for another
        connector. What was queued does not count against what is known to be newer."""
        body = event.body
        assert isinstance(body, MeterValuesReported | ConnectorStatusChanged)
        place, late = _place(body.connector), Flag.LATE in event.flags
        before = self.states.get(place)
        if body.connector == WHOLE_CHARGE_POINT or (before is None and len(self.states) >= MAX_CONNECTORS):
            return None
        if isinstance(body, MeterValuesReported):
            power = event.power or self._slope(place, event)
            known = self.powers.get(place)
            if power is None or late or (known is not None and power[1] < known[1]):
                return None
            return followed(before, self._present(place, event.received_at, power))
        since = event.reported_at or event.received_at
        known_since = None if before is None else before.status_since
        if late and before is not None and known_since is not None and since < known_since and _says(before):
            return None
        return followed(before, Observed(event.received_at, body.status, since, self._newest(place)))

    def _present(self, place: Place, now: datetime, power: LivePower | None = None) -> Observed:
        known, found = self.states.get(place), self._newest(place) if power is None else _as_power(power)
        if known is None:
            return Observed(now, power=found)
        return Observed(now, known.status, known.status_since, found)

    def with_powers(self) -> list[tuple[ChargingState, LivePower | None]]:
        """The charging state of each connector, and its newest power."""
        powers, slopes = self.powers, self.slopes
        return [(known.verdict.state, powers.get(place) or slopes.get(place)) for place, known in self.states.items()]

    def power(self, connector: ConnectorAddress) -> Power | None:
        """The newest power of a connector that a message had."""
        return _as_power(self.powers.get(_place(connector)))

    def _newest(self, place: Place, event: NewEvent | None = None) -> Power | None:
        """The newest power of a connector: an event's, else the one that is known, else that of its register."""
        found = None if event is None else event.power or self._slope(place, event)
        return _as_power(found or self.powers.get(place) or self.slopes.get(place))

    def _slope(self, place: Place, event: NewEvent) -> LivePower | None:
        """The power between an event's register and the one before it, of a connector whose power is not known."""
        after, before = self._register(place, event), self.registers.get(place)
        return None if after is None or before is None else slope_power(before, after)

    def _register(self, place: Place, event: NewEvent) -> Register | None:
        """The register that an event brings and that counts; what was queued, or is contradicted, does not."""
        if place in self.powers or event.power is not None or not _DOUBTED.isdisjoint(event.flags):
            return None
        found = next((wh for where, wh in event.registers if where == TOTAL), None)
        at = event.reported_at or event.received_at
        known = self.registers.get(place)
        return None if found is None or (known is not None and at < known[1]) else (found, at)

    def _remember_register(self, place: Place, event: NewEvent) -> None:
        slope, register = self._slope(place, event), self._register(place, event)
        if register is not None and (place in self.registers or len(self.registers) < MAX_CONNECTORS):
            self.registers[place] = register
            if slope is not None:
                self.slopes[place] = slope

    def _remember_power(self, place: Place, power: LivePower | None) -> None:
        if power is None:
            return
        if place in self.powers:
            if power[1] >= self.powers[place][1]:
                self.powers[place] = power
        elif len(self.powers) < MAX_CONNECTORS:
            self.powers[place] = power
            self.registers.pop(place, None)
            self.slopes.pop(place, None)

    def _keep(self, place: Place, after: Followed) -> None:
        before = self.states.get(place)
        self.states[place] = after
        if after.coming is not None or self._fades(after):
            if place not in self.waiting or before is None or after.coming_since != before.coming_since:
                self.waiting.add(place)
                self.moved = True
        else:
            self.waiting.discard(place)

    def _fades(self, known: Followed) -> bool:
        """Return whether the state is another one once its power is no longer of the present."""
        without = charging_state(known.status, PowerLevel.UNKNOWN)
        return known.level is not PowerLevel.UNKNOWN and without.state is not known.verdict.state

    def _due(self, place: Place) -> datetime | None:
        """The time at which a connector's state may change though nothing more is heard."""
        known, power = self.states[place], self.powers.get(place) or self.slopes.get(place)
        if known.coming_since is not None:
            return known.coming_since + SETTLES_AFTER
        since = self.opened_at if power is None else power[1]
        return None if since is None or not self._fades(known) else since + STALE_AFTER + RESOLUTION


RESOLUTION: Final = timedelta(microseconds=1)
"""A power of exactly ``STALE_AFTER`` still counts."""


def _place(connector: ConnectorAddress) -> Place:
    return connector.evse, connector.connector


def _says(known: Followed) -> bool:
    """Return whether anything is known: a status that is none of the nine says nothing."""
    return known.verdict.basis is not StateBasis.NOTHING


def _as_power(found: LivePower | None) -> Power | None:
    return None if found is None else Power(*found)


def _differs(before: Followed | None, after: Followed) -> bool:
    return after.verdict.state is not (ChargingState.UNKNOWN if before is None else before.verdict.state)


def _event(
    connector: ConnectorAddress,
    before: Followed | None,
    after: Followed,
    at: datetime,
    cause: str,
    power: Power | None,
) -> NewEvent:
    body = ConnectorChargingStateChanged(
        connector,
        after.verdict.state,
        ChargingState.UNKNOWN if before is None else before.verdict.state,
        after.verdict.basis,
        after.status,
        None if after.level is PowerLevel.UNKNOWN or power is None else power.watts,
    )
    return NewEvent(body, at, cause=cause)

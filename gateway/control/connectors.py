"""Connectors as they are shown: with their charging states and newest readings (Trio's side).

Those of a connected charge point come from its owner's state; those of any other one from the store, as the last
session left them, or, where that could not record its end, from its newest events. Readings are worked out in a thread
of the store's readers: a page of them takes longer than the loop may.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import evolve

from gateway.control.ports import Commands
from gateway.domain.charging_state import Followed, when_offline
from gateway.domain.connector_charging import states_of
from gateway.domain.latest import Latest, LatestMessages, LatestView, Place, decoded
from gateway.domain.records import ChargePointRecord, ConnectorRecord, LiveSession
from gateway.domain.values import Clock, ConnectorAddress
from gateway.store.api import Store
from gateway.store.reads import Reads

AT_ONCE = 50
"""Charge points whose newest events are read at once, of those whose last session did not record its end: some
megabytes at worst."""


class Connectors:
    """All methods raise ``StoreUnavailable``; cancelling is safe."""

    def __init__(self, reads: Reads, commands: Commands, clock: Clock, offline_grace: timedelta) -> None:
        self._reads = reads
        self._commands = commands
        self._clock = clock
        self._grace = offline_grace

    async def shown(self, records: Sequence[ChargePointRecord]) -> list[ChargePointRecord]:
        """The charge points, with what only the running process knows of their connections and connectors."""
        lives = {each.identity: live for each in records if (live := self._live(each)) is not None}
        views = {identity: live.latest for identity, live in lives.items()}
        latest = await self._reads.run(_worked_out, records, views)
        now = self._clock()
        return [self._completed(each, lives.get(each.identity), latest[each.identity], now) for each in records]

    def _live(self, record: ChargePointRecord) -> LiveSession | None:
        live = self._commands.live(record.identity)
        return None if live is None or live.epoch != record.connection.epoch else live

    def _completed(
        self, record: ChargePointRecord, live: LiveSession | None, latest: Mapping[Place, Latest], now: datetime
    ) -> ChargePointRecord:
        connection = record.connection
        if live is not None:
            charging: Mapping[Place, Followed] = live.charging
            connection = evolve(connection, last_heard=live.last_heard)
        else:
            charging = states_of(record.connectors, record.charging_states)
            if not connection.connected and connection.since is not None:
                since = connection.since
                charging = {place: when_offline(each, now, since, self._grace) for place, each in charging.items()}
        return evolve(record, connection=connection, connectors=_connectors(record, charging, latest))


def _worked_out(
    store: Store, records: Iterable[ChargePointRecord], views: Mapping[str, LatestView]
) -> dict[str, dict[Place, Latest]]:
    """The newest readings of each charge point, by connector. In a thread."""
    found = {identity: view.worked_out() for identity, view in views.items()}
    unrecorded = []
    for each in records:
        if each.identity in found:
            continue
        if each.latest_epoch == each.connection.epoch:
            found[each.identity] = decoded(each.latest)
        else:
            unrecorded.append(each)
    for first in range(0, len(unrecorded), AT_ONCE):
        some = unrecorded[first : first + AT_ONCE]
        events = store.newest_values([each.identity for each in some])
        for each in some:
            messages = LatestMessages(each.latest)
            messages.add_stored(events.get(each.identity, ()))
            found[each.identity] = messages.view().worked_out()
    return found


def _connectors(
    record: ChargePointRecord, charging: Mapping[Place, Followed], latest: Mapping[Place, Latest]
) -> tuple[ConnectorRecord, ...]:
    """Those with a status, and those that only readings are known of."""
    known = {(each.connector.evse, each.connector.connector): each for each in record.connectors}
    shown = []
    for place in sorted({*known, *charging, *latest}):
        each = known.get(place) or ConnectorRecord(ConnectorAddress(*place), "", "", record.created_at)
        shown.append(evolve(each, charging=charging.get(place), latest=latest.get(place)))
    return tuple(shown)

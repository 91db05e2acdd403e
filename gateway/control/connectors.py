"""Connectors as they are shown: with their charging states and newest readings (Trio's side).

Those of a connected charge point come from its owner's state; those of any other one from the store, as the last
session left them, or, where that could not record its end, from its newest events. Readings are worked out in a thread
of the store's readers: a page of them takes longer than the loop may. A snapshot of a whole fleet is also made into
messages there, and goes to the loop and back once for each part: each way costs a wait for the other thread's turn.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypeVar

from attrs import evolve, frozen

from gateway.control.lists import token_at_head
from gateway.control.ports import Commands
from gateway.domain.charging_state import Followed, when_offline
from gateway.domain.connector_charging import states_of
from gateway.domain.latest import Latest, LatestMessages, LatestView, Place, decoded
from gateway.domain.records import ChargePointRecord, ConnectorRecord, ConnectorsRecord, LiveSession
from gateway.domain.values import Clock, ConnectorAddress
from gateway.quick_frozen import quick_frozen
from gateway.store.api import Store
from gateway.store.lists import Found, Query
from gateway.store.reads import Reads

M = TypeVar("M")

AT_ONCE = 50
"""Charge points whose newest events are read at once, of those whose last session did not record its end: some
megabytes at worst."""

SNAPSHOT_PART: Final = 100
"""Charge points that a snapshot reads, and a message of it holds, at once: some 5 ms of a reader, in turns with others,
and with 64 connectors each still less than 1 MiB."""


@quick_frozen
class PresentConnector:
    """A connector with its state and its newest readings; ``reported`` None: it has sent no status."""

    address: ConnectorAddress
    reported: ConnectorRecord | None
    charging: Followed | None
    latest: Latest | None


@quick_frozen
class PresentChargePoint:
    """A charge point as a snapshot has it."""

    identity: str
    connected: bool
    connectors: list[PresentConnector]


Build: TypeAlias = Callable[[bytes, list[PresentChargePoint]], list[M]]
"""Makes messages of a part, given the snapshot's resume token. In a thread."""


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
        kept = [_Kept(each.identity, each.connection.epoch, each.latest_epoch, each.latest) for each in records]
        latest = await self._reads.run(_worked_out, kept, views)
        now = self._clock()
        return [self._completed(each, lives.get(each.identity), latest[each.identity], now) for each in records]

    def heard(self, records: Sequence[ChargePointRecord]) -> list[ChargePointRecord]:
        """The charge points, with when they were last heard alone. Never waits."""
        shown = []
        for each in records:
            live = self._live(each)
            connection = each.connection if live is None else evolve(each.connection, last_heard=live.last_heard)
            shown.append(evolve(each, connection=connection))
        return shown

    async def snapshot(self, query: Query, build: Build[M]) -> AsyncGenerator[list[M], None]:
        """The messages of all charge points of a query, some at a time. While a part is worked out the next one is
        read. To be closed when it is no longer read."""
        token = await token_at_head(self._reads)
        page = await self._reads.run(_read, query, "")
        while True:
            part = _Part(page, self._lives(page.records), self._clock(), self._grace)
            messages, following = await self._reads.run(_carried_on, query, part, lambda of: build(token, of))
            yield messages
            if following is None:
                return
            page = following

    def _lives(self, records: Iterable[ConnectorsRecord]) -> "_Lives":
        lives: _Lives = {}
        for each in records:
            live = self._commands.live(each.identity)
            if live is not None and live.epoch == each.epoch:
                lives[each.identity] = (dict(live.charging), live.latest)
        return lives

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
                charging = _away(charging, now, connection.since, self._grace)
        return evolve(record, connection=connection, connectors=_connectors(record, charging, latest))


_Lives: TypeAlias = dict[str, tuple[Mapping[Place, Followed], LatestView]]
"""What this process knows of connected charge points: copies, to be read in a thread."""


@frozen
class _Part:
    """A part of a snapshot that is read, with the sessions of its charge points that this process has."""

    page: Found[ConnectorsRecord]
    lives: "_Lives"
    now: datetime
    grace: timedelta


@quick_frozen
class _Kept:
    """Readings of a charge point in the store."""

    identity: str
    epoch: int
    latest_epoch: int
    latest: bytes


# --- in a thread that reads -----------------------------------------------------------------------------------


def _carried_on(
    store: Store, query: Query, part: _Part, build: Callable[[list[PresentChargePoint]], list[M]]
) -> tuple[list[M], Found[ConnectorsRecord] | None]:
    """The messages of a part, and the next part as it is read; None: this was the last."""
    messages = build(_present(store, part))
    after = part.page.after
    return messages, _read(store, query, after) if after else None


def _read(store: Store, query: Query, after: str) -> Found[ConnectorsRecord]:
    return store.find_connectors(query, after, SNAPSHOT_PART)


def _present(store: Store, part: _Part) -> list[PresentChargePoint]:
    records, lives = part.page.records, part.lives
    kept = [_Kept(each.identity, each.epoch, each.latest_epoch, each.latest) for each in records]
    latest = _worked_out(store, kept, {identity: view for identity, (_, view) in lives.items()})
    found = []
    for each in records:
        if each.identity in lives:
            charging = lives[each.identity][0]
        else:
            charging = states_of(each.connectors, each.charging_states)
            if not each.connected and each.since is not None:
                charging = _away(charging, part.now, each.since, part.grace)
        connectors = _placed(each.connectors, charging, latest[each.identity])
        found.append(PresentChargePoint(each.identity, each.connected, connectors))
    return found


def _away(
    charging: Mapping[Place, Followed], now: datetime, since: datetime, grace: timedelta
) -> dict[Place, Followed]:
    return {place: when_offline(each, now, since, grace) for place, each in charging.items()}


def _worked_out(
    store: Store, records: Iterable[_Kept], views: Mapping[str, LatestView]
) -> dict[str, dict[Place, Latest]]:
    """The newest readings of each charge point, by connector."""
    found = {identity: view.worked_out() for identity, view in views.items()}
    unrecorded = []
    for each in records:
        if each.identity in found:
            continue
        if each.latest_epoch == each.epoch:
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


def _placed(
    connectors: Iterable[ConnectorRecord], charging: Mapping[Place, Followed], latest: Mapping[Place, Latest]
) -> list[PresentConnector]:
    """Those with a status, and those that only readings are known of."""
    known = {(each.connector.evse, each.connector.connector): each for each in connectors}
    shown = []
    for place in sorted({*known, *charging, *latest}):
        reported = known.get(place)
        address = ConnectorAddress(*place) if reported is None else reported.connector
        shown.append(PresentConnector(address, reported, charging.get(place), latest.get(place)))
    return shown


def _connectors(
    record: ChargePointRecord, charging: Mapping[Place, Followed], latest: Mapping[Place, Latest]
) -> tuple[ConnectorRecord, ...]:
    """The same as records."""
    return tuple(
        evolve(
            each.reported or ConnectorRecord(each.address, "", "", record.created_at),
            charging=each.charging,
            latest=each.latest,
        )
        for each in _placed(record.connectors, charging, latest)
    )

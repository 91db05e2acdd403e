"""``Feed``: committed events for watchers, in order and without gaps.

A subscription is a position and nothing else. Below the ring it reads pages from the store; within it, from memory; at
the head it waits for the journal's next commit, whose events the ring takes from the commit itself. The ring reads from
disk only what it did not get so: what was committed before it knew of any subscriber, or what was left out. A
subscriber that stops reading holds no events and delays no other: it lags on disk, until retention passes it by.

Those who keep up come to stand at the same place, for the ring grows in steps: they are given one batch, and what they
make of it they make once.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import structlog
import trio
from attrs import field, frozen

from gateway.domain.audit import NAMES_CALLER, caller_of
from gateway.domain.codec import UnreadableBody, body_of
from gateway.domain.events import StoredEvent
from gateway.errors import GatewayError, StoreError
from gateway.feed.ring import Ring, weight
from gateway.store.api import Bounds, EventFilter, EventPage, Generation, Store, event_id_prefix, stored_event
from gateway.store.commits import Committed

R = TypeVar("R")

BEGINNING: Final = -1
"""For ``subscribe``: from the oldest event that is still there."""

RING_EVENTS, RING_BYTES = 4_096, 8 * 1024 * 1024
"""At 10,000 events/s of four meter values the ring covers a quarter of a second, many times what a watcher needs
between two batches."""

READ_EVENTS = 1_000
"""Events the ring takes in one read, the longest page the store gives."""

BATCH_EVENTS, BATCH_BYTES = 500, 1024 * 1024
"""A batch becomes one gRPC message (4 MiB at most by default), whose fixed cost is nothing beyond some 50 events."""

IDLE = 15.0
"""Seconds until a subscriber whose filter lets nothing through gets its progress."""

COALESCE = 0.01
"""Seconds between two batches at the head under load: by then several commits make one, at 2,000 events/s some twenty.
An event after a quiet time is given at once; others wait so long at most. ``docs/events.md`` promises it."""

PAUSE = 1.0
"""Seconds until a failed read at the head is tried again."""

log = structlog.get_logger()


class Read(Protocol):
    """Runs a read of the store off Trio's thread: ``Journal.read``."""

    def __call__(self, query: Callable[..., R], *args: Any) -> Awaitable[R]: ...


class BelowFloor(GatewayError):
    """Events after the position are gone by retention; what is left begins after ``floor``."""

    def __init__(self, floor: int) -> None:
        super().__init__(f"events up to {floor} have been deleted by retention")
        self.floor = floor


class BeyondHead(GatewayError):
    """The position is one that this store has not reached, ``head`` being its newest: an older copy was restored."""

    def __init__(self, head: int) -> None:
        super().__init__(f"the store's newest event is {head}; it may have been restored from a backup")
        self.head = head


@frozen
class Batch:
    """``events`` in order; ``position``: everything at or below it has been seen or filtered out; ``head``: the newest
    that there was when it was put together. No events: idle, or the past is over.

    Subscribers with the same filter at the same place are given one and the same batch. ``forms`` is theirs, for what
    they make of it: the first one puts it there for the others, each kind under a key of its own. The feed
    doesn't touch it.
    """

    events: tuple[StoredEvent, ...]
    position: int
    head: int = field(default=0, eq=False)
    forms: dict[Hashable, bytes] = field(factory=dict, init=False, eq=False, repr=False)


_Place: TypeAlias = tuple[EventFilter, int, int, int, int]
"""All that a batch from the ring depends on: filter, position, the two bounds, and where the ring ended."""


class Feed:
    """The events of one store. ``notify`` belongs among the journal's ``on_commit``."""

    def __init__(
        self, store: Store, read: Read, *, ring_events: int = RING_EVENTS, ring_bytes: int = RING_BYTES
    ) -> None:
        self._store = store
        self._read = read
        self._ring = Ring(ring_events, ring_bytes)
        self._head = 0
        self._announced = 0
        """Where the ring ended when subscribers were last woken."""
        self._id_prefix = ""
        self._generation: Generation | None = None
        """The newest that was there when events were last read."""
        self._subscribers: set[Subscription] = set()
        self.on_watched: Callable[[], None] = _nothing
        """Called when the first subscriber comes. It must not block or raise."""
        # Keeps nothing alive: a batch is there as long as a subscriber is at it.
        self._given: WeakValueDictionary[_Place, Batch] = WeakValueDictionary()
        self._committed = trio.lowlevel.ParkingLot()
        self._extended = trio.lowlevel.ParkingLot()

    def notify(self, head: int, events: Sequence[Committed] = ()) -> None:
        """Take what has been committed up to ``head``: ``events`` in order, as far as the caller has them. From Trio's
        thread."""
        if head > self._head or self._rewound():
            self._head = head
        if self._subscribers:
            if events:
                self._take(events)
            self._committed.unpark()

    def _rewound(self) -> bool:
        """Notice that another server has taken over that lacks events which were read: their sequences are given out
        once more. Subscribers that have come that far end, since they would miss the later ones."""
        generations = self._store.generations
        newest = generations[-1] if generations else None
        if newest is None or newest == self._generation:
            return False
        first, self._generation = self._generation is None, newest
        if first or self._head < newest.first_sequence:
            return False
        self._head = newest.first_sequence - 1
        self._ring.restart(self._head)
        for each in tuple(self._subscribers):
            each.lost = each.position > self._head
        self._extended.unpark_all()
        return True

    def _take(self, events: Sequence[Committed]) -> None:
        """Put what follows the ring's end into it. Where there is a gap, or none of it is new, nothing happens: ``run``
        reads from disk what is missing."""
        ring, first, last = self._ring, events[0].sequence, events[-1].sequence
        if not first <= ring.end + 1 <= last or last - first + 1 != len(events):
            return
        if not self._id_prefix:
            self._id_prefix = event_id_prefix(self._store.store_id)
        added = []
        for event in events[ring.end + 1 - first :]:
            added.append(stored_event(event, self._id_prefix))
        ring.extend(added, last)

    @property
    def watched(self) -> bool:
        """True while there is a subscriber."""
        return bool(self._subscribers)

    def head(self) -> int:
        """The newest committed sequence that the feed has heard of."""
        return self._head

    def lags(self) -> list[int]:
        """Events that each subscriber is behind the head. Also for other threads."""
        head = self._head
        return [max(0, head - each.position) for each in tuple(self._subscribers)]

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the ring at the head while there is a subscriber; until cancelled. A read that fails, whatever with, is
        tried again."""
        while True:
            try:
                bounds = await self._read(self._store.bounds)
            except Exception as error:
                await self._failed(error)
            else:
                break
        self._rewound()  # knows the generation from now on
        self.notify(bounds.head)
        self._ring.restart(self._head)
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_up)

    async def _keep_up(self) -> None:
        """Wake subscribers when the ring has grown, and read what it lacks. A task of its own, since each commit wakes
        it: its root is this function."""
        ring = self._ring
        while True:
            while not self._subscribers or (ring.end >= self._head and ring.end == self._announced):
                await self._committed.park()
            if ring.end < self._head:
                end = ring.end
                try:
                    page = await self._read(self._store.events, end, READ_EVENTS, EventFilter())
                    if self._rewound():
                        self.notify((await self._read(self._store.bounds)).head)
                        continue
                except Exception as error:
                    await self._failed(error)
                    continue
                if ring.end == end:  # else it was restarted, or took it from a commit meanwhile
                    ring.extend(page.events, page.position)
            self._announced = ring.end
            self._extended.unpark_all()
            await trio.sleep(COALESCE)

    async def _failed(self, error: Exception) -> None:
        """The watchers at the head wait; those behind it read for themselves."""
        log.warning("reading new events failed", error=str(error) if isinstance(error, StoreError) else repr(error))
        await trio.sleep(PAUSE)

    @asynccontextmanager
    async def subscribe(
        self,
        where: EventFilter,
        after: int | None,
        *,
        idle: float = IDLE,
        max_events: int = BATCH_EVENTS,
        max_bytes: int = BATCH_BYTES,
    ) -> AsyncIterator["Subscription"]:
        """Events above ``after`` (None: committed from now on; BEGINNING: all there are) that ``where`` lets through.

        ``idle`` is in seconds. Raises ``BelowFloor``, ``BeyondHead`` and ``StoreUnavailable``.
        """
        bounds = await self._read(self._store.bounds)
        self.notify(bounds.head)
        if after is not None and after != BEGINNING:
            if after < bounds.floor:
                raise BelowFloor(bounds.floor)
            if after > self._head:
                raise BeyondHead(self._head)
        position = self._head if after is None else max(after, bounds.floor)
        if not self._subscribers:
            self._ring.restart(self._head)  # It was not kept up to date.
        subscription = Subscription(self, where, position, idle, max_events, max_bytes, after == BEGINNING)
        first = not self._subscribers
        self._subscribers.add(subscription)
        if first:
            self.on_watched()
        try:
            yield subscription
        finally:
            self._subscribers.discard(subscription)


class Subscription:
    """One subscriber's place. Use it from one task at a time; iterate it or call ``next``."""

    def __init__(
        self,
        feed: Feed,
        where: EventFilter,
        position: int,
        idle: float,
        max_events: int,
        max_bytes: int,
        from_beginning: bool,
    ) -> None:
        self._feed = feed
        self._where = where
        self.position = position
        self._idle = idle
        self._max_events = min(max_events, READ_EVENTS)
        self._max_bytes = max_bytes
        self._from_beginning = from_beginning
        self._goal = feed.head()
        """The newest event when it began: up to it lies the past."""
        self.lost = False
        """Whether it has been given events that another server, which has taken over, does not have."""

    @property
    def head(self) -> int:
        """The newest that there is, as far as the feed has heard."""
        return self._feed.head()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Batch:
        return await self.next()

    async def next(self) -> Batch:
        """The next events; none once the past is over without any, and after ``idle`` seconds without any.

        Raises ``BelowFloor`` when retention has passed this subscriber by, ``BeyondHead`` when a server has taken over
        that lacks what it was given, and ``StoreUnavailable``; after the latter it can be called again. Cancelling is
        safe: nothing is skipped.
        """
        deadline = trio.current_time() + self._idle
        ring = self._feed._ring
        waited = False
        while True:
            if self.lost:
                raise BeyondHead(self.head)
            if self.position < ring.start:
                batch = await self._from_disk()
            elif self.position < ring.end or trio.current_time() >= deadline:
                if not waited:
                    await trio.lowlevel.checkpoint()
                    waited = True
                    continue  # the ring may have moved on
                batch = self._from_ring()
            else:
                with trio.move_on_at(deadline):
                    await self._feed._extended.park()
                waited = True
                continue
            caught_up = self.position < self._goal <= batch.position
            self.position = batch.position
            if batch.events:
                self._from_beginning = False
            if batch.events or caught_up or trio.current_time() >= deadline:
                return batch

    def _from_ring(self) -> Batch:
        ring, given = self._feed._ring, self._feed._given
        place = (self._where, self.position, self._max_events, self._max_bytes, ring.end)
        batch = given.get(place)
        if batch is None:
            passing: Iterable[StoredEvent] = ring.above(self.position)
            if self._where.charge_points or self._where.types or self._where.callers:
                passing = filter(self._passes, passing)
            batch = given[place] = self._bounded(passing, max(ring.end, self.position))
        return batch

    async def _from_disk(self) -> Batch:
        feed = self._feed
        page, bounds = await feed._read(_page, feed._store, self.position, self._max_events, self._where)
        floor = bounds.floor
        if feed._rewound():
            feed.notify(bounds.head)
        if self.lost:
            raise BeyondHead(feed.head())
        if floor > self.position:
            if not self._from_beginning:
                raise BelowFloor(floor)
            return Batch((), floor, feed._head)  # Nothing was given yet, so the beginning is wherever it is now.
        return self._bounded(page.events, page.position)

    def _bounded(self, found: Iterable[StoredEvent], end: int) -> Batch:
        """As many as a batch may hold, at least one; its position is that of the last one, or ``end`` if all fit."""
        events: list[StoredEvent] = []
        room = self._max_bytes
        for event in found:
            room -= weight(event)
            if events and (len(events) == self._max_events or room < 0):
                end = events[-1].sequence
                break
            events.append(event)
        return Batch(tuple(events), end, self._feed._head)

    def _passes(self, event: StoredEvent) -> bool:
        where = self._where
        return (
            (not where.charge_points or event.charge_point in where.charge_points)
            and (not where.types or event.type in where.types)
            and (not where.callers or _caller(event) in where.callers)
        )


def _nothing() -> None:
    """Do nothing: this process alone records events."""


def _caller(event: StoredEvent) -> str:
    """The caller that an event names; empty: it names none, or can't be read."""
    if event.type not in NAMES_CALLER:
        return ""
    try:
        return caller_of(body_of(event))
    except UnreadableBody:
        return ""


def _page(store: Store, after: int, limit: int, where: EventFilter) -> tuple[EventPage, Bounds]:
    """A page, and the bounds as of after it was read: a page that retention cut short is never taken for a whole."""
    page = store.events(after, limit, where)
    return page, store.bounds()

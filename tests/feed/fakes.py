"""A history in memory, and reads of it without threads."""

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from gateway.domain.events import StoredEvent
from gateway.errors import StoreUnavailable
from gateway.feed import Feed
from gateway.store.api import Bounds, EventFilter, EventPage, Generation
from tests.store.builders import T0

T = TypeVar("T")


class FakeHistory:
    """The part of a store that a feed reads. ``broken``: reads of events raise; ``error``: what all reads raise;
    ``seconds``: what each takes, virtually."""

    def __init__(self) -> None:
        self.floor = 0
        self.generations: tuple[Generation, ...] = (Generation(1, 1),)
        self.stored: list[StoredEvent] = []
        self.broken = False
        self.error: Exception | None = None
        self.seconds = 0.001
        self.reads = 0

    def add(self, count: int = 1, charge_point: str = "CP1", type_: str = "t", size: int = 10) -> int:
        for _ in range(count):
            sequence = self.head + 1
            body = b"x" * size
            self.stored.append(
                StoredEvent(sequence, f"ev_{sequence}", charge_point, 1, type_, 1, T0, None, None, (), "", body)
            )
        return self.head

    @property
    def head(self) -> int:
        return self.stored[-1].sequence if self.stored else self.floor

    def trim(self, floor: int) -> None:
        self.stored = [e for e in self.stored if e.sequence > floor]
        self.floor = floor

    def bounds(self) -> Bounds:
        if self.error is not None:
            raise self.error
        return Bounds(self.floor, self.head)

    def events(self, after: int, limit: int, where: EventFilter) -> EventPage:
        assert 1 <= limit <= 1_000
        self.reads += 1
        if self.error is not None:
            raise self.error
        if self.broken:
            raise StoreUnavailable("the disk is gone")
        begin = bisect_right(self.stored, after, key=lambda e: e.sequence)
        stretch = self.stored[begin : begin + 2_000]
        found = [
            e
            for e in stretch
            if (not where.charge_points or e.charge_point in where.charge_points)
            and (not where.types or e.type in where.types)
        ][:limit]
        if len(found) == limit:
            return EventPage(tuple(found), found[-1].sequence)
        return EventPage(tuple(found), stretch[-1].sequence if stretch else max(after, self.floor))

    async def read(self, query: Callable[..., T], *args: Any) -> T:
        await trio.sleep(self.seconds)
        return query(*args)


class Running:
    """A feed over a fake history; ``add`` commits and notifies."""

    def __init__(self, history: FakeHistory, **options: Any) -> None:
        self.history = history
        store: Any = history  # of a store the feed uses bounds and events only
        self.feed = Feed(store, history.read, **options)

    def add(self, *args: Any, **kwargs: Any) -> None:
        self.feed.notify(self.history.add(*args, **kwargs))

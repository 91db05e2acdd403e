"""The watches of events that are open, and how far behind each is (Trio's side)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from attrs import frozen

from gateway.control.ports import Subscription
from gateway.domain.gateway_status import WatcherStatus
from gateway.domain.values import Clock


@frozen
class Watcher:
    """The caller of a watch, empty where callers are not required, and its method."""

    caller: str = ""
    method: str = ""


@frozen(eq=False)
class _Open:
    watcher: Watcher
    subscription: Subscription
    since: datetime


class Watchers:
    """Belongs to the Trio loop. Its bound is that of calls on connections."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open = set[_Open]()

    @contextmanager
    def entered(self, watcher: Watcher, subscription: Subscription) -> Iterator[None]:
        """Count a watch as open while the block lasts."""
        each = _Open(watcher, subscription, self._clock())
        self._open.add(each)
        try:
            yield
        finally:
            self._open.discard(each)

    def statuses(self) -> list[WatcherStatus]:
        """Return all watches, the one that is the farthest behind first."""
        found = [
            WatcherStatus(
                each.watcher.caller,
                each.watcher.method,
                each.since,
                max(0, each.subscription.head - each.subscription.position),
            )
            for each in self._open
        ]
        return sorted(found, key=lambda each: (-each.behind, each.since))

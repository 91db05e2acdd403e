"""The head of the history where other nodes write too: heard by bells, looked for where none ring.

A bell costs both its nodes two changes of thread, a third of a message, and without watchers it says nothing. So the
nodes that have watchers say so, again and again, and the others ring for as long as they have heard it lately.
"""

import math
from collections.abc import Sequence
from typing import Final

import trio

from gateway.bridge.bus import Bus
from gateway.cluster import subjects
from gateway.errors import StoreUnavailable
from gateway.feed import Feed
from gateway.store.commits import Committed
from gateway.store.reads import Reads

POLL_SECONDS: Final = 0.05
"""Between two looks at the head while there are watchers and the bus is down: one query of an index."""

SLOW_POLL_SECONDS: Final = 0.5
"""The same while bells ring: for those that were lost."""

REST_SECONDS: Final = 0.01
"""Between two bells of a node, and between two looks: at 10,000 events a second a hundred bells."""


SAY_SECONDS: Final = 2.0
"""Between two times at which a node says that it has watchers."""

LATELY: Final = 3 * SAY_SECONDS
"""For which that holds: two such bells may be lost, and beyond that there are the slow polls."""


class HeadWatch:
    """Belongs to the Trio loop. ``committed`` belongs among the journal's ``on_commit``."""

    def __init__(self, feed: Feed, reads: Reads, bus: Bus) -> None:
        self._feed = feed
        self._reads = reads
        self._bus = bus
        self._heard = trio.Event()
        self._recorded = trio.Event()
        self._others_until = -math.inf
        """Until then other nodes have watchers, as far as is known."""
        self._said = -math.inf
        self._listens = False
        feed.on_watched = self.heard

    def others_watch(self) -> None:
        """Another node has said that it has watchers."""
        self._others_until = trio.current_time() + LATELY

    def committed(self, head: int, events: Sequence[Committed]) -> None:
        """This node has recorded events: those with watchers are to hear of it."""
        if self._others_until > trio.current_time():
            self._recorded.set()

    def heard(self) -> None:
        """Another node has recorded events, or the first watcher has come."""
        self._heard.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ring)
            while True:
                often = self._feed.watched and not self._bus.connected
                with trio.move_on_after(POLL_SECONDS if often else SLOW_POLL_SECONDS):
                    await self._heard.wait()
                self._heard = trio.Event()
                self._say()
                if self._feed.watched:
                    try:
                        self._feed.notify((await self._reads.bounds()).head)
                    except StoreUnavailable:
                        pass  # the next look has it
                await trio.sleep(REST_SECONDS)

    def _say(self) -> None:
        """Say that this node has watchers, and listen, while it has."""
        watched, now = self._feed.watched, trio.current_time()
        committed = subjects.committed(self._reads.store_id)
        if watched and not self._listens:
            self._bus.listen(committed, self.heard)
        elif self._listens and not watched:
            self._bus.withdraw(committed)
        if watched and now - self._said >= SAY_SECONDS:
            self._bus.ring(subjects.watching(self._reads.store_id))
            self._said = now
        self._listens = watched
        if not watched:
            self._said = -math.inf

    async def _ring(self) -> None:
        while True:
            await self._recorded.wait()
            self._recorded = trio.Event()
            self._bus.ring(subjects.committed(self._reads.store_id))
            await trio.sleep(REST_SECONDS)

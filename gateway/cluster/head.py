"""The head of the history where other nodes write too: heard by bells, looked for where none ring."""

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


class HeadWatch:
    """Belongs to the Trio loop. ``committed`` belongs among the journal's ``on_commit``."""

    def __init__(self, feed: Feed, reads: Reads, bus: Bus) -> None:
        self._feed = feed
        self._reads = reads
        self._bus = bus
        self._heard = trio.Event()
        self._recorded = trio.Event()

    def committed(self, head: int, events: Sequence[Committed]) -> None:
        """This node has recorded events: the others are to hear of it."""
        self._recorded.set()

    def heard(self) -> None:
        """Another node has recorded events."""
        self._heard.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ring)
            while True:
                with trio.move_on_after(SLOW_POLL_SECONDS if self._bus.connected else POLL_SECONDS):
                    await self._heard.wait()
                self._heard = trio.Event()
                if self._feed.watched:
                    try:
                        self._feed.notify((await self._reads.bounds()).head)
                    except StoreUnavailable:
                        pass  # the next look has it
                await trio.sleep(REST_SECONDS)

    async def _ring(self) -> None:
        while True:
            await self._recorded.wait()
            self._recorded = trio.Event()
            self._bus.ring(subjects.committed(self._reads.store_id))
            await trio.sleep(REST_SECONDS)

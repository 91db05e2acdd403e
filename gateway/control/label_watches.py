"""Watches of the charge points that have some labels, as these change (Trio's side)."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final, TypeAlias

from attrs import evolve

from gateway.control.errors import invalid
from gateway.control.event_streams import UNNAMED, EventStreams, Start
from gateway.control.watchers import Watcher
from gateway.domain.commands import FieldViolation
from gateway.domain.labels import Labels
from gateway.feed import Batch
from gateway.store.api import EventFilter

MAX_LABELLED: Final = 1_000
"""Charge points of one watch are less: as many are read at once."""

NONE_HAS_THEM: Final = frozenset({""})
"""In the place of no identity, which would stand for all: no charge point has an empty one."""

Labelled: TypeAlias = Callable[[Labels, Sequence[str] | None, int], Awaitable[list[str]]]


class LabelWatches:
    """``labelled`` as ``Store.labelled``; in Trio."""

    def __init__(self, streams: EventStreams, labelled: Labelled) -> None:
        self._streams = streams
        self._labelled = labelled

    def watch(
        self, where: EventFilter, labels: Labels, start: Start, watcher: Watcher = UNNAMED
    ) -> AsyncGenerator[Batch, None]:
        """As ``EventStreams.watch``, of those of the charge points that have all of the labels; without any it is that
        watch itself, at no further cost."""
        if not labels:
            return self._streams.watch(where, start, watcher)
        return self._labelled_watch(where, labels, start, watcher)

    async def _labelled_watch(
        self, where: EventFilter, labels: Labels, start: Start, watcher: Watcher
    ) -> AsyncGenerator[Batch, None]:
        """The batches of a watch with labels.

        A batch goes out if its charge points are still those that have them when it was read. Else it is read again,
        for those that have them now: no event is missed that came after its charge point had the labels.
        """
        after = start
        while True:
            chosen = await self._chosen(labels, where)
            narrowed = evolve(where, charge_points=chosen)
            async with aclosing(self._streams.watch(narrowed, after, watcher)) as batches:
                async for batch in batches:
                    if await self._chosen(labels, where) != chosen:
                        break
                    yield batch
                    after = self._streams.place(batch)
                else:
                    return

    async def _chosen(self, labels: Labels, where: EventFilter) -> frozenset[str]:
        """The charge points of a filter. Raises ``Failure`` for too many."""
        named = sorted(where.charge_points) or None
        found = await self._labelled(labels, named, MAX_LABELLED)
        if len(found) >= MAX_LABELLED:  # there may be more than were read
            text = f"{MAX_LABELLED:,} charge points or more have them: watch fewer, or all"
            raise invalid(FieldViolation("labels", text))
        return frozenset(found) or NONE_HAS_THEM

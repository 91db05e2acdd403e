"""Waiting in lanes that take turns: those who share a lane wait for each other, and one lane for none else. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Lane = TypeVar("Lane", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


class FairQueue(Generic[Lane, Item]):
    """Items, each in one lane, each once. All that it does takes the same time however many there are, but for ``pop``
    with lanes that may not."""

    __slots__ = ("_items", "_lanes", "_lengths", "_longest")

    def __init__(self) -> None:
        self._lanes: OrderedDict[Lane, OrderedDict[Item, None]] = OrderedDict()  # the next one first
        self._items: dict[Item, Lane] = {}
        self._lengths: dict[int, OrderedDict[Lane, None]] = {}  # length → the lanes that have it
        self._longest = 0

    def __len__(self) -> int:
        """Number of items that wait."""
        return len(self._items)

    def __contains__(self, item: Item) -> bool:
        return item in self._items

    @property
    def longest(self) -> int:
        """The length of the longest lane."""
        return self._longest

    def length(self, lane: Lane) -> int:
        """Number of items that wait in this lane."""
        return len(self._lanes.get(lane, ()))

    def lanes(self) -> Iterator[Lane]:
        """Those that have waiters, in the order of their turns."""
        return iter(self._lanes)

    def add(self, lane: Lane, item: Item) -> None:
        """As the last of its lane."""
        items = self._lanes.setdefault(lane, OrderedDict())
        items[item] = None
        self._items[item] = lane
        self._resized(lane, len(items) - 1, len(items))

    def remove(self, item: Item) -> bool:
        """Remove an item; return true if it was there."""
        lane = self._items.pop(item, None)
        if lane is None:
            return False
        items = self._lanes[lane]
        del items[item]
        if not items:
            del self._lanes[lane]
        self._resized(lane, len(items) + 1, len(items))
        return True

    def pop(self, may: Callable[[Lane], bool] | None = None) -> Item | None:
        """Take the first item of the lane whose turn it is, among those that ``may``; None if there is none."""
        for lane, items in self._lanes.items():
            if may is None or may(lane):
                self._lanes.move_to_end(lane)
                item = next(iter(items))
                self.remove(item)
                return item
        return None

    def first_of_longest(self) -> Item | None:
        """The item that has waited longest in the longest lane; it stays."""
        lane = self._longest_lane()
        return None if lane is None else next(iter(self._lanes[lane]))

    def last_of_longest(self) -> Item | None:
        """The newest item of the longest lane; it stays."""
        lane = self._longest_lane()
        return None if lane is None else next(reversed(self._lanes[lane]))

    def _longest_lane(self) -> Lane | None:
        return next(iter(self._lengths[self._longest])) if self._longest else None

    def _resized(self, lane: Lane, before: int, now: int) -> None:
        if before:
            lanes = self._lengths[before]
            del lanes[lane]
            if not lanes:
                del self._lengths[before]
        if now:
            self._lengths.setdefault(now, OrderedDict())[lane] = None
        if now > self._longest or (before == self._longest and before not in self._lengths):
            self._longest = now  # lengths change by one, so the next longest is that

"""Lanes take turns."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.transport.fair_queue import FairQueue


def test_lanes_take_turns_and_within_one_the_first_comes_first() -> None:
    """A lane of a hundred delays another's only item by one."""
    queue: FairQueue[str, str] = FairQueue()
    for n in range(100):
        queue.add("a", f"a{n}")
    queue.add("b", "b0")
    queue.add("c", "c0")
    queue.add("c", "c1")
    assert [queue.pop() for _ in range(6)] == ["a0", "b0", "c0", "a1", "c1", "a2"]


def test_a_lane_that_may_not_is_passed_over_and_keeps_its_turn() -> None:
    """Its items stay, in their order."""
    queue: FairQueue[str, str] = FairQueue()
    queue.add("a", "a0")
    queue.add("b", "b0")
    assert queue.pop(lambda lane: lane != "a") == "b0"
    assert queue.pop(lambda lane: lane != "a") is None
    assert queue.pop() == "a0"


def test_the_longest_lane_names_its_oldest_and_its_newest() -> None:
    """And loses the title with its items."""
    queue: FairQueue[str, str] = FairQueue()
    assert queue.first_of_longest() is queue.last_of_longest() is None
    for lane, item in (("a", "a0"), ("b", "b0"), ("b", "b1"), ("b", "b2"), ("a", "a1")):
        queue.add(lane, item)
    assert (queue.first_of_longest(), queue.last_of_longest(), queue.longest) == ("b0", "b2", 3)
    queue.remove("b1")
    queue.remove("b2")
    assert (queue.first_of_longest(), queue.last_of_longest(), queue.longest) == ("a0", "a1", 2)


@given(st.dictionaries(st.integers(0, 9), st.integers(1, 20), min_size=1))
def test_an_item_waits_for_at_most_one_of_each_other_lane_before_each_of_its_own(lanes: dict[int, int]) -> None:
    """The n-th of a lane comes after at most n of every other."""
    queue: FairQueue[int, tuple[int, int]] = FairQueue()
    for lane, count in lanes.items():
        for n in range(count):
            queue.add(lane, (lane, n))
    seen: Counter[int] = Counter()
    while (item := queue.pop()) is not None:
        lane, n = item
        assert all(count <= n + 1 for other, count in seen.items() if other != lane)
        seen[lane] += 1
    assert seen == lanes


class Model(RuleBasedStateMachine):
    """Whatever is done, the counts are those of a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[int, int] = FairQueue()
        self.items: list[tuple[int, int]] = []
        self.made = 0

    @rule(lane=st.integers(0, 4))
    def add(self, lane: int) -> None:
        self.queue.add(lane, self.made)
        self.items.append((lane, self.made))
        self.made += 1

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        lane, item = data.draw(st.sampled_from(self.items))
        assert self.queue.remove(item)
        assert not self.queue.remove(item)
        self.items.remove((lane, item))

    @rule(barred=st.integers(0, 4))
    def pop(self, barred: int) -> None:
        item = self.queue.pop(lambda lane: lane != barred)
        lanes = {lane for lane, _ in self.items if lane != barred}
        assert (item is None) == (not lanes)
        if item is not None:
            [lane] = [lane for lane, each in self.items if each == item]
            assert item == min(each for other, each in self.items if other == lane)
            self.items.remove((lane, item))

    @invariant()
    def counts(self) -> None:
        lengths = Counter(lane for lane, _ in self.items)
        assert len(self.queue) == len(self.items)
        assert self.queue.longest == max(lengths.values(), default=0)
        assert all(self.queue.length(lane) == lengths[lane] for lane in range(5))
        newest = [
            max(item for other, item in self.items if other == lane)
            for lane, count in lengths.items()
            if count == self.queue.longest
        ]
        last = self.queue.last_of_longest()
        assert last in newest if newest else last is None


TestModel = Model.TestCase

"""The queue of CALLs: a place is taken in one step, and kept."""

from types import SimpleNamespace
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.commands import ClearCache, ClearChargingProfile, RemoteStopTransaction, Reset, ResetType
from gateway.ocpp.v16.profiles.routing import protocol
from gateway.session.commands.calls import MAX_OVERTAKEN, Call, CallQueue
from gateway.session.readiness import Readiness


class Queue(CallQueue):
    """Of a charger that may be spoken to, with the CALL that every command becomes."""

    def __init__(self) -> None:
        context: Any = SimpleNamespace(protocol=protocol())
        none: Any = None  # no task and no remote start
        super().__init__(context, Readiness(accepted_before=True, settle_delay=0, ready_after_silence=0), none, none)

    def ask(self) -> Call:
        return self.reserve(ClearCache())


async def test_turns_come_in_the_order_of_asking_not_of_waiting(autojump_clock: MockClock) -> None:
    """The first to ask is first, even if another waits before it."""
    queue, served = Queue(), list[str]()
    calls = {name: queue.ask() for name in "abcd"}

    async def take(name: str, after: float) -> None:
        await trio.sleep(after)
        with calls[name] as call:
            await call.wait()
            served.append(name)
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for after, name in enumerate("dcba"):
            nursery.start_soon(take, name, after)
    assert served == ["a", "b", "c", "d"]


async def test_a_waiter_that_leaves_holds_no_other_up(autojump_clock: MockClock) -> None:
    """A place in the middle, the head, and one left twice."""
    queue = Queue()
    first, second, third = queue.ask(), queue.ask(), queue.ask()
    second.leave()
    assert [each.may_go for each in (first, third)] == [True, False]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(third.wait)
        await wait_all_tasks_blocked()
        first.leave()
        first.leave()
    assert third.may_go
    third.leave()
    assert queue.calls == []


async def test_a_cancelled_wait_keeps_its_place(autojump_clock: MockClock) -> None:
    """Only leaving gives it up."""
    queue = Queue()
    first, second, third = queue.ask(), queue.ask(), queue.ask()
    with trio.move_on_after(1):
        await second.wait()
    first.leave()
    assert [each.may_go for each in (second, third)] == [True, False]


async def test_a_place_that_was_left_has_no_turn() -> None:
    """Also where it was the only one, or the next one's turn has come."""
    queue = Queue()
    one, two = queue.ask(), queue.ask()
    assert (one.may_go, two.may_go) == (True, False)
    one.leave()
    assert (one.may_go, two.may_go) == (False, True)
    two.leave()
    two.leave()
    assert (one.may_go, two.may_go) == (False, False)
    assert queue.calls == []


def queued_names(queue: Queue) -> list[str]:
    """The commands that wait, in the order in which they go."""
    return [type(each.command).__name__ for each in queue.calls]


STOP, CLEAR_PROFILE, RESET = RemoteStopTransaction("tx"), ClearChargingProfile(), Reset(ResetType.SOFT)


async def test_a_stop_and_a_limit_go_before_what_only_waits() -> None:
    """Not before the one whose turn it is, nor before each other."""
    queue = Queue()
    for command in (ClearCache(), RESET, RESET, STOP, CLEAR_PROFILE):
        queue.reserve(command)
    names = ["ClearCache", "RemoteStopTransaction", "ClearChargingProfile", "Reset", "Reset"]
    assert queued_names(queue) == names


async def test_a_stop_that_finds_one_call_takes_the_next_place() -> None:
    """The first has its turn, on the wire or not."""
    queue = Queue()
    queue.reserve(RESET)
    queue.reserve(STOP)
    assert queued_names(queue) == ["Reset", "RemoteStopTransaction"]


async def test_a_waiting_call_is_overtaken_so_often_and_no_more() -> None:
    """However many stops come, a reset that waits goes out."""
    queue = Queue()
    queue.reserve(ClearCache())
    queue.reserve(RESET)
    stops = [queue.reserve(STOP) for _ in range(MAX_OVERTAKEN + 3)]
    assert queued_names(queue).index("Reset") == 1 + MAX_OVERTAKEN
    assert [each for each in queue.calls if each in stops] == stops


@given(st.lists(st.sampled_from([STOP, CLEAR_PROFILE, RESET, ClearCache()]), max_size=40))
def test_each_kind_keeps_its_order_and_none_waits_for_ever(commands: list[Any]) -> None:
    """Urgent ones among themselves, the others among themselves; the first stays where it is."""

    async def check() -> None:
        queue = Queue()
        calls = [queue.reserve(command) for command in commands]
        for urgent in (True, False):
            kind = [each for each in calls if protocol().is_urgent(each.command) is urgent]
            assert [each for each in queue.calls if each in kind] == kind
        assert queue.calls[:1] == calls[:1]
        assert sorted(map(id, queue.calls)) == sorted(map(id, calls))
        for place, call in enumerate(queue.calls):
            if not protocol().is_urgent(call.command):
                before = queue.calls[:place]
                assert sum(calls.index(each) > calls.index(call) for each in before) <= MAX_OVERTAKEN

    trio.run(check)

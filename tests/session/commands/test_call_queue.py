"""The queue for the wire: a place is taken in one step, and kept."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.session.commands.call_queue import CallQueue


async def test_turns_come_in_the_order_of_asking_not_of_waiting(autojump_clock: MockClock) -> None:
    """The first to ask is first, even if another waits before it."""
    line, served = CallQueue(), []
    turns = {name: line.ask() for name in "abcd"}

    async def take(name: str, after: float) -> None:
        await trio.sleep(after)
        with turns[name] as turn:
            await turn.wait()
            served.append(name)
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for after, name in enumerate("dcba"):
            nursery.start_soon(take, name, after)
    assert served == ["a", "b", "c", "d"]


async def test_a_waiter_that_leaves_holds_no_other_up(autojump_clock: MockClock) -> None:
    """A place in the middle, the head, and one left twice."""
    line = CallQueue()
    first, second, third = line.ask(), line.ask(), line.ask()
    second.leave()
    assert first.has_come
    assert not third.has_come
    async with trio.open_nursery() as nursery:
        nursery.start_soon(third.wait)
        await wait_all_tasks_blocked()
        first.leave()
        first.leave()
    assert line.head is third
    third.leave()
    assert line.head is None


async def test_a_cancelled_wait_keeps_its_place(autojump_clock: MockClock) -> None:
    """Only leaving gives it up."""
    line = CallQueue()
    first, second, third = line.ask(), line.ask(), line.ask()
    with trio.move_on_after(1):
        await second.wait()
    first.leave()
    assert second.has_come
    assert not third.has_come


async def test_a_place_that_was_left_has_no_turn() -> None:
    """Also where it was the only one, or the next one's turn has come."""
    line = CallQueue()
    one, two = line.ask(), line.ask()
    assert (one.has_come, two.has_come) == (True, False)
    one.leave()
    assert (one.has_come, two.has_come) == (False, True)
    two.leave()
    two.leave()
    assert (one.has_come, two.has_come) == (False, False)
    assert line.head is None

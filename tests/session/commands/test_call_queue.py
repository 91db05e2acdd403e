"""The queue of CALLs: a place is taken in one step, and kept."""

from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.commands import ClearCache
from gateway.ocpp.v16.profiles.routing import protocol
from gateway.session.commands.calls import Call, CallQueue
from gateway.session.readiness import Readiness


class Queue(CallQueue):
    """Of a charger that may be spoken to, with the CALL that every command becomes."""

    def __init__(self) -> None:
        context: Any = SimpleNamespace(protocol=protocol())
        tasks: Any = None
        super().__init__(context, Readiness(accepted_before=True, settle_delay=0, ready_after_silence=0), tasks)

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

"""A failure inside of a long-lived task: it is logged and counted, the task goes on, and nothing else ends."""

from itertools import pairwise

import pytest
import trio

from gateway.app.supervision import FIRST_PAUSE, LONGEST_PAUSE, Supervisor


class Counts:
    def __init__(self) -> None:
        self.counted: list[tuple[str, str]] = []

    def count(self, what: str, label: str = "") -> None:
        self.counted.append((what, label))


ERRORS = [SystemError("Objects/tupleobject.c: bad argument to internal function"), MemoryError(), KeyError("a bug")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_task_that_fails_begins_again(error: Exception, autojump_clock: trio.testing.MockClock) -> None:
    """After a pause that grows, as often as it fails; each failure is counted by the task's name."""
    counts = Counts()
    begun: list[float] = []

    async def task(most: int) -> None:
        begun.append(trio.current_time())
        if len(begun) <= most:
            raise error

    with trio.fail_after(10 * LONGEST_PAUSE):
        await Supervisor(counts).keep("feed", task, 10)
    assert counts.counted == [("task_failures", "feed")] * 10
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert pauses[:3] == pytest.approx([FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE])
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE)


async def test_a_task_that_failed_long_ago_begins_again_soon(autojump_clock: trio.testing.MockClock) -> None:
    """One failure a day doesn't make the pause of the next one long."""
    begun: list[float] = []

    async def task() -> None:
        begun.append(trio.current_time())
        if len(begun) < 8:
            await trio.sleep(2 * LONGEST_PAUSE)
            raise ValueError("a bug")

    await Supervisor(Counts()).keep("retention", task)
    pauses = [later - earlier - 2 * LONGEST_PAUSE for earlier, later in pairwise(begun)]
    assert pauses == pytest.approx([FIRST_PAUSE] * 7)


async def test_a_group_of_failures_is_a_failure_and_cancelling_is_not(autojump_clock: trio.testing.MockClock) -> None:
    """A task with a nursery of its own fails in a group; a cancelled one ends, whatever shows while it does."""
    counts = Counts()

    async def fails() -> None:
        raise ValueError("a bug")

    async def task() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails)
            nursery.start_soon(fails)

    async def ends_badly() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("a bug")

    with trio.move_on_after(FIRST_PAUSE / 2) as scope:
        await Supervisor(counts).keep("watch", task)
    assert scope.cancelled_caught
    with trio.move_on_after(FIRST_PAUSE / 2):
        await Supervisor(counts).keep("watch", ends_badly)
    assert counts.counted == [("task_failures", "watch")] * 2

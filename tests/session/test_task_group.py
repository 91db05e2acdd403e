"""Parts of a session that is just over."""

from types import SimpleNamespace

import trio

from gateway.session.task_group import TaskGroup


async def test_what_is_started_when_the_nursery_has_just_closed_is_left_out() -> None:
    """Between the end of the last task and the session's word for it lies a step, in which an operator may ask."""
    parts = TaskGroup(SimpleNamespace(ending=None))  # type: ignore[arg-type]
    ran: list[str] = []

    async def part() -> None:
        ran.append("part")

    async with trio.open_nursery() as nursery:
        parts.begin(nursery)
        parts.start(part)
    parts.start(part)
    assert ran == ["part"]
    assert not parts.open

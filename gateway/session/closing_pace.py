"""The pace at which a drain closes sessions: idle ones first, each put off a little, and all in time."""

import random
from collections.abc import Iterable

import trio

from gateway.session.session import Session

AT_ONCE = 200
"""Sessions that are looked at or ended between two checkpoints, of those that are walked over: some 3 ms at most, while
there may be tens of thousands."""

CLOSING_SHARE = 0.5
"""Of the time until a drain's deadline, for ending sessions; the rest is for peers that don't answer a Close, and for
what is recorded then."""


async def end_paced(sessions: Iterable[Session], per_second: float, deadline: float, jitter: float) -> None:
    """End sessions, as ``Router.drain`` has it. By the clock: a loop that is busy with those that end catches up."""
    ordered = sorted(sessions, key=lambda session: session.in_transaction)
    began, ended = trio.current_time(), 0
    if deadline > began:
        per_second = max(per_second, len(ordered) / (CLOSING_SHARE * (deadline - began)))
    while ended < len(ordered):
        due = max(ended + 1, min(ended + AT_ONCE, int((trio.current_time() - began) * per_second) + 1))
        for session in ordered[ended:due]:
            session.end("draining", code=1001)
        ended = due
        late = jitter * random.random()  # noqa: S311 - spreads load, keeps no secret
        await trio.sleep_until(began + (ended + late) / per_second)

"""A message's way through the gateway in Python calls, over real TLS and with all its threads: a ratchet.

Never seconds, so that a busy machine changes nothing. ``python -m tests.performance`` prints the figures; what has
become shorter is to be recorded, and the budget then guards it.
"""

from __future__ import annotations

from pathlib import Path

from tests.performance import tracing

BUDGET = {
    tracing.METER_VALUES: 107,
    tracing.WATCHED: 147,
    tracing.REMOTE_START: 220,
}
"""Calls of functions in ``gateway`` for each journey, on CPython 3.11. Later versions inline some, and call no more."""


async def test_a_journey_takes_no_more_calls_than_its_budget(tmp_path: Path) -> None:
    """A layer more on the way of a message is seen here, also one of coroutines that only pass a wake-up on."""
    found = await tracing.journeys(tmp_path)
    assert found.keys() == BUDGET.keys()
    over = [
        f"{name}: {len(calls)} calls, {BUDGET[name]} are its budget\n{tracing.listed(calls)}"
        for name, calls in found.items()
        if len(calls) > BUDGET[name]
    ]
    assert not over, "\n\n".join(over)
    # The recorder sees Trio's thread, the writer's and, where a subscriber watches, asyncio's.
    assert "control/convert/batches.py" not in _files(found[tracing.METER_VALUES])
    assert _files(found[tracing.WATCHED]) >= {
        "session/requests.py",
        "store/sqlite/writer.py",
        "feed/feed.py",
        "control/convert/batches.py",
    }


def _files(calls: tracing.Journey) -> set[str]:
    return {call.file for call in calls}

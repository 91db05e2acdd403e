"""The pace at which the charge points of all sessions are put in order."""

from typing import Final

import trio

PER_SECOND: Final = 400
"""Charge points of all that are put in order after a connection begins or a charger boots: ten thousand take half a
minute, and two cores are not busy with that alone."""


class SteeringPace:
    """Turns of all sessions' reconcilers after a connection or a boot. One for all sessions; belongs to Trio's loop."""

    def __init__(self, per_second: float = PER_SECOND) -> None:
        self._interval = 1 / per_second
        self._next = 0.0

    async def turn(self) -> None:
        """Return when it is the caller's turn. Cancelling gives the turn up."""
        at = max(self._next, trio.current_time())
        self._next = at + self._interval
        await trio.sleep_until(at)

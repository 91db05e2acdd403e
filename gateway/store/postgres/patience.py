"""Patience with a server that is away: how long it is tried again, and how often."""

import random
import threading
import time
from collections.abc import Callable, Iterator

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between attempts to reach a server that is away, doubled each time: a restart is followed at once, and the
connections of many gateways do not keep a server from coming up."""

LEAST_SECONDS = 2.0
"""For an attempt, however long the server has been away: it may be back."""


class Patience:
    """``seconds``: for which a server may be away, from when that was first noticed. Once they are over there is one
    attempt at a time, until it is back. Its methods may be called from any thread. ``now``: a monotonic clock."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._now = now
        self._since: float | None = None
        self.ended = threading.Event()
        """Set by ``end``, and waited for between attempts."""

    def attempts(self) -> Iterator[float]:
        """The attempts to reach the server, after a pause each but the first; given is until when it may take
        (monotonic)."""
        now = self._now()
        since = self._since = now if self._since is None else self._since
        until, pause = since + self.seconds, FIRST_PAUSE
        yield max(until, now + LEAST_SECONDS)
        while not self.ended.is_set() and (left := until - self._now()) > 0:
            self.ended.wait(min(random.uniform(pause / 2, pause), left))  # noqa: S311 - spreads gateways, no secret
            pause = min(2 * pause, LONGEST_PAUSE)
            yield max(until, self._now() + LEAST_SECONDS)

    def reached(self) -> None:
        """The server is there: it may be away for as long again."""
        self._since = None

    def end(self) -> None:
        """Have whatever waits for the server give up after one more attempt."""
        self.ended.set()

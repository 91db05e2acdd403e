"""Calls that the client makes again, and the pauses between: only where nothing can be done twice by it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.api.methods import Repeatable
from gateway.client.errors import Problem
from gateway.client.reasons import Repeat, repeat_of

FIRST_PAUSE = 0.1
"""Seconds: a gateway that restarts is back within a second or two."""

LONGEST_PAUSE = 5.0
"""Seconds: a fleet of clients is to find the gateway soon, and not to press it while it is down."""

ATTEMPTS = 6
"""Of one call, the first one included: with the pauses some six seconds, the time of a restart."""

TRIED_AGAIN = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
"""Statuses after which time helps. A deadline is over, and an outcome that is unknown stays so for a while."""


def pause_before(attempt: int, spread: Callable[[], float] = random.random) -> float:
    """Seconds to wait before an attempt, counted from 1 for the first repeat: it doubles, up to a bound, and differs
    between clients by half, so that they do not come together."""
    whole = min(FIRST_PAUSE * float(2 ** (attempt - 1)), LONGEST_PAUSE)
    return whole * (0.5 + spread() / 2)


def may_repeat(repeatable: Repeatable, problem: Problem) -> bool:
    """Tell whether the same request may be sent again after a failure, without reading first.

    With a reason the gateway has said that nothing was done (docs/errors.md). Without one gRPC has: the connection
    broke, and what the gateway did with the request is not known. Then only what can't be done twice is repeated.
    """
    if problem.code.name not in TRIED_AGAIN:
        return False
    if problem.reason:
        return repeat_of(problem.code.name, problem.reason, problem.metadata) is Repeat.SAME
    return problem.code.name == "UNAVAILABLE" and repeatable is not Repeatable.NEVER


@dataclass(slots=True)
class Attempts:
    """The attempts of one call. ``end``: its deadline, by the clock of ``now``."""

    repeatable: Repeatable
    end: float
    spread: Callable[[], float] = field(default=random.random)
    made: int = 0

    def pause(self, problem: Problem, now: float) -> float | None:
        """Seconds until the next attempt; None: the failure is the call's. At least half of what is left of its time
        is kept for the attempt itself."""
        self.made += 1
        if self.made >= ATTEMPTS or not may_repeat(self.repeatable, problem):
            return None
        pause = pause_before(self.made, self.spread)
        return pause if pause * 2 <= self.end - now else None

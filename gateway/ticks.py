"""Common times at which tasks look at something now and again, so that an idle loop wakes once for all of them."""

import trio


def next_tick(seconds: float) -> float:
    """The next whole multiple of ``seconds`` by Trio's clock, later than now."""
    return (trio.current_time() // seconds + 1) * seconds

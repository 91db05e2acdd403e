"""How long the loop's clock has stood still: the gateway's own deadlines leave that out, a caller's does not."""

import trio


def stalled() -> float:
    """Seconds that Trio's clock has left out so far, by which real time has gone on further. 0 for other clocks."""
    seconds: float = getattr(trio.lowlevel.current_clock(), "stalled", 0.0)
    return seconds

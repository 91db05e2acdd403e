"""Passes of Trio's loop, counted: what happens in one of them keeps all others waiting."""

import trio


class Passes(trio.abc.Instrument):
    """A count of the passes since it was added."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        """Trio's: all that could run has run."""
        self.count += 1

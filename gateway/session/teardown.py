"""When a network goes, thousands of chargers are gone at once: their sessions end by turns.

An end takes several passes of Trio's loop, and a commit. If all of them went through these together, each pass would
take as long as there are many, and those who are still there would wait for seconds for their answers.
"""

from typing import Final

import trio

AT_ONCE: Final = 128
"""Sessions: a pass of the loop takes some 4 ms for so many, and one commit takes them all."""


class TeardownTurns:
    """The turns. Belongs to the Trio loop."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = trio.Semaphore(at_once)

    async def turn(self) -> None:
        """Wait for a turn, which is to be given back with ``over``. Cancelled, there is none."""
        await self._free.acquire()

    def over(self) -> None:
        """Give the turn back."""
        self._free.release()

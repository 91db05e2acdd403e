"""The loop's time for handshakes: a few steps in each turn of the loop, and the rest is the sessions'.

A step of a TLS handshake computes for 0.1 to 4 ms. When hundreds of peers send theirs at once, Trio would run all of
those steps before it looks at any session again. Here they wait for a turn, of which ``STEPS_A_TURN`` are given
between two looks at the sockets; addresses take turns at them.
"""

from collections.abc import Hashable
from typing import Final

import trio

from gateway.transport.fair_queue import FairQueue

STEPS_A_TURN: Final = 2
"""Some 0.5 ms with X25519, 8 ms at the very worst (P-384 and a signature, on a slow core). One alone would cost a
storm of reconnects a look at the sockets for each step."""


class HandshakeTurns:
    """Turns at the loop's time for handshakes. Belongs to one Trio loop; given only while ``run`` runs."""

    def __init__(self) -> None:
        self._waiting: FairQueue[Hashable, trio.lowlevel.Task] = FairQueue()
        self._idle: trio.lowlevel.Task | None = None

    def __len__(self) -> int:
        """Number of tasks that wait."""
        return len(self._waiting)

    async def take(self, lane: Hashable) -> None:
        """Wait for a turn; without one given just now, it is there at once. Cancelling gives it up."""
        if self._idle is not None:
            trio.lowlevel.reschedule(self._idle)
            self._idle = None
            return
        task = trio.lowlevel.current_task()
        self._waiting.add(lane, task)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._waiting.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def run(self) -> None:
        """Give turns until cancelled."""
        given = 0
        while True:
            if not given and not self._waiting:  # those who were given a turn in the last one have it now
                await self._until_asked()
            given = 0
            while given < STEPS_A_TURN and (task := self._waiting.pop()) is not None:
                trio.lowlevel.reschedule(task)
                given += 1
            await trio.lowlevel.checkpoint()

    async def _until_asked(self) -> None:
        self._idle = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._idle = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

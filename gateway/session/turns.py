"""Turns of all sessions at what would make the others wait: reading a large message, and ending."""

from typing import Final

import trio

from gateway.ocpp import rpc
from gateway.ocpp.payload_bounds import SMALL_BYTES
from gateway.transport.rate_limit import PAID_BYTES

PAID_NODES = 500
"""Values that cost as much to read as one everyday message does altogether; 4 KiB of real messages have half of it."""

PAID_FAULTS = 8
"""The same for faults that the repair lane looks at, 20 to 30 µs each."""

ENDS_AT_ONCE: Final = 16
"""Sessions that end at once: a pass of the loop takes some 2 ms for so many, and one commit takes them all. Each
is some 0.25 ms of the loop, in two or three passes."""


class ReadTurns:
    """Turns at reading a large message, one session at a time. One for all sessions; belongs to the Trio loop.

    The session that has read one holds the turn until it is recorded (``over``): a megabyte of small JSON takes thirty
    in memory, and there is to be but one.
    """

    def __init__(self) -> None:
        self._turn = trio.Semaphore(1)

    async def read(self, data: bytes, is_recorded: rpc.IsRecorded) -> tuple[rpc.Frame, int]:
        """As ``rpc.parse`` for a message of more than ``SMALL_BYTES``, after those that came before it, and what it has
        cost for its values, in everyday messages, beyond what its bytes are charged. Others run every few milliseconds
        meanwhile. The turn is the caller's when this returns; cancelled, it is not."""
        assert len(data) > SMALL_BYTES
        await self._turn.acquire()
        try:
            reading = rpc.reading(data, is_recorded)
            nodes = 0
            while True:
                try:
                    nodes = next(reading).nodes
                except StopIteration as done:
                    frame: rpc.Frame = done.value
                    break
                await trio.lowlevel.checkpoint()
        except BaseException:
            self._turn.release()
            raise
        if isinstance(frame, rpc.Malformed | rpc.Unread):  # given up before it was read
            return frame, 0
        return frame, max(0, nodes // PAID_NODES - len(data) // PAID_BYTES)

    def over(self) -> None:
        """The turn is the next one's. From any task."""
        self._turn.release()


class LargeMessage:
    """The large message of one session that was read last: the session holds a turn until it is recorded."""

    __slots__ = (
        "_turns",
        "held",
    )

    def __init__(self, turns: ReadTurns) -> None:
        self._turns = turns
        self.held = False

    async def read(self, data: bytes, is_recorded: rpc.IsRecorded) -> tuple[rpc.Frame, int]:
        """As ``ReadTurns.read``."""
        frame, cost = await self._turns.read(data, is_recorded)
        self.held = True
        return frame, cost

    def release(self) -> None:
        """Give the turn back: nothing is held any more of the message. Without one it does nothing."""
        if self.held:
            self.held = False
            self._turns.over()


def cost_of_faults(faults: int) -> int:
    """Return the cost of mending a message, in everyday messages."""
    return faults // PAID_FAULTS


class TeardownTurns:
    """Turns of sessions whose connection has ended. One for all sessions; belongs to the Trio loop.

    When a network goes, thousands of chargers are gone at once. An end takes some passes of Trio's loop, and a
    commit: if all went through these together, each pass would take as long as there are many, and the chargers that
    are still there would wait for seconds for their answers.
    """

    def __init__(self, at_once: int = ENDS_AT_ONCE) -> None:
        self._free = at_once
        self._waiting = trio.lowlevel.ParkingLot()

    async def turn(self) -> None:
        """Wait for a turn, if none is free; it is to be given back with ``over``. Cancelled, there is none.

        What waits holds nothing else: with Trio's semaphore each would keep an exception with its traceback and frames,
        hundreds of which the collector would look at where a network went.
        """
        if self._free:
            self._free -= 1
        else:
            await self._waiting.park()

    def over(self) -> None:
        """Give the turn back."""
        if self._waiting:
            self._waiting.unpark()
        else:
            self._free += 1

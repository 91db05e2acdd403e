"""Large messages of all sessions are read one at a time, and in turns, so that no other session waits for them."""

import trio

from gateway.ocpp import rpc
from gateway.ocpp.payload_bounds import SMALL_BYTES
from gateway.transport.rate_limit import PAID_BYTES

PAID_NODES = 500
"""Values that cost as much to read as one everyday message does altogether; 4 KiB of real messages have half of it."""

PAID_FAULTS = 8
"""The same for faults that the repair lane looks at, 20 to 30 µs each."""


class ReadTurns:
    """One for all sessions of a gateway. Belongs to the Trio loop.

    Whoever has read a large message goes on to hold the turn until it is recorded (``over``): a megabyte of small JSON
    takes thirty, and there is to be but one of them in memory.
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


def cost_of_faults(faults: int) -> int:
    """What mending a message has cost, in everyday messages."""
    return faults // PAID_FAULTS

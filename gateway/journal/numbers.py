"""``NumberAllocator``: transaction numbers, allocated by the store in blocks so that a start rarely waits for one."""

import trio

from gateway.journal.journal import Journal
from gateway.store.commits import AllocatedNumbers, AllocateNumbers

BLOCK = 100
"""Numbers reserved at once. A restart loses what is left of a block: 2^31 numbers outlast 20 million restarts."""


class NumberAllocator:
    """Gives out numbers for new transactions: positive, below 2^31, never twice (B4.4)."""

    def __init__(self, journal: Journal, block: int = BLOCK) -> None:
        self._journal = journal
        self._block = block
        self._next = self._end = 0
        self._refill = trio.Lock()

    async def take(self) -> int:
        """Return a number that was never given before. Raises ``StoreUnavailable``. A checkpoint only when a new block
        is needed; cancelling then wastes at most that block."""
        while self._next >= self._end:
            async with self._refill:
                if self._next >= self._end:
                    await self._reserve()
        number = self._next
        self._next += 1
        return number

    async def _reserve(self) -> None:
        block = await self._journal.commit(AllocateNumbers(self._block))
        assert isinstance(block, AllocatedNumbers)
        self._next, self._end = block.first, block.first + block.count

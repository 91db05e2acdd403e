"""A notifier that wakes all tasks that wait at the moment; earlier calls are not remembered."""

from __future__ import annotations

import trio


class Notifier:
    """To be used where nothing is awaited between looking at the state and waiting for its change."""

    def __init__(self) -> None:
        self._next = trio.Event()

    def ring(self) -> None:
        """Wake all who wait."""
        self._next.set()
        self._next = trio.Event()

    async def wait(self) -> None:
        """Wait for the next ring. Cancelling is safe."""
        await self._next.wait()

"""Resets, reboots and power cuts: what ends transactions and makes the charger register anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from gateway.simulator.config import ChargerConfig, Clock
from gateway.simulator.connection import Connection
from gateway.simulator.outbox import Outbox
from gateway.simulator.wallbox import Wallbox

#: How long the box is dark while it reboots, in seconds of its life.
BOOT_SECONDS = 10.0
#: How long a soft reset waits for its StopTransactions to be confirmed, in seconds of its life.
SOFT_RESET_PATIENCE = 60.0


class PowerSwitch:
    """Transactions, meters, profiles and the transaction messages survive; the rest of the memory does not.

    `settle` lets follow what follows from a change; `wait_until` waits for a condition on the charger.
    """

    def __init__(
        self,
        config: ChargerConfig,
        clock: Clock,
        box: Wallbox,
        outbox: Outbox,
        connection: Connection,
        settle: Callable[[], None],
        wait_until: Callable[[Callable[[], bool]], Awaitable[None]],
    ) -> None:
        self._config = config
        self._clock = clock
        self._box = box
        self._outbox = outbox
        self._connection = connection
        self._settle = settle
        self._wait_until = wait_until
        self._resetting = False

    async def reset(self, hard: bool) -> None:
        """Reset (S §5.14): stop transactions, a soft one waits until that is delivered; then reboot. While one reset
        is under way another does nothing."""
        if self._resetting:
            return
        self._resetting = True
        try:
            self._box.stop_all("HardReset" if hard else "SoftReset", self._clock())
            self._settle()
            if not hard:
                with trio.move_on_after(self._config.pace(SOFT_RESET_PATIENCE)):
                    await self._wait_until(self._nothing_to_deliver)
            self._reboot(graceful=True)
        finally:
            self._resetting = False

    async def restart(self) -> None:
        """A soft reset of the charger's own accord; returns when it is accepted again."""
        await self.reset(hard=False)
        await self._wait_until(lambda: self._connection.accepted)

    def cut(self) -> None:
        """The mains fails and returns."""
        self._connection.hang_up(graceful=False)  # first: a box without power says nothing more
        self._box.stop_all("PowerLoss", self._clock())
        self._settle()
        self._reboot(graceful=False)

    def _nothing_to_deliver(self) -> bool:
        return not self._connection.online or self._outbox.undelivered_transactions == 0

    def _reboot(self, *, graceful: bool) -> None:
        self._outbox.forget_news()
        self._connection.hang_up(graceful=graceful, dark_for=self._config.pace(BOOT_SECONDS), rebooted=True)

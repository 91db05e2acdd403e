"""Figures of the database server that the store is on: how far watchers are held up, and the age of transaction ids."""

from typing import Final

import trio

from gateway.errors import StoreUnavailable
from gateway.observability.metrics import Metrics
from gateway.store.reads import Reads
from gateway.store.server_state import ServerState, server_state

LOOK_SECONDS: Final = 1.0
"""Between two looks: an alert is due after five seconds."""


class ServerFigures:
    """Of the last look, by Trio's clock. 0 where the store is a file."""

    def __init__(self, reads: Reads, metrics: Metrics) -> None:
        self._reads = reads
        self._oldest = 0
        self._since = 0.0
        self.horizon_age = 0.0
        """Seconds for which the oldest running transaction has been the same, to a second."""
        self.id_age = 0
        metrics.gauge(
            "gateway_horizon_age_seconds",
            "For how long one transaction has held up the watchers of events.",
            lambda: self.horizon_age,
        )
        metrics.gauge(
            "gateway_transaction_id_age", "Transactions since the oldest one not frozen.", lambda: self.id_age
        )

    async def run(self) -> None:
        """Look until cancelled; once where the store is a file. The last figures stay while there is no answer."""
        while True:
            try:
                state = await self._reads.run(server_state)
            except StoreUnavailable:
                pass
            else:
                if state is None:
                    await trio.sleep_forever()
                self._saw(state, trio.current_time())
            await trio.sleep(LOOK_SECONDS)

    def _saw(self, state: ServerState, now: float) -> None:
        self.id_age = state.id_age
        if state.oldest != self._oldest or state.oldest == state.next:  # the latter: none is running
            self._oldest, self._since = state.oldest, now
        self.horizon_age = now - self._since

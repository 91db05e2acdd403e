"""The condition of the gateway: its store, its watchers, and the certificates that it serves (Trio's side)."""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from gateway.control.ports import RunningStatus
from gateway.control.watchers import Watchers
from gateway.domain.gateway_status import ServedCertificate, StoreStatus, WatcherStatus
from gateway.domain.values import Clock


@frozen
class GatewayStatus:
    """The status at one time."""

    at: datetime
    store: StoreStatus
    watchers: Sequence[WatcherStatus]
    certificates: Sequence[ServedCertificate]


class StatusCalls:
    """Looks at what the running gateway keeps; reads neither store nor disk."""

    def __init__(self, running: RunningStatus, watchers: Watchers, clock: Clock) -> None:
        self._running = running
        self._watchers = watchers
        self._clock = clock

    async def get(self) -> GatewayStatus:
        """The status, as of now."""
        ends = sorted(self._running.certificates(), key=lambda each: each.ends)
        return GatewayStatus(self._clock(), self._running.store(), self._watchers.statuses(), ends)

"""The observer of listeners and sessions: keeps refused connections, frames and deviations, and counts."""

from contextlib import AbstractContextManager

from gateway.domain.diagnostics import (
    DeviationCount,
    FlappingChargePoint,
    KeptFrame,
    LatencyCount,
    RefusedConnection,
)
from gateway.domain.events import BootInformation
from gateway.domain.values import Clock
from gateway.observability.deviations import Deviations
from gateway.observability.frame_log import FrameLog
from gateway.observability.make_latencies import MakeLatencies
from gateway.observability.metrics import Metrics
from gateway.observability.reconnects import Flapping
from gateway.observability.refused_connections import RefusedConnections
from gateway.observability.tap import Tap
from gateway.transport.listener import ConnectionOutcome


class GatewayObserver:
    """Called by listeners and sessions (their ``Observer``), read by control. Counts for metrics, too."""

    def __init__(self, metrics: Metrics, clock: Clock, kept_frames: int) -> None:
        self._metrics = metrics
        self.count = metrics.count
        """As ``Observer.count``; the metrics' own, as the next four, which are called for messages and commands."""
        self.now = metrics.now
        self.answered = metrics.answered
        self.call_answered = metrics.call_answered
        self.command_over = metrics.command_over
        self._refusals = RefusedConnections(clock)
        self._deviations = Deviations(clock)
        self._latencies = MakeLatencies()
        self.latencies = self._latencies.of
        """As ``Observer.latencies``."""
        self.recorder = FrameLog(clock, kept_frames, metrics.now)
        self.flapping = Flapping(clock, metrics.now)

    # --- reports -------------------------------------------------------------------------------------------------

    def connection_over(self, outcome: ConnectionOutcome) -> None:
        """A listener's ``observe``."""
        self._metrics.count(f"connections_{outcome.stage}", outcome.result)
        self._refusals.observe(outcome)

    def too_large(self, charge_point: str, size: int) -> None:
        """As ``Observer.too_large``."""
        self._metrics.too_large(charge_point, size)

    def deviated(self, charge_point: str, boot: BootInformation | None, deviations: tuple[str, ...]) -> None:
        """As ``Observer.deviated``."""
        self._metrics.deviated(charge_point, boot, deviations)
        self._deviations.deviated(charge_point, boot, deviations)

    # --- asked (``gateway.control.ports.Diagnostics``) --------------------------------------------------------

    @property
    def keeps_frames(self) -> bool:
        """True if frames are kept at all."""
        return self.recorder.kept

    def refused_connections(self) -> list[RefusedConnection]:
        """The newest entry first."""
        return self._refusals.entries()

    def frames(self, charge_point: str) -> list[KeptFrame] | None:
        """The oldest first; None: there are none."""
        return self.recorder.of(charge_point)

    def flapping_charge_points(self) -> list[FlappingChargePoint]:
        """Those that flap now, the one with the most connects first."""
        return self.flapping.entries()

    def tapped(self, charge_point: str) -> AbstractContextManager[Tap | None]:
        """As ``FrameLog.tapped``."""
        return self.recorder.tapped(charge_point)

    def deviations(self) -> list[DeviationCount]:
        """The newest entry first."""
        return self._deviations.entries()

    def latency_counts(self) -> list[LatencyCount]:
        """The newest entry first."""
        return self._latencies.entries()

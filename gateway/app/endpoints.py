"""Endpoints of the gateway: the control interface, the metrics, and the listeners for chargers, each kept going.

A control interface or a listener that fails is begun anew: chargers don't need the one, and one listener's chargers
don't need the other. Only what can't listen at first ends the start, by the name of its setting.
"""

from collections.abc import Callable
from datetime import datetime

import structlog
import trio

from gateway.app.certificate_watch import Certificates, CertificateWatch
from gateway.app.control_certificates import ControlCertificates
from gateway.app.from_settings import tls_provider
from gateway.app.jwt_keys import JwtKeyFile
from gateway.app.settings import ListenerSettings, Settings
from gateway.control.listen_address import listening_address, why_not
from gateway.control.server import ControlServer
from gateway.errors import SettingsError, leaves
from gateway.observability.metrics import Metrics
from gateway.observability.metrics_server import MetricsServer
from gateway.transport.listener import Listener
from gateway.transport.tls import TlsProvider
from gateway.transport.tls_probe import require_cheap_groups

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between attempts to begin an endpoint anew."""


class Endpoints:
    """All that the gateway listens with. Belongs to the Trio loop.

    ``is_ready``: what the control interface's health service says, for ``update_readiness`` and when it begins anew.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        new_control: Callable[[], ControlServer],
        new_listener: Callable[[ListenerSettings, TlsProvider], Listener],
        metrics: Metrics,
        is_ready: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._new_control = new_control
        self._new_listener = new_listener
        self._metrics = metrics
        self._is_ready = is_ready
        self._tls = {
            each.name: tls_provider(f"listeners[{index}]", each, clock) for index, each in enumerate(settings.listeners)
        }
        self._control_certificates = ControlCertificates(settings.control, lambda tls: self.control.replace_tls(tls))
        watched: list[tuple[str, Certificates]] = [*self._tls.items()]
        if settings.control.certificate is not None:
            watched.append(("control", self._control_certificates))
        self._jwt_keys = JwtKeyFile(settings.control.jwt, lambda keys: self.control.replace_jwt_keys(keys))
        if settings.control.jwt.jwks_file is not None:
            watched.append(("control.jwt", self._jwt_keys))
        self.certificates = CertificateWatch(watched, metrics=metrics, clock=clock, taken=self._close_refused)
        """Watched once ``certificates.run`` does."""
        self.listeners = [self._listener(each) for each in settings.listeners]
        self.control = new_control()
        self._is_open = False
        self._opening = trio.Lock()
        self._stopping = trio.Event()
        self._control_ended = trio.Event()
        self._control_ended.set()
        metrics.gauge("gateway_handshakes", "Connections without an upgrade yet.", self._handshakes)
        metrics.gauge("gateway_waiting", "Connections without a place for a handshake yet.", self._waiting)

    def _listener(self, settings: ListenerSettings) -> Listener:
        return self._new_listener(settings, self._tls[settings.name])

    def _handshakes(self) -> float:
        return sum(listener.opening for listener in self.listeners)

    def _waiting(self) -> float:
        return sum(listener.waiting for listener in self.listeners)

    async def _close_refused(self, name: str) -> None:
        for listener in self.listeners:
            if listener.name == name:
                await listener.close_refused()

    # --- start and end ----------------------------------------------------------------------------------------

    async def open(self, nursery: trio.Nursery) -> None:
        """Start all of them. Repeating it waits until they are there. Raises ``SettingsError`` for what can't
        listen."""
        async with self._opening:
            if self._is_open:
                return
            self.control.set_ready(False)
            await nursery.start(self._run_control)
            await self._serve_metrics(nursery)
            self.certificates.report()
            for index in range(len(self.listeners)):
                await nursery.start(self._run_listener, index)
            self._is_open = True

    def update_readiness(self) -> None:
        """Have the health service say what ``is_ready`` says now."""
        self.control.set_ready(self._is_ready())

    def stop(self) -> None:
        """Begin nothing anew any more."""
        self._stopping.set()

    def stop_accepting(self) -> None:
        """Let no charger in any more; those that are connected stay."""
        for listener in self.listeners:
            listener.stop_accepting()

    async def drain_control(self, grace: float) -> None:
        """End the control interface. Its calls have ``grace`` seconds to hand out their last answers."""
        self.control.drain(grace)
        await self._control_ended.wait()

    # --- each of them -----------------------------------------------------------------------------------------

    async def _run_control(self, *, task_status: trio.TaskStatus[None]) -> None:
        """The control interface, begun anew if it fails: chargers don't need it. Raises ``SettingsError`` where it
        can't listen at first."""
        self._control_ended = trio.Event()
        started, pause = False, FIRST_PAUSE
        try:
            while not self._stopping.is_set():
                failed: BaseExceptionGroup[Exception] | None = None
                try:
                    async with trio.open_nursery() as nursery:
                        await nursery.start(self.control.run)
                        if not started:
                            started = True
                            task_status.started()
                except* Exception as errors:
                    failed = errors
                if failed is None:
                    return
                if not started:
                    raise failed
                log.error("control interface failed", exc_info=failed, again_in_seconds=pause)
                self._metrics.count("task_failures", "control")
                with trio.move_on_after(pause):
                    await self._stopping.wait()
                pause = min(2 * pause, LONGEST_PAUSE)
                self.control = self._new_control()
                if (tls := self._control_certificates.tls) is not None:
                    self.control.replace_tls(tls)
                self.control.replace_jwt_keys(self._jwt_keys.keys)
                self.update_readiness()
        finally:
            self._control_ended.set()

    async def _run_listener(self, index: int, *, task_status: trio.TaskStatus[None]) -> None:
        """One listener, begun anew if it fails. Raises ``SettingsError`` where it can't listen at first."""
        started = False
        while True:
            failed: BaseExceptionGroup[Exception] | None = None
            listener = self.listeners[index]
            try:
                async with trio.open_nursery() as nursery:
                    addresses = await nursery.start(listener.serve)
                    for host, port in addresses:
                        log.info("listening for chargers", listener=listener.name, host=host, port=port)
                    if not started:
                        started = True
                        task_status.started()
            except* Exception as errors:
                failed = errors
            if failed is None or self._stopping.is_set():
                return
            first = next(leaves(failed))
            if not started and isinstance(first, OSError):
                section = self._settings.listeners[index]
                address = listening_address(section.host, section.port)
                raise SettingsError(f"listeners[{index}]: can't listen on {address}: {why_not(first)}") from failed
            if not started:
                raise failed
            log.error("listener failed", listener=listener.name, exc_info=failed)
            self._metrics.count("task_failures", "listener")
            with trio.move_on_after(LONGEST_PAUSE):
                await self._stopping.wait()
            self.listeners[index] = self._listener(self._settings.listeners[index])

    async def _serve_metrics(self, nursery: trio.Nursery) -> None:
        address = self._settings.metrics.host_and_port
        if address is None:
            return
        try:
            host, port = await nursery.start(MetricsServer(self._metrics.registry).serve, *address)
        except OSError as error:
            raise SettingsError(
                f"metrics.address: can't listen on {self._settings.metrics.address}: {why_not(error)}"
            ) from error
        log.info("metrics served", host=host, port=port)

    # --- certificates -----------------------------------------------------------------------------------------

    def try_groups(self) -> None:
        """See that no stranger's handshake is dear. Raises ``ExpensiveGroups``."""
        for tls in self._tls.values():
            require_cheap_groups(tls.context)

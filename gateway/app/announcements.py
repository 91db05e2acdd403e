"""Announcements to the service manager: of the start, of reloads, and of how the gateway is."""

from collections.abc import Callable

from gateway.app.certificate_watch import CertificateWatch
from gateway.app.service_manager import ServiceManager, unmanaged


class Announcements:
    """``manager``: None where there is none. ``is_well``: whether chargers are let in. Belongs to the Trio loop."""

    def __init__(
        self, manager: ServiceManager | None, certificates: CertificateWatch, is_well: Callable[[], bool]
    ) -> None:
        self.manager = manager or unmanaged()
        self._certificates = certificates
        self._is_well = is_well
        self._stopping = False

    def opened(self) -> None:
        """The ports are open, though the store may not be there yet: as far as a manager waits, the start is over."""
        self.manager.ready(self._status())
        self._certificates.on_reloaded = self._reloaded

    def reload(self) -> None:
        """Have the certificates read again; before the start is over a manager does not ask about that."""
        if self._certificates.on_reloaded is not None:
            self.manager.reloading()
        self._certificates.reload()

    def changed(self) -> None:
        """The store was lost, or is back."""
        if not self._stopping:
            self.manager.status(self._status())

    def stopping(self) -> None:
        """The drain has begun; nothing else is announced any more."""
        self._stopping = True
        self.manager.stopping("draining")

    def _reloaded(self) -> None:
        if not self._stopping:
            self.manager.ready(self._status())

    def _status(self) -> str:
        return "serving" if self._is_well() else "waiting for the store"

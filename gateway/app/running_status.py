"""The condition of the gateway, as its control interface shows it: from the figures and certificates of the parts."""

from typing import Protocol

from gateway.app.certificate_watch import CertificateWatch
from gateway.app.endpoints import Endpoints
from gateway.app.figures import StoreFigures
from gateway.domain.gateway_status import ServedCertificate, StoreStatus
from gateway.journal.journal import Journal


class Parts(Protocol):
    """A gateway, as far as its status is shown. ``endpoints`` and ``figures`` are made after its control interface."""

    journal: Journal
    endpoints: Endpoints
    figures: StoreFigures

    @property
    def store_is_well(self) -> bool:
        """True while commits are taken and chargers are let in."""
        ...


class RunningStatus:
    """``gateway.control.ports.RunningStatus`` of a gateway."""

    def __init__(self, of: Parts) -> None:
        self._of = of

    def store(self) -> StoreStatus:
        """The store, with its sizes as of the last look."""
        figures, files = self._of.figures, self._of.figures.files
        log, free, disk = (files.log, files.free, files.disk) if figures.on_disk else (None, None, None)
        return StoreStatus(self._of.store_is_well, files.database, log, free, disk, self._of.journal.waiting)

    def certificates(self) -> list[ServedCertificate]:
        """All ends of what is served."""
        watch: CertificateWatch = self._of.endpoints.certificates
        return [ServedCertificate(*each) for each in watch.ends()]

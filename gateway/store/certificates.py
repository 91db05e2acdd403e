"""The store's contract for chargers' certificates: reads of what events have projected (``gateway.store.api``)."""

from datetime import datetime
from typing import Protocol

from attrs import frozen

from gateway.domain.signing import SigningRecord


@frozen
class DueCertificate:
    """A charger's certificate that is near its end, or past it (``expired``)."""

    charge_point: str
    serial_number: str
    not_after: datetime
    expired: bool


class CertificateStore(Protocol):
    """The part of ``Store`` that is about certificates."""

    def signing(self, signing_id: str) -> SigningRecord | None:
        """Return an open request to certify a charger's key."""
        ...

    def unsigned(self, after: str, limit: int) -> list[SigningRecord]:
        """Open requests that wait for the signing service, by id."""
        ...

    def overdue_signings(self, at: datetime, limit: int) -> list[SigningRecord]:
        """Open requests whose time is over at ``at``. No paging: what is ended is not found again."""
        ...

    def due_certificates(self, now: datetime, near: datetime, limit: int) -> list[DueCertificate]:
        """Certificates that end before ``near`` or have ended at ``now``, where no event says so yet. No paging, as
        above."""
        ...

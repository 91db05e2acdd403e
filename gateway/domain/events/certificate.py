"""Events of chargers' own certificates: requests to sign one, what became of them, and their expiry."""

from datetime import datetime
from typing import ClassVar, TypeAlias

from attrs import field, frozen

from gateway.domain.signing import SigningEnd


@frozen
class CertificateRequested:
    """The charger asked to have its key certified, and was answered Accepted: from now on a signing service is asked.
    ``csr`` in PEM, as sent; ``subject`` as RFC 4514 writes it."""

    TYPE: ClassVar[str] = "certificate.requested"
    VERSION: ClassVar[int] = 1
    signing_id: str
    csr: str = field(repr=False)
    expires_at: datetime
    subject: str = ""
    key_type: str = ""


@frozen
class CertificateRequestRefused:
    """The charger asked to have a key certified, and was answered Rejected. ``reason``: as ``gateway.domain.signing``
    and ``gateway.domain.certificates`` name it. The request itself is not kept."""

    TYPE: ClassVar[str] = "certificate.request_refused"
    VERSION: ClassVar[int] = 1
    reason: str


@frozen
class CertificateIssued:
    """The signing service answered with a certificate, which fits the request: it is sent to the charger next.
    ``chain`` in PEM, the charger's own first; ``serial_number`` in hexadecimal."""

    TYPE: ClassVar[str] = "certificate.issued"
    VERSION: ClassVar[int] = 1
    signing_id: str
    chain: str = field(repr=False)
    serial_number: str
    not_after: datetime


@frozen
class CertificateSigningEnded:
    """A request to sign is over; the last event of each. ``reason``: why it ended other than INSTALLED."""

    TYPE: ClassVar[str] = "certificate.signing_ended"
    VERSION: ClassVar[int] = 1
    signing_id: str
    end: SigningEnd
    reason: str = ""


@frozen
class CertificateInstalled:
    """The charger accepted a certificate (CertificateSigned). ``signing_id`` empty: it was sent by hand."""

    TYPE: ClassVar[str] = "certificate.installed"
    VERSION: ClassVar[int] = 1
    serial_number: str
    not_after: datetime
    signing_id: str = ""


@frozen
class CertificateExpiring:
    """The charger's certificate is near its end, or past it (``expired``). Once for each certificate and each of the
    two."""

    TYPE: ClassVar[str] = "certificate.expiring"
    VERSION: ClassVar[int] = 1
    serial_number: str
    not_after: datetime
    expired: bool = False


Body: TypeAlias = (
    CertificateRequested
    | CertificateRequestRefused
    | CertificateIssued
    | CertificateSigningEnded
    | CertificateInstalled
    | CertificateExpiring
)

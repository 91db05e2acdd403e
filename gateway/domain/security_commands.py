"""Commands of OCPP 1.6's security extension, and those of its answers that are more than a status (WP, chapter 5).

A command about a log or signed firmware has OCPP's ``requestId``: the charger names it in each status that it reports.
"""

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from attrs import field, frozen

from gateway.domain.values import ConnectorAddress


class CertificateUse(StrEnum):
    """Purpose of a root certificate that is installed in a charger (WP 6.2)."""

    CENTRAL_SYSTEM_ROOT = "CentralSystemRootCertificate"
    MANUFACTURER_ROOT = "ManufacturerRootCertificate"


class HashAlgorithm(StrEnum):
    """Digest by which a charger names a certificate (WP 6.7)."""

    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


@frozen
class CertificateHash:
    """The name of an installed certificate: digests in hexadecimal, and the serial number (WP 6.1)."""

    algorithm: HashAlgorithm
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


@frozen
class CertificateSigned:
    """A new certificate of the charger's own: the certificate first, then those that issued it, in PEM."""

    certificate_chain: str = field(repr=False)


@frozen
class DeleteCertificate:
    certificate: CertificateHash


class ExtendedTrigger(StrEnum):
    """Messages that the extension can ask for (WP 6.11)."""

    BOOT_NOTIFICATION = "BootNotification"
    FIRMWARE_STATUS = "FirmwareStatusNotification"
    HEARTBEAT = "Heartbeat"
    LOG_STATUS = "LogStatusNotification"
    METER_VALUES = "MeterValues"
    SIGN_CERTIFICATE = "SignChargePointCertificate"
    STATUS_NOTIFICATION = "StatusNotification"


@frozen
class ExtendedTriggerMessage:
    requested: ExtendedTrigger
    connector: ConnectorAddress | None = None
    insist: bool = False
    """As of ``TriggerMessage``."""


@frozen
class GetInstalledCertificateIds:
    certificate_use: CertificateUse


class LogType(StrEnum):
    """Log that a charger uploads (WP 6.10)."""

    DIAGNOSTICS = "DiagnosticsLog"
    SECURITY = "SecurityLog"


@frozen
class GetLog:
    """``retry_interval`` in seconds."""

    log_type: LogType
    ocpp_request_id: int
    location: str
    retries: int | None = None
    retry_interval: int | None = None
    oldest_time: datetime | None = None
    latest_time: datetime | None = None


@frozen
class InstallCertificate:
    """``certificate`` in PEM."""

    certificate_use: CertificateUse
    certificate: str = field(repr=False)


@frozen
class SignedUpdateFirmware:
    """``retrieve_date`` None: from when it is sent on. ``signing_certificate`` in PEM, ``signature`` in base64,
    ``retry_interval`` in seconds."""

    ocpp_request_id: int
    location: str
    retrieve_date: datetime | None
    signing_certificate: str = field(repr=False)
    signature: str = field(repr=False)
    install_date: datetime | None = None
    retries: int | None = None
    retry_interval: int | None = None


SecurityCommand: TypeAlias = (
    CertificateSigned
    | DeleteCertificate
    | ExtendedTriggerMessage
    | GetInstalledCertificateIds
    | GetLog
    | InstallCertificate
    | SignedUpdateFirmware
)


# --- answers --------------------------------------------------------------------------------------------------


@frozen
class InstalledCertificatesAnswer:
    """No certificates: none of the kind is installed (WP M03.FR.02)."""

    status: str
    certificates: tuple[CertificateHash, ...] = ()


@frozen
class LogAnswer:
    """``file_name``: of what will be uploaded, where the charger named it."""

    status: str
    file_name: str | None = None

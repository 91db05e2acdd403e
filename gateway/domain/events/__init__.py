"""Events that the gateway records: the main public contract, described field by field in ``docs/events.md``.

An event is something that happened, in the gateway's words, kept for ever and never changed. Bodies are frozen values;
``gateway.domain.codec`` turns them to stored bytes and back, and lifts bodies of older versions to the present ones.
Each body names its ``TYPE`` (dotted, stable) and ``VERSION`` (raised when its fields change meaning).

Each subject has its module. A new body is written there, joins that module's ``Body``, and is named here: this list is
what the rest of the gateway imports.
"""

from gateway.domain.events.certificate import (
    CertificateExpiring,
    CertificateInstalled,
    CertificateIssued,
    CertificateRequested,
    CertificateRequestRefused,
    CertificateSigningEnded,
)
from gateway.domain.events.charge_point import (
    BootInformation,
    ChargePointBooted,
    ChargePointConnected,
    ChargePointCreated,
    ChargePointDeleted,
    ChargePointDisconnected,
    ChargePointUpdated,
    ConnectorChargingStateChanged,
    ConnectorStatusChanged,
)
from gateway.domain.events.command import (
    CommandAnswered,
    CommandNotSent,
    CommandOutcomeUnknown,
    CommandQueued,
    CommandSent,
    RemoteStartExpired,
)
from gateway.domain.events.configuration import (
    BootConfigurationApplied,
    ConfigurationReported,
)
from gateway.domain.events.envelope import (
    BODIES,
    Body,
    NewEvent,
    StoredEvent,
)
from gateway.domain.events.local_list import (
    LocalListChanged,
)
from gateway.domain.events.operation import (
    OperationAccepted,
    OperationAdvanced,
    OperationEnded,
)
from gateway.domain.events.report import (
    DiagnosticsStatusReported,
    FirmwareStatusReported,
    LogStatusReported,
    SecurityEventReported,
    VendorDataReceived,
)
from gateway.domain.events.reservation import (
    ReservationEnded,
    ReservationMade,
)
from gateway.domain.events.steering import (
    ChargingProfileInstalled,
    ChargingProfileRemoved,
    SteeringChanged,
    WantedChanged,
)
from gateway.domain.events.transaction import (
    FIRST_DIALECT,
    IdTagPresented,
    MeterValuesReported,
    TransactionAttributed,
    TransactionClosed,
    TransactionEnergyChanged,
    TransactionForeign,
    TransactionLost,
    TransactionOrphaned,
    TransactionStaleChanged,
    TransactionStarted,
    TransactionStopped,
)

__all__ = [
    "BODIES",
    "FIRST_DIALECT",
    "Body",
    "BootConfigurationApplied",
    "BootInformation",
    "CertificateExpiring",
    "CertificateInstalled",
    "CertificateIssued",
    "CertificateRequestRefused",
    "CertificateRequested",
    "CertificateSigningEnded",
    "ChargePointBooted",
    "ChargePointConnected",
    "ChargePointCreated",
    "ChargePointDeleted",
    "ChargePointDisconnected",
    "ChargePointUpdated",
    "ChargingProfileInstalled",
    "ChargingProfileRemoved",
    "CommandAnswered",
    "CommandNotSent",
    "CommandOutcomeUnknown",
    "CommandQueued",
    "CommandSent",
    "ConfigurationReported",
    "ConnectorChargingStateChanged",
    "ConnectorStatusChanged",
    "DiagnosticsStatusReported",
    "FirmwareStatusReported",
    "IdTagPresented",
    "LocalListChanged",
    "LogStatusReported",
    "MeterValuesReported",
    "NewEvent",
    "OperationAccepted",
    "OperationAdvanced",
    "OperationEnded",
    "RemoteStartExpired",
    "ReservationEnded",
    "ReservationMade",
    "SecurityEventReported",
    "SteeringChanged",
    "StoredEvent",
    "TransactionAttributed",
    "TransactionClosed",
    "TransactionEnergyChanged",
    "TransactionForeign",
    "TransactionLost",
    "TransactionOrphaned",
    "TransactionStaleChanged",
    "TransactionStarted",
    "TransactionStopped",
    "VendorDataReceived",
    "WantedChanged",
]

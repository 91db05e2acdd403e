"""Promises to chargers and services, written down by hand: from the specifications, not from the gateway.

A test that takes its list from the code that it tests agrees with whatever the code says. These lists are changed only
with the promise.
"""

MANDATORY_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
"""What a central system shall support (OCPP security whitepaper, A00.FR.317; A7.15), in OpenSSL's names."""

SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
    "AES256-SHA",
)
"""ELBSecurityPolicy-TLS-1-2-Ext-2018-06 in its order, which chargers of the platform expect by their documentation."""

STRICT_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""Of those, the ones with forward secrecy and authenticated encryption."""

POLICIES = {
    "ELBSecurityPolicy-TLS-1-2-Ext-2018-06": SUITES,
    "strict": STRICT_SUITES,
    "ocpp": MANDATORY_SUITES,
}
"""The policies that a listener can have, and the suites of TLS 1.2 that each grants, in the server's order."""

REFUSED_SUITES = (
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "DHE-RSA-AES128-GCM-SHA256",
    "DHE-RSA-AES256-SHA",
    "AECDH-AES128-SHA",
    "ADH-AES128-SHA",
    "NULL-SHA256",
    "CAMELLIA128-SHA",
    "ARIA128-GCM-SHA256",
)
"""Some that OpenSSL has and that were not promised: without a certificate, without a cipher, over a finite field."""

TLS_1_3_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""RFC 8446 §9.1: the first must be there, the others should."""

CALLS_OF_CHARGERS = {
    "Authorize": {"idTag": "TAG"},
    "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M"},
    "DataTransfer": {"vendorId": "V"},
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "Heartbeat": {},
    "MeterValues": {
        "connectorId": 1,
        "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": "1"}]}],
    },
    "StartTransaction": {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": "2026-03-01T12:00:00Z"},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
    "StopTransaction": {"transactionId": 1, "meterStop": 1, "timestamp": "2026-03-01T12:00:00Z"},
    # OCPP 1.6 security whitepaper
    "LogStatusNotification": {"status": "Idle"},
    "SecurityEventNotification": {"type": "FirmwareUpdated", "timestamp": "2026-03-01T12:00:00Z"},
    "SignCertificate": {"csr": "gibberish"},
    "SignedFirmwareStatusNotification": {"status": "Idle"},
}
"""S §4 and the whitepaper: what a charge point may send, with the smallest payload of each."""

OPERATIONS = (
    "CancelReservation",
    "ChangeAvailability",
    "ChangeConfiguration",
    "ClearCache",
    "ClearChargingProfile",
    "DataTransfer",
    "GetCompositeSchedule",
    "GetConfiguration",
    "GetDiagnostics",
    "GetLocalListVersion",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "ReserveNow",
    "Reset",
    "SendLocalList",
    "SetChargingProfile",
    "TriggerMessage",
    "UnlockConnector",
    "UpdateFirmware",
    # OCPP 1.6 security whitepaper
    "CertificateSigned",
    "DeleteCertificate",
    "ExtendedTriggerMessage",
    "GetInstalledCertificateIds",
    "GetLog",
    "InstallCertificate",
    "SignedUpdateFirmware",
)
"""S §5 and the whitepaper: what a central system may ask of a charge point."""

KEPT_UNTIL_CONFIRMED = ("MeterValues", "StartTransaction", "StopTransaction")
"""S §3.7.1: what a charger queues, and what a CALLERROR makes it send again for ever (A4.2)."""

CALLERROR_CODES = (
    "NotImplemented",
    "NotSupported",
    "InternalError",
    "ProtocolError",
    "SecurityError",
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "TypeConstraintViolation",
    "GenericError",
)
"""J §4.2.3, in the spelling of its table (one r in Occurence)."""

EVENTS = (
    "charge_point.created",
    "charge_point.updated",
    "charge_point.deleted",
    "charge_point.connected",
    "charge_point.disconnected",
    "charge_point.booted",
    "connector.status_changed",
    "connector.charging_state_changed",
    "id_tag.presented",
    "transaction.started",
    "transaction.stopped",
    "transaction.lost",
    "transaction.stale_changed",
    "transaction.closed",
    "transaction.orphaned",
    "transaction.foreign",
    "meter_values.reported",
    "reservation.made",
    "reservation.ended",
    "remote_start.expired",
    "transaction.attributed",
    "transaction.energy_changed",
    "wanted.changed",
    "steering.changed",
    "charging_profile.installed",
    "charging_profile.removed",
    "local_list.changed",
    "operation.accepted",
    "operation.advanced",
    "operation.ended",
    "firmware.status_reported",
    "diagnostics.status_reported",
    "log.status_reported",
    "security.event_reported",
    "vendor_data.received",
    "configuration.reported",
    "configuration.applied",
    "command.queued",
    "command.sent",
    "command.answered",
    "command.not_sent",
    "command.outcome_unknown",
    "certificate.requested",
    "certificate.request_refused",
    "certificate.issued",
    "certificate.signing_ended",
    "certificate.installed",
    "certificate.expiring",
)
"""The types that are in stored histories, and therefore are read for ever."""

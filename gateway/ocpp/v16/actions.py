"""The domain's commands and the actions by which OCPP 1.6 calls them on the wire."""

from collections.abc import Mapping
from typing import Final

from gateway.domain import commands as c
from gateway.domain import security_commands as s

ACTIONS: Final[Mapping[type[c.Command], str]] = {
    c.CancelReservation: "CancelReservation",
    c.ChangeAvailability: "ChangeAvailability",
    c.ChangeConfiguration: "ChangeConfiguration",
    c.ClearCache: "ClearCache",
    c.ClearChargingProfile: "ClearChargingProfile",
    c.DataTransfer: "DataTransfer",
    c.GetCompositeSchedule: "GetCompositeSchedule",
    c.GetConfiguration: "GetConfiguration",
    c.GetDiagnostics: "GetDiagnostics",
    c.GetLocalListVersion: "GetLocalListVersion",
    c.RemoteStartTransaction: "RemoteStartTransaction",
    c.RemoteStopTransaction: "RemoteStopTransaction",
    c.ReserveNow: "ReserveNow",
    c.Reset: "Reset",
    c.SendLocalList: "SendLocalList",
    c.SetChargingProfile: "SetChargingProfile",
    c.TriggerMessage: "TriggerMessage",
    c.UnlockConnector: "UnlockConnector",
    c.UpdateFirmware: "UpdateFirmware",
    # The security extension
    s.CertificateSigned: "CertificateSigned",
    s.DeleteCertificate: "DeleteCertificate",
    s.ExtendedTriggerMessage: "ExtendedTriggerMessage",
    s.GetInstalledCertificateIds: "GetInstalledCertificateIds",
    s.GetLog: "GetLog",
    s.InstallCertificate: "InstallCertificate",
    s.SignedUpdateFirmware: "SignedUpdateFirmware",
}
"""Every command, and its action."""

TRIGGERED: Final[Mapping[c.TriggeredMessage, str]] = {
    c.TriggeredMessage.BOOT_NOTIFICATION: "BootNotification",
    c.TriggeredMessage.DIAGNOSTICS_STATUS: "DiagnosticsStatusNotification",
    c.TriggeredMessage.FIRMWARE_STATUS: "FirmwareStatusNotification",
    c.TriggeredMessage.HEARTBEAT: "Heartbeat",
    c.TriggeredMessage.METER_VALUES: "MeterValues",
    c.TriggeredMessage.STATUS_NOTIFICATION: "StatusNotification",
}
"""What a charger can be asked to send, and its action."""

EXTENDED_TRIGGERED: Final[Mapping[s.ExtendedTrigger, str]] = {
    s.ExtendedTrigger.BOOT_NOTIFICATION: "BootNotification",
    # A charger with the extension reports the firmware that was signed by another message (WP 6.11).
    s.ExtendedTrigger.FIRMWARE_STATUS: "SignedFirmwareStatusNotification",
    s.ExtendedTrigger.HEARTBEAT: "Heartbeat",
    s.ExtendedTrigger.LOG_STATUS: "LogStatusNotification",
    s.ExtendedTrigger.METER_VALUES: "MeterValues",
    s.ExtendedTrigger.SIGN_CERTIFICATE: "SignCertificate",
    s.ExtendedTrigger.STATUS_NOTIFICATION: "StatusNotification",
}
"""What the extension can ask a charger for, and the action by which it comes."""

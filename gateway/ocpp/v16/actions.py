"""The domain's commands and the actions by which OCPP 1.6 calls them on the wire."""

from collections.abc import Mapping
from typing import Final

from gateway.domain import commands as c

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

"""Action to handler: every message that a 1.6 charger may send."""

from collections.abc import Mapping
from typing import Any, Final

from ocpp.v16 import call

from gateway.ocpp.v16.profiles import core, firmware, metering, security, transactions
from gateway.ocpp.v16.protocol import Handler, Protocol16, by_action

HANDLERS: Final[Mapping[str, Handler[Any]]] = by_action(
    # Core (S §4)
    Handler(call.Authorize, core.decide_authorize, core.query_authorize),
    Handler(call.BootNotification, core.decide_boot),
    Handler(call.DataTransfer, core.decide_data_transfer, core.query_data_transfer),
    Handler(call.Heartbeat, core.decide_heartbeat),
    Handler(call.MeterValues, metering.decide_meter_values, metering.query_meter_values),
    Handler(call.StartTransaction, transactions.decide_start, transactions.query_start),
    Handler(call.StatusNotification, core.decide_status),
    Handler(call.StopTransaction, transactions.decide_stop, transactions.query_stop),
    # Firmware management
    Handler(call.DiagnosticsStatusNotification, firmware.decide_diagnostics_status),
    Handler(call.FirmwareStatusNotification, firmware.decide_firmware_status),
    # Security extension
    Handler(call.LogStatusNotification, security.decide_log_status),
    Handler(call.SecurityEventNotification, security.decide_security_event),
    Handler(call.SignCertificate, security.decide_sign_certificate, security.query_sign_certificate),
    Handler(call.SignedFirmwareStatusNotification, security.decide_signed_firmware_status),
)


def protocol() -> Protocol16:
    """OCPP 1.6 with these handlers."""
    return Protocol16(HANDLERS)

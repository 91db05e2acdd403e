"""Action to handler: every message that a 1.6 charger may send."""

from collections.abc import Mapping
from typing import Final

from gateway.ocpp.v16.profiles import core, firmware, metering, security, transactions
from gateway.ocpp.v16.protocol import Handler, Protocol16

HANDLERS: Final[Mapping[str, Handler]] = {
    # Core (S §4)
    "Authorize": Handler(core.decide_authorize, core.query_authorize),
    "BootNotification": Handler(core.decide_boot),
    "DataTransfer": Handler(core.decide_data_transfer, core.query_data_transfer),
    "Heartbeat": Handler(core.decide_heartbeat),
    "MeterValues": Handler(metering.decide_meter_values, metering.query_meter_values),
    "StartTransaction": Handler(transactions.decide_start, transactions.query_start),
    "StatusNotification": Handler(core.decide_status),
    "StopTransaction": Handler(transactions.decide_stop, transactions.query_stop),
    # Firmware management
    "DiagnosticsStatusNotification": Handler(firmware.decide_diagnostics_status),
    "FirmwareStatusNotification": Handler(firmware.decide_firmware_status),
    # Security extension
    "LogStatusNotification": Handler(security.decide_log_status),
    "SecurityEventNotification": Handler(security.decide_security_event),
    "SignedFirmwareStatusNotification": Handler(security.decide_signed_firmware_status),
}


def protocol() -> Protocol16:
    """OCPP 1.6 with these handlers."""
    return Protocol16(HANDLERS)

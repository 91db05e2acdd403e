"""Firmware and diagnostics (S §4.4, §4.5): confirmed and recorded in any order, asked for or not (B8.2)."""

from ocpp.v16 import call

from gateway.domain.decision import Context, Decision, Facts, Request
from gateway.domain.events import DiagnosticsStatusReported, FirmwareStatusReported
from gateway.domain.progress import Work, command_of
from gateway.domain.state import ChargePointState
from gateway.ocpp.v16.profiles.common import event


def decide_firmware_status(
    state: ChargePointState, request: Request[call.FirmwareStatusNotification], __: Facts, context: Context
) -> Decision:
    """FirmwareStatusNotification. A Boot in the middle of an installation is normal (B8.3)."""
    status = str(request.payload.status)
    command_id = command_of(state.progress, Work.FIRMWARE, status)
    return Decision({}, (event(request, context, FirmwareStatusReported(status, command_id=command_id)),))


def decide_diagnostics_status(
    state: ChargePointState, request: Request[call.DiagnosticsStatusNotification], __: Facts, context: Context
) -> Decision:
    """DiagnosticsStatusNotification."""
    status = str(request.payload.status)
    command_id = command_of(state.progress, Work.DIAGNOSTICS, status)
    return Decision({}, (event(request, context, DiagnosticsStatusReported(status, command_id)),))

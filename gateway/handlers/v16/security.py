"""The security extension's notifications (WP): always confirmed and recorded, in any order."""

from ocpp.v16 import call

from gateway.domain.decision import Context, Decision, Facts, Request
from gateway.domain.events import FirmwareStatusReported, LogStatusReported, SecurityEventReported
from gateway.domain.state import ChargePointState
from gateway.domain.times import read_time
from gateway.handlers.v16.common import event


def decide_security_event(_: ChargePointState, request: Request, __: Facts, context: Context) -> Decision:
    """SecurityEventNotification, of a known type or not, old and in bursts (WP A04.FR.02/03, OCPP.md B11.4)."""
    payload = request.payload
    assert isinstance(payload, call.SecurityEventNotification)
    time = read_time(payload.timestamp, context.now)
    body = SecurityEventReported(payload.type, payload.tech_info)
    return Decision({}, (event(request, context, body, time, payload.timestamp),))


def decide_log_status(_: ChargePointState, request: Request, __: Facts, context: Context) -> Decision:
    """LogStatusNotification; its request id may be missing (WP N01.FR.12, OCPP.md B11.9)."""
    payload = request.payload
    assert isinstance(payload, call.LogStatusNotification)
    return Decision({}, (event(request, context, LogStatusReported(str(payload.status), payload.request_id)),))


def decide_signed_firmware_status(_: ChargePointState, request: Request, __: Facts, context: Context) -> Decision:
    """SignedFirmwareStatusNotification, also InvalidSignature and out of order (OCPP.md B11.8)."""
    payload = request.payload
    assert isinstance(payload, call.SignedFirmwareStatusNotification)
    body = FirmwareStatusReported(str(payload.status), payload.request_id, signed=True)
    return Decision({}, (event(request, context, body),))

"""The security extension's notifications (WP): always confirmed and recorded, in any order."""

from ocpp.v16 import call

from gateway.domain.decision import Context, Decision, Facts, Request
from gateway.domain.events import FirmwareStatusReported, LogStatusReported, SecurityEventReported
from gateway.domain.repeats import repeat_key
from gateway.domain.state import ChargePointState
from gateway.domain.times import read_time
from gateway.ocpp.v16.profiles.common import event, shown


def decide_security_event(
    state: ChargePointState, request: Request[call.SecurityEventNotification], __: Facts, context: Context
) -> Decision:
    """SecurityEventNotification, of a known type or not, old and in bursts (WP A04.FR.02/03, B11.4).

    One whose answer was lost comes once more, by the same message or on another connection, and is recorded once. Two
    messages of one connection are two events, also where they say the same: a second is long for an attack.
    """
    payload = request.payload
    time = read_time(payload.timestamp, context.now)
    body = SecurityEventReported(payload.type, shown(payload.tech_info))
    key = b""
    if payload.timestamp.strip():
        key = repeat_key(request.action, (payload.type, payload.timestamp, payload.tech_info), time)
    if state.memory.knows(key) and state.heard.get(key, request.message_id) == request.message_id:
        return Decision({})
    return Decision({}, (event(request, context, body, time, payload.timestamp, repeat_key=key),))


def decide_log_status(
    _: ChargePointState, request: Request[call.LogStatusNotification], __: Facts, context: Context
) -> Decision:
    """LogStatusNotification; its request id may be missing (WP N01.FR.12, B11.9)."""
    payload = request.payload
    return Decision({}, (event(request, context, LogStatusReported(str(payload.status), payload.request_id)),))


def decide_signed_firmware_status(
    _: ChargePointState, request: Request[call.SignedFirmwareStatusNotification], __: Facts, context: Context
) -> Decision:
    """SignedFirmwareStatusNotification, also InvalidSignature and out of order (B11.8)."""
    payload = request.payload
    body = FirmwareStatusReported(str(payload.status), payload.request_id, signed=True)
    return Decision({}, (event(request, context, body),))

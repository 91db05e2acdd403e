"""The security extension (WP): notifications, always confirmed and recorded, in any order; and requests to certify a
charger's key, answered at once and signed later (B11.1)."""

from datetime import timedelta
from typing import Final

from ocpp.v16 import call

from gateway.domain.decision import Context, Decision, Facts, Request, SigningQuery
from gateway.domain.events import (
    Body,
    CertificateRequested,
    CertificateRequestRefused,
    CertificateSigningEnded,
    FirmwareStatusReported,
    LogStatusReported,
    SecurityEventReported,
)
from gateway.domain.progress import Work, command_of
from gateway.domain.repeats import repeat_key
from gateway.domain.signing import SigningEnd
from gateway.domain.state import ChargePointState
from gateway.domain.times import read_time
from gateway.ocpp.v16.profiles.common import event, shown

SETTLE: Final = timedelta(seconds=10)
"""From a request to certify a key until another key may take its place: a charger that makes a new one in a loop, in
answer to a lost confirmation, has no authority sign them all."""


def query_sign_certificate(_: ChargePointState, request: Request[call.SignCertificate]) -> SigningQuery:
    return SigningQuery(request.payload.csr)


def decide_sign_certificate(
    state: ChargePointState, request: Request[call.SignCertificate], facts: Facts, context: Context
) -> Decision:
    """Accepted where the key may be certified: a service is asked, and its certificate follows by CertificateSigned
    (WP A02.FR.03 to 11, B11.1). The same request once more, because its answer was lost, is the same one; another one
    takes its place."""
    verdict, open_ = facts.signing, state.signing
    assert verdict is not None, "its query is always answered"
    refused = verdict.refused
    if not refused and open_ is not None:
        if open_.csr == request.payload.csr:
            return Decision({"status": "Accepted"})
        if timedelta(0) <= context.now - open_.created_at < SETTLE:
            refused = "csr_too_soon"
    if refused:
        return Decision({"status": "Rejected"}, (event(request, context, CertificateRequestRefused(refused)),))
    bodies: list[Body] = []
    if open_ is not None:
        bodies.append(CertificateSigningEnded(open_.signing_id, SigningEnd.SUPERSEDED))
    bodies.append(
        CertificateRequested(
            verdict.signing_id, request.payload.csr, verdict.expires_at, verdict.subject, verdict.key_type
        )
    )
    return Decision({"status": "Accepted"}, tuple(event(request, context, each) for each in bodies))


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
    state: ChargePointState, request: Request[call.LogStatusNotification], __: Facts, context: Context
) -> Decision:
    """LogStatusNotification; its request id may be missing (WP N01.FR.12, B11.9)."""
    status, number = str(request.payload.status), request.payload.request_id
    command_id = command_of(state.progress, Work.LOG, status, number)
    return Decision({}, (event(request, context, LogStatusReported(status, number, command_id)),))


def decide_signed_firmware_status(
    state: ChargePointState, request: Request[call.SignedFirmwareStatusNotification], __: Facts, context: Context
) -> Decision:
    """SignedFirmwareStatusNotification, also InvalidSignature and out of order (B11.8)."""
    status, number = str(request.payload.status), request.payload.request_id
    command_id = command_of(state.progress, Work.FIRMWARE, status, number)
    body = FirmwareStatusReported(status, number, signed=True, command_id=command_id)
    return Decision({}, (event(request, context, body),))

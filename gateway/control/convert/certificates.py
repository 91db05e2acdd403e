"""Events of chargers' certificates as messages."""

from collections.abc import Callable
from typing import Any

from gateway.api.v1 import event_pb2 as pb
from gateway.control.convert.common import timestamp
from gateway.domain import events as e

BODIES: dict[type[e.Body], tuple[str, Callable[[Any], Any]]] = {
    e.CertificateRequested: (
        "certificate_requested",
        lambda body: pb.CertificateRequested(
            signing_id=body.signing_id,
            csr=body.csr,
            expire_time=timestamp(body.expires_at),
            subject=body.subject,
            key_type=body.key_type,
        ),
    ),
    e.CertificateRequestRefused: (
        "certificate_request_refused",
        lambda body: pb.CertificateRequestRefused(reason=body.reason),
    ),
    e.CertificateIssued: (
        "certificate_issued",
        lambda body: pb.CertificateIssued(
            signing_id=body.signing_id,
            certificate_chain=body.chain,
            serial_number=body.serial_number,
            certificate_expire_time=timestamp(body.not_after),
        ),
    ),
    e.CertificateSigningEnded: (
        "certificate_signing_ended",
        lambda body: pb.CertificateSigningEnded(signing_id=body.signing_id, end=body.end, reason=body.reason),
    ),
    e.CertificateInstalled: (
        "certificate_installed",
        lambda body: pb.CertificateInstalled(
            serial_number=body.serial_number,
            certificate_expire_time=timestamp(body.not_after),
            signing_id=body.signing_id,
        ),
    ),
    e.CertificateExpiring: (
        "certificate_expiring",
        lambda body: pb.CertificateExpiring(
            serial_number=body.serial_number,
            certificate_expire_time=timestamp(body.not_after),
            expired=body.expired,
        ),
    ),
}
"""As ``gateway.control.convert.events`` has them for all others."""

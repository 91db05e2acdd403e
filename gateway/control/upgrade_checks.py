"""Prerequisites of an upgrade of a charger's security profile (WP A05.FR.01 to FR.05, B11.11). Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from gateway.domain.operations import SECURITY_PROFILE, OperationRefusal, OperationRefused, OperationRequest
from gateway.domain.records import ChargePointRecord, Credential, CredentialKind

CA_CERTIFICATE: Final = "ca_certificate_installed"
CLIENT_CERTIFICATE: Final = "client_certificate_installed"
"""What the caller may say that the charger has."""

BY_COMMAND: Final = "cred_of_"
"""Begin of the ids of keys that were sent to the charger: they have 16 bytes at least."""

BASIC, CERTIFICATE = 2, 3


def refusal(
    request: OperationRequest,
    record: ChargePointRecord,
    credentials: tuple[Credential, ...],
    profiles: Collection[int],
    now: datetime,
) -> OperationRefused | None:
    """The reason for which the upgrade is not begun; None: nothing speaks against it. ``profiles``: those that the
    gateway's listeners let in."""
    given: Mapping[str, object] = request.arguments if isinstance(request.arguments, dict) else {}
    target = given.get(SECURITY_PROFILE)
    if not isinstance(target, int) or target not in profiles:
        return _missing("listener", f"no listener of the gateway lets chargers in with security profile {target}")
    present = max(
        record.connection.security_profile if record.connection.connected else 0, record.minimum_security_profile
    )
    if present >= target:
        return OperationRefused(
            OperationRefusal.PROFILE_NOT_HIGHER,
            f"the charge point has security profile {present} already, and none goes down (A05.FR.09)",
            {"security_profile": str(present)},
        )
    # A charger that is connected by TLS has the authority of the gateway's certificate.
    if target == BASIC and not given.get(CA_CERTIFICATE) and present < BASIC:
        return _missing(
            "ca_certificate", "it has to have the authority of the gateway's certificate: install it, and say so"
        )
    if target == BASIC and not any(map(_is_long_enough, credentials)):
        return _missing("authorization_key", "its key may be shorter than 16 bytes: rotate it first")
    if target == CERTIFICATE and not given.get(CLIENT_CERTIFICATE) and not _has_certificate(record, now):
        return _missing("client_certificate", "it has to have a certificate of its own: renew it first, or say so")
    return None


def _missing(what: str, message: str) -> OperationRefused:
    return OperationRefused(OperationRefusal.PREREQUISITE_MISSING, message, {"missing": what})


def _is_long_enough(credential: Credential) -> bool:
    """Return true if a key is known to have 16 bytes (A7.6)."""
    return credential.kind is CredentialKind.GENERATED or credential.credential_id.startswith(BY_COMMAND)


def _has_certificate(record: ChargePointRecord, now: datetime) -> bool:
    return record.certificate is not None and record.certificate.not_after > now

"""Prerequisites of an upgrade of the security profile."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from gateway.api.v1 import operation_pb2 as pb
from gateway.client import problem_of
from gateway.control.upgrade_checks import CA_CERTIFICATE, CLIENT_CERTIFICATE, refusal
from gateway.domain.certificates import CertificateFacts
from gateway.domain.credentials import generate_key, make_credential
from gateway.domain.operations import SECURITY_PROFILE, OperationKind, OperationRefusal, OperationRequest
from gateway.domain.records import ChargePointRecord, ConnectionRecord, Credential, CredentialKind
from gateway.domain.values import Registration

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GENERATED = make_credential(generate_key(), CredentialKind.GENERATED, NOW)
SHORT = make_credential(b"12345678", CredentialKind.IMPORTED, NOW)
SENT = Credential("cred_of_cmd_1", CredentialKind.IMPORTED, b"", b"", NOW)


def charge_point(profile: int = 2, minimum: int = 0, valid_for: timedelta | None = None) -> ChargePointRecord:
    certificate = None if valid_for is None else CertificateFacts("01", NOW + valid_for)
    connection = ConnectionRecord(connected=True, epoch=1, security_profile=profile)
    return ChargePointRecord(
        "CP1",
        Registration.ACCEPTED,
        NOW,
        NOW,
        connection=connection,
        minimum_security_profile=minimum,
        certificate=certificate,
    )


@pytest.mark.parametrize(
    ("record", "key", "profile", "said", "missing"),
    [
        (charge_point(1), GENERATED, 2, {}, "ca_certificate"),
        (charge_point(1), GENERATED, 2, {CA_CERTIFICATE: True}, None),
        (charge_point(1), SENT, 2, {CA_CERTIFICATE: True}, None),
        (charge_point(1), SHORT, 2, {CA_CERTIFICATE: True}, "authorization_key"),
        (charge_point(), SHORT, 3, {}, "client_certificate"),
        (charge_point(), SHORT, 3, {CLIENT_CERTIFICATE: True}, None),
        (charge_point(valid_for=timedelta(days=1)), SHORT, 3, {}, None),
        (charge_point(valid_for=timedelta(days=-1)), SHORT, 3, {}, "client_certificate"),
        (charge_point(), GENERATED, 4, {CLIENT_CERTIFICATE: True}, "listener"),
    ],
)
def test_each_prerequisite_is_checked(record, key, profile, said, missing):
    """Count what is known, and else the caller's word; the refusal names what is missing."""
    request = OperationRequest(OperationKind.UPGRADE_SECURITY_PROFILE, arguments={SECURITY_PROFILE: profile, **said})
    found = refusal(request, record, (key,), {1, 2, 3}, NOW)
    assert (None if found is None else (found.reason, found.metadata)) == (
        None if missing is None else (OperationRefusal.PREREQUISITE_MISSING, {"missing": missing})
    )


@pytest.mark.parametrize("record", [charge_point(3), charge_point(2, minimum=3)])
def test_a_profile_only_rises(record):
    """A05.FR.09: neither below what it has, nor to the same."""
    for profile in (2, 3):
        request = OperationRequest(OperationKind.UPGRADE_SECURITY_PROFILE, arguments={SECURITY_PROFILE: profile})
        found = refusal(request, record, (GENERATED,), {2, 3}, NOW)
        assert found is not None
        assert found.reason is OperationRefusal.PROFILE_NOT_HIGHER


async def test_what_is_missing_is_said_over_grpc(gateway):
    """And a profile that is none is refused by its field."""
    await gateway.charge_point()
    request = pb.UpgradeSecurityProfileRequest(charge_point="CP1", request_id="r", security_profile=3)
    with pytest.raises(grpc.RpcError) as refused:
        await gateway.call(gateway.client.operations.UpgradeSecurityProfile, request)
    problem = problem_of(refused.value)
    assert (problem.reason, problem.metadata["missing"]) == ("PREREQUISITE_MISSING", "client_certificate")
    assert gateway.commands.calls == []
    for wrong in (0, 1, 4):
        request.security_profile = wrong
        with pytest.raises(grpc.RpcError) as refused:
            await gateway.call(gateway.client.operations.UpgradeSecurityProfile, request)
        assert [name for name, _ in problem_of(refused.value).violations] == ["security_profile"]

"""Certificates, firmware and logs of a charger: what is sent, and what is shown."""

import json
import re
from pathlib import Path

import pytest

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1 import operation_pb2 as op
from gateway.api.v1.charge_point_pb2 import ChargePoint, ChargerCertificate, ListChargePointsResponse
from tests.cli.fakes import at

ACCEPTED = api.Command(answer=api.CommandAnswer(status=api.StatusAnswer(status="Accepted")))
HASH = api.CertificateHash(hash_algorithm=1, issuer_name_hash="aa", issuer_key_hash="bb", serial_number="01")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file; whether it holds a certificate is for the gateway to say."""
    path = tmp_path / "root.pem"
    path.write_text("pem")
    return path


def test_installed_certificates_are_shown_as_they_are_deleted(fake, run):
    """`delete` takes the words of `installed`."""
    fake.answers["GetInstalledCertificateIds"] = api.GetInstalledCertificateIdsResponse(status=1, certificates=[HASH])
    fake.answers["DeleteCertificate"] = api.DeleteCertificateResponse(command=ACCEPTED, status=1)
    shown = run("certificates", "installed", "HOME-1", "--use", "manufacturer")
    assert shown.stdout.splitlines()[-1].split() == ["01", "SHA256", "aa", "bb"]
    result = run("certificates", "delete", "HOME-1", "--serial", "01", "--name-hash", "aa", "--key-hash", "bb")
    assert result.stdout == "HOME-1 answered: Accepted\n"
    (asked,) = fake.asked("GetInstalledCertificateIds")
    assert asked.certificate_use == api.CERTIFICATE_USE_MANUFACTURER_ROOT_CERTIFICATE
    (deleted,) = fake.asked("DeleteCertificate")
    assert deleted.certificate == HASH


def test_certificates_are_read_from_files(fake, run, certificate):
    """A root, and a charger's own."""
    fake.answers["InstallCertificate"] = api.InstallCertificateResponse(command=ACCEPTED, status=1)
    fake.answers["CertificateSigned"] = api.CertificateSignedResponse(command=ACCEPTED, status=1)
    assert run("certificates", "install", "HOME-1", certificate).exit_code == 0
    assert run("certificates", "assign", "HOME-1", certificate).exit_code == 0
    (root,), (own,) = fake.asked("InstallCertificate"), fake.asked("CertificateSigned")
    assert (root.certificate, root.certificate_use) == ("pem", api.CERTIFICATE_USE_CENTRAL_SYSTEM_ROOT_CERTIFICATE)
    assert own.certificate_chain == "pem"


def test_a_file_that_is_none_is_named_and_not_shown(fake, run, tmp_path):
    """It may be a private key, or a disk image."""
    large = tmp_path / "large"
    large.write_bytes(b"secret" * 20_000)
    for file, why in ((tmp_path / "none", "can't be read"), (large, "no certificate in PEM")):
        result = run("certificates", "install", "HOME-1", file)
        assert result.exit_code == 1
        assert str(file) in result.stderr
        assert why in result.stderr
        assert "secretsecret" not in result.output
    assert not fake.asked("InstallCertificate")


def operation(kind, end, reason=""):
    """An operation as it is watched."""
    stages = [op.OperationStageReached(stage=op.OPERATION_STAGE_ACCEPTED, reach_time=at("2024-05-01T10:00:00Z"))]
    return op.Operation(operation_id="op_1", charge_point="HOME-1", kind=kind, stages=stages, end=end, reason=reason)


def watched(fake, name, kind, end, reason=""):
    """Have the gateway answer with an operation that is begun and followed."""
    found = operation(kind, end, reason)
    fake.answers[name] = getattr(op, f"{name}Response")(operation=found)
    fake.answers["WatchOperation"] = [op.WatchOperationResponse(operation=found)]


def test_a_log_is_asked_for_and_followed(fake, run):
    """A password comes by standard input; a failure is the charger's word."""
    watched(fake, "UploadLog", op.OPERATION_KIND_UPLOAD_LOG, op.OPERATION_END_DONE)
    since = ("--since", "2024-05-01T10:00:00Z")
    result = run("log", "HOME-1", "-", *since, "--retries", 2, input="ftp://u:pw@h/\n")
    assert result.exit_code == 0, result.output
    assert "HOME-1: upload log: done" in result.stdout
    (asked,) = fake.asked("UploadLog")
    assert (asked.log_type, asked.location, asked.retries) == (api.LOG_TYPE_SECURITY_LOG, "ftp://u:pw@h/", 2)
    assert asked.oldest_time == at("2024-05-01T10:00:00Z")
    assert not asked.HasField("latest_time")
    watched(fake, "UploadLog", op.OPERATION_KIND_UPLOAD_LOG, op.OPERATION_END_NO_EFFECT, "UploadFailure")
    result = run("log", "HOME-1", "ftp://h/")
    assert result.exit_code == 1
    assert "no effect (UploadFailure)" in result.stderr


def test_firmware_is_sent_signed_or_not(fake, run, certificate):
    """By the command that fits; half a signature is none."""
    watched(fake, "InstallFirmware", op.OPERATION_KIND_INSTALL_FIRMWARE, op.OPERATION_END_DONE)
    signed = ("--signing-certificate", certificate, "--signature", "c2ln", "--install-at", "2024-05-02")
    assert run("firmware", "HOME-1", "https://h/f", *signed).exit_code == 0
    assert run("firmware", "HOME-1", "https://h/f", "--at", "2024-05-01T10:00:00Z").exit_code == 0
    asked, plain = fake.asked("InstallFirmware")
    assert (asked.signing_certificate, asked.signature) == ("pem", "c2ln")
    assert asked.install_time == at("2024-05-02T00:00:00Z")
    assert (plain.signing_certificate, plain.signature, plain.HasField("install_time")) == ("", "", False)
    assert plain.retrieve_time == at("2024-05-01T10:00:00Z")
    assert run("firmware", "HOME-1", "https://h/f", "--signature", "c2ln").exit_code == 2
    assert run("firmware", "HOME-1", "https://h/f", "--install-at", "2024-05-02").exit_code == 2


def test_firmware_of_which_nothing_is_known_is_no_success(fake, run):
    """It is shown why; and given again with its request id, it is the same request, whatever the time is by now."""
    watched(fake, "InstallFirmware", op.OPERATION_KIND_INSTALL_FIRMWARE, op.OPERATION_END_UNKNOWN, "no-report")
    for _ in range(2):
        result = run("firmware", "HOME-1", "https://h/f", "--request-id", "r1")
        assert result.exit_code == 6
        assert "no-report" in result.stderr
    first, again = fake.asked("InstallFirmware")
    assert first == again
    assert not first.HasField("retrieve_time")


def test_a_certificate_is_renewed(fake, run):
    """And followed, unless that is not wanted."""
    watched(fake, "RenewCertificate", op.OPERATION_KIND_RENEW_CERTIFICATE, op.OPERATION_END_DONE)
    assert "renew certificate: done" in run("certificates", "renew", "HOME-1").stdout
    open_ = operation(op.OPERATION_KIND_RENEW_CERTIFICATE, op.OPERATION_END_UNSPECIFIED)
    fake.answers["RenewCertificate"] = op.RenewCertificateResponse(operation=open_)
    result = run("certificates", "renew", "HOME-1", "--no-wait")
    assert result.exit_code == 0
    assert "gateway charge show op_1" in result.stderr


def test_the_extension_s_own_messages_are_triggered_by_it(fake, run):
    """Others only where that is asked for."""
    fake.answers["ExtendedTriggerMessage"] = api.ExtendedTriggerMessageResponse(command=ACCEPTED, status=1)
    fake.answers["TriggerMessage"] = api.TriggerMessageResponse(command=ACCEPTED, status=1)
    assert run("trigger", "HOME-1", "signchargepointcertificate").exit_code == 0
    assert run("trigger", "HOME-1", "Heartbeat", "--extended").exit_code == 0
    assert run("trigger", "HOME-1", "Heartbeat").exit_code == 0
    assert [each.requested_message for each in fake.asked("ExtendedTriggerMessage")] == [
        api.EXTENDED_TRIGGER_SIGN_CHARGE_POINT_CERTIFICATE,
        api.EXTENDED_TRIGGER_HEARTBEAT,
    ]
    assert len(fake.asked("TriggerMessage")) == 1
    assert run("trigger", "HOME-1", "DiagnosticsStatusNotification", "--extended").exit_code == 2


def test_certificates_are_listed_by_their_ends(fake, run):
    """Of those that have one; with a filter of the caller's as well."""
    certificate = ChargerCertificate(serial_number="0A", expire_time=at("2027-01-02T00:00:00Z"))
    listed = ListChargePointsResponse(charge_points=[ChargePoint(identity="CP1", certificate=certificate)])
    fake.answers["ListChargePoints"] = listed
    _, line = run(
        "certificates", "list", "--within", 30, "--filter", "identity < X OR connected = true"
    ).stdout.splitlines()
    assert line.split() == ["CP1", "0A", "2027-01-02", "00:00:00"]
    (request,) = fake.asked("ListChargePoints")
    assert request.order_by == "certificate_expire_time"
    assert re.fullmatch(r'certificate_expire_time < "[^"]+" AND \(identity < X OR connected = true\)', request.filter)
    (found,) = json.loads(run("certificates", "list", "--json", "--limit", 1).stdout)
    assert found == {"charge_point": "CP1", "serial_number": "0A", "expire_time": "2027-01-02T00:00:00Z"}

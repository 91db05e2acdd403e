"""Requests of the security extension as commands. What OCPP asks of their values is
``gateway.ocpp.v16.security_checks``'s."""

from hashlib import sha256
from typing import Any, Final

from gateway.api.v1 import command_pb2 as pb
from gateway.control.convert.arguments import update_firmware
from gateway.control.convert.enums import CERTIFICATE_USE, EXTENDED_TRIGGER, HASH_ALGORITHM, LOG_TYPE
from gateway.control.convert.requests import Fields
from gateway.domain import security_commands as s
from gateway.domain.firmware import FirmwareUpdate

OCPP_REQUEST_IDS: Final = 2**31
"""OCPP's requestId is an integer, which chargers keep in 32 bits with a sign."""


def made_request_id(request_id: str) -> int:
    """OCPP's requestId for a caller's ``request_id``: the same one each time it is repeated."""
    return int.from_bytes(sha256(request_id.encode()).digest()[:4], "big") % OCPP_REQUEST_IDS


def _ocpp_request_id(request: pb.GetLogRequest | pb.SignedUpdateFirmwareRequest) -> int:
    return request.ocpp_request_id if request.HasField("ocpp_request_id") else made_request_id(request.request_id)


def certificate_signed(request: pb.CertificateSignedRequest, fields: Fields) -> s.CertificateSigned:
    return s.CertificateSigned(fields.text("certificate_chain", request.certificate_chain))


def delete_certificate(request: pb.DeleteCertificateRequest, fields: Fields) -> s.DeleteCertificate:
    fields.present("certificate", request, "certificate")
    given = request.certificate
    algorithm = fields.word("certificate.hash_algorithm", HASH_ALGORITHM, given.hash_algorithm, s.HashAlgorithm.SHA256)
    return s.DeleteCertificate(
        s.CertificateHash(algorithm, given.issuer_name_hash, given.issuer_key_hash, given.serial_number)
    )


def extended_trigger_message(request: pb.ExtendedTriggerMessageRequest, fields: Fields) -> s.ExtendedTriggerMessage:
    return s.ExtendedTriggerMessage(
        fields.word(
            "requested_message", EXTENDED_TRIGGER, request.requested_message, s.ExtendedTrigger.STATUS_NOTIFICATION
        ),
        fields.optional_connector(request),
        request.insist,
    )


def get_installed_certificate_ids(
    request: pb.GetInstalledCertificateIdsRequest, fields: Fields
) -> s.GetInstalledCertificateIds:
    return s.GetInstalledCertificateIds(_use(request, fields))


def get_log(request: pb.GetLogRequest, fields: Fields) -> s.GetLog:
    return s.GetLog(
        fields.word("log_type", LOG_TYPE, request.log_type, s.LogType.SECURITY),
        _ocpp_request_id(request),
        fields.text("location", request.location),
        request.retries if request.HasField("retries") else None,
        fields.optional_seconds("retry_interval", request, "retry_interval"),
        fields.optional_time("oldest_time", request, "oldest_time"),
        fields.optional_time("latest_time", request, "latest_time"),
    )


def install_certificate(request: pb.InstallCertificateRequest, fields: Fields) -> s.InstallCertificate:
    return s.InstallCertificate(_use(request, fields), fields.text("certificate", request.certificate))


def signed_update_firmware(request: pb.SignedUpdateFirmwareRequest, fields: Fields) -> s.SignedUpdateFirmware:
    return s.SignedUpdateFirmware(
        _ocpp_request_id(request),
        fields.text("location", request.location),
        fields.optional_time("retrieve_time", request, "retrieve_time"),
        fields.text("signing_certificate", request.signing_certificate),
        fields.text("signature", request.signature),
        fields.optional_time("install_time", request, "install_time"),
        request.retries if request.HasField("retries") else None,
        fields.optional_seconds("retry_interval", request, "retry_interval"),
    )


OF_SIGNED_FIRMWARE: Final = ("install_time", "ocpp_request_id")
"""Fields for which UpdateFirmware has no place."""


def firmware_update(request: Any, fields: Fields) -> FirmwareUpdate:
    """Signed firmware where a certificate or a signature is given, for which both are needed; plain firmware else.
    ``request``: one whose fields are InstallFirmwareRequest's."""
    if request.signing_certificate or request.signature:
        return signed_update_firmware(request, fields)
    for name in OF_SIGNED_FIRMWARE:
        if request.HasField(name):
            fields.wrong(name, "is for signed firmware: UpdateFirmware has nothing of the kind")
    return update_firmware(request, fields)


def _use(
    request: pb.GetInstalledCertificateIdsRequest | pb.InstallCertificateRequest, fields: Fields
) -> s.CertificateUse:
    stand_in = s.CertificateUse.CENTRAL_SYSTEM_ROOT
    return fields.word("certificate_use", CERTIFICATE_USE, request.certificate_use, stand_in)

"""Conditions that a command of the security extension must fulfil before it may be sent (WP, chapter 5; B11).

As ``checks`` and ``charge_point_checks`` for the commands of the specification.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from gateway.domain import security_commands as s
from gateway.domain.certificates import certificate_problem, chain_problem
from gateway.domain.commands import Command, FieldViolation
from gateway.domain.state import ChargePointState
from gateway.domain.values import Registration
from gateway.ocpp.v16.configuration_keys import number_in
from gateway.ocpp.v16.field_checks import check_connector, check_location, check_retries, check_whole

Findings: TypeAlias = Iterator[FieldViolation]

MAX_LOCATION: Final = 512
"""WP 6.8, 6.9."""

MAX_HASH: Final = 128
"""Hexadecimal digits: those of SHA-512 (WP 6.1)."""

MAX_SERIAL: Final = 40
"""WP 6.1."""

MAX_SIGNATURE: Final = 800
"""Characters of base64 (WP 6.8)."""

CHAIN_SIZE_KEYS: Final = ("CertificateSignedMaxChainSize", "CertificateSignedMaxSize")
"""Two chapters of the whitepaper spell the key differently (X9)."""

OF_A_CONNECTOR: Final = frozenset({s.ExtendedTrigger.METER_VALUES, s.ExtendedTrigger.STATUS_NOTIFICATION})


def _hexadecimal(name: str, value: str, longest: int) -> Findings:
    if not 1 <= len(value) <= longest or any(digit not in "0123456789abcdefABCDEF" for digit in value):
        yield FieldViolation(name, f"must be 1 to {longest} hexadecimal digits, as the charger reported them")


def _certificate_signed(command: s.CertificateSigned) -> Findings:
    problem = chain_problem(command.certificate_chain)
    if problem is not None:
        yield FieldViolation("certificate_chain", problem)


def _delete_certificate(command: s.DeleteCertificate) -> Findings:
    given = command.certificate
    yield from _hexadecimal("certificate.issuer_name_hash", given.issuer_name_hash, MAX_HASH)
    yield from _hexadecimal("certificate.issuer_key_hash", given.issuer_key_hash, MAX_HASH)
    if not 1 <= len(given.serial_number.strip()) <= MAX_SERIAL or not given.serial_number.isprintable():
        yield FieldViolation("certificate.serial_number", f"must have 1 to {MAX_SERIAL} characters")


def _extended_trigger(command: s.ExtendedTriggerMessage) -> Findings:
    yield from check_connector(command.connector, whole=False)
    if command.insist and command.requested is not s.ExtendedTrigger.BOOT_NOTIFICATION:
        yield FieldViolation("insist", "is for BootNotification only")
    if command.connector is not None and command.requested not in OF_A_CONNECTOR:
        yield FieldViolation("connector", f"must be absent: {command.requested} concerns no single connector")


def _nothing(_: Command) -> Findings:
    return iter(())


def _get_log(command: s.GetLog) -> Findings:
    yield from check_location(command.location, MAX_LOCATION)
    yield from check_whole("ocpp_request_id", command.ocpp_request_id)
    yield from check_retries(command.retries, command.retry_interval)
    oldest, latest = command.oldest_time, command.latest_time
    if oldest is not None and latest is not None and latest < oldest:
        yield FieldViolation("latest_time", "must not be before oldest_time")


def _install_certificate(command: s.InstallCertificate) -> Findings:
    problem = certificate_problem(command.certificate)
    if problem is not None:
        yield FieldViolation("certificate", problem)


def _signed_update(command: s.SignedUpdateFirmware) -> Findings:
    yield from check_location(command.location, MAX_LOCATION)
    yield from check_whole("ocpp_request_id", command.ocpp_request_id)
    yield from check_retries(command.retries, command.retry_interval)
    problem = certificate_problem(command.signing_certificate)
    if problem is not None:
        yield FieldViolation("signing_certificate", problem)
    if not 1 <= len(command.signature) <= MAX_SIGNATURE:
        yield FieldViolation("signature", f"must have 1 to {MAX_SIGNATURE} characters")
    elif not _is_base64(command.signature):
        yield FieldViolation("signature", "must be in base64")
    retrieve, install = command.retrieve_date, command.install_date
    if install is not None and retrieve is not None and install < retrieve:
        yield FieldViolation("install_time", "must not be before retrieve_time")


def _is_base64(text: str) -> bool:
    try:
        return bool(b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


CHECKS: Final[Mapping[type[Command], Callable[[Any], Iterable[FieldViolation]]]] = {
    s.CertificateSigned: _certificate_signed,
    s.DeleteCertificate: _delete_certificate,
    s.ExtendedTriggerMessage: _extended_trigger,
    s.GetInstalledCertificateIds: _nothing,
    s.GetLog: _get_log,
    s.InstallCertificate: _install_certificate,
    s.SignedUpdateFirmware: _signed_update,
}


# --- of one charge point, now ---------------------------------------------------------------------------------


def _certificate_signed_of(command: s.CertificateSigned, state: ChargePointState, now: datetime) -> Findings:
    problem = chain_problem(command.certificate_chain, now)
    if problem is not None:
        yield FieldViolation("certificate_chain", problem)
    for key in CHAIN_SIZE_KEYS:
        most = number_in(state.configuration.get(key) or "")
        if most and len(command.certificate_chain) > most:
            length = len(command.certificate_chain)
            yield FieldViolation(
                "certificate_chain", f"has {length} characters; this charge point takes {most} ({key})"
            )
            return


def _extended_trigger_of(command: s.ExtendedTriggerMessage, state: ChargePointState, _: datetime) -> Findings:
    """As a TriggerMessage's (SE 3.40)."""
    booted = state.boot_answer is Registration.ACCEPTED
    if command.requested is s.ExtendedTrigger.BOOT_NOTIFICATION and booted and not command.insist:
        yield FieldViolation(
            "requested_message",
            "the charge point has booted on this connection and is accepted; insist sends it all the same",
        )


def _install_certificate_of(command: s.InstallCertificate, _: ChargePointState, now: datetime) -> Findings:
    problem = certificate_problem(command.certificate, now)
    if problem is not None:
        yield FieldViolation("certificate", problem)


def _signed_update_of(command: s.SignedUpdateFirmware, _: ChargePointState, now: datetime) -> Findings:
    problem = certificate_problem(command.signing_certificate, now)
    if problem is not None:
        yield FieldViolation("signing_certificate", problem)


CHECKS_AGAINST: Final[Mapping[type[Command], Callable[[Any, ChargePointState, datetime], Iterable[FieldViolation]]]] = {
    s.CertificateSigned: _certificate_signed_of,
    s.ExtendedTriggerMessage: _extended_trigger_of,
    s.InstallCertificate: _install_certificate_of,
    s.SignedUpdateFirmware: _signed_update_of,
}

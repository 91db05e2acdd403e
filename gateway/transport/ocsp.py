"""Questions to OCSP responders about one certificate each, and the reading of their answers (RFC 6960). Pure.

An answer counts only where it is about the certificate that was asked about, is signed by its issuer or by a responder
that the issuer certified for this (§4.2.2.2), carries no other question's nonce, and is in its time.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from gateway.transport.certificate_files import DAMAGED, issued_by

NONCE_BYTES: Final = 32
"""The length that every responder has to take (RFC 9654 §2.1)."""

MAX_AHEAD: Final = timedelta(minutes=5)
"""How far a responder's clock may be ahead of this machine's."""

MAX_AGE: Final = timedelta(hours=1)
"""The longest that an answer counts, whatever it says of its next update: what is revoked meanwhile is noticed then."""

WITHOUT_NEXT_UPDATE: Final = timedelta(minutes=1)
"""How long an answer counts that names no next update: there is always a newer one then (RFC 6960 §2.4)."""

MAX_DELEGATES: Final = 4
"""Certificates in an answer that are looked at for its signer; there is one where the issuer has not signed itself."""

MAX_RESPONSES: Final = 16
"""Certificates that one answer may be about: one was asked about; made in advance, some more."""


class Standing(Enum):
    """Standing of a certificate with its issuer."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    """The responder does not know of it: it was not issued, or not there."""


@frozen
class Question:
    """A question about one certificate. ``der`` is what is sent."""

    der: bytes
    nonce: bytes


@frozen
class Status:
    """A responder's word on one certificate, which counts until ``until``."""

    standing: Standing
    until: datetime


class UnusableAnswer(Exception):
    """The answer says nothing that counts; the message is a stable word."""


def question(certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes) -> Question:
    """Ask about a certificate of ``issuer``. Names and keys are named by their SHA-1, which every responder knows and
    which protects nothing here (RFC 5019 §2.1.1)."""
    made = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1())  # noqa: S303
    made = made.add_extension(x509.OCSPNonce(nonce), critical=False)
    return Question(made.build().public_bytes(Encoding.DER), nonce)


def responders(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the responders that a certificate names, as far as they are asked over HTTP. Raises those of
    ``DAMAGED``."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        each.access_location.value
        for each in access
        if each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
        and each.access_location.value.lower().startswith("http://")
    )


def read_answer(data: bytes, asked: Question, issuer: x509.Certificate, now: datetime) -> Status:
    """Read what a responder has answered (DER). Raises UnusableAnswer."""
    try:
        answer = ocsp.load_der_ocsp_response(data)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise UnusableAnswer(f"responder_{answer.response_status.name.lower()}")
        _require_nonce(answer, asked.nonce)
        if not any(_has_signed(each, answer) for each in _signers(answer, issuer, now)):
            raise UnusableAnswer("signature")
        return _status(answer, ocsp.load_der_ocsp_request(asked.der), now)
    except (*DAMAGED, UnsupportedAlgorithm, TypeError) as exc:
        raise UnusableAnswer("damaged") from exc


def _require_nonce(answer: ocsp.OCSPResponse, nonce: bytes) -> None:
    """An answer that was made in advance has none (RFC 5019 §4); another one is that of another question."""
    try:
        found = answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return
    if found != nonce:
        raise UnusableAnswer("nonce")


def _signers(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> Iterator[x509.Certificate]:
    """The issuer, and those in the answer that it has certified to answer in its place."""
    yield issuer
    for each in answer.certificates[:MAX_DELEGATES]:
        try:
            usages = each.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:
            continue
        in_time = each.not_valid_before_utc <= now < each.not_valid_after_utc
        if in_time and ExtendedKeyUsageOID.OCSP_SIGNING in usages and issued_by(each, issuer):
            yield each


def _has_signed(signer: x509.Certificate, answer: ocsp.OCSPResponse) -> bool:
    algorithm, signed = answer.signature_hash_algorithm, answer.tbs_response_bytes
    if algorithm is None or isinstance(algorithm, SHA1):
        return False  # a signature by SHA-1 can be forged
    try:
        match signer.public_key():
            case rsa.RSAPublicKey() as key:
                key.verify(answer.signature, signed, padding.PKCS1v15(), algorithm)
            case ec.EllipticCurvePublicKey() as key:
                key.verify(answer.signature, signed, ec.ECDSA(algorithm))
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def _status(answer: ocsp.OCSPResponse, asked: ocsp.OCSPRequest, now: datetime) -> Status:
    for number, each in enumerate(answer.responses):
        if number >= MAX_RESPONSES:
            break
        if _key(each) == _key(asked):
            return _status_of(each, now)
    raise UnusableAnswer("another_certificate")


def _key(of: ocsp.OCSPRequest | ocsp.OCSPSingleResponse) -> tuple[str, bytes, bytes, int]:
    return of.hash_algorithm.name, of.issuer_name_hash, of.issuer_key_hash, of.serial_number


def _status_of(found: ocsp.OCSPSingleResponse, now: datetime) -> Status:
    begins, ends = found.this_update_utc, found.next_update_utc
    if begins > now + MAX_AHEAD:
        raise UnusableAnswer("not_valid_yet")
    if ends is None:
        if now - begins > MAX_AGE:
            raise UnusableAnswer("stale")
        ends = now + WITHOUT_NEXT_UPDATE
    elif ends <= now:
        raise UnusableAnswer("stale")
    standing = Standing(found.certificate_status.name.lower())
    return Status(standing, min(ends, now + MAX_AGE))

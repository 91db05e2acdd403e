"""Certificates of chargers and their signing requests, as far as the gateway judges them (WP A02, M05; B11.2).

Reasons are stable words; what is wrong with a certificate that a caller gives is said in words for people. Neither
repeats what was given: it may be a private key. Pure.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

MAX_REQUEST: Final = 5_500
"""Characters of a signing request (WP 5.16)."""

MAX_CHAIN: Final = 10_000
"""Characters of a certificate with those that issued it (WP 5.1)."""

MAX_CERTIFICATE: Final = 5_500
"""Characters of a root, or of one that signs firmware (WP 5.10, 6.8)."""

MIN_RSA_BITS: Final = 2_048
"""WP A00.FR.502."""

MAX_RSA_BITS: Final = 4_096
"""Verifying takes time that grows with the key; none that a charger uses is larger."""

MAX_CERTIFICATES: Final = 10
"""Certificates in one chain: more don't fit into its characters."""

CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
"""Curves of 256 bits and more that chargers' libraries have."""

WEAK: Final = (hashes.MD5, hashes.SHA1)

DAMAGED: Final = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
    InvalidSignature,
)
"""Errors of reading bytes that are no certificate, or one that can't be used."""

_BLOCK: Final = r"-----BEGIN {0}-----[A-Za-z0-9+/=\s]{{1,20000}}-----END {0}-----\s*"
_CERTIFICATES: Final = re.compile(rf"\s*(?:{_BLOCK.format('CERTIFICATE')}){{1,{MAX_CERTIFICATES}}}")
_REQUEST: Final = re.compile(
    rf"\s*(?:{_BLOCK.format('CERTIFICATE REQUEST')}|{_BLOCK.format('NEW CERTIFICATE REQUEST')})"
)


@frozen
class SigningSubject:
    """The name and the key that a signing request asks to have certified."""

    subject: x509.Name
    alternative_names: tuple[str, ...]
    """DNS names and URIs among its subject alternative names."""
    key: bytes = field(repr=False)
    """SubjectPublicKeyInfo in DER."""
    key_type: str
    """``RSA 2048``, ``EC secp256r1`` ..."""


@frozen
class CertificateFacts:
    """Facts about a charger's certificate that are kept. ``serial_number`` in hexadecimal."""

    serial_number: str
    not_after: datetime


# --- signing requests -----------------------------------------------------------------------------------------


def read_request(pem: str) -> SigningSubject | str:
    """A signing request, or why it is not to be signed, as a stable word. Its name is for a rule to judge."""
    if len(pem) > MAX_REQUEST:
        return "csr_too_long"
    if _REQUEST.fullmatch(pem) is None:
        return "csr_not_pem"
    try:
        request = x509.load_pem_x509_csr(pem.strip().encode())
        key = request.public_key()
        bad = _key_problem(key)
        if bad is not None:
            return f"csr_{bad}"
        if isinstance(request.signature_hash_algorithm, WEAK):
            return "csr_signature_weak"
        if not request.is_signature_valid:
            return "csr_signature_wrong"
        names = _alternative_names(request.extensions)
        subject = request.subject
    except DAMAGED:
        return "csr_unreadable"
    return SigningSubject(subject, names, public_bytes(key), _key_name(key))


def _key_problem(key: object) -> str | None:
    match key:
        case rsa.RSAPublicKey(key_size=bits):
            if bits < MIN_RSA_BITS:
                return "key_too_small"
            return "key_too_large" if bits > MAX_RSA_BITS else None
        case ec.EllipticCurvePublicKey(curve=curve):
            if isinstance(curve, CURVES):
                return None
            return "key_too_small" if curve.key_size < CURVES[0].key_size else "key_type_unknown"
        case _:
            return "key_type_unknown"


def _key_name(key: object) -> str:
    match key:
        case rsa.RSAPublicKey(key_size=bits):
            return f"RSA {bits}"
        case ec.EllipticCurvePublicKey(curve=curve):
            return f"EC {curve.name}"
        case _:
            return ""


def _alternative_names(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found: list[str] = names.get_values_for_type(x509.DNSName)
    return (*found, *names.get_values_for_type(x509.UniformResourceIdentifier))


def public_bytes(key: object) -> bytes:
    """A public key as SubjectPublicKeyInfo in DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


# --- certificates ---------------------------------------------------------------------------------------------


def read_certificates(pem: str, most: int) -> tuple[x509.Certificate, ...] | str:
    """The certificates of a PEM text of at most ``most`` characters, or what is wrong with it."""
    if len(pem) > most:
        return f"has {len(pem)} characters; at most {most} are allowed"
    if "PRIVATE KEY" in pem:
        return "holds a private key, which has no place here: it has left where it belongs, and is to be replaced"
    if _CERTIFICATES.fullmatch(pem) is None:
        return f"must be 1 to {MAX_CERTIFICATES} certificates in PEM, and nothing else"
    try:
        found = tuple(x509.load_pem_x509_certificates(pem.encode()))
        for each in found:
            _ = each.subject, each.issuer, each.public_key(), each.extensions
    except DAMAGED:
        return "holds a certificate that can't be read"
    return found


def certificate_problem(pem: str, now: datetime | None = None) -> str | None:
    """The fault of one certificate in PEM; ``now``: whether it is in its time, too."""
    found = read_certificates(pem, MAX_CERTIFICATE)
    if isinstance(found, str):
        return found
    if len(found) != 1:
        return "must be one certificate"
    return None if now is None else _time_problem(found, now)


def chain_problem(pem: str, now: datetime | None = None, csr: str = "") -> str | None:
    """The fault of a charger's certificate and those that issued it, in this order, as PEM.

    ``now``: all have to be in their time; ``csr``: the first has to be of this request's key and common name.
    """
    found = read_certificates(pem, MAX_CHAIN)
    if isinstance(found, str):
        return found
    try:
        fault = _unfit(found[0], csr) if csr else None
        if fault is not None:
            return fault
        constraints = found[0].extensions.get_extension_for_class(x509.BasicConstraints).value
        if constraints.ca:
            return "the first certificate is an authority's, not a charger's"
    except x509.ExtensionNotFound:
        pass
    except DAMAGED:
        return "holds a certificate that can't be read"
    for number, (issued, issuer) in enumerate(pairwise(found), 2):
        try:
            issued.verify_directly_issued_by(issuer)
        except DAMAGED:
            return f"certificate {number} did not issue the one before it: the charger's comes first, its issuer next"
    return None if now is None else _time_problem(found, now)


def _unfit(certificate: x509.Certificate, csr: str) -> str | None:
    """The difference to a request that has been read before."""
    asked = read_request(csr)
    if isinstance(asked, str) or public_bytes(certificate.public_key()) != asked.key:
        return "the first certificate is not of the key in the signing request"
    if _common_names(certificate.subject) != _common_names(asked.subject):
        return "the first certificate has another common name than the signing request"
    return None


def _common_names(subject: x509.Name) -> list[str | bytes]:
    return [each.value for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _time_problem(found: Sequence[x509.Certificate], now: datetime) -> str | None:
    for number, each in enumerate(found, 1):
        if each.not_valid_after_utc <= now:
            return f"certificate {number} expired on {each.not_valid_after_utc:%Y-%m-%d}"
        if each.not_valid_before_utc > now:
            return f"certificate {number} is not valid before {each.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return None


def facts_of(certificate: bytes | str | None) -> CertificateFacts | None:
    """The facts about a certificate in DER, or of the first one in PEM; None: it can't be read, or there is none."""
    if not certificate:
        return None
    try:
        if isinstance(certificate, str):
            read = x509.load_pem_x509_certificate(certificate.encode())
        else:
            read = x509.load_der_x509_certificate(certificate)
        return CertificateFacts(f"{read.serial_number:x}", read.not_valid_after_utc)
    except DAMAGED:
        return None

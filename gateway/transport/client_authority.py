"""Issuers of chargers' certificates, and their lists of revoked ones (CRLs): security profile 3's part of TLS.

OpenSSL verifies a certificate in a full handshake only. A resumed one carries the certificate of the first, and since
then it may have been revoked or have expired; so ``ClientAuthority.refusal`` looks at it after every handshake.
"""

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.transport.certificate_files import (
    DAMAGED,
    TlsConfigurationError,
    TlsFault,
    Unusable,
    issued_by,
    read,
    require_readable,
)

MAX_ISSUERS: Final = 64
"""Certificates of a bundle: each may be looked at for each connection. A charging platform has a few."""

MAX_DEPTH: Final = 8
"""Issuers above a certificate; real chains have two or three."""

_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


@frozen(eq=False)
class Revocations:
    """The certificates that one issuer has revoked, by serial number, as of ``issued``; stale from ``next_update``."""

    serials: frozenset[int]
    issued: datetime
    next_update: datetime

    def is_current(self, now: datetime) -> bool:
        """Return true if the list has begun and no newer one is due."""
        return self.issued <= now < self.next_update


@frozen(eq=False)
class ClientAuthority:
    """Issuers of clients' certificates, and what each of them has revoked.

    ``revocations`` are by the issuer's fingerprint; with any, each issuer has one. ``accepts_stale``: a list that is
    out of date counts on, instead of refusing all chargers of its issuer.
    """

    path: Path
    issuers: tuple[x509.Certificate, ...]
    crl: Path | None = None
    revocations: Mapping[bytes, Revocations] = {}
    accepts_stale: bool = False

    def trust_in(self, context: ssl.SSLContext) -> None:
        """Have ``context`` demand a certificate of these issuers. Raises Unusable."""
        try:
            context.load_verify_locations(cadata=b"".join(each.public_bytes(Encoding.DER) for each in self.issuers))
        except ssl.SSLError as exc:
            raise Unusable(f"{self.path}: {exc.reason}") from exc
        context.verify_mode = ssl.CERT_REQUIRED

    def refusal(self, certificate: bytes | None, now: datetime) -> str | None:
        """Return why a client with this certificate (DER) may not come in now, as a stable word; None: it may.

        Looked at are the certificate and its issuers, as far as they are in the bundle: their time, and whether they
        are revoked.
        """
        if certificate is None:
            return "client_certificate_missing"
        try:
            leaf = x509.load_der_x509_certificate(certificate)
            require_readable(leaf)
        except DAMAGED:
            return "client_certificate_damaged"
        if leaf.not_valid_after_utc <= now:
            return "client_certificate_expired"
        if leaf.not_valid_before_utc > now:
            return "client_certificate_not_valid_yet"
        return self._refusal_by_issuers(leaf, now, 0)

    def _refusal_by_issuers(self, certificate: x509.Certificate, now: datetime, depth: int) -> str | None:
        """One issuer that has nothing against it is enough: a renewed one stands beside the one before."""
        reason = "client_issuer_unknown"
        for issuer in self.issuers if depth < MAX_DEPTH else ():
            if issuer.subject == certificate.issuer and issued_by(certificate, issuer):
                found = self._refusal_by(issuer, certificate, now)
                if found is None and issuer.issuer != issuer.subject:
                    found = self._refusal_by_issuers(issuer, now, depth + 1)
                if found is None:
                    return None
                reason = found
        return reason

    def _refusal_by(self, issuer: x509.Certificate, certificate: x509.Certificate, now: datetime) -> str | None:
        if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
            return "client_issuer_expired"
        if self.crl is None:
            return None
        revocations = self.revocations[issuer.fingerprint(SHA256())]
        if certificate.serial_number in revocations.serials:
            return "client_certificate_revoked"
        if not self.accepts_stale and not revocations.is_current(now):
            return "client_crl_stale"
        return None

    def issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """Return an authority that issued this certificate; None: there is none."""
        for issuer in self.issuers:
            if issuer.subject == certificate.issuer and issued_by(certificate, issuer):
                return issuer
        return None

    def validity(self, now: datetime) -> Iterator[TlsFault]:
        """Return the reasons why chargers with sound certificates would be refused: nothing but expired issuers, or a
        stale list of revoked certificates."""
        if not any(each.not_valid_before_utc <= now < each.not_valid_after_utc for each in self.issuers):
            yield TlsFault("client_authority", f"{self.path}: all of its certificates are expired or not valid yet")
        if self.accepts_stale:
            return
        for issuer in self.issuers:
            revocations = self.revocations.get(issuer.fingerprint(SHA256()))
            if revocations is not None and not revocations.is_current(now):
                yield TlsFault(
                    "client_crl",
                    f"{self.crl}: the list of {shown(issuer.subject)} is stale: it was made on "
                    f"{revocations.issued:%Y-%m-%d} and to be renewed by {revocations.next_update:%Y-%m-%d}",
                )

    def expiries(self) -> Iterator[tuple[str, Path, datetime]]:
        """Return when the first of the issuers expires, and when the first list is to be renewed: setting, file,
        time."""
        yield "client_authority", self.path, min(each.not_valid_after_utc for each in self.issuers)
        if self.crl is not None:
            yield "client_crl", self.crl, min(each.next_update for each in self.revocations.values())


def read_authority(path: Path, crl: Path | None = None, *, accepts_stale: bool = False) -> ClientAuthority:
    """Read a bundle of issuers in PEM and, where there is one, a file of their lists of revoked certificates.

    Raises TlsConfigurationError, at ``client_authority`` and ``client_crl``.
    """
    try:
        issuers = _issuers(path)
    except Unusable as exc:
        raise TlsConfigurationError([TlsFault("client_authority", str(exc))]) from exc
    if crl is None:
        return ClientAuthority(path, issuers)
    try:
        return ClientAuthority(path, issuers, crl, _revocations(crl, issuers, path), accepts_stale)
    except Unusable as exc:
        raise TlsConfigurationError([TlsFault("client_crl", str(exc))]) from exc


def shown(name: x509.Name) -> str:
    """A subject for people."""
    return name.rfc4514_string() or "an issuer without a name"


def _issuers(path: Path) -> tuple[x509.Certificate, ...]:
    data = read(path)
    try:
        issuers = tuple(x509.load_pem_x509_certificates(data))
        for each in issuers:
            require_readable(each)
    except DAMAGED as exc:
        if b"CERTIFICATE-----" in data:
            raise Unusable(f"{path}: a certificate is damaged") from exc
        raise Unusable(f"{path} holds no certificate in PEM") from exc
    if len(issuers) > MAX_ISSUERS:
        raise Unusable(f"{path}: more than {MAX_ISSUERS} certificates")
    for each in issuers:
        if not _is_authority(each):
            raise Unusable(f"{path}: {shown(each.subject)} is not the certificate of an authority")
    return issuers


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *DAMAGED):
        return False


def _revocations(path: Path, issuers: Sequence[x509.Certificate], bundle: Path) -> dict[bytes, Revocations]:
    data = read(path)
    found: dict[bytes, Revocations] = {}
    parts = _CRL.findall(data)
    if not parts:
        raise Unusable(f"{path} holds no list of revoked certificates in PEM")
    for part in parts:
        try:
            listed = x509.load_pem_x509_crl(part)
            issuer = _issuer_of(listed, issuers)
            name = shown(listed.issuer)
            if issuer is None:
                raise Unusable(f"{path}: the list of {name} is signed by none of {bundle}")
            if _is_partial(listed):
                raise Unusable(f"{path}: the list of {name} is for a part of its certificates only")
            if listed.next_update_utc is None:
                raise Unusable(f"{path}: the list of {name} does not say when it is to be renewed")
            serials = frozenset(each.serial_number for each in listed)
        except (*DAMAGED, TypeError, UnsupportedAlgorithm) as exc:
            raise Unusable(f"{path}: a list of revoked certificates is damaged") from exc
        key = issuer.fingerprint(SHA256())
        if key in found:
            raise Unusable(f"{path}: there are two lists of {name}")
        found[key] = Revocations(serials, listed.last_update_utc, listed.next_update_utc)
    for each in issuers:
        if each.fingerprint(SHA256()) not in found:
            raise Unusable(f"{path}: there is no list of {shown(each.subject)}, which is in {bundle}")
    return found


def _issuer_of(listed: x509.CertificateRevocationList, issuers: Sequence[x509.Certificate]) -> x509.Certificate | None:
    for each in issuers:
        if each.subject == listed.issuer and listed.is_signature_valid(each.public_key()):  # type: ignore[arg-type]
            return each
    return None


def _is_partial(listed: x509.CertificateRevocationList) -> bool:
    """Return true if it is of some certificates only, or on top of another list (RFC 5280 §5.2.4, §5.2.5)."""
    for extension in listed.extensions:
        match extension.value:
            case x509.DeltaCRLIndicator():
                return True
            case x509.IssuingDistributionPoint() as point:
                if (
                    point.only_contains_user_certs
                    or point.only_contains_ca_certs
                    or point.only_contains_attribute_certs
                    or point.only_some_reasons
                    or point.indirect_crl
                ):
                    return True
            case _ if extension.critical:
                return True
    return False

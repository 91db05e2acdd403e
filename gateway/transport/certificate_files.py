"""Certificates and keys in files: read once, and checked for what would keep chargers from trusting them.

What was read is what is checked and served later: a file that is replaced in between changes nothing.
"""

import ssl
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.errors import GatewayError
from gateway.transport.memory_file import path_of
from gateway.transport.tls_policies import bare_context

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Of one file. Chains and keys have a few kilobytes; a list of 400,000 revoked certificates has this."""

FIRST_ISSUER: Final = 2
"""Place of the certificate that issued the server's own: unless that one is valid, no charger trusts the server."""

_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of a key that is another certificate's; the last where the two are of different types."""

DAMAGED: Final = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What reading a certificate, or a list of revoked ones, raises for bytes that are none."""

FileState: TypeAlias = tuple[int, int, int, int] | None
"""Device, inode, size and time of change (nanoseconds) of a file; None: it can't be looked at."""


FileStates: TypeAlias = tuple[FileState, ...]
"""The states of several."""


@frozen
class TlsFault:
    """Reason why a file can't be used. ``place`` is the path of its setting within the listener's, like
    ``certificates[1].key``; ``reason`` names the file."""

    place: str
    reason: str


class TlsConfigurationError(GatewayError):
    """The certificate, key, authority or revocation files cannot be used. The message names the files and the
    reasons."""

    def __init__(self, faults: Sequence[TlsFault]) -> None:
        super().__init__("; ".join(fault.reason for fault in faults))
        self.faults = tuple(faults)


class Unusable(Exception):
    """Says which file can't be used, and why."""


@frozen
class CertificateFiles:
    """A PEM certificate chain, leaf first, and its unencrypted PEM private key."""

    certificate: Path
    key: Path


@frozen(eq=False)
class CertificatePair:
    """The contents of ``files``."""

    files: CertificateFiles
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have ``context`` serve it. Raises Unusable where the two don't belong together, or OpenSSL refuses them."""
        files = self.files

        def no_password() -> str:
            # Without this OpenSSL would prompt on the terminal and wait there.
            raise Unusable(f"{files.key}: the key is encrypted")

        try:
            with path_of(self.certificate) as certificate, path_of(self.key) as key:
                context.load_cert_chain(certificate, key, password=no_password)
        except OSError as exc:
            if isinstance(exc, ssl.SSLError) and exc.reason in _MISMATCHES:
                raise Unusable(f"{files.key} does not belong to {files.certificate}") from exc
            raise Unusable(f"{files.key} can't be used with {files.certificate}: {why(exc)}") from exc

    @property
    def kind(self) -> str:
        """The kind of its key, ``RSA`` or ``ECDSA``. Raises Unusable for any other."""
        path = self.files.certificate
        try:
            public = _leaf(self.certificate, path).public_key()
        except (*DAMAGED, UnsupportedAlgorithm):
            public = None
        match public:
            case rsa.RSAPublicKey():
                return "RSA"
            case ec.EllipticCurvePublicKey():
                return "ECDSA"
            case _:
                raise Unusable(f"{path}: the key is neither RSA nor ECDSA")

    @property
    def expires(self) -> datetime:
        """The time from which no charger trusts it: its own end, or that of its issuer in the chain. Raises
        ValueError for a damaged chain."""
        chain = x509.load_pem_x509_certificates(self.certificate)
        return min(each.not_valid_after_utc for each in chain[:FIRST_ISSUER])

    def validity(self, now: datetime) -> Iterator[TlsFault]:
        """Return the reasons why a client would refuse the certificate: out of its time, or a chain that does not lead
        on from it. The place is ``certificate``. Nothing is said of a damaged chain."""
        path = self.files.certificate
        try:
            leaf, *chain = x509.load_pem_x509_certificates(self.certificate)
        except DAMAGED:
            return
        if leaf.not_valid_after_utc <= now:
            yield TlsFault("certificate", f"{path}: expired on {leaf.not_valid_after_utc:%Y-%m-%d}")
        elif leaf.not_valid_before_utc > now:
            yield TlsFault("certificate", f"{path}: not valid before {leaf.not_valid_before_utc:%Y-%m-%d}")
        issued = leaf
        for number, issuer in enumerate(chain, FIRST_ISSUER):
            if not issued_by(issued, issuer):
                reason = f"the chain is broken: its certificate {number} did not issue the one before it"
                yield TlsFault("certificate", f"{path}: {reason}")
                return
            # A later one may be expired on purpose, for old clients that look no further than their own root.
            if number == FIRST_ISSUER and not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
                reason = "the issuer's certificate in its chain is expired or not valid yet"
                yield TlsFault("certificate", f"{path}: {reason}")
            issued = issuer


def read_pair(files: CertificateFiles) -> CertificatePair:
    """Read a certificate and its key, and see that they can be served. Raises TlsConfigurationError with all faults, at
    ``certificate`` and ``key``."""
    faults: list[TlsFault] = []
    found: list[bytes] = []
    for place, path, look in (("certificate", files.certificate, _leaf), ("key", files.key, _look_for_key)):
        try:
            found.append(read(path))
            look(found[-1], path)
        except Unusable as exc:
            faults.append(TlsFault(place, str(exc)))
    if faults:
        raise TlsConfigurationError(faults)
    pair = CertificatePair(files, *found)
    try:
        # In a context of its own: with another pair in it, OpenSSL compares the key with that one's certificate too,
        # takes what fits there, and silently never serves this certificate.
        pair.load_into(bare_context())
    except Unusable as exc:
        raise TlsConfigurationError([TlsFault("key", str(exc))]) from exc
    return pair


def pair_faults(files: CertificateFiles) -> Iterator[TlsFault]:
    """Return all faults that keep a certificate and its key from being served, at ``certificate`` and ``key``.

    Reads the files; never raises for what is in them.
    """
    try:
        read_pair(files)
    except TlsConfigurationError as error:
        yield from error.faults


def read(path: Path) -> bytes:
    """Read a file of bounded size. Raises Unusable."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, a device has no end
            raise Unusable(f"{path}: not a file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise Unusable(f"{path}: {why(exc)}") from exc
    if len(data) > MAX_FILE_BYTES:
        raise Unusable(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    return data


def state_of(path: Path) -> FileState:
    """Return what shows that a file was changed or replaced, also by another target of a symbolic link."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def states_of(*paths: Path | None) -> FileStates:
    """Return what shows that any of the files was changed; None stands for one that there is not."""
    return tuple(state_of(path) for path in paths if path is not None)


def require_readable(certificate: x509.Certificate) -> None:
    """Read what a certificate is asked about later, for the library reads it only then. Raises one of ``DAMAGED``."""
    _ = certificate.subject, certificate.issuer, certificate.not_valid_before_utc, certificate.not_valid_after_utc


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return true if the issuer's name and key are those that the certificate was issued by."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*DAMAGED, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def why(exc: OSError) -> str:
    """Return the reason of an error of the system's or OpenSSL's in a few words."""
    if isinstance(exc, ssl.SSLError):
        return exc.reason.lower().replace("_", " ") if exc.reason else "not sound PEM"
    return exc.strerror or type(exc).__name__


def _leaf(data: bytes, path: Path) -> x509.Certificate:
    try:
        leaf = x509.load_pem_x509_certificate(data)
        require_readable(leaf)
    except DAMAGED as exc:
        if b"CERTIFICATE-----" in data:
            raise Unusable(f"{path}: the certificate is damaged") from exc
        raise Unusable(f"{path} holds no certificate in PEM") from exc
    return leaf


def _look_for_key(data: bytes, path: Path) -> None:
    if b"PRIVATE KEY-----" not in data:
        raise Unusable(f"{path} holds no private key in PEM")

"""TLS policy of a listener: certificates, versions and suites, and the context that each accept asks for.

Both an ECDSA and an RSA certificate belong into one context: the four suites that OCPP demands name both kinds
(A7.15), and old wallboxes know one of them only.
"""

import ssl
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.errors import GatewayError
from gateway.openssl import GROUPS
from gateway.transport import tls_policies

TICKETS: Final = 1
"""Session tickets for a TLS 1.3 client. OpenSSL sends two, for clients that open several connections at once, and each
takes 15 µs. One saves a small charger that kept it the check of our certificate when it comes back."""

FIRST_ISSUER: Final = 2
"""Place of the certificate that issued the server's own: unless that one is valid, no charger trusts the server."""

_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of a key that is another certificate's; the last where the two are of different types."""


@frozen
class TlsFault:
    """Reason why a file can't be used. ``place`` is the path of its setting within the listener's, like
    ``certificates[1].key``; ``reason`` names the file."""

    place: str
    reason: str


class TlsConfigurationError(GatewayError):
    """The certificate, key or authority files cannot be used. The message names the files and the reasons."""

    def __init__(self, faults: Sequence[TlsFault]) -> None:
        super().__init__("; ".join(fault.reason for fault in faults))
        self.faults = tuple(faults)


@frozen
class CertificateFiles:
    """A PEM certificate chain, leaf first, and its unencrypted PEM private key."""

    certificate: Path
    key: Path


class _Unusable(Exception):
    """Says which file can't be used, and why."""


def build_context(
    certificates: Sequence[CertificateFiles],
    *,
    policy: str = tls_policies.DEFAULT,
    client_authority: Path | None = None,
) -> ssl.SSLContext:
    """Build a server context: TLS 1.2 and later, no compression, no renegotiation, certificates of each key type.

    ``policy`` is one of ``tls_policies``. ``client_authority`` is a PEM bundle; with it, every client must present a
    certificate that it issued (security profile 3). Without SNI, or with an unknown name, the same certificates are
    served (A7.19).

    Raises TlsConfigurationError.
    """
    faults = tuple(_faults(certificates))
    if faults:
        raise TlsConfigurationError(faults)
    context = _bare_context(policy)
    for index, files in enumerate(certificates):
        try:
            _load(context, files)
        except _Unusable as exc:  # the files were replaced since they were looked at
            raise TlsConfigurationError([TlsFault(f"certificates[{index}]", str(exc))]) from exc
    if client_authority is not None:
        try:
            context.load_verify_locations(cafile=client_authority)
        except (OSError, ssl.SSLError) as exc:
            raise TlsConfigurationError([TlsFault("client_authority", f"{client_authority}: {_why(exc)}")]) from exc
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class TlsProvider:
    """Holds the context that the next accepted connection uses.

    Certificates live for days (A7.22): ``reload`` swaps them without touching a running session.
    """

    def __init__(
        self,
        certificates: Sequence[CertificateFiles],
        *,
        policy: str = tls_policies.DEFAULT,
        client_authority: Path | None = None,
    ) -> None:
        """Raises TlsConfigurationError."""
        self._certificates = tuple(certificates)
        self._policy = policy
        self._client_authority = client_authority
        self._context = self._build()

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    def reload(self, now: datetime) -> None:
        """Read the files again. Raises TlsConfigurationError, and then keeps serving the previous certificates.

        What is taken is held against ``now`` too: an expired certificate would turn away every charger that checks it.
        """
        context = self._build()
        faults = tuple(self.validity(now))
        if faults:
            raise TlsConfigurationError(faults)
        self._context = context

    def _build(self) -> ssl.SSLContext:
        return build_context(self._certificates, policy=self._policy, client_authority=self._client_authority)

    def validity(self, now: datetime) -> Iterator[TlsFault]:
        """Return the reasons why a client would refuse the certificates in the files, as ``validity_faults``."""
        for index, files in enumerate(self._certificates):
            for fault in validity_faults(files.certificate, now):
                yield TlsFault(f"certificates[{index}].{fault.place}", fault.reason)


def validity_faults(certificate: Path, now: datetime) -> Iterator[TlsFault]:
    """Return the reasons why a client would refuse the certificate: out of its time, or a chain that does not lead on
    from it. The place is ``certificate``. Nothing is said of a file that ``pair_faults`` finds fault with."""
    try:
        leaf, *chain = x509.load_pem_x509_certificates(_read(certificate))
    except (_Unusable, ValueError):
        return
    if leaf.not_valid_after_utc <= now:
        yield TlsFault("certificate", f"{certificate}: expired on {leaf.not_valid_after_utc:%Y-%m-%d}")
    elif leaf.not_valid_before_utc > now:
        yield TlsFault("certificate", f"{certificate}: not valid before {leaf.not_valid_before_utc:%Y-%m-%d}")
    issued = leaf
    for number, issuer in enumerate(chain, 2):
        if not _issued(issued, issuer):
            reason = f"the chain is broken: its certificate {number} did not issue the one before it"
            yield TlsFault("certificate", f"{certificate}: {reason}")
            return
        # A later one may be expired on purpose, for old clients that look no further than their own root.
        if number == FIRST_ISSUER and not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
            yield TlsFault(
                "certificate", f"{certificate}: the issuer's certificate in its chain is expired or not valid yet"
            )
        issued = issuer


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def pair_faults(files: CertificateFiles) -> Iterator[TlsFault]:
    """Return all faults that keep a certificate and its key from being served, at ``certificate`` and ``key``.

    Reads the files; never raises for what is in them.
    """
    sound = True
    for place, path, look in (("certificate", files.certificate, _leaf), ("key", files.key, _look_for_key)):
        try:
            look(path)
        except _Unusable as exc:
            sound = False
            yield TlsFault(place, str(exc))
    if not sound:
        return
    try:
        # In a context of its own: with another pair in it, OpenSSL compares the key with that one's certificate too,
        # takes what fits there, and silently never serves this certificate.
        _load(_bare_context(), files)
    except _Unusable as exc:
        yield TlsFault("key", str(exc))


def _faults(certificates: Sequence[CertificateFiles]) -> Iterator[TlsFault]:
    if not certificates:
        yield TlsFault("certificates", "no certificate is configured")
    kinds: dict[str, Path] = {}
    for index, files in enumerate(certificates):
        found = list(pair_faults(files))
        if not found:
            found = list(_kind_faults(files.certificate, kinds))
        for fault in found:
            yield TlsFault(f"certificates[{index}].{fault.place}", fault.reason)


def _kind_faults(certificate: Path, kinds: dict[str, Path]) -> Iterator[TlsFault]:
    """Notes the certificate among the ``kinds`` of key there are."""
    try:
        kind = _key_type(certificate)
    except _Unusable as exc:
        yield TlsFault("certificate", str(exc))
        return
    if kind in kinds:  # OpenSSL keeps one certificate per key type and would drop the first without a word
        yield TlsFault("certificate", f"{certificate}: {kinds[kind]} already is the {kind} certificate")
    else:
        kinds[kind] = certificate


def _bare_context(policy: str = tls_policies.DEFAULT) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(tls_policies.cipher_string(policy))
    context.num_tickets = TICKETS
    if hasattr(context, "set_groups"):  # from Python 3.15 on; before, OpenSSL's configuration does it (gateway.openssl)
        context.set_groups(GROUPS)
    return context


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, a device has no end
            raise _Unusable(f"{path}: not a file")
        return path.read_bytes()
    except OSError as exc:
        raise _Unusable(f"{path}: {_why(exc)}") from exc


def _leaf(path: Path) -> x509.Certificate:
    data = _read(path)
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as exc:
        if b"CERTIFICATE-----" in data:
            raise _Unusable(f"{path}: the certificate is damaged") from exc
        raise _Unusable(f"{path} holds no certificate in PEM") from exc


def _look_for_key(path: Path) -> None:
    if b"PRIVATE KEY-----" not in _read(path):
        raise _Unusable(f"{path} holds no private key in PEM")


def _key_type(certificate: Path) -> str:
    try:
        public = _leaf(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        public = None
    match public:
        case rsa.RSAPublicKey():
            return "RSA"
        case ec.EllipticCurvePublicKey():
            return "ECDSA"
        case _:
            raise _Unusable(f"{certificate}: the key is neither RSA nor ECDSA")


def _load(context: ssl.SSLContext, files: CertificateFiles) -> None:
    def no_password() -> str:
        # Without this OpenSSL would prompt on the terminal and wait there.
        raise _Unusable(f"{files.key}: the key is encrypted")

    try:
        context.load_cert_chain(files.certificate, files.key, password=no_password)
    except OSError as exc:
        if isinstance(exc, ssl.SSLError) and exc.reason in _MISMATCHES:
            raise _Unusable(f"{files.key} does not belong to {files.certificate}") from exc
        raise _Unusable(f"{files.key} can't be used with {files.certificate}: {_why(exc)}") from exc


def _why(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        return exc.reason.lower().replace("_", " ") if exc.reason else "not sound PEM"
    return exc.strerror or type(exc).__name__

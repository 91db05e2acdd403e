"""TLS policy of a listener: certificates, versions and suites, and the context that each accept asks for.

Both an ECDSA and an RSA certificate belong into one context: the four suites that OCPP demands name both kinds
(OCPP.md A7.15), and old wallboxes know one of them only.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.errors import GatewayError

SUITES = (
    # Forward secrecy first: the order is the server's preference.
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA256",
    "AES256-SHA256",
    "AES128-SHA",
    "AES256-SHA",
)
"""TLS 1.2 suites: exactly those of ``ELBSecurityPolicy-TLS-1-2-Ext-2018-06``, which is what chargers were told to
expect. They include the static-RSA suites that the OCPP security whitepaper requires (OCPP.md X11, A7.15) and that
Python's own default list leaves out. TLS 1.3 suites are OpenSSL's defaults."""

# Level 2 (RSA and DH of 2048 bits, EC of 224, no SHA-1 signatures) is what Debian's OpenSSL starts with; naming it
# makes the policy the same on a build that starts lower. It still grants all suites above (tests/transport/test_tls).
_CIPHER_STRING = ":".join(SUITES) + ":@SECLEVEL=2"


class TlsConfigurationError(GatewayError):
    """The certificate, key or authority files cannot be used. The message names the file and the reason."""


@frozen
class CertificateFiles:
    """A PEM certificate chain, leaf first, and its unencrypted PEM private key."""

    certificate: Path
    key: Path


def build_context(certificates: Sequence[CertificateFiles], *, client_authority: Path | None = None) -> ssl.SSLContext:
    """Build a server context: TLS 1.2 and later, no compression, no renegotiation, certificates of each key type.

    ``client_authority`` is a PEM bundle; with it, every client must present a certificate that it issued (security
    profile 3). Without SNI, or with an unknown name, the same certificates are served (OCPP.md A7.19).

    Raises TlsConfigurationError.
    """
    if not certificates:
        raise TlsConfigurationError("no certificate is configured")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(_CIPHER_STRING)
    kinds: dict[str, Path] = {}
    for files in certificates:
        kind = _key_type(files.certificate)
        if kind in kinds:  # OpenSSL keeps one certificate per key type and would drop the first without a word
            raise TlsConfigurationError(f"{files.certificate}: {kinds[kind]} already is the {kind} certificate")
        kinds[kind] = files.certificate
        _load(context, files)
    if client_authority is not None:
        try:
            context.load_verify_locations(cafile=client_authority)
        except (OSError, ssl.SSLError) as exc:
            raise TlsConfigurationError(f"{client_authority}: {_why(exc)}") from exc
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class TlsProvider:
    """Holds the context that the next accepted connection uses.

    Certificates live for days (OCPP.md A7.22): ``reload`` swaps them without touching a running session.
    """

    def __init__(self, certificates: Sequence[CertificateFiles], *, client_authority: Path | None = None) -> None:
        """Raises TlsConfigurationError."""
        self._certificates = tuple(certificates)
        self._client_authority = client_authority
        self._context = build_context(self._certificates, client_authority=client_authority)

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    def reload(self) -> None:
        """Read the files again. Raises TlsConfigurationError, and then keeps serving the previous certificates."""
        self._context = build_context(self._certificates, client_authority=self._client_authority)


def _key_type(certificate: Path) -> str:
    try:
        leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    except OSError as exc:
        raise TlsConfigurationError(f"{certificate}: {_why(exc)}") from exc
    except ValueError as exc:
        raise TlsConfigurationError(f"{certificate}: not a PEM certificate") from exc
    match leaf.public_key():
        case rsa.RSAPublicKey():
            return "RSA"
        case ec.EllipticCurvePublicKey():
            return "ECDSA"
        case _:
            raise TlsConfigurationError(f"{certificate}: the key is neither RSA nor ECDSA")


def _load(context: ssl.SSLContext, files: CertificateFiles) -> None:
    def no_password() -> str:
        # Without this OpenSSL would prompt on the terminal and wait there.
        raise TlsConfigurationError(f"{files.key}: the key is encrypted")

    if not files.key.is_file():  # OpenSSL's own error does not say which of the two files is missing
        raise TlsConfigurationError(f"{files.key}: no such file")
    try:
        context.load_cert_chain(files.certificate, files.key, password=no_password)
    except (OSError, ssl.SSLError) as exc:
        raise TlsConfigurationError(f"{files.certificate} with {files.key}: {_why(exc)}") from exc


def _why(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError) and exc.reason:
        return exc.reason.lower().replace("_", " ")
    return exc.strerror or type(exc).__name__

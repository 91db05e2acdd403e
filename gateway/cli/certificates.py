"""Certificates for development: a CA, and server certificates of both key types as a charger expects them.

By OCPP's security whitepaper (WP A00.FR.501-511; A7.16): common name = host name, organisation, a serial
number, SHA-256, RSA of 2,048 bits or EC of 256. A deployment gets its certificates from its own CA.
"""

import ipaddress
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import GatewayError

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")
"""What a development server is reached by in any case."""

CLOCK_SLACK = timedelta(days=1)
"""Certificates are valid from a day ago: a charger's clock, or its time zone, may be behind."""

MAX_COMMON_NAME = 64
"""X.520's upper bound of a common name."""

MAX_ORGANIZATION = 64
"""X.520's upper bound of the name of an organisation."""


class CertificateError(GatewayError):
    """The certificates can't be made. The message names the file or the argument, and the reason."""


@frozen
class Certificate:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    def pem(self) -> tuple[bytes, bytes]:
        """Certificate and unencrypted private key."""
        return self.certificate.public_bytes(serialization.Encoding.PEM), self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


@frozen
class Issuing:
    """Properties that all certificates of one run share."""

    organization: str
    now: datetime
    lifetime: timedelta


def development_set(hosts: Sequence[str], issuing: Issuing) -> Mapping[str, bytes]:
    """File names to contents: ``ca``, ``server-ecdsa`` and ``server-rsa``, each as ``.pem`` and ``.key``.

    ``hosts`` are names and addresses of the server; the first is the common name. Raises CertificateError.
    """
    names = _names(hosts)
    authority = _authority(issuing)
    made = {
        "ca": authority,
        "server-ecdsa": _server(names, ec.generate_private_key(ec.SECP256R1()), authority, issuing),
        "server-rsa": _server(names, rsa.generate_private_key(65537, 2048), authority, issuing),
    }
    files: dict[str, bytes] = {}
    for name, each in made.items():
        files[f"{name}.pem"], files[f"{name}.key"] = each.pem()
    return files


def read_authority(directory: Path) -> Certificate:
    """The development CA that ``development_set`` made there. Raises CertificateError, without what the files hold."""
    made: list[bytes] = []
    for path in (directory / "ca.pem", directory / "ca.key"):
        try:
            made.append(path.read_bytes())
        except OSError as error:
            raise CertificateError(f"{path}: {error.strerror}: `gateway certs dev` makes it") from error
    try:
        certificate = x509.load_pem_x509_certificate(made[0])
        key = serialization.load_pem_private_key(made[1], password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError(f"{directory}: ca.pem and ca.key are no certificate and key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateError(f"{directory}: ca.key is neither RSA nor ECDSA")
    return Certificate(certificate, key)


def charger_certificate(csr: str, authority: Certificate, now: datetime, lifetime: timedelta) -> str:
    """The certificate of a charger, of its request's key and name, in PEM, and that of the authority. Raises
    CertificateError for a request that can't be read: the gateway checks what else there is to check."""
    try:
        asked = x509.load_pem_x509_csr(csr.encode())
        issuing = Issuing("", now, min(lifetime, authority.certificate.not_valid_after_utc - now))
        public = asked.public_key()
        builder = _certificate(asked.subject, authority.certificate.subject, public, issuing)
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage("digital_signature"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        names = [each for each in asked.extensions if isinstance(each.value, x509.SubjectAlternativeName)]
        for each in names:
            builder = builder.add_extension(each.value, critical=False)
        made = builder.sign(authority.key, hashes.SHA256())
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise CertificateError(f"the signing request can't be used: {error}") from error
    encoding = serialization.Encoding.PEM
    return (made.public_bytes(encoding) + authority.certificate.public_bytes(encoding)).decode("ascii")


def write(directory: Path, files: Mapping[str, bytes], *, force: bool) -> list[Path]:
    """Write the files, keys readable by their owner alone. All that is there already stays, unless ``force``.

    Each file is replaced in one step. Raises CertificateError, and then has written nothing or, where the disk
    failed on the way, says so.
    """
    paths = [directory / name for name in files]
    there = [path.name for path in paths if path.exists()]
    if there and not force:
        raise CertificateError(f"{directory}: {', '.join(there)} exist already; --force replaces them")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in zip(paths, files.values(), strict=True):
            _replace(path, content)
    except OSError as error:
        raise CertificateError(f"{error.filename or directory}: can't be written: {error.strerror}") from error
    return paths


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # A key must never be readable by others, not even for a moment: the mode is set when the file is made.
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:
            file.write(content)
        if path.suffix != ".key":
            unfinished.chmod(0o644)  # made for handing out
        unfinished.replace(path)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def _names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Subject alternative names, the common name's first, none twice."""
    names: list[x509.GeneralName] = []
    for host in (*hosts, *ALWAYS_NAMED):
        name: x509.GeneralName
        try:
            name = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(_dns_name(host))
        if name not in names:
            names.append(name)
    return names


def _dns_name(host: str) -> str:
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    labels = name.removeprefix("*.").split(".")
    if not all(label.replace("-", "").replace("_", "").isalnum() for label in labels):
        raise CertificateError(f"--host: expected a host name or an IP address, found {host!r}")
    return name


def _subject(common_name: str, organization: str) -> x509.Name:
    if not 0 < len(organization) <= MAX_ORGANIZATION or not organization.isprintable():
        raise CertificateError(f"--organization: expected 1 to {MAX_ORGANIZATION} printable characters")
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _authority(issuing: Issuing) -> Certificate:
    """A self-signed CA. Its key is RSA: old wallboxes verify nothing else."""
    key = rsa.generate_private_key(65537, 2048)
    name = _subject("Development CA", issuing.organization)
    builder = _builder(name, name, key, issuing)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    return Certificate(builder.sign(key, hashes.SHA256()), key)


def _server(names: Sequence[x509.GeneralName], key: Key, authority: Certificate, issuing: Issuing) -> Certificate:
    common_name = str(names[0].value)
    if len(common_name) > MAX_COMMON_NAME:
        raise CertificateError(f"--host: the first one is the common name, {MAX_COMMON_NAME} characters at most")
    builder = _builder(_subject(common_name, issuing.organization), authority.certificate.subject, key, issuing)
    # Key encipherment is for the suites with static RSA, which the whitepaper demands (A7.15).
    usage = ("digital_signature", "key_encipherment") if isinstance(key, rsa.RSAPrivateKey) else ("digital_signature",)
    authority_id = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    for extension, critical in (
        (x509.SubjectAlternativeName(names), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(*usage), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return Certificate(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, issuing: Issuing) -> x509.CertificateBuilder:
    return _certificate(subject, issuer, key.public_key(), issuing)


def _certificate(subject: x509.Name, issuer: x509.Name, public: Any, issuing: Issuing) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuing.now - CLOCK_SLACK)
        .not_valid_after(issuing.now + issuing.lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*allowed: str) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in allowed for name in names})

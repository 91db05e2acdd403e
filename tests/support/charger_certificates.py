"""Signing requests as chargers make them, and an authority that answers them, at any time of the test's choice."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
YEAR_2024 = datetime(2024, 1, 1, tzinfo=UTC)


def name(common_name: str = "", organization: str = "") -> x509.Name:
    """A subject; empty parts are left out."""
    parts = [(NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(made: x509.Certificate | x509.CertificateSigningRequest) -> str:
    return made.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: Any) -> str:
    text: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode()


def request(
    common_name: str = "CP1",
    organization: str = "",
    key: Any = None,
    alternative: Sequence[x509.GeneralName] = (),
    digest: Any = None,
) -> str:
    """A signing request in PEM."""
    made = x509.CertificateSigningRequestBuilder().subject_name(name(common_name, organization))
    if alternative:
        made = made.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    return pem(made.sign(key or new_key(), digest or hashes.SHA256()))


class SigningAuthority:
    """A root, and an intermediate below it that issues chargers' certificates."""

    def __init__(self, now: datetime = YEAR_2024) -> None:
        self.now = now
        self.root_key, self.key = new_key(), new_key()
        self.root = self._made(name("Root"), self.root_key.public_key(), name("Root"), self.root_key, ca=True)
        self.issuer = self._made(name("Chargers"), self.key.public_key(), name("Root"), self.root_key, ca=True)

    def issue(self, csr: str, begin: timedelta = -DAY, end: timedelta = 365 * DAY) -> str:
        """The charger's certificate and its issuer's, in PEM."""
        asked = x509.load_pem_x509_csr(csr.encode())
        made = self._made(asked.subject, asked.public_key(), name("Chargers"), self.key, begin=begin, end=end)
        return pem(made) + pem(self.issuer)

    def _made(
        self,
        subject: x509.Name,
        public_key: Any,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        ca: bool = False,
        begin: timedelta = -DAY,
        end: timedelta = 3650 * DAY,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(self.now + begin).not_valid_after(self.now + end)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        # As RFC 5280 (4.2.1) wants them: Python's default context refuses a chain without, from 3.13 on.
        if ca:
            builder = builder.add_extension(SIGNS, critical=True)
        of_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = builder.add_extension(of_issuer, critical=False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        return builder.sign(key, hashes.SHA256())

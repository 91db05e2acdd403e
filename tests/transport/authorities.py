"""Authorities that issue chargers' certificates of any validity, and revoke them."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)


class ClientAuthority:
    """An authority; with ``above`` that one issued it."""

    def __init__(
        self,
        name: str = "Chargers",
        *,
        above: "ClientAuthority | None" = None,
        begin: timedelta = -9 * DAY,
        end: timedelta = 300 * DAY,
        responder: str = "",
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self.certificate = (above or self)._sign(self.name, self.key, begin, end, authority=True, responder=responder)

    def issue(
        self,
        name: str,
        *others: str,
        begin: timedelta = -DAY,
        end: timedelta = 100 * DAY,
        organizations: Sequence[str] = (),
        alternative: Sequence[x509.GeneralName] = (),
    ) -> "Issued":
        """A certificate with one common name, or several."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name, *others, organizations=organizations)
        return Issued(self._sign(subject, key, begin, end, authority=False, alternative=alternative), key)

    def revoke(
        self,
        *serials: int,
        begin: timedelta = -DAY,
        end: timedelta | None = 7 * DAY,
        extension: x509.ExtensionType | None = None,
    ) -> bytes:
        """A list of revoked certificates in PEM."""
        made = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(NOW + begin)
        made = made.next_update(NOW + (7 * DAY if end is None else end))
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY).build()
            made = made.add_revoked_certificate(entry)
        if extension is not None:
            made = made.add_extension(extension, critical=True)
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        begin: timedelta,
        end: timedelta,
        *,
        authority: bool,
        alternative: Sequence[x509.GeneralName] = (),
        responder: str = "",
    ) -> x509.Certificate:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(NOW + begin).not_valid_after(NOW + end)
        made = made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if alternative:
            made = made.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        if responder:
            at = x509.UniformResourceIdentifier(responder)
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, at)
            made = made.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        return made.sign(self.key, hashes.SHA256())


class Issued:
    """A charger's certificate and key."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate, self.key = certificate, key
        self.serial = certificate.serial_number
        self.der = certificate.public_bytes(serialization.Encoding.DER)

    def configure(self, context: ssl.SSLContext, folder: Path) -> None:
        """Have a client present it."""
        path = folder / f"client-{self.serial}.pem"
        path.write_bytes(
            self.certificate.public_bytes(serialization.Encoding.PEM)
            + self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context.load_cert_chain(path)


def _name(*names: str, organizations: Sequence[str] = ()) -> x509.Name:
    common = [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]
    return x509.Name([*(x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations), *common])

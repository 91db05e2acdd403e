"""Identity that a charger's certificate names, for security profile 3. Pure.

TLS has verified the certificate by then (``gateway.transport.client_authority``). What is left is whether it is this
charger's: one that is stolen, or another charger's, opens no other one's URL (A7.17, A7.18; WP A00.FR.403 to 405).
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from attrs import frozen
from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.transport.certificate_files import DAMAGED

IdentityIn: TypeAlias = Literal["common-name", "alternative-name", "serial"]
"""Place of the identity: the subject's common name; a subject alternative name (DNS name or URI); or the common name as
the serial number that a label of the charge point holds (WP A00.FR.405)."""

MISSING: Final = "client_certificate_missing"
UNREADABLE: Final = "certificate_unreadable"
ANOTHER_ORGANIZATION: Final = "certificate_of_another_organization"
ANOTHER_CHARGER: Final = "certificate_of_another_charger"
NO_SERIAL: Final = "no_serial_number_known"


@frozen
class CertificateRule:
    """Rule by which a certificate belongs to a charger. ``organization`` empty: any; ``serial_label`` counts where
    ``identity_in`` is ``serial``."""

    identity_in: IdentityIn = "common-name"
    organization: str = ""
    serial_label: str = "serial"

    def refusal(self, certificate: bytes | None, identity: str, labels: Mapping[str, str]) -> str | None:
        """Return why a certificate (DER) does not let in this charger, as a stable word; None: it does.

        Texts compare exactly, case included, as identities do. Of a name that the subject has twice none counts: which
        of them the authority has looked at is not known.
        """
        if certificate is None:
            return MISSING
        try:
            read = x509.load_der_x509_certificate(certificate)
            alternative = _alternative_names(read) if self.identity_in == "alternative-name" else ()
            return self.subject_refusal(read.subject, alternative, identity, labels)
        except DAMAGED:
            return UNREADABLE

    def subject_refusal(
        self, subject: x509.Name, alternative: tuple[str, ...], identity: str, labels: Mapping[str, str]
    ) -> str | None:
        """The same of a subject with its alternative names (DNS names and URIs). Raises those of ``DAMAGED``."""
        organizations, names = _of(subject, NameOID.ORGANIZATION_NAME), _of(subject, NameOID.COMMON_NAME)
        if self.organization and organizations != (self.organization,):
            return ANOTHER_ORGANIZATION
        if self.identity_in == "alternative-name":
            return None if identity in alternative else ANOTHER_CHARGER
        if self.identity_in == "common-name":
            return None if names == (identity,) else ANOTHER_CHARGER
        serial = labels.get(self.serial_label, "")
        if not serial:
            return NO_SERIAL
        return None if names == (serial,) else ANOTHER_CHARGER


def _of(subject: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(_text(each.value) for each in subject.get_attributes_for_oid(oid))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found: list[str] = names.get_values_for_type(x509.DNSName)
    return (*found, *names.get_values_for_type(x509.UniformResourceIdentifier))

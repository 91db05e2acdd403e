"""Which charger a client certificate lets in (security profile 3; A7.17, A7.18)."""

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from gateway.chargers.certificate_identity import CertificateRule
from tests.transport.authorities import ClientAuthority

CA = ClientAuthority()
SERIAL = {"serial": "SN-4711"}
BY_NAME, BY_SERIAL = CertificateRule(), CertificateRule("serial")
BY_ALTERNATIVE = CertificateRule("alternative-name")
OURS = CertificateRule(organization="Acme Charging")


def alternatively(*names: x509.GeneralName) -> bytes:
    return CA.issue("CP9", alternative=names).der


@pytest.mark.parametrize(
    ("rule", "certificate", "reason"),
    [
        (BY_NAME, CA.issue("CP1").der, None),
        (BY_NAME, CA.issue("CP2").der, "certificate_of_another_charger"),
        (BY_NAME, CA.issue("cp1").der, "certificate_of_another_charger"),
        (BY_NAME, CA.issue("CP1 ").der, "certificate_of_another_charger"),
        (BY_NAME, CA.issue("CP1", "CP2").der, "certificate_of_another_charger"),
        (BY_NAME, CA.issue("CP1", "CP1").der, "certificate_of_another_charger"),
        (BY_NAME, CA.issue("CP2", "CP1").der, "certificate_of_another_charger"),
        (BY_NAME, CA.issue("SN-4711").der, "certificate_of_another_charger"),
        (BY_NAME, CA.issue("CP9", alternative=[x509.DNSName("CP1")]).der, "certificate_of_another_charger"),
        (BY_SERIAL, CA.issue("SN-4711").der, None),
        (BY_SERIAL, CA.issue("CP1").der, "certificate_of_another_charger"),
        (CertificateRule("serial", serial_label="unit"), CA.issue("SN-4711").der, "no_serial_number_known"),
        (BY_ALTERNATIVE, alternatively(x509.DNSName("CP1")), None),
        (BY_ALTERNATIVE, alternatively(x509.DNSName("x.example"), x509.UniformResourceIdentifier("CP1")), None),
        (BY_ALTERNATIVE, alternatively(x509.RFC822Name("CP1")), "certificate_of_another_charger"),
        (BY_ALTERNATIVE, alternatively(x509.DNSName("CP2")), "certificate_of_another_charger"),
        (BY_ALTERNATIVE, CA.issue("CP1").der, "certificate_of_another_charger"),
        (OURS, CA.issue("CP1", organizations=["Acme Charging"]).der, None),
        (OURS, CA.issue("CP1", organizations=["Acme"]).der, "certificate_of_another_organization"),
        (OURS, CA.issue("CP1", organizations=["Acme Charging", "B"]).der, "certificate_of_another_organization"),
        (OURS, CA.issue("CP1").der, "certificate_of_another_organization"),
        (OURS, CA.issue("CP2", organizations=["Acme Charging"]).der, "certificate_of_another_charger"),
        (BY_NAME, None, "client_certificate_missing"),
        (BY_NAME, b"", "certificate_unreadable"),
        (BY_NAME, CA.issue("CP1").der[:-40], "certificate_unreadable"),
    ],
)
def test_a_certificate_lets_in_the_charger_that_it_names(
    rule: CertificateRule, certificate: bytes | None, reason: str | None
) -> None:
    """And no other one: texts compare exactly, and a name that is there twice is none."""
    assert rule.refusal(certificate, "CP1", SERIAL) == reason


@pytest.mark.parametrize("labels", [{}, {"serial": ""}, {"Serial": ""}])
def test_an_empty_serial_number_is_none(labels: dict[str, str]) -> None:
    """Else a certificate without a name would open every charge point without a label."""
    assert BY_SERIAL.refusal(CA.issue("SN-4711").der, "CP1", labels) == "no_serial_number_known"


CA_CERTIFICATE = CA.issue("CP1", organizations=["Acme Charging"], alternative=[x509.DNSName("CP1")]).der
REASONS = {
    "certificate_unreadable",
    "certificate_of_another_organization",
    "certificate_of_another_charger",
    "no_serial_number_known",
}


@given(
    certificate=st.binary(max_size=400)
    | st.builds(
        lambda at, byte: CA_CERTIFICATE[:at] + bytes([byte]) + CA_CERTIFICATE[at + 1 :],
        st.integers(0, 10_000),
        st.integers(0, 255),
    ),
    rule=st.sampled_from([BY_NAME, BY_SERIAL, BY_ALTERNATIVE, OURS]),
)
def test_any_bytes_are_read_or_refused(certificate: bytes, rule: CertificateRule) -> None:
    """Never an exception, whatever an authority has signed."""
    assert rule.refusal(certificate, "CHARGER", SERIAL) in REASONS

"""Certificates for development: an authority that can't be read, requests that can't be signed, names that can't be."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.cli.certificates import (
    Certificate,
    CertificateError,
    Issuing,
    charger_certificate,
    development_set,
    read_authority,
)

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """A development set, made once: RSA keys take long."""
    return dict(development_set(["localhost"], Issuing("Test", NOW, 30 * DAY)))


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    for name in ("ca.pem", "ca.key"):
        (tmp_path / name).write_bytes(files[name])
    return tmp_path


@pytest.fixture
def authority(folder: Path) -> Certificate:
    return read_authority(folder)


def request(*extensions: x509.ExtensionType) -> str:
    """A charger's signing request."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "HOME-1")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    made = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def test_a_charger_s_certificate_keeps_its_names_and_outlives_no_authority(authority: Certificate) -> None:
    """For clients alone, and by the authority that is handed out with it."""
    names = x509.SubjectAlternativeName([x509.DNSName("home-1.example")])
    chain = x509.load_pem_x509_certificates(
        charger_certificate(request(names), authority, NOW, timedelta(days=3650)).encode()
    )
    own, issuer = chain
    own.verify_directly_issued_by(issuer)
    assert issuer == authority.certificate
    assert own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names
    usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert own.not_valid_after_utc == issuer.not_valid_after_utc


def test_a_request_that_can_not_be_signed_is_refused(authority: Certificate) -> None:
    """One that can't be read, and any once the authority has ended."""
    with pytest.raises(CertificateError, match="the signing request can't be used"):
        charger_certificate("nothing", authority, NOW, DAY)
    with pytest.raises(CertificateError, match="the signing request can't be used"):
        charger_certificate(request(), authority, NOW + 365 * DAY, DAY)


def test_an_authority_that_is_missing_names_the_command_that_makes_it(folder: Path) -> None:
    """And the file."""
    (folder / "ca.key").unlink()
    with pytest.raises(CertificateError, match=r"ca\.key: No such file or directory: `gateway certs dev` makes it"):
        read_authority(folder)


def test_an_authority_that_can_not_be_read_is_named_without_its_key(folder: Path, files: dict[str, bytes]) -> None:
    """A key without its frame must not get into a terminal's history."""
    secret = files["ca.key"].splitlines()[1]
    (folder / "ca.key").write_bytes(secret)
    with pytest.raises(CertificateError, match="are no certificate and key in PEM") as raised:
        read_authority(folder)
    assert secret.decode() not in str(raised.value)
    assert raised.value.__suppress_context__


def test_an_authority_s_key_is_of_a_kind_that_chargers_verify(folder: Path) -> None:
    """RSA or ECDSA."""
    key = ed25519.Ed25519PrivateKey.generate()
    (folder / "ca.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(CertificateError, match=r"ca\.key is neither RSA nor ECDSA"):
        read_authority(folder)


@pytest.mark.parametrize(
    ("hosts", "organization", "words"),
    [
        (["localhost"], "", "--organization: expected 1 to 64 printable characters"),
        (["localhost"], "x" * 65, "--organization: expected 1 to 64 printable characters"),
        (["localhost"], "not UTF-8: \udcff", "--organization: expected 1 to 64 printable characters"),
        ([f"{'a' * 40}.{'b' * 40}.example"], "Test", "--host: the first one is the common name, 64 characters at most"),
        (["two words"], "Test", "--host: expected a host name or an IP address, found 'two words'"),
    ],
)
def test_names_that_can_not_be_are_refused(hosts: list[str], organization: str, words: str) -> None:
    """By the option that they came from."""
    with pytest.raises(CertificateError) as raised:
        development_set(hosts, Issuing(organization, NOW, DAY))
    assert str(raised.value).startswith(words)

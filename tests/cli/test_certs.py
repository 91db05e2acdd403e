"""`gateway certs dev`: what it makes is what chargers ask for, and it never loses what is there."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from gateway.cli.certificates import CertificateError, Issuing, development_set, write
from gateway.cli.main import app

FILES = ["ca.key", "ca.pem", "server-ecdsa.key", "server-ecdsa.pem", "server-rsa.key", "server-rsa.pem"]


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    """A folder with certificates for a host name and an address."""
    directory = tmp_path_factory.mktemp("issued") / "certs"
    result = CliRunner().invoke(
        app, ["certs", "dev", "--directory", str(directory), "--host", "Charge.Example", "--host", "192.0.2.7"]
    )
    assert result.exit_code == 0, result.output
    return directory


def certificate(path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_their_owners_alone(issued):
    """A private key is readable by no other user, and nothing else is left behind."""
    assert sorted(path.name for path in issued.iterdir()) == FILES
    assert {path.stat().st_mode & 0o777 for path in issued.glob("*.key")} == {0o600}


@pytest.mark.parametrize(
    ("kind", "type_", "size"), [("ecdsa", ec.EllipticCurvePublicKey, 256), ("rsa", rsa.RSAPublicKey, 2048)]
)
def test_server_certificates_are_as_the_whitepaper_asks(issued, kind, type_, size):
    """Common name, organisation, serial number, SHA-256 and key size are those of WP A00.FR.501-511."""
    made = certificate(issued / f"server-{kind}.pem")
    assert isinstance(made.public_key(), type_)
    assert made.public_key().key_size == size
    assert made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "charge.example"
    assert made.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "Gateway Development"
    assert made.serial_number > 0
    assert isinstance(made.signature_hash_algorithm, hashes.SHA256)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["charge.example", "localhost"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "127.0.0.1", "::1"]
    made.verify_directly_issued_by(certificate(issued / "ca.pem"))


def shake_hands(issued, *, server_name: str, suite: str) -> tuple[str, bytes]:
    """A TLS 1.2 handshake over memory between the files and a client that knows one suite: cipher, certificate."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for kind in ("ecdsa", "rsa"):
        server_context.load_cert_chain(issued / f"server-{kind}.pem", issued / f"server-{kind}.key")
    server_context.set_ciphers("ALL:@SECLEVEL=2")
    client_context = ssl.create_default_context(cafile=str(issued / "ca.pem"))
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    client_context.set_ciphers(suite)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=server_name)
    done = {"client": False, "server": False}
    for _ in range(10):
        for name, side in (("client", client), ("server", server)):
            try:
                side.do_handshake()
                done[name] = True
            except ssl.SSLWantReadError:
                pass
        if all(done.values()):
            break
    assert all(done.values())
    return client.cipher()[0], client.getpeercert(binary_form=True)


@pytest.mark.parametrize("server_name", ["charge.example", "localhost", "127.0.0.1", "::1", "192.0.2.7"])
@pytest.mark.parametrize(
    ("suite", "kind"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa"),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", "ecdsa"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "rsa"),
        ("AES128-GCM-SHA256", "rsa"),
        ("AES256-GCM-SHA384", "rsa"),
    ],
)
def test_a_client_that_trusts_the_ca_shakes_hands(issued, server_name, suite, kind):
    """The four suites of the whitepaper work under each of the server's names, with strict verification."""
    cipher, presented = shake_hands(issued, server_name=server_name, suite=suite)
    assert cipher == suite
    assert x509.load_der_x509_certificate(presented) == certificate(issued / f"server-{kind}.pem")


def test_another_name_is_not_vouched_for(issued):
    """The certificates are for the names given, not for any."""
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(issued, server_name="other.example", suite="ECDHE-RSA-AES128-GCM-SHA256")


def test_what_is_there_is_not_overwritten(issued, tmp_path):
    """Without --force nothing changes, and the message says what is in the way."""
    (tmp_path / "ca.key").write_text("mine")
    result = CliRunner().invoke(app, ["certs", "dev", "--directory", str(tmp_path)])
    assert result.exit_code == 1
    assert "ca.key exist already; --force replaces them" in " ".join(result.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["ca.key"]
    assert (tmp_path / "ca.key").read_text() == "mine"


def test_force_replaces_all_of_them(tmp_path):
    """With --force the whole set is new, so that certificates and CA belong together."""
    (tmp_path / "ca.key").write_text("mine")
    result = CliRunner().invoke(app, ["certs", "dev", "--directory", str(tmp_path), "--force"])
    assert result.exit_code == 0, result.output
    certificate(tmp_path / "server-rsa.pem").verify_directly_issued_by(certificate(tmp_path / "ca.pem"))
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("host", ["", "a b", "wss://host", "a..b", "x" * 70, "host:9443", "-\u2028-"])
def test_a_host_that_is_none_is_refused_by_name(tmp_path, host):
    """A text that is no host name is refused before any file is written."""
    result = CliRunner().invoke(app, ["certs", "dev", "--directory", str(tmp_path), "--host", host])
    assert result.exit_code == 1
    assert "--host" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cant_be_written_is_reported(tmp_path):
    """A file in the folder's place."""
    (tmp_path / "certs").write_text("")
    with pytest.raises(CertificateError, match="can't be written"):
        write(tmp_path / "certs", {"ca.pem": b""}, force=False)


def test_certificates_are_valid_from_a_day_ago_for_chargers_whose_clock_is_behind():
    """A charger that is an hour late can connect at once."""
    now = datetime(2024, 5, 1, tzinfo=UTC)
    files = development_set(["a.example"], Issuing("Org", now, timedelta(days=30)))
    made = x509.load_pem_x509_certificate(files["server-rsa.pem"])
    assert made.not_valid_before_utc == now - timedelta(days=1)
    assert made.not_valid_after_utc == now + timedelta(days=30)

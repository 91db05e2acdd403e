"""TLS policy: what is granted, what is refused, and what a reload does."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from gateway.transport import tls_policies
from gateway.transport.certificate_files import CertificateFiles, TlsConfigurationError
from gateway.transport.tls import TlsFiles, TlsProvider, build_context
from gateway.transport.tls_records import TlsFailure, TlsRecords
from tests.support import promised
from tests.transport.ends import authority, certificates, client_context


class Client:
    """OpenSSL's client end in memory."""

    def __init__(self, context: ssl.SSLContext, name: str | None, session: ssl.SSLSession | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)

    def handshake(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True


def handshake(
    server: ssl.SSLContext,
    context: ssl.SSLContext,
    name: str | None = "localhost",
    session: ssl.SSLSession | None = None,
) -> tuple[TlsRecords, Client]:
    """Let the two ends talk until both are done. ``session``: one of before, to be resumed."""
    client, records = Client(context, name, session), TlsRecords(server)
    for _ in range(5):
        done = client.handshake()
        records.feed(client.outgoing.read())
        done = records.handshake() and done
        client.incoming.write(records.pending())
        if done:
            break
    return records, client


def tls12(suite: str) -> ssl.SSLContext:
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    return context


BY_POLICY = [(policy, suite) for policy, suites in promised.POLICIES.items() for suite in suites]
ABSENT = [
    (policy, suite)
    for policy, suites in promised.POLICIES.items()
    for suite in (*promised.REFUSED_SUITES, *(each for each in promised.SUITES if each not in suites))
]


@pytest.mark.parametrize(("policy", "suite"), BY_POLICY)
def test_every_suite_that_chargers_were_promised_is_granted(policy: str, suite: str) -> None:
    """X11, A7.15 and ELBSecurityPolicy-TLS-1-2-Ext-2018-06, static RSA included, on this OpenSSL."""
    records, _ = handshake(build_context(certificates(), policy=policy), tls12(suite))
    assert (records.version, records.cipher) == ("TLSv1.2", suite)


@pytest.mark.parametrize("policy", promised.POLICIES)
def test_the_suites_of_a_policy_are_the_promised_ones(policy: str) -> None:
    """None less, and none more; and no policy beside the promised ones."""
    assert set(tls_policies.SUITES) == set(promised.POLICIES)
    granted = [
        each["name"]
        for each in build_context(certificates(), policy=policy).get_ciphers()
        if each["protocol"] != "TLSv1.3"
    ]
    assert granted == list(promised.POLICIES[policy])


@pytest.mark.parametrize("policy", promised.POLICIES)
def test_the_order_of_a_policy_is_the_servers(policy: str) -> None:
    """Of what a client has left, offered the other way round, the server takes the first of its own order each time."""
    server, chosen = build_context(certificates(), policy=policy), []
    left = list(promised.POLICIES[policy])
    while left:
        records, _ = handshake(server, tls12(":".join(reversed(left))))
        chosen.append(records.cipher)
        left.remove(records.cipher)
    assert chosen == list(promised.POLICIES[policy])


def test_the_default_policy_is_the_one_that_chargers_expect() -> None:
    """Without a setting."""
    assert tls_policies.DEFAULT == "ELBSecurityPolicy-TLS-1-2-Ext-2018-06"
    assert build_context(certificates()).get_ciphers() == (
        build_context(certificates(), policy=tls_policies.DEFAULT).get_ciphers()
    )


@pytest.mark.parametrize(("policy", "suite"), ABSENT)
def test_a_suite_that_was_not_promised_is_refused(policy: str, suite: str) -> None:
    """A client that has nothing else gets no connection."""
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        client.set_ciphers(f"{suite}:@SECLEVEL=0")
    except ssl.SSLError:
        return  # this OpenSSL doesn't have it, so no build has
    with pytest.raises(TlsFailure):
        handshake(build_context(certificates(), policy=policy), client)


@pytest.mark.parametrize("policy", promised.POLICIES)
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_promised_version_is_spoken(policy: str, version: str) -> None:
    """By a client that knows no other, whatever the policy."""
    client = client_context()
    client.minimum_version = client.maximum_version = ssl.TLSVersion[version]
    records, _ = handshake(build_context(certificates(), policy=policy), client)
    assert records.version == version.replace("_", ".")
    if version == "TLSv1_3":
        assert records.cipher in promised.TLS_1_3_SUITES


class StartsLow(ssl.SSLContext):
    """A context of an OpenSSL that was built with security level 0."""

    def __new__(cls, protocol: int) -> StartsLow:
        context = super().__new__(cls, protocol)
        context.set_ciphers("ALL:@SECLEVEL=0")
        return context


@pytest.mark.parametrize("bits", [1024, 2048])
def test_the_security_level_is_the_policys_and_not_the_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    """A key of 1024 bits is refused where OpenSSL would take it, and one of 2048 is taken."""
    monkeypatch.setattr(
        "gateway.transport.tls_policies.ssl", SimpleNamespace(**(vars(ssl) | {"SSLContext": StartsLow}))
    )
    low = StartsLow(ssl.PROTOCOL_TLS_SERVER)
    files = self_signed(tmp_path, bits)
    low.load_cert_chain(files.certificate, files.key)
    if bits < 2048:
        with pytest.raises(TlsConfigurationError):
            build_context([files])
    else:
        assert build_context([files])


def self_signed(folder: Path, bits: int) -> CertificateFiles:
    """An RSA certificate whose key has so many bits."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    files = CertificateFiles(folder / "own.pem", folder / "own.key")
    files.certificate.write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def test_forward_secrecy_is_preferred() -> None:
    """The order is the server's."""
    records, _ = handshake(build_context(certificates()), tls12("AES256-SHA:AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA"))
    assert records.cipher == "ECDHE-RSA-AES128-SHA"


def test_tls_1_3_is_spoken() -> None:
    """And is what a modern charger gets."""
    records, client = handshake(build_context(certificates()), client_context())
    assert records.version == "TLSv1.3"
    assert client.tls.compression() is None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1(_1)? is deprecated:DeprecationWarning")
@pytest.mark.parametrize("policy", promised.POLICIES)
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_tls_1_1_is_refused(policy: str, version: str) -> None:
    """A7.14, and 1.0 with it."""
    client = client_context()
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = ssl.TLSVersion[version]
    with pytest.raises(TlsFailure, match="unsupported_protocol"):
        handshake(build_context(certificates(), policy=policy), client)


def test_weak_suites_are_refused() -> None:
    """Nothing beyond the list."""
    with pytest.raises(TlsFailure, match="no_shared_cipher"):
        handshake(build_context(certificates()), tls12("ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-SHA"))


@pytest.mark.parametrize("name", [None, "elsewhere.test", "127.0.0.1"])
def test_a_missing_or_wrong_name_still_gets_the_certificate(name: str | None) -> None:
    """A7.19: no SNI, wrong SNI, an IP address as host."""
    client = client_context()
    client.check_hostname = False
    _, end = handshake(build_context(certificates()), client, name)
    assert end.tls.getpeercert(binary_form=True)


def test_the_context_forbids_compression_and_renegotiation() -> None:
    """A7.14."""
    options = build_context(certificates()).options
    assert options & ssl.OP_NO_COMPRESSION
    assert options & ssl.OP_NO_RENEGOTIATION


def test_a_client_certificate_is_demanded_where_an_authority_is_configured(tmp_path: Path) -> None:
    """Security profile 3's way in; the peer's certificate comes in DER."""
    bundle = tmp_path / "clients.pem"
    authority().cert_pem.write_to_path(str(bundle))
    server = build_context(certificates(), client_authority=bundle)
    with_certificate = client_context()
    with_certificate.maximum_version = ssl.TLSVersion.TLSv1_2
    authority().issue_cert("CP1").configure_cert(with_certificate)
    records, _ = handshake(server, with_certificate)
    assert records.peer_certificate is not None
    with pytest.raises(TlsFailure, match="peer_did_not_return_a_certificate"):
        handshake(server, tls12("ECDHE-RSA-AES128-GCM-SHA256"))


def issue(folder: Path, name: str, key_type: trustme.KeyType = trustme.KeyType.ECDSA) -> CertificateFiles:
    leaf = authority().issue_cert("localhost", common_name=name, key_type=key_type)
    files = CertificateFiles(folder / f"{name}.pem", folder / f"{name}.key")
    leaf.cert_chain_pems[0].write_to_path(str(files.certificate))
    leaf.private_key_pem.write_to_path(str(files.key))
    return files


def served_name(provider: TlsProvider) -> object:
    _, end = handshake(provider.context, client_context())
    certificate = end.tls.getpeercert()
    assert certificate
    subject: Any = certificate["subject"]
    return dict(pair for rdn in subject for pair in rdn).get("commonName")


def test_a_reload_serves_the_new_certificate(tmp_path: Path) -> None:
    """A7.22: the next accept gets it; a context already handed out stays as it is."""
    files = issue(tmp_path, "first")
    provider = TlsProvider(TlsFiles((files,)))
    old = provider.context
    second = issue(tmp_path, "second")
    second.certificate.replace(files.certificate)
    second.key.replace(files.key)
    assert served_name(provider) == "first"
    provider.reload(datetime.now(UTC))
    assert served_name(provider) == "second"
    assert provider.context is not old


def test_a_bad_reload_says_why_and_keeps_the_old_certificate(tmp_path: Path) -> None:
    """A half-written file must not take the port down."""
    files = issue(tmp_path, "good")
    provider = TlsProvider(TlsFiles((files,)))
    files.certificate.write_text("garbage")
    with pytest.raises(TlsConfigurationError, match=r"good\.pem holds no certificate in PEM"):
        provider.reload(datetime.now(UTC))
    assert served_name(provider) == "good"


def test_each_bad_file_is_named(tmp_path: Path) -> None:
    """The operator reads which file, and what is wrong with it."""
    good, other = issue(tmp_path, "a"), issue(tmp_path, "b")
    encrypted = tmp_path / "secret.key"
    key = load_pem_private_key(good.key.read_bytes(), None)
    encrypted.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    missing, cut, cut_key = (tmp_path / name for name in ("missing", "cut.pem", "cut.key"))
    cut.write_bytes(good.certificate.read_bytes()[:200])
    cut_key.write_bytes(good.key.read_bytes()[:80])
    for files, message in [
        ([], "no certificate"),
        ([CertificateFiles(missing, good.key)], "missing: No such file"),
        ([CertificateFiles(good.certificate, missing)], "missing: No such file"),
        ([CertificateFiles(good.certificate, tmp_path)], "not a file"),
        ([CertificateFiles(good.certificate, other.key)], r"b\.key does not belong to .*a\.pem"),
        ([CertificateFiles(good.certificate, good.certificate)], r"a\.pem holds no private key"),
        ([CertificateFiles(good.key, good.key)], r"a\.key holds no certificate"),
        ([CertificateFiles(cut, good.key)], r"cut\.pem: the certificate is damaged"),
        ([CertificateFiles(good.certificate, cut_key)], r"cut\.key can't be used with .*a\.pem: "),
        ([CertificateFiles(good.certificate, encrypted)], r"secret\.key: the key is encrypted"),
        ([good, other], r"b\.pem: .*a\.pem already is the ECDSA certificate"),
    ]:
        with pytest.raises(TlsConfigurationError, match=message):
            build_context(files)
    with pytest.raises(TlsConfigurationError, match="missing: No such file"):
        build_context([good], client_authority=missing)


@pytest.mark.parametrize(("rsa_first", "fault"), [(False, 1), (True, 0)])
def test_another_pairs_key_is_never_taken_for_a_certificates_own(tmp_path: Path, rsa_first: bool, fault: int) -> None:
    """In one context OpenSSL would find that the key fits the other pair, and serve one kind of certificate only."""
    good = issue(tmp_path, "ecdsa")
    mixed = CertificateFiles(issue(tmp_path, "rsa", trustme.KeyType.RSA).certificate, good.key)
    with pytest.raises(TlsConfigurationError, match=r"ecdsa\.key does not belong to .*rsa\.pem$") as caught:
        build_context([mixed, good] if rsa_first else [good, mixed])
    assert [each.place for each in caught.value.faults] == [f"certificates[{fault}].key"]


def test_all_bad_files_are_reported_at_once(tmp_path: Path) -> None:
    """Each by the place of its setting, so that one look at the message is enough."""
    good, missing = issue(tmp_path, "a"), tmp_path / "missing"
    with pytest.raises(TlsConfigurationError) as caught:
        build_context([CertificateFiles(good.key, good.certificate), good, CertificateFiles(good.certificate, missing)])
    assert [(each.place, each.reason) for each in caught.value.faults] == [
        ("certificates[0].certificate", f"{good.key} holds no certificate in PEM"),
        ("certificates[0].key", f"{good.certificate} holds no private key in PEM"),
        ("certificates[2].key", f"{missing}: No such file or directory"),
    ]
    assert all(each.reason in str(caught.value) for each in caught.value.faults)


def test_a_certificate_and_its_key_may_be_in_one_file(tmp_path: Path) -> None:
    """As some tools write them, in either order."""
    good, both = issue(tmp_path, "a"), tmp_path / "both.pem"
    for first, second in [(good.key, good.certificate), (good.certificate, good.key)]:
        both.write_bytes(first.read_bytes() + second.read_bytes())
        assert served_name(TlsProvider(TlsFiles((CertificateFiles(both, both),)))) == "a"


def test_every_record_of_a_long_write_arrives() -> None:
    """A message of a mebibyte is 64 records, in either direction."""
    records, client = handshake(build_context(certificates()), client_context())
    client.incoming.write(records.encrypt(b"x" * 1_000_000))
    received = b""
    while len(received) < 1_000_000:
        received += client.tls.read(65536)
    assert received == b"x" * 1_000_000
    client.tls.write(b"y" * 40_000)
    records.feed(client.outgoing.read())
    assert records.read() == b"y" * 40_000

"""Answers of OCSP responders: which of them count, and for how long."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport.ocsp import (
    MAX_AGE,
    MAX_AHEAD,
    NONCE_BYTES,
    WITHOUT_NEXT_UPDATE,
    Question,
    Standing,
    Status,
    UnusableAnswer,
    question,
    read_answer,
    responders,
)
from tests.transport.authorities import DAY, NOW, ClientAuthority, Issued
from tests.transport.responders import HOUR, Delegate, Responder, delegate

CA = ClientAuthority()
CHARGER = CA.issue("CP1")
NONCE = bytes(range(NONCE_BYTES))
SECOND = timedelta(seconds=1)


def responder() -> Responder:
    return Responder(CA, {CHARGER.serial: CHARGER})


def asked(issued: Issued = CHARGER, nonce: bytes = NONCE) -> Question:
    return question(issued.certificate, CA.certificate, nonce)


def read(data: bytes, now: datetime = NOW) -> Status:
    return read_answer(data, asked(), CA.certificate, now)


def fault(data: bytes, now: datetime = NOW) -> str:
    with pytest.raises(UnusableAnswer) as caught:
        read(data, now)
    return str(caught.value)


@pytest.mark.parametrize("standing", Standing)
def test_the_standing_is_the_responders_word(standing: Standing) -> None:
    """Good, revoked, or not known."""
    of = responder()
    {Standing.REVOKED: of.revoked, Standing.UNKNOWN: of.unknown, Standing.GOOD: set[int]()}[standing].add(
        CHARGER.serial
    )
    assert read(of.answer(asked().der)) == Status(standing, NOW + MAX_AGE)


def test_an_answer_counts_until_its_next_update_and_an_hour_at_most() -> None:
    """Without a next update for a minute."""
    of = responder()
    of.ends = NOW + MAX_AGE - SECOND
    assert read(of.answer(asked().der)).until == NOW + MAX_AGE - SECOND
    of.ends = NOW + DAY
    assert read(of.answer(asked().der)).until == NOW + MAX_AGE
    of.ends = None
    assert read(of.answer(asked().der)).until == NOW + WITHOUT_NEXT_UPDATE


def test_an_answer_out_of_its_time_does_not_count() -> None:
    """At its next update, an hour old without one, and more than five minutes before it begins."""
    of = responder()
    of.ends = NOW
    assert fault(of.answer(asked().der)) == "stale"
    of.ends, of.begins = None, NOW - MAX_AGE - SECOND
    assert fault(of.answer(asked().der)) == "stale"
    of.begins = NOW - MAX_AGE
    assert read(of.answer(asked().der)).standing is Standing.GOOD
    of.begins = NOW + MAX_AHEAD
    assert read(of.answer(asked().der)).standing is Standing.GOOD
    of.begins = NOW + MAX_AHEAD + SECOND
    assert fault(of.answer(asked().der)) == "not_valid_yet"


def test_an_answer_to_another_question_does_not_count() -> None:
    """Recorded and played again; one that was made in advance has no nonce, and counts."""
    of = responder()
    assert fault(of.answer(asked(nonce=NONCE[::-1]).der)) == "nonce"
    of.with_nonce = False
    assert read(of.answer(asked(nonce=NONCE[::-1]).der)).standing is Standing.GOOD


def test_an_answer_about_another_certificate_does_not_count() -> None:
    """The nonce is right, and the signature."""
    of = responder()
    assert fault(of.answer(asked(of.issue("CP2")).der)) == "another_certificate"


def test_a_delegated_responder_counts() -> None:
    """With a certificate of the issuer that is for this (RFC 6960 §4.2.2.2)."""
    of = responder()
    of.delegate = delegate(CA)
    assert read(of.answer(asked().der)).standing is Standing.GOOD


OTHER = ClientAuthority()

FORGERS: dict[str, Delegate] = {
    "another authority": (OTHER.certificate, OTHER.key),
    "another authority's responder": delegate(OTHER),
    "a charger": (CHARGER.certificate, CHARGER.key),
    "a certificate for something else": delegate(CA, ExtendedKeyUsageOID.CLIENT_AUTH),
    "a responder whose certificate is over": delegate(CA, end=-SECOND),
}


@pytest.mark.parametrize("who", FORGERS)
def test_an_answer_that_another_has_signed_does_not_count(who: str) -> None:
    """Whatever it says."""
    of = responder()
    of.delegate = FORGERS[who]
    assert fault(of.answer(asked().der)) == "signature"


@pytest.mark.parametrize("status", [each for each in ocsp.OCSPResponseStatus if each.name != "SUCCESSFUL"])
def test_a_refusal_of_the_responder_is_named(status: ocsp.OCSPResponseStatus) -> None:
    """As RFC 6960 §2.3 names it."""
    data = ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
    assert fault(data) == f"responder_{status.name.lower()}"


GOOD = Responder(CA, {CHARGER.serial: CHARGER}).answer(asked().der)


@given(
    st.binary()
    | st.builds(
        lambda at, to: GOOD[: at % len(GOOD)] + to + GOOD[at % len(GOOD) + len(to) :],
        st.integers(0),
        st.binary(min_size=1, max_size=4),
    )
)
def test_any_bytes_are_an_answer_or_none(data: bytes) -> None:
    """And nothing else is raised; a changed answer never says something else than the signed one."""
    try:
        found = read(data)
    except UnusableAnswer:
        return
    assert found.standing is Standing.GOOD


def test_the_responders_of_a_certificate_are_those_asked_over_http() -> None:
    """In its order; others, and the issuer's own location, are not."""

    def access(method: x509.ObjectIdentifier, url: str) -> x509.AccessDescription:
        return x509.AccessDescription(method, x509.UniformResourceIdentifier(url))

    named = x509.AuthorityInformationAccess(
        [
            access(AuthorityInformationAccessOID.CA_ISSUERS, "http://ca.example/ca.der"),
            access(AuthorityInformationAccessOID.OCSP, "ldap://ocsp.example/"),
            access(AuthorityInformationAccessOID.OCSP, "http://ocsp.example/"),
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.DNSName("ocsp.example")),
        ]
    )
    made = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(CA.name).public_key(CA.key.public_key())
    made = made.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + DAY).add_extension(named, critical=False)
    assert responders(made.sign(CA.key, hashes.SHA256())) == ("http://ocsp.example/",)
    assert responders(CHARGER.certificate) == ()


def answered_by_openssl(folder: Path, *options: str, revoked: bool = False) -> bytes:
    """The answer of `openssl ocsp`, which has read the question."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command as a client")
    (folder / "ca.pem").write_bytes(CA.pem)
    (folder / "ca.key").write_bytes(CA.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    over, since = f"{NOW + DAY:%y%m%d%H%M%SZ}", f"{NOW - HOUR:%y%m%d%H%M%SZ}"
    row = ["R" if revoked else "V", over, since if revoked else "", f"{CHARGER.serial:X}", "unknown", "/CN=CP1"]
    (folder / "index.txt").write_text("\t".join(row) + "\n")
    (folder / "question").write_bytes(asked().der)
    signer = ["-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.key", "-ndays", "1"]
    command = ["openssl", "ocsp", *signer, "-reqin", "question", "-respout", "answer", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return (folder / "answer").read_bytes()


@pytest.mark.parametrize("revoked", [False, True])
def test_openssl_answers_what_is_asked(tmp_path: Path, revoked: bool) -> None:
    """`openssl ocsp` reads the question, and its answer counts."""
    found = read(answered_by_openssl(tmp_path, revoked=revoked), datetime.now(UTC))
    assert found.standing is (Standing.REVOKED if revoked else Standing.GOOD)


def test_a_signature_by_sha_1_does_not_count(tmp_path: Path) -> None:
    """It can be forged."""
    assert fault(answered_by_openssl(tmp_path, "-rmd", "sha1"), datetime.now(UTC)) == "signature"

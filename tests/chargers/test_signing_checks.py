"""A charger's signing request is looked at before any service signs it: form, key, signature, and whose it is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.chargers.certificate_identity import CertificateRule
from gateway.chargers.signing_checks import SigningChecks
from gateway.domain.certificates import MAX_REQUEST, SigningSubject, chain_problem, facts_of, read_request
from gateway.domain.values import Registration
from gateway.store.commits import CreateChargePoint
from gateway.store.reads import Reads
from gateway.store.sqlite.store import SqliteStore
from tests.support.charger_certificates import DAY, YEAR_2024, SigningAuthority, new_key, pem, request
from tests.support.harness import DirectJournal

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = request("CP1")
RSA_2048 = rsa.generate_private_key(65537, 2048)


def damaged(csr: str) -> str:
    """Another signature: one letter of its last full line is another one."""
    lines = csr.strip().split("\n")
    lines[-2] = ("B" if lines[-2][0] == "A" else "A") + lines[-2][1:]
    return "\n".join(lines) + "\n"


FORMS = {
    "too long": (GOOD + "\n" * MAX_REQUEST, "csr_too_long"),
    "no text": ("", "csr_not_pem"),
    "a certificate": (pem(SigningAuthority().root), "csr_not_pem"),
    "two": (GOOD + GOOD, "csr_not_pem"),
    "no request": (
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "csr_unreadable",
    ),
    "RSA of 1024 bits": (request(key=rsa.generate_private_key(65537, 1024)), "csr_key_too_small"),
    "P-224": (request(key=ec.generate_private_key(ec.SECP224R1())), "csr_key_too_small"),
    "secp256k1": (request(key=ec.generate_private_key(ec.SECP256K1())), "csr_key_type_unknown"),
    "Ed25519": (
        pem(
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .sign(ed25519.Ed25519PrivateKey.generate(), None)
        ),
        "csr_key_type_unknown",
    ),
    "another's signature": (damaged(GOOD), "csr_signature_wrong"),
}


@pytest.mark.parametrize("how", FORMS)
def test_a_request_that_is_not_to_be_signed_is_named(how: str) -> None:
    """B11.2: by a stable word, whatever its name is."""
    csr, reason = FORMS[how]
    assert read_request(csr) == reason


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (RSA_2048, "RSA 2048"),
        (ec.generate_private_key(ec.SECP256R1()), "EC secp256r1"),
        (ec.generate_private_key(ec.SECP384R1()), "EC secp384r1"),
        (ec.generate_private_key(ec.SECP521R1()), "EC secp521r1"),
    ],
)
def test_keys_that_are_strong_enough_are_taken(key: object, name: str) -> None:
    """RSA from 2,048 bits, ECDSA from P-256."""
    found = read_request(request(key=key, digest=hashes.SHA384()))
    assert isinstance(found, SigningSubject)
    assert found.key_type == name


def test_a_request_of_another_spelling_is_taken() -> None:
    """NEW CERTIFICATE REQUEST, and lines that end as on another system."""
    text = GOOD.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST").replace("\n", "\r\n")
    assert isinstance(read_request(text), SigningSubject)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    """As a request, as a chain, as a certificate: nothing is raised."""
    for body in (text, f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n"):
        assert isinstance(read_request(body), str)
        assert isinstance(chain_problem(body, NOW, GOOD), str)
    assert facts_of(text) is None
    assert facts_of(text.encode()) is None


@given(st.data())
def test_a_damaged_request_is_read_or_refused(data: st.DataObject) -> None:
    """Any bytes in its base64."""
    at = data.draw(st.integers(40, len(GOOD) - 40))
    letter = data.draw(st.sampled_from("ABCabc019+/="))
    assert isinstance(read_request(GOOD[:at] + letter + GOOD[at + 1 :]), SigningSubject | str)


# --- whose it is ----------------------------------------------------------------------------------------------


@pytest.fixture
def reads(tmp_path: Path) -> Reads:
    store = SqliteStore(tmp_path / "gateway.db")
    labels = {"serial": "SN-1"}
    store.commit([CreateChargePoint("CP1", Registration.ACCEPTED, (), NOW, labels=labels)])
    return Reads(store, DirectJournal(store))


COMMON, SERIAL = CertificateRule("common-name", "Acme"), CertificateRule("serial", "Acme")
NAMES = {
    "fits": ((COMMON,), request("CP1", "Acme"), ""),
    "fits the second rule": ((COMMON, SERIAL), request("SN-1", "Acme"), ""),
    "another charger's": ((COMMON,), request("CP2", "Acme"), "csr_of_another_charger"),
    "another organization's": ((COMMON,), request("CP1", "Else"), "csr_of_another_organization"),
    "no organization": ((SERIAL,), request("SN-1"), "csr_of_another_organization"),
    "no rule, by identity": ((), request("CP1"), ""),
    "no rule, by serial number": ((), request("SN-1", "Any"), ""),
    "no rule, another's": ((), request("CP2"), "csr_of_another_charger"),
    "no known serial": (
        (CertificateRule("serial", serial_label="none"),),
        request("SN-1"),
        "csr_no_serial_number_known",
    ),
    "an alternative name": (
        (CertificateRule("alternative-name"),),
        request("x", alternative=[x509.DNSName("CP1")]),
        "",
    ),
}


@pytest.mark.parametrize("how", NAMES)
async def test_a_request_has_to_name_its_charger(reads: Reads, how: str) -> None:
    """By a rule of the listeners that would let the certificate in."""
    rules, csr, reason = NAMES[how]
    verdict = await SigningChecks(reads, rules, timedelta(hours=2), lambda: NOW).judge("CP1", csr)
    assert verdict.refused == reason
    if not reason:
        assert verdict.expires_at == NOW + timedelta(hours=2)
        assert verdict.key_type == "EC secp256r1"
        assert "CN=" in verdict.subject


# --- what the service answers ---------------------------------------------------------------------------------


def test_a_chain_has_to_fit_its_request() -> None:
    """The key, the name, the order, the time."""
    authority = SigningAuthority()
    csr = request("CP1")
    chain = authority.issue(csr)
    assert chain_problem(chain, YEAR_2024, csr) is None
    assert "not of the key" in (chain_problem(chain, YEAR_2024, request("CP1")) or "")
    key = new_key()
    other = authority.issue(request("CP2", key=key))
    assert "common name" in (chain_problem(other, YEAR_2024, request("CP1", key=key)) or "")
    assert "expired" in (chain_problem(chain, YEAR_2024 + 400 * DAY, csr) or "")
    assert "not valid before" in (chain_problem(chain, YEAR_2024 - 2 * DAY, csr) or "")
    leaf, issuer = chain.split("-----END CERTIFICATE-----\n")[:2]
    end = "-----END CERTIFICATE-----\n"
    assert chain_problem(issuer + end + leaf + end, YEAR_2024, csr) is not None
    assert "did not issue" in (chain_problem(leaf + end + pem(authority.root), YEAR_2024, csr) or "")

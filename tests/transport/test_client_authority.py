"""Chargers' certificates: which are let in, which are refused and why, and which files are taken."""

import random
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.transport.certificate_files import TlsConfigurationError, TlsFault
from gateway.transport.client_authority import MAX_ISSUERS, read_authority
from gateway.transport.client_authority import ClientAuthority as Read
from tests.transport.authorities import DAY, NOW, ClientAuthority, Issued

CA = ClientAuthority()
CHARGER = CA.issue("CP1")


def read(folder: Path, *authorities: ClientAuthority, crl: bytes | None = None, accepts_stale: bool = False) -> Read:
    bundle, lists = folder / "ca.pem", folder / "crl.pem"
    bundle.write_bytes(b"".join(each.pem for each in authorities))
    if crl is not None:
        lists.write_bytes(crl)
    return read_authority(bundle, None if crl is None else lists, accepts_stale=accepts_stale)


# --- who is let in ------------------------------------------------------------------------------------------------


def test_a_sound_certificate_is_let_in(tmp_path: Path) -> None:
    """With and without a list of revoked ones."""
    assert read(tmp_path, CA).refusal(CHARGER.der, NOW) is None
    assert read(tmp_path, CA, crl=CA.revoke(1, 2, 3)).refusal(CHARGER.der, NOW) is None


def test_a_revoked_certificate_is_refused(tmp_path: Path) -> None:
    """It, and no other one."""
    authority = read(tmp_path, CA, crl=CA.revoke(7, CHARGER.serial))
    assert authority.refusal(CHARGER.der, NOW) == "client_certificate_revoked"
    assert authority.refusal(CA.issue("CP2").der, NOW) is None


REFUSED: dict[str, tuple[Callable[[], Issued], str]] = {
    "expired": (lambda: CA.issue("CP1", begin=-5 * DAY, end=timedelta(0)), "client_certificate_expired"),
    "not valid yet": (lambda: CA.issue("CP1", begin=timedelta(seconds=1)), "client_certificate_not_valid_yet"),
    "of another authority": (lambda: ClientAuthority("Else").issue("CP1"), "client_issuer_unknown"),
    "of another authority of that name": (lambda: ClientAuthority().issue("CP1"), "client_issuer_unknown"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_certificate_that_is_none_is_refused(tmp_path: Path, how: str) -> None:
    """To the second."""
    make, reason = REFUSED[how]
    assert read(tmp_path, CA).refusal(make().der, NOW) == reason


@pytest.mark.parametrize(
    ("certificate", "reason"), [(None, "client_certificate_missing"), (b"x", "client_certificate_damaged")]
)
def test_no_certificate_is_refused(tmp_path: Path, certificate: bytes | None, reason: str) -> None:
    """Also if OpenSSL let it through."""
    assert read(tmp_path, CA).refusal(certificate, NOW) == reason


def test_an_expired_issuer_vouches_for_nothing(tmp_path: Path) -> None:
    """Its renewed certificate, of the same key and name or another, does."""
    old = ClientAuthority(end=2 * DAY)
    charger = old.issue("CP1")
    authority = read(tmp_path, old)
    assert authority.refusal(charger.der, NOW) is None
    assert authority.refusal(charger.der, NOW + 3 * DAY) == "client_issuer_expired"


def test_an_intermediate_that_is_revoked_vouches_for_nothing(tmp_path: Path) -> None:
    """The whole way up is looked at, as far as the bundle goes."""
    below = ClientAuthority("Below", above=CA)
    charger = below.issue("CP1")
    good = read(tmp_path, CA, below, crl=CA.revoke() + below.revoke())
    assert good.refusal(charger.der, NOW) is None
    bad = read(tmp_path, CA, below, crl=CA.revoke(below.certificate.serial_number) + below.revoke())
    assert bad.refusal(charger.der, NOW) == "client_certificate_revoked"


def test_a_stale_list_refuses_all_of_its_issuer(tmp_path: Path) -> None:
    """And nothing of another one's; what it has revoked stays revoked."""
    other = ClientAuthority("Other")
    authority = read(tmp_path, CA, other, crl=CA.revoke(9, end=DAY) + other.revoke(end=5 * DAY))
    assert authority.refusal(CHARGER.der, NOW + DAY - timedelta(seconds=1)) is None
    assert authority.refusal(CHARGER.der, NOW + DAY) == "client_crl_stale"
    assert authority.refusal(other.issue("CP2").der, NOW + DAY) is None
    [fault] = authority.validity(NOW + DAY)
    assert fault.place == "client_crl"
    assert "the list of CN=Chargers is stale" in fault.reason


def test_a_list_of_the_future_is_none_yet(tmp_path: Path) -> None:
    """A clock is wrong: nothing is decided by it."""
    assert read(tmp_path, CA, crl=CA.revoke(begin=DAY)).refusal(CHARGER.der, NOW) == "client_crl_stale"


def test_a_stale_list_counts_on_where_that_is_allowed(tmp_path: Path) -> None:
    """By the operator's word: whom it names is refused, all others are let in."""
    authority = read(tmp_path, CA, crl=CA.revoke(CHARGER.serial, end=DAY), accepts_stale=True)
    assert authority.refusal(CHARGER.der, NOW + 9 * DAY) == "client_certificate_revoked"
    assert authority.refusal(CA.issue("CP2").der, NOW + 9 * DAY) is None
    assert list(authority.validity(NOW + 9 * DAY)) == []


def test_the_first_end_of_issuers_and_of_lists_is_known(tmp_path: Path) -> None:
    """For the metric: by setting, with the file."""
    other = ClientAuthority("Other", end=50 * DAY)
    authority = read(tmp_path, CA, other, crl=CA.revoke(end=9 * DAY) + other.revoke(end=3 * DAY))
    assert list(authority.expiries()) == [
        ("client_authority", tmp_path / "ca.pem", NOW + 50 * DAY),
        ("client_crl", tmp_path / "crl.pem", NOW + 3 * DAY),
    ]
    assert [kind for kind, _, _ in read(tmp_path, CA).expiries()] == ["client_authority"]


# --- which files are taken -------------------------------------------------------------------------------------------

OTHER = ClientAuthority("Other")
ONLY_USERS = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
BAD_LISTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "holds no list of revoked certificates in PEM"),
    "a certificate": (CA.pem, "holds no list of revoked certificates in PEM"),
    "damaged": (CA.revoke().replace(b"A", b"B"), "a list of revoked certificates is damaged"),
    "another's": (OTHER.revoke(), "the list of CN=Other is signed by none of "),
    "of that name, another's": (ClientAuthority().revoke(), "the list of CN=Chargers is signed by none of "),
    "twice": (CA.revoke() + CA.revoke(), "there are two lists of CN=Chargers"),
    "of a part": (CA.revoke(extension=ONLY_USERS), "is for a part of its certificates only"),
    "a delta": (CA.revoke(extension=x509.DeltaCRLIndicator(1)), "is for a part of its certificates only"),
}


@pytest.mark.parametrize("how", BAD_LISTS)
def test_a_list_that_can_not_be_used_is_named(tmp_path: Path, how: str) -> None:
    """With its file and the reason, at its setting."""
    data, reason = BAD_LISTS[how]
    with pytest.raises(TlsConfigurationError) as caught:
        read(tmp_path, CA, crl=data)
    [fault] = caught.value.faults
    assert fault.place == "client_crl"
    assert reason in fault.reason
    assert "crl.pem" in fault.reason


def test_an_issuer_without_a_list_is_named(tmp_path: Path) -> None:
    """Else its revoked certificates would be let in, or all of them refused, and nothing would say so before."""
    with pytest.raises(TlsConfigurationError, match=r"crl\.pem: there is no list of CN=Other, which is in .*ca\.pem"):
        read(tmp_path, CA, OTHER, crl=CA.revoke())


def test_a_bundle_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    """Missing, empty, damaged, of too many, of a certificate that issues none."""
    path = tmp_path / "ca.pem"
    leaf = ClientAuthority()
    leaf.certificate = CHARGER.certificate
    for data, reason in (
        (None, "No such file"),
        (b"", "holds no certificate in PEM"),
        (CA.pem.replace(b"M", b"N"), "is damaged"),
        (CA.pem * (MAX_ISSUERS + 1), f"more than {MAX_ISSUERS} certificates"),
        (leaf.pem, "CN=CP1 is not the certificate of an authority"),
    ):
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(TlsConfigurationError, match=reason) as caught:
            read_authority(path)
        assert [fault.place for fault in caught.value.faults] == ["client_authority"]


def test_a_certificate_of_a_version_that_there_is_not_is_damaged(tmp_path: Path) -> None:
    """As an authority's, and as a client's: the library has an exception of another kind for it."""
    odd = CHARGER.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)
    assert odd != CHARGER.der
    assert read(tmp_path, CA).refusal(odd, NOW) == "client_certificate_damaged"
    (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(odd))
    with pytest.raises(TlsConfigurationError, match=r"ca\.pem"):
        read_authority(tmp_path / "ca.pem")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.integers(0, 2**32)))
def test_any_files_are_read_or_refused(tmp_path: Path, given: bytes | int) -> None:
    """Any bytes, and sound files with bytes exchanged: a fault that names a file, or a sound authority."""
    bundle, crl = CA.pem, CA.revoke(1)
    if isinstance(given, bytes):
        bundle, crl = (given, crl) if given[:1] < b"\x80" else (bundle, given)
    else:
        draw = random.Random(given)
        broken = bytearray(bundle if draw.random() < 0.5 else crl)
        for _ in range(draw.randrange(1, 4)):
            broken[draw.randrange(len(broken))] = draw.choice(b"AZaz09+/=\n-")
        bundle, crl = (bytes(broken), crl) if broken.startswith(b"-----BEGIN CERT") else (bundle, bytes(broken))
    (tmp_path / "ca.pem").write_bytes(bundle)
    (tmp_path / "crl.pem").write_bytes(crl)
    faults: tuple[TlsFault, ...] = ()
    try:
        found = read_authority(tmp_path / "ca.pem", tmp_path / "crl.pem")
        assert found.refusal(b"", NOW) == "client_certificate_damaged"
        assert isinstance(found.refusal(CHARGER.der, NOW), str | None)
        faults = tuple(found.validity(NOW))
    except TlsConfigurationError as error:
        faults = error.faults
    assert all(fault.place in ("client_authority", "client_crl") and ".pem" in fault.reason for fault in faults)

"""Near misses of the key and of the verifier: one byte more, less or other opens nothing."""

import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.credentials import Verifier, find, make_credential, verify
from gateway.domain.records import Credential, CredentialKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")

LENGTHS = (8, 16, 20, 39, 40)
"""Bytes of a key: the bounds that are taken, by hand, and what is between them."""

OLD_VERIFIER = bytes.fromhex("0e080138becf1e8b3984e11d3e62440f954c0b4098aed85db1cd5e5df0e9eeb6eb60bb")
"""Of the key 0123456789abcdef, with the salt 00 01 02 to 0f: parameters 14, 8, 1, and scrypt's 32 bytes (RFC 7914)."""

ADDED = [b"\x00", b"\x00" * 44, b"x", b"\n", b" ", b":", b"\xff" * 20, KEY]


@pytest.mark.parametrize("kind", CredentialKind)
@pytest.mark.parametrize("added", ADDED)
def test_a_key_with_something_behind_or_before_it_is_another(kind: CredentialKind, added: bytes) -> None:
    """Zeros too: HMAC, which scrypt begins with, takes a key and the key with zeros behind it for the same."""
    credential = make_credential(KEY, kind, NOW)
    assert verify(credential, KEY)
    for other in (KEY + added, added + KEY):
        assert not verify(credential, other)
        assert not verify(credential, other, accept_hex=True)


@pytest.mark.parametrize("kind", CredentialKind)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_key_of_any_length_that_is_taken_opens_and_its_parts_do_not(kind: CredentialKind, length: int) -> None:
    """Whole, and nothing but whole."""
    key = bytes(range(1, length + 1))
    credential = make_credential(key, kind, NOW)
    assert verify(credential, key)
    assert not any(verify(credential, part) for part in (key[:-1], key[1:], key[: length // 2], key + key[-1:]))


@pytest.mark.parametrize("kind", CredentialKind)
def test_a_key_that_ends_in_zeros_is_itself_alone(kind: CredentialKind) -> None:
    """Chargers' keys are raw bytes (J §6.2.2)."""
    key = b"0123456789abcde\x00"
    credential = make_credential(key, kind, NOW)
    assert verify(credential, key)
    assert not verify(credential, key[:-1])
    assert not verify(credential, key + b"\x00")


@pytest.mark.parametrize("kind", CredentialKind)
def test_every_byte_of_a_verifier_counts(kind: CredentialKind) -> None:
    """The last one, too; and one that is cut or longer matches nothing."""
    credential = make_credential(KEY, kind, NOW)
    whole = credential.verifier
    slow = kind is CredentialKind.IMPORTED
    for place in (-33, -32, -2, -1) if slow else range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        assert not verify(evolve(credential, verifier=bytes(changed)), KEY), place
    for wrong in (whole[:-1], whole + b"\x00", whole[1:], b""):
        assert not verify(evolve(credential, verifier=wrong), KEY)


@pytest.mark.parametrize("kind", CredentialKind)
def test_the_salt_counts(kind: CredentialKind) -> None:
    """A verifier is of one credential."""
    credential = make_credential(KEY, kind, NOW)
    other = make_credential(KEY, kind, NOW)
    assert not verify(evolve(credential, salt=other.salt), KEY)


def of_any_length(password: bytes) -> Credential:
    """A credential for a password that no key may be."""
    made = make_credential(KEY, CredentialKind.GENERATED, NOW)
    return evolve(made, verifier=hmac.digest(made.salt, password, "sha256"))


@pytest.mark.parametrize(
    ("length", "read"), [(1, True), (64, True), (65, True), (255, True), (256, False), (10_000, False)]
)
def test_a_password_of_more_than_255_bytes_is_not_read(length: int, read: bool) -> None:
    """Not even where it would match: hashing it would be the peer's choice of work."""
    password = b"p" * length
    assert verify(of_any_length(password), password) is read
    assert verify(of_any_length(password), password, accept_hex=True) is read
    assert (find([of_any_length(password)], password, NOW) is not None) is read


def test_a_key_kept_before_its_length_was_counted_still_opens() -> None:
    """Verifiers are stored for years: one of the first form, written down when it was made."""
    stored = Credential(
        "cred_1",
        CredentialKind.IMPORTED,
        bytes.fromhex("000102030405060708090a0b0c0d0e0f"),
        OLD_VERIFIER,
        not_before=NOW,
    )
    assert verify(stored, b"0123456789abcdef")
    assert not verify(stored, b"0123456789abcdeF")
    assert not verify(evolve(stored, verifier=OLD_VERIFIER[:-1] + b"\x00"), b"0123456789abcdef")


@pytest.mark.parametrize(
    ("parameters", "taken"),
    [
        ((1, 1, 1), True),
        ((15, 1, 1), True),
        ((16, 1, 1), False),  # RFC 7914: N is below 2^(128 r / 8), and OpenSSL says so by an exception
        ((17, 2, 1), True),
        ((18, 2, 1), False),
        ((1, 8, 1), True),
        ((1, 9, 1), False),
        ((1, 1, 4), True),
        ((1, 1, 5), False),
        ((0, 1, 1), False),
        ((1, 0, 1), False),
        ((1, 1, 0), False),
    ],
)
def test_a_stored_verifier_is_checked_as_far_as_it_costs_little(parameters: tuple[int, int, int], taken: bool) -> None:
    """By the parameters that are stored with it, up to the bounds, and not beyond, though it would match."""
    log2_n, r, p = parameters
    salt = bytes(16)
    digest = bytes(32)
    if taken:
        digest = hashlib.scrypt(KEY, salt=salt, n=1 << log2_n, r=r, p=p, maxmem=2**26, dklen=32)
    stored = Credential("cred_1", CredentialKind.IMPORTED, salt, bytes(parameters) + digest, not_before=NOW)
    assert verify(stored, KEY) is taken


def test_what_is_remembered_is_the_password_that_passed() -> None:
    """Not one with something behind it."""
    credential = make_credential(KEY, CredentialKind.IMPORTED, NOW)
    verifier = Verifier()
    verifier.remember(credential, KEY)
    assert verifier.recall([credential], KEY, NOW) == credential.credential_id
    for other in (KEY + b"\x00", KEY[:-1], KEY + b"x", b""):
        assert verifier.recall([credential], other, NOW) is None


@given(st.binary(min_size=8, max_size=40), st.binary(max_size=60))
def test_no_other_password_opens(key: bytes, other: bytes) -> None:
    """Whatever the two are."""
    credential = make_credential(key, CredentialKind.GENERATED, NOW)
    assert verify(credential, key)
    assert verify(credential, other) is (key == other)


def test_a_password_that_passes_again_is_the_last_one_to_be_forgotten() -> None:
    """Also one that is another password by now."""
    one, two, three = (make_credential(b"%016d" % n, CredentialKind.IMPORTED, NOW) for n in range(3))
    verifier = Verifier(capacity=2)
    for credential, password in ((one, b"old"), (two, b"two"), (one, b"new"), (three, b"three")):
        verifier.remember(credential, password)
    known = [
        verifier.recall([each], word, NOW) is not None for each, word in ((one, b"new"), (two, b"two"), (one, b"old"))
    ]
    assert known == [True, False, False]


def test_recognising_a_password_counts_as_use() -> None:
    """The least recently used goes."""
    one, two, three = (make_credential(b"%016d" % n, CredentialKind.IMPORTED, NOW) for n in range(3))
    verifier = Verifier(capacity=2)
    verifier.remember(one, b"one")
    verifier.remember(two, b"two")
    assert verifier.recall([one], b"one", NOW)
    verifier.remember(three, b"three")
    assert verifier.recall([one], b"one", NOW)
    assert verifier.recall([two], b"two", NOW) is None


def test_a_credential_that_is_over_hides_none_behind_it() -> None:
    """In either way of looking."""
    over = evolve(make_credential(KEY, CredentialKind.GENERATED, NOW), not_after=NOW)
    good = make_credential(KEY, CredentialKind.GENERATED, NOW)
    for credentials in ([over, good], [over, over, good]):
        assert Verifier().recall(credentials, KEY, NOW) == good.credential_id
        assert find(credentials, KEY, NOW) == good.credential_id
    assert Verifier().recall([over], KEY, NOW) is None

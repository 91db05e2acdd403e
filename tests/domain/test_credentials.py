"""Keys, verifiers and what chargers present."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.credentials import (
    MAX_KEY_BYTES,
    MIN_KEY_BYTES,
    Verifier,
    find,
    generate_key,
    make_credential,
    verify,
)
from gateway.domain.records import CredentialKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")


@pytest.mark.parametrize("kind", CredentialKind)
def test_a_key_of_any_bytes_is_known_by_its_verifier_and_no_other_is(kind):
    """The vector of A7.2 passes; a key that differs in one bit does not."""
    credential = make_credential(KEY, kind, NOW)
    assert verify(credential, KEY)
    assert not verify(credential, KEY[:-1] + b"\xfe")
    assert not verify(credential, b"")
    assert not verify(credential, b"x" * 100_000)


def test_verifiers_of_one_key_differ_and_do_not_show_it():
    """Every verifier has a salt of its own, and a representation without secrets."""
    first, second = (make_credential(KEY, CredentialKind.GENERATED, NOW) for _ in range(2))
    assert first.verifier != second.verifier
    assert KEY not in first.verifier + first.salt
    assert len({first.salt, second.salt}) == 2
    assert len(first.salt) == len(second.salt) == 16
    assert repr(first.verifier) not in repr(first)


def test_generated_keys_have_twenty_bytes_and_never_repeat():
    """As many as the standard allows, and more than a hundred random bits in them."""
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {20}
    assert len(set(b"".join(keys))) > 50


def test_a_generated_key_can_be_typed_as_it_is_printed():
    """Letters and digits that are not taken for one another: the text that is typed and the bytes are one."""
    for key in (generate_key() for _ in range(100)):
        text = key.decode("ascii")
        assert text.isalnum()
        assert not set(text) & set("0O1Il")


@pytest.mark.parametrize("length", [0, MIN_KEY_BYTES - 1, MAX_KEY_BYTES + 1])
def test_a_key_of_an_impossible_length_is_refused_without_being_shown(length):
    """The error tells the bounds only."""
    with pytest.raises(ValueError, match="8 to 40 bytes") as caught:
        make_credential(b"k" * length, CredentialKind.IMPORTED, NOW)
    assert "kk" not in str(caught.value)


@pytest.mark.parametrize("kind", CredentialKind)
def test_the_hexadecimal_form_counts_only_where_it_is_tolerated(kind):
    """X3: bytes always work, the 40 digits by setting."""
    credential = make_credential(KEY, kind, NOW)
    digits = KEY.hex().encode()
    assert not verify(credential, digits)
    assert verify(credential, digits, accept_hex=True)
    assert verify(credential, KEY, accept_hex=True)


@pytest.mark.parametrize("size", [8, 15, 16, 19, 20, 21, 40])
@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_the_hexadecimal_form_of_a_key_of_any_length_is_tolerated(size, change):
    """16 to 20 bytes by the standard, 8 to 40 in the field; of a part or with anything beside it, never."""
    key = bytes(range(240, 240 - size, -1))
    credential = make_credential(key, CredentialKind.GENERATED, NOW)
    digits = change(key.hex())
    assert verify(credential, digits.encode(), accept_hex=True)
    for other in (digits[:-1], digits[:-2], digits + "0", digits + "00", " " + digits, digits + "\n", "0x" + digits):
        assert not verify(credential, other.encode(), accept_hex=True)


def test_forty_digits_that_are_the_key_itself_pass_under_either_setting():
    """A charger provisioned with the text keeps working."""
    credential = make_credential(KEY.hex().encode(), CredentialKind.IMPORTED, NOW)
    assert verify(credential, KEY.hex().encode())
    assert verify(credential, KEY.hex().encode(), accept_hex=True)


def test_a_credential_counts_until_its_end_whenever_it_was_made():
    """not_after is not included. A clock that is behind, or was ahead when the key was made, shuts no charger out."""
    credential = evolve(make_credential(KEY, CredentialKind.GENERATED, NOW), not_after=NOW + timedelta(hours=1))
    for at, counts in [(-400_000_000, True), (-1, True), (0, True), (3599, True), (3600, False)]:
        found = find([credential], KEY, NOW + timedelta(seconds=at))
        assert (found == credential.credential_id) is counts


@pytest.mark.parametrize(
    "verifier", [b"", b"\x00" * 35, bytes((40, 8, 1)) + b"\x00" * 32, bytes((14, 255, 255)) + b"d" * 32]
)
def test_a_damaged_verifier_matches_nothing_and_costs_nothing(verifier):
    """Stored parameters out of bounds are not obeyed."""
    credential = evolve(make_credential(KEY, CredentialKind.IMPORTED, NOW), verifier=verifier)
    assert not verify(credential, KEY)


def test_an_imported_key_is_recognised_again_without_the_slow_hash():
    """After it passed once, the same password passes by its digest, another does not."""
    credential = make_credential(KEY, CredentialKind.IMPORTED, NOW)
    verifier = Verifier()
    assert verifier.recall([credential], KEY, NOW) is None
    assert verifier.worth_a_thread([credential])
    verifier.remember(credential, KEY)
    assert verifier.recall([credential], KEY, NOW) == credential.credential_id
    assert verifier.recall([credential], KEY[::-1], NOW) is None
    changed = evolve(make_credential(KEY[::-1], CredentialKind.IMPORTED, NOW), credential_id=credential.credential_id)
    assert verifier.recall([changed], KEY, NOW) is None


def test_a_generated_key_is_checked_at_once_and_never_worth_a_thread():
    """No memory is needed for it."""
    credential = make_credential(KEY, CredentialKind.GENERATED, NOW)
    verifier = Verifier(accept_hex=True)
    assert verifier.recall([credential], KEY.hex().encode(), NOW) == credential.credential_id
    assert not verifier.worth_a_thread([credential])


def test_the_least_recently_used_passwords_are_forgotten():
    """Memory is bounded."""
    credentials = [make_credential(b"%020d" % n, CredentialKind.IMPORTED, NOW) for n in range(3)]
    verifier = Verifier(capacity=2)
    for n, credential in enumerate(credentials):
        verifier.remember(credential, b"%020d" % n)
    known = [verifier.recall([credential], b"%020d" % n, NOW) is not None for n, credential in enumerate(credentials)]
    assert known == [False, True, True]


@pytest.mark.parametrize("again", ["recalled", "passed the slow check again"])
def test_a_password_that_is_used_again_is_not_the_next_to_be_forgotten(again):
    """A charger that comes back every minute is not checked slowly because others have come once."""
    credentials = [make_credential(b"%020d" % n, CredentialKind.IMPORTED, NOW) for n in range(3)]
    verifier = Verifier(capacity=2)
    for n in (0, 1):
        verifier.remember(credentials[n], b"%020d" % n)
    if again == "recalled":
        assert verifier.recall([credentials[0]], b"%020d" % 0, NOW) is not None
    else:
        verifier.remember(credentials[0], b"%020d" % 0)
    verifier.remember(credentials[2], b"%020d" % 2)
    known = [verifier.recall([credential], b"%020d" % n, NOW) is not None for n, credential in enumerate(credentials)]
    assert known == [True, False, True]


@given(st.binary(max_size=300), st.booleans())
def test_whatever_is_presented_is_judged_without_an_exception(password, accept_hex):
    """Passwords are the peer's bytes."""
    credential = make_credential(KEY, CredentialKind.GENERATED, NOW)
    assert verify(credential, password, accept_hex) is (password == KEY)

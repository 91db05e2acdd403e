"""Callers: roles and what they stand for, tokens, and what can be a caller."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.callers import (
    IMPLIED,
    MAX_CERTIFICATE_NAME,
    MAX_NAME,
    MAX_TOKEN,
    TOKEN_PREFIX,
    Caller,
    Role,
    faults,
    new_token,
    token_digest,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.READ, {Role.READ}),
        (Role.OPERATE, {Role.READ, Role.OPERATE}),
        (Role.ADMINISTER, {Role.READ, Role.OPERATE, Role.ADMINISTER}),
        (Role.VENDOR_DATA, {Role.VENDOR_DATA}),
        (Role.SIGNING, {Role.SIGNING}),
    ],
)
def test_a_role_stands_for_those_below_it(role: Role, may: set[Role]) -> None:
    """Vendors' data and signing are for those who have just that."""
    caller = Caller("a", (role,), NOW)
    assert {each for each in Role if caller.may(each)} == may
    assert role in IMPLIED[role]


def test_several_roles_add_up_and_none_is_nothing() -> None:
    """Also one that a later version wrote, and this one does not know."""
    both = Caller("a", (Role.READ, Role.VENDOR_DATA), NOW)
    assert {each for each in Role if both.may(each)} == {Role.READ, Role.VENDOR_DATA}
    assert not any(Caller("a", (), NOW).may(each) for each in Role)


def test_tokens_are_long_random_and_sent_in_a_header_as_they_are() -> None:
    """At least 128 bits; no two are the same."""
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert len(token.removeprefix(TOKEN_PREFIX)) * 6 >= 256
        assert token.isascii()
        assert " " not in token
    assert len({token_digest(token) for token in tokens}) == 100


@given(st.text(max_size=300))
def test_any_text_has_a_digest_or_is_no_token(text: str) -> None:
    """Never an error, whatever a client sends."""
    assert token_digest(text) is None
    digest = token_digest(TOKEN_PREFIX + text)
    assert (digest is None) is (len(TOKEN_PREFIX + text) > MAX_TOKEN)


def test_nothing_of_a_token_is_in_what_is_kept() -> None:
    """Nor its digest in what is shown."""
    token = new_token()
    digest = token_digest(token)
    assert digest is not None
    caller = Caller("a", (Role.READ,), NOW, digest)
    assert "digest" not in repr(caller)
    assert token not in repr(caller)


@pytest.mark.parametrize("name", ["a", "A9", "ops/anna", "billing.example", "a@b", "x" * MAX_NAME])
def test_a_name_that_can_be_a_caller(name: str) -> None:
    """As it will stand in records."""
    assert faults(name, [Role.READ], "x" * MAX_CERTIFICATE_NAME) == []


@pytest.mark.parametrize("name", ["", "-a", "a ", "a\nb", "\u00fc", "a=b", "/a", "x" * (MAX_NAME + 1)])
def test_any_other_name_is_a_fault(name: str) -> None:
    """Of the field name."""
    assert [where for where, _ in faults(name, [Role.READ], "")] == ["name"]


def test_roles_and_names_of_certificates_are_checked_too() -> None:
    """All at once."""
    found = faults("", [], "x" * (MAX_CERTIFICATE_NAME + 1))
    assert [where for where, _ in found] == ["name", "roles", "certificate_name"]
    assert [where for where, _ in faults("a", [Role.READ], "a\x00")] == ["certificate_name"]

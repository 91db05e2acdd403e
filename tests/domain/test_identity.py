"""Identities of charge points: allowed characters and lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.identity import MAX_CHARACTERS, fault


@pytest.mark.parametrize(
    "identity", ["CP1", "a", "x" * MAX_CHARACTERS, "RDAM|123", "a b", "Straße 7", "充电桩-1", "...", "%2F", "AL+1=2"]
)
def test_what_a_url_and_a_user_name_can_carry_is_an_identity(identity: str) -> None:
    """A1.3: anything printable, in any script."""
    assert fault(identity) is None


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        ("", "identity_missing"),
        ("x" * (MAX_CHARACTERS + 1), "identity_too_long"),
        (".", "identity_characters"),
        ("..", "identity_characters"),
        (" ", "identity_characters"),
        ("a/b", "identity_characters"),
        ("a:b", "identity_characters"),
        ("a\nb", "identity_characters"),
        ("a\x00b", "identity_characters"),
        ("a\u202eb", "identity_characters"),
        ("a\ud800b", "identity_characters"),
    ],
)
def test_what_could_never_connect_is_none(identity: str, reason: str) -> None:
    """A1.3, A7.1: a path, a user name that ends at its colon, what would garble a log."""
    wrong = fault(identity)
    assert wrong is not None
    assert wrong.reason == reason


@given(st.text(min_size=1, max_size=60))
def test_a_fault_never_shows_what_was_given(identity: str) -> None:
    """A key in the wrong column must not end up in an error."""
    wrong = fault(identity)
    if wrong is not None and len(identity) >= 4:  # a few letters may be a word of the description's own
        assert identity not in wrong.description

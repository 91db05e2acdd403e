"""Resume tokens: theirs and ours come back, everything else is refused with a reason."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feed import BadToken, Position, decode, encode
from gateway.feed.tokens import LENGTH, MAX_SEQUENCE

STORE = "store_0123456789abcdef0123456789abcdef"
sequences = st.integers(min_value=0, max_value=MAX_SEQUENCE)


@given(sequence=sequences, generation=sequences, store_id=st.text())
def test_a_token_gives_back_its_position(sequence: int, generation: int, store_id: str) -> None:
    """In the store it was made for."""
    assert decode(encode(store_id, sequence, generation), store_id) == Position(sequence, generation)


def test_a_token_of_the_first_version_has_no_generation() -> None:
    """It is read for as long as watchers may hold one."""
    token = bytes.fromhex("01") + hashlib.blake2b(STORE.encode(), digest_size=16).digest() + (4711).to_bytes(8, "big")
    assert decode(token + zlib.crc32(token).to_bytes(4, "big"), STORE) == Position(4711, 0)


@given(token=st.binary(max_size=2 * LENGTH))
def test_arbitrary_bytes_are_a_bad_token(token: bytes) -> None:
    """With a reason, never an exception."""
    result = decode(token, STORE)
    assert isinstance(result, BadToken)
    assert result.reason


@given(sequence=sequences, where=st.integers(min_value=0, max_value=LENGTH - 1), bits=st.integers(1, 255))
def test_a_mangled_token_is_noticed(sequence: int, where: int, bits: int) -> None:
    """Whichever byte it is."""
    token = bytearray(encode(STORE, sequence))
    token[where] ^= bits
    assert isinstance(decode(bytes(token), STORE), BadToken)


@given(sequence=sequences, length=st.integers(min_value=0, max_value=LENGTH - 1))
def test_a_token_that_was_cut_is_noticed(sequence: int, length: int) -> None:
    """Wherever it was."""
    assert isinstance(decode(encode(STORE, sequence)[:length], STORE), BadToken)


def test_another_stores_token_is_refused_as_such() -> None:
    """Its sequences mean other events here."""
    refused = decode(encode("store_other", 7), STORE)
    assert isinstance(refused, BadToken)
    assert "another store" in refused.reason


@pytest.mark.parametrize("sequence", [-1, MAX_SEQUENCE + 1])
def test_no_token_is_made_for_what_is_no_sequence(sequence: int) -> None:
    """A bug of the caller."""
    with pytest.raises(ValueError, match="no sequence"):
        encode(STORE, sequence)

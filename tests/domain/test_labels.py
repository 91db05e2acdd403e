"""Labels: their bounds and their syntax."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.labels import KEY_RULE, MAX_KEY, MAX_LABELS, MAX_VALUE, faults, is_key, is_value


@pytest.mark.parametrize("key", ["a", "Z9", "site", "example.com/site", "a_b-c.d", "x" * MAX_KEY])
def test_a_key_is_a_word_of_letters_digits_and_inner_signs(key: str) -> None:
    """Also with a prefix, as is usual."""
    assert is_key(key)
    assert list(faults({key: ""})) == []


@pytest.mark.parametrize("key", ["", ".a", "a/", "-", "a b", "\u00fc", "a=b", "a\n", "x" * (MAX_KEY + 1)])
def test_any_other_key_is_a_fault_that_does_not_show_it(key: str) -> None:
    """It could be a secret out of place."""
    assert list(faults({key: "value"})) == [("", f"have a key that can't be one: each {KEY_RULE}")]


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("", True),
        ("Depot N\u00fcrnberg, left", True),
        ("x" * MAX_VALUE, True),
        ("x" * (MAX_VALUE + 1), False),
        (" a", False),
        ("a ", False),
        ("a\nb", False),
        ("\x00", False),
        ("\u202e", False),
    ],
)
def test_a_value_is_short_printable_text(value: str, right: bool) -> None:
    """Its fault names the key."""
    assert is_value(value) is right
    assert [where for where, _ in faults({"site": value})] == ([] if right else ["site"])


def test_there_are_at_most_so_many() -> None:
    """One more is a fault of the whole."""
    labels = {f"k{number}": "v" for number in range(MAX_LABELS)}
    assert list(faults(labels)) == []
    ((where, description),) = faults({**labels, "more": "v"})
    assert where == ""
    assert f"at most {MAX_LABELS}; there are {MAX_LABELS + 1}" in description


@given(st.dictionaries(st.text(max_size=70), st.text(max_size=140), max_size=40))
def test_whatever_is_given_is_right_or_has_a_fault_without_a_value(labels: dict[str, str]) -> None:
    """One or the other, always."""
    found = list(faults(labels))
    right = len(labels) <= MAX_LABELS and all(map(is_key, labels)) and all(map(is_value, labels.values()))
    assert right is not bool(found)
    assert all(where == "" or where in labels for where, _ in found)

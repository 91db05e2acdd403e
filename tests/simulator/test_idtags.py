"""A wallbox's idTags: the local list, the cache, and what of an answer can be read."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.simulator.configuration import LIST_MESSAGE_LIMIT, TAGS_LIMIT
from gateway.simulator.idtags import KnownTags, TagInfo, parse_tag_info

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ACCEPTED = {"status": "Accepted"}


def entry(id_tag: object, status: str | None = "Accepted") -> Mapping[str, Any]:
    """An entry of SendLocalList; without a status it takes the tag away."""
    return {"idTag": id_tag} | ({} if status is None else {"idTagInfo": {"status": status}})


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (ACCEPTED, TagInfo("Accepted")),
        ({"status": "Blocked", "parentIdTag": "P"}, TagInfo("Blocked", "P")),
        ({"status": "Accepted", "parentIdTag": 7}, TagInfo("Accepted")),
        ({"status": "Accepted", "expiryDate": "2026-03-01T12:00:00Z"}, TagInfo("Accepted", None, NOW)),
        ({"status": "Accepted", "expiryDate": "soon"}, TagInfo("Invalid")),
        ({"status": 1}, TagInfo("Invalid")),
        ("Accepted", TagInfo("Invalid")),
        (None, TagInfo("Invalid")),
    ],
)
def test_what_cannot_be_read_counts_as_invalid(raw: object, read: TagInfo) -> None:
    """A charger does not charge on a guess."""
    assert parse_tag_info(raw) == read


def test_a_tag_is_found_in_any_case_and_in_the_list_first() -> None:
    """CiString20; the cache is asked where the list has nothing."""
    tags = KnownTags()
    tags.remember("Cached", TagInfo("Accepted"))
    tags.remember("Both", TagInfo("Accepted"))
    assert tags.update(1, False, [entry("BOTH", "Blocked")]) == "Accepted"
    assert tags.lookup("both") == TagInfo("Blocked")
    assert tags.lookup("both", use_list=False) == TagInfo("Accepted")
    assert tags.lookup("CACHED") == TagInfo("Accepted")
    assert tags.lookup("CACHED", use_cache=False) is None
    tags.clear_cache()
    assert tags.lookup("CACHED") is None
    assert len(tags) == 1


def test_the_cache_is_bounded_and_the_oldest_goes() -> None:
    """One that comes again is young again."""
    tags = KnownTags()
    for number in range(TAGS_LIMIT):
        tags.remember(f"T{number}", TagInfo("Accepted"))
    tags.remember("T0", TagInfo("Blocked"))
    tags.remember("one more", TagInfo("Accepted"))
    assert tags.lookup("T0") == TagInfo("Blocked")
    assert tags.lookup("T1") is None
    assert tags.lookup("one more") == TagInfo("Accepted")


def test_a_differential_update_adds_changes_and_takes_away() -> None:
    """With a later version; a full one replaces everything."""
    tags = KnownTags()
    assert tags.update(1, False, [entry("A"), entry("B")]) == "Accepted"
    assert tags.update(1, True, [entry("C")]) == "VersionMismatch"
    assert tags.update(2, True, [entry("A", "Blocked"), entry("b", None), entry("C")]) == "Accepted"
    assert (tags.lookup("A"), tags.lookup("B"), tags.lookup("C")) == (
        TagInfo("Blocked"),
        None,
        TagInfo("Accepted"),
    )
    assert tags.update(1, False, []) == "Accepted"
    assert (len(tags), tags.version) == (0, 1)


@pytest.mark.parametrize(
    ("version", "differential", "entries"),
    [
        (0, False, [entry("B")]),
        (2, False, [entry(f"T{number}") for number in range(LIST_MESSAGE_LIMIT + 1)]),
        (2, False, [entry("B"), entry("b")]),
        (2, False, [entry("")]),
        (2, False, [entry("x" * 21)]),
        (2, False, [entry(7)]),
        (2, False, [entry("B", None)]),
    ],
    ids=["no version", "too many", "one tag twice", "an empty tag", "a long tag", "no text", "nothing to list"],
)
def test_a_list_that_does_not_apply_changes_nothing(
    version: int, differential: bool, entries: list[Mapping[str, Any]]
) -> None:
    """Failed, whole (S §5.15)."""
    tags = KnownTags()
    tags.update(1, False, [entry("A")])
    assert tags.update(version, differential, entries) == "Failed"
    assert (len(tags), tags.version, tags.lookup("A")) == (1, 1, TagInfo("Accepted"))


@pytest.mark.parametrize(
    ("info", "usable"),
    [
        (TagInfo("Accepted"), True),
        (TagInfo("Blocked"), False),
        (TagInfo("Accepted", None, NOW + timedelta(seconds=1)), True),
        (TagInfo("Accepted", None, NOW), False),
    ],
)
def test_a_tag_may_charge_until_it_expires(info: TagInfo, usable: bool) -> None:
    """And only if it is Accepted."""
    assert info.usable(NOW) is usable

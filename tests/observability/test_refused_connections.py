"""The list of refused connections: repetitions are counted, and no client pushes out all others."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.observability.refused_connections import NAMED, NAMELESS, RefusedConnections
from gateway.transport.listener import ConnectionOutcome

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """One second later each time that it is read."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def refusals() -> RefusedConnections:
    return RefusedConnections(Clock())


def wrong_password(identity: str = "CP1", address: str = "192.0.2.1") -> ConnectionOutcome:
    return ConnectionOutcome("chargers", "admission", "wrong_password", address, identity, 401)


def scan(address: str) -> ConnectionOutcome:
    return ConnectionOutcome("chargers", "tls", "http_request", address)


def addresses(count: int) -> list[str]:
    return [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(count)]


def test_what_repeats_is_one_entry_with_a_count_and_two_times(refusals: RefusedConnections) -> None:
    """A refused charger comes back for ever."""
    for _ in range(3):
        refusals.observe(wrong_password())
    (entry,) = refusals.entries()
    assert (entry.identity, entry.address, entry.listener) == ("CP1", "192.0.2.1", "chargers")
    assert (entry.stage, entry.reason, entry.status, entry.count) == ("admission", "wrong_password", 401, 3)
    assert (entry.first_seen, entry.last_seen) == (START + timedelta(seconds=1), START + timedelta(seconds=3))


def test_another_identity_address_or_reason_is_another_entry_the_newest_first(refusals: RefusedConnections) -> None:
    """Each has its own cause."""
    refusals.observe(wrong_password())
    refusals.observe(wrong_password("CP2"))
    refusals.observe(wrong_password(address="192.0.2.2"))
    refusals.observe(ConnectionOutcome("chargers", "admission", "unknown_identity", "192.0.2.1", "CP1", 404))
    refusals.observe(scan("192.0.2.1"))
    found = refusals.entries()
    assert [each.reason for each in found] == ["http_request", "unknown_identity", *["wrong_password"] * 3]
    assert found[0].identity == ""
    assert found[0].status is None


def test_connections_that_were_served_are_not_in_it(refusals: RefusedConnections) -> None:
    """Nor those whose session failed: the log has them."""
    refusals.observe(ConnectionOutcome("chargers", "session", "served", "192.0.2.1"))
    assert refusals.entries() == []


def test_strangers_without_an_identity_push_out_only_each_other(refusals: RefusedConnections) -> None:
    """However many addresses they come from."""
    refusals.observe(wrong_password())
    for address in addresses(5_000):
        refusals.observe(scan(address))
    found = refusals.entries()
    assert len(found) == NAMELESS + 1
    assert found[-1].identity == "CP1"


def test_chargers_that_come_while_none_can_be_served_push_out_no_real_refusal(refusals: RefusedConnections) -> None:
    """A fleet that is answered 503 at once: that is no fault of any of them."""
    refusals.observe(wrong_password())
    for number, address in enumerate(addresses(5_000)):
        refusals.observe(ConnectionOutcome("chargers", "admission", "capacity", address, f"CP-{number}", 503))
    assert "CP1" in [each.identity for each in refusals.entries()]


@pytest.mark.parametrize(
    "flood",
    [
        ["198.51.100.7"],
        [f"198.51.100.{n}" for n in range(20)],
        [f"2001:db8:0:{n:x}::{n:x}" for n in range(1, 500)],
        ["::ffff:198.51.100.7", "198.51.100.7"],
    ],
    ids=["one-address", "twenty", "one-ipv6-site", "mapped"],
)
def test_a_flood_of_identities_pushes_out_itself_and_no_single_charger(
    refusals: RefusedConnections, flood: Any
) -> None:
    """It takes what is free, and then its own."""
    for number, address in enumerate(addresses(NAMED // 2)):
        refusals.observe(wrong_password(f"CP-{number}", address))
    for number in range(5_000):
        refusals.observe(wrong_password(f"X{number}", flood[number % len(flood)]))
    found = refusals.entries()
    assert sum(each.identity.startswith("CP-") for each in found) == NAMED // 2
    assert sum(each.identity.startswith("X") for each in found) == NAMED - NAMED // 2
    assert found[0].identity == "X4999"


def test_chargers_behind_one_address_may_fill_what_no_other_needs(refusals: RefusedConnections) -> None:
    """A carrier's whole fleet may come from one; against another address it keeps half."""
    for number in range(NAMED):
        refusals.observe(wrong_password(f"CP-{number}", "192.0.2.1"))
    assert len(refusals.entries()) == NAMED
    for number in range(NAMED):
        refusals.observe(wrong_password(f"X{number}", "198.51.100.7"))
    assert abs(sum(each.identity.startswith("CP-") for each in refusals.entries()) - NAMED // 2) <= 1


def test_the_list_is_bounded_and_the_least_recently_seen_goes(refusals: RefusedConnections) -> None:
    """Seen again is not forgotten."""
    for number, address in enumerate(addresses(3 * NAMED)):
        refusals.observe(wrong_password(f"CP-{number}", address))
        refusals.observe(wrong_password("CP-0", "10.0.0.0"))
    found = refusals.entries()
    assert len(found) == NAMED
    assert found[-1].identity == "CP-0"
    assert found[-1].count == 3 * NAMED + 1


def test_of_the_network_with_the_most_the_least_recently_seen_goes(refusals: RefusedConnections) -> None:
    """Seen again is not forgotten, among those behind one address neither."""
    refusals.observe(wrong_password("other", "198.51.100.7"))
    for number in range(2 * NAMED):
        refusals.observe(wrong_password("steady", "192.0.2.1"))
        refusals.observe(wrong_password(f"CP-{number}", "192.0.2.1"))
    counts = {each.identity: each.count for each in refusals.entries()}
    assert len(counts) == NAMED
    assert (counts["steady"], counts["other"]) == (2 * NAMED, 1)


def test_lengths_are_bounded(refusals: RefusedConnections) -> None:
    """Whatever a listener tells, and an address that is none."""
    refusals.observe(ConnectionOutcome("chargers", "http", "r" * 999, "a" * 999, "i" * 999, 400))
    (entry,) = refusals.entries()
    assert (len(entry.identity), len(entry.address), len(entry.reason)) == (48, 64, 64)

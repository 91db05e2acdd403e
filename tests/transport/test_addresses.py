"""Addresses of peers: the network that counts as one, and the allowance that is remembered of it."""

import pytest

from gateway.crowds import site
from gateway.transport.addresses import Addresses


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("2001:db8::1", "2001:DB8:0:0:ffff::", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_an_address_in_ipv4_and_a_network_of_64_bits_in_ipv6_are_one(one: str, other: str, same: bool) -> None:
    """A site may use all addresses of its /64, one for each connection."""
    addresses = Addresses()
    assert (site(one) == site(other)) == same
    assert (addresses.lane(one) == addresses.lane(other)) == same
    addresses.proved(one)
    assert addresses.known(other) == same


def test_each_connection_from_a_shared_address_is_for_itself() -> None:
    """Behind a balancer all addresses are the balancer's."""
    addresses = Addresses(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"])
    for shared in ("192.0.2.77", "::ffff:192.0.2.77", "2001:db8:5::1", "198.51.100.7"):
        assert addresses.lane(shared) != addresses.lane(shared)
    for own in ("192.0.3.1", "2001:db9::1", "198.51.100.8"):
        assert addresses.lane(own) == addresses.lane(own)


def test_what_is_known_is_bounded_and_the_least_recently_used_go() -> None:
    """An address that chargers come from again and again stays."""
    addresses = Addresses(most=100)
    for n in range(1000):
        addresses.proved("192.0.2.1")
        addresses.proved(f"198.51.{n // 250}.{n % 250}")
        assert len(addresses) <= 100
    assert addresses.known("192.0.2.1")
    assert addresses.known("198.51.3.249")
    assert not addresses.known("198.51.0.0")


def test_a_network_that_is_none_is_refused() -> None:
    """At the reading of the settings, not at the first peer."""
    with pytest.raises(ValueError, match="not appear to be"):
        Addresses(["192.0.2.0/33"])

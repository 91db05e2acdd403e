"""Crowds: connections that come from one place count as one, where not all can stay. Pure.

In IPv4 an address is its own; in IPv6 a site has a /64 at least, so that counts as one.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

_IPV6_BYTES: Final = 8
"""A /64."""


class FromSite(Protocol):
    """A connection. ``site``: of its peer's address."""

    @property
    def site(self) -> str: ...


Each = TypeVar("Each", bound=FromSite)


def oldest_of_largest(waiting: Iterable[Each]) -> Each | None:
    """Return the first of those of the site with most of them, or of several such sites the first of all; None: none
    waits. So none takes the place of one from elsewhere by coming often."""
    those = list(waiting)
    sizes = Counter(each.site for each in those)
    largest = max(sizes.values(), default=0)
    return next((each for each in those if sizes[each.site] == largest), None)


def site(address: str) -> str:
    """The address itself in IPv4, also where IPv6 carries it; the /64 in IPv6; what is no IP address as it is."""
    if "." in address and ":" not in address:
        return address
    parsed = parsed_address(address)
    if parsed is None or isinstance(parsed, ipaddress.IPv4Address):
        return address if parsed is None else str(parsed)
    return parsed.packed[:_IPV6_BYTES].hex()


def parsed_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an IP address, that of IPv4 where IPv6 carries it; None for what is none."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed

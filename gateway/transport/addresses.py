"""Knowledge of peers' addresses: before a peer has identified itself, its address stands for it.

In IPv4 an address is its own; in IPv6 a site has a /64 at least, so that counts as one. Addresses that stand for many
(a balancer's, a mobile network's behind one NAT) can be named as shared: each connection from there is then for itself.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Final

from gateway.crowds import parsed_address, site

MAX_KNOWN: Final = 50_000
"""Addresses that are remembered, the least recently used go: more than one gateway holds chargers; about 8 MB."""


class Networks:
    """Some addresses and networks like ``192.0.2.0/24``. Raises ValueError for what is none."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        """Return true for an address in one of them, also where IPv6 carries an IPv4 address."""
        parsed = parsed_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


class Addresses:
    """Belongs to the Trio loop. ``shared``: networks like ``192.0.2.0/24``; raises ValueError for what is none."""

    def __init__(self, shared: Iterable[str] = (), most: int = MAX_KNOWN) -> None:
        self._shared = Networks(shared)
        self._most = most
        self._known: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """Number of addresses remembered."""
        return len(self._known)

    def lane(self, address: str) -> Hashable:
        """Return a key that connections from one address share; for a shared address each has its own."""
        return object() if self._shared and address in self._shared else site(address)

    def known(self, address: str) -> bool:
        """Return true if an authenticated charger has come from there."""
        return site(address) in self._known

    def proved(self, address: str) -> None:
        """A charger from there has proved who it is."""
        key = site(address)
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

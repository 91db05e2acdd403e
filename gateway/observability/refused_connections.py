"""Connections that were not served: the list to look at first where a charger does not connect.

In memory, and bounded against those who fill it on purpose or by nature (refused chargers come back for ever, JE 3.3,
and a port on the internet meets scanners all day):

* What repeats is counted, not listed again.
* Connections that named an identity have a shelf of their own. Those that named none (scanners, health checks, broken
  TLS), and those refused because none could be served just then, push out only each other.
* When a shelf is full, the network with the most entries loses its oldest: a flood pushes out itself, from however
  few or many addresses, before it touches those of whom there is one.
"""

import ipaddress
from collections import OrderedDict
from datetime import datetime
from typing import TypeAlias

from attrs import define, field

from gateway.domain.diagnostics import RefusedConnection
from gateway.domain.values import Clock
from gateway.transport.listener import ConnectionOutcome

NAMED, NAMELESS = 800, 200
"""Entries of the two shelves: together 0.8 MB, and what a person can still read."""

MAX_IDENTITY, MAX_ADDRESS, MAX_REASON, MAX_PATH = 48, 64, 64, 100
"""Characters. Longer identities are refused before they are reported; the others are guards against a bug."""

MIN_SERVER_ERROR = 500
"""From this HTTP status on the refusal was no fault of the charger's: the gateway was stopping, or full."""


Key: TypeAlias = tuple[str, str, str, str, str, int | None, str]
"""Identity, address, listener, stage, reason, status and path."""


@define(eq=False)
class _Entry:
    number: int
    key: Key
    network: str
    first_seen: datetime
    last_seen: datetime
    count: int = 1


@define(eq=False)
class _Shelf:
    """Entries by key, the least recently seen first; and the same for each network."""

    size: int
    entries: OrderedDict[Key, _Entry] = field(factory=OrderedDict)
    networks: dict[str, OrderedDict[Key, None]] = field(factory=dict)

    def seen(self, key: Key) -> _Entry | None:
        """The entry, if there is one, moved to the end."""
        entry = self.entries.get(key)
        if entry is not None:
            self.entries.move_to_end(key)
            self.networks[entry.network].move_to_end(key)
        return entry

    def add(self, entry: _Entry) -> None:
        """Make room and take it in."""
        if len(self.entries) >= self.size:
            largest = max(self.networks.values(), key=len)
            self._remove(next(iter(largest if len(largest) > 1 else self.entries)))
        self.entries[entry.key] = entry
        self.networks.setdefault(entry.network, OrderedDict())[entry.key] = None

    def _remove(self, key: Key) -> None:
        network = self.entries.pop(key).network
        del self.networks[network][key]
        if not self.networks[network]:
            del self.networks[network]


class RefusedConnections:
    """Belongs to the Trio loop. ``observe`` is the listeners'; it takes 5 µs for what repeats, some 50 else,
    and never raises."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._number = 0
        self._named, self._nameless = _Shelf(NAMED), _Shelf(NAMELESS)

    def observe(self, outcome: ConnectionOutcome) -> None:
        """A connection is over. Those that were served don't count."""
        if outcome.stage == "session":
            return
        key = (
            (outcome.identity or "")[:MAX_IDENTITY],
            outcome.address[:MAX_ADDRESS],
            outcome.listener,
            outcome.stage,
            outcome.result[:MAX_REASON],
            outcome.status,
            outcome.path[:MAX_PATH],
        )
        ours = outcome.status is not None and outcome.status >= MIN_SERVER_ERROR
        shelf = self._named if outcome.identity and not ours else self._nameless
        now = self._clock()
        entry = shelf.seen(key)
        if entry is None:
            self._number += 1
            shelf.add(_Entry(self._number, key, _network(key[1]), now, now))
        else:
            entry.count += 1
            entry.last_seen = now

    def entries(self) -> list[RefusedConnection]:
        """All of them, the newest entry first."""
        found = [*self._named.entries.values(), *self._nameless.entries.values()]
        found.sort(key=lambda entry: entry.number, reverse=True)
        return [_listed(e) for e in found]


def _listed(entry: _Entry) -> RefusedConnection:
    identity, address, listener, stage, reason, status, path = entry.key
    seen = entry.first_seen, entry.last_seen
    return RefusedConnection(entry.number, identity, address, listener, stage, reason, status, entry.count, *seen, path)


def _network(address: str) -> str:
    """Whom an address belongs to: itself in IPv4; in IPv6 its /48, since a site may have them all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else parsed.packed[:6].hex()

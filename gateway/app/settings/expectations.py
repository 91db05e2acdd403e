"""Allowed values of settings, in words and as checks; and the values that are read from text (addresses)."""

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from attrs import frozen

Problems: TypeAlias = Iterator[tuple[str, str]]
"""Pairs of a key below the section (empty: the section as a whole) and what is wrong with it."""


@frozen
class Expectation:
    """A set of values: ``description`` completes the sentence "expected ...", ``accepts`` returns whether
    a value is a member.

    ``accepts`` is only asked about values of the field's own type.
    """

    description: str
    accepts: Callable[[Any], bool]


@frozen
class About:
    """Description of a setting besides its type and default: its reason, what it may be, and an example of a value
    where there is no default."""

    text: str
    expectation: Expectation | None = None
    example: object = None


KEY = "gateway.about"
"""The key of ``About`` in an attrs field's metadata."""


def about(text: str, expectation: Expectation | None = None, example: object = None) -> Mapping[str, About]:
    """The metadata of a setting's field."""
    return {KEY: About(text, expectation, example)}


# --- numbers --------------------------------------------------------------------------------------------------


def whole(low: int, high: int, unit: str = "") -> Expectation:
    """A whole number within bounds."""
    of_unit = f" of {unit}" if unit else ""
    return Expectation(f"a whole number{of_unit} from {low} to {high}", lambda value: low <= value <= high)


def number(low: float, high: float, unit: str = "") -> Expectation:
    """A finite number within bounds."""
    of_unit = f" of {unit}" if unit else ""
    description = f"a number{of_unit} from {low:g} to {high:g}"
    return Expectation(description, lambda value: math.isfinite(value) and low <= value <= high)


# --- text -----------------------------------------------------------------------------------------------------


def one_of(*choices: str) -> Expectation:
    """One of a few words."""
    return Expectation(" or ".join(f'"{choice}"' for choice in choices), lambda value: value in choices)


def text(longest: int, what: str = "a text") -> Expectation:
    """Text that is not blank, without control characters, of bounded length."""
    return Expectation(
        f"{what} of 1 to {longest} printable characters",
        lambda value: 0 < len(value) <= longest and value.isprintable() and not value.isspace(),
    )


def texts(longest: int, most: int, what: str) -> Expectation:
    """A list of such texts: at least one."""
    each = text(longest)
    return Expectation(
        f"a list of 1 to {most} {what}, each of 1 to {longest} printable characters",
        lambda values: 0 < len(values) <= most and all(each.accepts(value) for value in values),
    )


def subset_of(*members: int) -> Expectation:
    """A list of some of the members, none twice."""
    names = ", ".join(map(str, members))
    return Expectation(
        f"a list of some of: {names}",
        lambda values: bool(values) and len(set(values)) == len(values) and set(values) <= set(members),
    )


def filled(what: str, most: int) -> Expectation:
    """A list with something in it."""
    return Expectation(f"a list of 1 to {most} {what}", lambda values: 0 < len(values) <= most)


def at_most(what: str, most: int) -> Expectation:
    """A list, perhaps empty, of bounded length."""
    return Expectation(f"a list of at most {most} {what}", lambda values: len(values) <= most)


_PATH_PREFIX = re.compile(r"/(?:(?!\.{1,2}/)[A-Za-z0-9._~-]+/)*")


def path_prefix() -> Expectation:
    """The fixed part of a URL path, before the identity."""
    return Expectation(
        'a path such as "/ocpp/": letters, digits and ._~- between slashes, one at either end',
        lambda value: len(value) <= 200 and _PATH_PREFIX.fullmatch(value) is not None,
    )


# --- addresses ------------------------------------------------------------------------------------------------

OFF = "off"


def parse_address(value: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` to its parts, the host without brackets. Raises ValueError."""
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\]:(\d{1,5})", value)
    plain = re.fullmatch(r"([A-Za-z0-9._-]+):(\d{1,5})", value)
    found = bracketed or plain
    if found is None or not value.isascii():
        raise ValueError(f"not an address: {value!r}")
    if bracketed:
        ipaddress.IPv6Address(found[1])
    port = int(found[2])
    if port > 65535:
        raise ValueError(f"not a port: {port}")
    return found[1], port


def address(*, may_be_off: bool = False) -> Expectation:
    """An address to listen on, or the word ``off`` where that is allowed. Port 0 lets the system choose."""

    def accepts(value: str) -> bool:
        if may_be_off and value == OFF:
            return True
        try:
            parse_address(value)
        except ValueError:
            return False
        return True

    also = f' or "{OFF}"' if may_be_off else ""
    return Expectation(f'an address such as "127.0.0.1:9000" or "[::1]:9000"{also}', accepts)


_URL = re.compile(r"https?://(?P<address>[^/?#@\s]+)")


def url() -> Expectation:
    """The URL of a server: scheme, host and port, and no more."""

    def accepts(value: str) -> bool:
        found = _URL.fullmatch(value)
        try:
            return found is not None and parse_address(found["address"])[1] > 0
        except ValueError:
            return False

    return Expectation('a URL such as "http://127.0.0.1:4317" or "https://collector.example.com:4317"', accepts)


def networks(most: int) -> Expectation:
    """A list of IP addresses and networks in CIDR notation."""

    def accepts(values: Iterable[str]) -> bool:
        try:
            return len([ipaddress.ip_network(each) for each in values]) <= most
        except ValueError:
            return False

    return Expectation(
        f'a list of at most {most} addresses or networks such as "192.0.2.7" or "2001:db8::/32", without bits set '
        "behind the prefix",
        accepts,
    )


def host() -> Expectation:
    """A host name or an IP address (IPv6 without brackets)."""

    def accepts(value: str) -> bool:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            return re.fullmatch(r"(?=.{1,253}\Z)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", value) is not None
        return True

    return Expectation('a host name or IP address such as "0.0.0.0" or "::"', accepts)


def is_loopback(name: str) -> bool:
    """Return true if a host can be reached from this machine only."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@frozen
class Place:
    """An address to listen on. ``key`` is its setting; ``both_families``: it takes ``::`` for IPv4, too."""

    key: str
    host: str
    port: int
    both_families: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def clashes(self, other: "Place") -> bool:
        """Return true if two places can't both be bound: one port, and a host in common. Port 0 is another each time.

        Names other than ``localhost`` are compared as they are written.
        """
        if self.port != other.port or self.port == 0:
            return False
        mine, others = _addresses(self.host), _addresses(other.host)
        if not mine or not others:
            return self.host.casefold().rstrip(".") == other.host.casefold().rstrip(".")
        return any(self._covers(one, two) or other._covers(two, one) for one in mine for two in others)

    def _covers(self, mine: IpAddress, other: IpAddress) -> bool:
        if mine == other:
            return True
        return mine.is_unspecified and (mine.version == other.version or (mine.version == 6 and self.both_families))


def _addresses(host: str) -> tuple[IpAddress, ...]:
    """Return the addresses that the host stands for; none where only a look-up could say."""
    if host.casefold() == "localhost":
        return ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return ()
    return (getattr(found, "ipv4_mapped", None) or found,)


def twice(values: Iterable[str]) -> list[str]:
    """The values that occur more than once, each once, in order."""
    seen: set[str] = set()
    found: list[str] = []
    for value in values:
        if value in seen and value not in found:
            found.append(value)
        seen.add(value)
    return found

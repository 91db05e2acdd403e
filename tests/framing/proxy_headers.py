"""Headers of the PROXY protocol, version 2, as the specification's table says, and not as the gateway reads them."""

import ipaddress
import struct

SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")


def proxy_header(address: str, port: int, additions: bytes = b"", *, command: int = 0x21) -> bytes:
    """A connection over TCP from there, to some balancer's address."""
    source = ipaddress.ip_address(address)
    if source.version == 4:
        family, to = 0x11, ipaddress.ip_address("198.51.100.1")
    else:
        family, to = 0x21, ipaddress.ip_address("2001:db8::1")
    return raw_header(command, family, source.packed + to.packed + struct.pack("!HH", port, 443) + additions)


def raw_header(command: int, family: int, rest: bytes, length: int | None = None) -> bytes:
    """Any header; ``length``: what it says of itself, if not the truth."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest) if length is None else length) + rest


def addition(kind: int, value: bytes) -> bytes:
    """One addition of a balancer, about itself."""
    return struct.pack("!BH", kind, len(value)) + value

"""The PROXY protocol's header, version 2, without I/O: the address that a connection came from, said by a balancer.

HAProxy's specification, "The PROXY protocol, versions 1 & 2", §2.2. Version 1, which is text, is not read.
"""

import ipaddress
import struct
from typing import Final

from attrs import frozen

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"

START_BYTES: Final = 16
"""Signature, version and command, family, length: every header begins with so many."""

MAX_LENGTH: Final = 2048
"""Of what follows them: 36 bytes of addresses, and what balancers add about themselves and their own TLS, some hundred
bytes. The field could say 65,535."""

_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_ADDRESSES: Final = {_TCP4: (4, "!4s4sHH"), _TCP6: (16, "!16s16sHH")}
"""Family → bytes of an address, and the layout: source, destination, and their ports."""


class ProxyHeaderError(ValueError):
    """The bytes are no such header. ``reason`` is a stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@frozen
class ProxySource:
    """Address and port that a connection came from, the address in its usual form."""

    address: str
    port: int


class ProxyHeader:
    """One header that is being read. Take ``wanted`` bytes at most from the connection and ``feed`` them, until no more
    are wanted: what follows the header is not touched."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._total = START_BYTES
        self.source: ProxySource | None = None
        """The source, once no more is wanted; None then: the balancer speaks for itself (LOCAL), as it does to see
        whether anything listens."""

    @property
    def wanted(self) -> int:
        """Bytes that are still missing; 0: the header is complete."""
        return self._total - len(self._data)

    def feed(self, data: bytes) -> None:
        """Take what was received. Raises ProxyHeaderError as soon as it can't become a header any more."""
        if len(data) > self.wanted:
            raise ValueError("more than was wanted")
        data_before = len(self._data)
        self._data += data
        begun = bytes(self._data[: len(SIGNATURE)])
        if begun != SIGNATURE[: len(begun)]:
            raise ProxyHeaderError("proxy_header_missing")
        if data_before < START_BYTES <= len(self._data):
            self._begin()
        if not self.wanted:
            self._finish()

    def _begin(self) -> None:
        command, _, length = struct.unpack_from("!BBH", self._data, len(SIGNATURE))
        if command not in (_LOCAL, _PROXY):
            raise ProxyHeaderError("proxy_header_malformed")
        if length > MAX_LENGTH:
            raise ProxyHeaderError("proxy_header_too_long")
        self._total += length

    def _finish(self) -> None:
        command, family = self._data[len(SIGNATURE)], self._data[len(SIGNATURE) + 1]
        if command == _LOCAL:  # what follows means nothing then
            return
        if family not in _ADDRESSES:  # UDP, local sockets, or unknown: nothing that limits could be held against
            raise ProxyHeaderError("proxy_family_unsupported")
        size, layout = _ADDRESSES[family]
        end = START_BYTES + struct.calcsize(layout)
        if len(self._data) < end:
            raise ProxyHeaderError("proxy_header_malformed")
        source, _, port, _ = struct.unpack_from(layout, self._data, START_BYTES)
        self._check_additions(end)
        found = ipaddress.IPv4Address(source) if size == ipaddress.IPV4LENGTH // 8 else ipaddress.IPv6Address(source)
        self.source = ProxySource(str(found), port)

    def _check_additions(self, at: int) -> None:
        """Each has a type, a length and as many bytes. None of them is used."""
        while at < len(self._data):
            if at + 3 > len(self._data):
                raise ProxyHeaderError("proxy_header_malformed")
            (length,) = struct.unpack_from("!H", self._data, at + 1)
            at += 3 + length
        if at > len(self._data):
            raise ProxyHeaderError("proxy_header_malformed")

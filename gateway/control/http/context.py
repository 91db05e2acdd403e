"""A call over HTTP as services and authentication see one."""

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
from attrs import define, field, frozen

from gateway.control.services.rpc import DETAILS_KEY

_ALTERNATIVE: Final = "x509_subject_alternative_name"
_COMMON: Final = "x509_common_name"


@frozen
class Peer:
    """The other end of a connection. ``names``: those of its certificate, as gRPC's ``auth_context`` has them."""

    address: str
    names: Mapping[str, Sequence[bytes]] = field(factory=dict)


@define(eq=False)
class HttpContext:
    """The part of grpc.aio's ``ServicerContext`` that the gateway uses.

    ``deadline`` in the loop's time; None: the caller set none.
    """

    _peer: Peer
    _metadata: Sequence[tuple[str, str]]
    _deadline: float | None = None
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    details: bytes = b""
    """A ``google.rpc.Status``, serialised; empty: the call ended without one."""

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """The headers, their names in lower case."""
        return self._metadata

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """The names in the client certificate that TLS has verified."""
        return self._peer.names

    def peer(self) -> str:
        """The client's address."""
        return self._peer.address

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline; None: it set none."""
        return None if self._deadline is None else self._deadline - asyncio.get_running_loop().time()

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the status that the call ends in."""
        self.code = code

    def set_details(self, details: str) -> None:
        """Set the status's text."""
        self.message = details

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, bytes]]) -> None:
        """Take the rich status; there are no trailers."""
        self.details = dict(metadata).get(DETAILS_KEY, b"")

    def set_compression(self, compression: grpc.Compression) -> None:
        """Nothing: responses over HTTP go out as they are."""

    async def send_initial_metadata(self, metadata: Sequence[Any]) -> None:
        """Nothing: the head goes out with the response."""


def certificate_names(certificate: Mapping[str, Any] | None) -> Mapping[str, Sequence[bytes]]:
    """The names in a verified certificate as ``ssl`` shows it (None: there is none), by gRPC's names for them."""
    if not certificate:
        return {}
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    common = [value.encode() for key, value in subject if key == "commonName"]
    return {
        _ALTERNATIVE: [_alternative(*each) for each in certificate.get("subjectAltName", ())],
        _COMMON: common[-1:],
    }


def _alternative(kind: str, value: str) -> bytes:
    """A name as gRPC spells it: addresses in their short form."""
    return (str(ipaddress.ip_address(value)) if kind == "IP Address" else value).encode()

"""Answers to an upgrade request, as HTTP/1.1: the switch to WebSocket, or an error with a short plain text."""

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, TypeAlias

HeaderFields: TypeAlias = tuple[tuple[str, str], ...]

REFUSAL_REASONS: Final = {
    405: "method_not_allowed",
    426: "not_an_upgrade",
    431: "head_too_long",
    505: "http_version",
}
"""Stable words for statuses that an invalid request is answered with."""

EXTRA_HEADERS: Final[Mapping[int, HeaderFields]] = {405: (("Allow", "GET"),), 426: (("Upgrade", "websocket"),)}
"""Headers that belong to a status (RFC 9110 §15.5.6, §15.5.22)."""

_SWITCHING = (
    "HTTP/1.1 101 Switching Protocols\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {}\r\n"
    "{}\r\n"
)
"""Put together by the library, with a date that no charger reads, this answer costs as much as reading the request."""


def switching_protocols(accept: str, subprotocol: str | None) -> bytes:
    """The answer 101. ``accept``: the Sec-WebSocket-Accept of the request."""
    echoed = "" if subprotocol is None else f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
    return _SWITCHING.format(accept, echoed).encode()


def http_error(status: int, text: str, headers: HeaderFields) -> bytes:
    """An error after which the connection is closed. Raises ValueError for a header whose value would end it."""
    body = text.encode() + b"\n"
    fields = [
        ("Date", formatdate(usegmt=True)),
        ("Connection", "Upgrade, close" if status == HTTPStatus.UPGRADE_REQUIRED else "close"),
        ("Content-Length", str(len(body))),
        ("Content-Type", "text/plain; charset=utf-8"),
    ]
    for name, value in headers:
        if not value.isprintable():
            raise ValueError(f"header {name} holds a character that would end it")
        fields.append((name, value))
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields)
    return head.encode("iso-8859-1") + b"\r\n" + body

"""Bytes a client may send, legal or not: hand-made, so that no library refuses to build what a charger might send."""

from __future__ import annotations

import struct

from gateway.framing.events import Event, UpgradeRequested
from gateway.framing.websocket import WebSocket

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x11\x22\x33\x44"

UPGRADE = (
    ("Host", "gateway.test"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)


def head(
    target: str = "/ocpp/CP1",
    *more: tuple[str, str],
    method: str = "GET",
    version: str = "HTTP/1.1",
    without: str = "",
) -> bytes:
    """An upgrade request, with header lines added, or one left out."""
    lines = [f"{method} {target} {version}"]
    lines += [f"{name}: {value}" for name, value in (*UPGRADE, *more) if name != without]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True, length: int = -1
) -> bytes:
    """A client's frame; ``length`` lies about the payload's."""
    size = len(payload) if length < 0 else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if size < 126:
        start = struct.pack("!BB", first, mask_bit | size)
    elif size < 65536:
        start = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        start = struct.pack("!BBQ", first, mask_bit | 127, size)
    if not masked:
        return start + payload
    return start + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def request_of(events: list[Event]) -> UpgradeRequested:
    [event] = events
    assert isinstance(event, UpgradeRequested)
    return event


def opened(**limits: int) -> WebSocket:
    """A connection after its 101."""
    websocket = WebSocket(**limits)
    websocket.receive(head())
    assert websocket.accept(None) == []
    assert websocket.data_to_send().startswith(b"HTTP/1.1 101 ")
    return websocket


def sent_close(websocket: WebSocket) -> int | None:
    """The code of the Close frame that waits to be sent last."""
    data = websocket.data_to_send()
    position = data.rfind(b"\x88")
    return struct.unpack("!H", data[position + 2 : position + 4])[0] if position >= 0 else None


def first_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """A server's frame at the start of its bytes: opcode, payload, and the bytes behind it. None until it is whole."""
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    end = start + size
    return (data[0] & 0x0F, data[start:end], data[end:]) if len(data) >= end else None


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """A server's frames, opcode and payload of each. Asserts that they are whole, final, unmasked."""
    frames = []
    while data:
        assert data[0] & 0xF0 == 0x80, f"{data[:20]!r} is neither final nor free of extensions"
        assert data[1:2] < b"\x80", f"{data[:20]!r} is masked"
        found = first_frame(data)
        assert found is not None, f"{data[:20]!r} is cut"
        opcode, payload, data = found
        frames.append((opcode, payload))
    return frames


def by_frame(data: bytes) -> list[bytes]:
    """A client's bytes cut where their frames end; what is not a whole frame comes last, as it is."""
    pieces = []
    while len(data) >= 2:
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        end = start + (4 if data[1] & 0x80 else 0) + size
        pieces.append(data[:end])
        data = data[end:]
    return [*pieces, data] if data else pieces

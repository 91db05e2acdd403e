"""Streams of responses as bodies: server-sent events, and lines of JSON."""

import base64
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from google.protobuf.message import Message

from gateway.control.http.messages import to_json
from gateway.control.http.statuses import as_bytes

RETRY_MILLISECONDS: Final = 2_000
"""After which a browser connects anew, a little later than a restart takes."""


class StreamFormat(Enum):
    """The form in which a stream is written. A client asks for one by Accept; lines are for all others."""

    LINES = "application/x-ndjson"
    EVENTS = "text/event-stream"

    @staticmethod
    def of(accept: str) -> "StreamFormat":
        """The format for an Accept header."""
        return StreamFormat.EVENTS if StreamFormat.EVENTS.value in accept.lower() else StreamFormat.LINES

    @property
    def opening(self) -> bytes:
        """The beginning of a body."""
        return f"retry: {RETRY_MILLISECONDS}\n\n".encode() if self is StreamFormat.EVENTS else b""

    @property
    def alive(self) -> bytes:
        """A sign of life that readers pass over; lines have none."""
        return b":\n\n" if self is StreamFormat.EVENTS else b""

    @property
    def end(self) -> bytes:
        """The end of a stream that has said all; a browser's EventSource would connect again without it."""
        return b"event: end\ndata: {}\n\n" if self is StreamFormat.EVENTS else b""

    def message(self, message: Message, token: bytes) -> bytes:
        """One response. ``token``: where a watch goes on after it; empty: it does not."""
        text = to_json(message)
        if self is StreamFormat.LINES:
            return b'{"result":' + text + b"}\n"
        place = b"id: " + base64.b64encode(token) + b"\n" if token else b""
        return place + b"data: " + text + b"\n\n"

    def failure(self, error: Mapping[str, Any]) -> bytes:
        """The end of a stream that failed."""
        text = as_bytes(error)
        return text + b"\n" if self is StreamFormat.LINES else b"event: failure\ndata: " + text + b"\n\n"

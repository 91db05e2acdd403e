"""A charger that costs next to nothing, so that the gateway is what is measured: bare frames, no library in between.

Frames are masked with zeros, which RFC 6455 §5.3 allows and which saves the masking. Messages stay below 64 KiB.
"""

import asyncio
import base64
import json
import os
import struct
from typing import Any

from bench.serving import Serving

MASK = b"\0\0\0\0"


class Charger(asyncio.Protocol):
    """One session. What the gateway asks is confirmed as accepted."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._open = False
        self._waiting: asyncio.Future[str] | None = None

    @classmethod
    async def connect(cls, serving: Serving, identity: str, key: bytes) -> "Charger":
        """Through TLS and the upgrade. Raises ConnectionError."""
        loop = asyncio.get_running_loop()
        _, charger = await loop.create_connection(
            cls, "127.0.0.1", serving.port, ssl=serving.tls, server_hostname="localhost"
        )
        token = base64.b64encode(identity.encode() + b":" + key).decode()
        head = (
            f"GET /ocpp/{identity} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: ocpp1.6\r\nAuthorization: Basic {token}\r\n\r\n"
        )
        status = await charger._exchange(head.encode())
        if not status.startswith("HTTP/1.1 101"):
            raise ConnectionError(status.partition("\r\n")[0])
        return charger

    async def call(self, action: str, payload: Any) -> Any:
        """A CALL and its confirmation. Raises ConnectionError for anything else."""
        return json.loads(await self.send(json.dumps([2, "1", action, payload])))[2]

    async def send(self, message: str) -> str:
        """A CALL as text; the CALLRESULT as text."""
        answer = await self._exchange(_frame(message.encode()))
        if not answer.startswith("[3"):
            raise ConnectionError(answer)
        return answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _exchange(self, data: bytes) -> str:
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._waiting

    # --- asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._open:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            self._open, self._data = True, rest
            self._answered(head.decode())
        while (frame := self._next()) is not None:
            self._take(*frame)

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError(f"the connection was lost: {error}"))

    def _next(self) -> tuple[int, bytes] | None:
        """The next whole frame of the server's, which has no mask."""
        data = self._data
        if len(data) < 2:
            return None
        start, length = 2, data[1]
        if length == 126:
            if len(data) < 4:
                return None
            start, length = 4, struct.unpack_from("!H", data, 2)[0]
        if len(data) < start + length:
            return None
        self._data = data[start + length :]
        return data[0] & 0x0F, data[start : start + length]

    def _take(self, opcode: int, payload: bytes) -> None:
        assert self._transport is not None
        if opcode == 9:
            self._transport.write(bytes((0x8A, 0x80 | len(payload))) + MASK + payload)
        elif opcode == 1:
            text = payload.decode()
            if text.startswith("[2"):
                self._transport.write(_frame(json.dumps([3, json.loads(text)[1], {"status": "Accepted"}]).encode()))
            else:
                self._answered(text)

    def _answered(self, text: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(text)


def _frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + MASK + payload
    return struct.pack("!BBH", 0x81, 0xFE, size) + MASK + payload

"""A charger over real TLS, for a thread: as simple as can be, and nothing of it outlives its connection."""

import base64
import json
import os
import socket
import ssl
import struct
from typing import Any

KEY = b"a key of the charger"

PATIENCE = 120.0
"""Seconds. A guard against hanging: nothing here says how long anything may take."""


class Charger:
    """The other end, in a thread of its own and as simple as can be: nothing of it may outlive its connection."""

    def __init__(
        self, port: int, tls: ssl.SSLContext, identity: str = "CP1", key: bytes = KEY, offer: str = "ocpp1.6"
    ) -> None:
        raw = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket = tls.wrap_socket(raw, server_hostname="localhost")
        token = base64.b64encode(identity.encode() + b":" + key).decode()
        self.socket.sendall(
            f"GET /ocpp/{identity} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {offer}\r\nAuthorization: Basic {token}\r\n\r\n".encode()
        )
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self.data += self._more()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        self.status = int(head[9:12])

    def call(self, action: str, payload: Any) -> Any:
        """The confirmation; what is asked meanwhile is accepted."""
        self.frame(1, json.dumps([2, "1", action, payload]).encode())
        while True:
            message = json.loads(self.next()[1])
            if message[0] == 3:
                return message[2]
            self.accept(message)

    def accept(self, message: Any) -> None:
        """Confirm what the gateway asks."""
        self.frame(1, json.dumps([3, message[1], {"status": "Accepted"}]).encode())

    def boot(self) -> None:
        """Until it is accepted."""
        assert (
            self.call("BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})["status"] == "Accepted"
        )

    def frame(self, opcode: int, payload: bytes) -> None:
        """Send one, masked with zeros."""
        size = len(payload)
        length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0xFE, size)
        self.socket.sendall(bytes((0x80 | opcode,)) + length + bytes(4) + payload)

    def next(self) -> tuple[int, bytes]:
        """The next frame."""
        while True:
            if len(self.data) >= 4:
                start, size = 2, self.data[1]
                if size == 126:
                    start, size = 4, struct.unpack_from("!H", self.data, 2)[0]
                if len(self.data) >= start + size:
                    frame = self.data[0] & 0x0F, self.data[start : start + size]
                    self.data = self.data[start + size :]
                    return frame
            self.data += self._more()

    def _more(self) -> bytes:
        data = self.socket.recv(65536)
        assert data, "the gateway closed the connection"
        return data

    def read_to_the_end(self) -> None:
        """Until the gateway closes."""
        while self.socket.recv(65536):
            pass

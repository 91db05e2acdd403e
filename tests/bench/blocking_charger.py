"""A charger for tests of servers: blocking, its frames made by hand, and the messages of the measurements."""

import base64
import json
import os
import socket
import ssl
from contextlib import ExitStack
from typing import Self

from bench.processes import Server

NOW = "2024-01-01T00:00:00Z"

MESSAGES = {
    "BootNotification": {"chargePointVendor": "Bench", "chargePointModel": "Test"},
    "Heartbeat": {},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
    "StartTransaction": {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": NOW},
    "MeterValues": {"connectorId": 1, "meterValue": [{"timestamp": NOW, "sampledValue": [{"value": "1"}]}]},
}


class Charger:
    """A blocking one, its frames made by hand. Closed at the end of its ``with``."""

    def __init__(self, server: Server, *, identity: str = "CP1", key: bytes = os.urandom(20)) -> None:
        context = ssl.create_default_context(cafile=server.ca_file)
        with ExitStack() as opened:
            plain = opened.enter_context(socket.create_connection((server.host, server.port), timeout=10))
            self._socket = opened.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            self.head = self._upgraded(server, identity, key)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _upgraded(self, server: Server, identity: str, key: bytes) -> bytes:
        """Ask for the upgrade; the head of the answer."""
        token = base64.b64encode(identity.encode() + b":" + key).decode()
        authorization = f"Authorization: Basic {token}\r\n" if key else ""
        self._socket.sendall(
            (
                f"GET {server.path}/{identity} HTTP/1.1\r\n"
                "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Protocol: ocpp1.6\r\n{authorization}\r\n"
            ).encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            if not byte:
                break
            head += byte
        return head

    def call(self, action: str, payload: object) -> list[object]:
        text = json.dumps([2, "19223201", action, payload]).encode()
        size = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0xFE]) + len(text).to_bytes(2, "big")
        self._socket.sendall(b"\x81" + size + bytes(4) + text)
        opcode, payload = self._frame()
        assert opcode == 0x81
        answer: list[object] = json.loads(payload)
        return answer

    def closed_with(self) -> int:
        """The code of the Close that comes next; what the server asks before is left unanswered."""
        opcode, payload = self._frame()
        while opcode == 0x81:
            opcode, payload = self._frame()
        assert opcode == 0x88
        return int.from_bytes(payload[:2], "big")

    def close(self) -> None:
        self._opened.close()

    def _frame(self) -> tuple[int, bytes]:
        opcode, length = self._exactly(2)
        if length == 126:
            length = int.from_bytes(self._exactly(2), "big")
        return opcode, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            assert part, "the server has closed"
            data += part
        return data

"""TLS 1.3 records made by hand (RFC 8446 §5, §7), for what no TLS library lets a client do: new keys, or wrong ones.

The handshake is OpenSSL's, which tells its secrets to a key log. From then on each record is made and read here.
"""

from __future__ import annotations

import functools
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

from attrs import define, field
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.transport.ends import client_context
from tests.transport.scripted import Charger, Step

ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
NEW_SESSION_TICKET, KEY_UPDATE = 4, 24
NOT_REQUESTED, REQUESTED = 0, 1
CLOSE_NOTIFY = b"\x01\x00"

Aead = type[AESGCM] | type[ChaCha20Poly1305]

SUITES: dict[str, tuple[Aead, int, HashAlgorithm]] = {
    "TLS_AES_128_GCM_SHA256": (AESGCM, 16, SHA256()),
    "TLS_AES_256_GCM_SHA384": (AESGCM, 32, SHA384()),
    "TLS_CHACHA20_POLY1305_SHA256": (ChaCha20Poly1305, 32, SHA256()),
}


@functools.cache
def key_log() -> Path:
    return Path(_folder().name) / "keys"


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@functools.cache
def logging_context() -> ssl.SSLContext:
    context = client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = str(key_log())
    return context


@define
class Keys:
    """One direction's."""

    suite: str
    secret: bytes
    number: int = field(default=0, init=False)

    def _expand(self, label: str, length: int) -> bytes:
        name = b"tls13 " + label.encode()
        info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\x00"
        return HKDFExpand(SUITES[self.suite][2], length, info).derive(self.secret)

    def _next(self) -> tuple[AESGCM | ChaCha20Poly1305, bytes]:
        aead, length, _ = SUITES[self.suite]
        nonce = int.from_bytes(self._expand("iv", 12), "big") ^ self.number
        self.number += 1
        return aead(self._expand("key", length)), nonce.to_bytes(12, "big")

    def update(self) -> None:
        self.secret = self._expand("traffic upd", SUITES[self.suite][2].digest_size)
        self.number = 0

    def seal(self, kind: int, content: bytes) -> bytes:
        head = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2, "big")
        aead, nonce = self._next()
        return head + aead.encrypt(nonce, content + bytes([kind]), head)

    def open(self, record: bytes) -> tuple[int, bytes]:
        """Raises cryptography's InvalidTag for a record under other keys."""
        aead, nonce = self._next()
        inner = aead.decrypt(nonce, record[5:], record[:5])
        return inner[-1], inner[:-1]


class HandMade(Charger):
    """A charger whose records are made here once the handshake is done. It reads and says what a test asks for."""

    def __init__(self, script: Iterable[Step] = ()) -> None:
        self._reads: Keys | None = None
        self._writes: Keys | None = None
        self._rest = b""
        self.updates = 0
        """Key updates that the server sent."""
        self.alerts: list[bytes] = []
        super().__init__(script)

    def _context(self, version: ssl.TLSVersion) -> ssl.SSLContext:
        return logging_context()

    def _begin(self) -> None:
        # The log is shared, and the last lines are ours. The server has not used these keys of its yet.
        lines = [line.split() for line in key_log().read_text().splitlines() if not line.startswith("#")]
        secrets = {label: bytes.fromhex(secret) for label, _, secret in lines}
        cipher = self.tls.cipher()
        assert cipher is not None
        self._reads = Keys(cipher[0], secrets["SERVER_TRAFFIC_SECRET_0"])
        self._writes = Keys(cipher[0], secrets["CLIENT_TRAFFIC_SECRET_0"])

    def take(self, ciphertext: bytes) -> None:
        if self._reads is None:
            super().take(ciphertext)
            return
        self._rest += ciphertext
        while len(self._rest) >= 5 and len(self._rest) >= (end := 5 + int.from_bytes(self._rest[3:5], "big")):
            record, self._rest = self._rest[:end], self._rest[end:]
            self._taken(*self._reads.open(record))
        self._play()

    def _taken(self, kind: int, content: bytes) -> None:
        if kind == APPLICATION_DATA:
            self.heard += content
        elif kind == ALERT:
            self.alerts.append(content)
            self.close_notified = self.close_notified or content == CLOSE_NOTIFY
        elif content[0] == KEY_UPDATE:
            assert content == bytes([KEY_UPDATE, 0, 0, 1, NOT_REQUESTED])
            assert self._reads is not None
            self._reads.update()
            self.updates += 1
        else:
            assert content[0] == NEW_SESSION_TICKET

    def _utter(self, words: bytes) -> None:
        self.record(APPLICATION_DATA, words)

    def record(self, kind: int, content: bytes) -> None:
        """One record, of any kind."""
        assert self._writes is not None
        self.said += self._writes.seal(kind, content)

    def update_keys(self, request: int = REQUESTED, *, really: bool = True) -> None:
        """Tell of new keys, and use them, or not."""
        self.record(HANDSHAKE, bytes([KEY_UPDATE, 0, 0, 1, request]))
        if really:
            assert self._writes is not None
            self._writes.update()

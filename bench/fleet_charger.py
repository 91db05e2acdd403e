"""One charger of a process of chargers: its connection, and how far it has come."""

import socket
from collections import deque
from typing import Any

from bench import wire

TCP, TLS, HTTP, SCRIPT, READY, GONE = range(6)
PHASES = ("connect", "TLS", "upgrade", "first messages", "ready", "gone")
"""A charger's states, and their names in reasons of failures. A script is what it says before it is ready."""


class Charger:
    """One connection of one charge point. ``begun``: when it was due to connect; ``due``: the message under way."""

    __slots__ = (
        *("index", "sock", "fd", "state", "script", "begun", "due", "upgraded", "number", "reading", "transaction"),
        *("expected", "rest", "out", "waiting", "replaces", "successor"),
    )

    def __init__(self, index: int, sock: socket.socket, script: tuple[str, ...], begun: float) -> None:
        self.index = index
        self.sock: Any = sock
        self.fd = sock.fileno()
        self.state = TCP
        self.script = script
        self.begun = begun
        self.due = 0.0
        self.upgraded = 0.0
        self.number = wire.FIRST_ID
        self.reading = wire.FIRST_READING
        self.transaction = 0
        self.expected: bytes | None = None
        self.rest = b""
        self.out = b""
        self.waiting: deque[tuple[str, float]] | None = None
        self.replaces: Charger | None = None
        self.successor: Charger | None = None

    def wait(self, action: str, due: float) -> None:
        """Say this after what is under way."""
        if self.waiting is None:
            self.waiting = deque()
        self.waiting.append((action, due))

"""The bus between nodes, as they need it: requests with one reply, and bells. No promise rests on it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.errors import GatewayError

Handler = Callable[[bytes], Awaitable[bytes]]
"""Answers a request. It must not raise."""


class BusDown(GatewayError):
    """The bus is not reached; nothing was sent."""


class NoResponder(GatewayError):
    """No node answers there; nothing was delivered."""


class Bus(Protocol):
    """Belongs to the Trio loop."""

    @property
    def connected(self) -> bool:
        """True while a server of the bus is reached."""
        ...

    async def request(self, subject: str, message: bytes, seconds: float) -> bytes:
        """The reply to a message. Raises ``BusDown`` and ``NoResponder``, and ``trio.TooSlowError`` where none came in
        time, of which it is not known whether it was delivered. Cancelling ends the waiting alone."""
        ...

    def ring(self, subject: str) -> None:
        """Have those who listen hear a bell, if the bus is there. Never waits."""
        ...

    def serve(self, subject: str, handler: Handler) -> None:
        """Answer requests of a subject from now on, whenever the bus is there."""
        ...

    def withdraw(self, subject: str) -> None:
        """Answer requests, or hear bells, of a subject no more."""
        ...

    def listen(self, subject: str, heard: Callable[[], None]) -> None:
        """Hear a bell from now on. ``heard`` must not block or raise."""
        ...

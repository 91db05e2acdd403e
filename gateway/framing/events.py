"""Events of a peer as frozen values: the output of the sans-I/O WebSocket."""

from typing import Literal, TypeAlias

from attrs import frozen

from gateway.quick_frozen import quick_frozen

Initiator: TypeAlias = Literal["peer", "local", "network"]


@frozen(repr=False)
class UpgradeRequested:
    """A valid WebSocket upgrade request waits for ``accept`` or ``reject``.

    ``target`` is ASCII as sent. ``headers`` keep order, case and repetition; bytes above 0x7F appear as ISO-8859-1
    characters. ``offered`` joins all Sec-WebSocket-Protocol lines into one list (RFC 9110 §5.3, A2.6), in
    the client's order. The representation shows no header value: ``Authorization`` is among them.
    """

    target: str
    headers: tuple[tuple[str, str], ...]
    offered: tuple[str, ...]

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return f"UpgradeRequested(target={self.target!r}, headers=<{names}>, offered={self.offered!r})"


@frozen
class UpgradeRefused:
    """The request was no acceptable upgrade; the answer, if any, waits in ``data_to_send``. Then close.

    ``status`` is None where nothing is answered because what came was not HTTP. ``reason`` is a stable word.
    """

    status: int | None
    reason: str


@quick_frozen
class Message:
    """A complete text message: valid UTF-8, within the size limit."""

    data: bytes


@frozen
class FragmentSeen:
    """Part of a message that is not complete yet."""


@frozen
class PingSeen:
    """A Ping; its Pong with the same payload waits in ``data_to_send`` (A6.1)."""


@frozen
class PongSeen:
    """A Pong, asked for or not."""


@frozen
class Closed:
    """Nothing more will come. ``code`` 1005: a Close without a code; 1006: no Close at all. ``too_large``: the bytes of
    a message that is beyond the limit, as far as they were announced, where that ended it."""

    code: int
    reason: str
    initiator: Initiator
    too_large: int = 0


Event: TypeAlias = UpgradeRequested | UpgradeRefused | Message | FragmentSeen | PingSeen | PongSeen | Closed

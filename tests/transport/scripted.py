"""A charger in memory at the far end of a wire that can be cut anywhere: a TLS client without I/O who plays a script.

Both ends of TLS and of the WebSocket are real, only the wire is not. There is one task, the server's: what it writes
is read by the charger at once, and what the charger says to that waits to be read. So a conversation goes the same way
each time, byte for byte of its plaintext, and can be run thousands of times with another cut.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import trio
from attrs import define, frozen

from gateway.transport.api import ConnectionClosed
from gateway.transport.connection import Connection, HandshakeFailed
from tests.transport.ends import client_context

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

CLOSE_NOTIFY: Literal["close_notify"] = "close_notify"
"""The charger ends TLS; the wire stays."""

END: Literal["end"] = "end"
"""The charger sends no more on the wire (TCP's FIN), and goes on reading."""

Deed = Callable[["Charger"], None]
"""Something to do instead of to say."""

Words = bytes | Deed | Literal["close_notify", "end"]


@frozen
class Step:
    """A step of a conversation: after ``heard`` has come, ``say`` this, each message in its own TLS record."""

    heard: bytes
    say: tuple[Words, ...]


def step(heard: bytes, *say: Words) -> Step:
    return Step(heard, say)


@functools.cache
def context_of(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = client_context()
    context.minimum_version = context.maximum_version = version
    return context


class Charger:
    """Answers TLS by itself, and plays its script when the handshake is done."""

    def __init__(self, script: Iterable[Step], version: ssl.TLSVersion = TLS_1_3) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self._context(version).wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._script = list(script)
        self._shaken = False
        self._heeded = 0
        self.said = bytearray()
        """The ciphertext so far."""
        self.heard = bytearray()
        """The plaintext that has come."""
        self.close_notified = False
        """The server ended TLS as it should."""
        self.failure = ""
        """Why TLS can't go on."""
        self.gone = False
        """Says nothing more."""
        self.take(b"")

    def take(self, ciphertext: bytes) -> None:
        self._incoming.write(ciphertext)
        try:
            if not self._shaken:
                self.tls.do_handshake()
                self._shaken = True
                self._begin()
            while not self.close_notified:
                part = self.tls.read(65536)
                self.heard += part
                self.close_notified = not part
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # how a close_notify after our own is reported
            self.close_notified = True
        except ssl.SSLError as error:
            self.failure, self.gone = str(error.reason), True
        self.said += self._outgoing.read()
        if self._shaken and not self.failure:
            self._play()

    def _begin(self) -> None:
        """The handshake is done."""

    def _context(self, version: ssl.TLSVersion) -> ssl.SSLContext:
        return context_of(version)

    def _play(self) -> None:
        while self._script and (at := self.heard.find(self._script[0].heard, self._heeded)) >= 0:
            now = self._script.pop(0)
            self._heeded = at + len(now.heard)
            for words in now.say:
                if words == CLOSE_NOTIFY:
                    self._end_tls()
                elif words == END:
                    self.gone = True
                elif isinstance(words, bytes):
                    self._utter(words)
                elif callable(words):
                    words(self)

    def _end_tls(self) -> None:
        try:
            self.tls.unwrap()
        except ssl.SSLError:  # the server's is still to come
            pass
        self.said += self._outgoing.read()

    def _utter(self, words: bytes) -> None:
        self.tls.write(words)
        self.said += self._outgoing.read()

    def say(self, *words: bytes) -> None:
        """Out of turn. The wire has to be stirred for it."""
        for each in words:
            self._utter(each)


def at_once(_: int) -> int:
    return 1 << 30


def by_the_byte(_: int) -> int:
    return 1


def split_at(*positions: int) -> Callable[[int], int]:
    """No read goes beyond one of these positions in what the charger says."""

    def cut(position: int) -> int:
        return min((at - position for at in positions if at > position), default=1 << 30)

    return cut


class Wire(trio.abc.Stream):
    """The server's end. ``cut`` maps a position in what the charger says to how much a read from there gives.

    After ``end`` bytes the stream is over, or is ``reset``. A charger that is not
    ``patient`` goes when both would wait.
    """

    def __init__(
        self,
        charger: Charger,
        *,
        cut: Callable[[int], int] = at_once,
        end: int | None = None,
        reset: bool = False,
        patient: bool = True,
    ) -> None:
        self.charger = charger
        self.closed = False
        self.written = bytearray()
        self._cut = cut
        self._end = end
        self._reset = reset
        self._patient = patient
        self._read = 0
        self._stirred = trio.Event()

    def stir(self) -> None:
        """There may be more to read."""
        self._stirred.set()
        self._stirred = trio.Event()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self.closed:
            if self._read == self._end:
                if self._reset:
                    raise trio.BrokenResourceError
                return b""
            stop = len(self.charger.said) if self._end is None else min(self._end, len(self.charger.said))
            size = min(stop - self._read, self._cut(self._read), max_bytes or 1 << 30)
            if size:
                self._read += size
                return bytes(self.charger.said[self._read - size : self._read])
            if self.charger.gone or not self._patient:
                return b""
            await self._stirred.wait()
        raise trio.ClosedResourceError

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.carry(data)

    def carry(self, data: bytes | bytearray | memoryview) -> None:
        if self.closed:
            raise trio.ClosedResourceError
        self.written += data
        self.charger.take(bytes(data))
        self.stir()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.closed = True
        self.stir()
        await trio.lowlevel.checkpoint()


class Socket(Wire):
    """Closes without waiting, as sockets do."""

    def close_nowait(self) -> None:
        self.closed = True
        self.stir()


class PromptWire(Socket):
    """Takes what is written at once, as a socket does nearly always."""

    def send_nowait(self, data: bytes) -> int:
        self.carry(data)
        return len(data)


class SlowWire(Socket):
    """Takes a part of what is written at once, and the rest a moment later."""

    def send_nowait(self, data: bytes) -> int:
        size = len(data) // 3
        self.carry(data[:size])
        return size

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        half = len(data) // 2
        self.carry(data[:half])
        await trio.sleep(0.01)
        self.carry(data[half:])


WIRES: Sequence[type[Wire]] = (Wire, PromptWire, SlowWire)


@define
class Story:
    """A conversation as the server saw it: the messages, and the end: a stage or a code, a reason, and more."""

    messages: list[bytes]
    end: tuple[str | int, ...] = ()


async def converse(connection: Connection, subprotocol: str | None = None) -> Story:
    """Serve to the end, answering each message with ``re:`` and itself. Nothing but the documented errors is caught."""
    story = Story([])
    try:
        await connection.secure()
        await connection.request()
        await connection.accept(subprotocol)
        while True:
            message = await connection.receive()
            story.messages.append(message)
            await connection.send(b"re:" + message)
    except HandshakeFailed as failed:
        story.end = (failed.stage, failed.reason)
    except ConnectionClosed as closed:
        story.end = (closed.code, closed.reason, closed.initiator)
    finally:
        await connection.aclose()
    return story


def whole_records(data: bytes | bytearray) -> tuple[int, bytes]:
    """The number of whole TLS records in a stream, and the bytes of one more that follow them."""
    count, at = 0, 0
    while at + 5 <= len(data):
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        assert data[at] in (20, 21, 22, 23), "out of step"
        if end > len(data):
            break
        count, at = count + 1, end
    return count, bytes(data[at:])

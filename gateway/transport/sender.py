"""Writing to a charger's connection: what goes out, goes out in one critical section.

Protocol bytes, TLS records and the socket write are one step under ``writing``, for several tasks send: the session's
reader, its commands, pings, a close. A write that is cut short leaves half a record behind, so it ends the connection.
"""

from collections.abc import Callable

import trio

from gateway.framing.websocket import WebSocket
from gateway.transport.api import ABNORMAL_CLOSURE, Initiator
from gateway.transport.connection_end import ConnectionEnd, End
from gateway.transport.tls_records import TlsFailure, TlsRecords

MAX_UNSENT_BYTES = 64 * 1024
"""Answers (pongs) that may wait behind another task's write before ``receive`` stops reading: a peer that pings
without reading must not fill our memory."""

_FAILURES = (TlsFailure, trio.BrokenResourceError, trio.ClosedResourceError)


def _takes_nothing(_: bytes) -> int:
    """``send_nowait`` of a stream that has none."""
    return 0


def _hurries_anyway() -> None:
    """``hurry`` of a stream that has none."""


class Sender:
    """Writes to ``stream`` what ``websocket`` has to send. ``send``, ``send_nowait``, ``ping_nowait`` and ``flush``
    are ``Transport``'s."""

    __slots__ = (
        "_close_nowait",
        "_end",
        "_failure",
        "_hurry",
        "_rest",
        "_send_nowait",
        "_stream",
        "_tls",
        "_websocket",
        "_write_seconds",
        "last_said",
        "writing",
    )

    def __init__(
        self, stream: trio.abc.Stream, tls: TlsRecords, websocket: WebSocket, end: ConnectionEnd, write_seconds: float
    ) -> None:
        self._stream = stream
        self._send_nowait: Callable[[bytes], int] = getattr(stream, "send_nowait", _takes_nothing)
        self._hurry: Callable[[], None] = getattr(stream, "hurry", _hurries_anyway)
        self._close_nowait: Callable[[], None] | None = getattr(stream, "close_nowait", None)
        self._tls = tls
        self._websocket = websocket
        self._end = end
        self._write_seconds = write_seconds
        self.last_said = trio.current_time()
        self.writing = trio.Lock()
        """Held by the task that writes."""
        self._rest = b""  # of what ``send_nowait`` has encrypted: it goes out before anything else
        self._failure: Exception | None = None  # what it met with; ``write_out`` ends the connection

    # Transport.

    async def send(self, data: bytes) -> None:
        """As ``Transport.send``."""
        self._hurry()
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.writing.locked():
            await self._say(self._websocket.send_text, data)
        elif not self.send_nowait(data):
            await self.flush()

    def send_nowait(self, data: bytes) -> bool:
        """As ``Transport.send_nowait``."""
        if self._end.reached is not None:
            self._end.raise_reached()
        self.last_said = trio.current_time()
        if self.writing.locked() or self._rest or self._failure is not None:
            self._websocket.send_text(data)
            return False  # the task that writes takes it along
        try:
            ciphertext = self._tls.encrypt(self._websocket.text_to_send(data))
            sent = self._send_nowait(ciphertext)
        except _FAILURES as failure:
            self._failure = failure
            return False
        if sent == len(ciphertext):
            return True
        self._rest = ciphertext[sent:]
        return False

    def ping_nowait(self) -> bool:
        """As ``Transport.ping_nowait``."""
        if self._end.reached is not None:
            self._end.raise_reached()
        self.last_said = trio.current_time()
        self._websocket.send_ping(b"")
        if self.writing.locked() or self._rest or self._failure is not None:
            return False
        try:
            ciphertext = self._tls.encrypt(self._websocket.data_to_send())
            sent = self._send_nowait(ciphertext)
        except _FAILURES as failure:
            self._failure = failure
            return False
        self._rest = ciphertext[sent:]
        return not self._rest

    async def flush(self) -> None:
        """As ``Transport.flush``."""
        await self.turn()
        try:
            await self.write_out()
        finally:
            self.writing.release()
        if self._end.broken:
            self._end.raise_reached()

    async def _say(self, put: Callable[[bytes], None], data: bytes) -> None:
        await self.turn()
        try:
            if self._end.reached is not None:
                self._end.raise_reached()
            put(data)
            await self.write_out()
        finally:
            self.writing.release()
        if self._end.broken:
            self._end.raise_reached()

    # For the reader, and for the opening and the closing.

    async def answer(self) -> None:
        """Send what reading gave rise to (pongs, the echo of a Close, TLS key updates), if that can be done now.

        Not behind another task's write, unless too much has piled up: that task takes it along. What is left after a
        cancellation waits for the next write of any kind.
        """
        unsent = self._websocket.unsent + self._tls.outgoing.pending
        if self._end.broken or (unsent < MAX_UNSENT_BYTES and self.writing.locked()):
            return
        await self.turn()
        try:
            await self.write_out()
        finally:
            self.writing.release()

    async def turn(self) -> None:
        """Acquire ``writing``. A cancellation gets out here, while nothing is half done, or not before the write.

        When the lock is free this saves a pass through the scheduler: the socket write is a checkpoint anyway.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self.writing.locked():
            self.writing.acquire_nowait()
            return
        await self.writing.acquire()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            self.writing.release()
            raise

    async def write_out(self) -> None:
        """Encrypt and write all that waits. The caller holds ``writing`` (or is alone, in the opening).

        Never raises for the peer: a failed write is recorded as the end. Cancelled part-way, it ends the connection;
        but a cancellation that is already pending must not, so it is let out while nothing is half done: the socket
        write that follows starts without another checkpoint.
        """
        while not self._end.broken:
            if self._failure is not None:
                await self._failed(self._failure)
                return
            if self._rest:
                rest, self._rest = self._rest, b""
                await self._write_the_rest(rest)
                continue
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                plaintext = self._websocket.data_to_send()
                if plaintext:
                    self.last_said = trio.current_time()
                ciphertext = self._tls.encrypt(plaintext)
                sent = self._send_nowait(ciphertext) if ciphertext else 0
            except _FAILURES as failure:
                await self._failed(failure)
                return
            if sent < len(ciphertext):
                await self._write_the_rest(ciphertext[sent:])
            elif not ciphertext:
                return

    async def _write_the_rest(self, ciphertext: bytes) -> None:
        """Of what has been encrypted, so that there is no way back: cut short, it ends the connection."""
        done = False
        try:
            with trio.move_on_after(self._write_seconds) as deadline:
                await self._stream.send_all(ciphertext)
                done = True
        except (trio.BrokenResourceError, trio.ClosedResourceError) as failure:
            await self._failed(failure)
        finally:
            if not done and not self._end.broken:
                late = deadline.cancelled_caught
                reason = "the peer does not read" if late else "a write was cancelled"
                await self._break(reason, "network" if late else "local")

    async def _failed(self, failure: Exception) -> None:
        """TLS can't go on, or the socket can't."""
        self._failure = None
        await self._break(
            f"TLS: {failure.reason}" if isinstance(failure, TlsFailure) else "connection reset", "network"
        )

    async def _break(self, reason: str, initiator: Initiator) -> None:
        """The stream is out of step for good. Closing it wakes a task that reads."""
        self._end.broken = True
        self._end.reach(End(ABNORMAL_CLOSURE, reason, initiator))
        await self.cut()

    async def shut_tls(self) -> None:
        """Send TLS's close_notify."""
        await self.turn()
        try:
            if not self._end.broken:
                self._tls.close_notify()
                await self.write_out()
        finally:
            self.writing.release()

    def shut_nowait(self) -> bool:
        """Send what waits and TLS's close_notify, and close the stream, if that takes no waiting; False: it does. What
        has been taken up then goes out with the next write."""
        if self._close_nowait is None or self.writing.locked() or self._rest or self._failure is not None:
            return False
        if not self._end.broken:
            try:
                ciphertext = self._tls.encrypt(self._websocket.data_to_send())
                self._tls.close_notify()
                ciphertext += self._tls.pending()
                sent = self._send_nowait(ciphertext)
            except _FAILURES as failure:
                self._failure = failure
                return False
            if sent < len(ciphertext):
                self._rest = ciphertext[sent:]
                return False
        self._close_nowait()
        return True

    async def cut(self) -> None:
        """Close the stream at once. Never waits. Repeating it does nothing."""
        if self._close_nowait is not None:
            self._close_nowait()
            return
        with trio.CancelScope(shield=True) as scope:  # aclose() of a stream whose scope is cancelled only closes
            scope.cancel()
            await self._stream.aclose()

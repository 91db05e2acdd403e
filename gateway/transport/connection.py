"""One charger's connection: WebSocket in TLS over any Trio stream. Implements ``api.Transport``.

Reading and writing share two rules:

* What goes out, goes out in one critical section under ``_writing``: protocol bytes, TLS records, socket write. A
  write that is cut short leaves half a record behind, so it ends the connection.
* A connection starts no task. ``receive`` reads, and answers pings and key updates while it does. It does not queue
  behind a sender that is stuck: the sender takes such answers along when it is done. A peer that sends too fast is
  read slower (``rate_limit``).

A frame that wakes the reader resumes ``receive`` and nothing else in here: it awaits what the socket waits for, reads
without waiting, and goes through the rest in plain functions. What is not everyday (a limit, a large message, an end)
takes the longer way.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from attrs import frozen

from gateway.errors import GatewayError
from gateway.framing.events import Closed, Event, Message, UpgradeRefused, UpgradeRequested
from gateway.framing.reassembly import POLICY_VIOLATION
from gateway.framing.websocket import WebSocket
from gateway.transport.accounts import Account
from gateway.transport.api import ABNORMAL_CLOSURE, Concluded, ConnectionClosed, Initiator, Peer
from gateway.transport.large_messages import LARGE_BYTES, LargeMessagePlace
from gateway.transport.limits import Limits
from gateway.transport.listening_socket import BUFFER_BYTES
from gateway.transport.rate_limit import RateLimit, ignored
from gateway.transport.tls_records import READ_BYTES, TlsFailure, TlsRecords

R = TypeVar("R")

MAX_UNSENT_BYTES = 64 * 1024
"""Answers (pongs) that may wait behind another task's write before ``receive`` stops reading: a peer that pings
without reading must not fill our memory."""

LINGER_BYTES = 1024 * 1024
"""What is read and thrown away after we ended it. Closing a socket with unread input makes the kernel send a reset,
which can overtake our answer or Close on its way to the charger. One largest message."""

LINGER_SECONDS = 0.5
"""How long that may take. A refused client that never closes holds a place of the listener meanwhile."""

ARRIVED_BYTES = 2 * BUFFER_BYTES
"""What is still read of a connection that is concluded: the kernel holds no more (it takes twice what it is asked for,
for its own books). A peer that goes on sending would otherwise be read for ever."""

RETRY_AFTER_SECONDS = 30
"""What a charger is asked to wait when we could not decide about its upgrade."""


class HandshakeFailed(GatewayError):
    """The peer never became a WebSocket client. ``stage`` is ``tls`` or ``http``; ``reason`` a stable word;
    ``status`` what it was answered in HTTP, None if it wasn't."""

    def __init__(self, stage: str, reason: str, status: int | None = None) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason
        self.status = status


_FAILURES = (TlsFailure, trio.BrokenResourceError, trio.ClosedResourceError)


def _takes_nothing(_: bytes) -> int:
    """``send_nowait`` of a stream that has none."""
    return 0


def _has_nothing(_: int) -> bytes:
    """``receive_nowait`` of a stream that has none."""
    raise trio.WouldBlock


def _waits_on() -> None:
    """``interrupt`` of a stream that has none: its reader hears of it with the next byte."""


async def _at_once() -> None:
    """For a connection that has the loop to itself."""


@frozen
class _End:
    code: int
    reason: str
    initiator: Initiator
    too_large: int = 0


class Connection:
    """Owns ``stream``. First ``secure``, then ``request``, then ``accept`` or ``reject``; then a ``Transport``.

    The three opening steps have no deadline of their own; when one is cancelled or raises, only ``aclose`` is left.
    ``slowed`` is called each time the peer has to wait, saying why: ``messages`` or ``frames``. ``turn`` is waited for
    before each step of the TLS handshake that computes something.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        tls: TlsRecords,
        *,
        address: tuple[str, int],
        limits: Limits,
        slowed: Callable[[str], None] = ignored,
        turn: Callable[[], Awaitable[None]] = _at_once,
        large: LargeMessagePlace | None = None,
    ) -> None:
        self._stream = stream
        self._send_nowait: Callable[[bytes], int] = getattr(stream, "send_nowait", _takes_nothing)
        self._receive_nowait: Callable[[int], bytes] = getattr(stream, "receive_nowait", _has_nothing)
        self._interrupt: Callable[[], None] = getattr(stream, "interrupt", _waits_on)
        self._readable: Callable[[], Awaitable[None]] | None = getattr(stream, "arrived", None)
        self._tls = tls
        self._address = address
        self._limits = limits
        self._turn_to_compute = turn
        self._websocket = WebSocket(
            max_message_bytes=limits.max_message_bytes, max_handshake_bytes=limits.max_handshake_bytes
        )
        self._peer: Peer | None = None
        self._subprotocol: str | None = None
        self._last_heard = self._last_said = trio.current_time()
        self._peers_turn_since: float | None = None
        self._waited = 0.0
        # Bounded by one read: nothing is read while messages wait here, and READ_BYTES hold so many frames. Not a
        # deque: it is nearly always empty, and an empty deque takes 760 bytes.
        self._inbox: list[bytes] = []
        self._upgrade: UpgradeRequested | UpgradeRefused | None = None
        self._intake = RateLimit(limits, slowed)
        self._large = LargeMessagePlace(limits.message_seconds) if large is None else large
        self._large_given_out = False
        self._waits_for_place = False
        self._taking_in: trio.CancelScope | None = None  # a read of a large message: who is too slow is cut short
        self._writing = trio.Lock()
        self._rest = b""  # of what ``send_nowait`` has encrypted: it goes out before anything else
        self._failure: Exception | None = None  # what it met with; ``_flush`` ends the connection
        self._end: _End | None = None
        self._broken = False  # the stream is unusable; nothing can be said to the peer any more
        self._arrived: int | None = None  # once concluded: bytes of before that there may still be
        self._reading = False
        self._reader_left: trio.Event | None = None  # how a close waits for its turn to read
        self._close_begun = False

    # Opening.

    async def secure(self) -> Peer:
        """Do the TLS handshake. Raises HandshakeFailed."""
        try:
            while True:
                data = await self._peers_turn(self._receive_some)
                if not data:
                    raise HandshakeFailed("tls", "closed_by_peer")
                self._tls.feed(data)
                await self._turn_to_compute()
                if self._tls.handshake():
                    break
                await self._flush()
        except TlsFailure as failure:
            await self._flush()  # the alert that tells the peer why
            raise HandshakeFailed("tls", failure.reason) from None
        await self._flush()
        self._peer = Peer(*self._address, self._tls.version, self._tls.cipher, self._tls.peer_certificate)
        return self._peer

    async def request(self) -> UpgradeRequested:
        """Read the upgrade request. One that is none has been answered when this raises HandshakeFailed."""
        self._pump()  # what came with the end of the TLS handshake
        while self._upgrade is None:
            if self._end is not None:
                raise HandshakeFailed("http", self._end.reason)
            await self._peers_turn(self._read)
        upgrade, self._upgrade = self._upgrade, None
        if isinstance(upgrade, UpgradeRefused):
            await self._finish_refusal()
            raise HandshakeFailed("http", upgrade.reason, upgrade.status)
        return upgrade

    @property
    def awaits_peer(self) -> bool:
        """True while the opening waits for the peer, and not for the gateway."""
        return self._peers_turn_since is not None

    @property
    def waited(self) -> float:
        """Seconds that the opening has waited for the peer so far, all together."""
        since = self._peers_turn_since
        return self._waited if since is None else self._waited + trio.current_time() - since

    async def _peers_turn(self, read: Callable[[], Awaitable[R]]) -> R:
        self._peers_turn_since = trio.current_time()
        try:
            return await read()
        finally:
            self._waited = self.waited
            self._peers_turn_since = None

    async def accept(self, subprotocol: str | None) -> None:
        """Answer 101. Raises ConnectionClosed; ValueError for a subprotocol that was not offered."""
        self._take_in(self._websocket.accept(subprotocol))
        self._subprotocol = subprotocol
        async with self._writing:
            await self._flush()
        if self._broken:
            self._raise_ended()

    async def reject(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Answer with an HTTP error and close, so that the peer can read it. Never raises for the peer."""
        self._websocket.reject(status, text, headers)
        await self._finish_refusal()

    # Transport.

    @property
    def peer(self) -> Peer:
        assert self._peer is not None, "secure() comes first"
        return self._peer

    @property
    def subprotocol(self) -> str | None:
        return self._subprotocol

    @property
    def last_heard(self) -> float:
        # A peer that waits to be read is not silent.
        waits = self._inbox or self._intake.charged.next_read_at or self._waits_for_place
        return trio.current_time() if waits else self._last_heard

    @property
    def last_said(self) -> float:
        return self._last_said

    def account(self, account: Account) -> None:
        """Charge messages to this account from now on: the identity is known."""
        self._intake.account(account)

    def charge(self, messages: int) -> None:
        self._intake.charge(messages)

    async def receive(self) -> bytes:
        if self._large_given_out:  # the caller asks for more, so it is done with it
            self._large_given_out = False
            self._large.leave(self)
        if self._inbox:
            await trio.lowlevel.checkpoint()  # a burst of messages must not starve the other sessions
        while not self._inbox:
            if self._intake.charged.next_read_at and self._end is None:
                await self._intake.until_next_read()
            if self._end is not None:
                self._raise_ended()
            if self._websocket.writes or self._tls.outgoing.pending:
                await self._answer()
            if self._end is None:
                if self._arrived is not None:
                    await self._read_arrived()
                elif self._websocket.arriving > LARGE_BYTES:
                    await self._read_large()
                elif self._readable is None:
                    await self._read()
                else:
                    self._reading = True
                    try:
                        await self._readable()
                        data = self._receive_nowait(READ_BYTES)
                    except trio.WouldBlock:
                        continue  # what made it readable is gone (a bad checksum), or it was concluded
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        self._broken = True
                        data = b""
                    finally:
                        self._reading = False
                        if self._reader_left is not None:
                            self._reader_left.set()
                    if data:
                        self._pump(data)
                    else:
                        self._is_read(data)
                if self._websocket.writes or self._tls.outgoing.pending:
                    await self._answer()
        if self._intake.charged.next_message_at and self._end is None:
            await self._intake.until_next_message()
            if not self._inbox:  # aclose() has cleared it meanwhile
                self._raise_ended()
        data = self._inbox.pop(0)
        self._intake.message(len(data))
        if len(data) > LARGE_BYTES:
            self._large_given_out = True
        return data

    def conclude(self) -> None:
        if self._arrived is None:
            self._arrived = ARRIVED_BYTES
            if self._waits_for_place:  # for more of a message than has arrived
                self._large.leave(self)
            if self._reading and self._end is None:
                self._interrupt()

    async def _read_arrived(self) -> None:
        """Read once without waiting for it. Raises Concluded if there is nothing, or what there is may be of later."""
        assert self._arrived is not None
        await trio.lowlevel.checkpoint()
        if self._end is not None:
            return
        if self._arrived <= 0 or (self._websocket.arriving > LARGE_BYTES and not self._large.held_by(self)):
            raise Concluded
        try:
            data = self._receive_nowait(READ_BYTES)
        except trio.WouldBlock:
            raise Concluded from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._broken = True
            data = b""
        self._arrived -= len(data)
        self._is_read(data)

    async def _read_large(self) -> None:
        """Read on in a large message, once it is its turn."""
        if not self._large.held_by(self):
            self._waits_for_place = True
            try:
                if not await self._large.take(self, self._too_slow):
                    return
            finally:
                self._waits_for_place = False
            self._last_heard = trio.current_time()
            self._intake.resumed()
        with trio.CancelScope() as self._taking_in:
            await self._read()
        taking_in, self._taking_in = self._taking_in, None
        if taking_in.cancelled_caught:
            self._take_in(self._websocket.violated(POLICY_VIOLATION, "message too slow"))

    def _too_slow(self) -> None:
        """Others wait for the place."""
        if self._taking_in is not None:
            self._taking_in.cancel()

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._writing.locked():
            await self._say(self._websocket.send_text, data)
        elif not self.send_nowait(data):
            await self.flush()

    def send_nowait(self, data: bytes) -> bool:
        if self._end is not None:
            self._raise_ended()
        self._last_said = trio.current_time()
        if self._writing.locked() or self._rest or self._failure is not None:
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

    async def flush(self) -> None:
        await self._turn()
        try:
            await self._flush()
        finally:
            self._writing.release()
        if self._broken:
            self._raise_ended()

    async def ping(self) -> None:
        await self._say(self._websocket.send_ping, b"")

    async def _say(self, put: Callable[[bytes], None], data: bytes) -> None:
        await self._turn()
        try:
            self._raise_if_ended()
            put(data)
            await self._flush()
        finally:
            self._writing.release()
        if self._broken:
            self._raise_ended()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        if self._close_begun:
            return await trio.lowlevel.checkpoint()
        self._close_begun = True
        try:
            with trio.move_on_after(self._limits.close_seconds, shield=True):
                await self._close_politely(code, reason)
        finally:
            self._large_given_out = False
            self._ended(_End(code, reason, "local"))
            await self._cut()
            self._websocket.release()

    # Reading.

    async def _receive_some(self) -> bytes:
        """Read ciphertext; b"" for any end. Cancelling loses nothing."""
        self._reading = True
        try:
            return bytes(await self._stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._broken = True
            return b""
        finally:
            self._reading = False
            if self._reader_left is not None:
                self._reader_left.set()

    async def _read(self) -> None:
        """Read once and take in what it means. No await comes between the socket read and the inbox."""
        try:
            data = await self._receive_some()
        except trio.WouldBlock:
            return  # concluded
        self._is_read(data)

    def _is_read(self, data: bytes) -> None:
        """Take in what was read; b"" is the end."""
        if data:
            self._pump(data)
        else:
            self._take_in(self._websocket.receive_eof())
            self._ended(_End(ABNORMAL_CLOSURE, "closed_by_peer", "network"))

    def _pump(self, data: bytes = b"") -> None:
        """Decrypt, and act on what it means."""
        plaintext = self._tls.read(data)
        if plaintext:
            websocket = self._websocket
            events = websocket.receive(plaintext)
            now = trio.current_time()
            arriving = websocket.arriving
            if events or arriving > LARGE_BYTES:  # at least one whole frame, or some of one that takes minutes
                self._last_heard = now
            if arriving <= LARGE_BYTES and not websocket.incomplete:
                arriving = 0  # a frame that takes long ends in silence
            if len(events) == 1 and isinstance(message := events[0], Message):
                self._inbox.append(message.data)
                messages = 1
            else:
                messages = self._take_in(events)
            if self._intake.read(now, messages, len(events) - messages, arriving):
                self._take_in(self._websocket.violated(POLICY_VIOLATION, "message too slow"))
        if self._tls.failure is not None:
            self._ended(_End(ABNORMAL_CLOSURE, f"TLS: {self._tls.failure}", "network"))
        elif self._tls.ended:
            self._take_in(self._websocket.receive_eof())
            self._ended(_End(ABNORMAL_CLOSURE, "closed_by_peer", "network"))

    def _take_in(self, events: list[Event]) -> int:
        """Act on events; how many of them were messages."""
        before = len(self._inbox)
        for event in events:
            if isinstance(event, Message):
                self._inbox.append(event.data)
            elif isinstance(event, Closed):
                self._ended(_End(event.code, event.reason, event.initiator, event.too_large))
            elif isinstance(event, (UpgradeRequested, UpgradeRefused)):
                self._upgrade = event
        return len(self._inbox) - before

    def _ended(self, end: _End) -> None:
        self._end = self._end or end
        self._intake.cut_short()
        if not self._large_given_out:  # else it is still being read, or recorded
            self._large.leave(self)

    # Writing.

    async def _answer(self) -> None:
        """Send what reading gave rise to (pongs, the echo of a Close, TLS key updates), if that can be done now.

        Not behind another task's write, unless too much has piled up: that task takes it along. What is left after a
        cancellation waits for the next write of any kind.
        """
        unsent = self._websocket.unsent + self._tls.outgoing.pending
        if self._broken or (unsent < MAX_UNSENT_BYTES and self._writing.locked()):
            return
        await self._turn()
        try:
            await self._flush()
        finally:
            self._writing.release()

    async def _turn(self) -> None:
        """Acquire ``_writing``. A cancellation gets out here, while nothing is half done, or not before the write.

        When the lock is free this saves a pass through the scheduler: the socket write is a checkpoint anyway.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._writing.acquire_nowait()
        except trio.WouldBlock:
            await self._writing.acquire()
            try:
                await trio.lowlevel.checkpoint_if_cancelled()
            except trio.Cancelled:
                self._writing.release()
                raise

    async def _flush(self) -> None:
        """Encrypt and write all that waits. The caller holds ``_writing`` (or is alone, in the opening).

        Never raises for the peer: a failed write is recorded as the end. Cancelled part-way, it ends the connection;
        but a cancellation that is already pending must not, so it is let out while nothing is half done: the socket
        write that follows starts without another checkpoint.
        """
        while not self._broken:
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
                    self._last_said = trio.current_time()
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
            with trio.move_on_after(self._limits.write_seconds) as deadline:
                await self._stream.send_all(ciphertext)
                done = True
        except (trio.BrokenResourceError, trio.ClosedResourceError) as failure:
            await self._failed(failure)
        finally:
            if not done and not self._broken:
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
        self._broken = True
        self._ended(_End(ABNORMAL_CLOSURE, reason, initiator))
        await self._cut()

    # Closing.

    async def _close_politely(self, code: int, reason: str) -> None:
        if self._websocket.undecided:  # admission was cut short: a charger answered so comes back later
            self._websocket.reject(503, "try again later", (("Retry-After", str(RETRY_AFTER_SECONDS)),))
        violated = self._end is not None and self._end.initiator == "local"
        async with self._writing:
            if self._end is None:
                self._inbox.clear()  # no answer is possible any more; the charger keeps what was not confirmed
                self._websocket.send_close(code, reason)
                self._ended(_End(code, reason, "local"))
            await self._flush()
        while self._websocket.closing and self._tls.failure is None and not self._broken:
            await self._read_for_close()
        await self._shut_tls()
        if violated:  # and the rest of what violated it is still on its way
            await self._linger()

    async def _read_for_close(self) -> None:
        """Read once, so that our Close is read before the socket goes. The caller bounds the time."""
        if self._reading:  # the session's reader is in receive(), which reads once more and then raises
            self._reader_left = trio.Event()
            await self._reader_left.wait()
        else:
            await self._read()

    async def _shut_tls(self) -> None:
        async with self._writing:
            if not self._broken:
                self._tls.close_notify()
                await self._flush()

    async def _linger(self) -> None:
        read = 0
        with trio.move_on_after(LINGER_SECONDS):
            while not self._broken and not self._reading and read < LINGER_BYTES:
                data = await self._receive_some()
                if not data:
                    return
                read += len(data)

    async def _finish_refusal(self) -> None:
        self._close_begun = True
        try:
            with trio.move_on_after(self._limits.close_seconds, shield=True):
                await self._flush()
                await self._shut_tls()
                await self._linger()
        finally:
            self._end = self._end or _End(ABNORMAL_CLOSURE, "refused", "local")
            await self._cut()
            self._websocket.release()

    async def _cut(self) -> None:
        with trio.CancelScope(shield=True) as scope:  # aclose() of a stream whose scope is cancelled only closes
            scope.cancel()
            await self._stream.aclose()

    def _raise_if_ended(self) -> None:
        if self._end is not None:
            self._raise_ended()

    def _raise_ended(self) -> None:
        assert self._end is not None
        raise ConnectionClosed(self._end.code, self._end.reason, self._end.initiator, self._end.too_large)

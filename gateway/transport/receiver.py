"""Reading from a charger's connection: frames become messages, no faster than the peer may send.

It starts no task. ``receive`` reads, and has pings and key updates answered while it does. It does not queue behind a
sender that is stuck: the sender takes such answers along when it is done. A peer that sends too fast is read slower
(``rate_limit``).

A frame that wakes the reader resumes ``receive`` and nothing else in here: it awaits what the socket waits for, reads
without waiting, and goes through the rest in plain functions. What is not everyday (a limit, a large message, an end)
takes the longer way.
"""

from collections.abc import Awaitable, Callable

import trio

from gateway.framing.events import Closed, Event, Message, UpgradeRefused, UpgradeRequested
from gateway.framing.reassembly import POLICY_VIOLATION
from gateway.framing.websocket import WebSocket
from gateway.transport.api import ABNORMAL_CLOSURE, Concluded
from gateway.transport.connection_end import ConnectionEnd, End
from gateway.transport.large_messages import LARGE_BYTES, LargeMessageArrival
from gateway.transport.listening_socket import BUFFER_BYTES
from gateway.transport.rate_limit import RateLimit
from gateway.transport.sender import Sender
from gateway.transport.tls_records import READ_BYTES, TlsRecords

LINGER_BYTES = 1024 * 1024
"""What is read and thrown away after we ended it. Closing a socket with unread input makes the kernel send a reset,
which can overtake our answer or Close on its way to the charger. One largest message."""

LINGER_SECONDS = 0.5
"""How long that may take. A refused client that never closes holds a place of the listener meanwhile."""

ARRIVED_BYTES = 2 * BUFFER_BYTES
"""What is still read of a connection that is concluded: the kernel holds no more (it takes twice what it is asked for,
for its own records). A peer that goes on sending would otherwise be read for ever."""


def _has_nothing(_: int) -> bytes:
    """``receive_nowait`` of a stream that has none."""
    raise trio.WouldBlock


def _waits_on() -> None:
    """``interrupt`` of a stream that has none: its reader hears of it with the next byte."""


class Receiver:
    """Reads ``stream``. ``receive`` and ``conclude`` are ``Transport``'s; for the one task that receives, but for
    ``conclude`` and what the closing uses."""

    __slots__ = (
        "_arrived",
        "_end",
        "_inbox",
        "_interrupt",
        "_large",
        "_last_heard",
        "_rate_limit",
        "_readable",
        "_reader_left",
        "_reading",
        "_receive_nowait",
        "_sender",
        "_stream",
        "_tls",
        "_websocket",
        "upgrade",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        tls: TlsRecords,
        websocket: WebSocket,
        *,
        sender: Sender,
        end: ConnectionEnd,
        rate_limit: RateLimit,
        large: LargeMessageArrival,
    ) -> None:
        self._stream = stream
        self._receive_nowait: Callable[[int], bytes] = getattr(stream, "receive_nowait", _has_nothing)
        self._interrupt: Callable[[], None] = getattr(stream, "interrupt", _waits_on)
        self._readable: Callable[[], Awaitable[None]] | None = getattr(stream, "arrived", None)
        self._tls = tls
        self._websocket = websocket
        self._sender = sender
        self._end = end
        self._rate_limit = rate_limit
        self._large = large
        self._last_heard = trio.current_time()
        # Bounded by one read: nothing is read while messages wait here, and READ_BYTES hold so many frames. Not a
        # deque: it is nearly always empty, and an empty deque takes 760 bytes.
        self._inbox: list[bytes] = []
        self.upgrade: UpgradeRequested | UpgradeRefused | None = None
        """The upgrade request, once it has been read."""
        self._arrived: int | None = None  # once concluded: bytes of before that there may still be
        self._reading = False
        self._reader_left: trio.Event | None = None  # how a close waits for its turn to read

    # Transport.

    @property
    def last_heard(self) -> float:
        """As ``Transport.last_heard``."""
        # A peer that waits to be read is not silent.
        waits = self._inbox or self._rate_limit.charged.next_read_at or self._large.waits
        return trio.current_time() if waits else self._last_heard

    async def receive(self) -> bytes:
        """As ``Transport.receive``."""
        large, end, rate_limit, inbox = self._large, self._end, self._rate_limit, self._inbox
        websocket, outgoing = self._websocket, self._tls.outgoing
        if large.given_out:  # the caller asks for more, so it is done with it
            large.given_out = False
            large.leave()
        if inbox:
            await trio.lowlevel.checkpoint()  # a burst of messages must not starve the other sessions
        while not inbox:
            if rate_limit.charged.next_read_at and end.reached is None:
                await rate_limit.until_next_read()
            if end.reached is not None:
                end.raise_reached()
            if websocket.writes or outgoing.pending:
                await self._sender.answer()
            if end.reached is None:
                if self._arrived is not None:
                    await self._read_arrived()
                elif websocket.arriving > LARGE_BYTES:
                    await self._read_large()
                elif self._readable is None:
                    await self.read()
                else:
                    self._reading = True
                    try:
                        await self._readable()
                        data = self._receive_nowait(READ_BYTES)
                    except trio.WouldBlock:
                        continue  # what made it readable is gone (a bad checksum), or it was concluded
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        end.broken = True
                        data = b""
                    finally:
                        self._reading = False
                        if self._reader_left is not None:
                            self._reader_left.set()
                    if data:
                        self.pump(data)
                    else:
                        self._is_read(data)
                if websocket.writes or outgoing.pending:
                    await self._sender.answer()
        if rate_limit.charged.next_message_at:
            if end.reached is None:
                await rate_limit.until_next_message()
            if end.reached is not None and rate_limit.charged.next_message_at > trio.current_time():
                # A peer that closes behind each burst, and comes back, would never have to wait. It has no answer to
                # these, so it keeps them.
                inbox.clear()
            if not inbox:  # or aclose() has cleared it meanwhile
                end.raise_reached()
        data = inbox.pop(0)
        rate_limit.message(self._last_heard, len(data))
        if len(data) > LARGE_BYTES:
            large.given_out = True
        return data

    def conclude(self) -> None:
        """As ``Transport.conclude``."""
        if self._arrived is None:
            self._arrived = ARRIVED_BYTES
            if self._large.waits:  # for more of a message than has arrived
                self._large.leave()
            if self._reading and self._end.reached is None:
                self._interrupt()

    async def _read_arrived(self) -> None:
        """Read once without waiting for it. Raises Concluded if there is nothing, or what there is may be of later."""
        assert self._arrived is not None
        await trio.lowlevel.checkpoint()
        if self._end.reached is not None:
            return
        if self._arrived <= 0 or (self._websocket.arriving > LARGE_BYTES and not self._large.held):
            raise Concluded
        try:
            data = self._receive_nowait(READ_BYTES)
        except trio.WouldBlock:
            raise Concluded from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end.broken = True
            data = b""
        self._arrived -= len(data)
        self._is_read(data)

    async def _read_large(self) -> None:
        """Read on in a large message, once it is its turn."""
        large = self._large
        if not large.held:
            if not await large.take():
                return
            self._last_heard = trio.current_time()
            self._rate_limit.resumed()
        if await large.cut_short(self.read):
            self.take_in(self._websocket.violated(POLICY_VIOLATION, "message too slow"))

    # Once.

    async def receive_some(self) -> bytes:
        """Read ciphertext; b"" for any end. Cancelling loses nothing."""
        self._reading = True
        try:
            return bytes(await self._stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end.broken = True
            return b""
        finally:
            self._reading = False
            if self._reader_left is not None:
                self._reader_left.set()

    async def read(self) -> None:
        """Read once and take in what it means. No await comes between the socket read and the inbox."""
        try:
            data = await self.receive_some()
        except trio.WouldBlock:
            return  # concluded
        self._is_read(data)

    def _is_read(self, data: bytes) -> None:
        """Take in what was read; b"" is the end."""
        if data:
            self.pump(data)
        else:
            self.take_in(self._websocket.receive_eof())
            self._end.reach(End(ABNORMAL_CLOSURE, "closed_by_peer", "network"))

    def pump(self, data: bytes = b"") -> None:
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
                messages = self.take_in(events)
            if self._rate_limit.read(now, messages, len(events) - messages, arriving):
                self.take_in(self._websocket.violated(POLICY_VIOLATION, "message too slow"))
        if self._tls.failure is not None:
            self._end.reach(End(ABNORMAL_CLOSURE, f"TLS: {self._tls.failure}", "network"))
        elif self._tls.ended:
            self.take_in(self._websocket.receive_eof())
            self._end.reach(End(ABNORMAL_CLOSURE, "closed_by_peer", "network"))

    def take_in(self, events: list[Event]) -> int:
        """Act on events; how many of them were messages."""
        before = len(self._inbox)
        for event in events:
            if isinstance(event, Message):
                self._inbox.append(event.data)
            elif isinstance(event, Closed):
                self._end.reach(End(event.code, event.reason, event.initiator, event.too_large))
            elif isinstance(event, (UpgradeRequested, UpgradeRefused)):
                self.upgrade = event
        return len(self._inbox) - before

    # While it is closed.

    def drop(self) -> None:
        """Give out no message any more: no answer is possible, and the charger keeps what was not confirmed."""
        self._inbox.clear()

    async def read_for_close(self) -> None:
        """Read once, so that our Close is read before the socket goes. The caller bounds the time."""
        if self._reading:  # the session's reader is in receive(), which reads once more and then raises
            self._reader_left = trio.Event()
            await self._reader_left.wait()
        else:
            await self.read()

    async def linger(self) -> None:
        """Read and throw away what still comes, for as long and as much as the bounds allow."""
        read = 0
        with trio.move_on_after(LINGER_SECONDS):
            while not self._end.broken and not self._reading and read < LINGER_BYTES:
                data = await self.receive_some()
                if not data:
                    return
                read += len(data)

"""The server side of one WebSocket connection (RFC 6455), sans-I/O. The only module that imports ``websockets``.

``websockets.server.ServerProtocol`` does the frames. What it leaves open is closed here: reassembly, UTF-8, bounds on
fragments and on the head, binary messages, repeated Authorization, early frames, malformed HTTP. permessage-deflate is
never negotiated (J §5.1 recommends none), so a reserved bit is a protocol error (A3.16).
"""

import logging
from collections.abc import Sequence
from typing import Final

from websockets.exceptions import HeaderLineTooLong, InvalidHandshake, RequestLineTooLong, TooManyHeaders
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the library's compiled part
    from websockets.utils import apply_mask

from gateway.framing.events import (
    Closed,
    Event,
    FragmentSeen,
    Message,
    PingSeen,
    PongSeen,
    UpgradeRefused,
    UpgradeRequested,
)
from gateway.framing.head import HeadBuffer, offered_subprotocols
from gateway.framing.http_answers import EXTRA_HEADERS, REFUSAL_REASONS, http_error, switching_protocols
from gateway.framing.plain import Boundary, plain_text, plain_texts, text_frame
from gateway.framing.reassembly import TOO_BIG, Reassembly, Violation

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Default limit of one text message. Most stay below 200 KiB (GetConfiguration); a StopTransaction with ten hours of
samples every ten seconds has more than a megabyte."""

MAX_HANDSHAKE_BYTES = 16 * 1024
"""Default limit of the HTTP head. A charger's is below 1 KiB; proxies may add a few."""

_CONTROL_FRAME_BYTES = 125
_REASON_BYTES = 123  # a Close frame's payload is at most 125 bytes, two of them the code
_LARGEST = 2**63 - 1  # the largest size that is reported: a frame may announce twice as much
_PROTOCOL_ERROR = 1002
_UNSUPPORTED_DATA = 1003
_NO_STATUS_RECEIVED = 1005
_ABNORMAL_CLOSURE = 1006

_OPEN: Final = State.OPEN

_FRAGMENT_SEEN, _PING_SEEN, _PONG_SEEN = FragmentSeen(), PingSeen(), PongSeen()

# At DEBUG the library logs every header, Authorization included, and every payload (A7.9).
for _name in ("websockets", "websockets.server", "websockets.client"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class _NeverDebug(logging.LoggerAdapter[logging.Logger]):
    """Stays above INFO even where an operator's logging configuration turns the library's loggers to DEBUG."""

    def isEnabledFor(self, level: int) -> bool:
        return level > logging.INFO and super().isEnabledFor(level)


_LOGGER = _NeverDebug(logging.getLogger("websockets.server"), {})


class _Frames(Protocol):
    """Frames after the upgrade. A ``ServerProtocol`` that goes on keeps the whole request as long as the connection."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:  # may come between fragments (RFC 6455 §5.4); the library would answer 1002
            self.current_size = None
        super().recv_frame(frame)


class WebSocket:
    """One connection, from the first byte of HTTP to the Close.

    Feed what arrives to ``receive``, then send what ``data_to_send`` returns; do the latter also after each
    ``accept``, ``reject`` and ``send_*``. Once ``finished`` is true and all is sent, close the connection, and call
    ``release``.
    """

    def __init__(
        self, *, max_message_bytes: int = MAX_MESSAGE_BYTES, max_handshake_bytes: int = MAX_HANDSHAKE_BYTES
    ) -> None:
        self._opening: ServerProtocol | None = ServerProtocol(logger=_LOGGER)
        self._protocol: Protocol = self._opening
        self._head: HeadBuffer | None = HeadBuffer(max_handshake_bytes)
        self._response: str | None = None  # Sec-WebSocket-Accept of the request that waits for its answer
        self._offered: tuple[str, ...] = ()
        self._reassembly = Reassembly(max_message_bytes)
        self._boundary = Boundary()
        self._closed: Closed | None = None
        self._reported = False
        self._finished = False
        self._released = False
        self.arriving = 0
        """Bytes of the message that has begun and is not complete, as far as they have come or are announced. (As the
        next two, a plain attribute: asked for with each read.)"""
        self.incomplete = False
        """True while some, but not all fragments of a message have come."""
        self.between = False
        """True within a frame, and between the fragments of a message."""
        self.writes: list[bytes] = self._protocol.writes
        """What waits to be sent, for asking whether there is any; ``data_to_send`` takes it."""

    # What arrives.

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes of any length from the peer; return what they meant. Nothing counts after ``finished``."""
        if self._finished or self._released or not data:
            return []
        if self._head is not None:
            return self._receive_head(self._head, data)
        if not self.between and self._protocol.state is _OPEN:
            text = plain_text(data, apply_mask)
            if text is not None:
                if text.isascii() and len(text) <= self._reassembly.limit:
                    return [Message(text)]  # nearly all of them
                return [self._message(self._reassembly.add(text, True))]
            texts = plain_texts(data, apply_mask)
            if texts is not None and all(map(self._leaves_no_question, texts)):
                return [Message(text) for text in texts]
        misspelled = self._boundary.follow(data)
        if misspelled is not None:
            return self._receive_misspelled(data[: max(0, misspelled)])
        self._protocol.receive_data(data)
        events = self._frame_events()
        self.incomplete = self._reassembly.begun
        self.arriving = self._reassembly.size + self._boundary.arriving
        self.between = self.incomplete or not self._boundary.reached
        return events

    def _receive_misspelled(self, data: bytes) -> list[Event]:
        """Receive bytes before a head with a misspelled length, and end. The library takes any."""
        events = []
        if data:
            self._protocol.receive_data(data)
            events = self._frame_events()
        if not self._finished:
            events.append(self._fail(Violation(_PROTOCOL_ERROR, "length not in its shortest form")))
        return events

    def receive_eof(self) -> list[Event]:
        """The peer's stream ended. Without a Close before it, that is an abnormal closure (1006)."""
        if self._released or self._finished:
            return []
        if self._head is not None:
            self._finished = True
            return [UpgradeRefused(None, "closed_by_peer")]
        self._closed = self._closed or Closed(_ABNORMAL_CLOSURE, "", "network")
        self._protocol.receive_eof()
        return self._frame_events()

    # The upgrade.

    def accept(self, subprotocol: str | None) -> list[Event]:
        """Answer 101, echoing ``subprotocol`` if there is one; return what the client sent too early.

        Raises ValueError for a subprotocol that was not offered: echoing it would break the client (X1).
        """
        if subprotocol is not None and subprotocol not in self._offered:
            raise ValueError(f"subprotocol {subprotocol!r} was not offered")
        accept, head = self._take_response()
        self._open(switching_protocols(accept, subprotocol))
        early = bytes(head.data)
        return self.receive(early) if early else []

    def reject(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Answer the waiting request with an HTTP error and a short plain text."""
        self._take_response()
        self._protocol.writes.append(http_error(status, text, headers))
        self._finished = True

    # What is sent. Each does nothing once the closing handshake has begun on our side.

    def send_text(self, data: bytes) -> None:
        if self.open:
            self._protocol.writes.append(text_frame(data))

    def text_to_send(self, data: bytes) -> bytes:
        """As ``send_text`` and ``data_to_send``: all that is to be sent now, this message included."""
        writes = self._protocol.writes
        if writes or self._released or self._protocol.state is not _OPEN:
            self.send_text(data)
            return self.data_to_send()
        return text_frame(data)

    def send_ping(self, payload: bytes = b"") -> None:
        if self.open:
            self._protocol.send_ping(payload)

    def send_close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake. Messages that arrive from now on are dropped: they could not be answered.

        ``reason`` is cut to 123 bytes. Raises ValueError for a code that may not be sent (RFC 6455 §7.4).
        """
        if not (1000 <= code < 5000) or code in (1004, 1005, 1006, 1015):
            raise ValueError(f"close code {code} may not be sent")
        if self.open:
            cut = reason.encode()[:_REASON_BYTES].decode(errors="ignore")
            self._protocol.send_close(code, cut)
            self._closed = Closed(code, cut, "local")

    def violated(self, code: int, reason: str) -> list[Event]:
        """The peer broke a rule that the caller keeps: close as for a rule of this class's own."""
        return [] if self._finished or self._head is not None else [self._fail(Violation(code, reason))]

    def data_to_send(self) -> bytes:
        """Take the bytes that wait to be sent."""
        writes = self._protocol.writes  # data_to_send() would allocate a list on each call of the hot path
        if not writes:
            return b""
        data = writes[0] if len(writes) == 1 else b"".join(writes)
        writes.clear()
        return data

    @property
    def unsent(self) -> int:
        """Number of bytes that ``data_to_send`` would return."""
        return sum(map(len, self.writes))

    @property
    def undecided(self) -> bool:
        """True while a request waits for ``accept`` or ``reject``."""
        return self._response is not None

    @property
    def open(self) -> bool:
        """True between the 101 and the first Close of either side."""
        return not self._released and self._protocol.state is State.OPEN

    @property
    def closing(self) -> bool:
        """True while our Close waits for the peer's."""
        return not self._finished and self._protocol.state is State.CLOSING

    @property
    def finished(self) -> bool:
        """True once nothing further will be read: refused, closed by both sides, failed, or at EOF."""
        return self._finished

    def release(self) -> None:
        """Let go of the parser. Its generator and its exceptions refer back to it: without this, each closed
        connection would be a reference cycle for the collector."""
        self._released = self._finished = True
        protocol = self._protocol
        protocol.parser.close()
        protocol.parser_exc = protocol.handshake_exc = None
        protocol.writes.clear()
        protocol.events.clear()
        self._head = self._response = self._opening = None

    # Internals.

    def _open(self, response: bytes) -> None:
        opening, self._opening = self._opening, None
        assert opening is not None
        opening.parser.close()
        # The library checks the announced size of a frame before it reads it, against what is left of its limit.
        # The slack keeps that check from refusing a Ping between fragments; the exact limit is Reassembly's.
        limit = self._reassembly.limit + _CONTROL_FRAME_BYTES
        self._protocol = _Frames(Side.SERVER, max_size=limit, logger=_LOGGER)
        self.writes = self._protocol.writes
        self.writes.append(response)
        self._offered = ()

    def _receive_head(self, head: HeadBuffer, data: bytes) -> list[Event]:
        if self._response is not None:  # the request waits for its answer; these are frames sent too early
            head.data += data
            if not head.too_long:
                return []
            self._take_response()
            return self._refused(400, "data_before_upgrade")
        length = head.feed(data)
        if head.hopeless:
            return self._refused(400 if head.looks_like_http else None, "malformed_request")
        if length is None and not head.too_long:
            return []
        if length is None or length > head.limit:
            return self._refused(431 if head.looks_like_http else None, "head_too_long")
        self._protocol.receive_data(bytes(head.data[:length]))
        del head.data[:length]
        return self._request_events(self._protocol.events_received())

    def _request_events(self, requests: Sequence[object]) -> list[Event]:
        if not requests:  # the library found the head malformed; what it would send is an EOF or its own text
            self._protocol.writes.clear()
            if isinstance(self._protocol.handshake_exc, (RequestLineTooLong, HeaderLineTooLong, TooManyHeaders)):
                return self._refused(431, "head_too_long")
            return self._refused(400, "malformed_request")
        request = requests[0]
        assert isinstance(request, Request)
        if len(request.headers.get_all("Authorization")) > 1:
            return self._refused(400, "several_authorization_headers")
        if len(request.headers.get_all("Host")) > 1:  # RFC 9112 §3.2
            return self._refused(400, "several_host_headers")
        headers = tuple(request.headers.raw_items())
        self._offered = offered_subprotocols(request.headers.get_all("Sec-WebSocket-Protocol"))
        # The library's own parsing of these lines refuses odd spacing and knows only the server's preference.
        if "Sec-WebSocket-Protocol" in request.headers:
            del request.headers["Sec-WebSocket-Protocol"]
        assert self._opening is not None
        try:
            self._response, _, _ = self._opening.process_request(request)
        except InvalidHandshake:
            pass  # asked again below, outside of this block: its exception would hold this one, and the request both
        if self._response is None:
            status = self._opening.accept(request).status_code
            if self._opening.handshake_exc is not None:
                # Its frames hold the request, and the request holds it: with them it would stay for the collector.
                self._opening.handshake_exc.__traceback__ = None
                self._opening.handshake_exc = None
            return self._refused(status, REFUSAL_REASONS.get(status, "malformed_upgrade"))
        return [UpgradeRequested(request.path, headers, self._offered)]

    def _take_response(self) -> tuple[str, HeadBuffer]:
        if self._response is None or self._head is None:
            raise RuntimeError("no upgrade request waits for an answer")
        taken = self._response, self._head
        self._response = self._head = None
        return taken

    def _refused(self, status: int | None, reason: str) -> list[Event]:
        if status is not None:
            self._protocol.writes.append(http_error(status, reason.replace("_", " "), EXTRA_HEADERS.get(status, ())))
        self._head = None
        self._finished = True
        return [UpgradeRefused(status, reason)]

    def _frame_events(self) -> list[Event]:
        events: list[Event] = []
        for frame in self._protocol.events_received():
            assert isinstance(frame, Frame)  # requests are taken in _receive_head
            event = self._frame_event(frame)
            if event is not None:
                events.append(event)
            if self._finished:
                break
        if self._protocol.eof_sent and not self._reported:
            events.append(self._end())
        return events

    def _frame_event(self, frame: Frame) -> Event | None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.CONT:
            if self._closed is not None:
                return _FRAGMENT_SEEN  # dropped, but still a sign of life
            return self._message(self._reassembly.add(bytes(frame.data), frame.fin))
        if opcode is Opcode.PING:
            return _PING_SEEN
        if opcode is Opcode.PONG:
            return _PONG_SEEN
        if opcode is Opcode.BINARY:
            # OCPP-J is text. One policy for the odd stack that sends binary JSON: close (A3.15).
            return self._fail(Violation(_UNSUPPORTED_DATA, "binary messages are not accepted"))
        return None  # a Close; _end() reports it, after whatever came before it

    def _leaves_no_question(self, text: bytes) -> bool:
        """Return true if a payload is a message without a further look."""
        return text.isascii() and len(text) <= self._reassembly.limit

    def _message(self, whole: bytes | Violation | None) -> Event:
        if isinstance(whole, bytes):
            return Message(whole)
        return self._fail(whole) if whole is not None else _FRAGMENT_SEEN

    def _fail(self, violation: Violation) -> Event:
        self._closed = self._closed or Closed(violation.code, violation.reason, "local", violation.size)
        if not self._protocol.eof_sent:
            self._protocol.fail(violation.code, violation.reason)
        return self._end()

    def _end(self) -> Closed:
        self._reported = self._finished = True
        if self._closed is not None:
            return self._closed
        received, sent = self._protocol.close_rcvd, self._protocol.close_sent
        if received is not None:
            self._closed = Closed(int(received.code), received.reason, "peer")
        elif sent is not None:
            code = int(sent.code)
            size = self._reassembly.size + self._boundary.announced if code == TOO_BIG else 0
            self._closed = Closed(code, sent.reason, "local", min(size, _LARGEST))
        else:
            self._closed = Closed(_ABNORMAL_CLOSURE, "", "network")
        return self._closed

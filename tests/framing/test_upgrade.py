"""The HTTP side: which requests become an upgrade, and how the others are answered."""

from __future__ import annotations

import itertools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.framing.events import Message, UpgradeRefused, UpgradeRequested
from gateway.framing.websocket import WebSocket
from tests.support.frames import TEXT, frame, head, request_of


def refusal(data: bytes, **limits: int) -> tuple[UpgradeRefused, bytes]:
    websocket = WebSocket(**limits)
    [event] = websocket.receive(data)
    assert isinstance(event, UpgradeRefused)
    assert websocket.finished
    return event, websocket.data_to_send()


def test_an_upgrade_request_is_reported_and_answered_with_101() -> None:
    """RFC 6455 §1.3's own vector; nothing is echoed that was not chosen."""
    websocket = WebSocket()
    request = request_of(websocket.receive(head("/ocpp/RDAM%20123?x=1")))
    assert request.target == "/ocpp/RDAM%20123?x=1"
    assert ("Host", "gateway.test") in request.headers
    assert request.offered == ()
    assert websocket.accept(None) == []
    answer = websocket.data_to_send()
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert b"Sec-WebSocket-Protocol" not in answer
    assert websocket.open


def test_the_chosen_subprotocol_is_echoed_exactly() -> None:
    """A2.1, A2.2."""
    websocket = WebSocket()
    request = request_of(websocket.receive(head("/ocpp/CP1", ("Sec-WebSocket-Protocol", "ocpp0.1,ocpp1.6"))))
    assert request.offered == ("ocpp0.1", "ocpp1.6")
    websocket.accept("ocpp1.6")
    assert b"\r\nSec-WebSocket-Protocol: ocpp1.6\r\n" in websocket.data_to_send()


def test_a_subprotocol_that_was_not_offered_is_never_echoed() -> None:
    """X1."""
    websocket = WebSocket()
    websocket.receive(head("/ocpp/CP1", ("Sec-WebSocket-Protocol", "ocpp2.0.1")))
    with pytest.raises(ValueError, match="was not offered"):
        websocket.accept("ocpp1.6")


@pytest.mark.parametrize(
    "lines",
    [
        ["ocpp2.0.1", "ocpp1.6"],
        ["ocpp2.0.1,ocpp1.6,,"],
        [" ocpp2.0.1 ,\tocpp1.6", ""],
        [",ocpp2.0.1", " , ", "ocpp1.6"],
    ],
)
def test_several_lines_odd_spacing_and_empty_elements_are_one_list(lines: list[str]) -> None:
    """A2.6, in the client's order (A2.4)."""
    more = [("Sec-WebSocket-Protocol", line) for line in lines]
    assert request_of(WebSocket().receive(head("/ocpp/CP1", *more))).offered == ("ocpp2.0.1", "ocpp1.6")


def test_compression_is_offered_in_vain() -> None:
    """A6.13: no extension is ever negotiated."""
    websocket = WebSocket()
    websocket.receive(head("/ocpp/CP1", ("Sec-WebSocket-Extensions", "permessage-deflate")))
    websocket.accept(None)
    assert b"Sec-WebSocket-Extensions" not in websocket.data_to_send()


def test_frames_that_come_before_the_answer_are_kept_for_after_it() -> None:
    """A hasty client's first message is neither lost nor answered ahead of the 101."""
    websocket = WebSocket()
    data = head() + frame(0x9, b"hi") + frame(TEXT, b"[2]")
    request_of(websocket.receive(data[:-3]))
    assert websocket.receive(data[-3:]) == []
    assert websocket.data_to_send() == b""
    events = websocket.accept(None)
    assert Message(b"[2]") in events
    assert websocket.data_to_send().startswith(b"HTTP/1.1 101 ")


def test_frames_before_the_answer_are_bounded() -> None:
    """No peer fills memory while admission decides."""
    websocket = WebSocket(max_handshake_bytes=1024)
    websocket.receive(head())
    assert websocket.receive(b"\x00" * 2000) == [UpgradeRefused(400, "data_before_upgrade")]


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (head(without="Upgrade"), 426, "not_an_upgrade"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426, "not_an_upgrade"),
        (head(without="Sec-WebSocket-Key"), 400, "malformed_upgrade"),
        (head(without="Sec-WebSocket-Version"), 400, "malformed_upgrade"),
        (head(method="POST"), 405, "method_not_allowed"),
        (head(version="HTTP/1.0"), 505, "http_version"),
        (head("/ocpp/Stra\xdfe"), 400, "malformed_request"),
        (head().replace(b"\r\n", b"\n"), 400, "malformed_request"),
        (head("/a b"), 400, "malformed_request"),
        (head("/ocpp/CP1", ("Bad Name", "x")), 400, "malformed_request"),
        (head("/ocpp/CP1", ("Content-Length", "5")), 400, "malformed_request"),
        (head("/ocpp/CP1", ("Transfer-Encoding", "chunked")), 400, "malformed_request"),
        (
            head("/ocpp/CP1", ("Authorization", "Basic YTpi"), ("authorization", "Basic YTpj")),
            400,
            "several_authorization_headers",
        ),
        (head("/ocpp/CP1", ("Host", "gateway.test")), 400, "several_host_headers"),
        (head("/ocpp/CP1", ("host", "elsewhere.test")), 400, "several_host_headers"),
        (head("/ocpp/CP1", ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")), 400, "malformed_upgrade"),
        (head("/ocpp/CP1", ("Sec-WebSocket-Version", "8")), 400, "malformed_upgrade"),
        (head("/" + "x" * 9000), 431, "head_too_long"),
        (head("/ocpp/CP1", *[("X", "y")] * 200), 431, "head_too_long"),
        (head("/ocpp/CP1", *[("X", "y" * 4000)] * 5), 431, "head_too_long"),
        (b"GET /" + b"x" * 17_000, 431, "head_too_long"),
    ],
)
def test_a_bad_request_gets_its_status_and_a_short_text(data: bytes, status: int, reason: str) -> None:
    """A1.8, A7.5: quiet 4xx, and nothing of the request comes back."""
    event, answer = refusal(data)
    assert event == UpgradeRefused(status, reason)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"close\r\n" in answer
    assert len(answer) < 300


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"\x00" * 10, b"hello\r\n", b"SSH-2.0-x\r\n", b"X" * 17_000])
def test_what_is_not_http_is_not_answered(data: bytes) -> None:
    """A1.8: quiet close, as soon as it is certain."""
    event, answer = refusal(data)
    assert event.status is None
    assert answer == b""


def test_the_end_of_the_stream_before_a_request_is_reported() -> None:
    """Quirk 5: a charger that connects and closes after zero bytes."""
    websocket = WebSocket()
    assert websocket.receive_eof() == [UpgradeRefused(None, "closed_by_peer")]
    assert websocket.receive_eof() == []


def test_a_rejection_carries_status_headers_and_text() -> None:
    """The 401's challenge and the 503's Retry-After are the caller's."""
    websocket = WebSocket()
    websocket.receive(head())
    websocket.reject(401, "credentials required", (("WWW-Authenticate", 'Basic realm="ocpp"'),))
    answer = websocket.data_to_send()
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b'\r\nWWW-Authenticate: Basic realm="ocpp"\r\n' in answer
    assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in answer
    assert answer.endswith(b"\r\n\r\ncredentials required\n")
    assert websocket.finished
    assert not websocket.open


def test_a_response_header_cannot_be_split() -> None:
    """A line break in a value is a bug of the caller, and never reaches the wire."""
    websocket = WebSocket()
    websocket.receive(head())
    with pytest.raises(ValueError, match="X-Y"):
        websocket.reject(401, "no", (("X-Y", "a\r\nSet-Cookie: b"),))


def test_a_second_answer_is_a_bug() -> None:
    """One request, one answer."""
    websocket = WebSocket()
    websocket.receive(head())
    websocket.accept(None)
    with pytest.raises(RuntimeError):
        websocket.reject(400, "no")


def test_authorization_reaches_no_log_even_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """A7.9: not with the root at DEBUG, not with the library's own logger at DEBUG, not in a repr."""
    caplog.set_level(logging.DEBUG)
    library = logging.getLogger("websockets.server")
    level = library.level
    assert level > logging.DEBUG
    library.setLevel(logging.DEBUG)
    try:
        websocket = WebSocket()
        [event] = websocket.receive(head("/ocpp/CP1", ("Authorization", "Basic c2VjcmV0")) + frame(TEXT, b"{}"))
        logging.getLogger("test").debug("event %r", event)
        websocket.accept(None)
        websocket.data_to_send()
    finally:
        library.setLevel(level)
    assert "Authorization" in caplog.text  # the header's name, in the repr
    assert "c2VjcmV0" not in caplog.text


@given(st.lists(st.integers(0, 400), max_size=6))
def test_the_request_means_the_same_however_it_is_cut(cuts: list[int]) -> None:
    """TCP promises bytes, not packets."""
    data = head("/ocpp/CP1", ("Sec-WebSocket-Protocol", "ocpp1.6")) + frame(TEXT, b"[3]")
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    websocket = WebSocket()
    events = []
    for start, end in itertools.pairwise(bounds):
        events += websocket.receive(data[start:end])
    assert request_of(events).offered == ("ocpp1.6",)
    assert websocket.accept("ocpp1.6") == [Message(b"[3]")]


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=40).map(lambda junk: head()[:60] + junk + b"\r\n\r\n")))
def test_any_bytes_are_refused_or_wait_and_never_raise(data: bytes) -> None:
    """Garbage on the port is an everyday event."""
    websocket = WebSocket()
    for event in [*websocket.receive(data), *websocket.receive_eof()]:
        assert isinstance(event, UpgradeRefused | UpgradeRequested)
    websocket.release()

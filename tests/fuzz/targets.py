"""Targets that fuzzing calls with arbitrary bytes: each drives a parser and holds it to its promise.

A target returns for whatever it was given, or raises AssertionError or the bug itself. It knows nothing of the fuzzer:
``python -m tests.fuzz`` finds inputs, and those that once were bugs are run by ``test_corpus`` ever after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.domain import codec
from gateway.domain import commands as c
from gateway.domain import security_commands as s
from gateway.domain.certificates import read_request
from gateway.domain.decision import Authorization, CallRefused, Context, Decision, Facts, SigningQuery
from gateway.domain.identity import MAX_CHARACTERS
from gateway.domain.signing import SigningVerdict
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.values import Registration
from gateway.framing.events import Closed, Event, Message, UpgradeRefused, UpgradeRequested
from gateway.framing.reassembly import MAX_FRAGMENTS
from gateway.framing.websocket import WebSocket
from gateway.ocpp import rpc
from gateway.ocpp.v16.profiles.routing import protocol
from gateway.ocpp.v16.schemas import REPLIES
from gateway.transport.api import Peer, Rejection, UpgradeRequest
from gateway.transport.authentication import Claim, claim, select_subprotocol

HEAD = (
    b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PEER = Peer("192.0.2.1", 40000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIMIT = 2048


# --- framing --------------------------------------------------------------------------------------------------


def framing(data: bytes) -> None:
    """Frames after an upgrade: the first byte says how they are cut; however they are cut, they mean the same."""
    if not data:
        return
    whole = _read(data[1:], len(data))
    cut = _read(data[1:], 1 + data[0] % 37)
    assert whole == cut, f"{whole} in one piece, {cut} in pieces"


def _read(data: bytes, size: int) -> tuple[list[bytes], Closed]:
    websocket = WebSocket(max_message_bytes=LIMIT)
    websocket.receive(HEAD)
    websocket.accept(None)
    websocket.data_to_send()
    events: list[Event] = []
    answered = 0
    for start in range(0, len(data), size):
        events += websocket.receive(data[start : start + size])
        answered += len(websocket.data_to_send())
    events += websocket.receive_eof()
    answered += len(websocket.data_to_send())
    assert answered <= len(data) + 200, "answers are no longer than what they answer"
    assert isinstance(events[-1], Closed)
    assert sum(isinstance(event, Closed) for event in events) == 1
    assert len(events) <= len(data) // 2 + 2
    messages = [event.data for event in events if isinstance(event, Message)]
    for message in messages:
        assert len(message) <= LIMIT
        message.decode("utf-8")
    websocket.release()
    assert websocket.receive(data) == websocket.receive_eof() == []
    assert MAX_FRAGMENTS > LIMIT  # else this limit would have to be reckoned with
    return messages, events[-1]


# --- the handshake --------------------------------------------------------------------------------------------


def handshake(data: bytes) -> None:
    """The HTTP head of an upgrade, and what it claims."""
    whole, cut = _upgrade(data, len(data) + 1), _upgrade(data, 1 + len(data) // 3)
    assert type(whole) is type(cut), f"{whole} in one piece, {cut} in pieces"


def _upgrade(data: bytes, size: int) -> object:
    websocket = WebSocket(max_handshake_bytes=2048)
    events: list[Event] = []
    for start in range(0, len(data), size):
        events += websocket.receive(data[start : start + size])
        if events:
            break
    if not events:
        [event] = websocket.receive_eof()
        assert event == UpgradeRefused(None, "closed_by_peer")
        return event
    [event] = events
    if isinstance(event, UpgradeRefused):
        answer = websocket.data_to_send()
        assert (answer == b"") == (event.status is None)
        assert event.status is None or 400 <= event.status < 600
        assert websocket.finished
        return event
    assert isinstance(event, UpgradeRequested)
    _claimed(event)
    chosen = select_subprotocol(event.offered, ["ocpp1.6"], assume=True)
    if isinstance(chosen, Rejection):
        websocket.reject(chosen.status, "no", chosen.headers)
    else:
        websocket.accept(chosen)
    assert websocket.data_to_send().startswith(b"HTTP/1.1 ")
    websocket.release()
    return event


def _claimed(event: UpgradeRequested) -> None:
    request = UpgradeRequest(event.target, event.headers, event.offered, PEER, "main")
    claimed = claim(request, "/ocpp/")
    if isinstance(claimed, Claim):
        identity = claimed.identity
        assert 0 < len(identity) <= MAX_CHARACTERS
        assert identity.isprintable()
        assert "/" not in identity
        assert claimed.username == identity.encode()
        assert isinstance(claimed.password, bytes)
    else:
        assert claimed.status in (400, 401, 404)


# --- messages -------------------------------------------------------------------------------------------------

PROTOCOL = protocol()
COMMANDS: tuple[c.Command, ...] = (
    c.GetConfiguration(()),
    c.DataTransfer("V", None, None),
    c.GetLocalListVersion(),
    c.ClearCache(),
    c.ChangeConfiguration("AuthorizationKey", "0123456789abcdef"),
    s.GetInstalledCertificateIds(s.CertificateUse.CENTRAL_SYSTEM_ROOT),
    s.GetLog(s.LogType.SECURITY, 1, "ftp://host/"),
)


def messages(data: bytes) -> None:
    """Messages of one charger, one a line: read, decided, stored, read back, answered within the schema."""
    state = ChargePointState("CP1", 1, Registration.ACCEPTED)
    sequence = 0
    for line in data.split(b"\n")[:20]:
        frame = rpc.parse(line)
        if isinstance(frame, rpc.Call):
            decision = _decide(state, frame)
            for event in decision.events if decision is not None else ():
                sequence += 1
                stored = codec.encode(event.body)
                assert codec.encode(codec.decode(event.body.TYPE, event.body.VERSION, stored)) == stored
                evolve(state, event, sequence)
        elif isinstance(frame, rpc.CallResult):
            for command in COMMANDS:
                answer = PROTOCOL.decode_answer(command, frame.payload).answer
                if not isinstance(answer, c.ChargerError):
                    codec.encode_answer(answer)
        elif isinstance(frame, rpc.CallError):
            for command in COMMANDS:
                error = PROTOCOL.decode_error(command, frame.code, frame.description, frame.details)
                codec.encode_error(error)
        elif isinstance(frame, rpc.Malformed) and frame.answerable:
            assert frame.message_id is not None
            errors = PROTOCOL.errors
            rpc.encode_call_error(frame.message_id, errors.unread if frame.unread else errors.malformed, frame.reason)


def _decide(state: ChargePointState, call: rpc.Call) -> Decision | None:
    request = PROTOCOL.decode_call(call.message_id, call.action, call.payload)
    if isinstance(request, CallRefused):
        if isinstance(call.payload, dict):
            assert not PROTOCOL.is_transaction_message(call.action)
        orjson.loads(rpc.encode_call_error(request.message_id, request.code, request.description))
        return None
    query = PROTOCOL.query(state, request)
    facts = Facts() if query is None else Facts(authorization=Authorization("Accepted"), number=7)
    if isinstance(query, SigningQuery):
        read = read_request(query.csr)
        facts = Facts(signing=SigningVerdict("sign_1", NOW, refused=read if isinstance(read, str) else ""))
    decision = PROTOCOL.decide(state, request, facts, Context(NOW, 300, 300, "tx_1"))
    reply: Any = orjson.loads(rpc.encode_call_result(call.message_id, decision.reply))
    REPLIES[call.action].validate(reply[2])
    return decision


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "framing": framing,
    "handshake": handshake,
    "messages": messages,
}

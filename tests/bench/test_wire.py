"""Frames of the load generator's chargers, against the gateway's own framing and message parsing."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import wire
from gateway.framing.events import Closed, Message, UpgradeRequested
from gateway.framing.websocket import WebSocket
from gateway.ocpp import rpc

NOW = b"2026-01-01T00:00:00.000Z"


def opened() -> WebSocket:
    """The gateway's end of a connection, upgraded by what the load generator asks."""
    server = WebSocket()
    (asked,) = server.receive(wire.upgrade_request("/ocpp", "CP1", b"key"))
    assert isinstance(asked, UpgradeRequested)
    assert asked.target == "/ocpp/CP1"
    assert asked.offered == ("ocpp1.6",)
    server.accept("ocpp1.6")
    return server


def server_frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


@pytest.mark.parametrize("action", list(wire.MESSAGES))
@pytest.mark.parametrize("transaction", [0, 7])
def test_every_message_is_a_call_that_the_gateway_reads(action: str, transaction: int) -> None:
    """Frame, text and eight-digit id are what the gateway's parsers take."""
    server = opened()
    (message,) = server.receive(wire.MESSAGES[action](wire.FIRST_ID, NOW, transaction, wire.FIRST_READING))
    assert isinstance(message, Message)
    call = rpc.parse(bytes(message.data))
    assert isinstance(call, rpc.Call)
    assert (call.action, call.message_id) == (action, str(wire.FIRST_ID))


def test_an_answer_has_its_id_where_it_is_looked_for() -> None:
    """The gateway writes what the usual case compares."""
    answer = rpc.encode_call_result(str(wire.FIRST_ID), {})
    assert answer[wire.ID] == str(wire.FIRST_ID).encode()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1023, 1024, 65535, 65536])
def test_text_of_any_length_arrives_whole(size: int) -> None:
    """All three forms of a frame's length, looked up or packed."""
    server = opened()
    (message,) = server.receive(wire.text_frame(b"x" * size))
    assert isinstance(message, Message)
    assert bytes(message.data) == b"x" * size


def test_a_close_reaches_the_gateway_with_its_code() -> None:
    """The code of the fleet's own Close."""
    server = opened()
    assert server.receive(wire.close_frame(1000)) == [Closed(1000, "", "peer")]


@given(
    st.lists(st.tuples(st.sampled_from([wire.TEXT, wire.PING, wire.CLOSE]), st.binary(max_size=300)), max_size=8),
    st.lists(st.integers(1, 200), min_size=1),
)
def test_frames_are_found_however_they_are_torn(said: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """Any chunking gives the same frames and leaves nothing behind."""
    data = b"".join(server_frame(opcode, payload) for opcode, payload in said)
    found: list[tuple[int, bytes]] = []
    rest, at, number = b"", 0, 0
    while at < len(data):
        size = cuts[number % len(cuts)]
        some, rest = wire.frames(rest + data[at : at + size])
        found += some
        at, number = at + size, number + 1
    assert found == said
    assert rest == b""


@given(st.binary(max_size=64))
def test_whatever_a_server_sends_is_frames_or_unexpected(data: bytes) -> None:
    """Never another error."""
    try:
        found, rest = wire.frames(data)
    except wire.Unexpected:
        return
    assert sum(len(payload) + 2 for _, payload in found) + len(rest) <= len(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x81\x85abcdhello", "masked frame"),
        (b"\x01\x02hi", "unexpected frame"),
        (b"\xc1\x02hi", "unexpected frame"),
        (b"\x82\x02hi", "unexpected frame"),
        (b"\x81\x7f\0\0\0\0\x10\0\0\0", "frame too large"),
    ],
)
def test_what_a_server_must_not_send_is_reported_by_name(data: bytes, reason: str) -> None:
    """A mask, a fragment, reserved bits, a binary message, too much."""
    with pytest.raises(wire.Unexpected, match=reason):
        wire.frames(data)


def test_an_http_answer_is_awaited_whole_and_what_follows_is_kept() -> None:
    """A frame may come with the head of the answer."""
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n" + server_frame(wire.TEXT, b"hi")
    for end in range(len(answer) - 5):
        assert wire.upgrade_answer(answer[:end]) is None
    assert wire.upgrade_answer(answer) == (101, b"\x81\x02hi")
    assert wire.upgrade_answer(b"HTTP/1.1 503 Service Unavailable\r\n\r\n") == (503, b"")
    with pytest.raises(wire.Unexpected, match="not HTTP"):
        wire.upgrade_answer(b"SSH-2.0\r\n\r\n")


@pytest.mark.parametrize(
    ("asked", "reply", "then"),
    [
        ([2, "a", "RemoteStartTransaction", {"idTag": "T"}], b'[3,"a",{"status":"Accepted"}]', None),
        ([2, "a", "UnlockConnector", {"connectorId": 1}], b'[3,"a",{"status":"Unlocked"}]', None),
        ([2, "a", "GetLocalListVersion", {}], b'[3,"a",{"listVersion":0}]', None),
        ([2, "a", "TriggerMessage", {"requestedMessage": "Heartbeat"}], b'[3,"a",{"status":"Accepted"}]', "Heartbeat"),
        (
            [2, "a", "TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}],
            b'[3,"a",{"status":"NotImplemented"}]',
            None,
        ),
    ],
)
def test_what_the_server_asks_is_confirmed_by_what_the_action_allows(
    asked: list[object], reply: bytes, then: str | None
) -> None:
    """The least valid confirmation, and a message after it where one was triggered."""
    answer = wire.Asked(asked)
    assert (answer.reply, answer.then) == (wire.text_frame(reply), then)


@pytest.mark.parametrize("text", [b"{", b"{}", b"[]", b"[2,1]", b'[2,"a","Reset"]', b'[9,"a",{}]', b"[3,4,{}]"])
def test_what_is_no_ocpp_message_is_unexpected(text: bytes) -> None:
    """A server that says it is cut off instead of crashing the load generator."""
    with pytest.raises(wire.Unexpected):
        wire.parse(text)


def test_a_schedule_spreads_its_members_evenly_and_forgets_none() -> None:
    """Each once a period, in turn; turns missed between two looks are still due from their own moment."""
    schedule = wire.Schedule(100.0, 10.0, 4)
    assert list(schedule.take(100.0)) == [(0, 100.0)]
    assert schedule.next_due == 102.5
    assert list(schedule.take(102.4)) == []
    assert list(schedule.take(111.0)) == [(1, 102.5), (2, 105.0), (3, 107.5), (0, 110.0)]


def test_schedules_of_several_processes_interleave() -> None:
    """The offset is a share of the distance between two messages."""
    first, second = wire.Schedule(0.0, 10.0, 2), wire.Schedule(0.0, 10.0, 2, offset=0.5)
    assert [due for _, due in first.take(9.0)] == [0.0, 5.0]
    assert [due for _, due in second.take(9.0)] == [2.5, 7.5]


@pytest.mark.parametrize(("period", "members"), [(0.0, 1), (1.0, 0)])
def test_a_schedule_without_period_or_members_is_refused(period: float, members: int) -> None:
    """It would never end."""
    with pytest.raises(ValueError, match="above 0"):
        wire.Schedule(0.0, period, members)

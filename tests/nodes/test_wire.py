"""Messages between nodes: what goes in comes out, and nothing else is taken."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cluster import wire
from gateway.domain.commands import (
    COMMANDS,
    FieldViolation,
    RefusalReason,
    Refused,
    Reset,
    ResetType,
    Unknown,
    UpdateFirmware,
)
from gateway.domain.fleet_summary import NO_POWER, PowerSum, Seen
from gateway.domain.operation_refusals import OperationRefusal, OperationRefused
from gateway.domain.operations import OperationKind, OperationRequest
from gateway.domain.security_commands import GetLog
from gateway.domain.values import ConnectorAddress
from tests.domain.values import strategy_of

REPLIES = [
    wire.Recorded(),
    wire.NotHere(),
    Refused(RefusalReason.QUEUE_FULL, "full", (FieldViolation("a", "b"),), {"limit": "3"}),
    OperationRefused(OperationRefusal.OPERATION_OPEN, "open", {"operation_id": "op_1"}),
    Unknown("r1", "deadline", "no answer"),
]


@pytest.mark.parametrize("cls", COMMANDS.values(), ids=COMMANDS)
@settings(max_examples=10)
@given(data=st.data())
def test_each_command_arrives_as_it_was_sent(cls: Any, data: Any) -> None:
    """Secrets included: the charger is to be sent them."""
    call = wire.Call("CP1", 3, "r1", 1.5, "app", data.draw(strategy_of(cls)))
    assert wire.decode_request(wire.encode_request(call)) == call


@given(own=st.none() | strategy_of(GetLog))
def test_an_operation_arrives_with_its_command(own: Any) -> None:
    """Which is not a part of what is stored of it."""
    request = OperationRequest(OperationKind.UPLOAD_LOG, ConnectorAddress(1, 1), own_command=own)
    asked = wire.Operate("CP1", 3, "r1", 1.5, "", request)
    arrived = wire.decode_request(wire.encode_request(asked))
    assert arrived == asked
    assert isinstance(arrived, wire.Operate)
    assert arrived.request.own_command == own


@given(own=strategy_of(UpdateFirmware))
def test_plain_firmware_arrives_at_a_node_that_knows_it(own: Any) -> None:
    """One of before, which reads ``operate`` alone, finds none: its answer is that it could not read the request."""
    request = OperationRequest(OperationKind.INSTALL_FIRMWARE, own_command=own)
    message = wire.encode_request(wire.Operate("CP1", 3, "r1", 1.5, "", request))
    arrived = wire.decode_request(message)
    assert isinstance(arrived, wire.Operate)
    assert arrived.request.own_command == own
    assert not {"operate", "call", "look"} & orjson.loads(message).keys()


@pytest.mark.parametrize("reply", REPLIES, ids=lambda each: type(each).__name__)
def test_each_reply_arrives_as_it_was_sent(reply: Any) -> None:
    assert wire.decode_reply(wire.encode_reply(reply)) == reply


COUNTS = st.integers(0, 2**31)
WATTS = st.floats(allow_nan=False, allow_infinity=False)
POWERS = st.builds(PowerSum, WATTS, COUNTS, WATTS, COUNTS, COUNTS) | st.just(NO_POWER)
SEEN = st.tuples(st.text(), st.builds(Seen, st.integers(1, 2**40), POWERS))


@given(st.lists(SEEN), st.booleans(), st.text())
def test_a_look_and_its_reply_arrive_as_they_were_sent(rows: Any, more: bool, after: str) -> None:
    """A reply that can't be read as one is refused, by the node's own words where it has any."""
    assert wire.decode_request(wire.encode_request(wire.Look(after))) == wire.Look(after)
    reply = wire.encode_seen(wire.Seen(tuple(rows), more))
    assert wire.decode_seen(reply) == wire.Seen(tuple(rows), more)
    with pytest.raises(wire.Unreadable, match="could not read the request: because"):
        wire.decode_seen(wire.encode_unreadable("because"))


def test_a_message_of_a_later_version_is_refused_with_the_reason() -> None:
    """And the refusal of a request is none of its replies."""
    later = orjson.dumps({"v": 2, "call": []})
    for read in (wire.decode_request, wire.decode_reply, wire.decode_seen):
        with pytest.raises(wire.Unreadable, match="another version"):
            read(later)
    with pytest.raises(wire.Unreadable, match="could not read the request: because"):
        wire.decode_reply(wire.encode_unreadable("because"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.just("Reset"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = """identity epoch request_id seconds caller call operate own recorded not_here refused operation_refused unknown
    look seen more"""
FIELDS = st.fixed_dictionaries({"v": st.just(1)}, optional=dict.fromkeys(NAMES.split(), JSON))


@given(FIELDS.map(orjson.dumps) | st.binary())
def test_anything_is_read_or_refused(data: Any) -> None:
    """By a value or by the documented error, never by another."""
    for read in (wire.decode_request, wire.decode_reply, wire.decode_seen):
        try:
            read(data)
        except wire.Unreadable:
            pass


@given(st.integers(0, 200))
def test_a_message_that_was_cut_is_refused(length: int) -> None:
    data = wire.encode_request(wire.Call("CP1", 3, "r1", 1.5, "app", Reset(ResetType.SOFT)))
    if length < len(data):
        with pytest.raises(wire.Unreadable):
            wire.decode_request(data[:length])

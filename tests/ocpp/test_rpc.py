"""OCPP-J frames: whatever arrives becomes one of five values, and what is sent is what J §4.2 says."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ocpp.rpc import (
    CALL,
    CALL_ERROR,
    CALL_RESULT,
    MAX_DEPTH,
    Call,
    CallError,
    CallResult,
    Ignored,
    Malformed,
    Unread,
    encode_call,
    encode_call_error,
    encode_call_result,
    parse,
)


def test_a_call_is_read_with_its_id_action_and_payload():
    """J §4.2.1."""
    assert parse(b'[2,"19223201","BootNotification",{"chargePointVendor":"V"}]') == Call(
        "19223201", "BootNotification", {"chargePointVendor": "V"}
    )


def test_whitespace_and_escapes_are_json_like_any_other():
    """A3.8."""
    assert parse(' [ 2 ,\n"a" ,\t"Heartbeat", { "\\u0061": "\\u00e9é" } ] '.encode()) == Call(
        "a", "Heartbeat", {"a": "éé"}
    )


@pytest.mark.parametrize("frame", [b'[2,"1","Heartbeat",null]', b'[3,"1",null]'])
def test_a_null_payload_is_an_empty_one(frame):
    """A3.6: allowed by J §4.2."""
    assert parse(frame).payload == {}


def test_a_payload_that_is_no_object_is_still_a_call():
    """Its refusal needs the CALL's id, so it is for the layer above."""
    assert parse(b'[2,"1","Heartbeat",[1]]') == Call("1", "Heartbeat", [1])


@pytest.mark.parametrize(
    "frame", [b"[1]", b'[5,"1","x",{}]', b'["2","1","Heartbeat",{}]', b"[null]", b"[2.0]", b"[true]"]
)
def test_an_unknown_message_type_is_ignored(frame):
    """A3.2, J §4.1.3: it must not kill the session."""
    assert isinstance(parse(frame), Ignored)


@pytest.mark.parametrize("frame", [b"", b"x", b"{}", b"[]", b"1", b"null", b'"2"', b"\xff\xfe", b'[2,"unfinished'])
def test_what_is_no_frame_is_malformed_and_not_answered(frame):
    """A3.9: nothing to correlate an answer with."""
    read = parse(frame)
    assert isinstance(read, Malformed)
    assert not read.answerable
    assert read.message_id is None


@pytest.mark.parametrize("length", [37, 255])
def test_an_id_that_is_too_long_is_answered_with_the_same_id(length):
    """A3.4: the specification's own example of a CALLERROR."""
    read = parse(orjson.dumps([2, "i" * length, "Heartbeat", {}]))
    assert isinstance(read, Malformed)
    assert (read.answerable, read.message_id, read.kind, read.unread) == (True, "i" * length, CALL, False)


@pytest.mark.parametrize("length", [37, 45, 255])
def test_a_call_that_has_to_be_recorded_is_taken_with_an_id_that_is_too_long(length):
    """A4.2 before A3.4: an error would make the charger repeat it for ever. Also where it is not read as a whole."""
    read = parse(orjson.dumps([2, "i" * length, "Bill", {}]), {"Bill"}.__contains__)
    assert read == Call("i" * length, "Bill", {})
    deep = b'[2,"' + b"i" * length + b'","Bill",' + b"[" * 40 + b"]" * 40 + b"]"
    unread = parse(deep, {"Bill"}.__contains__)
    assert isinstance(unread, Unread)
    assert (unread.message_id, unread.action) == ("i" * length, "Bill")


@pytest.mark.parametrize(
    "frame", [[2, "", "Bill", {}], [2, "i" * 256, "Bill", {}], [2, "i" * 45, 7, {}], [2, "i" * 45]]
)
def test_an_id_that_can_not_be_answered_by_is_none(frame):
    """Empty, too long to be sent back, or of a frame that names no action."""
    assert isinstance(parse(orjson.dumps(frame), {"Bill"}.__contains__), Malformed)


def test_an_id_of_absurd_length_is_not_sent_back():
    """The length of a reflected id is bounded (A4.3)."""
    read = parse(orjson.dumps([2, "i" * 256, "Heartbeat", {}]))
    assert isinstance(read, Malformed)
    assert not read.answerable
    assert read.message_id is None


@pytest.mark.parametrize("frame", [b'[2,"1"]', b'[2,"1","Heartbeat"]', b'[2,"1","Heartbeat",{},1]', b'[2,"1",7,{}]'])
def test_a_misshapen_call_is_answered(frame):
    """The id is known, so the charger is answered (A4: FormationViolation)."""
    read = parse(frame)
    assert isinstance(read, Malformed)
    assert (read.answerable, read.message_id, read.unread) == (True, "1", False)


@pytest.mark.parametrize(
    ("frame", "kind"), [(b'[3,"1"]', CALL_RESULT), (b'[3,"1",{},2]', CALL_RESULT), (b'[4,"1"]', CALL_ERROR)]
)
def test_a_malformed_answer_names_the_call_it_fails_and_is_never_answered(frame, kind):
    """A3.10."""
    read = parse(frame)
    assert isinstance(read, Malformed)
    assert (read.answerable, read.message_id, read.kind) == (False, "1", kind)


@pytest.mark.parametrize("frame", [b"[3,1,{}]", b"[4,null]", b"[2]", b'[2,7,"Heartbeat",{}]'])
def test_an_id_that_is_no_string_correlates_with_nothing(frame):
    """A3.9."""
    read = parse(frame)
    assert isinstance(read, Malformed)
    assert read.message_id is None
    assert not read.answerable


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b'[4,"1","NotSupported"]', CallError("1", "NotSupported", "", {})),
        (b'[4,"1","NotSupported","no"]', CallError("1", "NotSupported", "no", {})),
        (b'[4,"1","NotSupported",null,null]', CallError("1", "NotSupported", "", {})),
        (b'[4,"1","GenericError","",["odd"]]', CallError("1", "GenericError", "", ["odd"])),
        (b'[4,"1","GenericError",5,"text"]', CallError("1", "GenericError", "5", "text")),
        (b'[4,"1","X","",{"a":1},"extra"]', CallError("1", "X", "", {"a": 1})),
    ],
)
def test_an_incomplete_or_odd_error_still_fails_its_call(frame, error):
    """A3.12."""
    assert parse(frame) == error


def test_a_truncated_answer_is_known_by_its_head():
    """Quirk 33: the pending call fails at once instead of by time-out."""
    read = parse(b'[3,"abc-1",{"configurationKey":[}')
    assert isinstance(read, Malformed)
    assert (read.kind, read.message_id, read.answerable) == (CALL_RESULT, "abc-1", False)


def test_a_truncated_call_is_answered_with_a_generic_error():
    """A4: a frame that is no JSON, where an id was recoverable."""
    read = parse(b'[2,"abc-1","Heartbeat",{')
    assert isinstance(read, Malformed)
    assert (read.kind, read.message_id, read.answerable, read.unread) == (CALL, "abc-1", True, True)


def test_a_64_bit_number_is_read_exactly():
    """Quirk 45: transactionId 9223372036854775807."""
    assert parse(b'[2,"1","StopTransaction",{"transactionId":9223372036854775807}]').payload == {
        "transactionId": 2**63 - 1
    }


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("1" + "0" * 30, 1e30),
        ("9" * 5000, "9" * 5000),
        ("1e400", "1e400"),
        ("-1e400", "-1e400"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ('"\\ud800x"', "\ufffdx"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
    ],
)
def test_what_strict_json_refuses_is_read_all_the_same(sent, read):
    """A3.13: one odd value must not cost a whole transaction message."""
    frame = parse(f'[2,"1","MeterValues",{{"odd":NaN,"value":{sent}}}]'.encode())
    assert frame == Call("1", "MeterValues", {"odd": "NaN", "value": read})
    orjson.dumps(frame.payload)


def test_a_byte_order_mark_is_skipped():
    """A3.13."""
    assert parse(b'\xef\xbb\xbf[2,"1","Heartbeat",{}]') == Call("1", "Heartbeat", {})


@pytest.mark.parametrize("extra", ["", ',"n":NaN'])
def test_of_duplicate_keys_the_last_one_counts(extra):
    """A3.13, in both readers."""
    frame = parse(f'[2,"1","Heartbeat",{{"a":1,"a":2{extra}}}]'.encode())
    assert frame.payload["a"] == 2


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 100_000])
@pytest.mark.parametrize("inside", ["", "NaN"])
def test_a_depth_bomb_is_malformed(depth, inside):
    """A3.13: bounded, in both readers, and the CALL is answered."""
    read = parse(b'[2,"1","DataTransfer",' + b"[" * depth + inside.encode() + b"]" * depth + b"]")
    assert isinstance(read, Malformed)
    assert read.answerable


def test_many_shallow_values_are_no_depth_bomb():
    """Hundreds of samples in one StopTransaction are normal (B5.9)."""
    payload = {"transactionData": [{"sampledValue": [{"value": "1"}]}] * 500}
    assert parse(encode_call("1", "StopTransaction", payload)) == Call("1", "StopTransaction", payload)


def test_what_is_sent_reads_back():
    """The encoders write J's three frames."""
    assert parse(encode_call("1", "Reset", {"type": "Hard"})) == Call("1", "Reset", {"type": "Hard"})
    assert parse(encode_call_result("1", {})) == CallResult("1", {})
    assert parse(encode_call_error("1", "NotImplemented")) == CallError("1", "NotImplemented", "", {})


def test_an_error_sent_has_five_elements_and_a_bounded_description():
    """J §4.2.3: details are an object, the description at most 255 characters."""
    frame = json.loads(encode_call_error("1", "InternalError", "x" * 300))
    assert frame == [4, "1", "InternalError", "x" * 255, {}]


@given(st.binary(max_size=200))
def test_any_bytes_are_one_of_five_values(data):
    """Never an exception."""
    assert isinstance(parse(data), Call | CallResult | CallError | Ignored | Malformed)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(JSON_VALUES | st.sampled_from([2, 3, 4, "1", "Heartbeat"]), max_size=6))
def test_any_json_array_is_one_of_five_values_and_can_be_written_again(frame):
    """With NaN, huge numbers and lone surrogates in it; what is read can be stored."""
    read = parse(json.dumps(frame).encode())
    assert isinstance(read, Call | CallResult | CallError | Ignored | Malformed)
    if isinstance(read, Call | CallResult):
        orjson.dumps(read.payload)

"""Requests as JSON and as query parameters: a message, or a refusal that says why."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.api.v1 import charge_point_pb2, command_pb2, common_pb2, event_pb2, transaction_pb2
from gateway.control.errors import Failure
from gateway.control.http.messages import from_json, from_query

LIST = charge_point_pb2.ListChargePointsRequest.DESCRIPTOR
WATCH = event_pb2.WatchEventsRequest.DESCRIPTOR
METER = event_pb2.WatchMeterValuesRequest.DESCRIPTOR
PROFILE = command_pb2.SetChargingProfileRequest.DESCRIPTOR
LEVEL = {"stackLevel": 2}


@pytest.mark.parametrize(
    ("descriptor", "query", "expected"),
    [
        (LIST, "", {}),
        (LIST, "pageSize=5&page_token=a%2Bb", {"page_size": 5, "page_token": "a+b"}),
        (LIST, "labels.site=north&labels.a.b=", {"labels": {"site": "north", "a.b": ""}}),
        (
            LIST,
            "labels[site]=north&labels%5Ba.b%5D=&labels[c[d]]=1&labels.e=2",
            {"labels": {"site": "north", "a.b": "", "c[d]": "1", "e": "2"}},
        ),
        (LIST, "view=CHARGE_POINT_VIEW_BASIC", {"view": "CHARGE_POINT_VIEW_BASIC"}),
        (WATCH, "charge_points=A&charge_points=B&start_at=1", {"charge_points": ["A", "B"], "start_at": 1}),
        (WATCH, "normalised_readings=true", {"normalised_readings": True}),
        (WATCH, "resume_token=AAEC%2Fw%3D%3D", {"resume_token": "AAEC/w=="}),
        (METER, "latest_interval=1.5s", {"latest_interval": "1.5s"}),
        (
            PROFILE,
            "connector.evse=1&chargingProfile.stackLevel=2",
            {"connector": {"evse": 1}, "charging_profile": {"stackLevel": 2}},
        ),
    ],
)
def test_parameters_are_fields(descriptor: Any, query: str, expected: dict[str, Any]) -> None:
    """By either spelling, with dots where there is a message or a map in a field."""
    found = from_query(descriptor, query)
    assert found == json_format.ParseDict(expected, type(found)())


@pytest.mark.parametrize(
    ("descriptor", "query", "words"),
    [
        (LIST, "colour=red", "there is no field colour"),
        (LIST, "page_size.x=1", "there is no field page_size.x"),
        (LIST, "page_size=1&pageSize=2", "given twice"),
        (LIST, "labels.site=north&labels.site=south", "given twice"),
        (LIST, "page_size=1_0", "page_size: expected a number"),
        (LIST, "page_size=%EF%BC%91", "page_size: expected a number"),
        (LIST, "page_size=1%0A", "page_size: expected a number"),
        (LIST, "page_size=many", "page_size"),
        (LIST, "labels=north", "a map's key has to follow"),
        (LIST, "labels.site[x]=north", "a map's key has to follow"),
        (LIST, "labels.site=north&labels[site]=south", "given twice"),
        (LIST, "labels]=north", "there is no field labels]"),
        (LIST, "labels[site=north", "there is no field labels.site"),
        (LIST, "page_size[x]=1", "there is no field page_size.x."),
        (LIST, "[site]=north", "there is no field .site."),
        (PROFILE, "connector[evse]=1", "send it by POST"),
        (WATCH, "normalised_readings=yes", "expected true or false"),
        (WATCH, "start_at=NO_SUCH", "NO_SUCH"),
        (WATCH, "start_at=WATCH_START_NOW&resume_token=AA", "oneof"),
        (PROFILE, "charging_profile=x", "send it by POST"),
        (PROFILE, "charging_profile.schedule.periods.limit=1", "send it by POST"),
        (LIST, "a=%ff", "can't be read"),
        (LIST, "&".join(["page_size=1"] * 2_000), "the query"),
        (LIST, ".".join(["a"] * 100) + "=1", "there is no field"),
    ],
)
def test_parameters_that_are_none_are_refused(descriptor: Any, query: str, words: str) -> None:
    """By their name."""
    with pytest.raises(Failure, match=words) as caught:
        from_query(descriptor, query)
    assert caught.value.reason == "MALFORMED_REQUEST"


def is_read_or_refused(read: Callable[..., Message], *given: Any) -> bool:
    """Return true if a message comes of it that can be sent, or a refusal of few words; raise what else comes."""
    try:
        found = read(*given)
    except Failure as failure:
        return failure.reason == "MALFORMED_REQUEST" and len(failure.message) < 400
    return isinstance(found.SerializeToString(), bytes)


@given(st.sampled_from([LIST, WATCH, PROFILE]), st.binary(max_size=200))
@example(PROFILE, b"[" * 50_000)
@example(PROFILE, b'{"profile":' * 5_000)
@example(LIST, b'{"filter": "\\ud800"}')
@example(LIST, b'{"pageSize": 1e400}')
@example(LIST, b'{"pageSize": NaN}')
@example(LIST, b'{"labels": {"a": null}}')
@example(LIST, b'{"labels": {"\\udfff": ""}}')
@example(METER, b'{"latestInterval": "9e99s"}')
@example(METER, b"\xef\xbb\xbf{}")
def test_any_bytes_are_a_message_or_are_refused(descriptor: Any, body: bytes) -> None:
    """And no other error comes of them."""
    assert is_read_or_refused(from_json, descriptor, body)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_any_values_of_fields_are_a_message_or_are_refused(data: Any) -> None:
    """Also where their names are right."""
    descriptor = data.draw(st.sampled_from([LIST, WATCH, METER, PROFILE]))
    names = [field.name for field in descriptor.fields]
    tree = data.draw(st.dictionaries(st.sampled_from(names), JSON_VALUES, max_size=4))
    assert is_read_or_refused(from_json, descriptor, json.dumps(tree).encode())


NAMES = ("labels", "page_size", "start_at", "charging_profile", "schedule", "periods", "connector", "evse", "x", "")
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(".".join)


@given(st.sampled_from([LIST, WATCH, METER, PROFILE]), st.lists(st.tuples(PATHS, st.text(max_size=10)), max_size=4))
def test_any_parameters_are_a_message_or_are_refused(descriptor: Any, pairs: list[tuple[str, str]]) -> None:
    """And no other error comes of them."""
    assert is_read_or_refused(from_query, descriptor, urlencode(pairs, errors="surrogatepass"))


@given(st.text(max_size=50))
def test_any_query_is_a_message_or_is_refused(text: str) -> None:
    """Whatever is in it."""
    assert is_read_or_refused(
        from_query, transaction_pb2.ListTransactionsRequest.DESCRIPTOR, quote(text, safe="&=.%", errors="surrogatepass")
    )


CREATE = charge_point_pb2.CreateChargePointRequest.DESCRIPTOR
UPDATE = charge_point_pb2.UpdateChargePointRequest.DESCRIPTOR


@pytest.mark.parametrize("key", ["c2VjcmV0IQ==", "c2VjcmV0IQ", "_-8=", "/+8", ""])
def test_bytes_are_base64_of_either_alphabet(key: str) -> None:
    """With its end filled up or not, as ProtoJSON has it."""
    found: Any = from_json(CREATE, json.dumps({"authorizationKey": key}).encode())
    assert found.authorization_key == base64.urlsafe_b64decode(key.replace("/", "_").replace("+", "-") + "==")


@pytest.mark.parametrize(
    ("descriptor", "body", "words"),
    [
        (CREATE, {"authorizationKey": "not a key!"}, "authorizationKey: expected bytes in Base64"),
        (CREATE, {"authorization_key": "c2Vj cmV0"}, "authorization_key: expected bytes in Base64"),
        (CREATE, {"authorizationKey": "c2Vjc"}, "authorizationKey: expected bytes in Base64"),
        (CREATE, {"authorizationKey": "c2Vj==="}, "authorizationKey: expected bytes in Base64"),
        (UPDATE, {"authorizationKey": "c2Vj\n"}, "authorizationKey: expected bytes in Base64"),
        (WATCH, {"resumeToken": "%"}, "resumeToken: expected bytes in Base64"),
        (LIST, {"pageSize": "1_0"}, "pageSize: expected a number"),
        (LIST, {"pageSize": "\u0661"}, "pageSize: expected a number"),
        (LIST, {"pageSize": " 1"}, "pageSize: expected a number"),
        (WATCH, {"startAt": "1_0"}, "startAt: there is no value 1_0"),
        (
            PROFILE,
            {"chargingProfile": {"schedule": {"periods": [{}, {"limit": "1_6"}]}}},
            r"chargingProfile\.schedule\.periods\[1\]\.limit: expected a number",
        ),
    ],
)
def test_a_text_that_python_would_read_as_another_is_refused(descriptor: Any, body: dict[str, Any], words: str) -> None:
    """A key with a mistyped character is no other key, and 1_6 is not 16."""
    with pytest.raises(Failure, match=words) as caught:
        from_json(descriptor, json.dumps(body).encode())
    assert caught.value.reason == "MALFORMED_REQUEST"


def test_a_plus_that_an_address_turns_into_a_space_is_refused() -> None:
    """It was left out, and the token another one."""
    assert from_query(WATCH, "resume_token=AA%2BB") == from_query(WATCH, "resume_token=AA-B")
    with pytest.raises(Failure, match="resume_token: expected bytes in Base64"):
        from_query(WATCH, "resume_token=AA+B")


@given(
    st.builds(
        charge_point_pb2.CreateChargePointRequest,
        authorization_key=st.none() | st.binary(max_size=20),
        request_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    )
    | st.builds(
        common_pb2.ChargingProfile,
        charging_profile_id=st.integers(-(2**31), 2**31 - 1),
        stack_level=st.integers(-(2**31), 2**31 - 1),
        purpose=st.sampled_from(sorted(common_pb2.ChargingProfilePurpose.values())),
    )
    | st.builds(
        common_pb2.ChargingSchedulePeriod,
        limit=st.floats(),
        start_period=st.builds(Duration, seconds=st.integers(0, 1000)),
    )
    | st.builds(common_pb2.ConnectorAddress, evse=st.integers(-(2**31), 2**31 - 1))
)
def test_what_protobuf_writes_is_read(message: Any) -> None:
    """Nothing of ProtoJSON is refused: numbers of 64 bits and those that are none are texts."""
    text = json_format.MessageToJson(message)
    assert json_format.MessageToJson(from_json(message.DESCRIPTOR, text.encode())) == text

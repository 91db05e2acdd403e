"""Requests with more elements than are looked at: refused by their field, before anything checks each of them."""

import json
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from gateway.api.v1 import charge_point_pb2, command_pb2, event_pb2, fleet_pb2
from gateway.client import problem_of
from gateway.control.errors import Failure
from gateway.control.http.messages import MAX_VALUES, from_json
from gateway.control.services.deserialization import MAX_ELEMENTS, MAX_REQUEST_BYTES, too_many_elements
from gateway.domain.fleet import MAX_ITEMS
from tests.control.fakes import control

EMPTY_ENTRY = b"\x2a\x00"
"""An entry of a local list on the wire: field 5, nothing in it."""

LIST = command_pb2.SendLocalListRequest


def entries(number: int) -> Message:
    """A local list of empty entries."""
    return LIST.FromString(EMPTY_ENTRY * number)


def profile(lists: int, periods: int) -> Message:
    """A profile whose periods are inside of messages, the same in each of several requests' worth."""
    request = command_pb2.SetChargingProfileRequest()
    for _ in range(lists * periods):
        request.charging_profile.schedule.periods.add()
    return request


def labelled(number: int) -> Message:
    """A list of charge points by a map of labels."""
    return charge_point_pb2.ListChargePointsRequest(labels={f"key{index}": "" for index in range(number)})


@pytest.mark.parametrize(
    ("make", "field"),
    [(entries, "entries"), (lambda n: profile(1, n), "charging_profile.schedule.periods"), (labelled, "labels")],
)
def test_elements_are_read_up_to_their_bound(make: Any, field: str) -> None:
    """Lists of messages, lists inside of messages, maps."""
    assert too_many_elements(make(MAX_ELEMENTS)) is None
    failure = too_many_elements(make(MAX_ELEMENTS + 1))
    assert failure is not None
    assert [(each.field, failure.reason) for each in failure.violations] == [(field, "INVALID_REQUEST")]


def test_elements_count_over_all_fields_and_levels() -> None:
    """The lists within a list, too."""
    half = MAX_ELEMENTS // 2
    watch = event_pb2.WatchEventsRequest(charge_points=[""] * half, types=[""] * half)
    assert too_many_elements(watch) is None
    watch.callers.append("")
    failure = too_many_elements(watch)
    assert failure is not None
    [violation] = failure.violations
    assert violation.field in ("charge_points", "types", "callers")
    imported = charge_point_pb2.ImportChargePointsRequest()
    for _ in range(100):
        imported.batch.charge_points.add().charge_point.labels.update({f"k{n}": "" for n in range(400)})
    failure = too_many_elements(imported)
    assert failure is not None
    assert failure.violations[0].field.startswith("batch.charge_points[")


def test_a_fleet_is_named_up_to_the_bound_of_a_job() -> None:
    """As the contract says: a job may be for a hundred thousand charge points, which are names and no more."""
    request = fleet_pb2.RotateAuthorizationKeysRequest()
    request.selection.charge_points.extend(["CP1"] * MAX_ITEMS)
    assert too_many_elements(request) is None
    request.selection.charge_points.append("CP1")
    failure = too_many_elements(request)
    assert failure is not None
    assert failure.violations[0].field == "selection.charge_points"


async def test_a_request_of_millions_of_elements_is_refused_unchecked(tmp_path: Any) -> None:
    """Over gRPC: one violation, where each entry had one; it took the loop of all callers twelve seconds."""
    async with control(tmp_path) as gateway:
        with pytest.raises(grpc.RpcError) as caught:
            await gateway.call(
                gateway.client.commands.SendLocalList, entries(MAX_REQUEST_BYTES // len(EMPTY_ENTRY) - 100)
            )
        problem = problem_of(caught.value)
        assert (problem.reason, [field for field, _ in problem.violations]) == ("INVALID_REQUEST", ["entries"])


@pytest.mark.parametrize("value", ["[]", "{}", "1", '{"a":0}', "[[[[]]]]", '",[{"'])
def test_values_of_json_are_counted_before_they_are_read(value: str) -> None:
    """Those in texts are none: such a body is read, and refused for its field alone."""
    body = ('{"x":[' + f"{value}," * (MAX_VALUES + 1) + "0]}").encode()
    with pytest.raises(Failure) as caught:
        from_json(LIST.DESCRIPTOR, body)
    assert caught.value.reason == "MALFORMED_REQUEST"
    assert f"more than {MAX_VALUES:,} values" in caught.value.message
    text = json.dumps({"x": value * (MAX_VALUES + 1)}).encode()
    with pytest.raises(Failure) as caught:
        from_json(LIST.DESCRIPTOR, text)
    assert "no field" in caught.value.message


def test_json_has_elements_up_to_the_same_bound() -> None:
    """Those of whole entries are read; one more is refused as over gRPC."""
    entry = {"idTag": "T", "status": "AUTHORIZATION_STATUS_ACCEPTED", "parentIdTag": "P"}
    assert len(from_json(LIST.DESCRIPTOR, json.dumps({"entries": [entry] * MAX_ELEMENTS}).encode()).entries) == (  # type: ignore[attr-defined]
        MAX_ELEMENTS
    )
    with pytest.raises(Failure) as caught:
        from_json(LIST.DESCRIPTOR, json.dumps({"entries": [entry] * (MAX_ELEMENTS + 1)}).encode())
    assert caught.value.violations[0].field == "entries"

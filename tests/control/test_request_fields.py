"""Fields of requests with a request_id: another value of any of them, once, makes another request."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import (
    charge_point_pb2,
    command_pb2,
    common_pb2,
    energy_pb2,
    fleet_pb2,
    operation_pb2,
    server_pb2,
    steering_pb2,
    transaction_pb2,
)
from gateway.domain.codec import fingerprint
from tests.control.fakes import Control
from tests.control.test_commands import OPERATIONS as COMMANDS
from tests.control.test_operations import gateway as with_tags
from tests.control.test_operations import recorded
from tests.control.test_repeated_requests import JOBS, paths, refused, time
from tests.control.test_steering import at as in_minutes
from tests.control.test_steering import offline

NAMED = {"charge_point": "CP1", "request_id": "r1"}
ONE = common_pb2.ConnectorAddress(evse=1, connector=1)
LIMIT = steering_pb2.RateLimit(value=16, unit=common_pb2.CHARGING_RATE_UNIT_AMPERES, number_phases=3)

Given = Mapping[str, Any]


def others(request: Any, given: Given, outer: str = "") -> Iterator[tuple[str, Any]]:
    """For each field of a request, by its path, the request with another value of it. ``given``: values by paths, where
    not any other one will do. Fields of messages that the request does not have are left out."""
    for field in request.DESCRIPTOR.fields:
        path = outer + field.name
        if path in ("charge_point", "request_id"):
            continue
        if own(field) and path not in given:
            for within, inner in others_within(request, field, given, f"{path}."):
                other = copy(request)
                held(other, field)[0].CopyFrom(inner)
                yield within, other
            continue
        other = copy(request)
        value = given[path] if path in given else another(request, field)
        other.ClearField(field.name)
        other.MergeFrom(type(other)(**{field.name: value}))
        yield path, other


def others_within(request: Any, field: FieldDescriptor, given: Given, outer: str) -> Iterator[tuple[str, Any]]:
    """The first message of a field with other values, if there is one."""
    for inner in held(request, field)[:1]:
        yield from others(inner, given, outer)


def held(request: Any, field: FieldDescriptor) -> list[Any]:
    """The messages that a field holds."""
    value = getattr(request, field.name)
    if field.is_repeated:
        return list(value)
    return [value] if request.HasField(field.name) else []


def own(field: FieldDescriptor) -> bool:
    """Return true if a field holds a message of this interface."""
    return field.message_type is not None and field.message_type.full_name.startswith("gateway.api.v1.")


def copy(request: Any) -> Any:
    made = type(request)()
    made.CopyFrom(request)
    return made


def another(request: Any, field: FieldDescriptor) -> Any:
    """Another value of a field than a request has."""
    value = getattr(request, field.name)
    if field.is_repeated:
        return [*value, "another"]
    if field.enum_type is not None:
        return next(each.number for each in field.enum_type.values if each.number not in (0, value))
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, Duration):
        return Duration(seconds=value.seconds + 7)
    if isinstance(value, Timestamp):
        return time(9)
    return value + 1


ELSEWHERE = {
    "CreateChargePoint": "its key can't be compared, for only a hash is kept; tests/control/test_creations.py",
    "AttributeOrphan": "the stop and the transaction are what it ties; tests/control/test_operators_ends.py",
    "GetCommand": "it asks for what a request became",
}
"""Requests with a request_id that are in none of these tables, and why."""


def test_each_request_with_a_request_id_is_in_a_table() -> None:
    """A new one is held against its fields, too."""
    files = (charge_point_pb2, command_pb2, energy_pb2, fleet_pb2, operation_pb2, server_pb2, steering_pb2)
    methods = [
        method
        for file in (*files, transaction_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if "request_id" in method.input_type.fields_by_name
    ]
    tables = {type(each).__name__.removesuffix("Request") for each, _ in (*OPERATIONS, *STEERING)}
    covered = tables | {rpc for rpc, _ in BASES} | {rpc for rpc, _, _ in JOBS}
    assert {method.name for method in methods} == covered | set(ELSEWHERE)


# --- commands -------------------------------------------------------------------------------------------------

BASES = [
    *((rpc, fields) for rpc, fields, _ in COMMANDS),
    ("TriggerMessage", {"requested_message": 1, "connector": ONE}),
    ("ExtendedTriggerMessage", {"requested_message": 1, "connector": ONE}),
]


@pytest.mark.parametrize("rpc", sorted({rpc for rpc, _ in BASES}))
async def test_a_command_is_known_by_every_field_of_its_request(gateway: Control, rpc: str) -> None:
    """Each is part of the fingerprint by which a session knows a repeat; the charge point is where it is looked for."""
    stub, kind = getattr(gateway.client.commands, rpc), getattr(command_pb2, f"{rpc}Request")
    left = set(paths(kind.DESCRIPTOR)) - {"charge_point"}
    store_id = gateway.store.store_id
    for fields in (fields for name, fields in BASES if name == rpc):
        request = kind(**NAMED, **fields)
        await gateway.call(stub, request)
        first = fingerprint(store_id, gateway.commands.calls[-1][1])
        for path, other in others(request, {}):
            if path == "foreign_number":
                other.transaction_id = ""  # they exclude each other
            await gateway.call(stub, other)
            assert fingerprint(store_id, gateway.commands.calls[-1][1]) != first, path
            left.discard(path)
    assert left == set()


# --- operations -----------------------------------------------------------------------------------------------

FIRMWARE = operation_pb2.InstallFirmwareRequest(
    **NAMED, location="https://h/f", signing_certificate="pem", signature="c2ln"
)
PROFILE = operation_pb2.UpgradeSecurityProfileRequest(**NAMED, security_profile=3, client_certificate_installed=True)

OPERATIONS: list[tuple[Any, Given]] = [
    (operation_pb2.StartChargingRequest(**NAMED, id_tag="TAG", connector=ONE), {}),
    (operation_pb2.StopChargingRequest(**NAMED, transaction_id="tx_1"), {}),
    (operation_pb2.StopChargingRequest(**NAMED, connector=ONE), {"transaction_id": ""}),
    (operation_pb2.PauseChargingRequest(**NAMED, connector=ONE), {}),
    (operation_pb2.ResumeChargingRequest(**NAMED, connector=ONE), {}),
    (operation_pb2.LimitChargingRequest(**NAMED, connector=ONE, limit=LIMIT), {}),
    (operation_pb2.RotateAuthorizationKeyRequest(**NAMED, reset=True), {"reset": False}),
    (operation_pb2.UploadLogRequest(**NAMED, log_type=1, location="ftp://u:S3cret@h/"), {}),
    (FIRMWARE, {"signature": "b3RoZXI="}),
    (operation_pb2.RenewCertificateRequest(**NAMED), {}),
    (PROFILE, {"security_profile": 2}),
]


@pytest.mark.parametrize(("request_", "given"), OPERATIONS, ids=lambda each: type(each).__name__)
async def test_an_operation_is_known_by_every_field_of_its_request(tmp_path: Path, request_: Any, given: Given) -> None:
    """Whatever has become of it."""
    rpc = type(request_).__name__.removesuffix("Request")
    async with with_tags(tmp_path) as (running, epoch):
        stub = getattr(running.client.operations, rpc)
        if rpc in ("PauseCharging", "ResumeCharging", "LimitCharging"):
            await running.call(stub, request_)
        else:
            running.commands.operation = await recorded(running, epoch, request_id="another")
            await running.call(stub, request_)
            await recorded(running, epoch, "op_2", "r1", running.commands.calls[-1][1])
        first = await running.call(stub, request_)
        seen = set()
        for path, other in others(request_, given):
            if other != request_:
                problem = await refused(running, stub, other)
                assert problem.metadata["operation_id"] == first.operation.operation_id
                seen.add(path)
        if rpc != "StopCharging":  # it names a transaction or a connector
            assert seen == set(paths(request_.DESCRIPTOR)) - {"charge_point"}


# --- steering -------------------------------------------------------------------------------------------------

PLAN = steering_pb2.Plan(
    steps=[steering_pb2.PlanStep(start_time=in_minutes(0), limit=LIMIT)], end_time=in_minutes(120), after=LIMIT
)
PAUSE = steering_pb2.BELOW_MINIMUM_PAUSE
WHY = {"by": "app", "why": "asked"}

STEERING: list[tuple[Any, Given]] = [
    (
        steering_pb2.SetWantedLimitRequest(**NAMED, **WHY, connector=ONE, limit=LIMIT, until_time=in_minutes(60)),
        {"until_time": in_minutes(61), "below_minimum": PAUSE},
    ),
    (steering_pb2.LiftWantedLimitRequest(**NAMED, **WHY, connector=ONE), {}),
    (
        steering_pb2.SetPlanRequest(**NAMED, **WHY, connector=ONE, plan=PLAN),
        {"below_minimum": PAUSE, "plan.steps.start_time": in_minutes(1), "plan.end_time": in_minutes(121)},
    ),
    (steering_pb2.ClearPlanRequest(**NAMED, **WHY, connector=ONE), {}),
]


@pytest.mark.parametrize(("request_", "given"), STEERING, ids=lambda each: type(each).__name__)
async def test_a_change_is_known_by_every_field_of_its_request(gateway: Control, request_: Any, given: Given) -> None:
    """Also by who asks for it and why, which is shown with what is wanted."""
    await offline(gateway)
    stub = getattr(gateway.client.steering, type(request_).__name__.removesuffix("Request"))
    first = await gateway.call(stub, request_)
    assert await gateway.call(stub, request_) == first
    seen = set()
    for path, other in others(request_, given):
        await refused(gateway, stub, other)
        seen.add(path)
    assert seen == set(paths(request_.DESCRIPTOR)) - {"charge_point"}

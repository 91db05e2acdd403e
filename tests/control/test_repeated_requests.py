"""Requests under a request_id that another one has: each of their fields makes them another request."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import fleet_pb2
from gateway.api.v1.charge_point_pb2 import DeleteChargePointRequest
from gateway.client import problem_of
from gateway.domain.fleet import FleetJob, Pace
from gateway.domain.operations import OperationKind
from gateway.domain.values import Registration
from gateway.store.commits import CreateChargePoint
from gateway.store.fleet import CreateFleetJob
from tests.control.fakes import NOW, Control, control

PACKAGE = "gateway.api.v1."

CERTIFICATE, OTHER_CERTIFICATE = (trustme.CA().cert_pem.bytes().decode() for _ in range(2))


def time(hours: int) -> Timestamp:
    """A time after the others' start."""
    made = Timestamp()
    made.FromDatetime(NOW + timedelta(hours=hours))
    return made


def paths(message: Descriptor) -> Iterator[str]:
    """The fields of a request and of the messages in it, by their paths, without the request_id."""
    for field in message.fields:
        entries = field.message_type is not None and field.message_type.GetOptions().map_entry
        inner = field.type == FieldDescriptor.TYPE_MESSAGE and not entries
        if inner and field.message_type.full_name.startswith(PACKAGE):
            yield from (f"{field.name}.{path}" for path in paths(field.message_type))
        elif field.name != "request_id":
            yield field.name


def changed(request: Message, fields: Mapping[str, Any]) -> Any:
    """The request with other values of these fields; one that is None is left out."""
    other = type(request)()
    other.CopyFrom(request)
    for path, value in fields.items():
        *outer, name = path.split(".")
        message: Any = other
        for each in outer:
            message = getattr(message, each)
        message.ClearField(name)
        if value is not None:
            message.MergeFrom(type(message)(**{name: value}))
    return other


async def refused(gateway: Control, rpc: Any, request: Message) -> Any:
    """The problem of a request whose id is another's."""
    with pytest.raises(grpc.RpcError) as caught:
        await gateway.call(rpc, request)
    problem = problem_of(caught.value)
    assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"), request
    assert [name for name, _ in problem.violations] == ["request_id"]
    return problem


# --- fleet jobs -----------------------------------------------------------------------------------------------

JOB: dict[str, Any] = {
    "request_id": "r1",
    "selection": fleet_pb2.ChargePointSelection(charge_points=["CP1", "CP3"], labels={"site": "north", "by": "us"}),
}

JOB_CHANGES: dict[str, dict[str, Any]] = {
    "selection.charge_points": {"selection.charge_points": ["CP1"]},
    "selection.labels": {"selection.labels": {"site": "north"}},
    "selection.every": {"selection.charge_points": None, "selection.labels": None, "selection.every": True},
    "pace.per_minute": {"pace.per_minute": 61},
    "pace.at_once": {"pace.at_once": 21},
    "time_limit": {"time_limit": Duration(seconds=7 * 24 * 3600 + 1)},
    "max_failures": {"max_failures": 1},
}

FIRMWARE: dict[str, Any] = {
    "location": "https://firmware.example/2.bin",
    "signing_certificate": CERTIFICATE,
    "signature": "c2ln",
}

FIRMWARE_CHANGES: dict[str, dict[str, Any]] = {
    "location": {"location": "https://firmware.example/3.bin"},
    "retrieve_time": {"retrieve_time": time(1)},
    "install_time": {"install_time": time(2)},
    "signing_certificate": {"signing_certificate": OTHER_CERTIFICATE},
    "signature": {"signature": "b3RoZXI="},
    "retries": {"retries": 0},
    "retry_interval": {"retry_interval": Duration(seconds=60)},
    "ocpp_request_id": {"ocpp_request_id": 0},
}

JOBS = [
    (
        "RotateAuthorizationKeys",
        fleet_pb2.RotateAuthorizationKeysRequest(reset=True, **JOB),
        {**JOB_CHANGES, "reset": {"reset": False}, "insist": {"insist": True}},
    ),
    ("RenewCertificates", fleet_pb2.RenewCertificatesRequest(**JOB), JOB_CHANGES),
    (
        "RollOutFirmware",
        fleet_pb2.RollOutFirmwareRequest(**JOB, **FIRMWARE),
        {**JOB_CHANGES, **FIRMWARE_CHANGES},
    ),
]


async def fleet(gateway: Control) -> None:
    """Three charge points, two of them in the north."""
    for identity, site in (("CP1", "north"), ("CP2", "south"), ("CP3", "north")):
        labels = {"site": site, "by": "us"}
        await gateway.journal.commit(CreateChargePoint(identity, Registration.ACCEPTED, (), NOW, labels=labels))


@pytest.mark.parametrize(("rpc", "request_", "changes"), JOBS, ids=[rpc for rpc, _, _ in JOBS])
async def test_a_job_is_known_by_every_field_of_its_request(tmp_path, rpc, request_, changes):
    """Also after a restart; the refusal names the job, and no other one is made."""
    assert set(changes) == set(paths(request_.DESCRIPTOR))
    async with control(tmp_path) as gateway:
        await fleet(gateway)
        made = (await gateway.call(getattr(gateway.client.fleet, rpc), request_)).fleet_job
    async with control(tmp_path) as gateway:
        stub = getattr(gateway.client.fleet, rpc)
        assert (await gateway.call(stub, request_)).fleet_job == made
        for fields in changes.values():
            problem = await refused(gateway, stub, changed(request_, fields))
            assert problem.metadata["fleet_job"] == made.fleet_job_id
        assert len(gateway.store.fleet_jobs(False)) == 1


async def test_a_selection_is_the_same_in_another_order(gateway):
    """And with an identity twice; with what is not given said as it is by default; and whatever became of the charge
    points since."""
    await fleet(gateway)
    rpc, request, _ = JOBS[0]
    stub = getattr(gateway.client.fleet, rpc)
    made = (await gateway.call(stub, request)).fleet_job
    await gateway.call(gateway.client.charge_points.DeleteChargePoint, DeleteChargePointRequest(identity="CP3"))
    for fields in (
        {"selection.charge_points": ["CP3", "CP1", "CP3"]},
        {"selection.labels": {"by": "us", "site": "north"}},
        {"pace.per_minute": 60, "pace.at_once": 20, "time_limit": Duration(seconds=7 * 24 * 3600)},
    ):
        assert (await gateway.call(stub, changed(request, fields))).fleet_job.fleet_job_id == made.fleet_job_id


async def test_a_selection_is_another_one_though_the_same_are_in_it(gateway):
    """It is what is asked for that counts: the labels of charge points change."""
    await fleet(gateway)
    stub = gateway.client.fleet.RenewCertificates
    request = fleet_pb2.RenewCertificatesRequest(
        request_id="r1", selection=fleet_pb2.ChargePointSelection(labels={"site": "north"})
    )
    await gateway.call(stub, request)
    await refused(gateway, stub, changed(request, {"selection.charge_points": ["CP1", "CP3"]}))
    named = {"selection.charge_points": ["CP1", "CP3"], "selection.labels": None}
    await refused(gateway, stub, changed(request, named))


async def test_a_job_of_an_earlier_gateway_is_returned_whatever_was_selected(gateway):
    """Its selection is not known; all that the job shows is held against the request."""
    await fleet(gateway)
    kind, pace = OperationKind.RENEW_CERTIFICATE, Pace(60.0, 20)
    job = FleetJob("fleet_1", "r1", kind, pace, NOW, NOW + timedelta(days=1))
    await gateway.journal.commit(CreateFleetJob(job, ("CP1",)))
    rpc, request, changes = JOBS[1]
    stub = getattr(gateway.client.fleet, rpc)
    for path, fields in changes.items():
        if path.startswith("pace.") or path == "max_failures":
            await refused(gateway, stub, changed(request, fields))
        else:
            assert (await gateway.call(stub, changed(request, fields))).fleet_job.fleet_job_id == "fleet_1"

"""FleetService: jobs are made once, shown, listed, watched and cancelled."""

from datetime import UTC, timedelta

import grpc
import pytest
import trio
import trustme
from google.protobuf.duration_pb2 import Duration

from gateway.api.v1 import fleet_pb2 as pb
from gateway.api.v1.operation_pb2 import OPERATION_KIND_INSTALL_FIRMWARE, OPERATION_KIND_RENEW_CERTIFICATE
from gateway.client import problem_of
from gateway.domain.commands import UpdateFirmware
from gateway.domain.fleet import MAX_JOBS, MAX_RUNNING, FleetEnd, FleetItem, FleetJob, Pace
from gateway.domain.operations import OperationKind
from gateway.domain.values import Registration
from gateway.store.commits import CreateChargePoint, Done, GuardFailed
from gateway.store.fleet import CreateFleetJob, EndFleetJob, RecordFleetItems
from gateway.store.sqlite.store import SqliteStore
from tests.control.fakes import NOW

CERTIFICATE = trustme.CA().cert_pem.bytes().decode()

EVERY = pb.ChargePointSelection(every=True)


async def fleet(gateway):
    """Three charge points, two of them in the north."""
    for identity, site in (("CP1", "north"), ("CP2", "south"), ("CP3", "north")):
        await gateway.journal.commit(CreateChargePoint(identity, Registration.ACCEPTED, (), NOW, labels={"site": site}))


def rotate(request_id="r1", **more):
    return pb.RotateAuthorizationKeysRequest(request_id=request_id, **more)


async def made(gateway, request):
    return (await gateway.call(gateway.client.fleet.RotateAuthorizationKeys, request)).fleet_job


async def identities(gateway, job, **more):
    request = pb.ListFleetJobItemsRequest(fleet_job_id=job.fleet_job_id, **more)
    response = await gateway.call(gateway.client.fleet.ListFleetJobItems, request)
    return [each.charge_point for each in response.items]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"every": True}, ["CP1", "CP2", "CP3"]),
        ({"labels": {"site": "north"}}, ["CP1", "CP3"]),
        ({"charge_points": ["CP3", "CP2", "CP3"]}, ["CP2", "CP3"]),
        ({"charge_points": ["CP1", "CP2"], "labels": {"site": "north"}}, ["CP1"]),
    ],
)
async def test_charge_points_are_selected_when_it_is_made(gateway, selection, expected):
    """By name, by label, by both, or all of them; each once."""
    await fleet(gateway)
    job = await made(gateway, rotate(selection=pb.ChargePointSelection(**selection)))
    assert await identities(gateway, job) == expected
    assert [(each.outcome, each.count) for each in job.counts] == [(pb.FLEET_OUTCOME_WAITING, len(expected))]
    assert (job.pace.per_minute, job.pace.at_once) == (60, 20)
    assert job.expire_time.seconds - job.create_time.seconds == 7 * 24 * 3600


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (rotate(), "selection"),
        (rotate(selection=pb.ChargePointSelection()), "selection"),
        (rotate(selection=pb.ChargePointSelection(every=True, charge_points=["CP1"])), "selection"),
        (rotate(selection=pb.ChargePointSelection(labels={"site": "west"})), "selection"),
        (rotate(selection=pb.ChargePointSelection(labels={"a b": "x"})), "selection.labels"),
        (rotate(selection=EVERY, pace=pb.FleetPace(per_minute=-1)), "pace.per_minute"),
        (rotate(selection=EVERY, pace=pb.FleetPace(per_minute=float("nan"))), "pace.per_minute"),
        (rotate(selection=EVERY, pace=pb.FleetPace(at_once=1001)), "pace.at_once"),
        (rotate(selection=EVERY, time_limit=Duration(seconds=0)), "time_limit"),
        (rotate(selection=EVERY, time_limit=Duration(seconds=31 * 24 * 3600)), "time_limit"),
        (rotate(selection=EVERY, max_failures=-1), "max_failures"),
        (rotate(selection=EVERY, max_failures=100_001), "max_failures"),
        (rotate("r" * 256, selection=EVERY), "request_id"),
        (rotate(selection=EVERY, insist=True), "insist"),
    ],
)
async def test_what_can_not_be_is_refused_by_its_field(gateway, failing, request_, field):
    """And nothing is made."""
    await fleet(gateway)
    problem = await failing(gateway.client.fleet.RotateAuthorizationKeys, request_)
    assert (problem.reason, [name for name, _ in problem.violations]) == ("INVALID_REQUEST", [field])
    assert gateway.store.fleet_jobs(False) == []


async def test_a_charge_point_that_is_not_there_is_named(gateway, failing):
    """A slip in a list would else be found at its end."""
    await fleet(gateway)
    selection = pb.ChargePointSelection(charge_points=["CP1", "NOPE"])
    problem = await failing(gateway.client.fleet.RotateAuthorizationKeys, rotate(selection=selection))
    assert (problem.reason, problem.metadata["charge_point"]) == ("UNKNOWN_CHARGE_POINT", "NOPE")


async def test_a_request_makes_one_job(gateway, failing):
    """Repeated it returns the job; with another pace, or without the reset, its id is another one's."""
    await fleet(gateway)
    job = await made(gateway, rotate(selection=EVERY, reset=True))
    assert (job.reset, job.insist) == (True, False)
    assert (await made(gateway, rotate(selection=EVERY, reset=True))).fleet_job_id == job.fleet_job_id
    for other in (rotate(selection=EVERY, reset=True, pace=pb.FleetPace(at_once=1)), rotate(selection=EVERY)):
        problem = await failing(gateway.client.fleet.RotateAuthorizationKeys, other)
        assert (problem.reason, problem.metadata["fleet_job"]) == ("REQUEST_ID_REUSED", job.fleet_job_id)


async def test_jobs_are_shown_listed_and_cancelled(gateway, failing):
    """By their ids; and there may be so many at once."""
    await fleet(gateway)
    stub = gateway.client.fleet
    jobs = [await made(gateway, rotate(f"r{number}", selection=EVERY)) for number in range(MAX_RUNNING)]
    problem = await failing(stub.RotateAuthorizationKeys, rotate("one more", selection=EVERY))
    assert problem.reason == "TOO_MANY_FLEET_JOBS"
    listed = (await gateway.call(stub.ListFleetJobs, pb.ListFleetJobsRequest())).fleet_jobs
    assert [each.fleet_job_id for each in listed] == [each.fleet_job_id for each in reversed(jobs)]
    one = jobs[0].fleet_job_id
    cancelled = (await gateway.call(stub.CancelFleetJob, pb.CancelFleetJobRequest(fleet_job_id=one))).fleet_job
    shown = (await gateway.call(stub.GetFleetJob, pb.GetFleetJobRequest(fleet_job_id=one))).fleet_job
    assert shown == cancelled
    assert shown.HasField("cancel_time")
    for rpc, request in (
        (stub.GetFleetJob, pb.GetFleetJobRequest(fleet_job_id="nope")),
        (stub.CancelFleetJob, pb.CancelFleetJobRequest(fleet_job_id="nope")),
        (stub.ListFleetJobItems, pb.ListFleetJobItemsRequest(fleet_job_id="nope")),
    ):
        assert (await failing(rpc, request)).reason == "UNKNOWN_FLEET_JOB"


async def test_a_watch_ends_with_the_job(gateway):
    """The last of it has the end and the counts by outcome; items are found by outcome, a page at a time."""
    await fleet(gateway)
    job = await made(gateway, rotate(selection=EVERY))
    items = [
        FleetItem("CP1", "op_1", "DONE"),
        FleetItem("CP2", "op_2", "REFUSED", "Rejected"),
        FleetItem("CP3", "op_3"),
    ]
    await gateway.journal.commit(RecordFleetItems(job.fleet_job_id, tuple(items)))
    assert await identities(gateway, job, outcome=pb.FLEET_OUTCOME_UNDER_WAY) == ["CP3"]
    await gateway.journal.commit(RecordFleetItems(job.fleet_job_id, (FleetItem("CP3", "op_3", "DONE"),)))
    # What has an outcome keeps it.
    await gateway.journal.commit(RecordFleetItems(job.fleet_job_id, (FleetItem("CP1", "", "NOT_BEGUN", "lost"),)))
    await gateway.journal.commit(EndFleetJob(job.fleet_job_id, FleetEnd.DONE, NOW))
    watched = gateway.client.fleet.WatchFleetJob(pb.WatchFleetJobRequest(fleet_job_id=job.fleet_job_id), timeout=60)
    (last,) = [each.fleet_job async for each in in_thread(watched)]
    assert last.end == pb.FLEET_END_DONE
    assert {each.outcome: each.count for each in last.counts} == {
        pb.FLEET_OUTCOME_DONE: 2,
        pb.FLEET_OUTCOME_REFUSED: 1,
    }
    assert await identities(gateway, job, outcome=pb.FLEET_OUTCOME_DONE) == ["CP1", "CP3"]
    pages = gateway.client.pages(
        gateway.client.fleet.ListFleetJobItems,
        pb.ListFleetJobItemsRequest(fleet_job_id=job.fleet_job_id, page_size=2),
    )
    assert [[each.charge_point for each in page.items] async for page in in_thread(pages)] == [["CP1", "CP2"], ["CP3"]]
    with pytest.raises(grpc.RpcError) as unknown:
        async for _ in in_thread(gateway.client.fleet.WatchFleetJob(pb.WatchFleetJobRequest(fleet_job_id="nope"))):
            pass
    assert problem_of(unknown.value).reason == "UNKNOWN_FLEET_JOB"


async def in_thread(items):
    def following():
        return next(items, None)

    while (item := await trio.to_thread.run_sync(following)) is not None:
        yield item


def test_old_jobs_go_with_their_items_and_running_ones_stay(tmp_path):
    """Beyond a hundred the oldest that has ended goes."""
    store, kind = SqliteStore(tmp_path / "gateway.db"), OperationKind.ROTATE_AUTHORIZATION_KEY

    def job(name):
        return FleetJob(name, name, kind, Pace(1, 1), NOW, NOW + timedelta(days=1))

    assert store.commit([CreateFleetJob(job("running"), ("CP1",))]) == [Done()]
    for number in range(MAX_JOBS + 5):
        store.commit([CreateFleetJob(job(f"j{number}"), ("CP1",)), EndFleetJob(f"j{number}", FleetEnd.DONE, NOW)])
    kept = [each.job_id for each in store.fleet_jobs(False)]
    assert kept[-1] == "running"
    assert len(kept) <= MAX_JOBS + 1
    assert store.fleet_items("j0", "", "", 10) == []
    assert len(store.fleet_items("running", "", "", 10)) == 1
    for number in range(MAX_RUNNING - 1):
        store.commit([CreateFleetJob(job(f"more{number}"), ("CP1",))])
    assert store.commit([CreateFleetJob(job("too many"), ("CP1",))]) == [GuardFailed()]
    store.close()


async def test_a_renewal_of_certificates_is_a_job_of_its_kind(gateway):
    """The same request again is the same job; as a rotation it is refused."""
    await gateway.journal.commit(CreateChargePoint("CP1", Registration.ACCEPTED, (), NOW))
    request = pb.RenewCertificatesRequest(request_id="renewal", selection=EVERY)
    made = (await gateway.call(gateway.client.fleet.RenewCertificates, request)).fleet_job
    assert made.kind == OPERATION_KIND_RENEW_CERTIFICATE
    again = (await gateway.call(gateway.client.fleet.RenewCertificates, request)).fleet_job
    assert again.fleet_job_id == made.fleet_job_id
    with pytest.raises(grpc.RpcError) as refused:
        await gateway.call(gateway.client.fleet.RotateAuthorizationKeys, rotate("renewal", selection=EVERY))
    assert problem_of(refused.value).reason == "REQUEST_ID_REUSED"


def rollout(request_id="firmware", **more):
    """Of firmware whose certificate is good."""
    fields = {"location": "https://firmware.example/2.bin", "signing_certificate": CERTIFICATE, "signature": "c2ln"}
    request = pb.RollOutFirmwareRequest(request_id=request_id, selection=EVERY, **fields | more)
    request.retrieve_time.FromDatetime(NOW)
    return request


async def test_a_rollout_of_firmware_is_a_job_that_says_of_which(gateway, failing):
    """The same request again is the same job; with other firmware it is refused."""
    await gateway.journal.commit(CreateChargePoint("CP1", Registration.ACCEPTED, (), NOW))
    roll_out = gateway.client.fleet.RollOutFirmware
    made = (await gateway.call(roll_out, rollout())).fleet_job
    assert made.kind == OPERATION_KIND_INSTALL_FIRMWARE
    assert (made.firmware.location, made.firmware.signature) == ("https://firmware.example/2.bin", "c2ln")
    assert made.firmware.retrieve_time.ToDatetime(UTC) == NOW
    again = (await gateway.call(roll_out, rollout())).fleet_job
    assert again.fleet_job_id == made.fleet_job_id
    assert (await failing(roll_out, rollout(signature="b3RoZXI="))).reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "plain"])
async def test_a_rollout_without_a_time_is_the_same_when_it_is_repeated(gateway, failing, signed):
    """The gateway's own time makes no other request of it; with a time of its own it is one."""
    await gateway.journal.commit(CreateChargePoint("CP1", Registration.ACCEPTED, (), NOW))
    request = rollout()
    request.ClearField("retrieve_time")
    if not signed:
        request.ClearField("signing_certificate")
        request.ClearField("signature")
    roll_out = gateway.client.fleet.RollOutFirmware
    made = (await gateway.call(roll_out, request)).fleet_job
    assert not made.firmware.HasField("retrieve_time")
    assert made.firmware.signature == ("c2ln" if signed else "")
    assert (await gateway.call(roll_out, request)).fleet_job.fleet_job_id == made.fleet_job_id
    request.retrieve_time.CopyFrom(made.create_time)
    assert (await failing(roll_out, request)).reason == "REQUEST_ID_REUSED"


async def test_a_job_sends_what_it_was_given_and_nothing_in_its_place(gateway, failing):
    """With a signature signed firmware, without plain; half a signature makes no job, and the one is not the other."""
    await gateway.journal.commit(CreateChargePoint("CP1", Registration.ACCEPTED, (), NOW))
    roll_out = gateway.client.fleet.RollOutFirmware
    plain = rollout("plain")
    plain.ClearField("signing_certificate")
    assert [name for name, _ in (await failing(roll_out, plain)).violations] == ["signing_certificate"]
    plain.ClearField("signature")
    plain.install_time.FromDatetime(NOW)
    assert [name for name, _ in (await failing(roll_out, plain)).violations] == ["install_time"]
    assert gateway.store.fleet_jobs(False) == []
    plain.ClearField("install_time")
    job = (await gateway.call(roll_out, plain)).fleet_job
    kept = gateway.store.fleet_job(job.fleet_job_id)
    assert kept.operation.own_command == UpdateFirmware("https://firmware.example/2.bin", NOW)
    assert (await failing(roll_out, rollout("plain"))).reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "plain"])
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"location": "https://me:a-password-of-mine@firmware.example/2.bin"}, "location"),
        ({"location": "https://firmware.example/2.bin?token=a-secret-of-mine"}, "location"),
        ({"location": "https://firmware.example/" + "x" * 1000}, "location"),
        ({"signing_certificate": "none"}, "signing_certificate"),
        ({"signature": "not base64!"}, "signature"),
        ({"location": ""}, "location"),
    ],
)
async def test_firmware_that_no_charger_could_take_makes_no_job(gateway, failing, fields, field, signed):
    """Nor does a location with a secret, which the job would keep; the refusal does not repeat it."""
    await gateway.journal.commit(CreateChargePoint("CP1", Registration.ACCEPTED, (), NOW))
    request = rollout(**fields)
    if not signed and field == "location":
        request.ClearField("signing_certificate")
        request.ClearField("signature")
    problem = await failing(gateway.client.fleet.RollOutFirmware, request)
    assert [name for name, _ in problem.violations] == [field]
    assert "of-mine" not in problem.message
    jobs = (await gateway.call(gateway.client.fleet.ListFleetJobs, pb.ListFleetJobsRequest())).fleet_jobs
    assert list(jobs) == []

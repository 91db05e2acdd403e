"""ImportChargePoints over a real server and client, in front of a real store."""

import threading
from contextlib import asynccontextmanager, contextmanager

import grpc
import pytest
import trio

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.api.v1 import common_pb2
from gateway.client import problem_of
from gateway.control import fleet_import
from gateway.control.services import fleet_import as services
from gateway.control.services import request_stream
from gateway.domain.credentials import verify
from gateway.domain.records import CredentialKind
from gateway.domain.values import Registration
from gateway.store.api import EventFilter

KEY = b"\x00\xff:a key in bytes"
REQUEST = pb.ImportChargePointsRequest


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch):
    """The slow hash at its lowest cost: its strength is tested elsewhere."""
    monkeypatch.setattr("gateway.domain.credentials._LOG2_N", 1)


def one(identity="CP1", key=KEY, **fields):
    return pb.ImportedChargePoint(charge_point=pb.ChargePoint(identity=identity, **fields), authorization_key=key)


def header(count, validate_only=False):
    return REQUEST(header=pb.ImportHeader(charge_point_count=count, validate_only=validate_only))


def batch(*charge_points):
    return REQUEST(batch=pb.ImportBatch(charge_points=charge_points))


def asking(*charge_points, validate_only=False, batch_size=1000):
    """The requests of a whole import."""
    parts = [charge_points[start : start + batch_size] for start in range(0, len(charge_points), batch_size)]
    return [header(len(charge_points), validate_only), *(batch(*part) for part in parts)]


async def whole(gateway, requests):
    """All responses, and the problem that it ended with, if any."""
    responses = []

    call = gateway.client.charge_points.ImportChargePoints

    def collect():
        try:
            for response in call(iter(requests), timeout=60):
                responses.append(response)
        except grpc.RpcError as error:
            return problem_of(error)
        return None

    return responses, await trio.to_thread.run_sync(collect)


def faults_of(responses):
    return [
        (each.index, each.field, each.duplicate_of_index if each.HasField("duplicate_of_index") else None, each.exists)
        for response in responses
        for each in response.faults.faults
    ]


async def test_a_fleet_is_made_known_with_its_keys(gateway):
    """Progress, then the result; each charger can come with the key that it has."""
    accepted, pending = (
        one("CP1", registration=common_pb2.REGISTRATION_ACCEPTED),
        one(
            "CP2",
            b"\xfe" * 20,
            registration=common_pb2.REGISTRATION_PENDING,
            description="garage",
            assume_subprotocol=True,
            labels={"site": "north"},
        ),
    )
    responses, problem = await whole(gateway, asking(accepted, pending, one("CP3"), batch_size=2))
    assert problem is None
    assert responses[-1].result.charge_point_count == 3
    stages = [each.progress.stage for each in responses[:-1]]
    assert stages == [pb.IMPORT_STAGE_CHECKING, pb.IMPORT_STAGE_HASHING, pb.IMPORT_STAGE_COMMITTING]
    first, second, third = gateway.store.charge_points("", 10)
    assert [each.identity for each in (first, second, third)] == ["CP1", "CP2", "CP3"]
    assert (second.registration, second.description, second.quirks.assume_subprotocol) == (
        Registration.PENDING, "garage", True,
    )  # fmt: skip
    assert [dict(each.labels) for each in (first, second, third)] == [{}, {"site": "north"}, {}]
    assert third.registration is Registration.ACCEPTED
    for identity, key in (("CP1", KEY), ("CP2", b"\xfe" * 20), ("CP3", KEY)):
        (credential,) = gateway.store.credentials(identity)
        assert credential.kind is CredentialKind.IMPORTED
        assert verify(credential, key)
        assert not verify(credential, key + b"x")


async def test_validating_only_changes_nothing(gateway):
    """Not even a hash is made."""
    responses, problem = await whole(gateway, asking(one("CP1"), one("CP2"), validate_only=True))
    assert problem is None
    assert responses[-1].result.charge_point_count == 2
    assert [each.progress.stage for each in responses[:-1]] == [pb.IMPORT_STAGE_CHECKING]
    assert gateway.store.charge_points("", 10) == []


async def test_all_that_is_wrong_is_reported_and_nothing_is_imported(gateway):
    """Every fault with its charge point and field, the earlier twin, and what is taken; no value of any of them."""
    await gateway.charge_point("TAKEN")
    secret = b"a key that is too long to be one, and secret"
    wrong = [
        one("CP1"),
        one("a/b"),
        one("CP1"),
        one("TAKEN"),
        one("CP2", secret),
        one("CP3", b""),
        one("CP4", description="x" * 1001),
        one("CP5", registration=7),
        one("CP6", etag="1"),
        one(""),
        one("CP1"),
        pb.ImportedChargePoint(),
    ]
    responses, problem = await whole(gateway, asking(*wrong, batch_size=5))
    assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "IMPORT_REFUSED")
    assert problem.metadata == {"wrong_count": "11", "total_count": "12"}
    assert faults_of(responses) == [
        (1, "charge_point.identity", None, False),
        (2, "charge_point.identity", 0, False),
        (3, "charge_point.identity", None, True),
        (4, "authorization_key", None, False),
        (5, "authorization_key", None, False),
        (6, "charge_point.description", None, False),
        (7, "charge_point.registration", None, False),
        (8, "charge_point.etag", None, False),
        (9, "charge_point.identity", None, False),
        (10, "charge_point.identity", 0, False),
        (11, "charge_point.identity", None, False),
        (11, "authorization_key", None, False),
    ]
    assert [each.identity for each in gateway.store.charge_points("", 10)] == ["TAKEN"]
    assert "secret" not in str(responses)


async def test_a_repeated_import_is_answered_that_all_of_it_is_there(gateway):
    """ALREADY_EXISTS; a caller that lost the first answer learns what became of the import."""
    fleet = [one(f"CP{n}") for n in range(1_200)]
    assert (await whole(gateway, asking(*fleet)))[1] is None
    responses, problem = await whole(gateway, asking(*fleet))
    assert (problem.code, problem.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CHARGE_POINT_EXISTS")
    assert len(faults_of(responses)) == 1_200
    assert max(len(each.faults.faults) for each in responses) == fleet_import.MAX_FAULTS_AT_ONCE


async def test_one_that_is_created_meanwhile_keeps_the_fleet_out(gateway, monkeypatch):
    """All or nothing, also for what the check could not see."""
    hashed = fleet_import.FleetImport._hashed

    async def and_another_is_quicker(self, new):
        await gateway.charge_point("CP2")
        return await hashed(self, new)

    monkeypatch.setattr(fleet_import.FleetImport, "_hashed", and_another_is_quicker)
    responses, problem = await whole(gateway, asking(one("CP1"), one("CP2")))
    assert problem.code is grpc.StatusCode.ALREADY_EXISTS
    assert faults_of(responses) == [(1, "charge_point.identity", None, True)]
    assert [each.identity for each in gateway.store.charge_points("", 10)] == ["CP2"]


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "part"),
        ([REQUEST()], "part"),
        ([batch(one())], "part"),
        ([header(0)], "header.charge_point_count"),
        ([header(-1)], "header.charge_point_count"),
        ([header(fleet_import.MAX_CHARGE_POINTS + 1)], "header.charge_point_count"),
        ([header(2), header(2)], "part"),
        ([header(2), batch(one("CP1"))], "header.charge_point_count"),
        ([header(2), batch(one("CP1"), one("CP2")), batch(one("CP3"))], "header.charge_point_count"),
        ([header(2000), batch(*[one(f"CP{n}") for n in range(services.MAX_BATCH + 1)])], "batch.charge_points"),
    ],
)  # fmt: skip
async def test_an_import_that_is_not_whole_is_refused(gateway, requests, field):
    """A stream that was cut off looks like one that ended: the announced number tells them apart."""
    _, problem = await whole(gateway, requests)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [name for name, _ in problem.violations] == [field]
    assert gateway.store.charge_points("", 10) == []


async def test_an_import_has_bounded_size(gateway, monkeypatch):
    """RESOURCE_EXHAUSTED before it is all in memory."""
    monkeypatch.setattr(services, "MAX_FLEET_BYTES", 10_000)
    fleet = [one(f"CP{n}", description="x" * 900) for n in range(20)]
    _, problem = await whole(gateway, asking(*fleet, batch_size=1))
    assert (problem.code, problem.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "IMPORT_TOO_LARGE")


@contextmanager
def hanging_import(gateway, *requests):
    """An import whose client goes quiet after some requests; yields the call."""
    over = threading.Event()

    def send():
        yield from requests
        over.wait(20)

    call = gateway.client.charge_points.ImportChargePoints(send(), timeout=60)
    try:
        yield call
    finally:
        over.set()
        call.cancel()


@asynccontextmanager
async def running_import(gateway, *requests):
    """A hanging import that certainly is the one under way: a probe that came before it is begun again."""
    while True:
        with hanging_import(gateway, *requests) as call:
            while not call.done():
                _, problem = await whole(gateway, [])
                if problem.reason == "IMPORT_RUNNING" and not call.done():
                    yield call, problem
                    return
                await trio.sleep(0.02)


async def test_a_second_import_is_refused_until_the_first_is_over(gateway):
    """One at a time; a client that goes away makes room, and leaves nothing behind."""
    async with running_import(gateway, header(2), batch(one("CP1"))) as (_, problem):
        assert problem.code is grpc.StatusCode.FAILED_PRECONDITION
    for _ in range(200):
        if (await whole(gateway, asking(one("CP9"))))[1] is None:
            break
        await trio.sleep(0.02)
    assert [each.identity for each in gateway.store.charge_points("", 10)] == ["CP9"]


async def test_a_client_that_sends_nothing_more_is_given_up(gateway, monkeypatch):
    """It can't keep others from importing for ever."""
    monkeypatch.setattr(request_stream.RequestStream.__init__, "__defaults__", (0.2,))
    with hanging_import(gateway, header(2)) as call:
        problem = problem_of(await trio.to_thread.run_sync(call.exception))
    assert (problem.code, problem.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "NOTHING_SENT")


async def test_a_drain_ends_an_import_that_is_being_received(gateway):
    """UNAVAILABLE at once, without waiting for the client."""
    async with running_import(gateway, header(2)) as (call, _):
        gateway.server.drain(600.0)
        with trio.fail_after(60):
            problem = problem_of(await trio.to_thread.run_sync(call.exception))
    assert problem.code is grpc.StatusCode.UNAVAILABLE


async def test_a_drain_ends_an_import_that_is_hashing_and_nothing_is_done(gateway, monkeypatch):
    """It can be repeated with the next gateway."""

    async def never(self, new):
        await trio.sleep_forever()

    monkeypatch.setattr(fleet_import.FleetImport, "_hashed", never)
    call = gateway.client.charge_points.ImportChargePoints(iter(asking(one("CP1"))), timeout=120)

    def until_hashing():
        return any(each.progress.stage == pb.IMPORT_STAGE_HASHING for each in call)

    assert await trio.to_thread.run_sync(until_hashing)
    gateway.server.drain(600.0)
    with trio.fail_after(60):
        problem = problem_of(await trio.to_thread.run_sync(call.exception))
    assert problem.code is grpc.StatusCode.UNAVAILABLE
    assert gateway.store.charge_points("", 10) == []
    assert gateway.store.events(0, 10, EventFilter()).events == ()

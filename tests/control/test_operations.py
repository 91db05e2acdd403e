"""OperationService: every way in which a request can end, and operations that are shown, listed and watched."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import grpc
import pytest
import trio

from gateway.api.v1 import operation_pb2 as pb
from gateway.bridge import Overloaded
from gateway.charging.wishes import LiftLimit, SetLimit
from gateway.client import problem_of
from gateway.control.convert.security_arguments import made_request_id
from gateway.control.outcomes import OPERATIONS, Effect, RpcOutcome
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.commands import FieldViolation, RefusalReason, Refused, Unknown, UpdateFirmware
from gateway.domain.events import OperationAccepted, OperationAdvanced, OperationEnded
from gateway.domain.operations import (
    End,
    OperationKind,
    OperationRefusal,
    OperationRefused,
    OperationRequest,
    Stage,
)
from gateway.domain.records import IdTagRecord, LiveSession
from gateway.domain.rotations import rotation_request
from gateway.domain.security_commands import GetLog, LogType, SignedUpdateFirmware
from gateway.domain.steering import RateLimit, StandingLimit
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress
from gateway.store.commits import PutIdTag
from tests.control.fakes import NOW, control
from tests.store.builders import of

ONE = ConnectorAddress(1, 1)
REQUEST = OperationRequest(OperationKind.START_CHARGING, ONE, "TAG")


def start(request_id: str = "r1", **more: Any) -> pb.StartChargingRequest:
    fields = {
        "charge_point": "CP1",
        "request_id": request_id,
        "id_tag": "TAG",
        "connector": {"evse": 1, "connector": 1},
    }
    return pb.StartChargingRequest(**{**fields, **more})


@asynccontextmanager
async def gateway(path):
    """The control interface with the charge point CP1, its epoch, and the tags TAG and BLOCKED."""
    async with control(path) as running:
        epoch = await running.charge_point()
        for tag, status in (("TAG", "Accepted"), ("BLOCKED", "Blocked")):
            await running.journal.commit(PutIdTag(IdTagRecord(tag, status, NOW, NOW), create=True))
        yield running, epoch


async def recorded(running, epoch, operation_id="op_1", request_id="r1", request=REQUEST):
    """An operation on disk, as a session commits it; its record."""
    body = OperationAccepted(operation_id, request_id, request, NOW + timedelta(minutes=1))
    await running.append("CP1", epoch, body, cause="")
    return running.store.operation(operation_id)


async def ends(running, request, timeout=60):
    """The problem in which a call ends; None: it returned."""
    stub = running.client.operations
    rpc = stub.StartCharging if isinstance(request, pb.StartChargingRequest) else stub.StopCharging
    try:
        await running.call(rpc, request, timeout)
    except grpc.RpcError as error:
        return problem_of(error)
    return None


# --- the table ----------------------------------------------------------------------------------------------------


def answers(outcome: object) -> Callable[..., None]:
    """The session says that."""

    def arrange(running, monkeypatch):
        running.commands.operation = outcome
        return start()

    return arrange


def refuses(reason: OperationRefusal) -> Callable[..., None]:
    return answers(OperationRefused(reason, "because", {"detail": "x"}))


def declines(reason: RefusalReason) -> Callable[..., None]:
    return answers(Refused(reason, "because"))


def sends(request: Any) -> Callable[..., None]:
    return lambda running, monkeypatch: request


def raises(error: Exception) -> Callable[..., None]:
    def arrange(running, monkeypatch):
        async def operate(*_: object) -> None:
            raise error

        monkeypatch.setattr(type(running.commands), "operate", operate)
        return start()

    return arrange


def overloaded(running, monkeypatch):
    async def call(*_: object) -> None:
        raise Overloaded("too many calls are under way")

    monkeypatch.setattr(running.bridge, "call", call)
    return start()


def stalls(running, monkeypatch):
    running.commands.wait = 30.0
    return start()


WALKED: dict[str, Callable[..., Any]] = {
    "malformed-operation": sends(start(id_tag="")),
    "operation-that-can-not-be-sent": declines(RefusalReason.INVALID_COMMAND),
    "operation-id-reused": sends(start("used")),
    "operation-of-no-charge-point": sends(start(charge_point="CP9")),
    "operation-of-an-absent-charge-point": declines(RefusalReason.CHARGE_POINT_OFFLINE),
    "operation-of-a-pending-charge-point": declines(RefusalReason.CHARGE_POINT_PENDING),
    "operation-of-a-rejected-charge-point": declines(RefusalReason.CHARGE_POINT_REJECTED),
    "tag-not-accepted": sends(start(id_tag="BLOCKED")),
    "no-such-connector": refuses(OperationRefusal.UNKNOWN_CONNECTOR),
    "connector-out-of-order": refuses(OperationRefusal.CONNECTOR_UNAVAILABLE),
    "connector-reserved": refuses(OperationRefusal.CONNECTOR_RESERVED),
    "not-plugged-in": refuses(OperationRefusal.NOT_PLUGGED_IN),
    "occupied": refuses(OperationRefusal.TRANSACTION_OPEN),
    "asked-for-already": refuses(OperationRefusal.OPERATION_OPEN),
    "upgrade-without-its-needs": refuses(OperationRefusal.PREREQUISITE_MISSING),
    "upgrade-to-what-it-has": refuses(OperationRefusal.PROFILE_NOT_HIGHER),
    "nothing-to-stop": refuses(OperationRefusal.NO_TRANSACTION),
    "too-much-to-stop": refuses(OperationRefusal.SEVERAL_TRANSACTIONS),
    "too-many-operations": refuses(OperationRefusal.TOO_MANY_OPERATIONS),
    "operation-and-a-full-queue": declines(RefusalReason.QUEUE_FULL),
    "no-room-for-an-operation": overloaded,
    "no-time-to-begin": sends(start()),
    "no-operation-while-draining": declines(RefusalReason.DRAINING),
    "operation-and-a-node-unreachable": declines(RefusalReason.NODE_UNREACHABLE),
    "store-takes-no-operation": declines(RefusalReason.STORE_UNAVAILABLE),
    "operation-in-doubt": answers(Unknown("r1", "store-unavailable", "the store failed")),
    "deadline-while-beginning": stalls,
    "bug-while-beginning": raises(KeyError("the secret of the house")),
}

SECONDS = {"no-time-to-begin": 0.24, "deadline-while-beginning": 1.0}


@pytest.mark.parametrize("row", [each for each in OPERATIONS if each.status != "OK"], ids=lambda row: row.name)
async def test_a_request_ends_as_the_table_says(tmp_path, monkeypatch, row: RpcOutcome):
    """With the reason, its metadata and no operation on disk."""
    async with gateway(tmp_path) as (running, epoch):
        await recorded(running, epoch, "op_used", "used", OperationRequest(OperationKind.STOP_CHARGING))
        request = WALKED[row.name](running, monkeypatch)
        found = await ends(running, request, SECONDS.get(row.name, 10.0))
        assert found is not None
        assert (found.code.name, found.reason) == (row.status, row.reason)
        assert set(row.metadata) <= set(found.metadata)
        assert found.metadata.get("cause", "") == row.cause
        assert "secret" not in str(found)
        asked = [each for each in running.commands.calls if isinstance(each[1], OperationRequest)]
        if row.name in ("tag-not-accepted", "operation-id-reused", "malformed-operation", "no-time-to-begin"):
            assert asked == []


def test_every_row_is_brought_about():
    """And no row invites to repeat blindly what may have been begun."""
    assert WALKED.keys() | {"begun"} == {row.name for row in OPERATIONS}
    for row in OPERATIONS:
        if row.status in ("UNAVAILABLE", "ABORTED"):
            assert row.effect is Effect.NOTHING
        if row.reason == "OUTCOME_UNKNOWN" or row.status == "UNKNOWN":
            assert (row.status, row.reason, row.effect) == ("UNKNOWN", "OUTCOME_UNKNOWN", Effect.MAYBE)


# --- pauses and limits --------------------------------------------------------------------------------------------


def limit(**more: Any) -> pb.LimitChargingRequest:
    fields = {
        "charge_point": "CP1",
        "request_id": "r1",
        "connector": {"evse": 1, "connector": 1},
        "limit": {"value": 16.1, "unit": 1},
    }
    return pb.LimitChargingRequest(**{**fields, **more})


async def test_a_limit_of_a_connected_charger_is_wanted_and_followed(tmp_path):
    """The wanted state and the operation are recorded together, and the session looks after it."""
    async with gateway(tmp_path) as (running, _):
        running.commands.connections["CP1"] = LiveSession(1, NOW)
        stub = running.client.operations
        operation = (await running.call(stub.LimitCharging, limit(pause_below_minimum=True))).operation
        assert (operation.kind, operation.limit.value, operation.end) == (5, 16.1, 0)
        ((identity, request),) = running.wanted.changes
        assert (identity, request.connector, request.pause_below_minimum) == ("CP1", ONE, True)
        assert request.change == SetLimit(StandingLimit(RateLimit(Decimal("16.1"), ChargingRateUnit.AMPERE)))
        assert ("begun", "CP1") in running.commands.notified
        again = (await running.call(stub.LimitCharging, limit(pause_below_minimum=True))).operation
        assert again == operation
        assert len(running.wanted.changes) == 1


async def test_a_pause_of_an_absent_charger_is_kept_and_ends(tmp_path):
    """The operation says so at once; a resume lifts what was set."""
    async with gateway(tmp_path) as (running, _):
        stub = running.client.operations
        request = pb.PauseChargingRequest(charge_point="CP1", request_id="r1")
        operation = (await running.call(stub.PauseCharging, request)).operation
        assert (operation.end, operation.reason) == (pb.OperationEnd.OPERATION_END_OFFLINE, "kept")
        await running.call(stub.ResumeCharging, pb.ResumeChargingRequest(charge_point="CP1", request_id="r2"))
        pause, resume = (each for _, each in running.wanted.changes)
        assert pause.connector == resume.connector == WHOLE_CHARGE_POINT
        assert pause.change == SetLimit(StandingLimit(RateLimit(Decimal(0), ChargingRateUnit.AMPERE)))
        assert resume.change == LiftLimit()


async def test_a_limit_that_can_not_be_is_refused(tmp_path):
    """By the interface where it is malformed, and by the rules of what is wanted."""
    async with gateway(tmp_path) as (running, _):
        stub = running.client.operations
        with pytest.raises(grpc.RpcError) as error:
            await running.call(stub.LimitCharging, limit(limit={"value": 16.1}))
        assert problem_of(error.value).violations == (("limit.unit", "must be set"),)
        violation = FieldViolation("limit", "is too low")
        running.wanted.refused = Refused(RefusalReason.INVALID_COMMAND, "it can't be", (violation,))
        with pytest.raises(grpc.RpcError) as error:
            await running.call(stub.LimitCharging, limit())
        problem = problem_of(error.value)
        assert (problem.reason, problem.violations) == ("INVALID_COMMAND", (("limit", "is too low"),))
        assert running.store.find_operations(of(), "", 10).records == []


# --- operations ---------------------------------------------------------------------------------------------------


async def test_an_operation_is_begun_and_answered_at_once(tmp_path):
    """With all that it was asked for, in the caller's time, two minutes at most."""
    async with gateway(tmp_path) as (running, epoch):
        running.commands.operation = await recorded(running, epoch, request_id="other")
        response = await running.call(running.client.operations.StartCharging, start(), 600.0)
        identity, request, request_id, seconds = running.commands.calls[-1]
        assert (identity, request, request_id, seconds) == ("CP1", REQUEST, "r1", 120.0)
        operation = response.operation
        assert (operation.operation_id, operation.kind, operation.id_tag) == ("op_1", 1, "TAG")
        assert [each.stage for each in operation.stages] == [pb.OperationStage.OPERATION_STAGE_ACCEPTED]
        assert operation.end == pb.OperationEnd.OPERATION_END_UNSPECIFIED


async def test_a_repeated_request_returns_the_operation_as_it_is(tmp_path):
    """Whatever would be refused by now, and without a word to the session."""
    async with gateway(tmp_path) as (running, epoch):
        blocked = OperationRequest(OperationKind.START_CHARGING, ONE, "BLOCKED")
        await recorded(running, epoch, request=blocked)
        await running.append("CP1", epoch, OperationEnded("op_1", End.REFUSED, "Rejected"), cause="")
        response = await running.call(running.client.operations.StartCharging, start(id_tag="BLOCKED"))
        assert (response.operation.operation_id, response.operation.reason) == ("op_1", "Rejected")
        assert running.commands.calls == []


async def test_a_caller_that_insists_is_not_held_up_by_the_tag(tmp_path):
    """The session is asked, with the word."""
    async with gateway(tmp_path) as (running, epoch):
        running.commands.operation = await recorded(running, epoch, request_id="other")
        await running.call(running.client.operations.StartCharging, start(id_tag="BLOCKED", insist=True))
        assert running.commands.calls[-1][1].insist


async def test_a_stop_names_a_transaction_or_a_connector(tmp_path):
    """Or neither."""
    async with gateway(tmp_path) as (running, epoch):
        running.commands.operation = await recorded(running, epoch, request_id="other")
        request = pb.StopChargingRequest(charge_point="CP1", request_id="r2", transaction_id="tx_1")
        await running.call(running.client.operations.StopCharging, request)
        assert running.commands.calls[-1][1] == OperationRequest(OperationKind.STOP_CHARGING, None, "", "tx_1")


async def test_operations_are_shown_and_listed(tmp_path):
    """The newest first, a page at a time; one that is not there is NOT_FOUND."""
    async with gateway(tmp_path) as (running, epoch):
        for number in range(5):
            await recorded(running, epoch, f"op_{number}", f"r{number}")
        stub, found = running.client.operations, []
        request = pb.ListOperationsRequest(charge_point="CP1", page_size=2)
        while True:
            page = await running.call(stub.ListOperations, request)
            found += [each.operation_id for each in page.operations]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert found == ["op_4", "op_3", "op_2", "op_1", "op_0"]
        shown = await running.call(stub.GetOperation, pb.GetOperationRequest(operation_id="op_3"))
        assert shown.operation.request_id == "r3"
        with pytest.raises(grpc.RpcError) as error:
            await running.call(stub.GetOperation, pb.GetOperationRequest(operation_id="op_9"))
        assert problem_of(error.value).reason == "UNKNOWN_OPERATION"


async def test_a_watch_tells_each_stage_until_the_end(tmp_path):
    """And one that resumes misses none, also of an operation that has ended."""
    async with gateway(tmp_path) as (running, epoch):
        await recorded(running, epoch)
        seen: list[pb.Operation] = []
        began, second = trio.Event(), trio.Event()

        def watch(after: int, into: list[pb.Operation]) -> None:
            request = pb.WatchOperationRequest(operation_id="op_1", after_sequence=after)
            for response in running.client.operations.WatchOperation(request, timeout=60):
                into.append(response.operation)
                trio.from_thread.run_sync(began.set if len(into) == 1 else second.set)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, watch, 0, seen)
            await began.wait()
            await recorded(running, epoch, "op_2", "r2")  # those of others are left out
            await running.append("CP1", epoch, OperationAdvanced("op_1", Stage.SENT, "cmd_1"), cause="")
            await second.wait()
            await running.append("CP1", epoch, OperationEnded("op_1", End.REFUSED, "Rejected"), cause="")
        assert [len(each.stages) for each in seen] == [1, 2, 2]
        assert (seen[-1].end, seen[-1].reason, seen[-1].command_id) == (3, "Rejected", "cmd_1")
        assert sorted({each.sequence for each in seen}) == [each.sequence for each in seen]
        again: list[pb.Operation] = []
        await trio.to_thread.run_sync(watch, seen[1].sequence, again)
        assert again == seen[2:]
        none: list[pb.Operation] = []
        await trio.to_thread.run_sync(watch, seen[2].sequence, none)
        assert none == []


async def test_a_watch_of_nothing_is_not_found(tmp_path):
    """A mistyped id is not waited for."""
    async with gateway(tmp_path) as (running, _):

        def watch() -> None:
            list(running.client.operations.WatchOperation(pb.WatchOperationRequest(operation_id="op_9"), timeout=60))

        with pytest.raises(grpc.RpcError) as error:
            await trio.to_thread.run_sync(watch)
        assert problem_of(error.value).reason == "UNKNOWN_OPERATION"


async def test_a_rotation_of_a_key_is_begun_and_shown(tmp_path):
    """It needs no more than its charge point and a request id; what is shown of it holds no key."""
    async with gateway(tmp_path) as (running, epoch):
        rotation = OperationRequest(OperationKind.ROTATE_AUTHORIZATION_KEY)
        running.commands.operation = await recorded(running, epoch, request=rotation)
        request = pb.RotateAuthorizationKeyRequest(charge_point="CP1", request_id="r2")
        response = await running.call(running.client.operations.RotateAuthorizationKey, request, 10.0)
        assert running.commands.calls[-1][1] == rotation
        with_reset = pb.RotateAuthorizationKeyRequest(charge_point="CP1", request_id="r4", reset=True, insist=True)
        await running.call(running.client.operations.RotateAuthorizationKey, with_reset, 10.0)
        assert running.commands.calls[-1][1] == rotation_request(reset=True, insist=True)
        alone = pb.RotateAuthorizationKeyRequest(charge_point="CP1", request_id="r5", insist=True)
        with pytest.raises(grpc.RpcError) as refused:
            await running.call(running.client.operations.RotateAuthorizationKey, alone, 10.0)
        assert [name for name, _ in problem_of(refused.value).violations] == ["insist"]
        assert response.operation.kind == pb.OperationKind.OPERATION_KIND_ROTATE_AUTHORIZATION_KEY
        nameless = pb.RotateAuthorizationKeyRequest(request_id="r3")
        with pytest.raises(grpc.RpcError) as refused:
            await running.call(running.client.operations.RotateAuthorizationKey, nameless, 10.0)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


MAINTENANCE = [
    (
        pb.UploadLogRequest(charge_point="CP1", request_id="r2", log_type=1, location="ftp://u:S3cret@h/", retries=1),
        "UploadLog",
        GetLog(LogType.DIAGNOSTICS, made_request_id("r2"), "ftp://u:S3cret@h/", 1),
        {"log_type", "location"},
    ),
    (
        pb.InstallFirmwareRequest(
            charge_point="CP1",
            request_id="r2",
            location="https://h/f",
            retrieve_time=NOW,
            signing_certificate="pem",
            signature="c2ln",
            ocpp_request_id=3,
        ),
        "InstallFirmware",
        SignedUpdateFirmware(3, "https://h/f", NOW, "pem", "c2ln"),
        {"location"},  # without a signature it is plain firmware
    ),
    (
        pb.InstallFirmwareRequest(
            charge_point="CP1", request_id="r2", location="ftp://u:S3cret@h/f?token=S3cret", retries=2
        ),
        "InstallFirmware",
        UpdateFirmware("ftp://u:S3cret@h/f?token=S3cret", None, 2),
        {"location"},
    ),
    (pb.RenewCertificateRequest(charge_point="CP1", request_id="r2"), "RenewCertificate", None, set()),
]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"signature": "c2ln"}, {"signing_certificate"}),
        ({"signing_certificate": "pem"}, {"signature"}),
        ({"install_time": NOW, "ocpp_request_id": 0}, {"install_time", "ocpp_request_id"}),
    ],
)
async def test_half_a_signature_is_none_and_plain_firmware_has_nothing_of_it(tmp_path, fields, wrong):
    """A slip sends no charger firmware that it would not verify."""
    async with gateway(tmp_path) as (running, _):
        request = pb.InstallFirmwareRequest(charge_point="CP1", request_id="r", location="https://h/f", **fields)
        with pytest.raises(grpc.RpcError) as refused:
            await running.call(running.client.operations.InstallFirmware, request, 10.0)
        assert {name for name, _ in problem_of(refused.value).violations} == wrong
        assert running.commands.calls == []


@pytest.mark.parametrize(("request_", "rpc", "command", "fields"), MAINTENANCE)
async def test_work_of_the_security_extension_is_begun_and_shown(tmp_path, request_, rpc, command, fields):
    """The command reaches the session whole; on disk, and shown, it has no password."""
    async with gateway(tmp_path) as (running, epoch):
        stub = getattr(running.client.operations, rpc)
        running.commands.operation = await recorded(running, epoch)
        await running.call(stub, request_, 10.0)
        wanted = running.commands.calls[-1][1]
        assert wanted.own_command == command
        kept = await recorded(running, epoch, "op_2", "r2", wanted)
        assert kept.request == wanted
        assert kept.request.own_command is None
        again = await running.call(stub, request_, 10.0)
        assert again.operation.operation_id == "op_2"
        assert "S3cret" not in str(again)
        assert ("location" in again.operation.arguments_json) is (command is not None)
        request_.request_id = "r3"
        for field, _ in request_.ListFields():
            if field.name not in ("charge_point", "request_id"):
                request_.ClearField(field.name)
        if fields:
            with pytest.raises(grpc.RpcError) as refused:
                await running.call(stub, request_, 10.0)
            assert {field for field, _ in problem_of(refused.value).violations} == fields

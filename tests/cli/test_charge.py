"""`gateway charge`: what is asked for, what is shown while it goes on, and how each end ends the command."""

import json

import grpc
import pytest

from gateway.api.v1 import operation_pb2 as pb
from gateway.api.v1.common_pb2 import ConnectorAddress
from tests.cli.fakes import Failure, at

ONE = ConnectorAddress(evse=1, connector=1)
T0 = at("2024-05-01T10:00:00Z")


def operation(*stages: str, end: str = "UNSPECIFIED", reason: str = "", kind: int = 1) -> pb.Operation:
    """An operation that has reached these stages."""
    reached = [
        pb.OperationStageReached(
            stage=pb.OperationStage.Value(f"OPERATION_STAGE_{each}"), reach_time=T0, sequence=number
        )
        for number, each in enumerate(("ACCEPTED", *stages), 1)
    ]
    return pb.Operation(
        operation_id="op_1",
        charge_point="HOME-1",
        kind=kind,
        stages=reached,
        end=pb.OperationEnd.Value(f"OPERATION_END_{end}"),
        reason=reason,
        create_time=T0,
        sequence=len(reached),
    )


def watched(fake, *operations: pb.Operation) -> None:
    """The operation is begun, and the watch shows it so."""
    fake.answers["StartCharging"] = pb.StartChargingResponse(operation=operation())
    fake.answers["StopCharging"] = pb.StopChargingResponse(operation=operation(kind=2))
    fake.answers["WatchOperation"] = [pb.WatchOperationResponse(operation=each) for each in operations]


def test_a_start_is_followed_to_its_end(fake, run):
    """Each stage once, on standard error; the end on standard output."""
    watched(
        fake,
        operation(),
        operation("SENT", "CHARGER_ACCEPTED"),
        operation("SENT", "CHARGER_ACCEPTED", "TRANSACTION_STARTED", "POWER_RISEN", end="DONE"),
    )
    result = run("charge", "start", "HOME-1", "--tag", "TAG", "--connector", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout == "HOME-1: start charging: done\n"
    shown = [line.split("  ")[-1] for line in result.stderr.splitlines()]
    assert shown == ["accepted", "sent", "charger accepted", "transaction started", "power risen"]
    (request,) = fake.asked("StartCharging")
    assert (request.charge_point, request.id_tag, request.connector, request.insist) == ("HOME-1", "TAG", ONE, False)
    assert request.request_id


@pytest.mark.parametrize(
    ("end", "reason", "code"),
    [
        ("NO_EFFECT", "never-started", 1),
        ("REFUSED", "Rejected", 3),
        ("OFFLINE", "disconnected", 5),
        ("NOT_SENT", "deadline", 5),
        ("TIMED_OUT", "never-started", 6),
        ("UNKNOWN", "no-readings", 6),
    ],
)
def test_each_end_has_its_exit_code(fake, run, end, reason, code):
    """With the reason; as JSON for programs, and the operation on standard output."""
    watched(fake, operation("SENT", end=end, reason=reason))
    result = run("charge", "start", "HOME-1", "--tag", "TAG")
    assert result.exit_code == code
    words = end.lower().replace("_", " ")
    assert f"error: HOME-1: start charging: {words} ({reason})" in result.stderr
    watched(fake, operation("SENT", end=end, reason=reason))
    result = run("charge", "start", "HOME-1", "--tag", "TAG", "--json")
    assert json.loads(result.stdout)["reason"] == reason
    error = json.loads(result.stderr)["error"]
    assert (error["exit_code"], error["reason"]) == (code, end)
    assert error["metadata"] == {"charge_point": "HOME-1", "operation_id": "op_1"}


def test_a_stop_names_its_transaction(fake, run):
    """Or the connector, or neither."""
    watched(fake, operation("SENT", "TRANSACTION_STOPPED", end="DONE", kind=2))
    assert run("charge", "stop", "HOME-1", "--transaction", "tx_1").exit_code == 0
    (request,) = fake.asked("StopCharging")
    assert (request.transaction_id, request.HasField("connector")) == ("tx_1", False)


def test_without_waiting_it_returns_when_it_is_accepted(fake, run):
    """And says how to look."""
    watched(fake)
    result = run("charge", "start", "HOME-1", "--tag", "TAG", "--anyway", "--no-wait", "--request-id", "night-1")
    assert result.exit_code == 0
    assert "gateway charge show op_1" in result.stderr
    (request,) = fake.asked("StartCharging")
    assert (request.insist, request.request_id) == (True, "night-1")
    assert fake.asked("WatchOperation") == []


def test_a_refusal_beforehand_is_nothing_sent(fake, run):
    """Exit code 5, with the gateway's reason."""
    fake.answers["StartCharging"] = Failure(
        grpc.StatusCode.FAILED_PRECONDITION, "the connector is Faulted", "CONNECTOR_UNAVAILABLE", {"status": "Faulted"}
    )
    result = run("charge", "start", "HOME-1", "--tag", "TAG")
    assert result.exit_code == 5
    assert "the connector is Faulted [CONNECTOR_UNAVAILABLE]" in result.stderr


def test_a_watch_that_breaks_says_that_it_goes_on(fake, run):
    """The outcome is not known here."""
    watched(fake)
    fake.answers["WatchOperation"] = [
        pb.WatchOperationResponse(operation=operation("SENT")),
        Failure(grpc.StatusCode.UNAVAILABLE, "the gateway is stopping", "DRAINING"),
    ]
    result = run("charge", "start", "HOME-1", "--tag", "TAG")
    assert result.exit_code == 6
    assert "it goes on: gateway charge show op_1" in result.stderr


def test_operations_are_listed_and_shown(fake, run):
    """With their ends and reasons, or the stage of one that is open."""
    ended = operation("SENT", end="REFUSED", reason="Rejected")
    fake.answers["ListOperations"] = pb.ListOperationsResponse(operations=[operation("SENT"), ended])
    result = run("charge", "list", "--charger", "HOME-1")
    assert result.exit_code == 0, result.output
    assert "refused (Rejected)" in result.stdout
    assert "sent" in result.stdout
    fake.answers["GetOperation"] = pb.GetOperationResponse(operation=ended)
    result = run("charge", "show", "op_1")
    assert "start charging" in result.stdout
    assert "refused (Rejected)" in result.stdout
    assert json.loads(run("charge", "show", "op_1", "--json").stdout)["operation_id"] == "op_1"


def test_charging_is_paused_limited_and_resumed(fake, run):
    """By connector, or the whole charger; a limit has one unit."""
    done = operation("SENT", "CHARGER_ACCEPTED", end="DONE", kind=5)
    for method, response in (
        ("PauseCharging", pb.PauseChargingResponse),
        ("ResumeCharging", pb.ResumeChargingResponse),
        ("LimitCharging", pb.LimitChargingResponse),
    ):
        fake.answers[method] = response(operation=operation(kind=5))
    fake.answers["WatchOperation"] = [pb.WatchOperationResponse(operation=done)]
    assert run("charge", "pause", "HOME-1").exit_code == 0
    assert run("charge", "resume", "HOME-1", "--connector", 1).exit_code == 0
    assert run("charge", "limit", "HOME-1", "--amps", 10.5).exit_code == 0
    assert run("charge", "limit", "HOME-1", "--watts", 0, "--no-wait").exit_code == 0
    assert run("charge", "limit", "HOME-1", "--watts", 3680, "--phases", 1).exit_code == 0
    assert not fake.asked("PauseCharging")[0].HasField("connector")
    assert fake.asked("ResumeCharging")[0].connector == ONE
    amperes, watts, phased = fake.asked("LimitCharging")
    assert (amperes.limit.value, amperes.limit.unit) == (10.5, 1)
    assert (watts.limit.value, watts.limit.unit, watts.limit.HasField("number_phases")) == (0.0, 2, False)
    assert (phased.limit.value, phased.limit.number_phases) == (3680.0, 1)
    for wrong in ((), ("--amps", 1, "--watts", 1)):
        assert run("charge", "limit", "HOME-1", *wrong).exit_code == 2


def test_a_limit_that_is_kept_is_not_sent(fake, run):
    """Of a charger that is offline: exit code 5, and the reason says that it is kept."""
    kept = operation(end="OFFLINE", reason="kept", kind=3)
    fake.answers["PauseCharging"] = pb.PauseChargingResponse(operation=kept)
    fake.answers["WatchOperation"] = [pb.WatchOperationResponse(operation=kept)]
    result = run("charge", "pause", "HOME-1")
    assert result.exit_code == 5
    assert "pause charging: offline (kept)" in result.stderr

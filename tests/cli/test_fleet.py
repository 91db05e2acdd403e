"""`gateway fleet`: what is asked for, how a job is followed, and how its end ends the command."""

import json
import re
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from gateway.api.v1 import fleet_pb2 as pb
from gateway.api.v1.charge_point_pb2 import ChargePoint, ListChargePointsResponse
from gateway.api.v1.operation_pb2 import OPERATION_KIND_RENEW_CERTIFICATE, OPERATION_STAGE_DOWNLOADING
from gateway.cli.exit_codes import ExitCode
from tests.cli.fakes import Failure, at

T0 = at("2024-05-01T10:00:00Z")


def job(end: str = "UNSPECIFIED", **counts: int) -> pb.FleetJob:
    return pb.FleetJob(
        fleet_job_id="fleet_1",
        kind=6,
        pace=pb.FleetPace(per_minute=60, at_once=20),
        create_time=T0,
        end=pb.FleetEnd.Value(f"FLEET_END_{end}"),
        counts=[
            pb.FleetCount(outcome=pb.FleetOutcome.Value(f"FLEET_OUTCOME_{name}"), count=count)
            for name, count in counts.items()
        ],
    )


def follows(fake, *jobs: pb.FleetJob) -> None:
    fake.answers["RotateAuthorizationKeys"] = pb.RotateAuthorizationKeysResponse(fleet_job=jobs[0])
    fake.answers["GetFleetJob"] = pb.GetFleetJobResponse(fleet_job=jobs[0])
    fake.answers["WatchFleetJob"] = [pb.WatchFleetJobResponse(fleet_job=each) for each in jobs]


def test_keys_of_a_fleet_are_rotated_and_followed(fake, run):
    """Progress on standard error, the end on standard output; the request says of which, and how fast."""
    follows(fake, job(WAITING=2), job(WAITING=1, UNDER_WAY=1), job("DONE", DONE=2))
    paced = ("--per-minute", 30, "--at-once", 5, "--max-failures", 7)
    result = run("fleet", "rotate-keys", "--label", "site=north", *paced, "--reset")
    assert (result.exit_code, result.stdout) == (0, "fleet_1: done: 2 done\n")
    assert "1 waiting, 1 under way" in result.stderr
    (request,) = fake.asked("RotateAuthorizationKeys")
    assert (dict(request.selection.labels), request.selection.every) == ({"site": "north"}, False)
    assert (request.pace.per_minute, request.pace.at_once, request.max_failures) == (30, 5, 7)
    assert (request.reset, request.insist) == (True, False)
    assert request.request_id


@pytest.mark.parametrize("end", ["DONE", "CANCELLED", "EXPIRED", "TOO_MANY_FAILURES"])
def test_an_end_without_all_done_is_a_failure(fake, run, end):
    """With the counts; as JSON, too."""
    follows(fake, job(end, DONE=1, REFUSED=2))
    result = run("fleet", "rotate-keys", "--every")
    assert result.exit_code == 1
    assert f"fleet_1: {end.lower().replace('_', ' ')}: 1 done, 2 refused" in result.stderr
    result = run("fleet", "watch", "fleet_1", "--json")
    assert json.loads(result.stdout)["fleet_job_id"] == "fleet_1"
    assert json.loads(result.stderr)["error"]["reason"] == end


def test_a_job_that_is_not_waited_for_is_named(fake, run):
    follows(fake, job(WAITING=2))
    result = run("fleet", "rotate-keys", "--charger", "A", "--charger", "B", "--no-wait")
    assert result.exit_code == 0
    assert "gateway fleet watch fleet_1 follows it" in result.stderr
    assert list(fake.asked("RotateAuthorizationKeys")[0].selection.charge_points) == ["A", "B"]


def test_jobs_are_listed_shown_and_cancelled(fake, run):
    """With what has become of their chargers."""
    fake.answers["ListFleetJobs"] = pb.ListFleetJobsResponse(fleet_jobs=[job(WAITING=1, DONE=3)])
    _, line = run("fleet", "list").stdout.splitlines()
    assert "rotate authorization key" in line
    assert "running" in line
    assert "1 waiting, 3 done" in line
    follows(fake, job(WAITING=1))
    assert "60 a minute, 20 at once" in run("fleet", "show", "fleet_1").stdout
    fake.answers["CancelFleetJob"] = pb.CancelFleetJobResponse(fleet_job=job(NOT_BEGUN=1))
    assert run("fleet", "cancel", "fleet_1").stdout == "fleet_1 begins nothing more: 1 not begun\n"
    item = pb.FleetJobItem(charge_point="A", outcome=pb.FLEET_OUTCOME_REFUSED, operation_id="op_1", reason="Rejected")
    fake.answers["ListFleetJobItems"] = pb.ListFleetJobItemsResponse(items=[item])
    _, line = run("fleet", "items", "fleet_1", "--outcome", "refused").stdout.splitlines()
    assert line.split() == ["A", "refused", "Rejected", "op_1"]
    (request,) = fake.asked("ListFleetJobItems")
    assert request.outcome == pb.FLEET_OUTCOME_REFUSED


def test_certificates_that_end_soon_are_renewed(fake, run):
    """Those that end within the days, and those that have ended; where there are none, no job is made."""
    fake.answers["ListChargePoints"] = ListChargePointsResponse(
        charge_points=[ChargePoint(identity="A"), ChargePoint(identity="C")]
    )
    follows(fake, job("DONE", DONE=2))
    fake.answers["RenewCertificates"] = pb.RenewCertificatesResponse(fleet_job=job(WAITING=2))
    result = run("fleet", "renew-certificates", "--expiring-within", 30, "--label", "site=north", "--per-minute", 5)
    assert result.exit_code == 0, result.output
    (request,) = fake.asked("RenewCertificates")
    assert list(request.selection.charge_points) == ["A", "C"]
    assert request.pace.per_minute == 5
    (listed,) = fake.asked("ListChargePoints")
    assert dict(listed.labels) == {"site": "north"}
    before = re.fullmatch(r'certificate_expire_time < "(.*)"', listed.filter)
    assert before is not None
    days = (datetime.fromisoformat(before[1]) - datetime.now(UTC)) / timedelta(days=1)
    assert 29.9 < days <= 30
    fake.answers["ListChargePoints"] = ListChargePointsResponse()
    result = run("fleet", "renew-certificates", "--expiring-within", 30)
    assert result.exit_code == 0
    assert "no charger's certificate ends within 30 days" in result.stderr
    assert json.loads(run("fleet", "renew-certificates", "--expiring-within", 30, "--json").stdout) == {}
    assert run("fleet", "renew-certificates", "--every", "--no-wait").exit_code == 0
    assert fake.asked("RenewCertificates")[-1].selection.every
    assert run("fleet", "renew-certificates", "--every", "--expiring-within", 1).exit_code == 2


def test_a_renewal_that_is_given_again_is_the_job_that_it_made(fake, run):
    """Also where certificates that were due have been renewed since; another request makes none where none is due. With
    a charger that is not in the job, or under the id of another kind of job, it is asked for, and so refused."""
    fake.answers["ListChargePoints"] = ListChargePointsResponse()
    follows(fake, job("DONE", DONE=2))
    made = job("DONE", DONE=2)
    made.request_id, made.kind = "nightly", OPERATION_KIND_RENEW_CERTIFICATE
    rotation = job("DONE", DONE=2)
    rotation.request_id = "rotation"
    fake.answers["ListFleetJobs"] = pb.ListFleetJobsResponse(fleet_jobs=[job(), rotation, made])
    given = ("fleet", "renew-certificates", "--expiring-within", 30, "--request-id")
    assert run(*given, "nightly").stdout == "fleet_1: done: 2 done\n"
    for other in ("another", "rotation"):
        assert "no charger's certificate ends within 30 days" in run(*given, other).stderr
    items = [pb.FleetJobItem(charge_point=each) for each in ("A", "B")]
    fake.answers["ListFleetJobItems"] = pb.ListFleetJobItemsResponse(items=items)
    fake.answers["ListChargePoints"] = ListChargePointsResponse(charge_points=[ChargePoint(identity="B")])
    assert run(*given, "nightly").stdout == "fleet_1: done: 2 done\n"
    assert fake.asked("RenewCertificates") == []
    fake.answers["RenewCertificates"] = Failure(grpc.StatusCode.INVALID_ARGUMENT, "reused", "REQUEST_ID_REUSED")
    assert run(*given, "rotation").exit_code == ExitCode.USAGE
    due = [ChargePoint(identity=each) for each in ("B", "C")]
    fake.answers["ListChargePoints"] = ListChargePointsResponse(charge_points=due)
    assert run(*given, "nightly").exit_code == ExitCode.USAGE
    asked = [list(each.selection.charge_points) for each in fake.asked("RenewCertificates")]
    assert asked == [["B"], ["B", "C"]]


def test_plain_firmware_is_rolled_out_and_half_a_signature_is_none(fake, run):
    """Without a certificate and a signature."""
    follows(fake, job("DONE", DONE=1, UNKNOWN=1))
    fake.answers["RollOutFirmware"] = pb.RollOutFirmwareResponse(fleet_job=job(WAITING=2))
    given = ("fleet", "install-firmware", "https://f.example/2.bin", "--charger", "A")
    result = run(*given, "--at", "2027-01-01", "--retry-interval", 60)
    assert (result.exit_code, "1 done, 1 unknown" in result.stderr) == (1, True)
    (request,) = fake.asked("RollOutFirmware")
    assert (request.signing_certificate, request.signature) == ("", "")
    assert (request.retrieve_time, request.retry_interval.seconds) == (at("2027-01-01T00:00:00Z"), 60)
    for half in (("--signature", "c2ln"), ("--install-at", "2027-01-02")):
        assert run(*given, *half).exit_code == 2
    assert len(fake.asked("RollOutFirmware")) == 1


def test_items_say_how_far_each_charger_has_come(fake, run):
    fake.answers["ListFleetJobItems"] = pb.ListFleetJobItemsResponse(
        items=[
            pb.FleetJobItem(
                charge_point="A",
                outcome=pb.FLEET_OUTCOME_UNDER_WAY,
                operation_id="op_1",
                stage=OPERATION_STAGE_DOWNLOADING,
            ),
            pb.FleetJobItem(charge_point="B", outcome=pb.FLEET_OUTCOME_WAITING),
        ]
    )
    _, first, second = run("fleet", "items", "fleet_1").stdout.splitlines()
    assert first.split() == ["A", "under", "way", "downloading", "op_1"]
    assert second.split() == ["B", "waiting"]


def test_a_watch_that_breaks_says_that_the_job_goes_on(fake, run):
    """With the command that follows it, and the exit code of what is not known."""
    follows(fake, job(WAITING=2))
    fake.answers["WatchFleetJob"] = [
        pb.WatchFleetJobResponse(fleet_job=job(WAITING=1, DONE=1)),
        Failure(grpc.StatusCode.UNAVAILABLE, "gone"),
    ]
    result = run("fleet", "watch", "fleet_1")
    assert result.exit_code == ExitCode.OUTCOME_UNKNOWN
    assert "1 waiting, 1 done" in result.stderr
    assert "broke (UNAVAILABLE); it goes on; gateway fleet watch fleet_1 follows it" in result.stderr


def test_certificates_are_renewed_and_followed(fake, run):
    """Of all, or without waiting for it."""
    follows(fake, job(WAITING=1), job("DONE", DONE=1))
    fake.answers["RenewCertificates"] = pb.RenewCertificatesResponse(fleet_job=job(WAITING=1))
    result = run("fleet", "renew-certificates", "--every")
    assert (result.exit_code, result.stdout) == (0, "fleet_1: done: 1 done\n")
    result = run("fleet", "renew-certificates", "--every", "--no-wait")
    assert "gateway fleet watch fleet_1 follows it" in result.stderr
    assert len(fake.asked("WatchFleetJob")) == 1


def test_jobs_are_printed_as_json(fake, run):
    """Each subcommand; a job that was not waited for names no other command."""
    follows(fake, job("DONE", DONE=3))
    fake.answers["RenewCertificates"] = pb.RenewCertificatesResponse(fleet_job=job(WAITING=3))
    fake.answers["ListFleetJobs"] = pb.ListFleetJobsResponse(fleet_jobs=[job(DONE=3)])
    fake.answers["CancelFleetJob"] = pb.CancelFleetJobResponse(fleet_job=job(NOT_BEGUN=1))
    item = pb.FleetJobItem(charge_point="A", outcome=pb.FLEET_OUTCOME_DONE)
    fake.answers["ListFleetJobItems"] = pb.ListFleetJobItemsResponse(items=[item])
    for arguments in (
        ("rotate-keys", "--every", "--no-wait"),
        ("renew-certificates", "--every", "--no-wait"),
        ("watch", "fleet_1"),
        ("show", "fleet_1"),
        ("cancel", "fleet_1"),
    ):
        result = run("fleet", *arguments, "--json")
        assert (result.exit_code, result.stderr) == (0, ""), arguments
        assert json.loads(result.stdout)["fleet_job_id"] == "fleet_1"
    (listed,) = json.loads(run("fleet", "list", "--json").stdout)
    assert listed["fleet_job_id"] == "fleet_1"
    (found,) = json.loads(run("fleet", "items", "fleet_1", "--json").stdout)
    assert found["charge_point"] == "A"


def test_a_list_of_chargers_that_was_cut_says_so(fake, run):
    """And a job that is being cancelled is shown as that."""
    items = [pb.FleetJobItem(charge_point=name, outcome=pb.FLEET_OUTCOME_DONE) for name in "AB"]
    fake.answers["ListFleetJobItems"] = pb.ListFleetJobItemsResponse(items=items)
    result = run("fleet", "items", "fleet_1", "--limit", 1)
    assert "the first 1; --limit for more" in result.stderr
    ending = job(UNDER_WAY=1)
    ending.cancel_time.CopyFrom(T0)
    fake.answers["GetFleetJob"] = pb.GetFleetJobResponse(fleet_job=ending)
    assert "being cancelled" in run("fleet", "show", "fleet_1").stdout


def test_firmware_is_rolled_out_and_followed(fake, run, tmp_path):
    """To the chargers that are chosen, at a pace; what was not said is left to the charger."""
    certificate = tmp_path / "signer.pem"
    certificate.write_text("pem")
    follows(fake, job("DONE", DONE=2))
    made = job(WAITING=2)
    made.firmware.location = "https://f.example/2.bin"
    fake.answers["RollOutFirmware"] = pb.RollOutFirmwareResponse(fleet_job=made)
    given = (
        "https://f.example/2.bin",
        "--signing-certificate",
        certificate,
        "--signature",
        "c2ln",
        "--label",
        "model=X",
    )
    result = run("fleet", "install-firmware", *given, "--per-minute", 5, "--install-at", "2027-01-02", "--retries", 2)
    assert (result.exit_code, result.stdout) == (0, "fleet_1: done: 2 done\n")
    (request,) = fake.asked("RollOutFirmware")
    assert (request.location, request.signing_certificate, request.signature) == (
        "https://f.example/2.bin",
        "pem",
        "c2ln",
    )
    assert (dict(request.selection.labels), request.pace.per_minute, request.retries) == ({"model": "X"}, 5, 2)
    assert request.install_time == at("2027-01-02T00:00:00Z")
    assert not request.HasField("retrieve_time")  # at once: given again, it is the same request
    assert not request.HasField("retry_interval")
    shown = run("fleet", "install-firmware", *given, "--no-wait")
    assert "https://f.example/2.bin" in shown.stdout
    assert re.search(r"signed\s+no", shown.stdout)  # by the job that the gateway made
    made.firmware.signature = "c2ln"
    fake.answers["RollOutFirmware"] = pb.RollOutFirmwareResponse(fleet_job=made)
    assert re.search(r"signed\s+yes", run("fleet", "install-firmware", *given, "--no-wait").stdout)
    assert "gateway fleet watch fleet_1" in shown.stderr

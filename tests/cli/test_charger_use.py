"""Availability, reservations, schedules, diagnostics and local lists: what is sent, what is shown."""

import json
from datetime import timedelta

import pytest

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1 import common_pb2
from tests.cli.fakes import at

ACCEPTED = api.Command(answer=api.CommandAnswer(status=api.StatusAnswer(status="Accepted")))
WHOLE = common_pb2.ConnectorAddress()
TWO = common_pb2.ConnectorAddress(evse=2, connector=1)


def ok(response, **fields):
    """An answer that agrees."""
    return response(command=ACCEPTED, status=1, **fields)


@pytest.mark.parametrize(
    ("arguments", "method", "answer", "expected"),
    [
        (
            ["availability", "CP1", "out", "--connector", "2"],
            "ChangeAvailability",
            api.ChangeAvailabilityResponse,
            {"connector": TWO, "type": api.AVAILABILITY_TYPE_INOPERATIVE},
        ),
        (
            ["availability", "CP1", "In"],
            "ChangeAvailability",
            api.ChangeAvailabilityResponse,
            {"connector": WHOLE, "type": api.AVAILABILITY_TYPE_OPERATIVE},
        ),
        (
            ["reserve", "CP1", "--tag", "TAG", "--until", "2026-12-31T18:00Z", "--number", "7", "--group", "G"],
            "ReserveNow",
            api.ReserveNowResponse,
            {
                "connector": WHOLE,
                "id_tag": "TAG",
                "reservation_id": 7,
                "parent_id_tag": "G",
                "expire_time": at("2026-12-31T18:00:00Z"),
            },
        ),
        (["cancel-reservation", "CP1", "7"], "CancelReservation", api.CancelReservationResponse, {"reservation_id": 7}),
        (["clear-cache", "CP1"], "ClearCache", api.ClearCacheResponse, {}),
        (
            ["local-list", "send", "CP1", "A", "B", "--remove", "C", "--version", "3"],
            "SendLocalList",
            api.SendLocalListResponse,
            {
                "list_version": 3,
                "update_type": api.LOCAL_LIST_UPDATE_TYPE_DIFFERENTIAL,
                "entries": [
                    api.LocalListEntry(id_tag="A", status=api.AUTHORIZATION_STATUS_ACCEPTED),
                    api.LocalListEntry(id_tag="B", status=api.AUTHORIZATION_STATUS_ACCEPTED),
                    api.LocalListEntry(id_tag="C"),
                ],
            },
        ),
        (
            ["local-list", "send", "CP1", "--full", "--version", "4"],
            "SendLocalList",
            api.SendLocalListResponse,
            {"list_version": 4, "update_type": api.LOCAL_LIST_UPDATE_TYPE_FULL, "entries": []},
        ),
    ],
)
def test_a_command_is_sent_and_its_answer_shown(fake, run, arguments, method, answer, expected):
    """With a request id; a refusal is exit code 3, and JSON is the response."""
    fake.answers[method] = ok(answer)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "CP1 answered: Accepted" in result.stdout
    (request,) = fake.asked(method)
    assert request.charge_point == "CP1"
    assert request.request_id
    assert {name: getattr(request, name) for name in expected} == expected
    fake.answers[method] = answer(status=2)
    refused = run(*arguments, "--json", "--request-id", "mine")
    assert refused.exit_code == 3
    assert json.loads(refused.stderr)["error"]["reason"] == "REFUSED"
    assert fake.asked(method)[1].request_id == "mine"


def test_a_schedule_is_shown_by_its_times(fake, run):
    """From the charger's own beginning, in its unit."""
    periods = [
        common_pb2.ChargingSchedulePeriod(start_period=timedelta(0), limit=16),
        common_pb2.ChargingSchedulePeriod(start_period=timedelta(hours=1), limit=6.5, number_phases=1),
    ]
    schedule = common_pb2.ChargingSchedule(rate_unit=common_pb2.CHARGING_RATE_UNIT_AMPERES, periods=periods)
    begin = at("2026-05-01T10:00:00Z")
    fake.answers["GetCompositeSchedule"] = ok(
        api.GetCompositeScheduleResponse, schedule=schedule, schedule_start_time=begin
    )
    result = run("schedule", "CP1", "--hours", "1.5", "--unit", "a", "--connector", "2")
    assert result.exit_code == 0, result.output
    assert "2026-05-01 10:00:00" in result.stdout
    assert "2026-05-01 11:00:00" in result.stdout
    assert "6.5 A" in result.stdout
    (request,) = fake.asked("GetCompositeSchedule")
    assert request.duration.ToTimedelta() == timedelta(minutes=90)
    assert (request.connector, request.rate_unit) == (TWO, common_pb2.CHARGING_RATE_UNIT_AMPERES)
    assert json.loads(run("schedule", "CP1", "--json").stdout)["schedule"]["periods"]
    fake.answers["GetCompositeSchedule"] = ok(api.GetCompositeScheduleResponse)
    assert "no schedule" in run("schedule", "CP1", "--unit", "W").stdout


def test_diagnostics_are_uploaded(fake, run):
    """To a place whose password can be typed; a charger may have none."""
    fake.answers["GetDiagnostics"] = api.GetDiagnosticsResponse(file_name="log.zip")
    result = run("diagnostics", "CP1", "-", "--retries", 2, "--retry-interval", 5, input="ftp://u:p@host/\n")
    assert result.exit_code == 0, result.output
    assert "CP1 uploads log.zip" in result.stdout
    (request,) = fake.asked("GetDiagnostics")
    assert (request.location, request.retries, request.retry_interval.seconds) == ("ftp://u:p@host/", 2, 5)
    since = run("diagnostics", "CP1", "ftp://host/", "--since", "2026-05-01", "--until", "2026-05-02", "--json")
    assert json.loads(since.stdout) == {"file_name": "log.zip"}
    assert fake.asked("GetDiagnostics")[1].start_time == at("2026-05-01T00:00:00Z")
    fake.answers["GetDiagnostics"] = api.GetDiagnosticsResponse()
    assert "nothing to upload" in run("diagnostics", "CP1", "ftp://host/").stdout


@pytest.mark.parametrize(("number", "words"), [(5, "CP1: version 5"), (0, "CP1: version 0"), (-1, "no local list")])
def test_the_version_of_a_list_is_shown(fake, run, number, words):
    """And that there is no list."""
    fake.answers["GetLocalListVersion"] = api.GetLocalListVersionResponse(list_version=number)
    assert words in run("local-list", "version", "CP1").stdout
    assert json.loads(run("local-list", "version", "CP1", "--json").stdout).get("list_version", "0") == str(number)


@pytest.mark.parametrize(
    "arguments",
    [
        ["local-list", "send", "CP1", "--version", "1"],
        ["local-list", "send", "CP1", "--version", "1", "--full", "--remove", "A"],
        ["local-list", "send", "CP1", "A", "--version", "0"],
        ["availability", "CP1", "off"],
        ["schedule", "CP1", "--hours", "0"],
    ],
)
def test_wrong_usage_sends_nothing(fake, run, arguments):
    """Exit code 2."""
    assert run(*arguments).exit_code == 2
    assert fake.requests == []

"""Every action by its form: what is said before, what comes of it, and what is refused."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from gateway.api.v1 import command_pb2, operation_pb2, transaction_pb2
from gateway.console import action_pages
from gateway.console.action_table import ACTIONS
from tests.console.conftest import Stage
from tests.console.visitor import Visitor

COMMANDS: dict[str, dict[str, str]] = {
    "trigger": {"message": "TRIGGERED_MESSAGE_HEARTBEAT"},
    "availability": {"type": "in", "connector": "1"},
    "configure": {"key": "HeartbeatInterval", "value": "300"},
    "read-configuration": {},
    "read-certificates": {"use": "firmware"},
    "unlock": {"connector": "1"},
    "reset": {"type": "soft"},
}

PLAIN = {"location": "http://firmware.example/1.bin"}

SIGNED = {
    "location": "https://firmware.example/2.bin",
    # As a browser sends the lines of a field.
    "certificate": trustme.CA().cert_pem.bytes().decode().replace("\n", "\r\n"),
    "signature": "c2lnbmVk\r\nYnkgdXM=",
}

OPERATIONS: dict[str, dict[str, str]] = {
    "limit": {"value": "8,5", "unit": "A", "phases": "1", "connector": "1", "until": "2030-01-01T00:00"},
    "pause": {"connector": "1"},
    "resume": {"connector": "1"},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_form_says_what_will_happen(visitor: Visitor, action: str) -> None:
    page = visitor.get(f"/charge-points/HOME-1/actions/{action}")
    assert page.status == 200
    assert all(sentence in page.words for sentence in ACTIONS[action].what)


def test_signed_firmware_is_installed_with_its_stages(stage: Stage, visitor: Visitor) -> None:
    """Shown as they are reached; and the rollout of which it is a part is on the page of operations."""
    stage.wait_connected("HOME-5")
    answer = visitor.submit("/charge-points/HOME-5/actions/signed-firmware", **SIGNED)
    place = answer.headers["location"]
    with visitor.stream(f"{place}/live") as stream:
        stream.next("end")
    page = visitor.follow(answer)
    for stage_name in ("downloading", "downloaded", "signature verified", "installing", "Done: it was seen"):
        assert stage_name in page.words, page.words
    assert "Firmware update: Installed" in visitor.get("/charge-points/HOME-5").words
    request = operation_pb2.GetOperationRequest(operation_id=place.rpartition("/")[2])
    arguments = stage.gateway.operations.GetOperation(request, timeout=60).operation.arguments_json
    assert SIGNED["location"] in arguments
    row = (
        visitor.get("/operations")
        .words.partition("Firmware that was installed charger by charger")[2]
        .partition("Gateway")[0]
    )
    assert SIGNED["location"] in row
    assert "1 of 1 1 0 0 0" in row


def test_plain_firmware_is_installed_with_its_stages(stage: Stage, visitor: Visitor) -> None:
    """Shown as they are reached, as those of signed firmware."""
    stage.wait_connected("HOME-5")
    answer = visitor.submit("/charge-points/HOME-5/actions/firmware", **PLAIN)
    with visitor.stream(f"{answer.headers['location']}/live") as stream:
        stream.next("end")
    page = visitor.follow(answer)
    for stage_name in ("downloading", "downloaded", "installing", "Done: it was seen"):
        assert stage_name in page.words, page.words
    assert "signature verified" not in page.words
    assert PLAIN["location"] in visitor.get("/operations").words


@pytest.mark.parametrize("action", COMMANDS)
def test_a_command_is_sent_and_its_outcome_shown(stage: Stage, visitor: Visitor, action: str) -> None:
    """On a page of its own, live until the outcome is known."""
    stage.wait_connected("HOME-4")
    answer = visitor.submit(f"/charge-points/HOME-4/actions/{action}", **COMMANDS[action])
    assert answer.status == 303, answer.words
    place = answer.headers["location"]
    with visitor.stream(f"{place}/live") as stream:
        stream.next("fragments", lambda each: "goes on" not in each["state"])
    page = visitor.follow(answer)
    assert "The charger answered" in page.words, page.words
    if action == "read-configuration":
        assert "HeartbeatInterval" in visitor.get("/charge-points/HOME-4").words
    if action == "read-certificates":
        assert "Roots to know signed firmware by none as read" in visitor.get("/charge-points/HOME-4").words


@pytest.mark.parametrize("action", OPERATIONS)
def test_an_operation_leads_to_its_stages(visitor: Visitor, action: str) -> None:
    answer = visitor.submit(f"/charge-points/HOME-1/actions/{action}", **OPERATIONS[action])
    page = visitor.follow(answer)
    assert "accepted" in page.words, page.words
    with visitor.stream(answer.headers["location"] + "/live") as stream:
        stream.next("end")


def test_a_session_is_started_and_stopped_and_a_form_sent_twice_is_one_request(stage: Stage, visitor: Visitor) -> None:
    stage.plug_in("HOME-1")
    place = "/charge-points/HOME-1/actions/start"
    page = visitor.get(place)
    form = {"form_token": page.form_token, "request_id": "console-once", "id_tag": "FAMILY", "connector": "1"}
    first, second = visitor.post(place, form), visitor.post(place, form)
    assert first.status == 303
    assert first.headers["location"] == second.headers["location"]
    with visitor.stream(first.headers["location"] + "/live") as stream:
        stream.next("end")
    stop = visitor.submit("/charge-points/HOME-1/actions/stop", transaction_id="", connector="1")
    with visitor.stream(stop.headers["location"] + "/live") as stream:
        stream.next("end")
    assert "Done: it was seen to have happened." in visitor.follow(stop).words


def test_a_plan_is_set_shown_behind_the_curve_and_taken_back(visitor: Visitor) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0) + timedelta(days=1)
    hours = [f"{midnight + timedelta(hours=hour):%Y-%m-%dT%H:%M}" for hour in range(4)]
    steps = f"{hours[0]} 16\n{hours[1]} 0\n{hours[2]} none\n{hours[3]}"
    answer = visitor.submit("/charge-points/HOME-3/actions/plan", connector="1", steps=steps, why="cheap")
    page = visitor.follow(answer)
    assert "Limits and plans" in page.words
    assert visitor.submit("/charge-points/HOME-3/actions/clear-plan", connector="1").status == 303


@pytest.mark.parametrize(
    ("action", "form", "said"),
    [
        ("start", {"id_tag": " "}, "must be filled in"),
        ("start", {"id_tag": "X" * 37}, "has more than 36 characters"),
        ("limit", {"value": "much", "unit": "A"}, "is not a number"),
        ("limit", {"value": "-1", "unit": "A"}, "must be 0 to 1,000,000"),
        ("limit", {"value": "nan", "unit": "A"}, "is not a number"),
        ("limit", {"value": "9", "unit": "A", "phases": "4"}, "must be 1 to 3"),
        ("limit", {"value": "9", "unit": "A", "until": "tomorrow"}, "is not a time"),
        ("trigger", {"message": "NONSENSE"}, "is none that can be asked for"),
        ("unlock", {"connector": ""}, "is not a number"),
        ("plan", {"connector": "1", "steps": "later 16"}, "line 1 is not a time"),
        ("plan", {"connector": "1", "steps": "2030-01-01T00:00 much\n2030-01-01T05:00"}, "line 1 is not a time"),
        ("plan", {"connector": "1", "steps": "2030-01-01T00:00"}, "The gateway refused it"),
        ("start", {"id_tag": "STRANGER"}, "ID_TAG_NOT_ACCEPTED"),
        ("stop", {"transaction_id": "", "connector": "2"}, "The gateway refused it"),
        ("signed-firmware", SIGNED | {"certificate": "none"}, "signing_certificate"),
        ("signed-firmware", SIGNED | {"certificate": " "}, "must be filled in"),
        ("signed-firmware", SIGNED | {"install_at": "soon"}, "is not a time"),
        ("start", {"request_id": "", "id_tag": "FAMILY"}, "request_id: must be filled in"),
    ],
)
def test_what_can_not_be_is_said_on_the_form_and_nothing_is_lost(
    visitor: Visitor, action: str, form: dict[str, str], said: str
) -> None:
    """With the reason beside the field, or the gateway's."""
    page = visitor.submit(f"/charge-points/HOME-3/actions/{action}", **form)
    assert page.status in (400, 404, 409), (page.status, page.headers)
    assert said in page.words


def test_a_command_to_a_charge_point_that_is_away_is_refused_on_the_form(stage: Stage, visitor: Visitor) -> None:
    """Nothing was sent, and there is no command."""
    from gateway.api.v1.charge_point_pb2 import ChargePoint, CreateChargePointRequest

    stage.gateway.charge_points.CreateChargePoint(
        CreateChargePointRequest(charge_point=ChargePoint(identity="AWAY")), timeout=60
    )
    assert "It has never connected" in visitor.get("/charge-points/AWAY").words
    page = visitor.submit("/charge-points/AWAY/actions/reset", type="hard")
    assert page.status == 409
    assert "CHARGE_POINT_OFFLINE" in page.words
    listed = command_pb2.ListCommandsRequest(charge_point="AWAY")
    assert not stage.gateway.commands.ListCommands(listed, timeout=60).commands


def test_the_record_of_a_session_is_closed(stage: Stage, visitor: Visitor) -> None:
    """With what is said before, and refused where the register can't be."""
    stage.plug_in("HOME-3")
    start = visitor.submit("/charge-points/HOME-3/actions/start", id_tag="FAMILY", connector="1")
    with visitor.stream(start.headers["location"] + "/live") as stream:
        stream.next("fragments", lambda each: "transaction started" in each["stages"])
    request = transaction_pb2.ListTransactionsRequest(charge_point="HOME-3", page_size=1)
    found = stage.gateway.transactions.ListTransactions(request, timeout=60).transactions[0]
    place = f"/sessions/{found.transaction_id}/close"
    assert "Nothing is sent to the charger" in visitor.get(place).words
    assert "must be filled in" in visitor.submit(place, reason="").words
    refused = visitor.submit(place, reason="lost", meter="1")
    assert refused.status == 409
    assert "METER_BELOW_LAST" in refused.words
    assert "is not a number" in visitor.submit(place, reason="lost", meter="x").words
    closed = visitor.follow(visitor.submit(place, reason="gone", meter="", insist="on"))
    assert "closed" in closed.words
    assert "gone" in closed.words


def test_a_stop_that_there_is_not_can_not_be_tied(visitor: Visitor) -> None:
    token = visitor.get("/sessions").form_token if "orphan" in visitor.get("/sessions").text else _token(visitor)
    form = {"form_token": token, "orphan": "none", "transaction_id": "tx_none", "reason": "x"}
    assert visitor.post("/orphans", form).status in (400, 404)


def _token(visitor: Visitor) -> str:
    return visitor.get("/charge-points/HOME-1/actions/reset").form_token


def test_commands_wait_where_as_many_go_on_as_may(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until one of them has its outcome; none is dropped."""
    monkeypatch.setattr(action_pages, "MAX_UNDER_WAY", 1)
    waited: list[str] = []

    async def occupy() -> None:
        async def goes_on() -> None:
            await asyncio.sleep(0.2)
            waited.append("over")

        task = asyncio.create_task(goes_on())
        action_pages.UNDER_WAY[task] = ("HOME-1", "another")
        task.add_done_callback(action_pages.UNDER_WAY.pop)

    visitor.run(occupy())
    answer = visitor.submit("/charge-points/HOME-1/actions/trigger", message="TRIGGERED_MESSAGE_HEARTBEAT")
    assert (answer.status, waited) == (303, ["over"])

"""`gateway chargers` and `gateway tags`: what is asked of the gateway, and what is shown of its answer."""

import json
import re
from datetime import timedelta

import grpc
import pytest

from gateway.api.v1 import charge_point_pb2 as api
from gateway.api.v1 import id_tag_pb2 as tags_api
from gateway.api.v1 import reading_pb2 as rd
from gateway.api.v1.common_pb2 import ChargingProfile, ChargingProfilePurpose, ConnectorAddress, Energy
from gateway.api.v1.operation_pb2 import (
    Operation,
    OperationEnd,
    OperationKind,
    OperationStage,
    OperationStageReached,
    RotateAuthorizationKeyResponse,
    WatchOperationResponse,
)
from tests.cli.fakes import Failure, at

HOME = api.ChargePoint(
    identity="HOME-1",
    registration=1,
    boot=api.BootInformation(vendor="Hearth", model="W22", firmware_version="1.4.2"),
    connection=api.Connection(connected=True, remote_address="192.0.2.7:5000", since_time=at("2024-05-01T10:00:00Z")),
    connectors=[
        api.Connector(connector=ConnectorAddress(), status="Available", error_code="NoError"),
        api.Connector(connector=ConnectorAddress(evse=1, connector=1), status="Charging", error_code="NoError"),
    ],
    boot_configuration=[api.AppliedConfiguration(key="MeterValueSampleInterval", value="60", status="Accepted")],
)


def test_a_generated_key_is_shown_once_as_it_is_typed(fake, run):
    """Adding a charger without a key shows the one that the gateway made: as text, and as digits."""
    fake.answers["CreateChargePoint"] = api.CreateChargePointResponse(
        charge_point=HOME, generated_authorization_key=b"abcdefghij2345678ABC"
    )
    result = run(
        "chargers", "add", "HOME-1", "--registration", "pending", "--description", "garage", "--request-id", "r1"
    )
    assert result.exit_code == 0, result.output
    assert fake.asked("CreateChargePoint")[0].request_id == "r1"
    assert "AuthorizationKey: abcdefghij2345678ABC" in result.stdout.splitlines()
    assert b"abcdefghij2345678ABC".hex() in result.stderr
    (request,) = fake.asked("CreateChargePoint")
    assert (request.charge_point.identity, request.charge_point.registration) == ("HOME-1", 2)
    assert not request.HasField("authorization_key")


def test_a_key_of_the_operators_is_read_from_standard_input(fake, run):
    """A key needs to stand in no command line, where others could read it, and is not printed."""
    result = run("chargers", "add", "HOME-1", "--key", "-", input="00ff" * 8 + "\n")
    assert result.exit_code == 0, result.output
    assert fake.asked("CreateChargePoint")[0].authorization_key == bytes.fromhex("00ff" * 8)
    assert "00ff" not in result.output


def test_a_key_that_is_not_hexadecimal_is_wrong_usage_and_not_repeated(fake, run):
    """The error shows no secret."""
    result = run("chargers", "add", "HOME-1", "--key", "secret!")
    assert result.exit_code == 2
    assert "hexadecimal" in result.stderr
    assert "secret!" not in result.output
    assert not fake.requests


def test_the_list_follows_all_pages(fake, run):
    """Chargers of every page are shown, with their state."""
    fake.answers["ListChargePoints"] = [
        api.ListChargePointsResponse(charge_points=[HOME], next_page_token="more"),
        api.ListChargePointsResponse(charge_points=[api.ChargePoint(identity="HOME-2")]),
    ]
    result = run("chargers", "list", "--connected")
    assert result.exit_code == 0, result.output
    first, second = fake.asked("ListChargePoints")
    assert (first.connected, second.page_token) == (True, "more")
    header, *rows = result.stdout.splitlines()
    assert header.split()[:2] == ["identity", "connection"]
    assert rows[0].split()[:6] == ["HOME-1", "connected", "Accepted", "Hearth", "W22", "1.4.2"]
    assert "1 Charging" in rows[0]
    assert rows[1].split()[0:2] == ["HOME-2", "offline"]


def test_the_limit_of_a_list_is_kept(fake, run):
    """No more is fetched than was asked for."""
    fake.answers["ListChargePoints"] = api.ListChargePointsResponse(charge_points=[HOME] * 2, next_page_token="more")
    result = run("chargers", "list", "--limit", 2, "--json")
    assert len(json.loads(result.stdout)) == 2
    assert [request.page_size for request in fake.asked("ListChargePoints")] == [2]


def test_a_charger_is_shown_with_all_that_is_known(fake, run):
    """Connection, connectors and the outcome of the boot configuration."""
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=HOME)
    text = run("chargers", "show", "HOME-1").stdout
    for part in ("192.0.2.7:5000", "Hearth", "Charging", "MeterValueSampleInterval"):
        assert part in text


def test_a_charger_is_shown_with_the_charging_profiles_that_it_has_accepted(fake, run):
    """One without an end, and one that ends; the command that brought it."""
    purposes = ChargingProfilePurpose
    ends = ChargingProfile(
        charging_profile_id=900_000_013,
        stack_level=8,
        purpose=purposes.CHARGING_PROFILE_PURPOSE_TX_PROFILE,
        valid_to_time=at("2024-05-01T14:00:00Z"),
    )
    stays = ChargingProfile(charging_profile_id=7, purpose=purposes.CHARGING_PROFILE_PURPOSE_CHARGE_POINT_MAX_PROFILE)
    accepted, one = at("2024-05-01T12:00:00Z"), ConnectorAddress(evse=1, connector=1)
    shown = api.ChargePoint(identity="HOME-1")
    shown.charging_profiles.add(connector=one, profile=ends, accept_time=accepted, command_id="cmd_1")
    shown.charging_profiles.add(connector=ConnectorAddress(), profile=stays, accept_time=accepted, command_id="cmd_2")
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=shown)
    lines = [line.split() for line in run("chargers", "show", "HOME-1").stdout.splitlines()]
    assert [
        "900000013",
        "1",
        "TxProfile",
        "8",
        *["2024-05-01", "14:00:00"],
        *["2024-05-01", "12:00:00"],
        "cmd_1",
    ] in lines
    assert ["7", "0", "ChargePointMaxProfile", "0", "2024-05-01", "12:00:00", "cmd_2"] in lines


@pytest.mark.parametrize(("seconds", "words"), [(-90, "90.0 s behind"), (1.25, "1.2 s ahead")])
def test_a_charger_is_shown_with_its_clock(fake, run, seconds, words):
    """Its offset and when it was measured."""
    measured = api.ChargePoint(identity="HOME-1", clock_offset_time=at("2024-05-01T11:00:00Z"))
    measured.clock_offset.FromTimedelta(timedelta(seconds=seconds))
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=measured)
    assert f"{words}, as of 2024-05-01 11:00:00" in run("chargers", "show", "HOME-1").stdout


def charging():
    """A charger whose connector charges, with readings."""
    measured = at("2024-05-01T10:00:10Z")
    latest = rd.LatestReadings(
        power=rd.Reading(value=7360, time=measured, source=rd.VALUE_SOURCE_PHASES, estimated=True),
        energy_register=rd.Reading(value=1235, energy=Energy(milliwatt_hours=1_235_000), source=1, time=measured),
        state_of_charge=rd.Reading(value=55, time=measured, source=rd.VALUE_SOURCE_MEASURED),
    )
    connector = api.Connector(
        connector=ConnectorAddress(evse=1, connector=1),
        status="Charging",
        charging_state=rd.CHARGING_STATE_CHARGING,
        charging_state_since_time=at("2024-05-01T09:00:00Z"),
        latest=latest,
    )
    return api.ChargePoint(identity="HOME-1", connectors=[connector])


def test_a_charger_is_shown_with_its_charging_state_and_its_readings(fake, run):
    """Each with its time and its source."""
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=charging())
    lines = [line.split() for line in run("chargers", "show", "HOME-1").stdout.splitlines()]
    assert ["1", "Charging", "charging", "2024-05-01", "09:00:00"] in lines
    assert ["1", "power", "7360", "W", "2024-05-01", "10:00:10", "phases,", "estimated"] in lines
    assert ["1", "energy", "register", "1.235", "kWh", "2024-05-01", "10:00:10", "measured"] in lines
    assert ["1", "state", "of", "charge", "55", "%", "2024-05-01", "10:00:10", "measured"] in lines
    shown = json.loads(run("chargers", "show", "HOME-1", "--json").stdout)
    assert shown["connectors"][0]["charging_state"] == "CHARGING_STATE_CHARGING"
    assert shown["connectors"][0]["latest"]["power"]["value"] == 7360


def test_a_list_says_whether_a_vehicle_charges(fake, run):
    """And with which power."""
    fake.answers["ListChargePoints"] = api.ListChargePointsResponse(charge_points=[charging(), HOME])
    rows = run("chargers", "list").stdout.splitlines()[1:]
    assert "1 Charging (charging 7.36 kW)" in rows[0]
    assert "(" not in rows[1]


def test_a_charger_is_shown_with_its_reservations(fake, run):
    """Each with its connector, its tag and its expiry."""
    until = at("2024-05-01T11:00:00Z")
    made = [
        api.Reservation(reservation_id=7, connector=ConnectorAddress(), id_tag="ANN", expire_time=until),
        api.Reservation(reservation_id=8, connector=ConnectorAddress(evse=2, connector=1), id_tag="BOB"),
    ]
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(
        charge_point=api.ChargePoint(identity="HOME-1", reservations=made)
    )
    lines = [line.split() for line in run("chargers", "show", "HOME-1").stdout.splitlines()]
    assert ["7", "any", "ANN", "2024-05-01", "11:00:00"] in lines
    assert ["8", "2", "BOB"] in lines


def test_a_charger_is_shown_with_its_firmware_update_and_its_diagnostics(fake, run):
    """The last status, its time, and the command that it is of; and its local list."""
    received = at("2024-05-01T11:00:00Z")
    charger = api.ChargePoint(
        identity="HOME-1",
        firmware_update=api.WorkProgress(
            command_id="cmd_1", status="Installing", status_command_id="cmd_1", receive_time=received
        ),
        diagnostics_upload=api.WorkProgress(
            command_id="cmd_3", status="UploadFailed", status_command_id="cmd_2", receive_time=received
        ),
        local_list=api.LocalList(list_version=7, change_time=received),
    )
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=charger)
    text = run("chargers", "show", "HOME-1").stdout
    lines = [line.split() for line in text.splitlines()]
    assert ["firmware", "update", "Installing", "2024-05-01", "11:00:00", "cmd_1"] in lines
    failed = "diagnostics upload UploadFailed 2024-05-01 11:00:00 cmd_2; nothing yet of cmd_3"
    assert failed.split() in lines
    assert "version 7, accepted 2024-05-01 11:00:00" in text
    shown = json.loads(run("chargers", "show", "HOME-1", "--json").stdout)
    assert shown["firmware_update"]["status"] == "Installing"


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (api.WorkProgress(command_id="cmd_1"), "nothing yet cmd_1"),
        (api.WorkProgress(status="Idle", receive_time=at("2024-05-01T11:00:00Z")), "Idle 2024-05-01 11:00:00 none"),
    ],
)
def test_work_of_which_little_is_known_is_shown(fake, run, progress, words):
    """A command without a status yet, and a status of no command."""
    charger = api.ChargePoint(identity="HOME-1", firmware_update=progress)
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=charger)
    lines = [line.split() for line in run("chargers", "show", "HOME-1").stdout.splitlines()]
    assert f"firmware update {words}".split() in lines


def test_a_charger_without_such_work_shows_none(fake, run):
    """No empty table."""
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=HOME)
    assert "Work" not in run("chargers", "show", "HOME-1").stdout


def test_json_has_the_apis_own_names(fake, run):
    """Output for programs is the API's message."""
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=HOME)
    shown = json.loads(run("chargers", "show", "HOME-1", "--json").stdout)
    assert shown["boot"]["firmware_version"] == "1.4.2"
    assert shown["registration"] == "REGISTRATION_ACCEPTED"


def test_what_a_charger_said_cannot_move_the_cursor(fake, run):
    """Escape sequences and markup in a charger's words are shown as text."""
    evil = api.ChargePoint(identity="EVIL", boot=api.BootInformation(vendor="\x1b[2J[bold]x[/]\r\n", model="m"))
    fake.answers["ListChargePoints"] = api.ListChargePointsResponse(charge_points=[evil])
    text = run("chargers", "list").stdout
    assert "\x1b" not in text
    assert "\r" not in text
    assert "\\x1b[2J[bold]x[/]" in text


def test_an_update_names_what_changes_and_nothing_else(fake, run):
    """The mask is what the command line named."""
    result = run("chargers", "update", "HOME-1", "--registration", "rejected", "--require-subprotocol")
    assert result.exit_code == 0, result.output
    (request,) = fake.asked("UpdateChargePoint")
    assert list(request.update_mask.paths) == ["registration", "assume_subprotocol"]
    assert request.charge_point.registration == 3


@pytest.mark.parametrize("arguments", [[], ["--key", "00", "--new-key"]])
def test_an_update_of_nothing_or_of_two_keys_is_wrong_usage(fake, run, arguments):
    """Nothing is sent."""
    assert run("chargers", "update", "HOME-1", *arguments).exit_code == 2
    assert not fake.requests


def test_a_new_key_is_generated_on_request(fake, run):
    """And shown, as at the creation."""
    fake.answers["UpdateChargePoint"] = api.UpdateChargePointResponse(generated_authorization_key=b"\xab" * 20)
    result = run("chargers", "update", "HOME-1", "--new-key", "--json")
    assert json.loads(result.stdout)["authorization_key_hex"] == "ab" * 20
    assert "authorization_key_text" not in json.loads(result.stdout)


def test_a_key_that_can_not_be_typed_is_said_to_be_hexadecimal(fake, run):
    """One that a gateway of an earlier version generates: its digits must not be taken for a password."""
    fake.answers["UpdateChargePoint"] = api.UpdateChargePointResponse(generated_authorization_key=b"\xab" * 20)
    result = run("chargers", "update", "HOME-1", "--new-key")
    assert "AuthorizationKey in hexadecimal: " + "ab" * 20 in result.stdout


@pytest.mark.parametrize("command", ["add", "update"])
def test_a_key_is_given_as_digits_or_as_text(fake, run, command):
    """Which of the two is said by the option and never guessed."""
    method = {"add": "CreateChargePoint", "update": "UpdateChargePoint"}[command]
    for arguments, key in [
        (["--key", "3132333435363738"], b"12345678"),
        (["--key-hex", "3132333435363738"], b"12345678"),
        (["--key-text", "3132333435363738"], b"3132333435363738"),
        (["--key-text", "gr\u00fcner Strom"], "gr\u00fcner Strom".encode()),
    ]:
        assert run("chargers", command, "H", *arguments).exit_code == 0
        assert fake.asked(method)[-1].authorization_key == key
    assert run("chargers", command, "H", "--key-text", "-", input="from stdin 1\n").exit_code == 0
    assert fake.asked(method)[-1].authorization_key == b"from stdin 1"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--key", "00", "--key-text", "hunter23"],
        ["--key-text", " padded"],
        ["--key-text", "a\tb"],
        ["--key", "not hex"],
    ],
)
def test_a_key_that_can_not_be_meant_is_wrong_usage(fake, run, arguments):
    """Nothing is sent, and the key is not repeated."""
    result = run("chargers", "add", "H", *arguments)
    assert result.exit_code == 2
    assert not fake.requests
    assert arguments[-1] not in result.stderr


def test_switches_of_a_charger_are_set_or_left_to_the_settings(fake, run):
    """On, off, not named at all, and back to what the settings say."""
    assert run("chargers", "add", "H", "--own-requests", "off", "--hex-password", "on").exit_code == 0
    made = fake.asked("CreateChargePoint")[-1].charge_point
    assert (made.own_requests, made.accept_hex_password) == (False, True)
    for arguments in ((), ("--own-requests", "default", "--hex-password", "default")):
        assert run("chargers", "add", "I", *arguments).exit_code == 0
        made = fake.asked("CreateChargePoint")[-1].charge_point
        assert not made.HasField("own_requests")
        assert not made.HasField("accept_hex_password")
    for option, name in (("--own-requests", "own_requests"), ("--hex-password", "accept_hex_password")):
        for word, value in (("on", True), ("off", False), ("default", None)):
            assert run("chargers", "update", "H", option, word).exit_code == 0
            changed = fake.asked("UpdateChargePoint")[-1]
            assert list(changed.update_mask.paths) == [name]
            assert (getattr(changed.charge_point, name) if changed.charge_point.HasField(name) else None) is value


@pytest.mark.parametrize(
    ("set_to", "shown"),
    [
        ({}, ("as the settings say", "as the settings say")),
        ({"own_requests": True, "accept_hex_password": True}, ("sent", "accepted")),
        ({"own_requests": False, "accept_hex_password": False}, ("not sent", "refused")),
    ],
)
def test_switches_of_a_charger_are_shown_set_or_not(fake, run, set_to, shown):
    """An operator sees that there is a switch, and how it is."""
    charger = api.ChargePoint(identity="H", **set_to)
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=charger)
    lines = run("chargers", "show", "H").stdout.splitlines()
    found = {name: line.removeprefix(name).strip() for line in lines for name in SWITCHES if line.startswith(name)}
    assert found == dict(zip(SWITCHES, shown, strict=True))


SWITCHES = ("own requests", "hexadecimal password")


@pytest.mark.parametrize("command", [("chargers", "update", "H"), ("tags", "update", "T")])
def test_an_update_of_nothing_names_all_that_can_be_changed(fake, run, command):
    """Each option of the command but those of the connection and of the output."""
    result = run(*command)
    assert result.exit_code == 2
    assert not fake.requests
    help_ = run(*command[:2], "--help").stdout
    options = set(re.findall(r"--[a-z-]+", help_)) - {"--target", "--json", "--help", "--key-hex"}
    assert options == set(re.findall(r"--[a-z-]+", result.stderr.replace("│", "").replace("\n", " ")))


def test_removing_asks_and_without_a_terminal_refuses(fake, run):
    """A script says --yes; nothing is removed by accident."""
    result = run("chargers", "remove", "HOME-1")
    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert run("chargers", "remove", "HOME-1", input="n\n").exit_code == 1
    assert run("chargers", "remove", "HOME-1", "--json").exit_code == 2
    assert not fake.asked("DeleteChargePoint")
    assert run("chargers", "remove", "HOME-1", input="y\n").exit_code == 0
    assert run("chargers", "remove", "HOME-1", "--yes").exit_code == 0
    assert [each.identity for each in fake.asked("DeleteChargePoint")] == ["HOME-1", "HOME-1"]


def test_a_charger_that_is_not_there_is_not_asked_about(fake, run):
    """That refuses the removal, and is said before the question."""
    fake.answers["GetChargePoint"] = Failure(grpc.StatusCode.NOT_FOUND, "no charge point NOPE", "NOT_FOUND")
    result = run("chargers", "remove", "NOPE", input="y\n")
    assert result.exit_code != 0
    assert "no charge point NOPE" in result.stderr
    assert "Remove" not in result.output
    assert not fake.asked("DeleteChargePoint")


def test_an_error_is_one_line_with_its_reason_and_metadata(fake, run):
    """The gateway's reason reaches the operator, times as ages too."""
    fake.answers["DisconnectChargePoint"] = Failure(
        grpc.StatusCode.FAILED_PRECONDITION,
        "charge point HOME-1 is not connected",
        "CHARGE_POINT_OFFLINE",
        {"last_seen": "2024-05-01T10:00:00+00:00"},
    )
    result = run("chargers", "disconnect", "HOME-1")
    assert result.exit_code == 5
    assert result.stdout == ""
    assert result.stderr.startswith(
        "error: charge point HOME-1 is not connected [CHARGE_POINT_OFFLINE], last seen: 2024-05-01T10:00:00+00:00 ("
    )
    assert result.stderr.count("\n") == 1


def test_wrong_fields_are_reported_one_by_one(fake, run):
    """Each field violation is a line."""
    fake.answers["CreateChargePoint"] = Failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "the request is not valid",
        "INVALID_COMMAND",
        violations={"charge_point.identity": "contains a slash"},
    )
    lines = run("chargers", "add", "a/b").stderr.splitlines()
    assert lines[0] == "error: the request is not valid [INVALID_COMMAND]"
    assert lines[1] == "  IDENTITY: contains a slash"


def test_no_gateway_is_reported_plainly(run, monkeypatch):
    """Nothing listens: no traceback, and no riddle."""
    result = run("chargers", "list", "--target", "127.0.0.1:1")
    assert result.exit_code == 7
    assert result.stderr.startswith("error: no gateway answers")


def test_a_missing_ca_is_reported_by_its_path(run, tmp_path):
    """Files for TLS are read before anything is sent."""
    result = run("--ca", tmp_path / "none.pem", "chargers", "list")
    assert result.exit_code == 1
    assert "none.pem: can't be read" in result.stderr


# --- tags -----------------------------------------------------------------------------------------------------


def test_a_tag_is_added_with_its_expiry_and_group(fake, run):
    """All that a tag has."""
    fake.answers["CreateIdTag"] = tags_api.CreateIdTagResponse(id_tag=tags_api.IdTag(id_tag="TAG", status=1))
    result = run(
        "tags", "add", "TAG", "--expires", "2030-01-02T03:04:05+0000", "--parent", "FAMILY", "--allow-concurrent"
    )
    assert result.exit_code == 0, result.output
    made = fake.asked("CreateIdTag")[0].id_tag
    assert (made.id_tag, made.status, made.parent_id_tag, made.allow_concurrent) == ("TAG", 1, "FAMILY", True)
    assert made.expire_time == at("2030-01-02T03:04:05Z")


def test_a_tags_expiry_can_be_taken_away(fake, run):
    """The mask names the field, and the field is unset."""
    assert run("tags", "update", "TAG", "--never-expires", "--status", "blocked").exit_code == 0
    (request,) = fake.asked("UpdateIdTag")
    assert list(request.update_mask.paths) == ["status", "expire_time"]
    assert not request.id_tag.HasField("expire_time")
    assert request.id_tag.status == 2


def test_tags_are_listed_and_shown(fake, run):
    """In a table, and one by one."""
    tag = tags_api.IdTag(id_tag="TAG", status=2, parent_id_tag="FAMILY", create_time=at("2024-05-01T10:00:00Z"))
    fake.answers["ListIdTags"] = tags_api.ListIdTagsResponse(id_tags=[tag])
    fake.answers["GetIdTag"] = tags_api.GetIdTagResponse(id_tag=tag)
    assert "Blocked" in run("tags", "list").stdout
    assert "FAMILY" in run("tags", "show", "TAG").stdout
    assert json.loads(run("tags", "list", "--json").stdout)[0]["status"] == "ID_TAG_STATUS_BLOCKED"


def test_a_tag_is_removed(fake, run):
    """By its name."""
    assert run("tags", "remove", "TAG").exit_code == 0
    assert fake.asked("DeleteIdTag")[0].id_tag == "TAG"


def test_labels_are_given_filtered_by_and_shown(fake, run):
    """As key=value, the first equals sign parts them."""
    assert run("chargers", "add", "H", "--label", "site=north", "--label", "note=a=b").exit_code == 0
    assert dict(fake.asked("CreateChargePoint")[-1].charge_point.labels) == {"site": "north", "note": "a=b"}
    labelled = api.ChargePoint(identity="H", labels={"site": "north", "a": "1"})
    fake.answers["ListChargePoints"] = api.ListChargePointsResponse(charge_points=[labelled])
    result = run("chargers", "list", "--label", "site=north")
    assert dict(fake.asked("ListChargePoints")[-1].labels) == {"site": "north"}
    header, row = result.stdout.splitlines()
    assert header.split()[-1] == "labels"
    assert row.endswith("a=1, site=north")
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=labelled)
    assert "a=1, site=north" in run("chargers", "show", "H").stdout


def test_labels_are_changed_one_by_one(fake, run):
    """The others stay, and what another has changed meanwhile is not overwritten."""
    labelled = api.ChargePoint(identity="H", labels={"site": "north", "a": "1"}, etag="7")
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=labelled)
    result = run("chargers", "update", "H", "--label", "site=south", "--label", "b=2", "--remove-label", "a")
    assert result.exit_code == 0, result.output
    request = fake.asked("UpdateChargePoint")[-1]
    assert dict(request.charge_point.labels) == {"site": "south", "b": "2"}
    assert (list(request.update_mask.paths), request.charge_point.etag) == (["labels"], "7")


@pytest.mark.parametrize("label", ["site", "=north", ""])
def test_a_label_without_a_key_or_an_equals_sign_is_wrong_usage(fake, run, label):
    """Nothing is sent."""
    result = run("chargers", "add", "H", "--label", label)
    assert result.exit_code == 2
    assert "expected key=value" in result.stderr
    assert not fake.requests


def test_a_key_is_rotated_and_not_shown(fake, run):
    """Stages are shown as they are reached; the end is the exit code's."""
    stages = [
        OperationStageReached(stage=OperationStage.Value(f"OPERATION_STAGE_{each}"), sequence=number)
        for number, each in enumerate(("ACCEPTED", "SENT", "REBOOT_REQUIRED", "KEY_USED"), 1)
    ]
    kind = OperationKind.OPERATION_KIND_ROTATE_AUTHORIZATION_KEY
    begun = Operation(operation_id="op_1", charge_point="HOME-1", kind=kind, stages=stages[:1])
    done = Operation(
        operation_id="op_1", charge_point="HOME-1", kind=kind, stages=stages, end=OperationEnd.OPERATION_END_DONE
    )
    fake.answers["RotateAuthorizationKey"] = RotateAuthorizationKeyResponse(operation=begun)
    fake.answers["WatchOperation"] = [WatchOperationResponse(operation=done)]
    result = run("chargers", "rotate-key", "HOME-1", "--request-id", "r1")
    assert (result.exit_code, result.stdout) == (0, "HOME-1: rotate authorization key: done\n")
    assert "reboot required" in result.stderr
    (request,) = fake.asked("RotateAuthorizationKey")
    assert (request.charge_point, request.request_id) == ("HOME-1", "r1")
    assert (request.reset, request.insist) == (False, False)
    assert run("chargers", "rotate-key", "HOME-1", "--reset", "--anyway").exit_code == 0
    request = fake.asked("RotateAuthorizationKey")[-1]
    assert (request.reset, request.insist) == (True, True)
    refused = Operation(charge_point="HOME-1", kind=kind, end=OperationEnd.OPERATION_END_REFUSED, reason="Rejected")
    fake.answers["WatchOperation"] = [WatchOperationResponse(operation=refused)]
    assert run("chargers", "rotate-key", "HOME-1").exit_code == 3


def test_a_security_profile_is_raised_and_followed(fake, run):
    """The caller's word on prerequisites goes along; a fall-back is a failure."""
    kind = OperationKind.OPERATION_KIND_UPGRADE_SECURITY_PROFILE
    done = Operation(charge_point="HOME-1", kind=kind, end=OperationEnd.OPERATION_END_DONE)
    fake.answers["WatchOperation"] = [WatchOperationResponse(operation=done)]
    result = run("chargers", "upgrade-profile", "HOME-1", 3, "--has-certificate", "--anyway")
    assert (result.exit_code, result.stdout) == (0, "HOME-1: upgrade security profile: done\n")
    (request,) = fake.asked("UpgradeSecurityProfile")
    assert (request.charge_point, request.security_profile) == ("HOME-1", 3)
    assert (request.client_certificate_installed, request.ca_certificate_installed, request.insist) == (
        True,
        False,
        True,
    )
    back = Operation(charge_point="HOME-1", kind=kind, end=OperationEnd.OPERATION_END_ROLLED_BACK, reason="fell-back")
    fake.answers["WatchOperation"] = [WatchOperationResponse(operation=back)]
    result = run("chargers", "upgrade-profile", "HOME-1", 3)
    assert result.exit_code == 1
    assert "rolled back (fell-back)" in result.stderr


def test_the_least_profile_is_set_and_shown(fake, run):
    """By update it may be taken back."""
    assert run("chargers", "add", "HOME-1", "--minimum-profile", 3, "--key", "00" * 20).exit_code == 0
    assert fake.asked("CreateChargePoint")[0].charge_point.minimum_security_profile == 3
    assert run("chargers", "update", "HOME-1", "--minimum-profile", 0).exit_code == 0
    (request,) = fake.asked("UpdateChargePoint")
    assert list(request.update_mask.paths) == ["minimum_security_profile"]
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(
        charge_point=api.ChargePoint(identity="HOME-1", minimum_security_profile=3)
    )
    assert re.search(r"minimum profile\s+3", run("chargers", "show", "HOME-1").stdout)


def test_values_of_its_quirk_profile_are_set_for_a_charger(fake, run):
    """Of each kind; default takes the value back."""
    typed = (
        "settle_delay=5.5",
        "own-requests=off",
        "max_stack_level=0",
        "measurands=Energy.Active.Import.Register; Power.Active.Import",
        "plug_in_first=default",
    )
    arguments = [each for quirk in typed for each in ("--quirk", quirk)]
    assert run("chargers", "update", "H", *arguments).exit_code == 0
    request = fake.asked("UpdateChargePoint")[-1]
    assert list(request.update_mask.paths) == [
        "quirks.settle_delay",
        "quirks.own_requests",
        "quirks.max_stack_level",
        "quirks.measurands",
        "quirks.plug_in_first",
    ]
    quirks = request.charge_point.quirks
    assert quirks.settle_delay.ToTimedelta().total_seconds() == 5.5
    assert (quirks.own_requests, quirks.HasField("own_requests")) == (False, True)
    assert (quirks.max_stack_level, quirks.HasField("max_stack_level")) == (0, True)
    assert list(quirks.measurands) == ["Energy.Active.Import.Register", "Power.Active.Import"]
    assert not quirks.HasField("plug_in_first")
    assert run("chargers", "add", "H", "--quirk", "pong_expected=off").exit_code == 0
    made = fake.asked("CreateChargePoint")[-1].charge_point.quirks
    assert (made.pong_expected, made.HasField("pong_expected")) == (False, True)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("settle_delay", "expected NAME=VALUE"),
        ("humour=on", "expected NAME=VALUE"),
        ("settle_delay=soon", "settle_delay: expected a number of seconds"),
        ("settle_delay=1e300", "settle_delay: expected a number of seconds"),
        ("max_stack_level=1.5", "max_stack_level: expected a whole number"),
        ("pong_expected=maybe", "pong_expected: expected on, off or default"),
    ],
)
def test_a_quirk_that_can_not_be_meant_is_wrong_usage(fake, run, typed, said):
    """Nothing is sent."""
    result = run("chargers", "update", "H", "--quirk", typed)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("\u2502", " ").split())
    assert not fake.requests


def test_the_quirk_profile_that_counts_is_shown_with_its_origins(fake, run):
    """Every value, where it comes from, and the make's source."""
    charger = api.ChargePoint(identity="H")
    charger.effective_quirks.settle_delay.FromSeconds(2)
    charger.effective_quirks.max_stack_level = 0
    charger.effective_quirks.own_requests = False
    charger.effective_quirks.measurands.extend(["A,B", "A"])
    for field, source, detail in (
        ("settle_delay", api.QUIRK_SOURCE_DEFAULT, ""),
        ("max_stack_level", api.QUIRK_SOURCE_BUILT_IN, "ABB: evcc-io/evcc #15493"),
        ("own_requests", api.QUIRK_SOURCE_CHARGE_POINT, ""),
        ("measurands", api.QUIRK_SOURCE_SETTINGS, "ABB: quirks[0]"),
        ("max_schedule_periods", api.QUIRK_SOURCE_DEFAULT, ""),
        ("of_a_newer_gateway", api.QUIRK_SOURCE_DEFAULT, ""),
    ):
        charger.quirk_origins.add(field=field, source=source, detail=detail)
    fake.answers["GetChargePoint"] = api.GetChargePointResponse(charge_point=charger)
    shown = [" ".join(line.split()) for line in run("chargers", "show", "H").stdout.splitlines()]
    for line in (
        "settle_delay 2 s settings for all",
        "max_stack_level 0 built in ABB: evcc-io/evcc #15493",
        "own_requests off for it alone",
        "measurands A,B; A settings ABB: quirks[0]",
        "max_schedule_periods - settings for all",
    ):
        assert line in shown

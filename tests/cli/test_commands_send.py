"""Commands to a charger: what is sent, what is shown, and how a refusal ends."""

import _thread
import json
import threading
import time
from datetime import UTC, timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import charge_point_pb2, common_pb2, completion_pb2
from gateway.api.v1 import command_pb2 as api
from gateway.api.v1 import transaction_pb2 as tx
from gateway.api.v1.common_pb2 import ConnectorAddress, QualityFlag
from tests.cli.fakes import Failure, at

ONE = ConnectorAddress(evse=1, connector=1)
TWO = ConnectorAddress(evse=2, connector=1)
ACCEPTED = api.Command(answer=api.CommandAnswer(status=api.StatusAnswer(status="Accepted")))


def running(*connectors: ConnectorAddress) -> tx.ListTransactionsResponse:
    """Open transactions on connectors."""
    return tx.ListTransactionsResponse(
        transactions=[
            tx.Transaction(
                transaction_id=f"tx_{address.evse}",
                connector=address,
                id_tag="TAG",
                start_time=at("2024-05-01T10:00:00Z"),
            )
            for address in connectors
        ]
    )


def test_a_start_names_the_tag_and_the_connector(fake, run):
    """And gets a request id of its own each time."""
    fake.answers["RemoteStartTransaction"] = api.RemoteStartTransactionResponse(command=ACCEPTED, status=1)
    for _ in range(2):
        result = run("start", "HOME-1", "--tag", "TAG", "--connector", 2)
        assert result.exit_code == 0, result.output
    assert "HOME-1 answered: Accepted" in result.stdout
    assert "accepted is not started: gateway watch HOME-1 shows when it is" in result.stderr
    first, second = fake.asked("RemoteStartTransaction")
    assert (first.charge_point, first.id_tag, first.connector) == ("HOME-1", "TAG", TWO)
    assert 0 < len(first.request_id) <= 64
    assert first.request_id != second.request_id


def test_a_request_id_can_be_given(fake, run):
    """A script that retries says which request it repeats."""
    fake.answers["Reset"] = api.ResetResponse(command=ACCEPTED, status=1)
    assert run("reset", "HOME-1", "--hard", "--request-id", "night-1").exit_code == 0
    (request,) = fake.asked("Reset")
    assert (request.request_id, request.type) == ("night-1", api.ResetType.RESET_TYPE_HARD)


def test_a_chargers_no_is_exit_code_3_with_its_word(fake, run):
    """Rejected is an answer to the API, and a failure to the person."""
    rejected = api.Command(answer=api.CommandAnswer(status=api.StatusAnswer(status="Rejected")))
    fake.answers["RemoteStartTransaction"] = api.RemoteStartTransactionResponse(command=rejected, status=2)
    result = run("start", "HOME-1", "--tag", "TAG")
    assert result.exit_code == 3
    assert result.stderr == "error: HOME-1 refused the start: Rejected\n"
    assert not fake.asked("RemoteStartTransaction")[0].HasField("connector")


def test_an_unknown_outcome_is_reported_as_such(fake, run):
    """The reason and the command's id reach the operator."""
    fake.answers["Reset"] = Failure(
        grpc.StatusCode.UNKNOWN, "no answer in time", "OUTCOME_UNKNOWN", {"command_id": "cmd_1"}
    )
    result = run("reset", "HOME-1")
    assert result.exit_code == 6
    assert result.stderr == "error: no answer in time [OUTCOME_UNKNOWN], command id: cmd_1\n"


def test_a_stop_finds_the_only_running_transaction(fake, run):
    """No transaction's id need be typed where there is one."""
    fake.answers["ListTransactions"] = running(ONE)
    fake.answers["RemoteStopTransaction"] = api.RemoteStopTransactionResponse(command=ACCEPTED, status=1)
    assert run("stop", "HOME-1").exit_code == 0
    (listed,) = fake.asked("ListTransactions")
    assert (listed.charge_point, listed.state) == ("HOME-1", tx.TransactionState.TRANSACTION_STATE_OPEN)
    assert fake.asked("RemoteStopTransaction")[0].transaction_id == "tx_1"


def test_a_stop_can_name_a_transaction_of_another_system(fake, run):
    """By its number there; nothing is looked up."""
    fake.answers["RemoteStopTransaction"] = api.RemoteStopTransactionResponse(command=ACCEPTED, status=1)
    assert run("stop", "HOME-1", "--foreign-number", 40815).exit_code == 0
    (request,) = fake.asked("RemoteStopTransaction")
    assert (request.transaction_id, request.foreign_number) == ("", 40815)
    assert not fake.asked("ListTransactions")
    assert run("stop", "HOME-1", "--foreign-number", 1, "--transaction", "tx_1").exit_code == 2


def test_a_trigger_of_a_boot_can_be_insisted_on(fake, run):
    """Only where the caller says so."""
    fake.answers["TriggerMessage"] = api.TriggerMessageResponse(command=ACCEPTED, status=1)
    assert run("trigger", "HOME-1", "BootNotification").exit_code == 0
    assert run("trigger", "HOME-1", "BootNotification", "--insist").exit_code == 0
    assert [each.insist for each in fake.asked("TriggerMessage")] == [False, True]


def test_a_stop_of_nothing_says_so(fake, run):
    """Nothing is sent to the charger."""
    result = run("stop", "HOME-1")
    assert result.exit_code == 4
    assert "no transaction is running" in result.stderr


def test_a_stop_among_several_asks_which(fake, run):
    """The choices are printed as they would be typed."""
    fake.answers["ListTransactions"] = running(ONE, TWO)
    result = run("stop", "HOME-1")
    assert result.exit_code == 2
    assert "--transaction tx_1 (connector 1, TAG, since 2024-05-01" in result.stderr
    assert not fake.asked("RemoteStopTransaction")


def test_a_stop_can_name_the_connector(fake, run):
    """The one on it, of several."""
    fake.answers["ListTransactions"] = running(ONE, TWO)
    fake.answers["RemoteStopTransaction"] = api.RemoteStopTransactionResponse(command=ACCEPTED, status=1)
    assert run("stop", "HOME-1", "--connector", 2).exit_code == 0
    assert fake.asked("RemoteStopTransaction")[0].transaction_id == "tx_2"


@pytest.mark.parametrize(
    ("word", "value"), [("StatusNotification", 6), ("heartbeat", 4), ("METERVALUES", 5), ("BootNotification", 1)]
)
def test_a_trigger_names_the_message_in_any_case(fake, run, word, value):
    """As OCPP spells it, without regard to case."""
    fake.answers["TriggerMessage"] = api.TriggerMessageResponse(command=ACCEPTED, status=1)
    assert run("trigger", "HOME-1", word).exit_code == 0
    assert fake.asked("TriggerMessage")[0].requested_message == value


def test_an_unlocked_connector_is_success(fake, run):
    """Unlocked is this operation's yes, UnlockFailed its no."""
    unlocked = api.Command(answer=api.CommandAnswer(status=api.StatusAnswer(status="Unlocked")))
    fake.answers["UnlockConnector"] = [
        api.UnlockConnectorResponse(command=unlocked, status=1),
        api.UnlockConnectorResponse(status=2),
    ]
    assert run("unlock", "HOME-1").exit_code == 0
    result = run("unlock", "HOME-1", "--connector", 1)
    assert result.exit_code == 3
    assert "refused connector 1: UnlockFailed" in result.stderr


def test_json_is_printed_for_a_refusal_too(fake, run):
    """A machine reads the answer on standard output, and sees the exit code."""
    fake.answers["Reset"] = api.ResetResponse(command=api.Command(command_id="cmd_1"), status=2)
    result = run("reset", "HOME-1", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout) == {"command": {"command_id": "cmd_1"}, "status": "RESET_STATUS_REJECTED"}


# --- configuration --------------------------------------------------------------------------------------------


def test_configuration_is_shown_in_a_table(fake, run):
    """All keys when none is named."""
    fake.answers["GetConfiguration"] = api.GetConfigurationResponse(
        keys=[
            api.ConfigurationKey(key="HeartbeatInterval", value="300"),
            api.ConfigurationKey(key="ConnectorPhaseRotation", readonly=True),
        ]
    )
    result = run("config", "get", "HOME-1")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[1:] == [["ConnectorPhaseRotation", "read-only"], ["HeartbeatInterval", "300"]]


def test_an_unknown_key_is_a_failure(fake, run):
    """Keys that were asked for and don't exist are printed."""
    fake.answers["GetConfiguration"] = api.GetConfigurationResponse(unknown_keys=["Nope"])
    result = run("config", "get", "HOME-1", "Nope")
    assert result.exit_code == 3
    assert "does not know: Nope" in result.stderr
    assert list(fake.asked("GetConfiguration")[0].keys) == ["Nope"]


def test_a_secret_value_is_read_from_standard_input(fake, run):
    """Not from the command line."""
    fake.answers["ChangeConfiguration"] = api.ChangeConfigurationResponse(command=ACCEPTED, status=1)
    result = run("config", "set", "HOME-1", "AuthorizationKey", "-", input="00112233445566778899aabbccddeeff\n")
    assert result.exit_code == 0
    assert fake.asked("ChangeConfiguration")[0].value == "00112233445566778899aabbccddeeff"
    assert "0011" not in result.output


def test_a_value_that_needs_a_restart_is_success_with_a_hint(fake, run):
    """RebootRequired is neither silence nor failure."""
    answer = api.Command(answer=api.CommandAnswer(status=api.StatusAnswer(status="RebootRequired")))
    fake.answers["ChangeConfiguration"] = api.ChangeConfigurationResponse(command=answer, status=3)
    result = run("config", "set", "HOME-1", "SecurityProfile", "2")
    assert result.exit_code == 0
    assert "gateway reset HOME-1" in result.stderr


# --- limits ---------------------------------------------------------------------------------------------------


@pytest.fixture
def limited(fake, run):
    """Run a limit that the charger accepts, and answer the request."""
    fake.answers["SetChargingProfile"] = api.SetChargingProfileResponse(command=ACCEPTED, status=1)

    def limited(*arguments: object) -> api.SetChargingProfileRequest:
        result = run("limit", "HOME-1", *arguments)
        assert result.exit_code == 0, result.output
        return fake.asked("SetChargingProfile")[-1]

    return limited


def test_a_limit_is_for_the_running_transaction(fake, limited):
    """A TxProfile on its connector, with its id, relative to its start: it ends with it (B10.2)."""
    fake.answers["ListTransactions"] = running(TWO)
    request = limited("--amps", 10)
    profile = request.charging_profile
    assert request.connector == TWO
    assert profile.purpose == common_pb2.ChargingProfilePurpose.CHARGING_PROFILE_PURPOSE_TX_PROFILE
    assert profile.kind == common_pb2.ChargingProfileKind.CHARGING_PROFILE_KIND_RELATIVE
    assert profile.transaction_id == "tx_2"
    assert not profile.schedule.HasField("start_schedule_time")
    (period,) = profile.schedule.periods
    assert (profile.schedule.rate_unit, period.limit, period.start_period.seconds) == (1, 10.0, 0)
    assert profile.stack_level == 0


def test_without_a_transaction_a_limit_is_for_the_whole_charge_point(limited):
    """A ChargePointMaxProfile on connector 0 (B10.1), absolute from a little before now (B10.11)."""
    request = limited("--watts", 3700)
    profile = request.charging_profile
    assert request.connector == ConnectorAddress()
    assert profile.purpose == common_pb2.ChargingProfilePurpose.CHARGING_PROFILE_PURPOSE_CHARGE_POINT_MAX_PROFILE
    assert not profile.HasField("transaction_id")
    assert profile.kind == common_pb2.ChargingProfileKind.CHARGING_PROFILE_KIND_ABSOLUTE
    assert profile.schedule.HasField("start_schedule_time")
    assert (profile.schedule.rate_unit, profile.schedule.periods[0].limit) == (2, 3700.0)


def stored(request: api.SetChargingProfileRequest) -> api.GetCommandResponse:
    """The command that a request has made, as the gateway shows it."""
    profile, transaction = request.charging_profile, {}
    if profile.HasField("transaction_id"):
        transaction = {"transaction_id": profile.transaction_id}
    start = {}
    if profile.schedule.HasField("start_schedule_time"):
        start = {"start_schedule": profile.schedule.start_schedule_time.ToDatetime(UTC).isoformat()}
    names = {1: "ChargePointMaxProfile", 2: "TxDefaultProfile", 3: "TxProfile"}
    arguments = {
        "connector": {"evse": request.connector.evse, "connector": request.connector.connector},
        "profile": {"purpose": names[profile.purpose], "schedule": start, **transaction},
    }
    return api.GetCommandResponse(command=api.Command(arguments_json=json.dumps(arguments)))


@pytest.mark.parametrize("connectors", [(), (ONE,)], ids=["the whole charge point", "a transaction"])
def test_a_limit_that_is_given_again_is_the_same_request(fake, limited, connectors):
    """Its beginning and its place are those of the first time, whatever has begun or ended since."""
    fake.answers["ListTransactions"] = running(*connectors)
    fake.answers["GetCommand"] = Failure(grpc.StatusCode.NOT_FOUND, "there is none", "UNKNOWN_COMMAND")
    given = ("--amps", 6, "--minutes", 30, "--request-id", "r1")
    first = limited(*given)
    earlier = stored(first)
    start = json.loads(earlier.command.arguments_json)
    moved = first.charging_profile.schedule.start_schedule_time
    moved.FromDatetime(moved.ToDatetime() - timedelta(hours=1))  # it was given an hour ago
    start["profile"]["schedule"]["start_schedule"] = moved.ToDatetime(UTC).isoformat()
    earlier.command.arguments_json = json.dumps(start)
    fake.answers["GetCommand"] = earlier
    fake.answers["ListTransactions"] = running(*(() if connectors else (ONE,)))
    assert limited(*given) == first
    elsewhere = limited(*given, "--connector", 2)
    assert elsewhere != first  # another limit under its id, which the gateway refuses


@pytest.mark.parametrize("arguments", ["", "[]", '{"connector": {}}', '{"connector": {"evse": 1}, "profile": {}}'])
def test_a_limit_under_another_commands_id_is_sent_for_the_gateway_to_refuse(fake, limited, arguments):
    fake.answers["GetCommand"] = api.GetCommandResponse(command=api.Command(arguments_json=arguments))
    assert limited("--amps", 6, "--request-id", "r1").request_id == "r1"


def test_a_limit_on_an_idle_connector_is_for_its_transactions_to_come(limited):
    """A TxDefaultProfile."""
    request = limited("--amps", 6, "--connector", 1)
    assert request.connector == ONE
    assert (
        request.charging_profile.purpose
        == common_pb2.ChargingProfilePurpose.CHARGING_PROFILE_PURPOSE_TX_DEFAULT_PROFILE
    )


def test_connector_0_is_the_whole_charge_point_whatever_runs(fake, limited):
    """The person has said so."""
    fake.answers["ListTransactions"] = running(ONE)
    request = limited("--amps", 6, "--connector", 0)
    assert request.connector == ConnectorAddress()
    assert not request.charging_profile.HasField("transaction_id")


def test_a_new_limit_replaces_the_one_before(fake, limited):
    """Each place has one profile number (B10.4), and places don't share one."""
    numbers = {limited("--amps", amps).charging_profile.charging_profile_id for amps in (6, 10)}
    fake.answers["ListTransactions"] = running(ONE)
    numbers |= {limited("--amps", amps).charging_profile.charging_profile_id for amps in (6, 10)}
    assert len(numbers) == 2


def test_a_limit_in_time_ends_by_itself(fake, limited):
    """The schedule's duration counts from its start, which lies before now."""
    fake.answers["ListTransactions"] = running(ONE)
    schedule = limited("--amps", 6, "--minutes", 30).charging_profile.schedule
    assert schedule.HasField("start_schedule_time")
    assert schedule.duration.ToTimedelta() == timedelta(minutes=40)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("8.05", 8.0),
        ("6.28", 6.2),
        ("6.99", 6.9),
        ("0.19", 0.1),
        ("8.1", 8.1),
        ("0", 0.0),
        ("7.9999999999999999999", 7.9),
    ],
)
@pytest.mark.parametrize("option", ["--amps", "--watts"])
def test_a_limit_is_never_higher_than_was_asked_for(fake, limited, option, typed, sent):
    """OCPP has one decimal (S §7.14): rounded down, from the digits as typed."""
    assert limited(option, typed).charging_profile.schedule.periods[0].limit == sent


def test_what_was_set_is_shown(fake, run):
    """Also where it is less than was asked for; JSON has it as fields."""
    fake.answers["SetChargingProfile"] = api.SetChargingProfileResponse(command=ACCEPTED, status=1)
    result = run("limit", "HOME-1", "--amps", "8.05")
    assert result.stdout.splitlines()[-1].endswith("(ChargePointMaxProfile): 8.0 A")
    assert "8.05 A was rounded down to 8.0 A" in result.stderr
    said = json.loads(run("limit", "HOME-1", "--watts", "3700.55", "--json").stdout)
    assert (said["limit"], said["rate_unit"]) == ("3700.5", "W")
    exact = run("limit", "HOME-1", "--amps", "8")
    assert "rounded" not in exact.stderr


@pytest.mark.parametrize(
    "typed",
    [
        "0.04",
        "0.0999",
        "1e-30",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-1",
        "8,05",
        "8 A",
        "10000001",
        "1_6",
        "\uff18",
        "0x10",
    ],
)
def test_a_limit_that_can_not_be_expressed_is_refused(fake, run, typed):
    """One above 0 that would become 0 stops the charging; what is no number limits nothing."""
    for option in ("--amps", "--watts"):
        result = run("limit", "HOME-1", option, typed)
        assert result.exit_code == 2, result.output
        assert option in result.stderr
    assert not fake.requests


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--amps", 6, "--watts", 1],
        ["--clear", "--amps", 6],
        ["--amps", -1],
        ["--clear", "--watts", 0],
        ["--clear", "--minutes", 5],
        ["--clear", "--phases", 1],
        ["--clear", "--stack-level", 1],
    ],
)
def test_a_limit_needs_one_number(fake, run, arguments):
    """Wrong usage sends nothing."""
    assert run("limit", "HOME-1", *arguments).exit_code == 2
    assert not fake.requests


def test_a_limit_among_several_transactions_asks_which(fake, run):
    """It never guesses."""
    fake.answers["ListTransactions"] = running(ONE, TWO)
    result = run("limit", "HOME-1", "--amps", 6)
    assert result.exit_code == 2
    assert "--transaction tx_2" in result.stderr


def test_a_limit_on_a_transaction_that_is_over_is_refused(fake, run):
    """A TxProfile without its transaction is against the rules."""
    fake.answers["ListTransactions"] = running(ONE)
    result = run("limit", "HOME-1", "--amps", 6, "--transaction", "tx_9")
    assert result.exit_code == 4
    assert "tx_9 is not running" in result.stderr


def test_clearing_takes_away_what_limits_set_and_nothing_else(fake, run, limited):
    """By profile number, on the charge point and on each of its connectors."""
    fake.answers["GetChargePoint"] = charge_point_pb2.GetChargePointResponse(
        charge_point=charge_point_pb2.ChargePoint(
            connectors=[charge_point_pb2.Connector(connector=each) for each in (ConnectorAddress(), ONE, TWO)]
        )
    )
    fake.answers["ClearChargingProfile"] = [
        api.ClearChargingProfileResponse(status=1 if number == 0 else 2) for number in range(5)
    ]
    used = {limited("--amps", 6).charging_profile.charging_profile_id}
    fake.answers["ListTransactions"] = running(TWO)
    used.add(limited("--amps", 6).charging_profile.charging_profile_id)
    result = run("limit", "HOME-1", "--clear")
    assert result.exit_code == 0
    requests = fake.asked("ClearChargingProfile")
    assert all(not each.HasField("connector") and not each.HasField("stack_level") for each in requests)
    assert used < {each.charging_profile_id for each in requests}
    assert len({each.request_id for each in requests}) == len(requests) == 5
    assert result.stdout == "cleared: the limit of the whole charge point (ChargePointMaxProfile)\n"


# --- what was ------------------------------------------------------------------------------------------------


STOPPED = tx.Transaction(
    transaction_id="tx_1",
    charge_point="HOME-1",
    connector=ONE,
    id_tag="TAG",
    state=2,
    start_time=at("2024-05-01T10:00:00Z"),
    stop_time=at("2024-05-01T11:00:00Z"),
    stop_reason="Remote",
    meter_start=common_pb2.Energy(watt_hours="1000", milliwatt_hours=1_000_000),
    meter_stop=common_pb2.Energy(watt_hours="8400", milliwatt_hours=8_400_000),
    energy=common_pb2.Energy(watt_hours="7400", milliwatt_hours=7_400_000),
    flags=[5],
)


def test_transactions_are_listed_without_a_subcommand(fake, run):
    """The usual question has the shortest form."""
    fake.answers["ListTransactions"] = tx.ListTransactionsResponse(transactions=[STOPPED])
    row = run("transactions").stdout.splitlines()[1]
    for part in ("tx_1", "HOME-1", "TAG", "stopped", "7.400 kWh", "Remote", "late"):
        assert part in row


def test_transactions_can_be_filtered(fake, run):
    """By charger, state, tag and time."""
    options = ["--charger", "HOME-1", "--state", "open", "--tag", "TAG", "--since", "2024-05-01T00:00:00+0000"]
    assert run("transactions", "list", *options).exit_code == 0
    (request,) = fake.asked("ListTransactions")
    assert (request.charge_point, request.state, request.id_tag) == ("HOME-1", 1, "TAG")
    assert request.started_from_time == at("2024-05-01T00:00:00Z")
    assert not request.HasField("started_before_time")


def test_a_transaction_is_shown_with_its_readings(fake, run):
    """Values as sent, in their units."""
    sample = common_pb2.MeterSample(
        measurand="Power.Active.Import", value="7360.5", unit="W", context="Sample.Periodic"
    )
    signed = common_pb2.MeterSample(measurand="Energy.Active.Import.Register", value="0a0b", format="SignedData")
    fake.answers["GetTransaction"] = tx.GetTransactionResponse(transaction=STOPPED)
    fake.answers["ListTransactionReadings"] = tx.ListTransactionReadingsResponse(
        readings=[tx.TransactionReading(samples=[sample, signed])]
    )
    text = run("transactions", "show", "tx_1").stdout
    for part in ("8.400 kWh", "Power.Active.Import", "7360.5", "Sample.Periodic", "(signed data)"):
        assert part in text
    assert json.loads(run("transactions", "show", "tx_1", "--json").stdout)["readings"][0]["samples"]
    assert "readings" not in json.loads(run("transactions", "show", "tx_1", "--no-readings", "--json").stdout)


def test_commands_are_listed_and_shown(fake, run):
    """With the charger's word, or the reason why there is none."""
    command = api.Command(
        command_id="cmd_1",
        charge_point="HOME-1",
        operation="Reset",
        state=5,
        reason="deadline",
        arguments_json='{"reset_type":"Hard"}',
        create_time=at("2024-05-01T10:00:00Z"),
    )
    failed = api.Command(command_id="cmd_2", state=3, error=api.CommandError(code="NotSupported", description="no"))
    fake.answers["ListCommands"] = api.ListCommandsResponse(commands=[command, failed])
    fake.answers["GetCommand"] = api.GetCommandResponse(command=command)
    listed = run("commands").stdout
    assert "outcome unknown" in listed
    assert "deadline" in listed
    assert "NotSupported: no" in listed
    assert '{"reset_type":"Hard"}' in run("commands", "show", "cmd_1").stdout


def test_an_interrupted_command_says_that_it_may_still_be_carried_out(fake, run):
    """Ctrl-C ends the wait and not the command; the output says how to find it."""

    def interrupt() -> None:
        time.sleep(0.3)
        _thread.interrupt_main()

    def wait(request, context):
        threading.Thread(target=interrupt, daemon=True).start()
        context.add_callback(gone.set)
        gone.wait(10)
        return api.ResetResponse()

    gone = threading.Event()
    fake.answers["Reset"] = wait
    result = run("reset", "MUTE", "--request-id", "night-1")
    assert result.exit_code == 130
    assert result.stderr == (
        "interrupted: the command (request id night-1) is on its way and may still be carried out; "
        "gateway commands list --charger MUTE shows what became of it\n"
    )


def test_a_transaction_is_closed_with_a_reason(fake, run):
    """The charger is sent nothing; what was asked for is said on standard error."""
    closed = tx.Transaction(transaction_id="tx_1", state=tx.TRANSACTION_STATE_CLOSED, close_reason="replaced")
    fake.answers["CloseTransaction"] = tx.CloseTransactionResponse(transaction=closed)
    result = run("transactions", "close", "tx_1", "--reason", "replaced")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "tx_1 is closed" in result.stderr
    (request,) = fake.asked("CloseTransaction")
    assert (request.transaction_id, request.reason) == ("tx_1", "replaced")
    assert '"TRANSACTION_STATE_CLOSED"' in run("transactions", "close", "tx_1", "--reason", "replaced", "--json").stdout
    assert run("transactions", "close", "tx_1").exit_code == 2


def test_a_transaction_is_closed_with_a_register(fake, run):
    """And its time, and insistence; a time alone is refused before anything is sent."""
    fake.answers["CloseTransaction"] = tx.CloseTransactionResponse(transaction=tx.Transaction(transaction_id="tx_1"))
    given = ("transactions", "close", "tx_1", "--reason", "read", "--at", "2026-07-01T12:00:00Z")
    assert run(*given).exit_code == 2
    assert run(*given, "--meter-wh", 7000, "--insist").exit_code == 0
    (request,) = fake.asked("CloseTransaction")
    assert (request.meter_stop_watt_hours, request.insist) == (7000, True)
    assert request.end_time.ToJsonString() == "2026-07-01T12:00:00Z"


def test_an_orphan_is_tied_to_its_transaction(fake, run):
    """With a request id, given or made up."""
    fake.answers["AttributeOrphan"] = tx.AttributeOrphanResponse(transaction=tx.Transaction(transaction_id="tx_1"))
    given = ("transactions", "attribute", "ev_7", "tx_1", "--reason", "found")
    result = run(*given)
    assert (result.exit_code, "tx_1 is stopped" in result.stderr) == (0, True)
    assert '"tx_1"' in run(*given, "--request-id", "r-1", "--insist", "--json").stdout
    first, second = fake.asked("AttributeOrphan")
    assert (first.orphan_event_id, first.transaction_id, first.reason) == ("ev_7", "tx_1", "found")
    assert first.request_id
    assert (second.request_id, second.insist) == ("r-1", True)


def test_a_running_transaction_says_when_its_vehicle_is_full(fake, run):
    """With the bounds, as far as these are known; else why there is no time."""
    estimate = completion_pb2.Completion(
        state=completion_pb2.COMPLETION_STATE_ESTIMATED,
        finish_time=at("2024-05-01T06:30:00Z"),
        earliest_time=at("2024-05-01T06:10:00Z"),
    )
    running = tx.Transaction(transaction_id="tx_1", state=tx.TRANSACTION_STATE_OPEN, completion=estimate)
    fake.answers["GetTransaction"] = tx.GetTransactionResponse(transaction=running)
    shown = run("transactions", "show", "tx_1", "--no-readings").stdout
    for part in ("06:30", "06:10", "later than in three days"):
        assert part in shown
    running.completion.state = completion_pb2.COMPLETION_STATE_TOO_FAR
    fake.answers["GetTransaction"] = tx.GetTransactionResponse(transaction=running)
    assert "too far" in run("transactions", "show", "tx_1", "--no-readings").stdout


def test_a_stale_and_a_closed_transaction_say_so(fake, run):
    """Since when, and why."""
    stale = tx.Transaction(
        transaction_id="tx_1",
        state=tx.TRANSACTION_STATE_OPEN,
        stale_reason="available",
        stale_time=Timestamp(seconds=1_700_000_000),
        flags=[QualityFlag.QUALITY_FLAG_STALE],
    )
    fake.answers["GetTransaction"] = tx.GetTransactionResponse(transaction=stale)
    shown = run("transactions", "show", "tx_1", "--no-readings").stdout
    assert ": available" in shown
    assert "flags" in shown
    closed = tx.Transaction(
        transaction_id="tx_1",
        state=tx.TRANSACTION_STATE_CLOSED,
        close_reason="replaced",
        close_time=Timestamp(seconds=1_700_000_000),
    )
    fake.answers["GetTransaction"] = tx.GetTransactionResponse(transaction=closed)
    assert ": replaced" in run("transactions", "show", "tx_1", "--no-readings").stdout

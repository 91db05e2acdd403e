"""Ends of commands: exit codes that scripts can tell apart, errors in JSON, and notes while something is waited for."""

import json
import re
import socket
import threading

import grpc
import pytest
from typer.main import get_command

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1 import id_tag_pb2
from gateway.cli import wait_notes
from gateway.cli.exit_codes import ExitCode, exit_code
from gateway.cli.fleet_file import WRONG_LINES
from gateway.cli.last_call import changes
from gateway.cli.root import app
from gateway.client import Problem
from gateway.control.access import NEEDS
from gateway.control.http.methods import reads
from gateway.control.outcomes import COMMANDS, OPERATIONS, Effect
from tests.cli.fakes import Failure
from tests.support.named_tests import REPOSITORY

CODE = grpc.StatusCode
SENT = {"charge_point": "H", "command_id": "cmd_1"}
ACCEPTED = api.Command(answer=api.CommandAnswer(status=api.StatusAnswer(status="Accepted")))

FAILURES = [
    (Failure(CODE.NOT_FOUND, "there is no charge point H", "UNKNOWN_CHARGE_POINT"), 4),
    (Failure(CODE.NOT_FOUND, "there is no transaction", "UNKNOWN_TRANSACTION"), 4),
    (Failure(CODE.FAILED_PRECONDITION, "offline", "CHARGE_POINT_OFFLINE"), 5),
    (Failure(CODE.FAILED_PRECONDITION, "pending", "CHARGE_POINT_PENDING"), 5),
    (Failure(CODE.RESOURCE_EXHAUSTED, "full", "QUEUE_FULL"), 5),
    (Failure(CODE.DEADLINE_EXCEEDED, "not sent", "NOT_SENT"), 5),
    (Failure(CODE.FAILED_PRECONDITION, "too many keys", "TOO_MANY_KEYS", SENT), 5),
    (Failure(CODE.FAILED_PRECONDITION, "several are open", "SEVERAL_TRANSACTIONS"), 2),
    (Failure(CODE.RESOURCE_EXHAUSTED, "busy", "TOO_MANY_CALLS"), 7),
    (Failure(CODE.UNKNOWN, "no answer", "OUTCOME_UNKNOWN", SENT), 6),
    (Failure(CODE.ABORTED, "no answer", "OUTCOME_UNKNOWN", SENT), 6),
    (Failure(CODE.FAILED_PRECONDITION, "said no", "GenericError", {**SENT, "code": "GenericError"}), 3),
    (Failure(CODE.UNIMPLEMENTED, "not known", "NotImplemented", {**SENT, "code": "NotImplemented"}), 3),
    (Failure(CODE.UNAVAILABLE, "draining", "DRAINING"), 7),
    (Failure(CODE.UNAVAILABLE, "not sent", "NOT_SENT"), 7),
    (Failure(CODE.UNAVAILABLE, "disk", "STORE_UNAVAILABLE"), 7),
    (Failure(CODE.INVALID_ARGUMENT, "wrong", "INVALID_COMMAND"), 2),
    (Failure(CODE.ALREADY_EXISTS, "taken", "CHARGE_POINT_EXISTS"), 1),
    (Failure(CODE.INTERNAL, "a bug", "INTERNAL"), 1),
    (Failure(CODE.UNAVAILABLE, "Socket closed"), 6),
    (Failure(CODE.DEADLINE_EXCEEDED, "Deadline Exceeded"), 6),
]


@pytest.mark.parametrize(("failure", "code"), FAILURES, ids=[f"{f.code.name}-{f.reason}" for f, _ in FAILURES])
def test_what_became_of_a_command_is_its_exit_code(fake, run, failure, code):
    """Also in JSON, where the error says it with the same keys whatever it was."""
    fake.answers["Reset"] = [failure, failure]
    plain = run("reset", "H")
    assert (plain.exit_code, plain.stdout) == (code, "")
    assert plain.stderr.startswith("error: ")
    result = run("reset", "H", "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    error = json.loads(result.stderr)["error"]
    assert set(error) == {"exit_code", "status", "reason", "message", "metadata", "violations"}
    assert error["exit_code"] == code
    assert failure.message in error["message"]
    if failure.reason:
        assert (error["status"], error["reason"]) == (failure.code.name, failure.reason)
        assert error["metadata"] == failure.metadata


NO_REPEAT = {"PREREQUISITE_MISSING", "PROFILE_NOT_HIGHER"}
"""Reasons of operations by which nothing was begun, and no waiting helps: the message says what to change."""


@pytest.mark.parametrize(
    "row", [row for row in (*COMMANDS, *OPERATIONS) if row.status != "OK"], ids=lambda row: row.name
)
def test_every_way_in_which_a_command_ends_has_a_code_that_says_so(row):
    """By what was done: 6 where that is not known, 3 where the charger has answered, else one of nothing sent."""
    metadata = dict.fromkeys(row.metadata, "x")
    code = exit_code(Problem(CODE[row.status], "", row.reason, metadata))
    if row.reason in NO_REPEAT:
        assert code is ExitCode.FAILED
    elif row.effect is Effect.DONE:
        assert code is ExitCode.REFUSED
    elif row.reason == "OUTCOME_UNKNOWN":
        assert code is ExitCode.OUTCOME_UNKNOWN
    else:
        assert code in (ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.NOT_SENT, ExitCode.UNREACHABLE)


def test_a_connection_that_breaks_under_a_command_leaves_its_outcome_unknown(run):
    """The peer hangs up after the request: it may have been carried out, and where to look is said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def hang_up() -> None:
            while not done.is_set():
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # an empty SETTINGS frame: HTTP/2 is spoken
                    peer.recv(65536)
                    peer.sendall(b"\x00\x00\x00\x04\x01\x00\x00\x00\x00")
                    peer.recv(65536)

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        result = run("reset", "H", "--target", f"127.0.0.1:{server.getsockname()[1]}")
        done.set()
        server.close()
    assert result.exit_code == ExitCode.OUTCOME_UNKNOWN, result.output
    assert "may be carried out" in result.stderr
    assert "gateway commands list --charger H" in result.stderr


CUT = Failure(CODE.UNAVAILABLE, "Socket closed")

CHANGES = {
    "CreateChargePoint": "chargers add H",
    "UpdateChargePoint": "chargers update H --new-key",
    "DeleteChargePoint": "chargers remove H --yes",
    "DisconnectChargePoint": "chargers disconnect H",
    "CreateIdTag": "tags add T",
    "UpdateIdTag": "tags update T --description x",
    "DeleteIdTag": "tags remove T",
    "CreateCaller": "callers add bob --role read",
    "RevokeCaller": "callers revoke bob",
    "CloseTransaction": "transactions close tx_1 --reason r",
    "AttributeOrphan": "transactions attribute ev_1 tx_1 --reason r",
    "CancelFleetJob": "fleet cancel job",
    "SetLogLevel": "log-level debug --for 5",
    "Drain": "drain --yes",
}
"""By method, a command that makes a change at the gateway."""


@pytest.mark.parametrize(("method", "command"), CHANGES.items())
@pytest.mark.parametrize("failure", [CUT, Failure(CODE.DEADLINE_EXCEEDED, "Deadline Exceeded")], ids=["cut", "late"])
def test_a_change_whose_answer_did_not_come_may_have_been_made(fake, run, method, command, failure):
    """A blind repeat would lose a key, or find the name taken; where no gateway answered nothing was done."""
    fake.answers[method] = failure
    result = run(*command.split(), "--json")
    assert (result.exit_code, result.stdout) == (6, "")
    error = json.loads(result.stderr.splitlines()[-1])["error"]
    assert (error["status"], error["reason"]) == ("", "OUTCOME_UNKNOWN")
    assert "may have been done" in error["message"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    assert run(*command.split(), "--json", "--target", target).exit_code == 7


def test_a_read_whose_answer_did_not_come_is_asked_for_again(fake, run):
    """Also behind a change of the same run."""
    for method, command in (("ListChargePoints", "chargers list"), ("GetCommand", "commands show c"),
                            ("GetServerInfo", "call Server/GetServerInfo")):  # fmt: skip
        fake.answers[method] = CUT
        assert run(*command.split(), "--json").exit_code == 7
    fake.answers["Reset"] = CUT
    assert run("call", "Command/Reset", '{"chargePoint": "H"}', "--json").exit_code == 6
    fake.answers["ImportChargePoints"] = [[CUT], [CUT]]
    line = "identity,key_text\nH,sixteen-bytes-it-has\n"
    assert run("chargers", "import", "-", "--json", input=line).exit_code == 6
    assert run("chargers", "import", "-", "--dry-run", "--json", input=line).exit_code == 7


def test_what_changes_something_is_known_of_each_method():
    """By its name; as the gateway has it by the role that it needs."""
    for service, methods in NEEDS.items():
        for name in methods:
            path = f"/{service}/{name}"
            if service.startswith("gateway.") and name not in ("HandleVendorData", "SignCertificates"):
                assert changes(path) is not (reads(path) or name == "TapChargePoint"), path


def test_a_gateway_that_is_not_there_was_sent_nothing(run):
    """Exit code 7, also for commands: the request never left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    result = run("reset", "H", "--target", target, "--json")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert json.loads(result.stderr)["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["limit", "H", "--amps", "0.04", "--json"], "--amps"),
        (["limit", "H", "--json"], "--amps"),
        (["reset", "--json"], "CHARGER"),
        (["chargers", "add", "H", "--key", "xyz", "--json"], "--key"),
        (["chargers", "list", "--limit", "0", "--json"], "--limit"),
        (["chargers", "list", "--no-such-option", "--json"], "--no-such-option"),
        (["chargers", "list", "--target", "nonsense", "--json"], "--target"),
        (["transactions", "list", "--since", "yesterday", "--json"], "--since"),
    ],
)
def test_wrong_usage_is_json_too(fake, run, arguments, named):
    """A program that asked for JSON gets no prose."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    error = json.loads(result.stderr)["error"]
    assert error["exit_code"] == 2
    assert named in error["message"]
    assert not fake.requests


def test_a_refusal_in_json_is_the_answer_and_an_error(fake, run):
    """The answer on standard output, as without a refusal; the error on standard error."""
    rejected = api.Command(answer=api.CommandAnswer(status=api.StatusAnswer(status="Rejected")))
    fake.answers["Reset"] = api.ResetResponse(command=rejected, status=2)
    result = run("reset", "H", "--json")
    assert result.exit_code == ExitCode.REFUSED
    assert json.loads(result.stdout)["status"] == "RESET_STATUS_REJECTED"
    error = json.loads(result.stderr)["error"]
    assert (error["reason"], error["metadata"]) == ("REFUSED", {"charge_point": "H", "answer": "Rejected"})


UNKNOWN = Failure(CODE.NOT_FOUND, "there is no charge point NOPE", "UNKNOWN_CHARGE_POINT")


@pytest.mark.parametrize(
    "arguments",
    [
        ["stop", "NOPE"],
        ["stop", "NOPE", "--connector", "1"],
        ["limit", "NOPE", "--amps", "6"],
        ["limit", "NOPE", "--amps", "6", "--transaction", "tx_1"],
        ["limit", "NOPE", "--clear"],
        ["start", "NOPE", "--tag", "T"],
        ["reset", "NOPE"],
        ["unlock", "NOPE"],
        ["trigger", "NOPE", "Heartbeat"],
        ["config", "get", "NOPE"],
        ["config", "set", "NOPE", "K", "V"],
        ["chargers", "show", "NOPE"],
        ["chargers", "disconnect", "NOPE"],
        ["chargers", "remove", "NOPE", "--yes"],
        ["chargers", "update", "NOPE", "--registration", "accepted"],
        ["frames", "NOPE"],
        ["transactions", "list", "--charger", "NOPE"],
        ["transactions", "orphans", "--charger", "NOPE"],
        ["commands", "list", "--charger", "NOPE"],
    ],
    ids=" ".join,
)
def test_a_charger_that_is_not_known_is_the_same_error_everywhere(fake, run, arguments):
    """A mistyped identity looks like nothing else: not like a charger that has nothing to show."""
    for method in (
        *("GetChargePoint", "DeleteChargePoint", "UpdateChargePoint", "DisconnectChargePoint", "ListFrames", "Reset"),
        *("RemoteStartTransaction", "SetChargingProfile", "UnlockConnector", "TriggerMessage", "GetConfiguration"),
        *("ChangeConfiguration", "CheckIdTag"),
    ):
        fake.answers[method] = UNKNOWN
    result = run(*arguments)
    assert result.exit_code == ExitCode.NOT_FOUND
    assert result.stderr == "error: there is no charge point NOPE [UNKNOWN_CHARGE_POINT]\n"


def test_a_charger_without_transactions_is_an_empty_list(fake, run):
    """And exit code 0."""
    for arguments in (["transactions", "list"], ["transactions", "orphans"], ["commands", "list"]):
        assert run(*arguments, "--charger", "H").exit_code == 0
    assert len(fake.asked("GetChargePoint")) == 3


# --- a tag that would be refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("INVALID", "is not valid"),
        ("BLOCKED", "is blocked"),
        ("EXPIRED", "has expired"),
        ("CONCURRENT_TX", "in use"),
    ],
)
def test_a_start_with_a_tag_that_would_be_refused_sends_nothing(fake, run, status, words):
    """A refusal that is known beforehand is printed beforehand; --anyway sends it all the same."""
    number = api.AuthorizationStatus.Value(f"AUTHORIZATION_STATUS_{status}")
    use = id_tag_pb2.IdTagUse(transaction_id="tx_7", charge_point="OTHER", connector={"evse": 2, "connector": 1})
    fake.answers["CheckIdTag"] = id_tag_pb2.CheckIdTagResponse(
        status=number, transactions=[use] if status == "CONCURRENT_TX" else []
    )
    fake.answers["RemoteStartTransaction"] = api.RemoteStartTransactionResponse(command=ACCEPTED, status=1)
    result = run("start", "H", "--tag", "T", "--connector", "1")
    assert result.exit_code == ExitCode.NOT_SENT
    assert words in result.stderr
    assert "nothing was sent" in result.stderr
    assert ("OTHER connector 2 (tx_7)" in result.stderr) == (status == "CONCURRENT_TX")
    assert not fake.asked("RemoteStartTransaction")
    (asked,) = fake.asked("CheckIdTag")
    assert (asked.charge_point, asked.id_tag, asked.connector.evse) == ("H", "T", 1)
    assert run("start", "H", "--tag", "T", "--anyway").exit_code == 0
    assert len(fake.asked("RemoteStartTransaction")) == 1


def test_a_tag_is_not_checked_again_for_a_repeated_request(fake, run):
    """Its first outcome is asked for: since then the tag is in use by the very transaction that it started."""
    fake.answers["CheckIdTag"] = id_tag_pb2.CheckIdTagResponse(status=api.AUTHORIZATION_STATUS_CONCURRENT_TX)
    fake.answers["RemoteStartTransaction"] = api.RemoteStartTransactionResponse(command=ACCEPTED, status=1)
    assert run("start", "H", "--tag", "T", "--request-id", "r1").exit_code == 0


def test_a_gateway_that_can_not_check_tags_is_sent_the_start(fake, run):
    """One of an earlier version."""
    fake.answers["CheckIdTag"] = Failure(CODE.UNIMPLEMENTED, "Method not found!")
    fake.answers["RemoteStartTransaction"] = api.RemoteStartTransactionResponse(command=ACCEPTED, status=1)
    assert run("start", "H", "--tag", "T").exit_code == 0


# --- waiting --------------------------------------------------------------------------------------------------


def test_what_is_waited_for_is_said(fake, run, monkeypatch):
    """Until the charger answers there is a note now and then, on standard error; none of it in the output."""
    noted = threading.Event()
    monkeypatch.setattr(wait_notes, "FIRST_NOTE_SECONDS", 0.01)
    monkeypatch.setattr(wait_notes, "NOTE_SECONDS", 0.01)
    note = wait_notes.note

    def heard(text: str) -> None:
        note(text)
        noted.set()

    monkeypatch.setattr(wait_notes.WaitNotes.__init__, "__defaults__", (heard,))

    def late(request, context):
        assert noted.wait(30)
        return api.ResetResponse(command=ACCEPTED, status=1)

    fake.answers["Reset"] = late
    result = run("reset", "H")
    assert result.exit_code == 0, result.output
    assert "waiting for H's answer" in result.stderr
    assert result.stdout == "H answered: Accepted\n"


def test_no_note_outlives_its_call(fake, run):
    """The thread ends with the call, whether it succeeds or fails."""
    before = threading.active_count()
    for _ in range(5):
        run("reset", "H")
    names = [each for each in threading.enumerate() if each.name.startswith("Thread-") and "_note" in each.name]
    assert not names
    assert threading.active_count() <= before + 2  # gRPC's own


@pytest.mark.parametrize(
    ("method", "request_", "subject"),
    [
        ("/gateway.api.v1.CommandService/Reset", api.ResetRequest(charge_point="H"), "H's answer"),
        (
            "/gateway.api.v1.CommandService/ListCommands",
            api.ListCommandsRequest(charge_point="H"),
            "the gateway's answer",
        ),
        ("/gateway.api.v1.IdTagService/GetIdTag", id_tag_pb2.GetIdTagRequest(id_tag="T"), "the gateway's answer"),
    ],
)
def test_a_note_names_the_one_that_is_waited_for(method, request_, subject):
    """A command waits for its charger, everything else for the gateway."""
    assert wait_notes.subject(method, request_).startswith(subject)


# --- the page -------------------------------------------------------------------------------------------------


def test_the_page_lists_the_commands_without_json():
    """All others print it."""
    page = " ".join((REPOSITORY / "docs" / "cli.md").read_text().split())
    (sentence,) = re.findall(r"No `--json` have (.*?):", page)
    without = {" ".join(path) for path, command in commands_of(get_command(app)) if "--json" not in options_of(command)}
    assert set(re.findall(r"`([^`]+)`", sentence)) == without


def test_an_argument_is_called_the_same_in_help_and_in_errors():
    """In capitals, as the gateway's errors on it are worded (``field_options``)."""
    for path, command in commands_of(get_command(app)):
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                assert (parameter.metavar or "").isupper(), (path, parameter.name)


def commands_of(command, path=()):
    """All commands with the words that name them."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    for name, each in (inner or {}).items():
        yield from commands_of(each, (*path, name))


def options_of(command):
    """A command's options, as they are written."""
    return {option for parameter in command.params for option in parameter.opts}


def test_the_page_lists_the_command_lines_own_reasons():
    """Each with its exit code, as the code gives it."""
    page = (REPOSITORY / "docs" / "cli.md").read_text()
    listed = dict(re.findall(r"(?m)^\| `([A-Z_]+)` \| (\d) \|", page))
    source = "\n".join(path.read_text() for path in sorted((REPOSITORY / "gateway" / "cli").rglob("*.py")))
    given = re.findall(r'ExitCode\.([A-Z_]+),\s*"([A-Z_]+)"', source)
    assert listed == {reason: str(int(ExitCode[code])) for code, reason in given} | {WRONG_LINES: "1"}


def test_the_page_lists_the_exit_codes_that_there_are():
    """docs/cli.md is what scripts are written by."""
    page = (REPOSITORY / "docs" / "cli.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert listed == {int(each) for each in ExitCode}

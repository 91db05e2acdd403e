"""`gateway call`: any RPC by its name, in JSON."""

import json

import grpc
import pytest

from gateway.api.v1 import charge_point_pb2, event_pb2
from gateway.cli.call import methods, names
from tests.cli.fakes import SERVICES, Failure

SERVED = [name for name in methods() if f"{name.partition('/')[0]}Service" in SERVICES]


@pytest.fixture(scope="module")
def bidirectional():
    """Methods whose client streams, too."""
    return {name for name, method in methods().items() if method.client_streaming}


def test_every_rpc_is_reached_by_its_name(fake, run, bidirectional):
    """With an empty request, whatever it answers; streams as well."""
    for name in SERVED:
        result = run("call", name, input="" if name in bidirectional else None)
        assert result.exit_code == 0, f"{name}: {result.output}"
        assert fake.requests[-1][0] == name.partition("/")[2]
        if not methods()[name].server_streaming:
            assert json.loads(result.stdout) == {}, name


def test_a_request_and_its_response_are_json(fake, run):
    """By either name of a service, from the argument or from standard input."""
    found = charge_point_pb2.ChargePoint(identity="CP1", description="north")
    fake.answers["GetChargePoint"] = charge_point_pb2.GetChargePointResponse(charge_point=found)
    for method, request, typed in (
        ("ChargePoint/GetChargePoint", '{"identity": "CP1"}', None),
        ("ChargePointService/GetChargePoint", "-", '{"identity": "CP1"}'),
    ):
        result = run("call", method, request, input=typed)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["charge_point"]["description"] == "north"
        assert fake.asked("GetChargePoint")[-1].identity == "CP1"


def test_a_stream_is_printed_as_it_comes(fake, run):
    """A line for each response."""
    fake.answers["WatchEvents"] = [event_pb2.WatchEventsResponse(resume_token=b"a"), event_pb2.WatchEventsResponse()]
    result = run("call", "Event/WatchEvents", '{"startAt": "WATCH_START_NOW"}')
    assert [json.loads(line) for line in result.stdout.splitlines()] == [{"resume_token": "YQ=="}, {}]
    assert fake.asked("WatchEvents")[0].start_at == event_pb2.WATCH_START_NOW


def test_a_client_that_streams_reads_a_request_from_each_line(fake, run):
    """Or sends the one that it was given."""
    lines = '{"header": {"chargePointCount": 1}}\n\n{"batch": {}}\n'
    assert run("call", "ChargePoint/ImportChargePoints", "-", input=lines).exit_code == 0
    assert [each.WhichOneof("part") for each in fake.asked("ImportChargePoints")[0]] == ["header", "batch"]
    assert run("call", "ChargePoint/ImportChargePoints", '{"batch": {}}').exit_code == 0
    assert [each.WhichOneof("part") for each in fake.asked("ImportChargePoints")[1]] == ["batch"]


@pytest.mark.parametrize(
    ("method", "request_", "words"),
    [
        ("ChargePoint/Nope", "{}", "there is no RPC ChargePoint/Nope"),
        ("nope", "{}", "there is no RPC nope"),
        ("ChargePoint/GetChargePoint", "[]", "expected a JSON object"),
        ("ChargePoint/GetChargePoint", "{", "Expecting"),
        ("ChargePoint/GetChargePoint", '{"colour": 1}', "no field named"),
    ],
)
def test_what_is_no_rpc_or_no_request_is_wrong_usage(fake, run, method, request_, words):
    """Nothing is sent."""
    result = run("call", method, request_)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert fake.requests == []


def test_an_error_is_json_where_that_is_wanted(fake, run):
    """And its exit code that of any command."""
    fake.answers["GetChargePoint"] = Failure(grpc.StatusCode.NOT_FOUND, "there is none", "UNKNOWN_CHARGE_POINT")
    result = run("call", "ChargePoint/GetChargePoint", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stderr)["error"]["reason"] == "UNKNOWN_CHARGE_POINT"


def test_without_a_name_all_are_listed(run):
    """And a shell is offered those that begin as typed."""
    assert run("call").stdout.split() == list(methods())
    assert names("ChargePoint/GetC") == ["ChargePoint/GetChargePoint"]
    assert names("x") == []


def test_a_line_that_is_no_request_ends_the_stream_and_is_named(fake, run):
    """As wrong usage; the lines before it are not taken for all, and gRPC's own words are not shown."""
    lines = '{"header": {"chargePointCount": 2}}\n{"batch": {}}\nnonsense\n{"batch": {}}\n'
    result = run("call", "ChargePoint/ImportChargePoints", "-", "--json", input=lines)
    assert (result.exit_code, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert "line 3: expected a JSON object" in json.loads(line)["error"]["message"]


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "1e9"])
def test_a_time_that_can_not_be_waited_for_is_wrong_usage(fake, run, seconds):
    """Before anything is asked."""
    assert run("call", "Server/GetServerInfo", "--timeout", seconds).exit_code == 2
    assert fake.requests == []


NOT_AS_WRITTEN = [
    ('{"labels": {"a": "b"}, "pageSize": "1_0"}', "pageSize: expected a number"),
    ('{"pageSize": 1e400}', ""),
    ('{"filter": ' * 3000, ""),
]


@pytest.mark.parametrize(("request_", "words"), NOT_AS_WRITTEN)
def test_a_request_is_read_as_it_is_written(fake, run, request_, words):
    """And nothing that is none ends in a traceback."""
    result = run("call", "ChargePoint/ListChargePoints", request_, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in json.loads(result.stderr)["error"]["message"]

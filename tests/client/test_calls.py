"""Calls: each method by its path, errors with their reasons, and repeats where they are safe."""

import pickle
import re

import grpc
import pytest

from gateway.api.methods import Repeatable
from gateway.client import Gateway, GatewayError, Repeat, Status, v1
from tests.client.fakes import Client, FakeGateway, all_paths, described, failing, in_turn

UNAVAILABLE, UNKNOWN = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN
RESET = v1.ResetRequest(charge_point="CP1", type=v1.RESET_TYPE_SOFT)


def attributes(fake: FakeGateway) -> dict[str, str]:
    """By the path of a method its ``service.method`` in a client."""
    services = {}
    with Gateway(fake.target) as gateway:
        for name, service in vars(gateway).items():
            if not name.startswith("_") and name != "channel":
                services[type(service).__name__] = name
    found = {}
    for path in all_paths():
        service, method = path.rpartition(".")[2].split("/")
        found[path] = f"{services[service]}.{re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', method).lower()}"
    return found


def test_each_method_goes_by_its_path_with_its_types(client: Client, fake: FakeGateway) -> None:
    """Of all services: a request of the method's type arrives at its path, and an answer of its type comes back."""
    for path, name in attributes(fake).items():
        method = described(path)
        request = getattr(v1, method.input_type.rpartition(".")[2])()
        if method.client_streaming:
            answers = client.both(fake.target, name, [request])
        elif method.server_streaming:
            answers = client.stream(fake.target, name, request)
        else:
            answers = [client.call(fake.target, name, request)]
        assert fake.calls[-1][0] == path
        assert [type(each).__name__ for each in answers] == [method.output_type.rpartition(".")[2]]


def test_a_command_without_a_request_id_is_given_one_in_place(client: Client, fake: FakeGateway) -> None:
    """So that the same request again is the same command."""
    request = v1.ResetRequest(charge_point="CP1", type=v1.RESET_TYPE_SOFT)
    client.call(fake.target, "commands.reset", request)
    client.call(fake.target, "commands.reset", request)
    first, second = fake.requests("Reset")
    assert len(first.request_id) == 32
    assert first.request_id == second.request_id == request.request_id


def test_a_request_id_is_the_callers(client: Client, fake: FakeGateway) -> None:
    """One that is given stays; a read that names one is given none."""
    client.call(fake.target, "commands.reset", v1.ResetRequest(charge_point="CP1", request_id="mine"))
    client.call(fake.target, "commands.get_command", v1.GetCommandRequest(charge_point="CP1"))
    assert fake.requests("Reset")[0].request_id == "mine"
    assert fake.requests("GetCommand")[0].request_id == ""


def test_an_error_has_its_reason_metadata_and_violations(client: Client, fake: FakeGateway) -> None:
    """As the gateway gave them; and the advice of the table."""
    fake.behaviour["Reset"] = failing(
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_COMMAND", {"type": "is not set"}, {"charge_point": "CP1"}
    )
    with pytest.raises(GatewayError) as caught:
        client.call(fake.target, "commands.reset", RESET)
    error = caught.value
    assert (error.status, error.reason, error.message) == (Status.INVALID_ARGUMENT, "INVALID_COMMAND", "it failed")
    assert error.metadata == {"charge_point": "CP1"}
    assert error.violations == (("type", "is not set"),)
    assert error.repeat is Repeat.NEVER
    assert str(error) == "INVALID_ARGUMENT INVALID_COMMAND: it failed; type: is not set (charge_point=CP1)"
    assert pickle.loads(pickle.dumps(error)).reason == "INVALID_COMMAND"


@pytest.mark.parametrize("details", [b"\xff\xff", b"\x08\x05", b""], ids=["no message", "another status", "no details"])
def test_details_that_are_not_the_gateways_give_no_reason(fake: FakeGateway, details: bytes) -> None:
    """A proxy's, say."""

    def fail(_: object, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", details),))
        context.abort(grpc.StatusCode.NOT_FOUND, "gone")

    fake.behaviour["GetServerInfo"] = fail
    with Gateway(fake.target) as gateway, pytest.raises(GatewayError) as caught:
        gateway.server.get_server_info(v1.GetServerInfoRequest())
    assert (caught.value.status, caught.value.reason) == (Status.NOT_FOUND, "")
    assert caught.value.repeat is Repeat.READ


def test_a_read_is_repeated_after_the_connection_broke(client: Client, fake: FakeGateway) -> None:
    """It changes nothing."""
    fake.behaviour["GetServerInfo"] = in_turn(failing(UNAVAILABLE), lambda *_: v1.GetServerInfoResponse())
    client.call(fake.target, "server.get_server_info", v1.GetServerInfoRequest())
    assert len(fake.calls) == 2


def test_a_command_is_repeated_with_the_same_request_id(client: Client, fake: FakeGateway) -> None:
    """The gateway does it once."""
    fake.behaviour["Reset"] = in_turn(failing(UNAVAILABLE), lambda *_: v1.ResetResponse())
    client.call(fake.target, "commands.reset", v1.ResetRequest(charge_point="CP1"))
    first, second = fake.requests("Reset")
    assert first.request_id == second.request_id != ""


def test_a_change_without_a_request_id_is_not_repeated_where_nothing_is_known_of_it(
    client: Client, fake: FakeGateway
) -> None:
    """It may have been done."""
    fake.behaviour["CreateIdTag"] = failing(UNAVAILABLE)
    with pytest.raises(GatewayError) as caught:
        client.call(fake.target, "id_tags.create_id_tag", v1.CreateIdTagRequest())
    assert caught.value.repeat is Repeat.READ
    assert len(fake.calls) == 1


def test_anything_is_repeated_where_the_gateway_did_nothing(client: Client, fake: FakeGateway) -> None:
    """It says so by the reason."""
    fake.behaviour["CreateIdTag"] = in_turn(
        failing(UNAVAILABLE, "DRAINING"),
        failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS"),
        lambda *_: v1.CreateIdTagResponse(),
    )
    client.call(fake.target, "id_tags.create_id_tag", v1.CreateIdTagRequest())
    assert len(fake.calls) == 3


@pytest.mark.parametrize(
    ("code", "reason", "metadata", "repeat"),
    [
        (UNKNOWN, "OUTCOME_UNKNOWN", {"request_id": "1", "command_id": "2"}, Repeat.SAME),
        (UNAVAILABLE, "NOT_SENT", {"request_id": "1", "command_id": "2"}, Repeat.NEW),
        (grpc.StatusCode.FAILED_PRECONDITION, "CHARGE_POINT_OFFLINE", {"request_id": "1"}, Repeat.WAIT),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", {"request_id": "1"}, Repeat.WAIT),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", {}, Repeat.NEVER),
    ],
)
def test_nothing_else_is_repeated(
    fake: FakeGateway, code: grpc.StatusCode, reason: str, metadata: dict[str, str], repeat: Repeat
) -> None:
    """The caller is given the advice, and decides."""
    fake.behaviour["Reset"] = failing(code, reason, metadata=metadata)
    with Gateway(fake.target) as gateway, pytest.raises(GatewayError) as caught:
        gateway.commands.reset(RESET)
    assert caught.value.repeat is repeat
    assert len(fake.calls) == 1


def test_a_call_that_never_succeeds_ends_with_its_last_failure(client: Client, fake: FakeGateway) -> None:
    """After six attempts."""
    fake.behaviour["GetServerInfo"] = failing(UNAVAILABLE, "STORE_UNAVAILABLE")
    with pytest.raises(GatewayError) as caught:
        client.call(fake.target, "server.get_server_info", v1.GetServerInfoRequest())
    assert caught.value.reason == "STORE_UNAVAILABLE"
    assert len(fake.calls) == 6


def test_a_deadline_is_that_of_all_attempts(client: Client, fake: FakeGateway) -> None:
    """The gateway sees what is left of it; a call of its own takes the client's, or its kind's."""
    left: list[float] = []

    def note(_: object, context: grpc.ServicerContext) -> v1.GetServerInfoResponse:
        left.append(context.time_remaining())
        return v1.GetServerInfoResponse()

    fake.behaviour["GetServerInfo"] = note
    client.call(fake.target, "server.get_server_info", v1.GetServerInfoRequest(), 500.0)
    client.call(fake.target, "server.get_server_info", v1.GetServerInfoRequest(), timeout=None)
    client.call(fake.target, "server.get_server_info", v1.GetServerInfoRequest())
    assert left[0] > 400
    assert max(left[1:]) < 15  # gRPC rounds up what it sends


def test_the_clients_own_deadline_and_that_of_changes(fake: FakeGateway) -> None:
    """60 seconds for what is no read; the client's own for all."""
    left: list[float] = []

    def note(_: object, context: grpc.ServicerContext) -> v1.ResetResponse:
        left.append(context.time_remaining())
        return v1.ResetResponse()

    fake.behaviour["Reset"] = note
    with Gateway(fake.target) as gateway:
        gateway.commands.reset(RESET)
    with Gateway(fake.target, timeout=1000) as gateway:
        gateway.commands.reset(RESET)
    assert 15 < left[0] < 65  # gRPC rounds up what it sends
    assert left[1] > 900


def test_a_token_and_the_wish_for_compression_go_with_each_call(client: Client, fake: FakeGateway) -> None:
    """A token that is a function is asked each time: JWTs end."""
    tokens = iter(["first", "second"])
    client.call(fake.target, "server.get_server_info", v1.GetServerInfoRequest(), token=lambda: next(tokens))
    client.call(fake.target, "server.get_server_info", v1.GetServerInfoRequest(), token="mine", compressed=True)
    client.call(fake.target, "server.get_server_info", v1.GetServerInfoRequest())
    assert [metadata.get("authorization") for *_, metadata in fake.calls] == ["Bearer first", "Bearer mine", None]
    assert [metadata.get("gateway-response-compression") for *_, metadata in fake.calls] == [None, "gzip", None]


def test_pages_go_on_until_there_is_no_token(client: Client, fake: FakeGateway) -> None:
    """An empty page may not be the last."""
    pages = [v1.ListIdTagsResponse(next_page_token="2"), v1.ListIdTagsResponse()]
    fake.behaviour["ListIdTags"] = lambda request, _: pages[1 if request.page_token == "2" else 0]
    assert len(client.pages(fake.target, "id_tags.list_id_tags", v1.ListIdTagsRequest())) == 2


def test_a_stream_ends_with_its_error(client: Client, fake: FakeGateway) -> None:
    """It is not begun anew: only a watch is."""
    fake.behaviour["StreamOpenTransactions"] = failing(UNAVAILABLE, "STORE_UNAVAILABLE")
    with pytest.raises(GatewayError) as caught:
        client.stream(fake.target, "transactions.stream_open_transactions", v1.StreamOpenTransactionsRequest())
    assert caught.value.reason == "STORE_UNAVAILABLE"
    assert len(fake.calls) == 1


def test_reads_are_what_their_names_say() -> None:
    """The three ways of repeating are decided by name and request id."""
    assert {each.name for each in Repeatable} == {"READ", "BY_REQUEST_ID", "NEVER"}

"""What is said when the gateway can't be reached, or finds a field wrong: in the command line's own words."""

import socket
import threading
from concurrent import futures

import grpc
import pytest
import trustme

from gateway.cli.fields import by_option
from tests.cli.fakes import Failure

LIST = ("chargers", "list")


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """An authority, and its certificate in a file."""
    made = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(path)
    return made, path


@pytest.mark.parametrize("target", ["foo", "foo:", ":50051", "foo:bar", "http//foo", ""])
def test_a_target_without_a_port_is_wrong_usage(run, target):
    """Nothing is tried."""
    result = run(*LIST, "--target", target)
    assert result.exit_code == 2
    assert "--target: expected host:port" in " ".join(result.stderr.split())


def test_a_gateway_that_does_not_run_is_told_with_its_address(run):
    """One line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    result = run(*LIST, "--target", target)
    assert result.stderr == f"error: no gateway answers at {target}: nothing listens there\n"
    assert result.exit_code == 7


def test_tls_towards_a_gateway_without_it_says_to_leave_out_the_ca(fake, run, ca):
    """By the option."""
    result = run("--ca", ca[1], *LIST)
    assert result.stderr == f"error: the gateway at {fake.target} speaks no TLS: leave out --ca (GATEWAY_CA)\n"


def test_a_gateway_with_tls_asks_for_the_right_ca(run, ca, tmp_path):
    """None given, and another one."""
    cert = ca[0].issue_cert("127.0.0.1")
    pair = (cert.private_key_pem.bytes(), cert.cert_chain_pems[0].bytes())
    server = grpc.server(futures.ThreadPoolExecutor(1))
    target = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', grpc.ssl_server_credentials([pair]))}"
    server.start()
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    try:
        assert "it wants TLS (give --ca)" in run(*LIST, "--target", target).stderr
        assert "is not from the CA given with --ca" in run("--ca", other, *LIST, "--target", target).stderr
    finally:
        server.stop(None).wait(5)


def test_a_port_for_http_is_told_not_to_be_the_control_interface(run):
    """As a charger's port, or the metrics."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(100)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        result = run(*LIST, "--target", f"127.0.0.1:{server.getsockname()[1]}")
    assert "is not the control interface" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "method", "field", "option"),
    [
        (["limit", "H", "--amps", 6], "SetChargingProfile", "charging_profile.schedule.periods[0].limit", "--amps or"),
        (["start", "H", "--tag", "T"], "RemoteStartTransaction", "id_tag", "--tag"),
        (["chargers", "add", "H", "--key", "00"], "CreateChargePoint", "authorization_key", "--key"),
        (["watch", "--type", "x"], "WatchEvents", "types[0]", "--type"),
        (["tags", "add", "T"], "CreateIdTag", "id_tag.id_tag", "TAG"),
    ],
)
def test_a_wrong_field_is_named_by_its_option(fake, run, arguments, method, field, option):
    """Nobody at a command line knows the API's paths."""
    failure = Failure(
        grpc.StatusCode.INVALID_ARGUMENT, f"{field}: is wrong", "INVALID_REQUEST", violations={field: "is wrong"}
    )
    fake.answers[method] = [failure]
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {option}")
    assert field not in result.stderr.replace("--", "")


def test_only_the_names_of_fields_are_replaced():
    """Values that look like one stay."""
    said = "identity: is 'identity: x'; authorization_key: too short\n  description: too long"
    assert by_option(said, "chargers") == ("IDENTITY: is 'identity: x'; --key: too short\n  --description: too long")
    assert by_option(said, "frames") == by_option(said, None) == said

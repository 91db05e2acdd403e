"""Errors of a gateway that can't be reached, or that finds a field wrong, in the command line's own words."""

import json
import socket
import ssl
import threading
from concurrent import futures
from datetime import UTC

import grpc
import pytest
import trustme
import typer
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.v1.command_pb2 import TriggeredMessage
from gateway.cli.connection import timestamp
from gateway.cli.field_options import by_option
from gateway.cli.option_values import moment_of
from gateway.cli.pem import MAX_BYTES
from tests.cli.fakes import Failure

LIST = ("chargers", "list")


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """An authority, and its certificate in a file."""
    made = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(path)
    return made, path


WRONG_VALUES = {
    "a choice": (("chargers", "add", "X", "--registration", "x"), "expected accepted, pending or rejected, found 'x'"),
    "a switch": (("chargers", "update", "X", "--own-requests", "x"), "expected on, off or default, found 'x'"),
    "a standing": (("tags", "add", "T", "--status", "x"), "expected accepted, blocked, expired or invalid, found 'x'"),
    "a state": (("transactions", "list", "--state", "x"), "expected open, stopped, lost or closed, found 'x'"),
    "a message": (("trigger", "X", "x"), "LogStatusNotification or SignChargePointCertificate, found 'x'"),
    "a whole number": (("limit", "X", "--amps", "6", "--connector", "x"), "expected a whole number"),
    "a number": (("simulate", "--create", "--speed", "x"), "expected a number"),
    "too little": (("chargers", "list", "--limit", "0"), "expected at least 1"),
    "too much": (("certs", "dev", "--days", "9999"), "expected at most 3650"),
    "a rate": (("limit", "X", "--amps", "nan"), "expected a number from 0 to 10000000, found 'nan'"),
    "a moment": (("transactions", "list", "--since", "x"), "expected a date (2026-12-31) or a time"),
    "a year before all": (("tags", "add", "T", "--expires", "0001-01-01T00:00+01:00"), "the years 1 to 9999"),
    "a year after all": (("tags", "add", "T", "--expires", "9999-12-31T23:00-10:00"), "the years 1 to 9999"),
    "too many bits": (("unlock", "X", "--connector", "9" * 20), "9" * 20 + " is beyond the whole numbers"),
    "too many bits, below 0": (("cancel-reservation", "X", "--", "-99999999999"), "-99999999999 is beyond the whole"),
    "a connector's number": (("limit", "X", "--amps", "6", "--connector", "9" * 11), "expected at most 1000000"),
    "too long a span": (("firmware", "X", "http://x/y", "--retry-interval", "9" * 20), "longer than any span"),
    "a quirk's span": (("chargers", "update", "X", "--quirk", "ping_interval=1e99"), "ping_interval: expected"),
    "a quirk of none": (("chargers", "update", "X", "--quirk", "ping_interval=nan"), "ping_interval: expected"),
    "hours without end": (("schedule", "X", "--hours", "inf"), "expected at most"),
    "hours that are none": (("schedule", "X", "--hours", "nan"), "expected"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_a_wrong_value_is_reported_in_plain_words(fake, run, arguments, said):
    """With what was expected, and without the words of the library that converts; the same for programs."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Value error" not in result.stderr + run(*arguments, "--json").stderr
    assert "Input should" not in result.stderr
    assert not fake.requests


@pytest.mark.parametrize("typed", ["BootNotification", "bootnotification", "BOOTNOTIFICATION"])
def test_choices_are_taken_in_any_case_and_shown_as_they_are_spelled(fake, run, typed):
    """OCPP's words are long, and their capitals are hard to remember."""
    run("trigger", "X", typed)
    assert fake.asked("TriggerMessage")[0].requested_message == TriggeredMessage.TRIGGERED_MESSAGE_BOOT_NOTIFICATION
    assert "DiagnosticsStatusNotification" in run("trigger", "--help").stdout


@given(text=st.text(max_size=30) | st.datetimes(timezones=st.none() | st.timezones()).map(str))
def test_a_moment_is_one_in_utc_or_wrong_usage(text):
    """Never another error, wherever in time it is."""
    try:
        found = moment_of(text)
    except typer.BadParameter:
        return
    assert found.tzinfo is UTC
    assert timestamp(found).ToDatetime(UTC) == found


@pytest.mark.parametrize("json_", [False, True])
def test_an_argument_that_is_no_text_is_wrong_usage(fake, run, json_):
    """Bytes that are not UTF-8 arrive as surrogates, which can't be sent."""
    result = run("chargers", "show", "\udcff", *(("--json",) if json_ else ()))
    assert result.exit_code == 2
    assert "an argument is not in UTF-8" in result.stderr
    assert not fake.requests


@pytest.mark.parametrize("target", ["foo", "foo:", ":50051", "foo:bar", "http//foo", ""])
def test_a_target_without_a_port_is_wrong_usage(run, target):
    """Nothing is tried."""
    result = run(*LIST, "--target", target)
    assert result.exit_code == 2
    assert "--target: expected host:port" in " ".join(result.stderr.split())


@pytest.mark.parametrize("port", [0, 65536, 99999])
def test_a_port_that_there_is_not_is_wrong_usage(run, port):
    """It is no gateway that does not answer."""
    for target in (f"127.0.0.1:{port}", f"[::1]:{port}"):
        result = run(*LIST, "--target", target)
        assert result.exit_code == 2
        assert "expected a port from 1 to 65535" in " ".join(result.stderr.split())


def test_a_gateway_that_does_not_run_is_reported_with_its_address(run):
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


@pytest.fixture
def files(ca, tmp_path):
    """Good and bad files by their names: an authority, a certificate with its key, another key, and what is none."""
    cert, other = ca[0].issue_cert("127.0.0.1"), ca[0].issue_cert("127.0.0.1")
    der = ssl.PEM_cert_to_DER_cert(ca[1].read_text())
    begin, end = "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"
    made = {
        "ca": ca[1].read_bytes(),
        "certificate": cert.cert_chain_pems[0].bytes(),
        "key": cert.private_key_pem.bytes(),
        "other-key": other.private_key_pem.bytes(),
        "encrypted-key": b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "text": b"nothing",
        "empty": b"",
        "der": der,
        "damaged": f"{begin}AAAA\n{end}".encode(),
        "large": b" " * (MAX_BYTES + 1),
    }
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("none",), "{}/none: can't be read: No such file or directory"),
        (("folder",), "{}/folder: can't be read: Is a directory"),
        (("text",), "{}/text: no certificate in PEM"),
        (("empty",), "{}/empty: no certificate in PEM"),
        (("der",), "{}/der: no certificate in PEM"),
        (("key",), "{}/key: no certificate in PEM"),
        (("large",), "{}/large: no certificate in PEM: larger than 1048576 bytes"),
        (("damaged",), "{}/damaged: a certificate in it is damaged"),
        (("ca", "none", "key"), "{}/none: can't be read"),
        (("ca", "key", "certificate"), "{}/key: no certificate in PEM"),
        (("ca", "certificate", "none"), "{}/none: can't be read"),
        (("ca", "certificate", "certificate"), "{}/certificate: no private key in PEM"),
        (("ca", "certificate", "encrypted-key"), "{}/encrypted-key: the private key is encrypted"),
        (("ca", "certificate", "other-key"), "{0}/other-key: not the key of the certificate in {0}/certificate"),
        (("ca", "damaged", "key"), "{0}/damaged and {0}/key: can't be used"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(fake, run, files, given, why):
    """One line, the failure's code, and no try at the gateway."""
    options = zip(("--ca", "--certificate", "--key"), (files / name for name in given), strict=False)
    result = run(*(each for pair in options for each in pair), *LIST)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: " + why.format(files))
    assert result.stderr.count("\n") == 1
    assert not fake.requests


def test_a_gateway_that_wants_a_certificate_takes_the_one_that_is_given(run, files):
    """Good files pass as they are."""
    pair = ((files / "key").read_bytes(), (files / "certificate").read_bytes())
    credentials = grpc.ssl_server_credentials([pair], (files / "ca").read_bytes(), require_client_auth=True)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    target = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    server.start()
    mine = ("--certificate", files / "certificate", "--key", files / "key")
    try:
        result = run("--ca", files / "ca", *mine, *LIST, "--json", "--target", target)
        assert json.loads(result.stderr)["error"]["status"] == "UNIMPLEMENTED"  # it was let in: there is no service
    finally:
        server.stop(None).wait(5)


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


def test_a_port_for_http_is_reported_not_to_be_the_control_interface(run):
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
    """A user of the command line does not know the API's paths."""
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

"""A charger that does not connect, as its operator sees it: over gRPC and by the commands, from the outside."""

import json
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import diagnostics_pb2 as pb
from gateway.api.v1 import diagnostics_pb2_grpc
from gateway.cli.diagnostics import MEANINGS
from gateway.cli.main import app
from tests.endtoend.asking import in_thread
from tests.endtoend.charger import chargers
from tests.endtoend.gateway_process import KEY, RPC_SECONDS, Gateway, MakeGateway, eventually
from tests.endtoend.wire import Refused, Wire

NEW_KEY = b"OCAPPSecretKey01"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Gateway]:
    """One gateway for all of them: each test has charge points of its own, and looks at what it has added."""
    gateway = Gateway(tmp_path_factory.mktemp("diagnostics"), certificates)
    gateway.start()
    try:
        yield gateway
        gateway.finish()
    finally:
        gateway.reap()


def diagnostics(gateway: Gateway) -> diagnostics_pb2_grpc.DiagnosticsServiceStub:
    return diagnostics_pb2_grpc.DiagnosticsServiceStub(gateway.channel)


def refused(gateway: Gateway, **filters: str) -> list[pb.RefusedConnection]:
    request = pb.ListRefusedConnectionsRequest(page_size=1000, **filters)
    answer = diagnostics(gateway).ListRefusedConnections(request, timeout=RPC_SECONDS)
    return list(answer.refused_connections)


def frames(gateway: Gateway, identity: str) -> list[pb.Frame]:
    request = pb.ListFramesRequest(charge_point=identity)
    return list(diagnostics(gateway).ListFrames(request, timeout=RPC_SECONDS).frames)


def command_line(gateway: Gateway, *arguments: str) -> str:
    """Run a command; return its output."""
    target = f"127.0.0.1:{gateway.control_port}"
    done = CliRunner().invoke(app, [*arguments, "--target", target], env={"COLUMNS": "250"})
    assert done.exit_code == 0, done.stderr
    return done.stdout


Count: TypeAlias = tuple[str, str, int, str]


def counts(gateway: Gateway) -> Counter[Count]:
    """The connections that were turned away, by all that tells one kind of them from another."""
    found: Counter[Count] = Counter()
    for each in refused(gateway):
        found[each.charge_point, each.reason, each.stage, each.path] += each.count
    return found


async def test_who_was_turned_away_is_listed_with_the_reason(gateway: Gateway) -> None:
    """A wrong password, an unknown identity, a wrong subprotocol: each with what the charger was answered."""
    gateway.add_charge_point("CP1")
    attempts: list[tuple[str, dict[str, Any], int]] = [
        ("CP1", {"key": b"some other key!!"}, 3),
        ("CP-typo", {}, 1),
        ("CP1", {"subprotocols": ("ocpp2.0.1",)}, 1),
    ]
    for identity, options, times in attempts:
        for _ in range(times):
            with pytest.raises(Refused):
                await Wire.open(gateway, identity, **options)
    own = [each for each in refused(gateway) if each.charge_point in ("CP1", "CP-typo")]
    found = {(each.charge_point, each.reason): each for each in own}
    assert (found["CP1", "wrong_password"].count, found["CP1", "wrong_password"].http_status) == (3, 401)
    assert found["CP-typo", "unknown_identity"].http_status == 404
    assert found["CP1", "subprotocol_unsupported"].http_status == 400
    assert {each.address for each in found.values()} == {"127.0.0.1"}
    assert {each.stage for each in found.values()} == {pb.CONNECTION_STAGE_ADMISSION}
    assert len(refused(gateway, charge_point="CP1")) == 2
    shown = await in_thread(command_line, gateway, "refused", "--charger", "CP-typo")
    assert "CP-typo" in shown
    assert "wrong_password" not in shown
    everything = await in_thread(command_line, gateway, "refused", "--json")
    assert sum(each.get("charge_point") in ("CP1", "CP-typo") for each in json.loads(everything)) == 3
    assert "some other key" not in everything


async def test_a_wrong_path_is_listed_as_it_was_asked_for(gateway: Gateway) -> None:
    """Its difference from the right one can be seen; a part that may be a secret can't."""
    before = counts(gateway)
    for prefix, identity in [("/", "CP1"), ("/steve/websocket/", "CP1"), ("/ocpp/CP1/", "0123456789abcdef0123")]:
        with pytest.raises(Refused):
            await Wire.open(gateway, identity, prefix=prefix)
    with pytest.raises(Refused):
        await Wire.open(gateway, "?key=hunter2")
    added = counts(gateway) - before
    paths = {path for _, _, stage, path in added if stage == pb.CONNECTION_STAGE_ADMISSION}
    assert paths == {"/CP1", "/steve/websocket/CP1", "/ocpp/CP1/(redacted)", "/ocpp/"}
    shown = await in_thread(command_line, gateway, "refused")
    assert "/steve/websocket/CP1" in shown
    assert "hunter2" not in shown
    assert "0123456789abcdef" not in shown


def distrusting(gateway: Gateway, stream: socket.socket) -> None:
    """A charger that does not have the CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(stream, server_hostname="localhost")


def plain(gateway: Gateway, stream: socket.socket) -> None:
    """A charger whose URL begins with ws://."""
    stream.sendall(b"GET /ocpp/CP1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stream.recv(100)


def ancient(gateway: Gateway, stream: socket.socket) -> None:
    """A charger whose TLS is older than 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(stream)


def browsing(gateway: Gateway, stream: socket.socket) -> None:
    """A browser, or a health check."""
    with gateway.tls.wrap_socket(stream, server_hostname="localhost") as secured:
        secured.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert secured.recv(100).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("behave", "stage"),
    [
        (distrusting, pb.CONNECTION_STAGE_TLS),
        (plain, pb.CONNECTION_STAGE_TLS),
        (ancient, pb.CONNECTION_STAGE_TLS),
        (browsing, pb.CONNECTION_STAGE_HTTP),
    ],
)
def test_what_goes_wrong_before_an_identity_is_named_is_listed_and_explained(
    gateway: Gateway, behave: Callable[[Gateway, socket.socket], None], stage: "pb.ConnectionStage.ValueType"
) -> None:
    """The usual reasons have a hint what to do about them."""
    before = counts(gateway)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as stream:
        behave(gateway, stream)
    # The test's own look whether the port is open is in the list, too.
    added = eventually(
        "a refusal",
        lambda: [kind for kind in counts(gateway) - before if kind[1] != "closed_by_peer"],
        lambda added: added,
    )
    [(identity, reason, at, _)] = added
    assert (identity, at) == ("", stage)
    assert reason in MEANINGS
    [found] = [each for each in refused(gateway) if (each.charge_point, each.reason, each.stage) == ("", reason, stage)]
    assert found.HasField("http_status") == (stage == pb.CONNECTION_STAGE_HTTP)


async def test_the_last_frames_of_a_charger_show_why_it_went(gateway: Gateway) -> None:
    """From the boot to what could not be parsed, and the end of the connection."""
    gateway.add_charge_point("CP-FRAMES")
    async with chargers(gateway, "CP-FRAMES") as (charger,):
        await charger.wire.send('[2,"x1","Heartbeat",{}')
        await charger.call("Heartbeat", {})
    read = lambda: frames(gateway, "CP-FRAMES")  # noqa: E731
    found = eventually("the end", read, lambda found: found[-1].kind == pb.FRAME_KIND_CLOSED)
    texts = [each.text for each in found]
    assert found[0].kind == pb.FRAME_KIND_CONNECTED
    assert '"BootNotification"' in texts[1]
    assert '[2,"x1","Heartbeat",{}' in texts
    assert "charger" in texts[-1]
    shown = await in_thread(command_line, gateway, "frames", "CP-FRAMES")
    assert '→ [2,"x1","Heartbeat",{}\n' in shown


async def test_a_new_key_is_in_no_frame_and_no_log_though_the_charger_repeats_it(gateway: Gateway) -> None:
    """Sent by ChangeConfiguration, reported by GetConfiguration, echoed in an error (A7.9)."""
    gateway.add_charge_point("CP-KEY")
    noted = {
        "GetConfiguration": {
            "configurationKey": [{"value": NEW_KEY.hex(), "readonly": False, "key": "AuthorizationKey"}]
        }
    }
    async with chargers(gateway, "CP-KEY", answers=noted) as (charger,):
        change = commands.ChangeConfigurationRequest(
            charge_point="CP-KEY", request_id="r1", key="AuthorizationKey", value=NEW_KEY.hex()
        )
        await in_thread(lambda: gateway.commands.ChangeConfiguration(change, timeout=RPC_SECONDS))
        ask = commands.GetConfigurationRequest(charge_point="CP-KEY", request_id="r2")
        await in_thread(lambda: gateway.commands.GetConfiguration(ask, timeout=RPC_SECONDS))
        await charger.wire.send(json.dumps([4, "r3", "X", f"was {NEW_KEY.hex().upper()}, or {NEW_KEY.decode()}", {}]))
        await charger.call("Heartbeat", {})
        shown = await in_thread(command_line, gateway, "frames", "CP-KEY", "--json")
    assert shown.count("(redacted)") >= 4
    for secret in (NEW_KEY.hex(), NEW_KEY.decode(), KEY.hex()):
        assert secret.lower() not in shown.lower()
        assert secret.lower() not in gateway.log.read_text(errors="replace").lower()


async def test_deviations_and_latencies_are_counted_by_make_and_firmware(gateway: Gateway) -> None:
    """For every charger of a make together."""
    for identity in ("CP-A", "CP-B"):
        gateway.add_charge_point(identity)
    async with chargers(gateway, "CP-A", "CP-B") as both:
        for charger in both:
            status = {"connectorId": "1", "errorCode": "NoError", "status": "Available"}
            assert await charger.call("StatusNotification", status) == {}
    answer = diagnostics(gateway).ListDeviations(pb.ListDeviationsRequest(vendor="Vendor"), timeout=RPC_SECONDS)
    (found,) = [each for each in answer.deviations if each.deviation == "text-for-integer"]
    assert (found.vendor, found.model) == ("Vendor", "Model")
    assert (found.firmware_version, found.count) == ("1.0", 2)
    shown = await in_thread(command_line, gateway, "deviations")
    assert "text-for-integer" in shown
    latencies = diagnostics(gateway).ListLatencies(pb.ListLatenciesRequest(vendor="Vendor"), timeout=RPC_SECONDS)
    statuses = {each.action: each for each in latencies.latencies}["StatusNotification"]
    assert (statuses.kind, statuses.firmware_version, statuses.count) == (pb.LATENCY_KIND_ANSWER, "1.0", 2)
    assert statuses.mean_duration.ToNanoseconds() > 0
    assert "StatusNotification" in await in_thread(command_line, gateway, "latencies")


async def test_without_kept_frames_the_setting_is_named(make_gateway: MakeGateway) -> None:
    """And chargers are served all the same."""
    gateway = make_gateway(sessions={"kept_frames": 0})
    gateway.start()
    gateway.add_charge_point("CP1")
    async with chargers(gateway, "CP1"):
        with pytest.raises(AssertionError, match=r"sessions\.kept_frames is 0"):
            await in_thread(command_line, gateway, "frames", "CP1")

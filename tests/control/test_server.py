"""The server itself: where it listens, health, reflection, TLS, drain."""

import gc
import re
import select
import socket
import threading
from functools import partial
from types import FrameType

import grpc
import pytest
import trio
import trustme
from attrs import evolve
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from gateway.api.v1 import (
    charge_point_pb2,
    command_pb2,
    event_pb2,
    event_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
)
from gateway.bridge import Bridge
from gateway.client import GatewayClient, Tls, describe, problem_of
from gateway.control import grpc_options
from gateway.control.errors import Failure
from gateway.control.grpc_options import MAX_CONNECTIONS
from gateway.control.listen_address import check_address, listening_address, why_not_listening
from gateway.control.reflection import ALPHA, V1
from gateway.control.server import ControlServer, ControlSettings
from gateway.control.server_info import Described, ServerFacts
from gateway.control.services.all_services import ControlPorts
from gateway.control.tls import Tls as ServerSide
from gateway.domain.commands import RefusalReason, Refused
from gateway.errors import SettingsError
from gateway.store.reads import Reads
from tests.control.fakes import NOW, FakeNodes, FakeWanted, control
from tests.support.named_tests import REPOSITORY

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LIST = charge_point_pb2.ListChargePointsRequest()
RESET = command_pb2.ResetRequest(charge_point="CP1", request_id="r", type=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_tls(host):
    """Only this machine reaches it."""
    check_address(host, tls=False, authenticated=False, allow_insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", ""])
def test_any_other_address_without_tls_and_authentication_is_refused_unless_allowed(host):
    """The message names the setting and the ways out."""
    for authenticated in (False, True):
        with pytest.raises(SettingsError, match=r"control\.address.*control\.certificate.*allow_insecure"):
            check_address(host, tls=False, authenticated=authenticated, allow_insecure=False)
    with pytest.raises(SettingsError, match=r"control\.address.*client_ca.*require_callers.*allow_insecure"):
        check_address(host, tls=True, authenticated=False, allow_insecure=False)
    check_address(host, tls=True, authenticated=True, allow_insecure=False)
    for tls in (False, True):
        check_address(host, tls=tls, authenticated=False, allow_insecure=True)


async def test_clients_that_say_nothing_hold_so_many_descriptors_and_no_more(tmp_path):
    """Those beyond are closed at once: chargers need the descriptors."""
    async with control(tmp_path) as gateway:
        opened = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(MAX_CONNECTIONS + 200)]
        try:
            for _ in range(1000):
                if _closed(opened) >= 200:
                    break
                await trio.sleep(0.05)
            assert len(opened) - _closed(opened) <= MAX_CONNECTIONS
        finally:
            for each in opened:
                each.close()


async def test_a_client_without_calls_gives_its_place_back(tmp_path, monkeypatch):
    """And has another with its next call; one whose watch is open keeps its own."""
    monkeypatch.setattr(grpc_options, "IDLE_SECONDS", 1)
    async with control(tmp_path) as gateway:
        ready, idle = threading.Event(), threading.Event()

        def changed(state):
            if state is grpc.ChannelConnectivity.READY:
                ready.set()
            elif ready.is_set():
                idle.set()

        # Each with a connection of its own: channels of one process share theirs.
        connect = partial(grpc.insecure_channel, f"127.0.0.1:{gateway.port}", [("grpc.use_local_subchannel_pool", 1)])
        with connect() as channel, connect() as watching:
            request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_NOW)
            watch = event_pb2_grpc.EventServiceStub(watching).WatchEvents(request)
            channel.subscribe(changed, try_to_connect=True)
            assert await trio.to_thread.run_sync(idle.wait, 60)
            info = partial(server_pb2_grpc.ServerServiceStub(channel).GetServerInfo, timeout=60)
            assert (await trio.to_thread.run_sync(info, server_pb2.GetServerInfoRequest())).server.version
            for _ in range(12):  # signs of life, five a second: for longer than a connection without a call lives
                assert (await trio.to_thread.run_sync(next, watch)).resume_token
            watch.cancel()


def _closed(sockets):
    """The number of those that the other end has closed."""
    poller = select.poll()
    for each in sockets:
        poller.register(each, select.POLLRDHUP)
    return len(poller.poll(0))


def test_a_server_for_a_refused_address_can_not_be_made():
    """Before anything listens."""
    with pytest.raises(SettingsError):
        ControlServer(
            ControlSettings(host="0.0.0.0"),
            ControlPorts(
                journal=None,
                reads=None,
                commands=None,
                wanted=FakeWanted(None),
                feed=None,
                diagnostics=None,
                vendors=None,
                signing=None,
                authorizer=None,
                clock=None,
                clock_watch=None,
                facts=None,
                summaries=None,
                log_levels=None,
                draining=None,
                status=None,
            ),
        )


def test_ipv6_addresses_are_bracketed():
    """As gRPC wants them."""
    assert listening_address("::1", 5) == "[::1]:5"
    assert listening_address("127.0.0.1", 5) == "127.0.0.1:5"


def beside(first, settings):
    """A second server of the same gateway's parts."""
    return ControlServer(
        settings,
        ControlPorts(
            journal=first.journal,
            reads=Reads(first.store, first.journal),
            commands=first.commands,
            wanted=FakeWanted(None),
            feed=first.feed,
            diagnostics=first.diagnostics,
            vendors=first.vendors,
            signing=None,
            authorizer=None,
            clock=None,
            clock_watch=None,
            facts=ServerFacts(Reads(first.store, first.journal), Described("", ()), NOW, FakeNodes()),
            summaries=None,
            log_levels=None,
            draining=None,
            status=None,
        ),
        bridge=Bridge(),
    )


async def test_a_port_that_is_taken_is_an_error_that_names_it(tmp_path):
    """Two gateways never share one."""
    async with control(tmp_path) as first:
        with pytest.raises(SettingsError) as caught:
            await beside(first, ControlSettings(port=first.port)).run()
        reported = f"control.address: can't listen on 127.0.0.1:{first.port}: the address is in use"
        assert str(caught.value) == reported


def test_the_reason_of_an_address_in_use_is_the_systems(monkeypatch):
    """A taken port, also behind a name with addresses that this machine doesn't have, and an address elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert why_not_listening("127.0.0.1", port) == "the address is in use"
        with monkeypatch.context() as patched:
            both = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)) for host in ("192.0.2.1", "127.0.0.1")]
            patched.setattr(socket, "getaddrinfo", lambda *_, **__: both)
            assert why_not_listening("some.name", port) == "the address is in use"
    assert why_not_listening("127.0.0.1", port) is None
    assert why_not_listening("192.0.2.1", 0) == "Cannot assign requested address"


async def test_tls_that_grpc_refuses_is_not_reported_as_a_taken_address(tmp_path):
    """The address is free then."""
    async with control(tmp_path) as first:
        with pytest.raises(SettingsError, match="gRPC refuses to with this certificate"):
            await beside(first, ControlSettings(port=0, tls=ServerSide(b"none", b"none"))).run()


async def test_health_follows_readiness_and_turns_red_at_the_drain(gateway):
    """For the whole server and for each service; watchers of health see it."""
    stub = health_pb2_grpc.HealthStub(gateway.client.channel)

    async def check(name=""):
        request = health_pb2.HealthCheckRequest(service=name)
        return (await trio.to_thread.run_sync(lambda: stub.Check(request, timeout=60))).status

    assert await check() == SERVING
    assert await check("gateway.api.v1.CommandService") == SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
    changes = iter(watch)
    assert (await trio.to_thread.run_sync(next, changes)).status == SERVING
    gateway.server.set_ready(False)
    assert (await trio.to_thread.run_sync(next, changes)).status == NOT_SERVING
    assert await check("gateway.api.v1.EventService") == NOT_SERVING
    gateway.server.set_ready(True)
    assert (await trio.to_thread.run_sync(next, changes)).status == SERVING
    gateway.server.drain(0.5)
    assert (await trio.to_thread.run_sync(next, changes)).status == NOT_SERVING
    watch.cancel()


async def test_the_interface_describes_itself(gateway):
    """Reflection, for grpcurl and the like."""
    database = ProtoReflectionDescriptorDatabase(gateway.client.channel)
    names = await trio.to_thread.run_sync(lambda: list(database.get_services()))
    sources = (REPOSITORY / "protos/gateway/api/v1").glob("*.proto")
    ours = {
        f"gateway.api.v1.{name}" for each in sources for name in re.findall(r"(?m)^service (\w+)", each.read_text())
    }
    assert len(ours) >= 16
    assert ours < set(names)
    described = await trio.to_thread.run_sync(
        lambda: database.FindFileContainingSymbol("gateway.api.v1.CommandService")
    )
    served = command_pb2.DESCRIPTOR.services_by_name["CommandService"].methods
    assert [method.name for method in described.service[0].method] == [method.name for method in served]


async def test_newer_tools_find_the_same_by_reflection_v1(gateway):
    """The protocol's present name answers as its older one does, itself described among the rest."""
    call = gateway.client.channel.stream_stream(
        f"/{V1}/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        *(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in (V1, ALPHA)),
    ]
    listed, *described = await trio.to_thread.run_sync(lambda: list(call(iter(requests), timeout=60)))
    names = {each.name for each in listed.list_services_response.service}
    assert {V1, ALPHA, "gateway.api.v1.CommandService"} <= names
    shown = []
    for answer in described:
        file = descriptor_pb2.FileDescriptorProto()
        file.ParseFromString(answer.file_descriptor_response.file_descriptor_proto[0])
        shown.append((f"{file.package}.{file.service[0].name}", file.service[0].method[0].input_type))
    assert shown == [(name, f".{name.rpartition('.')[0]}.ServerReflectionRequest") for name in (V1, ALPHA)]


async def test_draining_lets_a_call_finish_takes_no_more_and_ends_the_run(tmp_path):
    """Within the grace; then the thread is gone."""
    async with control(tmp_path) as gateway:
        gateway.commands.wait = 0.5
        responses = []

        async def reset():
            responses.append(await gateway.call(gateway.client.commands.Reset, RESET))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reset)
            await gateway.commands.begun.wait()
            gateway.server.drain(5.0)
        assert responses[0].command.command_id == "cmd_1"
        with pytest.raises(grpc.RpcError) as caught:
            await gateway.call(gateway.client.charge_points.ListChargePoints, LIST)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_grace_is_an_end_too(tmp_path):
    """A call that takes longer is cut off, and cancelled in Trio."""
    async with control(tmp_path) as gateway:
        gateway.commands.wait = 30

        async def reset():
            with pytest.raises(grpc.RpcError):
                await gateway.call(gateway.client.commands.Reset, RESET)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reset)
            await gateway.commands.begun.wait()
            gateway.server.drain(0.2)
            await gateway.commands.cancelled.wait()


async def test_with_tls_and_a_client_ca_only_its_clients_get_in(tmp_path):
    """The port may then be public."""
    ca = trustme.CA()
    server_cert, client_cert = ca.issue_cert("localhost"), ca.issue_cert("client@example.org")
    pem = ca.cert_pem.bytes()
    tls = ServerSide(server_cert.cert_chain_pems[0].bytes(), server_cert.private_key_pem.bytes(), pem)
    client_tls = Tls(pem, client_cert.cert_chain_pems[0].bytes(), client_cert.private_key_pem.bytes())
    async with control(tmp_path, ControlSettings(port=0, tls=tls), client_tls) as gateway:
        await gateway.call(gateway.client.charge_points.ListChargePoints, LIST)
        for strangers in (Tls(pem), None):
            with GatewayClient(f"localhost:{gateway.port}", strangers, timeout=60) as stranger:
                rpc = stranger.charge_points.ListChargePoints
                with pytest.raises(grpc.RpcError) as caught:
                    await trio.to_thread.run_sync(stranger.call, rpc, LIST)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_and_a_clients_ca_are_replaced_while_it_listens(tmp_path):
    """The next client sees them; one that is connected goes on."""
    old, new, others = trustme.CA(), trustme.CA(), trustme.CA()
    name = "localhost"
    first, second = old.issue_cert(name), new.issue_cert(name)

    def presented(cert, clients):
        return ServerSide(cert.cert_chain_pems[0].bytes(), cert.private_key_pem.bytes(), clients.cert_pem.bytes())

    def trusting(ca, clients):
        own = clients.issue_cert("client@example.org")
        return Tls(ca.cert_pem.bytes(), own.cert_chain_pems[0].bytes(), own.private_key_pem.bytes())

    settings = ControlSettings(port=0, tls=presented(first, old))
    async with control(tmp_path, settings, trusting(old, old)) as gateway:
        await gateway.call(gateway.client.charge_points.ListChargePoints, LIST)
        gateway.server.replace_tls(presented(second, others))

        async def code(tls):
            with GatewayClient(f"{name}:{gateway.port}", tls, timeout=60) as client:
                rpc = client.charge_points.ListChargePoints
                try:
                    await trio.to_thread.run_sync(client.call, rpc, LIST)
                except grpc.RpcError as error:
                    return error.code()
                return grpc.StatusCode.OK

        for _ in range(2):
            assert await code(trusting(new, others)) is grpc.StatusCode.OK
            assert await code(trusting(old, others)) is grpc.StatusCode.UNAVAILABLE
            assert await code(trusting(new, old)) is grpc.StatusCode.UNAVAILABLE
            assert await code(Tls(new.cert_pem.bytes())) is grpc.StatusCode.UNAVAILABLE
        await gateway.call(gateway.client.charge_points.ListChargePoints, LIST)
        with pytest.raises(ValueError, match="at the start"):
            gateway.server.replace_tls(evolve(presented(second, others), client_ca=None))


async def test_a_request_that_is_too_large_is_refused(gateway, failing):
    """By gRPC, before it is read."""
    request = command_pb2.DataTransferRequest(charge_point="CP1", request_id="r", vendor_id="v", data="x" * 5_000_000)
    problem = await failing(gateway.client.commands.DataTransfer, request)
    assert problem.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert gateway.commands.calls == []


async def test_what_is_refused_leaves_nothing_to_the_collector(gateway):
    """Neither a request that can't be meant, nor a command that can't be carried, nor a watch that can't begin."""
    gateway.commands.outcome = Refused(RefusalReason.CHARGE_POINT_OFFLINE, "not connected")
    watch = event_pb2.WatchEventsRequest(resume_token=b"nonsense")

    def refused():
        for request in (RESET, command_pb2.ResetRequest()):
            with pytest.raises(grpc.RpcError):
                gateway.client.commands.Reset(request, timeout=60)
        with pytest.raises(grpc.RpcError):
            next(gateway.client.events.WatchEvents(watch, timeout=60))

    await trio.to_thread.run_sync(refused)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(5):
            await trio.to_thread.run_sync(refused)
        gc.collect()
        left = [each for each in gc.garbage if isinstance(each, Failure | grpc.aio.AbortError | FrameType)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    ours = str(REPOSITORY / "gateway")
    assert [each for each in left if not isinstance(each, FrameType) or each.f_code.co_filename.startswith(ours)] == []


async def test_errors_of_others_read_well_too(gateway):
    """No server listens: there is no ErrorInfo, and one line all the same."""
    with GatewayClient("127.0.0.1:1", timeout=2) as nowhere:
        with pytest.raises(grpc.RpcError) as caught:
            await trio.to_thread.run_sync(nowhere.call, nowhere.charge_points.ListChargePoints, LIST)
        assert problem_of(caught.value).reason == ""
        assert describe(caught.value).startswith("UNAVAILABLE: ")
        assert "\n" not in describe(caught.value)

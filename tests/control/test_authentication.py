"""Callers over a real channel: who is let in, to what, and for how long."""

import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import grpc
import pytest
import structlog
import trio
import trustme
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from gateway.api import v1
from gateway.api.v1 import caller_pb2 as pb
from gateway.api.v1 import charge_point_pb2, event_pb2, vendor_data_pb2
from gateway.client import GatewayClient, Tls, problem_of
from gateway.control.access import NEEDS, Open, need_of
from gateway.control.outcomes import CALLERS
from gateway.control.server import ControlSettings
from gateway.control.services import authentication
from gateway.control.tls import Tls as ServerSide
from gateway.domain.audit import DoneBy
from gateway.domain.callers import IMPLIED, MAX_CALLERS, Caller, Role, new_token, token_digest
from gateway.errors import StoreUnavailable
from gateway.store.commits import AddCaller, RemoveCaller
from gateway.store.sqlite import SqliteStore
from tests.control.fakes import NOW, control
from tests.support.roles_table import table

LIST = charge_point_pb2.ListChargePointsRequest()
WATCH = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_NOW)
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
WALKED = set()


def brings_about(*names):
    """The test brings these rows of the table of endings about."""
    WALKED.update(names)
    return lambda test: test


def row(name):
    """Status and reason of a row."""
    (found,) = [each for each in CALLERS if each.name == name]
    return found.status, found.reason


def ending(problem):
    return problem.code.name, problem.reason


@contextmanager
def serving(gateway, token=None, tls=None) -> Iterator[GatewayClient]:
    """A client of its own with a token."""
    with GatewayClient(f"localhost:{gateway.port}", tls, timeout=60, token=token) as client:
        yield client


@asynccontextmanager
async def required(path, **options):
    """A control interface that asks for callers, and a token for each role."""
    settings = options.pop("settings", ControlSettings(port=0, idle=0.2, require_callers=True))
    async with control(path, settings, **options) as gateway:
        tokens = {role: await known(gateway, role.value, role) for role in Role}
        yield gateway, tokens


async def known(gateway, name, *roles, certificate="") -> str:
    """A caller, made known on disk before it calls; its token."""
    token = new_token()
    digest = b"" if certificate else token_digest(token)
    await gateway.journal.commit(AddCaller(Caller(name, roles, NOW, digest, certificate)))
    return token


async def outcome(gateway, token, call):
    """The problem that a call ends in; None: there is none. ``call`` is given a client."""

    def asked():
        with serving(gateway, token) as client:
            try:
                call(client)
            except grpc.RpcError as error:
                return problem_of(error)
        return None

    return await trio.to_thread.run_sync(asked)


def lists(client):
    client.charge_points.ListChargePoints(LIST, timeout=60)


# --- the table --------------------------------------------------------------------------------------------------


def methods():
    """Every method of every service of the contract."""
    found = {}
    for module in iter_modules(v1.__path__):
        if module.name.endswith("_pb2"):
            descriptor = import_module(f"gateway.api.v1.{module.name}").DESCRIPTOR
            for service in descriptor.services_by_name.values():
                for method in service.methods:
                    found[f"/{service.full_name}/{method.name}"] = method
    return found


METHODS = methods()


def test_the_table_has_every_rpc_and_no_other():
    """One that is forgotten would be an administrator's, which is safe and wrong."""
    foreign = {
        f"/{descriptor.full_name}/{method.name}"
        for descriptor in (
            health_pb2.DESCRIPTOR.services_by_name["Health"],
            reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
        )
        for method in descriptor.methods
    }
    foreign |= {name.replace(".v1alpha.", ".v1.") for name in foreign}
    listed = {f"/{service}/{name}" for service, needs in NEEDS.items() for name in needs}
    assert listed == METHODS.keys() | foreign


def test_the_page_has_the_table():
    """docs/security.md never drifts from the code; ``python -m tests.support.roles_table`` prints it."""
    page = Path(__file__).parents[2] / "docs" / "security.md"
    assert table() in page.read_text()


@pytest.mark.parametrize("method", ["/gateway.api.v1.CommandService/New", "/a/b", "", "/", "a/b/c", "//", "/a/b/c"])
def test_what_is_not_in_the_table_needs_the_most(method):
    """A method to come is not open by mistake."""
    assert need_of(method) is Role.ADMINISTER


def call_any(client, method):
    """Call a method with an empty request, and read one response at most."""
    descriptor = METHODS[method]
    respond = GetMessageClass(descriptor.output_type).FromString
    request = GetMessageClass(descriptor.input_type)()
    send = type(request).SerializeToString
    channel = client.channel
    if descriptor.server_streaming:
        if descriptor.client_streaming:
            stream = channel.stream_stream(method, send, respond)(iter([request]), timeout=60)
        else:
            stream = channel.unary_stream(method, send, respond)(request, timeout=60)
        try:
            next(iter(stream), None)
        finally:
            stream.cancel()
    else:
        channel.unary_unary(method, send, respond)(request, timeout=60)


@brings_about("no-caller", "no-role")
async def test_every_rpc_is_let_through_by_its_role_and_by_no_other(tmp_path):
    """Without a caller, none; with the role, and with those that stand for it, whatever the method itself says."""
    async with required(tmp_path) as (gateway, tokens):
        for method in METHODS:
            need = need_of(method)
            problem = await outcome(gateway, None, lambda client, method=method: call_any(client, method))
            assert ending(problem) == row("no-caller"), method
            for role, token in tokens.items():
                problem = await outcome(gateway, token, lambda client, method=method: call_any(client, method))
                if need is Open.TO_CALLERS or need in IMPLIED[role]:
                    assert problem is None or problem.code not in (UNAUTHENTICATED, DENIED), (method, role, problem)
                else:
                    assert ending(problem) == row("no-role"), (method, role)
                    assert problem.metadata == {"caller": role.value, "role": need.value}
        assert gateway.store.charge_points("", 10) == []
        assert gateway.commands.calls == []


async def test_health_is_open_to_all_and_reflection_to_callers(tmp_path):
    """Probes have no token; the contract is no secret, and of no use to strangers."""
    async with required(tmp_path) as (gateway, tokens):

        def healthy(client):
            stub = health_pb2_grpc.HealthStub(client.channel)
            request = health_pb2.HealthCheckRequest()
            assert stub.Check(request, timeout=60).status == health_pb2.HealthCheckResponse.SERVING
            watch = stub.Watch(request, timeout=60)
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()

        def reflected(client):
            found = ProtoReflectionDescriptorDatabase(client.channel).get_services()
            assert "gateway.api.v1.CallerService" in found

        def asked(client):
            stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            list(stub.ServerReflectionInfo(iter([request]), timeout=60))

        assert await outcome(gateway, None, healthy) is None
        assert ending(await outcome(gateway, None, asked)) == row("no-caller")
        for token in tokens.values():
            assert await outcome(gateway, token, reflected) is None
        assert need_of("/grpc.health.v1.Health/Check") is Open.TO_ALL


async def test_where_callers_are_not_required_tokens_are_not_looked_at(tmp_path):
    """A trial on loopback is as it was; a client that sends a token already is no worse off."""
    async with control(tmp_path) as gateway:
        for token in (None, "ocpgw_nonsense", new_token()):
            assert await outcome(gateway, token, lists) is None
            assert await outcome(gateway, token, lambda client: next(client.events.WatchEvents(WATCH))) is None


# --- tokens -----------------------------------------------------------------------------------------------------


@brings_about("no-such-token")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer nonsense",
        "Bearer ocpgw_",
        "Bearer ocpgw_" + "x" * 43,
        "Bearer " + "ocpgw_" + "x" * 5_000,
        "{}",
        "Bearer {}x",
        "Bearer x{}",
        "Bearer {} {}",
    ],
)
async def test_what_is_no_token_that_is_known_is_refused(tmp_path, value):
    """Also another scheme, part of one, and one with something behind it; none of it is answered or logged."""
    async with required(tmp_path) as (gateway, tokens):
        given = value.format(tokens[Role.READ], tokens[Role.READ])

        def asked():
            with serving(gateway) as client, pytest.raises(grpc.RpcError) as caught:
                client.charge_points.ListChargePoints(LIST, timeout=60, metadata=[("authorization", given)])
            return problem_of(caught.value)

        with structlog.testing.capture_logs() as logged:
            problem = await trio.to_thread.run_sync(asked)
        assert ending(problem) == row("no-such-token")
        shown = f"{problem!r} {logged!r}"
        for secret in (tokens[Role.READ], "dXNlcjpwYXNz", "x" * 43):
            assert secret not in shown
        assert [each["reason"] for each in logged if each["event"] == "caller refused"] == ["TOKEN_NOT_KNOWN"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_counts_in_any_case(tmp_path, scheme):
    """RFC 9110 §11.1."""
    async with required(tmp_path) as (gateway, tokens):

        def asked():
            with serving(gateway) as client:
                metadata = [("authorization", f"{scheme} {tokens[Role.READ]}")]
                return client.charge_points.ListChargePoints(LIST, timeout=60, metadata=metadata)

        assert list((await trio.to_thread.run_sync(asked)).charge_points) == []


async def test_a_token_is_shown_once_and_is_nowhere_on_disk(tmp_path):
    """Neither in the list, nor in a log, nor in the database or its log; what is there is SHA-256."""
    with structlog.testing.capture_logs() as logged:
        async with required(tmp_path) as (gateway, tokens):

            def made():
                with serving(gateway, tokens[Role.ADMINISTER]) as client:
                    request = pb.CreateCallerRequest(caller=pb.Caller(name="billing", roles=[pb.ROLE_READ]))
                    response = client.callers.CreateCaller(request, timeout=60)
                    return response, client.callers.ListCallers(pb.ListCallersRequest(), timeout=60)

            response, listed = await trio.to_thread.run_sync(made)
            token = response.token
            assert len(token) >= len("ocpgw_") + 43
            assert await outcome(gateway, token, lists) is None
            (kept,) = [each for each in gateway.store.callers() if each.name == "billing"]
            assert kept.token_digest == token_digest(token)
            assert token not in f"{kept!r} {listed!r} {logged!r}"
            files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
            assert any(kept.token_digest in content for content in files.values())
            assert not any(token.encode() in content for content in files.values())


async def test_lines_about_refused_callers_are_bounded(tmp_path):
    """A client with a wrong token tries for ever; the next line says how many were left out."""
    async with required(tmp_path) as (gateway, _):

        def asked():
            with serving(gateway, "ocpgw_wrong") as client:
                for _ in range(60):
                    with pytest.raises(grpc.RpcError):
                        lists(client)

        with structlog.testing.capture_logs() as logged:
            await trio.to_thread.run_sync(asked)
        assert 20 <= len([each for each in logged if each["event"] == "caller refused"]) < 60


# --- made known and revoked while it runs -----------------------------------------------------------------------


async def test_a_caller_counts_as_soon_as_it_is_made_known(tmp_path):
    """And no longer than until it is revoked, without a restart."""
    async with required(tmp_path) as (gateway, tokens):

        def administers(client):
            request = pb.CreateCallerRequest(caller=pb.Caller(name="app", roles=[pb.ROLE_OPERATE, pb.ROLE_VENDOR_DATA]))
            made = client.callers.CreateCaller(request, timeout=60)
            assert list(made.caller.roles) == [pb.ROLE_OPERATE, pb.ROLE_VENDOR_DATA]
            with serving(gateway, made.token) as app:
                lists(app)
                client.callers.RevokeCaller(pb.RevokeCallerRequest(name="app"), timeout=60)
                with pytest.raises(grpc.RpcError) as caught:
                    lists(app)
                assert ending(problem_of(caught.value)) == row("no-such-token")
            again = client.callers.CreateCaller(request, timeout=60)
            assert again.token != made.token
            with serving(gateway, made.token) as app, pytest.raises(grpc.RpcError):
                lists(app)

        assert await outcome(gateway, tokens[Role.ADMINISTER], administers) is None


@brings_about("revoked")
async def test_the_watches_of_a_caller_end_when_it_is_revoked(tmp_path):
    """At once, with a reason; those of others go on."""
    settings = ControlSettings(port=0, idle=30.0, require_callers=True)
    async with required(tmp_path, settings=settings) as (gateway, tokens):
        await gateway.charge_point()

        def watch():
            service = vendor_data_pb2.HandleVendorDataRequest(registration={"interests": [{"vendor_id": "acme"}]})
            over = threading.Event()
            with (
                serving(gateway, tokens[Role.READ]) as one,
                serving(gateway, tokens[Role.OPERATE]) as other,
                serving(gateway, tokens[Role.VENDOR_DATA]) as vendor,
                serving(gateway, tokens[Role.ADMINISTER]) as administrator,
            ):
                start = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_BEGINNING)
                ended, lasting = one.events.WatchEvents(start, timeout=60), other.events.WatchEvents(start, timeout=20)
                answering = vendor.vendor_data.HandleVendorData(open_side(service, over), timeout=60)
                for stream in (ended, lasting):
                    assert types_of(stream) == ["charge_point.created", "charge_point.connected"]
                assert next(answering).HasField("registered")
                problems = []
                for name, stream in (("read", ended), ("vendor_data", answering)):
                    administrator.callers.RevokeCaller(pb.RevokeCallerRequest(name=name), timeout=60)
                    with pytest.raises(grpc.RpcError) as caught:
                        next(stream)
                    problems.append(ending(problem_of(caught.value)))
                over.set()
                trio.from_thread.run(gateway.charge_point, "CP2")
                return problems, types_of(lasting)

        problems, types = await trio.to_thread.run_sync(watch)
        assert problems == [row("revoked")] * 2
        assert types == ["charge_point.created", "charge_point.connected"]


async def test_a_watch_ends_when_another_node_has_revoked_its_caller(tmp_path, monkeypatch):
    """Though no call comes here that would have the callers read again; those of others go on."""
    monkeypatch.setattr(authentication, "FRESH_SECONDS", 0.05)
    monkeypatch.setattr(authentication, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(SqliteStore, "kind", "postgresql")  # of which this process may not be the only one
    settings = ControlSettings(port=0, idle=30.0, require_callers=True)
    async with required(tmp_path, settings=settings) as (gateway, tokens):
        await gateway.charge_point()

        def watch():
            with serving(gateway, tokens[Role.READ]) as one, serving(gateway, tokens[Role.OPERATE]) as other:
                start = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_BEGINNING)
                ended, lasting = one.events.WatchEvents(start, timeout=60), other.events.WatchEvents(start, timeout=20)
                for stream in (ended, lasting):
                    assert types_of(stream) == ["charge_point.created", "charge_point.connected"]
                trio.from_thread.run(gateway.journal.commit, RemoveCaller("read", DoneBy("admin", NOW)))
                with pytest.raises(grpc.RpcError) as caught:
                    next(ended)
                trio.from_thread.run(gateway.charge_point, "CP2")
                return ending(problem_of(caught.value)), types_of(lasting)

        problem, types = await trio.to_thread.run_sync(watch)
        assert problem == row("revoked")
        assert types == ["charge_point.created", "charge_point.connected"]


def types_of(stream):
    """The types of the next two events."""
    found = []
    while len(found) < 2:
        found += [each.type for each in next(stream).events]
    return found


def open_side(first, over):
    """A client's side of a stream that stays open until it is over."""
    yield first
    over.wait(20)


@pytest.mark.parametrize(
    ("caller", "field"),
    [
        (None, "caller"),
        (pb.Caller(roles=[1]), "caller.name"),
        (pb.Caller(name="a b", roles=[1]), "caller.name"),
        (pb.Caller(name="x" * 64, roles=[1]), "caller.name"),
        (pb.Caller(name="a"), "caller.roles"),
        (pb.Caller(name="a", roles=[0]), "caller.roles[0]"),
        (pb.Caller(name="a", roles=[1, 99]), "caller.roles[1]"),
        (pb.Caller(name="a", roles=[1], certificate_name="x" * 256), "caller.certificate_name"),
        (pb.Caller(name="a", roles=[1], certificate_name="a\n"), "caller.certificate_name"),
        (pb.Caller(name="a", roles=[1], create_time={"seconds": 1}), "caller.create_time"),
    ],
)
async def test_what_can_not_be_a_caller_is_refused_by_its_field(gateway, failing, caller, field):
    """And nothing is kept."""
    problem = await failing(gateway.client.callers.CreateCaller, pb.CreateCallerRequest(caller=caller))
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [name for name, _ in problem.violations] == [field]
    assert gateway.store.callers() == []


async def test_names_are_unique_and_callers_are_bounded(gateway, failing):
    """Of callers and of certificates; the answer says which is taken."""
    stub = gateway.client.callers
    first = pb.CreateCallerRequest(caller=pb.Caller(name="a", roles=[1], certificate_name="a.example"))
    made = await gateway.call(stub.CreateCaller, first)
    assert made.token == ""
    problem = await failing(stub.CreateCaller, first)
    assert (ending(problem), problem.metadata) == (("ALREADY_EXISTS", "CALLER_EXISTS"), {"caller": "a"})
    first.caller.name = "b"
    problem = await failing(stub.CreateCaller, first)
    assert problem.reason == "CALLER_EXISTS"
    assert problem.metadata == {"certificate_name": "a.example"}
    problem = await failing(stub.RevokeCaller, pb.RevokeCallerRequest(name="b"))
    assert (ending(problem), problem.metadata) == (("NOT_FOUND", "UNKNOWN_CALLER"), {"caller": "b"})
    problem = await failing(stub.RevokeCaller, pb.RevokeCallerRequest())
    assert [name for name, _ in problem.violations] == ["name"]
    for number in range(1, MAX_CALLERS):
        await gateway.journal.commit(AddCaller(Caller(f"c{number}", (Role.READ,), NOW, b"%d" % number)))
    first.caller.ClearField("certificate_name")
    problem = await failing(stub.CreateCaller, first)
    assert ending(problem) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLERS")
    listed = (await gateway.call(stub.ListCallers, pb.ListCallersRequest())).callers
    assert len(listed) == MAX_CALLERS
    assert [each.name for each in listed] == sorted(each.name for each in listed)


@brings_about("callers-unread")
async def test_while_the_store_can_not_be_read_known_callers_go_on(tmp_path, monkeypatch):
    """From memory; where they are not in memory, none is let in."""
    async with required(tmp_path) as (gateway, tokens):
        failing = []
        read = gateway.store.callers

        def callers():
            if failing:
                raise StoreUnavailable("the disk is gone")
            return read()

        monkeypatch.setattr(gateway.store, "callers", callers)
        failing.append(True)
        assert ending(await outcome(gateway, tokens[Role.READ], lists)) == row("callers-unread")
        failing.clear()
        assert await outcome(gateway, tokens[Role.READ], lists) is None
        failing.append(True)
        assert await outcome(gateway, tokens[Role.READ], lists) is None
        monkeypatch.setattr("gateway.control.services.authentication.FRESH_SECONDS", 0.0)
        assert await outcome(gateway, tokens[Role.READ], lists) is None
        failing.clear()
        # A change whose outcome its caller never knew is learnt of with time.
        await gateway.journal.commit(RemoveCaller("read"))
        assert ending(await outcome(gateway, tokens[Role.READ], lists)) == row("no-such-token")


async def test_changes_of_charge_points_are_recorded_with_their_caller(tmp_path):
    """In the events, as watchers get them; an event of before has none."""
    async with required(tmp_path) as (gateway, tokens):
        await gateway.charge_point("OLD")

        def administers(client):
            stub = client.charge_points
            created = charge_point_pb2.CreateChargePointRequest(charge_point={"identity": "CP1"})
            stub.CreateChargePoint(created, timeout=60)
            changed = {"identity": "CP1", "description": "x"}
            request = charge_point_pb2.UpdateChargePointRequest(
                charge_point=changed, update_mask={"paths": ["description"]}
            )
            stub.UpdateChargePoint(request, timeout=60)
            stub.DeleteChargePoint(charge_point_pb2.DeleteChargePointRequest(identity="CP1"), timeout=60)
            fleet = [
                charge_point_pb2.ImportChargePointsRequest(header={"charge_point_count": 1}),
                charge_point_pb2.ImportChargePointsRequest(
                    batch={"charge_points": [{"charge_point": {"identity": "CP2"}, "authorization_key": b"x" * 8}]}
                ),
            ]
            list(stub.ImportChargePoints(iter(fleet), timeout=60))
            start = event_pb2.WatchEventsRequest(
                start_at=event_pb2.WATCH_START_BEGINNING, types=[f"charge_point.{each}" for each in PROVISIONING]
            )
            found = []
            stream = client.events.WatchEvents(start, timeout=60)
            while len(found) < 5:
                for each in next(stream).events:
                    body = getattr(each, each.WhichOneof("body"))
                    found.append((each.charge_point, each.type.partition(".")[2], body.caller))
            recorded.extend(found)

        recorded = []
        assert await outcome(gateway, tokens[Role.ADMINISTER], administers) is None
        by = "administer"
        assert recorded == [
            ("OLD", "created", ""),
            *(("CP1", each, by) for each in PROVISIONING),
            ("CP2", "created", by),
        ]


PROVISIONING = ("created", "updated", "deleted")


# --- certificates -----------------------------------------------------------------------------------------------


@brings_about("no-such-certificate")
async def test_a_caller_is_known_by_a_name_in_its_certificate(tmp_path):
    """An alternative name of any kind, or the common name; a token counts before it."""
    ca = trustme.CA()
    server, clients = ca.issue_cert("localhost"), trustme.CA()

    def holding(*names, **more):
        cert = clients.issue_cert(*names, **more)
        return Tls(ca.cert_pem.bytes(), cert.cert_chain_pems[0].bytes(), cert.private_key_pem.bytes())

    side = ServerSide(server.cert_chain_pems[0].bytes(), server.private_key_pem.bytes(), clients.cert_pem.bytes())
    settings = ControlSettings(port=0, tls=side, require_callers=True)
    async with required(tmp_path, settings=settings, client_tls=holding("first.example")) as (gateway, tokens):
        await known(gateway, "by-dns", Role.READ, certificate="app.example")
        await known(gateway, "by-mail", Role.READ, certificate="ops@example.org")
        await known(gateway, "by-common-name", Role.VENDOR_DATA, certificate="Vendor Service")

        async def ends(tls, token=None):
            def asked():
                with serving(gateway, token, tls) as client:
                    try:
                        lists(client)
                    except grpc.RpcError as error:
                        return ending(problem_of(error))
                return None

            return await trio.to_thread.run_sync(asked)

        assert await ends(holding("app.example")) is None
        assert await ends(holding("other.example", "app.example")) is None
        assert await ends(holding("ops@example.org")) is None
        assert await ends(holding("other.example", common_name="Vendor Service")) == row("no-role")
        for stranger in (holding("other.example"), holding("*.example"), holding("app.example.org")):
            assert await ends(stranger) == row("no-such-certificate")
        assert await ends(holding("other.example"), tokens[Role.READ]) is None
        assert await ends(holding("app.example"), "ocpgw_wrong") == row("no-such-token")
        assert await ends(holding("app.example"), tokens[Role.SIGNING]) == row("no-role")
        await gateway.journal.commit(RemoveCaller("by-dns"))


def test_every_ending_is_brought_about():
    """A row without a test is a gap; those of scopes are brought about in ``test_scope``, of JWTs in
    ``test_jwt_callers``."""
    elsewhere = {"no-scope", "scope-not-watchable", "scope-changed", "token-refused"}
    assert {each.name for each in CALLERS} == WALKED | elsewhere

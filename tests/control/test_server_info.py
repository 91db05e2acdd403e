"""GetServerInfo: the gateway that a client has reached."""

import hashlib
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

from gateway.api.v1 import caller_pb2 as pb
from gateway.api.v1 import command_pb2, event_pb2, server_pb2
from gateway.control.grpc_options import options
from gateway.control.server_info import CAPABILITIES
from gateway.domain.callers import Caller, Role, new_token, token_digest
from gateway.domain.events import ChargePointCreated
from gateway.errors import StoreUnavailable
from gateway.store.commits import AddCaller, CreateChargePoint
from gateway.store.sqlite import SqliteStore
from tests.control.fakes import NOW
from tests.control.test_authentication import outcome, required

ASK = server_pb2.GetServerInfoRequest()


async def info(gateway):
    return (await gateway.call(gateway.client.server.GetServerInfo, ASK)).server


async def test_a_client_learns_what_it_has_reached(gateway):
    """Version, contract, capabilities, start and the protocols of chargers."""
    found = await info(gateway)
    shipped = (files("gateway.api.v1") / "descriptors.binpb").read_bytes()
    assert found.version == version("gateway")
    assert (found.contract_version, found.contract_digest) == ("v1", hashlib.sha256(shipped).hexdigest())
    assert tuple(found.capabilities) == CAPABILITIES == tuple(sorted(CAPABILITIES))
    assert found.start_time.ToDatetime() == NOW.replace(tzinfo=None)
    assert list(found.ocpp_subprotocols) == ["ocpp1.6"]
    assert not found.callers_required


async def test_the_store_is_as_it_is_now(gateway):
    """Its positions move with what is recorded; the id is that of its resume tokens' store."""
    before = (await info(gateway)).store
    assert (before.store_id, before.kind) == (gateway.store.store_id, "sqlite")
    await gateway.journal.commit(CreateChargePoint("CP1", "Accepted", (), NOW))
    after = (await info(gateway)).store
    assert (after.floor_position, after.head_position) == (0, before.head_position + 1)
    assert gateway.store.event(after.head_position).type == ChargePointCreated.TYPE


async def test_a_store_that_can_not_be_read_is_shown_as_it_was(gateway, monkeypatch):
    """A client asks just then what it is that it has reached."""
    before = await info(gateway)

    def fails(self):
        raise StoreUnavailable("the disk can't be read")

    monkeypatch.setattr(SqliteStore, "bounds", fails)
    assert await info(gateway) == before


async def test_the_limits_are_those_that_hold(gateway, failing):
    """A request at each of them is taken, one beyond it is not."""
    limits = (await info(gateway)).limits
    given = dict(options(shares=False))
    assert limits.response_bytes == given["grpc.max_send_message_length"]
    assert limits.connection_streams == given["grpc.max_concurrent_streams"]
    assert limits.keepalive.seconds * 1000 == given["grpc.http2.min_ping_interval_without_data_ms"]
    assert (limits.default_deadline.seconds, limits.answer_margin.nanos) == (60, 250_000_000)
    client = gateway.client
    reset = command_pb2.ResetRequest(charge_point="CP1", type=command_pb2.RESET_TYPE_SOFT)
    reset.request_id = "r" * limits.request_id_length
    await gateway.call(client.commands.Reset, reset)
    reset.request_id += "r"
    assert (await failing(client.commands.Reset, reset)).violations[0][0] == "request_id"
    names = [f"CP{number}" for number in range(limits.watch_charge_points + 1)]
    watch = event_pb2.WatchEventsRequest(charge_points=names, start_at=event_pb2.WATCH_START_NOW)

    def follow(request, timeout):
        return next(client.events.WatchEvents(request, timeout=timeout))

    assert (await failing(follow, watch)).violations[0][0] == "charge_points"


@pytest.mark.parametrize("role", [Role.READ, Role.VENDOR_DATA])
async def test_any_caller_may_ask(tmp_path, role):
    """Also one whose only role is to answer chargers; a stranger may not."""
    async with required(tmp_path) as (gateway, tokens):

        def asks(client):
            assert client.server.GetServerInfo(ASK, timeout=60).server.callers_required

        assert await outcome(gateway, tokens[role], asks) is None
        assert (await outcome(gateway, None, asks)).reason == "CALLER_NOT_NAMED"


async def test_a_caller_learns_what_it_may_call(tmp_path):
    """By all its roles, those that another has in it among them, and its scope; nothing of a token."""
    async with required(tmp_path) as (gateway, tokens):
        shown = {}
        tokens["north"] = new_token()
        north = Caller("north", (Role.OPERATE,), NOW, token_digest(tokens["north"]), scope={"site": "north"})
        await gateway.journal.commit(AddCaller(north))

        for name, token in tokens.items():

            def asks(client, name=name):
                shown[name] = client.server.GetServerInfo(ASK, timeout=60).caller

            assert await outcome(gateway, token, asks) is None
    roles = {
        name: [pb.Role.Name(each).removeprefix("ROLE_") for each in caller.roles] for name, caller in shown.items()
    }
    assert roles == {
        Role.READ: ["READ"],
        Role.OPERATE: ["READ", "OPERATE"],
        Role.ADMINISTER: ["READ", "OPERATE", "ADMINISTER"],
        Role.VENDOR_DATA: ["VENDOR_DATA"],
        Role.SIGNING: ["SIGNING"],
        "north": ["READ", "OPERATE"],
    }
    assert shown["north"] == pb.Caller(name="north", roles=shown["north"].roles, scope={"site": "north"})


async def test_without_callers_none_is_named(gateway):
    """All may do everything."""
    assert not (await gateway.call(gateway.client.server.GetServerInfo, ASK)).HasField("caller")


def test_the_page_says_what_each_capability_is():
    """And names none that there is not."""
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    table = page.partition("| capability |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([a-z0-9-]+)` \| \S", table, re.MULTILINE) == list(CAPABILITIES)

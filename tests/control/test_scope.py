"""Callers with a scope over a real channel: what is outside of it is to them as what there is not."""

from decimal import Decimal
from pathlib import Path

import grpc
import pytest
import trio
from google.protobuf.message_factory import GetMessageClass

from gateway.api.v1 import caller_pb2 as pb
from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import event_pb2 as events
from gateway.api.v1 import id_tag_pb2 as id_tags
from gateway.api.v1 import operation_pb2 as operations
from gateway.api.v1 import transaction_pb2 as transactions
from gateway.client import problem_of
from gateway.control.access import Open, need_of
from gateway.control.scope import BY_QUERY, FIELDS, NOT_SCOPED, is_scoped
from gateway.domain.callers import SCOPED_ROLES, Caller, Role, new_token, token_digest
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.diagnostics import FrameKind, KeptFrame, RefusedConnection
from gateway.domain.events import (
    CommandQueued,
    MeterValuesReported,
    OperationAccepted,
    TransactionOrphaned,
    TransactionStarted,
    WantedChanged,
)
from gateway.domain.operations import OperationKind, OperationRequest
from gateway.domain.records import IdTagRecord
from gateway.domain.steering import RateLimit, StandingLimit, Wanted
from gateway.domain.values import ConnectorAddress
from gateway.store.commits import AddCaller, PutIdTag, UpdateChargePoint
from tests.control.fakes import NOW
from tests.control.test_authentication import METHODS, ending, required, row, serving, types_of

SCOPE = {"site": "north"}


async def scoped(gateway, scope=SCOPE, *roles):
    """The token of a caller with a scope, that may read and operate."""
    token = new_token()
    caller = Caller("scoped", roles or (Role.OPERATE,), NOW, token_digest(token), "", scope)
    await gateway.journal.commit(AddCaller(caller))
    return token


async def label(gateway, identity, **labels):
    await gateway.journal.commit(UpdateChargePoint(identity, NOW, labels=labels))


async def fleet(gateway):
    """IN and OUT, each with a transaction and a command; NEXT, without either, is outside too."""
    for identity in ("IN", "NEXT", "OUT"):
        epoch = await gateway.charge_point(identity)
        await label(gateway, identity, site="north" if identity == "IN" else "south")
        if identity == "NEXT":
            continue
        number = 1 if identity == "IN" else 2
        started = TransactionStarted(f"tx_{identity}", number, ConnectorAddress(1, 1), "TAG", "Accepted", 0, identity)
        queued = CommandQueued(f"cmd_{identity}", "r", "Reset", {"reset_type": "Soft"})
        await gateway.append(identity, epoch, started, queued)


async def ends(gateway, token, rpc, request):
    """The response of a call, or its problem."""

    def asked():
        with serving(gateway, token) as client:
            try:
                return rpc(client)(request, timeout=10)
            except grpc.RpcError as error:
                return problem_of(error)

    return await trio.to_thread.run_sync(asked)


NAMED = {
    "get": (lambda c: c.charge_points.GetChargePoint, lambda n: points.GetChargePointRequest(identity=n)),
    "disconnect": (
        lambda c: c.charge_points.DisconnectChargePoint, lambda n: points.DisconnectChargePointRequest(identity=n)),
    "reset": (lambda c: c.commands.Reset, lambda n: commands.ResetRequest(charge_point=n, request_id="r", type=1)),
    "start": (
        lambda c: c.operations.StartCharging,
        lambda n: operations.StartChargingRequest(charge_point=n, request_id="r", id_tag="T", connector={"evse": 1})),
    "commands": (lambda c: c.commands.ListCommands, lambda n: commands.ListCommandsRequest(charge_point=n)),
    "transactions": (
        lambda c: c.transactions.ListTransactions, lambda n: transactions.ListTransactionsRequest(charge_point=n)),
    "transaction": (
        lambda c: c.transactions.GetTransaction,
        lambda n: transactions.GetTransactionRequest(transaction_id=f"tx_{n}")),
    "close": (
        lambda c: c.transactions.CloseTransaction,
        lambda n: transactions.CloseTransactionRequest(transaction_id=f"tx_{n}", reason="x")),
    "command": (lambda c: c.commands.GetCommand, lambda n: commands.GetCommandRequest(command_id=f"cmd_{n}")),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
async def test_what_is_outside_is_as_what_there_is_not(tmp_path, name):
    """The same answer but for the name, and nothing is done; what is inside is answered as to anyone."""
    rpc, request = NAMED[name]
    async with required(tmp_path) as (gateway, tokens):
        await fleet(gateway)
        token = await scoped(gateway)
        outside = await ends(gateway, token, rpc, request("OUT"))
        nowhere = await ends(gateway, token, rpc, request("ZZZ"))
        assert outside.code is grpc.StatusCode.NOT_FOUND
        assert repr(outside).replace("OUT", "ZZZ") == repr(nowhere)
        assert gateway.commands.calls == []
        assert gateway.commands.notified == []
        assert gateway.store.transaction("tx_OUT").state == "OPEN"
        inside = await ends(gateway, token, rpc, request("IN"))
        assert getattr(inside, "code", None) is not grpc.StatusCode.NOT_FOUND
        await ends(gateway, tokens[Role.OPERATE], rpc, request("OUT"))


async def test_lists_hold_nothing_outside(tmp_path):
    """Of charge points by the labels, also with a filter of the caller's."""
    async with required(tmp_path) as (gateway, _):
        await fleet(gateway)
        token = await scoped(gateway)

        async def listed(**filters):
            request = points.ListChargePointsRequest(page_size=1, **filters)
            page = await ends(gateway, token, lambda c: c.charge_points.ListChargePoints, request)
            request.page_token = page.next_page_token
            found = [each.identity for each in page.charge_points]
            if page.next_page_token:
                rest = await ends(gateway, token, lambda c: c.charge_points.ListChargePoints, request)
                found += [each.identity for each in rest.charge_points]
            return found

        assert await listed() == ["IN"]
        assert await listed(labels={"site": "north"}) == ["IN"]
        assert await listed(labels={"site": "south"}) == []
        assert await listed(labels={"owner": "x"}) == []


async def test_a_page_token_of_a_wider_caller_widens_nothing(tmp_path):
    """It belongs to another list, for the scope is one of the filters."""
    async with required(tmp_path) as (gateway, tokens):
        await fleet(gateway)
        token = await scoped(gateway)
        for rpc, request in (
            (lambda c: c.commands.ListCommands, commands.ListCommandsRequest(page_size=1)),
            (lambda c: c.transactions.ListTransactions, transactions.ListTransactionsRequest(page_size=1)),
            (lambda c: c.charge_points.ListChargePoints, points.ListChargePointsRequest(page_size=1)),
        ):
            page = await ends(gateway, tokens[Role.READ], rpc, request)
            request.page_token = page.next_page_token
            assert page.next_page_token
            problem = await ends(gateway, token, rpc, request)
            assert [name for name, _ in problem.violations] == ["page_token"]


async def test_readings_outside_are_not_known(tmp_path):
    """As those of a charge point that there is not; one entry for each that was asked for."""
    async with required(tmp_path) as (gateway, _):
        await fleet(gateway)
        request = points.GetLatestReadingsRequest(charge_points=["OUT", "IN", "ZZZ"])
        rpc = lambda c: c.charge_points.GetLatestReadings  # noqa: E731 - as in the table above
        found = (await ends(gateway, await scoped(gateway), rpc, request)).charge_points
        assert [each.charge_point for each in found] == ["OUT", "IN", "ZZZ"]
        assert [each.known for each in found] == [False, True, False]
        assert found[0] == points.ChargePointReadings(charge_point="OUT")
        nothing = await ends(gateway, "", rpc, points.GetLatestReadingsRequest())
        assert ending(nothing) == row("no-such-token")


async def test_a_watch_holds_nothing_outside_also_by_another_s_token(tmp_path):
    """With no charge point named it is of all inside; a resume token is a place in the journal, and widens nothing."""
    async with required(tmp_path) as (gateway, tokens):
        await fleet(gateway)
        token = await scoped(gateway)

        def watched():
            with serving(gateway, token) as client, serving(gateway, tokens[Role.READ]) as other:
                start = events.WatchEventsRequest(start_at=events.WATCH_START_BEGINNING)
                all_of_them = next(each for each in other.events.WatchEvents(start, timeout=10) if each.events)
                first = next(other.events.WatchEvents(start, timeout=10)).resume_token
                seen = []
                for request in (start, events.WatchEventsRequest(resume_token=first)):
                    stream = client.events.WatchEvents(request, timeout=10)
                    found = next(each for each in stream if each.events)
                    seen.append({each.charge_point for each in found.events})
                    stream.cancel()
                named = events.WatchEventsRequest(start_at=events.WATCH_START_BEGINNING, charge_points=["IN", "OUT"])
                with pytest.raises(grpc.RpcError) as caught:
                    next(client.events.WatchEvents(named, timeout=10))
                return {each.charge_point for each in all_of_them.events}, seen, problem_of(caught.value)

        everything, seen, problem = await trio.to_thread.run_sync(watched)
        assert {"IN", "OUT"} <= everything
        assert seen == [{"IN"}, {"IN"}]
        assert ending(problem) == ("NOT_FOUND", "UNKNOWN_CHARGE_POINT")


@pytest.mark.parametrize("named", [[], ["IN"]])
async def test_a_watch_ends_when_its_charge_points_leave_the_scope(tmp_path, named):
    """Before anything of them is sent; by its token it goes on with those of then."""
    async with required(tmp_path) as (gateway, _):
        await fleet(gateway)
        token = await scoped(gateway)

        def watched():
            with serving(gateway, token) as client:
                start = events.WatchEventsRequest(start_at=events.WATCH_START_BEGINNING, charge_points=named)
                stream = client.events.WatchEvents(start, timeout=20)
                assert types_of(stream)[0] == "charge_point.created"
                trio.from_thread.run(lambda: label(gateway, "IN", site="south"))
                after = []
                with pytest.raises(grpc.RpcError) as caught:
                    after.extend(each for response in stream for each in response.events)
                return after, problem_of(caught.value)

        after, problem = await trio.to_thread.run_sync(watched)
        assert ending(problem) == row("scope-changed")
        assert "charge_point.updated" not in {each.type for each in after}


async def test_a_watch_of_nothing_is_refused_and_is_not_one_of_all(tmp_path):
    """An empty filter means all, so it must never be passed on."""
    async with required(tmp_path) as (gateway, _):
        await fleet(gateway)
        token = await scoped(gateway, {"site": "nowhere"})
        for method in ("WatchEvents", "WatchMeterValues"):

            def watched(method=method):
                request = getattr(events, f"{method}Request")(start_at=events.WATCH_START_BEGINNING)
                with serving(gateway, token) as client, pytest.raises(grpc.RpcError) as caught:
                    next(getattr(client.events, method)(request, timeout=10))
                return problem_of(caught.value)

            assert ending(await trio.to_thread.run_sync(watched)) == row("scope-not-watchable")


# --- every RPC --------------------------------------------------------------------------------------------------

INSIDE, OUTSIDE, NOWHERE = "CP-inside", "CP-OUTSIDE", "CP-NOWHERE"

OTHER_TEXTS = {
    "address", "by", "callers", "currency", "energy_revision", "filter", "id_tag", "keys", "measurands", "order_by",
    "page_token", "parent_id_tag", "reason", "request_id", "state", "time_zone", "types", "why",
}  # fmt: skip
"""Texts of requests that name no charge point and nothing that is one's."""


async def two_sites(gateway):
    """All kinds of things of a charge point inside and of one outside, each with the charge point's name in it."""
    orphans = {}
    for number, identity in enumerate((INSIDE, OUTSIDE), 1):
        epoch = await gateway.charge_point(identity)
        await label(gateway, identity, site="north" if identity == INSIDE else "south")
        tx = f"tx-{identity}"
        one = ConnectorAddress(1, 1)
        wanted = Wanted(one, 1, StandingLimit(RateLimit(Decimal(6), ChargingRateUnit.AMPERE)))
        operation = OperationRequest(OperationKind.STOP_CHARGING, transaction_id=tx)
        values = ({"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": "7"}]},)
        sequences = await gateway.append(
            identity,
            epoch,
            TransactionStarted(tx, number, one, "TAG", "Accepted", 0, identity),
            TransactionOrphaned(number + 90, "unknown-number", {"meterStop": 5, "idTag": identity}),
            CommandQueued(f"cmd-{identity}", "Reset", identity, {"reset_type": "Soft"}),
            OperationAccepted(f"op-{identity}", identity, operation, NOW, tx),
            WantedChanged(wanted, "limit-set", identity),
            MeterValuesReported(one, values, tx, number),
        )
        orphans[identity] = gateway.store.event(sequences[1]).event_id
        gateway.diagnostics.rings[identity] = [KeptFrame(NOW, FrameKind.RECEIVED, f"[{identity}]", 9)]
        gateway.diagnostics.refused.insert(
            0, RefusedConnection(number, identity, "192.0.2.1", "main", "admission", "unknown-key", 401, 1, NOW, NOW)
        )
    orphans[NOWHERE] = orphans[OUTSIDE].rpartition("_")[0] + "_999999"
    return orphans


def named(identity, orphans):
    """Values for the fields of a request, by their names."""
    return {
        "charge_point": identity,
        "identity": identity,
        "charge_points": identity,
        "transaction_id": f"tx-{identity}",
        "command_id": f"cmd-{identity}",
        "operation_id": f"op-{identity}",
        "orphan_event_id": orphans[identity],
        "id_tag": "TAG",
        "reason": "test",
    }


def filled(message, given):
    """A request in which each field is given something, what is required in any case."""
    for field in message.DESCRIPTOR.fields:
        if message.DESCRIPTOR.name == "GetCommandRequest" and field.name != "command_id":
            continue  # the other two name a command without it
        value = given.get(field.name)
        if field.type == field.TYPE_STRING and value:
            getattr(message, field.name).append(value) if field.is_repeated else setattr(message, field.name, value)
        elif field.name == "request_id":
            message.request_id = "r"
        elif field.name == "start_at":
            message.start_at = events.WATCH_START_BEGINNING
        elif field.name == "page_size":
            message.page_size = 1000
    return message


SUMMARIES = {f"/gateway.api.v1.FleetService/{name}FleetSummary" for name in ("Get", "Watch")}
"""They say of when they are, which is taken out; and a watch of them gives its next answer after five seconds."""


def answers_of(client, method, request):
    """The first answers of a method, and the problem that it ends in, if it does."""
    descriptor, channel = METHODS[method], client.channel
    respond = GetMessageClass(descriptor.output_type).FromString
    send = type(request).SerializeToString
    found = []
    try:
        if not descriptor.server_streaming:
            return [channel.unary_unary(method, send, respond)(request, timeout=5)], None
        if descriptor.client_streaming:
            stream = channel.stream_stream(method, send, respond)(iter([request]), timeout=5)
        else:
            stream = channel.unary_stream(method, send, respond)(request, timeout=5)
        for answer in stream:
            found.append(answer)
            if len(found) == (1 if method in SUMMARIES else 3):
                stream.cancel()
                break
    except grpc.RpcError as error:
        return found, problem_of(error)
    return found, None


async def test_no_rpc_shows_what_is_outside(tmp_path):
    """Of every method there is, with a request that names nothing, what is inside, outside, and what there is not: no
    answer has a word of the charge point outside, and what is outside is answered as what there is not."""
    async with required(tmp_path) as (gateway, tokens):
        orphans = await two_sites(gateway)
        token, wide = await scoped(gateway, SCOPE, *Role), tokens[Role.ADMINISTER]

        def asked(method, identity, by=token):
            request = GetMessageClass(METHODS[method].input_type)()
            with serving(gateway, by) as client:
                found, problem = answers_of(
                    client, method, filled(request, named(identity, orphans) if identity else {})
                )
            if method in SUMMARIES:
                for each in found:
                    each.summary.ClearField("summary_time")
            return found, problem

        shown = set()
        for method in sorted(METHODS):
            if need_of(method) is Open.TO_CALLERS:
                assert OUTSIDE not in repr(await trio.to_thread.run_sync(asked, method, OUTSIDE))
                continue
            if not is_scoped(method):
                found, problem = await trio.to_thread.run_sync(asked, method, INSIDE)
                assert (found, ending(problem)) == ([], row("no-scope")), method
                continue
            texts = {each.name for each in METHODS[method].input_type.fields if each.type == each.TYPE_STRING}
            unknown = texts - named(INSIDE, orphans).keys() - OTHER_TEXTS
            assert not unknown, f"{method}: do {unknown} name what may be outside?"
            for identity in ("", INSIDE):
                found, problem = await trio.to_thread.run_sync(asked, method, identity)
                assert OUTSIDE not in repr((found, problem)), (method, identity)
                if any(INSIDE in str(each) for each in found):
                    shown.add(method)
            outside = await trio.to_thread.run_sync(asked, method, OUTSIDE)
            nowhere = await trio.to_thread.run_sync(asked, method, NOWHERE)
            as_nowhere = repr(outside).replace(OUTSIDE, NOWHERE).replace(orphans[OUTSIDE], orphans[NOWHERE])
            assert as_nowhere == repr(nowhere), method
        listed = {method for method in METHODS if is_scoped(method) and "/List" in method}
        assert shown >= listed - {"/gateway.api.v1.EnergyService/ListTransactionEnergy"}
        assert gateway.store.transaction(f"tx-{OUTSIDE}").state == "OPEN"
        assert not [each for each in gateway.commands.calls if each[0] == OUTSIDE]
        found, _ = await trio.to_thread.run_sync(asked, "/gateway.api.v1.CommandService/ListCommands", "", wide)
        assert OUTSIDE in str(found)


def test_what_can_not_be_held_to_a_scope_says_why():
    """Each method that a role with a scope could call, and that is closed to it, has a reason in the table and in
    docs/security.md."""
    callable_ = {method for method in METHODS if need_of(method) in SCOPED_ROLES}
    assert {method for method in callable_ if not is_scoped(method)} == NOT_SCOPED.keys()
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    rows = [f"| {method.rpartition('/')[2]} | {why} |" for method, why in NOT_SCOPED.items()]
    assert [each for each in rows if each not in page] == []
    assert BY_QUERY <= FIELDS.keys() <= METHODS.keys()


async def test_a_tag_s_uses_outside_are_left_out(tmp_path):
    """The status says that it is in use, and not where."""
    async with required(tmp_path) as (gateway, tokens):
        await two_sites(gateway)
        tag = IdTagRecord("TAG", "Accepted", NOW, NOW)
        await gateway.journal.commit(PutIdTag(tag, create=True))
        token = await scoped(gateway)
        request = id_tags.CheckIdTagRequest(charge_point=INSIDE, id_tag="TAG", connector={"evse": 1, "connector": 1})
        wide = await ends(gateway, tokens[Role.READ], lambda c: c.id_tags.CheckIdTag, request)
        assert [each.charge_point for each in wide.transactions] == [OUTSIDE]
        narrow = await ends(gateway, token, lambda c: c.id_tags.CheckIdTag, request)
        assert (narrow.status, list(narrow.transactions)) == (wide.status, [])


@pytest.mark.parametrize(
    ("caller", "field"),
    [
        (pb.Caller(name="a", roles=[pb.ROLE_ADMINISTER], scope=SCOPE), "caller.scope"),
        (pb.Caller(name="a", roles=[pb.ROLE_READ, pb.ROLE_VENDOR_DATA], scope=SCOPE), "caller.scope"),
        (pb.Caller(name="a", roles=[pb.ROLE_READ], scope={"a b": ""}), "caller.scope"),
        (pb.Caller(name="a", roles=[pb.ROLE_READ], scope={"site": " "}), "caller.scope[site]"),
    ],
)
async def test_a_scope_that_can_not_be_held_is_refused_by_its_field(gateway, failing, caller, field):
    """An administrator could give itself other charge points."""
    problem = await failing(gateway.client.callers.CreateCaller, pb.CreateCallerRequest(caller=caller))
    assert [name for name, _ in problem.violations] == [field]


async def test_a_scope_is_kept_and_listed(gateway):
    """As it was given."""
    asked = pb.Caller(name="a", roles=[pb.ROLE_READ, pb.ROLE_OPERATE], scope=SCOPE)
    stub = gateway.client.callers
    made = await gateway.call(stub.CreateCaller, pb.CreateCallerRequest(caller=asked))
    assert dict(made.caller.scope) == SCOPE
    (listed,) = (await gateway.call(stub.ListCallers, pb.ListCallersRequest())).callers
    assert listed == made.caller

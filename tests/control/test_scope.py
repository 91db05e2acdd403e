"""Callers with a scope over a real channel: what is outside of it is to them as what there is not."""

import grpc
import pytest
import trio

from gateway.api.v1 import caller_pb2 as pb
from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import event_pb2 as events
from gateway.api.v1 import operation_pb2 as operations
from gateway.api.v1 import transaction_pb2 as transactions
from gateway.client import problem_of
from gateway.control.scope import FIELDS, is_scoped
from gateway.domain.callers import Caller, Role, new_token, token_digest
from gateway.domain.events import CommandQueued, TransactionStarted
from gateway.domain.values import ConnectorAddress
from gateway.store.commits import AddCaller, UpdateChargePoint
from tests.control.fakes import NOW
from tests.control.test_authentication import METHODS, call_any, ending, required, row, serving, types_of

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
    """Of charge points by the labels, also with a filter of the caller's; of others a charge point has to be named."""
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
        for rpc, request in (
            (lambda c: c.commands.ListCommands, commands.ListCommandsRequest()),
            (lambda c: c.transactions.ListTransactions, transactions.ListTransactionsRequest(id_tag="TAG")),
            (lambda c: c.transactions.ListOrphans, transactions.ListOrphansRequest()),
            (lambda c: c.operations.ListOperations, operations.ListOperationsRequest()),
        ):
            problem = await ends(gateway, token, rpc, request)
            assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
            assert [name for name, _ in problem.violations] == ["charge_point"]


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


async def test_every_rpc_is_held_to_the_scope_or_closed(tmp_path):
    """None is let through that could not be held to it, and an empty request names nothing."""
    async with required(tmp_path) as (gateway, _):
        await fleet(gateway)
        token = await scoped(gateway, SCOPE, *Role)
        for method in METHODS:

            def asked(method=method):
                with serving(gateway, token) as client:
                    try:
                        call_any(client, method)
                    except grpc.RpcError as error:
                        return problem_of(error)
                return None

            problem = await trio.to_thread.run_sync(asked)
            if not is_scoped(method):
                assert ending(problem) == row("no-scope"), method
            elif FIELDS.get(method, ("charge_points",)) != ("charge_points",):
                assert problem.code is grpc.StatusCode.INVALID_ARGUMENT, method
        assert FIELDS.keys() <= METHODS.keys()


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

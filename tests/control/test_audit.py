"""The audit over a real channel: who did what to which charge point, when, and what came of it."""

import asyncio
from datetime import timedelta

import pytest
import trio

from gateway.api.v1 import audit_pb2 as pb
from gateway.api.v1 import caller_pb2, charge_point_pb2, command_pb2, id_tag_pb2, transaction_pb2
from gateway.api.v1 import event_pb2 as events
from gateway.api.v1 import steering_pb2 as steering
from gateway.control.errors import Failure, Status
from gateway.control.services import refused_calls
from gateway.control.services.refused_calls import AT_ONCE, RefusedCalls
from gateway.domain import audit
from gateway.domain.audit import AuditOutcome, RefusedCall, outcome_of_command, outcome_of_operation
from gateway.domain.callers import Role
from gateway.domain.commands import (
    ChargerError,
    CommandState,
    CompositeScheduleAnswer,
    ConfigurationAnswer,
    StatusAnswer,
)
from gateway.domain.events import (
    CommandAnswered,
    CommandQueued,
    CommandSent,
    OperationAccepted,
    OperationEnded,
    TransactionStarted,
)
from gateway.domain.operations import End, OperationKind, OperationRequest
from gateway.domain.values import ConnectorAddress, Registration
from gateway.errors import StoreUnavailable
from gateway.store.audit_commits import RecordRefusal
from gateway.store.commits import CreateChargePoint, Trim
from gateway.store.filters import AuditFilter
from tests.control.fakes import NOW
from tests.control.test_authentication import METHODS, required, serving
from tests.control.test_scope import ends, label, scoped

ROOT = Role.ADMINISTER


async def listed(gateway, token, **filters):
    """All entries, the newest first, page by page."""
    found, request = [], pb.ListAuditRequest(page_size=2, **filters)
    while True:
        page = await ends(gateway, token, lambda c: c.audit.ListAudit, request)
        found += page.entries
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def seen(entries):
    """Caller, action, charge point and what else it was about."""
    return [
        (each.caller, each.action, each.charge_point, *(str(getattr(each, each.WhichOneof("subject") or "detail")),))
        for each in entries
    ]


def word(entry):
    """The outcome without its prefix, and the detail."""
    return pb.AuditOutcome.Name(entry.outcome).removeprefix("AUDIT_OUTCOME_"), entry.detail


async def test_each_change_of_a_caller_is_listed_with_its_name(tmp_path):
    """Charge points, tags, callers, transactions, steering: the newest first, each once."""
    async with required(tmp_path) as (gateway, tokens):
        root = tokens[ROOT]

        async def does(rpc, request):
            answer = await ends(gateway, root, rpc, request)
            assert not hasattr(answer, "code"), answer

        tag = id_tag_pb2.IdTag(id_tag="TAG", status=1)
        await does(
            lambda c: c.charge_points.CreateChargePoint,
            charge_point_pb2.CreateChargePointRequest(charge_point={"identity": "CP9"}),
        )
        await does(lambda c: c.id_tags.CreateIdTag, id_tag_pb2.CreateIdTagRequest(id_tag=tag))
        tag.description = "x"
        update = id_tag_pb2.UpdateIdTagRequest(id_tag=tag, update_mask={"paths": ["description"]})
        await does(lambda c: c.id_tags.UpdateIdTag, update)
        await does(lambda c: c.id_tags.DeleteIdTag, id_tag_pb2.DeleteIdTagRequest(id_tag="TAG"))
        caller = caller_pb2.Caller(name="new", roles=[1])
        await does(lambda c: c.callers.CreateCaller, caller_pb2.CreateCallerRequest(caller=caller))
        await does(lambda c: c.callers.RevokeCaller, caller_pb2.RevokeCallerRequest(name="new"))
        limit = steering.SetWantedLimitRequest(
            charge_point="CP9", request_id="r", connector={"evse": 1, "connector": 1}, no_limit=True
        )
        await does(lambda c: c.steering.SetWantedLimit, limit)
        epoch = await gateway.charge_point("CP1")
        await gateway.append("CP1", epoch, TransactionStarted("tx", 1, ConnectorAddress(1, 1), "T", "Accepted", 0, "k"))
        await does(
            lambda c: c.transactions.CloseTransaction,
            transaction_pb2.CloseTransactionRequest(transaction_id="tx", reason="gone"),
        )
        await does(
            lambda c: c.charge_points.DeleteChargePoint, charge_point_pb2.DeleteChargePointRequest(identity="CP9")
        )
        name = ROOT.value
        found = await listed(gateway, root)
        assert seen(found) == [
            (name, "DeleteChargePoint", "CP9", ""),
            (name, "CloseTransaction", "CP1", "tx"),
            (name, "SetWantedLimit", "CP9", ""),
            (name, "RevokeCaller", "", "new"),
            (name, "CreateCaller", "", "new"),
            (name, "DeleteIdTag", "", "TAG"),
            (name, "UpdateIdTag", "", "TAG"),
            (name, "CreateIdTag", "", "TAG"),
            (name, "CreateChargePoint", "CP9", ""),
        ]
        assert {word(each) for each in found} == {("DONE", "")}
        closed = await ends(
            gateway,
            root,
            lambda c: c.transactions.GetTransaction,
            transaction_pb2.GetTransactionRequest(transaction_id="tx"),
        )
        assert closed.transaction.close_caller == name


async def test_a_tag_names_who_added_and_who_changed_it(tmp_path):
    """The two may differ; where there are no callers both are empty."""
    async with required(tmp_path) as (gateway, tokens):
        tag = id_tag_pb2.IdTag(id_tag="TAG", status=1)
        made = await ends(
            gateway,
            tokens[ROOT],
            lambda c: c.id_tags.CreateIdTag,
            id_tag_pb2.CreateIdTagRequest(id_tag=tag),
        )
        assert (made.id_tag.create_caller, made.id_tag.update_caller) == (ROOT.value, ROOT.value)
        given = id_tag_pb2.CreateIdTagRequest(id_tag={"id_tag": "T2", "status": 1, "create_caller": "me"})
        problem = await ends(gateway, tokens[ROOT], lambda c: c.id_tags.CreateIdTag, given)
        assert [name for name, _ in problem.violations] == ["id_tag.create_caller"]


async def history(gateway):
    """Commands and an operation of two callers, at two charge points."""
    for identity in ("CP1", "CP2"):
        epoch = await gateway.charge_point(identity)
        for number, caller in enumerate(("app", "billing", "")):
            command = f"cmd_{identity}_{number}"
            await gateway.append(
                identity, epoch, CommandQueued(command, "Reset", f"r{number}", {}, "", caller), cause=""
            )
    await gateway.append("CP1", epoch, CommandSent("cmd_CP1_0", "Reset"))
    await gateway.append("CP1", epoch, CommandAnswered("cmd_CP1_0", "Reset", StatusAnswer("Accepted")))
    request = OperationRequest(OperationKind.STOP_CHARGING)
    await gateway.append("CP2", epoch, OperationAccepted("op", "s", request, NOW + timedelta(hours=1), caller="app"))


async def test_entries_are_filtered(tmp_path):
    """By caller, charge point, action and time; a page's token goes with its filters."""
    async with required(tmp_path) as (gateway, tokens):
        await history(gateway)
        root = tokens[ROOT]
        assert len(await listed(gateway, root)) == 5
        assert {each.caller for each in await listed(gateway, root, callers=["app"])} == {"app"}
        assert seen(await listed(gateway, root, callers=["app"], charge_points=["CP2"])) == [
            ("app", "StopCharging", "CP2", "op"),
            ("app", "Reset", "CP2", "cmd_CP2_0"),
        ]
        assert len(await listed(gateway, root, callers=["app", "billing"], actions=["Reset"])) == 4
        assert await listed(gateway, root, callers=["nobody-here"]) == []
        at = {"seconds": int((NOW + timedelta(minutes=1)).timestamp())}
        assert len(await listed(gateway, root, recorded_from_time=at)) == 5
        assert await listed(gateway, root, recorded_before_time=at) == []
        page = await ends(gateway, root, lambda c: c.audit.ListAudit, pb.ListAuditRequest(page_size=1))
        other = pb.ListAuditRequest(page_token=page.next_page_token, callers=["app"])
        problem = await ends(gateway, root, lambda c: c.audit.ListAudit, other)
        assert [name for name, _ in problem.violations] == ["page_token"]
        commands = command_pb2.ListCommandsRequest(callers=["billing"])
        found = await ends(gateway, root, lambda c: c.commands.ListCommands, commands)
        assert {each.caller for each in found.commands} == {"billing"}
        assert len(found.commands) == 2


async def test_an_outcome_is_that_of_the_record(tmp_path):
    """It changes as the command and the operation go on."""
    async with required(tmp_path) as (gateway, tokens):
        await history(gateway)
        root = tokens[ROOT]
        shown = {each.command_id or each.operation_id: word(each) for each in await listed(gateway, root)}
        assert shown["cmd_CP1_0"] == ("DONE", "Accepted")
        assert shown["cmd_CP1_1"] == ("PENDING", "")
        assert shown["op"] == ("PENDING", "")
        await gateway.append("CP2", 1, OperationEnded("op", End.REFUSED, "Rejected"))
        [entry] = await listed(gateway, root, actions=["StopCharging"])
        assert word(entry) == ("NOT_DONE", "Rejected")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (outcome_of_command(None), (AuditOutcome.UNKNOWN, "forgotten")),
        (outcome_of_command(CommandState.SENT), (AuditOutcome.PENDING, "")),
        (outcome_of_command(CommandState.NOT_SENT, reason="deadline"), (AuditOutcome.NOT_DONE, "deadline")),
        (outcome_of_command(CommandState.OUTCOME_UNKNOWN, reason="timeout"), (AuditOutcome.UNKNOWN, "timeout")),
        (outcome_of_command(CommandState.ANSWERED, StatusAnswer("Rejected")), (AuditOutcome.NOT_DONE, "Rejected")),
        (outcome_of_command(CommandState.ANSWERED, StatusAnswer("Unlocked")), (AuditOutcome.DONE, "Unlocked")),
        (
            outcome_of_command(CommandState.ANSWERED, CompositeScheduleAnswer("Rejected")),
            (AuditOutcome.NOT_DONE, "Rejected"),
        ),
        (outcome_of_command(CommandState.ANSWERED, ConfigurationAnswer()), (AuditOutcome.DONE, "")),
        (
            outcome_of_command(CommandState.ANSWERED, None, ChargerError("NotSupported")),
            (AuditOutcome.NOT_DONE, "NotSupported"),
        ),
        (outcome_of_operation(False, None, ""), (AuditOutcome.UNKNOWN, "forgotten")),
        (outcome_of_operation(True, End.DONE, ""), (AuditOutcome.DONE, "")),
        (outcome_of_operation(True, End.TIMED_OUT, ""), (AuditOutcome.UNKNOWN, "TIMED_OUT")),
        (outcome_of_operation(True, End.NO_EFFECT, "never-started"), (AuditOutcome.NOT_DONE, "never-started")),
    ],
)
def test_outcomes_are_the_records(found, expected):
    """A command that may have been carried out is never shown as not done."""
    assert found == expected


async def denied(gateway, root, count):
    """The entries of refused calls, once there are as many; they are written behind the answer."""
    with trio.fail_after(60):
        while True:
            found = [each for each in await listed(gateway, root) if word(each)[0] == "DENIED"]
            if len(found) >= count:
                return found
            await trio.sleep(0.01)


async def test_refused_calls_are_listed(tmp_path):
    """A role that is missing, a charge point outside of the scope, what no scope can hold; not what there is not."""
    async with required(tmp_path) as (gateway, tokens):
        await gateway.charge_point("OUT")
        await label(gateway, "OUT", site="south")
        token = await scoped(gateway)
        delete = charge_point_pb2.DeleteChargePointRequest(identity="OUT")
        await ends(gateway, tokens[Role.READ], lambda c: c.charge_points.DeleteChargePoint, delete)
        for name in ("OUT", "ZZZ"):
            get = charge_point_pb2.GetChargePointRequest(identity=name)
            await ends(gateway, token, lambda c: c.charge_points.GetChargePoint, get)
        await ends(gateway, token, lambda c: c.id_tags.ListIdTags, id_tag_pb2.ListIdTagsRequest())
        found = await denied(gateway, tokens[ROOT], 3)
        assert sorted((each.caller, each.action, each.charge_point, each.detail) for each in found) == [
            ("read", "DeleteChargePoint", "OUT", "ROLE_MISSING"),
            ("scoped", "GetChargePoint", "OUT", "OUTSIDE_OF_SCOPE"),
            ("scoped", "ListIdTags", "", "SCOPE_NOT_APPLICABLE"),
        ]


async def test_only_so_many_refused_calls_are_kept(gateway, monkeypatch):
    """The newest ones; what was done keeps its entries."""
    monkeypatch.setattr("gateway.store.sqlite.audit.MAX_DENIED", 3)
    await gateway.journal.commit(CreateChargePoint("CP1", Registration.ACCEPTED, (), NOW, caller="app"))
    for number in range(6):
        refused = RefusedCall("app", f"A{number}", "ROLE_MISSING", NOW + timedelta(seconds=number), "CP1")
        await gateway.journal.commit(RecordRefusal(refused))
    found = [(each.action, each.charge_point) for each in gateway.store.audit(AuditFilter(), None, 100)]
    assert found == [("A5", "CP1"), ("A4", "CP1"), ("A3", "CP1"), ("CreateChargePoint", "CP1")]


class Context:
    """A call's context, as far as a refusal looks at it."""

    def peer(self):
        return "ipv4:192.0.2.1:1"


def test_refused_calls_are_noted_in_bounds(monkeypatch):
    """The first ones at once, then so many a second; the next entry says how many have none. What could not be written
    counts, too. The metric has all of them."""
    recorded, failing, counted = [], [], []
    failure = Failure(Status.PERMISSION_DENIED, "ROLE_MISSING", "no", {"caller": "app"})

    async def record(call):
        if failing:
            raise StoreUnavailable("down")
        recorded.append(call)

    async def run():
        refused = RefusedCalls(record, lambda: NOW, counted.append)

        async def note(times):
            for _ in range(times):
                refused.note("/gateway.api.v1.XService/Do", failure, Context(), None)
            await refused.settle()

        monkeypatch.setattr(refused_calls, "EACH_SECOND", 0.0)
        await note(AT_ONCE + 5)
        assert [each.omitted for each in recorded] == [0] * AT_ONCE
        monkeypatch.setattr(refused_calls, "EACH_SECOND", 1e9)
        failing.append(True)
        await note(1)
        failing.clear()
        await note(1)
        return recorded[-1]

    last = asyncio.run(run())
    assert (last.caller, last.action, last.reason, last.omitted) == ("app", "Do", "ROLE_MISSING", 6)
    assert counted == ["ROLE_MISSING"] * (AT_ONCE + 7)


async def test_a_watch_of_callers_holds_what_names_them(tmp_path):
    """From the disk and as it happens; the two filters narrow each other."""
    async with required(tmp_path) as (gateway, tokens):
        await history(gateway)

        def watched(**filters):
            request = events.WatchEventsRequest(start_at=events.WATCH_START_BEGINNING, **filters)
            with serving(gateway, tokens[Role.READ]) as client:
                stream = client.events.WatchEvents(request, timeout=60)
                found = next(list(each.events) for each in stream if each.events)
                trio.from_thread.run(once)
                after = next(list(each.events) for each in stream if each.events)
                stream.cancel()
            return found, after

        async def once():
            bodies = (
                CommandQueued("cmd_a", "Reset", "ra", {}, "", "other"),
                CommandQueued("cmd_b", "Reset", "rb", {}, "", "app"),
            )
            await gateway.append("CP2", 1, *bodies)

        found, after = await trio.to_thread.run_sync(lambda: watched(callers=["app"], charge_points=["CP2"]))
        assert [(each.charge_point, each.type) for each in found] == [
            ("CP2", "command.queued"),
            ("CP2", "operation.accepted"),
        ]
        assert [each.command_queued.command_id for each in after] == ["cmd_b"]


async def test_entries_go_with_the_events_of_their_time(tmp_path):
    """Retention takes both; what follows from no event goes with the one after it."""
    async with required(tmp_path) as (gateway, tokens):
        await history(gateway)
        tag = id_tag_pb2.CreateIdTagRequest(id_tag={"id_tag": "TAG", "status": 1})
        await ends(gateway, tokens[ROOT], lambda c: c.id_tags.CreateIdTag, tag)
        while (await gateway.journal.commit(Trim(None, 1000))).deleted:
            pass
        assert [each.action for each in gateway.store.audit(AuditFilter(), None, 10)] == ["CreateIdTag"]
        await gateway.journal.commit(CreateChargePoint("NEW", Registration.ACCEPTED, (), NOW))
        await gateway.journal.commit(Trim(None, 1000))
        assert gateway.store.audit(AuditFilter(), None, 10) == []


async def test_without_callers_there_is_nothing_to_list(gateway):
    """Changes without a caller leave no entry."""
    await gateway.call(
        gateway.client.id_tags.CreateIdTag, id_tag_pb2.CreateIdTagRequest(id_tag={"id_tag": "TAG", "status": 1})
    )
    assert not (await gateway.call(gateway.client.audit.ListAudit, pb.ListAuditRequest())).entries


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListAuditRequest(callers=["x"] * 101), "callers"),
        (pb.ListAuditRequest(actions=[""]), "actions[0]"),
        (pb.ListAuditRequest(charge_points=["x" * 501]), "charge_points[0]"),
        (pb.ListAuditRequest(page_token="eA=="), "page_token"),
        (pb.ListAuditRequest(recorded_from_time={"seconds": 2**60}), "recorded_from_time"),
    ],
)
async def test_filters_that_can_not_be_are_refused_by_field(gateway, failing, request_, field):
    """Nothing is cut or left out silently."""
    problem = await failing(gateway.client.audit.ListAudit, request_)
    assert [name for name, _ in problem.violations] == [field]


def test_every_note_is_of_an_rpc_of_the_contract():
    """An action is the name of an RPC, so that it can be looked up."""
    names = {method.rpartition("/")[2] for method in METHODS}
    assert {*audit._CHANGES.values(), *map(audit.rpc_of, OperationKind)} <= names

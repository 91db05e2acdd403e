"""Lists and counts over gRPC: filters, orders, views, and the place in the events that they are true for."""

import base64
import json
from datetime import timedelta

import pytest
import trio

from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import common_pb2, event_pb2
from gateway.api.v1 import id_tag_pb2 as id_tags
from gateway.api.v1 import operation_pb2 as operations
from gateway.api.v1 import transaction_pb2 as transactions
from gateway.control.services.list_requests import (
    CHARGE_POINT_FIELDS,
    COMMAND_FIELDS,
    ID_TAG_FIELDS,
    OPERATION_FIELDS,
    ORPHAN_FIELDS,
    TRANSACTION_FIELDS,
)
from gateway.domain.callers import Role
from gateway.domain.events import (
    CertificateInstalled,
    CommandQueued,
    NewEvent,
    OperationAccepted,
    TransactionOrphaned,
    TransactionStarted,
)
from gateway.domain.operations import OperationKind, OperationRequest
from gateway.domain.values import ConnectorAddress
from gateway.store.commits import Append, CreateChargePoint
from gateway.store.list_sql import ID_TAGS
from gateway.store.sqlite.list_queries import CHARGE_POINTS, COMMANDS, OPERATIONS, ORPHANS, TRANSACTIONS
from tests.control.fakes import NOW
from tests.control.test_authentication import outcome, required, serving
from tests.control.test_scope import scoped

CONNECTOR = ConnectorAddress(1, 1)


@pytest.fixture
async def fleet(gateway):
    """CP1 and CP3 at the north site, CP2 at the south one; a transaction and a command of each."""
    for number in (1, 2, 3):
        identity = f"CP{number}"
        labels = {"site": "north" if number % 2 else "south"}
        await gateway.journal.commit(CreateChargePoint(identity, "Accepted", (), NOW, labels=labels))
        start = TransactionStarted(f"tx_{number}", number, CONNECTOR, "TAG", "Accepted", 100, f"key{number}")
        queued = CommandQueued(f"cmd_{number}", "Reset", f"r{number}", {"reset_type": "Soft"}, "print")
        await gateway.journal.commit(Append(identity, None, (NewEvent(start, NOW), NewEvent(queued, NOW))))
    return gateway


async def listed(gateway, **fields):
    request = points.ListChargePointsRequest(**fields)
    response = await gateway.call(gateway.client.charge_points.ListChargePoints, request)
    return [each.identity for each in response.charge_points]


async def test_charge_points_are_filtered_and_put_in_order(fleet):
    """Together with the request's other fields."""
    assert await listed(fleet, filter='labels.site = "north"') == ["CP1", "CP3"]
    assert await listed(fleet, filter="identity > CP1", labels={"site": "north"}) == ["CP3"]
    assert await listed(fleet, filter="NOT connected = true", order_by="identity desc") == ["CP3", "CP2", "CP1"]
    assert await listed(fleet, filter="registration = PENDING") == []
    assert await listed(fleet, filter="registration = ACCEPTED", registration=common_pb2.REGISTRATION_PENDING) == []


async def test_certificates_are_listed_by_their_ends(fleet):
    """Those without one come last, and pass no filter of them."""
    for identity, serial, days in (("CP2", "0A", 3), ("CP3", "0B", 400)):
        installed = CertificateInstalled(serial, NOW + timedelta(days=days), "")
        await fleet.journal.commit(Append(identity, None, (NewEvent(installed, NOW),)))
    near = f'certificate_expire_time < "{(NOW + timedelta(days=30)).isoformat()}"'
    assert await listed(fleet, filter=near, order_by="certificate_expire_time") == ["CP2"]
    assert await listed(fleet, order_by="certificate_expire_time") == ["CP2", "CP3", "CP1"]
    assert await listed(fleet, filter="certificate_serial_number = 0B") == ["CP3"]
    assert await listed(fleet, filter=near, labels={"site": "north"}) == []
    pages, token = [], ""
    while not pages or token:
        request = points.ListChargePointsRequest(page_size=1, order_by="certificate_expire_time", page_token=token)
        page = await fleet.call(fleet.client.charge_points.ListChargePoints, request)
        pages += [each.identity for each in page.charge_points]
        token = page.next_page_token
    assert pages == ["CP2", "CP3", "CP1"]


async def test_pages_go_on_in_their_order_with_their_filter(fleet, failing):
    """A token belongs to both, and says so."""
    client = fleet.client.charge_points
    request = points.ListChargePointsRequest(page_size=1, order_by="create_time desc", filter="labels:site")
    first = await fleet.call(client.ListChargePoints, request)
    request.page_token = first.next_page_token
    second = await fleet.call(client.ListChargePoints, request)
    assert [each.charge_points[0].identity for each in (first, second)] == ["CP3", "CP2"]
    request.order_by = "create_time"
    problem = await failing(client.ListChargePoints, request)
    assert problem.violations == (("page_token", "belongs to other filters or another list"),)


@pytest.mark.parametrize(
    ("fields", "field", "description"),
    [
        ({"filter": "colour = red"}, "filter", "at character 1: there is no field colour"),
        ({"filter": "identity = CP1 AND"}, "filter", "at character 19: expected a field"),
        (
            {"order_by": "colour"},
            "order_by",
            "must be one of identity, create_time, update_time, certificate_expire_time",
        ),
        ({"labels": {"-": "x"}}, "labels", "have a key that can't be one"),
    ],
)
async def test_a_request_that_can_not_be_read_names_the_place(fleet, failing, fields, field, description):
    """And the field; nothing is guessed."""
    request = points.ListChargePointsRequest(**fields)
    problem = await failing(fleet.client.charge_points.ListChargePoints, request)
    assert (problem.reason, problem.violations[0][0]) == ("INVALID_REQUEST", field)
    assert problem.violations[0][1].startswith(description)


async def test_a_basic_view_leaves_the_rest_out(fleet):
    """Of a charge point with a connector, and of a transaction that runs."""
    meter = points.ListChargePointsRequest(filter="identity = CP1", view=points.CHARGE_POINT_VIEW_BASIC)
    (basic,) = (await fleet.call(fleet.client.charge_points.ListChargePoints, meter)).charge_points
    assert (basic.identity, basic.labels["site"], basic.etag) == ("CP1", "north", "1")
    running = transactions.ListTransactionsRequest(filter="transaction_id = tx_1")
    (whole,) = (await fleet.call(fleet.client.transactions.ListTransactions, running)).transactions
    running.view = transactions.TRANSACTION_VIEW_BASIC
    (short,) = (await fleet.call(fleet.client.transactions.ListTransactions, running)).transactions
    for each in (short, whole):
        for name in ("energy_so_far", "energy_summary"):
            each.ClearField(name)
    assert short == whole


async def test_counts_are_by_state(fleet):
    """With filters and labels, as the lists have them."""
    client = fleet.client
    counted = await fleet.call(client.charge_points.CountChargePoints, points.CountChargePointsRequest())
    assert counted.total_count == 3
    (kind,) = counted.charge_point_counts
    assert (kind.registration, kind.connected, kind.count) == (common_pb2.REGISTRATION_ACCEPTED, False, 3)
    north = points.CountChargePointsRequest(labels={"site": "north"}, filter="identity != CP1")
    assert (await fleet.call(client.charge_points.CountChargePoints, north)).total_count == 1
    request = transactions.CountTransactionsRequest(filter="labels.site = north")
    of_north = await fleet.call(client.transactions.CountTransactions, request)
    assert [(each.state, each.count) for each in of_north.counts] == [(transactions.TRANSACTION_STATE_OPEN, 2)]
    assert of_north.total_count == 2


async def test_commands_are_found_by_what_is_known_of_them(fleet, failing):
    """By their filter, and one by the request that it came of."""
    client = fleet.client.commands

    async def found(**fields):
        response = await fleet.call(client.ListCommands, commands.ListCommandsRequest(**fields))
        return [each.command_id for each in response.commands]

    assert await found(filter="operation = Reset AND state = QUEUED") == ["cmd_3", "cmd_2", "cmd_1"]
    assert await found(filter="request_id = r2") == ["cmd_2"]
    assert await found(labels={"site": "north"}, order_by="create_time") == ["cmd_1", "cmd_3"]
    one = commands.GetCommandRequest(charge_point="CP2", request_id="r2")
    assert (await fleet.call(client.GetCommand, one)).command.command_id == "cmd_2"
    one.charge_point = "CP1"
    problem = await failing(client.GetCommand, one)
    assert (problem.reason, problem.metadata) == ("UNKNOWN_COMMAND", {"charge_point": "CP1", "request_id": "r2"})
    one.command_id = "cmd_1"
    assert (await failing(client.GetCommand, one)).violations[0][0] == "command_id"
    only = commands.GetCommandRequest(request_id="r2")
    assert (await failing(client.GetCommand, only)).violations == (("charge_point", "must be set"),)


async def test_operations_orphans_and_tags_are_found_by_what_is_known_of_them(fleet, failing):
    """Page by page, in the order asked for; a token belongs to its filter."""
    client = fleet.client
    for number in (1, 2, 3):
        accepted = OperationAccepted(f"op_{number}", f"o{number}", OperationRequest(OperationKind.START_CHARGING), NOW)
        orphan = TransactionOrphaned(number, "unknown-number", {"transactionId": number})
        write = Append(f"CP{number}", None, (NewEvent(accepted, NOW), NewEvent(orphan, NOW)))
        await fleet.journal.commit(write)
        tag = id_tags.IdTag(
            id_tag=f"T{number}", status=id_tags.ID_TAG_STATUS_ACCEPTED, parent_id_tag="F" * (number - 1)
        )
        await fleet.call(client.id_tags.CreateIdTag, id_tags.CreateIdTagRequest(id_tag=tag))

    async def begun(**fields):
        response = await fleet.call(client.operations.ListOperations, operations.ListOperationsRequest(**fields))
        return [each.operation_id for each in response.operations]

    assert await begun(filter="kind = START_CHARGING AND open = true") == ["op_3", "op_2", "op_1"]
    assert await begun(filter="end = DONE") == []
    assert await begun(labels={"site": "north"}, order_by="create_time") == ["op_1", "op_3"]
    assert await begun(charge_point="CP2", callers=["nobody"]) == []

    async def orphaned(**fields):
        response = await fleet.call(client.transactions.ListOrphans, transactions.ListOrphansRequest(**fields))
        return [each.transaction_orphaned.number for each in response.orphans]

    assert await orphaned(filter="attributed = false", order_by="receive_time desc") == [3, 2, 1]
    assert await orphaned(charge_point="CP2") == [2]
    assert await orphaned(labels={"site": "north"}) == [1, 3]

    async def tags(**fields):
        response = await fleet.call(client.id_tags.ListIdTags, id_tags.ListIdTagsRequest(**fields))
        return [each.id_tag for each in response.id_tags]

    assert await tags(filter="parent_id_tag = f", order_by="id_tag desc") == ["T2"]
    assert await tags(filter="NOT status = ACCEPTED") == []
    request = id_tags.ListIdTagsRequest(page_size=2)
    first = await fleet.call(client.id_tags.ListIdTags, request)
    assert await tags(page_size=2, page_token=first.next_page_token) == ["T3"]
    other = id_tags.ListIdTagsRequest(page_size=2, page_token=first.next_page_token, filter="id_tag > A")
    problem = await failing(client.id_tags.ListIdTags, other)
    assert problem.violations == (("page_token", "belongs to other filters or another list"),)
    wrong = id_tags.ListIdTagsRequest(filter="labels.site = north")
    assert (await failing(client.id_tags.ListIdTags, wrong)).violations[0][0] == "filter"


async def test_a_basic_command_has_neither_arguments_nor_outcome(fleet):
    """And all else."""
    listed = fleet.client.commands.ListCommands
    whole = (await fleet.call(listed, commands.ListCommandsRequest(charge_point="CP1"))).commands[0]
    assert whole.arguments_json == '{"reset_type":"Soft"}'
    request = commands.ListCommandsRequest(charge_point="CP1", view=commands.COMMAND_VIEW_BASIC)
    basic = (await fleet.call(listed, request)).commands[0]
    whole.ClearField("arguments_json")
    assert basic == whole


async def test_a_watch_from_a_list_misses_nothing(fleet):
    """Its first event is the first that came after what the list shows."""
    client = fleet.client

    def tokens():
        yield client.charge_points.ListChargePoints(points.ListChargePointsRequest()).resume_token
        yield client.charge_points.CountChargePoints(points.CountChargePointsRequest()).resume_token
        yield client.transactions.ListTransactions(transactions.ListTransactionsRequest()).resume_token
        yield client.transactions.CountTransactions(transactions.CountTransactionsRequest()).resume_token
        yield client.commands.ListCommands(commands.ListCommandsRequest()).resume_token
        yield client.operations.ListOperations(operations.ListOperationsRequest()).resume_token
        yield client.transactions.ListOrphans(transactions.ListOrphansRequest()).resume_token

    found = await trio.to_thread.run_sync(lambda: list(tokens()))
    await fleet.journal.commit(CreateChargePoint("CP4", "Accepted", (), NOW))

    def first(token):
        watch = client.events.WatchEvents(event_pb2.WatchEventsRequest(resume_token=token), timeout=60)
        return next(event for batch in watch for event in batch.events).charge_point

    assert await trio.to_thread.run_sync(lambda: {first(token) for token in found}) == {"CP4"}


async def test_a_scoped_callers_lists_and_counts_hold_nothing_from_outside(tmp_path):
    """Whatever its filter and labels ask for; a command outside is not found by its request."""
    async with required(tmp_path) as (gateway, _):
        for number, site in ((1, "north"), (2, "south")):
            identity = f"CP{number}"
            await gateway.journal.commit(CreateChargePoint(identity, "Accepted", (), NOW, labels={"site": site}))
            start = TransactionStarted(f"tx_{number}", number, CONNECTOR, "TAG", "Accepted", 100, f"key{number}")
            queued = CommandQueued(f"cmd_{number}", "Reset", f"r{number}", {"reset_type": "Soft"}, "print")
            request = OperationRequest(OperationKind.START_CHARGING)
            accepted = OperationAccepted(f"op_{number}", f"o{number}", request, NOW)
            orphan = TransactionOrphaned(number, "unknown-number", {"transactionId": number})
            bodies = (start, queued, accepted, orphan)
            await gateway.journal.commit(Append(identity, None, tuple(NewEvent(each, NOW) for each in bodies)))
        token = await scoped(gateway, {"site": "north"}, Role.READ)
        everything = 'labels.site = "south" OR labels.site = "north"'

        def asked(text, labels):
            with serving(gateway, token) as client:
                listing = points.ListChargePointsRequest(filter=text, labels=labels)
                yield [each.identity for each in client.charge_points.ListChargePoints(listing).charge_points]
                counting = points.CountChargePointsRequest(filter=text, labels=labels)
                yield client.charge_points.CountChargePoints(counting).total_count
                running = transactions.ListTransactionsRequest(filter=text, labels=labels)
                yield [each.number for each in client.transactions.ListTransactions(running).transactions]
                counted = transactions.CountTransactionsRequest(filter=text, labels=labels)
                yield client.transactions.CountTransactions(counted).total_count
                sent = commands.ListCommandsRequest(filter=text, labels=labels)
                yield [each.command_id for each in client.commands.ListCommands(sent).commands]
                begun = operations.ListOperationsRequest(filter=text, labels=labels)
                yield [each.operation_id for each in client.operations.ListOperations(begun).operations]
                lost = transactions.ListOrphansRequest(filter=text, labels=labels)
                yield [each.transaction_orphaned.number for each in client.transactions.ListOrphans(lost).orphans]

        async def answers(text="", labels=None):
            return await trio.to_thread.run_sync(lambda: list(asked(text, labels or {})))

        north = [["CP1"], 1, [1], 1, ["cmd_1"], ["op_1"], [1]]
        nothing = [[], 0, [], 0, [], [], []]
        assert await answers() == await answers(everything) == await answers("", {"site": "north"}) == north
        assert await answers("", {"site": "south"}) == await answers('labels.site = "south"') == nothing

        def by_request(number):
            one = commands.GetCommandRequest(charge_point=f"CP{number}", request_id=f"r{number}")
            return lambda client: client.commands.GetCommand(one, timeout=60)

        of_tags = await outcome(gateway, token, lambda client: client.id_tags.ListIdTags(id_tags.ListIdTagsRequest()))
        assert of_tags.reason == "SCOPE_NOT_APPLICABLE"
        assert await outcome(gateway, token, by_request(1)) is None
        assert (await outcome(gateway, token, by_request(2))).reason == "UNKNOWN_CHARGE_POINT"


def test_a_store_knows_every_field_that_a_filter_may_name():
    """And none besides; each order, too."""
    for fields, listing in (
        (CHARGE_POINT_FIELDS, CHARGE_POINTS),
        (TRANSACTION_FIELDS, TRANSACTIONS),
        (COMMAND_FIELDS, COMMANDS),
        (OPERATION_FIELDS, OPERATIONS),
        (ORPHAN_FIELDS, ORPHANS),
    ):
        assert fields.keys() == {*listing.columns, "labels"}
    assert ID_TAG_FIELDS.keys() == ID_TAGS.columns.keys()


@pytest.mark.parametrize("place", ["x", "[1]", '["a", 1, 2]', "[99999999999999999999, 1]", "[true, 1]"])
async def test_a_token_that_a_client_put_together_is_refused(fleet, failing, place):
    """By its field, whatever it holds; a fault of the gateway's is none."""
    client = fleet.client
    for method, make in (
        (client.charge_points.ListChargePoints, points.ListChargePointsRequest),
        (client.transactions.ListTransactions, transactions.ListTransactionsRequest),
        (client.commands.ListCommands, commands.ListCommandsRequest),
    ):
        first = await fleet.call(method, make(page_size=1))
        digest, _ = json.loads(base64.urlsafe_b64decode(first.next_page_token))
        token = base64.urlsafe_b64encode(json.dumps([digest, place]).encode()).decode()
        problem = await failing(method, make(page_size=1, page_token=token))
        assert (problem.reason, problem.violations) == (
            "INVALID_REQUEST",
            (("page_token", "is not a token of this list"),),
        )

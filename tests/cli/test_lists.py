"""Filters, orders and counts on the command line."""

import json

from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import common_pb2
from gateway.api.v1 import transaction_pb2 as transactions


def test_lists_are_filtered_and_put_in_order(fake, run):
    """By the gateway: what is typed is what is sent."""
    options = ("--filter", 'labels.site = "north"', "--order-by", "create_time desc", "--label", "owner=a")
    for command, method in (
        (("chargers", "list"), "ListChargePoints"),
        (("transactions", "list"), "ListTransactions"),
        (("commands", "list"), "ListCommands"),
    ):
        result = run(*command, *options)
        assert result.exit_code == 0, result.output
        (asked,) = fake.asked(method)
        assert (asked.filter, asked.order_by, dict(asked.labels)) == (options[1], options[3], {"owner": "a"})


def test_chargers_are_counted(fake, run):
    """And their connectors; for people and for programs."""
    fake.answers["CountChargePoints"] = points.CountChargePointsResponse(
        total_count=7,
        charge_point_counts=[
            points.ChargePointCount(registration=common_pb2.REGISTRATION_ACCEPTED, connected=True, count=5),
            points.ChargePointCount(registration=common_pb2.REGISTRATION_PENDING, count=2),
        ],
        connector_counts=[points.ConnectorCount(status="Charging", connected=True, count=4)],
    )
    result = run("chargers", "count", "--filter", "vendor = acme", "--label", "site=north")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["accepted", "connected", "5"] in lines
    assert ["pending", "offline", "2"] in lines
    assert ["all", "7"] in lines
    assert ["Charging", "connected", "4"] in lines
    (asked,) = fake.asked("CountChargePoints")
    assert (asked.filter, dict(asked.labels)) == ("vendor = acme", {"site": "north"})
    assert json.loads(run("chargers", "count", "--json").stdout)["total_count"] == "7"


def test_transactions_are_counted(fake, run):
    """By their state."""
    state = transactions.TRANSACTION_STATE_OPEN
    fake.answers["CountTransactions"] = transactions.CountTransactionsResponse(
        total_count=3, counts=[transactions.TransactionCount(state=state, count=3)]
    )
    result = run("transactions", "count", "--filter", "stale = true")
    assert result.exit_code == 0, result.output
    assert ["open", "3"] in [line.split() for line in result.stdout.splitlines()]
    assert fake.asked("CountTransactions")[0].filter == "stale = true"
    assert json.loads(run("transactions", "count", "--json").stdout)["counts"][0]["count"] == "3"


def test_a_command_is_shown_by_its_request_id(fake, run):
    """With its charger, since it is unique there alone; anything in between is wrong usage."""
    fake.answers["GetCommand"] = commands.GetCommandResponse(command=commands.Command(command_id="cmd_1"))
    result = run("commands", "show", "--charger", "CP1", "--request-id", "r1")
    assert result.exit_code == 0, result.output
    (asked,) = fake.asked("GetCommand")
    assert asked == commands.GetCommandRequest(charge_point="CP1", request_id="r1")
    for wrong in ((), ("--charger", "CP1"), ("--request-id", "r1"), ("cmd_1", "--request-id", "r1")):
        assert run("commands", "show", *wrong).exit_code == 2

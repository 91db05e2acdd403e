"""`gateway chargers count` and `gateway transactions count`: how many there are of each kind."""

from gateway.api.v1.charge_point_pb2 import CountChargePointsRequest
from gateway.api.v1.common_pb2 import Registration
from gateway.api.v1.transaction_pb2 import CountTransactionsRequest, TransactionState
from gateway.cli.connection import DEFAULT_TARGET, READ_SECONDS, TargetOption, as_dict, connect
from gateway.cli.list_options import FilterOption, LabelOption
from gateway.cli.output import JsonOption, out, print_json, table


def chargers(
    text: FilterOption = "",
    label: LabelOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Count chargers by registration and connection, and their connectors by status."""
    request = CountChargePointsRequest(filter=text, labels=dict(label or ()))
    with connect(target) as gateway:
        found = gateway.charge_points.CountChargePoints(request, timeout=READ_SECONDS)
    if json:
        print_json(as_dict(found))
        return
    rows = [
        (
            Registration.Name(each.registration).removeprefix("REGISTRATION_").lower(),
            _connection(each.connected),
            str(each.count),
        )
        for each in found.charge_point_counts
    ]
    rows.append(("all", "", str(found.total_count)))
    out().print(table("chargers", "connection", ">count", rows=rows))
    if found.connector_counts:
        counted = [(each.status, _connection(each.connected), str(each.count)) for each in found.connector_counts]
        out().print(table("connectors", "connection", ">count", rows=counted))


def transactions(
    text: FilterOption = "",
    label: LabelOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Count transactions by state."""
    request = CountTransactionsRequest(filter=text, labels=dict(label or ()))
    with connect(target) as gateway:
        found = gateway.transactions.CountTransactions(request, timeout=READ_SECONDS)
    if json:
        print_json(as_dict(found))
        return
    rows = [
        (TransactionState.Name(each.state).removeprefix("TRANSACTION_STATE_").lower(), str(each.count))
        for each in found.counts
    ]
    out().print(table("transactions", ">count", rows=[*rows, ("all", str(found.total_count))]))


def _connection(connected: bool) -> str:
    return "connected" if connected else "offline"

"""`gateway chargers readings`, `gateway transactions open` and `gateway meters`: the present, once or as it changes."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from gateway.api.v1.charge_point_pb2 import ChargePointReadings, StreamLatestReadingsRequest
from gateway.api.v1.common_pb2 import MeterSample
from gateway.api.v1.event_pb2 import WatchMeterValuesRequest, WatchStart
from gateway.api.v1.reading_pb2 import ChargingState
from gateway.api.v1.transaction_pb2 import StreamOpenTransactionsRequest, Transaction
from gateway.cli.completion import OnlyChargePoints
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, as_dict, connect, moment
from gateway.cli.list_options import FilterOption, LabelOption
from gateway.cli.output import JsonOption, local, note, out, print_json_line, say, table
from gateway.cli.resume import Absence, follow
from gateway.cli.watch import encode_token

SNAPSHOT_SECONDS = 60.0
"""For a whole snapshot: that of ten thousand chargers takes a few."""


def readings(
    text: FilterOption = "",
    label: LabelOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Show the charging state and the newest readings of every connector.

    With --json each charger is a line, and the last one has the resume token of a watch that misses nothing.
    """
    request = StreamLatestReadingsRequest(filter=text, labels=dict(label or ()))
    with connect(target) as gateway:
        parts = gateway.charge_points.StreamLatestReadings(request, timeout=SNAPSHOT_SECONDS)
        if json:
            _print_lines((part.charge_points, part.resume_token) for part in parts)
            return
        rows = [row for part in parts for each in part.charge_points for row in _connectors(each)]
    columns = ("charger", "connector", "state", "~status", ">power", ">energy register", "~since")
    out().print(table(*columns, rows=rows))


def _connectors(charger: ChargePointReadings) -> Iterator[tuple[str, ...]]:
    for each in charger.connectors:
        if each.connector.evse > 0:
            latest = each.latest
            yield (
                charger.charge_point,
                f"{each.connector.evse}.{each.connector.connector}",
                ChargingState.Name(each.charging_state).removeprefix("CHARGING_STATE_").lower(),
                each.status,
                f"{latest.power.value:,.0f} W" if latest.HasField("power") else "",
                f"{latest.energy_register.value:,.0f} Wh" if latest.HasField("energy_register") else "",
                local(moment(each, "charging_state_since_time")),
            )


def open_transactions(
    text: FilterOption = "",
    label: LabelOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Show every open transaction, the earliest start first.

    With --json each is a line, and the last one has the resume token of a watch that misses nothing.
    """
    request = StreamOpenTransactionsRequest(filter=text, labels=dict(label or ()))
    with connect(target) as gateway:
        parts = gateway.transactions.StreamOpenTransactions(request, timeout=SNAPSHOT_SECONDS)
        if json:
            _print_lines((part.transactions, part.resume_token) for part in parts)
            return
        rows = [_transaction(each) for part in parts for each in part.transactions]
    out().print(table("transaction", "charger", "connector", "~tag", "started", rows=rows))


def _transaction(each: Transaction) -> tuple[str, ...]:
    place = f"{each.connector.evse}.{each.connector.connector}"
    return each.transaction_id, each.charge_point, place, each.id_tag, local(moment(each, "start_time"))


def _print_lines(parts: Iterable[tuple[Iterable[Any], bytes]]) -> None:
    token = b""
    for messages, token in parts:  # noqa: B007 - the last one's is used
        for each in messages:
            print_json_line(as_dict(each))
    print_json_line({"resume_token": encode_token(token)})


def meters(
    charge_points: OnlyChargePoints = None,
    measurand: Annotated[
        list[str] | None, typer.Option(help="Only this measurand, e.g. Power.Active.Import; repeat it.")
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=3600,
            metavar="SECONDS",
            help="Only the newest of each, so often; without it all as they come.",
        ),
    ] = None,
    label: LabelOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Watch meter values as they come, until interrupted."""
    request = WatchMeterValuesRequest(
        charge_points=charge_points or (),
        labels=dict(label or ()),
        measurands=measurand or (),
        start_at=WatchStart.WATCH_START_NOW,
    )
    if every is not None:
        request.latest_interval.FromNanoseconds(round(every * 1e9))
    absence = Absence(note)
    with connect(target) as gateway:
        for response in follow(gateway.events.WatchMeterValues, request, interrupted=absence.begins):
            absence.ends()
            for each in response.samples:
                print_json_line(as_dict(each)) if json else say(_sample(each))


def _sample(each: MeterSample) -> str:
    place = f"{each.connector.evse}.{each.connector.connector}"
    value = each.value if not each.derived else f"{each.power_watts:g}"
    words = (local(moment(each, "sample_time")), each.charge_point, place, each.measurand, each.phase, value, each.unit)
    return " ".join(word for word in words if word)

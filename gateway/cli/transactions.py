"""`gateway transactions`: what was charged, with the readings."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from gateway.api.v1.common_pb2 import EnergyBasis, EnergyDoubt, EnergyState, MeterSample, Provenance, QualityFlag
from gateway.api.v1.completion_pb2 import CompletionState
from gateway.api.v1.transaction_pb2 import (
    AttributeOrphanRequest,
    CloseTransactionRequest,
    EnergySummary,
    GetTransactionRequest,
    ListOrphansRequest,
    ListTransactionReadingsRequest,
    ListTransactionsRequest,
    Transaction,
    TransactionReading,
    TransactionState,
)
from gateway.cli.completion import ChargerOption
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    connector_name,
    moment,
    must_exist,
    pages,
    timestamp,
)
from gateway.cli.energy import cost, energy, estimate
from gateway.cli.list_options import FilterOption, LabelOption, OrderOption
from gateway.cli.option_values import moment_of, one_of, refuse_typed, spelled
from gateway.cli.output import JsonOption, facts, kilowatt_hours, local, note, out, print_json, table
from gateway.client import new_request_id

app = typer.Typer(invoke_without_command=True)
for command in (energy, cost, estimate):
    app.command()(command)

LimitOption = Annotated[int, typer.Option(min=1, help="How many at most.")]
CallersOption = Annotated[
    list[str] | None, typer.Option("--caller", metavar="CALLER", help="Only those of this caller; repeat it.")
]


class State(StrEnum):
    """States of transactions, as typed on the command line."""

    OPEN = "open"
    STOPPED = "stopped"
    LOST = "lost"
    CLOSED = "closed"


@app.callback()
def transactions(context: typer.Context, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """List the newest transactions, or run a subcommand."""
    if context.invoked_subcommand is None:
        list_(target=target, json=json)
        return
    behind = f"goes behind the subcommand: gateway transactions {context.invoked_subcommand}"
    refuse_typed(behind, target="--target", json="--json")


@app.command("list")
def list_(
    charge_point: ChargerOption = "",
    state: Annotated[
        State | None,
        typer.Option(parser=one_of(State), metavar=spelled(State), help="Only those in this state."),
    ] = None,
    tag: Annotated[str, typer.Option(help="Only those started by this idTag.")] = "",
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=moment_of,
            metavar="TIME",
            help="Only those that started then or later: 2026-12-31, or "
            "2026-12-31T18:00:00; without a zone, local time.",
        ),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=moment_of, metavar="TIME", help="Only those that started earlier.")
    ] = None,
    label: LabelOption = None,
    text: FilterOption = "",
    order: OrderOption = "",
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List transactions, the newest first unless another order is asked for."""
    request = ListTransactionsRequest(
        labels=dict(label or ()),
        filter=text,
        order_by=order,
        charge_point=charge_point,
        id_tag=tag,
        state=TransactionState.TRANSACTION_STATE_UNSPECIFIED
        if state is None
        else TransactionState.Value(f"TRANSACTION_STATE_{state.name}"),
        started_from_time=timestamp(since) if since else None,
        started_before_time=timestamp(until) if until else None,
    )
    with connect(target) as gateway:
        found = list(pages(gateway.transactions.ListTransactions, request, lambda page: page.transactions, limit=limit))
        if charge_point and not found:
            must_exist(gateway, charge_point)
    if json:
        print_json([as_dict(each) for each in found])
        return
    columns = (
        "~transaction",
        "charger",
        "~connector",
        "~tag",
        "state",
        "started",
        "stopped",
        ">energy",
        "~energy is",
        "~ended by",
        "~flags",
    )
    out().print(table(*columns, rows=[*map(_row, found)]))
    if len(found) == limit:
        note(f"the newest {limit}; --limit for more")


@app.command()
def show(
    transaction: Annotated[str, typer.Argument(metavar="TRANSACTION", help="The transaction, by the gateway's id.")],
    readings: Annotated[bool, typer.Option("--readings/--no-readings", help="Show what was metered, too.")] = True,
    limit: LimitOption = 1_000,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """A transaction, and its readings in the order of receipt."""
    if not readings:
        refuse_typed("is of the readings, which --no-readings leaves out", limit="--limit")
    with connect(target) as gateway:
        found = gateway.transactions.GetTransaction(
            GetTransactionRequest(transaction_id=transaction), timeout=READ_SECONDS
        ).transaction
        request = ListTransactionReadingsRequest(transaction_id=transaction)
        fetch = gateway.transactions.ListTransactionReadings
        metered = list(pages(fetch, request, lambda page: page.readings, limit=limit)) if readings else []
    if json:
        print_json(as_dict(found) | ({"readings": [as_dict(each) for each in metered]} if readings else {}))
        return
    console = out()
    console.print(facts(_facts(found)))
    if readings:
        console.print()
        rows = [row for each in metered for row in _readings(each)]
        console.print(table("time", "measurand", ">value", "unit", "phase", "~context", "~flags", rows=rows))
    if len(metered) == limit:
        note(f"the first {limit} readings; --limit for more")


@app.command()
def close(
    transaction: Annotated[str, typer.Argument(metavar="TRANSACTION", help="The transaction, by the gateway's id.")],
    reason: Annotated[str, typer.Option(help="Why, for those who read the history.")],
    meter_wh: Annotated[
        int | None, typer.Option(min=0, metavar="WH", help="The register at its end, which ends the bill.")
    ] = None,
    at: Annotated[
        datetime | None,
        typer.Option(
            parser=moment_of, metavar="TIME", help="The time of that register; without it, that of the newest reading."
        ),
    ] = None,
    insist: Annotated[bool, typer.Option("--insist", help="Also with a register below the last one.")] = False,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """End the record of an open transaction whose stop does not come. The charger is sent nothing; a stop that comes
    later still counts."""
    if at is not None and meter_wh is None:
        raise typer.BadParameter("is the time of --meter-wh", param_hint="--at")
    if insist and meter_wh is None:
        raise typer.BadParameter("is for the register that --meter-wh gives", param_hint="--insist")
    with connect(target) as gateway:
        request = CloseTransactionRequest(
            transaction_id=transaction,
            reason=reason,
            meter_stop_watt_hours=meter_wh,
            end_time=timestamp(at) if at else None,
            insist=insist,
        )
        closed = gateway.transactions.CloseTransaction(request, timeout=READ_SECONDS).transaction
    if json:
        print_json(as_dict(closed))
        return
    note(f"{transaction} is closed")


@app.command()
def attribute(
    orphan: Annotated[str, typer.Argument(metavar="ORPHAN", help="The stop, by its event's id.")],
    transaction: Annotated[str, typer.Argument(metavar="TRANSACTION", help="The transaction, by the gateway's id.")],
    reason: Annotated[str, typer.Option(help="Why, for those who read the history.")],
    insist: Annotated[bool, typer.Option("--insist", help="Also with a register below that of the start.")] = False,
    request_id: Annotated[
        str, typer.Option(metavar="ID", help="To repeat a request whose answer was lost: the same id does it once.")
    ] = "",
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Tie a stop that belongs to no transaction to the one that it ends."""
    with connect(target) as gateway:
        request = AttributeOrphanRequest(
            orphan_event_id=orphan,
            transaction_id=transaction,
            reason=reason,
            request_id=request_id or new_request_id(),
            insist=insist,
        )
        ended = gateway.transactions.AttributeOrphan(request, timeout=READ_SECONDS).transaction
    if json:
        print_json(as_dict(ended))
        return
    note(f"{transaction} is stopped")


@app.command()
def orphans(
    charge_point: ChargerOption = "",
    tied: Annotated[
        bool, typer.Option("--tied", help="Also those that were tied to a transaction since (`attribute`).")
    ] = False,
    label: LabelOption = None,
    text: FilterOption = "",
    order: OrderOption = "",
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Stops that belong to no transaction that the gateway knows; they were confirmed, and are kept as sent."""
    if not tied:
        text = f"attributed = false AND ({text})" if text else "attributed = false"
    request = ListOrphansRequest(charge_point=charge_point, labels=dict(label or ()), filter=text, order_by=order)
    with connect(target) as gateway:
        found = list(pages(gateway.transactions.ListOrphans, request, lambda page: page.orphans, limit=limit))
        if charge_point and not found:
            must_exist(gateway, charge_point)
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [
        (
            each.event_id,
            each.charge_point,
            local(moment(each, "receive_time")),
            each.transaction_orphaned.number,
            each.transaction_orphaned.why,
            each.transaction_orphaned.payload_json,
        )
        for each in found
    ]
    out().print(table("~event", "charger", "received", ">number", "~why", "~as sent", rows=rows))


def flag_names(flags: Any) -> str:
    """Quality flags in words."""
    return ", ".join(QualityFlag.Name(each).removeprefix("QUALITY_FLAG_").lower().replace("_", "-") for each in flags)


def _state(transaction: Transaction) -> str:
    return TransactionState.Name(transaction.state).removeprefix("TRANSACTION_STATE_").lower()


def _energy(transaction: Transaction) -> str:
    """As it is billed, as far as that is recorded or known so far; else the registers' difference."""
    if transaction.energy_summary.HasField("energy"):
        return kilowatt_hours(transaction.energy_summary.energy.milliwatt_hours)
    return kilowatt_hours(transaction.energy.milliwatt_hours) if transaction.HasField("energy") else ""


def _energy_state(transaction: Transaction) -> str:
    state = transaction.energy_summary.state
    return EnergyState.Name(state).removeprefix("ENERGY_STATE_").lower() if state else ""


def _found_by(summary: EnergySummary) -> str:
    """The way in which the energy was found, and what is doubtful about it."""
    if not summary.basis:
        return ""
    doubts = ", ".join(_words(EnergyDoubt.Name(doubt), "ENERGY_DOUBT_") for doubt in summary.doubts)
    basis = _words(EnergyBasis.Name(summary.basis), "ENERGY_BASIS_")
    return f"{basis} ({doubts})" if doubts else basis


def _words(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", "-")


def _with_provenance(time: str, provenance: Any) -> str:
    """A time, with how its message came where that was not at once."""
    word = _words(Provenance.Name(provenance), "PROVENANCE_")
    return time if word in ("unspecified", "live") else f"{time} ({word})"


def _row(each: Transaction) -> tuple[object, ...]:
    return (
        each.transaction_id,
        each.charge_point,
        connector_name(each.connector),
        each.id_tag,
        _state(each),
        local(moment(each, "start_time")),
        local(moment(each, "stop_time")),
        _energy(each),
        _energy_state(each),
        each.stop_reason,
        flag_names(each.flags),
    )


def _facts(each: Transaction) -> tuple[tuple[str, object], ...]:
    return (
        ("transaction", each.transaction_id),
        ("number in OCPP", each.number),
        ("charger", each.charge_point),
        ("connector", connector_name(each.connector)),
        ("tag", f"{each.id_tag} ({each.id_tag_status})"),
        ("state", _state(each)),
        ("started", _with_provenance(local(moment(each, "start_time")), each.start_provenance)),
        ("meter at start", kilowatt_hours(each.meter_start.milliwatt_hours)),
        ("stopped", _with_provenance(local(moment(each, "stop_time")), each.stop_provenance)),
        ("meter at stop", kilowatt_hours(each.meter_stop.milliwatt_hours) if each.HasField("meter_stop") else ""),
        ("energy", _energy(each)),
        ("energy is", _energy_state(each)),
        ("found by", _found_by(each.energy_summary)),
        ("revision", each.energy_summary.revision or ""),
        ("full", _full(each)),
        ("ended by", each.stop_reason),
        ("stopping tag", each.stop_id_tag),
        ("stale", f"since {local(moment(each, 'stale_time'))}: {each.stale_reason}" if each.stale_reason else ""),
        ("meter at closing", kilowatt_hours(each.close_meter.milliwatt_hours) if each.HasField("close_meter") else ""),
        ("closed", f"{local(moment(each, 'close_time'))}: {each.close_reason}" if each.close_reason else ""),
        ("closed by", each.close_caller),
        ("remote start", each.start_command_id),
        ("reservation", each.reservation_id if each.HasField("reservation_id") else ""),
        ("flags", flag_names(each.flags)),
    )


def _full(each: Transaction) -> str:
    """The time at which its vehicle will take no more, in words."""
    if not each.HasField("completion"):
        return ""
    found = each.completion
    if found.state != CompletionState.COMPLETION_STATE_ESTIMATED:
        return CompletionState.Name(found.state).removeprefix("COMPLETION_STATE_").lower().replace("_", " ")
    latest = local(moment(found, "latest_time")) or "later than in three days"
    return f"{local(moment(found, 'finish_time'))} ({local(moment(found, 'earliest_time'))} to {latest})"


def _readings(reading: TransactionReading) -> list[tuple[object, ...]]:
    return [_sample(each) for each in reading.samples]


def _sample(each: MeterSample) -> tuple[object, ...]:
    value = "(signed data)" if each.format == "SignedData" else each.value
    time = local(moment(each, "sample_time"))
    return (time, each.measurand, value, each.unit, each.phase, each.context, flag_names(each.flags))

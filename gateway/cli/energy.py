"""`gateway transactions energy`, `cost` and `estimate`: the energy of a transaction as it is billed, and its end."""

import re
from datetime import UTC, datetime, tzinfo
from math import isfinite
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from gateway.api import strict_json
from gateway.api.v1.common_pb2 import EnergyBasis, EnergyDoubt, EnergyState, Provenance
from gateway.api.v1.completion_pb2 import CompletionState
from gateway.api.v1.energy_pb2 import (
    ComputeCostRequest,
    CostLine,
    EnergyInterval,
    EnergyQuality,
    EstimateCompletionRequest,
    FullTarget,
    ListTransactionEnergyRequest,
    PriceSchedule,
    TransactionEnergy,
)
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    duration,
    moment,
    pages,
)
from gateway.cli.output import JsonOption, facts, fail, kilowatt_hours, local, note, out, print_json, table

MAX_FILE_BYTES = 1_000_000
"""Of a price schedule: 3,000 periods are a third of it."""

TransactionArgument = Annotated[
    str, typer.Argument(metavar="TRANSACTION", help="The transaction, by the gateway's id.")
]


def energy(
    transaction: TransactionArgument,
    interval: Annotated[int, typer.Option(min=1, metavar="MINUTES", help="Length of an interval; divides a day.")] = 30,
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Time zone, such as Europe/London.")] = "UTC",
    limit: Annotated[int, typer.Option(min=1, help="How many intervals at most.")] = 1_000,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """The energy of a transaction by interval of local time; the intervals sum exactly to its total."""
    request = ListTransactionEnergyRequest(transaction_id=transaction, interval=duration(interval * 60), time_zone=zone)
    whole = TransactionEnergy()
    with connect(target) as gateway:

        def fetch(request: ListTransactionEnergyRequest, timeout: float) -> object:
            page = gateway.energy.ListTransactionEnergy(request, timeout=timeout)
            whole.CopyFrom(page.energy)
            return page

        found: list[EnergyInterval] = list(pages(fetch, request, lambda page: page.intervals, limit=limit))
    if json:
        print_json({"energy": as_dict(whole), "intervals": [as_dict(each) for each in found]})
        return
    console = out()
    console.print(facts(_facts(whole)))
    console.print()
    where = _zone(zone)
    rows = [
        (
            _shown(moment(each, "start_time"), where),
            kilowatt_hours(each.energy.milliwatt_hours),
            _word(EnergyQuality.Name(each.quality), "ENERGY_QUALITY_"),
        )
        for each in found
    ]
    console.print(table("from", ">energy", "quality", rows=rows))
    if len(found) == limit:
        note(f"the first {limit} intervals; --limit for more")


def cost(
    transaction: TransactionArgument,
    prices: Annotated[
        typer.FileBinaryRead,
        typer.Option(metavar="FILE", help="A price schedule in JSON, see docs/energy.md. - reads standard input."),
    ],
    revision: Annotated[
        int | None, typer.Option(min=0, help="Only if this is the energy's revision; else the command fails.")
    ] = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """The cost of a transaction by a price schedule."""
    schedule = schedule_of(prices.read(MAX_FILE_BYTES + 1))
    with connect(target) as gateway:
        request = ComputeCostRequest(transaction_id=transaction, price_schedule=schedule, revision=revision)
        found = gateway.energy.ComputeCost(request, timeout=READ_SECONDS)
    if json:
        print_json(as_dict(found))
        return
    bill, console = found.cost, out()
    console.print(facts(_facts(found.energy)))
    console.print()
    where = _zone(schedule.time_zone or "UTC")
    console.print(
        table("from", "to", ">energy", ">price", ">amount", "quality", rows=[_line(each, where) for each in bill.lines])
    )
    console.print()
    console.print(
        facts(
            (
                ("energy", f"{bill.energy_amount} {bill.currency}"),
                ("standing charge", f"{bill.standing_charge} {bill.currency}"),
                ("minimum or maximum", _unless_zero(bill.limit_adjustment, bill.currency)),
                ("rounding", _unless_zero(bill.rounding_adjustment, bill.currency)),
                ("total", f"{bill.total} {bill.currency}"),
            )
        )
    )


def estimate(
    transaction: TransactionArgument,
    kwh: Annotated[float | None, typer.Option(min=0, help="Until the transaction has so many kWh.")] = None,
    soc: Annotated[float | None, typer.Option(min=0, max=100, help="Until the vehicle has so many percent.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Until the vehicle is full.")] = False,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Estimate when the charging of a running transaction will be done."""
    if [kwh is not None, soc is not None, full].count(True) != 1:
        raise typer.BadParameter("one of --kwh, --soc and --full says what is to be reached")
    request = EstimateCompletionRequest(transaction_id=transaction)
    if kwh is not None:
        if not isfinite(kwh):
            raise typer.BadParameter("expected a finite number of kWh", param_hint="--kwh")
        request.energy_milliwatt_hours = round(min(kwh, 1e9) * 1_000_000)
    elif soc is not None:
        request.soc_percent = soc
    else:
        request.full.CopyFrom(FullTarget())
    with connect(target) as gateway:
        found = gateway.energy.EstimateCompletion(request, timeout=READ_SECONDS)
    if json:
        print_json(as_dict(found))
        return
    missing = kilowatt_hours(found.remaining.milliwatt_hours) if found.HasField("remaining") else ""
    out().print(
        facts(
            (
                ("state", _word(CompletionState.Name(found.state), "COMPLETION_STATE_")),
                ("done", local(moment(found, "finish_time"))),
                ("at the earliest", local(moment(found, "earliest_time"))),
                ("at the latest", local(moment(found, "latest_time"))),
                ("missing", missing),
                *_facts(found.energy),
            )
        )
    )


def schedule_of(data: bytes) -> PriceSchedule:
    """Return a price schedule in JSON. Raises CommandFailed."""
    if len(data) > MAX_FILE_BYTES:
        fail(f"the price schedule has more than {MAX_FILE_BYTES} bytes")
    try:
        return strict_json.from_text(data, PriceSchedule())
    except ValueError as error:
        fail(f"the price schedule can't be read: {error}")


def _facts(each: TransactionEnergy) -> tuple[tuple[str, object], ...]:
    return (
        ("transaction", each.transaction_id),
        ("charger", each.charge_point),
        ("started", local(moment(each, "start_time"))),
        ("until", local(moment(each, "end_time"))),
        ("energy", kilowatt_hours(each.energy.milliwatt_hours) if each.HasField("energy") else "not known"),
        ("found by", _word(EnergyBasis.Name(each.basis), "ENERGY_BASIS_")),
        ("doubts", ", ".join(_word(EnergyDoubt.Name(doubt), "ENERGY_DOUBT_") for doubt in each.doubts)),
        ("contradicted", "yes: check it before it is billed" if each.contradicted else ""),
        ("energy is", _word(EnergyState.Name(each.state), "ENERGY_STATE_") if each.state else ""),
        ("revision", f"{each.revision}{', and a later one follows' if each.pending else ''}"),
        ("recorded", _recorded(each) if each.rules_differ else ""),
        ("messages", _word(Provenance.Name(each.provenance), "PROVENANCE_") if each.provenance else ""),
        ("of them replayed", each.replayed_message_count or ""),
    )


def _recorded(each: TransactionEnergy) -> str:
    """The energy of the revision, where the present rules give another one."""
    energy = kilowatt_hours(each.recorded_energy.milliwatt_hours) if each.HasField("recorded_energy") else "not known"
    return f"{energy} by rules {each.recorded_rules_version}; these are rules {each.rules_version}"


def _line(each: CostLine, where: tzinfo) -> tuple[object, ...]:
    return (
        _shown(moment(each, "start_time"), where),
        _shown(moment(each, "end_time"), where),
        kilowatt_hours(each.energy.milliwatt_hours),
        each.price_per_kwh,
        each.amount,
        _word(EnergyQuality.Name(each.quality), "ENERGY_QUALITY_"),
    )


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", "-")


def _unless_zero(amount: str, currency: str) -> str:
    return "" if amount == "0" else f"{amount} {currency}"


def _zone(name: str) -> tzinfo:
    """The zone in which to show times. The gateway has accepted it; without a database here it is UTC."""
    try:
        return ZoneInfo(name) if re.fullmatch(r"[\w+/-]+", name, re.ASCII) else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _shown(at: datetime | None, where: tzinfo) -> str:
    return "" if at is None else at.astimezone(where).strftime("%Y-%m-%d %H:%M:%S %Z")

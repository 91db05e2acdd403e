"""The curve of a session: its power and energy over time, with limits, plans and prices behind it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from gateway.api.v1 import common_pb2, transaction_pb2
from gateway.console.figures import moment
from gateway.console.prices import price_steps
from gateway.console.visits import Visit

PAGES: Final = 10
"""Pages of readings that a curve is drawn of: 2,000 messages, a day and a half of one each minute."""

VOLTS: Final = 230.0
"""Of a phase, for a limit in amperes on a scale of power."""

POWER, REGISTER = "Power.Active.Import", "Energy.Active.Import.Register"


async def power_curve(visit: Visit, transaction: Any, steered: Iterable[Any] = ()) -> dict[str, Any]:
    """Series for the page's script: times in seconds since 1970, power in kW, energy in kWh, limits in kW, prices."""
    empty: dict[str, Any] = {
        "power": [[], []],
        "energy": [[], []],
        "limit": [[], []],
        "price": [[], []],
        "currency": "",
    }
    if transaction is None:
        return empty
    request = transaction_pb2.ListTransactionReadingsRequest(transaction_id=transaction.transaction_id, page_size=200)
    powers: dict[int, float] = {}
    registers: dict[int, float] = {}
    for _ in range(PAGES):
        page = await visit.call(visit.gateway.transactions.ListTransactionReadings, request)
        for reading in page.readings:
            _take(reading.samples, powers, registers)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    begin = moment(transaction, "start_time") or visit.now
    end = moment(transaction, "stop_time") or visit.now
    first = registers[min(registers)] if registers else 0.0
    found = {
        "power": _series(powers),
        "energy": _series({at: round(value - first, 3) for at, value in registers.items()}),
        "limit": limits(transaction.connector, steered, begin, end),
    }
    prices = visit.console.settings.prices
    if prices is not None:
        steps = price_steps(prices, begin, end)
        steps += [(end, price) for _, price in steps[-1:]]  # the last one holds until the end
        found["price"] = [[int(at.timestamp()) for at, _ in steps], [price for _, price in steps]]
        found["currency"] = prices.currency
    return empty | found


def _take(samples: Iterable[Any], powers: dict[int, float], registers: dict[int, float]) -> None:
    for each in samples:
        if each.phase:
            continue
        if each.measurand == POWER and each.HasField("power_watts"):
            powers[each.sample_time.seconds] = round(each.power_watts / 1000, 3)
        elif each.measurand == REGISTER and each.HasField("energy"):
            registers[each.sample_time.seconds] = each.energy.milliwatt_hours / 1_000_000


def _series(values: dict[int, float]) -> list[list[float]]:
    times = sorted(values)
    return [[*times], [values[at] for at in times]]


def limits(connector: Any, steered: Iterable[Any], begin: datetime, end: datetime) -> list[list[float | None]]:
    """The limit that is wanted of a connector over time; a gap where there is none."""
    times: list[float | None] = []
    values: list[float | None] = []
    for each in steered:
        wanted = each.wanted
        if wanted.connector != connector and wanted.connector.evse:
            continue
        if wanted.HasField("standing") and wanted.standing.HasField("limit"):
            until = moment(wanted.standing, "until_time") or end
            level = kilowatts(wanted.standing.limit)
            times, values = [begin.timestamp(), until.timestamp()], [level, level]
        elif wanted.HasField("plan"):
            for step in wanted.plan.steps:
                times.append(float(step.start_time.seconds))
                values.append(kilowatts(step.limit) if step.HasField("limit") else None)
            times.append(float(wanted.plan.end_time.seconds))
            values.append(kilowatts(wanted.plan.after) if wanted.plan.HasField("after") else None)
    return [times, values]


def kilowatts(limit: Any) -> float:
    """A limit as a power: of one in amperes with three phases, unless it says how many."""
    if limit.unit == common_pb2.CHARGING_RATE_UNIT_WATTS:
        return float(limit.value) / 1000
    phases = limit.number_phases if limit.HasField("number_phases") else 3
    return float(limit.value) * VOLTS * phases / 1000

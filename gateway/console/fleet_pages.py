"""The fleet: in numbers, with its live power, and as a list to search."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import Response

from gateway.api.v1 import charge_point_pb2, fleet_pb2, transaction_pb2
from gateway.api.v1.fleet_summary_pb2 import FleetSummary, PowerMinute
from gateway.console import live
from gateway.console.figures import moment
from gateway.console.visits import Visit

PAGE_SIZE: Final = 100
"""Charge points of the list's first page, which is there within a second."""

MORE_SIZE: Final = 250
"""Charge points of each page after it: a list that is scrolled to its end of 10,000 is 41 requests."""

TAG_TRANSACTIONS: Final = 50
"""Newest sessions of a tag that are looked at for the charge points that it was used at."""

MAX_FILTER: Final = 2_000
"""Characters of a filter, as the gateway takes them."""

MAX_IDENTITIES: Final = 30
"""Of a filter, which takes 50 comparisons."""

LABEL_KEY: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?", re.ASCII)
"""The key of a label, as the gateway takes it."""

LAST: Final = "\U0010ffff"
"""Comes after every other character: the end of a prefix's range."""


async def fleet(visit: Visit) -> Response:
    """The page of the whole fleet."""
    found = await visit.call(visit.gateway.fleet.GetFleetSummary, fleet_pb2.GetFleetSummaryRequest())
    listed = await _listed(visit)
    return visit.page("fleet.html", **_numbers(found.summary), **listed, curve=curve(found.summary.power_minutes))


async def charge_points(visit: Visit) -> Response:
    """The list alone, for a search while a person types; the page of the fleet with it, where no script asks."""
    if not visit.in_a_page:
        return await fleet(visit)
    return visit.page("fleet_list.html", **await _listed(visit))


async def fleet_live(visit: Visit) -> Response:
    """The numbers again whenever the gateway has new ones."""

    async def messages() -> AsyncIterator[str]:
        request = fleet_pb2.WatchFleetSummaryRequest()
        async for each in visit.person.watch(visit.gateway.fleet.WatchFleetSummary, request):
            yield live.message("fragments", {"numbers": visit.fragment("fleet_numbers.html", **_numbers(each.summary))})
            yield live.message("points", json.loads(curve(each.summary.power_minutes)))

    return live.response(messages(), visit.console.cookies.left(visit.signed))


def curve(minutes: Any) -> str:
    """The power by minute, as JSON: seconds since 1970 and kilowatts. A minute that is missing is a gap."""
    times: list[int] = []
    values: list[float | None] = []
    each: PowerMinute
    for each in minutes:
        at = each.start_time.seconds
        if times and at - times[-1] > 60:
            times.append(times[-1] + 60)
            values.append(None)
        times.append(at)
        values.append(round(each.power.watts / 1000, 3))
    return json.dumps([times, values])


def _numbers(found: FleetSummary) -> dict[str, Any]:
    makes: dict[tuple[str, str, str], Counter[bool]] = {}
    for each in found.make_counts:
        makes.setdefault((each.vendor, each.model, each.firmware_version), Counter())[each.connected] += each.count
    connected = sum(each.count for each in found.charge_point_counts if each.connected)
    return {
        "summary": found,
        "connected": connected,
        "makes": sorted(makes.items(), key=lambda item: -item[1].total())[:12],
        "make_count": len(makes),
        "states": sorted(found.charging_state_counts, key=lambda each: -each.count),
        "since": moment(found, "history_since_time"),
    }


async def _listed(visit: Visit) -> dict[str, Any]:
    """A page of the list, as the query says."""
    searched, connection = visit.query("q"), visit.query("connection")
    page = visit.query("page")
    request = charge_point_pb2.ListChargePointsRequest(page_size=MORE_SIZE if page else PAGE_SIZE, page_token=page)
    if connection in ("connected", "offline"):
        request.connected = connection == "connected"
    request.filter = await _filter(visit, searched) if searched else ""
    if page:
        counted = None
        found = await visit.call(visit.gateway.charge_points.ListChargePoints, request)
    else:
        found, counted = await asyncio.gather(
            visit.call(visit.gateway.charge_points.ListChargePoints, request),
            visit.call(
                visit.gateway.charge_points.CountChargePoints,
                charge_point_pb2.CountChargePointsRequest(filter=request.filter),
            ),
        )
    count = None if counted is None else _matching(counted, connection)
    skipped = visit.query("skipped")
    return {
        "charge_points": found.charge_points,
        "count": count,
        # ARIA's word for a number of rows that is not known.
        "row_count": -1 if count is None else count + 1,
        "skipped": int(skipped) if page and skipped.isascii() and skipped.isdigit() and len(skipped) < 8 else 0,
        "next_page": found.next_page_token,
        "q": searched,
        "connection": connection,
    }


def _matching(counted: charge_point_pb2.CountChargePointsResponse, connection: str) -> int:
    """The number of charge points in a count that are connected, or are not, as asked for."""
    wanted = {"connected": (True,), "offline": (False,)}.get(connection, (True, False))
    return sum(each.count for each in counted.charge_point_counts if each.connected in wanted)


async def _filter(visit: Visit, searched: str) -> str:
    """A filter of the gateway's for what a person typed: the beginning of an identity, a serial number, a make, a label
    as key=value, or a tag that was used there."""
    text = quoted(searched)
    parts = [f"(identity >= {text} AND identity < {quoted(searched + LAST)})"]
    fields = ("charge_point_serial_number", "charge_box_serial_number", "vendor", "model", "firmware_version")
    parts += [f"{field} = {text}" for field in fields]
    key, equals, value = searched.partition("=")
    if equals and is_label_key(key.strip()):
        parts.append(f"labels.{key.strip()} = {quoted(value.strip())}")
    used = transaction_pb2.ListTransactionsRequest(
        page_size=TAG_TRANSACTIONS, id_tag=searched[:36], view=transaction_pb2.TRANSACTION_VIEW_BASIC
    )
    at = await visit.person.maybe(visit.gateway.transactions.ListTransactions, used)
    return any_of(parts, sorted({each.charge_point for each in at.transactions} if at is not None else ()))


def any_of(parts: list[str], identities: list[str]) -> str:
    """A filter of any of the parts and, as far as a filter takes them, of the identities."""
    found = " OR ".join(parts)
    for each in identities[:MAX_IDENTITIES]:
        longer = f"{found} OR identity = {quoted(each)}"
        if len(longer) > MAX_FILTER:
            break
        found = longer
    return found


def quoted(text: str) -> str:
    """A text as a filter's value; what no identity, serial number or label can have is left out."""
    plain = "".join(each for each in text[:100] if each.isprintable() or each == LAST)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def is_label_key(key: str) -> bool:
    """Return true for what a filter can name as a label."""
    return LABEL_KEY.fullmatch(key) is not None

"""Sessions: a list, one in detail with half-hours, cost and doubts, and stops that belong to none."""

import asyncio
import json
from typing import Any, Final

from starlette.responses import Response

from gateway.api.v1 import common_pb2, energy_pb2, transaction_pb2
from gateway.console.costs import costs
from gateway.console.curves import power_curve
from gateway.console.prices import zone_of
from gateway.console.visits import Visit
from gateway.console.words import BASES, DOUBTS

PAGE_SIZE: Final = 100
"""Sessions of one page."""

HALF_HOURS: Final = 200
"""Of one session that a page shows: four days."""

STATES: Final = ("OPEN", "STOPPED", "LOST", "CLOSED")


async def sessions(visit: Visit) -> Response:
    """The list, by state, charge point and tag."""
    state = visit.query("state")
    request = transaction_pb2.ListTransactionsRequest(
        page_size=PAGE_SIZE,
        page_token=visit.query("page"),
        charge_point=visit.query("charge_point"),
        id_tag=visit.query("tag"),
    )
    if state in STATES:
        request.state = transaction_pb2.TransactionState.Value(f"TRANSACTION_STATE_{state}")
    orphans = transaction_pb2.ListOrphansRequest(
        page_size=PAGE_SIZE, charge_point=visit.query("charge_point"), filter="attributed = false"
    )
    found, lost = await asyncio.gather(
        visit.call(visit.gateway.transactions.ListTransactions, request),
        visit.person.maybe(visit.gateway.transactions.ListOrphans, orphans),
    )
    return visit.page(
        "sessions.html",
        transactions=found.transactions,
        next_page=found.next_page_token,
        orphans=() if lost is None else lost.orphans,
        more_orphans=lost is not None and bool(lost.next_page_token),
        states=STATES,
        state=state,
        charge_point=visit.query("charge_point"),
        tag=visit.query("tag"),
    )


async def session(visit: Visit) -> Response:
    """One session."""
    identity = visit.path("transaction_id")
    gateway = visit.gateway
    request = transaction_pb2.GetTransactionRequest(transaction_id=identity)
    found = (await visit.call(gateway.transactions.GetTransaction, request)).transaction
    zone = zone_of(visit.console.settings.prices)
    halves = energy_pb2.ListTransactionEnergyRequest(transaction_id=identity, page_size=HALF_HOURS, time_zone=zone)
    energy, bill, curve = await asyncio.gather(
        visit.person.maybe(gateway.energy.ListTransactionEnergy, halves),
        costs(visit, identity),
        power_curve(visit, found),
    )
    summary: Any = found.energy_summary
    return visit.page(
        "session.html",
        session=found,
        energy=energy,
        cost=bill.cost,
        no_cost=bill.missing,
        zone=zone or "UTC",
        doubts=[
            DOUBTS.get(each, "A doubt that this console can't name.")
            for each in summary.doubts
            # A session that runs has no stop yet: that is no reason to look.
            if each != common_pb2.ENERGY_DOUBT_STOP_MISSING or found.state != transaction_pb2.TRANSACTION_STATE_OPEN
        ],
        basis=BASES.get(summary.basis, ""),
        curve=json.dumps(curve).replace("<", "\\u003c"),
    )

"""The cost of a session, where the console's settings name a price schedule; the gateway works it out."""

from typing import Any

import grpc.aio
from attrs import frozen

from gateway.api.v1 import energy_pb2
from gateway.client import problem_of
from gateway.console.visits import Visit


@frozen
class Bill:
    """``cost`` None: there is none. ``missing``: the gateway's word on why the price schedule gives none; empty: there
    is no schedule, or the session's energy is not known."""

    cost: Any = None
    missing: str = ""


async def costs(visit: Visit, transaction_id: str) -> Bill:
    """The cost of a session."""
    prices = visit.console.settings.prices
    if prices is None:
        return Bill()
    request = energy_pb2.ComputeCostRequest(transaction_id=transaction_id, price_schedule=prices)
    try:
        found = await visit.person.maybe(visit.gateway.energy.ComputeCost, request)
    except grpc.aio.AioRpcError as error:
        # The schedule says nothing of the session's time, or can't be used at all: the page has more to show.
        if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
            raise
        return Bill(missing=problem_of(error).message)
    return Bill() if found is None else Bill(found.cost)

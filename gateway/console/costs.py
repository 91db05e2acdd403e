"""The cost of a session, where the console's settings name a price schedule; the gateway works it out."""

from typing import Any

from gateway.api.v1 import energy_pb2
from gateway.console.visits import Visit


async def costs(visit: Visit, transaction_id: str) -> Any:
    """The cost of a session; None: there is no price schedule, or its energy is not known."""
    prices = visit.console.settings.prices
    if prices is None:
        return None
    request = energy_pb2.ComputeCostRequest(transaction_id=transaction_id, price_schedule=prices)
    found = await visit.person.maybe(visit.gateway.energy.ComputeCost, request)
    return None if found is None else found.cost

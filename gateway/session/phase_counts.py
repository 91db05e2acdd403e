"""The phases that the vehicles of one charge point charge on, as its readings have shown them."""

from datetime import datetime

from gateway.charging import plans
from gateway.charging.live_phases import live_phases
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.records import TransactionRecord
from gateway.domain.state import ChargePointState
from gateway.domain.steering import ChargingAbilities


class PhaseCounts:
    """By running transaction, while a session lasts: a pause shows no current, and the vehicle stays the same."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        """Of open transactions, of which a charge point has no more than the state's bound."""

    def of(
        self,
        state: ChargePointState,
        transaction: TransactionRecord | None,
        abilities: ChargingAbilities,
        now: datetime,
    ) -> int | None:
        """The number of phases of a transaction; None: it is not known, or its limit does not depend on it."""
        if transaction is None or not _matters(state, transaction, abilities, now):
            return None
        self._known = {each: count for each, count in self._known.items() if each in state.open_transactions}
        connector = transaction.connector
        readings = state.latest.of((connector.evse, connector.connector)).readings
        since = {key: each for key, each in readings.items() if each.at >= transaction.started_at}
        found = live_phases(since, now)
        if found is not None:
            self._known[transaction.transaction_id] = found
        return self._known.get(transaction.transaction_id)


def _matters(
    state: ChargePointState, transaction: TransactionRecord, abilities: ChargingAbilities, now: datetime
) -> bool:
    """Return whether the limit that is in force is one of a current, which a meter shows as a power, or is to be put in
    the other unit."""
    limit = plans.in_force(state.wanted[transaction.connector], now)
    if limit is None or limit.phases is not None:
        return False
    return limit.unit is ChargingRateUnit.AMPERE or limit.unit not in abilities.units

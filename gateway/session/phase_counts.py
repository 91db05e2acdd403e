"""The phases that the vehicles of one charge point charge on, as its readings have shown them."""

from datetime import datetime

from gateway.charging import plans, rates
from gateway.charging.live_phases import live_phases
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.records import TransactionRecord
from gateway.domain.state import ChargePointState
from gateway.domain.steering import ChargingAbilities
from gateway.domain.values import ConnectorAddress


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
        found = _measured(state, transaction, now)
        if found is not None:
            self._known[transaction.transaction_id] = found
        return self._known.get(transaction.transaction_id)


def phases_for_amperes(
    state: ChargePointState, connector: ConnectorAddress, abilities: ChargingAbilities, now: datetime
) -> int | None:
    """The number of phases by which a power has to be put in A where the limit names none: as measured, or three where
    no transaction runs. None: the charge point takes W, or what it takes, or its vehicle uses, is not known; a vehicle
    that is paused shows no phase."""
    if not abilities.known or ChargingRateUnit.WATT in abilities.units:
        return None
    running = [each for each in state.open_transactions.values() if each.connector == connector]
    if not running:
        return rates.PHASES[-1]
    return _measured(state, running[0], now) if len(running) == 1 else None


def _measured(state: ChargePointState, transaction: TransactionRecord, now: datetime) -> int | None:
    """The number of phases that the readings of a transaction show."""
    connector = transaction.connector
    readings = state.latest.of((connector.evse, connector.connector)).readings
    return live_phases({key: each for key, each in readings.items() if each.at >= transaction.started_at}, now)


def _matters(
    state: ChargePointState, transaction: TransactionRecord, abilities: ChargingAbilities, now: datetime
) -> bool:
    """Return whether the limit that is in force is one of a current, which a meter shows as a power, or is to be put in
    the other unit."""
    limit = plans.in_force(state.wanted[transaction.connector], now)
    if limit is None or limit.phases is not None:
        return False
    return limit.unit is ChargingRateUnit.AMPERE or limit.unit not in abilities.units

"""Signs that an open transaction may be over though no stop has come, and that it goes on after all.

Neither a status nor a Boot ends a transaction or its billing (B7.5, B1.8). They make it stale: it is open, but
it no longer occupies its tag, and readings that name no transaction are not added to it. Its record ends with its stop,
with the next start on its connector, or by an operator. Each function answers the events that something brings about,
from the state as it is.
"""

from datetime import datetime
from typing import Final

from gateway.domain.events import TransactionStaleChanged, TransactionStarted
from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.state import ChargePointState
from gateway.domain.times import ReportedTime
from gateway.domain.values import ConnectorAddress

AVAILABLE: Final = "available"
ANOTHER_UNIT: Final = "another-unit"
ANOTHER_TRANSACTION: Final = "another-transaction"
LATER_START: Final = "later-start"
"""Why a transaction became stale: its connector is said to be free; a unit with other serial numbers booted; the
charger names another transaction as the one that runs there; it began before another one that is open there."""

CHARGING: Final = "charging"
READINGS: Final = "readings"
"""Why it is stale no more: its connector is said to charge; readings name it."""

FREE: Final = frozenset({"Available", "Reserved"})
"""Statuses of a connector on which nothing runs (S §4.9)."""

RUNNING: Final = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})
"""Statuses of a connector on which a transaction runs (S §4.9)."""

Changes = tuple[TransactionStaleChanged, ...]


def _stale(transaction: TransactionRecord, why: str) -> TransactionStaleChanged:
    return TransactionStaleChanged(transaction.transaction_id, transaction.connector, True, why)


def _not_stale(transaction: TransactionRecord, why: str) -> TransactionStaleChanged:
    return TransactionStaleChanged(transaction.transaction_id, transaction.connector, False, why)


def by_status(
    state: ChargePointState, connector: ConnectorAddress, status: str, queued_since: datetime | None
) -> Changes:
    """A connector said that it is free, or that it charges. ``queued_since``: when a message that comes late was said;
    from before the transaction began, or became stale, it says nothing of it."""
    if status in FREE:
        return tuple(
            _stale(each, AVAILABLE)
            for each in state.open_transactions.values()
            if each.connector == connector
            and each.stale_at is None
            and (queued_since is None or queued_since >= each.started_at)
        )
    newest = state.open_on(connector) if status in RUNNING else None
    if newest is None or newest.stale_at is None or newest.stale_why != AVAILABLE:
        return ()
    return (_not_stale(newest, CHARGING),) if queued_since is None or queued_since >= newest.stale_at else ()


def by_other_unit(state: ChargePointState) -> Changes:
    """A unit with other serial numbers booted: it runs none of these, and will stop none."""
    return tuple(_stale(each, ANOTHER_UNIT) for each in state.open_transactions.values() if each.stale_at is None)


def by_readings(state: ChargePointState, named: TransactionRecord, at: ReportedTime) -> Changes:
    """Readings of a connector name a transaction of this charge point's: it runs, and none that is said to have begun
    after it on its connector does. Not so once it is stopped: some chargers keep an old number (quirk 35)."""
    goes_on: Changes = ()
    own = state.open_transactions.get(named.transaction_id)
    if own is not None and own.stale_at is None and len(state.open_transactions) == 1:
        return ()  # nearly always, and this is asked with every message
    if own is not None and own.stale_at is not None and (at.queued is None or at.queued >= own.stale_at):
        goes_on = (_not_stale(own, READINGS),)
    return (*goes_on, *_outrun(state, named, at.trusted))


def by_stop(state: ChargePointState, stopped: TransactionRecord, at: datetime | None) -> Changes:
    """A transaction ran until then: none that is said to have begun on its connector meanwhile did."""
    return _outrun(state, stopped, at)


def _outrun(state: ChargePointState, runs: TransactionRecord, at: datetime | None) -> Changes:
    if runs.state is TransactionState.STOPPED or at is None:
        return ()
    return tuple(
        _stale(each, ANOTHER_TRANSACTION)
        for each in state.open_transactions.values()
        if each.connector == runs.connector
        and each.transaction_id != runs.transaction_id
        and each.stale_at is None
        and runs.started_at <= each.started_at < at
    )


def at_start(
    state: ChargePointState,
    started: TransactionStarted,
    began: datetime,
    queued_since: datetime | None,
) -> Changes:
    """A start may be over when it comes: a later one is open on its connector or, of one that comes late
    (``queued_since``), the connector has said since that it is free."""
    connector = started.connector
    if any(each.connector == connector and each.started_at > began for each in state.open_transactions.values()):
        why = LATER_START
    else:
        known = state.connectors.get(connector)
        if queued_since is None or known is None or known.status not in FREE or known.reported_at <= queued_since:
            return ()
        why = AVAILABLE
    return (TransactionStaleChanged(started.transaction_id, connector, True, why),)


def takes_readings(transaction: TransactionRecord, time: ReportedTime) -> bool:
    """Return whether readings of that time that name no transaction may be this one's: it was not stale by then."""
    return transaction.stale_at is None or (time.queued is not None and time.queued < transaction.stale_at)


def occupies(transaction: TransactionRecord) -> bool:
    """Return whether it keeps its tag from starting elsewhere: it was accepted, and nothing shows that it is over."""
    open_ = transaction.state is TransactionState.OPEN
    return open_ and transaction.status == "Accepted" and transaction.stale_at is None

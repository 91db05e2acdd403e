"""Reasons that can be known beforehand for which an operation would come to nothing. Pure."""

from collections.abc import Collection

from gateway.domain.operations import (
    MAINTENANCE,
    MAX_OPEN,
    SECURITY,
    OperationKind,
    OperationRefusal,
    OperationRefused,
    OperationRequest,
)
from gateway.domain.records import TransactionRecord
from gateway.domain.state import ChargePointState
from gateway.domain.transactions import folded
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

OUT_OF_ORDER = frozenset({"Faulted", "Unavailable"})
"""Statuses under which a connector starts nothing."""

UNPLUGGED = "Available"


def refusal(
    request: OperationRequest,
    state: ChargePointState,
    connectors: Collection[ConnectorAddress],
    *,
    plug_in_first: bool = False,
) -> OperationRefused | None:
    """The reason for which the operation is not begun; None: nothing speaks against it.

    ``connectors``: those that the charger's configuration says it has; empty: it has not reported that.
    ``plug_in_first``: the charger refuses a start, or forgets it, where no cable is in. A bound and a transaction that
    is not there can't be insisted on.
    """
    if len(state.operations) >= MAX_OPEN:
        return OperationRefused(
            OperationRefusal.TOO_MANY_OPERATIONS,
            f"{len(state.operations)} operations of this charge point are open already",
            {"limit": str(MAX_OPEN)},
        )
    if request.kind in SECURITY:
        return _being_secured(request, state)
    if request.kind in MAINTENANCE:
        return _renewal_open(request, state)
    if request.kind is OperationKind.STOP_CHARGING:
        found = transaction_to_stop(request, state)
        return found if isinstance(found, OperationRefused) else None
    if request.insist:
        return None
    return _not_startable(request, state, connectors, plug_in_first)


def _being_secured(request: OperationRequest, state: ChargePointState) -> OperationRefused | None:
    """One at a time: of two changes of how a charger is let in neither could tell whose answer it sees. And an upgrade
    resets the charger, which would end a transaction."""
    open_ = next(iter(state.open_transactions.values()), None)
    if request.kind is OperationKind.UPGRADE_SECURITY_PROFILE and open_ is not None and not request.insist:
        return OperationRefused(
            OperationRefusal.TRANSACTION_OPEN,
            f"an upgrade resets the charger, and a transaction is open: {open_.transaction_id}",
            {"transaction_id": open_.transaction_id},
        )
    for each in state.operations.values():
        if each.is_security:
            return OperationRefused(
                OperationRefusal.OPERATION_OPEN,
                f"another change of how the charge point is let in is under way: {each.record.operation_id}",
                {"operation_id": each.record.operation_id},
            )
    return None


def _renewal_open(request: OperationRequest, state: ChargePointState) -> OperationRefused | None:
    """One at a time: each makes the charger ask with another key, in the place of the one before."""
    renews = OperationKind.RENEW_CERTIFICATE
    for each in state.operations.values() if request.kind is renews else ():
        if each.record.request.kind is renews:
            return OperationRefused(
                OperationRefusal.OPERATION_OPEN,
                f"the certificate is being renewed: {each.record.operation_id}",
                {"operation_id": each.record.operation_id},
            )
    return None


def transaction_to_stop(request: OperationRequest, state: ChargePointState) -> TransactionRecord | OperationRefused:
    """The open transaction that a stop means: the one that it names, that of its connector, or the only one."""
    if request.transaction_id:
        named = state.open_transactions.get(request.transaction_id)
        if named is not None and request.connector in (None, named.connector):
            return named
        return _none(f"the charge point has no open transaction {request.transaction_id}", request)
    if request.connector is not None:
        return state.open_on(request.connector) or _none("no transaction is open on this connector", request)
    if len(state.open_transactions) > 1:
        return OperationRefused(
            OperationRefusal.SEVERAL_TRANSACTIONS, "several transactions are open: name the transaction or a connector"
        )
    only = next(iter(state.open_transactions.values()), None)
    return only or _none("no transaction is open on this charge point", request)


def _none(message: str, request: OperationRequest) -> OperationRefused:
    metadata = {"transaction_id": request.transaction_id} if request.transaction_id else {}
    return OperationRefused(OperationRefusal.NO_TRANSACTION, message, metadata)


def _not_startable(
    request: OperationRequest, state: ChargePointState, connectors: Collection[ConnectorAddress], plug_in_first: bool
) -> OperationRefused | None:
    connector = request.connector
    if connector is None:
        candidates = set(connectors) or {each for each in state.connectors if each != WHOLE_CHARGE_POINT}
        found = [_occupied(each, request, state, plug_in_first) for each in candidates]
        refused = [each for each in found if each is not None]
        # One connector that can start is enough: the charger chooses it.
        return refused[0] if refused and len(refused) == len(found) else _asked_for_already(request, state)
    if connectors and connector not in connectors and connector not in state.connectors:
        return OperationRefused(
            OperationRefusal.UNKNOWN_CONNECTOR,
            f"the charge point has {len(connectors)} connectors",
            {"connectors": str(len(connectors))},
        )
    return _occupied(connector, request, state, plug_in_first) or _asked_for_already(request, state)


def _occupied(
    connector: ConnectorAddress, request: OperationRequest, state: ChargePointState, plug_in_first: bool
) -> OperationRefused | None:
    open_ = state.open_on(connector)
    if open_ is not None and open_.stale_at is None:
        return OperationRefused(
            OperationRefusal.TRANSACTION_OPEN,
            f"a transaction is open on the connector: {open_.transaction_id}",
            {"transaction_id": open_.transaction_id},
        )
    known = state.connectors.get(connector)
    status = "" if known is None else known.status
    if status in OUT_OF_ORDER:
        return OperationRefused(
            OperationRefusal.CONNECTOR_UNAVAILABLE, f"the connector is {status}", {"status": status}
        )
    if plug_in_first and status == UNPLUGGED:
        return OperationRefused(
            OperationRefusal.NOT_PLUGGED_IN, "no cable is in the connector, and this charger needs it before a start"
        )
    for each in state.reservations.values():
        if each.connector == connector and folded(each.id_tag) != folded(request.id_tag) and not each.parent_id_tag:
            return OperationRefused(
                OperationRefusal.CONNECTOR_RESERVED,
                "the connector is reserved for another tag",
                {"reservation_id": str(each.reservation_id)},
            )
    return None


def _asked_for_already(request: OperationRequest, state: ChargePointState) -> OperationRefused | None:
    for each in state.operations.values():
        other = each.record.request
        same_place = None in (request.connector, other.connector) or request.connector == other.connector
        if other.kind is request.kind and same_place and folded(other.id_tag) == folded(request.id_tag):
            return OperationRefused(
                OperationRefusal.OPERATION_OPEN,
                f"a start with this tag is under way: {each.record.operation_id}",
                {"operation_id": each.record.operation_id},
            )
    return None

"""StartTransaction and StopTransaction (S §4.8, §4.10): always confirmed, recorded once, never refused."""

from datetime import datetime, timedelta
from typing import Final

from ocpp.v16 import call

from gateway.domain import remote_starts, staleness
from gateway.domain.decision import Authorization, Context, Decision, Facts, IdTagFree, Request, StartQuery, StopQuery
from gateway.domain.events import NewEvent, TransactionLost, TransactionOrphaned, TransactionStarted, TransactionStopped
from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.registers import MAX_POWER, SLACK, begins_anew, contradicts, register_readings
from gateway.domain.repeats import repeat_key
from gateway.domain.reservations import used
from gateway.domain.state import ChargePointState, is_older
from gateway.domain.times import ReportedTime, read_time
from gateway.domain.transactions import folded, is_retry, start_key
from gateway.domain.values import JSON, ConnectorAddress, Flag
from gateway.ocpp.v16 import SUBPROTOCOL
from gateway.ocpp.v16.addresses import to_address
from gateway.ocpp.v16.configuration_keys import connection_timeout
from gateway.ocpp.v16.profiles.common import UNKNOWN, doubts_of, event, id_tag_info, present
from gateway.ocpp.v16.profiles.metering import as_sent

ACCEPTED: Final = "Accepted"
CONCURRENT: Final = "ConcurrentTx"

MAX_OPEN_TRANSACTIONS: Final = 64
"""Open at once on one charge point. The largest posts have a dozen connectors; a charger that starts on ever new
connector numbers loses its oldest."""

NO_TRANSACTION: Final = -1
"""What a charger names in a stop whose start was never confirmed (SE 3.18)."""

AT_ONCE: Final = timedelta(seconds=10)
"""What is shorter was no charging, but a start and a stop that were sent together."""


# --- StartTransaction -----------------------------------------------------------------------------------------


def query_start(_: ChargePointState, request: Request[call.StartTransaction]) -> StartQuery:
    payload = request.payload
    return StartQuery(payload.id_tag, _key(payload), to_address(payload.connector_id))


def decide_start(
    state: ChargePointState, request: Request[call.StartTransaction], facts: Facts, context: Context
) -> Decision:
    """A transaction with a number of its own, whatever the tag's standing (B4.1, B4.5), or the one that this
    start has made before (B4.6). What was open on the connector is lost, unless it began later (B4.9) by a clock that
    can be trusted; the reservation that it names, or that is its tag's, is used up (B4.11)."""
    payload = request.payload
    authorization = facts.authorization or UNKNOWN
    time = read_time(payload.timestamp, context.now)
    twin = facts.transaction
    if twin is not None and is_retry(state, twin, request.message_id, time):
        return Decision(_start_reply(twin.number, authorization, twin.status))

    connector = to_address(payload.connector_id)
    single = authorization.status == ACCEPTED and not authorization.allow_concurrent
    status = CONCURRENT if single and facts.tag_in_use else authorization.status
    flags = doubts_of(state, connector)
    missing = payload.meter_start < 0 or "missing-register" in request.deviations
    if missing or _runs_backwards(state, connector, payload.meter_start, time):
        flags = (*flags, Flag.METER_IMPLAUSIBLE)
    tells = time.trusted is not None and not state.memory.runs_back(time.trusted)
    began = time.trusted if tells and time.trusted is not None else context.now
    started = TransactionStarted(
        transaction_id=context.new_transaction_id,
        number=facts.number,
        connector=connector,
        id_tag=payload.id_tag,
        status=status,
        meter_start=payload.meter_start,
        start_key=_key(payload),
        reservation_id=payload.reservation_id,
        payload_text=request.text,
        dialect=SUBPROTOCOL,
        start_command_id=_remote_start(state, connector, payload.id_tag, began, context)
        if state.pending_starts
        else "",
    )
    lost = _lost_to(state, connector, began)
    stale = staleness.at_start(state, started, began, time.queued if tells else None)
    events = (
        *(event(request, context, TransactionLost(t.transaction_id, t.connector)) for t in lost),
        event(request, context, started, time, payload.timestamp, flags),
        *(event(request, context, change) for change in stale),
        *(event(request, context, end) for end in used(state, started, authorization.parent_id_tag, time.queued)),
    )
    # Accepted on the ground that the tag is free: it must still be when this is committed.
    guards = (IdTagFree(payload.id_tag, connector),) if single and status == ACCEPTED else ()
    return Decision(_start_reply(facts.number, authorization, status), events, guards)


def _runs_backwards(state: ChargePointState, connector: ConnectorAddress, meter_start: int, time: ReportedTime) -> bool:
    """Return whether a start's register is lower than the last stop's on its connector (E18), which came on this
    connection and after the last Boot: another unit's, or another meter's, begins anew."""
    if connector not in state.last_stops:
        return False
    before, then = state.last_stops[connector]
    return begins_anew(meter_start, before) and not is_older(time.trusted, then)


def _remote_start(
    state: ChargePointState, connector: ConnectorAddress, id_tag: str, began: datetime, context: Context
) -> str:
    window = connection_timeout(state.configuration)
    return remote_starts.taken_by(state.pending_starts, id_tag, connector, began, context.now, window)


def _key(payload: call.StartTransaction) -> str:
    return start_key(to_address(payload.connector_id), payload.id_tag, payload.timestamp, payload.meter_start)


def _start_reply(number: int, authorization: Authorization, status: str) -> dict[str, JSON]:
    return {"transactionId": number, "idTagInfo": id_tag_info(authorization, status)}


def _lost_to(state: ChargePointState, connector: ConnectorAddress, at: datetime) -> list[TransactionRecord]:
    """Return what a start at ``at`` shows to be over; besides, the oldest where there are too many."""
    lost = [t for t in state.open_transactions.values() if t.connector == connector and t.started_at <= at]
    others = [t for t in state.open_transactions.values() if t not in lost]
    surplus = len(others) - (MAX_OPEN_TRANSACTIONS - 1)
    if surplus > 0:
        lost.extend(sorted(others, key=lambda t: t.start_sequence)[:surplus])
    return lost


# --- StopTransaction ------------------------------------------------------------------------------------------


def query_stop(state: ChargePointState, request: Request[call.StopTransaction]) -> StopQuery:
    payload = request.payload
    transaction = state.by_number(payload.transaction_id) or _only_candidate(state, payload)
    number, tag = payload.transaction_id, present(payload.id_tag)
    if transaction is None:
        return StopQuery(number, tag)
    return StopQuery(number, tag, transaction.id_tag, transaction.transaction_id)


def decide_stop(
    state: ChargePointState, request: Request[call.StopTransaction], facts: Facts, context: Context
) -> Decision:
    """Always confirmed (B5.1). Ends the charger's own transaction once (B5.6), also one that was taken for
    lost; anything else is kept as an orphan, once, and touches no transaction (B5.4, B5.5, B5.7)."""
    payload = request.payload
    reply: dict[str, JSON] = {}
    if present(payload.id_tag) is not None:
        reply["idTagInfo"] = id_tag_info(facts.authorization or UNKNOWN)

    number = payload.transaction_id
    transaction = state.by_number(number) or facts.transaction
    # A stop that named no transaction is not known by its transaction when it comes once more: it would be another
    # orphan, or end the next transaction.
    repeated = state.memory.knows(_stop_key(payload))
    if transaction is None:
        transaction = None if repeated else _only_candidate(state, payload)
        if transaction is None:
            why = "unknown-number" if number > 0 else "no-number"
            orphans = () if repeated else (_orphan(request, context, why),)
            return Decision(reply if number == NO_TRANSACTION else {}, orphans)
        inferred: tuple[Flag, ...] = (Flag.TRANSACTION_INFERRED,)
        return Decision(reply, (_stopped(transaction, request, facts, context, inferred),))
    if transaction.charge_point != state.identity:
        return Decision({}, () if repeated else (_orphan(request, context, "other-charge-point"),))
    if transaction.state is not TransactionState.STOPPED:
        changes = staleness.by_stop(state, transaction, read_time(payload.timestamp, context.now).trusted)
        stopped = _stopped(transaction, request, facts, context)
        return Decision(reply, (stopped, *(event(request, context, change) for change in changes)))
    if (transaction.stop_raw, transaction.meter_stop) == (payload.timestamp, payload.meter_stop):
        return Decision(reply)
    # Another stop under a number that is used up: one of another system's numbers, most likely (quirk 47).
    return Decision(reply, () if repeated else (_orphan(request, context, "already-stopped"),))


def _stop_key(payload: call.StopTransaction) -> bytes:
    """Return what identifies a stop if it comes once more; nothing does where it has no time."""
    if not payload.timestamp.strip():
        return b""
    said = (payload.transaction_id, payload.timestamp, payload.meter_stop, payload.id_tag, payload.reason)
    return repeat_key("StopTransaction", said, read_time(payload.timestamp))


def _only_candidate(state: ChargePointState, payload: call.StopTransaction) -> TransactionRecord | None:
    """The one open transaction that a stop without a number can mean (SE 3.18): its tag, its register and its time
    agree, and no other's do. None where there is any doubt."""
    if payload.transaction_id != NO_TRANSACTION:
        return None
    at, tag = read_time(payload.timestamp).trusted, present(payload.id_tag)
    found = [
        t
        for t in state.open_transactions.values()
        if (tag is None or folded(tag) == folded(t.id_tag))
        and payload.meter_stop >= t.meter_start
        and (at is None or at >= t.started_at)
    ]
    return found[0] if len(found) == 1 else None


def _stopped(
    transaction: TransactionRecord,
    request: Request[call.StopTransaction],
    facts: Facts,
    context: Context,
    flags: tuple[Flag, ...] = (),
) -> NewEvent:
    payload = request.payload
    time = read_time(payload.timestamp, context.now)
    started = read_time(transaction.start_raw).trusted
    energy = _energy(transaction, request, started, time)
    if (
        energy is None
        or Flag.METER_IMPLAUSIBLE in transaction.flags
        or _reported_at_its_end(transaction, energy, started, time)
        or _contradicted(transaction, request, facts, context, started, time)
    ):
        flags = (*flags, Flag.METER_IMPLAUSIBLE)
    if started is not None and time.trusted is not None and time.trusted < started:
        flags = (*flags, Flag.STOP_BEFORE_START)
    tag = present(payload.id_tag)  # an empty one is no tag: no other tag stopped it
    if _unrelated(transaction, tag, facts):
        flags = (*flags, Flag.ID_TAG_UNRELATED)
    authorization = facts.authorization or UNKNOWN
    body = TransactionStopped(
        transaction_id=transaction.transaction_id,
        connector=transaction.connector,
        meter_stop=payload.meter_stop,
        reason=str(payload.reason) if payload.reason else "Local",  # B5.3
        energy=energy,
        id_tag=tag,
        id_tag_status=None if tag is None else authorization.status,
        meter_value=as_sent(request, "transactionData"),
        payload_text=request.text,
        dialect=SUBPROTOCOL,
    )
    return event(request, context, body, time, payload.timestamp, flags, _stop_key(payload))


def _energy(
    transaction: TransactionRecord, request: Request[call.StopTransaction], started: datetime | None, time: ReportedTime
) -> int | None:
    """Wh between the registers (E13); None where that can't be (B5.8, E15, E15b)."""
    payload = request.payload
    energy: int = payload.meter_stop - transaction.meter_start
    if energy < 0 or transaction.meter_start < 0 or "missing-register" in request.deviations:
        return None
    if Flag.METER_IMPLAUSIBLE in transaction.flags and transaction.meter_start == 0:
        return None  # it had none; one that only ran backwards is no reason to change the energy
    if started is not None and time.trusted is not None:
        took = max(time.trusted - started, timedelta()) + SLACK
        if energy > MAX_POWER * took / timedelta(hours=1):
            return None
    return energy


def _contradicted(
    transaction: TransactionRecord,
    request: Request[call.StopTransaction],
    facts: Facts,
    context: Context,
    started: datetime | None,
    time: ReportedTime,
) -> bool:
    """Return whether the registers of start and stop contradict the session's own samples (E13, E15b)."""
    payload = request.payload
    readings = (*facts.readings, *register_readings(as_sent(request, "transactionData"), context.now))
    return contradicts(transaction.meter_start, started, payload.meter_stop, time.trusted, readings)


def _reported_at_its_end(
    transaction: TransactionRecord, energy: int, started: datetime | None, time: ReportedTime
) -> bool:
    """Return whether a start came with its stop only, from a register of 0 (quirk 69): the energy may be right, and is
    kept, but neither the register nor the time of the start was read when it began."""
    if transaction.meter_start != 0 or energy == 0 or started is None or time.trusted is None:
        return False
    return time.trusted - started <= AT_ONCE


def _unrelated(transaction: TransactionRecord, stopped_by: str | None, facts: Facts) -> bool:
    """Return whether a tag stopped what neither it nor its group had started; parent is compared to parent
    (S §3.10)."""
    if stopped_by is None or folded(stopped_by) == folded(transaction.id_tag):
        return False
    parent = facts.authorization.parent_id_tag if facts.authorization else None
    starting = facts.starting_tag.parent_id_tag if facts.starting_tag else None
    return not parent or not starting or folded(parent) != folded(starting)


def _orphan(request: Request[call.StopTransaction], context: Context, why: str) -> NewEvent:
    payload = request.payload
    time = read_time(payload.timestamp, context.now)
    body = TransactionOrphaned(payload.transaction_id, why, request.text or request.raw, SUBPROTOCOL)
    return event(request, context, body, time, payload.timestamp, repeat_key=_stop_key(payload))

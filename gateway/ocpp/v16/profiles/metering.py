"""MeterValues (S §4.7): always confirmed, kept as sent, attributed to a transaction (B6)."""

from typing import Any, Final

import orjson
from ocpp.v16 import call

from gateway.domain import staleness
from gateway.domain.decision import Context, Decision, Facts, Request, TransactionQuery
from gateway.domain.events import MeterValuesReported, TransactionForeign
from gateway.domain.live_power import newest_power, plain_power
from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.registers import follows, newest_registers
from gateway.domain.repeats import repeat_key
from gateway.domain.state import MAX_FOREIGN, ChargePointState, is_older
from gateway.domain.times import NO_TIME, ReportedTime, read_time
from gateway.domain.values import JSON, WHOLE_CHARGE_POINT, ConnectorAddress, Flag
from gateway.ocpp.v16 import SUBPROTOCOL
from gateway.ocpp.v16.addresses import to_address
from gateway.ocpp.v16.profiles.common import doubts_of, event

_STOPPED: Final = TransactionState.STOPPED
"""Asked of every message: to look a member of an enumeration up takes as long as a small function."""

MAX_TIMES: Final = 500
"""Times looked at from either end of a list, for the newest of them: a charger lists its samples in one order or the
other. 1 µs each; a message may hold a hundred thousand."""


def query_meter_values(state: ChargePointState, request: Request[call.MeterValues]) -> TransactionQuery | None:
    """Ask for a transaction that is not open here: it may have ended, or be another charge point's."""
    number = request.payload.transaction_id
    if number is None or number <= 0 or state.by_number(number) is not None:
        return None
    return TransactionQuery(number)


def decide_meter_values(
    state: ChargePointState, request: Request[call.MeterValues], facts: Facts, context: Context
) -> Decision:
    """One event with the values as sent; reading them is ``gateway.domain.readings``' (a bad one spoils no other).

    One of the last messages once more is one whose answer was lost: confirmed, and recorded once (B6.8). It
    must carry a time: two equal readings without one may be two.
    """
    payload = request.payload
    connector = to_address(payload.connector_id)
    values = as_sent(request, "meterValue")
    values_json = orjson.dumps(values)  # once, for all: to be known again, stored and shown
    raw, time = _newest_time(values, context)
    key = b""
    if raw is not None or request.text:
        said = request.text or orjson.Fragment(values_json)
        key = repeat_key(request.action, (payload.connector_id, payload.transaction_id, said), time)
        if state.memory.knows(key):
            return Decision({})
    number = payload.transaction_id
    known = None if number is None else state.by_number(number) or facts.transaction
    transaction, inferred = None, False
    flags: tuple[Flag, ...] = ()
    if connector != WHOLE_CHARGE_POINT:  # the main meter, and no transaction's (B6.2)
        transaction, inferred = _transaction_of(state, known, connector, time)
        flags = doubts_of(state, connector)
    if inferred:
        flags = (Flag.TRANSACTION_INFERRED, *flags)
    electrical: list[JSON] = []
    registers, contradict = newest_registers(values, context.now, electrical)
    if contradict or (registers and _implausible(state, connector, registers, time)):
        flags = (*flags, Flag.METER_IMPLAUSIBLE)
    body = MeterValuesReported(
        connector,
        values,
        None if transaction is None else transaction.transaction_id,
        number,
        request.text,
        SUBPROTOCOL,
        values_json,
    )
    power = None
    if electrical or len(values) > 1:
        at = time.trusted or context.now
        power = plain_power(electrical, at) or newest_power(values, raw, at, SUBPROTOCOL)
    reported = event(request, context, body, time, raw, flags, key, registers, power)
    foreign = _foreign(state, known, number)
    events = (
        (reported,) if foreign is None else (reported, event(request, context, TransactionForeign(foreign, connector)))
    )
    if transaction is None or inferred:
        return Decision({}, events)
    changes = staleness.by_readings(state, transaction, time)
    for each in changes:
        events = (*events, event(request, context, each))
    return Decision({}, events)


def _foreign(state: ChargePointState, known: TransactionRecord | None, number: int | None) -> int | None:
    """The number of a transaction that was begun under another system and has not been named on this connection yet."""
    if number is None or number <= 0 or number in state.foreign or len(state.foreign) >= MAX_FOREIGN:
        return None
    return number if known is None or known.charge_point != state.identity else None


def _implausible(
    state: ChargePointState,
    connector: ConnectorAddress,
    registers: tuple[tuple[str, float], ...],
    time: ReportedTime,
) -> bool:
    """Return whether a register is negative, or does not follow on what it was before on this connector (E12, E15b,
    E16)."""
    for location, wh in registers:
        if wh < 0:
            return True
        key = (connector.evse, connector.connector, location)
        if key in state.registers:
            before, then = state.registers[key]
            if not is_older(time.trusted, then) and not follows(wh, time.trusted, before, then):
                return True
    return False


def as_sent(request: Request[Any], field: str) -> tuple[JSON, ...]:
    """A list of meter values as the charger sent it; what isn't a list becomes the one element of one."""
    sent = request.raw.get(field)
    if isinstance(sent, list):
        return tuple(sent)
    return () if sent is None else (sent,)


def _newest_time(values: tuple[JSON, ...], context: Context) -> tuple[str | None, ReportedTime]:
    """The newest time that can be trusted, else the last one given."""
    newest, known = None, NO_TIME
    if len(values) > 2 * MAX_TIMES:
        values = (*values[:MAX_TIMES], *values[-MAX_TIMES:])
    for value in values:
        raw = value.get("timestamp") if isinstance(value, dict) else None
        if isinstance(raw, str):
            time = read_time(raw, context.now)
            if known.trusted is None or (time.trusted is not None and time.trusted >= known.trusted):
                newest, known = raw, time
    return newest, known


def _transaction_of(
    state: ChargePointState, named: TransactionRecord | None, connector: ConnectorAddress, time: ReportedTime
) -> tuple[TransactionRecord | None, bool]:
    """The transaction that the values belong to, and whether that was inferred. ``named``: the charger named it.

    The number that a charger names decides, also of one that a later start has made a lost one: it goes on where the
    charger says so. After its stop it still has its values (B6.4, E24), unless one that began later was running by
    then: some chargers keep an old number (quirk 35). One that began earlier only seems to run: its stop is still in
    the charger's queue (B4.8).
    """
    if named is not None and named.charge_point != state.identity:
        named = None
    if named is not None and (named.state is not _STOPPED or not _over_by(named, time)):
        return named, False
    running = _running_on(state, connector, time)
    if named is not None and (running is None or running.started_at <= named.started_at):
        return named, False
    return running, running is not None


def _running_on(state: ChargePointState, connector: ConnectorAddress, time: ReportedTime) -> TransactionRecord | None:
    """Return what was running on a connector at a time, among what is open and not stale by then (B6.4). Without a
    time: now."""
    at = time.trusted
    here = [t for t in state.open_transactions.values() if t.connector == connector]
    begun = [t for t in here if staleness.takes_readings(t, time) and (at is None or t.started_at <= at)]
    if at is None:
        return max(begun, key=lambda t: t.start_sequence, default=None)
    return max(begun, key=lambda t: (t.started_at, t.start_sequence), default=None)


def _over_by(transaction: TransactionRecord, time: ReportedTime) -> bool:
    at = time.trusted
    return at is None or transaction.stopped_at is None or transaction.stopped_at < at

"""Counts of a fleet as SQL, for stores that speak it (``gateway.store.list_sql`` has what they share)."""

# ruff: noqa: S608 - statements are put together from constants of stores' modules; what is given is bound

from collections import Counter
from datetime import datetime

import orjson

from gateway.domain.charging_state import ChargingState, PowerLevel, charging_state
from gateway.domain.fleet_summary import MAX_MAKES, MAX_SHOWN, SILENT_AFTER, Fault, FleetCounts, MakeCount, Silent
from gateway.domain.labels import Labels
from gateway.domain.records import ConnectorRecord
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.encoding import to_micros, to_time
from gateway.store.list_sql import Fetch, Given, Listed
from gateway.store.rows import Row

_WITH_CONNECTORS = "charge_point JOIN connector k ON k.charge_point = charge_point.key"
_OUTSIDE = """NOT EXISTS (SELECT 1 FROM charging_state s WHERE s.charge_point = k.charge_point AND s.evse = k.evse
    AND s.connector = k.connector)"""


def fleet_counts(fetch: Fetch, listed: Listed, labels: Labels, now: datetime, gone_before: datetime) -> FleetCounts:
    """Count those with all of the labels. What went away at ``gone_before`` or earlier is in no known state."""
    where, given = f"WHERE {listed.always}", list[str | int]()
    if labels:
        sql, given = listed.labelled(labels.items(), listed.charge_point)
        where = f"{where} AND {sql}"
    counted = fetch(f"SELECT registration, connected, count(*) FROM charge_point {where} GROUP BY 1, 2", given)
    faults, fault_count = _faults(fetch, where, given)
    away = f"""FROM charge_point {where} AND connected = 0 AND registration = ? AND connection_since <= ?"""
    silent_given = [*given, Registration.ACCEPTED.value, to_micros(now - SILENT_AFTER)]
    silent = fetch(f"SELECT identity, connection_since {away} ORDER BY 2 DESC, 1 LIMIT {MAX_SHOWN}", silent_given)
    never = f"FROM charge_point {where} AND registration = ? AND connection_since IS NULL"
    tied = "JOIN charge_point ON charge_point.key = t.charge_point"
    stages = fetch(f"SELECT t.stages FROM operation t {tied} {where} AND t.ended IS NULL", given)
    steering = fetch(f"SELECT t.state, count(*) FROM steering t {tied} {where} GROUP BY 1", given)
    open_ = fetch(f"SELECT count(*) FROM txn t {tied} {where} AND t.state = 'OPEN'", given)
    return FleetCounts(
        tuple((Registration(each[0]), bool(each[1]), each[2]) for each in counted),
        _makes(fetch, listed, where, given),
        _states(fetch, where, given, gone_before),
        faults,
        fault_count,
        tuple(Silent(identity, to_time(since)) for identity, since in silent),
        fetch(f"SELECT count(*) {away}", silent_given)[0][0],
        fetch(f"SELECT count(*) {never}", [*given, Registration.ACCEPTED.value])[0][0],
        dict(Counter(str(orjson.loads(each)[-1][0]) for (each,) in stages)),
        dict(steering),
        open_[0][0],
    )


def _makes(fetch: Fetch, listed: Listed, where: str, given: Given) -> tuple[MakeCount, ...]:
    names = [f"coalesce({listed.columns[name].sql}, '')" for name in ("vendor", "model", "firmware_version")]
    sql = f"""SELECT {", ".join(names)}, connected, count(*) FROM charge_point {where} GROUP BY 1, 2, 3, 4
        ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT {MAX_MAKES}"""
    found = fetch(sql, given)
    return tuple(MakeCount(vendor, model, firmware, bool(on), n) for vendor, model, firmware, on, n in found)


def _states(fetch: Fetch, where: str, given: Given, gone_before: datetime) -> dict[ChargingState, int]:
    """Connectors by charging state; of those of which no event has said one, their status alone says it."""
    gone = "CASE WHEN connected = 0 AND (connection_since IS NULL OR connection_since <= ?) THEN 1 ELSE 0 END"
    kept = f"""SELECT {gone}, s.state, count(*) FROM charge_point
        JOIN charging_state s ON s.charge_point = charge_point.key {where} GROUP BY 1, 2"""
    bare = f"""SELECT {gone}, k.status, count(*) FROM {_WITH_CONNECTORS} {where} AND k.evse > 0 AND {_OUTSIDE}
        GROUP BY 1, 2"""
    found: Counter[ChargingState] = Counter()
    parameters = [to_micros(gone_before), *given]
    for away, state, count in fetch(kept, parameters):
        found[ChargingState.UNKNOWN if away else ChargingState(state)] += count
    for away, status, count in fetch(bare, parameters):
        shown = charging_state(status, PowerLevel.UNKNOWN).state
        found[ChargingState.UNKNOWN if away else shown] += count
    return dict(found)


def _faults(fetch: Fetch, where: str, given: Given) -> tuple[tuple[Fault, ...], int]:
    """The newest faults, and how many there are; of a connector, or of a charge point as a whole."""
    tables = f"FROM {_WITH_CONNECTORS} {where} AND k.status = 'Faulted'"
    sql = f"""SELECT identity, connected, k.evse, k.connector, k.error_code, k.reported_at, k.info, k.vendor_id,
        k.vendor_error_code {tables} ORDER BY k.reported_at DESC, 1, 3, 4 LIMIT {MAX_SHOWN}"""
    rows = fetch(sql, given)
    faults = tuple(_fault(row) for row in rows)
    return faults, fetch(f"SELECT count(*) {tables}", given)[0][0] if len(faults) == MAX_SHOWN else len(faults)


def _fault(row: Row) -> Fault:
    identity, connected, evse, connector, error_code, reported_at, *vendors = row
    reported = ConnectorRecord(ConnectorAddress(evse, connector), "Faulted", error_code, to_time(reported_at), *vendors)
    return Fault(identity, reported, bool(connected))

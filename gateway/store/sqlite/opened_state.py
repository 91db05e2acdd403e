"""A charge point's state read from the records: as its new owner is given it, and as it is while there is none."""

from datetime import datetime

from apsw import Connection

from gateway.domain.remote_starts import RECONNECTED, returned
from gateway.domain.repeats import Memory
from gateway.domain.state import ChargePointState
from gateway.domain.values import Registration
from gateway.store import rows
from gateway.store.api import StoredState
from gateway.store.clock_offsets import clock_offset
from gateway.store.encoding import from_quirks, maybe_time
from gateway.store.sqlite import queries, steering
from gateway.store.sqlite.event_queries import newest_values
from gateway.store.sqlite.operation_queries import open_operations
from gateway.store.sqlite.progress import progress
from gateway.store.sqlite.selects import one
from gateway.store.sqlite.signing import open_signing
from gateway.store.sqlite.writer import Owner, Writer

_OVERVIEW = """SELECT registration, ever_accepted, boot, booted_at, quirks, clock_offset, latest, latest_epoch,
    EXISTS (SELECT 1 FROM connector WHERE charge_point = c.key),
    EXISTS (SELECT 1 FROM txn WHERE charge_point = c.key AND state = 'OPEN'),
    EXISTS (SELECT 1 FROM boot_configuration WHERE charge_point = c.key),
    EXISTS (SELECT 1 FROM reservation WHERE charge_point = c.key),
    EXISTS (SELECT 1 FROM configuration WHERE charge_point = c.key),
    EXISTS (SELECT 1 FROM pending_start WHERE charge_point = c.key),
    EXISTS (SELECT 1 FROM steering WHERE charge_point = c.key),
    EXISTS (SELECT 1 FROM charging_profile WHERE charge_point = c.key),
    EXISTS (SELECT 1 FROM operation WHERE charge_point = c.key AND ended IS NULL),
    EXISTS (SELECT 1 FROM progress WHERE charge_point = c.key),
    EXISTS (SELECT 1 FROM charging_state WHERE charge_point = c.key),
    EXISTS (SELECT 1 FROM signing WHERE charge_point = c.key)
    FROM charge_point c WHERE key = ?"""
"""What there is to be read of a charge point. Most have little of it, and every statement lets go of the interpreter's
lock, for which it then has to wait."""


def opened_state(writer: Writer, owner: Owner, at: datetime) -> ChargePointState:
    """The state of a charge point that has connected at this time."""
    return _state(writer.cx, owner.key, owner.identity, owner.epoch, writer.memory(owner), at, owner.epoch - 1)


def stored_state(cx: Connection, identity: str, at: datetime) -> StoredState | None:
    """The state that a charge point would begin with if it connected now, but for what it said last; None: there is
    none."""
    sql = "SELECT key, epoch, connected FROM charge_point WHERE identity = ? AND deleted_at IS NULL"
    row = cx.execute(sql, (identity,)).fetchone()
    if row is None:
        return None
    key, epoch, connected = row
    return StoredState(_state(cx, key, identity, epoch, Memory(), at, epoch), bool(connected))


def _state(
    cx: Connection, key: int, identity: str, epoch: int, memory: Memory, at: datetime, last_epoch: int
) -> ChargePointState:
    """``last_epoch``: that of the newest session before."""
    registration, ever_accepted, boot, booted, quirks, clock, latest, latest_epoch, *there = one(cx, _OVERVIEW, (key,))
    connectors, open_, applied, reserved, configured, started, steered, profiled, asked, worked, charging, signs = there
    state = ChargePointState(
        identity=identity,
        epoch=epoch,
        registration=Registration(registration),
        ever_accepted=bool(ever_accepted),
        boot=rows.boot_information(boot),
        connectors={record.connector: record for record in queries.connectors(cx, key)} if connectors else {},
        open_transactions={record.transaction_id: record for record in queries.open_transactions(cx, key)}
        if open_
        else {},
        boot_configuration={each.key: each for each in queries.boot_configuration(cx, key)} if applied else {},
        reservations={record.reservation_id: record for record in queries.reservations(cx, key)} if reserved else {},
        pending_starts={each.command_id: each for each in returned(queries.pending_starts(cx, key), at)}
        if started
        else {},
        operations={each.record.operation_id: each for each in open_operations(cx, key, at + RECONNECTED)}
        if asked
        else {},
        progress=progress(cx, key) if worked else {},
        configuration=queries.configuration(cx, key) if configured else {},
        memory=memory,
        quirks=from_quirks(quirks),
        wanted=steering.wanted(cx, key) if steered else {},
        steering=steering.steerings(cx, key) if steered else {},
        profiles=steering.charging_profiles(cx, key) if profiled else {},
        clock=clock_offset(clock),
        booted_at=maybe_time(booted),
        signing=open_signing(cx, key) if signs else None,
    )
    kept = queries.charging_states(cx, [key]).get(key, ()) if charging else ()
    state.charging.begin(state.connectors.values(), kept, at)
    state.latest.base = latest.encode()
    if latest_epoch != last_epoch:  # a session that did not record its end
        state.latest.add_stored(newest_values(cx, key, ""))
    return state

"""A charge point's state read from the records: as its new owner is given it, and as it is while there is none."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from datetime import datetime
from typing import Final

from gateway.domain.codec import decode_value
from gateway.domain.remote_starts import RECONNECTED, returned
from gateway.domain.repeats import Memory
from gateway.domain.state import ChargePointState
from gateway.domain.steering import Steering, Wanted
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store import rows
from gateway.store.api import StoredState
from gateway.store.clock_offsets import clock_offset
from gateway.store.encoding import from_quirks, maybe_time
from gateway.store.postgres import operation_queries, progress, queries, signing, steering
from gateway.store.postgres.books import Owner
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.history import NEWEST_OF, newest_values
from gateway.store.postgres.writer import Writer

_CHARGE_POINT: Final = """SELECT registration, ever_accepted, boot, booted_at, quirks, clock_offset, latest,
    latest_epoch FROM charge_point WHERE key = $1"""
_OPEN: Final = f"{queries.TRANSACTION} WHERE txn.charge_point = $1 AND txn.state = 'OPEN' ORDER BY txn.start_sequence"
_STARTS: Final = (
    f"SELECT {rows.PENDING_START} FROM pending_start WHERE charge_point = $1 ORDER BY queued_at, command_id"
)
_CONFIGURATION: Final = "SELECT name, value FROM configuration WHERE charge_point = $1 ORDER BY name"
_PROGRESS: Final = f"SELECT {progress.COLUMNS} FROM progress WHERE charge_point = $1 ORDER BY work"


def opened_state(writer: Writer, owner: Owner, at: datetime) -> ChargePointState:
    """The state of a charge point that has connected at this time."""
    writer.flush()
    return _state(writer.cx, owner.key, owner.identity, owner.epoch, owner.memory, at, owner.epoch - 1)


def stored_state(cx: Connection, identity: str, at: datetime) -> StoredState | None:
    """The state that a charge point would begin with if it connected now, but for what it said last; None: there is
    none."""
    sql = "SELECT key, epoch, connected FROM charge_point WHERE identity = $1 AND deleted_at IS NULL"
    row = cx.first(sql, identity)
    if row is None:
        return None
    key, epoch, connected = row
    return StoredState(_state(cx, key, identity, epoch, Memory(), at, epoch), bool(connected))


def _state(
    cx: Connection, key: int, identity: str, epoch: int, memory: Memory, at: datetime, last_epoch: int
) -> ChargePointState:
    """``last_epoch``: that of the newest session before. All of it is asked together."""
    keys = Array("int4", [key])
    own, connectors, open_, applied, reserved, configured, started = (
        cx.send(_CHARGE_POINT, key),
        cx.send(queries.CONNECTORS, keys),
        cx.send(_OPEN, key),
        cx.send(queries.APPLIED, keys),
        cx.send(queries.RESERVATIONS, keys),
        cx.send(_CONFIGURATION, key),
        cx.send(_STARTS, key),
    )
    steered, profiled, asked, worked, charging, signs = (
        cx.send(steering.STEERING, key),
        cx.send(steering.PROFILES, key),
        cx.send(operation_queries.OPEN, key),
        cx.send(_PROGRESS, key),
        cx.send(queries.CHARGING, keys),
        cx.send(signing.OPEN, key),
    )
    cx.sync()
    registration, ever_accepted, boot, booted, quirks, clock, latest, latest_epoch = own.rows[0]
    records = [rows.connector(tuple(row)) for _, *row in connectors.rows]
    transactions = [rows.transaction(row) for row in open_.rows]
    configuration = [rows.applied(tuple(row)) for _, *row in applied.rows]
    reservations = [rows.reservation(tuple(row)) for _, *row in reserved.rows]
    wanted = [
        (decode_value(body, Wanted), ConnectorAddress(evse, number), decode_value(progress_of, Steering))
        for evse, number, body, progress_of in steered.rows
    ]
    operations = operation_queries.open_operations(cx, key, at + RECONNECTED) if asked.rows else []
    state = ChargePointState(
        identity=identity,
        epoch=epoch,
        registration=Registration(registration),
        ever_accepted=bool(ever_accepted),
        boot=rows.boot_information(boot),
        connectors={each.connector: each for each in records},
        open_transactions={each.transaction_id: each for each in transactions},
        boot_configuration={each.key: each for each in configuration},
        reservations={each.reservation_id: each for each in reservations},
        pending_starts={each.command_id: each for each in returned(map(rows.pending_start, started.rows), at)},
        operations={each.record.operation_id: each for each in operations},
        progress=dict(map(progress.record, worked.rows)),
        configuration=dict(configured.rows),
        memory=memory,
        quirks=from_quirks(quirks),
        wanted={each.connector: each for each, _, _ in wanted},
        steering={connector: each for _, connector, each in wanted},
        profiles=steering.charging_profiles(profiled.rows),
        clock=clock_offset(clock),
        booted_at=maybe_time(booted),
        signing=signing.open_signing(signs.rows),
    )
    state.charging.begin(state.connectors.values(), [rows.charging_state(row)[1] for row in charging.rows], at)
    state.latest.base = latest.encode()
    if latest_epoch != last_epoch:  # a session that did not record its end
        state.latest.add_stored(newest_values(cx.rows(NEWEST_OF, key), ""))
    return state

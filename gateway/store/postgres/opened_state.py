"""A charge point's state read from the records: as its new owner is given it, and as it is while there is none."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway.domain.codec import decode_value
from gateway.domain.remote_starts import RECONNECTED, returned
from gateway.domain.repeats import Memory
from gateway.domain.state import ChargePointState
from gateway.domain.steering import Steering, Wanted
from gateway.domain.values import ConnectorAddress, Registration
from gateway.quick_frozen import quick_frozen
from gateway.store import rows
from gateway.store.api import StoredState
from gateway.store.clock_offsets import clock_offset
from gateway.store.encoding import from_quirks, maybe_time
from gateway.store.postgres import operation_queries, progress, queries, signing, steering
from gateway.store.postgres.books import Owner
from gateway.store.postgres.connection import Answer, Connection
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


AT_ONCE: Final = 64
"""Charge points whose states are asked together: some 800 statements, and one wait for all of them."""


def opened_states(writer: Writer, opened: Sequence[tuple[Owner, datetime]]) -> list[ChargePointState]:
    """The states of charge points that have connected, each at its time."""
    writer.flush()
    found: list[ChargePointState] = []
    for first in range(0, len(opened), AT_ONCE):
        found += _states(
            writer.cx,
            [
                _Known(owner.key, owner.identity, owner.epoch, owner.memory, at, owner.epoch - 1)
                for owner, at in opened[first : first + AT_ONCE]
            ],
        )
    return found


def stored_state(cx: Connection, identity: str, at: datetime) -> StoredState | None:
    """The state that a charge point would begin with if it connected now, but for what it said last; None: there is
    none."""
    sql = "SELECT key, epoch, connected FROM charge_point WHERE identity = $1 AND deleted_at IS NULL"
    row = cx.first(sql, identity)
    if row is None:
        return None
    key, epoch, connected = row
    [state] = _states(cx, [_Known(key, identity, epoch, Memory(), at, epoch)])
    return StoredState(state, bool(connected))


@quick_frozen
class _Known:
    """A charge point before its state is asked for. ``last_epoch``: that of the newest session
    before."""

    key: int
    identity: str
    epoch: int
    memory: Memory
    at: datetime
    last_epoch: int


def _states(cx: Connection, known: Sequence[_Known]) -> list[ChargePointState]:
    """All of it is asked together, and then what some of them need besides."""
    asked = [_ask(cx, each.key) for each in known]
    cx.sync()
    states = [_state(cx, each, answers) for each, answers in zip(known, asked, strict=True)]
    newest = []
    for each, (own, *_), state in zip(known, asked, states, strict=True):
        latest, latest_epoch = own.rows[0][-2:]
        state.latest.base = latest.encode()
        if latest_epoch != each.last_epoch:  # a session that did not record its end
            newest.append((state, cx.send(NEWEST_OF, each.key)))
    if newest:
        cx.sync()
    for state, answer in newest:
        state.latest.add_stored(newest_values(answer.rows, ""))
    return states


def _ask(cx: Connection, key: int) -> tuple[Answer, ...]:
    keys = Array("int4", [key])
    return (
        cx.send(_CHARGE_POINT, key),
        cx.send(queries.CONNECTORS, keys),
        cx.send(_OPEN, key),
        cx.send(queries.APPLIED, keys),
        cx.send(queries.RESERVATIONS, keys),
        cx.send(_CONFIGURATION, key),
        cx.send(_STARTS, key),
        cx.send(steering.STEERING, key),
        cx.send(steering.PROFILES, key),
        cx.send(operation_queries.OPEN, key),
        cx.send(_PROGRESS, key),
        cx.send(queries.CHARGING, keys),
        cx.send(signing.OPEN, key),
    )


def _state(cx: Connection, known: _Known, answers: tuple[Answer, ...]) -> ChargePointState:
    own, connectors, open_, applied, reserved, configured, started, *others = answers
    steered, profiled, asked, worked, charging, signs = others
    at = known.at
    registration, ever_accepted, boot, booted, quirks, clock, _, _ = own.rows[0]
    records = [rows.connector(tuple(row)) for _, *row in connectors.rows]
    transactions = [rows.transaction(row) for row in open_.rows]
    configuration = [rows.applied(tuple(row)) for _, *row in applied.rows]
    reservations = [rows.reservation(tuple(row)) for _, *row in reserved.rows]
    wanted = [
        (decode_value(body, Wanted), ConnectorAddress(evse, number), decode_value(progress_of, Steering))
        for evse, number, body, progress_of in steered.rows
    ]
    operations = operation_queries.open_operations(cx, known.key, at + RECONNECTED) if asked.rows else []
    state = ChargePointState(
        identity=known.identity,
        epoch=known.epoch,
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
        memory=known.memory,
        quirks=from_quirks(quirks),
        wanted={each.connector: each for each, _, _ in wanted},
        steering={connector: each for _, connector, each in wanted},
        profiles=steering.charging_profiles(profiled.rows),
        clock=clock_offset(clock),
        booted_at=maybe_time(booted),
        signing=signing.open_signing(signs.rows),
    )
    state.charging.begin(state.connectors.values(), [rows.charging_state(row)[1] for row in charging.rows], at)
    return state

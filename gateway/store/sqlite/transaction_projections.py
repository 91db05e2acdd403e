"""Changes of a transaction's record by events, as ``gateway.store.sqlite.projections`` does others."""

from apsw import Connection

from gateway.domain import events as e
from gateway.domain import profiles
from gateway.domain.event_records import event_time, started_record
from gateway.domain.events import NewEvent
from gateway.domain.transactions import folded
from gateway.domain.values import Flag
from gateway.store.encoding import clamped, maybe_clamped, maybe_micros, to_flags, to_micros, to_words
from gateway.store.sqlite import command_projections as commands
from gateway.store.sqlite import steering
from gateway.store.sqlite.audit_notes import noted
from gateway.store.sqlite.clock_offsets import measured


def heard(cx: Connection, transaction: int, sequence: int, at: int) -> None:
    """Note the newest event of a transaction that has ended, or ends by it, and that its charge point is quiet about it
    from then on. To be called before its energy's position changes."""
    cx.execute(
        """UPDATE txn SET last_sequence = ?2, heard_at = ?3, heard_mark = c.mark,
        quiet_before = CASE WHEN last_sequence > energy_sequence THEN quiet_before ELSE c.mark - heard_mark END
        FROM (SELECT key, connected_for + CASE connected WHEN 1 THEN max(?3 - connection_since, 0) ELSE 0 END AS mark
        FROM charge_point) AS c WHERE txn.key = ?1 AND c.key = txn.charge_point""",
        (transaction, sequence, at),
    )


def started(cx: Connection, key: int, event: NewEvent, at: int, body: e.TransactionStarted, sequence: int) -> None:
    measured(cx, key, event)
    record = started_record("", event, body, sequence)  # the row has the charge point's key
    cx.execute(
        """INSERT INTO txn (transaction_id, number, charge_point, evse, connector, id_tag, folded_tag, status, state,
        meter_start, started_at, start_received_at, start_sequence, start_raw, start_key, reservation_id, flags,
        last_sequence, start_command_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            record.transaction_id,
            record.number,
            key,
            clamped(record.connector.evse),
            clamped(record.connector.connector),
            record.id_tag,
            folded(record.id_tag),
            record.status,
            record.state,
            clamped(record.meter_start),
            to_micros(record.started_at),
            to_micros(record.start_received_at),
            sequence,
            record.start_raw,
            record.start_key,
            maybe_clamped(record.reservation_id),
            to_words(record.flags),
            sequence,
            record.start_command_id,
        ),
    )
    steering.refold(
        cx, key, lambda present: profiles.started(present, body.connector, body.transaction_id, event.received_at)
    )
    if record.start_command_id:
        commands.start_over(cx, key, record.start_command_id)


def stopped(cx: Connection, key: int, event: NewEvent, at: int, body: e.TransactionStopped, sequence: int) -> None:
    """Ends an open or lost transaction of this charge point; one that is stopped stays as it was (B5.6,
    B5.7)."""
    measured(cx, key, event)
    steering.forget_profiles_of(cx, key, body.transaction_id)
    found = _not_stopped(cx, key, body.transaction_id)
    if found is None:
        return
    transaction, flags = found
    heard(cx, transaction, sequence, at)
    cx.execute(
        f"{_STOP} WHERE key = ?",
        (
            clamped(body.meter_stop),
            to_micros(event_time(event)),
            at,
            event.reported_raw,
            sequence,
            body.reason,
            body.id_tag,
            maybe_clamped(body.energy),
            to_words(dict.fromkeys((*flags, *event.flags))),
            transaction,
        ),
    )


_STOP = """UPDATE txn SET state = 'STOPPED', meter_stop = ?, stopped_at = ?, stop_received_at = ?, stop_raw = ?,
    stop_sequence = ?, stop_reason = ?, stop_id_tag = ?, energy = ?, flags = ?, stale_at = NULL, stale_why = ''"""


def _not_stopped(cx: Connection, key: int, transaction_id: str) -> tuple[int, tuple[Flag, ...]] | None:
    """The key and flags of a transaction that has no stop yet."""
    row = cx.execute(
        "SELECT key, flags FROM txn WHERE transaction_id = ? AND charge_point = ? AND state <> 'STOPPED'",
        (transaction_id, key),
    ).fetchone()
    return None if row is None else (row[0], to_flags(row[1]))


def attributed(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.TransactionAttributed, sequence: int
) -> None:
    """Ends a transaction as the stop would have that an operator tied to it."""
    noted(cx, key, event, at, body, sequence)
    steering.forget_profiles_of(cx, key, body.transaction_id)
    found = _not_stopped(cx, key, body.transaction_id)
    if found is None:
        return
    transaction, flags = found
    heard(cx, transaction, sequence, at)
    ended = (
        body.stop_received_at if event.reported_at is None or Flag.CLOCK_SUSPECT in event.flags else event.reported_at
    )
    cx.execute(
        f"{_STOP} WHERE key = ?",
        (
            clamped(body.meter_stop),
            to_micros(ended),
            to_micros(body.stop_received_at),
            event.reported_raw,
            sequence,
            body.stop_reason,
            body.id_tag,
            maybe_clamped(body.energy),
            to_words(dict.fromkeys((*flags, *event.flags))),
            transaction,
        ),
    )
    cx.execute(
        "INSERT OR IGNORE INTO attribution (orphan, charge_point, transaction_id, request_id) VALUES (?, ?, ?, ?)",
        (body.orphan, key, body.transaction_id, body.request_id),
    )
    cx.execute("UPDATE txn SET closed_by = ? WHERE key = ?", (body.caller, transaction))


def lost(cx: Connection, key: int, event: NewEvent, at: int, body: e.TransactionLost, sequence: int) -> None:
    steering.forget_profiles_of(cx, key, body.transaction_id)
    row = cx.execute(
        "SELECT key FROM txn WHERE transaction_id = ? AND charge_point = ? AND state = 'OPEN'",
        (body.transaction_id, key),
    ).fetchone()
    if row is not None:
        heard(cx, row[0], sequence, at)
        cx.execute("UPDATE txn SET state = 'LOST', stale_at = NULL, stale_why = '' WHERE key = ?", row)


def stale_changed(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.TransactionStaleChanged, sequence: int
) -> None:
    cx.execute(
        """UPDATE txn SET stale_at = ?, stale_why = ?
        WHERE transaction_id = ? AND charge_point = ? AND state = 'OPEN'""",
        (
            at if body.stale else None,
            body.why if body.stale else "",
            body.transaction_id,
            key,
        ),
    )


def closed(cx: Connection, key: int, event: NewEvent, at: int, body: e.TransactionClosed, sequence: int) -> None:
    """Ends an open transaction; with a register also one that is lost, or was closed without one."""
    noted(cx, key, event, at, body, sequence)
    steering.forget_profiles_of(cx, key, body.transaction_id)
    found = _not_stopped(cx, key, body.transaction_id)
    if found is None:
        return
    transaction, flags = found
    heard(cx, transaction, sequence, at)
    cx.execute(
        """UPDATE txn SET state = 'CLOSED', closed_at = ?, close_reason = ?, close_meter = ?, close_meter_at = ?,
        flags = ?, closed_by = ?, stale_at = NULL, stale_why = '' WHERE key = ?""",
        (
            at,
            body.reason,
            maybe_clamped(body.meter_stop),
            maybe_micros(body.ended_at),
            to_words(dict.fromkeys((*flags, *event.flags))),
            body.caller,
            transaction,
        ),
    )


def energy_changed(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.TransactionEnergyChanged, sequence: int
) -> None:
    cx.execute(
        """UPDATE txn SET energy_revision = ?, energy_mwh = ?, energy_basis = ?, energy_doubts = ?, energy_rules = ?,
        energy_digest = ?, energy_sequence = ?, quiet_needed = ? WHERE transaction_id = ? AND charge_point = ?""",
        (
            body.revision,
            body.mwh,
            body.basis,
            " ".join(body.doubts),
            body.rules_version,
            body.digest,
            sequence,
            body.quiet_seconds * 1_000_000,
            body.transaction_id,
            key,
        ),
    )

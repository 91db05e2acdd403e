"""Changes of a transaction's record by events, as ``gateway.store.postgres.projections`` makes the others."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from typing import TYPE_CHECKING, Final

from gateway.domain import events as e
from gateway.domain import profiles
from gateway.domain.event_records import event_time, started_record
from gateway.domain.events import NewEvent
from gateway.domain.transactions import folded
from gateway.domain.values import Flag
from gateway.store.encoding import clamped, maybe_clamped, maybe_micros, to_micros, to_words
from gateway.store.postgres import command_projections as commands
from gateway.store.postgres import steering
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import change
from gateway.store.postgres.clock_changes import measured

if TYPE_CHECKING:
    from gateway.store.postgres.writer import Writer

_QUIET: Final = """last_sequence = (SELECT mine()) + u.sequence, heard_at = u.at,
    heard_mark = c.connected_for + CASE c.connected WHEN 1 THEN greatest(u.at - c.connection_since, 0) ELSE 0 END,
    quiet_before = CASE WHEN t.last_sequence > t.energy_sequence THEN t.quiet_before ELSE c.connected_for
    + CASE c.connected WHEN 1 THEN greatest(u.at - c.connection_since, 0) ELSE 0 END - t.heard_mark END"""
"""What notes the newest event of a transaction that has ended, or ends by it, and that its charge point is quiet about
it from then on."""

STARTED: Final = change(
    """key int4, number int8, transaction_id text, evse int8, connector int8, id_tag text, folded_tag text, status text,
    state text, meter_start int8, started_at int8, start_received_at int8, sequence int8, start_raw text,
    start_key text, reservation_id int8, flags text, start_command_id text""",
    """INSERT INTO txn (number, transaction_id, charge_point, evse, connector, id_tag, folded_tag, status, state,
    meter_start, started_at, start_received_at, start_sequence, start_raw, start_key, reservation_id, flags,
    last_sequence, start_command_id)
    SELECT u.number, u.transaction_id, u.key, u.evse, u.connector, u.id_tag, u.folded_tag, u.status, u.state,
    u.meter_start, u.started_at, u.start_received_at, (SELECT mine()) + u.sequence, u.start_raw, u.start_key,
    u.reservation_id, u.flags, (SELECT mine()) + u.sequence, u.start_command_id FROM ROWS""",
)

STOPPED: Final = change(
    """key int4, transaction_id text, sequence int8, at int8, meter_stop int8, stopped_at int8, stop_received_at int8,
    stop_raw text, stop_reason text, stop_id_tag text, energy int8, flags text""",
    f"""UPDATE txn t SET state = 'STOPPED', meter_stop = u.meter_stop, stopped_at = u.stopped_at,
    stop_received_at = u.stop_received_at, stop_raw = u.stop_raw, stop_sequence = (SELECT mine()) + u.sequence,
    stop_reason = u.stop_reason, stop_id_tag = u.stop_id_tag, energy = u.energy, flags = merged(t.flags, u.flags),
    stale_at = NULL, stale_why = '', {_QUIET}
    FROM ROWS, charge_point c WHERE t.transaction_id = u.transaction_id AND t.charge_point = u.key
    AND t.state <> 'STOPPED' AND c.key = u.key""",
)

ATTRIBUTED_BY: Final = change(
    "key int4, transaction_id text, caller text",
    """UPDATE txn t SET closed_by = u.caller FROM ROWS
    WHERE t.transaction_id = u.transaction_id AND t.charge_point = u.key""",
)

ATTRIBUTED: Final = change(
    "key int4, transaction_id text, orphan int8, request_id text",
    """INSERT INTO attribution (orphan, charge_point, transaction_id, request_id)
    SELECT u.orphan, u.key, u.transaction_id, u.request_id FROM ROWS ON CONFLICT DO NOTHING""",
)

LOST: Final = change(
    "key int4, transaction_id text, sequence int8, at int8",
    f"""UPDATE txn t SET state = 'LOST', stale_at = NULL, stale_why = '', {_QUIET} FROM ROWS, charge_point c
    WHERE t.transaction_id = u.transaction_id AND t.charge_point = u.key AND t.state = 'OPEN' AND c.key = u.key""",
)

STALE: Final = change(
    "key int4, transaction_id text, stale_at int8, why text",
    """UPDATE txn t SET stale_at = u.stale_at, stale_why = u.why FROM ROWS
    WHERE t.transaction_id = u.transaction_id AND t.charge_point = u.key AND t.state = 'OPEN'""",
)

CLOSED: Final = change(
    """key int4, transaction_id text, sequence int8, at int8, reason text, meter int8, meter_at int8, flags text,
    caller text""",
    f"""UPDATE txn t SET state = 'CLOSED', closed_at = u.at, close_reason = u.reason, close_meter = u.meter,
    close_meter_at = u.meter_at, flags = merged(t.flags, u.flags), closed_by = u.caller, stale_at = NULL,
    stale_why = '', {_QUIET}
    FROM ROWS, charge_point c WHERE t.transaction_id = u.transaction_id AND t.charge_point = u.key
    AND t.state <> 'STOPPED' AND c.key = u.key""",
)

ENERGY: Final = change(
    """key int4, transaction_id text, sequence int8, revision int8, mwh int8, basis text, doubts text, rules int8,
    digest text, quiet int8""",
    """UPDATE txn t SET energy_revision = u.revision, energy_mwh = u.mwh, energy_basis = u.basis,
    energy_doubts = u.doubts, energy_rules = u.rules, energy_digest = u.digest,
    energy_sequence = (SELECT mine()) + u.sequence, quiet_needed = u.quiet
    FROM ROWS WHERE t.transaction_id = u.transaction_id AND t.charge_point = u.key""",
)

HEARD: Final = change(
    "key int4, number int8, sequence int8, at int8",
    f"UPDATE txn t SET {_QUIET} FROM ROWS, charge_point c WHERE t.number = u.number AND c.key = t.charge_point",
)

NEWEST: Final = change(
    "key int4, number int8, sequence int8",
    "UPDATE txn t SET last_sequence = (SELECT mine()) + u.sequence FROM ROWS WHERE t.number = u.number",
)


def started(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.TransactionStarted, sequence: int
) -> None:
    measured(writer, owner, event)
    record = started_record("", event, body, sequence)
    writer.change(
        STARTED,
        owner.key,
        record.number,
        record.transaction_id,
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
        record.start_command_id,
    )
    steering.refold(
        writer, owner, lambda present: profiles.started(present, body.connector, body.transaction_id, event.received_at)
    )
    if record.start_command_id:
        commands.start_over(writer, owner, record.start_command_id)


def stopped(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.TransactionStopped, sequence: int
) -> None:
    """Ends an open or lost transaction of this charge point; one that is stopped stays as it was (B5.6,
    B5.7)."""
    measured(writer, owner, event)
    steering.forget_profiles_of(writer, owner, body.transaction_id)
    writer.change(
        STOPPED,
        owner.key,
        body.transaction_id,
        sequence,
        at,
        clamped(body.meter_stop),
        to_micros(event_time(event)),
        at,
        event.reported_raw,
        body.reason,
        body.id_tag,
        maybe_clamped(body.energy),
        to_words(event.flags),
    )


def attributed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.TransactionAttributed, sequence: int
) -> None:
    """Ends a transaction as the stop would have that an operator tied to it."""
    writer.noted(owner, body, at, sequence)
    steering.forget_profiles_of(writer, owner, body.transaction_id)
    ended = (
        body.stop_received_at if event.reported_at is None or Flag.CLOCK_SUSPECT in event.flags else event.reported_at
    )
    writer.change(
        STOPPED,
        owner.key,
        body.transaction_id,
        sequence,
        at,
        clamped(body.meter_stop),
        to_micros(ended),
        to_micros(body.stop_received_at),
        event.reported_raw,
        body.stop_reason,
        body.id_tag,
        maybe_clamped(body.energy),
        to_words(event.flags),
    )
    # The write that appends this event has seen that the transaction is not stopped.
    writer.change(ATTRIBUTED_BY, owner.key, body.transaction_id, body.caller)
    writer.change(ATTRIBUTED, owner.key, body.transaction_id, body.orphan, body.request_id)


def lost(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.TransactionLost, sequence: int) -> None:
    steering.forget_profiles_of(writer, owner, body.transaction_id)
    writer.change(LOST, owner.key, body.transaction_id, sequence, at)


def stale_changed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.TransactionStaleChanged, sequence: int
) -> None:
    writer.change(STALE, owner.key, body.transaction_id, at if body.stale else None, body.why if body.stale else "")


def closed(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.TransactionClosed, sequence: int) -> None:
    """Ends an open transaction; with a register also one that is lost, or was closed without one."""
    writer.noted(owner, body, at, sequence)
    steering.forget_profiles_of(writer, owner, body.transaction_id)
    writer.change(
        CLOSED,
        owner.key,
        body.transaction_id,
        sequence,
        at,
        body.reason,
        maybe_clamped(body.meter_stop),
        maybe_micros(body.ended_at),
        to_words(event.flags),
        body.caller,
    )


def energy_changed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.TransactionEnergyChanged, sequence: int
) -> None:
    writer.change(
        ENERGY,
        owner.key,
        body.transaction_id,
        sequence,
        body.revision,
        body.mwh,
        body.basis,
        " ".join(body.doubts),
        body.rules_version,
        body.digest,
        body.quiet_seconds * 1_000_000,
    )

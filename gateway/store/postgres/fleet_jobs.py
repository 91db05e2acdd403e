"""Fleet jobs: their writes and their reads."""

# ruff: noqa: S608 - statements are put together from constants of this module; what is given is bound

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import orjson

from gateway.domain.audit import AuditNote
from gateway.domain.fleet import (
    MAX_ITEMS,
    MAX_JOBS,
    MAX_RUNNING,
    RPCS,
    UNDER_WAY,
    WAITING,
    WAITING_STAGES,
    FleetEnd,
    FleetItem,
    FleetJob,
    FleetProgress,
    Pace,
)
from gateway.domain.labels import Labels
from gateway.domain.operations import OperationKind, Stage
from gateway.store.commits import Done, Exists, GuardFailed, Missing
from gateway.store.encoding import maybe_time, to_micros, to_time
from gateway.store.fleet import (
    CancelFleetJob,
    CreateFleetJob,
    EndFleetJob,
    RecordFleetItems,
    from_firmware,
    known_jobs,
    to_firmware,
)
from gateway.store.limits import bounded
from gateway.store.postgres.audit import note_change
from gateway.store.postgres.conditions import label_array
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.writer import Writer
from gateway.store.rows import Row

_COLUMNS: Final = """key, job_id, request_id, kind, per_minute, at_once, created_at, expires_at, caller, cancelled_at,
    ended, ended_at, reset, insist, firmware, asked, max_failures"""

# --- writes ---------------------------------------------------------------------------------------------------


def create_fleet_job(writer: Writer, write: CreateFleetJob) -> Done | Exists | GuardFailed:
    job = write.job
    if writer.first("SELECT 1 FROM fleet_job WHERE request_id = $1", job.request_id) is not None:
        return Exists()
    if writer.one("SELECT count(*) FROM fleet_job WHERE ended IS NULL")[0] >= MAX_RUNNING:
        return GuardFailed()
    (key,) = writer.one(
        """INSERT INTO fleet_job (job_id, request_id, kind, per_minute, at_once, created_at, expires_at, caller,
        reset, insist, firmware, asked, max_failures)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING key""",
        job.job_id,
        job.request_id,
        job.kind,
        job.pace.per_minute,
        job.pace.at_once,
        to_micros(job.created_at),
        to_micros(job.expires_at),
        job.caller,
        int(job.reset),
        int(job.insist),
        to_firmware(job),
        job.asked,
        job.max_failures,
    )
    named = Array("text", list(write.charge_points)[:MAX_ITEMS])
    sql = "INSERT INTO fleet_item (job, identity) SELECT $1, n FROM unnest($2::text[]) AS n ON CONFLICT DO NOTHING"
    writer.send(sql, key, named)
    note_change(writer, AuditNote(job.caller, RPCS[job.kind], subject=job.job_id), job.created_at)
    _forget_oldest(writer)
    return Done()


def _forget_oldest(writer: Writer) -> None:
    """Beyond so many jobs the oldest ones that have ended go, with their items."""
    old = """SELECT key FROM fleet_job WHERE ended IS NOT NULL
        AND key <= (SELECT key FROM fleet_job ORDER BY key DESC LIMIT 1 OFFSET $1)"""
    writer.send(f"DELETE FROM fleet_item WHERE job IN ({old})", MAX_JOBS)
    writer.send(f"DELETE FROM fleet_job WHERE key IN ({old})", MAX_JOBS)


def record_fleet_items(writer: Writer, write: RecordFleetItems) -> Done:
    """Note the state of items; one that has an outcome keeps it."""
    items = write.items
    writer.send(
        """UPDATE fleet_item i SET operation_id = u.operation_id, outcome = u.outcome, reason = u.reason
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS u (identity, operation_id, outcome, reason)
        WHERE i.identity = u.identity AND i.outcome IS NULL
        AND i.job = (SELECT key FROM fleet_job WHERE job_id = $1)""",
        write.job_id,
        Array("text", [each.charge_point for each in items]),
        Array("text", [each.operation_id for each in items]),
        Array("text", [each.outcome for each in items]),
        Array("text", [each.reason for each in items]),
    )
    return Done()


def cancel_fleet_job(writer: Writer, write: CancelFleetJob) -> Done | Missing:
    """One that was cancelled before, or has ended, is left as it is."""
    sql = "UPDATE fleet_job SET cancelled_at = coalesce(cancelled_at, $1) WHERE job_id = $2 AND ended IS NULL"
    writer.send(sql, to_micros(write.at), write.job_id)
    if writer.first("SELECT 1 FROM fleet_job WHERE job_id = $1", write.job_id) is None:
        return Missing()
    note_change(writer, AuditNote(write.caller, "CancelFleetJob", subject=write.job_id), write.at)
    return Done()


def end_fleet_job(writer: Writer, write: EndFleetJob) -> Done:
    sql = "UPDATE fleet_job SET ended = $1, ended_at = $2 WHERE job_id = $3 AND ended IS NULL"
    writer.send(sql, write.end, to_micros(write.at), write.job_id)
    return Done()


# --- reads ----------------------------------------------------------------------------------------------------

_STATE: Final = f"coalesce(outcome, CASE operation_id WHEN '' THEN '{WAITING}' ELSE '{UNDER_WAY}' END)"


def fleet_job(cx: Connection, job_id: str) -> FleetJob | None:
    found = cx.rows(f"SELECT {_COLUMNS} FROM fleet_job WHERE job_id = $1", job_id)
    return next((_job(cx, row) for row in found), None)


def fleet_job_by_request(cx: Connection, request_id: str) -> FleetJob | None:
    found = cx.rows(f"SELECT {_COLUMNS} FROM fleet_job WHERE request_id = $1", request_id)
    return next((_job(cx, row) for row in found), None)


def fleet_job_cancelled(cx: Connection, job_id: str) -> bool:
    return cx.first("SELECT 1 FROM fleet_job WHERE job_id = $1 AND cancelled_at IS NOT NULL", job_id) is not None


def fleet_jobs(cx: Connection, running: bool) -> list[FleetJob]:
    """Newest first; there are few."""
    where = "WHERE ended IS NULL" if running else ""
    return known_jobs(cx.rows(f"SELECT {_COLUMNS} FROM fleet_job {where} ORDER BY key DESC"), partial(_job, cx))


def _job(cx: Connection, row: Row) -> FleetJob:
    key, job_id, request_id, kind, per_minute, at_once, created, expires, caller, cancelled, ended, ended_at = row[:12]
    reset, insist, firmware, asked, max_failures = row[12:]
    counted = cx.rows(f"SELECT {_STATE} AS state, count(*) FROM fleet_item WHERE job = $1 GROUP BY state", key)
    return FleetJob(
        job_id,
        request_id,
        OperationKind(kind),
        Pace(per_minute, at_once),
        to_time(created),
        to_time(expires),
        caller,
        bool(reset),
        bool(insist),
        from_firmware(firmware),
        maybe_time(cancelled),
        None if ended is None else FleetEnd(ended),
        maybe_time(ended_at),
        {str(state): int(count) for state, count in counted},
        asked,
        max_failures,
    )


def fleet_items(cx: Connection, job_id: str, outcome: str, after: str, limit: int) -> list[FleetItem]:
    """By identity; only those with an outcome, or with ``WAITING`` or ``UNDER_WAY``, if one is given."""
    sql = f"""SELECT i.identity, i.operation_id, i.outcome, i.reason, o.stages FROM (
        SELECT identity, operation_id, outcome, reason FROM fleet_item
        WHERE job = (SELECT key FROM fleet_job WHERE job_id = $1) AND identity > $2
        AND ($3 = '' OR {_STATE} = $3) ORDER BY identity LIMIT $4) i
        LEFT JOIN operation o ON o.operation_id = i.operation_id ORDER BY i.identity"""
    found = cx.rows(sql, job_id, after, outcome, bounded(limit))
    return [
        FleetItem(identity, operation_id, ended, reason, None if stages is None else Stage(orjson.loads(stages)[-1][0]))
        for identity, operation_id, ended, reason, stages in found
    ]


def open_fleet_items(cx: Connection, job_id: str) -> list[FleetItem]:
    """All that have not ended, by identity."""
    sql = """SELECT identity, operation_id, outcome, reason FROM fleet_item
        WHERE job = (SELECT key FROM fleet_job WHERE job_id = $1) AND outcome IS NULL ORDER BY identity"""
    return [FleetItem(*row) for row in cx.rows(sql, job_id)]


def fleet_progress(cx: Connection, job_id: str, identities: Sequence[str]) -> list[FleetProgress]:
    """The operations that a job has begun at these charge points; nothing of those at which it has begun none."""
    sql = """SELECT c.identity, o.operation_id, o.ended, o.reason, o.stages, c.connected
        FROM unnest($2::text[]) WITH ORDINALITY AS i (identity, n) JOIN charge_point c ON c.identity = i.identity
        JOIN operation o ON o.charge_point = c.key AND o.request_id = $1 ORDER BY i.n"""
    found = cx.rows(sql, job_id, Array("text", list(identities)))
    return [
        _progress(identity, operation_id, ended, reason, orjson.loads(stages)[-1], connected)
        for identity, operation_id, ended, reason, stages, connected in found
    ]


def _progress(
    identity: str, operation_id: str, ended: str | None, reason: str, newest: Sequence[Any], connected: int
) -> FleetProgress:
    """``newest``: the newest stage and when it was reached, as they are kept."""
    holds_place = ended is None and bool(connected) and newest[0] not in WAITING_STAGES
    return FleetProgress(identity, operation_id, ended, reason, holds_place, to_time(newest[1]))


def selected(cx: Connection, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
    named = None if identities is None else Array("text", list(identities))
    sql = """SELECT identity FROM charge_point WHERE deleted_at IS NULL AND label @> $1::text[]
        AND ($2::text[] IS NULL OR identity = ANY ($2)) ORDER BY identity LIMIT $3"""
    return [str(identity) for (identity,) in cx.rows(sql, label_array(labels), named, limit)]

"""Fleet jobs: their tables, the writes and the reads."""

import json
from collections.abc import Sequence
from functools import partial

from apsw import Connection

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
from gateway.store.encoding import maybe_time, to_labels, to_micros, to_time
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
from gateway.store.rows import Row
from gateway.store.sqlite.audit import note_change
from gateway.store.sqlite.selects import fetch, one
from gateway.store.sqlite.writer import Writer

_COLUMNS = """key, job_id, request_id, kind, per_minute, at_once, created_at, expires_at, caller, cancelled_at, ended,
    ended_at, reset, insist, firmware, asked, max_failures"""


def create_fleet_job(writer: Writer, write: CreateFleetJob) -> Done | Exists | GuardFailed:
    cx, job = writer.cx, write.job
    if cx.execute("SELECT 1 FROM fleet_job WHERE request_id = ?", (job.request_id,)).fetchone() is not None:
        return Exists()
    (running,) = one(cx, "SELECT count(*) FROM fleet_job WHERE ended IS NULL")
    if running >= MAX_RUNNING:
        return GuardFailed()
    cx.execute(
        """INSERT INTO fleet_job (job_id, request_id, kind, per_minute, at_once, created_at, expires_at, caller,
        reset, insist, firmware, asked, max_failures) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
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
        ),
    )
    cx.execute(
        "INSERT OR IGNORE INTO fleet_item (job, identity) SELECT ?, value FROM json_each(?) LIMIT ?",
        (cx.last_insert_rowid(), json.dumps(list(write.charge_points)), MAX_ITEMS),
    )
    note_change(writer, AuditNote(job.caller, RPCS[job.kind], subject=job.job_id), job.created_at)
    _forget_oldest(cx)
    return Done()


def _forget_oldest(cx: Connection) -> None:
    """Beyond so many jobs the oldest ones that have ended go, with their items."""
    old = fetch(
        cx,
        """SELECT key FROM fleet_job WHERE ended IS NOT NULL
        AND key <= (SELECT key FROM fleet_job ORDER BY key DESC LIMIT 1 OFFSET ?)""",
        (MAX_JOBS,),
    )
    for row in old:
        cx.execute("DELETE FROM fleet_item WHERE job = ?", row)
        cx.execute("DELETE FROM fleet_job WHERE key = ?", row)


def record_fleet_items(writer: Writer, write: RecordFleetItems) -> Done:
    """Note the state of items; one that has an outcome keeps it."""
    writer.cx.executemany(
        """UPDATE fleet_item SET operation_id = ?, outcome = ?, reason = ? WHERE identity = ? AND outcome IS NULL
        AND job = (SELECT key FROM fleet_job WHERE job_id = ?)""",
        [(each.operation_id, each.outcome, each.reason, each.charge_point, write.job_id) for each in write.items],
    )
    return Done()


def cancel_fleet_job(writer: Writer, write: CancelFleetJob) -> Done | Missing:
    """One that was cancelled before, or has ended, is left as it is."""
    writer.cx.execute(
        "UPDATE fleet_job SET cancelled_at = coalesce(cancelled_at, ?) WHERE job_id = ? AND ended IS NULL",
        (to_micros(write.at), write.job_id),
    )
    if fleet_job(writer.cx, write.job_id) is None:
        return Missing()
    note_change(writer, AuditNote(write.caller, "CancelFleetJob", subject=write.job_id), write.at)
    return Done()


def end_fleet_job(writer: Writer, write: EndFleetJob) -> Done:
    writer.cx.execute(
        "UPDATE fleet_job SET ended = ?, ended_at = ? WHERE job_id = ? AND ended IS NULL",
        (write.end, to_micros(write.at), write.job_id),
    )
    return Done()


# --- reads ----------------------------------------------------------------------------------------------------


def fleet_job(cx: Connection, job_id: str) -> FleetJob | None:
    row = cx.execute(f"SELECT {_COLUMNS} FROM fleet_job WHERE job_id = ?", (job_id,)).fetchone()  # noqa: S608
    return None if row is None else _job(cx, row)


def fleet_job_by_request(cx: Connection, request_id: str) -> FleetJob | None:
    row = cx.execute(f"SELECT {_COLUMNS} FROM fleet_job WHERE request_id = ?", (request_id,)).fetchone()  # noqa: S608
    return None if row is None else _job(cx, row)


def fleet_job_cancelled(cx: Connection, job_id: str) -> bool:
    sql = "SELECT 1 FROM fleet_job WHERE job_id = ? AND cancelled_at IS NOT NULL"
    return cx.execute(sql, (job_id,)).fetchone() is not None


def fleet_jobs(cx: Connection, running: bool) -> list[FleetJob]:
    """Newest first; there are few."""
    where = "WHERE ended IS NULL" if running else ""
    sql = f"SELECT {_COLUMNS} FROM fleet_job {where} ORDER BY key DESC"  # noqa: S608
    return known_jobs(fetch(cx, sql), partial(_job, cx))


def _job(cx: Connection, row: Row) -> FleetJob:
    key, job_id, request_id, kind, per_minute, at_once, created, expires, caller, cancelled, ended, ended_at = row[:12]
    reset, insist, firmware, asked, max_failures = row[12:]
    sql = """SELECT coalesce(outcome, CASE operation_id WHEN '' THEN ? ELSE ? END) AS state, count(*)
        FROM fleet_item WHERE job = ? GROUP BY state"""
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
        {str(state): int(count) for state, count in cx.execute(sql, (WAITING, UNDER_WAY, key))},
        asked,
        max_failures,
    )


def fleet_items(cx: Connection, job_id: str, outcome: str, after: str, limit: int) -> list[FleetItem]:
    """By identity; only those with an outcome, or with ``WAITING`` or ``UNDER_WAY``, if one is given."""
    sql = """SELECT i.identity, i.operation_id, i.outcome, i.reason, json_extract(o.stages, '$[#-1][0]')
        FROM fleet_item i LEFT JOIN operation o ON o.operation_id = i.operation_id
        WHERE i.job = (SELECT key FROM fleet_job WHERE job_id = ?1) AND i.identity > ?2
        AND (?3 = '' OR coalesce(i.outcome, CASE i.operation_id WHEN '' THEN ?4 ELSE ?5 END) = ?3)
        ORDER BY i.identity LIMIT ?6"""
    found = cx.execute(sql, (job_id, after, outcome, WAITING, UNDER_WAY, bounded(limit)))
    return [
        FleetItem(identity, operation_id, ended, reason, None if stage is None else Stage(stage))
        for identity, operation_id, ended, reason, stage in found
    ]


def open_fleet_items(cx: Connection, job_id: str) -> list[FleetItem]:
    """All that have not ended, by identity."""
    sql = """SELECT identity, operation_id, outcome, reason FROM fleet_item
        WHERE job = (SELECT key FROM fleet_job WHERE job_id = ?) AND outcome IS NULL ORDER BY identity"""
    return [FleetItem(*row) for row in cx.execute(sql, (job_id,))]


def fleet_progress(cx: Connection, job_id: str, identities: Sequence[str]) -> list[FleetProgress]:
    """The operations that a job has begun at these charge points; nothing of those at which it has begun none."""
    sql = """SELECT c.identity, o.operation_id, o.ended, o.reason, json_extract(o.stages, '$[#-1][0]'),
        json_extract(o.stages, '$[#-1][1]'), c.connected
        FROM json_each(?2) i JOIN charge_point c ON c.identity = i.value
        JOIN operation o ON o.charge_point = c.key AND o.request_id = ?1"""
    return [
        FleetProgress(
            identity,
            operation_id,
            ended,
            reason,
            ended is None and bool(connected) and stage not in WAITING_STAGES,
            to_time(staged),
        )
        for identity, operation_id, ended, reason, stage, staged, connected in cx.execute(
            sql, (job_id, json.dumps(list(identities)))
        )
    ]


def selected(cx: Connection, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
    sql = """SELECT identity FROM charge_point c WHERE deleted_at IS NULL
        AND (?1 IS NULL OR identity IN (SELECT value FROM json_each(?1)))
        AND NOT EXISTS (SELECT 1 FROM json_each(?2) l WHERE NOT EXISTS
        (SELECT 1 FROM json_each(c.labels) o WHERE o.key = l.key AND o.value = l.value))
        ORDER BY identity LIMIT ?3"""
    given = None if identities is None else json.dumps(list(identities))
    return [str(identity) for (identity,) in cx.execute(sql, (given, to_labels(labels), limit))]

"""The progress of firmware updates and uploads of diagnostics and logs: how it is changed by events, and read."""

from apsw import Connection

from gateway.domain import events as e
from gateway.domain import progress as p
from gateway.domain.events import NewEvent
from gateway.domain.records import Progress
from gateway.store.encoding import maybe_micros, maybe_time

_COLUMNS = "work, command_id, succeeded, status, status_command_id, reported_at, ocpp_request_id"


def progress(cx: Connection, key: int) -> dict[str, Progress]:
    """A charge point's, by kind of work."""
    found = cx.execute(f"SELECT {_COLUMNS} FROM progress WHERE charge_point = ? ORDER BY work", (key,))  # noqa: S608
    return {
        work: Progress(command_id, bool(succeeded), status, status_command, maybe_time(at), number)
        for work, command_id, succeeded, status, status_command, at, number in found
    }


def sent(cx: Connection, key: int, work: p.Work, body: e.CommandSent) -> None:
    """A command was sent whose statuses will come."""
    _put(cx, key, work, p.begun(progress(cx, key).get(work), body.command_id, body.ocpp_request_id))


def firmware_reported(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.FirmwareStatusReported, sequence: int
) -> None:
    before = progress(cx, key).get(p.Work.FIRMWARE)
    _put(cx, key, p.Work.FIRMWARE, p.reported(before, p.Work.FIRMWARE, event, body))


def diagnostics_reported(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.DiagnosticsStatusReported, sequence: int
) -> None:
    before = progress(cx, key).get(p.Work.DIAGNOSTICS)
    _put(cx, key, p.Work.DIAGNOSTICS, p.reported(before, p.Work.DIAGNOSTICS, event, body))


def log_reported(cx: Connection, key: int, event: NewEvent, at: int, body: e.LogStatusReported, sequence: int) -> None:
    before = progress(cx, key).get(p.Work.LOG)
    _put(cx, key, p.Work.LOG, p.reported(before, p.Work.LOG, event, body))


def _put(cx: Connection, key: int, work: p.Work, after: Progress) -> None:
    cx.execute(
        f"INSERT OR REPLACE INTO progress (charge_point, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            key,
            work,
            after.command_id,
            int(after.succeeded),
            after.status,
            after.status_command_id,
            maybe_micros(after.reported_at),
            after.ocpp_request_id,
        ),
    )

"""The progress of firmware updates and uploads of diagnostics and logs: how it is changed by events, and read."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from typing import TYPE_CHECKING, Final

from gateway.domain import events as e
from gateway.domain import progress as p
from gateway.domain.events import NewEvent
from gateway.domain.records import Progress
from gateway.store.encoding import maybe_micros, maybe_time
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import upsert
from gateway.store.rows import Row

if TYPE_CHECKING:
    from gateway.store.postgres.writer import Writer

COLUMNS: Final = "work, command_id, succeeded, status, status_command_id, reported_at, ocpp_request_id"

PUT: Final = upsert(
    "progress",
    ("charge_point", "work"),
    """charge_point int4, work text, command_id text, succeeded int4, status text, status_command_id text,
    reported_at int8, ocpp_request_id int8""",
)


def record(row: Row) -> tuple[str, Progress]:
    """The kind of work, and its progress."""
    work, command_id, succeeded, status, status_command, at, number = row
    return work, Progress(command_id, bool(succeeded), status, status_command, maybe_time(at), number)


def _before(writer: "Writer", owner: Owner, work: p.Work) -> Progress | None:
    sql = f"SELECT {COLUMNS} FROM progress WHERE charge_point = $1 AND work = $2"
    row = writer.first(sql, owner.key, work)
    return None if row is None else record(row)[1]


def sent(writer: "Writer", owner: Owner, work: p.Work, body: e.CommandSent) -> None:
    """A command was sent whose statuses will come."""
    _put(writer, owner, work, p.begun(_before(writer, owner, work), body.command_id, body.ocpp_request_id))


def firmware_reported(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.FirmwareStatusReported, sequence: int
) -> None:
    before = _before(writer, owner, p.Work.FIRMWARE)
    _put(writer, owner, p.Work.FIRMWARE, p.reported(before, p.Work.FIRMWARE, event, body))


def diagnostics_reported(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.DiagnosticsStatusReported, sequence: int
) -> None:
    before = _before(writer, owner, p.Work.DIAGNOSTICS)
    _put(writer, owner, p.Work.DIAGNOSTICS, p.reported(before, p.Work.DIAGNOSTICS, event, body))


def log_reported(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.LogStatusReported, sequence: int
) -> None:
    before = _before(writer, owner, p.Work.LOG)
    _put(writer, owner, p.Work.LOG, p.reported(before, p.Work.LOG, event, body))


def _put(writer: "Writer", owner: Owner, work: p.Work, after: Progress) -> None:
    writer.change(
        PUT,
        owner.key,
        work,
        after.command_id,
        int(after.succeeded),
        after.status,
        after.status_command_id,
        maybe_micros(after.reported_at),
        after.ocpp_request_id,
    )

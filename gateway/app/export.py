"""Exports: events, transactions and readings as CSV, a file for each day, for other programs that count and compare.

Times are UTC, in ISO 8601; days are UTC's. Secrets are taken out as they are of what operators are shown
(``gateway.ocpp.redaction``), though events hold none. Files are their owner's alone (0600), and have their names only
when they are whole.
"""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

from gateway.app.settings import Settings
from gateway.app.stores import file_of as database_of
from gateway.domain.codec import UnreadableBody, body_of
from gateway.domain.dialects import samples_of
from gateway.domain.events import MeterValuesReported, StoredEvent, TransactionStopped
from gateway.domain.measurements import readings_of
from gateway.domain.records import TransactionRecord
from gateway.errors import StoreError, StoreUnavailable
from gateway.ocpp.redaction import redact
from gateway.store.sqlite.history import History

Row: TypeAlias = Sequence[Any]

EVENT_COLUMNS: Final = (
    "sequence",
    "event_id",
    "charge_point",
    "type",
    "received_at",
    "reported_at",
    "transaction_id",
    "flags",
    "cause",
    "body",
)
TRANSACTION_COLUMNS: Final = (
    "transaction_id",
    "number",
    "charge_point",
    "evse",
    "connector",
    "id_tag",
    "state",
    "started_at",
    "meter_start_wh",
    "stopped_at",
    "meter_stop_wh",
    "energy_wh",
    "stop_reason",
    "flags",
)
READING_COLUMNS: Final = (
    "charge_point",
    "evse",
    "connector",
    "transaction_id",
    "at",
    "kind",
    "value",
    "phase",
    "context",
    "location",
    "source",
    "estimated",
    "flags",
    "event_sequence",
)

DAY: Final = timedelta(days=1)


class Kind(StrEnum):
    """Part of the records that is exported."""

    EVENTS = "events"
    TRANSACTIONS = "transactions"
    READINGS = "readings"


COLUMNS: Final = {
    Kind.EVENTS: EVENT_COLUMNS,
    Kind.TRANSACTIONS: TRANSACTION_COLUMNS,
    Kind.READINGS: READING_COLUMNS,
}


def export(
    settings: Settings, folder: Path, days: Iterable[date], kinds: Iterable[Kind], wrote: Callable[[Path, int], None]
) -> None:
    """Write a file for each day and kind into a folder; ``wrote`` is called with each, and its rows.

    Raises ``SettingsError`` where the database is no file, ``StoreError`` where it can't be read, or a file is there
    already, and ``StoreUnavailable`` where the disk takes no more: the files that are there then are whole.
    """
    database = database_of(settings, "watch its events, or read it by SQL (docs/operations.md, Exports)")
    if not folder.is_dir():
        raise StoreError(f"{folder}: no such folder")
    wanted = [(day, kind) for day in days for kind in kinds]
    for day, kind in wanted:
        path = file_of(folder, day, kind)
        if path.exists():
            raise StoreError(f"{path}: is there already; an export overwrites nothing")
    with History(database) as history:
        for day, kind in wanted:
            path = file_of(folder, day, kind)
            wrote(path, _write(path, COLUMNS[kind], _rows(history, day, kind)))


def file_of(folder: Path, day: date, kind: Kind) -> Path:
    """Return the path of a day's file."""
    return folder / f"{kind.value}-{day.isoformat()}.csv"


def _rows(history: History, day: date, kind: Kind) -> Iterator[Row]:
    begin = datetime.combine(day, time(), UTC)
    if kind is Kind.TRANSACTIONS:
        yield from map(_transaction, history.transactions(begin, begin + DAY))
        return
    for event in history.events(begin, begin + DAY):
        if kind is Kind.EVENTS:
            yield _event(event)
        else:
            yield from _readings(event)


def _event(event: StoredEvent) -> Row:
    return (
        event.sequence,
        event.event_id,
        event.charge_point,
        event.type,
        _time(event.received_at),
        _time(event.reported_at),
        event.transaction_id or "",
        _words(event.flags),
        event.cause,
        redact(event.body_json).text,
    )


def _transaction(record: TransactionRecord) -> Row:
    return (
        record.transaction_id,
        record.number,
        record.charge_point,
        record.connector.evse,
        record.connector.connector,
        record.id_tag,
        record.state.value,
        _time(record.started_at),
        record.meter_start,
        _time(record.stopped_at),
        _maybe(record.meter_stop),
        _maybe(record.energy),
        record.stop_reason or "",
        _words(record.flags),
    )


def _readings(event: StoredEvent) -> Iterator[Row]:
    """All normalised readings of an event; one that has none, or can't be read by this version, gives none."""
    try:
        body = body_of(event)
    except UnreadableBody:
        return
    if not isinstance(body, MeterValuesReported | TransactionStopped):
        return
    place = body.connector if isinstance(body, MeterValuesReported) else None
    evse, connector = ("", "") if place is None else (place.evse, place.connector)
    found = samples_of(body.dialect, body.meter_value, event.received_at)
    for each in readings_of(found, event.flags):
        yield (
            event.charge_point,
            evse,
            connector,
            event.transaction_id or "",
            _time(each.at),
            each.kind.value,
            each.value,
            each.phase,
            each.context,
            each.location,
            each.source.value,
            int(each.estimated),
            _words(each.flags),
            event.sequence,
        )


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _maybe(value: int | None) -> int | str:
    return "" if value is None else value


def _words(flags: Iterable[StrEnum]) -> str:
    return " ".join(flag.value for flag in flags)


def _write(path: Path, columns: Row, rows: Iterable[Row]) -> int:
    """Write a file, which gets its name at the end; the number of its rows."""
    partial = path.with_name(path.name + ".partial")
    count = 0
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for row in rows:
                writer.writerow(row)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return count

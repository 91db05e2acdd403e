"""A database with a past: 100,000 charge points and 10 million events, made once and kept in bench/cache.

It is written by the store itself, which is the one exception to bench's rule of seeing the server from outside only: to
let chargers report 10 million events would take hours. It has four rounds, in each of which every charger connects,
boots, charges, reports and goes, so that its events lie apart from each other in the file as they do in a real one.
"""

import gc
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.progress import Progress

from gateway.domain.events import (
    Body,
    BootInformation,
    ChargePointBooted,
    ChargePointConnected,
    ChargePointDisconnected,
    ConnectorStatusChanged,
    MeterValuesReported,
    NewEvent,
    TransactionStarted,
    TransactionStopped,
)
from gateway.domain.values import JSON, ConnectorAddress, Registration
from gateway.store.commits import Append, CreateChargePoint, CreateChargePoints, OpenSession, Write
from gateway.store.sqlite import SqliteStore

CACHE = Path(__file__).resolve().parent / "cache"

LAYOUT = 1
"""To be raised when what is written here changes."""

CHARGERS = 100_000
ROUNDS = 4
READINGS = 19
"""In each round's transaction; with what is around it that makes 25 events, 100 in four rounds, and 10 million."""

BATCH = 200
"""Chargers in one commit: 5,000 events, so that syncing costs nothing."""

CREATED = 20_000
"""Charge points in one commit."""

AGE = timedelta(days=30)
"""Of the oldest event when it is made. The scenario turns retention off, so that it may grow older in the cache."""

CONNECTOR = ConnectorAddress(1, 1)
BOOT = BootInformation("Bench", "Wallbox", "SN", firmware_version="1.0")


def database(progress: Progress, chargers: int = CHARGERS) -> Path:
    """The database, from the cache or made now (three minutes for 100,000 chargers). Not to be written to."""
    path = CACHE / f"history-{chargers}-{_version()}.db"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        for old in CACHE.glob(f"history-{chargers}-*"):
            old.unlink()
        making = path.with_suffix(".making")
        with progress:
            _make(making, chargers, progress)
        making.rename(path)  # only now: what was broken off is never taken for whole
        making.with_name(making.name + ".lock").unlink(missing_ok=True)
    return path


def copy(path: Path, to: Path) -> Path:
    """A database that may be written to."""
    shutil.copyfile(path, to)
    return to


def _version() -> str:
    """Of what decides how such a database looks: another schema needs another one."""
    migrations = Path(__file__).resolve().parents[1] / "gateway" / "store" / "sqlite" / "migrations"
    schema = b"".join(path.read_bytes() for path in sorted(migrations.glob("*.sql")))
    return f"{LAYOUT}-{hashlib.sha256(schema).hexdigest()[:8]}"


def _make(path: Path, chargers: int, progress: Progress) -> None:
    """Write it, from nothing."""
    for leftover in path.parent.glob(path.name + "*"):
        leftover.unlink()
    begin = datetime.now(UTC) - AGE
    task = progress.add_task(f"A history of {chargers:,} chargers, made once", total=chargers * ROUNDS)
    store = SqliteStore(path)
    collecting = gc.isenabled()
    gc.disable()  # nothing in here has cycles, and looking for some takes a quarter of the time
    try:
        for first in range(0, chargers, CREATED):
            numbers = range(first, min(first + CREATED, chargers))
            points = (CreateChargePoint(_identity(number), Registration.ACCEPTED, (), begin) for number in numbers)
            store.commit([CreateChargePoints(tuple(points))])
        for turn in range(ROUNDS):
            at = begin + timedelta(days=1 + turn)
            readings = [_reading(at, minute) for minute in range(READINGS)]
            for first in range(0, chargers, BATCH):
                numbers = range(first, min(first + BATCH, chargers))
                store.commit([write for number in numbers for write in _visit(number, turn, at, readings)])
                progress.advance(task, len(numbers))
    finally:
        store.close()
        if collecting:
            gc.enable()


def _identity(number: int) -> str:
    return f"CP{number:06}"


def _visit(number: int, turn: int, at: datetime, readings: Sequence[tuple[JSON, ...]]) -> Iterator[Write]:
    """A charger comes, charges and goes."""
    yield OpenSession(_identity(number), ChargePointConnected("192.0.2.7:40000", "ocpp1.6", 2, "TLSv1.3"), at)
    transaction, of_gateway = f"tx_{turn}{number:06}", turn * CHARGERS * 10 + number + 1
    end = at + timedelta(minutes=READINGS)
    bodies: list[Body] = [
        ChargePointBooted(BOOT, Registration.ACCEPTED, 300),
        ConnectorStatusChanged(CONNECTOR, "Charging", "NoError"),
        TransactionStarted(transaction, of_gateway, CONNECTOR, "TAG", "Accepted", 0, transaction),
    ]
    events = [NewEvent(body, at) for body in bodies]
    for reading in readings:
        events.append(NewEvent(MeterValuesReported(CONNECTOR, reading, transaction, of_gateway), at, at))
    stopped = TransactionStopped(transaction, CONNECTOR, 9000, "EVDisconnected", 9000, "TAG", "Accepted")
    events += [NewEvent(stopped, end), NewEvent(ChargePointDisconnected("closed", "peer", 1000, end), end)]
    yield Append(_identity(number), turn + 1, tuple(events))


def _reading(at: datetime, minute: int) -> tuple[dict[str, object]]:
    """Meter values of a wallbox for one minute."""
    when = (at + timedelta(minutes=minute)).isoformat(timespec="seconds").replace("+00:00", "Z")
    energy = {"value": f"{500 * minute}", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    power = {"value": "7360.5", "measurand": "Power.Active.Import", "unit": "W"}
    return ({"timestamp": when, "sampledValue": [energy, power]},)

"""A store's life on a disk that power can be taken from, what it acknowledged, and whether that held."""

import copy
import hashlib
import random
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar

import apsw
from attrs import define, field, frozen

from gateway.domain.events import Body, StoredEvent, TransactionStarted
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.api import EventFilter
from gateway.store.commits import (
    AllocatedNumbers,
    AllocateNumbers,
    Append,
    Appended,
    CreateChargePoint,
    DeleteChargePoint,
    Opened,
    OpenSession,
    PutIdTag,
    RecordLastHeard,
    Trim,
    Write,
    WriteResult,
)
from gateway.store.sqlite import SqliteStore
from tests.store.builders import CONNECTED, at, event, id_tag, meter, one, queued, sent, status, stopped
from tests.support.disk import SURVIVALS, Disk, Survival, Sync

T = TypeVar("T")

CHARGE_POINTS = ("CP1", "CP2", "CP3")


# --- what was acknowledged -----------------------------------------------------------------------------------


@frozen
class AcknowledgedEvent:
    sequence: int
    charge_point: str
    body: bytes


@frozen
class AcknowledgedEpoch:
    charge_point: str
    epoch: int


@frozen
class AcknowledgedNumbers:
    last: int


@frozen
class AcknowledgedStore:
    store_id: str


Acknowledged: TypeAlias = AcknowledgedEvent | AcknowledgedEpoch | AcknowledgedNumbers | AcknowledgedStore


@define
class History:
    """By positions in the disk's log: what was acknowledged then, and the store's digests after each transaction."""

    reported: list[tuple[int, Acknowledged]] = field(factory=list)
    floors: list[tuple[int, int]] = field(factory=list)
    """The highest floor that was asked for."""
    states: list[tuple[int, int, str]] = field(factory=list)
    """(when the transaction began, when it was acknowledged, digest of the store after it)"""
    migrated: int | None = None
    """Since when stores are opened with one migration more."""

    exact: bool = True
    """Whether the states are all that the books may be: not where a commit failed, and may yet be there."""

    def acknowledged_by(self, position: int) -> list[Acknowledged]:
        return [reported for when, reported in self.reported if when <= position]

    def states_at(self, position: int) -> set[str]:
        """The digests that the store may have: as last acknowledged, or as the transaction under way leaves it."""
        reported = [digest for _, when, digest in self.states if when <= position]
        under_way = [digest for began, when, digest in self.states if began <= position < when]
        return {*reported[-1:], *under_way}

    def floor_by(self, position: int) -> int:
        """The highest floor that was asked for by then."""
        return max((asked for when, asked in self.floors if when <= position), default=0)

    def expected_at(self, position: int) -> Hashable:
        """All that ``examine`` holds the remains to: equal at two positions, it holds them to the same."""
        migrated = self.migrated is not None and position >= self.migrated
        acknowledged = len(self.acknowledged_by(position))  # the first ones of one list
        return acknowledged, frozenset(self.states_at(position)), self.floor_by(position), migrated


TABLES = ("meta", "charge_point", "credential", "connector", "id_tag", "txn", "command", "event_type", "event")


def digest(cx: apsw.Connection) -> str:
    """All that is in the books."""
    found = hashlib.sha256()
    cx.execute("BEGIN")
    for table in TABLES:
        for row in cx.execute(f"SELECT * FROM {table} ORDER BY 1, 2"):
            found.update(repr(row).encode())
    cx.execute("COMMIT")
    return found.hexdigest()


# --- the store's life -----------------------------------------------------------------------------------------


class Life:
    """Drives a store with batches as a journal does, and keeps the clients' history."""

    def __init__(self, disk: Disk, dice: random.Random) -> None:
        self.disk = disk
        self.dice = dice
        self.history = History()
        self.path = disk.folder / "gateway.db"
        self.epochs: dict[str, int] = {}
        self.open: dict[str, list[int]] = {name: [] for name in CHARGE_POINTS}
        self._numbers: list[int] = []
        self._clock = 0.0
        self._commands = 0
        self.store: SqliteStore
        self._observer: apsw.Connection

    def now(self) -> int:
        """The position in the disk's log."""
        return len(self.disk.log)

    def migrated(self, position: int) -> bool:
        """Tell whether a store is opened with one migration more by then."""
        return self.history.migrated is not None and position >= self.history.migrated

    def start(self) -> None:
        self.store = SqliteStore(self.path, clock=at, vfs=self.disk.vfs)
        self._observer = apsw.Connection(str(self.path))
        self.history.reported.append((self.now(), AcknowledgedStore(self.store.store_id)))
        self.history.states.append((self.now(), self.now(), digest(self._observer)))

    def stop(self) -> None:
        self._observer.close()
        self.store.close()

    def go_on(self, disk: Disk) -> None:
        """As a new process on the disk that the old one left behind."""
        self.stop()
        self.disk, self.path = disk, disk.folder / "gateway.db"
        history = self.history
        history.reported = [(-1, reported) for _, reported in history.reported]
        history.floors = [(-1, floor) for _, floor in history.floors]
        history.states.clear()
        self.start()

    def probe(self) -> None:
        self._observed(self.store.probe)

    def settle(self) -> None:
        self._observed(lambda: self.store.settle(at(self._clock)))

    def commit(self, *batch: Write) -> list[WriteResult]:
        self._clock += 1
        for write in batch:
            if isinstance(write, Trim):
                self.history.floors.append((self.now(), self.store.bounds().floor + write.limit))
        results = self._observed(lambda: self.store.commit(batch))
        for write, result in zip(batch, results, strict=True):
            self._tell(write, result)
        return results

    def _observed(self, work: Callable[[], T]) -> T:
        began = self.now()
        result = work()
        self.history.states.append((began, self.now(), digest(self._observer)))
        return result

    def _tell(self, write: Write, result: WriteResult) -> None:
        reported = self.history.reported
        match write, result:
            case Append(charge_point=name, events=events), Appended(sequences):
                bodies = self.store.events(sequences[0] - 1, len(events), EventFilter()).events if sequences else ()
                # Retention in the same batch may have taken some of them already.
                reported += [
                    (self.now(), AcknowledgedEvent(e.sequence, name, e.body_json))
                    for e in bodies
                    if e.sequence in sequences
                ]
            case OpenSession(charge_point=name), Opened(epoch=epoch):
                self.epochs[name] = epoch
                reported.append((self.now(), AcknowledgedEpoch(name, epoch)))
            case AllocateNumbers(), AllocatedNumbers(first, count):
                self._numbers += range(first, first + count)
                reported.append((self.now(), AcknowledgedNumbers(first + count - 1)))

    # --- what happens in it ---

    def begin(self) -> None:
        self.start()
        self.commit(*(CreateChargePoint(name, Registration.ACCEPTED, (), at()) for name in CHARGE_POINTS))
        self.commit(AllocateNumbers(8), *(OpenSession(name, CONNECTED, at()) for name in CHARGE_POINTS))

    def a_batch(self) -> None:
        """Some sessions' writes together, and now and then what isn't a session's."""
        writes: list[Write] = [
            self._session_write(name) for name in self.dice.sample(CHARGE_POINTS, self.dice.randint(1, 3))
        ]
        if len(self._numbers) < 4:
            writes.append(AllocateNumbers(8))
        match self.dice.randrange(12):
            case 0:
                writes.append(Trim(None, self.dice.randint(1, 20)))
            case 1:
                writes.append(RecordLastHeard(((self.dice.choice(CHARGE_POINTS), at(self._clock)),)))
            case 2:
                writes.append(PutIdTag(id_tag(f"Tag{self.now()}"), create=True))
            case 3:
                writes.append(OpenSession(self.dice.choice(CHARGE_POINTS), CONNECTED, at(self._clock)))
            case 4:
                writes.append(Append("CP1", 0, (event(status("Faulted")),)))  # of a session long gone: fenced
        self.commit(*writes)

    def _session_write(self, name: str) -> Write:
        bodies: list[Body] = []
        for _ in range(self.dice.randint(1, 4)):
            running = self.open[name]
            match self.dice.randrange(6):
                case 0 if self._numbers:
                    number = self._numbers.pop(0)
                    running.append(number)
                    connector = ConnectorAddress(1 + number % 3, 1)
                    key = f"{name}-{number}"
                    bodies.append(
                        TransactionStarted(f"tx_{number}", number, connector, f"TAG{number}", "Accepted", 100, key)
                    )
                case 1 if running:
                    bodies.append(stopped(running.pop(0), 600 + len(bodies)))
                case 2:
                    self._commands += 1
                    bodies += [queued(self._commands), sent(self._commands)]
                case 3:
                    bodies.append(status(self.dice.choice(("Available", "Charging"))))
                case _:
                    value = f"{self.now()}.{len(bodies)}" * self.dice.choice((1, 1, 300))
                    bodies.append(meter(running[0] if running else None, value))
        return Append(name, self.epochs[name], tuple(event(body, self._clock) for body in bodies))

    def replace(self, name: str) -> None:
        """A charge point is deleted and made anew: its epoch goes on."""
        self.open[name].clear()
        self.commit(DeleteChargePoint(name, at(self._clock)))
        self.commit(
            CreateChargePoint(name, Registration.ACCEPTED, (), at(self._clock)), OpenSession(name, CONNECTED, at())
        )

    def with_a_reader_in_the_way(self, work: Callable[[], None]) -> None:
        """A long read keeps checkpoints from finishing."""
        reader = apsw.Connection(str(self.path))
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM event").get
        work()
        reader.close()


# --- the power goes -------------------------------------------------------------------------------------------


def leftovers(
    disk: Disk, dice: random.Random, survivals: tuple[Survival, ...] = SURVIVALS
) -> Iterator[tuple[int, str, dict[str, bytes]]]:
    """The remains of the disk after a cut before each sync and after everything, in each way to survive:
    (position in the log, the way, the files)."""
    platter = copy.deepcopy(disk.start)
    for position, operation in enumerate([*disk.log, None]):
        if operation is None or isinstance(operation, Sync):
            for survival in survivals:
                yield position, survival.__name__, platter.left(survival, dice)
        if operation is not None:
            platter.apply(operation)


class Violation(AssertionError):
    """An acknowledged commit did not hold."""


def examine(folder: Path, history: History, position: int, vfs: str | None = None) -> None:
    """Open what survived as a fresh gateway does, and hold it to the history; then go on with it."""
    path = folder / "gateway.db"
    reported = history.acknowledged_by(position)
    store = SqliteStore(path, clock=at, vfs=vfs)
    try:
        _check_books(path, history, position, bool(reported) and history.exact)
        _check_acknowledged(store, history, position, reported)
        _check_going_on(store, reported)
    finally:
        store.close()


def _check_books(path: Path, history: History, position: int, exact: bool) -> None:
    cx = apsw.Connection(str(path))
    try:
        wrong = [row for (row,) in cx.execute("PRAGMA integrity_check") if row != "ok"]
        wrong += [str(row) for row in cx.execute("PRAGMA foreign_key_check")]
        if wrong:
            raise Violation(f"damaged: {wrong[:3]}")
        if exact and digest(cx) not in history.states_at(position):
            raise Violation("the books are as they never were, or as they were before something was acknowledged")
    finally:
        cx.close()


def _check_acknowledged(store: SqliteStore, history: History, position: int, reported: list[Acknowledged]) -> None:
    """By the store's own reads, as its clients do it."""
    floor = store.bounds().floor
    if floor > history.floor_by(position):
        raise Violation(f"the floor {floor} was never asked for")
    found: dict[int, StoredEvent] = {}
    after = 0
    while page := store.events(after, 1_000, EventFilter()).events:
        found.update((e.sequence, e) for e in page)
        after = page[-1].sequence
    for each in reported:
        match each:
            case AcknowledgedEvent(sequence, name, body) if sequence > floor:
                kept = found.get(sequence)
                if kept is None or (kept.charge_point, kept.body_json) != (name, body):
                    raise Violation(f"acknowledged, and missing: {each}")
            case AcknowledgedStore(store_id) if store.store_id != store_id:
                raise Violation("another store id")
    starts = [e.body_json for e in found.values() if e.type == "transaction.started"]
    if len(set(starts)) != len(starts):
        raise Violation("a start is there twice")


def _check_going_on(store: SqliteStore, reported: list[Acknowledged]) -> None:
    """Nothing that was given out is given out again."""
    store.settle(at(1e6))
    head = store.bounds().head
    if head < max((t.sequence for t in reported if isinstance(t, AcknowledgedEvent)), default=0):
        raise Violation("sequences went back")
    numbers = one(store, AllocateNumbers(1))
    if numbers.first <= max((t.last for t in reported if isinstance(t, AcknowledgedNumbers)), default=0):
        raise Violation("transaction numbers went back")
    epochs = {t.charge_point: t.epoch for t in reported if isinstance(t, AcknowledgedEpoch)}
    for name, epoch in epochs.items():
        opened = one(store, OpenSession(name, CONNECTED, at(1e6)))
        if isinstance(opened, Opened) and opened.epoch <= epoch:
            raise Violation(f"the epoch of {name} went back")
    if not epochs:
        one(store, CreateChargePoint("CP9", Registration.ACCEPTED, (), at()))
        return
    appended = one(store, Append("CP1", None, (event(status("Faulted")),)))
    if isinstance(appended, Appended) and appended.sequences[0] <= head:
        raise Violation("a sequence was given out twice")

"""``SqliteStore``: the store's contract on one SQLite file that one process owns."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import apsw
import structlog

from gateway.domain.commands import CommandRecord
from gateway.domain.events import StoredEvent
from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.operations import OperationRecord
from gateway.domain.records import ChargePointRecord, Credential, TransactionRecord
from gateway.domain.steering import ChangedWanted, SteeringState
from gateway.domain.values import Clock, Registration
from gateway.errors import CommitUnknown, StoreCorrupt, StoreError, StoreUnavailable
from gateway.store.api import (
    AdmissionRecord,
    Bounds,
    EventFilter,
    EventPage,
    Generation,
    OverdueOperation,
    OverdueReservation,
    SteeringRow,
    StoredState,
    event_id_prefix,
)
from gateway.store.commits import ClockRecord, Write, WriteResult
from gateway.store.filters import ALL_RECORDS, RecordFilter
from gateway.store.sqlite import event_queries, operation_queries, queries, steering
from gateway.store.sqlite.backup import upgrade
from gateway.store.sqlite.certificate_reads import CertificateReads
from gateway.store.sqlite.checkpoints import Checkpoints
from gateway.store.sqlite.companion import Companion, write_companion
from gateway.store.sqlite.connections import ReaderPool, mapped, open_writer, trust_log
from gateway.store.sqlite.energy_reads import EnergyReads
from gateway.store.sqlite.generations import alone, begin, check_presence, has_log, read_state, verify, verify_log
from gateway.store.sqlite.integrity import DAMAGED, FOUND_DAMAGED, OTHER_LOG, check_files, check_pages
from gateway.store.sqlite.list_reads import ListReads
from gateway.store.sqlite.opened_state import stored_state
from gateway.store.sqlite.operator_reads import OperatorReads
from gateway.store.sqlite.process_lock import ProcessLock, check_place
from gateway.store.sqlite.retention import crowded_out, oldest_time
from gateway.store.sqlite.selects import fetch, one
from gateway.store.sqlite.settlement import settle_some
from gateway.store.sqlite.writer import Writer
from gateway.store.sqlite.writes import apply
from gateway.store.wall_clock import utc_now

P = ParamSpec("P")
R = TypeVar("R")

SETTLE_STEP = 200
"""Charge points settled in one transaction at start: a step takes some 20 ms and its log stays small."""

PROBE_BYTES = 64 * 1024
"""What a probe writes: enough that a disk with room for it has room for a batch too."""

NOTHING_WRITTEN = (apsw.FullError, apsw.ReadOnlyError, apsw.BusyError)
"""Errors of COMMIT after which nothing of the transaction is found again. After others it may be: the log may hold all
of a commit whose sync failed, and be read so after a crash."""

log = structlog.get_logger()


class SqliteStore(EnergyReads, OperatorReads, CertificateReads, ListReads):
    """The store in the file at ``path``, made if it isn't there (its directory must be).

    Raises ``StoreInUse`` when a process (this one too) has it open, ``StoreCorrupt`` when it is damaged, another
    program's or of a newer version, ``StoreReplaced`` when it is not the one that was last served here,
    ``StoreUnavailable`` when it can't be opened or written. Methods may be called from any thread; writes take turns.
    ``vfs`` names the SQLite VFS that does the file's I/O (None: SQLite's own).

    With ``opened`` False nothing of that happens yet, but in ``open``; until then the others raise
    ``StoreUnavailable``.
    """

    kind = "sqlite"

    def __init__(
        self, path: Path | str, *, clock: Clock = utc_now, vfs: str | None = None, opened: bool = True
    ) -> None:
        self._path = Path(path).resolve()
        self._clock, self._vfs = clock, vfs
        self.upgrade_copy = True  # before a schema is changed (``backup.upgrade``)
        self._checkpoints = Checkpoints(self._path)
        self._lock, self._marking = threading.Lock(), threading.Lock()
        self._writer: Writer | None = None
        self._closed = False
        self._damage: str | None = None
        self._marked: Companion | None = None
        self._readers = ReaderPool(self._path, vfs)
        self._ownership: ProcessLock | None = None
        self._store_id = self._event_ids = ""
        self._codes: dict[str, int] = {}
        self.generations: tuple[Generation, ...] = ()
        """As ``Store`` has it; empty until it is open. Asked for each batch of each watcher."""
        if opened:
            self.open()

    def open(self) -> None:
        """Open the database, if it isn't open yet. Raises as the constructor does; after ``StoreUnavailable`` (and not
        ``StoreMisplaced``) it is worth trying again."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"the database {self._path} is closed")
            if self._ownership is not None:
                return
            ownership = ProcessLock(self._path)
            try:
                check_place(self._path)
                self._open()
            except BaseException:
                ownership.release()
                raise
            self._ownership = ownership

    def _require_open(self) -> None:
        if self._ownership is None:
            raise StoreUnavailable(f"the database {self._path} is not open yet")

    def _open(self) -> None:
        try:
            check_files(self._path)
            check_presence(self._path)
            without_log = alone(self._path, self._vfs)
            cx = open_writer(self._path, self._vfs)
            try:
                verify_log(cx, self._path, without_log)
                check_pages(cx, self._path)
                verify(cx, self._path)
                trust_log(cx)
                upgrade(cx, self._path, self._clock(), copy=self.upgrade_copy)
                self.generations = begin(cx, self._path, self._vfs)
                self._store_id = str(one(cx, "SELECT value FROM meta WHERE name = 'store_id'")[0])
                self._codes = dict(fetch(cx, "SELECT name, code FROM event_type"))
                self._use(cx)
            except BaseException:
                cx.close(True)
                raise
        except (apsw.CorruptError, apsw.NotADBError) as error:
            other = OTHER_LOG.format(name=self._path.name) if has_log(self._path) else ""
            raise StoreCorrupt(DAMAGED.format(path=self._path, error=error) + other) from error
        except apsw.Error as error:
            raise mapped(error, self._path) from error
        self._event_ids = event_id_prefix(self._store_id)

    @property
    def store_id(self) -> str:
        self._require_open()
        return self._store_id

    def close(self) -> None:
        """Wait for a commit that is under way, close everything, let others have the file. Repeating it does
        nothing."""
        self.mark()
        with self._lock:
            closed, self._closed = self._closed, True
            if not closed:
                self._readers.close()
                self._abandon_writer()
                if self._ownership is not None:
                    self._ownership.release()

    # --- writing ---

    def commit(self, batch: Sequence[Write]) -> list[WriteResult]:
        return self._write(partial(apply, batch))

    def settle(self, at: datetime) -> int:
        touched = 0
        while some := self._write(lambda writer: settle_some(writer, at, SETTLE_STEP)):
            touched += some
        return touched

    def probe(self) -> None:
        sql = f"UPDATE meta SET value = randomblob({PROBE_BYTES}) WHERE name = 'probe'"  # noqa: S608
        self._write(lambda writer: writer.cx.execute(sql))

    def mark(self) -> None:
        with self._marking:
            if self._closed or self._ownership is None:
                return
            try:
                with self._readers.connection() as cx:
                    state = read_state(cx)
                # Where the last generation had to go on, the companion says so as well.
                if state is not None and state != self._marked:
                    write_companion(self._path, state, self._vfs)
                    self._marked = state
            except (apsw.Error, StoreError) as error:
                log.warning("companion not written", path=str(self._path), error=str(error))

    def _write(self, work: Callable[[Writer], R]) -> R:
        """One transaction: ``work``, then COMMIT, or nothing."""
        sealing = False
        with self._lock:
            try:
                writer = self._writer
                if writer is None or self._damage is not None:
                    writer = self._fresh_writer()
                writer.begin()
                result = work(writer)
                writer.flush()
                sealing = True
                writer.commit()
            except (apsw.CorruptError, apsw.NotADBError) as error:
                # Writing on would spread the damage, and could promise nothing.
                self._damage = FOUND_DAMAGED.format(path=self._path, error=error)
                log.critical("database damaged", path=str(self._path), error=str(error))
                self._undo()
                raise StoreUnavailable(self._damage) from error
            except apsw.Error as error:
                self._undo()
                why = mapped(error, self._path)
                if sealing and not isinstance(error, NOTHING_WRITTEN):
                    raise CommitUnknown(str(why)) from error
                raise why from error
            except BaseException:
                self._undo()
                raise
            if self._checkpoints.due:
                self._checkpoints.run(writer.cx)
            return result

    def _fresh_writer(self) -> Writer:
        """Return a new writer. Raises ``StoreUnavailable`` if nothing may be written."""
        if self._closed:
            raise StoreUnavailable(f"the database {self._path} is closed")
        self._require_open()
        if self._damage is not None:
            raise StoreUnavailable(self._damage)
        cx = open_writer(self._path, self._vfs)
        trust_log(cx)
        return self._use(cx)

    def _use(self, cx: apsw.Connection) -> Writer:
        self._checkpoints.watch(cx)
        self._writer = Writer(cx)
        return self._writer

    def _undo(self) -> None:
        """Roll back. A connection that can't is given up, and the next write opens another: SQLite then reads again
        what is on disk."""
        if self._writer is not None:
            try:
                self._writer.roll_back()
            except apsw.Error as error:
                log.warning("store connection given up", path=str(self._path), error=str(error))
                self._abandon_writer()

    def _abandon_writer(self) -> None:
        if self._writer is not None:
            try:
                self._writer.cx.close(True)
            except apsw.Error as error:
                log.warning("store connection not closed cleanly", path=str(self._path), error=str(error))
            self._writer = None

    # --- reading ---

    def _read(self, query: Callable[Concatenate[apsw.Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        self._require_open()
        with self._readers.connection() as cx:
            return query(cx, *args, **kwargs)

    def size_bytes(self) -> int:
        def used(cx: apsw.Connection) -> int:
            return int(cx.pragma("page_size")) * (int(cx.pragma("page_count")) - int(cx.pragma("freelist_count")))

        try:
            log_bytes = self._path.with_name(self._path.name + "-wal").stat().st_size
        except FileNotFoundError:
            log_bytes = 0
        return self._read(used) + log_bytes

    def next_number(self) -> int:
        return int(self._read(one, "SELECT value FROM meta WHERE name = 'next_number'")[0])

    def charge_point(self, identity: str) -> ChargePointRecord | None:
        return self._read(queries.charge_point, identity)

    def state(self, identity: str, at: datetime) -> StoredState | None:
        return self._read(stored_state, identity, at)

    def steering(
        self, state: SteeringState | None, after: str, limit: int, scope: Labels = NO_LABELS
    ) -> list[SteeringRow]:
        return self._read(steering.page, state, after, limit, scope)

    def changed_wanted(self, identity: str, request_id: str) -> ChangedWanted | None:
        return self._read(steering.changed_by_identity, identity, request_id)

    def charge_points(
        self,
        after: str,
        limit: int,
        connected: bool | None = None,
        registration: Registration | None = None,
        labels: Labels = NO_LABELS,
    ) -> list[ChargePointRecord]:
        return self._read(queries.charge_points, after, limit, connected, registration, labels)

    def charge_points_named(self, identities: Sequence[str]) -> list[ChargePointRecord]:
        return self._read(queries.charge_points_named, identities)

    def taken(self, identities: Sequence[str]) -> frozenset[str]:
        return self._read(queries.taken, identities)

    def credentials(self, identity: str) -> tuple[Credential, ...]:
        return self._read(queries.credentials, identity)

    def admission(self, identity: str) -> AdmissionRecord | None:
        self._require_open()
        # One statement alone is one moment's state; a transaction around it would take longer than it does.
        with self._readers.connection(transaction=False) as cx:
            return queries.admission(cx, identity)

    def overdue_reservations(self, at: datetime, limit: int) -> list[OverdueReservation]:
        return self._read(queries.overdue_reservations, at, limit)

    def transaction(self, transaction_id: str) -> TransactionRecord | None:
        return self._read(queries.transaction, transaction_id)

    def transaction_by_number(self, number: int) -> TransactionRecord | None:
        return self._read(queries.transaction_by_number, number)

    def transaction_by_start_key(self, charge_point: str, start_key: str) -> TransactionRecord | None:
        return self._read(queries.transaction_by_start_key, charge_point, start_key)

    def occupying_transactions_of_tag(self, id_tag: str, limit: int) -> list[TransactionRecord]:
        return self._read(queries.occupying_transactions_of_tag, id_tag, limit)

    def readings(self, transaction_id: str, after: int, limit: int) -> list[StoredEvent]:
        return self._read(event_queries.readings, transaction_id, after, limit, self._event_ids)

    def newest_values(self, identities: Sequence[str]) -> dict[str, list[StoredEvent]]:
        return self._read(event_queries.newest_values_of, identities, self._event_ids)

    def edge_readings(self, transaction_id: str, count: int) -> list[StoredEvent]:
        return self._read(event_queries.edge_readings, transaction_id, count, self._event_ids)

    def command(self, command_id: str) -> CommandRecord | None:
        return self._read(queries.command, command_id)

    def command_by_request(self, charge_point: str, request_id: str) -> CommandRecord | None:
        return self._read(queries.command_by_request, charge_point, request_id)

    def commands(
        self, charge_point: str | None, after: str | None, limit: int, where: RecordFilter = ALL_RECORDS
    ) -> list[CommandRecord]:
        return self._read(queries.commands, charge_point, after, limit, where)

    def operation(self, operation_id: str) -> OperationRecord | None:
        return self._read(operation_queries.operation, operation_id)

    def operation_by_request(self, charge_point: str, request_id: str) -> OperationRecord | None:
        return self._read(operation_queries.operation_by_request, charge_point, request_id)

    def overdue_operations(self, at: datetime, limit: int) -> list[OverdueOperation]:
        return self._read(operation_queries.overdue_operations, at, limit)

    def bounds(self) -> Bounds:
        return self._read(event_queries.bounds)

    def newest_time(self) -> datetime | None:
        return self._read(event_queries.newest_time)

    def oldest_time(self, now: datetime) -> datetime | None:
        return self._read(oldest_time, now)

    def crowded_out(self, count: int) -> tuple[int, int]:
        return self._read(crowded_out, count)

    def clock_record(self) -> ClockRecord | None:
        return self._read(queries.clock_record)

    def events(self, after: int, limit: int, where: EventFilter) -> EventPage:
        return self._read(event_queries.events, after, limit, where, self._codes, self._event_ids)

"""``PostgresStore``: the store's contract on a PostgreSQL database, one process writing through its lane."""

import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from gateway.domain.commands import CommandRecord
from gateway.domain.events import StoredEvent
from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.operations import OperationRecord
from gateway.domain.records import ChargePointRecord, Credential, TransactionRecord
from gateway.domain.steering import ChangedWanted, SteeringState
from gateway.domain.values import Clock, Registration
from gateway.errors import StoreUnavailable
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
from gateway.store.causes import NODE_LOST
from gateway.store.commits import ClockRecord, Write, WriteResult
from gateway.store.filters import ALL_RECORDS, RecordFilter
from gateway.store.nodes import Notice
from gateway.store.postgres import history, operation_queries, partitions, queries, steering
from gateway.store.postgres.certificate_reads import CertificateReads
from gateway.store.postgres.connection import Connection, with_password
from gateway.store.postgres.durability import Durability
from gateway.store.postgres.energy_reads import EnergyReads
from gateway.store.postgres.hosts import Hosts
from gateway.store.postgres.lane import SLOT
from gateway.store.postgres.list_reads import ListReads
from gateway.store.postgres.locks import NOTHING, Needs, needs_of
from gateway.store.postgres.node_reads import NodeReads
from gateway.store.postgres.opened_state import stored_state
from gateway.store.postgres.operator_reads import OperatorReads
from gateway.store.postgres.patience import Patience
from gateway.store.postgres.readers import ReaderPool
from gateway.store.postgres.retention import crowded_out, oldest_time
from gateway.store.postgres.settlement import settle_named, settle_owned, settle_some, unsettled_of_node
from gateway.store.postgres.writer import Writer
from gateway.store.postgres.writers import WriterConnection
from gateway.store.postgres.writes import apply, identities, resolved
from gateway.store.server_state import ServerState
from gateway.store.wall_clock import utc_now

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE_SECONDS = 20.0
"""For which a write or a read waits for a server that restarts or fails over: chargers wait 30 s for an answer."""

SETTLE_STEP = 200
"""Charge points settled in one transaction at start: others wait for it, some 20 ms."""

PROBE_BYTES = 64 * 1024
"""What a probe writes: enough that a disk with room for it has room for a batch too."""


class PostgresStore(CertificateReads, EnergyReads, OperatorReads, ListReads, NodeReads):
    """The store in the database that ``url`` names, in libpq's form; its tables are made if they aren't there.

    Raises ``StoreInUse`` when another process has it, ``StoreCorrupt`` when it is another program's or of a newer
    version, ``StoreMisplaced`` where the server keeps no promise (``durability``; None: its settings are not looked
    at, as for tests), ``StoreUnavailable`` when it can't be reached or written. Methods may be called from any thread;
    writes take turns. A server that is away is waited for, ``patience`` seconds. With ``opened`` False nothing of that
    happens yet, but in ``open``; until then the others raise ``StoreUnavailable``.
    """

    kind = "postgresql"

    def __init__(
        self,
        url: str,
        *,
        clock: Clock = utc_now,
        durability: Durability | None = Durability.REPLICATED,
        password: str = "",
        patience: float = PATIENCE_SECONDS,
        opened: bool = True,
        node: int | None = None,
    ) -> None:
        """``node``: the slot of this process, where others serve the database, too; None: it is the only one."""
        hosts = Hosts(with_password(url, password))
        self._patience = Patience(patience)
        self._readers = ReaderPool(hosts, Patience(patience), replicated=durability is Durability.REPLICATED)
        self._writer = WriterConnection(hosts, clock, durability, self._patience, node)
        self._node = node
        self._clock = clock
        if node is not None:
            self._writer.rejoin = self._rejoin
        self._lock = threading.Lock()
        self._closed = False
        self._event_ids = ""
        if opened:
            self.open()

    def open(self) -> None:
        """Open the database, if it isn't open yet. Raises as the constructor does; after ``StoreUnavailable`` (and not
        ``StoreMisplaced``) it is worth trying again."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"the database {self._writer.place} is closed")
            if not self._writer.opened:
                self._writer.open()
                self._event_ids = event_id_prefix(self._writer.store_id)

    def _require_open(self) -> None:
        if not self._writer.opened:
            raise StoreUnavailable(f"the database {self._writer.place} is not open yet")

    @property
    def _codes(self) -> dict[str, int]:
        return self._writer.codes

    @property
    def store_id(self) -> str:
        self._require_open()
        return self._writer.store_id

    @property
    def generations(self) -> tuple[Generation, ...]:
        self._require_open()
        return self._writer.generations.known

    def close(self) -> None:
        """Wait for a commit that is under way, though not for a server, close everything, let others have the slot.
        Repeating it does nothing."""
        self._patience.end()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._readers.close()
                self._writer.close()

    # --- among nodes ---

    @property
    def node(self) -> int:
        return SLOT if self._node is None else self._node

    @property
    def incarnation(self) -> int:
        return self._writer.incarnation

    @property
    def on_left(self) -> Callable[[frozenset[int]], None] | None:
        return self._writer.on_left

    @on_left.setter
    def on_left(self, left: Callable[[frozenset[int]], None] | None) -> None:
        self._writer.on_left = left

    @property
    def on_notices(self) -> Callable[[Sequence[Notice]], None] | None:
        return self._writer.on_notices

    @on_notices.setter
    def on_notices(self, heard: Callable[[Sequence[Notice]], None] | None) -> None:
        self._writer.on_notices = heard

    def _rejoin(self, writer: Writer) -> None:
        """Settle what the slot owned before it was taken anew, by the connection that took it."""
        at = self._clock()
        while True:
            writer.begin((), Needs(), again=True)
            some = settle_owned(writer, self.node, NODE_LOST, at, SETTLE_STEP)
            writer.commit()
            if not some:
                return

    def _act(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        self._require_open()
        return self._readers.act(query, *args, **kwargs)

    # --- writing ---

    def commit(self, batch: Sequence[Write]) -> list[WriteResult]:
        results, base = self._write(list(identities(batch)), partial(apply, batch), partial(needs_of, batch))
        return resolved(results, base)

    def settle(self, at: datetime) -> int:
        if self._node is not None:
            return self._settle_own(at)
        touched = 0
        while some := self._write((), lambda writer: settle_some(writer, at, SETTLE_STEP))[0]:
            touched += some
        return touched

    def _settle_own(self, at: datetime) -> int:
        """Settle what the node's slot owned, and what no slot does."""
        touched = 0
        while left := self._ask(unsettled_of_node, self.node, SETTLE_STEP):
            touched += self._write(left, lambda writer, left=left: settle_named(writer, left, at))[0]  # type: ignore[misc]
        return touched

    def probe(self) -> None:
        self._write((), lambda writer: writer.send("UPDATE meta SET probe = $1", os.urandom(PROBE_BYTES)))

    def mark(self) -> None:
        """Nothing: a server that an older state was put on has another timeline, and begins another generation."""

    def _write(
        self, named: Sequence[str], work: Callable[[Writer], R], needs: Callable[[], Needs] = lambda: NOTHING
    ) -> tuple[R, int]:
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"the database {self._writer.place} is closed")
            self._require_open()
            return self._writer.write(named, work, needs)

    # --- reading ---

    def _read(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a query that asks several times, of one moment."""
        self._require_open()
        return self._readers.read(True, query, *args, **kwargs)

    def _ask(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a query that is one statement, which is of one moment anyway."""
        self._require_open()
        return self._readers.read(False, query, *args, **kwargs)

    def server_state(self) -> ServerState:
        """The state of the server, whatever databases it has."""
        return ServerState(*map(int, self._ask(Connection.one, history.SERVER_STATE)))

    def size_bytes(self) -> int:
        return self._read(partitions.used_bytes)

    def next_number(self) -> int:
        return int(self._ask(Connection.one, "SELECT next_number FROM meta")[0])

    def charge_point(self, identity: str) -> ChargePointRecord | None:
        return self._read(queries.charge_point, identity)

    def state(self, identity: str, at: datetime) -> StoredState | None:
        return self._read(stored_state, identity, at)

    def steering(
        self, state: SteeringState | None, after: str, limit: int, scope: Labels = NO_LABELS
    ) -> list[SteeringRow]:
        return self._ask(steering.page, state, after, limit, scope)

    def changed_wanted(self, identity: str, request_id: str) -> ChangedWanted | None:
        return self._ask(steering.changed_by_identity, identity, request_id)

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
        return self._ask(queries.taken, identities)

    def credentials(self, identity: str) -> tuple[Credential, ...]:
        return self._ask(queries.credentials, identity)

    def admission(self, identity: str) -> AdmissionRecord | None:
        return self._ask(queries.admission, identity)

    def overdue_reservations(self, at: datetime, limit: int) -> list[OverdueReservation]:
        return self._ask(queries.overdue_reservations, at, limit)

    def transaction(self, transaction_id: str) -> TransactionRecord | None:
        return self._ask(queries.transaction, transaction_id)

    def transaction_by_number(self, number: int) -> TransactionRecord | None:
        return self._ask(queries.transaction_by_number, number)

    def transaction_by_start_key(self, charge_point: str, start_key: str) -> TransactionRecord | None:
        return self._ask(queries.transaction_by_start_key, charge_point, start_key)

    def occupying_transactions_of_tag(self, id_tag: str, limit: int) -> list[TransactionRecord]:
        return self._ask(queries.occupying_transactions_of_tag, id_tag, limit)

    def readings(self, transaction_id: str, after: int, limit: int) -> list[StoredEvent]:
        return self._read(history.readings, transaction_id, after, limit, self._event_ids)

    def newest_values(self, identities: Sequence[str]) -> dict[str, list[StoredEvent]]:
        return self._read(history.newest_values_of, identities, self._event_ids)

    def edge_readings(self, transaction_id: str, count: int) -> list[StoredEvent]:
        return self._read(history.edge_readings, transaction_id, count, self._event_ids)

    def command(self, command_id: str) -> CommandRecord | None:
        return self._ask(queries.command, command_id)

    def command_by_request(self, charge_point: str, request_id: str) -> CommandRecord | None:
        return self._ask(queries.command_by_request, charge_point, request_id)

    def commands(
        self, charge_point: str | None, after: str | None, limit: int, where: RecordFilter = ALL_RECORDS
    ) -> list[CommandRecord]:
        return self._ask(queries.commands, charge_point, after, limit, where)

    def operation(self, operation_id: str) -> OperationRecord | None:
        return self._ask(operation_queries.operation, operation_id)

    def operation_by_request(self, charge_point: str, request_id: str) -> OperationRecord | None:
        return self._ask(operation_queries.operation_by_request, charge_point, request_id)

    def overdue_operations(self, at: datetime, limit: int) -> list[OverdueOperation]:
        return self._ask(operation_queries.overdue_operations, at, limit)

    def bounds(self) -> Bounds:
        return self._ask(history.bounds, self._writer.generations)

    def newest_time(self) -> datetime | None:
        return self._ask(history.newest_time)

    def oldest_time(self, now: datetime) -> datetime | None:
        return self._read(oldest_time, now)

    def crowded_out(self, count: int) -> tuple[int, int]:
        return self._read(crowded_out, count)

    def clock_record(self) -> ClockRecord | None:
        return self._ask(queries.clock_record)

    def events(self, after: int, limit: int, where: EventFilter) -> EventPage:
        return self._read(history.events, after, limit, where, self._codes, self._event_ids, self._writer.generations)

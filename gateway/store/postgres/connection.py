"""One connection to PostgreSQL, by libpq in pipeline mode: statements are queued, and sent and answered together.

``PGconn.get_result`` waits holding the interpreter's lock, which stops every other thread for good while a server is
slow. So nothing is asked of it before ``is_busy`` says that it has an answer; what waits is ``poll``, which lets go.
"""

import select
import time
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import psycopg
from attrs import define, field
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.errors import StoreError, StoreUnavailable
from gateway.store.postgres.encoding import COLUMNS, Array, Value, parameter
from gateway.store.rows import Row

DEFAULTS: Final[dict[str, Any]] = {
    "application_name": "gateway",
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 7_000,
    "client_encoding": "UTF8",
}
"""Of a connection, where its URL says nothing else. A machine that is gone is noticed in 7 s: of the patience with a
failover most is left (seconds; the last one is in milliseconds)."""

CONNECT_SECONDS = 10.0
"""For making a connection to one server: libpq's own ``connect_timeout`` does not count where it is not waited in."""

HOST_SECONDS = 5.0
"""For each of several hosts, unless the URL has a ``connect_timeout``: a loaded server takes a second to let one in,
and a dead machine leaves time for the others."""

_FAREWELLS: Final = frozenset({b"57P01", b"57P02"})
"""SQLSTATEs of the warnings of a server that ends a connection, at an immediate shutdown or after a crash. They say
nothing of a commit that was answered before: where a wait for a standby is given up for that reason, no answer is
sent."""

MAX_PREPARED = 500
"""Statements that a connection keeps prepared: those of this package are some 200; what is put together of conditions
comes on top."""

_READ, _WRITTEN = select.POLLIN, select.POLLIN | select.POLLOUT


class Broken(Exception):
    """The connection is gone; what was sent may have been done, or may yet be."""


class ServerError(Exception):
    """The server's refusal of a statement. ``state``: its SQLSTATE."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


ENDED: Final = ("57P01", "57P02", "57P03", "57P05", "25P03", "25P04")
"""SQLSTATEs with which a server ends a connection, or does not begin one."""

CANT_BE: Final = ("21", "22", "23", "42")
"""Classes of SQLSTATEs of a statement that can't be, whenever it is tried: a bug of the one who asked."""

NOT_ALLOWED = "42501"


def mapped(error: ServerError, place: str) -> StoreError:
    """The project's error for one of the server's, as ``gateway.store.sqlite.connections.mapped`` has it."""
    if error.state[:2] in CANT_BE and error.state != NOT_ALLOWED:
        return StoreError(f"the database {place} can't take that: {error}")
    return StoreUnavailable(f"the database {place} failed: {error} ({error.state})")


@define(eq=False)
class Answer:
    """The answer to a queued statement. ``rows`` are there once the connection has synced."""

    name: bytes
    prepares: bool = False
    rows: list[Row] = field(factory=list)
    changed: int = 0
    """Rows that it inserted, updated, deleted or selected."""


def place_of(url: str) -> str:
    """A database as messages name it: without its user and its password."""
    given = conninfo_to_dict(url)
    host = str(given.get("host") or given.get("hostaddr") or "localhost")
    return f"{given.get('dbname') or given.get('user') or 'postgres'} at {host}"


def with_password(url: str, password: str) -> str:
    """A database's URL with a password, if it is not empty; the URL's own is replaced by it."""
    return make_conninfo(url, password=password) if password else url


def each_host(url: str) -> tuple[list[str], float]:
    """Split a URL into one for each of its hosts; answers also the seconds that a connection to one may take."""
    given = conninfo_to_dict(url)
    seconds = float(given.get("connect_timeout") or 0) or HOST_SECONDS
    hosts, addresses, ports = (str(given.get(key) or "").split(",") for key in ("host", "hostaddr", "port"))
    count = max(len(hosts), len(addresses))
    if count == 1 or any(len(each) not in (1, count) for each in (hosts, addresses, ports)):
        return [url], max(seconds, CONNECT_SECONDS)  # one, or what libpq will refuse
    found = []
    for at in range(count):
        own = {"host": _nth(hosts, at), "hostaddr": _nth(addresses, at), "port": _nth(ports, at)}
        found.append(make_conninfo("", **{**given, **{key: value or None for key, value in own.items()}}))
    return found, seconds


def _nth(values: list[str], at: int) -> str:
    return values[at] if len(values) > 1 else values[0]


class Connection:
    """A connection that is open until ``close`` or until it breaks. For one thread at a time.

    Raises ``Broken`` where the server can't be reached or goes; ``ServerError`` for what it refuses, after which the
    transaction has failed and ``roll_back`` is due.
    """

    def __init__(self, url: str, seconds: float = CONNECT_SECONDS) -> None:
        """``seconds``: until a server that does not answer is given up."""
        given = {key: value for key, value in DEFAULTS.items() if key not in conninfo_to_dict(url)}
        self._names = count()
        self._prepared: dict[str, bytes] = {}
        self._queued: list[Answer] = []
        self.warnings: list[str] = []
        """The server's warnings since this was last emptied."""
        self._pg = _connected(make_conninfo(url, **given), seconds)
        self._pg.nonblocking = 1
        self._pg.notice_handler = self._notice
        self._pg.enter_pipeline_mode()
        self._poll = select.poll()
        self._poll.register(self._pg.socket, _READ)

    @property
    def backend_pid(self) -> int:
        return int(self._pg.backend_pid)

    @property
    def server_version(self) -> int:
        return int(self._pg.server_version)

    def _notice(self, result: Any) -> None:
        severity = result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) or b""
        state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        if severity == b"WARNING" and state not in _FAREWELLS:
            text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
            self.warnings.append(text.decode(errors="replace"))

    # --- statements ---

    def send(self, sql: str, *given: Value | Array) -> Answer:
        """Queue a statement, whose parameters are ``$1`` and so on; it is sent with the next ``sync`` at the latest."""
        try:
            name = self._prepared.get(sql)
            if name is None:
                name = self._prepare(sql)
            if given:
                values, formats = zip(*map(parameter, given), strict=True)
                self._pg.send_query_prepared(name, values, formats, 1)
            else:
                self._pg.send_query_prepared(name, None, None, 1)
        except psycopg.Error as error:
            raise Broken(_words(error)) from error
        answer = Answer(name)
        self._queued.append(answer)
        return answer

    def _prepare(self, sql: str) -> bytes:
        if len(self._prepared) >= MAX_PREPARED:
            self.sync()
            self._prepared.clear()
            self._pg.send_query_params(b"DEALLOCATE ALL", None)
            self._queued.append(Answer(b""))
        name = self._prepared[sql] = b"s%d" % next(self._names)
        self._pg.send_prepare(name, sql.encode())
        self._queued.append(Answer(name, prepares=True))
        return name

    def sync(self) -> None:
        """Send what is queued, and wait until all of it is answered. Raises the first error; what came after it in the
        queue was not done."""
        queued, self._queued = self._queued, []
        try:
            self._pg.pipeline_sync()
            self._poll.modify(self._pg.socket, _WRITTEN)
            while self._pg.flush():
                self._poll.poll()
                self._pg.consume_input()
            self._poll.modify(self._pg.socket, _READ)
            failed = self._answers(queued)
        except psycopg.Error as error:
            raise Broken(_words(error)) from error
        if failed is not None:
            if failed.state in ENDED or self._pg.status != pq.ConnStatus.OK:
                raise Broken(str(failed))
            raise failed

    def _answers(self, queued: list[Answer]) -> ServerError | None:
        failed: ServerError | None = None
        for answer in queued:
            result = self._result()
            if result is None:
                raise Broken("the server's answers have come to an end")
            match result.status:
                case pq.ExecStatus.TUPLES_OK:
                    answer.rows = _rows(result)
                    answer.changed = len(answer.rows)
                case pq.ExecStatus.COMMAND_OK:
                    answer.changed = result.command_tuples or 0
                case _:
                    if answer.prepares:
                        self._prepared = {sql: name for sql, name in self._prepared.items() if name != answer.name}
                    if failed is None:
                        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
                        failed = ServerError(state, _message(result))
            self._result()  # what separates it from the next one
        self._result()  # of the sync itself
        return failed

    def _result(self) -> Any:
        connection = self._pg
        while connection.is_busy():
            self._poll.poll()
            connection.consume_input()
        return connection.get_result()

    def rows(self, sql: str, *given: Value | Array) -> list[Row]:
        """The rows of a statement, now."""
        answer = self.send(sql, *given)
        self.sync()
        return answer.rows

    def one(self, sql: str, *given: Value | Array) -> Row:
        """The row of a statement that always has one."""
        (row,) = self.rows(sql, *given)
        return row

    def first(self, sql: str, *given: Value | Array) -> Row | None:
        """The first row of a statement; None: it has none."""
        rows = self.rows(sql, *given)
        return rows[0] if rows else None

    def run(self, sql: str) -> None:
        """Run a statement once, unprepared: one that changes the schema."""
        try:
            self._pg.send_query_params(sql.encode(), None)
        except psycopg.Error as error:
            raise Broken(_words(error)) from error
        self._queued.append(Answer(b""))
        self.sync()

    # --- the connection itself ---

    @property
    def in_transaction(self) -> bool:
        return self._pg.transaction_status not in (pq.TransactionStatus.IDLE, pq.TransactionStatus.UNKNOWN)

    def roll_back(self) -> None:
        """Undo the transaction, and forget what is queued but not sent."""
        if self._queued:
            # libpq has them in its buffer: they are in the failed transaction, which they do not outlive.
            try:
                self.sync()
            except ServerError:
                pass
        if self.in_transaction:
            self.rows("ROLLBACK")

    def close(self) -> None:
        self._pg.finish()


def _connected(conninfo: str, seconds: float) -> Any:
    """An open connection. Raises ``Broken``."""
    until = time.monotonic() + seconds
    try:
        connection = pq.PGconn.connect_start(conninfo.encode())
        for _ in range(MAX_TURNS):
            match connection.connect_poll():
                case pq.PollingStatus.OK:
                    return connection
                case pq.PollingStatus.READING:
                    wanted = select.POLLIN
                case pq.PollingStatus.WRITING:
                    wanted = select.POLLOUT
                case _:
                    break
            poll = select.poll()
            poll.register(connection.socket, wanted)
            if not poll.poll(max(until - time.monotonic(), 0) * 1000):
                connection.finish()
                raise Broken(f"no connection within {seconds:.3g} s")
        why = connection.get_error_message().strip()
        connection.finish()
    except psycopg.Error as error:
        raise Broken(_words(error)) from error
    raise Broken(" ".join(why.split()))


MAX_TURNS = 1_000
"""Steps of making a connection: some ten for each host and address."""


def _rows(result: Any) -> list[Row]:
    makers: list[Callable[[bytes], Any]] = [COLUMNS[result.ftype(n)] for n in range(result.nfields)]
    value = result.get_value
    found: list[Row] = []
    for row in range(result.ntuples):
        found.append(
            tuple([None if (data := value(row, column)) is None else make(data) for column, make in enumerate(makers)])
        )
    return found


def _message(result: Any) -> str:
    text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"the server failed"
    return text.decode(errors="replace")


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

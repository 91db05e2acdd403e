"""A server on PostgreSQL as the writer's connection sees it: one row of a slot, and what goes wrong with it, in memory.

It understands the statements of a lane and nothing else. Time passes only while something waits for it.
"""

from collections.abc import Callable
from typing import Any

from gateway.store.postgres.connection import Answer, Broken, ServerError
from gateway.store.postgres.migrate import known_version
from gateway.store.postgres.patience import Patience

STANDBY = "canceling wait for synchronous replication due to administrator command"


class FakeServer:
    """``hosts`` of a writer. ``away``: until then (of its own clock) no connection can be made. ``fate``: called with
    each COMMIT's number, the first one 1: "lost" and "kept" break the connection before and after it is done,
    "unconfirmed" answers it with a warning; None: it goes well."""

    place = "charging at db"

    def __init__(self) -> None:
        self.time = 1_000.0
        self.away = 0.0
        self.fate: Callable[[int], str | None] = lambda commit: None
        self.commits = 0
        self.connections = 0
        self.open = 0
        """Connections that are not closed."""
        self.row: dict[str, int] = {"incarnation": 0, "batch": 0, "position": 0, "notices": 0, "holder": 0}
        self.waits: list[float] = []

    def patience(self, seconds: float) -> Patience:
        made = Patience(seconds, lambda: self.time)
        made.ended = _Waits(self)  # type: ignore[assignment]
        return made

    def connect(self, until: float | None = None) -> "FakeConnection":
        if self.time < self.away:
            raise Broken("connection refused")
        self.connections += 1
        self.open += 1
        return FakeConnection(self)


class _Waits:
    """An event that is waited for in the server's time."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True

    def wait(self, seconds: float) -> bool:
        self._server.waits.append(seconds)
        self._server.time += seconds
        return self._set


class FakeConnection:
    """One connection: its transaction's changes are the server's once they are committed."""

    backend_pid = 7

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.warnings: list[str] = []
        self._queued: list[tuple[str, tuple[Any, ...], Answer]] = []
        self._row = dict(server.row)
        self.closed = False

    def send(self, sql: str, *given: Any) -> Answer:
        answer = Answer(b"")
        self._queued.append((" ".join(sql.split()), given, answer))
        return answer

    def sync(self) -> None:
        assert not self.closed, "a closed connection is not used"
        queued, self._queued = self._queued, []
        for sql, given, answer in queued:
            answer.rows = self._done(sql, given)

    def one(self, sql: str, *given: Any) -> Any:
        (row,) = self.rows(sql, *given)
        return row

    def first(self, sql: str, *given: Any) -> Any:
        return next(iter(self.rows(sql, *given)), None)

    def rows(self, sql: str, *given: Any) -> list[Any]:
        answer = self.send(sql, *given)
        self.sync()
        return answer.rows

    def roll_back(self) -> None:
        self._queued.clear()

    def close(self) -> None:
        self.server.open -= not self.closed
        self.closed = True

    def _done(self, sql: str, given: tuple[Any, ...]) -> list[Any]:
        row = self._row
        match sql.split()[0]:
            case "BEGIN":
                self._row = dict(self.server.row)
            case "COMMIT" if self._row != self.server.row:
                self._commit()
            case "UPDATE" if sql.startswith("UPDATE node SET incarnation"):
                row["incarnation"], row["holder"] = given[1], given[2]
            case "SELECT" if sql.startswith("SELECT ('x'"):
                return [(1, 1)]
            case "SELECT" if sql.startswith("SELECT pg_logical_emit_message"):
                self._commit()
            case "SELECT" if sql.startswith("SELECT pg_try_advisory_lock"):
                return [(True,)]
            case "SELECT" if sql.startswith("SELECT coalesce(max(version)"):
                return [(known_version(), 1)]
            case "SELECT" if sql.startswith("SELECT incarnation, batch, position"):
                return [tuple(row[name] for name in ("incarnation", "batch", "position", "notices", "holder"))]
            case "SELECT" if sql.startswith("SELECT incarnation, batch, notices"):
                return [tuple(row[name] for name in ("incarnation", "batch", "notices"))]
            case "SELECT" if sql.startswith("SELECT fence"):
                _, incarnation, notices, number = given
                if (incarnation, notices) != (row["incarnation"], row["notices"]) or number <= row["batch"]:
                    raise ServerError("GW001", "the slot is another writer's")
                row["batch"], row["position"] = number, 1_000 * number
                return [(row["position"],)]
        return []

    def _commit(self) -> None:
        server = self.server
        server.commits += 1
        fate = server.fate(server.commits)
        if fate != "lost":
            server.row = dict(self._row)
        if fate in ("lost", "kept"):
            raise Broken("server closed the connection unexpectedly")
        if fate == "unconfirmed":
            self.warnings.append(STANDBY)

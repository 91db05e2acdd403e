"""A gateway with a fault, as a process, which the checks of this folder must find: ``python -m tests.cluster.faulty``,
the names of the faults with commas between, and the gateway's own arguments. Two are none: ``slow-commits`` and
``another-version`` change nothing that is promised."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from gateway.cli.main import run
from gateway.cluster.calls import RoutedCommands
from gateway.domain.codec import encode_command, fingerprint
from gateway.domain.command_states import CommandEvent, finished
from gateway.domain.commands import Command, CommandRecord, CommandState, operation_of
from gateway.domain.values import new_id
from gateway.store.encoding import INT64_MAX
from gateway.store.postgres import generations, history, lane, locks, writers
from gateway.store.postgres import migrate as schema
from gateway.store.postgres.books import Owner
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.lane import Lane
from gateway.store.postgres.migrate import Migration
from gateway.store.postgres.writer import Writer

RACE_SECONDS = 0.03
"""For which a batch waits that should have had another's lane, or is late: others write meanwhile."""

LATER_VERSION = "99.0"


def no_tombstones() -> None:
    """A caller whose command is not answered in time hears that it was not sent, and nothing is recorded."""

    async def bury(
        self: RoutedCommands, identity: str, command: Command, request_id: str, caller: str
    ) -> CommandRecord:
        now, digest = self._clock(), fingerprint(self._reads.store_id, command)
        arguments = encode_command(command)
        record = CommandRecord(
            new_id("cmd"), identity, request_id, operation_of(command), arguments, CommandState.QUEUED, now, digest
        )
        return finished(record, CommandState.NOT_SENT, CommandEvent.DEADLINE, now)

    RoutedCommands._bury = bury  # type: ignore[method-assign]


def no_lane_lock() -> None:
    """A node that takes a charge point over has no lane but its own."""
    take, raise_epoch = locks.take, Writer.raise_epoch

    def own_alone(cx: Connection, lanes: Iterable[int], points: Iterable[int], needs: locks.Needs) -> None:
        take(cx, (), points, needs)

    def slow(self: Writer, owner: Owner, node: int | None) -> None:
        self.flush()
        self.cx.sync()
        time.sleep(RACE_SECONDS)
        raise_epoch(self, owner, node)

    locks.take = own_alone
    Writer.raise_epoch = slow  # type: ignore[method-assign]


def asynchronous_replication() -> None:
    """A commit is acknowledged once it is on the primary's disk, whatever the standbys have."""
    on, local = "SET synchronous_commit = on", "SET synchronous_commit = local"
    vars(lane)["WRITER_SETTINGS"] = tuple(local if each == on else each for each in lane.WRITER_SETTINGS)


def serial_cursor() -> None:
    """Sequences come from a counter, and watchers read up to the newest of them that they see."""

    def counted(cx: Connection, place: str, now: datetime, slot: int) -> None:
        schema.migrate(cx, place, now, slot)
        cx.send("SELECT pg_advisory_lock($1, 3)", lane.SCHEMA_LOCK)
        if not cx.one("SELECT to_regclass('serial') IS NOT NULL")[0]:
            (newest,) = cx.one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
            (fence,) = cx.one("SELECT pg_get_functiondef('fence'::regproc)")
            cx.run(f"CREATE SEQUENCE serial START {newest}")
            cx.run(fence.replace("BEGIN\n", "BEGIN PERFORM nextval('serial');\n", 1))
            _replace(cx, "mine", "SELECT currval('serial') << 16")
            _replace(cx, "horizon", f"SELECT {INT64_MAX}")
        cx.send("SELECT pg_advisory_unlock($1, 3)", lane.SCHEMA_LOCK)
        cx.sync()

    vars(writers)["migrate"] = counted


def _replace(cx: Connection, function: str, body: str) -> None:
    cx.run(f"CREATE OR REPLACE FUNCTION {function}() RETURNS int8 LANGUAGE sql VOLATILE AS $$ {body} $$")


def token_at_the_horizon() -> None:
    """A page ends at the horizon and not at the last event below it, and so does its token; and no generation begins
    with a timeline, by which the token would be refused."""
    newest = "(SELECT max(sequence) FROM event WHERE sequence < (SELECT horizon()))"
    vars(history)["_BOUNDS"] = history._BOUNDS.replace(newest, "(SELECT horizon()) - 1")
    same = "SELECT 1::int8, (SELECT timeline FROM generation ORDER BY number DESC LIMIT 1)"
    vars(generations)["_TIMELINE"] = same


def slow_commits() -> None:
    """A batch that has its sequences waits for a while before it is committed."""
    commit = Lane.commit

    def late(self: Lane, cx: Connection) -> int:
        cx.sync()
        time.sleep(RACE_SECONDS)
        return commit(self, cx)

    Lane.commit = late  # type: ignore[method-assign]


def another_version() -> None:
    """The node is of a later version, by its own account, which knows one more migration: it expands the schema."""
    known = schema.migrations()
    more = Migration(len(known) + 1, known[-1].oldest, "ALTER TABLE node ADD COLUMN later text NOT NULL DEFAULT '';")
    vars(schema)["migrations"] = lambda: (*known, more)
    vars(writers)["version"] = lambda distribution_name: LATER_VERSION


FAULTS: Mapping[str, Callable[[], None]] = {
    "no-tombstones": no_tombstones,
    "no-lane-lock": no_lane_lock,
    "asynchronous-replication": asynchronous_replication,
    "serial-cursor": serial_cursor,
    "token-at-the-horizon": token_at_the_horizon,
    "slow-commits": slow_commits,
    "another-version": another_version,
}

if __name__ == "__main__":
    for name in sys.argv.pop(1).split(","):
        FAULTS[name]()
    run()

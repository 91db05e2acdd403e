"""Upkeep of the store on PostgreSQL: partitions of the history, and the look at a server's promises."""

import re
import time
from datetime import UTC, datetime
from itertools import pairwise
from uuid import uuid4

import pytest

from gateway.errors import StoreError, StoreMisplaced, StoreUnavailable
from gateway.store.commits import Trim
from gateway.store.postgres import Durability, PostgresStore, server_look
from gateway.store.postgres.connection import Connection, ServerError
from gateway.store.postgres.examination import faults
from gateway.store.postgres.partitions import AHEAD, NARROWEST, Partitions, used_bytes
from gateway.store.postgres.server_look import look
from tests.store.builders import at, create, one, types

pytestmark = pytest.mark.postgres


@pytest.fixture
def cx(own_database):
    PostgresStore(own_database, durability=None).close()
    cx = Connection(own_database)
    yield cx
    cx.close()


def bounds(cx) -> list[int]:
    return [int(bound) for (bound,) in cx.rows("SELECT bound FROM event_partition ORDER BY bound")]


def attached(cx) -> int:
    (number,) = cx.one("SELECT count(*) FROM pg_inherits WHERE inhparent = 'event'::regclass")
    return int(number)


def test_partitions_are_made_ahead_and_those_below_the_floor_are_dropped(cx):
    """Each with its table. What lies above the floor stays."""
    partitions = Partitions()
    partitions.maintain(cx, at(0))
    made = bounds(cx)
    assert len(made) == attached(cx) == AHEAD + 1
    assert {upper - lower for lower, upper in pairwise(made)} == {NARROWEST}
    assert not partitions.due(0, made[0] - 2)
    assert partitions.due(0, made[0] - 1)
    cx.send("UPDATE meta SET floor = $1", made[0] - 1)
    cx.sync()
    partitions.maintain(cx, at(9))
    assert bounds(cx) == made[1:]
    assert attached(cx) == len(made) - 1


def test_a_store_that_is_opened_sees_to_its_partitions_before_anything_is_written(cx, own_database):
    """The first batch finds its own, and what lies below the floor goes though nothing is written."""
    made = bounds(cx)
    assert len(made) == attached(cx) == AHEAD + 1
    cx.send("UPDATE meta SET floor = $1", made[0] - 1)
    cx.sync()
    PostgresStore(own_database, durability=None).close()
    assert bounds(cx) == made[1:]


def test_an_empty_history_takes_no_room(cx):
    """Not even that of its partition, which holds nothing that counts."""
    (tables,) = cx.one(
        """SELECT sum(pg_total_relation_size(c.oid))::int8 FROM pg_class c WHERE c.relkind = 'r'
        AND c.relnamespace = 'public'::regnamespace"""
    )
    (first,) = cx.one("SELECT pg_total_relation_size(name::regclass) FROM event_partition ORDER BY bound LIMIT 1")
    assert first > 0
    assert used_bytes(cx) == tables - first


def test_a_batch_that_finds_no_partition_has_it_made(cx, own_database):
    """Of an hour of more events than a day was thought to have, say."""
    store = PostgresStore(own_database, durability=None)
    try:
        cx.run("BEGIN")
        for (name,) in cx.rows("SELECT name FROM event_partition"):
            cx.run(f"DROP TABLE {name}")
        cx.run("DELETE FROM event_partition")
        cx.run("COMMIT")
        create(store)
        assert types(store) == ["charge_point.created"]
        assert len(bounds(cx)) == attached(cx) == AHEAD + 1
    finally:
        store.close()


def test_partitions_are_seen_to_between_batches(own_database, monkeypatch):
    """As many as there have to be ahead, each time that one is full; and those whose events have gone are dropped."""
    monkeypatch.setattr("gateway.store.postgres.partitions.NARROWEST", 4 << 16)
    store, cx = PostgresStore(own_database, durability=None), Connection(own_database)
    try:
        made = bounds(cx)
        for number in range(20):
            create(store, f"CP{number}")
            assert sum(bound > store.bounds().head for bound in bounds(cx)) >= AHEAD
        assert bounds(cx)[: len(made)] == made
        one(store, Trim(None, 1000, None))
        create(store, "CP20")
        assert bounds(cx)[0] > made[-1]
        assert types(store) == ["charge_point.created"]
    finally:
        cx.close()
        store.close()


def test_an_answer_that_is_none_is_a_failure(cx):
    """Not one without rows: of nothing, the server says no more than that it was empty."""
    with pytest.raises(ServerError, match="the server failed"):
        cx.rows("")
    cx.roll_back()
    assert cx.one("SELECT 1") == (1,)


def test_a_partition_that_is_being_read_is_dropped_later(cx, own_database, monkeypatch):
    """The writer waits for a read only so long."""
    partitions = Partitions()
    partitions.maintain(cx, at(0))
    made = bounds(cx)
    cx.send("UPDATE meta SET floor = $1", made[0] - 1)
    cx.sync()
    reader = Connection(own_database)
    try:
        reader.run("BEGIN")
        reader.rows("SELECT count(*) FROM event")
        with monkeypatch.context() as patch:
            patch.setattr("gateway.store.postgres.partitions.LOCK_TIMEOUT", "20ms")
            partitions.maintain(cx, at(9))
        assert bounds(cx) == made
        reader.run("ROLLBACK")  # its end is the server's to notice, in its time
    finally:
        reader.close()
    partitions.maintain(cx, at(9))
    assert bounds(cx) == made[1:]


def test_a_server_that_keeps_no_promise_is_named_by_each_reason(server, own_database):
    """The one of these tests is quick, and keeps nothing."""
    found = "\n".join(faults(own_database, "", Durability.REPLICATED))
    for words in ("fsync is off", "full_page_writes is off", "synchronous_commit is off", "synchronous_standby_names"):
        assert words in found
    assert "synchronous_standby_names" not in "\n".join(faults(own_database, "", Durability.LOCAL))


def test_a_server_that_keeps_no_promise_is_not_served(own_database):
    """Neither at the first opening nor later."""
    for durability in (Durability.LOCAL, Durability.REPLICATED):
        with pytest.raises(StoreMisplaced, match=r"keeps no promise: .*fsync is off"):
            PostgresStore(own_database, durability=durability)
    assert not look(own_database, "", now, time.monotonic, 0).tables


def test_types_of_events_that_can_not_be_noted_keep_a_store_closed(cx, own_database):
    """It could record none of them."""
    cx.run("DELETE FROM event_type WHERE name = 'charge_point.created'")
    cx.run(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN RAISE EXCEPTION ''types are not to be changed''; END'"""
    )
    cx.run("CREATE TRIGGER refuse BEFORE INSERT ON event_type EXECUTE FUNCTION refuse()")
    with pytest.raises(StoreUnavailable, match="types are not to be changed"):
        PostgresStore(own_database, durability=None)
    cx.run("DROP TRIGGER refuse ON event_type")
    PostgresStore(own_database, durability=None).close()


def test_a_server_that_can_not_be_reached_is_a_fault_too(tmp_path):
    """By name, without a password."""
    [fault] = faults(f"postgresql:///nothing?host={tmp_path}", "secret", Durability.LOCAL)
    assert "can't be reached" in fault
    assert "secret" not in fault


# --- the look of `gateway doctor` -------------------------------------------------------------------------------


def now():
    return datetime.now(UTC)


def test_a_server_is_looked_at_without_privileges(own_database):
    """Its version, room, clock and commits; what is left behind there is seen."""
    found = look(own_database, "", now, time.monotonic, 3)
    assert (found.tables, found.standby, found.wants_standby, found.local) == (False, False, False, True)
    assert found.room > 0
    assert found.size_bytes > 0
    assert len(found.commits) == 3
    assert not found.waited
    assert abs(found.clock_ahead) <= found.clock_doubt + 1
    PostgresStore(own_database, durability=None).close()
    cx = Connection(own_database)
    try:
        cx.run("BEGIN")
        cx.run("CREATE TABLE unfinished (n int)")
        again = look(own_database, "", now, time.monotonic, 0)
    finally:
        cx.close()
    assert again.tables
    assert again.oldest_seconds is not None


def test_a_transaction_that_is_not_shown_to_the_user_is_no_sound_server(own_database):
    """That it is there is shown to everyone, and said; since when, to those who may see it."""
    name = f"onlooker_{uuid4().hex}"
    cx, writing = Connection(own_database), Connection(own_database)
    try:
        cx.run(f"CREATE ROLE {name} LOGIN")
        onlooker = re.sub(r"\buser=\w+", f"user={name}", own_database)
        assert look(onlooker, "", now, time.monotonic, 1).hidden == 0
        writing.run("BEGIN")
        writing.run("CREATE TABLE unfinished (n int)")
        found = look(onlooker, "", now, time.monotonic, 1)
        assert (found.hidden, found.oldest_seconds) == (1, None)
        cx.run(f"GRANT pg_read_all_stats TO {name}")
        found = look(onlooker, "", now, time.monotonic, 1)
        assert found.hidden == 0
        assert found.oldest_seconds is not None
    finally:
        writing.close()
        cx.run(f"DROP ROLE IF EXISTS {name}")
        cx.close()


def test_a_later_schema_or_another_program_s_tables_are_no_matter_of_the_look(own_database):
    """The check of the settings names them."""
    cx = Connection(own_database)
    try:
        cx.run("CREATE TABLE others (n int)")
    finally:
        cx.close()
    assert look(own_database, "", now, time.monotonic, 0).tables


def test_a_server_that_can_not_be_looked_at_is_named(own_database, monkeypatch, tmp_path):
    """One that is away, and one that refuses."""
    with pytest.raises(StoreError, match="can't be reached"):
        look(f"postgresql:///nothing?host={tmp_path}", "secret", now, time.monotonic, 0)
    monkeypatch.setattr(server_look, "_FACTS", "SELECT of nothing")
    with pytest.raises(StoreError, match="can't be looked at"):
        look(own_database, "", now, time.monotonic, 0)

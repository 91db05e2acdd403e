"""The lane of a writer on PostgreSQL: one holder, a fence, connections that break, schemas that are too new."""

import pytest

from gateway.errors import StoreCorrupt, StoreInUse, StoreUnavailable
from gateway.store.postgres import PostgresStore, lane
from gateway.store.postgres.connection import Connection
from tests.store.builders import above, append, connect, status

pytestmark = pytest.mark.postgres


def opened(url):
    return PostgresStore(url, durability=None)


def execute(url, statement):
    """Run a statement beside the store; its rows."""
    cx = Connection(url)
    try:
        return cx.rows(statement)
    finally:
        cx.close()


@pytest.fixture
def store(database):
    store = opened(database)
    yield store
    store.close()


def test_a_second_process_is_refused_until_the_first_one_is_closed(store, database, monkeypatch):
    """By the slot, which the first one holds as long as its connection lives."""
    monkeypatch.setattr(lane, "HOLD_SECONDS", 0.1)
    with pytest.raises(StoreInUse, match=r"slot 1 of the database .* is served by another process"):
        opened(database)
    assert connect(store).epoch == 1
    store.close()
    opened(database).close()


def test_a_store_that_is_not_open_yet_says_so(own_database):
    """Of whatever is asked of it, until it is."""
    store = PostgresStore(own_database, durability=None, opened=False, node=1)
    asked = [
        lambda: store.store_id,
        lambda: store.generations,
        lambda: store.charge_point("CP1"),
        lambda: store.id_tag("TAG"),
        store.bounds,
        store.keep_chores,
        lambda: store.commit([]),
        store.probe,
    ]
    try:
        for each in asked:
            with pytest.raises(StoreUnavailable, match="is not open yet"):
                each()
        store.open()
        store.open()
        assert store.bounds().head == 0
        store.close()
        with pytest.raises(StoreUnavailable, match="is closed"):
            store.open()
    finally:
        store.close()


def test_a_writer_whose_slot_was_taken_writes_nothing_any_more(store, database):
    """Its batch is undone as a whole, and it stays so."""
    connect(store)
    before = above(store, 0)
    execute(database, "UPDATE node SET incarnation = incarnation + 1")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="another gateway has taken slot 1"):
            append(store, status())
    assert above(store, 0) == before


def test_what_others_have_changed_is_read_again(store, database):
    """A notice makes the fence fail once; the batch is done with what is there now."""
    connect(store)
    execute(database, "UPDATE charge_point SET epoch = epoch + 5")
    execute(database, "UPDATE node SET notices = notices + 1")
    assert len(append(store, status(), epoch=6).sequences) == 1


def test_a_connection_that_broke_is_made_anew(store, database):
    """The writer's and the readers': nothing is lost, and no batch is done twice."""
    connect(store)
    for number in range(3):
        execute(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        append(store, status(str(number)), epoch=1)
        assert len(above(store, 0)) == 3 + number


def test_a_newer_schema_is_served_as_long_as_it_has_only_added(store, database):
    """One that has taken away is refused by name."""
    connect(store)
    store.close()
    try:
        execute(database, "INSERT INTO gateway_schema (version, oldest, applied_at) VALUES (99, 1, 0)")
        again = opened(database)
        assert connect(again).epoch == 2
        again.close()
        execute(database, "UPDATE gateway_schema SET oldest = 99 WHERE version = 99")
        with pytest.raises(StoreCorrupt, match="has schema version 99, which needs a gateway that knows version 99"):
            opened(database)
    finally:
        execute(database, "DELETE FROM gateway_schema WHERE version = 99")

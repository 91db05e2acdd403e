"""A database on PostgreSQL that was restored or copied, made safe to serve: what was given out is not given again."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from gateway.errors import StoreError, StoreInUse, StoreUnavailable
from gateway.store.commits import AllocateNumbers
from gateway.store.limits import CLEAR, MAX_NUMBER
from gateway.store.postgres import PostgresStore
from gateway.store.postgres import recovery as module
from gateway.store.postgres.connection import Connection, ServerError
from gateway.store.postgres.recovery import recover
from tests.store.builders import T0, append, connect, one, started

pytestmark = pytest.mark.postgres


def opened(url: str) -> PostgresStore:
    return PostgresStore(url, clock=lambda: T0, durability=None)


@pytest.fixture
def cx(own_database: str) -> Iterator[Connection]:
    """Beside a store that has been served, and is closed."""
    with closing(opened(own_database)) as store:
        connect(store)
        one(store, AllocateNumbers(4))
        append(store, started(3))
    with closing(Connection(own_database)) as cx:
        yield cx


def kept(cx: Connection) -> tuple[Any, ...]:
    """Store id, next number, epoch and number of generations."""
    sql = """SELECT store_id, next_number, (SELECT epoch FROM charge_point), (SELECT count(*) FROM generation)
        FROM meta"""
    return cx.one(sql)


def test_all_that_was_given_out_is_left_behind(cx: Connection, own_database: str) -> None:
    """The store's id, transaction numbers, epochs, and generations, which resume tokens name. It can be done again."""
    before = kept(cx)
    assert before[1:3] == (5, 1)
    assert before[3] > 0
    done = recover(own_database)
    assert (done.old_id, done.next_number) == (before[0], 5 + CLEAR)
    assert kept(cx) == (done.store_id, 5 + CLEAR, 1 + CLEAR, 0)
    assert re.fullmatch("store_[0-9a-f]{32}", done.store_id)
    assert done.store_id != before[0]
    again = recover(own_database)
    assert (again.old_id, again.next_number) == (done.store_id, 5 + 2 * CLEAR)
    with closing(opened(own_database)) as store:
        assert (store.store_id, store.next_number()) == (again.store_id, again.next_number)
        assert connect(store).epoch == 2 + 2 * CLEAR


def test_numbers_of_transactions_that_are_there_are_left_behind_too(cx: Connection, own_database: str) -> None:
    """A row of the state may be older than they are, in a database that was put together."""
    cx.send("UPDATE meta SET next_number = 2")
    cx.sync()
    assert recover(own_database).next_number == 4 + CLEAR


@pytest.mark.parametrize(("left", "possible"), [(CLEAR, True), (CLEAR - 1, False)])
def test_a_database_whose_numbers_come_to_their_end_is_left_as_it_is(
    cx: Connection, own_database: str, left: int, possible: bool
) -> None:
    """OCPP's numbers have 31 bits."""
    cx.send("UPDATE meta SET next_number = $1", MAX_NUMBER - left)
    cx.sync()
    before = kept(cx)
    if possible:
        assert recover(own_database).next_number == MAX_NUMBER
        return
    with pytest.raises(StoreError, match=f"no transaction numbers are left above {MAX_NUMBER - left}"):
        recover(own_database)
    assert kept(cx) == before


def test_what_is_served_or_empty_is_not_recovered(own_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is said in its own words, and stays as it is."""
    monkeypatch.setattr("gateway.store.postgres.lane.HOLD_SECONDS", 0.2)
    with pytest.raises(StoreError, match="is empty; put the backup there first"):
        recover(own_database)
    with closing(opened(own_database)) as store:
        with pytest.raises(StoreInUse, match="is served by another process"):
            recover(own_database)
        assert connect(store).epoch == 1


def test_a_server_that_does_not_take_it_is_said(own_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away, or refusing; the connection is closed."""
    with pytest.raises(StoreError, match=r"gateway at 127\.0\.0\.1 can't be reached: ") as away:
        recover("postgresql://127.0.0.1:9/gateway", "secret")
    assert "secret" not in str(away.value)
    closed: list[Connection] = []

    class Watched(Connection):
        def close(self) -> None:
            closed.append(self)
            super().close()

    def refuse(*_: object) -> bool:
        raise ServerError("57014", "canceling statement")

    monkeypatch.setattr(module, "Connection", Watched)
    monkeypatch.setattr(module, "check", refuse)
    with pytest.raises(StoreUnavailable, match="canceling statement"):
        recover(own_database)
    assert len(closed) == 1

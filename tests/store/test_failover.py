"""A server that restarts or fails over under a store that stays open: nothing is lost, repeated or shown too soon."""

import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.api import Generation, generation_at
from gateway.store.postgres import Durability, PostgresStore
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.server_look import look
from tests.store.builders import above, append, connect, status
from tests.support import postgres

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def durable():
    """A server that keeps what it is given, once a standby has it; and the standby."""
    postgres.require()
    with postgres.server(durable=True) as primary, postgres.server(primary=primary) as standby:
        primary.configure(synchronous_standby_names="*")
        yield primary, standby


def appending(
    store: PostgresStore, enough: threading.Event, kept: list[int], errors: list[Exception]
) -> threading.Thread:
    """A thread that appends one event after the other, and notes the sequences that were acknowledged."""

    def run() -> None:
        while not enough.is_set():
            try:
                kept.extend(append(store, status(str(len(kept))), epoch=1).sequences)
                store.charge_point("CP1")
            except Exception as error:
                errors.append(error)
                return

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(("state", "heard"), [("01000", ["waits no more"]), ("57P01", []), ("57P02", [])])
def test_a_warning_that_ends_the_connection_says_nothing_of_a_commit(durable, state, heard):
    """At an immediate shutdown it may come behind the answer to a commit, which holds: the next use finds it broken.
    Any other may say that no standby has the commit."""
    primary, _ = durable
    cx = Connection(primary.url("postgres"))
    try:
        cx.run(f"DO $$ BEGIN RAISE WARNING 'waits no more' USING ERRCODE = '{state}'; END $$")
        assert cx.warnings == heard
    finally:
        cx.close()


@pytest.mark.parametrize("way", ["crash", "in order", "failover"])
def test_a_server_that_restarts_or_fails_over_loses_nothing_and_refuses_nothing(durable, way):
    """Under a writer and a reader: all that was acknowledged is there, in order, once. The failover comes last."""
    primary, standby = durable
    url = primary.url(primary.database(), standby)
    with closing(PostgresStore(url, durability=Durability.LOCAL)) as store:  # the last server has no standby
        connect(store)
        enough, kept, errors = threading.Event(), list[int](), list[Exception]()
        thread = appending(store, enough, kept, errors)
        try:
            _until(lambda: len(kept) >= 20 or errors)
            if way == "failover":
                primary.stop()
                standby.promote()
                standby.configure(synchronous_standby_names="")  # there is none left
            else:
                primary.stop("fast" if way == "in order" else "immediate")
                primary.start()
            before = len(kept)
            _until(lambda: len(kept) >= before + 20 or errors)
        finally:
            enough.set()
            thread.join(60)
        assert errors == []
        assert above(store, 0)[-len(kept) :] == tuple(kept)
        assert len(above(store, 0)) == len(kept) + 2


@pytest.fixture
def pair():
    """A primary and its standby, which has to confirm each commit."""
    postgres.require()
    with postgres.server(durable=True) as primary, postgres.server(primary=primary) as standby:
        primary.configure(synchronous_standby_names="*")
        yield primary, standby


def test_a_primary_that_restarts_shows_nothing_that_no_standby_has(pair):
    """A commit that was waiting for it is visible there; it is read once the standby has it, and not before."""
    primary, standby = pair
    with closing(PostgresStore(primary.url(primary.database()), patience=60.0)) as store:
        connect(store)
        before = above(store, 0)
        standby.stop()
        waiting = threading.Thread(target=lambda: append(store, status(), epoch=1))
        waiting.start()
        _until(lambda: primary.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
        primary.stop()
        primary.start()
        found = list[tuple[int, ...]]()
        reading = threading.Thread(target=lambda: found.append(above(store, 0)))
        reading.start()
        _until(lambda: len(primary.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")) == 2)
        assert found == []
        standby.start()
        reading.join(60)
        waiting.join(60)
        [seen] = found
        assert seen[: len(before)] == before
        assert len(seen) == len(before) + 1


def test_a_look_at_a_server_sees_which_standby_confirms(pair):
    """Commits are timed with it; without it they are not waited for. A slot without a consumer is seen."""
    primary, standby = pair
    url = primary.url(primary.database())
    _until(lambda: primary.rows("SELECT 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"))
    primary.rows("SELECT pg_create_physical_replication_slot('left_behind', true)::text")
    found = look(url, "", lambda: datetime.now(UTC), time.monotonic, 2)
    assert len(found.confirming) == 1
    assert (found.waited, found.wants_standby, found.hides_standbys) == (True, True, False)
    assert len(found.commits) == 2
    assert [name for name, _ in found.idle_slots] == ["left_behind"]
    copy = look(standby.url("postgres"), "", lambda: datetime.now(UTC), time.monotonic, 2)
    assert (copy.standby, copy.commits) == (True, ())
    standby.stop()
    _until(lambda: not primary.rows("SELECT 1 FROM pg_stat_replication"))
    found = look(url, "", lambda: datetime.now(UTC), time.monotonic, 2)
    assert (found.confirming, found.waited, len(found.commits)) == ((), False, 2)


def test_another_timeline_begins_another_generation(pair):
    """In a store that stays open: tokens of what the standby had hold, those of what it lacks are refused, and so does
    each other gateway that reads there."""
    primary, standby = pair
    url = primary.url(primary.database(), standby)
    with closing(PostgresStore(url, durability=Durability.LOCAL)) as store:
        connect(store)
        (kept,) = append(store, status(), epoch=1).sequences
        [generation] = store.generations
        primary.stop()
        standby.promote()
        standby.configure(synchronous_standby_names="")
        (later,) = append(store, status(), epoch=1).sequences
        assert kept < later
        assert store.generations[0] == generation
        assert [each.first_sequence for each in store.generations[1:]] == [kept + 1]
        assert generation_at(store.generations, kept) == generation.token != generation_at(store.generations, later)
        cx = Connection(url)
        cx.rows("INSERT INTO generation (token, first_sequence, timeline) VALUES (7, $1, 9)", later + 1)
        cx.close()
        assert store.bounds().head == later
        assert store.generations[-1] == Generation(7, later + 1)


def test_a_standby_that_lacks_what_was_acknowledged_is_not_gone_on_with(pair):
    """Promoted by hand all the same: this gateway writes nothing there; the next one refuses its positions."""
    primary, standby = pair
    url = primary.url(primary.database(), standby)
    primary.configure(synchronous_standby_names="")
    with closing(PostgresStore(url, durability=Durability.LOCAL)) as store:
        connect(store)
        (kept,) = append(store, status(), epoch=1).sequences
        _until(lambda: standby.rows("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", primary.position())[0][0])
        standby.stop("fast")
        (lost,) = append(store, status(), epoch=1).sequences
        of_lost = generation_at(store.generations, lost)
        of_kept = generation_at(store.generations, kept)
        primary.stop()
        standby.start()
        standby.promote()
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="has lost commits that were acknowledged"):
                append(store, status(), epoch=1)
    with closing(PostgresStore(url, durability=Durability.LOCAL)) as store:
        assert above(store, 0)[-1] == kept
        assert generation_at(store.generations, kept) == of_kept
        assert generation_at(store.generations, lost) != of_lost
        assert connect(store).epoch == 2
        assert len(above(store, kept)) >= 1


def _until(enough: Any) -> None:
    for _ in range(3_000):
        if enough():
            return
        threading.Event().wait(0.01)
    raise AssertionError("not within 30 s")

"""Bounds of the store, each at the limit and one beyond it, and what all reads have in common."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from structlog.testing import capture_logs

from gateway.domain.values import ConnectorAddress, Registration
from gateway.errors import StoreCorrupt, StoreUnavailable
from gateway.store.api import EventFilter
from gateway.store.commits import AllocateNumbers, CreateChargePoint, Forget, RecordLastHeard, Trim
from gateway.store.filters import TransactionFilter
from gateway.store.limits import MAX_LIMIT, MAX_NUMBER
from gateway.store.sqlite import SqliteStore, connections, generations, history, recovery
from gateway.store.sqlite.checkpoints import CHECKPOINT_PAGES, Checkpoints
from gateway.store.sqlite.connections import MAX_READERS, ReaderPool
from tests.store.builders import ALL, append, at, connect, meter, of, one, started, status
from tests.store.test_damage import overwrite

HOUR = 3600


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "gateway.db")) as store:
        connect(store)
        append(store, started(1), meter(1), meter(99))
        yield store


PAGES: dict[str, Callable[[SqliteStore, int], Any]] = {
    "events": lambda store, limit: store.events(0, limit, ALL),
    "events of a charge point": lambda store, n: store.events(0, n, EventFilter(charge_points=frozenset({"CP1"}))),
    "readings": lambda store, limit: store.readings("tx_1", 0, limit),
    "orphans": lambda store, limit: store.find_orphans(of(), "", limit).records,
    "charge points": lambda store, limit: store.charge_points("", limit),
    "taken identities": lambda store, limit: store.taken([f"CP{n}" for n in range(limit)]),
    "transactions": lambda store, limit: store.transactions(TransactionFilter(), None, limit),
    "transactions of a tag": lambda store, limit: store.occupying_transactions_of_tag("TAG", limit),
    "tags": lambda store, limit: store.find_id_tags(of(), "", limit).records,
    "commands": lambda store, limit: store.commands("CP1", None, limit),
    "overdue reservations": lambda store, limit: store.overdue_reservations(at(0), limit),
    "trimming": lambda store, limit: one(store, Trim(None, limit)),
    "forgetting": lambda store, n: one(store, Forget(None, timedelta(7), timedelta(30), n, 0, 0)),
}


@pytest.mark.parametrize("read", PAGES)
def test_a_page_may_be_as_long_as_the_limit_and_no_longer(store: SqliteStore, read: str) -> None:
    """At the limit it is given, one beyond it is a bug of the caller."""
    PAGES[read](store, MAX_LIMIT)
    with pytest.raises(ValueError, match=r"limit|at most"):
        PAGES[read](store, MAX_LIMIT + 1)


def test_an_event_has_one_id_by_whichever_read(store: SqliteStore) -> None:
    """The history, a transaction's readings, those at its edges, and orphans: clients know events by it."""
    ids = {each.sequence: each.event_id for each in store.events(0, 100, ALL).events}
    assert all(event_id.endswith(f"{sequence}") and len(event_id) > 10 for sequence, event_id in ids.items())
    found = [*store.readings("tx_1", 0, 10), *store.edge_readings("tx_1", 3), *store.find_orphans(of(), "", 10).records]
    assert len(found) == 3
    assert all(ids[each.sequence] == each.event_id for each in found)


def test_every_way_to_a_new_store_gives_it_an_id_of_the_same_form(tmp_path: Path) -> None:
    """Made, recovered from damage, and recovered from a backup."""
    path, made, ids = tmp_path / "gateway.db", tmp_path / "recovered.db", []
    with closing(SqliteStore(path)) as store:
        connect(store)
        ids.append(store.store_id)
    recovery.recover(path, made)
    assert generations.recover(path, snapshot=True) is not None
    for each in (made, path):
        with closing(SqliteStore(each)) as store:
            ids.append(store.store_id)
    assert len(set(ids)) == 3
    assert all(re.fullmatch("store_[0-9a-f]{32}", each) for each in ids)


def test_a_recovered_database_is_one_file(tmp_path: Path) -> None:
    """No log stays beside it that would have to be copied with it: by either way of recovering."""
    path, made = tmp_path / "gateway.db", tmp_path / "recovered.db"
    with closing(SqliteStore(path)) as store:
        connect(store)
    recovery.recover(path, made)
    assert generations.recover(path, snapshot=True) is not None
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.endswith(("-wal", "-shm"))) == []


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (apsw.FullError("database or disk is full"), StoreUnavailable, "gateway.db: the disk or its quota is full"),
        (apsw.CorruptError("malformed"), StoreCorrupt, "gateway.db is damaged or not a database"),
    ],
)
def test_a_disk_that_fails_a_recovery_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], words: str
) -> None:
    """In the store's own errors, with the file's name; and the file may be used again."""
    path = tmp_path / "gateway.db"
    with closing(SqliteStore(path)) as store:
        connect(store)

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(generations, "_recover", fail)
        with pytest.raises(kind, match=words):
            generations.recover(path, snapshot=True)
    assert generations.recover(path, snapshot=True) is not None


def leaves(path: Path) -> dict[int, int]:
    """Pages at the end of the history's tree, with the number of rows on each."""
    with closing(apsw.Connection(str(path))) as cx:
        sql = "SELECT pageno, ncell FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY path"
        return dict(cx.execute(sql).fetchall())


@pytest.mark.parametrize("which", [1, 4, 9])
def test_a_damaged_page_costs_its_own_rows_and_no_others(tmp_path: Path, which: int) -> None:
    """To the row: what can be read again begins right behind the damage, wherever that is."""
    path = tmp_path / "gateway.db"
    with closing(SqliteStore(path)) as store:
        connect(store)
        for _ in range(40):
            append(store, *[status()] * 20)
        before = store.bounds().head
    page, rows = list(leaves(path).items())[which]
    overwrite(path, page)
    counts = recovery.recover(path, tmp_path / "recovered.db")
    assert counts["event"] == before - rows


def test_the_last_free_connection_is_lent_and_no_further_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that finds all of them taken waits, and then the store counts as unavailable."""
    monkeypatch.setattr(connections, "READER_WAIT", 0.01)
    with closing(SqliteStore(tmp_path / "gateway.db")):
        pool = ReaderPool(tmp_path / "gateway.db")
        with ExitStack() as lent:
            taken = {id(lent.enter_context(pool.connection())) for _ in range(MAX_READERS)}
            assert len(taken) == MAX_READERS
            with pytest.raises(StoreUnavailable, match="became free within"), pool.connection():
                pass
        with pool.connection() as cx:
            assert id(cx) in taken
        pool.close()


@pytest.mark.parametrize(("ahead", "stays"), [(300, True), (301, False)])
def test_a_note_of_retention_that_is_ahead_by_no_more_than_clocks_are_stays(
    tmp_path: Path, ahead: int, stays: bool
) -> None:
    """Five minutes; what a clock that ran further ahead has left goes, and is noted anew."""
    path = tmp_path / "gateway.db"
    with closing(SqliteStore(path)) as store:
        connect(store)
        append(store, status())
        for seconds in (HOUR + ahead, HOUR):
            one(store, Trim(None, 1))
            one(store, Forget(at(seconds), timedelta(7), timedelta(30), 100, 0, 0))
    with closing(apsw.Connection(str(path))) as cx:
        found = [number for (number,) in cx.execute("SELECT at FROM floor_mark")]
    noted = at(HOUR + (ahead if stays else 0))
    assert found == [round(noted.timestamp() * 1_000_000)]


@pytest.mark.parametrize(("later", "kept"), [(300, True), (301, False), (-1, False)])
def test_a_later_time_at_which_one_was_heard_stays_by_minutes_at_most(
    store: SqliteStore, later: int, kept: bool
) -> None:
    """Times written in bulk are older than that of a connection's end; a clock that ran ahead is not believed."""
    one(store, RecordLastHeard((("CP1", at(1000 + later)),)))
    one(store, RecordLastHeard((("CP1", at(1000)),)))
    record = store.charge_point("CP1")
    assert record is not None
    assert record.connection.last_heard == at(1000 + (later if kept else 0))


def test_numbers_are_given_out_up_to_the_largest_there_is(store: SqliteStore) -> None:
    """OCPP's transaction ids have 31 bits: the last of them is given, and then no other, nor none at all."""
    most = MAX_NUMBER
    first = one(store, AllocateNumbers(1)).first
    assert one(store, AllocateNumbers(most - first)).first == first + 1
    for count in (0, 1):
        with pytest.raises(Exception, match="can't be given out"):
            one(store, AllocateNumbers(count))


MINUTES_AHEAD = timedelta(minutes=5)
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
LEAST = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("when", "believed"),
    [
        (at(0) + MINUTES_AHEAD, True),
        (at(0) + MINUTES_AHEAD + LEAST, False),
        (EARLIEST, True),
        (EARLIEST - LEAST, False),
    ],
    ids=["ahead as clocks are", "ahead", "the first there can be", "before this software"],
)
def test_a_time_is_believed_up_to_both_its_bounds(tmp_path: Path, when: datetime, believed: bool) -> None:
    """To the microsecond: what is kept by age rests on it."""
    with closing(SqliteStore(tmp_path / "gateway.db")) as store:
        one(store, CreateChargePoint("CP1", Registration.ACCEPTED, (), when))
        assert store.oldest_time(at(0)) == (when if believed else None)


@pytest.mark.parametrize(("later", "goes"), [(LEAST, True), (timedelta(), False)], ids=["before", "at"])
def test_undated_events_go_with_one_above_them_that_was_received_before_the_time(
    tmp_path: Path, later: timedelta, goes: bool
) -> None:
    """To the microsecond, as events that are dated: what was received at that time stays."""
    with closing(SqliteStore(tmp_path / "gateway.db")) as store:
        for identity, when in (("CP1", EARLIEST - LEAST), ("CP2", at(0))):
            one(store, CreateChargePoint(identity, Registration.ACCEPTED, (), when))
        undated = store.events(0, 1, ALL).events[0].sequence
        step = one(store, Trim(at(0) + later, 1, at(1)))
        assert step.floor == (undated if goes else 0)


@pytest.mark.parametrize(("ahead", "believed"), [(timedelta(), False), (LEAST, True)], ids=["at it", "beyond it"])
def test_the_time_that_retention_has_passed_counts_up_to_the_bound_of_what_clocks_are_ahead(
    tmp_path: Path, ahead: timedelta, believed: bool
) -> None:
    """Earlier times are not believed then; beyond it the passed time is a wrong clock's, and they are."""
    with closing(SqliteStore(tmp_path / "gateway.db")) as store:
        one(store, CreateChargePoint("CP1", Registration.ACCEPTED, (), at(0) + MINUTES_AHEAD + ahead))
        one(store, Trim(None, 1, at(HOUR)))
        one(store, CreateChargePoint("CP2", Registration.ACCEPTED, (), at(-1)))
        assert store.oldest_time(at(0)) == (at(-1) if believed else None)


def test_an_empty_file_with_an_empty_log_is_a_new_database(tmp_path: Path) -> None:
    """As a start leaves them that was killed before it wrote anything; with a log that holds something it is not."""
    path = tmp_path / "gateway.db"
    for each in (path, tmp_path / "gateway.db-wal"):
        each.touch()
    with closing(SqliteStore(path)) as store:
        connect(store)
        assert store.bounds().head > 0


def test_tags_of_many_transactions_are_looked_at_up_to_the_limit(store: SqliteStore) -> None:
    """The newest state of each, no more than were asked for."""
    append(store, *[started(number, connector=ConnectorAddress(number, 1)) for number in range(2, 6)])
    found = [len(store.occupying_transactions_of_tag("TAG", limit)) for limit in (1, 4, 5, 6)]
    assert found == [1, 4, 5, 5]


@pytest.mark.parametrize(("astray", "found"), [(0, 1), (1, 1), (2, 0)])
def test_a_search_by_time_goes_on_beyond_the_end_for_so_many_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, astray: int, found: int
) -> None:
    """One that lies in its time begins the count anew."""
    monkeypatch.setattr(history, "PAGE", 1)
    monkeypatch.setattr(history, "ASTRAY", 2)
    with closing(SqliteStore(tmp_path / "gateway.db")) as store:
        one(store, CreateChargePoint("CP1", Registration.ACCEPTED, (), at(0)))
        for seconds in (*[10] * astray, 1, 10, 2):
            append(store, status(), seconds=seconds)
    with history.History(tmp_path / "gateway.db") as read:
        times = [each.received_at for each in read.events(at(1), at(5))]
    assert times == [at(1), at(2)][: 2 * found]


# --- checkpoints ----------------------------------------------------------------------------------------------


class Log:
    """A connection whose log is as long as it is said to be."""

    def __init__(self) -> None:
        self.done = 0
        self.error: Exception | None = None
        self.committed: Callable[..., int]

    def set_wal_hook(self, committed: Callable[..., int]) -> None:
        self.committed = committed

    def wal_checkpoint(self, *, mode: int) -> None:
        assert mode == apsw.SQLITE_CHECKPOINT_PASSIVE
        self.done += 1
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(("failed", "works_at"), [(False, 1), (True, 2)], ids=["worked", "failed"])
def test_a_log_is_written_back_at_its_length_and_after_a_failure_at_twice_that(failed: bool, works_at: int) -> None:
    """Not a page earlier; and once it has worked again, at its length as before."""
    cx: Any = Log()
    checkpoints = Checkpoints(Path("gateway.db"))
    checkpoints.watch(cx)

    def after(pages: int) -> bool:
        assert cx.committed(cx, "main", pages) == apsw.SQLITE_OK
        due = checkpoints.due
        if due:
            checkpoints.run(cx)
            assert not checkpoints.due
        return due

    with capture_logs() as logs:
        assert not after(CHECKPOINT_PAGES - 1)
        cx.error = apsw.IOError("disk") if failed else None
        assert after(CHECKPOINT_PAGES)
        cx.error = None
        assert not after(works_at * CHECKPOINT_PAGES - 1)
        assert after(works_at * CHECKPOINT_PAGES)
        assert not after(CHECKPOINT_PAGES - 1)
        assert after(CHECKPOINT_PAGES)
    words = [(each["event"], each.get("log_pages")) for each in logs]
    assert words == ([("checkpoint failed", CHECKPOINT_PAGES), ("checkpoints work again", None)] if failed else [])


def test_a_backup_that_holds_the_log_is_no_failure() -> None:
    """It is tried again with the next commit."""
    cx: Any = Log()
    checkpoints = Checkpoints(Path("gateway.db"))
    checkpoints.watch(cx)
    cx.error = apsw.BusyError("locked")
    with capture_logs() as logs:
        for _ in range(2):
            cx.committed(cx, "main", CHECKPOINT_PAGES)
            assert checkpoints.due
            checkpoints.run(cx)
    assert (cx.done, logs) == (2, [])

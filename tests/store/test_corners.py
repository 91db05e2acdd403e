"""Edges of a store: limits of pages and numbers, files that can't be locked, steps that fail half-way."""

import errno
import fcntl
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import apsw
import pytest

from gateway.domain.codec import decode
from gateway.domain.commands import ConfigurationKey
from gateway.domain.events import ConfigurationReported, NewEvent, ReservationEnded, TransactionOrphaned
from gateway.domain.repeats import Memory
from gateway.domain.values import ConnectorAddress
from gateway.errors import StoreError, StoreInUse, StoreMisplaced, StoreUnavailable
from gateway.store.api import EventFilter
from gateway.store.commits import (
    AllocateNumbers,
    Append,
    DeleteChargePoint,
    Done,
    Forget,
    Missing,
    OpenSession,
    RecordLastHeard,
    RemoveCredentials,
    Trim,
    UpdateChargePoint,
)
from gateway.store.encoding import fits
from gateway.store.filters import AuditFilter, TransactionFilter
from gateway.store.postgres import retention as postgres_retention
from gateway.store.postgres.connection import Connection
from gateway.store.sqlite import SqliteStore, connections, migrate, process_lock, retention
from gateway.store.sqlite.companion import companion_path, read_companion
from gateway.store.sqlite.process_lock import ProcessLock
from tests.store.builders import (
    ALL,
    CONNECTED,
    CONNECTOR,
    answered,
    append,
    at,
    connect,
    create,
    credential,
    event,
    meter,
    nth,
    of,
    one,
    queued,
    sent,
    started,
    status,
    stopped,
)
from tests.support.disk import Disk

# --- numbers and pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "whether"),
    [
        (0, True),
        (9_223_372_036_854_775_807, True),
        (9_223_372_036_854_775_808, False),
        (-9_223_372_036_854_775_808, True),
        (-9_223_372_036_854_775_809, False),
    ],
)
def test_a_number_fits_as_far_as_64_bits_go(number, whether):
    """Both ends belong to them."""
    assert fits(number) is whether


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_every_page_has_a_limit_that_is_in_order(store, limit):
    """Whichever read it is: nothing is read by a limit that would be all, or none."""
    connect(store)
    append(store, started(1))
    for read in (
        lambda: store.events(0, limit, ALL),
        lambda: store.events(0, limit, EventFilter(charge_points=frozenset({"CP1"}))),
        lambda: store.readings("tx_1", 0, limit),
        lambda: store.energy_events("tx_1", 0, limit),
        lambda: store.due_energies(at(0), limit),
        lambda: store.charge_points("", limit),
        lambda: store.labelled({}, None, limit),
        lambda: store.steering(None, "", limit),
        lambda: store.overdue_reservations(at(0), limit),
        lambda: store.overdue_operations(at(0), limit),
        lambda: store.occupying_transactions_of_tag("TAG", limit),
        lambda: store.transactions(TransactionFilter(), None, limit),
        lambda: store.commands("CP1", None, limit),
        lambda: store.audit(AuditFilter(), None, limit),
        lambda: store.unsigned("", limit),
        lambda: store.overdue_signings(at(0), limit),
        lambda: store.due_certificates(at(0), at(1), limit),
        lambda: store.find_charge_points(of(), "", limit, True),
        lambda: store.find_connectors(of(), "", limit),
        lambda: store.find_transactions(of(), "", limit),
        lambda: store.find_commands(of(), "", limit),
        lambda: store.find_operations(of(), "", limit),
        lambda: store.find_id_tags(of(), "", limit),
        lambda: store.find_orphans(of(), "", limit),
    ):
        with pytest.raises(ValueError, match="limit"):
            read()


def test_an_event_is_the_same_by_whichever_read(store):
    """The history, the event itself, a transaction's readings, those at its edges, those for its energy, the newest
    values, and orphans: clients know it by its id."""
    connect(store)
    append(store, started(1), meter(1), meter(99), TransactionOrphaned(9, "unknown-number", {}), stopped(1))
    known = {each.sequence: each for each in store.events(0, 100, ALL).events}
    reads = {
        "itself": [each for sequence in known if (each := store.event(sequence)) is not None],
        "readings": store.readings("tx_1", 0, 10),
        "edges": store.edge_readings("tx_1", 3),
        "energy": store.energy_events("tx_1", 0, 10),
        "newest": store.newest_values(["CP1"])["CP1"],
        "orphans": store.find_orphans(of(), "", 10).records,
    }
    assert {name: len(found) for name, found in reads.items()} == {
        "itself": len(known), "readings": 3, "edges": 1, "energy": 3, "newest": 3, "orphans": 1
    }  # fmt: skip
    for name, found in reads.items():
        assert [each.event_id for each in found] == [known[each.sequence].event_id for each in found], name
        assert [each.body_json for each in found] == [known[each.sequence].body_json for each in found], name


def test_the_event_of_a_transaction_that_the_store_never_held_still_names_it(store):
    """And one that belongs to none names none."""
    connect(store)
    append(
        store,
        meter(7),
        status(),
        ReservationEnded(1, CONNECTOR, "used", "tx_7"),
        ReservationEnded(2, CONNECTOR, "expired"),
    )
    found = store.events(*nth(store, 2), 10, ALL).events
    assert [each.transaction_id for each in found] == ["tx_7", None, "tx_7", None]


# --- one charge point and the others --------------------------------------------------------------------------


def test_when_one_was_heard_changes_no_other(store):
    """Nor one that is deleted."""
    for identity in ("CP1", "CP2", "CP3"):
        create(store, identity)
    one(store, RecordLastHeard((("CP2", at(5)),)))
    one(store, DeleteChargePoint("CP3", at(6)))
    one(store, RecordLastHeard((("CP1", at(7)), ("CP3", at(8)))))
    heard = [store.charge_point(identity).connection.last_heard for identity in ("CP1", "CP2")]
    assert heard == [at(7), at(5)]
    create(store, "CP3")
    assert store.charge_point("CP3").connection.last_heard is None


def test_a_state_has_what_was_said_in_the_same_batch(store):
    """The next session starts from what the previous one said last, though that is not on disk yet."""
    connect(store)
    said = (
        event(started(1)),
        event(status("Charging")),
        event(ConfigurationReported((ConfigurationKey("A", False, "1"),), ())),
    )
    _, opened = store.commit([Append("CP1", 1, said), OpenSession("CP1", CONNECTED, at(9))])
    assert list(opened.state.open_transactions) == ["tx_1"]
    assert [each.status for each in opened.state.connectors.values()] == ["Charging"]
    assert opened.state.configuration == {"A": "1"}
    assert opened.sequences == nth(store, 6, 7)


def test_nothing_is_to_be_removed_of_a_charge_point_that_never_was(store):
    """Its writer may be late: that is no bug."""
    assert one(store, RemoveCredentials("NOBODY", ("cred_1",))) == Done()
    assert one(store, RecordLastHeard((("NOBODY", at(1)),))) == Done()
    assert one(store, DeleteChargePoint("NOBODY", at(1))) == Missing()


# --- retention ------------------------------------------------------------------------------------------------


def test_the_floor_stops_at_the_first_event_that_stays(store):
    """An older one may lie behind it, from a clock that ran back: it waits for its turn."""
    create(store)
    append(store, status("Available"), seconds=100)
    append(store, status("Faulted"), seconds=1)
    first, *others = nth(store, 1, 2, 3)
    trimmed = one(store, Trim(at(50), 100))
    assert trimmed.floor == first
    assert [each.sequence for each in store.events(first, 10, ALL).events] == others


RETENTIONS = (retention, postgres_retention)

WRONG = 12 * 365 * 86_400
"""Seconds ahead: the time of a clock that is not to be believed."""


@pytest.mark.parametrize(
    ("wrong", "right", "found"),
    [
        ((), 20, 1),
        (range(1, 4), 20, 4),  # within a stretch of the first: the next one that is credible
        (range(1, 6), 20, 9),  # one more, and it is looked for at distances: at 5, 9, 17, ...
        (range(1, 10), 20, 17),
        (range(1, 17), 20, 17),
        (range(1, 18), 20, 20),  # and at last the newest
        (range(1, 20), 20, 20),
        (range(1, 21), 20, None),
        ((), 0, None),
    ],
)
def test_the_oldest_time_is_the_first_that_can_be_believed(place, monkeypatch, wrong, right, found):
    """A clock that was wrong for long is jumped over in steps: later than need be, but of an event."""
    for module in RETENTIONS:
        monkeypatch.setattr(module, "STRETCH", 4)
    store = place.open()
    create(store)
    one(store, Trim(None, 1))
    for number in range(1, right + 1):
        append(store, status(), seconds=number + (WRONG if number in wrong else 0))
    assert store.oldest_time(at(1000)) == (None if found is None else at(found))


def test_a_long_wrong_time_is_jumped_over_in_few_steps(place, monkeypatch):
    """Not event by event: there may be millions."""
    looks = []
    for module in RETENTIONS:
        monkeypatch.setattr(module, "STRETCH", 2)
    store = place.open()
    create(store)
    store.commit([Append("CP1", None, tuple(event(status(), WRONG) for _ in range(1000)))])
    for owner, name in ((retention, "fetch"), (Connection, "rows")):
        original = getattr(owner, name)

        def counted(*args, original=original):
            if "FROM event" in args[1]:
                looks.append(args)
            return original(*args)

        monkeypatch.setattr(owner, name, counted)
    assert store.oldest_time(at(1000)) == at()
    one(store, Trim(None, 1))
    looks.clear()
    assert store.oldest_time(at(1000)) is None
    assert len(looks) < 15


def test_a_position_that_is_ahead_of_the_history_stays(store):
    """A watcher that asks for what comes next is not sent back."""
    connect(store)
    for where in (ALL, EventFilter(charge_points=frozenset({"CP1"})), EventFilter(types=frozenset({"x.y"}))):
        ahead = store.bounds().head + 8
        page = store.events(ahead, 5, where)
        assert (page.events, page.position) == ((), ahead)


def test_new_credentials_are_named_among_what_was_changed(store):
    """Their bytes are not."""
    create(store)
    one(store, UpdateChargePoint("CP1", at(1), description="here", credentials=(credential(),)))
    (updated,) = [each for each in store.events(0, 10, ALL).events if each.type == "charge_point.updated"]
    body = decode(updated.type, updated.version, updated.body_json)
    assert set(body.changed) == {"description", "credentials"}


# --- the lock file --------------------------------------------------------------------------------------------


def test_a_lock_file_that_can_not_be_locked_is_a_store_that_is_unavailable(tmp_path, monkeypatch):
    """As on some network file systems: no other process is at fault, and none is named."""

    def fails(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    path = tmp_path / "gateway.db"
    before = descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", fails)
        with pytest.raises(StoreUnavailable, match="can't be locked: No locks available"):
            SqliteStore(path)
    assert descriptors() == before, "it is closed again"
    SqliteStore(path).close()


def test_a_lock_holds_though_its_note_can_not_be_written(tmp_path, monkeypatch):
    """On a full disk: the note is for people."""

    def fails(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(process_lock.os, "pwrite", fails)
        held = ProcessLock(tmp_path / "gateway.db")
    with pytest.raises(StoreInUse, match="is served by another process"):
        ProcessLock(tmp_path / "gateway.db")
    held.release()


def test_a_lock_that_is_released_twice_closes_no_other_file(tmp_path):
    """Its descriptor belongs to the next file that was opened."""
    lock = ProcessLock(tmp_path / "gateway.db")
    lock.release()
    with open(tmp_path / "another", "w") as other:
        lock.release()
        other.write("x")
        other.flush()
    assert (tmp_path / "another").read_text() == "x"


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


# --- connections and threads ------------------------------------------------------------------------------------


def test_connections_are_set_up_as_is_written_down(tmp_path):
    """Durable, careful with what is on disk, and with room enough. (Pragmas answer with what is in force.)"""
    store = SqliteStore(tmp_path / "gateway.db")
    connect(store)
    writer = store._writer.cx
    reader = connections.open_reader(tmp_path / "gateway.db")
    wanted = {"temp_store": 2, "trusted_schema": 0, "cell_size_check": 1, "busy_timeout": 5000}
    for cx, more in (
        (writer, {"cache_size": -65536, "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "query_only": 0}),
        (reader, {"cache_size": -4096, "query_only": 1}),
    ):
        found = {name: cx.pragma(name) for name in wanted | more}
        assert found == wanted | more
    assert (writer.pragma("journal_size_limit"), writer.pragma("wal_autocheckpoint")) == (67_108_864, 0)
    reader.close()
    store.close()


def test_commits_of_several_threads_take_turns(store):
    """Each is whole, and each has its own answer."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: one(store, AllocateNumbers(3)).first, range(80)))
    assert sorted(answers) == list(range(1, 241, 3))


def test_a_database_that_is_a_directory_is_misplaced(tmp_path):
    """No waiting mends that."""
    (tmp_path / "gateway.db").mkdir()
    with pytest.raises(StoreMisplaced, match="Is a directory"):
        SqliteStore(tmp_path / "gateway.db")


def test_the_token_of_a_run_is_any_number_of_63_bits_but_0(place, monkeypatch):
    """No two runs have the same, by all that can be foreseen, and each can be kept."""
    for draw, token in ((lambda bound: bound - 1, 2**63 - 1), (lambda bound: 0, 1)):
        monkeypatch.setattr("secrets.randbelow", draw)
        assert place.open().generations[-1].token == token


def test_what_a_deleted_charge_point_said_is_forgotten_for_good(place):
    """Also by a writer that remembers nothing of it, and in the batch in which it was said."""
    store = place.open()
    for identity in ("CP1", "CP2"):
        connect(store, identity)
    said = event(meter(), reported_at=at(), repeat_key=b"k" * 16)
    for identity in ("CP1", "CP2"):
        one(store, Append(identity, 1, (said,)))
    last = event(meter(), 1, reported_at=at(1), repeat_key=b"l" * 16)
    store.commit([Append("CP1", 1, (last,)), DeleteChargePoint("CP1", at(1))])
    store = place.open()
    assert connect(store, "CP1").state.memory == Memory()
    assert connect(store, "CP2").state.memory.readings == b"k" * 16


# --- what fails half-way --------------------------------------------------------------------------------------


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path, monkeypatch):
    """Each is one transaction: the next start begins where this one did."""
    path = tmp_path / "gateway.db"
    store = SqliteStore(path)
    connect(store)
    store.close()
    sound = migrate.scripts()
    broken = [*sound, "CREATE TABLE half (a); CREATE TABLE half (a);"]
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "scripts", lambda: broken)
        with pytest.raises(Exception, match="half already exists"):
            SqliteStore(path)
    cx = apsw.Connection(str(path))
    assert cx.pragma("user_version") == len(sound)
    assert cx.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").get == 0
    cx.close()
    store = SqliteStore(path)
    assert connect(store).epoch == 2
    store.close()


def test_a_reader_that_can_not_be_set_up_is_closed_again(tmp_path, monkeypatch):
    """No descriptor stays, and the error is the one that there was."""
    path = tmp_path / "gateway.db"
    SqliteStore(path).close()
    before = descriptors()

    def fails(*_):
        raise apsw.IOError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(connections, "_set_up", fails)
        for opens in (connections.open_reader, connections.open_writer):
            with pytest.raises(apsw.IOError):
                opens(path)
    assert descriptors() == before


def test_a_connection_that_can_not_be_closed_is_given_up_all_the_same(tmp_path, monkeypatch):
    """The store is closed, and its file is another's."""
    path = tmp_path / "gateway.db"
    store = SqliteStore(path)
    connect(store)

    class Unwilling:
        def close(self, *_):
            raise apsw.IOError("disk I/O error")

    books = store._writer
    real, books.cx = books.cx, Unwilling()
    store.close()
    real.close()
    again = SqliteStore(path)
    assert again.charge_point("CP1") is not None
    again.close()


def test_an_event_is_of_the_time_that_it_was_given(store):
    """Not of another event of its batch."""
    connect(store)
    one(store, Append("CP1", 1, (NewEvent(queued(1), at(1)), NewEvent(queued(2), at(2)))))
    assert [each.received_at for each in store.events(*nth(store, 2), 10, ALL).events] == [at(1), at(2)]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (apsw.FullError("x"), StoreUnavailable, "the disk or its quota is full"),
        (apsw.ReadOnlyError("x"), StoreUnavailable, "read-only"),
        (apsw.CantOpenError("x"), StoreUnavailable, "can't be opened"),
        (apsw.PermissionsError("x"), StoreUnavailable, "can't be opened"),
        (apsw.AuthError("x"), StoreUnavailable, "can't be opened"),
        (apsw.CorruptError("x"), StoreUnavailable, "is damaged"),
        (apsw.NotADBError("x"), StoreUnavailable, "is damaged"),
        (apsw.IOError("x"), StoreUnavailable, "failed: IOError: x"),
        (apsw.BusyError("x"), StoreUnavailable, "failed: BusyError: x"),
        (apsw.ConstraintError("x"), StoreError, "can't take that"),
        (apsw.MismatchError("x"), StoreError, "can't take that"),
        (apsw.RangeError("x"), StoreError, "can't take that"),
        (apsw.TooBigError("x"), StoreError, "can't take that"),
        (apsw.SQLError("x"), StoreError, "can't take that"),
        (apsw.MisuseError("x"), StoreError, "can't take that"),
        (apsw.BindingsError("x"), StoreError, "can't take that"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, apsw.Error) else "",
)
def test_what_sqlite_says_becomes_the_stores_own_error(store_at, error, kind, words):
    """A disk that can't is to be waited for; a statement that can't be is a bug. Either names the file."""
    store, path = store_at

    def fails(_):
        raise error

    with pytest.raises(StoreError) as caught:
        store._read(fails)
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


@pytest.fixture
def store_at(tmp_path):
    """A store and its file."""
    path = tmp_path / "gateway.db"
    store = SqliteStore(path)
    yield store, path
    store.close()


# --- closing, marking and looking while something else is under way -------------------------------------------------


class Gate:
    """A trouble that is none: the first access to a file of that ending waits until the gate is opened."""

    def __init__(self, ending: str) -> None:
        self._ending = ending
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, name: str) -> None:
        if name.endswith(self._ending) and not self.reached.is_set():
            self.reached.set()
            assert self.open.wait(30)


@pytest.fixture
def disk(tmp_path):
    """A disk that does what a test says."""
    disk = Disk(tmp_path, vfs="corners")
    yield disk
    disk.unregister()


def test_closing_waits_for_the_commit_that_is_under_way(disk, tmp_path):
    """Which is acknowledged, for it is on disk."""
    store = SqliteStore(tmp_path / "gateway.db", vfs=disk.vfs)
    connect(store)
    disk.sync_trouble = gate = Gate("-wal")
    with ThreadPoolExecutor(2) as pool:
        commit = pool.submit(append, store, status())
        assert gate.reached.wait(30)
        close = pool.submit(store.close)
        try:
            assert not wait([close], timeout=0.3).done
        finally:
            gate.open.set()
        assert commit.result(30).sequences == (3,)
        close.result(30)
    again = SqliteStore(tmp_path / "gateway.db", vfs=disk.vfs)
    assert again.bounds().head == 3
    again.close()


def test_the_newest_of_two_marks_is_the_one_that_stays(disk, tmp_path):
    """They are made in turns: an older one that is slow to be written does not take the place of a newer one."""
    store = SqliteStore(tmp_path / "gateway.db", vfs=disk.vfs)
    connect(store)
    disk.write_trouble = gate = Gate("-id")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.mark)
        assert gate.reached.wait(30)
        append(store, status())
        second = pool.submit(store.mark)
        wait([second], timeout=0.3)
        gate.open.set()
        first.result(30)
        second.result(30)
    assert read_companion(tmp_path / "gateway.db").head == 3
    store.close()


def test_a_store_that_is_being_opened_is_opened_once(disk, tmp_path):
    """A second caller waits for the first opening, and has its store."""
    store = SqliteStore(tmp_path / "gateway.db", vfs=disk.vfs, opened=False)
    disk.sync_trouble = gate = Gate("gateway.db")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.open)
        assert gate.reached.wait(30)
        second = pool.submit(store.open)
        wait([second], timeout=0.3)
        gate.open.set()
        first.result(30)
        second.result(30)
    assert connect(store).epoch == 1
    store.close()


def test_a_store_that_is_not_open_yet_says_so(tmp_path):
    """Of whatever is asked of it, until it is; and it has no generations."""
    store = SqliteStore(tmp_path / "gateway.db", opened=False)
    asked = [
        lambda: store.store_id,
        lambda: store.charge_point("CP1"),
        lambda: store.id_tag("TAG"),
        store.bounds,
        lambda: store.commit([]),
        store.probe,
    ]
    try:
        for each in asked:
            with pytest.raises(StoreUnavailable, match="is not open yet"):
                each()
        assert store.generations == ()
        assert not (tmp_path / "gateway.db").exists()
        store.open()
        assert store.bounds().head == 0
        assert len(store.generations) == 1
        store.close()
        with pytest.raises(StoreUnavailable, match="is closed"):
            store.open()
    finally:
        store.close()


def test_a_store_that_is_not_open_yet_marks_nothing(tmp_path):
    """It has not found out yet whether the database is the right one."""
    SqliteStore(tmp_path / "gateway.db").close()
    companion_path(tmp_path / "gateway.db").unlink()
    store = SqliteStore(tmp_path / "gateway.db", opened=False)
    store.mark()
    assert read_companion(tmp_path / "gateway.db") is None
    store.close()


def test_every_access_to_the_files_goes_by_the_disk_that_was_named(disk, tmp_path):
    """Readers', too: a test of a failing disk must not read behind its back."""
    opened = []
    original = disk.xOpen

    def xOpen(name, flags):
        opened.append(name if isinstance(name, str) else name.filename())
        return original(name, flags)

    disk.xOpen = xOpen
    store = SqliteStore(tmp_path / "gateway.db", vfs=disk.vfs)
    store.bounds()
    assert sum(name.endswith("gateway.db") for name in opened) >= 2, "the writer's and a reader's"
    before = len(opened)
    for _ in range(5):
        store.bounds()
    assert len(opened) == before, "the reader is used again"
    store.close()


def test_a_reader_that_comes_back_to_a_closed_pool_is_closed(tmp_path):
    """The borrower may go on to the end; then nothing is left open."""
    SqliteStore(tmp_path / "gateway.db").close()
    before = descriptors()
    pool = connections.ReaderPool(tmp_path / "gateway.db")
    with pool.connection() as cx:
        pool.close()
        assert cx.execute("SELECT count(*) FROM event").get == 0
    assert descriptors() == before
    with pytest.raises(StoreUnavailable, match="is closed"), pool.connection():
        pass


def test_the_size_of_a_store_is_its_used_pages_and_its_log(store_at):
    """Retention by size goes by it: pages that were given back don't count, and what waits in the log does."""
    store, path = store_at
    connect(store)
    for n in range(50):
        append(store, meter(None, f"{n:0>3000}"))
    cx = apsw.Connection(str(path))
    used = cx.pragma("page_size") * (cx.pragma("page_count") - cx.pragma("freelist_count"))
    cx.close()
    log = path.with_name("gateway.db-wal")
    assert store.size_bytes() == used + log.stat().st_size
    assert log.stat().st_size > 100_000
    log.unlink()
    assert store.size_bytes() == used


def test_a_statement_that_can_not_be_is_no_commit_that_is_not_known(store_at):
    """A failure before the commit keeps nothing; the caller's error says which of the two it was."""
    store, path = store_at
    connect(store)
    cx = apsw.Connection(str(path))
    cx.execute("ALTER TABLE event RENAME TO elsewhere")
    with pytest.raises(StoreError, match=r"gateway\.db can't take that") as caught:
        append(store, status())
    assert type(caught.value) is StoreError
    cx.execute("ALTER TABLE elsewhere RENAME TO event")
    cx.close()
    assert append(store, status()).sequences == (3,)


def test_a_write_waits_for_a_momentary_holder_of_the_database(store_at):
    """An operator's tool, say."""
    store, path = store_at
    connect(store)
    cx = apsw.Connection(str(path))
    cx.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        commit = pool.submit(append, store, status())
        assert not wait([commit], timeout=0.3).done
        cx.execute("COMMIT")
        assert commit.result(30).sequences == (3,)
    cx.close()


@pytest.mark.parametrize(
    ("error", "kind"), [(errno.ENOSPC, StoreUnavailable), (errno.EIO, StoreUnavailable), (errno.EACCES, StoreMisplaced)]
)
def test_a_lock_file_that_can_not_be_opened_is_named(tmp_path, monkeypatch, error, kind):
    """A disk that may work again later gets another error than a place that never will."""

    def fails(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(process_lock.os, "open", fails)
    with pytest.raises(StoreUnavailable, match=rf"gateway\.db\.lock can't be opened: {os.strerror(error)}") as caught:
        ProcessLock(tmp_path / "gateway.db")
    assert type(caught.value) is kind


def test_a_connection_that_a_restart_ended_was_ended_here(place):
    """Nothing is known of the charger's part in it."""
    store = place.open()
    connect(store)
    store = place.open()
    assert store.settle(at(5)) == 1
    (ended,) = store.events(*nth(store, 2), 10, ALL).events
    body = decode(ended.type, ended.version, ended.body_json)
    assert (body.reason, body.initiator) == ("gateway-restarted", "local")


def test_what_a_restart_makes_of_commands_is_brought_about_by_them(place):
    """So that an event is found by its command."""
    store = place.open()
    connect(store)
    append(store, queued(1), queued(2), sent(2))
    store = place.open()
    store.settle(at(5))
    found = {each.type: each.cause for each in store.events(*nth(store, 5), 10, ALL).events}
    assert found["command.not_sent"] == "command:cmd_1"
    assert found["command.outcome_unknown"] == "command:cmd_2"


def test_what_is_forgotten_is_counted_together(store):
    """Commands and transactions: the caller goes on until there is nothing left."""
    connect(store)
    append(store, *[started(number) for number in (1, 2)], *[stopped(number) for number in (1, 2)])
    append(store, queued(1), sent(1), answered(1))
    while one(store, Trim(None, 100)).deleted:
        pass
    floor = store.bounds().floor
    assert one(store, Forget(None, timedelta(7), timedelta(30), 100, floor, floor)).deleted == 3
    assert one(store, Forget(None, timedelta(7), timedelta(30), 100, floor, floor)).deleted == 0


def test_it_is_noted_once_an_hour_how_far_retention_has_come(store_at):
    """However often it looks: the notes of a year are some thousands."""
    store, path = store_at
    connect(store)

    def forget(minutes):
        one(store, Forget(at(60 * minutes), timedelta(7), timedelta(30), 100, 0, 0))

    for minute in range(0, 130, 10):
        append(store, status())
        one(store, Trim(None, 1))
        forget(minute)
    cx = apsw.Connection(str(path))
    found = [number for (number,) in cx.execute("SELECT at FROM floor_mark ORDER BY at")]
    cx.close()
    assert [number - found[0] for number in found] == [0, 3_600_000_000, 7_200_000_000]


def test_what_is_crowded_out_is_what_has_no_events_any_more(store):
    """Counted from the newest: commands that are finished, transactions that have ended, behind the floor."""
    connect(store)
    append(store, *[started(number) for number in range(1, 6)], *[queued(number) for number in range(1, 6)])
    for number in range(1, 5):
        append(store, stopped(number), sent(number), answered(number))
    ends = [each.sequence for each in store.events(0, 100, ALL).events if each.type == "transaction.stopped"]
    answers = [each.sequence for each in store.events(0, 100, ALL).events if each.type == "command.answered"]
    assert store.crowded_out(0) == (0, 0)
    floor = ends[2]
    while store.bounds().floor < floor:
        one(store, Trim(None, 1))
    assert store.crowded_out(0) == (answers[1], ends[2])
    assert store.crowded_out(1) == (answers[0], ends[1])
    assert store.crowded_out(2) == (0, ends[0])
    assert store.crowded_out(3) == (0, 0)


def test_a_closed_store_is_not_opened_again(tmp_path):
    """Opened before or not."""
    for opened in (False, True):
        store = SqliteStore(tmp_path / "gateway.db", opened=opened)
        store.close()
        with pytest.raises(StoreUnavailable, match="is closed"):
            store.open()
    SqliteStore(tmp_path / "gateway.db").close()


def remembered(store, identity):
    """The charge point as the writer remembers it."""
    if isinstance(store, SqliteStore):
        return store._writer.owner(identity)
    return store._writer._writer.books.known(identity)


def test_what_a_writer_remembers_of_one_charge_point_is_bounded(store):
    """A charger that begins transaction after transaction fills no memory; each is still known."""
    connect(store)
    for number in range(1, 151):
        append(store, started(number, connector=ConnectorAddress(number, 1)))
        append(store, meter(number))
    assert len(remembered(store, "CP1").open) <= 64
    append(store, meter(3))
    assert len(store.readings("tx_3", 0, 10)) == 3

"""Recovering a database: what is there stays as it is, what is made is whole, and nothing stays locked or open."""

import os

import apsw
import pytest

from gateway.domain.commands import ConfigurationKey
from gateway.domain.events import BootConfigurationApplied, ConfigurationReported
from gateway.errors import StoreError
from gateway.store.commits import AllocateNumbers, PutIdTag
from gateway.store.sqlite import SqliteStore, recovery
from gateway.store.sqlite.generations import CLEAR
from gateway.store.sqlite.process_lock import ProcessLock
from gateway.store.sqlite.recovery import recover
from tests.store.builders import append, connect, id_tag, meter, of, one, queued, started, status
from tests.store.test_damage import overwrite, pages_of
from tests.store.test_sqlite_files import of_version_1


@pytest.fixture
def database(tmp_path):
    """One with something of everything."""
    path = tmp_path / "gateway.db"
    store = SqliteStore(path)
    for identity in ("CP1", "CP2"):
        connect(store, identity)
    append(store, started(1), status("Charging"), queued(1), identity="CP1")
    configured = ConfigurationReported((ConfigurationKey("A", False, "1"), ConfigurationKey("B", False, "2")), ())
    append(store, configured, BootConfigurationApplied("A", "1", "Accepted", "1.0"), identity="CP2")
    one(store, PutIdTag(id_tag("TAG"), create=True))
    store.close()
    return path


def tables(path):
    """Every row of every table, but for those that a new database has of its own."""
    cx = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    names = [name for (name,) in cx.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT NULL")]
    rows = {name: sorted(map(repr, cx.execute(f'SELECT * FROM "{name}"'))) for name in names}
    cx.close()
    return rows


def test_what_is_recovered_of_a_sound_database_is_all_of_it(database, tmp_path):
    """Row by row: tables with a key of several columns, too."""
    recovered = tmp_path / "recovered.db"
    counts = recover(database, recovered)
    before, after = tables(database), tables(recovered)
    own = {"meta", "generation", "sqlite_sequence", "charge_point"}  # epochs go on beyond all that were given out
    assert len(after["charge_point"]) == 2
    assert {name: rows for name, rows in after.items() if name not in own} == {
        name: rows for name, rows in before.items() if name not in own
    }
    assert counts["event"] == len(before["event"])
    assert counts["configuration"] == 2


@pytest.mark.parametrize("there", ["", "something of mine"])
def test_what_is_there_is_never_overwritten(database, tmp_path, there):
    """Also where it is empty."""
    recovered = tmp_path / "recovered.db"
    recovered.write_text(there)
    with pytest.raises(StoreError, match="is there already"):
        recover(database, recovered)
    assert recovered.read_text() == there


def test_what_is_not_there_is_not_made(tmp_path):
    """A mistyped name leaves no empty database behind."""
    with pytest.raises(StoreError, match="is not there"):
        recover(tmp_path / "gateway.db", tmp_path / "recovered.db")
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_locked_or_open(database, tmp_path):
    """Recovered or not, the next command, or the gateway, may open it."""
    before = set(os.listdir("/proc/self/fd"))
    recover(database, tmp_path / "recovered.db")
    ProcessLock(database).release()
    (tmp_path / "none.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        recover(tmp_path / "none.db", tmp_path / "another.db")
    ProcessLock(tmp_path / "none.db").release()
    assert set(os.listdir("/proc/self/fd")) == before
    store = SqliteStore(database)
    assert store.charge_point("CP1").identity == "CP1"
    store.close()


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_what_is_recovered_does_not_depend_on_how_much_is_read_at_once(database, tmp_path, monkeypatch, chunk):
    """The next read begins at the end of the one before: nothing is left out, and nothing comes twice."""
    monkeypatch.setattr(recovery, "CHUNK", chunk)
    counts = recover(database, tmp_path / "recovered.db")
    assert counts == {name: len(rows) for name, rows in tables(database).items() if not name.startswith("sqlite_")}
    assert tables(tmp_path / "recovered.db")["event"] == tables(database)["event"]


def test_two_damaged_pages_cost_what_was_on_them(tmp_path):
    """Rows between them are there: reading goes on behind each."""
    path = tmp_path / "gateway.db"
    store = SqliteStore(path)
    connect(store)
    for n in range(200):
        append(store, meter(None, f"{n:0>300}"))
    store.close()
    pages = pages_of(path, "event")
    before = numbers(path, "event")
    for page in (pages[2], pages[-2]):
        overwrite(path, page)
    recover(path, tmp_path / "recovered.db")
    kept = numbers(tmp_path / "recovered.db", "event")
    assert kept < before
    assert len(kept) > len(before) - 40
    lost = sorted(before - kept)
    assert lost[-1] - lost[0] > 100, "they are far apart"


def test_a_damaged_page_of_settings_costs_what_was_on_it(tmp_path):
    """Tables without row numbers are read from either end, by their key."""
    path = tmp_path / "gateway.db"
    store = SqliteStore(path)
    connect(store)
    keys = tuple(ConfigurationKey(f"Key{n:03}", False, f"{999 - n}".ljust(200, ".")) for n in range(200))
    append(store, ConfigurationReported(keys, ()))
    store.close()
    pages = pages_of(path, "configuration")
    assert len(pages) > 5
    overwrite(path, pages[len(pages) // 2])
    recover(path, tmp_path / "recovered.db")
    recovered = SqliteStore(tmp_path / "recovered.db")
    kept = connect(recovered).state.configuration
    recovered.close()
    assert {"Key000", "Key001", "Key198", "Key199"} <= set(kept)
    assert 150 < len(kept) < 200
    assert all(kept[each.key] == each.value for each in keys if each.key in kept)


def test_what_belongs_to_a_charge_point_that_was_lost_is_kept(database, tmp_path):
    """Its transactions and its history are bills: they are there, though the charge point itself is not."""
    before = tables(database)
    overwrite(database, pages_of(database, "charge_point")[0])
    counts = recover(database, tmp_path / "recovered.db")
    after = tables(tmp_path / "recovered.db")
    assert counts["charge_point"] == 0
    for name in ("event", "txn", "command", "connector", "configuration", "id_tag"):
        assert after[name] == before[name]
        assert counts[name] == len(before[name]) > 0


@pytest.mark.parametrize(("known", "first"), [(None, 42), (10, 42), (42, 42), (43, 43), (500, 500)])
def test_numbers_go_on_beyond_every_one_that_can_be_known(tmp_path, known, first):
    """Those of transactions, and the next one that was noted, if the note can be read: whichever is more."""
    path = tmp_path / "gateway.db"
    store = SqliteStore(path)
    connect(store)
    append(store, started(41))
    store.close()
    cx = apsw.Connection(str(path))
    cx.execute("DELETE FROM meta WHERE name = 'next_number'")
    if known is not None:
        cx.execute("INSERT INTO meta VALUES ('next_number', ?)", (known,))
    cx.close()
    recover(path, tmp_path / "recovered.db")
    recovered = SqliteStore(tmp_path / "recovered.db")
    assert one(recovered, AllocateNumbers(1)).first == first + CLEAR
    recovered.close()


def test_a_recovered_database_begins_its_own_generations(database, tmp_path):
    """A token of before names none of them."""
    store = SqliteStore(database)
    append(store, status())
    before = {each.token for each in store.generations}
    store.close()
    recover(database, tmp_path / "recovered.db")
    recovered = SqliteStore(tmp_path / "recovered.db")
    assert before.isdisjoint(each.token for each in recovered.generations)
    recovered.close()


def test_a_database_of_an_older_version_is_recovered_into_one_of_this(tmp_path):
    """Columns and tables that it does not have yet begin as they do when it is opened."""
    path = tmp_path / "gateway.db"
    of_version_1(path)
    counts = recover(path, tmp_path / "recovered.db")
    assert counts["charge_point"] == 1
    assert "reservation" not in counts
    recovered = SqliteStore(tmp_path / "recovered.db")
    assert connect(recovered).epoch == 1 + CLEAR
    assert recovered.charge_point("CP1").reservations == ()
    recovered.close()


def numbers(path, table):
    """The numbers of a table's rows."""
    cx = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = {number for (number,) in cx.execute(f"SELECT rowid FROM {table}")}
    cx.close()
    return found


def test_a_row_that_a_constraint_forbids_costs_itself_alone(database, tmp_path):
    """Damage that can be read: what comes after it is there."""
    store = SqliteStore(database)
    for tag in ("A", "Z"):
        one(store, PutIdTag(id_tag(tag), create=True))
    store.close()
    cx = apsw.Connection(str(database))
    cx.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    cx.execute("PRAGMA writable_schema = ON")
    loose = "UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'id_tag'"
    cx.execute(loose)
    cx.execute("PRAGMA writable_schema = RESET")
    cx.execute("UPDATE id_tag SET status = NULL WHERE id_tag = 'TAG'")
    cx.close()
    counts = recover(database, tmp_path / "recovered.db")
    assert counts["id_tag"] == 2
    recovered = SqliteStore(tmp_path / "recovered.db")
    assert [each.id_tag for each in recovered.find_id_tags(of(), "", 10).records] == ["A", "Z"]
    recovered.close()

"""Recovering a database: what is there stays as it is, what is made is whole, and nothing stays locked or open."""

import os

import apsw
import pytest

from gateway.domain.commands import ConfigurationKey
from gateway.domain.events import BootConfigurationApplied, ConfigurationReported
from gateway.errors import StoreError
from gateway.store.api import PutIdTag
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.ownership import Ownership
from gateway.store.sqlite.recovering import recover
from tests.store.builders import append, connect, id_tag, one, queued, started, status


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
    """Whether it could be recovered or not: the next command, or the gateway, may have it."""
    before = set(os.listdir("/proc/self/fd"))
    recover(database, tmp_path / "recovered.db")
    Ownership(database).release()
    (tmp_path / "none.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        recover(tmp_path / "none.db", tmp_path / "another.db")
    Ownership(tmp_path / "none.db").release()
    assert set(os.listdir("/proc/self/fd")) == before
    store = SqliteStore(database)
    assert store.charge_point("CP1").identity == "CP1"
    store.close()

"""Damaged files: what is found at once, what is found when it is read, what can't be found; and always what to do."""

import re
import shutil
from pathlib import Path

import apsw
import pytest

from gateway.errors import StoreCorrupt, StoreReplaced, StoreUnavailable
from gateway.store.commits import AllocateNumbers
from gateway.store.sqlite import SqliteStore, integrity, recovery
from gateway.store.sqlite.companion import companion_path
from tests.store.builders import ALL, append, connect, create, meter, one, started, status

PAGE = 4096

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "store.md"


@pytest.fixture
def path(tmp_path) -> Path:
    """A database with some history, closed in good order."""
    path = tmp_path / "gateway.db"
    store = SqliteStore(path)
    connect(store)
    append(store, started())
    for n in range(300):
        append(store, meter(1, f"{n:0>300}"))
    store.close()
    return path


def pages_of(path: Path, name: str) -> list[int]:
    """The numbers of a table's or an index's pages, the root first."""
    cx = apsw.Connection(str(path))
    try:
        found = cx.execute("SELECT pageno FROM dbstat WHERE name = ? ORDER BY path", (name,))
        return [number for (number,) in found]
    except apsw.SQLError:
        pytest.skip("this SQLite has no dbstat")
    finally:
        cx.close()


def overwrite(path: Path, page: int, content: bytes = b"\xa5" * PAGE) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(content)


def is_refused(path: Path, why: str = "") -> None:
    """By name, with the way out, and the files left as they are; again and again."""
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match=rf"{re.escape(str(path))} is damaged.*{why}.*docs/store\.md"):
            SqliteStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["charge_point", "txn", "event", "event_of_charge_point", "txn_started"])
def test_an_overwritten_page_is_found_when_the_store_is_opened(path, name):
    """Root or leaf, of a table or of an index."""
    page = pages_of(path, name)[-1]
    overwrite(path, page)
    is_refused(path, "table")


@pytest.mark.parametrize("left", [1, 3, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_found_when_the_store_is_opened(path, left):
    """By whole pages or anywhere."""
    data = path.read_bytes()
    path.write_bytes(data[: left * PAGE] if isinstance(left, int) else data[: int(left * len(data))])
    is_refused(path)


def test_an_empty_file_with_a_log_is_no_new_database(path):
    """SQLite would throw the log away and begin anew."""
    store = SqliteStore(path)
    append(store, status())
    log = path.with_name("gateway.db-wal").read_bytes()
    store.close()
    path.write_bytes(b"")
    path.with_name("gateway.db-wal").write_bytes(log)
    is_refused(path, "its log is not")
    assert path.with_name("gateway.db-wal").read_bytes() == log


def test_a_large_database_is_not_checked_for_longer_than_is_bearable(path, monkeypatch):
    """Its start is an outage for all chargers: it opens, with what could not be checked unchecked."""
    overwrite(path, pages_of(path, "event")[-1])
    monkeypatch.setattr(integrity, "STEPS", 1)
    cx = apsw.Connection(str(path))
    integrity.check_pages(cx, path, seconds=0)
    cx.close()


def test_damage_that_is_found_later_ends_all_writing(path, monkeypatch):
    """Not only for the caller that met it: whatever is written to a damaged database may be lost. Reads go on,
    nothing flaps, and the next start refuses."""
    monkeypatch.setattr("gateway.store.sqlite.store.check_pages", lambda cx, path: None)
    overwrite(path, pages_of(path, "txn")[-1])
    store = SqliteStore(path)
    create(store, "CP2")
    with pytest.raises(StoreUnavailable, match=r"damaged .*nothing more is written.*docs/store\.md"):
        append(store, started(2))
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="nothing more is written"):
            append(store, status(), identity="CP2")
        with pytest.raises(StoreUnavailable, match="nothing more is written"):
            store.probe()
    assert store.charge_point("CP2") is not None
    store.close()
    monkeypatch.undo()
    is_refused(path, "table txn")


def test_a_reader_that_meets_damage_says_so(path, monkeypatch):
    """And only that read fails."""
    monkeypatch.setattr("gateway.store.sqlite.store.check_pages", lambda cx, path: None)
    overwrite(path, pages_of(path, "txn")[-1])
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailable, match=r"damaged .*docs/store\.md"):
        store.transaction("tx_1")
    assert store.charge_point("CP1") is not None
    store.close()


@pytest.mark.parametrize("where", ["header", "frame"])
def test_a_log_is_cut_off_where_it_is_damaged(path, where):
    """It can't be distinguished from a commit that a power cut interrupted, unless the companion has seen more:
    what came before is there, whole."""
    store = SqliteStore(path)
    head = store.bounds().head
    for _ in range(20):
        append(store, status())
    log = bytearray(path.with_name("gateway.db-wal").read_bytes())
    database = path.read_bytes()
    store.close()
    at = 8 if where == "header" else len(log) // 2
    log[at] ^= 0xFF
    path.write_bytes(database)
    path.with_name("gateway.db-wal").write_bytes(log)
    with pytest.raises(StoreReplaced, match=rf"history ends at \d+, and had reached {head + 20}"):
        SqliteStore(path)  # what is written down beside it has seen more
    companion_path(path).unlink()
    store = SqliteStore(path)
    assert (store.bounds().head == head) if where == "header" else (head < store.bounds().head < head + 20)
    assert append(store, status()).sequences == (store.bounds().head,)
    store.close()


# --- the way out ----------------------------------------------------------------------------------------------


def recovered(path: Path, tmp_path: Path) -> SqliteStore:
    """By the documented command."""
    assert "python -m gateway.store.sqlite.recovery gateway.db recovered.db" in DOCUMENTATION.read_text()
    before = path.read_bytes()
    assert recovery.main([str(path), str(tmp_path / "recovered.db")]) == 0
    assert path.read_bytes() == before
    return SqliteStore(tmp_path / "recovered.db")


def test_a_damaged_index_costs_nothing(path, tmp_path):
    """It is made anew; the recovered database is another store, whose numbers keep clear of those given out."""
    store = SqliteStore(path)
    before, old_id = everything(store), store.store_id
    store.close()
    overwrite(path, pages_of(path, "event_of_charge_point")[-1])
    is_refused(path)
    store = recovered(path, tmp_path)
    assert everything(store) == before
    assert store.store_id != old_id
    assert one(store, AllocateNumbers(1)).first > recovery.CLEAR
    assert store.transaction("tx_1") is not None
    assert connect(store).epoch == 2 + recovery.CLEAR
    store.close()


@pytest.mark.parametrize("which", [0, 1, 5, -1])
def test_a_damaged_page_costs_what_was_on_it(path, tmp_path, which):
    """Of the history some stretches; everything else is there. (Under the table's root everything of it hangs.)"""
    store = SqliteStore(path)
    before = everything(store)
    store.close()
    pages = pages_of(path, "event")
    overwrite(path, pages[which])
    store = recovered(path, tmp_path)
    kept = everything(store)
    assert set(kept.items()) <= set(before.items())
    assert len(kept) == 0 if which == 0 else len(before) - 20 < len(kept) < len(before)
    assert store.charge_point("CP1") is not None
    assert store.transaction("tx_1") is not None
    append(store, status())
    store.close()


def test_a_database_with_a_log_is_recovered_with_it(path, tmp_path):
    """The last commit is in it."""
    store = SqliteStore(path)
    (last,) = append(store, status("Faulted")).sequences
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("gateway.db", "gateway.db-wal"):
        shutil.copy(path.with_name(name), folder / name)
    store.close()
    overwrite(folder / "gateway.db", pages_of(path, "txn_started")[-1])
    store = recovered(folder / "gateway.db", tmp_path)
    assert last in everything(store)
    store.close()


def test_recovering_overwrites_nothing_and_touches_nothing_that_is_served(path, tmp_path, capsys):
    """Nor does it invent anything."""
    (tmp_path / "there.db").write_bytes(b"precious")
    assert recovery.main([str(path), str(tmp_path / "there.db")]) == 1
    assert (tmp_path / "there.db").read_bytes() == b"precious"
    store = SqliteStore(path)
    assert recovery.main([str(path), str(tmp_path / "new.db")]) == 1
    assert "served by this process" in capsys.readouterr().err
    store.close()
    assert recovery.main([str(tmp_path / "nowhere.db"), str(tmp_path / "new.db")]) == 1
    path.write_bytes(b"not a database, " * 1000)
    assert recovery.main([str(path), str(tmp_path / "new.db")]) == 1
    assert "restore a backup" in capsys.readouterr().err
    assert recovery.main([]) == 2
    assert "usage: python -m gateway.store.sqlite.recovery" in capsys.readouterr().err
    assert not (tmp_path / "new.db").exists()


def everything(store: SqliteStore) -> dict[int, bytes]:
    found, after = {}, 0
    while page := store.events(after, 1_000, ALL).events:
        found.update((e.sequence, e.body_json) for e in page)
        after = page[-1].sequence
    return found

"""Backups: made of a store in use, proven, put back; and the copy that an upgrade leaves."""

import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from gateway.domain.values import Registration
from gateway.errors import StoreCorrupt, StoreError, StoreInUse, StoreReplaced, StoreUnavailable
from gateway.store.commits import CreateChargePoint
from gateway.store.sqlite import backup
from gateway.store.sqlite.backup import (
    back_up,
    examine,
    keep_before_upgrade,
    look_before_restore,
    restore,
    upgrade_copy,
)
from gateway.store.sqlite.migrate import scripts
from gateway.store.sqlite.store import SqliteStore
from tests.support.syncing import noted_syncs

NOW = datetime(2026, 11, 27, 10, tzinfo=UTC)


def add(store: SqliteStore, *identities: str) -> None:
    store.commit([CreateChargePoint(each, Registration.ACCEPTED, (), NOW) for each in identities])


def known(path: Path) -> set[str]:
    """The charge points of a database that is not served."""
    store = SqliteStore(path, clock=lambda: NOW)
    try:
        return {each.identity for each in store.charge_points("", 100)}
    finally:
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with two charge points, closed."""
    path = tmp_path / "gateway.db"
    store = SqliteStore(path, clock=lambda: NOW)
    add(store, "A", "B")
    store.close()
    return path


def test_a_store_in_use_is_backed_up_as_of_one_moment(tmp_path: Path) -> None:
    """With what is still in its log; private to its owner, and the store goes on."""
    store = SqliteStore(tmp_path / "gateway.db", clock=lambda: NOW)
    try:
        add(store, "A")
        made = back_up(tmp_path / "gateway.db", tmp_path / "backup.db")
        add(store, "B")
        assert (made.store_id, made.head) == (store.store_id, store.bounds().head - 1)
        assert (made.schema, made.size) == (len(scripts()), (tmp_path / "backup.db").stat().st_size)
        assert stat.S_IMODE((tmp_path / "backup.db").stat().st_mode) == 0o600
        assert len(store.charge_points("", 10)) == 2
    finally:
        store.close()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "backup.db").rename(tmp_path / "elsewhere" / "gateway.db")
    assert known(tmp_path / "elsewhere" / "gateway.db") == {"A"}


def test_writers_do_not_wait_for_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They commit while it is being written; it holds what was there when it began."""
    store = SqliteStore(tmp_path / "gateway.db", clock=lambda: NOW)
    written, go_on = threading.Event(), threading.Event()
    original = backup.examine

    def examining(path: Path, *, pages: bool = True) -> backup.Backup:
        written.set()
        assert go_on.wait(10)
        return original(path, pages=pages)

    monkeypatch.setattr(backup, "examine", examining)
    try:
        add(store, "A")
        making = threading.Thread(target=back_up, args=(tmp_path / "gateway.db", tmp_path / "backup.db"))
        making.start()
        assert written.wait(10)
        add(store, "B")
        assert not (tmp_path / "backup.db").exists()
        go_on.set()
        making.join(60)
        assert (tmp_path / "backup.db").exists()
    finally:
        go_on.set()
        store.close()


def test_a_backup_overwrites_nothing(path: Path, tmp_path: Path) -> None:
    """Nor is one made of nothing, or into nothing."""
    (tmp_path / "there").write_bytes(b"mine")
    with pytest.raises(StoreError, match="is there already"):
        back_up(path, tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"mine"
    with pytest.raises(StoreError, match="there is no database"):
        back_up(tmp_path / "none.db", tmp_path / "backup.db")
    with pytest.raises(StoreError, match="no such folder"):
        back_up(path, tmp_path / "none" / "backup.db")


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_what_is_no_gateways_database_is_not_backed_up(tmp_path: Path, content: bytes) -> None:
    """And leaves nothing behind."""
    (tmp_path / "other.db").write_bytes(content)
    with pytest.raises(StoreError):
        back_up(tmp_path / "other.db", tmp_path / "backup.db")
    assert sorted(each.name for each in tmp_path.glob("backup*")) == []


def damage(path: Path) -> None:
    """Overwrite the middle of a file."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)


def test_a_backup_of_a_damaged_database_is_none(path: Path, tmp_path: Path) -> None:
    """Found while it is read, or when it is examined."""
    damage(path)
    with pytest.raises(StoreCorrupt):
        back_up(path, tmp_path / "backup.db")
    assert not (tmp_path / "backup.db").exists()


def test_a_backup_is_put_back_and_is_safe_to_serve(path: Path, tmp_path: Path) -> None:
    """As another store; the database of before is kept, and can itself be put back."""
    before = back_up(path, tmp_path / "backup.db")
    store = SqliteStore(path, clock=lambda: NOW)
    add(store, "C")
    store.close()
    done = restore(tmp_path / "backup.db", path, NOW)
    assert done.recovered is not None
    assert done.recovered.old_id == before.store_id
    assert done.recovered.store_id != before.store_id
    assert known(path) == {"A", "B"}
    assert done.kept == tmp_path / "gateway.db-replaced-20261127T100000Z"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = restore(done.kept, path, NOW.replace(hour=11))
    assert again.recovered is not None
    assert known(path) == {"A", "B", "C"}


def test_a_database_of_before_keeps_its_log(path: Path, tmp_path: Path) -> None:
    """A gateway that was killed left one; together they are what was acknowledged."""
    back_up(path, tmp_path / "backup.db")
    store = SqliteStore(path, clock=lambda: NOW)
    add(store, "C")
    for name in ("gateway.db", "gateway.db-wal"):
        (tmp_path / f"copy-{name}").write_bytes((tmp_path / name).read_bytes())
    store.close()
    for name in ("gateway.db", "gateway.db-wal"):
        (tmp_path / f"copy-{name}").rename(tmp_path / name)
    done = restore(tmp_path / "backup.db", path, NOW)
    assert done.kept is not None
    cx = apsw.Connection(str(done.kept))
    try:
        assert cx.execute("SELECT count(*) FROM charge_point").get == 3
    finally:
        cx.close()


def test_a_database_that_is_served_is_not_replaced(path: Path, tmp_path: Path) -> None:
    """Nothing is touched."""
    back_up(path, tmp_path / "backup.db")
    store = SqliteStore(path, clock=lambda: NOW)
    try:
        with pytest.raises(StoreInUse):
            restore(tmp_path / "backup.db", path, NOW)
        add(store, "C")
    finally:
        store.close()
    assert known(path) == {"A", "B", "C"}


def test_what_is_no_backup_is_not_put_back(path: Path, tmp_path: Path) -> None:
    """Damaged, in use, another program's, or not there."""
    backup_path = tmp_path / "backup.db"
    back_up(path, backup_path)
    (tmp_path / "backup.db-wal").write_bytes(b"x")
    with pytest.raises(StoreError, match="a database in use"):
        restore(backup_path, path, NOW)
    (tmp_path / "backup.db-wal").unlink()
    damage(backup_path)
    with pytest.raises(StoreCorrupt):
        restore(backup_path, path, NOW)
    backup_path.write_bytes(b"something else")
    with pytest.raises(StoreCorrupt):
        restore(backup_path, path, NOW)
    with pytest.raises(StoreError, match="is no file"):
        restore(tmp_path / "none.db", path, NOW)
    with pytest.raises(StoreError, match="is the database itself"):
        restore(path, path, NOW)
    assert known(path) == {"A", "B"}


def test_what_would_refuse_a_restore_is_found_before_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No room for the copy; and a backup that is another one by the time of the restore is not put back."""
    backup_path = tmp_path / "backup.db"
    made = back_up(path, backup_path)
    assert look_before_restore(backup_path, path) == made
    with monkeypatch.context() as patch:
        usage = backup.shutil.disk_usage(tmp_path)
        patch.setattr(backup.shutil, "disk_usage", lambda _: usage._replace(free=made.size - 1))
        with pytest.raises(StoreUnavailable, match=r"bytes, and .* are free"):
            look_before_restore(backup_path, path)
    store = SqliteStore(path, clock=lambda: NOW)
    add(store, "C")
    store.close()
    backup_path.unlink()
    back_up(path, backup_path)
    with pytest.raises(StoreError, match="has changed since it was looked at"):
        restore(backup_path, path, NOW, made)
    assert known(path) == {"A", "B", "C"}


@pytest.mark.parametrize("step", ["_put_aside", "_sync_folder", "recover"])
def test_a_restore_that_is_killed_on_its_way_leaves_nothing_that_would_be_served(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A start refuses what is there, or it is the database of before; and it can be run again."""
    back_up(path, tmp_path / "backup.db")
    store = SqliteStore(path, clock=lambda: NOW)
    add(store, "C")
    store.close()

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(backup, step, killed)
        with pytest.raises(Killed):
            restore(tmp_path / "backup.db", path, NOW)
    if step == "_put_aside":
        assert known(path) == {"A", "B", "C"}
    else:
        with pytest.raises(StoreReplaced):
            SqliteStore(path, clock=lambda: NOW)
    assert restore(tmp_path / "backup.db", path, NOW.replace(hour=12)).backup.size > 0
    assert known(path) == {"A", "B"}


@pytest.mark.parametrize("copied_at_once", [backup.COPY_BYTES, 1_000])
def test_a_backup_is_on_disk_before_it_gets_its_name(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied_at_once: int
) -> None:
    """All of it, and its name when it is made, or put back, however it was copied: a power failure costs nothing that
    was answered."""
    monkeypatch.setattr(backup, "COPY_BYTES", copied_at_once)
    done = noted_syncs(monkeypatch)
    back_up(path, tmp_path / "backup.db")
    assert done == ["whole backup.db", "folder"]
    restore(tmp_path / "backup.db", path, NOW)
    assert done[2:] == ["whole gateway.db", "folder"]


# --- upgrades -----------------------------------------------------------------------------------------------------


def older(path: Path) -> None:
    """Have the database say that it is of the schema before: the last migration is then made again, or fails."""
    cx = apsw.Connection(str(path))
    cx.pragma("user_version", len(scripts()) - 1)
    cx.close()


def test_a_schema_that_is_the_present_one_needs_no_copy(path: Path, tmp_path: Path) -> None:
    """Nor does an empty database."""
    assert known(path) == {"A", "B"}
    assert list(tmp_path.glob("gateway.db-schema-*")) == []


def test_before_an_upgrade_a_copy_is_kept(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Private, whole, of the schema before; copies of earlier upgrades go."""
    older(path)
    upgrade_copy(path, 1).write_bytes(b"of an earlier upgrade")
    cx = apsw.Connection(str(path))
    done = noted_syncs(monkeypatch)
    try:
        kept = keep_before_upgrade(cx, path)
    finally:
        cx.close()
    assert done == [f"whole {upgrade_copy(path, len(scripts()) - 1).name}", "folder"]
    assert kept == tmp_path / f"gateway.db-schema-{len(scripts()) - 1}"
    assert examine(kept).schema == len(scripts()) - 1
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.glob("gateway.db-schema-*")] == [kept.name]


def test_without_room_for_the_copy_the_schema_is_not_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway waits for room, and says what else can be done."""
    older(path)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(backup.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreUnavailable, match=r"1,000 are free. Make room, or set store.upgrade_copy = false"):
        SqliteStore(path, clock=lambda: NOW)
    cx = apsw.Connection(str(path))
    assert cx.pragma("user_version") == len(scripts()) - 1
    cx.close()


def test_a_copy_that_is_not_wanted_is_not_made(path: Path, tmp_path: Path) -> None:
    """For those who make a backup first."""
    store = SqliteStore(path, clock=lambda: NOW, opened=False)
    store.upgrade_copy = False
    store.open()
    store.close()
    assert list(tmp_path.glob("gateway.db-schema-*")) == []
    assert os.listdir(tmp_path)

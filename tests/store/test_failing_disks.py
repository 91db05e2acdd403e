"""Disks that are full, read-only, fail their syncs or lose what they have confirmed: nothing acknowledged goes, and
the store works again when the disk does.

A sync that failed has marked as clean what it should have written (``tests.support.disk``): a program that trusts the
system's cache after that loses it at the next power cut.
"""

import random

import pytest
import structlog

from gateway.errors import CommitUnknown, GatewayError, StoreUnavailable
from gateway.store.commits import Write, WriteResult
from gateway.store.sqlite import SqliteStore, checkpoints, connections
from tests.store.builders import ALL, append, connect, meter, status, types
from tests.support.disk import Disk, broken, full, lost, read_only
from tests.support.outages import Life, Violation, examine, leftovers


@pytest.fixture
def disks(tmp_path):
    """Makes disks; each may be what another one is after the process was started anew."""
    made = []

    def make(before: Disk | None = None) -> Disk:
        folder, vfs = tmp_path / f"disk-{len(made)}", f"disk-{len(made)}"
        folder.mkdir()
        made.append(Disk(folder, vfs=vfs) if before is None else before.moved(folder, vfs))
        return made[-1]

    yield make
    for disk in made:
        disk.unregister()


@pytest.fixture
def disk(disks) -> Disk:
    return disks()


def opened(disk: Disk) -> SqliteStore:
    return SqliteStore(disk.folder / "gateway.db", vfs=disk.vfs)


def survivors(disk: Disk, folder) -> list[int]:
    """The sequences that are there after a power cut."""
    folder.mkdir()
    for name, content in disk.platter.left(lost, random.Random(1)).items():
        (folder / name).write_bytes(content)
    store = SqliteStore(folder / "gateway.db")
    try:
        return [e.sequence for e in store.events(0, 1_000, ALL).events]
    finally:
        store.close()


def large(store: SqliteStore, pages: int = 5):
    """A commit of some pages."""
    return append(store, *(meter(None, "9" * 4_000) for _ in range(pages)))


# --- writing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trouble", "said"), [(full, "full"), (read_only, "read-only"), (broken, "failed")])
def test_a_disk_that_can_not_be_written_fails_the_whole_batch_and_is_got_over(disk, trouble, said):
    """Nothing of the batch is there, reads go on, and when the disk works so do commits, without opening anew."""
    store = opened(disk)
    connect(store)
    disk.write_trouble = trouble
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=said):
            large(store)
        with pytest.raises(StoreUnavailable, match=said):
            store.probe()
        assert types(store) == ["charge_point.created", "charge_point.connected"]
    disk.heal()
    store.probe()
    assert append(store, status(), epoch=1).sequences == (3,)
    store.close()


def test_a_disk_that_becomes_full_in_the_middle_of_a_commit_keeps_nothing_of_it(disk):
    """Wherever it happens."""
    store = opened(disk)
    connect(store)
    for room in range(12):
        left = iter(range(room))
        disk.write_trouble = lambda name, left=left: full(name) if next(left, None) is None else None
        with pytest.raises(StoreUnavailable, match="full"):
            large(store)
        disk.heal()
        assert store.bounds().head == 2 + room
        assert append(store, status()).sequences == (3 + room,)
    store.close()


@pytest.mark.parametrize(("trouble", "said"), [(full, "full"), (read_only, "read-only"), (broken, "failed")])
def test_a_store_on_such_a_disk_is_not_opened_and_later_it_is(disk, trouble, said):
    """The error names what is wrong; the lock is not kept."""
    store = opened(disk)
    connect(store)
    store.close()
    disk.write_trouble = trouble
    with pytest.raises(StoreUnavailable, match=said):
        SqliteStore(disk.folder / "another.db", vfs=disk.vfs)
    disk.heal()
    SqliteStore(disk.folder / "another.db", vfs=disk.vfs).close()


# --- syncs ----------------------------------------------------------------------------------------------------


def fail_a_sync(disk: Disk, store: SqliteStore, pages: int = 5) -> None:
    disk.sync_trouble = broken
    with pytest.raises(StoreUnavailable, match="failed"):
        large(store, pages)
    disk.heal()


def test_a_commit_that_was_not_synced_is_in_doubt_and_one_without_room_is_not(disk):
    """A log whose sync failed may be read whole after a crash; callers of what it holds must not be answered "not
    done"."""
    store = opened(disk)
    connect(store)
    disk.write_trouble = full
    with pytest.raises(StoreUnavailable) as refused:
        large(store)
    assert not isinstance(refused.value, CommitUnknown)
    disk.heal()
    disk.sync_trouble = broken
    with pytest.raises(CommitUnknown):
        append(store, status("lost"), epoch=1)
    disk.heal()
    store.close()


def test_a_sync_that_fails_acknowledges_nothing(disk):
    """The batch is rolled back, and the store works again when the disk does."""
    store = opened(disk)
    connect(store)
    disk.sync_trouble = broken
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="failed"):
            append(store, status("lost"), epoch=1)
        with pytest.raises(StoreUnavailable):
            store.probe()
    assert store.bounds().head == 2
    disk.heal()
    store.probe()
    assert append(store, status("kept"), epoch=1).sequences == (3,)
    store.close()
    store = opened(disk)
    assert [e.sequence for e in store.events(0, 10, ALL).events] == [1, 2, 3]
    store.close()


@pytest.mark.parametrize("pages", [1, 5, 40])
def test_after_a_failed_sync_the_next_commit_takes_the_failed_ones_place(disk, tmp_path, pages):
    """Whichever is longer: what is acknowledged is on disk, and of the failed commit nothing is left."""
    store = opened(disk)
    connect(store)
    fail_a_sync(disk, store, pages)
    large(store)
    store.probe()
    (last,) = append(store, status()).sequences
    assert survivors(disk, tmp_path / "left") == [*range(1, last + 1)] == [*range(1, 9)]
    store.close()


def test_after_a_failed_sync_and_a_restart_what_is_acknowledged_is_on_disk(disks, tmp_path):
    """The new process finds the failed commit in the system's cache, where it looks as if it were on disk."""
    disk = disks()
    store = opened(disk)
    connect(store)
    fail_a_sync(disk, store)
    restarted = disks(disk)
    store.close()
    store = opened(restarted)
    (last,) = append(store, status()).sequences
    assert survivors(restarted, tmp_path / "left") == [*range(1, last + 1)]
    store.close()


def test_a_writer_that_broke_after_a_failed_sync_is_replaced(disk, tmp_path):
    """A connection that can't even roll back is given up for another, which does not trust the cache either."""
    store = opened(disk)
    connect(store)
    fail_a_sync(disk, store)
    store._writer.cx.close(True)
    with pytest.raises(GatewayError):
        append(store, status())
    disk.sync_trouble = broken
    with pytest.raises(StoreUnavailable, match="failed"):
        append(store, status())
    disk.heal()
    (last,) = append(store, status()).sequences
    assert survivors(disk, tmp_path / "left") == [*range(1, last + 1)]
    store.close()
    assert not (disk.folder / "gateway.db-wal").exists(), "closing brings it into the database's file, as always"


def test_a_log_that_can_not_be_written_anew_is_not_trusted(disks):
    """The store is not opened: it would promise what it can't keep."""
    disk = disks()
    store = opened(disk)
    connect(store)
    fail_a_sync(disk, store)
    restarted = disks(disk)
    store.close()
    restarted.sync_trouble = broken
    with pytest.raises(StoreUnavailable, match="failed"):
        opened(restarted)
    restarted.heal()
    opened(restarted).close()


# --- checkpoints ----------------------------------------------------------------------------------------------


def broken_database(name: str) -> Exception | None:
    """The log can be synced, the database itself can't."""
    return broken(name) if name == "gateway.db" else None


def test_a_checkpoint_that_fails_loses_nothing_and_is_reported(disk, tmp_path, monkeypatch):
    """Acknowledged commits are in the log; the next checkpoint that works writes all of them to the database."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 10)
    store = opened(disk)
    connect(store)
    disk.sync_trouble = broken_database
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            large(store)
    assert [(each["event"], each["log_level"]) for each in logs] == [("checkpoint failed", "error")]
    assert survivors(disk, tmp_path / "before") == [*range(1, 28)]
    disk.heal()
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            large(store)
    assert [each["event"] for each in logs] == ["checkpoints work again"]
    assert survivors(disk, tmp_path / "after") == [*range(1, 43)]
    store.close()
    assert survivors(disk, tmp_path / "closed") == [*range(1, 43)]


def test_checkpoints_that_work_are_not_spoken_of(disk, monkeypatch):
    """They bring the log's pages into the database, again and again."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 10)
    store = opened(disk)
    connect(store)
    size = (disk.folder / "gateway.db").stat().st_size
    with structlog.testing.capture_logs() as logs:
        for _ in range(6):
            large(store)
    assert logs == []
    assert (disk.folder / "gateway.db").stat().st_size > size
    store.close()


def test_a_checkpoint_that_failed_is_not_tried_at_every_commit(disk, monkeypatch):
    """It costs as much as one that succeeds: the log first grows by as much again."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 50)
    store = opened(disk)
    connect(store)
    tries = []

    def fails(name: str) -> Exception | None:
        if name == "gateway.db":
            tries.append(name)
        return broken_database(name)

    disk.write_trouble = disk.sync_trouble = fails
    pages = disk.folder / "gateway.db-wal"
    for _ in range(30):
        large(store)
    assert 1 <= len(tries) <= pages.stat().st_size / 4096 / 50 + 1
    disk.heal()
    store.close()


# --- everything at once ---------------------------------------------------------------------------------------


class TroubledLife(Life):
    """Commits may fail; then their clients got an error."""

    def commit(self, *batch: Write) -> list[WriteResult]:
        try:
            return super().commit(*batch)
        except StoreUnavailable:
            return []


@pytest.mark.parametrize("seed", range(4))
def test_whatever_fails_and_however_often_it_is_restarted_what_was_acknowledged_is_there(
    disks, tmp_path, monkeypatch, seed
):
    """Syncs of the log and of the database fail at random, processes end without a word, and at the end the power is
    cut at any of the last one's syncs."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 40)
    monkeypatch.setattr(connections, "WAL_LIMIT", 64 * 1024)
    dice = random.Random(seed)
    life = TroubledLife(disks(), dice)
    life.history.exact = False
    life.begin()
    for _ in range(5):
        life.disk.sync_trouble = lambda name: broken(name) if dice.random() < 0.2 else None
        for _ in range(dice.randint(1, 12)):
            life.a_batch()
        life.disk.heal()
        hold_all(life, dice, tmp_path)
        life.go_on(disks(life.disk))
    life.stop()


def hold_all(life: Life, dice: random.Random, tmp_path) -> None:
    for position, survival, files in leftovers(life.disk, dice):
        if dice.random() < 0.8:
            continue
        folder = tmp_path / f"left-{dice.random()}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        try:
            examine(folder, life.history, position)
        except (Violation, GatewayError) as error:
            error.add_note(f"cut at {position} of {len(life.disk.log)}, {survival}; what is left: {folder}")
            raise

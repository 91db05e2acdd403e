"""A database that was restored, copied or taken away under its companion is refused until it is recovered; a kill, the
power, a missing companion and an upgrade never lead to that."""

import hashlib
import random
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from gateway.domain.values import Registration
from gateway.errors import GatewayError, StoreCorrupt, StoreError, StoreInUse, StoreReplaced, StoreUnavailable
from gateway.feed.tokens import BadToken, decode, encode
from gateway.store.api import generation_at
from gateway.store.commits import AllocateNumbers, CreateChargePoint, Trim
from gateway.store.sqlite import SqliteStore, generations, migrate
from gateway.store.sqlite.companion import SLOT, Companion, companion_path, read_companion, write_companion
from gateway.store.sqlite.generations import CLEAR, recover
from tests.store.builders import ALL, T0, append, connect, one, status
from tests.store.test_damage import overwrite, pages_of
from tests.store.test_sqlite_files import of_version_1
from tests.support.disk import Disk, broken, full, lost, read_only


@pytest.fixture
def path(tmp_path) -> Path:
    """A database that has served: CP1 has an epoch, some events and numbers."""
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / "gateway.db"
    with closing(SqliteStore(path)) as store:
        connect(store)
        append(store, status())
        one(store, AllocateNumbers(100))
    return path


def backed_up(path: Path, to: Path) -> Path:
    """As docs/store.md has it, while the gateway runs or not."""
    cx = apsw.Connection(str(path))
    cx.execute("VACUUM INTO ?", (str(to),))
    cx.close()
    return to


def put_back(backup: Path, path: Path, *, log: bool = False) -> None:
    shutil.copyfile(backup, path)
    if not log:
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)


def refused(path: Path, why: str) -> None:
    """By name, again and again, and with everything left as it is."""
    for _ in range(2):
        before = path.read_bytes()[100:] if path.exists() else b""
        companion = companion_path(path).read_bytes()
        with pytest.raises(StoreReplaced, match=rf"(?s)gateway\.db.*{why}.*gateway recover"):
            SqliteStore(path)
        assert (path.read_bytes()[100:] if path.exists() else b"") == before
        assert companion_path(path).read_bytes() == companion


def serves(path: Path) -> None:
    """It opens, and nothing that it gives out was given out before."""
    with closing(SqliteStore(path)) as store:
        assert one(store, AllocateNumbers(1)).first > 100
        assert connect(store).epoch > 1


# --- what is refused ------------------------------------------------------------------------------------------


def test_a_backup_of_an_earlier_run_is_refused_until_it_is_recovered(path, tmp_path):
    """Also where nothing has happened since."""
    backup = backed_up(path, tmp_path / "backup.db")
    SqliteStore(path).close()
    put_back(backup, path)
    refused(path, "older state of it")
    assert recover(path) is not None
    serves(path)


@pytest.mark.parametrize("since", ["event", "numbers"])
def test_a_backup_of_the_same_run_is_refused_once_more_has_been_seen(path, tmp_path, since):
    """Its generation is the right one; what it has given out is not all."""
    with closing(SqliteStore(path)) as store:
        backup = backed_up(path, tmp_path / "backup.db")
        if since == "event":
            append(store, status())
        else:
            one(store, AllocateNumbers(100))
        store.mark()
    put_back(backup, path)
    refused(path, "history ends at" if since == "event" else "next transaction number")
    recover(path)
    serves(path)


def test_once_it_is_served_only_the_newest_generation_is_the_right_one(path, tmp_path):
    """A backup of the run before is refused also where the gateway was killed right behind its start."""
    backup = backed_up(path, tmp_path / "backup.db")
    with closing(SqliteStore(path)) as store:
        (newest,) = read_companion(path).generations
        assert newest == store.generations[-1].token
        beside = companion_path(path).read_bytes()
    put_back(backup, path)
    companion_path(path).write_bytes(beside)
    refused(path, "older state of it")


def test_a_backup_of_now_is_the_same_database(path, tmp_path):
    """Nothing has been given out since: nothing is to be refused."""
    with closing(SqliteStore(path)) as store:
        append(store, status())
        store.mark()
        backup = backed_up(path, tmp_path / "backup.db")
    put_back(backup, path)
    serves(path)


def test_another_database_under_this_companion_is_refused(path, tmp_path):
    """By both ids."""
    with closing(SqliteStore(tmp_path / "other.db")) as store:
        theirs = store.store_id
    shutil.copyfile(tmp_path / "other.db", path)
    refused(path, f"it is {theirs}, and store_")


def test_a_copy_that_was_served_elsewhere_and_comes_back_is_refused(path, tmp_path):
    """It has more history, not less; but its own."""
    shutil.copyfile(path, tmp_path / "gateway.db")
    with closing(SqliteStore(tmp_path / "gateway.db")) as store:
        append(store, status())
    shutil.copyfile(tmp_path / "gateway.db", path)
    refused(path, "served elsewhere")


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_database_that_is_gone_is_not_begun_anew(path, left):
    """An empty one would give out numbers from 1 again. With the companion removed, that is what is wanted."""
    path.unlink()
    if left != "nothing":
        path.touch()
    refused(path, "is not there")
    with pytest.raises(StoreError, match="no database to recover"):
        recover(path)
    companion_path(path).unlink()
    SqliteStore(path).close()


def test_a_backup_of_an_older_version_is_refused_as_it_is(path):
    """It is not lifted before it is known to be the right one."""
    (store_id,) = {read_companion(path).store_id}
    path.unlink()
    of_version_1(path)
    cx = apsw.Connection(str(path))
    cx.execute("UPDATE meta SET value = ? WHERE name = 'store_id'", (store_id,))
    cx.close()
    refused(path, "older state of it")
    cx = apsw.Connection(str(path))
    assert cx.pragma("user_version") == 1
    cx.close()
    assert recover(path).next_number == 101 + CLEAR


def test_a_database_without_tables_is_not_the_one_that_was_served(path):
    """As a restore leaves it that was cut short, or another program: refused before anything is made of it."""
    path.unlink()
    cx = apsw.Connection(str(path))
    cx.execute("CREATE TABLE theirs (a)")
    cx.execute("DROP TABLE theirs")
    cx.close()
    assert path.stat().st_size > 0
    refused(path, "it is empty, or another program's")
    with pytest.raises(StoreError, match="is an empty database"):
        recover(path)


# --- a log of another -----------------------------------------------------------------------------------------

_SERVE_AND_DIE = """
import os, signal, sys
from gateway.store.sqlite import SqliteStore
from tests.store.builders import append, connect, status
store = SqliteStore(sys.argv[1])
connect(store)
append(store, status())
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path) -> None:
    """Served, and killed: with a log that is not in the database yet."""
    done = subprocess.run([sys.executable, "-c", _SERVE_AND_DIE, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.with_name("gateway.db-wal").stat().st_size > 0


def test_a_pair_that_was_copied_together_is_recovered_with_its_log(path, tmp_path):
    """The operator says so; what the log holds is there."""
    killed(path)
    for end in ("", "-wal"):
        shutil.copyfile(f"{path}{end}", f"{tmp_path / 'copy.db'}{end}")
    with pytest.raises(StoreReplaced, match="--with-log"):
        recover(tmp_path / "copy.db")
    assert recover(tmp_path / "copy.db", with_log=True) is not None
    with closing(SqliteStore(tmp_path / "copy.db")) as store:
        assert store.bounds().head == 6


@pytest.mark.parametrize("how", ["VACUUM INTO", "cp"])
def test_a_database_beside_the_log_of_another_is_refused(path, tmp_path, how):
    """SQLite would mix them. Neither is touched; recovering refuses too, until the log is away."""
    backup = tmp_path / "b.db"
    if how == "cp":
        shutil.copyfile(path, backup)
    else:
        backed_up(path, backup)
    killed(path)
    put_back(backup, path, log=True)
    log = path.with_name("gateway.db-wal").read_bytes()
    refused(path, "older state of it" if how == "cp" else "gateway.db-wal beside it belongs to the one before")
    with pytest.raises(StoreReplaced, match=r"remove gateway\.db-wal"):
        recover(path)
    assert path.with_name("gateway.db-wal").read_bytes() == log
    path.with_name("gateway.db-wal").unlink()
    path.with_name("gateway.db-shm").unlink(missing_ok=True)
    refused(path, "older state of it")
    recover(path)
    serves(path)


def test_another_database_that_the_log_would_make_look_like_the_right_one_is_refused(path, tmp_path):
    """Its file alone says who it is: with the log of the one that was served here it would bear that one's name."""
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM event").fetchall()  # holds all of the log back, the generation's page too
    there = tmp_path / "there"
    there.mkdir()
    with closing(SqliteStore(path)) as store:
        one(store, AllocateNumbers(5))
        append(store, status())
        for end in ("-wal", "-id"):
            shutil.copyfile(f"{path}{end}", there / f"gateway.db{end}")
    reader.close()
    with closing(SqliteStore(tmp_path / "other.db")) as store:
        connect(store)
    shutil.copyfile(tmp_path / "other.db", there / "gateway.db")
    kept = (there / "gateway.db").read_bytes()
    refused(there / "gateway.db", "gateway.db-wal beside it belongs to the one before")
    assert (there / "gateway.db").read_bytes() == kept


def test_a_log_of_an_earlier_run_beside_the_database_of_a_later_one_is_refused(path, tmp_path):
    """They are of one store, and the log would take it back to what its companion of then says."""
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM event").fetchall()  # holds all of the log back, the generation's page too
    there = tmp_path / "there"
    there.mkdir()
    with closing(SqliteStore(path)) as store:
        append(store, status())
        for end in ("-wal", "-id"):
            shutil.copyfile(f"{path}{end}", there / f"gateway.db{end}")
    reader.close()
    with closing(SqliteStore(path)) as store:
        append(store, status())
    shutil.copyfile(path, there / "gateway.db")
    refused(there / "gateway.db", "gateway.db-wal beside it belongs to the one before")


def test_a_database_beside_the_log_of_one_that_an_earlier_version_left_is_refused(path, tmp_path):
    """With the log it would have no generations, and not even a table of them."""
    old, there = tmp_path / "old.db", tmp_path / "there" / "gateway.db"
    there.parent.mkdir()
    for end in ("", "-id"):
        shutil.copyfile(f"{path}{end}", f"{there}{end}")
    with closing(apsw.Connection(str(old))) as open_beside:
        open_beside.pragma("journal_mode", "wal")
        open_beside.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        of_version_1(old)  # every page of it is in the log
        shutil.copyfile(f"{old}-wal", f"{there}-wal")
    refused(there, "gateway.db-wal beside it belongs to the one before")


@pytest.mark.parametrize(("before", "between", "after"), [(200, 3000, 1500), (1000, 1500, 300)])
def test_a_database_that_does_not_go_with_the_log_beside_it_is_left_as_it_is(tmp_path, before, between, after):
    """So many charge points that the log holds pages of tables which the backup has elsewhere: damage, to SQLite. The
    file and its log stay, whatever is said of them, for an operator who finds out what belongs together."""
    path, backup = tmp_path / "gateway.db", tmp_path / "b.db"
    grown(path, 0, before)
    shutil.copyfile(path, backup)
    grown(path, before, between)
    done = subprocess.run(
        [sys.executable, "-c", _GROW_AND_DIE, str(path), str(before + between), str(after)], check=False
    )
    assert done.returncode == -signal.SIGKILL
    put_back(backup, path, log=True)
    log = path.with_name("gateway.db-wal")
    kept = path.read_bytes(), log.read_bytes()
    for _ in range(2):
        with pytest.raises((StoreReplaced, StoreCorrupt), match=r"remove gateway\.db-wal|not the one that was last"):
            SqliteStore(path)
        assert (path.read_bytes(), log.read_bytes()) == kept
        with pytest.raises((StoreReplaced, StoreCorrupt)):
            recover(path)
        assert (path.read_bytes(), log.read_bytes()) == kept
    log.unlink()
    path.with_name("gateway.db-shm").unlink(missing_ok=True)
    assert recover(path) is not None
    with closing(SqliteStore(path)) as store:
        assert store.charge_point(f"CP{before - 1}") is not None


_GROW_AND_DIE = """
import os, signal, sys
from tests.store.test_replaced import grow
from gateway.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
grow(store, int(sys.argv[2]), int(sys.argv[3]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def grow(store: SqliteStore, first: int, count: int) -> None:
    for start in range(first, first + count, 100):  # in one batch, SQLite would look at it otherwise
        store.commit([CreateChargePoint(f"CP{n}", Registration.ACCEPTED, (), T0) for n in range(start, start + 100)])


def grown(path: Path, first: int, count: int) -> None:
    with closing(SqliteStore(path)) as store:
        grow(store, first, count)


@pytest.mark.parametrize("content", [b"x" * 18, b"x" * 19, b"SQLite format 3\0", b"no database, " * 1000])
def test_a_file_that_is_no_database_is_refused_also_beside_a_log(path, content):
    """Of whichever length: both files stay as they are."""
    killed(path)
    log = path.with_name("gateway.db-wal").read_bytes()
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="damaged or not a database"):
        SqliteStore(path)
    with pytest.raises(StoreCorrupt, match="damaged or not a database"):
        recover(path, with_log=True)
    assert path.read_bytes() == content
    assert path.with_name("gateway.db-wal").read_bytes() == log


def test_a_killed_gateway_finds_its_own_log(path):
    """Again and again."""
    for _ in range(3):
        killed(path)
    serves(path)


def test_the_folder_of_a_killed_gateway_may_move(path, tmp_path):
    """All of its files together."""
    killed(path)
    path.parent.rename(tmp_path / "there")
    serves(tmp_path / "there" / "gateway.db")


# --- what never leads to a refusal ----------------------------------------------------------------------------


@pytest.mark.parametrize("companion", [None, b"", b"x", b"x" * 2 * SLOT, bytes(2 * SLOT)])
def test_a_companion_that_is_missing_or_unreadable_refuses_nothing(path, companion):
    """It is written anew."""
    companion_path(path).unlink()
    if companion is not None:
        companion_path(path).write_bytes(companion)
    serves(path)
    assert read_companion(path) is not None


@pytest.mark.parametrize("slot", [0, 1])
def test_a_slot_that_was_torn_leaves_the_other(path, slot):
    """Whichever byte of it is wrong, the database fits what the other says."""
    whole, database = companion_path(path).read_bytes(), path.read_bytes()
    for at in range(0, 100, 9):
        data = bytearray(whole)
        data[slot * SLOT + at] ^= 0xFF
        companion_path(path).write_bytes(data)
        path.write_bytes(database)
        assert read_companion(path) is not None
        SqliteStore(path).close()


def test_a_database_of_an_older_version_is_lifted_without_a_companion(tmp_path):
    """Its events are of no generation; those that follow are of this one."""
    path = tmp_path / "gateway.db"
    of_version_1(path)
    for starts in (1, 2, 3):
        with closing(SqliteStore(path)) as store:
            connect(store)
            assert len(store.generations) == starts
            assert store.generations[0].first_sequence == 1


@pytest.mark.parametrize("kind", ["new", "old version", "without companion", "served"])
def test_a_kill_at_any_step_of_a_start_leads_to_no_refusal(path, tmp_path, kind):
    """Before each write and each sync of the opening, of a commit, of a mark and of the close."""
    start, folder = tmp_path / "start", tmp_path / "killed"
    folder.mkdir()
    if kind in ("new", "old version"):
        start.mkdir()
    else:
        path.parent.rename(start)
    if kind == "old version":
        of_version_1(start / "gateway.db")
    elif kind == "without companion":
        companion_path(start / "gateway.db").unlink()
    left = [folder / str(number) for number in range(states(start, folder))]
    assert len(left) > 12
    for here in left:
        for _ in range(2):
            with closing(SqliteStore(here / "gateway.db")) as store:
                connect(store)


def states(start: Path, folder: Path) -> int:
    """Keep what a kill would leave of a start's files: before each write and each sync, where that is not what the step
    before left. The number of these, the end of it all included."""
    kept: list[bytes] = []
    here = folder / "here"
    shutil.copytree(start, here)

    def keep(_: str) -> None:
        digest = hashlib.sha256()
        for file in sorted(here.iterdir()):
            digest.update(f"{file.name} {file.stat().st_size} ".encode() + file.read_bytes())
        if digest.digest() not in kept:
            shutil.copytree(here, folder / str(len(kept)))
            kept.append(digest.digest())

    disk = Disk(here)
    disk.write_trouble = disk.sync_trouble = keep
    try:
        store = SqliteStore(here / "gateway.db", vfs=disk.vfs)
        store.probe()
        store.mark()
        store.close()
    finally:
        disk.unregister()
    keep("")
    return len(kept)


def test_a_reader_that_is_in_the_way_leads_to_no_refusal(path):
    """A backup tool that holds the log back, through several starts: the database's file alone names an old generation
    all the while, and that one is not forgotten."""
    SqliteStore(path).close()  # a generation without events: it is the first to be left out
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM event").fetchall()
    for _ in range(3):
        SqliteStore(path).close()
    killed(path)
    serves(path)
    reader.close()
    serves(path)


def test_a_companion_is_on_disk_once_it_is_written(tmp_path):
    """Its file's name, too: the power may go then, as often as it is written."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "gateway.db").touch()  # by its mode goes that of the companion
    disk = Disk(tmp_path / "here")
    try:
        for number in range(3):
            written = Companion("store_1", (7, number), number, 10 * number)
            write_companion(tmp_path / "here" / "gateway.db", written, disk.vfs)
            left = disk.platter.left(lost, random.Random(number))
            (tmp_path / "gateway.db-id").write_bytes(left["gateway.db-id"])
            assert read_companion(tmp_path / "gateway.db") == written
    finally:
        disk.unregister()


@pytest.mark.parametrize("trouble", [full, read_only, broken])
def test_a_companion_that_can_not_be_written_refuses_nothing(path, trouble):
    """The last generation goes on, and the pair fits the next time."""
    disk = Disk(path.parent)
    try:
        for _ in range(3):
            disk.write_trouble = lambda name: trouble(name) if name.endswith("-id") else None
            with closing(SqliteStore(path, vfs=disk.vfs)) as store:
                append(store, status())
                store.mark()
                assert len(store.generations) == 1
            disk.heal()
        with closing(SqliteStore(path, vfs=disk.vfs)) as store:
            assert len(store.generations) == 2
            append(store, status())
    finally:
        disk.unregister()
    serves(path)


# --- recovering -----------------------------------------------------------------------------------------------


def test_a_recovered_backup_is_another_store_beyond_all_that_was_given_out(path, tmp_path):
    """Tokens of before are refused, numbers and epochs keep clear, what is in it stays."""
    backup = backed_up(path, tmp_path / "backup.db")
    with closing(SqliteStore(path)) as store:
        connect(store)
        numbers = one(store, AllocateNumbers(5_000))
        old_id = store.store_id
    put_back(backup, path)
    done = recover(path)
    assert done is not None
    assert done.old_id == old_id
    with closing(SqliteStore(path)) as store:
        assert store.store_id == done.store_id != old_id
        assert one(store, AllocateNumbers(1)).first == done.next_number == numbers.first + numbers.count + CLEAR
        assert connect(store).epoch == 1 + CLEAR + 1
        assert [e.type for e in store.events(0, 3, ALL).events][-1] == "connector.status_changed"
        token = encode(store.store_id, 1, store.generations[0].token)
        assert isinstance(decode(encode(old_id, 1), store.store_id), BadToken)
        assert not isinstance(decode(token, store.store_id), BadToken)


def test_recovering_twice_changes_nothing_the_second_time(path, tmp_path):
    """Unless the whole folder was put back, which only the operator can know."""
    backup = backed_up(path, tmp_path / "backup.db")
    SqliteStore(path).close()
    put_back(backup, path)
    first = recover(path)
    assert recover(path) is None
    again = recover(path, snapshot=True)
    assert first is not None
    assert again is not None
    assert again.next_number == first.next_number + CLEAR
    serves(path)


def test_a_database_that_fits_needs_no_recovering(path):
    """Served before and after."""
    before = companion_path(path).read_bytes()
    assert recover(path) is None
    assert companion_path(path).read_bytes() == before


def test_a_database_without_companion_is_recovered(path, tmp_path):
    """Restored on another machine."""
    backup = backed_up(path, tmp_path / "backup.db")
    done = recover(backup)
    assert done is not None
    assert "no backup.db-id beside it" in done.why
    SqliteStore(backup).close()


def test_a_database_that_is_served_is_not_recovered(path):
    """By the lock."""
    with closing(SqliteStore(path)), pytest.raises(StoreInUse, match="is served by this process"):
        recover(path)


def test_recovering_where_nothing_can_be_written_changes_nothing(path, tmp_path, monkeypatch):
    """It says so; afterwards it can be run again."""
    backup = backed_up(path, tmp_path / "backup.db")
    SqliteStore(path).close()
    put_back(backup, path)

    def unwritable(*_):
        raise apsw.ReadOnlyError("read-only file system")

    monkeypatch.setattr(generations, "write_companion", unwritable)
    with pytest.raises(StoreUnavailable, match="read-only"):
        recover(path)
    monkeypatch.undo()
    with pytest.raises(StoreReplaced):
        SqliteStore(path)
    assert recover(path) is not None
    serves(path)


@pytest.mark.parametrize(("left", "enough"), [(0, True), (-1, False)])
def test_numbers_are_cleared_up_to_the_last_one_that_chargers_can_hold(path, left, enough):
    """That one is given out, and none beyond it."""
    cx = apsw.Connection(str(path))
    cx.execute("UPDATE meta SET value = ? WHERE name = 'next_number'", (2**31 - 1 - CLEAR - left,))
    cx.close()
    companion_path(path).unlink()
    if enough:
        assert recover(path, snapshot=True).next_number == 2**31 - 1
        with closing(SqliteStore(path)) as store:
            assert one(store, AllocateNumbers(1)).first == 2**31 - 1
    else:
        with pytest.raises(StoreError, match="no transaction numbers are left"):
            recover(path, snapshot=True)


def test_a_damaged_backup_is_not_recovered(path, tmp_path):
    """It would be served as it is: what to do instead is said, and nothing has been changed."""
    with closing(SqliteStore(path)) as store:
        for _ in range(300):
            append(store, status())
    backup = backed_up(path, tmp_path / "backup.db")
    overwrite(backup, pages_of(backup, "event_of_charge_point")[-1])
    put_back(backup, path)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="is damaged"):
        recover(path)
    assert path.read_bytes()[100:] == before[100:], "all but the header, which says that there is a log"


def test_the_token_of_a_recovered_database_is_any_number_of_63_bits_but_0(path, monkeypatch):
    """As that of a run."""
    for draw, token in ((lambda bound: bound - 1, 2**63 - 1), (lambda bound: 0, 1)):
        monkeypatch.setattr("secrets.randbelow", draw)
        recover(path, snapshot=True)
        assert read_companion(path).generations == (token,)


def test_generations_of_before_are_not_those_of_a_recovered_database(path, tmp_path):
    """It has one, of all that is in it, until it is served."""
    with closing(SqliteStore(path)) as store:
        append(store, status())
        before = {each.token for each in store.generations}
    backup = backed_up(path, tmp_path / "backup.db")
    SqliteStore(path).close()
    put_back(backup, path)
    recover(path)
    with closing(SqliteStore(path)) as store:
        assert before.isdisjoint(each.token for each in store.generations)
        assert [each.first_sequence for each in store.generations] == [1, store.bounds().head + 1]


def test_numbers_that_are_used_up_are_not_cleared(path):
    """Rather refused than begun anew."""
    cx = apsw.Connection(str(path))
    cx.execute("UPDATE meta SET value = ? WHERE name = 'next_number'", (2**31 - 1000,))
    cx.close()
    with pytest.raises(GatewayError, match="no transaction numbers are left"):
        recover(path, snapshot=True)


# --- generations ----------------------------------------------------------------------------------------------


def test_generations_without_events_are_left_out(path):
    """However often a gateway starts in vain, what tokens can name stays."""
    with closing(SqliteStore(path)) as store:
        append(store, status())
        (first, second) = store.generations
    for _ in range(20):
        SqliteStore(path).close()
    with closing(SqliteStore(path)) as store:
        assert store.generations[:2] == (first, second)
        assert len(store.generations) <= 4


def test_the_generation_of_what_retention_has_left_is_kept(path):
    """A token at the floor is good for as long as nothing behind it has gone."""
    with closing(SqliteStore(path)) as store:
        append(store, status())
        floor = one(store, Trim(None, 2)).floor
        before = generation_at(store.generations, floor)
    with closing(SqliteStore(path)) as store:
        assert generation_at(store.generations, floor) == before
        one(store, Trim(None, 2))
    SqliteStore(path).close()
    with closing(SqliteStore(path)) as store:
        assert before not in [each.token for each in store.generations]


def test_a_store_of_a_later_version_is_left_to_it(path, monkeypatch):
    """The companion of a version that is no longer run refuses nothing either."""
    further = [*migrate.scripts(), "CREATE TABLE later (key INTEGER PRIMARY KEY) STRICT;"]
    monkeypatch.setattr(migrate, "scripts", lambda: further)
    SqliteStore(path).close()
    serves(path)


def test_a_restored_snapshot_has_generations_of_its_own(path, tmp_path):
    """The whole folder is put back: nothing shows at the start. What the other life recorded since has another
    generation at the same sequence."""
    shutil.copytree(path.parent, tmp_path / "snapshot")
    with closing(SqliteStore(path)) as store:
        append(store, status())
        head = store.bounds().head
        then = generation_at(store.generations, head)
    with closing(SqliteStore(tmp_path / "snapshot" / "gateway.db")) as store:
        append(store, status())
        append(store, status())
        assert store.bounds().head > head
        assert generation_at(store.generations, head) != then

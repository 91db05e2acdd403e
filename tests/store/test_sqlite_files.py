"""The file: who owns it, what it may be, and what happens when the disk does not play along."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from gateway.errors import StoreCorrupt, StoreError, StoreInUse, StoreUnavailable
from gateway.store.api import EventFilter
from gateway.store.commits import AllocateNumbers, Append
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.connections import MAX_READERS
from gateway.store.sqlite.migrate import APPLICATION_ID, scripts
from tests.store.builders import ALL, T0, above, append, connect, event, meter, started, status, stopped


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "gateway.db"


def opened(path: Path) -> SqliteStore:
    return SqliteStore(path)


# --- ownership ------------------------------------------------------------------------------------------------


def test_a_second_opening_in_the_same_process_is_refused_by_name(path):
    """Until the first one is closed."""
    store = opened(path)
    with pytest.raises(StoreInUse, match=r"gateway\.db is served by this process"):
        opened(path)
    assert store.bounds().head == 0
    store.close()
    opened(path).close()


def test_another_name_for_the_file_is_the_same_file(path, tmp_path):
    """A symbolic link does not let a second one in."""
    store = opened(path)
    (tmp_path / "link.db").symlink_to(path)
    with pytest.raises(StoreInUse):
        opened(tmp_path / "link.db")
    store.close()


_HOLD = """
import sys
from gateway.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_with_the_first_ones_number(path):
    """The lock goes with its process, however that ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "open\n"
        with pytest.raises(StoreInUse, match=f"served by process {child.pid} "):
            opened(path)
        child.kill()
        child.communicate()
    opened(path).close()


def test_a_place_that_is_no_directory_is_unavailable(tmp_path):
    """The message names the folder: it is the operator's to make."""
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(StoreUnavailable, match=rf"/{name}: no such folder$"):
            opened(tmp_path / name / "gateway.db")


# --- what the file may be -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 5_000, 100_000])
def test_a_file_that_is_no_database_is_corrupt(path, size):
    """The error says what to do; the file is left as it was and unlocked."""
    path.write_bytes(b"not a database, " * (size // 16))
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match=r"restore a backup"):
            opened(path)
    assert path.read_bytes() == before


def test_a_damaged_database_is_corrupt(path):
    """A schema that can't be read is found at once."""
    store = opened(path)
    store.close()
    data = bytearray(path.read_bytes())
    data[100:4_000] = b"\xff" * 3_900
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt, match="damaged"):
        opened(path)


def test_another_programs_database_is_left_alone(path):
    """It has tables and isn't ours."""
    cx = apsw.Connection(str(path))
    cx.execute("CREATE TABLE theirs (a)")
    cx.close()
    with pytest.raises(StoreCorrupt, match="another program"):
        opened(path)


def test_a_newer_version_is_refused_with_both_versions(path):
    """It is not guessed at."""
    opened(path).close()
    cx = apsw.Connection(str(path))
    cx.pragma("user_version", 99)
    cx.close()
    with pytest.raises(StoreCorrupt, match=rf"schema version 99; this gateway knows up to {len(scripts())}"):
        opened(path)


def test_a_database_of_an_older_version_is_lifted_when_it_is_opened(path):
    """Its contents stay, and the gateway goes on with it."""
    of_version_1(path)
    store = opened(path)
    assert connect(store, seconds=1).epoch == 1
    assert store.charge_point("CP1").reservations == ()
    assert store.store_id == "store_0123"
    store.close()


def of_version_1(path: Path) -> None:
    """A database with a charge point, as the first version of the schema left it."""
    cx = apsw.Connection(str(path))
    with cx:
        cx.execute(scripts()[0])
        cx.execute("INSERT INTO meta VALUES ('store_id', 'store_0123'), ('created_at', 0)")
        cx.execute(
            "INSERT INTO charge_point (identity, registration, created_at, updated_at) VALUES ('CP1', ?, 0, 0)",
            ("Accepted",),
        )
        cx.pragma("application_id", APPLICATION_ID)
        cx.pragma("user_version", 1)
    cx.close()


def test_a_file_is_marked_as_the_gateways(path):
    """Its application id and schema version are in its header."""
    opened(path).close()
    cx = apsw.Connection(str(path))
    assert cx.pragma("application_id") == APPLICATION_ID
    assert cx.pragma("user_version") == len(scripts())
    assert cx.pragma("journal_mode") == "wal"
    cx.close()


def test_commits_are_synced(path):
    """FULL: a commit that answered survives a power loss, not only a crash."""
    store = opened(path)
    assert store._writer.cx.pragma("synchronous") == 2
    store.close()


def test_a_statement_is_prepared_once_whatever_it_is_given(path, monkeypatch):
    """Not anew for each charge point: that takes many times what the statement itself takes."""
    prepared = Counter[str]()

    def count(cx: apsw.Connection) -> None:
        cx.authorizer = lambda *of: prepared.update(["a step"]) or apsw.SQLITE_OK

    monkeypatch.setattr(apsw, "connection_hooks", [*apsw.connection_hooks, count])

    def live(store: SqliteStore, identity: str) -> None:
        number = int(identity)
        connect(store, identity)
        append(store, status(), started(number), meter(number), identity=identity, epoch=1)
        assert store.transaction_by_number(number) is not None
        assert store.admission(identity) is not None
        assert store.state(identity, T0) is not None
        assert store.charge_point(identity) is not None
        connect(store, identity, 60)
        append(store, stopped(number), identity=identity, epoch=2)

    with closing(opened(path)) as store:
        live(store, "1")
        prepared.clear()
        for identity in ("2", "3", "4"):
            live(store, identity)
        assert not prepared


# --- threads --------------------------------------------------------------------------------------------------


def test_more_readers_than_connections_take_turns_beside_a_writer(path):
    """Every page a reader sees is whole, whatever is committed meanwhile."""
    store = opened(path)
    connect(store)
    wrong = []

    def read():
        for _ in range(30):
            page = store.events(0, 1_000, EventFilter())
            if [e.sequence for e in page.events] != list(range(1, page.position + 1)):
                wrong.append(page)

    threads = [threading.Thread(target=read) for _ in range(2 * MAX_READERS)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        append(store, status(), status())
    for thread in threads:
        thread.join()
    assert not wrong
    store.close()


# --- crashes --------------------------------------------------------------------------------------------------

_COMMIT_UNTIL_KILLED = """
import sys
from gateway.store.commits import Append
from gateway.store.sqlite import SqliteStore
from tests.store.builders import connect, event, meter
store = SqliteStore(sys.argv[1])
connect(store)
n = 0
while True:
    batch = [Append("CP1", 1, tuple(event(meter(None, f"value {n + w + k}")) for k in range(3))) for w in (0, 3)]
    for w, result in zip((0, 3), store.commit(batch)):
        print(*result.sequences, n + w, flush=True)
    n += 6
"""


def test_a_killed_process_has_kept_every_acknowledged_event_once(path):
    """SIGKILL in the middle of commits: what was answered is there, the file opens, numbering goes on."""
    acknowledged = []
    root = Path(__file__).resolve().parent.parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", _COMMIT_UNTIL_KILLED, str(path)], stdout=subprocess.PIPE, text=True, cwd=root
    ) as child:
        for line in child.stdout:
            acknowledged.append(line)
            if len(acknowledged) == 500:
                child.send_signal(signal.SIGKILL)
    store = opened(path)
    found = everything(store)
    assert [e.sequence for e in found] == list(range(1, len(found) + 1))
    for line in acknowledged:
        if line.endswith("\n"):  # the last line may be cut: not acknowledged
            *sequences, first = map(int, line.split())
            for value, sequence in enumerate(sequences, first):
                assert f'"value {value}"'.encode() in found[sequence - 1].body_json
    # Batches are whole: two events came first, then six for each.
    assert (len(found) - 2) % 6 == 0
    assert append(store, status(), epoch=1).sequences == (len(found) + 1,)
    store.close()


def everything(store):
    found, after = [], 0
    while page := store.events(after, 1_000, ALL).events:
        found += page
        after = page[-1].sequence
    return found


# --- backups --------------------------------------------------------------------------------------------------


def test_the_database_is_its_owners_alone(tmp_path):
    """No other user may read verifiers of keys, or who charged when; nor the log."""
    path = tmp_path / "gateway.db"
    with closing(SqliteStore(path)) as store:
        store.probe()
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes["gateway.db"] == 0o600
    assert set(modes.values()) == {0o600}


def test_sequences_of_a_file_leave_no_number_out(tmp_path):
    """Through batches of several writes, batches that fail, and restarts."""
    path, expected = tmp_path / "gateway.db", 0
    for run in range(3):
        store = SqliteStore(path)
        connect(store, f"CP{run}")
        with pytest.raises(StoreError):
            store.commit([Append(f"CP{run}", 1, (event(status()),)), AllocateNumbers(0)])
        store.commit([Append(f"CP{run}", 1, (event(status()), event(status()))) for _ in range(2)])
        expected += 2 + 4
        assert above(store, 0) == tuple(range(1, expected + 1))
        store.close()

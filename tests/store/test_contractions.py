"""Migrations that take away: refused while an older node is alive, in whichever order the two come."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway.errors import StoreCorrupt, StoreError, StoreInUse, StoreUnavailable
from gateway.store.nodes import SILENCE_SECONDS
from gateway.store.postgres import Durability, PostgresStore, contraction, faults, migrate
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.lane import LANE_LOCK, SCHEMA_LOCK, SLOT_LOCK, Lane
from gateway.store.postgres.migrate import Migration, known_version
from tests.store.builders import T0, above, append, connect, status

pytestmark = pytest.mark.postgres

NOW = known_version()
EXPANDS = Migration(NOW + 1, 1, "ALTER TABLE node ADD COLUMN fresh text NOT NULL DEFAULT '';")
CONTRACTS = Migration(NOW + 2, NOW + 1, "ALTER TABLE charge_point DROP COLUMN assume_subprotocol;")
LATER = (EXPANDS, CONTRACTS)


class Site:
    """A database, the stores that serve it, and which migrations a program knows: that of the running thread."""

    def __init__(self, url: str, programs: threading.local) -> None:
        self.url = url
        self._programs = programs
        self._stores: list[PostgresStore] = []

    @contextmanager
    def program(self, *more: Migration) -> Iterator[None]:
        """Run as a later program, which knows these migrations, too."""
        self._programs.more = more
        try:
            yield
        finally:
            self._programs.more = ()

    def open(self, node: int | None, *more: Migration) -> PostgresStore:
        with self.program(*more):
            store = PostgresStore(self.url, clock=lambda: T0, durability=None, node=node, patience=0.0)
        self._stores.append(store)
        return store

    def execute(self, statement: str) -> list:
        """Run a statement beside the stores; its rows."""
        cx = Connection(self.url)
        try:
            return cx.rows(statement)
        finally:
            cx.close()

    def version(self) -> int:
        return self.execute("SELECT max(version) FROM gateway_schema")[0][0]

    def lapse(self, node: int, left: float = -1.0) -> None:
        """Have so many seconds be left of a node's lease."""
        seen = f"clock_timestamp() - interval '{SILENCE_SECONDS - left} s'"
        self.execute(f"UPDATE node SET seen_at = {seen} WHERE node = {node}")

    def cut(self, node: int) -> None:
        """End a node's connection, and wait until its slot is free."""
        self.execute(f"SELECT pg_terminate_backend(backend_pid, 10000) FROM node WHERE node = {node}")

    def close(self) -> None:
        for store in self._stores:
            store.close()


class Opening(threading.Thread):
    """A node that starts, in a thread: the store, or why it did not start."""

    def __init__(self, site: Site, node: int, *more: Migration) -> None:
        super().__init__()
        self._opens: Callable[[], PostgresStore] = lambda: site.open(node, *more)
        self.store: PostgresStore | None = None
        self.error: StoreError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.store = self._opens()
        except StoreError as error:
            self.error = error


@pytest.fixture
def site(own_database, monkeypatch):
    known, programs = migrate.migrations(), threading.local()
    monkeypatch.setattr(migrate, "migrations", lambda: [*known, *getattr(programs, "more", ())])
    monkeypatch.setattr(contraction, "WAIT_SECONDS", 0.0)
    site = Site(own_database, programs)
    yield site
    site.close()


def test_a_contraction_is_refused_while_an_older_node_is_alive_and_changes_nothing(site):
    """By the node's name; the migration before it, which only adds, is not done either. Both nodes go on."""
    first, second = site.open(1), site.open(2)
    row = site.execute("SELECT address, version FROM node WHERE node = 2")[0]
    first.close()
    with pytest.raises(StoreInUse) as refused:
        site.open(1, *LATER)
    said = str(refused.value)
    assert f"slot 2 ({row[0]}, version {row[1]})" in said
    assert f"migration {CONTRACTS.version} takes away" in said
    assert f"know version {CONTRACTS.oldest}" in said
    assert "Nothing was changed. Stop them" in said
    assert "slot 1" not in said
    assert site.version() == NOW
    assert connect(second).epoch == 1
    assert connect(site.open(1)).epoch == 2


def test_a_migration_that_only_adds_is_done_beside_older_nodes(site):
    """Both write afterwards, and the older one over a new connection, too."""
    older = site.open(1)
    newer = site.open(2, EXPANDS)
    assert site.version() == EXPANDS.version
    assert connect(older).epoch == 1
    assert connect(newer).epoch == 2
    site.cut(1)
    assert connect(older).epoch == 3


def test_nodes_that_know_enough_do_not_hold_a_contraction_up(site):
    """One version expands, the next one contracts: its nodes take the others' places one by one."""
    older = site.open(1, EXPANDS)
    newer = site.open(2, *LATER)
    assert site.version() == CONTRACTS.version
    assert connect(newer).epoch == 1
    assert connect(older).epoch == 2


def test_a_node_that_does_not_say_what_it_knows_is_too_old(site):
    """Its slot's row is as its predecessor left it, but for the holder."""
    site.open(1, EXPANDS)
    site.execute("UPDATE node SET holder = holder + 1")
    with pytest.raises(StoreInUse, match="slot 1"):
        site.open(2, *LATER)


def test_an_older_node_that_has_ended_holds_nothing_up_once_its_lease_is_over(site):
    """Until then it may be one whose connection broke. It is said how long that is."""
    site.open(1).close()
    with pytest.raises(StoreInUse, match=r"slot 1 \(.*, not connected, its lease is over in (9|10) s\)"):
        site.open(2, *LATER)
    assert site.version() == NOW
    site.lapse(1)
    connect(site.open(2, *LATER))
    assert site.version() == CONTRACTS.version


def test_an_older_node_that_hangs_holds_nothing_up_once_it_was_silent_all_the_while(site):
    """Its connection is ended, as by any other node; should it wake, it writes nothing any more and says why."""
    older = site.open(1)
    connect(older)
    site.lapse(1)
    newer = site.open(2, *LATER)
    assert site.version() == CONTRACTS.version
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"needs a gateway that knows version {CONTRACTS.oldest}"):
            append(older, status(), epoch=1)
    assert connect(newer).epoch == 2


def test_an_older_node_that_wakes_meanwhile_holds_a_contraction_up(site, monkeypatch):
    """It is waited for as long as one that is gone; its connection stays."""
    monkeypatch.setattr(contraction, "WAIT_SECONDS", 60.0)
    older = site.open(1)
    connect(older)
    site.lapse(1)
    opening = Opening(site, 2, *LATER)
    while not site.execute(f"SELECT 1 FROM pg_locks WHERE granted AND classid::int8 = {SLOT_LOCK} AND objid = 2"):
        assert opening.is_alive()
    append(older, status(), epoch=1)
    site.lapse(1, left=SILENCE_SECONDS)
    opening.join()
    assert isinstance(opening.error, StoreInUse)
    assert "slot 1" in str(opening.error)
    append(older, status(), epoch=1)


def test_a_silent_node_whose_commit_may_count_yet_is_named_with_the_cure(site, monkeypatch):
    """It waits for a lock of another's: it is not ended, and the refusal says what to do."""
    monkeypatch.setattr(contraction, "HOLD_SECONDS", 0.1)
    older = site.open(1)
    connect(older)
    gate = Connection(site.url)
    gate.rows("SELECT pg_advisory_lock($1, 1)", LANE_LOCK)
    waits = threading.Thread(target=append, args=(older, status()), kwargs={"epoch": 1})
    waits.start()
    while not site.execute(f"SELECT 1 FROM pg_locks WHERE NOT granted AND classid::int8 = {LANE_LOCK}"):
        assert waits.is_alive()
    site.lapse(1)
    try:
        with pytest.raises(StoreInUse, match=r"slot 1 \(.*, silent for \d+ s\).*one that is silent hangs: end its"):
            site.open(2, *LATER)
        assert site.version() == NOW
    finally:
        gate.close()
        waits.join()
    append(older, status(), epoch=1)


def test_a_contraction_waits_for_a_lease_that_runs_out(site, monkeypatch):
    monkeypatch.setattr(contraction, "WAIT_SECONDS", SILENCE_SECONDS)
    site.open(1).close()
    site.lapse(1, left=0.3)
    connect(site.open(2, *LATER))
    assert site.version() == CONTRACTS.version


def test_the_slot_s_own_lease_and_an_empty_database_hold_nothing_up(site):
    site.open(1).close()
    connect(site.open(1, *LATER))
    assert site.version() == CONTRACTS.version


def test_an_empty_database_is_contracted_from_the_start(site):
    connect(site.open(None, *LATER))
    assert site.version() == CONTRACTS.version


@pytest.mark.parametrize("older_first", [False, True])
def test_of_a_contraction_and_an_older_node_that_start_together_one_is_refused(site, monkeypatch, older_first):
    """Both have their slots and wait for the migrations' lock; the one that gets it first goes on. The older one's slot
    was a later program's before, as its row says still when it is looked at."""
    monkeypatch.setattr(contraction, "WAIT_SECONDS", SILENCE_SECONDS)
    site.open(2, EXPANDS).close()
    gate = Connection(site.url)
    gate.rows("SELECT pg_advisory_lock($1, 0)", SCHEMA_LOCK)

    def start(node: int, *more: Migration) -> Opening:
        before, opening = waiting(site), Opening(site, node, *more)
        while waiting(site) == before:
            assert opening.is_alive()
        return opening

    if older_first:
        older, newer = start(2), start(1, *LATER)
    else:
        newer, older = start(1, *LATER), start(2)
    gate.rows("SELECT pg_advisory_unlock_all()")
    gate.close()
    older.join(), newer.join()
    if older_first:
        assert older.store is not None
        assert isinstance(newer.error, StoreInUse)
        assert "slot 2" in str(newer.error)
        assert site.version() == EXPANDS.version
        assert connect(older.store).epoch == 1
    else:
        assert newer.store is not None
        assert isinstance(older.error, StoreCorrupt)
        assert f"needs a gateway that knows version {CONTRACTS.oldest}" in str(older.error)
        assert site.version() == CONTRACTS.version
        assert connect(newer.store).epoch == 1


def waiting(site: Site) -> int:
    """Processes that wait for the migrations' lock."""
    return site.execute(f"SELECT count(*) FROM pg_locks WHERE NOT granted AND classid::int8 = {SCHEMA_LOCK}")[0][0]


def test_a_node_that_has_looked_at_the_schema_and_not_taken_its_slot_holds_a_contraction_up(site):
    """Whatever the slot's row says, which is its predecessor's: here, that it knows enough."""
    site.open(2, EXPANDS).close()
    between = Connection(site.url)
    Lane(2, shared=True).hold(between, "here")
    with pytest.raises(StoreInUse, match=r"slot 2 \(a gateway that is starting or connecting\)"):
        site.open(1, *LATER)
    between.close()
    assert site.version() == EXPANDS.version


def test_an_older_node_that_comes_back_after_a_contraction_writes_nothing_any_more(site):
    """Its connection broke and its lease ran out; it says why, and stays so. What it had acknowledged is there."""
    older = site.open(1)
    connect(older)
    site.cut(1)
    site.lapse(1)
    newer = site.open(2, *LATER)
    before = above(newer, 0)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"needs a gateway that knows version {CONTRACTS.oldest}"):
            append(older, status(), epoch=1)
    assert above(newer, 0) == before
    assert connect(newer).epoch == 2


def test_an_older_node_that_was_ended_does_not_take_its_slot_anew_after_a_contraction(site):
    older = site.open(1)
    connect(older)
    site.execute("UPDATE node SET incarnation = incarnation + 1 WHERE node = 1")
    with pytest.raises(StoreUnavailable, match="another gateway has taken slot 1"):
        append(older, status(), epoch=1)
    site.lapse(1)
    newer = site.open(2, *LATER)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            older.probe()
    assert site.execute("SELECT incarnation FROM node WHERE node = 1") == [(2,)]
    assert connect(newer).epoch == 2


def test_a_node_connects_anew_only_once_a_contraction_is_done(site, monkeypatch):
    """Until then the schema is neither the one nor the other."""
    monkeypatch.setattr(contraction, "HOLD_SECONDS", 0.05)
    older = site.open(1)
    connect(older)
    contracting = Connection(site.url)
    contracting.rows("SELECT pg_advisory_lock($1, $2)", SCHEMA_LOCK, contraction.CONTRACTION_KEY)
    site.cut(1)
    with pytest.raises(StoreUnavailable, match="is being looked at or changed by another process"):
        append(older, status(), epoch=1)
    contracting.rows("SELECT pg_advisory_unlock_all()")
    contracting.close()
    append(older, status(), epoch=1)


def test_a_contraction_waits_for_a_node_that_looks_at_the_schema(site, monkeypatch):
    monkeypatch.setattr(contraction, "HOLD_SECONDS", 0.05)
    site.open(1).close()
    looking = Connection(site.url)
    looking.rows("SELECT pg_advisory_lock_shared($1, $2)", SCHEMA_LOCK, contraction.CONTRACTION_KEY)
    with pytest.raises(StoreInUse, match="is being looked at or changed by another process"):
        site.open(1, *LATER)
    looking.rows("SELECT pg_advisory_unlock_all()")
    looking.close()
    connect(site.open(1, *LATER))


def test_a_look_before_the_start_says_that_a_contraction_would_be_refused(site):
    """And by whom it is held up; the slot's own process is to be replaced."""
    site.open(1), site.open(2)
    with site.program(*LATER):
        [found] = [each for each in faults(site.url, "", Durability.LOCAL, 1) if "takes away" in each]
        assert "slot 2" in found
        assert "slot 1" not in found
    assert not [each for each in faults(site.url, "", Durability.LOCAL, 1) if "takes away" in each]
    assert site.version() == NOW

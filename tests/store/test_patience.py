"""Patience with a database on PostgreSQL that restarts or fails over: a batch is found there or repeated, once."""

from typing import Any

import pytest

from gateway.errors import CommitUnknown, StoreError, StoreInUse, StoreUnavailable
from gateway.store.api import READS_AT_ONCE
from gateway.store.postgres import notices
from gateway.store.postgres.connection import Broken, ServerError, each_host
from gateway.store.postgres.hosts import Hosts
from gateway.store.postgres.patience import LONGEST_PAUSE
from gateway.store.postgres.readers import ReaderPool
from gateway.store.postgres.writers import TRIES, WriterConnection
from tests.store.builders import T0
from tests.store.fake_server import FakeConnection, FakeServer

PATIENCE = 20.0


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def writer(server: FakeServer) -> WriterConnection:
    """A writer that has connected, and committed one batch."""
    hosts: Any = server
    writer = WriterConnection(hosts, lambda: T0, None, server.patience(PATIENCE))
    writer._partitions.due = lambda position, floor: False  # type: ignore[method-assign]
    assert writer.write((), lambda _: "first") == ("first", 1_000)
    server.commits = 0
    return writer


def breaks(server: FakeServer, *fates: str | None, away: float = 0.0) -> None:
    """Give the next commits these fates; with the first of them the server is away for so long."""

    def fate(commit: int) -> str | None:
        if commit == 1:
            server.away = server.time + away
        return fates[commit - 1] if commit <= len(fates) else None

    server.fate = fate


def counted(writer: WriterConnection) -> tuple[int, int]:
    """The number of times that a batch's work is done until it is kept, and where its sequences begin."""
    times = 0

    def work(_: object) -> int:
        nonlocal times
        times += 1
        return times

    return writer.write((), work)


# --- the fate of a commit that was not answered -----------------------------------------------------------------


@pytest.mark.parametrize("away", [0.0, 5.0, PATIENCE - 0.1])
def test_a_commit_that_was_kept_unheard_is_found_and_not_repeated(server, writer, away):
    """By its number, however long the server was away within the patience."""
    breaks(server, "kept", away=away)
    assert counted(writer) == (1, 2_000)
    assert server.row["batch"] == 2


@pytest.mark.parametrize("away", [0.0, 5.0, PATIENCE - 0.1])
def test_a_commit_that_was_lost_is_repeated(server, writer, away):
    """Its work is done a second time; it is there once."""
    breaks(server, "lost", away=away)
    assert counted(writer) == (2, 2_000)


def test_a_taking_that_was_not_answered_is_known_as_the_own_one(server, writer):
    """Kept or not, again and again: no other gateway has taken the slot."""
    breaks(server, "lost", "kept", "lost", "kept")
    assert counted(writer) == (2, 2_000)
    assert server.row["incarnation"] == 1 + 3
    assert counted(writer) == (1, 3_000)


def test_a_taking_that_no_standby_has_confirmed_is_repeated(server, writer):
    """A batch that was found may be on one disk alone, until a later commit is on a standby's, too."""
    breaks(server, "kept", "unconfirmed", None)
    assert counted(writer) == (1, 2_000)
    assert server.commits == 3
    assert (server.connections, server.open) == (3, 1)


def test_a_commit_that_no_standby_has_confirmed_is_not_acknowledged(server, writer):
    """It is known to be on one disk; whether the next primary has it is not."""
    breaks(server, "unconfirmed")
    with pytest.raises(CommitUnknown, match="not confirmed: canceling wait for synchronous replication"):
        counted(writer)
    assert counted(writer) == (1, 3_000)


# --- what the server refuses ------------------------------------------------------------------------------------


def refusing(*errors: Exception) -> Any:
    """A batch's work that meets these first, one a try; and the number of its tries."""
    left, tries = list(errors), list[int]()

    def work(_: object) -> int:
        tries.append(1)
        if left:
            raise left.pop(0)
        return len(tries)

    return work


def test_a_batch_in_a_deadlock_is_done_again(server, writer):
    """The server has undone all of it."""
    assert writer.write((), refusing(ServerError("40P01", "deadlock detected")))[0] == 2
    assert server.commits == 1
    with pytest.raises(StoreUnavailable, match="deadlock"):
        writer.write((), refusing(*[ServerError("40P01", "deadlock detected")] * TRIES))
    assert server.commits == 1


def test_a_batch_without_a_partition_has_it_made(server, writer, monkeypatch):
    """And any other refusal of that kind is the batch's own."""
    made = list[object]()
    monkeypatch.setattr(writer._partitions, "maintain", lambda cx, now: made.append(now))
    missing = ServerError("23514", 'no partition of relation "event" found for row')
    assert writer.write((), refusing(missing))[0] == 2
    assert made == [T0]
    with pytest.raises(StoreError, match="violates check"):
        writer.write((), refusing(ServerError("23514", "new row violates check constraint")))
    assert made == [T0]
    assert server.commits == 1


def test_a_bug_in_a_batch_keeps_nothing_of_it(server, writer):
    """And the next one is written by the same connection."""
    connections = server.connections
    with pytest.raises(KeyError):
        writer.write((), refusing(KeyError("a bug")))
    assert server.commits == 0
    assert counted(writer)[0] == server.commits == 1
    assert server.connections == connections


@pytest.mark.parametrize("error", [Broken("it went away"), ServerError("57014", "canceling statement")])
def test_a_connection_that_can_not_undo_is_given_up(server, writer, monkeypatch, error):
    """The next batch has another one."""

    def roll_back(_: FakeConnection) -> None:
        raise error

    connections = server.connections
    with monkeypatch.context() as patched:
        patched.setattr(FakeConnection, "roll_back", roll_back)
        with pytest.raises(KeyError):
            writer.write((), refusing(KeyError("a bug")))
    assert counted(writer) == (1, 2_000)
    assert server.connections == connections + 1


FENCED = ServerError("GW001", "the slot is another writer's")
MISSING = ServerError("23514", 'no partition of relation "event" found for row')


def failing(error: Exception) -> Any:
    """A function that raises this."""

    def fails(*_: object) -> None:
        raise error

    return fails


@pytest.mark.parametrize("refusal", [FENCED, MISSING, ServerError("40P01", "deadlock detected")])
@pytest.mark.parametrize("error", [Broken("it went away"), ServerError("57014", "canceling statement")])
def test_a_connection_that_breaks_over_a_refusal_has_the_batch_done_by_the_next(
    server, writer, monkeypatch, refusal, error
):
    """A notice at a failover: what the server refused can't be undone, so nothing more is asked by that connection."""
    connections = server.connections
    rolled_back = FakeConnection.roll_back

    def breaks_once(cx: FakeConnection) -> None:
        monkeypatch.setattr(FakeConnection, "roll_back", rolled_back)
        raise error

    monkeypatch.setattr(FakeConnection, "roll_back", breaks_once)
    assert writer.write((), refusing(refusal)) == (2, 2_000)
    assert (server.connections, server.open) == (connections + 1, 1)


@pytest.mark.parametrize(("refusal", "remedy"), [(FENCED, "find"), (MISSING, "maintain")])
def test_a_connection_that_breaks_over_the_remedy_has_the_batch_done_by_the_next(
    server, writer, monkeypatch, refusal, remedy
):
    """The server goes while it is asked for the notices, or for a partition."""
    connections = server.connections
    monkeypatch.setattr(
        writer._partitions if remedy == "maintain" else notices, remedy, failing(Broken("it went away"))
    )
    assert writer.write((), refusing(refusal)) == (2, 2_000)
    assert (server.connections, server.open) == (connections + 1, 1)


@pytest.mark.parametrize(("refusal", "remedy"), [(FENCED, "find"), (MISSING, "maintain")])
def test_a_remedy_that_the_server_refuses_makes_the_store_unavailable(server, writer, monkeypatch, refusal, remedy):
    """It is no caller's bug, and the next batch is written."""
    refused = ServerError("53100", "the disk is full")
    with monkeypatch.context() as patched:
        patched.setattr(writer._partitions if remedy == "maintain" else notices, remedy, failing(refused))
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            writer.write((), refusing(refusal))
    assert counted(writer)[0] == server.commits == 1


@pytest.mark.parametrize("error", [Broken("it went away"), ServerError("53100", "the disk is full")])
def test_a_batch_stands_though_partitions_can_not_be_seen_to(server, writer, monkeypatch, error):
    """It has been committed; they are seen to after a later one."""

    def maintain(cx: object, now: object) -> None:
        raise error

    monkeypatch.setattr(writer._partitions, "due", lambda position, floor: True)
    monkeypatch.setattr(writer._partitions, "maintain", maintain)
    assert counted(writer) == (1, 2_000)
    assert counted(writer) == (1, 3_000)
    assert server.row["batch"] == 3


def test_a_server_that_refuses_the_connection_is_away(server, writer, monkeypatch):
    """For as long as it starts, say."""
    writer.close()
    connect = server.connect
    errors = [ServerError("57P03", "the database system is starting up"), StoreInUse("another one holds the slot")]

    def refused(until: float | None = None) -> FakeConnection:
        if errors:
            raise errors.pop(0)
        return connect(until)

    monkeypatch.setattr(server, "connect", refused)
    assert counted(writer) == (1, 2_000)
    assert len(server.waits) == 2


# --- the opening ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Broken("connection refused"), "the database charging at db can't be reached: connection refused"),
        (ServerError("53300", "too many clients"), "charging at db.*too many clients"),
    ],
)
def test_a_database_that_can_not_be_opened_is_named(server, monkeypatch, error, words):
    """And there is nothing to close; no store is open then."""

    def refused(until: float | None = None) -> FakeConnection:
        raise error

    monkeypatch.setattr(server, "connect", refused)
    hosts: Any = server
    writer = WriterConnection(hosts, lambda: T0, None, server.patience(PATIENCE))
    with pytest.raises(StoreError, match=words):
        writer.open()
    assert not writer.opened


def test_an_opening_that_fails_leaves_no_connection(server, monkeypatch):
    """Whatever it has come to."""

    def refused(*_: object) -> None:
        raise ServerError("42501", "permission denied for schema public")

    monkeypatch.setattr("gateway.store.postgres.writers.migrate", refused)
    hosts: Any = server
    writer = WriterConnection(hosts, lambda: T0, None, server.patience(PATIENCE))
    with pytest.raises(StoreUnavailable, match="permission denied"):
        writer.open()
    assert (server.connections, server.open) == (1, 0)


# --- its end ----------------------------------------------------------------------------------------------------


def test_a_server_that_stays_away_makes_a_begun_commit_unknown(server, writer):
    """After the patience, and an attempt more; the pauses between attempts become longer, up to a bound."""
    breaks(server, "kept", away=60)
    began = server.time
    with pytest.raises(CommitUnknown, match=r"it is not known whether a commit was kept: .* can't be reached"):
        counted(writer)
    assert server.time - began == pytest.approx(PATIENCE)
    assert max(server.waits) <= LONGEST_PAUSE
    assert len(server.waits) > PATIENCE / LONGEST_PAUSE


def test_a_server_that_stays_away_keeps_nothing_of_what_was_not_begun(server, writer):
    """And then there is one attempt for each batch, until the server is back: nothing queues up behind it."""
    writer.close()
    server.away = server.time + 60
    with pytest.raises(StoreUnavailable) as raised:
        counted(writer)
    assert not isinstance(raised.value, CommitUnknown)
    waits = len(server.waits)
    with pytest.raises(StoreUnavailable):
        counted(writer)
    assert len(server.waits) == waits
    server.time = server.away
    assert counted(writer) == (1, 2_000)
    breaks(server, "lost", away=PATIENCE - 1)
    server.commits = 0
    assert counted(writer) == (2, 3_000)


def test_a_server_that_breaks_over_and_over_is_given_up(server, writer):
    """A batch that brings the server down would do so for as long as it is tried."""
    breaks(server, *["lost", None] * TRIES)
    with pytest.raises(StoreUnavailable, match="server closed the connection"):
        counted(writer)
    assert server.commits == 2 * TRIES


def test_waiting_ends_with_the_store(server, writer):
    """A process that stops does not wait for a server."""
    breaks(server, "kept", away=60)
    began = server.time
    writer._patience.end()
    with pytest.raises(CommitUnknown):
        counted(writer)
    assert server.time == began


# --- fences -----------------------------------------------------------------------------------------------------


def test_a_slot_taken_by_another_is_lost_for_good(server, writer):
    """Also where its incarnation is the one that an unanswered taking would have had."""
    breaks(server, "lost")
    before = server.fate

    def fate(commit: int) -> str | None:
        if commit == 1:
            server.row |= {"incarnation": server.row["incarnation"] + 1, "holder": 99}
        return before(commit)

    server.fate = fate
    connections = server.connections + 1
    with pytest.raises(CommitUnknown, match="another gateway has taken slot 1"):
        counted(writer)
    assert server.connections == connections, "one look was enough"
    with pytest.raises(StoreUnavailable, match="another gateway has taken slot 1"):
        counted(writer)
    assert server.connections == connections


def test_a_node_whose_slot_can_not_be_taken_anew_yet_tries_again(server, writer):
    """With the next batch; until then nothing is written, and each answer has both reasons."""
    rejoined, away = list[object](), [True]

    def rejoin(writer: object) -> None:
        if away[0]:
            raise StoreUnavailable("what it had is being settled")
        rejoined.append(writer)

    writer.rejoin = rejoin
    writer._fence("another gateway has taken slot 1")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"has taken slot 1; it was not taken anew: what it had"):
            counted(writer)
    assert server.row["batch"] == 1
    away[0] = False
    assert counted(writer)[0] == 1
    assert len(rejoined) == 1


@pytest.mark.parametrize("lost", ["batch", "incarnation"])
def test_a_server_that_lacks_what_was_acknowledged_is_not_written_to(server, writer, lost):
    """A standby that was promoted and should not have been: what this process remembers is not there."""
    writer.close()
    server.row[lost] -= 1
    with pytest.raises(StoreUnavailable, match="has lost commits that were acknowledged"):
        counted(writer)
    assert server.row["batch"] < 2


# --- reads ------------------------------------------------------------------------------------------------------


def pool(server: FakeServer, **how: bool) -> ReaderPool:
    hosts: Any = server
    return ReaderPool(hosts, server.patience(PATIENCE), **how)


def test_reads_wait_for_a_server_and_are_given_up_after_the_patience(server):
    """And then fail at the first attempt, until it is back."""
    readers = pool(server)
    server.away = server.time + PATIENCE - 0.1
    assert readers.read(False, lambda cx: "read") == "read"
    server.away = server.time + 60
    assert readers.read(False, lambda cx: "by the idle connection") == "by the idle connection"

    def broken(cx: object) -> None:
        raise Broken("server closed the connection unexpectedly")

    began = server.time
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="can't be reached: connection refused"):
            readers.read(False, broken)
    assert server.time - began == pytest.approx(PATIENCE)
    server.away = 0.0
    with pytest.raises(StoreUnavailable, match="can't be read: server closed"):
        readers.read(False, broken)
    assert server.open == 0
    readers.close()
    with pytest.raises(StoreUnavailable, match="is closed"):
        readers.read(False, broken)


def test_a_connection_reads_nothing_that_no_standby_has(server):
    """An answer without a standby's is none: the next connection asks again."""
    breaks(server, "unconfirmed", "unconfirmed")
    assert pool(server, replicated=True).read(False, lambda cx: "read") == "read"
    assert server.commits == 3
    assert (server.connections, server.open) == (3, 1)
    assert pool(server).read(False, lambda cx: "read") == "read"
    assert server.commits == 3


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_read_that_failed_gives_its_connection_back(server, snapshot):
    """Clean; one that can't be cleaned is closed. A statement that the server refuses is no reason to try again."""
    readers = pool(server)

    def refused(cx: object) -> None:
        raise ServerError("57014", "canceling statement due to statement timeout")

    with pytest.raises(StoreUnavailable, match="statement timeout"):
        readers.read(snapshot, refused)
    with pytest.raises(KeyError):
        readers.read(snapshot, lambda cx: {}["a bug"])
    assert server.connections == 1
    assert readers.read(snapshot, lambda cx: "read") == "read"
    assert server.connections == 1


def test_a_connection_that_can_not_be_cleaned_is_not_lent_again(server, monkeypatch):
    """The next read has another."""
    readers = pool(server)

    def broken(cx: object) -> None:
        raise Broken("it went away")

    with monkeypatch.context() as patched:
        patched.setattr(FakeConnection, "roll_back", broken)
        with pytest.raises(KeyError):
            readers.read(False, lambda cx: {}["a bug"])
    assert server.open == 0
    assert readers.read(False, lambda cx: "read") == "read"
    assert server.connections == 2


def test_a_statement_that_acts_leaves_the_connection_to_readers(server, monkeypatch):
    """Which may not write, whatever came of it."""
    said = list[str]()
    send = FakeConnection.send

    def noted(cx: FakeConnection, sql: str, *given: Any) -> Any:
        said.append(sql)
        return send(cx, sql, *given)

    monkeypatch.setattr(FakeConnection, "send", noted)
    readers = pool(server)
    assert readers.act(lambda cx: said.append("acts") or "done") == "done"
    with pytest.raises(KeyError):
        readers.act(lambda cx: {}["a bug"])
    off, acts, on = "SET default_transaction_read_only = off", "acts", "SET default_transaction_read_only = on"
    assert said[-5:] == [off, acts, on, off, on]
    assert server.connections == 1


def test_a_pool_that_is_closed_meanwhile_closes_what_comes_back(server):
    """Nothing stays open behind it."""
    readers = pool(server)
    lent = list[FakeConnection]()

    def closing(cx: Any) -> str:
        lent.append(cx)
        readers.close()
        return "read"

    assert readers.read(False, closing) == "read"
    assert lent[0].closed


def test_a_read_waits_no_longer_than_its_time_for_a_connection(server, monkeypatch):
    """All of them are lent."""
    monkeypatch.setattr("gateway.store.postgres.readers.READER_WAIT", 0.0)
    readers = pool(server)

    def nested(depth: int) -> str:
        return readers.read(False, lambda cx: nested(depth - 1)) if depth else "read"

    assert nested(READS_AT_ONCE) == "read"
    with pytest.raises(StoreUnavailable, match="no read connection to charging at db became free within 0 s"):
        nested(READS_AT_ONCE + 1)


# --- hosts ------------------------------------------------------------------------------------------------------


def test_each_host_of_a_url_has_its_own_connection_and_time():
    """And all that the URL says of all of them; it is left to libpq where that will refuse it."""
    each, seconds = each_host("postgresql://u@a:1,b:2/db?target_session_attrs=read-write&connect_timeout=3")
    shared = ["connect_timeout=3", "dbname=db", "target_session_attrs=read-write", "user=u"]
    assert [sorted(one.split()) for one in each] == [
        sorted(["host=a", "port=1", *shared]),
        sorted(["host=b", "port=2", *shared]),
    ]
    assert seconds == 3
    each, seconds = each_host("postgresql:///db?hostaddr=192.0.2.1,192.0.2.2&port=5")
    assert [sorted(one.split()) for one in each] == [
        ["dbname=db", "hostaddr=192.0.2.1", "port=5"],
        ["dbname=db", "hostaddr=192.0.2.2", "port=5"],
    ]
    assert seconds == 5
    for whole in ("postgresql://a/db", "postgresql://a:1,b:2,c:3/db?port=4,5"):
        assert each_host(whole) == ([whole], 10)


def test_the_host_that_answered_last_is_asked_first(monkeypatch):
    """And each of them is, before it is given up."""
    asked, refusing = list[str](), {"a"}

    def connection(url: str, seconds: float) -> str:
        host = next(each for each in url.split() if each.startswith("host=")).removeprefix("host=")
        asked.append(host)
        if host in refusing:
            raise Broken(f"{host} refused")
        return host

    monkeypatch.setattr("gateway.store.postgres.hosts.Connection", connection)
    hosts = Hosts("postgresql://a,b/db")
    assert [hosts.connect(), hosts.connect()] == ["b", "b"]
    assert asked == ["a", "b", "b"]
    refusing.add("b")
    with pytest.raises(Broken, match="b refused; a refused"):
        hosts.connect(0.0)

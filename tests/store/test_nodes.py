"""Several nodes on one database: takeovers, notices, an end of one that is silent, idTags, numbers."""

import threading

import pytest

from gateway.domain.decision import IdTagFree, RequestIdUnused
from gateway.domain.events import CommandNotSent
from gateway.domain.values import ConnectorAddress, Registration
from gateway.errors import StoreInUse, StoreUnavailable
from gateway.store.commits import (
    AllocatedNumbers,
    AllocateNumbers,
    Append,
    Appended,
    CreateChargePoint,
    CreateChargePoints,
    DeleteChargePoint,
    Done,
    Exists,
    Fenced,
    GuardFailed,
    Missing,
    OpenSession,
    PutIdTag,
    RecordLastHeard,
    UpdateChargePoint,
)
from gateway.store.nodes import SILENCE_SECONDS, AskToDisconnect, Beat, Ended, EndNode, Notice, NoticeKind, OwnerRecord
from gateway.store.postgres import PostgresStore, lane
from gateway.store.postgres.connection import Connection
from tests.store.builders import (
    CONNECTED,
    T0,
    above,
    append,
    at,
    connect,
    create,
    disconnected,
    id_tag,
    meter,
    one,
    queued,
    sent,
    started,
    status,
    types,
)

pytestmark = pytest.mark.postgres


class Nodes:
    """Stores of one database, by their slots, and the notices that each has been shown."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stores: dict[int, PostgresStore] = {}
        self.notices: dict[int, list[Notice]] = {}

    def open(self, node: int) -> PostgresStore:
        store = PostgresStore(self.url, clock=lambda: T0, durability=None, node=node)
        heard = self.notices[node] = []
        store.on_notices = heard.extend
        self.stores[node] = store
        return store

    def execute(self, statement: str):
        """Run a statement beside the stores; its rows."""
        cx = Connection(self.url)
        try:
            return cx.rows(statement)
        finally:
            cx.close()

    def silence(self, node: int) -> None:
        """Have a node be silent for longer than it may."""
        self.execute(f"UPDATE node SET seen_at = seen_at - interval '11 s' WHERE node = {node}")


@pytest.fixture
def nodes(database):
    nodes = Nodes(database)
    yield nodes
    for store in nodes.stores.values():
        store.close()


@pytest.fixture
def two(nodes):
    """Two stores, and a charge point CP1 that the first one owns."""
    first, second = nodes.open(1), nodes.open(2)
    assert connect(first).epoch == 1
    return first, second


def test_a_takeover_fences_the_session_before_it_and_leaves_a_notice(nodes, two):
    """The older owner's next write of it is refused, those of its other charge points are kept."""
    first, second = two
    connect(first, "CP2")
    opened = connect(second)
    assert opened.epoch == 2
    fenced, kept = first.commit([Append("CP1", 1, ()), Append("CP2", 1, ())])
    assert fenced == Fenced(2)
    assert isinstance(kept, Appended)
    (notice,) = nodes.notices[1]
    assert (notice.kind, notice.charge_point, notice.epoch) == (NoticeKind.TAKEN, "CP1", 2)
    assert first.owner("CP1") == OwnerRecord(2, 1, 2)
    assert nodes.notices[2] == []


def test_a_storm_of_takeovers_waits_for_the_database_a_few_times_in_all(nodes, two, monkeypatch):
    """And not a few times for each: every wait is a way to the server and back, while all chargers wait."""
    first, second = two
    names = [f"STORM{n}" for n in range(50)]
    first.commit([CreateChargePoints(tuple(CreateChargePoint(each, Registration.ACCEPTED, (), T0) for each in names))])
    first.commit([OpenSession(each, CONNECTED, T0) for each in names])
    waits, sync = [], Connection.sync
    monkeypatch.setattr(Connection, "sync", lambda cx: (waits.append(cx), sync(cx))[1])
    taken = second.commit([OpenSession(each, CONNECTED, T0) for each in names])
    assert {each.epoch for each in taken} == {2}
    assert len(waits) <= 12


def test_nodes_show_since_when_they_have_their_slots_and_what_they_own(nodes, two):
    """A connection that is opened anew is the same process still; another version's taking says nothing of it."""
    first, _ = two
    own, other = first.nodes()
    assert (own.node, own.charge_points, own.draining, own.chores) == (1, 1, False, False)
    assert (other.node, other.charge_points) == (2, 0)
    assert own.taken_at is not None
    assert own.taken_at <= own.seen_at
    assert own.silent_seconds < SILENCE_SECONDS
    nodes.execute("SELECT pg_terminate_backend(backend_pid) FROM node WHERE node = 1")
    one(first, Beat(draining=True))
    assert first.keep_chores()
    again = first.nodes()[0]
    assert (again.incarnation, again.taken_at) == (own.incarnation + 1, own.taken_at)
    assert (again.draining, again.chores) == (True, True)
    assert again.seen_at > own.seen_at
    nodes.execute("UPDATE node SET holder = holder + 1 WHERE node = 2")
    assert first.nodes()[1].taken_at is None


def test_what_another_node_records_is_noticed_and_can_be_read(nodes, two):
    """Under the owner's lane, in the order of all events of the charge point."""
    first, second = two
    append(first, status(), epoch=1)
    written = one(second, UpdateChargePoint("CP1", T0, registration=Registration.PENDING))
    append(first, meter(None), epoch=1)
    (notice,) = nodes.notices[1]
    assert (notice.kind, notice.charge_point) == (NoticeKind.CHANGED, "CP1")
    (event,) = first.noticed("CP1", notice.position)
    assert (event.sequence,) == written.sequences
    sequences = above(first, 0)
    assert list(sequences) == sorted(sequences)
    assert types(first)[-3:] == ["connector.status_changed", "charge_point.updated", "meter_values.reported"]


def test_a_notice_is_shown_and_rung_for_once(nodes, two):
    """Whatever is written after it, by either node."""
    first, second = two
    rung = []
    second.on_left = rung.append
    connect(second)
    for _ in range(2):
        one(second, Beat())
        one(first, Beat())
    assert rung == [frozenset({1})]
    assert [notice.kind for notice in nodes.notices[1]] == [NoticeKind.TAKEN]
    connect(second, "CP2")
    assert len(rung) == 1


def test_an_operator_s_change_of_a_charge_point_without_a_session_leaves_no_notice(nodes, two):
    """No node has to know."""
    first, second = two
    append(first, disconnected(), epoch=1)
    assert first.owner("CP1") is None
    one(second, UpdateChargePoint("CP1", T0, registration=Registration.PENDING))
    one(first, Beat())
    assert nodes.notices[1] == []
    assert one(second, AskToDisconnect("CP1")) == Missing()


def test_a_node_reads_what_it_owns_by_pages(nodes, two):
    """By their identities, and nothing of another's."""
    first, second = two
    connect(first, "CP2")
    connect(second, "CP3")
    assert [each.identity for each in first.owned("", 10)] == ["CP1", "CP2"]
    assert [each.identity for each in first.owned("CP1", 1)] == ["CP2"]
    assert [each.identity for each in second.owned("", 10)] == ["CP3"]
    one(second, DeleteChargePoint("CP1", T0))
    assert [each.identity for each in first.owned("", 10)] == ["CP2"]


def test_a_deleted_charge_point_has_no_owner(nodes, two):
    first, second = two
    one(second, DeleteChargePoint("CP1", T0))
    assert append(first, status(), epoch=1) == Missing()
    (notice,) = nodes.notices[1]
    assert notice.kind is NoticeKind.DELETED


def test_an_owner_is_asked_to_disconnect(nodes, two):
    """By whom it says, and its next commit finds it, if it is one of nothing."""
    first, second = two
    assert one(second, AskToDisconnect("CP1", "ops")) == Done()
    assert one(second, AskToDisconnect("unknown")) == Missing()
    assert one(first, AskToDisconnect("CP1")) == Missing()
    one(first, Beat())
    (notice,) = nodes.notices[1]
    assert (notice.kind, notice.caller) == (NoticeKind.DISCONNECT, "ops")
    one(first, Beat())
    assert nodes.execute("SELECT count(*) FROM notice") == [(0,)]


def test_one_of_two_nodes_has_a_request_id(nodes, two):
    """A command that is recorded as not sent from outside can't be begun by the owner any more."""
    first, second = two
    tomb = append(second, queued(), CommandNotSent("cmd_1", "Reset", "deadline"), guards=(RequestIdUnused("req1"),))
    assert isinstance(tomb, Appended)
    late = append(first, queued(2, "req1"), epoch=1, guards=(RequestIdUnused("req1"),))
    assert isinstance(late, GuardFailed)
    assert late.existing is not None
    assert late.existing.reason == "deadline"
    append(first, queued(3), sent(3), epoch=1)
    assert isinstance(append(second, queued(4, "req3"), guards=(RequestIdUnused("req3"),)), GuardFailed)


def test_of_two_fleets_at_two_nodes_one_is_imported(nodes):
    """Whole, where both have some of the same charge points, at the same moment."""
    stores = [nodes.open(1), nodes.open(2)]
    fleets = [[f"CP{number}" for number in range(first, first + 60)] for first in (0, 30)]
    answers = {}

    def put(which):
        writes = tuple(CreateChargePoint(each, Registration.PENDING, (), T0) for each in fleets[which])
        answers[which] = one(stores[which], CreateChargePoints(writes))

    threads = [threading.Thread(target=put, args=(which,)) for which in (0, 1)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    [kept] = [which for which, answer in answers.items() if isinstance(answer, Appended)]
    assert answers[1 - kept] == Exists(tuple(sorted(set(fleets[0]) & set(fleets[1]))))
    there = stores[0].charge_points("", 100)
    assert {each.identity for each in there} == set(fleets[kept])


def test_one_of_two_chargers_on_two_nodes_is_started_with_an_exclusive_tag(nodes):
    """Both try at the same moment, again and again: it is never both."""
    first, second = nodes.open(1), nodes.open(2)
    connect(first, "CP1"), connect(second, "CP2")
    for number in range(1, 21):
        guards, answers = (IdTagFree("TAG", ConnectorAddress(1, 1)),), {}

        def start(store, identity, own, answers=answers, guards=guards):
            body = started(own, connector=ConnectorAddress(1, 1))
            answers[identity] = append(store, body, identity=identity, epoch=1, guards=guards)

        sides = ((first, "CP1", 2 * number), (second, "CP2", 2 * number + 1))
        threads = [threading.Thread(target=start, args=side) for side in sides]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        kept = [identity for identity, answer in answers.items() if isinstance(answer, Appended)]
        assert len(kept) == 1
        nodes.execute("UPDATE txn SET state = 'CLOSED'")


def test_a_silent_node_is_ended_in_steps(nodes, two):
    """Its charge points are settled and have no owner, it writes nothing, and what others took over meanwhile stays."""
    first, second = two
    for number in range(2, 6):
        connect(first, f"CP{number}")
    append(first, queued(), epoch=1)
    append(first, queued(2), sent(2), identity="CP2", epoch=1)
    connect(second, "CP5")
    assert one(second, EndNode(1, 1, at(20), 2)) == Missing()
    nodes.silence(1)
    assert one(second, EndNode(1, 9, at(20), 2)) == Missing()
    incarnation, ended = 1, []
    while isinstance(step := one(second, EndNode(1, incarnation, at(20), 2)), Ended) and step.charge_points:
        incarnation = step.incarnation
        ended.append(step.charge_points)
    assert ended == [2, 2]
    assert [second.charge_point(f"CP{number}").connection.connected for number in range(1, 6)] == [False] * 4 + [True]
    assert second.command("cmd_1").state == "NOT_SENT"
    assert second.command("cmd_2").state == "OUTCOME_UNKNOWN"
    assert [e for e in types(second) if e == "charge_point.disconnected"] == ["charge_point.disconnected"] * 5
    with pytest.raises(StoreUnavailable, match="another gateway has taken slot 1"):
        append(first, status(), epoch=1)


def test_a_node_that_was_ended_takes_its_slot_anew(nodes, two):
    """Writes of its sessions of before are refused; new ones are opened."""
    first, second = two
    connect(first, "CP2")
    nodes.silence(1)
    one(second, EndNode(1, 1, at(20), 1))
    with pytest.raises(StoreUnavailable):
        first.probe()
    first.probe()
    assert nodes.execute("SELECT count(*) FROM charge_point WHERE node IS NOT NULL") == [(0,)]
    assert append(first, status(), epoch=1) == Fenced(2)
    assert append(first, status(), identity="CP2", epoch=1) == Fenced(2)
    assert connect(first).epoch == 3


def test_a_node_whose_connection_broke_while_it_was_ended_takes_its_slot_anew(nodes, two):
    """It does not know what became of its last batch."""
    first, second = two
    nodes.silence(1)
    assert second.free_lanes(5.0) == 1
    one(second, EndNode(1, 1, at(20), 10))
    with pytest.raises(StoreUnavailable):
        append(first, status(), epoch=1)
    first.probe()
    assert append(first, status(), epoch=1) == Fenced(2)


def test_a_start_settles_what_its_slot_owned_and_nothing_else(nodes, two):
    """Also what a gateway has left that was alone on the database."""
    first, second = two
    connect(second, "CP2"), create(second, "CP3")
    nodes.execute("UPDATE charge_point SET connected = 1 WHERE identity = 'CP3'")
    first.close()
    again = nodes.open(1)
    assert again.settle(at(5)) == 2
    assert [second.charge_point(f"CP{n}").connection.connected for n in (1, 2, 3)] == [False, True, False]
    assert again.settle(at(6)) == 0


def test_a_start_leaves_what_another_node_has_taken_over_meanwhile(nodes, two, monkeypatch):
    """Between the look at what its slot owned and the settling of it."""
    first, second = two
    connect(second)
    found = [["CP1"], []]
    monkeypatch.setattr("gateway.store.postgres.store.unsettled_of_node", lambda cx, node, limit: found.pop(0))
    assert first.settle(at(5)) == 0
    assert second.owner("CP1") == OwnerRecord(2, 1, 2)
    assert second.charge_point("CP1").connection.connected


def test_a_gateway_that_is_alone_does_not_serve_beside_nodes(nodes, database, monkeypatch):
    """Nor do nodes beside it, nor two on one slot."""
    monkeypatch.setattr(lane, "HOLD_SECONDS", 0.1)
    first = nodes.open(2)
    with pytest.raises(StoreInUse, match=r"the database .* is served by another process"):
        PostgresStore(database, durability=None)
    with pytest.raises(StoreInUse, match="slot 2"):
        PostgresStore(database, durability=None, node=2)
    first.close()
    alone = PostgresStore(database, durability=None)
    with pytest.raises(StoreInUse, match=r"the database .* is served by another process"):
        nodes.open(3)
    alone.close()


def test_a_lane_that_is_held_by_a_stopped_process_is_freed(nodes, two):
    """Its transaction is ended, and what waits for it goes on; the process finds out what was kept."""
    _, second = two
    stuck = Connection(nodes.url)
    lane.Lane(3, shared=True).hold(stuck, "here")
    stuck.send("BEGIN")
    stuck.rows("SELECT pg_advisory_xact_lock($1, 1)", lane.LANE_LOCK)
    waiting = threading.Thread(target=connect, args=(second,))
    waiting.start()
    while not second.free_lanes(0.0):
        pass
    waiting.join()
    assert second.owner("CP1") == OwnerRecord(2, 1, 2)
    stuck.close()


def test_one_node_keeps_the_chores_until_it_leaves_them_or_is_silent(nodes, two):
    first, second = two
    assert first.keep_chores()
    assert not second.keep_chores()
    assert first.keep_chores()
    assert [(each.node, each.chores) for each in second.nodes()] == [(1, True), (2, False)]
    first.leave_chores()
    assert second.keep_chores()
    nodes.execute("UPDATE chores SET until = until - interval '11 s'")
    assert first.keep_chores()


def test_nodes_are_told_apart(nodes, two):
    """By what each has said of itself."""
    first, second = two
    one(second, Beat(draining=True))
    here, there = first.nodes()
    assert (here.node, here.charge_points, here.draining) == (1, 1, False)
    assert (there.node, there.charge_points, there.draining) == (2, 0, True)
    assert here.silent_seconds < 60
    assert here.version
    assert "process" in here.address


def test_numbers_and_tags_are_the_fleet_s(nodes, two):
    """No number is given out twice, and a revision counts at any node."""
    first, second = two
    assert one(first, AllocateNumbers(10)) == AllocatedNumbers(1, 10)
    assert one(second, AllocateNumbers(10)) == AllocatedNumbers(11, 10)
    one(first, PutIdTag(id_tag("A"), create=True))
    assert one(second, PutIdTag(id_tag("A"), create=False, expected_revision=1)) == Done()
    assert one(first, PutIdTag(id_tag("A"), create=False, expected_revision=1)) == GuardFailed()


def test_only_an_owner_records_when_a_charge_point_was_heard(nodes, two):
    first, second = two
    one(second, RecordLastHeard((("CP1", at(50)),)))
    assert first.charge_point("CP1").connection.last_heard == T0
    one(first, RecordLastHeard((("CP1", at(50)),)))
    assert first.charge_point("CP1").connection.last_heard == at(50)


def test_tokens_of_one_node_hold_at_another(nodes, two):
    """They are of one generation."""
    first, second = two
    third = nodes.open(3)
    assert first.generations == second.generations == third.generations


def test_charge_points_of_several_owners_are_opened_in_one_batch(nodes, two):
    """With the lanes of them all."""
    _, second = two
    assert connect(second, "CP9").epoch == 1
    opened = second.commit([OpenSession("CP9", CONNECTED, T0), OpenSession("CP1", CONNECTED, T0)])
    assert [each.epoch for each in opened] == [2, 2]

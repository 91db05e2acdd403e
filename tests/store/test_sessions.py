"""Owners of charge points: what a new one takes over, what an old one left, what a crash left."""

import pytest

from gateway.domain.commands import CommandState, ConfigurationKey
from gateway.domain.events import (
    BootConfigurationApplied,
    BootInformation,
    ChargePointBooted,
    ChargePointDisconnected,
    ConfigurationReported,
    NewEvent,
    SecurityEventReported,
)
from gateway.domain.records import TransactionState
from gateway.domain.repeats import Memory
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.values import ConnectorAddress, Registration
from gateway.errors import StoreError
from gateway.store.commits import (
    AllocateNumbers,
    Append,
    Appended,
    DeleteChargePoint,
    Fenced,
    Missing,
    Opened,
    OpenSession,
    RecordLastHeard,
)
from tests.store.builders import (
    ALL,
    CONNECTED,
    T0,
    append,
    at,
    connect,
    create,
    disconnected,
    event,
    meter,
    nth,
    one,
    queued,
    sent,
    started,
    status,
    stopped,
    types,
)


def test_a_first_session_starts_from_an_empty_state(store):
    """Epoch 1, the registration, nothing else; the event names where the charger is."""
    opened = connect(store)
    assert opened == Opened(1, ChargePointState("CP1", 1, Registration.ACCEPTED), nth(store, 2))
    connection = store.charge_point("CP1").connection
    assert (connection.connected, connection.epoch, connection.since) == (True, 1, T0)
    assert (connection.remote_address, connection.security_profile) == ("192.0.2.7", 2)


def test_an_unknown_charge_point_gets_no_session(store):
    """Missing, and nothing is made."""
    assert one(store, OpenSession("nobody", CONNECTED, T0)) == Missing()
    assert store.bounds().head == 0


def test_the_loaded_state_is_what_the_events_made_of_it(store):
    """Loading gives the same as evolving through every event (but for what belongs to one connection)."""
    opened = connect(store)
    state = opened.state
    boot = BootInformation("Vendor", "Model", firmware_version="1.0")
    bodies = [
        ChargePointBooted(boot, Registration.ACCEPTED, 300),
        status("Available"),
        status("Available", ConnectorAddress(0, 0)),
        status("Charging"),
        started(1),
        meter(1),
        started(2, "OTHER", ConnectorAddress(2, 1)),
        stopped(2),
        ConfigurationReported((ConfigurationKey("A", True, "1"), ConfigurationKey("B", False)), ("C",)),
        ConfigurationReported((ConfigurationKey("A", True, "2"),)),
        BootConfigurationApplied("MeterValueSampleInterval", "60", "Accepted", "1.0"),
    ]
    events = [event(body, n) for n, body in enumerate(bodies)]
    events.append(event(meter(1), 20, reported_at=at(20), repeat_key=b"k" * 16))
    result = one(store, Append("CP1", 1, tuple(events)))
    for new, sequence in zip(events, result.sequences, strict=True):
        evolve(state, new, sequence)
    loaded = connect(store).state
    assert loaded.memory == state.memory
    assert (loaded.memory.readings, loaded.memory.clock) == (b"k" * 16, at(20))
    assert loaded.booted_at == state.booted_at == at(0)
    assert loaded.epoch == 2
    assert not loaded.booted
    for field in ("registration", "ever_accepted", "boot", "connectors", "boot_configuration", "configuration"):
        assert getattr(loaded, field) == getattr(state, field), field
    assert loaded.open_transactions == state.open_transactions == {"tx_1": store.transaction("tx_1")}


def test_a_new_owner_settles_what_the_old_one_left(store):
    """Queued commands were not sent, sent ones are unknown, the old connection was replaced; under the old epoch."""
    connect(store)
    append(store, queued(1), queued(2), sent(2))
    head = store.bounds().head
    opened = connect(store, seconds=9)
    events = store.events(head, 10, ALL).events
    assert [(e.type, e.epoch) for e in events] == [
        ("command.not_sent", 1),
        ("command.outcome_unknown", 1),
        ("charge_point.disconnected", 1),
        ("charge_point.connected", 2),
    ]
    assert opened.sequences == tuple(e.sequence for e in events)
    assert b"replaced" in events[2].body_json
    one_, two = store.command("cmd_1"), store.command("cmd_2")
    assert (one_.state, one_.reason, one_.finished_at) == (CommandState.NOT_SENT, "disconnected", at(9))
    assert (two.state, two.reason) == (CommandState.OUTCOME_UNKNOWN, "disconnected")


def test_an_old_owner_that_said_good_bye_is_not_replaced(store):
    """No second disconnect."""
    connect(store)
    append(store, disconnected())
    assert not store.charge_point("CP1").connection.connected
    head = store.bounds().head
    connect(store)
    assert types(store, head) == ["charge_point.connected"]


def test_a_crash_is_settled_at_start(place):
    """Connections end with reason gateway-restarted, commands as after a lost link, each with its event, once."""
    store = place.open()
    for n in range(3):
        connect(store, f"CP{n}")
    append(store, queued(1), sent(1), queued(2), identity="CP1")
    append(store, disconnected(), identity="CP2")
    store = place.open()
    head = store.bounds().head
    assert store.settle(at(60)) == 2
    assert sorted(types(store, head)) == [
        "charge_point.disconnected",
        "charge_point.disconnected",
        "command.not_sent",
        "command.outcome_unknown",
    ]
    assert store.command("cmd_1").reason == "gateway-restarted"
    assert store.charge_points("", 10, connected=True) == []
    assert store.charge_point("CP1").connection.since == at(60)
    assert store.settle(at(61)) == 0


def test_settling_takes_as_many_steps_as_it_needs(store):
    """More charge points than one step holds."""
    for n in range(450):
        connect(store, f"CP{n:03}")
    assert store.settle(at(1)) == 450
    assert store.charge_points("", 1000, connected=True) == []


def test_a_deleted_charge_point_leaves_nothing_open(store):
    """Its commands and connection are settled, its transactions lost, its session owns nothing."""
    connect(store)
    append(store, started(1), queued(1))
    head = store.bounds().head
    assert isinstance(one(store, DeleteChargePoint("CP1", at(5))), Appended)
    assert types(store, head) == [
        "command.not_sent",
        "charge_point.disconnected",
        "transaction.lost",
        "charge_point.deleted",
    ]
    assert store.charge_point("CP1") is None
    assert store.charge_points("", 10) == []
    assert store.transaction("tx_1").state is TransactionState.LOST
    assert append(store, meter(1), epoch=1) == Missing()
    assert one(store, DeleteChargePoint("CP1", at(5))) == Missing()


def test_a_charge_point_made_anew_continues_the_epoch(store):
    """A session of the deleted one is fenced; nothing of the old one shows."""
    connect(store)
    append(store, ChargePointBooted(BootInformation("V", "M"), Registration.ACCEPTED, 1), status())
    old = store.charge_point("CP1")
    one(store, DeleteChargePoint("CP1", T0))
    create(store, registration=Registration.PENDING)
    new = store.charge_point("CP1")
    assert isinstance(append(store, status(), epoch=old.connection.epoch), Fenced)
    assert connect(store).epoch > old.connection.epoch
    assert new.revision > old.revision
    assert (new.registration, new.boot, new.ever_accepted, new.connectors) == (Registration.PENDING, None, False, ())


def test_last_heard_never_goes_back(store):
    """Bulk updates keep the newest time and ignore who is not there."""
    connect(store)
    one(store, RecordLastHeard((("CP1", at(50)), ("nobody", at(50)))))
    one(store, RecordLastHeard((("CP1", at(40)),)))
    assert store.charge_point("CP1").connection.last_heard == at(50)


def test_connectors_are_bounded(store):
    """A charger that counts through connector numbers fills no table; known connectors still change."""
    connect(store)
    for n in range(300):
        append(store, status("Available", ConnectorAddress(n, 1)))
    append(store, status("Faulted", ConnectorAddress(3, 1)))
    connectors = store.charge_point("CP1").connectors
    assert len(connectors) == 256
    assert connectors[3].status == "Faulted"


def test_configuration_is_bounded(store):
    """Reported keys beyond a bound are in the history only; known keys still change."""
    connect(store)
    append(store, ConfigurationReported(tuple(ConfigurationKey(f"K{n}", False, "1") for n in range(1_500))))
    append(store, ConfigurationReported((ConfigurationKey("K7", False, "2"), ConfigurationKey("New", False, "1"))))
    configuration = connect(store).state.configuration
    assert len(configuration) == 1_000
    assert configuration["K7"] == "2"


def test_ends_of_many_connections_in_one_batch_are_all_on_the_books(store):
    """Each with its own time and when its charger was last heard."""
    ends = []
    for number in range(5):
        connect(store, f"C{number}", 1)
        ends.append(Append(f"C{number}", 1, (event(disconnected(), 10 + number),)))
    store.commit(ends)
    for number in range(5):
        connection = store.charge_point(f"C{number}").connection
        assert (connection.connected, connection.since) == (False, at(10 + number))


def test_in_one_batch_a_charge_point_that_comes_and_goes_is_what_it_was_last(store):
    """Gathered or not, what ends a connection keeps its place in the order."""
    connect(store, "GONE")
    connect(store, "BACK")
    create(store, "DELETED")
    end = [event(disconnected(), 10)]
    results = store.commit(
        [
            Append("GONE", 1, tuple(end)),
            OpenSession("GONE", CONNECTED, at(11)),
            Append("BACK", 1, tuple(end)),
            OpenSession("BACK", CONNECTED, at(12)),
            OpenSession("DELETED", CONNECTED, at(12)),
            Append("DELETED", 1, tuple(end)),
            DeleteChargePoint("DELETED", at(13)),
            Append("GONE", 2, (event(disconnected(), 14),)),
        ]
    )
    assert len(results[1].sequences) == 1, "nothing was left to be settled"
    gone, back = store.charge_point("GONE").connection, store.charge_point("BACK").connection
    assert (gone.connected, gone.since) == (False, at(14))
    assert (back.connected, back.since) == (True, at(12))
    assert [*types(store)].count("charge_point.disconnected") == 4, "every end is in the history"
    create(store, "DELETED")
    assert store.charge_point("DELETED").connection.since is None


def test_what_a_charge_point_said_last_is_known_however_much_lies_between(place):
    """It is kept with the charge point, through restarts and other chargers' batches; not with a deleted one."""
    store = place.open()
    connect(store)
    connect(store, "CP2")
    key = b"\x01" + b"k" * 15
    said = event(meter(), reported_at=at(), repeat_key=key)
    for identity in ("CP1", "CP2"):
        one(store, Append(identity, 1, (said, event(SecurityEventReported("A"), repeat_key=bytes(16)))))
    for number in range(40):
        append(store, queued(number), identity="CP1")
    store = place.open()
    assert connect(store).state.memory == Memory(key, bytes(16), at())
    one(store, DeleteChargePoint("CP1", at(9)))
    assert connect(store).state.memory == Memory()
    assert connect(store, "CP2").state.memory.readings == key


def test_a_batch_that_was_rolled_back_leaves_nothing_in_the_memory(store):
    """The writer's memory of it is dropped."""
    connect(store)
    said = Append("CP1", 1, (event(meter(), reported_at=at(), repeat_key=b"k" * 16),))
    with pytest.raises(StoreError):
        store.commit([said, AllocateNumbers(-1)])
    assert connect(store).state.memory == Memory()


def test_many_memories_in_one_batch_are_all_kept(store):
    """More than one statement takes at once."""
    identities = [f"CP{n}" for n in range(75)]
    for identity in identities:
        connect(store, identity)
    store.commit(
        [
            Append(identity, 1, (event(meter(), reported_at=at(n), repeat_key=bytes([1, n]) * 8),))
            for n, identity in enumerate(identities)
        ]
    )
    for n, identity in enumerate(identities):
        assert connect(store, identity).state.memory == Memory(bytes([1, n]) * 8, b"", at(n))


def test_hearing_is_recorded_after_an_end_in_the_same_commit(store):
    """In the order of the writes: the end's own time does not come in the place of a later one."""
    connect(store)
    ended = ChargePointDisconnected("closed", "peer", last_heard=at(0))
    store.commit([Append("CP1", 1, (NewEvent(ended, at(1)),)), RecordLastHeard((("CP1", at(400)),))])
    assert store.charge_point("CP1").connection.last_heard == at(400)


def test_a_time_of_hearing_from_the_future_does_not_stick(store):
    """A clock ran ahead for a while: what is heard by the right one counts again."""
    connect(store)
    one(store, RecordLastHeard((("CP1", at(1e8)),)))
    one(store, RecordLastHeard((("CP1", at(60)),)))
    assert store.charge_point("CP1").connection.last_heard == at(60)
    one(store, RecordLastHeard((("CP1", at(50)),)))
    assert store.charge_point("CP1").connection.last_heard == at(60)


def test_what_was_said_in_a_batch_is_known_also_once_its_charge_point_is_forgotten_in_it(store, monkeypatch):
    """So many charge points are remembered, and no batch's order takes anything from what one of them has said."""
    for module in ("sqlite.writer", "postgres.books"):
        monkeypatch.setattr(f"gateway.store.{module}.MAX_REMEMBERED", 1)
    for identity in ("CP1", "CP2"):
        connect(store, identity)
    order = [("CP1", b"a" * 16), ("CP2", b"b" * 16), ("CP1", b"c" * 16)]
    said = [Append(identity, 1, (event(meter(), reported_at=at(), repeat_key=key),)) for identity, key in order]
    store.commit(said)
    assert connect(store, "CP1").state.memory.readings == b"a" * 16 + b"c" * 16


def test_sessions_that_open_in_one_batch_are_as_those_that_open_one_by_one(store):
    """A storm of them: states, epochs and what was left are each charge point's own, also where one comes twice, is
    unknown, or something is recorded in between; and sequences rise from write to write."""

    def opens(prefix, number):
        names = [f"{prefix}{n}" for n in range(3)]
        for identity in names:
            create(store, identity)
        connect(store, names[0])
        append(store, started(number), queued(number), sent(number), identity=names[0], epoch=1)
        connect(store, names[1])
        append(store, status("Charging"), identity=names[1], epoch=1)
        opened = [OpenSession(each, CONNECTED, at(9)) for each in (*names, "GONE", names[0], names[1])]
        return [*opened[:4], Append(names[1], 2, (event(status("Available"), 10),)), *opened[4:]]

    def shown(result):
        if not isinstance(result, Opened):
            return type(result)
        state, left = result.state, [(each.epoch, each.event.body.TYPE) for each in result.events]
        states = (sorted(state.connectors.items()), len(state.open_transactions), state.epoch)
        return result.epoch, left, states

    together, alone = store.commit(opens("A", 1)), [one(store, each) for each in opens("B", 2)]
    assert list(map(shown, together)) == list(map(shown, alone))
    assert [each.epoch for each in together if isinstance(each, Opened)] == [2, 2, 1, 3, 3]
    first = together[0]
    assert [each.event.body.TYPE for each in first.events][-2:] == [
        "charge_point.disconnected",
        "charge_point.connected",
    ]
    assert len(first.state.open_transactions) == 1
    given = [each.sequence for result in together if result != Missing() for each in result.events]
    assert given == sorted(set(given))
    for result in together:
        if isinstance(result, Opened):
            assert result.sequences == tuple(each.sequence for each in result.events)

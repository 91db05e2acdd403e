"""Appending: epochs, guards, sequences, and what one write's refusal leaves alone."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.codec import decode
from gateway.domain.decision import IdTagFree, NotConnected, RequestIdUnused
from gateway.domain.values import ConnectorAddress, Flag
from gateway.errors import StoreUnavailable
from gateway.store.commits import AllocatedNumbers, AllocateNumbers, Append, Appended, Fenced, GuardFailed, Missing
from tests.store.builders import (
    ALL,
    CONNECTOR,
    above,
    answered,
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
    started,
    status,
    stopped,
    types,
)


def test_events_come_back_as_they_were_committed(store):
    """Envelope and body survive, to the microsecond, and sequences rise."""
    opened = connect(store)
    new = event(
        meter(None),
        1.5,
        reported_at=at(-5),
        reported_raw="2026-03-01T11:59:55.123456Z",
        flags=(Flag.LATE, Flag.CLOCK_SUSPECT),
        cause="message:42",
    )
    result = one(store, Append("CP1", opened.epoch, (new, event(status()))))
    assert result.sequences == nth(store, 3, 4)
    stored = store.events(*nth(store, 2), 10, ALL).events[0]
    assert (stored.sequence, stored.charge_point) == (*nth(store, 3), "CP1")
    assert (stored.epoch, stored.type) == (1, "meter_values.reported")
    assert (stored.received_at, stored.reported_at, stored.reported_raw) == (at(1.5), at(-5), new.reported_raw)
    assert (stored.flags, stored.cause, stored.transaction_id) == (new.flags, "message:42", None)
    assert decode(stored.type, stored.version, stored.body_json) == new.body


def test_event_ids_are_stable_and_carry_the_store(place):
    """The same event has the same id after a restart, and other events have others."""
    store = place.open()
    connect(store)
    first = [e.event_id for e in store.events(0, 10, ALL).events]
    store_id = store.store_id
    store = place.open()
    assert [e.event_id for e in store.events(0, 10, ALL).events] == first
    assert first == [f"ev_{store_id.removeprefix('store_')}_{sequence}" for sequence in nth(store, 1, 2)]
    assert store.store_id == store_id


def test_a_session_that_was_replaced_is_fenced(store):
    """Late writes of an old session are refused by their epoch, and nothing of them is written."""
    connect(store)
    assert connect(store).epoch == 2
    head = store.bounds().head
    assert append(store, status(), epoch=1) == Fenced(2)
    assert store.bounds().head == head
    assert isinstance(append(store, status(), epoch=2), Appended)


def test_an_epoch_from_the_future_is_fenced_too(store):
    """Only the current epoch writes."""
    connect(store)
    assert append(store, status(), epoch=9) == Fenced(1)


def test_the_operators_own_events_are_not_fenced(store):
    """Without an epoch an event belongs to the current one."""
    connect(store)
    append(store, queued(), epoch=None)
    assert store.events(*nth(store, 2), 10, ALL).events[0].epoch == 1


def test_a_connection_that_ended_in_the_same_batch_is_none(store):
    """For a write that may only be done while there is none."""
    epoch = connect(store).epoch
    while_away = Append("CP1", None, (event(queued()),), (NotConnected(),))
    assert one(store, while_away) == GuardFailed(NotConnected())
    ended = Append("CP1", epoch, (event(disconnected()),))
    assert all(isinstance(each, Appended) for each in store.commit([ended, while_away]))


def test_an_unknown_charge_point_is_missing(store):
    """Identities are exact: another case is another charge point."""
    connect(store)
    assert append(store, status(), identity="cp1") == Missing()
    assert append(store, status(), identity="") == Missing()


def test_epochs_rise_across_restarts(place):
    """No epoch is given out twice."""
    assert connect(place.open()).epoch == 1
    assert connect(place.open()).epoch == 2


def test_one_writes_refusal_leaves_its_neighbours_alone(store):
    """A batch's results are each write's own."""
    epoch = connect(store).epoch
    good = Append("CP1", epoch, (event(status("Charging")),))
    results = store.commit([good, Append("CP1", 7, (event(status("Faulted")),)), Append("X", 1, ()), good])
    assert results == [Appended(nth(store, 3)), Fenced(1), Missing(), Appended(nth(store, 4))]
    assert types(store, *nth(store, 2)) == ["connector.status_changed"] * 2


def test_writes_of_a_batch_see_each_other(store):
    """A guard holds against a transaction that came earlier in the same batch."""
    for identity in ("CP1", "CP2"):
        connect(store, identity)
    starts = [
        Append("CP1", 1, (event(started(1)),), (IdTagFree("TAG", CONNECTOR),)),
        Append("CP2", 1, (event(started(2)),), (IdTagFree("tag", CONNECTOR),)),
    ]
    first, second = store.commit(starts)
    assert isinstance(first, Appended)
    assert second == GuardFailed(IdTagFree("tag", CONNECTOR))
    assert store.transaction("tx_2") is None


def test_a_tag_is_free_on_the_connector_that_its_open_transaction_holds(store):
    """A new start there is a lost stop, not a second use; anywhere else it is one, until the stop."""
    connect(store)
    append(store, started(1))
    other = IdTagFree("Tag", ConnectorAddress(2, 1))
    assert isinstance(append(store, guards=[IdTagFree("Tag", CONNECTOR)]), Appended)
    assert append(store, guards=[other]) == GuardFailed(other)
    append(store, stopped(1))
    assert isinstance(append(store, guards=[other]), Appended)


def test_a_request_id_that_is_taken_answers_with_its_command(store):
    """The guard fails with the first command, of this charge point only."""
    connect(store)
    connect(store, "CP2")
    append(store, queued(1, "r"), guards=[RequestIdUnused("r")])
    refused = append(store, queued(2, "r"), guards=[RequestIdUnused("r")])
    assert refused == GuardFailed(RequestIdUnused("r"), store.command("cmd_1"))
    assert isinstance(append(store, queued(3, "r"), guards=[RequestIdUnused("r")], identity="CP2"), Appended)


def test_a_write_that_can_not_be_takes_its_batch_with_it_but_not_the_store(store):
    """A bug's transaction number that is taken raises, writes nothing, and the next commit works."""
    epoch = connect(store).epoch
    append(store, started(1))
    head = store.bounds().head
    twice = event(started(1))
    with pytest.raises(Exception, match="can't take that") as raised:
        store.commit([Append("CP1", epoch, (event(status()),)), Append("CP1", epoch, (twice,))])
    assert not isinstance(raised.value, StoreUnavailable)
    assert store.bounds().head == head
    assert append(store, status(), epoch=epoch).sequences == above(store, head)


def test_a_body_that_is_no_json_takes_nothing_with_it(store):
    """An event that can't be encoded raises before anything of its batch is kept."""
    epoch = connect(store).epoch
    head = store.bounds().head
    with pytest.raises(TypeError):
        store.commit([Append("CP1", epoch, (event(status()), event(meter(value=object()))))])
    assert store.bounds().head == head
    assert append(store, status(), epoch=epoch).sequences == above(store, head)


def test_what_was_remembered_of_a_failed_batch_is_forgotten(store):
    """A start that was rolled back is no transaction for the events after it."""
    connect(store)
    with pytest.raises(TypeError):
        append(store, started(5), meter(5, value=object()))
    head = store.bounds().head
    append(store, meter(5))
    assert store.transaction("tx_5") is None
    assert store.readings("tx_5", 0, 10) == []
    assert store.events(head, 1, ALL).events[0].transaction_id == "tx_5"


def test_numbers_are_never_given_out_twice(place):
    """Blocks follow each other, also over a restart."""
    assert one(place.open(), AllocateNumbers(100)) == AllocatedNumbers(1, 100)
    store = place.open()
    assert store.commit([AllocateNumbers(1), AllocateNumbers(2)]) == [
        AllocatedNumbers(101, 1),
        AllocatedNumbers(102, 2),
    ]


@pytest.mark.parametrize("count", [0, -1, 2**31])
def test_numbers_stay_below_two_to_the_31(store, count):
    """A block that does not fit is refused, and gives out nothing."""
    with pytest.raises(Exception, match="can't be given out"):
        one(store, AllocateNumbers(count))
    assert one(store, AllocateNumbers(1)) == AllocatedNumbers(1, 1)


def test_everything_is_there_after_a_restart(place):
    """Events, records and the position of the next event survive."""
    store = place.open()
    connect(store)
    append(store, started(1), meter(1), status("Charging"), queued(1), answered(1))
    before = (store.events(0, 100, ALL), store.charge_point("CP1"), store.transaction("tx_1"), store.command("cmd_1"))
    store = place.open()
    assert before == (
        store.events(0, 100, ALL),
        store.charge_point("CP1"),
        store.transaction("tx_1"),
        store.command("cmd_1"),
    )
    head = store.bounds().head
    assert append(store, meter(1)).sequences == above(store, head)


def test_a_closed_store_is_unavailable(store):
    """Closing twice is fine; anything else afterwards says so."""
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.commit([])
    with pytest.raises(StoreUnavailable, match="closed"):
        store.bounds()


@given(
    number=st.integers(min_value=-(2**63), max_value=2**64 - 1),
    words=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_charger_sends_can_be_kept(store, number, words):
    """Any text and any integer that JSON can carry: stored as sent, whatever the projection makes of it."""
    if store.charge_point("CP1") is None:
        create(store)
    body = started(one(store, AllocateNumbers(1)).first, words, ConnectorAddress(number, 1), words)
    head = store.bounds().head
    append(store, body, status(words, ConnectorAddress(number, 1)))
    stored = store.events(head, 1, ALL).events[0]
    assert decode(stored.type, stored.version, stored.body_json) == body
    # Those of examples before it may go on, under the same tag in other letters.
    assert words in [t.id_tag for t in store.occupying_transactions_of_tag(words, 1000)]

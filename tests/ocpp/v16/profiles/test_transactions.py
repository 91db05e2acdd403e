"""StartTransaction and StopTransaction: always confirmed, recorded once, attributed to their own."""

from datetime import timedelta

import pytest

from gateway.domain.decision import IdTagFree
from gateway.domain.events import (
    ReservationEnded,
    TransactionLost,
    TransactionOrphaned,
    TransactionStarted,
    TransactionStopped,
)
from gateway.domain.records import TransactionState
from gateway.domain.transactions import start_key
from gateway.domain.values import ConnectorAddress, Flag
from gateway.ocpp.v16.profiles.transactions import MAX_OPEN_TRANSACTIONS
from tests.ocpp.v16.profiles.charger import NOW, Books, at, charger, has

ONE = ConnectorAddress(1, 1)
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 1000, "timestamp": at()}


# --- StartTransaction -----------------------------------------------------------------------------------------


def test_a_start_is_given_a_number_and_the_tags_standing():
    """B4.1; without a status or an Authorize before it (B4.10)."""
    one = charger()
    assert one.call("StartTransaction", **START) == {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}
    (event,) = one.events
    assert isinstance(event.body, TransactionStarted)
    assert (event.body.number, event.body.connector, event.body.meter_start) == (1, ONE, 1000)
    assert event.reported_at == NOW
    assert has(event)


def test_a_start_is_known_again_by_what_identifies_it_and_by_nothing_else():
    """The key is kept for ever: a later version makes the same of the same start."""
    one = charger()
    one.call("StartTransaction", **START)
    (event,) = one.events
    assert isinstance(event.body, TransactionStarted)
    assert event.body.start_key == start_key(ONE, "TAG", at(), 1000)


@pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid"])
def test_a_refused_tags_transaction_is_as_real_as_any(status):
    """B4.5: with a number of its own, since it may run and stop."""
    one = charger()
    one.books.add_tag("BAD", status)
    first = one.call("StartTransaction", **START | {"idTag": "BAD"})
    second = one.call("StartTransaction", **START | {"idTag": "BAD", "connectorId": 2})
    assert first["idTagInfo"] == second["idTagInfo"] == {"status": status}
    assert 0 < first["transactionId"] != second["transactionId"]
    (event,) = one.stop(first["transactionId"], 1000, reason="DeAuthorized")
    assert isinstance(event.body, TransactionStopped)


@pytest.mark.parametrize("change", [{}, {"idTag": "tag"}])
def test_a_retried_start_is_the_same_transaction(change):
    """B4.6: with a new message id, and a tag in another case."""
    one = charger()
    first = one.call("StartTransaction", **START)
    assert one.call("StartTransaction", **START | change) == first
    assert len(one.events) == 1


def test_a_retried_start_on_a_new_connection_is_the_same_transaction():
    """B4.6, also after it was stopped."""
    one = charger()
    first = one.call("StartTransaction", **START)
    one.reconnect()
    assert one.call("StartTransaction", **START) == first
    one.stop(first["transactionId"], 1100)
    one.reconnect()
    assert one.call("StartTransaction", **START) == first
    assert [type(e.body) for e in one.events] == [TransactionStarted, TransactionStopped]


def test_a_retry_gets_the_answer_of_the_first():
    """B4.6: the same answer, although the tag was blocked meanwhile."""
    one = charger()
    first = one.call("StartTransaction", **START)
    one.books.add_tag("TAG", "Blocked")
    assert one.call("StartTransaction", **START) == first


@pytest.mark.parametrize("change", [{"connectorId": 2}, {"idTag": "OTHER"}, {"timestamp": at(1)}, {"meterStart": 1001}])
def test_a_start_that_differs_is_another_transaction(change):
    """The key is all of connector, tag, time and meter."""
    one = charger("OTHER")
    first = one.call("StartTransaction", **START)
    assert one.call("StartTransaction", **START | change)["transactionId"] != first["transactionId"]


def test_the_same_start_of_another_charger_is_another_transaction():
    """The charge point is part of the identity."""
    one = charger()
    other = charger(books=one.books, identity="CP-2")
    first = one.call("StartTransaction", **START)
    assert other.call("StartTransaction", **START)["transactionId"] != first["transactionId"]


BEFORE_THE_CLOCK = START | {"timestamp": "1970-01-01T00:00:09Z"}


def test_with_a_clock_never_set_a_finished_transaction_is_not_met_again():
    """At each power-up it may say the same: two transactions of one key."""
    one = charger()
    first = one.call("StartTransaction", **BEFORE_THE_CLOCK)
    assert one.call("StartTransaction", **BEFORE_THE_CLOCK) == first
    one.stop(first["transactionId"], 1100)
    one.reconnect()
    second = one.call("StartTransaction", **BEFORE_THE_CLOCK)
    assert second["transactionId"] != first["transactionId"]


def test_with_a_clock_never_set_the_same_message_is_the_same_start():
    """Quirk 39: repeated on the same connection, though it was stopped meanwhile."""
    one = charger()
    first = one.call("StartTransaction", "start-1", **BEFORE_THE_CLOCK)
    one.stop(first["transactionId"], 1100)
    assert one.call("StartTransaction", "start-1", **BEFORE_THE_CLOCK) == first
    assert one.call("StartTransaction", "start-2", **BEFORE_THE_CLOCK) != first


def test_with_a_clock_that_runs_ahead_a_finished_transaction_is_met_again():
    """A clock that ticks tells two starts apart, whatever it says."""
    one = charger()
    ahead = START | {"timestamp": at(86_400)}
    first = one.call("StartTransaction", **ahead)
    assert Flag.CLOCK_SUSPECT in one.events[-1].flags
    one.stop(first["transactionId"], 1100)
    assert one.call("StartTransaction", **ahead) == first


def test_a_tag_that_charges_elsewhere_is_reported():
    """S §7.2: ConcurrentTx, with a number of its own (B4.5)."""
    books = Books()
    one, other = charger(books=books), charger(books=books, identity="CP-2")
    one.start()
    reply = other.call("StartTransaction", **START | {"idTag": "tag"})
    assert reply["idTagInfo"]["status"] == "ConcurrentTx"
    assert reply["transactionId"] == 2


def test_a_tag_that_may_charge_twice_does():
    """The operator's choice, tag by tag."""
    one = charger()
    one.books.add_tag("FLEET", allow_concurrent=True)
    one.start("FLEET", 1)
    assert one.guards == ()
    reply = one.call("StartTransaction", **START | {"idTag": "FLEET", "connectorId": 2})
    assert reply["idTagInfo"]["status"] == "Accepted"


def test_a_retry_is_not_concurrent_with_itself():
    """B4.7."""
    one = charger()
    for _ in range(3):
        assert one.call("StartTransaction", **START)["idTagInfo"]["status"] == "Accepted"


def test_a_start_after_a_lost_stop_is_not_concurrent_with_what_it_ends():
    """B4.9: the same tag on the same connector."""
    one = charger()
    one.start(time=at(-100))
    assert one.call("StartTransaction", **START)["idTagInfo"]["status"] == "Accepted"


def test_a_start_that_was_accepted_for_a_free_tag_is_committed_only_while_it_is_free():
    """Two chargers may ask at the same moment."""
    one = charger()
    one.start(connector=3)
    assert one.guards == (IdTagFree("TAG", ConnectorAddress(3, 1)),)
    one.start(connector=4)
    assert one.guards == ()  # it was answered ConcurrentTx: nothing depends on the tag


def test_a_newer_start_shows_that_a_stop_was_lost():
    """B4.9."""
    one = charger("OTHER")
    one.start(time=at(-100))
    lost, started = one.new_events("StartTransaction", **START | {"idTag": "OTHER"})
    assert lost.body == TransactionLost("tx_CP-1_1", ONE)
    assert isinstance(started.body, TransactionStarted)
    assert set(one.state.open_transactions) == {started.body.transaction_id}


def test_an_older_start_ends_nothing():
    """B4.8, B4.9: it was queued, and its own stop will follow."""
    one = charger("OTHER")
    running = one.start()
    event, stale = one.new_events("StartTransaction", **START | {"idTag": "OTHER", "timestamp": at(-9999)})
    assert has(event, Flag.LATE)
    assert (stale.body.transaction_id, stale.body.why) == (event.body.transaction_id, "later-start")
    (stop,) = one.stop(event.body.number, 1500, at(-1000))
    assert stop.body.energy == 500
    assert one.state.by_number(running) is not None


def test_a_start_on_another_connector_ends_nothing():
    """One per connector is open."""
    one = charger("OTHER")
    one.start()
    assert len(one.new_events("StartTransaction", **START | {"idTag": "OTHER", "connectorId": 2})) == 1


@pytest.mark.parametrize("connector", [0, -1, 3])
def test_a_start_on_a_connector_that_can_not_be_is_recorded_and_flagged(connector):
    """B4.12."""
    one = charger()
    one.state.configuration["NumberOfConnectors"] = "2"
    (event,) = one.new_events("StartTransaction", **START | {"connectorId": connector})
    assert Flag.UNKNOWN_CONNECTOR in event.flags


def test_a_start_with_nothing_in_it_is_recorded():
    """A4.2, B4.3, quirk 73."""
    one = charger()
    reply = one.call("StartTransaction")
    assert reply == {"transactionId": 1, "idTagInfo": {"status": "Invalid"}}
    (event,) = one.events
    assert event.body.id_tag == ""
    assert {Flag.DEVIATES, Flag.METER_IMPLAUSIBLE, Flag.TIME_UNREADABLE} <= set(event.flags)


def test_a_tag_that_is_too_long_is_never_another_tag():
    """B3.5: its first twenty characters are not looked up."""
    one = charger("x" * 20)
    assert one.call("StartTransaction", **START | {"idTag": "x" * 21})["idTagInfo"]["status"] == "Invalid"


def test_a_reservation_is_taken_along():
    """B4.11: known or not."""
    (event,) = charger().new_events("StartTransaction", **START | {"reservationId": 0})
    assert event.body.reservation_id == 0


def test_a_start_uses_up_the_reservation_that_it_names():
    """B4.11: after the start, whose transaction it names; the retried start uses nothing more."""
    one = charger()
    one.reserve(7)
    started, ended = one.new_events("StartTransaction", **START | {"reservationId": 7})
    assert ended.body == ReservationEnded(7, ONE, "used", started.body.transaction_id)
    assert ended.cause == started.cause
    assert one.state.reservations == {}
    assert one.new_events("StartTransaction", **START | {"reservationId": 7}) == []


@pytest.mark.parametrize("named", [{}, {"reservationId": 0}, {"reservationId": -1}, {"reservationId": 8}])
def test_a_start_by_the_reserved_tag_uses_its_reservation_whatever_it_names(named):
    """S §5.13, B4.11: unknown, 0 and stale ids are taken along, and the tag and the connector say which one it was."""
    one = charger()
    one.reserve(7)
    one.reserve(8 if named != {"reservationId": 8} else 9, connector=2)
    started, ended = one.new_events("StartTransaction", **START | named)
    assert ended.body == ReservationEnded(7, ONE, "used", started.body.transaction_id)
    assert started.body.reservation_id == named.get("reservationId")
    assert 7 not in one.state.reservations
    assert len(one.state.reservations) == 1


def test_a_start_by_a_member_of_the_group_uses_the_groups_reservation():
    """S §5.13: its parent is the one that was reserved for; another group's start shows that it is gone."""
    for parent, why in (("GROUP", "used"), ("OTHERS", "gone")):
        one = charger()
        one.books.add_tag("MEMBER", parent=parent)
        one.reserve(7, parent="group")
        _, ended = one.new_events("StartTransaction", **START | {"idTag": "MEMBER"})
        assert (ended.body.reservation_id, ended.body.why) == (7, why)


def test_a_start_elsewhere_uses_no_reservation():
    """Of a tag that is reserved for on another connector."""
    one = charger()
    one.reserve(7)
    assert len(one.new_events("StartTransaction", **START | {"connectorId": 2, "idTag": "TAG"})) == 1
    assert list(one.state.reservations) == [7]


def test_a_start_of_before_the_reservation_uses_none():
    """Queued while offline, under an id that was given out again since."""
    one = charger()
    one.reserve(7, made=-60)
    old = START | {"reservationId": 7, "timestamp": at(-3_600)}
    assert len(one.new_events("StartTransaction", **old)) == 1
    assert list(one.state.reservations) == [7]


def test_a_charger_can_not_fill_the_memory_with_transactions():
    """Beyond the bound its oldest is taken for lost."""
    one = charger()
    for connector in range(1, MAX_OPEN_TRANSACTIONS + 1):
        one.start(connector=connector)
    lost, _ = one.new_events("StartTransaction", **START | {"connectorId": 1000})
    assert lost.body.connector == ONE
    assert len(one.state.open_transactions) == MAX_OPEN_TRANSACTIONS


# --- StopTransaction ------------------------------------------------------------------------------------------


def test_a_stop_ends_its_transaction_with_its_energy():
    """B5.1, B5.2, B5.3, E13: no tag, no idTagInfo; no reason is Local."""
    one = charger()
    number = one.start(meter=1000)
    assert one.call("StopTransaction", transactionId=number, meterStop=1400, timestamp=at(600)) == {}
    event = one.events[-1]
    assert isinstance(event.body, TransactionStopped)
    assert (event.body.energy, event.body.reason, event.body.meter_stop) == (400, "Local", 1400)
    assert one.state.open_transactions == {}


def test_a_stop_by_a_tag_gets_the_tags_standing():
    """S §4.10."""
    one = charger()
    number = one.start()
    reply = one.call("StopTransaction", transactionId=number, meterStop=1, timestamp=at(60), idTag="TAG")
    assert reply == {"idTagInfo": {"status": "Accepted"}}
    assert one.events[-1].body.id_tag_status == "Accepted"


def test_a_repeated_stop_is_confirmed_alike_and_recorded_once():
    """B5.6."""
    one = charger()
    number = one.start()
    stop = {"transactionId": number, "meterStop": 100, "timestamp": at(60), "idTag": "TAG"}
    first = one.call("StopTransaction", **stop)
    assert one.call("StopTransaction", **stop) == first
    one.reconnect()
    assert one.call("StopTransaction", **stop) == first
    assert len(one.events) == 2


def test_another_stop_under_a_used_number_is_kept():
    """Quirk 47: a number of another system may be one of the gateway's."""
    one = charger()
    number = one.start()
    one.stop(number, 100)
    (event,) = one.stop(number, 999, at(90))
    assert isinstance(event.body, TransactionOrphaned)
    assert event.body.why == "already-stopped"
    assert one.books.by_number(number).meter_stop == 100


def test_a_stop_that_comes_after_its_transaction_was_taken_for_lost_ends_it_properly():
    """B4.9, B5.10."""
    one = charger("OTHER")
    lost = one.start(time=at(-100))
    one.start("OTHER")
    (event,) = one.stop(lost, 500, at(-50))
    assert isinstance(event.body, TransactionStopped)
    assert event.body.energy == 500
    assert one.books.by_number(lost).state is TransactionState.STOPPED
    assert len(one.state.open_transactions) == 1


@pytest.mark.parametrize("number", [999, 2**63 - 1])
def test_a_stop_for_an_unknown_transaction_is_confirmed_and_kept_as_an_orphan(number):
    """B5.5, quirks 9, 45: and it touches nothing that is open."""
    one = charger()
    one.start()
    payload = {"transactionId": number, "meterStop": 50, "timestamp": at(60), "idTag": "TAG"}
    assert one.call("StopTransaction", **payload) == {}
    assert one.events[-1].body == TransactionOrphaned(number, "unknown-number", payload)
    assert len(one.state.open_transactions) == 1


@pytest.mark.parametrize("number", [0, -2, 2**63, None])
def test_a_stop_without_a_usable_number_is_an_orphan(number):
    """B5.5: zero and what is out of range name nothing."""
    one = charger()
    one.start()
    (event,) = one.stop(number, 50)
    assert isinstance(event.body, TransactionOrphaned)
    assert event.body.why == "no-number"
    assert len(one.state.open_transactions) == 1


def test_a_stop_from_another_charger_ends_nothing():
    """B5.7."""
    books = Books()
    one, other = charger(books=books), charger(books=books, identity="CP-2")
    number = one.start()
    (event,) = other.stop(number)
    assert isinstance(event.body, TransactionOrphaned)
    assert event.body.why == "other-charge-point"
    assert books.by_number(number).state is TransactionState.OPEN


def test_a_stop_with_minus_one_is_attached_where_there_is_one_it_can_mean():
    """B5.4, SE 3.18: inferred, and answered as if it had named it."""
    one = charger()
    one.start(meter=1000)
    reply = one.call("StopTransaction", transactionId=-1, meterStop=1500, timestamp=at(60), idTag="tag")
    assert reply == {"idTagInfo": {"status": "Accepted"}}
    event = one.events[-1]
    assert isinstance(event.body, TransactionStopped)
    assert Flag.TRANSACTION_INFERRED in event.flags


@pytest.mark.parametrize(
    "change",
    [{"meterStop": 999}, {"idTag": "OTHER"}, {"timestamp": at(-60)}],
    ids=["register below", "another tag", "before the start"],
)
def test_a_stop_with_minus_one_is_not_attached_where_it_does_not_fit(change):
    """B5.4: never to another live transaction."""
    one = charger("OTHER")
    one.start(meter=1000)
    stop = {"transactionId": -1, "meterStop": 1500, "timestamp": at(60), "idTag": "TAG"}
    (event,) = one.new_events("StopTransaction", **stop | change)
    assert isinstance(event.body, TransactionOrphaned)
    assert len(one.state.open_transactions) == 1


def test_a_stop_with_minus_one_is_not_attached_where_two_would_fit():
    """B5.4: never blindly."""
    one = charger("OTHER")
    one.start(connector=1)
    one.start("OTHER", connector=2)
    (event,) = one.stop(-1)
    assert isinstance(event.body, TransactionOrphaned)
    assert event.body.why == "no-number"


@pytest.mark.parametrize(
    ("start", "stop", "doubts"),
    [
        (1000, 900, {Flag.METER_IMPLAUSIBLE}),
        (-5, 900, {Flag.METER_IMPLAUSIBLE}),
        (0, 4_290_000_000, {Flag.METER_IMPLAUSIBLE}),
    ],
    ids=["backwards", "negative", "a lifetime register on a start of 0"],
)
def test_energy_that_can_not_be_is_none_and_flagged(start, stop, doubts):
    """B5.8, E15, E15b, E28: confirmed and recorded all the same."""
    one = charger()
    number = one.start(meter=start)
    (event,) = one.stop(number, stop, at(300))
    assert event.body.energy is None
    assert event.body.meter_stop == stop
    assert set(event.flags) == doubts


def test_a_long_charge_of_a_fast_charger_is_plausible():
    """The bound is on power, not on energy."""
    one = charger()
    number = one.start()
    (event,) = one.stop(number, 175_000, at(1800))
    assert event.body.energy == 175_000


def test_a_stop_before_its_start_is_flagged():
    """B5.8."""
    one = charger()
    number = one.start()
    (event,) = one.stop(number, 10, at(-120))
    assert Flag.STOP_BEFORE_START in event.flags
    assert isinstance(event.body, TransactionStopped)


@pytest.mark.parametrize("time", ["1970-01-01T00:01:00Z", "soon", ""])
def test_a_stop_without_a_usable_time_is_recorded(time):
    """B5.8, B2.2."""
    one = charger()
    number = one.start()
    (event,) = one.stop(number, 10, time or None, **({} if time else {"timestamp": ""}))
    assert event.body.energy == 10
    assert event.reported_at is None
    assert Flag.STOP_BEFORE_START not in event.flags


def test_a_member_of_the_group_may_stop():
    """B5.11, S §3.10: parent is compared to parent."""
    one = charger()
    one.books.add_tag("A", parent="GROUP")
    one.books.add_tag("B", parent="group")
    number = one.start("A")
    stop = {"transactionId": number, "meterStop": 1, "timestamp": at(60), "idTag": "B"}
    assert one.call("StopTransaction", **stop)["idTagInfo"]["status"] == "Accepted"
    assert has(one.events[-1])


@pytest.mark.parametrize(("parent_of_a", "stopped_by"), [(None, "B"), ("OTHERS", "B"), ("B", "B"), ("G", "unknown")])
def test_a_stop_by_an_unrelated_tag_is_flagged_and_recorded(parent_of_a, stopped_by):
    """B5.8, S §3.10: a parent is never compared to a tag."""
    one = charger()
    one.books.add_tag("A", parent=parent_of_a)
    one.books.add_tag("B", parent=None if parent_of_a == "B" else "GROUP")
    number = one.start("A")
    (event,) = one.stop(number, 1, idTag=stopped_by)
    assert has(event, Flag.ID_TAG_UNRELATED)


def test_transaction_data_is_kept_as_sent():
    """B5.9: hundreds of samples, signed data, whatever."""
    one = charger()
    number = one.start()
    values = [{"timestamp": at(i), "sampledValue": [{"value": "x" * 300, "format": "SignedData"}]} for i in range(300)]
    (event,) = one.stop(number, transactionData=values)
    assert event.body.meter_value == tuple(values)


@pytest.mark.parametrize(("data", "kept"), [([], ()), (None, ()), ({"a": 1}, ({"a": 1},)), ("x", ("x",))])
def test_transaction_data_of_any_shape_spoils_no_stop(data, kept):
    """A4.2."""
    one = charger()
    number = one.start()
    (event,) = one.stop(number, transactionData=data)
    assert event.body.meter_value == kept


def test_an_unknown_reason_is_kept_as_said():
    """A4.2."""
    one = charger()
    (event,) = one.stop(one.start(), reason="Bored")
    assert event.body.reason == "Bored"
    assert has(event, Flag.DEVIATES)


def test_a_stop_with_nothing_in_it_is_confirmed():
    """A4.2."""
    one = charger()
    assert one.call("StopTransaction") == {}
    assert isinstance(one.events[-1].body, TransactionOrphaned)


@pytest.mark.parametrize(
    ("meter_start", "meter_stop", "seconds", "doubted"),
    [(0, 7400, 0, True), (0, 7400, 10, True), (0, 7400, 3600, False), (0, 0, 0, False), (5, 6, 0, False)],
)
def test_a_start_that_came_with_its_stop_is_doubted_and_its_energy_kept(meter_start, meter_stop, seconds, doubted):
    """Quirk 69: from a register of 0, and within seconds."""
    one = charger()
    number = one.start(meter=meter_start)
    one.now += timedelta(seconds=seconds)
    (event,) = one.stop(number, meter_stop, at(seconds))
    assert event.body.energy == meter_stop - meter_start
    assert has(event, *([Flag.METER_IMPLAUSIBLE] if doubted else []))


@pytest.mark.parametrize("empty", ["", " ", "null"])
def test_an_empty_tag_in_a_stop_is_no_tag(empty):
    """No other tag stopped it: no doubt, no tag, and no idTagInfo (B5.2)."""
    one = charger()
    number = one.start(meter=1_660_000, time=at(-600))
    stop = {
        "transactionId": number,
        "meterStop": 1_669_871,
        "timestamp": at(),
        "idTag": empty,
        "reason": "PowerLoss",
    }
    assert one.call("StopTransaction", **stop) == {}
    event = one.events[-1]
    assert isinstance(event.body, TransactionStopped)
    assert (event.body.id_tag, event.body.id_tag_status, event.body.energy) == (None, None, 9871)
    assert has(event)


def test_an_empty_tag_in_a_stop_with_minus_one_excludes_no_transaction():
    """B5.4: as if there were none."""
    one = charger()
    one.start(meter=100)
    (event,) = one.stop(-1, 200, idTag="")
    assert isinstance(event.body, TransactionStopped)


def test_an_empty_tag_in_a_start_is_the_tag_of_its_transaction():
    """Quirk 73: kept as sent, and a stop without a tag, or with an empty one, is of no other tag."""
    one = charger()
    number = one.start("")
    assert one.events[-1].body.id_tag == ""
    (event,) = one.stop(number, idTag="")
    assert has(event)


def test_empty_parents_make_no_group():
    """B3.4: two tags without a parent are no relatives."""
    one = charger("A", "B")
    for tag in ("A", "B"):
        one.books.add_tag(tag, parent="")
    (event,) = one.stop(one.start("A"), idTag="B")
    assert has(event, Flag.ID_TAG_UNRELATED)


@pytest.mark.parametrize(("seconds", "flag"), [(-10 * 86_400, Flag.LATE), (10 * 86_400, Flag.CLOCK_SUSPECT), (0, None)])
def test_the_time_of_a_stop_that_belongs_to_nothing_is_judged_as_any(seconds, flag):
    """And kept as it was sent."""
    one = charger()
    one.call("StopTransaction", transactionId=999, meterStop=5, timestamp=at(seconds))
    (event,) = one.events
    assert isinstance(event.body, TransactionOrphaned)
    assert event.reported_raw == at(seconds)
    assert event.flags == (() if flag is None else (flag,))
    assert event.reported_at == (None if flag is Flag.CLOCK_SUSPECT else NOW + timedelta(seconds=seconds))

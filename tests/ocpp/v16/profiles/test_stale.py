"""Records that may outlive their transaction: what makes one stale, what that changes, and what ends it."""

from datetime import timedelta

import pytest

from gateway.domain.events import (
    NewEvent,
    TransactionClosed,
    TransactionLost,
    TransactionStaleChanged,
    TransactionStarted,
    TransactionStopped,
)
from gateway.domain.records import TransactionState
from gateway.domain.state import evolve
from gateway.domain.values import ConnectorAddress, Flag
from tests.ocpp.v16.profiles.charger import NOW, Books, at, charger

ONE = ConnectorAddress(1, 1)
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


def status(one, word, connector=1, **more):
    return one.new_events(
        "StatusNotification", **{"connectorId": connector, "status": word, "errorCode": "NoError"} | more
    )


def changes(events):
    return [(each.body.stale, each.body.why) for each in events if isinstance(each.body, TransactionStaleChanged)]


def readings(one, number=None, time=None, connector=1):
    values = [{"timestamp": time or at(), "sampledValue": [{"value": "1"}]}]
    payload = {"connectorId": connector, "meterValue": values} | ({} if number is None else {"transactionId": number})
    return one.new_events("MeterValues", **payload)


def tag_of(one, id_tag="TAG", **start):
    """The status that another start of the tag gets."""
    return one.call(
        "StartTransaction", **{"connectorId": 1, "idTag": id_tag, "meterStart": 0, "timestamp": at()} | start
    )["idTagInfo"]["status"]


# --- what occupies a tag --------------------------------------------------------------------------------------


def test_a_start_that_was_answered_concurrent_does_not_occupy_its_tag():
    """T starts at A, at B (ConcurrentTx, B never stops), A stops: T is free."""
    books = Books()
    a, b, c = (charger(books=books, identity=f"CP-{n}") for n in "ABC")
    number = a.start()
    assert tag_of(b) == "ConcurrentTx"
    a.stop(number)
    assert tag_of(c) == "Accepted"


@pytest.mark.parametrize("standing", ["Blocked", "Expired", "Invalid"])
def test_a_refused_start_does_not_occupy_its_tag(standing):
    """The tag is accepted later, and the charger has never stopped what was refused."""
    books = Books()
    one, other = charger(books=books), charger(books=books, identity="CP-2")
    books.add_tag("T2", standing)
    one.start("T2")
    books.add_tag("T2")
    assert tag_of(other, "T2") == "Accepted"


def test_a_stale_transaction_does_not_occupy_its_tag_and_one_that_goes_on_does():
    """Available, then Charging after all."""
    books = Books()
    one, other = charger(books=books), charger(books=books, identity="CP-2")
    one.start()
    status(one, "Available")
    status(one, "Charging")
    assert tag_of(other, timestamp=at(1)) == "ConcurrentTx"
    status(one, "Available")
    assert tag_of(other, timestamp=at(2)) == "Accepted"


# --- what makes one stale -------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["Available", "Reserved"])
@pytest.mark.parametrize("known", [None, "Charging", "Available"])
def test_a_free_connector_makes_its_transaction_stale_once(known, word):
    """B7.5: it stays open; also where the status is no news (a charger that never says Charging)."""
    one = charger()
    if known is not None:
        status(one, known)
    one.start()
    assert changes(status(one, word)) == [(True, "available")]
    (transaction,) = one.state.open_transactions.values()
    assert (transaction.state, transaction.stale_why) == (TransactionState.OPEN, "available")
    one.now += timedelta(minutes=1)
    assert status(one, word) == []
    assert one.state.open_transactions[transaction.transaction_id].stale_at == NOW


@pytest.mark.parametrize("word", ["Preparing", "Charging", "SuspendedEV", "Finishing", "Faulted", "Unavailable"])
def test_no_other_status_makes_one_stale(word):
    """Finishing comes before the stop (TC_032_1), a fault may go, and the transaction with it on."""
    one = charger()
    one.start()
    assert changes(status(one, word)) == []


@pytest.mark.parametrize("connector", [0, 2])
def test_another_connector_says_nothing_of_it(connector):
    """B7.6: neither another one nor the charge point as a whole."""
    one = charger()
    one.start()
    assert changes(status(one, "Available", connector)) == []


def test_a_transaction_of_connector_zero_is_made_stale_by_connector_zero():
    """B4.12: a start on a connector that can't be is as real as any, and as stale."""
    one = charger()
    one.start(connector=0)
    assert changes(status(one, "Available", 1)) == []
    assert changes(status(one, "Available", 0)) == [(True, "available")]


def test_a_transaction_whose_stop_named_another_number_is_made_stale_by_its_connector():
    """An orphan; it is not known which one it was meant for."""
    one = charger("OTHER")
    one.start()
    one.start("OTHER", 2)
    one.stop(4711)
    assert changes(status(one, "Available")) == [(True, "available")]


def test_available_from_before_the_start_says_nothing_of_it():
    """A replayed queue."""
    one = charger()
    one.start(time=at(-400))
    assert changes(status(one, "Available", timestamp=at(-500))) == []
    assert changes(status(one, "Available", timestamp=at(-350))) == [(True, "available")]


def test_another_unit_makes_all_stale():
    """Another serial number: it runs none of them; a Boot of the same unit changes nothing (B1.8)."""
    one = charger("OTHER")
    one.call("BootNotification", **BOOT, chargeBoxSerialNumber="A")
    one.start()
    one.start("OTHER", 2)
    one.reconnect()
    assert changes(one.new_events("BootNotification", **BOOT, chargeBoxSerialNumber="A")) == []
    assert (
        changes(one.new_events("BootNotification", **BOOT, chargeBoxSerialNumber="B")) == [(True, "another-unit")] * 2
    )
    assert len(one.state.open_transactions) == 2
    assert changes(status(one, "Charging")) == []


def test_a_charger_that_names_another_transaction_makes_the_later_one_stale():
    """Start a, start b on one connector, then a's number: a runs, b does not."""
    one = charger("OTHER")
    a, b = one.start(time=at(-240)), one.start("OTHER", time=at(-120))
    assert changes(readings(one, a, at(-130))) == []
    assert changes(readings(one, a, at(-100))) == [(True, "another-transaction")]
    assert changes(readings(one, a, at(-90))) == []
    assert changes(readings(one, b, at(-80))) == [(False, "readings")]
    stopped, changed = one.stop(a, time=at())
    assert isinstance(stopped.body, TransactionStopped)
    assert (changed.body.transaction_id, changed.body.why) == ("tx_CP-1_2", "another-transaction")
    assert [each.number for each in one.state.open_transactions.values()] == [b]


def test_a_late_stop_of_the_one_before_says_nothing_of_the_next():
    """Queued: it ended before the next one began; nor does an old number of a stopped one (quirk 35)."""
    one = charger("OTHER")
    a = one.start(time=at(-240))
    one.start("OTHER", time=at(-120))
    assert changes(one.stop(a, time=at(-121))) == []
    assert changes(readings(one, a, at(-10))) == []


def test_readings_on_another_connector_say_nothing_of_it():
    """Each connector has its own; the main meter has none."""
    one = charger("OTHER")
    a, b = one.start(), one.start("OTHER", 2)
    assert changes(readings(one, a, at(1))) == changes(readings(one, b, at(1), 2)) == []
    status(one, "Available")
    assert changes(readings(one, a, at(1), 0)) == []


def test_an_older_start_beside_a_later_one_is_stale_from_the_start():
    """Its stop is in the queue, or lost: the connector has another one by now."""
    one = charger("OTHER")
    one.start()
    started, changed = one.new_events(
        "StartTransaction", connectorId=1, idTag="OTHER", meterStart=0, timestamp=at(-9999)
    )
    assert isinstance(started.body, TransactionStarted)
    assert changed.body == TransactionStaleChanged(started.body.transaction_id, ONE, True, "later-start")


def test_a_queued_start_of_a_connector_that_is_free_by_now_is_stale_from_the_start():
    """Available was said first, then the queue. Its stop ends it, if it comes (TC_039); it may have come before."""
    one = charger()
    status(one, "Available", timestamp=at(-5))
    one.call("StopTransaction", transactionId=-1, meterStop=100, timestamp=at(-3600), idTag="TAG")
    number = one.start(time=at(-7200))
    assert changes(one.events) == [(True, "available")]
    assert tag_of(charger(books=one.books, identity="CP-2")) == "Accepted"
    (stopped,) = one.stop(number, time=at(-3600))
    assert isinstance(stopped.body, TransactionStopped)


@pytest.mark.parametrize("time", [at(-7200), at(-10)])
def test_a_start_of_a_connector_that_was_free_before_it_is_not_stale(time):
    """The status is older than the start, or the start is of the present."""
    one = charger()
    status(one, "Available", **({"timestamp": at(-8000)} if time == at(-7200) else {}))
    one.start(time=time)
    assert changes(one.events) == []


# --- what a stale one is --------------------------------------------------------------------------------------


def test_readings_without_a_number_do_not_go_to_a_stale_transaction():
    """Quirk 83: nor those with a number of no transaction; queued ones from before it became stale do."""
    one = charger()
    one.start(time=at(-900))
    status(one, "Available")
    for number in (None, -1, 0, 4711):
        event, *_ = readings(one, number, at(number or 1))
        assert event.body.transaction_id is None
    (event,) = readings(one, None, at(-600))
    assert event.body.transaction_id == "tx_CP-1_1"
    assert Flag.TRANSACTION_INFERRED in event.flags


def test_readings_without_a_time_do_not_go_to_a_stale_transaction():
    """They are of the present."""
    one = charger()
    one.start()
    status(one, "Available")
    (event,) = readings(one, None, "never")
    assert event.body.transaction_id is None


def test_its_own_number_shows_that_it_goes_on():
    """The number that a charger names decides; what was said before it became stale does not."""
    one = charger()
    number = one.start(time=at(-900))
    status(one, "Available")
    assert changes(readings(one, number, at(-600))) == []
    event, changed = readings(one, number, at(1))
    assert event.body.transaction_id == "tx_CP-1_1"
    assert (changed.body.stale, changed.body.why) == (False, "readings")
    (transaction,) = one.state.open_transactions.values()
    assert (transaction.stale_at, transaction.stale_why) == (None, "")


@pytest.mark.parametrize("word", ["Charging", "SuspendedEV", "SuspendedEVSE"])
def test_charging_shows_that_it_goes_on(word):
    """A connector that flaps; a word from before says nothing."""
    one = charger()
    one.start(time=at(-900))
    status(one, "Available")
    one.now = NOW + timedelta(minutes=10)
    assert changes(status(one, word, timestamp=at(-60))) == []
    assert changes(status(one, "Charging" if word != "Charging" else "SuspendedEV")) == [(False, "charging")]


def test_its_stop_ends_it_with_its_energy():
    """B5.1: as any other; also one without a number (SE 3.18)."""
    for named in (True, False):
        one = charger()
        number = one.start(meter=1000)
        status(one, "Available")
        (event,) = one.stop(number if named else -1, 3000)
        assert (event.body.transaction_id, event.body.energy) == ("tx_CP-1_1", 2000)
        assert one.state.open_transactions == {}


def test_the_next_start_on_its_connector_ends_it():
    """B4.9: as any other."""
    one = charger("OTHER")
    one.start()
    status(one, "Available")
    lost, _ = one.new_events("StartTransaction", connectorId=1, idTag="OTHER", meterStart=0, timestamp=at(1))
    assert lost.body == TransactionLost("tx_CP-1_1", ONE)


# --- closed by an operator ------------------------------------------------------------------------------------


def close(one, transaction_id="tx_CP-1_1"):
    event = NewEvent(TransactionClosed(transaction_id, ONE, "the charger was replaced"), one.now)
    one.books.record(one.identity, event)
    evolve(one.state, event, 0)


def test_a_stop_that_comes_after_an_operator_closed_it_still_counts():
    """With its energy; its readings are its own, and its tag is free."""
    one = charger()
    number = one.start(meter=1000)
    close(one)
    assert one.state.open_transactions == {}
    assert tag_of(charger(books=one.books, identity="CP-2")) == "Accepted"
    (event,) = readings(one, number, at(1))
    assert event.body.transaction_id == "tx_CP-1_1"
    (event,) = one.stop(number, 3000)
    assert isinstance(event.body, TransactionStopped)
    assert event.body.energy == 2000
    assert one.books.by_number(number).state is TransactionState.STOPPED
    assert one.stop(number, 3000) == []


def test_a_start_that_is_repeated_after_an_operator_closed_it_is_the_same_one():
    """B4.6: no second record of it."""
    one = charger()
    number = one.start()
    close(one)
    assert one.start() == number
    assert one.state.open_transactions == {}

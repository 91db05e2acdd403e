"""Messages that come once more because their answer was lost, and clocks under which equal messages are two."""

from datetime import timedelta

import pytest

from gateway.domain.events import SecurityEventReported, TransactionLost, TransactionOrphaned, TransactionStopped
from gateway.domain.repeats import KEY_BYTES, MAX_READINGS
from gateway.domain.state import MAX_HEARD
from gateway.domain.values import Flag
from tests.ocpp.v16.profiles.charger import NOW, Books, at, charger

BUILD_DATE = "2018-01-01T00:00:12Z"
READINGS = {"connectorId": 1, "meterValue": [{"timestamp": at(10), "sampledValue": [{"value": "1200"}]}]}
STOP = {"transactionId": 4711, "meterStop": 100, "timestamp": at(60)}
SECURITY_EVENT = {"type": "A", "timestamp": at(10), "techInfo": "B"}


def readings(connector=1, time=None, value="1200", **more):
    values = [{"timestamp": time or at(10), "sampledValue": [{"value": value}]}]
    return {"connectorId": connector, "meterValue": values, **more}


# --- answers that were lost -----------------------------------------------------------------------------------


@pytest.mark.parametrize("again", ["reconnect", "boot"])
def test_meter_values_are_recorded_once_whatever_lies_between(again):
    """B6.8: other messages, connections, a reboot."""
    one = charger()
    one.call("MeterValues", **READINGS)
    for number in range(40):
        one.reconnect()
        one.call("FirmwareStatusNotification", status="Idle")
        one.call("StatusNotification", connectorId=1, status="Available", errorCode="NoError", info=str(number))
    getattr(one, again)()
    assert one.new_events("MeterValues", **READINGS) == []


def test_messages_that_were_under_way_together_are_each_recorded_once():
    """Quirk 41: the link breaks before any of several is answered, and all of them come again."""
    one = charger()
    sent = [readings(connector) for connector in range(MAX_READINGS)]
    for message in sent:
        assert len(one.new_events("MeterValues", **message)) == 1
    one.reconnect()
    assert [one.new_events("MeterValues", **message) for message in sent] == [[]] * MAX_READINGS
    assert len(one.state.memory.readings) == MAX_READINGS * KEY_BYTES


def test_meter_values_that_differ_in_anything_are_others():
    """Connector, number, time, value."""
    one = charger()
    one.call("MeterValues", **READINGS)
    for other in (readings(2), readings(time=at(11)), readings(value="1201"), readings(transactionId=9)):
        events = one.new_events("MeterValues", **other)
        assert [each.body.TYPE for each in events].count("meter_values.reported") == 1


@pytest.mark.parametrize("number", [4711, 0, -1])
def test_a_stop_of_no_transaction_is_an_orphan_once(number):
    """B5.6 for what B5.5 keeps: the same answer, and no second orphan."""
    one = charger()
    stop = STOP | {"transactionId": number, "idTag": "TAG"}
    first = one.call("StopTransaction", **stop)
    one.reconnect()
    for number in range(20):
        one.call("MeterValues", **readings(time=at(number)))
    assert one.call("StopTransaction", **stop) == first
    assert sum(isinstance(each.body, TransactionOrphaned) for each in one.events) == 1


def test_a_stop_with_minus_one_that_comes_again_ends_no_other_transaction():
    """SE 3.18: the transaction that it was attached to is over, and the next one fits as well."""
    one = charger()
    one.start(time=at(-60))
    stop = {"transactionId": -1, "meterStop": 100, "timestamp": at(60), "idTag": "TAG"}
    first = one.call("StopTransaction", **stop)
    one.start(time=at(-30))
    one.reconnect()
    assert one.call("StopTransaction", **stop) == first
    assert len(one.state.open_transactions) == 1
    assert [type(each.body) for each in one.events].count(TransactionStopped) == 1


def test_anothers_stop_and_another_stop_are_orphans_once_each():
    """B5.7, quirk 47."""
    books = Books()
    one, other = charger(books=books), charger(books=books, identity="CP-2")
    number = one.start()
    for _ in range(2):
        other.call("StopTransaction", **STOP | {"transactionId": number})
    one.stop(number)
    for _ in range(2):
        one.call("StopTransaction", **STOP | {"transactionId": number, "meterStop": 200})
    assert [each.body.why for each in (*other.events, *one.events) if isinstance(each.body, TransactionOrphaned)] == [
        "other-charge-point",
        "already-stopped",
    ]


def test_orphans_without_a_time_are_as_many_as_were_sent():
    """Nothing says that they are one."""
    one = charger()
    for _ in range(2):
        one.call("StopTransaction", transactionId=4711, meterStop=100, timestamp="")
    assert len(one.events) == 2


def test_a_security_event_that_comes_again_is_recorded_once():
    """By the same message, or on the next connection."""
    one = charger()
    event = {"type": "TamperDetectionActivated", "timestamp": at(-3600)}
    one.call("SecurityEventNotification", "m1", **event)
    one.call("SecurityEventNotification", "m1", **event)
    one.boot()
    one.call("SecurityEventNotification", "m9", **event)
    assert [type(each.body) for each in one.events].count(SecurityEventReported) == 1


def test_two_security_events_of_one_second_are_two():
    """B11.4: a burst; both of them come again, and are no more."""
    one = charger()
    event = {"type": "FailedToAuthenticateAtCentralSystem", "timestamp": at()}
    for message in ("m1", "m2"):
        assert len(one.new_events("SecurityEventNotification", message, **event)) == 1
    one.reconnect()
    for message in ("m1", "m2"):
        assert one.new_events("SecurityEventNotification", message, **event) == []


def test_the_ids_of_one_connections_messages_are_bounded():
    """A charger sends as many as it likes."""
    one = charger()
    for number in range(MAX_HEARD + 5):
        one.call("SecurityEventNotification", type="A", timestamp=at(number))
    assert len(one.state.heard) == MAX_HEARD


@pytest.mark.parametrize("timestamp", ["", "   "])
def test_two_security_events_without_a_time_are_two(timestamp):
    """Nothing distinguishes a repeat from another one, on whichever connection they come."""
    one = charger()
    for _ in range(2):
        assert len(one.new_events("SecurityEventNotification", type="A", timestamp=timestamp)) == 1
        one.reconnect()


@pytest.mark.parametrize(
    ("action", "message", "key"),
    [
        ("MeterValues", READINGS, "017f157a723af9d08a6df37ac9a31e70"),
        ("MeterValues", readings(time="1970-01-01T00:00:12Z", transactionId=7), "003bbf9085cbd98c2886cd99200f50a7"),
        ("StopTransaction", STOP | {"idTag": "TAG"}, "01c2b5cd91118ec05397ce4729352287"),
        (
            "SecurityEventNotification",
            {"type": "A", "timestamp": at(10), "techInfo": "B"},
            "01ec7472fab9193d1f5642784725f2d7",
        ),
    ],
    ids=["values", "values of a clock that was never set", "stop", "security event"],
)
def test_the_key_of_a_message_is_the_same_for_ever(action, message, key):
    """It is stored: a gateway of a later version still knows what one of today has recorded."""
    events = charger().new_events(action, **message)
    assert key in [each.repeat_key.hex() for each in events]


# --- clocks that begin anew -----------------------------------------------------------------------------------


@pytest.mark.parametrize("first_time", [BUILD_DATE, "2099-01-01T00:00:12Z"])
def test_a_session_after_a_boot_is_another_one_though_clock_and_register_begin_anew(first_time):
    """Two sessions are two numbers, and two energies."""
    one = charger()
    one.boot()
    first = one.start(time=first_time)
    (stopped,) = one.stop(first, 7000, time=first_time.replace("00:00:12", "00:40:00"))
    one.now = NOW + timedelta(hours=1)
    one.boot()
    second = one.start(time=first_time)
    assert second != first
    (again,) = one.stop(second, 5000, time=first_time.replace("00:00:12", "00:30:00"))
    assert (stopped.body.energy, again.body.energy) == (7000, 5000)
    assert stopped.body.transaction_id != again.body.transaction_id


def test_a_start_at_a_build_date_that_comes_again_is_the_same_one():
    """Its answer was lost: on the next connection, after a reboot too, it is open still."""
    one = charger()
    one.boot()
    number = one.start(time=BUILD_DATE)
    one.reconnect()
    assert one.start(time=BUILD_DATE) == number
    one.boot()
    assert one.start(time=BUILD_DATE) == number


@pytest.mark.parametrize("again", ["reconnect", "boot"])
def test_a_start_whose_clock_is_right_is_met_again_after_its_stop(again):
    """B4.6: queued for hours, or sent again after a reboot."""
    one = charger()
    number = one.start(time=at(-7200))
    one.stop(number, time=at(-3600))
    getattr(one, again)()
    assert one.start(time=at(-7200)) == number


def seen_to_run_backwards():
    """A charger whose clock begins anew an hour ago with each Boot."""
    one = charger()
    one.start(time=at(-3600), meter=1)
    one.stop(1, 100, time=at(-600))
    one.now = NOW + timedelta(hours=1)
    one.boot()
    assert not one.state.memory.ran_back
    one.start(time=at(-3500), meter=1)
    assert one.state.memory.ran_back
    return one


def test_a_clock_that_was_seen_to_run_backwards_identifies_no_finished_start():
    """After a Boot it said less than before; also on later connections."""
    one = seen_to_run_backwards()
    first = one.start("OTHER", connector=2, time=at(-3000))
    one.stop(first, time=at(-2000))
    one.reconnect()
    assert one.start("OTHER", connector=2, time=at(-3000)) != first


def test_a_start_by_a_clock_that_runs_backwards_shows_that_a_stop_was_lost():
    """B4.9: what is open there began earlier, whatever the clock says."""
    one = seen_to_run_backwards()
    (left,) = one.state.open_transactions
    one.boot()
    (lost, started) = one.new_events("StartTransaction", connectorId=1, idTag="TAG", meterStart=5, timestamp=at(-3599))
    assert lost.body == TransactionLost(left, started.body.connector)


def test_equal_messages_by_a_clock_that_runs_backwards_are_two():
    """The memory of what was said ends with each Boot: readings and stops of the new life are new."""
    one = seen_to_run_backwards()
    sent = readings(connector=2, time=at(-3400))
    stop = STOP | {"timestamp": at(-3300)}
    one.call("MeterValues", **sent)
    one.call("StopTransaction", **stop)
    one.reconnect()
    assert one.new_events("MeterValues", **sent) == one.new_events("StopTransaction", **stop) == []
    one.boot()
    assert len(one.new_events("MeterValues", **sent)) == len(one.new_events("StopTransaction", **stop)) == 1


def test_equal_messages_by_a_clock_that_was_never_set_are_two_after_a_boot():
    """1970: the readings of the first minute after each power-up look alike."""
    one = charger()
    sent = readings(time="1970-01-01T00:00:10Z", value="0")
    one.call("MeterValues", **sent)
    one.reconnect()
    assert one.new_events("MeterValues", **sent) == []
    one.boot()
    assert len(one.new_events("MeterValues", **sent)) == 1


def test_what_was_queued_before_a_reboot_is_no_clock_that_runs_backwards():
    """In order, and later than what was said before; a status names the beginning of its condition."""
    one = charger()
    one.start(time=at(-3600))
    one.call("MeterValues", **readings(time=at(-1800), transactionId=1))
    one.boot()
    one.call("StatusNotification", connectorId=2, status="Faulted", errorCode="OtherError", timestamp=at(-9000))
    one.call("MeterValues", **readings(time=at(-1500), transactionId=1))
    one.stop(1, time=at(-1200))
    assert not one.state.memory.ran_back


def test_a_clock_that_was_set_back_by_a_little_runs_well():
    """Heartbeats set it; it strays by minutes."""
    one = charger()
    one.call("MeterValues", **readings(time=at(200)))
    one.boot()
    one.call("MeterValues", **readings(time=at(-60)))
    assert not one.state.memory.ran_back


def test_a_time_of_a_build_date_is_kept_and_flagged():
    """Nothing of what was sent is lost."""
    one = charger()
    one.start(time=BUILD_DATE)
    assert one.events[-1].reported_raw == BUILD_DATE
    assert Flag.LATE in one.events[-1].flags

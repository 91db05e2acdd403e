"""Boot, heartbeat, status, authorization, vendors' data."""

from datetime import datetime, timedelta

import pytest
from attrs import evolve

from gateway.domain.events import (
    ChargePointBooted,
    ConnectorStatusChanged,
    IdTagPresented,
    ReservationEnded,
    TransactionStaleChanged,
    VendorDataReceived,
)
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Flag, Registration
from gateway.domain.vendor_data import VendorAnswer, VendorDataStatus
from gateway.ocpp.v16.profiles.core import MAX_CONNECTORS
from tests.ocpp.v16.profiles.charger import HEARTBEAT, NOW, RETRY, Books, Charger, at, charger, has

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


# --- BootNotification -----------------------------------------------------------------------------------------


def test_an_accepted_charger_gets_the_time_and_the_heartbeat_interval():
    """B1.1, B2.1: an integer, and a time with Z."""
    assert charger().call("BootNotification", **BOOT) == {
        "status": "Accepted",
        "currentTime": "2024-05-01T10:00:00Z",
        "interval": HEARTBEAT,
    }


@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
def test_a_charger_that_is_not_accepted_gets_the_interval_to_boot_again(registration):
    """B1.2: a positive interval."""
    reply = charger(registration=registration).call("BootNotification", **BOOT)
    assert (reply["status"], reply["interval"]) == (registration.value, RETRY)


def test_a_boot_is_recorded_with_what_it_was_answered():
    """Empty, missing and the word null are one (B1.9, quirk 13)."""
    one = charger()
    event = one.new_event("BootNotification", "m7", **BOOT, iccid="", imsi="null", firmwareVersion="1.0")
    assert isinstance(event.body, ChargePointBooted)
    assert (event.body.registration, event.body.interval) == (Registration.ACCEPTED, HEARTBEAT)
    assert (event.body.boot.iccid, event.body.boot.imsi, event.body.boot.firmware_version) == (None, None, "1.0")
    assert event.cause == "message:m7"
    assert event.received_at == NOW


def test_a_repeated_boot_is_answered_and_not_recorded_again():
    """B1.8, quirk 43: every ten seconds, with the same id or a new one."""
    one = charger()
    one.call("BootNotification", "1000001", **BOOT)
    for message_id in ("1000001", "1000002"):
        assert one.call("BootNotification", message_id, **BOOT)["status"] == "Accepted"
    assert len(one.events) == 1


def test_a_boot_on_a_new_connection_is_recorded():
    """It is another one."""
    one = charger()
    one.call("BootNotification", **BOOT)
    one.reconnect()
    assert len(one.new_events("BootNotification", **BOOT)) == 1


def test_a_boot_that_is_answered_otherwise_than_before_is_recorded():
    """Pending, then accepted by the operator, on one connection."""
    one = charger(registration=Registration.PENDING)
    one.state.ever_accepted = False
    one.call("BootNotification", **BOOT)
    assert not one.state.accepted
    one.update(Registration.ACCEPTED)
    (event,) = one.new_events("BootNotification", **BOOT)
    assert event.body.registration is Registration.ACCEPTED
    assert one.state.accepted


@pytest.mark.parametrize("field", ["chargePointSerialNumber", "chargeBoxSerialNumber"])
def test_another_serial_number_is_flagged_and_not_fatal(field):
    """B1.9."""
    one = charger()
    assert has(one.new_event("BootNotification", **BOOT, **{field: "A"}))
    assert has(one.new_event("BootNotification", **BOOT))
    one.new_event("BootNotification", **BOOT, **{field: "B"})
    event = one.new_event("BootNotification", **BOOT, **{field: "C"})
    assert has(event, Flag.SERIAL_CHANGED)


def test_another_meter_is_flagged_apart_from_another_unit():
    """E17: its number counts, where both boots name one; the unit is the same, and nothing of it is stale."""
    one = charger()
    assert has(one.new_event("BootNotification", **BOOT, meterSerialNumber="A"))
    assert has(one.new_event("BootNotification", **BOOT))
    one.new_event("BootNotification", **BOOT, meterSerialNumber="A")
    assert has(one.new_event("BootNotification", **BOOT, meterSerialNumber="B"), Flag.METER_CHANGED)
    both = one.new_event("BootNotification", **BOOT, meterSerialNumber="C", chargePointSerialNumber="X")
    assert has(both, Flag.METER_CHANGED)
    both = one.new_event("BootNotification", **BOOT, meterSerialNumber="D", chargePointSerialNumber="Y")
    assert has(both, Flag.SERIAL_CHANGED, Flag.METER_CHANGED)


LONG_AND_ANOTHER = (Flag.DEVIATES, Flag.SERIAL_CHANGED)


@pytest.mark.parametrize("field", ["chargePointSerialNumber", "chargeBoxSerialNumber"])
def test_a_swapped_unit_is_noticed_by_the_end_of_a_long_serial_number(field):
    """Two units of one series differ behind the 25 characters of the schema."""
    one = charger()
    one.new_event("BootNotification", **BOOT, **{field: "3N123456789F2S1B1234567890-1"})
    assert has(one.new_event("BootNotification", **BOOT, **{field: "3N123456789F2S1B1234567890-2"}), *LONG_AND_ANOTHER)


@pytest.mark.parametrize("field", ["chargePointSerialNumber", "chargeBoxSerialNumber"])
def test_a_serial_number_that_was_recorded_cut_is_the_same(field):
    """Recorded by a version that cut it to the schema; the unit has not been swapped."""
    serial = "3N123456789F2S1B1234567890"
    one = charger()
    one.new_event("BootNotification", **BOOT, **{field: serial[:25]})
    assert has(one.new_event("BootNotification", **BOOT, **{field: serial}), Flag.DEVIATES)
    assert has(one.new_event("BootNotification", **BOOT, **{field: "X" + serial}), *LONG_AND_ANOTHER)


def test_a_boot_ends_no_transaction_and_clears_no_status():
    """B1.8: the StopTransaction may follow; B7.6: Unavailable stays."""
    one = charger()
    one.start()
    one.call("StatusNotification", connectorId=2, status="Unavailable", errorCode="NoError")
    one.call("BootNotification", **BOOT)
    assert len(one.state.open_transactions) == 1
    assert one.state.connectors[ConnectorAddress(2, 1)].status == "Unavailable"


# --- Heartbeat ------------------------------------------------------------------------------------------------


def test_a_heartbeat_gets_the_time_and_leaves_no_event():
    """No events, no commit."""
    one = charger()
    one.now = NOW + timedelta(microseconds=999_999)
    assert one.call("Heartbeat") == {"currentTime": "2024-05-01T10:00:00Z"}
    assert one.events == []


# --- Authorize ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["Accepted", "Invalid", "Expired", "Blocked"])
def test_a_tag_gets_its_own_standing(status):
    """B3.2: exactly the right one."""
    one = charger()
    one.books.add_tag("T2", status)
    assert one.call("Authorize", idTag="t2") == {"idTagInfo": {"status": status}}
    assert one.events[-1].body == IdTagPresented("t2", status)


def test_expiry_and_parent_are_answered_where_there_are_any():
    """B3.1, B3.4."""
    one = charger()
    one.books.add_tag("T2", parent="GROUP", expiry_date=NOW + timedelta(days=1))
    assert one.call("Authorize", idTag="T2")["idTagInfo"] == {
        "status": "Accepted",
        "expiryDate": "2024-05-02T10:00:00Z",
        "parentIdTag": "GROUP",
    }


class NobodyKnows(Books):
    """Books that have no answer about a tag."""

    def fetch(self, charge_point, query):
        return evolve(super().fetch(charge_point, query), authorization=None)


def test_a_tag_about_which_there_is_no_answer_is_invalid():
    """Wherever one is asked about, and by the word of the specification: a charger lets no vehicle charge by it."""
    one = Charger(books=NobodyKnows())
    one.books.add_tag("TAG")
    assert one.call("Authorize", idTag="TAG") == {"idTagInfo": {"status": "Invalid"}}
    start = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": at()}
    reply = one.call("StartTransaction", **start)
    assert reply["idTagInfo"] == {"status": "Invalid"}
    stop = {"transactionId": reply["transactionId"], "idTag": "TAG", "meterStop": 10, "timestamp": at(60)}
    assert one.call("StopTransaction", **stop) == {"idTagInfo": {"status": "Invalid"}}


def test_a_tag_that_is_charging_may_be_authorized():
    """B3.3: never ConcurrentTx, or its holder could not stop."""
    one = charger()
    one.start()
    assert one.call("Authorize", idTag="TAG")["idTagInfo"]["status"] == "Accepted"


# --- StatusNotification ---------------------------------------------------------------------------------------


def status(one, value, connector=1, **more):
    return one.new_events(
        "StatusNotification", **{"connectorId": connector, "status": value, "errorCode": "NoError"} | more
    )


def test_a_status_is_recorded_with_the_one_before():
    """Any jump is taken (B7.1)."""
    one = charger()
    status(one, "Available")
    (event,) = status(one, "Faulted", errorCode="GroundFailure", info="wet", vendorId="V", vendorErrorCode="E1")
    assert event.body == ConnectorStatusChanged(
        ConnectorAddress(1, 1), "Faulted", "GroundFailure", "Available", "wet", "V", "E1"
    )


def test_an_unchanged_status_is_confirmed_and_not_recorded():
    """B7.4: a storm of them writes nothing."""
    one = charger()
    status(one, "Available")
    assert status(one, "Available", timestamp=at(1)) == []
    assert len(status(one, "Available", info="changed")) == 1


@pytest.mark.parametrize("seconds", [-86_400, -601, -600, -599, -60])
@pytest.mark.parametrize("before", [-600, -60, None])
def test_what_is_said_last_is_the_status_whatever_its_time(before, seconds):
    """B7.3: the time of a fault that has gone is later than that of the charging which goes on."""
    one = charger()
    status(one, "Faulted", errorCode="GroundFailure", **({} if before is None else {"timestamp": at(before)}))
    (event,) = status(one, "Charging", timestamp=at(seconds))
    assert has(event, *([Flag.LATE] if seconds < -300 else []))
    assert (event.body.status, event.body.previous_status) == ("Charging", "Faulted")
    known = one.state.connectors[ConnectorAddress(1, 1)]
    assert (known.status, known.error_code) == ("Charging", "NoError")
    assert known.reported_at == NOW + timedelta(seconds=seconds)


def test_a_replayed_queue_ends_with_the_present_status():
    """Queues that are replayed: each change is an event, what comes twice in a row is none, and the last one holds."""
    one = charger()
    status(one, "Available", timestamp=at(-30))
    words = ["Available", "Preparing", "Charging", "Charging", "Finishing", "Available"]
    found = [status(one, word, timestamp=at(-9000 + 60 * n)) for n, word in enumerate(words)]
    assert [len(each) for each in found] == [0, 1, 1, 0, 1, 1]
    assert one.state.connectors[ConnectorAddress(1, 1)].status == "Available"


@pytest.mark.parametrize("connector", [0, 2])
def test_an_older_status_of_any_connector_counts(connector):
    """The charge point as a whole, too, and what differs in its error or vendor's information only."""
    one = charger()
    status(one, "Unavailable", connector=connector, timestamp=at(-10))
    for more in ({"errorCode": "HighTemperature"}, {"info": "fan"}, {"vendorErrorCode": "7"}):
        (event,) = status(one, "Unavailable", connector=connector, timestamp=at(-700), **more)
        assert Flag.LATE in event.flags


def test_a_charger_whose_clock_lags_a_little_is_heard():
    """The known time may be one of receipt; the order of arrival says more than half a minute."""
    one = charger()
    status(one, "Preparing")
    assert len(status(one, "Charging", timestamp=at(-30))) == 1


def test_a_status_without_a_time_counts_from_its_receipt():
    """B7.3."""
    one = charger()
    (event,) = status(one, "Available")
    assert (event.reported_at, event.reported_raw) == (None, None)
    assert one.state.connectors[ConnectorAddress(1, 1)].reported_at == NOW


def test_a_time_from_before_the_clock_was_set_is_kept_and_not_believed():
    """Quirk 19."""
    one = charger()
    (event,) = status(one, "Available", timestamp="1970-01-01T00:00:05Z")
    assert has(event, Flag.CLOCK_SUSPECT)
    assert (event.reported_at, event.reported_raw) == (None, "1970-01-01T00:00:05Z")
    assert one.state.connectors[ConnectorAddress(1, 1)].reported_at == NOW


@pytest.mark.parametrize(
    ("value", "error", "doubt"), [("Charging", "WeakSignal", True), ("Faulted", "WeakSignal", False)]
)
def test_an_error_beside_a_working_status_is_flagged(value, error, doubt):
    """B7.2: a warning."""
    (event,) = status(charger(), value, errorCode=error)
    assert has(event, *([Flag.STATUS_ERROR_MISMATCH] if doubt else []))


def test_available_while_a_transaction_is_open_is_flagged_and_ends_nothing():
    """B7.5, quirk 79."""
    one = charger()
    one.start()
    event, stale = status(one, "Available")
    assert has(event, Flag.TRANSACTION_OPEN)
    assert stale.body == TransactionStaleChanged("tx_CP-1_1", ConnectorAddress(1, 1), True, "available")
    assert len(one.state.open_transactions) == 1


def test_available_of_before_the_transaction_is_no_doubt_about_it():
    """Replayed from a queue."""
    one = charger()
    one.start(time=at(-500))
    (event,) = status(one, "Available", timestamp=at(-600))
    assert has(event, Flag.LATE)
    status(one, "Charging")
    event, _ = status(one, "Available", timestamp=at(-400))
    assert has(event, Flag.LATE, Flag.TRANSACTION_OPEN)


def test_connector_zero_is_the_charge_point_and_no_other_connector():
    """B7.6: it does not fan out."""
    one = charger()
    status(one, "Charging")
    (event,) = status(one, "Unavailable", connector=0)
    assert event.body.connector == WHOLE_CHARGE_POINT
    assert one.state.connectors[ConnectorAddress(1, 1)].status == "Charging"


@pytest.mark.parametrize("word", ["Faulted", "Unavailable"])
def test_a_connector_out_of_service_loses_its_reservation(word):
    """B9.10: after the status, and no other connector's."""
    one = charger()
    one.reserve(7)
    one.reserve(8, connector=2)
    changed, ended = status(one, word)
    assert ended.body == ReservationEnded(7, ConnectorAddress(1, 1), "connector-unavailable")
    assert ended.cause == changed.cause
    assert list(one.state.reservations) == [8]


@pytest.mark.parametrize("word", ["Faulted", "Unavailable"])
def test_a_charge_point_out_of_service_loses_all_reservations(word):
    """B9.10: connector 0 is all of it."""
    one = charger()
    for number, connector in enumerate((0, 1, 2)):
        one.reserve(number, connector)
    _, *ended = status(one, word, connector=0)
    assert [event.body.reservation_id for event in ended] == [0, 1, 2]
    assert one.state.reservations == {}


def test_a_repeated_fault_ends_a_reservation_too():
    """Reserved while our word for the connector was an old one: no event of a status, but it can't be kept."""
    one = charger()
    status(one, "Faulted")
    one.reserve(7)
    (event,) = status(one, "Faulted")
    assert event.body == ReservationEnded(7, ConnectorAddress(1, 1), "connector-unavailable")


def test_a_status_of_before_the_reservation_ends_none():
    """Queued while offline; nor does any other word."""
    one = charger()
    one.reserve(7, made=-60)
    assert len(status(one, "Faulted", timestamp=at(-3_600))) == 1
    for word in ("Available", "Reserved", "Preparing", "Charging", "Finishing"):
        assert len(status(one, word)) == 1
    assert list(one.state.reservations) == [7]


def test_available_after_reserved_ends_the_reservation():
    """S §5.13: with the status, in its commit."""
    one = charger()
    one.reserve(7)
    assert len(status(one, "Reserved")) == 1
    one.reconnect()
    changed, ended = status(one, "Available")
    assert ended.body == ReservationEnded(7, ConnectorAddress(1, 1), "gone")
    assert ended.cause == changed.cause


def test_another_unit_under_the_identity_holds_no_reservation():
    """By its serial number; a Boot of the same one ends none."""
    one = charger()
    one.call("BootNotification", **BOOT, chargePointSerialNumber="A")
    one.reserve(7)
    one.reconnect()
    assert len(one.new_events("BootNotification", **BOOT, chargePointSerialNumber="A")) == 1
    assert list(one.state.reservations) == [7]
    booted, ended = one.new_events("BootNotification", **BOOT, chargePointSerialNumber="B")
    assert has(booted, Flag.SERIAL_CHANGED)
    assert ended.body == ReservationEnded(7, ConnectorAddress(1, 1), "gone")


def test_connector_zero_can_not_be_charging():
    """S §4.9: recorded and flagged."""
    (event,) = status(charger(), "Charging", connector=0)
    assert has(event, Flag.UNKNOWN_CONNECTOR)


def test_a_connector_above_what_the_charger_has_is_flagged():
    """As far as it has reported its connectors."""
    one = charger()
    one.state.configuration["NumberOfConnectors"] = "2"
    assert has(status(one, "Available", connector=2)[0])
    assert has(status(one, "Available", connector=3)[0], Flag.UNKNOWN_CONNECTOR)


def test_the_text_null_is_no_text():
    """Quirk 13."""
    (event,) = status(charger(), "Available", info="null", vendorId="", vendorErrorCode=" ")
    assert (event.body.info, event.body.vendor_id, event.body.vendor_error_code) == (None, None, None)


def test_an_error_code_of_its_own_is_kept_as_said():
    """Quirk 27."""
    (event,) = status(charger(), "Faulted", errorCode="Error")
    assert event.body.error_code == "Error"
    assert has(event, Flag.DEVIATES)


def test_a_charger_can_not_fill_the_memory_with_connectors():
    """Beyond the bound it is confirmed and not recorded."""
    one = charger()
    for connector in range(1, MAX_CONNECTORS + 1):
        assert len(status(one, "Available", connector=connector)) == 1
    assert status(one, "Available", connector=MAX_CONNECTORS + 1) == []
    assert len(status(one, "Charging", connector=1)) == 1
    assert len(one.state.connectors) == MAX_CONNECTORS


# --- DataTransfer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, "", "text", '{"a":1}', {"a": [1]}, 5])
def test_vendors_data_is_kept_and_answered_by_an_unknown_vendor(data):
    """X12, B8.1: no data in the answer, whatever came."""
    one = charger()
    sent = {} if data is None else {"data": data}
    assert one.call("DataTransfer", vendorId="V", messageId="M", **sent) == {"status": "UnknownVendorId"}
    body = one.events[-1].body
    assert isinstance(body, VendorDataReceived)
    assert (body.vendor_id, body.message_id, body.status) == ("V", "M", "UnknownVendorId")
    assert str(body.data) == str(data)


@pytest.mark.parametrize("status", list(VendorDataStatus))
@pytest.mark.parametrize("data", [None, "", "thanks"])
def test_vendors_data_is_answered_as_its_service_says(status, data):
    """S §4.3: any status, with text or without; an empty text is one."""
    one = charger()
    one.books.vendor_answer = VendorAnswer(status, data)
    reply = one.call("DataTransfer", vendorId="V", messageId="M", data="text")
    assert reply == {"status": status.value} | ({} if data is None else {"data": data})
    assert one.events[-1].body == VendorDataReceived("V", status.value, "M", "text")


def test_every_event_of_a_status_names_the_moment_it_was_received():
    """Whatever its own time says."""
    one = charger()
    (event,) = status(one, "Available", timestamp=at(-10))
    assert isinstance(event.reported_at, datetime)
    assert event.received_at == NOW


STATUSES = (
    *("Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE"),
    *("Finishing", "Reserved", "Unavailable", "Faulted"),
)


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_any_status_may_follow_any_other(before, after):
    """B7.1: the table of transitions binds no one here; MinimumStatusDuration hides what came between."""
    one = charger()
    for status in (before, after):
        assert one.call("StatusNotification", connectorId=1, errorCode="NoError", status=status) == {}
    assert one.state.connectors[ConnectorAddress(1, 1)].status == after

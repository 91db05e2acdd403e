"""Requests of the central system that a charger refuses: each by its field, with the code of OCPP-J."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.simulator.connector import NO_ERROR, Reservation
from gateway.simulator.idtags import TagInfo
from gateway.simulator.operations import OperationFault, Operations, RemoteStart, Request, Trigger
from gateway.simulator.vehicle import Vehicle, VehicleConfig
from gateway.simulator.wallbox import Wallbox
from tests.simulator.central import NOW

PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]},
}
DEFAULT_PROFILE = PROFILE | {"chargingProfilePurpose": "TxDefaultProfile"}
LATER = "2026-03-02T12:00:00Z"


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def box() -> Wallbox:
    return Wallbox(NOW)


@pytest.fixture
def operations(box: Wallbox) -> Operations:
    return Operations(box, fixed_cable=False)


def charge(box: Wallbox, number: int = 1) -> None:
    box.plug_in(number, Vehicle.arriving(VehicleConfig()), NOW)
    assert box.authorize(number, "TAG", TagInfo("Accepted"), NOW)


def reservation(number: int = 7, seconds: float = 60) -> Reservation:
    return Reservation(number, "TAG", after(seconds), None)


# --- faults -----------------------------------------------------------------------------------------------------

TYPE, PROPERTY, MISSING = "TypeConstraintViolation", "PropertyConstraintViolation", "ProtocolError"

FAULTS: list[tuple[str, Any, str, str]] = [
    ("Unheard", {}, "NotImplemented", "Unheard: not known"),
    ("Reset", [], "FormationViolation", "not an object"),
    ("Reset", None, MISSING, "type: missing"),
    ("Reset", {"type": 1}, TYPE, "type: expected a string"),
    ("Reset", {"type": "Warm"}, PROPERTY, "type: expected one of Hard, Soft"),
    ("ChangeAvailability", {"type": "Operative", "connectorId": True}, TYPE, "connectorId: expected an integer"),
    ("ChangeAvailability", {"type": "Operative", "connectorId": 3}, PROPERTY, "there is no connector 3"),
    ("UpdateFirmware", {"location": "ftp://h/f", "retrieveDate": "soon"}, PROPERTY, "retrieveDate"),
    ("DataTransfer", {"vendorId": "v" * 256}, PROPERTY, "vendorId: longer than 255"),
    ("GetConfiguration", {"key": [1]}, TYPE, "key: expected a list of strings"),
    ("GetConfiguration", {"key": ["k"] * 10_000}, "OccurenceConstraintViolation", "more than GetConfigurationMaxKeys"),
    ("SendLocalList", {"updateType": "Full", "listVersion": 1, "localAuthorizationList": [1]}, TYPE, "list of objects"),
    ("SetChargingProfile", {"connectorId": 1}, PROPERTY, "rofile"),
    (
        "RemoteStartTransaction",
        {"idTag": "TAG", "chargingProfile": {}},
        PROPERTY,
        "chargingSchedule: expected an object",
    ),
]


@pytest.mark.parametrize(("action", "payload", "code", "words"), FAULTS)
def test_a_request_that_can_not_be_used_is_a_call_error(
    operations: Operations, action: str, payload: Any, code: str, words: str
) -> None:
    """Which names the field."""
    with pytest.raises(OperationFault, match=words) as fault:
        operations.answer(action, payload, NOW, accepted=True)
    assert fault.value.code == code


@pytest.mark.parametrize("value", [None, [], "text"])
def test_an_object_is_one(value: object) -> None:
    """Nothing else is taken for it."""
    with pytest.raises(OperationFault, match="field: ") as fault:
        Request({"field": value}).an_object("field")
    assert fault.value.code == (MISSING if value is None else TYPE)
    assert Request({"field": {"a": 1}}).an_object("field") == {"a": 1}


# --- answers ----------------------------------------------------------------------------------------------------


def answer(operations: Operations, action: str, payload: Mapping[str, Any], accepted: bool = True) -> Any:
    return operations.answer(action, payload, NOW, accepted=accepted)


@pytest.mark.parametrize("action", ["RemoteStartTransaction", "RemoteStopTransaction"])
def test_a_charger_that_is_not_accepted_starts_and_stops_nothing(operations: Operations, action: str) -> None:
    """Whatever else is in the request."""
    assert answer(operations, action, {}, accepted=False).status == "Rejected"


def test_a_remote_start_takes_a_profile_of_its_transaction_alone(operations: Operations) -> None:
    """Which has no number yet."""
    start = {"idTag": "TAG", "connectorId": 1}
    begun = answer(operations, "RemoteStartTransaction", start | {"chargingProfile": PROFILE})
    assert begun.status == "Accepted"
    assert isinstance(begun.then, RemoteStart)
    assert begun.then.profile is not None
    for wrong in (DEFAULT_PROFILE, PROFILE | {"transactionId": 9}):
        refused = answer(operations, "RemoteStartTransaction", start | {"chargingProfile": wrong})
        assert (refused.status, refused.then) == ("Rejected", None)


def test_a_remote_start_finds_no_place_at_a_box_that_is_taken(operations: Operations, box: Wallbox) -> None:
    """Nor at a connector that there is not."""
    charge(box)
    assert answer(operations, "RemoteStartTransaction", {"idTag": "TAG"}).status == "Rejected"
    assert answer(operations, "RemoteStartTransaction", {"idTag": "TAG", "connectorId": 9}).status == "Rejected"
    assert answer(operations, "RemoteStopTransaction", {"transactionId": 5}).status == "Rejected"


def test_a_trigger_names_what_there_is(operations: Operations) -> None:
    """No connector 0 has a meter."""
    assert answer(operations, "TriggerMessage", {"requestedMessage": "Unheard"}).status == "NotImplemented"
    for number in (0, 2):
        asked = {"requestedMessage": "MeterValues", "connectorId": number}
        assert answer(operations, "TriggerMessage", asked).status == "Rejected"
    status = answer(operations, "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 0})
    assert status.then == Trigger("StatusNotification", 0)


def test_a_schedule_is_of_a_connector_and_of_time_to_come(operations: Operations) -> None:
    """Otherwise it is rejected."""
    for wrong in ({"connectorId": 9, "duration": 60}, {"connectorId": 1, "duration": -1}):
        assert answer(operations, "GetCompositeSchedule", wrong).status == "Rejected"


# --- the box ----------------------------------------------------------------------------------------------------


def test_an_outlet_is_one_of_the_box(box: Wallbox) -> None:
    """0 is the whole of it, and what is beyond is an error."""
    vehicle = Vehicle.arriving(VehicleConfig())
    with pytest.raises(ValueError, match="0 is the whole box"):
        box.plug_in(0, vehicle, NOW)
    with pytest.raises(ValueError, match="there is no connector 2"):
        box.plug_in(2, vehicle, NOW)
    box.plug_in(1, vehicle, NOW)
    with pytest.raises(ValueError, match="plugged in already"):
        box.plug_in(1, vehicle, NOW)


def test_a_connector_is_reserved_only_where_it_is_free(box: Wallbox) -> None:
    """The status says what it is otherwise."""
    assert box.reserve(0, reservation(), NOW) == "Rejected"
    assert box.reserve(1, reservation(seconds=0), NOW) == "Rejected"
    box.set_fault(1, "GroundFailure", NOW)
    assert box.reserve(1, reservation(), NOW) == "Faulted"
    box.set_fault(1, NO_ERROR, NOW)
    assert box.change_availability(1, False, NOW) == "Accepted"
    assert box.reserve(1, reservation(), NOW) == "Unavailable"
    box.change_availability(1, True, NOW)
    assert box.reserve(1, reservation(), NOW) == "Accepted"
    assert box.reserve(1, reservation(8), NOW) == "Occupied"
    assert box.reserve(1, reservation(7, 90), NOW) == "Accepted"
    assert box.cancel_reservation(8, NOW) == "Rejected"
    assert box.cancel_reservation(7, NOW) == "Accepted"
    charge(box)
    assert box.reserve(1, reservation(), NOW) == "Occupied"


def test_what_waits_is_given_up_in_time(box: Wallbox) -> None:
    """And the box says when it wants to be looked at."""
    assert box.next_look() is None
    assert box.authorize(1, "TAG", TagInfo("Accepted"), NOW)
    until = box.next_look()
    assert until is not None
    assert box.reserve(1, reservation(), NOW) == "Occupied"
    box.advance(after(until))
    assert box.next_look() is None
    assert box.reserve(1, reservation(), NOW) == "Accepted"
    assert box.next_look() is not None
    box.advance(after(60 + until))
    assert box.next_look() is None
    assert box.status(1) == "Available"


def test_a_fault_of_the_whole_box_ends_what_runs(box: Wallbox) -> None:
    """And nothing is begun until it is gone."""
    charge(box)
    box.take_messages()
    box.set_fault(0, "GroundFailure", after(10))
    assert "StopTransaction" in [message.action for message in box.take_messages()]
    assert (box.status(0), box.status(1)) == ("Faulted", "Faulted")
    assert not box.authorize(1, "TAG", TagInfo("Accepted"), after(11))


@pytest.mark.parametrize("number", [0, 1])
def test_a_connector_in_use_becomes_unavailable_when_it_is_free(box: Wallbox, number: int) -> None:
    """As it was scheduled."""
    charge(box)
    assert box.change_availability(number, False, after(1)) == "Scheduled"
    assert box.status(1) != "Unavailable"
    box.stop(1, "Local", after(2))
    assert box.status(1) == "Unavailable"


def test_a_tag_that_is_refused_late_ends_the_transaction(box: Wallbox) -> None:
    """One that has ended meanwhile is left as it is."""
    charge(box)
    transaction = box.connectors[1].transaction
    assert transaction is not None
    box.confirm_start(transaction, 5, TagInfo("Blocked"), after(1))
    assert box.connectors[1].transaction is None
    stopped = transaction.stopped_at
    box.confirm_start(transaction, 5, TagInfo("Blocked"), after(2))
    assert transaction.stopped_at == stopped


def test_a_sample_without_measurands_is_none(box: Wallbox) -> None:
    """Nor is there a next one with an interval of 0."""
    charge(box)
    assert box.configuration.change("MeterValueSampleInterval", "0") == "Accepted"
    box.replan_samples()
    assert box.connectors[1].next_sample_at is None
    assert box.configuration.change("MeterValuesSampledData", "") == "Accepted"
    box.take_messages()
    box.sample(1, "Trigger")
    assert box.take_messages() == []

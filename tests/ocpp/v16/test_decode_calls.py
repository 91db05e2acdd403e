"""Reading a charger's CALL: the fast lane, the repair lane, and what is refused and how."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.decision import CallRefused, Request
from gateway.domain.values import Flag
from gateway.ocpp.rpc import Call, parse
from gateway.ocpp.v16.decode_calls import decode_call, decode_unread
from gateway.ocpp.v16.repairs import NEVER_REFUSED
from gateway.ocpp.v16.schemas import CHARGER_ACTIONS
from tests.ocpp.test_rpc import JSON_VALUES

T = "2024-05-01T10:00:00Z"
SAMPLE = {"value": "1234", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}

EXAMPLES = {
    "Authorize": {"idTag": "AB"},
    "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M"},
    "DataTransfer": {"vendorId": "V"},
    "DiagnosticsStatusNotification": {"status": "Uploaded"},
    "FirmwareStatusNotification": {"status": "Installed"},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Uploading", "requestId": 1},
    "MeterValues": {"connectorId": 1, "meterValue": [{"timestamp": T, "sampledValue": [SAMPLE]}]},
    "SecurityEventNotification": {"type": "FirmwareUpdated", "timestamp": T},
    "SignCertificate": {"csr": "gibberish"},
    "SignedFirmwareStatusNotification": {"status": "InstallRebooting", "requestId": 1},
    "StartTransaction": {"connectorId": 1, "idTag": "AB", "meterStart": 0, "timestamp": T},
    "StatusNotification": {"connectorId": 1, "status": "Available", "errorCode": "NoError"},
    "StopTransaction": {"transactionId": 1, "meterStop": 5, "timestamp": T},
}


def read(action, payload):
    request = decode_call("id-1", action, payload)
    assert isinstance(request, Request), request
    return request


def as_received(action, payload):
    """The payload as it comes out of a frame: without NaN, huge numbers and lone surrogates."""
    frame = parse(json.dumps([2, "1", action, payload]).encode())
    assert isinstance(frame, Call)
    return frame.payload


def refused(action, payload):
    refusal = decode_call("id-1", action, payload)
    assert isinstance(refusal, CallRefused), refusal
    assert refusal.message_id == "id-1"
    assert len(refusal.description) <= 100
    return refusal


@pytest.mark.parametrize("action", sorted(CHARGER_ACTIONS))
def test_every_action_of_a_charger_is_read(action):
    """All thirteen, by the fast lane: no flag, no deviation, the payload kept as sent."""
    request = read(action, EXAMPLES[action])
    assert request.flags == ()
    assert request.deviations == ()
    assert request.raw == EXAMPLES[action]


def test_names_become_the_classes_own():
    """camelCase on the wire, snake_case in the typed request."""
    request = read("StartTransaction", {**EXAMPLES["StartTransaction"], "reservationId": 7})
    payload = request.payload
    assert (payload.connector_id, payload.id_tag, payload.meter_start) == (1, "AB", 0)
    assert (payload.timestamp, payload.reservation_id) == (T, 7)


@pytest.mark.parametrize("action", ["LogStatusNotification", "SignedFirmwareStatusNotification"])
def test_a_request_id_may_be_missing(action):
    """B11.8, B11.9: optional in the schema though the class asks for it."""
    assert read(action, {"status": "Idle"}).payload.request_id is None


def test_a_security_event_needs_no_technical_information():
    """techInfo is optional in the schema though the class asks for it."""
    assert read("SecurityEventNotification", EXAMPLES["SecurityEventNotification"]).payload.tech_info is None


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("Foo", "NotImplemented"),
        ("heartbeat", "NotImplemented"),
        ("", "NotImplemented"),
        ("CertificateSigned", "NotSupported"),
        ("Reset", "NotSupported"),
    ],
)
def test_an_action_that_is_not_handled_is_refused_by_the_right_code(action, code):
    """A3.5, A4: not known, or known and not supported."""
    assert refused(action, {}).code == code


@pytest.mark.parametrize("action", sorted(CHARGER_ACTIONS))
@pytest.mark.parametrize("payload", [[], "x", 5, [{}]])
def test_a_payload_that_is_no_object_is_a_formation_violation(action, payload):
    """A4. There is nothing in it that could be read, also of a transaction."""
    assert refused(action, payload).code == "FormationViolation"


@pytest.mark.parametrize(
    ("action", "change", "code", "field"),
    [
        ("BootNotification", {"chargePointModel": None}, "ProtocolError", "chargePointModel"),
        ("BootNotification", {"chargePointModel": {}}, "TypeConstraintViolation", "chargePointModel"),
        ("StatusNotification", {"connectorId": "x"}, "TypeConstraintViolation", "connectorId"),
        ("StatusNotification", {"connectorId": 1.5}, "TypeConstraintViolation", "connectorId"),
        ("StatusNotification", {"connectorId": -1}, "PropertyConstraintViolation", "connectorId"),
        ("StatusNotification", {"connectorId": 2**31}, "PropertyConstraintViolation", "connectorId"),
        ("StatusNotification", {"status": "Melting"}, "PropertyConstraintViolation", "status"),
        ("Authorize", {"idTag": "x" * 21}, "PropertyConstraintViolation", "idTag"),
        ("Authorize", {"idTag": None}, "ProtocolError", "idTag"),
        ("DiagnosticsStatusNotification", {"status": "Exploded"}, "PropertyConstraintViolation", "status"),
    ],
)
def test_what_can_not_be_read_is_refused_with_field_and_reason(action, change, code, field):
    """A4.1."""
    refusal = refused(action, {**EXAMPLES[action], **change})
    assert refusal.code == code
    assert refusal.description.startswith(field)


def test_a_missing_field_is_a_protocol_error():
    """A4: the payload is incomplete."""
    assert refused("Authorize", {}).code == "ProtocolError"


def test_a_refusal_never_repeats_what_was_sent():
    """A4.3: neither secrets nor a flood come back."""
    refusal = refused("Authorize", {"idTag": "secret" * 1000})
    assert "secret" not in refusal.description


SERIAL = "EVB1A22P2KI3N12345678901234567890"
"""33 characters, as a wallbox in the field has them."""


@pytest.mark.parametrize(
    ("action", "change", "deviation", "field", "value"),
    [
        ("StatusNotification", {"connectorId": "1"}, "text-for-integer", "connector_id", 1),
        ("StatusNotification", {"connectorId": 1.0}, "float-for-integer", "connector_id", 1),
        ("StatusNotification", {"status": "charging"}, "spelling", "status", "Charging"),
        ("StatusNotification", {"status": "SUSPENDED_EV"}, "spelling", "status", "SuspendedEV"),
        ("StatusNotification", {"errorCode": "Error"}, "unknown-error-code", "error_code", "Error"),
        ("StatusNotification", {"info": None}, "null-field", "info", None),
        ("StatusNotification", {"info": "x" * 56}, "text-too-long", "info", "x" * 56),
        ("StatusNotification", {"vendorErrorCode": 17}, "number-for-text", "vendor_error_code", "17"),
        ("StatusNotification", {"extra": {"a": 1}}, "extra-property", "connector_id", 1),
        ("StatusNotification", {"info": "x" * 999}, "text-too-long", "info", "x" * 255),
        ("BootNotification", {"firmwareVersion": "v" * 51}, "text-too-long", "firmware_version", "v" * 51),
        (
            "BootNotification",
            {"chargePointSerialNumber": "s" * 26},
            "text-too-long",
            "charge_point_serial_number",
            "s" * 26,
        ),
        (
            "BootNotification",
            {"chargeBoxSerialNumber": "s" * 33},
            "text-too-long",
            "charge_box_serial_number",
            "s" * 33,
        ),
        ("BootNotification", {"chargePointModel": "m" * 40}, "text-too-long", "charge_point_model", "m" * 40),
        ("BootNotification", {"meterSerialNumber": "m" * 300}, "text-too-long", "meter_serial_number", "m" * 255),
        ("SecurityEventNotification", {"techInfo": "t" * 400}, "text-too-long", "tech_info", "t" * 400),
        ("SecurityEventNotification", {"techInfo": "t" * 4000}, "text-too-long", "tech_info", "t" * 1275),
        ("BootNotification", {"iccid": False}, "boolean-for-text", "iccid", "false"),
        ("DataTransfer", {"data": {"a": [1]}}, "object-for-text", "data", {"a": [1]}),
        ("LogStatusNotification", {"status": "UploadFailed"}, "spelling", "status", "UploadFailure"),
        ("FirmwareStatusNotification", {"status": "InstallRebooting"}, "signed-status", "status", "InstallRebooting"),
        ("StartTransaction", {"idTag": "x" * 21}, "id-tag-too-long", "id_tag", "x" * 21),
        ("StartTransaction", {"idTag": "x" * 999}, "id-tag-too-long", "id_tag", "x" * 255),
        ("StartTransaction", {"idTag": 1234}, "number-for-text", "id_tag", "1234"),
        ("StartTransaction", {"idTag": None}, "missing-id-tag", "id_tag", ""),
        ("StartTransaction", {"connectorId": -1}, "negative-connector", "connector_id", -1),
        ("StartTransaction", {"meterStart": 12.6}, "fractional-register", "meter_start", 13),
        ("StartTransaction", {"meterStart": " 12.4 "}, "fractional-register", "meter_start", 12),
        ("StartTransaction", {"meterStart": []}, "missing-register", "meter_start", 0),
        ("StartTransaction", {"reservationId": "none"}, "unreadable-field", "reservation_id", None),
        ("StartTransaction", {"timestamp": 5}, "number-for-text", "timestamp", "5"),
        ("StopTransaction", {"transactionId": "9223372036854775807"}, "text-for-integer", "transaction_id", 2**63 - 1),
        ("StopTransaction", {"transactionId": 2**63}, "missing-number", "transaction_id", 0),
        ("StopTransaction", {"transactionId": 1e20}, "missing-number", "transaction_id", 0),
        ("StopTransaction", {"reason": "Bored"}, "unknown-stop-reason", "reason", "Bored"),
        ("StopTransaction", {"reason": "evdisconnected"}, "spelling", "reason", "EVDisconnected"),
        ("StopTransaction", {"idTag": "x" * 21}, "id-tag-too-long", "id_tag", "x" * 21),
        ("StopTransaction", {"transactionData": None}, "unreadable-sample", "transaction_id", 1),
        ("MeterValues", {"transactionId": "5"}, "text-for-integer", "transaction_id", 5),
        ("MeterValues", {"transactionId": None}, "null-field", "transaction_id", None),
        ("MeterValues", {"transactionId": 2**64 - 1}, "unreadable-field", "transaction_id", None),
        ("MeterValues", {"meterValue": []}, "no-samples", "connector_id", 1),
        ("MeterValues", {"meterValue": "x"}, "unreadable-sample", "connector_id", 1),
    ],
)
def test_a_known_deviation_is_mended_named_and_flagged(action, change, deviation, field, value):
    """Every repair by its name; the payload as sent stays as sent."""
    sent = {**EXAMPLES[action], **change}
    request = read(action, sent)
    assert deviation in request.deviations
    assert request.flags == (Flag.DEVIATES,)
    assert getattr(request.payload, field) == value
    assert request.raw is sent
    assert sent == {**EXAMPLES[action], **change}


@pytest.mark.parametrize(
    ("sample", "deviation"),
    [
        ({"value": 12.5}, "sampled-value-number"),
        ({"value": "1", "context": "Sample.Whenever"}, "measurement-metadata"),
        ({"value": "1", "measurand": "Power.Magic"}, "measurement-metadata"),
        ({"value": "1", "unit": "kwh"}, "measurement-spelling"),
        ({"value": "1", "phase": None}, "unreadable-sample"),
        ({"value": "1", "surprise": 1}, "unreadable-sample"),
        ({}, "unreadable-sample"),
        (None, "unreadable-sample"),
    ],
)
@pytest.mark.parametrize(("action", "field"), [("MeterValues", "meterValue"), ("StopTransaction", "transactionData")])
def test_an_odd_sample_never_spoils_a_message(sample, deviation, action, field):
    """X14, quirk 23, B6.7: in MeterValues and in a stop's transactionData alike (X10)."""
    request = read(action, {**EXAMPLES[action], field: [{"timestamp": T, "sampledValue": [SAMPLE, sample]}]})
    assert request.deviations == (deviation,)


@pytest.mark.parametrize("unit", ["Celcius", "Celsius"])
@pytest.mark.parametrize(("action", "field"), [("MeterValues", "meterValue"), ("StopTransaction", "transactionData")])
def test_both_spellings_of_celsius_are_the_schemas_own(unit, action, field):
    """X10."""
    values = [{"timestamp": T, "sampledValue": [{"value": "20", "measurand": "Temperature", "unit": unit}]}]
    assert read(action, {**EXAMPLES[action], field: values}).deviations == ()


def test_an_empty_list_of_samples_is_read():
    """Quirk 29."""
    values = [{"timestamp": T, "sampledValue": []}]
    assert read("MeterValues", {**EXAMPLES["MeterValues"], "meterValue": values}).deviations == ("no-samples",)


@pytest.mark.parametrize("action", sorted(NEVER_REFUSED))
def test_a_transaction_message_with_nothing_in_it_is_read(action):
    """A4.2: a CALLERROR would be repeated against for ever."""
    request = read(action, {})
    assert request.payload.connector_id == 0 if action != "StopTransaction" else request.payload.transaction_id == 0


def test_a_message_of_many_faults_is_mended_in_one_go():
    """Hundreds of odd samples cost one walk a round, not a refusal."""
    values = [{"timestamp": T, "sampledValue": [{"value": i, "context": "odd"} for i in range(500)]}]
    request = read("MeterValues", {"connectorId": "1", "meterValue": values})
    assert request.payload.connector_id == 1


FIELDS = sorted({name for example in EXAMPLES.values() for name in example} | {"info", "data", "reason", "idTag"})


@given(
    st.sampled_from(sorted(NEVER_REFUSED)),
    st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), JSON_VALUES, max_size=6),
)
def test_no_object_is_refused_as_a_transaction_message(action, payload):
    """A4.2, for any object at all; numbers stay within 64 bits."""
    request = read(action, as_received(action, payload))
    number = getattr(request.payload, "transaction_id", None)
    assert number is None or -(2**63) <= number < 2**63


@given(
    st.sampled_from(sorted(CHARGER_ACTIONS)),
    JSON_VALUES | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), JSON_VALUES, max_size=6),
)
def test_any_payload_is_read_or_refused(action, payload):
    """Never an exception, never a long reason."""
    result = decode_call("1", action, as_received(action, payload))
    if isinstance(result, CallRefused):
        assert len(result.description) <= 100


def test_an_id_that_is_too_long_is_a_deviation():
    """A message taken in spite of it (``rpc``) is reported, read or unread, with its other deviations."""
    stop = {"transactionId": 1, "meterStop": "5", "timestamp": "2026-01-01T00:00:00Z"}
    for length, names in ((36, ()), (37, ("message-id-too-long",))):
        read = decode_call("i" * length, "StopTransaction", stop)
        assert isinstance(read, Request)
        assert (read.deviations, read.flags) == ((*names, "text-for-integer"), (Flag.DEVIATES,))
        unread = decode_unread("i" * length, "StopTransaction", b'[2,"i","StopTransaction",{"meterStop":5}]')
        assert unread.deviations[: len(names)] == names
        assert unread.flags == (Flag.DEVIATES, Flag.UNREAD)

"""The envelope of what a charger's message becomes: its cause, when it came, and the time that it reports, as sent."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.domain import events as e
from tests.ocpp.v16.profiles.charger import NOW, at, charger

TIMED: dict[str, tuple[str, dict[str, Any], type]] = {
    "start": ("StartTransaction", {"connectorId": 1, "idTag": "TAG", "meterStart": 0}, e.TransactionStarted),
    "stop": ("StopTransaction", {"transactionId": 1, "meterStop": 10}, e.TransactionStopped),
    "stop of nothing": ("StopTransaction", {"transactionId": 77, "meterStop": 10}, e.TransactionOrphaned),
    "stop without a number": ("StopTransaction", {"transactionId": 0, "meterStop": 10}, e.TransactionOrphaned),
    "status": (
        "StatusNotification",
        {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"},
        e.ConnectorStatusChanged,
    ),
    "security event": ("SecurityEventNotification", {"type": "InvalidMessages"}, e.SecurityEventReported),
}
"""Messages with a time of their own."""

UNTIMED: dict[str, tuple[dict[str, Any], type]] = {
    "BootNotification": ({"chargePointVendor": "V", "chargePointModel": "M"}, e.ChargePointBooted),
    "Authorize": ({"idTag": "TAG"}, e.IdTagPresented),
    "DataTransfer": ({"vendorId": "V"}, e.VendorDataReceived),
    "FirmwareStatusNotification": ({"status": "Installed"}, e.FirmwareStatusReported),
    "SignedFirmwareStatusNotification": ({"status": "Installed", "requestId": 3}, e.FirmwareStatusReported),
    "DiagnosticsStatusNotification": ({"status": "Uploaded"}, e.DiagnosticsStatusReported),
    "LogStatusNotification": ({"status": "Uploaded", "requestId": 3}, e.LogStatusReported),
    "MeterValues": (
        {"connectorId": 1, "meterValue": [{"timestamp": at(), "sampledValue": [{"value": "1"}]}]},
        e.MeterValuesReported,
    ),
}


def ready() -> Any:
    """A charger with a transaction, some minutes after it began."""
    one = charger()
    one.books.add_tag("TAG", allow_concurrent=True)
    one.call("StartTransaction", connectorId=1, idTag="TAG", meterStart=0, timestamp=at())
    one.now = NOW + timedelta(minutes=5)
    return one


@pytest.mark.parametrize("name", TIMED)
def test_the_time_that_is_reported_is_kept_as_it_was_sent(name: str) -> None:
    """To the letter, with what it was read as beside it."""
    action, payload, body = TIMED[name]
    one = ready()
    sent = "2024-05-01T12:04:30.250+02:00"
    one.call(action, "the-id", **payload, timestamp=sent)
    [event] = [each for each in one.events if type(each.body) is body and each.cause == "message:the-id"]
    assert event.reported_raw == sent
    assert event.reported_at == NOW + timedelta(minutes=4, seconds=30.25)
    assert event.received_at == one.now


@pytest.mark.parametrize("action", UNTIMED)
def test_what_has_no_time_of_its_own_has_that_of_its_receipt(action: str) -> None:
    """And the message that it came by."""
    payload, body = UNTIMED[action]
    one = ready()
    one.call(action, "the-id", **payload)
    event = one.events[-1]
    assert type(event.body) is body
    assert (event.cause, event.received_at) == ("message:the-id", one.now)

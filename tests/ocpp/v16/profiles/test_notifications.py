"""Firmware, diagnostics, logs and security events: confirmed and recorded in any order."""

import pytest

from gateway.domain.events import (
    DiagnosticsStatusReported,
    FirmwareStatusReported,
    LogStatusReported,
    SecurityEventReported,
)
from gateway.domain.values import Flag
from gateway.ocpp.v16.profiles.routing import HANDLERS, protocol
from gateway.ocpp.v16.schemas import CHARGER_ACTIONS
from tests.ocpp.v16.profiles.charger import at, charger, has


def test_every_action_that_is_read_has_a_handler():
    """The routing table and the reader agree."""
    assert HANDLERS.keys() == CHARGER_ACTIONS


def test_only_a_boot_is_allowed_before_acceptance():
    """X5, B1.5."""
    assert [action for action in CHARGER_ACTIONS if protocol().allowed_before_acceptance(action)] == [
        "BootNotification"
    ]
    assert protocol().subprotocol == "ocpp1.6"


def test_firmware_statuses_are_recorded_in_every_order():
    """B8.2, B8.3: repeated, unsolicited, Idle."""
    one = charger()
    sent = ["Installed", "Idle", "Downloading", "Downloading", "InstallRebooting"]
    for status in sent:
        assert one.call("FirmwareStatusNotification", status=status) == {}
    assert [event.body for event in one.events] == [FirmwareStatusReported(status) for status in sent]


@pytest.mark.parametrize("status", ["Idle", "Uploaded", "UploadFailed", "Uploading"])
def test_diagnostics_statuses_are_recorded(status):
    """B8.2."""
    one = charger()
    assert one.call("DiagnosticsStatusNotification", status=status) == {}
    assert one.events[0].body == DiagnosticsStatusReported(status)


def test_signed_firmware_statuses_carry_their_request():
    """B11.8: also InvalidSignature; no request id with Idle."""
    one = charger()
    one.call("SignedFirmwareStatusNotification", status="InvalidSignature", requestId=4)
    one.call("SignedFirmwareStatusNotification", status="Idle")
    assert [event.body for event in one.events] == [
        FirmwareStatusReported("InvalidSignature", 4, signed=True),
        FirmwareStatusReported("Idle", None, signed=True),
    ]


@pytest.mark.parametrize("status", ["UploadFailure", "UploadFailed"])
def test_both_spellings_of_a_failed_upload_are_confirmed(status):
    """X8."""
    one = charger()
    assert one.call("LogStatusNotification", status=status, requestId=1) == {}
    assert one.events[0].body == LogStatusReported("UploadFailure", 1)


def test_a_security_event_of_any_type_and_age_is_recorded():
    """B11.4."""
    one = charger()
    event = one.new_event("SecurityEventNotification", type="AcmeAlarm", timestamp=at(-999_999), techInfo="x" * 300)
    assert event.body == SecurityEventReported("AcmeAlarm", "x" * 300)
    assert has(event, Flag.LATE, Flag.DEVIATES)
    assert event.reported_raw == at(-999_999)

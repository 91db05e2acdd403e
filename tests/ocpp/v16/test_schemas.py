"""The schemas are the corrected ones (A4.4), with the ranges that they leave out."""

from typing import Any

import pytest

from gateway.ocpp.v16.schemas import COMMANDS, CONFIRMATIONS, OPERATIONS, REPLIES, REQUESTS

NOW = "2026-03-01T12:00:00Z"
STOP = {"transactionId": 1, "meterStop": 1, "timestamp": NOW}
FIRMWARE = {"location": "ftp://h/f", "retrieveDate": NOW}


@pytest.mark.parametrize(
    ("validator", "payload", "valid"),
    [
        (REPLIES["BootNotification"], {"status": "Accepted", "currentTime": NOW, "interval": 300}, True),
        (REPLIES["BootNotification"], {"status": "Accepted", "currentTime": NOW, "interval": 1.5}, False),
        (REQUESTS["StopTransaction"], STOP, True),
        (COMMANDS["UpdateFirmware"], {**FIRMWARE, "retries": 1, "retryInterval": 60}, True),
        (COMMANDS["UpdateFirmware"], {**FIRMWARE, "retries": 1.5}, False),
        (COMMANDS["SendLocalList"], {"listVersion": 1, "updateType": "Full"}, True),
        (
            COMMANDS["SendLocalList"],
            {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [{"idTag": "A"}]},
            True,
        ),
    ],
)
def test_what_the_errata_corrected_is_corrected(validator: Any, payload: Any, valid: bool) -> None:
    """JE 2.x, 3.1: integers are integers, a stop needs no reason, a list's entries need no idTagInfo."""
    assert validator.is_valid(payload) is valid


@pytest.mark.parametrize(
    ("field", "value", "valid"),
    [
        ("transactionId", 2**63 - 1, True),
        ("transactionId", 2**63, False),
        ("transactionId", -1, True),
        ("meterStop", 2**31, True),
    ],
)
def test_integers_have_ranges(field: str, value: int, valid: bool) -> None:
    """mh#617: a number of 64 bits is read; beyond it nothing is."""
    assert REQUESTS["StopTransaction"].is_valid({**STOP, field: value}) is valid


def test_a_connector_is_not_negative() -> None:
    """S §3.8."""
    status = {"errorCode": "NoError", "status": "Available"}
    assert REQUESTS["StatusNotification"].is_valid({"connectorId": 0, **status})
    assert not REQUESTS["StatusNotification"].is_valid({"connectorId": -1, **status})


def test_every_operation_has_its_request_and_its_confirmation() -> None:
    """All of S §5, and those of the security extension."""
    assert set(COMMANDS) == set(CONFIRMATIONS) == OPERATIONS
    assert len(OPERATIONS) == 19 + 7

"""Events in one line: each kind of field in words."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import common_pb2 as common
from gateway.api.v1 import event_pb2 as events
from gateway.api.v1 import reading_pb2 as reading
from gateway.cli.event_text import event_line, summary

CONNECTOR = common.ConnectorAddress(evse=1, connector=1)
FAULT = events.ConnectorStatusChanged(
    connector=CONNECTOR, status="Faulted", error_code="GroundFailure", previous_status="Charging", info="relay"
)
ANSWER = commands.CommandAnswer(status=commands.StatusAnswer(status="Accepted"))
CONFIRMED = commands.CommandAnswer(empty=commands.EmptyAnswer())
ERROR = commands.CommandError(code="GenericError", description="busy")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {
                "connector_charging_state_changed": events.ConnectorChargingStateChanged(
                    connector=CONNECTOR,
                    state=reading.CHARGING_STATE_OUT_OF_SERVICE,
                    previous_state=reading.CHARGING_STATE_CHARGING,
                    power_watts=12.4,
                )
            },
            "out of service at 12 W (was charging)",
        ),
        ({"connector_status_changed": FAULT}, "Faulted GroundFailure (was Charging) relay"),
        (
            {"connector_status_changed": events.ConnectorStatusChanged(connector=CONNECTOR, status="Available")},
            "Available",
        ),
        ({"command_answered": events.CommandAnswered(operation="Reset", answer=ANSWER)}, "answer Accepted"),
        ({"command_answered": events.CommandAnswered(operation="ClearCache", answer=CONFIRMED)}, "answer empty"),
        ({"command_answered": events.CommandAnswered(operation="Reset", error=ERROR)}, "error GenericError busy"),
        ({"command_answered": events.CommandAnswered(operation="Reset", answer=ANSWER, late=True)}, "late"),
        (
            {"configuration_reported": events.ConfigurationReported(unknown_keys=["A", "B"])},
            "unknown keys: A, B",
        ),
        ({"transaction_stale_changed": events.TransactionStaleChanged(stale=True, why="lost")}, "stale, why lost"),
        ({"command_queued": events.CommandQueued(operation="Reset", arguments_json="{}")}, "arguments {}"),
    ],
)
def test_each_kind_of_field_has_its_words(body: dict[str, Any], said: str) -> None:
    """No field shows as the wire has it."""
    assert said in summary(events.Event(type="a type", **body))


def test_an_event_without_a_body_has_no_words() -> None:
    """One of a type that a newer gateway has."""
    assert summary(events.Event(type="a type")) == ""


def test_the_charger_of_a_boot_is_one_phrase() -> None:
    """Vendor, model, firmware; what was not said is left out."""
    boot = {"vendor": "Acme", "model": "One"}
    reported = events.ChargePointBooted(interval_seconds=300)
    for name, value in boot.items():
        setattr(reported.boot, name, value)
    assert "Acme One" in summary(events.Event(charge_point_booted=reported))


def test_a_line_has_time_charger_type_and_flags() -> None:
    """In columns, so that many of them can be read."""
    when = Timestamp()
    when.FromJsonString("2024-05-01T10:00:00Z")
    stopped = events.TransactionStopped(transaction_id="tx_1", energy=common.Energy(milliwatt_hours=1_500_000))
    made = events.Event(
        charge_point="CP1", type="transaction.stopped", receive_time=when, transaction_stopped=stopped, flags=[1]
    )
    line = event_line(made)
    assert line.startswith("2024-05-01 10:00:00  CP1 ")
    assert "1.5" in line
    assert line.endswith("]")

"""The fleet that `gateway top` keeps, of lists and watches: bounds, late and unknown things."""

import pytest

from gateway.api.v1 import charge_point_pb2, command_pb2, common_pb2
from gateway.api.v1 import event_pb2 as api
from gateway.cli.top import fleet_view
from gateway.cli.top.fleet_view import MAX_SHOWN, RECENT_COMMANDS, FleetView, Order
from tests.cli.top.fleet import charge_point, event, where


def listed(*charge_points):
    """A view of these."""
    view = FleetView()
    view.take(charge_point_pb2.ListChargePointsResponse(charge_points=charge_points))
    return view


def happened(view, *events):
    """The view after these events."""
    view.take(api.WatchEventsResponse(events=events))
    return view


def test_more_charge_points_than_are_kept_are_counted(monkeypatch):
    """Those beyond the bound are in the totals, and not in the table; one made later neither."""
    monkeypatch.setattr(fleet_view, "MAX_KNOWN", 2)
    view = listed(*(charge_point(f"CP{number}", "Available") for number in range(3)))
    happened(view, event("charge_point.created", "CP9", charge_point_created=api.ChargePointCreated()))
    assert (len(view.chargers), view.unknown, view.totals().known) == (2, 1, 3)
    view.begin()
    assert view.totals().known == 0


def test_more_rows_than_fit_are_counted():
    """The first of the order are shown."""
    view = listed(*(charge_point(f"CP{number:04}", "Available") for number in range(MAX_SHOWN + 5)))
    rows, count = view.rows("", Order.NAME)
    assert (len(rows), count, rows[0].identity) == (MAX_SHOWN, MAX_SHOWN + 5, "CP0000")


def test_only_the_newest_commands_are_kept():
    """Each queued one pushes the oldest out."""
    view = FleetView()
    for number in range(RECENT_COMMANDS + 1):
        queued = api.CommandQueued(command_id=f"cmd_{number}", operation="Reset")
        happened(view, event("command.queued", "CP1", command_queued=queued))
    assert len(view.commands) == RECENT_COMMANDS
    assert "cmd_0" not in view.commands


def test_a_command_without_an_answer_shows_why():
    """Not sent, unknown, an error: each in its words, also where its beginning was never seen."""
    unknown = api.CommandOutcomeUnknown(command_id="a", operation="Reset", reason="timeout")
    refused = api.CommandAnswered(
        command_id="b", operation="Reset", error=command_pb2.CommandError(code="InternalError", description="no")
    )
    view = happened(
        FleetView(),
        event("command.outcome_unknown", "CP1", command_outcome_unknown=unknown),
        event("command.answered", "CP1", command_answered=refused),
    )
    assert [(row.state, row.outcome) for row in view.newest_commands("CP1")] == [
        ("answered", "InternalError: no"),
        ("outcome unknown", "timeout"),
    ]
    assert view.newest_commands("CP2") == []


def test_a_charge_point_is_followed_from_its_creation_on():
    """Created, connected, booted, its connector's status and state."""
    boot = charge_point_pb2.BootInformation(vendor="V", model="M", firmware_version="2")
    status = api.ConnectorStatusChanged(connector=where(), status="Charging")
    state = api.ConnectorChargingStateChanged(connector=where(), state=4)
    view = happened(
        FleetView(),
        event("charge_point.created", "CP1", charge_point_created=api.ChargePointCreated()),
        event("charge_point.connected", "CP1", charge_point_connected=api.ChargePointConnected()),
        event("charge_point.booted", "CP1", charge_point_booted=api.ChargePointBooted(boot=boot)),
        event("connector.status_changed", "CP1", connector_status_changed=status),
        event("connector.charging_state_changed", "CP1", connector_charging_state_changed=state),
    )
    (charger,) = view.chargers.values()
    assert (charger.connected, charger.make, charger.firmware) == (True, "V M", "2")
    assert charger.plugs["1"] == fleet_view.Plug("Charging", "charging")
    assert (charger.power, charger.energy) == (None, None)


def test_a_stop_ends_its_own_transaction_alone():
    """One that came late leaves the newer transaction of the connector as it is."""
    view = listed(charge_point("CP1", "Charging", 7000.0))
    started = api.TransactionStarted(transaction_id="tx_2", connector=where(), id_tag="T")
    happened(view, event("transaction.started", "CP1", transaction_started=started))
    for transaction, power in (("tx_1", 7000.0), ("tx_2", 0.0)):
        stopped = api.TransactionStopped(transaction_id=transaction, connector=where())
        happened(view, event("transaction.stopped", "CP1", transaction_stopped=stopped))
        assert view.chargers["CP1"].power == power
    assert view.chargers["CP1"].tags == ""


@pytest.mark.parametrize(
    "sample",
    [
        {"connector": common_pb2.ConnectorAddress()},
        {"phase": "L1"},
        {"charge_point": "NOPE"},
        {"measurand": "Voltage"},
    ],
    ids=lambda sample: next(iter(sample)),
)
def test_a_sample_of_something_else_changes_nothing(sample):
    """Of the charge point as a whole, of one phase, of an unknown charge point, of another measurand."""
    view = listed(charge_point("CP1", "Charging", 7000.0))
    whole = {"charge_point": "CP1", "connector": where(), "measurand": fleet_view.POWER, "power_watts": 1.0, **sample}
    view.take(api.WatchMeterValuesResponse(samples=[common_pb2.MeterSample(**whole)]))
    assert view.chargers["CP1"].power == 7000.0
    assert list(view.chargers) == ["CP1"]


def test_what_is_no_message_of_the_fleet_is_a_defect():
    """Nothing is passed over in silence."""
    with pytest.raises(TypeError, match="MeterSample"):
        FleetView().take(common_pb2.MeterSample())

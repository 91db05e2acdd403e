"""Counts of a fleet, as every store has them."""

import pytest

from gateway.domain import fleet_summary
from gateway.domain.charging_state import ChargingState, StateBasis
from gateway.domain.events import (
    BootInformation,
    ChargePointBooted,
    ConnectorChargingStateChanged,
    OperationAccepted,
    WantedChanged,
)
from gateway.domain.events import ConnectorStatusChanged as Status
from gateway.domain.fleet_summary import FleetCounts, MakeCount, Silent
from gateway.domain.operations import OperationKind, OperationRequest
from gateway.domain.steering import StandingLimit, Wanted
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store import fleet_sql
from gateway.store.commits import DeleteChargePoint
from tests.store import builders as b
from tests.store.builders import append, at, connect, create

NOW = at(20_000)
GONE = at(19_000)
WHOLE = ConnectorAddress(0, 0)
SECOND = ConnectorAddress(2, 1)


def counts(store, **labels):
    return store.fleet_counts(labels, NOW, GONE)


def shows(state, connector=b.CONNECTOR):
    unknown = ChargingState.UNKNOWN
    return ConnectorChargingStateChanged(connector, state, unknown, StateBasis.STATUS, "", None)


def booted(vendor, model, firmware):
    return ChargePointBooted(BootInformation(vendor, model, firmware_version=firmware), Registration.ACCEPTED, 300)


def test_a_fleet_of_none_counts_nothing(store):
    assert counts(store) == FleetCounts()


def test_charge_points_are_counted_by_make_and_by_what_they_do(store):
    """States as the last event said them, or as the status says; a deleted charge point counts nowhere."""
    for identity in ("A", "B", "C"):
        epoch = connect(store, identity).epoch
        if identity != "C":
            append(store, booted("V", "M", "1"), identity=identity, epoch=epoch)
    create(store, "D")
    append(store, b.status("Available"), shows(ChargingState.CHARGING), identity="A")
    append(store, b.status("Available"), b.status("Preparing", SECOND), b.status("Available", WHOLE), identity="B")
    append(store, Status(b.CONNECTOR, "Faulted", "GroundFailure", info="wet"), b.started(1), identity="C", seconds=9)
    connect(store, "GONE")
    append(store, b.status("Faulted"), identity="GONE")
    b.one(store, DeleteChargePoint("GONE", at(10)))
    found = counts(store)
    assert found.total == 4
    assert sorted(found.charge_points) == [(Registration.ACCEPTED, False, 1), (Registration.ACCEPTED, True, 3)]
    assert sorted(found.makes, key=str) == [
        MakeCount("", "", "", False, 1),
        MakeCount("", "", "", True, 1),
        MakeCount("V", "M", "1", True, 2),
    ]
    assert found.makes[0] == MakeCount("V", "M", "1", True, 2)
    assert found.states == {
        ChargingState.CHARGING: 1,
        ChargingState.AVAILABLE: 1,
        ChargingState.CONNECTED: 1,
        ChargingState.FAULTED: 1,
    }
    [fault] = found.faults
    assert (fault.charge_point, fault.connected, fault.connector.info) == ("C", True, "wet")
    assert (fault.connector.error_code, fault.connector.reported_at) == ("GroundFailure", at(9))
    assert (found.fault_count, found.silent_count, found.never, found.open_transactions) == (1, 0, 1, 1)


def test_one_that_is_away_is_silent_after_an_hour_and_in_no_state_after_the_grace(store):
    """Two went: one long ago, one within the grace, whose state still counts."""
    for identity, seconds in (("LONG", 100), ("SHORT", 19_500)):
        epoch = connect(store, identity).epoch
        append(store, b.status("Available"), identity=identity, epoch=epoch)
        append(store, shows(ChargingState.CHARGING, SECOND), identity=identity, epoch=epoch)
        append(store, b.disconnected(), identity=identity, epoch=epoch, seconds=seconds)
    found = counts(store)
    assert found.states == {ChargingState.UNKNOWN: 2, ChargingState.AVAILABLE: 1, ChargingState.CHARGING: 1}
    assert (found.silent, found.silent_count) == ((Silent("LONG", at(100)),), 1)


def test_open_operations_and_wanted_states_are_counted(store):
    """By the stage, and by how far they have got."""
    connect(store)
    request = OperationRequest(OperationKind.START_CHARGING, b.CONNECTOR, "TAG")
    append(store, OperationAccepted("op_1", "r1", request, at(99_000)))
    wanted = Wanted(b.CONNECTOR, 1, StandingLimit(None))
    append(store, WantedChanged(wanted, "limit-set", "r2"))
    found = counts(store)
    assert found.operations == {"ACCEPTED": 1}
    assert sum(found.steering.values()) == 1


def test_labels_hold_every_count(store):
    """Nothing outside of them counts."""
    for identity, site in (("IN", "north"), ("OUT", "south")):
        create(store, identity, labels={"site": site, "x": "y"})
        connect(store, identity)
        append(store, booted("V", identity, "1"), Status(b.CONNECTOR, "Faulted", "Other"), identity=identity)
    found = counts(store, site="north", x="y")
    assert (found.total, found.fault_count, dict(found.states)) == (1, 1, {ChargingState.FAULTED: 1})
    assert [each.model for each in found.makes] == ["IN"]
    assert [each.charge_point for each in found.faults] == ["IN"]
    assert counts(store, site="west") == FleetCounts()


def test_what_is_named_is_bounded_and_what_is_counted_is_not(store, monkeypatch):
    """The newest faults, and the number of all."""
    monkeypatch.setattr(fleet_sql, "MAX_SHOWN", 2)
    monkeypatch.setattr(fleet_sql, "MAX_MAKES", 1)
    for number in range(3):
        connect(store, f"CP{number}")
        fault = Status(b.CONNECTOR, "Faulted", "Other")
        append(store, booted("V", str(number), "1"), fault, identity=f"CP{number}", seconds=number)
    found = counts(store)
    assert ([each.charge_point for each in found.faults], found.fault_count) == (["CP2", "CP1"], 3)
    assert (len(found.makes), found.total) == (1, 3)


@pytest.mark.parametrize("name", ["MAX_SHOWN", "MAX_MAKES"])
def test_bounds_are_those_of_the_domain(name):
    assert getattr(fleet_sql, name) == getattr(fleet_summary, name)

"""The main job with chargers that this project did not write: start, meter, limit, stop, and read it all back."""

from collections.abc import Callable, Sequence

import pytest

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import common_pb2 as common
from gateway.api.v1 import transaction_pb2 as transactions
from gateway.api.v1.charge_point_pb2 import ChargePoint
from gateway.api.v1.event_pb2 import Event
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway, eventually
from tests.peers.charger_process import ChargerProcess, node, python

FULL, LIMITED = 7400.0, 2300.0
CONNECTOR = common.ConnectorAddress(evse=1, connector=1)


@pytest.mark.parametrize("peer", [python, node], ids=["mobilityhouse-ocpp", "ocpp-rpc"])
def test_a_foreign_charger_is_started_limited_and_stopped_over_grpc(
    gateway: Gateway, peer: Callable[[], list[str]]
) -> None:
    """The charger's own account is what gRPC reports: transaction, readings, energy, in order."""
    command = peer()
    gateway.add_charge_point("PEER 1")
    gateway.add_tag("DRIVER")
    with ChargerProcess(lambda: command, gateway, "PEER 1") as charger:
        assert charger.says("connected")["subprotocol"] == "ocpp1.6"
        assert charger.says("booted")["status"] == "Accepted"
        charger.says("configured", key="MeterValueSampleInterval", value="60")
        described = eventually(
            "statuses and configuration",
            lambda: gateway.charge_point("PEER 1"),
            lambda point: (
                len(point.connectors) == 2 and [e.status for e in point.boot_configuration] == ["Accepted"] * 2
            ),
        )

        start(gateway)
        started = charger.says("started")
        assert (started["authorized"], started["accepted"]) == ("Accepted", "Accepted")
        for _ in range(3):
            assert charger.says("sampled")["watts"] == FULL
        [open_now] = gateway.transactions_of("PEER 1")
        assert open_now.state == transactions.TRANSACTION_STATE_OPEN
        assert open_now.number == started["number"]

        limit(gateway, open_now.transaction_id)
        assert charger.says("limited")["watts"] == LIMITED
        for _ in range(3):
            charger.says("sampled", watts=LIMITED)

        stop(gateway, open_now.transaction_id)
        stopped = charger.says("stopped")
        charger.says("free")

    [done] = gateway.transactions_of("PEER 1")
    assert done.transaction_id == open_now.transaction_id
    assert done.state == transactions.TRANSACTION_STATE_STOPPED
    assert (done.id_tag, done.id_tag_status, done.stop_reason) == ("DRIVER", "Accepted", "Remote")
    assert done.meter_start.watt_hours == str(started["register"])
    assert done.meter_stop.watt_hours == str(stopped["register"])
    assert done.energy.milliwatt_hours == 1000 * (stopped["register"] - started["register"])
    assert list(done.flags) == []

    check_readings(gateway.readings_of(done.transaction_id), charger, started["register"], stopped["register"])
    check_description(described)
    check_order(gateway.history("PEER 1"))


def start(gateway: Gateway) -> None:
    response = gateway.commands.RemoteStartTransaction(
        commands.RemoteStartTransactionRequest(
            charge_point="PEER 1", request_id="start", id_tag="DRIVER", connector=CONNECTOR
        ),
        timeout=RPC_SECONDS,
    )
    assert response.status == commands.REMOTE_START_TRANSACTION_STATUS_ACCEPTED
    assert response.command.state == commands.COMMAND_STATE_ANSWERED


def limit(gateway: Gateway, transaction_id: str) -> None:
    profile = common.ChargingProfile(
        charging_profile_id=7,
        transaction_id=transaction_id,
        purpose=common.CHARGING_PROFILE_PURPOSE_TX_PROFILE,
        kind=common.CHARGING_PROFILE_KIND_RELATIVE,
        schedule=common.ChargingSchedule(
            rate_unit=common.CHARGING_RATE_UNIT_WATTS, periods=[common.ChargingSchedulePeriod(limit=LIMITED)]
        ),
    )
    profile.schedule.periods[0].start_period.seconds = 0
    response = gateway.commands.SetChargingProfile(
        commands.SetChargingProfileRequest(
            charge_point="PEER 1", request_id="limit", connector=CONNECTOR, charging_profile=profile
        ),
        timeout=RPC_SECONDS,
    )
    assert response.status == commands.SET_CHARGING_PROFILE_STATUS_ACCEPTED


def stop(gateway: Gateway, transaction_id: str) -> None:
    response = gateway.commands.RemoteStopTransaction(
        commands.RemoteStopTransactionRequest(charge_point="PEER 1", request_id="stop", transaction_id=transaction_id),
        timeout=RPC_SECONDS,
    )
    assert response.status == commands.REMOTE_STOP_TRANSACTION_STATUS_ACCEPTED


def check_readings(
    readings: Sequence[transactions.TransactionReading], charger: ChargerProcess, meter_start: int, meter_stop: int
) -> None:
    """Every sample that the charger sent, in its order, between the start's register and the stop's."""
    assert readings[0].source == transactions.READING_SOURCE_START
    assert readings[-1].source == transactions.READING_SOURCE_STOP
    assert {each.source for each in readings[1:-1]} == {transactions.READING_SOURCE_METER_VALUES}
    samples = [sample for reading in readings for sample in reading.samples]
    registers = [s.energy.watt_hours for s in samples if s.measurand == "Energy.Active.Import.Register"]
    sent = charger.all_said("sampled")
    assert registers == [str(each) for each in [meter_start, *(line["register"] for line in sent), meter_stop]]
    powers = [s.power_watts for s in samples if s.measurand == "Power.Active.Import"]
    assert powers == [line["watts"] for line in sent]
    assert powers == sorted(powers, reverse=True)
    assert {FULL, LIMITED} == set(powers)


def check_description(point: ChargePoint) -> None:
    """Check what the charger said of itself, and the outcome of what it was asked to set."""
    assert point.ever_accepted
    assert point.boot.model == "Peer"
    assert point.connection.connected
    assert point.connection.security_profile == 2
    assert {(each.connector.evse, each.status) for each in point.connectors} == {(0, "Available"), (1, "Available")}
    assert {(each.key, each.value, each.status) for each in point.boot_configuration} == {
        ("MeterValuesSampledData", "Energy.Active.Import.Register,Power.Active.Import", "Accepted"),
        ("MeterValueSampleInterval", "60", "Accepted"),
    }


def check_order(history: Sequence[Event]) -> None:
    """The life of a charge point, in the order in which it happened."""
    types = [event.type for event in history]
    milestones = [
        "charge_point.created",
        "charge_point.connected",
        "charge_point.booted",
        "id_tag.presented",
        "transaction.started",
        "meter_values.reported",
        "transaction.stopped",
        "charge_point.disconnected",
    ]
    assert [types.index(each) for each in milestones] == sorted(types.index(each) for each in milestones)
    assert len({event.event_id for event in history}) == len(history)
    finished = [e.command_answered.operation for e in history if e.type == "command.answered"]
    assert finished == ["RemoteStartTransaction", "SetChargingProfile", "RemoteStopTransaction"]

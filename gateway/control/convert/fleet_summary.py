"""The summary of the fleet as a message."""

from collections.abc import Iterable

from gateway.api.v1 import charge_point_pb2
from gateway.api.v1 import fleet_summary_pb2 as pb
from gateway.control.convert.common import timestamp
from gateway.control.convert.enums import CHARGING_STATE, OPERATION_STAGE, REGISTRATION, STEERING_STATE
from gateway.control.convert.resources import connector_status
from gateway.domain.fleet_summary import FleetSummary, PowerMinute, PowerSum


def fleet_summary(found: FleetSummary) -> pb.FleetSummary:
    """Return a summary as a message; a day's minutes are some 50 kB."""
    counts = found.counts
    return pb.FleetSummary(
        summary_time=timestamp(found.at),
        charge_point_count=counts.total,
        charge_point_counts=[
            charge_point_pb2.ChargePointCount(
                registration=REGISTRATION.number(registration), connected=connected, count=count
            )
            for registration, connected, count in counts.charge_points
        ],
        charging_state_counts=[
            pb.ChargingStateCount(state=CHARGING_STATE.number(state), count=count)
            for state, count in sorted(counts.states.items())
        ],
        make_counts=[
            pb.MakeCount(
                vendor=each.vendor,
                model=each.model,
                firmware_version=each.firmware,
                connected=each.connected,
                count=each.count,
            )
            for each in counts.makes
        ],
        other_make_count=counts.total - sum(each.count for each in counts.makes),
        power=_power(found.power, found.unanswered),
        power_minutes=map(_minute, found.minutes),
        history_since_time=timestamp(found.since),
        faults=[
            pb.FleetFault(
                charge_point=each.charge_point, connector=connector_status(each.connector), connected=each.connected
            )
            for each in counts.faults
        ],
        fault_count=counts.fault_count,
        silent_charge_points=[
            pb.SilentChargePoint(charge_point=each.charge_point, since_time=timestamp(each.since))
            for each in counts.silent
        ],
        silent_count=counts.silent_count,
        flapping_charge_points=[
            pb.FlappingChargePoint(charge_point=each.charge_point, connection_count=each.connections)
            for each in found.flapping
        ],
        flapping_count=found.flapping_count,
        never_connected_count=counts.never,
        operation_counts=[
            pb.OperationStageCount(stage=OPERATION_STAGE.number(stage), count=count)
            for stage, count in sorted(counts.operations.items())
        ],
        steering_counts=[
            pb.SteeringCount(state=STEERING_STATE.number(state), count=count)
            for state, count in sorted(counts.steering.items())
        ],
        open_transaction_count=counts.open_transactions,
    )


def _power(power: PowerSum, unanswered: Iterable[int]) -> pb.FleetPower:
    return pb.FleetPower(
        watts=power.watts,
        reading_count=power.readings,
        stale_watts=power.stale_watts,
        stale_count=power.stale,
        missing_count=power.without,
        unanswered_nodes=unanswered,
    )


def _minute(minute: PowerMinute) -> pb.PowerMinute:
    return pb.PowerMinute(start_time=timestamp(minute.start), power=_power(minute.power, minute.unanswered))
